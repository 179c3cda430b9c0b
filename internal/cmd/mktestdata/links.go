package main

import (
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// stack is a small conversation in layers.
type stack struct {
	name, what string
	link       packet.LinkType // instead of the outermost layer's own, when not 0
	ipv6       bool
	outer      []pktgen.Layer
}

func (s stack) capture() capture {
	c := &pktgen.Conversation{Outer: s.outer}
	if s.ipv6 {
		c.ClientAddr, c.ServerAddr = hello6().ClientAddr, hello6().ServerAddr
	}
	frames := say(c).Frames()
	if s.link != 0 {
		for i := range frames {
			frames[i].Link = s.link
		}
	}
	return capture{name: s.name + ".pcap", what: s.what, data: pktgen.Pcap(pktgen.PcapFormat{}, frames), frames: len(frames)}
}

func of(layers ...pktgen.Layer) []pktgen.Layer { return append([]pktgen.Layer{}, layers...) }

// links returns one capture per link type, all of the same conversation.
func links() []capture {
	wifi, snap := pktgen.Dot11{ToDS: true}, pktgen.SNAP{}
	checked := pktgen.Dot11{ToDS: true, QoS: true, FCS: true}
	ppp := pktgen.PPP{HDLC: true}
	stacks := []stack{
		{name: "null", what: "BSD loopback, little endian", outer: of(pktgen.Null{})},
		{name: "null-big", what: "BSD loopback, big endian, IPv6", ipv6: true, outer: of(pktgen.Null{BigEndian: true})},
		{name: "ethernet", what: "Ethernet II, padded to 60 bytes", outer: of(pktgen.Ethernet{MinSize: 60})},
		{name: "ethernet-fcs", what: "Ethernet II, padded, with four bytes behind", outer: of(pktgen.Ethernet{MinSize: 60, Trailer: []byte{1, 2, 3, 4}})},
		{name: "ethernet-snap", what: "802.3 with LLC and SNAP", outer: of(pktgen.Ethernet{MinSize: 60}, snap)},
		{name: "ppp", what: "PPP with address and control", outer: of(ppp)},
		{name: "ppp-bare", what: "PPP without address and control", outer: of(pktgen.PPP{})},
		{name: "raw-12", what: "raw IP by its unmapped number on most systems", link: packet.LinkType(12), outer: of()},
		{name: "raw-14", what: "raw IP by its unmapped number on OpenBSD", link: packet.LinkType(14), ipv6: true, outer: of()},
		{name: "ppp-hdlc", what: "PPP in HDLC-like framing", link: 50, outer: of(ppp)},
		{name: "ppp-hdlc-cisco", what: "Cisco HDLC under the number of PPP in HDLC", link: 50, outer: of(pktgen.CiscoHDLC{})},
		{name: "ppp-ether", what: "PPPoE without Ethernet", outer: of(pktgen.PPPoE{Session: 1}, pktgen.PPP{})},
		{name: "atm", what: "LLC on ATM (RFC 2684)", outer: of(snap)},
		{name: "raw", what: "raw IP", outer: of()},
		{name: "chdlc", what: "Cisco HDLC", outer: of(pktgen.CiscoHDLC{})},
		{name: "wifi", what: "802.11 data frames, no frame check sequence", outer: of(wifi, snap)},
		{name: "loop", what: "OpenBSD loopback", outer: of(pktgen.Loop{})},
		{name: "sll", what: "Linux cooked, version 1", outer: of(pktgen.SLL{})},
		{name: "pflog", what: "OpenBSD packet filter log", outer: of(pflog())},
		{name: "prism", what: "Prism header before 802.11", outer: of(prism(), wifi, snap)},
		{name: "radiotap", what: "radiotap before 802.11 with QoS and frame check sequence", outer: of(pktgen.Radiotap{}, checked, snap)},
		{name: "avs", what: "AVS header before 802.11", outer: of(avs(), wifi, snap)},
		{name: "pppd", what: "PPP with a direction in place of the address", outer: of(pktgen.Header{Bytes: []byte{1, 3}, Link: 166}, pktgen.PPP{})},
		{name: "ppi", what: "PPI before Ethernet", outer: of(pktgen.PPI{Fields: []byte{0x30, 0x75, 4, 0, 1, 2, 3, 4}}, pktgen.Ethernet{})},
		{name: "ppi-wifi", what: "PPI before 802.11", outer: of(pktgen.PPI{}, wifi, snap)},
		{name: "ppp-dir", what: "PPP behind a direction byte", outer: of(pktgen.Header{Bytes: []byte{0}, Link: 204}, ppp)},
		{name: "mpls", what: "MPLS without a link layer", outer: of(pktgen.MPLS{Label: 16}, pktgen.MPLS{Label: 17})},
		{name: "ipv4", what: "IPv4 by its own number", link: 228, outer: of()},
		{name: "ipv6", what: "IPv6 by its own number", link: 229, ipv6: true, outer: of()},
		{name: "nflog", what: "Linux netfilter log", outer: of(pktgen.NFLOG{Prefix: "web: "})},
		{name: "pktap", what: "macOS packet tap before Ethernet", outer: of(pktap(1), pktgen.Ethernet{})},
		{name: "sll2", what: "Linux cooked, version 2", outer: of(pktgen.SLL2{})},
	}
	return all("links/", stacks)
}

func all(dir string, stacks []stack) []capture {
	out := make([]capture, 0, len(stacks))
	for _, s := range stacks {
		s.name = dir + s.name
		out = append(out, s.capture())
	}
	return out
}

// pflog is the 64-byte header; its length byte leaves out the last three.
func pflog() pktgen.Layer {
	b := make([]byte, 64)
	b[0], b[1], b[60] = 61, 2, 1 // length, AF_INET, inbound
	copy(b[4:], "em0")
	return pktgen.Header{Bytes: b, Link: 117}
}

func prism() pktgen.Layer {
	b := make([]byte, 144)
	binary.LittleEndian.PutUint32(b, 0x44) // message code: a sniffed frame
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	copy(b[8:], "wlan0")
	return pktgen.Header{Bytes: b, Link: 119}
}

func avs() pktgen.Layer {
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b, 0x80211001)
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)))
	return pktgen.Header{Bytes: b, Link: 163}
}

func pktap(link uint32) pktgen.Layer {
	b := make([]byte, 108)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], 1) // record type: a packet
	binary.LittleEndian.PutUint32(b[8:], link)
	copy(b[12:], "en0")
	binary.LittleEndian.PutUint32(b[40:], 2)  // protocol family: AF_INET
	binary.LittleEndian.PutUint32(b[44:], 14) // link-layer header length
	return pktgen.Header{Bytes: b, Link: 258}
}
