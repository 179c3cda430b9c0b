package packet_test

import (
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/packet"
)

func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func ppp(proto int) header { return raw(join([]byte{0xff, 3}, u16(proto))...) }

func pppoe(rest []byte) []byte { return join([]byte{0x11, 0}, u16(77), u16(len(rest)), rest) }

func mpls(labels ...int) header {
	var b []byte
	for i, l := range labels {
		v := uint32(l)<<12 | 64
		if i == len(labels)-1 {
			v |= 1 << 8
		}
		b = append(b, u32(v)...)
	}
	return raw(b...)
}

// wifi is an 802.11 header with the given two bytes of frame control, and more behind the sequence control.
func wifi(fc0, fc1 byte, more ...byte) header {
	return raw(join([]byte{fc0, fc1}, make([]byte, 22), more)...)
}

// radiotap has a TSFT, and flags.
func radiotap(flags byte) header {
	return raw(join([]byte{0, 0}, le16(17), le32(3), make([]byte, 8), []byte{flags})...)
}

func nflog(family byte) header {
	return func(rest []byte) []byte {
		prefix := join(le16(7), le16(10), []byte("abc"), []byte{0}) // an attribute with padding
		return join([]byte{family, 0}, u16(5), prefix, le16(4+len(rest)), le16(9), rest)
	}
}

func gre(flags, proto int, fields ...byte) header {
	return raw(join(u16(flags), u16(proto), fields)...)
}

func pptp(rest []byte) []byte {
	return join(u16(0x3081), u16(0x880b), u16(len(rest)), u16(99), u32(1), u32(2), rest)
}

func vxlan(vni uint32) header { return raw(join(u32(8<<24), u32(vni<<8))...) }

func geneve(vni uint32, proto int, options ...byte) header {
	return raw(join([]byte{byte(len(options) / 4), 0}, u16(proto), u32(vni<<8), options)...)
}

func gtp(flags byte, teid uint32, more ...byte) header {
	return func(rest []byte) []byte {
		return join([]byte{flags, 255}, u16(len(more)+len(rest)), u32(teid), more, rest)
	}
}

func l2tp(rest []byte) []byte { // with length, sequence numbers and an offset of 2
	return join(u16(0x4a02), u16(16+len(rest)), u16(3), u16(4), u16(1), u16(2), u16(2), u16(0), rest)
}

func capwap(bits uint32) header { return raw(join(u32(2<<19|bits), u32(0))...) }

// under is one way to carry what follows: a link type with its headers, or a tunnel.
type under struct {
	name    string
	link    packet.LinkType
	headers []header
	kind    packet.LayerKind // of a tunnel
	id      uint32
	guessed bool // taken by its UDP port
	loose   bool // what is inside is not announced, so that a cut frame says nothing of it
	keyed   bool // the id counts under KeyTunnel
	outer6  bool // a tunnel in IPv6
}

