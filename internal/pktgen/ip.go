package pktgen

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// IPv4 is an IPv4 header.
type IPv4 struct {
	// Src and Dst are the addresses; both must be IPv4, else building panics.
	Src, Dst netip.Addr
	// ID is the identification field.
	ID uint16
	// TOS is the type of service byte, now DSCP and ECN.
	TOS uint8
	// TTL is the time to live, 0 for 64.
	TTL uint8
	// DontFragment and MoreFragments are the flags.
	DontFragment, MoreFragments bool
	// Offset is the fragment offset in bytes, a multiple of 8.
	Offset int
	// Options are padded with zeros to a multiple of 4 bytes.
	Options []byte
	// Version is 4 unless fixed.
	Version Override
	// IHL is the header length in words.
	IHL Override
	// TotalLength is the length of header and payload in bytes.
	TotalLength Override
	// Protocol is the number of what follows.
	Protocol Override
	// Checksum is the header checksum.
	Checksum Override
}

func (h IPv4) wrap(p []byte, s stack) []byte {
	if h.TTL == 0 {
		h.TTL = 64
	}
	opt := padded(append([]byte(nil), h.Options...), 4)
	size := 20 + len(opt)
	flags := bit(h.DontFragment, 0x4000) | bit(h.MoreFragments, 0x2000)
	b := []byte{h.Version.or8(4)<<4 | h.IHL.or8(size/4)&15, h.TOS}
	b = put16(b, h.TotalLength.or16(size+len(p)), h.ID, uint16(flags)|uint16(h.Offset/8))
	b = put16(append(b, h.TTL, h.Protocol.or8(int(s.ids().ip))), 0)
	src, dst := h.Src.As4(), h.Dst.As4()
	b = append(append(append(b, src[:]...), dst[:]...), opt...)
	binary.BigEndian.PutUint16(b[10:], h.Checksum.or16(int(Checksum(b))))
	return append(b, p...)
}

func (h IPv4) ids() ids { return ids{ether: 0x0800, ppp: 0x0021, ip: 4, link: 101} }

// IPv6 is an IPv6 header.
type IPv6 struct {
	// Src and Dst are the addresses.
	Src, Dst netip.Addr
	// TrafficClass is the DSCP and ECN byte.
	TrafficClass uint8
	// FlowLabel is the flow label, 20 bits.
	FlowLabel uint32
	// HopLimit is the hop limit, 0 for 64.
	HopLimit uint8
	// Version is 6 unless fixed.
	Version Override
	// PayloadLength is the length of all behind the header in bytes.
	PayloadLength Override
	// Next is the next header number.
	Next Override
}

func (h IPv6) wrap(p []byte, s stack) []byte {
	if h.HopLimit == 0 {
		h.HopLimit = 64
	}
	b := put32(nil, h.Version.or(6)<<28|uint32(h.TrafficClass)<<20|h.FlowLabel&0xfffff)
	b = append(put16(b, h.PayloadLength.or16(len(p))), h.Next.or8(int(s.ids().ip)), h.HopLimit)
	src, dst := h.Src.As16(), h.Dst.As16()
	return append(append(append(b, src[:]...), dst[:]...), p...)
}

func (h IPv6) ids() ids { return ids{ether: 0x86dd, ppp: 0x0057, ip: 41, link: 101} }

// IP returns an IPv4 or IPv6 header, by the family of src.
func IP(src, dst netip.Addr) Layer {
	if src.Is4() {
		return IPv4{Src: src, Dst: dst}
	}
	return IPv6{Src: src, Dst: dst}
}

// Numbers of extension headers, for [Extension].
const (
	HopByHop           = 0
	Routing            = 43
	Authentication     = 51
	DestinationOptions = 60
	Mobility           = 135
)

// Extension is an IPv6 extension header, or an authentication header behind either version of IP.
type Extension struct {
	// Type is the header's own number, such as [HopByHop].
	Type uint8
	// Data is what follows the next-header and length bytes; it is padded with zeros.
	Data []byte
	// Next is the number of what follows.
	Next Override
	// Length is the length byte.
	Length Override
}

func (h Extension) wrap(p []byte, s stack) []byte {
	b := append([]byte{h.Next.or8(int(s.ids().ip)), 0}, h.Data...)
	if h.Type == Authentication { // RFC 4302 §2.2: in words of 4 bytes, less 2
		b = padded(append(b, make([]byte, max(0, 12-len(b)))...), 4)
		b[1] = h.Length.or8(len(b)/4 - 2)
	} else {
		b = padded(b, 8)
		b[1] = h.Length.or8(len(b)/8 - 1)
	}
	return append(b, p...)
}

func (h Extension) ids() ids { return ids{ether: etherExperimental, ip: h.Type, link: linkUser0} }

// IPv6Fragment is an IPv6 fragment header.
type IPv6Fragment struct {
	// ID is the identification.
	ID uint32
	// Offset is the fragment offset in bytes, a multiple of 8.
	Offset int
	// More is set on all fragments but the last.
	More bool
	// Next is the number of what the whole datagram starts with.
	Next Override
}

func (h IPv6Fragment) wrap(p []byte, s stack) []byte {
	b := put16([]byte{h.Next.or8(int(s.ids().ip)), 0}, uint16(h.Offset)&^7|uint16(bit(h.More, 1)))
	return append(put32(b, h.ID), p...)
}

func (h IPv6Fragment) ids() ids { return ids{ether: etherExperimental, ip: 44, link: linkUser0} }

// pseudo returns the sum over the pseudo-header of the nearest IP header outside, 0 when there is none.
func (s stack) pseudo(proto uint8, size int) uint64 {
	for _, l := range slices.Backward(s.outer) {
		var b []byte
		switch ip := l.(type) {
		case IPv4:
			src, dst := ip.Src.As4(), ip.Dst.As4()
			b = append(src[:], dst[:]...)
		case IPv6:
			src, dst := ip.Src.As16(), ip.Dst.As16()
			b = append(src[:], dst[:]...)
		default:
			continue
		}
		return sum(uint64(size)+uint64(proto), b)
	}
	return 0
}
