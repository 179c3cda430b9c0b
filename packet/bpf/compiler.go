package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcpfollow/tcpfollow/packet"
)

// linkKind is how a link type says which protocol a frame carries.
type linkKind uint8

const (
	linkEthernet linkKind = iota
	linkSLL               // as Ethernet, but LLC has a type of its own
	linkSLL2              // by EtherTypes alone
	linkRaw               // by the version of IP
	linkIPv4
	linkIPv6
	linkNull // by an address family
	linkLoop
	linkPPP
	linkPPPSerial // as PPP, but MPLS is unknown: so too the next two
	linkPPPD      // the first byte is a direction
	linkPPPoE
	linkCiscoHDLC // by EtherTypes
)

// String returns the name that messages have.
func (k linkKind) String() string {
	switch k {
	case linkEthernet:
		return "Ethernet"
	case linkSLL:
		return "Linux cooked v1"
	case linkSLL2:
		return "Linux cooked v2"
	case linkNull:
		return "BSD loopback"
	case linkLoop:
		return "OpenBSD loopback"
	case linkPPP:
		return "PPP"
	case linkPPPSerial:
		return "PPP over serial"
	case linkPPPD:
		return "PPP for pppd"
	case linkPPPoE:
		return "PPPoE"
	case linkCiscoHDLC:
		return "Cisco HDLC"
	default:
		return "Raw IP"
	}
}

// layout says where the headers are that primitives look at. Primitives such as vlan move them.
type layout struct {
	kind     linkKind
	link     uint32 // link header
	linkType uint32 // its field with the protocol
	payload  uint32 // after the link header
	network  uint32 // network header, from payload; more than 0 after labels of MPLS
	noSNAP   uint32 // network header, from payload, when LLC without SNAP is before it
	labels   int    // labels of MPLS that were passed
	opaque   bool   // the rest is inside Geneve, at an offset that varies
}

func layoutOf(l packet.LinkType) (layout, bool) {
	switch l {
	case packet.LinkEthernet:
		return layout{kind: linkEthernet, linkType: 12, payload: 14, noSNAP: 3}, true
	case packet.LinkSLL:
		return layout{kind: linkSLL, linkType: 14, payload: 16}, true
	case packet.LinkSLL2:
		return layout{kind: linkSLL2, payload: 20}, true
	case packet.LinkRaw, packet.LinkRawBSD, packet.LinkRawOpenBSD:
		return layout{kind: linkRaw}, true
	case packet.LinkIPv4:
		return layout{kind: linkIPv4}, true
	case packet.LinkIPv6:
		return layout{kind: linkIPv6}, true
	case packet.LinkNull:
		return layout{kind: linkNull, payload: 4}, true
	case packet.LinkLoop:
		return layout{kind: linkLoop, payload: 4}, true
	case packet.LinkPPP:
		return layout{kind: linkPPP, linkType: 2, payload: 4}, true
	case packet.LinkPPPSerial:
		return layout{kind: linkPPPSerial, linkType: 2, payload: 4}, true
	case packet.LinkPPPD:
		return layout{kind: linkPPPD, linkType: 2, payload: 4}, true
	case packet.LinkPPPoE:
		return layout{kind: linkPPPoE, linkType: 6, payload: 8}, true
	case packet.LinkCiscoHDLC:
		return layout{kind: linkCiscoHDLC, linkType: 2, payload: 4}, true
	default:
		return layout{}, false
	}
}

// compiler makes formulas of primitives.
type compiler struct {
	pool
	layout
	file binary.ByteOrder // of the file that the frames are of, nil for an interface
}

var errGeneve = errors.New("what is inside of Geneve is not supported")

func (c *compiler) length() valueID {
	return c.value(value{kind: kindLength, a: noValue, b: noValue})
}

// negate subtracts from 0: the VM of x/net/bpf has no negation.
func (c *compiler) negate(v valueID) valueID { return c.alu(aluSUB, c.constant(0), v) }

// at returns the value of size bytes of the network header.
func (c *compiler) at(size uint8, offset uint32) valueID {
	return c.load(size, noValue, c.payload+c.network+offset)
}

