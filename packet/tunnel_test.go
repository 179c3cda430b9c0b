package packet_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

// What looks like a tunnel and is none: the outer packet is the result.
func TestTunnelsRefused(t *testing.T) {
	arp := raw(make([]byte, 28)...)
	good := []header{eth(0x0800), ip4(6), tcp(packet.ACK), data("payload")}
	in := func(h ...header) []header { return append(h, good...) }
	ip := good[1:]
	long := append([]header{eth(0x0800), func(rest []byte) []byte { // claims a byte more than there is
		b := ip4(6)(rest)
		b[3]++
		return b
	}}, good[2:]...)
	for _, tc := range []struct {
		name    string
		proto   byte
		headers []header
	}{
		{"VXLAN without VNI", 17, in(udp(5, 4789), raw(0, 0, 0, 0, 0, 0, 1, 0))},
		{"VXLAN with ARP", 17, []header{udp(5, 4789), vxlan(1), eth(0x0806), arp}},
		{"VXLAN by the source port", 17, in(udp(4789, 5), vxlan(1))},
		{"VXLAN inner length too large", 17, append([]header{udp(5, 4789), vxlan(1)}, long...)},
		{"VXLAN with 5 bytes", 17, []header{udp(5, 4789), data("12345")}},
		{"VXLAN with a guess within the guess", 17, in(udp(5, 4789), vxlan(1), eth(0x8847), mpls(16))},
		{"VXLAN-GPE with NSH", 17, in(udp(5, 4790), raw(0x0c, 0, 0, 4, 0, 0, 1, 0))},
		{"Geneve version 1", 17, in(udp(5, 6081), raw(0x40, 0, 0x65, 0x58, 0, 0, 1, 0))},
		{"Geneve protocol 0", 17, in(udp(5, 6081), geneve(1, 0))},
		{"Geneve options beyond", 17, []header{udp(5, 6081), raw(0x3f, 0, 0x65, 0x58, 0, 0, 1, 0), data("short")}},
		{"GTP echo", 17, []header{udp(2152, 2152), raw(0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0)}},
		{"GTP version 2", 17, append([]header{udp(2152, 2152), gtp(0x48, 1)}, ip...)},
		{"GTP length too large", 17, append([]header{udp(2152, 2152), raw(0x30, 255, 9, 9, 0, 0, 0, 1)}, ip...)},
		{"GTP extension of length 0", 17, append([]header{udp(2152, 2152), gtp(0x34, 1, 0, 0, 0, 0x85, 0, 0, 0, 0)}, ip...)},
		{"GTP with Ethernet", 17, in(udp(2152, 2152), gtp(0x30, 1))},
		{"L2TP control", 17, []header{udp(1701, 1701), raw(0xc8, 2, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0)}},
		{"L2TP reserved bits", 17, append([]header{udp(1701, 1701), raw(0x10, 2, 0, 3, 0, 4, 0, 0x21)}, ip...)},
		{"L2TP length below header", 17, append([]header{udp(1701, 1701), raw(0x40, 2, 0, 4, 0, 4, 0, 0x21)}, ip...)},
		{"L2TP with LCP", 17, []header{udp(1701, 1701), raw(0, 2, 0, 3, 0, 4, 0xc0, 0x21), arp}},
		{"Teredo junk", 17, []header{udp(5, 3544), data("nothing of Teredo")}},
		{"Teredo with IPv4", 17, append([]header{udp(5, 3544)}, ip...)},
		{"Teredo cut authentication", 17, []header{udp(5, 3544), raw(0, 1, 200, 200, 1, 2, 3)}},
		{"CAPWAP DTLS", 17, in(udp(5, 5247), raw(1, 0, 0, 0))},
		{"CAPWAP keep-alive", 17, in(udp(5, 5247), capwap(1<<3))},
		{"CAPWAP fragment", 17, in(udp(5, 5247), capwap(1<<7))},
		{"CAPWAP other binding", 17, in(udp(5, 5247), capwap(1<<8|2<<9))},
		{"CAPWAP header of 4 bytes", 17, in(udp(5, 5247), raw(0, 1<<3, 0, 0, 0, 0, 0, 0))},
		{"TZSP version 2", 17, in(udp(5, 37008), raw(2, 0, 0, 1, 1))},
		{"TZSP keep-alive", 17, in(udp(5, 37008), raw(1, 4, 0, 0, 1))},
		{"TZSP without end tag", 17, []header{udp(5, 37008), raw(1, 0, 0, 1, 0, 0, 0, 0, 10, 200)}},
		{"TZSP other protocol", 17, in(udp(5, 37008), raw(1, 0, 0, 99, 1))},
		{"MPLS in UDP junk", 17, []header{udp(5, 6635), data("ÿÿÿÿÿÿÿÿ")}},
		{"GRE keepalive", 47, []header{gre(0, 0)}},
		{"GRE with ARP", 47, []header{gre(0, 0x6558), eth(0x0806), arp}},
		{"GRE with IS-IS", 47, []header{gre(0, 0xfe), arp}},
		{"PPTP acknowledgement", 47, []header{gre(0x2081, 0x880b, 0, 0, 0, 1, 0, 0, 0, 9)}},
		{"PPTP with LCP", 47, []header{pptp, ppp(0xc021), arp}},
		{"ERSPAN III of another frame type", 47, in(gre(0x1000, 0x22eb, 0, 0, 0, 1), raw(0x20, 5, 0, 9, 0, 0, 0, 0, 0, 0, 4, 0))},
		{"EtherIP with ARP", 97, []header{raw(0x30, 0), eth(0x0806), arp}},
		{"L2TPv3 control", 115, in(raw(0, 0, 0, 0))},
		{"L2TPv3 with something else", 115, []header{raw(0, 0, 0, 1), arp}},
		{"MPLS control channel", 137, []header{mpls(16), raw(0x10, 0, 0, 0), arp}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			outer := stack(append([]header{ip4To(outerA4, outerB4, tc.proto)}, tc.headers...)...)
			p := poisoned()
			d := newDecoder(t, nil)
			d.Decode(frameOf(packet.LinkRaw, outer), p)
			require.Equal(t, packet.OK, p.Status, "%v", p.Err())
			require.Equal(t, tc.proto, p.Proto)
			require.Equal(t, tc.proto, p.Key.Proto())
			require.Equal(t, outerA4, p.Key.Src().Addr())
			header := 20
			if tc.proto == 17 {
				header = 28
				require.NotZero(t, p.Key.Dst().Port())
			}
			require.Equal(t, outer[header:], p.Payload)
			require.Equal(t, packet.LayerNone, p.Tunnel())
			_, ok := p.OuterKey()
			require.False(t, ok)
			if tc.name != "VXLAN by the source port" {
				require.EqualValues(t, 1, d.Stats().TunnelsRefused)
			}
		})
	}
}

