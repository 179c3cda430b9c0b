package bench

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/tcpfollow/tcpfollow/packet"
)

// wrap puts each header before what follows it; there are no lengths in it that are not given.
func wrap(headers ...[]byte) []byte {
	var b []byte
	for _, h := range headers {
		b = append(b, h...)
	}
	return b
}

var etherHeader = []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}

func ipv4Header(proto byte, n int) []byte {
	h := []byte{0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, proto, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2}
	binary.BigEndian.PutUint16(h[2:], uint16(20+n))
	return h
}

func ipv6Header(proto byte, n int) []byte {
	h := make([]byte, 40)
	h[0], h[6], h[7], h[8], h[23], h[24], h[39] = 0x60, proto, 64, 0x20, 1, 0x20, 2
	binary.BigEndian.PutUint16(h[4:], uint16(n))
	return h
}

func tcpSegment(n int) []byte {
	h := make([]byte, 32+n)
	binary.BigEndian.PutUint32(h, 40000<<16|80)
	h[12], h[13] = 0x80, 0x18
	copy(h[20:], []byte{1, 1, 8, 10})
	for i := range n {
		h[32+i] = byte(i * 7)
	}
	return h
}

func udpHeader(dst uint16, n int) []byte {
	h := make([]byte, 8)
	binary.BigEndian.PutUint16(h, 50000)
	binary.BigEndian.PutUint16(h[2:], dst)
	binary.BigEndian.PutUint16(h[4:], uint16(8+n))
	return h
}

func packetFrames() []struct {
	name  string
	frame packet.Frame
} {
	seg := tcpSegment(1448)
	plain := wrap(etherHeader, []byte{8, 0}, ipv4Header(6, len(seg)), seg)
	six := wrap(etherHeader, []byte{0x86, 0xdd}, ipv6Header(6, len(seg)), seg)
	vxlan := wrap([]byte{8, 0, 0, 0, 0, 0, 7, 0}, plain)
	mk := func(link packet.LinkType, parts ...[]byte) packet.Frame {
		b := wrap(parts...)
		return packet.Frame{Data: b, Length: len(b), Link: link}
	}
	return []struct {
		name  string
		frame packet.Frame
	}{
		{"Ethernet-IPv4-TCP", mk(packet.LinkEthernet, plain)},
		{"Ethernet-IPv6-TCP", mk(packet.LinkEthernet, six)},
		{"QinQ-IPv4-TCP", mk(packet.LinkEthernet, etherHeader, []byte{0x88, 0xa8, 0, 5, 0x81, 0, 0, 6}, plain[12:])},
		{"SLL2-IPv4-TCP", mk(packet.LinkSLL2, []byte{8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6}, make([]byte, 8), plain[14:])},
		{"Ethernet-IPv4-UDP", mk(packet.LinkEthernet, etherHeader, []byte{8, 0}, ipv4Header(17, 108), udpHeader(443, 100), make([]byte, 100))},
		{"GRE-IPv4-TCP", mk(packet.LinkEthernet, etherHeader, []byte{8, 0}, ipv4Header(47, len(plain)-10), []byte{0, 0, 8, 0}, plain[14:])},
		{"VXLAN-IPv4-TCP", mk(packet.LinkEthernet, etherHeader, []byte{8, 0}, ipv4Header(17, len(vxlan)+8), udpHeader(4789, len(vxlan)), vxlan)},
		{"ARP", mk(packet.LinkEthernet, etherHeader, []byte{8, 6}, make([]byte, 28))},
	}
}

// fixedOffsets is what the fastest possible decoder does: Ethernet, IPv4, TCP at fixed offsets, and nothing else.
type fixedOffsets struct {
	src, dst   uint32
	ports      uint32
	seq, ack   uint32
	flags, win uint16
	payload    []byte
}

