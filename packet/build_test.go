package packet_test

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/tcpfollow/tcpfollow/packet"
)

// header puts one header before rest.
type header func(rest []byte) []byte

// stack builds a frame from its headers, outermost first; the last one is usually data.
func stack(headers ...header) []byte {
	var b []byte
	for _, header := range slices.Backward(headers) {
		b = header(b)
	}
	return b
}

func data(s string) header { return func([]byte) []byte { return []byte(s) } }

// raw puts fixed bytes before the rest.
func raw(b ...byte) header {
	return func(rest []byte) []byte { return append(append([]byte(nil), b...), rest...) }
}

// pad puts n zero bytes behind the rest.
func pad(n int) header {
	return func(rest []byte) []byte { return append(append([]byte(nil), rest...), make([]byte, n)...) }
}

func u16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func eth(etherType int) header {
	return raw(join([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, u16(etherType))...)
}

// eth8023 has the length of the rest in place of the type.
func eth8023(rest []byte) []byte { return eth(len(rest))(rest) }

func vlan(id, etherType int) header { return raw(join(u16(0x2000|id), u16(etherType))...) }

func snap(etherType int) header { return raw(join([]byte{0xaa, 0xaa, 3, 0, 0, 0}, u16(etherType))...) }

func sll(etherType int) header {
	return raw(join(u16(0), u16(1), u16(6), make([]byte, 8), u16(etherType))...)
}

func sll2(etherType int) header {
	return raw(join(u16(etherType), u16(0), u32(1), u16(1), []byte{0, 6}, make([]byte, 8))...)
}

var (
	client4 = netip.MustParseAddrPort("192.0.2.1:40000")
	server4 = netip.MustParseAddrPort("198.51.100.2:80")
	client6 = netip.MustParseAddrPort("[2001:db8::1]:40000")
	server6 = netip.MustParseAddrPort("[2001:db8::2]:80")
	outerA4 = netip.MustParseAddr("10.0.0.1")
	outerB4 = netip.MustParseAddr("10.0.0.2")
	outerA6 = netip.MustParseAddr("fd00::1")
	outerB6 = netip.MustParseAddr("fd00::2")
)

// ip4 puts an IPv4 header with the right lengths and checksum before the rest, and the checksum into a TCP header.
func ip4(proto byte, options ...byte) header {
	return ip4To(client4.Addr(), server4.Addr(), proto, options...)
}

func ip4To(src, dst netip.Addr, proto byte, options ...byte) header {
	return func(rest []byte) []byte {
		h := make([]byte, 20, 60)
		h = append(h, options...)
		h[0] = 0x40 | byte(len(h)/4)
		binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(rest)))
		h[8], h[9] = 64, proto
		copy(h[12:], src.AsSlice())
		copy(h[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(h[10:], ^refSum(h))
		return append(h, tcpChecksum(src, dst, proto, rest)...)
	}
}

func ip6(proto byte) header { return ip6To(client6.Addr(), server6.Addr(), proto) }

func ip6To(src, dst netip.Addr, proto byte) header {
	return func(rest []byte) []byte {
		h := make([]byte, 40)
		h[0] = 0x60
		binary.BigEndian.PutUint16(h[4:], uint16(len(rest)))
		h[6], h[7] = proto, 64
		copy(h[8:], src.AsSlice())
		copy(h[24:], dst.AsSlice())
		return append(h, tcpChecksum(src, dst, proto, rest)...)
	}
}

// ext puts an IPv6 extension header of 8+len(more) bytes before the rest.
func ext(next byte, more ...byte) header {
	return func(rest []byte) []byte {
		h := join([]byte{next, byte(len(more) / 8), 1, 4, 0, 0, 0, 0}, more) // a PadN option of 4
		return append(h, rest...)
	}
}

// tcp puts a TCP header with sequence number 1000 before the rest.
func tcp(flags packet.TCPFlags, options ...byte) header {
	return func(rest []byte) []byte {
		h := join(u16(40000), u16(80), u32(1000), u32(5000), u16((20+len(options))/4<<12|int(flags)), u16(512), u16(0), u16(7))
		return join(h, options, rest)
	}
}

func udp(src, dst int) header {
	return func(rest []byte) []byte { return join(u16(src), u16(dst), u16(8+len(rest)), u16(0), rest) }
}

// tcpChecksum returns segment with its checksum set, if proto is TCP and it has none.
func tcpChecksum(src, dst netip.Addr, proto byte, segment []byte) []byte {
	if proto != packet.ProtoTCP || len(segment) < 20 || segment[16]|segment[17] != 0 {
		return segment
	}
	segment = append([]byte(nil), segment...)
	pseudo := join(src.AsSlice(), dst.AsSlice(), u32(uint32(len(segment))), u32(uint32(proto)))
	binary.BigEndian.PutUint16(segment[16:], ^refSum(append(pseudo, segment...)))
	return segment
}

// refSum is the checksum of RFC 1071 as the text has it: 16 bits at a time.
func refSum(b []byte) uint16 {
	var sum uint32
	for i := range b {
		if i%2 == 0 {
			sum += uint32(b[i]) << 8
		} else {
			sum += uint32(b[i])
		}
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func frameOf(link packet.LinkType, b []byte) *packet.Frame {
	return &packet.Frame{Data: b, Length: len(b), Link: link, Time: 1e18, Number: 7}
}