// transport returns the value of two bytes of the header after IPv4.
func (c *compiler) transport(size uint8, offset uint32) valueID {
	header := c.value(value{kind: kindHeader, k: c.payload + c.network, a: noValue, b: noValue})
	return c.load(size, header, c.payload+c.network+offset)
}

func (c *compiler) equal(v valueID, k uint32) *node { return c.compare(jumpEQ, v, k) }

// masked tests the bits of a mask. Of an empty mask only the load is left, for which a frame may be too short.
func (c *compiler) masked(v valueID, k, mask uint32) *node {
	switch mask {
	case 0:
		return c.compare(jumpGE, v, 0)
	case 1<<32 - 1:
	default:
		v = c.alu(aluAND, v, c.constant(mask))
	}
	return c.equal(v, k)
}

// bytes tests bytes of the link header: the last four first, as libpcap does.
func (c *compiler) bytes(offset uint32, b []byte) *node {
	var n *node
	for len(b) > 0 {
		size, code := 4, uint8(sizeW)
		switch {
		case len(b) < 2:
			size, code = 1, sizeB
		case len(b) < 4:
			size, code = 2, sizeH
		}
		k := uint32(0)
		for _, x := range b[len(b)-size:] {
			k = k<<8 | uint32(x)
		}
		b = b[:len(b)-size]
		t := c.equal(c.load(code, noValue, offset+uint32(len(b))), k)
		if n == nil {
			n = t
		} else {
			n = and(n, t)
		}
	}
	return n
}

// linkType tests for an EtherType, or up to 1500 a service access point of LLC.
func (c *compiler) linkType(k uint32) (*node, error) {
	if c.opaque {
		return nil, errGeneve
	}
	if c.labels > 0 {
		return c.inLabels(k)
	}
	switch c.kind {
	case linkEthernet:
		return c.ethernetType(k), nil
	case linkSLL:
		return c.cookedType(k), nil
	case linkSLL2:
		return c.equal(c.load(sizeH, noValue, c.layout.linkType), k), nil
	case linkPPP, linkPPPSerial, linkPPPD, linkPPPoE:
		return c.equal(c.load(sizeH, noValue, c.layout.linkType), pppType(k)), nil
	case linkCiscoHDLC:
		if k == sapISO {
			k = sapISO<<8 | sapISO
		}
		return c.equal(c.load(sizeH, noValue, c.layout.linkType), k), nil
	case linkRaw:
		switch k {
		case etherIP:
			return c.masked(c.load(sizeB, noValue, 0), 0x40, 0xf0), nil
		case etherIPv6:
			return c.masked(c.load(sizeB, noValue, 0), 0x60, 0xf0), nil
		}
		return boolean(false), nil
	case linkIPv4:
		return boolean(k == etherIP), nil
	case linkIPv6:
		return boolean(k == etherIPv6), nil
	default:
		return c.family(k), nil
	}
}

// family tests the address family of a loopback header: those of Linux for interfaces, those of the BSDs for files, as
// libpcap does on Linux. NULL has them in the byte order of the file, or of a little-endian machine.
func (c *compiler) family(k uint32) *node {
	is := func(family uint32) *node {
		if c.kind == linkNull {
			order, b := c.file, [4]byte{}
			if order == nil {
				order = binary.LittleEndian
			}
			order.PutUint32(b[:], family)
			family = binary.BigEndian.Uint32(b[:])
		}
		return c.equal(c.load(sizeW, noValue, 0), family)
	}
	switch {
	case k == etherIP:
		return is(2)
	case k == etherIPv6 && c.file != nil:
		return or(is(30), or(is(24), is(28)))
	case k == etherIPv6:
		return is(10)
	default:
		return boolean(false)
	}
}

// inLabels tests what follows a label that must be the last of its stack.
func (c *compiler) inLabels(k uint32) (*node, error) {
	var version uint32
	switch k {
	case etherIP:
		version = 0x40
	case etherIPv6:
		version = 0x60
	default:
		return nil, errors.New("unsupported protocol over mpls")
	}
	last := c.masked(c.load(sizeB, noValue, c.payload+c.network-2), 1, 1)
	return and(last, c.masked(c.at(sizeB, 0), version, 0xf0)), nil
}