func (h *fixedOffsets) decode(b []byte) bool {
	if len(b) < 54 || binary.BigEndian.Uint16(b[12:]) != 0x0800 || b[14] != 0x45 || b[23] != 6 {
		return false
	}
	end := 14 + int(binary.BigEndian.Uint16(b[16:]))
	start := 34 + int(b[46]>>4)*4
	if start > end || end > len(b) {
		return false
	}
	h.src, h.dst = binary.BigEndian.Uint32(b[26:]), binary.BigEndian.Uint32(b[30:])
	h.ports = binary.BigEndian.Uint32(b[34:])
	h.seq, h.ack = binary.BigEndian.Uint32(b[38:]), binary.BigEndian.Uint32(b[42:])
	h.flags, h.win = binary.BigEndian.Uint16(b[46:]), binary.BigEndian.Uint16(b[48:])
	h.payload = b[start:end]
	return true
}

// BenchmarkDecodeFixedOffsets is the floor for BenchmarkDecode/Ethernet-IPv4-TCP.
func BenchmarkDecodeFixedOffsets(b *testing.B) {
	f := packetFrames()[0].frame
	var h fixedOffsets
	b.ReportAllocs()
	b.SetBytes(int64(len(f.Data)))
	for b.Loop() {
		if !h.decode(f.Data) {
			b.Fatal("not decoded")
		}
	}
}

// BenchmarkDecode decodes one frame of each kind, without checksums.
func BenchmarkDecode(b *testing.B) {
	for _, bc := range packetFrames() {
		b.Run(bc.name, func(b *testing.B) { benchmarkDecode(b, &bc.frame, packet.ChecksumOff) })
	}
}

// BenchmarkDecodeChecksum is BenchmarkDecode with TCP checksums verified.
func BenchmarkDecodeChecksum(b *testing.B) {
	for _, bc := range packetFrames()[:2] {
		b.Run(bc.name, func(b *testing.B) { benchmarkDecode(b, &bc.frame, packet.ChecksumAuto) })
	}
}

func benchmarkDecode(b *testing.B, f *packet.Frame, mode packet.ChecksumMode) {
	d, err := packet.NewDecoder(&packet.DecoderConfig{Checksum: mode})
	if err != nil {
		b.Fatal(err)
	}
	var p packet.Packet
	b.ReportAllocs()
	b.SetBytes(int64(len(f.Data)))
	for b.Loop() {
		d.Decode(f, &p)
	}
	if p.Status.Undecodable() {
		b.Fatal(p.Err())
	}
}

// BenchmarkFlowKey makes the canonical key of a packet, and its hash.
func BenchmarkFlowKey(b *testing.B) {
	src, dst := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.2:80")
	k := packet.NewFlowKey(src, dst, packet.ProtoTCP)
	b.ReportAllocs()
	var sum uint64
	for b.Loop() {
		c, _ := k.Canonical()
		sum += c.Hash(1)
	}
	_ = sum
}

// BenchmarkDefragment puts datagrams of two fragments together, decoding both and the whole; per fragment.
func BenchmarkDefragment(b *testing.B) {
	seg := tcpSegment(2000)
	part := func(at int, more byte, payload []byte) packet.Frame {
		h := ipv4Header(packet.ProtoTCP, len(payload))
		h[6], h[7] = more, byte(at/8)
		f := wrap(etherHeader, []byte{8, 0}, h, payload)
		return packet.Frame{Data: f, Length: len(f), Link: packet.LinkEthernet}
	}
	frames := []packet.Frame{part(0, 0x20, seg[:1480]), part(1480, 0, seg[1480:])}
	dec, err := packet.NewDecoder(&packet.DecoderConfig{Checksum: packet.ChecksumOff})
	if err != nil {
		b.Fatal(err)
	}
	g, err := packet.NewDefragmenter(nil)
	if err != nil {
		b.Fatal(err)
	}
	var p packet.Packet
	b.ReportAllocs()
	b.SetBytes(int64(len(frames[0].Data)+len(frames[1].Data)) / 2)
	for i := 0; b.Loop(); i++ {
		f := &frames[i&1]
		dec.Decode(f, &p)
		if whole, ok := g.Add(f, &p); ok {
			dec.DecodeDatagram(whole, &p)
		}
	}
	if g.Stats().Datagrams == 0 {
		b.Fatal("nothing completed")
	}
}
