package pktgen_test

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

func v4() pktgen.IPv4 {
	return pktgen.IPv4{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("198.51.100.2"), ID: 7}
}

func v6() pktgen.IPv6 {
	return pktgen.IPv6{Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2")}
}

func segment() []pktgen.Layer {
	return []pktgen.Layer{
		pktgen.TCP{Src: 49152, Dst: 80, Seq: 1, Ack: 2, Flags: packet.ACK | packet.PSH, Options: pktgen.Timestamps(1, 2)},
		pktgen.Payload("hello"),
	}
}

func frame(outer ...pktgen.Layer) []pktgen.Layer { return append(outer, segment()...) }

// kinds are frames whose headers gopacket knows, with the layers that it finds in front of the payload.
func kinds() map[string]struct {
	layers []pktgen.Layer
	want   []gopacket.LayerType
} {
	ether, inner := pktgen.Ethernet{}, pktgen.Ethernet{Src: pktgen.MAC{2, 1}, Dst: pktgen.MAC{2, 2}}
	udp := pktgen.UDP{}
	e, i4, i6, t, u := layers.LayerTypeEthernet, layers.LayerTypeIPv4, layers.LayerTypeIPv6, layers.LayerTypeTCP, layers.LayerTypeUDP
	llc, snap, pppoe, ppp, gre := layers.LayerTypeLLC, layers.LayerTypeSNAP, layers.LayerTypePPPoE, layers.LayerTypePPP, layers.LayerTypeGRE
	q, mpls, wifi := layers.LayerTypeDot1Q, layers.LayerTypeMPLS, layers.LayerTypeDot11
	type list = []gopacket.LayerType
	return map[string]struct {
		layers []pktgen.Layer
		want   []gopacket.LayerType
	}{
		"raw ipv4":     {frame(v4()), list{i4, t}},
		"raw ipv6":     {frame(v6()), list{i6, t}},
		"ethernet":     {frame(ether, v4()), list{e, i4, t}},
		"ethernet6":    {frame(ether, v6()), list{e, i6, t}},
		"vlan":         {frame(ether, pktgen.VLAN{ID: 100}, v4()), list{e, q, i4, t}},
		"qinq":         {frame(ether, pktgen.VLAN{ID: 5, TPID: 0x88a8}, pktgen.VLAN{ID: 100}, v6()), list{e, q, q, i6, t}},
		"802.3":        {frame(ether, pktgen.SNAP{}, v4()), list{e, llc, snap, i4, t}},
		"mpls":         {frame(ether, pktgen.MPLS{Label: 16}, pktgen.MPLS{Label: 17}, v4()), list{e, mpls, mpls, i4, t}},
		"pppoe":        {frame(ether, pktgen.PPPoE{Session: 9}, pktgen.PPP{}, v4()), list{e, pppoe, ppp, i4, t}},
		"ppp":          {frame(pktgen.PPP{HDLC: true}, v6()), list{ppp, i6, t}},
		"ppp short":    {frame(pktgen.PPP{Short: true}, v4()), list{ppp, i4, t}},
		"sll":          {frame(pktgen.SLL{}, v4()), list{layers.LayerTypeLinuxSLL, i4, t}},
		"null":         {frame(pktgen.Null{}, v4()), list{layers.LayerTypeLoopback, i4, t}},
		"null big":     {frame(pktgen.Null{BigEndian: true}, v6()), list{layers.LayerTypeLoopback, i6, t}},
		"loop":         {frame(pktgen.Loop{}, v6()), list{layers.LayerTypeLoopback, i6, t}},
		"802.11 to":    {frame(pktgen.Dot11{ToDS: true, FCS: true}, pktgen.SNAP{}, v4()), list{wifi, layers.LayerTypeDot11Data, llc, snap, i4, t}},
		"radiotap":     {frame(pktgen.Radiotap{}, pktgen.Dot11{FromDS: true, FCS: true}, pktgen.SNAP{}, v4()), list{layers.LayerTypeRadioTap, wifi, layers.LayerTypeDot11Data, llc, snap, i4, t}},
		"ip options":   {frame(ether, pktgen.IPv4{Src: v4().Src, Dst: v4().Dst, Options: []byte{1, 1, 1, 0}}), list{e, i4, t}},
		"destination":  {frame(ether, v6(), pktgen.Extension{Type: pktgen.DestinationOptions, Data: []byte{1, 4, 0, 0, 0, 0}}), list{e, i6, layers.LayerTypeIPv6Destination, t}},
		"auth":         {frame(ether, v4(), pktgen.Extension{Type: pktgen.Authentication}), list{e, i4, layers.LayerTypeIPSecAH, t}},
		"ipip":         {frame(ether, v4(), v4()), list{e, i4, i4, t}},
		"6in4":         {frame(ether, v4(), v6()), list{e, i4, i6, t}},
		"4in6":         {frame(ether, v6(), v4()), list{e, i6, i4, t}},
		"gre":          {frame(ether, v4(), pktgen.GRE{}, v4()), list{e, i4, gre, i4, t}},
		"gre all":      {frame(ether, v4(), pktgen.GRE{Key: pktgen.Fixed(1), Seq: pktgen.Fixed(2), Checksum: true}, v6()), list{e, i4, gre, i6, t}},
		"pptp":         {frame(ether, v4(), pktgen.PPTP{Call: 1, Seq: pktgen.Fixed(1), Ack: pktgen.Fixed(2)}, pktgen.PPP{HDLC: true}, v4()), list{e, i4, gre, ppp, i4, t}},
		"nvgre":        {frame(ether, v4(), pktgen.GRE{Key: pktgen.Fixed(0x123401)}, inner, v4()), list{e, i4, gre, e, i4, t}},
		"erspan":       {frame(ether, v4(), pktgen.GRE{Seq: pktgen.Fixed(1)}, pktgen.ERSPAN{Session: 3, VLAN: 4}, inner, v4()), list{e, i4, gre, layers.LayerTypeERSPANII, e, i4, t}},
		"vxlan":        {frame(ether, v4(), udp, pktgen.VXLAN{VNI: 7}, inner, v4()), list{e, i4, u, layers.LayerTypeVXLAN, e, i4, t}},
		"geneve":       {frame(ether, v6(), udp, pktgen.Geneve{VNI: 7, Options: []byte{0, 1, 2, 1, 0, 0, 0, 0}}, inner, v4()), list{e, i6, u, layers.LayerTypeGeneve, e, i4, t}},
		"gtp":          {frame(ether, v4(), udp, pktgen.GTPU{TEID: 7}, v4()), list{e, i4, u, layers.LayerTypeGTPv1U, i4, t}},
		"gtp sequence": {frame(ether, v4(), udp, pktgen.GTPU{TEID: 7, Seq: pktgen.Fixed(1)}, v6()), list{e, i4, u, layers.LayerTypeGTPv1U, i6, t}},
		"udp":          {[]pktgen.Layer{ether, v6(), pktgen.UDP{Src: 1, Dst: 2}, pktgen.Payload("hello")}, list{e, i6, u}},
	}
}

// first returns what gopacket decodes first for a link type.
func first(t *testing.T, link packet.LinkType) gopacket.LayerType {
	t.Helper()
	types := map[packet.LinkType]gopacket.LayerType{
		0: layers.LayerTypeLoopback, 1: layers.LayerTypeEthernet, 9: layers.LayerTypePPP, 105: layers.LayerTypeDot11,
		108: layers.LayerTypeLoopback, 113: layers.LayerTypeLinuxSLL, 127: layers.LayerTypeRadioTap,
	}
	require.Contains(t, types, link)
	return types[link]
}

func decode(t *testing.T, f packet.Frame) gopacket.Packet {
	t.Helper()
	var from gopacket.LayerType
	switch {
	case f.Link != 101:
		from = first(t, f.Link)
	case f.Data[0]>>4 == 6:
		from = layers.LayerTypeIPv6
	default:
		from = layers.LayerTypeIPv4
	}
	p := gopacket.NewPacket(f.Data, from, gopacket.Default)
	require.Nil(t, p.ErrorLayer())
	require.False(t, p.Metadata().Truncated)
	return p
}

func TestGopacketReadsFrames(t *testing.T) {
	for name, test := range kinds() {
		t.Run(name, func(t *testing.T) {
			f := pktgen.Frame(0, test.layers...)
			require.Len(t, f.Data, f.Length)
			p := decode(t, f)
			var got []gopacket.LayerType
			for _, l := range p.Layers() {
				if l.LayerType() != gopacket.LayerTypePayload {
					got = append(got, l.LayerType())
				}
			}
			require.Equal(t, test.want, got)
			require.Equal(t, "hello", string(p.ApplicationLayer().Payload()))
			checkSums(t, p)
		})
	}
}

// checkSums verifies every length and checksum of p by the rules of the RFCs, written down once more.
func checkSums(t *testing.T, p gopacket.Packet) {
	t.Helper()
	var src, dst []byte
	for _, l := range p.Layers() {
		whole := append(append([]byte(nil), l.LayerContents()...), l.LayerPayload()...)
		switch h := l.(type) {
		case *layers.IPv4:
			src, dst = h.SrcIP, h.DstIP
			require.Equal(t, len(whole), int(h.Length), "IPv4 total length")
			require.Zero(t, ones(h.Contents), "IPv4 checksum")
		case *layers.IPv6:
			src, dst = h.SrcIP, h.DstIP
			require.Equal(t, len(h.LayerPayload()), int(h.Length), "IPv6 payload length")
		case *layers.TCP:
			require.Zero(t, ones(src, dst, []byte{0, 6}, size(whole), whole), "TCP checksum")
		case *layers.UDP:
			require.Equal(t, len(whole), int(h.Length), "UDP length")
			require.Zero(t, ones(src, dst, []byte{0, 17}, size(whole), whole), "UDP checksum")
		case *layers.GRE:
			if h.ChecksumPresent {
				require.Zero(t, ones(whole), "GRE checksum")
			}
		case *layers.ICMPv4:
			require.Zero(t, ones(whole), "ICMP checksum")
		}
	}
}

func size(b []byte) []byte { return binary.BigEndian.AppendUint16(nil, uint16(len(b))) }

// ones is the inverted one's complement sum, one bit of carry at a time.
func ones(parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if len(all)%2 != 0 {
		all = append(all, 0)
	}
	var s uint16
	for i := 0; i < len(all); i += 2 {
		w := binary.BigEndian.Uint16(all[i:])
		s += w
		if s < w {
			s++
		}
	}
	return ^s
}

// TestGopacketMakesTheSame decodes and serializes again: gopacket's own lengths and checksums must give the same bytes.
func TestGopacketMakesTheSame(t *testing.T) {
	for _, name := range []string{"ethernet", "ethernet6", "raw ipv4", "udp", "ipip", "6in4", "vlan", "ip options"} {
		t.Run(name, func(t *testing.T) {
			f := pktgen.Frame(0, kinds()[name].layers...)
			p := decode(t, f)
			var parts []gopacket.SerializableLayer
			var network gopacket.NetworkLayer
			for _, l := range p.Layers() {
				if n, ok := l.(gopacket.NetworkLayer); ok {
					network = n
				}
				switch h := l.(type) {
				case *layers.TCP:
					h.Checksum = 0
					require.NoError(t, h.SetNetworkLayerForChecksum(network))
				case *layers.UDP:
					h.Checksum, h.Length = 0, 0
					require.NoError(t, h.SetNetworkLayerForChecksum(network))
				}
				parts = append(parts, l.(gopacket.SerializableLayer))
			}
			buf := gopacket.NewSerializeBuffer()
			opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
			require.NoError(t, gopacket.SerializeLayers(buf, opts, parts...))
			require.Equal(t, buf.Bytes(), f.Data)
		})
	}
}

// TestHeaders pins the headers that gopacket does not know, byte by byte from their specifications.
func TestHeaders(t *testing.T) {
	x := pktgen.Payload{0xee}
	ip := pktgen.Build(v4())
	tests := map[string]struct {
		layers []pktgen.Layer
		link   packet.LinkType
		want   []byte // followed by ip
	}{
		"chdlc":      {[]pktgen.Layer{pktgen.CiscoHDLC{}, v4()}, 104, []byte{0x0f, 0, 8, 0}},
		"sll2":       {[]pktgen.Layer{pktgen.SLL2{PacketType: 4}, v4()}, 276, []byte{8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0}},
		"vn-tag":     {[]pktgen.Layer{pktgen.VNTag{}, v4()}, 147, []byte{0, 0, 0, 1, 8, 0}},
		"ppi":        {[]pktgen.Layer{pktgen.PPI{}, v4()}, 192, []byte{0, 0, 8, 0, 101, 0, 0, 0}},
		"nflog":      {[]pktgen.Layer{pktgen.NFLOG{Prefix: "in"}, v4()}, 239, []byte{2, 0, 0, 0, 8, 0, 1, 0, 8, 0, 1, 0, 7, 0, 10, 0, 'i', 'n', 0, 0, 24, 0, 9, 0}},
		"l2tp":       {[]pktgen.Layer{pktgen.L2TP{Tunnel: 1, Session: 2, Sized: true, Sequenced: true, Padding: 2}, pktgen.PPP{}, v4()}, 147, []byte{0x4a, 2, 0, 38, 0, 1, 0, 2, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0x21}},
		"teredo":     {[]pktgen.Layer{pktgen.Teredo{Authenticated: true, Origin: netip.MustParseAddrPort("192.0.2.1:255")}, v4()}, 147, []byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0x3f, 0xff, 0xfd, 0xfe}},
		"capwap":     {[]pktgen.Layer{pktgen.CAPWAP{Radio: 1}, v4()}, 147, []byte{0, 0x10, 0x42, 0, 0, 0, 0, 0}},
		"tzsp":       {[]pktgen.Layer{pktgen.TZSP{Tags: []byte{0}}, v4()}, 147, []byte{1, 0, 0, 1, 0, 1}},
		"vxlan-gpe":  {[]pktgen.Layer{pktgen.VXLAN{VNI: 1}, v4()}, 147, []byte{0x0c, 0, 0, 1, 0, 0, 1, 0}},
		"erspan3":    {[]pktgen.Layer{pktgen.ERSPAN{TypeIII: true, VLAN: 1, Session: 2, Platform: make([]byte, 8)}, v4()}, 147, []byte{0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}},
		"gtp 5g":     {[]pktgen.Layer{pktgen.GTPU{TEID: 1, Container: true}, v4()}, 147, []byte{0x34, 0xff, 0, 28, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 1, 0}},
		"fragment6":  {[]pktgen.Layer{pktgen.IPv6Fragment{ID: 1, Offset: 16, More: true}, v4()}, 147, []byte{4, 0, 0, 17, 0, 0, 0, 1}},
		"header":     {[]pktgen.Layer{pktgen.Header{Bytes: []byte{1, 2}, Link: 117}, v4()}, 117, []byte{1, 2}},
		"etherip":    {[]pktgen.Layer{pktgen.Extension{Type: pktgen.Routing}, pktgen.Header{Protocol: 97}, v4()}, 147, []byte{97, 0, 0, 0, 0, 0, 0, 0}},
		"mpls word":  {[]pktgen.Layer{pktgen.MPLS{Label: 16, ControlWord: true}, v4()}, 219, []byte{0, 1, 1, 64, 0, 0, 0, 0}},
		"hop by hop": {[]pktgen.Layer{pktgen.Extension{Type: pktgen.HopByHop, Data: make([]byte, 7)}, v4()}, 147, []byte{4, 1, 15: 0}},
		"llc":        {[]pktgen.Layer{pktgen.LLC{DSAP: 6, SSAP: 6}, v4()}, 147, []byte{6, 6, 3}},
		"wds": {[]pktgen.Layer{pktgen.Dot11{ToDS: true, FromDS: true, QoS: true, Protected: true}, v4()}, 105, []byte{
			0x88, 0x43, 0, 0, 2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0,
		}},
		"ad hoc": {[]pktgen.Layer{pktgen.Dot11{}, v4()}, 105, []byte{8, 0, 0, 0, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 3, 0, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := pktgen.Frame(3, test.layers...)
			require.Equal(t, append(test.want, ip...), f.Data)
			require.Equal(t, test.link, f.Link)
			require.Equal(t, int64(3), f.Time)
		})
	}
	require.Equal(t, []byte{0xee}, pktgen.Build(x))
	require.Empty(t, pktgen.Frame(0).Data)
	fcs := pktgen.Build(pktgen.Radiotap{}, pktgen.Dot11{FCS: true}, x)
	require.Equal(t, byte(0x10), fcs[16])
	require.Equal(t, crc32.ChecksumIEEE(fcs[17:len(fcs)-4]), binary.LittleEndian.Uint32(fcs[len(fcs)-4:]))
}