// snap tests for a SNAP header with an organization and a type.
func (c *compiler) snap(organization, k uint32) *node {
	o, t := organization, k
	return c.bytes(c.payload, []byte{0xaa, 0xaa, 3, byte(o >> 16), byte(o >> 8), byte(o), byte(t >> 8), byte(t)})
}

// ethernetType tells EtherTypes from lengths, after which LLC follows.
func (c *compiler) ethernetType(k uint32) *node {
	field := c.load(sizeH, noValue, c.layout.linkType)
	llc := func() *node { return not(c.compare(jumpGT, field, longestLength)) }
	switch k {
	case sapISO, sapNetBEUI, sapIP:
		return and(llc(), c.equal(c.load(sizeH, noValue, c.payload), k<<8|k))
	case sapIPX:
		return or(c.equal(field, etherIPX), and(llc(), or(c.snap(0, etherIPX),
			or(c.equal(c.load(sizeB, noValue, c.payload), sapIPX), c.equal(c.load(sizeH, noValue, c.payload), 0xffff)))))
	case etherATALK:
		return or(c.equal(field, k), and(llc(), c.snap(0x080007, k)))
	case etherAARP:
		return or(c.equal(field, k), and(llc(), c.snap(0, k)))
	}
	if k <= longestLength {
		return and(llc(), c.equal(c.load(sizeB, noValue, c.payload), k))
	}
	return c.equal(field, k)
}

// cookedType is ethernetType for LINUX_SLL.
func (c *compiler) cookedType(k uint32) *node {
	const novell, llc = 1, 4
	field := c.load(sizeH, noValue, c.layout.linkType)
	switch k {
	case sapISO, sapNetBEUI, sapIP:
		return and(c.equal(field, llc), c.equal(c.load(sizeH, noValue, c.payload), k<<8|k))
	case sapIPX:
		return or(c.equal(field, etherIPX), or(c.equal(field, novell), and(c.equal(field, llc),
			or(c.equal(c.load(sizeB, noValue, c.payload), sapIPX), c.snap(0, etherIPX)))))
	case etherATALK:
		return or(c.equal(field, k), and(c.equal(field, llc), c.snap(0x080007, k)))
	case etherAARP:
		return or(c.equal(field, k), and(c.equal(field, llc), c.snap(0, k)))
	}
	if k <= longestLength {
		return and(c.equal(field, llc), c.equal(c.load(sizeB, noValue, c.payload), k))
	}
	return c.equal(field, k)
}

// pppType returns the protocol of PPP for an EtherType, or the same number when there is none.
func pppType(k uint32) uint32 {
	switch k {
	case etherIP:
		return 0x21
	case etherIPv6:
		return 0x57
	case etherDECnet:
		return 0x27
	case etherATALK:
		return 0x29
	case 0x0600:
		return 0x25
	case sapISO:
		return 0x23
	case sapSTP:
		return 0x31
	case sapIPX:
		return 0x2b
	case etherMPLS:
		return 0x281
	}
	return k
}

// inbound tests the direction of a frame where the link header has it.
func (c *compiler) inbound(in bool) (*node, error) {
	const outgoing = 4
	var n *node
	switch {
	case c.link != 0:
	case c.kind == linkSLL:
		n = c.equal(c.load(sizeH, noValue, 0), outgoing)
	case c.kind == linkSLL2:
		n = c.equal(c.load(sizeB, noValue, 10), outgoing)
	case c.kind == linkPPPD: // 0 is in, 1 is out, and what else there may be is neither
		direction := uint32(1)
		if in {
			direction = 0
		}
		return c.equal(c.load(sizeB, noValue, 0), direction), nil
	}
	if n == nil {
		return nil, fmt.Errorf("inbound and outbound are not supported for %v: its header does not tell", c.kind)
	}
	if in {
		n = not(n)
	}
	return n, nil
}