// What an IP protocol number announces is no guess: if it is damaged, the frame is.
func TestTunnelsBad(t *testing.T) {
	for _, tc := range []struct {
		name    string
		proto   byte
		headers []header
		want    packet.Status
	}{
		{"IP in IP of version 7", 4, []header{raw(0x75, 0, 0, 20), raw(make([]byte, 40)...)}, packet.BadIPVersion},
		{"empty IP in IP", 4, nil, packet.TruncatedIP},
		{"GRE version 2", 47, []header{gre(2, 0x0800), ip4(6), tcp(0)}, packet.BadTunnel},
		{"GRE of 3 bytes", 47, []header{data("\x00\x00\x08")}, packet.BadTunnel},
		{"GRE without its key", 47, []header{gre(0x2000, 0x0800)}, packet.BadTunnel},
		{"GRE routing without end", 47, []header{gre(0x4000, 0x0800, 0, 0, 0, 0), raw(8, 0, 0, 4, 1, 2, 3, 4)}, packet.BadTunnel},
		{"ERSPAN version 3", 47, []header{gre(0x1000, 0x88be, 0, 0, 0, 1), raw(0x30, 0, 0, 0, 0, 0, 0, 0), eth(0x0800), ip4(6), tcp(0)}, packet.BadTunnel},
		{"ERSPAN of 4 bytes", 47, []header{gre(0x1000, 0x88be, 0, 0, 0, 1), raw(0x10, 0, 0, 0)}, packet.BadTunnel},
		{"ERSPAN III version 1", 47, []header{gre(0x1000, 0x22eb, 0, 0, 0, 1), raw(0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), eth(0x0800)}, packet.BadTunnel},
		{"ERSPAN III without its subheader", 47, []header{gre(0x1000, 0x22eb, 0, 0, 0, 1), raw(0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)}, packet.BadTunnel},
		{"EtherIP version 4", 97, []header{raw(0x40, 0), eth(0x0800), ip4(6), tcp(0)}, packet.BadTunnel},
		{"EtherIP of 1 byte", 97, []header{data("0")}, packet.BadTunnel},
		{"L2TPv3 of 3 bytes", 115, []header{data("123")}, packet.BadTunnel},
		{"IP in IP in …", 4, func() []header {
			var h []header
			for range 20 {
				h = append(h, ip4(4))
			}
			return h
		}(), packet.TooDeep},
		{"VXLAN in VXLAN in …", 17, func() []header {
			var h []header
			for range 8 {
				h = append(h, udp(5, 4789), vxlan(1), eth(0x0800), ip4(17))
			}
			return h
		}(), packet.TooDeep},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := poisoned()
			newDecoder(t, nil).Decode(frameOf(packet.LinkRaw, stack(append([]header{ip4To(outerA4, outerB4, tc.proto)}, tc.headers...)...)), p)
			require.Equal(t, tc.want, p.Status, "%v", p.Layers())
			require.ErrorIs(t, p.Err(), tc.want)
		})
	}
	t.Run("TCP damaged within VXLAN", func(t *testing.T) {
		b := stack(ip4To(outerA4, outerB4, 17), udp(5, 4789), vxlan(1), eth(0x0800), ip4(6), tcp(0), data("payload"))
		b[len(b)-7-8] = 0x10
		p := poisoned()
		newDecoder(t, nil).Decode(frameOf(packet.LinkRaw, b), p)
		require.Equal(t, packet.BadTCPHeader, p.Status)
	})
}