func TestOverrides(t *testing.T) {
	build := func(outer ...pktgen.Layer) []byte { return pktgen.Build(frame(outer...)...) }
	tcp := func(h pktgen.TCP) []byte { return pktgen.Build(v4(), h, pktgen.Payload("hello"))[20:] }
	ip := v4()
	ip.TotalLength, ip.IHL, ip.Checksum, ip.Protocol = pktgen.Fixed(0), pktgen.Fixed(4), pktgen.Fixed(0xdead), pktgen.Fixed(99)
	ip.MoreFragments, ip.Offset, ip.TTL, ip.Version = true, 24, 3, pktgen.Fixed(5)
	require.Equal(t, []byte{0x54, 0, 0, 0, 0, 7, 0x20, 3, 3, 99, 0xde, 0xad}, build(ip)[:12])

	six := v6()
	six.PayloadLength, six.Next, six.Version = pktgen.Fixed(1), pktgen.Fixed(2), pktgen.Fixed(7)
	require.Equal(t, []byte{0x70, 0, 0, 0, 0, 1, 2, 64}, build(six)[:8])

	b := tcp(pktgen.TCP{Window: pktgen.Fixed(0), DataOffset: pktgen.Fixed(15), Checksum: pktgen.Fixed(1), Urgent: 9, Flags: packet.AE | packet.URG})
	require.Equal(t, []byte{0xf1, 0x20, 0, 0, 0, 1, 0, 9}, b[12:20])

	b = tcp(pktgen.TCP{Offloaded: true})
	require.Equal(t, ones(v4().Src.AsSlice(), v4().Dst.AsSlice(), []byte{0, 6, 0, 25}), ^binary.BigEndian.Uint16(b[16:]))

	udp := pktgen.Build(v4(), pktgen.UDP{Src: 1, Dst: 2, Length: pktgen.Fixed(3), Checksum: pktgen.Fixed(0)})[20:]
	require.Equal(t, []byte{0, 1, 0, 2, 0, 3, 0, 0}, udp)

	b = build(pktgen.Ethernet{Type: pktgen.Fixed(0x1234), MinSize: 100, Trailer: []byte("fcs")}, v4())
	require.Len(t, b, 103)
	require.Equal(t, []byte{0x12, 0x34}, b[12:14])
	require.Equal(t, "\x00fcs", string(b[99:]))
}

