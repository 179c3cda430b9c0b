// Package pktgen makes frames and whole TCP conversations for tests: right by default, wrong on purpose.
//
// A frame is a list of layers, outermost first. Lengths, checksums, ports and next-protocol fields follow from the
// neighbours; every such field can be overridden with [Fixed] to break it. The same calls give the same bytes:
// nothing reads a clock, and randomness comes from seeds.
package pktgen

import (
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Layer is one header, or the payload, of a frame. The layers of this package are plain values.
type Layer interface {
	// wrap returns payload with the layer's header before it.
	wrap(payload []byte, s stack) []byte
	ids() ids
}

// stack is where a layer stands: what is outside it, outermost first, and what it carries, nil for nothing.
type stack struct {
	outer []Layer
	inner Layer
}

// ids are the numbers by which the layer outside names a layer.
type ids struct {
	ether, ppp, udp uint16
	ip              uint8
	link            packet.LinkType
}

// Numbers for layers that have none of their own: the experimental EtherType and protocol of IEEE 802 and RFC 3692.
const (
	etherExperimental = 0x88b5
	ipExperimental    = 253
	etherBridged      = 0x6558
	linkUser0         = 147
)

func noIDs() ids { return ids{ether: etherExperimental, ip: ipExperimental, link: linkUser0} }

func (s stack) ids() ids {
	if s.inner == nil {
		return noIDs()
	}
	return s.inner.ids()
}

// Override is a header field that is computed (the zero value) or given by [Fixed].
type Override struct {
	value uint32
	set   bool
}

// Fixed returns a field that holds v whether that is right or not, cut to the field's width.
func Fixed(v uint32) Override { return Override{value: v, set: true} }

func (o Override) or(v int) uint32 {
	if o.set {
		return o.value
	}
	return uint32(v)
}

func (o Override) or16(v int) uint16 { return uint16(o.or(v)) }
func (o Override) or8(v int) uint8   { return uint8(o.or(v)) }

// Payload is bytes that are carried as they are. Retained: the caller must not modify it.
type Payload []byte

func (p Payload) wrap(payload []byte, _ stack) []byte {
	return append(append([]byte(nil), p...), payload...)
}
func (p Payload) ids() ids { return noIDs() }

// Header is a header that this package does not know: bytes that are carried as they are, and the numbers by which the
// layers outside name it.
type Header struct {
	// Bytes are the header. Retained: the caller must not modify it.
	Bytes []byte
	// Link is its link type when it is the outermost layer.
	Link packet.LinkType
	// Ether is its EtherType.
	Ether uint16
	// Protocol is its IP protocol number.
	Protocol uint8
}

func (h Header) wrap(payload []byte, s stack) []byte { return Payload(h.Bytes).wrap(payload, s) }
func (h Header) ids() ids                            { return ids{ether: h.Ether, ip: h.Protocol, link: h.Link} }

// Build returns the bytes of layers, outermost first. Owned by the caller.
func Build(layers ...Layer) []byte { return build(nil, layers) }

func build(outer, layers []Layer) []byte {
	all := append(append([]Layer(nil), outer...), layers...)
	var b []byte
	for i := len(all) - 1; i >= len(outer); i-- {
		s := stack{outer: all[:i]}
		if i+1 < len(all) {
			s.inner = all[i+1]
		}
		b = all[i].wrap(b, s)
	}
	return b
}

// Frame returns layers as a frame captured whole at time at, in nanoseconds since the Unix epoch, of the link type of
// the outermost layer; IP as the outermost layer is LINKTYPE_RAW. The caller numbers it.
func Frame(at int64, layers ...Layer) packet.Frame {
	b := Build(layers...)
	f := packet.Frame{Data: b, Time: at, Length: len(b), Link: linkUser0}
	if len(layers) > 0 {
		f.Link = layers[0].ids().link
	}
	return f
}

// Checksum returns the Internet checksum of b (RFC 1071), which is 0 over bytes that hold their own right checksum.
func Checksum(b []byte) uint16 { return ^fold(sum(0, b)) }

func sum(s uint64, b []byte) uint64 {
	for ; len(b) > 1; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func put16(b []byte, v ...uint16) []byte {
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return b
}

func put32(b []byte, v ...uint32) []byte {
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

// padded returns b with zeros behind it up to a multiple of n bytes.
func padded(b []byte, n int) []byte {
	for len(b)%n != 0 {
		b = append(b, 0)
	}
	return b
}

func bit(set bool, b uint32) uint32 {
	if set {
		return b
	}
	return 0
}