func (c *compiler) interfaceIndex(k uint32) (*node, error) {
	if c.kind != linkSLL2 {
		return nil, fmt.Errorf("ifindex is not supported for %v: its header has none", c.kind)
	}
	return c.equal(c.load(sizeW, noValue, 4), k), nil
}

// vlan tests for a tag; what follows looks behind it.
func (c *compiler) vlan(id uint32, given bool) (*node, error) {
	switch {
	case c.opaque:
		return nil, errGeneve
	case c.labels > 0:
		return nil, errors.New("no VLAN match after MPLS")
	case c.kind != linkEthernet:
		return nil, fmt.Errorf("no VLAN support for %v", c.kind)
	case given && id > 0xfff:
		return nil, fmt.Errorf("VLAN tag %d greater than maximum 4095", id)
	}
	field := c.load(sizeH, noValue, c.layout.linkType)
	n := or(or(c.equal(field, etherVLAN), c.equal(field, etherQinQ)), c.equal(field, etherQinQ91))
	if given {
		n = and(n, c.masked(c.at(sizeH, 0), id, 0xfff))
	}
	c.payload += 4
	c.layout.linkType += 4
	return n, nil
}

// mpls tests for a label; what follows looks behind it.
func (c *compiler) mpls(label uint32, given bool) (*node, error) {
	if c.opaque {
		return nil, errGeneve
	}
	if given && label > 0xfffff {
		return nil, fmt.Errorf("MPLS label %d greater than maximum 1048575", label)
	}
	var n *node
	switch {
	case c.labels > 0:
		n = not(c.masked(c.load(sizeB, noValue, c.payload+c.network-2), 1, 1))
	case c.kind == linkEthernet || c.kind == linkPPP || c.kind == linkCiscoHDLC:
		var err error
		if n, err = c.linkType(etherMPLS); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("no MPLS support for %v", c.kind)
	}
	if given {
		n = and(n, c.masked(c.at(sizeW, 0), label<<12, 0xfffff000))
	}
	c.network += 4
	c.noSNAP += 4
	c.labels++
	return n, nil
}

// pppoes tests for a session; what follows looks at the PPP inside.
func (c *compiler) pppoes(session uint32, given bool) (*node, error) {
	if given && session > 0xffff {
		return nil, fmt.Errorf("PPPoE session number %d greater than maximum 65535", session)
	}
	n, err := c.linkType(etherPPPoES)
	if err != nil {
		return nil, err
	}
	if given {
		n = and(n, c.masked(c.at(sizeW, 0), session, 0xffff))
	}
	start := c.payload + c.network + 6
	c.layout = layout{kind: linkPPP, link: start, linkType: start, payload: start + 2}
	return n, nil
}

// geneve tests for Geneve version 0 over UDP (RFC 8926), and for its network when that is given.
func (c *compiler) geneveHeader(network uint32, given bool) (*node, error) {
	const port = 6081
	if given && network > 0xffffff {
		return nil, fmt.Errorf("network %d of Geneve greater than maximum 16777215", network)
	}
	over := func(family *node, load func(size uint8, offset uint32) valueID) *node {
		n := and(family, and(c.equal(load(sizeH, 2), port), c.masked(load(sizeB, 8), 0, 0xc0)))
		if given {
			n = and(n, c.masked(load(sizeW, 12), network<<8, 0xffffff00))
		}
		// libpcap loads the protocol that follows, so the frame must have it.
		return and(n, not(c.compare(jumpGT, load(sizeH, 10), 0xffff)))
	}
	ip, err := c.linkType(etherIP)
	if err != nil {
		return nil, err
	}
	ip6, err := c.linkType(etherIPv6)
	if err != nil {
		return nil, err
	}
	v4 := over(and(ip, and(c.equal(c.at(sizeB, 9), ipUDP), c.firstFragment())), c.transport)
	v6 := over(and(ip6, c.equal(c.at(sizeB, 6), ipUDP)), func(size uint8, offset uint32) valueID { return c.at(size, 40+offset) })
	return or(v4, v6), nil
}