func TestICMPQuotes(t *testing.T) {
	quoted := frame(v4())
	f := pktgen.Frame(0, append([]pktgen.Layer{pktgen.Ethernet{}, v4(), pktgen.ICMP{Type: 3, Code: 1, Quote: 28}}, quoted...)...)
	p := decode(t, f)
	checkSums(t, p)
	require.Equal(t, pktgen.Build(quoted...)[:28], p.Layer(layers.LayerTypeICMPv4).LayerPayload())

	b := pktgen.Build(append([]pktgen.Layer{v6(), pktgen.ICMPv6{Type: 1}}, frame(v6())...)...)
	require.Zero(t, ones(b[8:40], []byte{0, 58}, size(b[40:]), b[40:]))
}

func TestOptions(t *testing.T) {
	o := pktgen.Options(pktgen.MSS(1460), pktgen.SACKPermitted(), pktgen.WindowScale(7))
	p := decode(t, pktgen.Frame(0, v4(), pktgen.TCP{Options: o}))
	var kinds []layers.TCPOptionKind
	for _, k := range p.TransportLayer().(*layers.TCP).Options {
		if k.OptionType != layers.TCPOptionKindNop {
			kinds = append(kinds, k.OptionType)
		}
	}
	require.Equal(t, []layers.TCPOptionKind{layers.TCPOptionKindMSS, layers.TCPOptionKindSACKPermitted, layers.TCPOptionKindWindowScale}, kinds)
	require.Equal(t, []byte{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}, pktgen.SACK([2]uint32{1, 2}))
}

func TestSegment(t *testing.T) {
	f := pktgen.Segment(5, netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2"), pktgen.TCP{Seq: 3}, []byte("abc"))
	p := decode(t, f)
	checkSums(t, p)
	require.Equal(t, "1->2", p.TransportLayer().TransportFlow().String())
	require.Equal(t, "abc", string(p.ApplicationLayer().Payload()))
}
