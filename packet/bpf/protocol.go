package bpf

import (
	"errors"
	"fmt"
)

// Network layer protocol identifiers of ISO/IEC TR 9577, and packet types of IS-IS (ISO 10589 §9).
const (
	isoCLNP = 0x81
	isoESIS = 0x82
	isoISIS = 0x83

	isisHelloL1  = 15
	isisHelloL2  = 16
	isisHelloPTP = 17
	isisLinkL1   = 18
	isisLinkL2   = 20
	isisCSNPL1   = 24
	isisCSNPL2   = 25
	isisPSNPL1   = 26
	isisPSNPL2   = 27
)

// protocol tests that a frame is of a protocol.
func (c *compiler) protocol(p protocol) (*node, error) {
	either := func(k uint32) (*node, error) {
		v6, err := c.carried(k, protoIPv6)
		if err != nil {
			return nil, err
		}
		v4, err := c.carried(k, protoIP)
		return or(v6, v4), err
	}
	switch p {
	case protoIP:
		return c.linkType(etherIP)
	case protoIPv6:
		return c.linkType(etherIPv6)
	case protoARP:
		return c.linkType(etherARP)
	case protoRARP:
		return c.linkType(etherRARP)
	case protoATALK:
		return c.linkType(etherATALK)
	case protoAARP:
		return c.linkType(etherAARP)
	case protoDECnet:
		return c.linkType(etherDECnet)
	case protoSCA:
		return c.linkType(etherSCA)
	case protoLAT:
		return c.linkType(etherLAT)
	case protoMOPDL:
		return c.linkType(etherMOPDL)
	case protoMOPRC:
		return c.linkType(etherMOPRC)
	case protoISO:
		return c.linkType(sapISO)
	case protoSTP:
		return c.linkType(sapSTP)
	case protoIPX:
		return c.linkType(sapIPX)
	case protoNetBEUI:
		return c.linkType(sapNetBEUI)
	case protoTCP:
		return either(ipTCP)
	case protoUDP:
		return either(ipUDP)
	case protoSCTP:
		return either(ipSCTP)
	case protoPIM:
		return either(103)
	case protoAH:
		return either(51)
	case protoESP:
		return either(50)
	case protoICMP:
		return c.carried(1, protoIP)
	case protoIGMP:
		return c.carried(2, protoIP)
	case protoIGRP:
		return c.carried(9, protoIP)
	case protoVRRP:
		return c.carried(112, protoIP)
	case protoICMPv6:
		return c.carried(58, protoIPv6)
	case protoESIS:
		return c.carried(isoESIS, protoISO)
	case protoISIS:
		return c.carried(isoISIS, protoISO)
	case protoCLNP:
		return c.carried(isoCLNP, protoISO)
	case protoLink:
		return nil, errors.New("link layer applied in wrong context")
	default:
		if types := isisTypes(p); types != nil {
			return c.isis(types)
		}
		return nil, errors.New("not a valid protocol type")
	}
}

// isisTypes returns the packet types that a word stands for, in the order in which libpcap tests them.
func isisTypes(p protocol) []uint32 {
	switch p {
	case protoL1:
		return []uint32{isisPSNPL1, isisCSNPL1, isisLinkL1, isisHelloL1, isisHelloPTP}
	case protoL2:
		return []uint32{isisPSNPL2, isisCSNPL2, isisLinkL2, isisHelloL2, isisHelloPTP}
	case protoIIH:
		return []uint32{isisHelloPTP, isisHelloL1, isisHelloL2}
	case protoLSP:
		return []uint32{isisLinkL1, isisLinkL2}
	case protoSNP:
		return []uint32{isisPSNPL2, isisPSNPL1, isisCSNPL1, isisCSNPL2}
	case protoCSNP:
		return []uint32{isisCSNPL1, isisCSNPL2}
	case protoPSNP:
		return []uint32{isisPSNPL1, isisPSNPL2}
	default:
		return nil
	}
}

