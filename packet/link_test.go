package packet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

func TestNotIP(t *testing.T) {
	body := raw(make([]byte, 60)...)
	for _, tc := range []struct {
		name  string
		link  packet.LinkType
		frame []byte
	}{
		{"ARP", packet.LinkEthernet, stack(eth(0x0806), body)},
		{"LLDP", packet.LinkEthernet, stack(eth(0x88cc), body)},
		{"MACsec", packet.LinkEthernet, stack(eth(0x88e5), body)},
		{"802.1ah", packet.LinkEthernet, stack(eth(0x88e7), body)},
		{"PPPoE discovery", packet.LinkEthernet, stack(eth(0x8863), body)},
		{"PPPoE session control", packet.LinkEthernet, stack(eth(0x8864), raw(0x11, 9, 0, 1, 0, 20), body)},
		{"spanning tree", packet.LinkEthernet, stack(eth8023, raw(0x42, 0x42, 3), body)},
		{"IPX", packet.LinkEthernet, stack(eth8023, raw(0xff, 0xff, 0), body)},
		{"SNAP of a vendor", packet.LinkEthernet, stack(eth8023, raw(0xaa, 0xaa, 3, 0, 0, 0xc, 0x20, 0), body)},
		{"SNAP without a type", packet.LinkEthernet, stack(eth8023, snap(3), body)},
		{"between length and type", packet.LinkEthernet, stack(eth(0x0599+0x43), body)},
		{"VLAN ARP", packet.LinkEthernet, stack(eth(0x8100), vlan(1, 0x0806), body)},
		{"MPLS control channel", packet.LinkEthernet, stack(eth(0x8847), mpls(16), raw(0x10, 0, 0, 0), body)},
		{"pseudowire ARP", packet.LinkEthernet, stack(eth(0x8847), mpls(16), raw(0, 0, 0, 0), eth(0x0806), body)},
		{"pseudowire junk", packet.LinkEthernet, stack(eth(0x8847), mpls(16), raw(0, 0, 0, 0))},
		{"LCP", packet.LinkPPP, stack(ppp(0xc021), body)},
		{"Cisco SLARP", packet.LinkCiscoHDLC, stack(raw(0x8f, 0, 0x80, 0x35), body)},
		{"Cisco keepalive", packet.LinkCiscoHDLC, stack(raw(0x8f, 0, 0, 2), body)},
		{"NULL other family", packet.LinkNull, stack(raw(7, 0, 0, 0), body)},
		{"SLL netlink", packet.LinkSLL, stack(raw(join(u16(0), u16(824), make([]byte, 10), u16(0x0800))...), ip4(6), tcp(0))},
		{"SLL IPX", packet.LinkSLL, stack(sll(1), body)},
		{"SLL2 ARP", packet.LinkSLL2, stack(sll2(0x0806), body)},
		{"beacon", packet.LinkWiFi, stack(wifi(0x80, 0), body)},
		{"acknowledgement", packet.LinkWiFi, []byte{0xd4, 0, 0, 0, 1, 2, 3, 4, 5, 6}},
		{"802.11 null", packet.LinkWiFi, stack(wifi(0x48, 1), body)},
		{"802.11 encrypted", packet.LinkWiFi, stack(wifi(8, 0x41), body)},
		{"802.11 first fragment", packet.LinkWiFi, stack(wifi(8, 0x05), body)},
		{"802.11 later fragment", packet.LinkWiFi, func() []byte { b := stack(wifi(8, 1), body); b[22] = 1; return b }()},
		{"802.11 version 1", packet.LinkWiFi, stack(wifi(9, 1), body)},
		{"NFLOG without packet", packet.LinkNFLog, join([]byte{2, 0, 0, 0}, le16(8), le16(1), u32(0))},
		{"NFLOG bridge", packet.LinkNFLog, stack(nflog(7), body)},
		{"PKTAP other record", packet.LinkPktap, join(le32(12), le32(2), le32(1))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := poisoned()
			d := newDecoder(t, nil)
			d.Decode(frameOf(tc.link, tc.frame), p)
			require.Equal(t, packet.NotIP, p.Status, "%v", p.Layers())
			require.NoError(t, p.Err())
			require.Nil(t, p.Payload)
			require.False(t, p.IsTCP())
			require.EqualValues(t, 1, d.Stats().Status[packet.NotIP])
		})
	}
}

