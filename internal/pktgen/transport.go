package pktgen

import (
	"encoding/binary"
	"net/netip"

	"github.com/tcpfollow/tcpfollow/packet"
)

// TCP is a TCP header.
type TCP struct {
	// Src and Dst are the ports.
	Src, Dst uint16
	// Seq and Ack are the sequence and acknowledgement numbers.
	Seq, Ack uint32
	// Flags are the header's flag bits.
	Flags packet.TCPFlags
	// Urgent is the urgent pointer.
	Urgent uint16
	// Options are padded with zeros to a multiple of 4 bytes.
	Options []byte
	// Window is the receive window, 65535 unless fixed.
	Window Override
	// DataOffset is the header length in words.
	DataOffset Override
	// Checksum covers the pseudo-header of the nearest IP header.
	Checksum Override
	// Offloaded leaves in the checksum only the sum that a network card would complete.
	Offloaded bool
}

func (h TCP) wrap(p []byte, s stack) []byte {
	opt := padded(append([]byte(nil), h.Options...), 4)
	b := put32(put16(nil, h.Src, h.Dst), h.Seq, h.Ack)
	b = put16(b, uint16(h.DataOffset.or(5+len(opt)/4))<<12|uint16(h.Flags)&0x1ff, h.Window.or16(0xffff), 0, h.Urgent)
	b = append(append(b, opt...), p...)
	pseudo := s.pseudo(packet.ProtoTCP, len(b))
	right := ^fold(sum(pseudo, b))
	if h.Offloaded {
		right = fold(pseudo)
	}
	binary.BigEndian.PutUint16(b[16:], h.Checksum.or16(int(right)))
	return b
}

func (h TCP) ids() ids { return ids{ether: etherExperimental, ip: packet.ProtoTCP, link: linkUser0} }

// UDP is a UDP header. In front of a tunnel its ports may be left 0: Dst is then the tunnel's own.
type UDP struct {
	// Src and Dst are the ports.
	Src, Dst uint16
	// Length is the length of header and payload in bytes.
	Length Override
	// Checksum covers the pseudo-header of the nearest IP header; Fixed(0) is none.
	Checksum Override
	// Offloaded leaves in the checksum only the sum that a network card would complete.
	Offloaded bool
}

func (h UDP) wrap(p []byte, s stack) []byte {
	if h.Src|h.Dst == 0 {
		h.Src, h.Dst = 50000, s.ids().udp
	}
	b := append(put16(nil, h.Src, h.Dst, h.Length.or16(8+len(p)), 0), p...)
	pseudo := s.pseudo(packet.ProtoUDP, len(b))
	right := ^fold(sum(pseudo, b))
	if right == 0 { // RFC 768: 0 would mean no checksum
		right = 0xffff
	}
	if h.Offloaded {
		right = fold(pseudo)
	}
	binary.BigEndian.PutUint16(b[6:], h.Checksum.or16(int(right)))
	return b
}

func (h UDP) ids() ids { return ids{ether: etherExperimental, ip: packet.ProtoUDP, link: linkUser0} }

// ICMP is an ICMP header; the layers behind it are the packet that it quotes.
type ICMP struct {
	// Type and Code say what it reports.
	Type, Code uint8
	// Rest is the second word of the header.
	Rest uint32
	// Quote is the most bytes that are kept behind the header, 0 for all.
	Quote int
	// Checksum covers header and quote.
	Checksum Override
}

func (h ICMP) wrap(p []byte, _ stack) []byte { return icmp(h, p, 0) }
func (h ICMP) ids() ids                      { return ids{ether: etherExperimental, ip: packet.ProtoICMP, link: linkUser0} }

// ICMPv6 is an ICMPv6 header; the layers behind it are the packet that it quotes.
type ICMPv6 ICMP

func (h ICMPv6) wrap(p []byte, s stack) []byte {
	n := 8 + quoted(p, h.Quote)
	return icmp(ICMP(h), p, s.pseudo(packet.ProtoICMPv6, n))
}

func (h ICMPv6) ids() ids {
	return ids{ether: etherExperimental, ip: packet.ProtoICMPv6, link: linkUser0}
}

func quoted(p []byte, most int) int {
	if most == 0 {
		return len(p)
	}
	return min(len(p), most)
}

func icmp(h ICMP, p []byte, pseudo uint64) []byte {
	b := append(put32([]byte{h.Type, h.Code, 0, 0}, h.Rest), p[:quoted(p, h.Quote)]...)
	binary.BigEndian.PutUint16(b[2:], h.Checksum.or16(int(^fold(sum(pseudo, b)))))
	return b
}

// Segment returns a TCP segment in IP in Ethernet, captured at time at; the ports of t are those of src and dst.
func Segment(at int64, src, dst netip.AddrPort, t TCP, data []byte) packet.Frame {
	t.Src, t.Dst = src.Port(), dst.Port()
	return Frame(at, Ethernet{}, IP(src.Addr(), dst.Addr()), t, Payload(data))
}

// Options joins TCP options.
func Options(options ...[]byte) []byte {
	var b []byte
	for _, o := range options {
		b = append(b, o...)
	}
	return b
}

// MSS is the maximum segment size option, n in bytes.
func MSS(n uint16) []byte { return put16([]byte{2, 4}, n) }

// WindowScale is the window scale option, behind a no-operation that aligns it.
func WindowScale(shift uint8) []byte { return []byte{1, 3, 3, shift} }

// SACKPermitted is the option that allows selective acknowledgements, aligned by two no-operations.
func SACKPermitted() []byte { return []byte{1, 1, 4, 2} }

// SACK is a selective acknowledgement of [from, to) pairs of sequence numbers, aligned by two no-operations.
func SACK(blocks ...[2]uint32) []byte {
	b := []byte{1, 1, 5, byte(2 + 8*len(blocks))}
	for _, x := range blocks {
		b = put32(b, x[0], x[1])
	}
	return b
}

// Timestamps is the timestamps option, aligned by two no-operations.
func Timestamps(value, echo uint32) []byte { return put32([]byte{1, 1, 8, 10}, value, echo) }