func TestTunnelSets(t *testing.T) {
	sets := map[string]packet.TunnelSet{
		"in 4": packet.TunnelIP, "in 6": packet.TunnelIP, "gre": packet.TunnelGRE, "nvgre": packet.TunnelGRE, "pptp": packet.TunnelGRE,
		"erspan 1": packet.TunnelERSPAN, "erspan 2": packet.TunnelERSPAN, "erspan 3": packet.TunnelERSPAN,
		"etherip": packet.TunnelEther, "ethernet in 6": packet.TunnelEther, "mpls in ip": packet.TunnelMPLS, "mpls in udp": packet.TunnelMPLS,
		"l2tpv3": packet.TunnelL2TP, "l2tp": packet.TunnelL2TP, "vxlan": packet.TunnelVXLAN, "vxlan-gpe ip": packet.TunnelVXLAN,
		"geneve": packet.TunnelGeneve, "gtp": packet.TunnelGTP, "capwap": packet.TunnelCAPWAP, "tzsp": packet.TunnelTZSP,
	}
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			f, _ := nested(false, "ethernet", name)
			var p packet.Packet
			newDecoder(t, &packet.DecoderConfig{Tunnels: set}).Decode(f, &p)
			require.True(t, p.IsTCP())
			newDecoder(t, &packet.DecoderConfig{Tunnels: packet.AllTunnels &^ set}).Decode(f, &p)
			require.Equal(t, packet.OK, p.Status)
			require.False(t, p.IsTCP())
		})
	}
	require.True(t, packet.AllTunnels.Has(packet.TunnelIP|packet.TunnelEther))
	require.False(t, packet.AllTunnels.Has(packet.NoTunnels))
	require.False(t, packet.TunnelGRE.Has(packet.TunnelGRE|packet.TunnelIP))
}

func TestKeyVLAN(t *testing.T) {
	f := frameOf(packet.LinkEthernet, stack(eth(0x8100), vlan(5, 0x8100), vlan(6, 0x0800), ip4To(outerA4, outerB4, 17), udp(5, 4789),
		vxlan(9), eth(0x8100), vlan(7, 0x0800), ip4(6), tcp(packet.ACK)))
	want := packet.NewFlowKey(client4, server4, 6)
	for _, tc := range []struct {
		vlan, tunnel bool
		want         packet.FlowKey
	}{
		{false, false, want},
		{true, false, want.WithVLAN(5)},
		{false, true, want.WithTunnel(9)},
		{true, true, want.WithVLAN(5).WithTunnel(9)},
	} {
		t.Run(fmt.Sprint(tc.vlan, tc.tunnel), func(t *testing.T) {
			p := poisoned()
			newDecoder(t, &packet.DecoderConfig{KeyVLAN: tc.vlan, KeyTunnel: tc.tunnel}).Decode(f, p)
			require.True(t, p.IsTCP())
			require.Equal(t, tc.want, p.Key)
			require.Equal(t, []uint16{5, 6, 7}, p.AppendVLANs(nil))
			require.EqualValues(t, 5, p.VLAN())
			require.Zero(t, testing.AllocsPerRun(10, func() {
				var ids [packet.MaxLayers]uint16
				p.AppendVLANs(ids[:0])
				p.OuterKey()
				p.TunnelID()
			}))
		})
	}
}