// links are the ways to carry IPv4 or IPv6 in a frame.
func links(six bool) []under {
	qos := []byte{0, 0}
	et, pp, af, version := 0x0800, 0x21, byte(2), packet.LinkIPv4
	if six {
		et, pp, af, version = 0x86dd, 0x57, 30, packet.LinkIPv6
	}
	all := []under{
		{name: "ethernet", link: packet.LinkEthernet, headers: []header{eth(et)}},
		{name: "vlan", link: packet.LinkEthernet, headers: []header{eth(0x8100), vlan(5, et)}},
		{name: "qinq 88a8", link: packet.LinkEthernet, headers: []header{eth(0x88a8), vlan(5, 0x8100), vlan(6, et)}},
		{name: "qinq 9100", link: packet.LinkEthernet, headers: []header{eth(0x9100), vlan(5, 0x9100), vlan(6, et)}},
		{name: "vn-tag", link: packet.LinkEthernet, headers: []header{eth(0x8926), raw(0, 1, 0, 2, byte(et>>8), byte(et))}},
		{name: "802.3 snap", link: packet.LinkEthernet, headers: []header{eth8023, snap(et)}},
		{name: "802.3 bridge tunnel", link: packet.LinkEthernet, headers: []header{eth8023, raw(0xaa, 0xaa, 3, 0, 0, 0xf8, byte(et>>8), byte(et))}},
		{name: "jumbo llc", link: packet.LinkEthernet, headers: []header{eth(0x8870), snap(et)}},
		{name: "pppoe", link: packet.LinkEthernet, headers: []header{eth(0x8864), pppoe, raw(0, byte(pp))}},
		{name: "qinq pppoe", link: packet.LinkEthernet, headers: []header{eth(0x8100), vlan(5, 0x8100), vlan(6, 0x8864), pppoe, raw(0, byte(pp))}},
		{name: "mpls", link: packet.LinkEthernet, headers: []header{eth(0x8847), mpls(16)}},
		{name: "mpls stack", link: packet.LinkEthernet, headers: []header{eth(0x8848), mpls(16, 17, 18)}},
		{name: "pseudowire", link: packet.LinkEthernet, headers: []header{eth(0x8847), mpls(16), raw(0, 0, 0, 9), eth(et)}, loose: true},
		{name: "pseudowire without control word", link: packet.LinkEthernet, headers: []header{eth(0x8847), mpls(16), eth(et)}, loose: true},
		{name: "ethernet bridged", link: packet.LinkEthernet, headers: []header{eth(0x6558), eth(et)}},
		{name: "raw", link: packet.LinkRaw},
		{name: "raw 12", link: packet.LinkRawBSD},
		{name: "raw 14", link: packet.LinkRawOpenBSD},
		{name: "one version", link: version},
		{name: "null", link: packet.LinkNull, headers: []header{raw(af, 0, 0, 0)}},
		{name: "null big endian", link: packet.LinkNull, headers: []header{raw(0, 0, 0, af)}},
		{name: "loop", link: packet.LinkLoop, headers: []header{raw(0, 0, 0, af)}},
		{name: "sll", link: packet.LinkSLL, headers: []header{sll(et)}},
		{name: "sll vlan", link: packet.LinkSLL, headers: []header{sll(0x8100), vlan(5, et)}},
		{name: "sll llc", link: packet.LinkSLL, headers: []header{sll(4), snap(et)}},
		{name: "sll2", link: packet.LinkSLL2, headers: []header{sll2(et)}},
		{name: "ppp", link: packet.LinkPPP, headers: []header{ppp(pp)}},
		{name: "ppp without framing", link: packet.LinkPPP, headers: []header{raw(0, byte(pp))}},
		{name: "ppp compressed", link: packet.LinkPPP, headers: []header{raw(byte(pp))}},
		{name: "ppp mpls", link: packet.LinkPPP, headers: []header{ppp(0x281), mpls(16)}},
		{name: "ppp hdlc", link: packet.LinkPPPSerial, headers: []header{ppp(pp)}},
		{name: "ppp hdlc cisco", link: packet.LinkPPPSerial, headers: []header{raw(0x0f, 0, byte(et>>8), byte(et))}},
		{name: "ppp ether", link: packet.LinkPPPoE, headers: []header{pppoe, raw(0, byte(pp))}},
		{name: "pppd", link: packet.LinkPPPD, headers: []header{raw(1, 3, 0, byte(pp))}},
		{name: "ppp with dir", link: packet.LinkPPPWithDir, headers: []header{raw(1), ppp(pp)}},
		{name: "c-hdlc", link: packet.LinkCiscoHDLC, headers: []header{raw(0x8f, 0, byte(et>>8), byte(et))}},
		{name: "c-hdlc ppp", link: packet.LinkCiscoHDLC, headers: []header{ppp(pp)}},
		{name: "atm", link: packet.LinkATM, headers: []header{snap(et)}},
		{name: "mpls link", link: packet.LinkMPLS, headers: []header{mpls(16)}},
		{name: "wifi", link: packet.LinkWiFi, headers: []header{wifi(8, 1), snap(et)}},
		{name: "wifi qos", link: packet.LinkWiFi, headers: []header{wifi(0x88, 1, qos...), snap(et)}},
		{name: "wifi wds", link: packet.LinkWiFi, headers: []header{wifi(8, 3, make([]byte, 6)...), snap(et)}},
		{name: "wifi wds qos htc", link: packet.LinkWiFi, headers: []header{wifi(0x88, 0x83, make([]byte, 12)...), snap(et)}},
		{name: "wifi amsdu", link: packet.LinkWiFi, headers: []header{wifi(0x88, 1, 0x80, 0), eth8023, snap(et)}},
		{name: "radiotap", link: packet.LinkRadiotap, headers: []header{radiotap(0), wifi(8, 1), snap(et)}},
		{name: "radiotap fcs", link: packet.LinkRadiotap, headers: []header{radiotap(0x10), pad(4), wifi(8, 1), snap(et)}},
		{name: "radiotap pad", link: packet.LinkRadiotap, headers: []header{radiotap(0x20), wifi(0x88, 1, 0, 0, 0, 0), snap(et)}},
		{name: "radiotap long", link: packet.LinkRadiotap, headers: []header{
			raw(join([]byte{0, 0}, le16(26), le32(1<<31|3), le32(0), make([]byte, 4+8), []byte{0x10, 0})...), pad(4), wifi(8, 1), snap(et),
		}},
		{name: "ppi", link: packet.LinkPPI, headers: []header{
			raw(join([]byte{0, 0}, le16(32), le32(105), le16(2), le16(20), make([]byte, 8), []byte{1}, make([]byte, 11))...),
			pad(4), wifi(8, 1), snap(et),
		}},
		{name: "ppi ethernet", link: packet.LinkPPI, headers: []header{raw(join([]byte{0, 0}, le16(8), le32(1))...), eth(et)}},
		{name: "prism", link: packet.LinkPrism, headers: []header{raw(join(le32(0x44), le32(144), make([]byte, 136))...), wifi(8, 1), snap(et)}},
		{name: "prism avs", link: packet.LinkPrism, headers: []header{raw(join(u32(0x80211001), u32(64), make([]byte, 56))...), wifi(8, 1), snap(et)}},
		{name: "avs", link: packet.LinkAVS, headers: []header{raw(join(u32(0x80211001), u32(64), make([]byte, 56))...), wifi(8, 1), snap(et)}},
		{name: "sll wifi", link: packet.LinkSLL, headers: []header{raw(join(u16(0), u16(801), make([]byte, 12))...), wifi(8, 1), snap(et)}},
		{name: "sll prism", link: packet.LinkSLL, headers: []header{raw(join(u16(0), u16(802), make([]byte, 12))...), raw(join(le32(0x44), le32(64), make([]byte, 56))...), wifi(8, 1), snap(et)}},
		{name: "sll radiotap", link: packet.LinkSLL, headers: []header{raw(join(u16(0), u16(803), make([]byte, 12))...), radiotap(0), wifi(8, 1), snap(et)}},
		{name: "nflog", link: packet.LinkNFLog, headers: []header{nflog(af)}},
		{name: "nflog big endian", link: packet.LinkNFLog, headers: []header{func(rest []byte) []byte {
			return join([]byte{af, 0, 0, 5}, u16(8), u16(10), []byte("abcd"), u16(4+len(rest)), u16(9), rest)
		}}},
		{name: "pflog", link: packet.LinkPFLog, headers: []header{raw(append([]byte{61, af}, make([]byte, 62)...)...)}},
		{name: "pktap", link: packet.LinkPktap, headers: []header{raw(join(le32(108), le32(1), le32(1), make([]byte, 96))...), eth(et)}},
	}
	if !six {
		all = append(all, under{name: "802.3 llc", link: packet.LinkEthernet, headers: []header{eth8023, raw(6, 6, 3)}})
	}
	return all
}

