package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

func (c *compiler) geneve(network uint32, given bool) (*node, error) {
	n, err := c.geneveHeader(network, given)
	c.opaque = true
	return n, err
}

// directed combines what is tested of the source and of the destination.
func directed(d direction, of func(destination bool) *node) (*node, error) {
	switch d {
	case dirSrc:
		return of(false), nil
	case dirDst:
		return of(true), nil
	case dirAnd:
		return and(of(false), of(true)), nil
	default:
		return or(of(false), of(true)), nil
	}
}

// misplaced says that a protocol has no such identifiers.
func misplaced(p protocol, what string) error {
	switch p {
	case protoLink:
		return fmt.Errorf("link-layer qualifier applied to %s", what)
	case protoIP:
		return fmt.Errorf("qualifier ip applied to %s", what)
	case protoIPv6:
		return fmt.Errorf("qualifier ip6 applied to %s", what)
	default:
		return fmt.Errorf("a protocol that has none is applied to %s", what)
	}
}

// host4 tests for an IPv4 address under a mask: in IPv4, ARP and RARP, or the one of these that is asked for.
func (c *compiler) host4(addr, mask uint32, q qualifier) (*node, error) {
	switch q.typ {
	case typeDefault, typeHost, typeNet:
	case typeGateway:
		return nil, errors.New("gateway requires a name")
	default:
		return nil, errors.New("a port or protocol is asked for, and an IPv4 address is given")
	}
	within := func(ether, src, dst uint32) (*node, error) {
		family, err := c.linkType(ether)
		if err != nil {
			return nil, err
		}
		return directed(q.dir, func(destination bool) *node {
			offset := src
			if destination {
				offset = dst
			}
			return and(family, c.masked(c.at(sizeW, offset), addr, mask))
		})
	}
	switch q.proto {
	case protoIP:
		return within(etherIP, 12, 16)
	case protoARP:
		return within(etherARP, 14, 24)
	case protoRARP:
		return within(etherRARP, 14, 24)
	case protoNone:
		ip, err := within(etherIP, 12, 16)
		if err != nil || c.labels > 0 {
			return ip, err
		}
		arp, err := within(etherARP, 14, 24)
		if err != nil {
			return nil, err
		}
		rarp, err := within(etherRARP, 14, 24)
		return or(or(ip, arp), rarp), err
	case protoDECnet:
		return nil, errors.New("hosts of DECnet are not supported")
	default:
		return nil, misplaced(q.proto, "an IPv4 address")
	}
}

// host6 tests for an IPv6 address under a mask of so many bits.
func (c *compiler) host6(addr netip.Addr, length uint32, q qualifier) (*node, error) {
	switch q.typ {
	case typeDefault, typeHost:
		if length != 128 {
			return nil, errors.New("mask syntax for networks only")
		}
	case typeNet:
	default:
		return nil, errors.New("no host or net is asked for, and an IPv6 address is given")
	}
	if q.proto != protoNone && q.proto != protoIPv6 {
		return nil, misplaced(q.proto, "an IPv6 address")
	}
	address := addr.As16()
	if masked := netip.PrefixFrom(netip.AddrFrom16(address), int(length)).Masked(); masked.Addr() != netip.AddrFrom16(address) {
		return nil, fmt.Errorf("non-network bits set in \"%v/%d\"", addr, length)
	}
	family, err := c.linkType(etherIPv6)
	if err != nil {
		return nil, err
	}
	return directed(q.dir, func(destination bool) *node {
		n, offset := family, uint32(8)
		if destination {
			offset = 24
		}
		for i := range uint32(4) {
			mask := uint32(uint64(1<<32-1) << (32 - min(32, length-min(length, 32*i))))
			if mask == 0 && i < 3 {
				continue // the last word stands for all that are not tested
			}
			n = and(n, c.masked(c.at(sizeW, offset+4*i), binary.BigEndian.Uint32(address[4*i:]), mask))
		}
		return n
	})
}