func (c *compiler) isis(types []uint32) (*node, error) {
	var n *node
	for _, k := range types {
		one, err := c.carried(k, protoISIS)
		if err != nil {
			return nil, err
		}
		if n == nil {
			n = one
		} else {
			n = or(n, one)
		}
	}
	return n, nil
}

// carried tests that a frame is of a protocol whose header says that it carries k.
func (c *compiler) carried(k uint32, within protocol) (*node, error) {
	switch within {
	case protoNone:
		v4, err := c.carried(k, protoIP)
		if err != nil {
			return nil, err
		}
		v6, err := c.carried(k, protoIPv6)
		return or(v4, v6), err
	case protoLink:
		return c.linkType(k)
	case protoIP:
		ip, err := c.linkType(etherIP)
		if err != nil {
			return nil, err
		}
		return and(ip, c.equal(c.at(sizeB, 9), k)), nil
	case protoIPv6:
		ip6, err := c.linkType(etherIPv6)
		if err != nil {
			return nil, err
		}
		next := c.at(sizeB, 6)
		return and(ip6, or(c.equal(next, k), and(c.equal(next, ipFragment), c.equal(c.at(sizeB, 40), k)))), nil
	case protoISO:
		iso, err := c.linkType(sapISO)
		if err != nil {
			return nil, err
		}
		at := c.payload + c.noSNAP
		if c.kind == linkCiscoHDLC {
			at++ // a byte of padding, which libpcap does not count for what is inside of IS-IS
		}
		return and(iso, c.equal(c.load(sizeB, noValue, at), k)), nil
	case protoISIS:
		isis, err := c.carried(isoISIS, protoISO)
		if err != nil {
			return nil, err
		}
		return and(isis, c.equal(c.load(sizeB, noValue, c.payload+c.noSNAP+4), k)), nil
	default:
		return nil, errors.New("proto is not supported of this protocol")
	}
}

// farthest bounds constant offsets: kernels take those with the highest bit set for something else than a place in the
// frame.
const farthest = 1<<31 - 1<<16

// field returns size bytes at an offset into a protocol's header, and that the frame is of that protocol.
func (c *compiler) field(p protocol, offset operand, size uint32) (operand, error) {
	code := uint8(sizeB)
	switch size {
	case 2:
		code = sizeH
	case 4:
		code = sizeW
	}
	if c.opaque {
		return operand{}, errGeneve
	}
	if k, ok := c.isConst(offset.value); ok && k > farthest {
		return operand{}, fmt.Errorf("offset %d is beyond every frame", k)
	}
	network := c.payload + c.network
	switch p {
	case protoLink:
		return operand{c.load(code, offset.value, c.link), offset.guard}, nil
	case protoIP, protoIPv6, protoARP, protoRARP, protoATALK, protoDECnet, protoSCA, protoLAT, protoMOPDL, protoMOPRC:
		guard, err := c.protocol(p)
		return operand{c.load(code, offset.value, network), both(offset.guard, guard)}, err
	case protoTCP, protoUDP, protoSCTP, protoICMP, protoIGMP, protoIGRP, protoPIM, protoVRRP:
		ip, err := c.linkType(etherIP)
		if err != nil {
			return operand{}, err
		}
		guard, err := c.protocol(p)
		if err != nil {
			return operand{}, err
		}
		header := c.value(value{kind: kindHeader, k: network, a: noValue, b: noValue})
		if k, ok := c.isConst(offset.value); ok {
			return operand{c.load(code, header, network+k), and(ip, both(offset.guard, and(guard, c.firstFragment())))}, nil
		}
		at := c.alu(aluADD, offset.value, header)
		return operand{c.load(code, at, network), and(ip, both(offset.guard, and(guard, c.firstFragment())))}, nil
	case protoICMPv6:
		ip6, err := c.linkType(etherIPv6)
		if err != nil {
			return operand{}, err
		}
		guard := and(both(offset.guard, ip6), c.equal(c.at(sizeB, 6), 58))
		return operand{c.load(code, offset.value, network+40), guard}, nil
	default:
		return operand{}, errors.New("index operation is not supported of this protocol")
	}
}