func TestBadLinks(t *testing.T) {
	body := raw(make([]byte, 60)...)
	for _, tc := range []struct {
		name  string
		link  packet.LinkType
		frame []byte
		want  packet.Status
	}{
		{"empty", packet.LinkEthernet, nil, packet.TruncatedLink},
		{"empty raw", packet.LinkRaw, nil, packet.TruncatedIP},
		{"802.3 of 2 bytes", packet.LinkEthernet, stack(eth(2), body), packet.BadLink},
		{"802.3 SNAP of 5 bytes", packet.LinkEthernet, stack(eth(5), snap(0x0800), body), packet.BadLink},
		{"IPv6 announced as IPv4", packet.LinkEthernet, stack(eth(0x0800), ip6(6), tcp(0)), packet.BadIPVersion},
		{"IPv4 announced as IPv6", packet.LinkEthernet, stack(eth(0x86dd), ip4(6), tcp(0)), packet.BadIPVersion},
		{"IPv4 in an IPv6 link", packet.LinkIPv6, stack(ip4(6), tcp(0)), packet.BadIPVersion},
		{"PPPoE version 2", packet.LinkPPPoE, stack(raw(0x22, 0, 0, 1, 0, 4), body), packet.BadLink},
		{"PPPoE of 1 byte", packet.LinkPPPoE, stack(raw(0x11, 0, 0, 1, 0, 1, 0), body), packet.BadLink},
		{"radiotap version 1", packet.LinkRadiotap, stack(raw(1, 0, 8, 0, 0, 0, 0, 0), body), packet.BadLink},
		{"radiotap length 7", packet.LinkRadiotap, stack(raw(0, 0, 7, 0, 0, 0, 0, 0), body), packet.BadLink},
		{"radiotap beyond the frame", packet.LinkRadiotap, stack(raw(0, 0, 99, 0, 0, 0, 0, 0), body), packet.TruncatedLink},
		{"PPI version 1", packet.LinkPPI, stack(raw(1, 0, 8, 0, 1, 0, 0, 0), body), packet.BadLink},
		{"PPI length 7", packet.LinkPPI, stack(raw(0, 0, 7, 0, 1, 0, 0, 0), body), packet.BadLink},
		{"PPI in PPI in …", packet.LinkPPI, func() []byte {
			var h []header
			for range 20 {
				h = append(h, raw(0, 0, 8, 0, 192, 0, 0, 0))
			}
			return stack(h...)
		}(), packet.TooDeep},
		{"PPI of an unknown link", packet.LinkPPI, stack(raw(0, 0, 8, 0, 147, 0, 0, 0), body), packet.UnknownLink},
		{"Prism length 7", packet.LinkPrism, stack(raw(0x44, 0, 0, 0, 7, 0, 0, 0), body), packet.BadLink},
		{"Prism length huge", packet.LinkPrism, stack(raw(0x44, 0, 0, 0, 7, 7, 7, 7), body), packet.BadLink},
		{"AVS length 0", packet.LinkAVS, stack(raw(0x80, 0x21, 0x10, 1, 0, 0, 0, 0), body), packet.BadLink},
		{"NFLOG version 1", packet.LinkNFLog, []byte{2, 1, 0, 0}, packet.BadLink},
		{"NFLOG attribute of 3 bytes", packet.LinkNFLog, stack(raw(2, 0, 0, 0, 3, 0, 1, 0), body), packet.BadLink},
		{"PFLOG length 44", packet.LinkPFLog, stack(raw(44, 2), body), packet.BadLink},
		{"PKTAP length 11", packet.LinkPktap, stack(raw(11, 0, 0, 0), body), packet.BadLink},
		{"17 VLAN tags", packet.LinkEthernet, func() []byte {
			h := []header{eth(0x8100)}
			for range 17 {
				h = append(h, vlan(1, 0x8100))
			}
			return stack(h...)
		}(), packet.TooDeep},
		{"token ring", 6, stack(body), packet.UnknownLink},
		{"IP over Fibre Channel", 122, stack(body), packet.UnknownLink},
		{"user 0", 147, stack(body), packet.UnknownLink},
		{"beyond all", 1 << 31, stack(body), packet.UnknownLink},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := poisoned()
			newDecoder(t, nil).Decode(frameOf(tc.link, tc.frame), p)
			require.Equal(t, tc.want, p.Status, "%v", p.Layers())
			require.ErrorIs(t, p.Err(), tc.want)
			require.Nil(t, p.Payload)
		})
	}
}