// tunnels are the ways to carry IPv4 or IPv6 in IP; each starts with its outer IP header.
func tunnels(six bool) []under {
	et, pp, ipip, gpe := 0x0800, 0x21, byte(4), byte(1)
	if six {
		et, pp, ipip, gpe = 0x86dd, 0x57, 41, 2
	}
	out4 := func(proto byte) header { return ip4To(outerA4, outerB4, proto) }
	out6 := func(proto byte) header { return ip6To(outerA6, outerB6, proto) }
	erspan2 := raw(0x10, 5, 0, 9, 0, 0, 0, 0)
	all := []under{
		{name: "in 4", headers: []header{out4(ipip)}, kind: packet.LayerIPv4},
		{name: "in 6", headers: []header{out6(ipip)}, kind: packet.LayerIPv6, outer6: true},
		{name: "gre", headers: []header{out4(47), gre(0, et)}, kind: packet.LayerGRE, keyed: true},
		{name: "gre in 6", headers: []header{out6(47), gre(0, et)}, kind: packet.LayerGRE, keyed: true, outer6: true},
		{name: "gre all fields", headers: []header{out4(47), gre(0xb000, et, 1, 2, 0, 0, 0, 0, 0, 42, 0, 0, 0, 1)}, kind: packet.LayerGRE, id: 42, keyed: true},
		{name: "gre routing", headers: []header{out4(47), gre(0x4000, et, 0, 0, 0, 0, 8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0)}, kind: packet.LayerGRE, keyed: true},
		{name: "gre mpls", headers: []header{out4(47), gre(0, 0x8847), mpls(16)}, kind: packet.LayerGRE, keyed: true},
		{name: "nvgre", headers: []header{out4(47), gre(0x2000, 0x6558, 0, 0x12, 0x34, 1), eth(et)}, kind: packet.LayerGRE, id: 0x123401, keyed: true},
		{name: "pptp", headers: []header{out4(47), pptp, ppp(pp)}, kind: packet.LayerPPTP, id: 99},
		{name: "erspan 1", headers: []header{out4(47), gre(0, 0x88be), eth(et)}, kind: packet.LayerERSPAN, keyed: true},
		{name: "erspan 2", headers: []header{out4(47), gre(0x1000, 0x88be, 0, 0, 0, 1), erspan2, eth(et)}, kind: packet.LayerERSPAN, id: 9, keyed: true},
		{name: "erspan 3", headers: []header{out4(47), gre(0x1000, 0x22eb, 0, 0, 0, 1), raw(0x20, 5, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0), eth(et)}, kind: packet.LayerERSPAN, id: 9, keyed: true},
		{name: "erspan 3 platform", headers: []header{out4(47), gre(0x1000, 0x22eb, 0, 0, 0, 1), raw(0x20, 5, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8), eth(et)}, kind: packet.LayerERSPAN, id: 9, keyed: true},
		{name: "erspan 3 ip", headers: []header{out4(47), gre(0x1000, 0x22eb, 0, 0, 0, 1), raw(0x20, 5, 0, 9, 0, 0, 0, 0, 0, 0, 8, 0)}, kind: packet.LayerERSPAN, id: 9, keyed: true},
		{name: "etherip", headers: []header{out4(97), raw(0x30, 0), eth(et)}, kind: packet.LayerEtherIP},
		{name: "ethernet in 6", headers: []header{out6(143), eth(et)}, kind: packet.LayerIPv6, outer6: true},
		{name: "mpls in ip", headers: []header{out4(137), mpls(16)}, kind: packet.LayerIPv4},
		{name: "l2tpv3", headers: []header{out4(115), raw(0, 0, 0, 7), eth(et)}, kind: packet.LayerL2TP, id: 7, loose: true},
		{name: "l2tpv3 cookie", headers: []header{out4(115), raw(0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8), eth(et)}, kind: packet.LayerL2TP, id: 7, loose: true},
		{name: "vxlan", headers: []header{out4(17), udp(50000, 4789), vxlan(1234), eth(et)}, kind: packet.LayerVXLAN, id: 1234, guessed: true, keyed: true},
		{name: "vxlan 8472 in 6", headers: []header{out6(17), udp(50000, 8472), vxlan(1234), eth(0x8100), vlan(9, et)}, kind: packet.LayerVXLAN, id: 1234, guessed: true, keyed: true, outer6: true},
		{name: "vxlan-gpe ip", headers: []header{out4(17), udp(50000, 4790), raw(0x0c, 0, 0, gpe, 0, 0, 5, 0)}, kind: packet.LayerVXLAN, id: 5, guessed: true, keyed: true},
		{name: "vxlan-gpe mpls", headers: []header{out4(17), udp(50000, 4790), raw(0x0c, 0, 0, 5, 0, 0, 5, 0), mpls(3)}, kind: packet.LayerVXLAN, id: 5, guessed: true, keyed: true},
		{name: "geneve", headers: []header{out4(17), udp(50000, 6081), geneve(77, 0x6558), eth(et)}, kind: packet.LayerGeneve, id: 77, guessed: true, keyed: true},
		{name: "geneve options ip", headers: []header{out4(17), udp(50000, 6081), geneve(77, et, 1, 2, 3, 4, 5, 6, 7, 8)}, kind: packet.LayerGeneve, id: 77, guessed: true, keyed: true},
		{name: "gtp", headers: []header{out4(17), udp(2152, 50000), gtp(0x30, 0xabcd)}, kind: packet.LayerGTP, id: 0xabcd, guessed: true},
		{name: "gtp sequence", headers: []header{out4(17), udp(50000, 2152), gtp(0x32, 0xabcd, 0, 1, 0, 0)}, kind: packet.LayerGTP, id: 0xabcd, guessed: true},
		{name: "gtp extensions", headers: []header{out4(17), udp(2152, 2152), gtp(0x34, 0xabcd, 0, 0, 0, 0x85, 1, 0, 1, 0xc0, 2, 0, 0, 0, 0, 0, 0, 0)}, kind: packet.LayerGTP, id: 0xabcd, guessed: true},
		{name: "l2tp", headers: []header{out4(17), udp(1701, 1701), l2tp, ppp(pp)}, kind: packet.LayerL2TP, id: 3<<16 | 4, guessed: true},
		{name: "l2tp plain", headers: []header{out4(17), udp(50000, 1701), raw(0, 2, 0, 3, 0, 4, 0, byte(pp))}, kind: packet.LayerL2TP, id: 3<<16 | 4, guessed: true},
		{name: "l2tpv3 udp", headers: []header{out4(17), udp(1701, 1701), raw(0, 3, 0, 0, 0, 0, 0, 7), eth(et)}, kind: packet.LayerL2TP, id: 7, guessed: true},
		{name: "capwap", headers: []header{out4(17), udp(50000, 5247), capwap(0), eth(et)}, kind: packet.LayerCAPWAP, guessed: true},
		{name: "capwap wifi", headers: []header{out4(17), udp(5247, 50000), capwap(1<<9 | 1<<8), wifi(8, 1), snap(et)}, kind: packet.LayerCAPWAP, guessed: true},
		{name: "capwap wifi swapped", headers: []header{out4(17), udp(5247, 50000), capwap(1<<9 | 1<<8), wifi(1, 8), snap(et)}, kind: packet.LayerCAPWAP, guessed: true},
		{name: "tzsp", headers: []header{out4(17), udp(50000, 37008), raw(1, 0, 0, 1, 0, 10, 1, 9, 1), eth(et)}, kind: packet.LayerTZSP, guessed: true},
		{name: "tzsp wifi", headers: []header{out4(17), udp(50000, 37008), raw(1, 0, 0, 18, 1), wifi(8, 1), snap(et)}, kind: packet.LayerTZSP, guessed: true},
		{name: "mpls in udp", headers: []header{out4(17), udp(50000, 6635), mpls(16)}, kind: packet.LayerIPv4, guessed: true},
		{name: "teredo in 6", headers: []header{out4(17), udp(50000, 3544), out6(ipip)}, kind: packet.LayerIPv6, guessed: true},
		{name: "teredo auth origin in 6", headers: []header{
			out4(17), udp(3544, 50000), raw(0, 1, 2, 3, 'i', 'd', 'a', 'u', 't', 0, 0, 0, 0, 0, 0, 0, 0, 0), raw(0, 0, 1, 2, 3, 4, 5, 6), out6(ipip),
		}, kind: packet.LayerIPv6, guessed: true},
	}
	if !six {
		all = append(all,
			under{name: "gre wccp", headers: []header{out4(47), gre(0, 0x883e), raw(0, 0, 0, 0)}, kind: packet.LayerGRE, keyed: true, loose: true},
			under{name: "gre wccp 1", headers: []header{out4(47), gre(0, 0x883e)}, kind: packet.LayerGRE, keyed: true},
		)
	}
	return all
}