// mac tests for an Ethernet address.
func (c *compiler) mac(mac [6]byte, q qualifier) (*node, error) {
	if q.proto != protoLink || q.typ != typeDefault && q.typ != typeHost {
		return nil, errors.New("ethernet address used in non-ether expression")
	}
	if err := c.onEthernet("ethernet addresses"); err != nil {
		return nil, err
	}
	return directed(q.dir, func(destination bool) *node {
		if destination {
			return c.bytes(c.link, mac[:])
		}
		return c.bytes(c.link+6, mac[:])
	})
}

func (c *compiler) onEthernet(what string) error {
	if c.opaque {
		return errGeneve
	}
	if c.kind != linkEthernet {
		return fmt.Errorf("%s supported only on Ethernet, this is %v", what, c.kind)
	}
	return nil
}

// number tests for a number: a port, a protocol, or an address as one number.
func (c *compiler) number(k uint32, q qualifier) (*node, error) {
	switch q.typ {
	case typeDefault, typeHost, typeNet:
		if q.proto == protoLink {
			return nil, errors.New("illegal link layer address")
		}
		mask := ^uint32(0)
		if q.typ == typeNet {
			for k != 0 && k>>24 == 0 { // 10 is 10.0.0.0/8
				k, mask = k<<8, mask<<8
			}
		}
		return c.host4(k, mask, q)
	case typePort, typePortRange:
		if k > 65535 {
			return nil, fmt.Errorf("illegal port number %d > 65535", k)
		}
		return c.ports(k, k, 0, q)
	case typeProto:
		return c.carried(k, q.proto)
	case typeGateway:
		return nil, errors.New("gateway requires a name")
	default:
		return nil, errors.New("syntax error: a number without a qualifier such as host or port")
	}
}

// name tests for what a name stands for.
func (c *compiler) name(name string, q qualifier) (*node, error) {
	switch q.typ {
	case typePort:
		s, ok := serviceOf(name)
		if !ok {
			return nil, fmt.Errorf("unknown port %q", name)
		}
		return c.ports(s.port, s.port, s.proto, q)
	case typePortRange:
		return c.portRange(name, q)
	case typeProto:
		return c.carriedName(name, q.proto)
	case typeGateway:
		return nil, errors.New("gateway is not supported: names are not looked up")
	case typeNet:
		return nil, fmt.Errorf("unknown network %q: names are not looked up", name)
	default:
		return nil, fmt.Errorf("unknown host %q: names are not looked up", name)
	}
}

func (c *compiler) carriedName(name string, within protocol) (*node, error) {
	k, ok := uint32(0), false
	switch within {
	case protoNone, protoIP, protoIPv6:
		k, ok = ipProtocol(name)
	case protoLink:
		k, ok = linkProtocol(name)
	case protoISO:
		switch name {
		case "clnp":
			k, ok = isoCLNP, true
		case "esis":
			k, ok = isoESIS, true
		case "isis":
			k, ok = isoISIS, true
		}
	default:
	}
	if !ok {
		return nil, fmt.Errorf("unknown protocol %q", name)
	}
	return c.carried(k, within)
}

// portRange reads "low-high", each a number or a service.
func (c *compiler) portRange(name string, q qualifier) (*node, error) {
	one := func(s string) (service, error) {
		if n, err := strconv.ParseUint(s, 10, 32); err == nil {
			if n > 65535 {
				return service{}, fmt.Errorf("illegal port number %d > 65535", n)
			}
			return service{port: uint32(n)}, nil
		}
		v, ok := serviceOf(s)
		if !ok {
			return v, fmt.Errorf("unknown port in range %q", name)
		}
		return v, nil
	}
	if s, ok := serviceOf(name); ok {
		return c.ports(s.port, s.port, s.proto, q)
	}
	for i := range len(name) { // the names of services have dashes, too
		if name[i] != '-' {
			continue
		}
		low, err := one(name[:i])
		if err != nil {
			if strings.IndexByte(name[i+1:], '-') >= 0 {
				continue
			}
			return nil, err
		}
		high, err := one(name[i+1:])
		if err != nil {
			return nil, err
		}
		proto := low.proto
		if high.proto != proto {
			proto = 0
		}
		return c.ports(low.port, high.port, proto, q)
	}
	return nil, fmt.Errorf("unknown port in range %q", name)
}