func TestDepth(t *testing.T) {
	frame := func(tags int) *packet.Frame {
		h := []header{eth(0x8100)}
		for i := range tags {
			next := 0x8100
			if i == tags-1 {
				next = 0x0800
			}
			h = append(h, vlan(i+1, next))
		}
		return frameOf(packet.LinkEthernet, stack(append(h, ip4(6), tcp(packet.ACK), data("payload"))...))
	}
	d := newDecoder(t, nil)
	p := poisoned()
	d.Decode(frame(packet.MaxLayers-3), p)
	require.True(t, p.IsTCP())
	require.Len(t, p.Layers(), packet.MaxLayers)
	require.Len(t, p.AppendVLANs(nil), packet.MaxLayers-3)
	d.Decode(frame(packet.MaxLayers-2), p)
	require.Equal(t, packet.TooDeep, p.Status)
	require.EqualValues(t, 1, d.Stats().Status[packet.TooDeep])
}

// Every header may be the one too many: PPI, which can hold any link type, goes before every other frame.
func TestDepthOfEverything(t *testing.T) {
	d := newDecoder(t, nil)
	var p packet.Packet
	for _, f := range allFrames() {
		d.Decode(f, &p)
		require.True(t, p.IsTCP())
		layers := len(p.Layers())
		for n := 1; n <= packet.MaxLayers+1; n++ {
			var h []header
			for range n - 1 {
				h = append(h, raw(0, 0, 8, 0, byte(packet.LinkPPI), 0, 0, 0))
			}
			h = append(h, raw(join([]byte{0, 0, 8, 0}, le32(uint32(f.Link)))...), raw(f.Data...))
			d.Decode(frameOf(packet.LinkPPI, stack(h...)), &p)
			if n+layers <= packet.MaxLayers {
				require.True(t, p.IsTCP(), "%v", p.Layers())
				require.Len(t, p.Layers(), n+layers)
			} else {
				require.Equal(t, packet.TooDeep, p.Status, "%d: %v", n, p.Layers())
			}
		}
	}
}

// A frame of several 802.11 subframes gives the first one, and says how many there were.
func TestAggregated(t *testing.T) {
	sub := stack(eth8023, snap(0x0800), ip4(6), tcp(packet.ACK), data("payload"))
	for len(sub)%4 != 0 {
		sub = append(sub, 0)
	}
	d := newDecoder(t, nil)
	p := poisoned()
	d.Decode(frameOf(packet.LinkWiFi, stack(wifi(0x88, 1, 0x80, 0), raw(sub...), raw(sub...), raw(sub...))), p)
	require.True(t, p.IsTCP())
	require.Equal(t, "payload", string(p.Payload))
	require.EqualValues(t, 2, d.Stats().Subframes)
}

// The frame check sequence that a capture header announces is no payload, even when IP gives no length.
func TestFrameCheckSequence(t *testing.T) {
	for _, name := range []string{"radiotap fcs", "radiotap long", "ppi"} {
		t.Run(name, func(t *testing.T) {
			f, _ := nested(false, name)
			ip := len(f.Data) - 4 - 7 - 24 - 20
			f.Data[ip+2], f.Data[ip+3] = 0, 0
			p := poisoned()
			newDecoder(t, nil).Decode(f, p)
			require.True(t, p.IsTCP())
			require.Equal(t, "payload", string(p.Payload))
		})
	}
}

func TestFrameLength(t *testing.T) {
	b := stack(eth(0x0800), ip4(6), tcp(packet.ACK), data("payload"))
	for _, tc := range []struct {
		name     string
		length   int
		captured int
		missing  int
	}{
		{"zero means all that was captured", 0, len(b), 0},
		{"negative too", -5, len(b), 0},
		{"longer than IP", 2000, len(b), 0},
		{"cut", len(b), len(b) - 3, 3},
		{"cut before the payload", len(b), len(b) - 7, 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := packet.Frame{Data: b[:tc.captured], Length: tc.length, Link: packet.LinkEthernet}
			p := poisoned()
			newDecoder(t, nil).Decode(&f, p)
			require.True(t, p.IsTCP())
			require.EqualValues(t, tc.missing, p.Missing)
			require.Len(t, p.Payload, 7-tc.missing)
		})
	}
	t.Run("segmentation offload beyond the capture", func(t *testing.T) {
		c := append([]byte(nil), b...)
		c[16], c[17] = 0, 0
		f := packet.Frame{Data: c, Length: 80000, Link: packet.LinkEthernet}
		p := poisoned()
		newDecoder(t, nil).Decode(&f, p)
		require.True(t, p.IsTCP())
		require.EqualValues(t, 80000-len(b), p.Missing)
	})
}