// firstFragment tests that no part of an IPv4 packet is before this one.
func (c *compiler) firstFragment() *node {
	return not(c.compare(jumpSET, c.at(sizeH, 6), 0x1fff))
}

// ports tests for ports from low to high of TCP, UDP and SCTP, or the one of these that is asked for or that a
// service's name implies: over IPv6 without extensions, and over IPv4 where the fragment has them.
func (c *compiler) ports(low, high, registered uint32, q qualifier) (*node, error) {
	asked := uint32(0)
	switch q.proto {
	case protoTCP:
		asked = ipTCP
	case protoUDP:
		asked = ipUDP
	case protoSCTP:
		asked = ipSCTP
	case protoNone:
	default:
		return nil, errors.New("illegal qualifier of port")
	}
	if asked != 0 && registered != 0 && asked != registered {
		return nil, errors.New("the port of that name is of another protocol")
	}
	if asked == 0 {
		asked = registered
	}
	if low > high {
		low, high = high, low
	}
	ip, err := c.linkType(etherIP)
	if err != nil {
		return nil, err
	}
	ip6, err := c.linkType(etherIPv6)
	if err != nil {
		return nil, err
	}
	over := func(load func(size uint8, offset uint32) valueID) *node {
		n, _ := directed(q.dir, func(destination bool) *node {
			v := load(sizeH, 0)
			if destination {
				v = load(sizeH, 2)
			}
			if low == high && q.typ == typePort {
				return c.equal(v, low)
			}
			return and(c.compare(jumpGE, v, low), not(c.compare(jumpGT, v, high)))
		})
		return n
	}
	protocols := func(one func(k uint32) *node) *node {
		if asked != 0 {
			return one(asked)
		}
		return or(one(ipSCTP), or(one(ipTCP), one(ipUDP)))
	}
	v6 := protocols(func(k uint32) *node {
		return and(c.equal(c.at(sizeB, 6), k), over(func(size uint8, offset uint32) valueID { return c.at(size, 40+offset) }))
	})
	v4 := protocols(func(k uint32) *node {
		return and(and(c.equal(c.at(sizeB, 9), k), c.firstFragment()), over(c.transport))
	})
	return or(and(ip6, v6), and(ip, v4)), nil
}

// broadcast tests the destination.
func (c *compiler) broadcast(p protocol) (*node, error) {
	switch p {
	case protoNone, protoLink:
		if err := c.onEthernet("broadcast"); err != nil {
			return nil, err
		}
		return c.bytes(c.link, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), nil
	case protoIP:
		ip, err := c.linkType(etherIP)
		if err != nil {
			return nil, err
		}
		dst := c.at(sizeW, 16)
		return and(ip, or(c.equal(dst, 0), c.equal(dst, 1<<32-1))), nil
	default:
		return nil, errors.New("only link-layer and IP broadcast filters supported")
	}
}

// multicast tests the destination.
func (c *compiler) multicast(p protocol) (*node, error) {
	switch p {
	case protoNone, protoLink:
		if err := c.onEthernet("link-layer multicast filters"); err != nil {
			return nil, err
		}
		return c.compare(jumpSET, c.load(sizeB, noValue, c.link), 1), nil
	case protoIP:
		ip, err := c.linkType(etherIP)
		if err != nil {
			return nil, err
		}
		return and(ip, c.compare(jumpGE, c.at(sizeB, 16), 224)), nil
	case protoIPv6:
		ip6, err := c.linkType(etherIPv6)
		if err != nil {
			return nil, err
		}
		return and(ip6, c.equal(c.at(sizeB, 24), 255)), nil
	default:
		return nil, errors.New("only link-layer, IP and IPv6 multicast filters supported")
	}
}
