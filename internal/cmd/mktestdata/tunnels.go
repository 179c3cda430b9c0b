package main

import "github.com/tcpfollow/tcpfollow/internal/pktgen"

// tunnels returns one capture per kind of tunnel, all of the same conversation.
func tunnels() []capture {
	link := pktgen.Ethernet{}
	inner := pktgen.Ethernet{Src: pktgen.MAC{2, 0, 0, 0, 1, 1}, Dst: pktgen.MAC{2, 0, 0, 0, 1, 2}}
	wifi, snap := pktgen.Dot11{ToDS: true}, pktgen.SNAP{}
	four := pktgen.IPv4{Src: addr("203.0.113.1"), Dst: addr("203.0.113.2")}
	six := pktgen.IPv6{Src: addr("2001:db8:ffff::1"), Dst: addr("2001:db8:ffff::2")}
	udp, zero := pktgen.UDP{}, pktgen.UDP{Checksum: pktgen.Fixed(0)}
	ppp := pktgen.PPP{HDLC: true}
	return all("tunnels/", []stack{
		{name: "ipip", what: "IPv4 in IPv4", outer: of(link, four)},
		{name: "6in4", what: "IPv6 in IPv4", ipv6: true, outer: of(link, four)},
		{name: "4in6", what: "IPv4 in IPv6", outer: of(link, six)},
		{name: "6in6", what: "IPv6 in IPv6", ipv6: true, outer: of(link, six)},
		{name: "gre", what: "GRE", outer: of(link, four, pktgen.GRE{})},
		{name: "gre-all", what: "GRE with checksum, key and sequence number, in IPv6", outer: of(link, six, pktgen.GRE{Checksum: true, Key: pktgen.Fixed(42), Seq: pktgen.Fixed(7)})},
		{name: "gre-mpls", what: "MPLS in GRE", outer: of(link, four, pktgen.GRE{}, pktgen.MPLS{Label: 18})},
		{name: "pptp", what: "PPP in enhanced GRE", outer: of(link, four, pktgen.PPTP{Call: 5, Seq: pktgen.Fixed(1), Ack: pktgen.Fixed(1)}, ppp)},
		{name: "nvgre", what: "Ethernet in GRE with a virtual subnet", outer: of(link, four, pktgen.GRE{Key: pktgen.Fixed(0x00123405)}, inner)},
		{name: "erspan1", what: "ERSPAN type I", outer: of(link, four, pktgen.GRE{Type: pktgen.Fixed(0x88be)}, inner)},
		{name: "erspan2", what: "ERSPAN type II", outer: of(link, four, pktgen.GRE{Seq: pktgen.Fixed(1)}, pktgen.ERSPAN{Session: 9, VLAN: 10}, inner)},
		{name: "erspan3", what: "ERSPAN type III", outer: of(link, four, pktgen.GRE{Seq: pktgen.Fixed(1)}, pktgen.ERSPAN{Session: 9, VLAN: 10, TypeIII: true}, inner)},
		{name: "erspan3-platform", what: "ERSPAN type III with the platform subheader", outer: of(link, four, pktgen.GRE{Seq: pktgen.Fixed(1)}, pktgen.ERSPAN{Session: 9, TypeIII: true, Platform: make([]byte, 8)}, inner)},
		{name: "vxlan", what: "VXLAN without UDP checksum", outer: of(link, four, zero, pktgen.VXLAN{VNI: 5001}, inner)},
		{name: "vxlan-vlan", what: "VXLAN between VLAN tags", outer: of(link, pktgen.VLAN{ID: 7}, six, udp, pktgen.VXLAN{VNI: 5001}, inner, pktgen.VLAN{ID: 8})},
		{name: "vxlan-gpe", what: "IPv4 in VXLAN-GPE", outer: of(link, four, pktgen.UDP{Src: 4790, Dst: 4790}, pktgen.VXLAN{VNI: 5001})},
		{name: "geneve", what: "Ethernet in Geneve with an option", outer: of(link, four, udp, pktgen.Geneve{VNI: 5002, Options: []byte{0, 1, 2, 1, 0, 0, 0, 0}}, inner)},
		{name: "geneve-ip", what: "IPv4 in Geneve", outer: of(link, six, udp, pktgen.Geneve{VNI: 5002})},
		{name: "gtp", what: "GTP-U", outer: of(link, four, pktgen.UDP{Src: 2152, Dst: 2152}, pktgen.GTPU{TEID: 77})},
		{name: "gtp-5g", what: "GTP-U with sequence number and PDU session container", outer: of(link, four, pktgen.UDP{Src: 2152, Dst: 2152}, pktgen.GTPU{TEID: 77, Seq: pktgen.Fixed(3), Container: true})},
		{name: "l2tp", what: "L2TP version 2 with length and sequence numbers", outer: of(link, four, pktgen.UDP{Src: 1701, Dst: 1701}, pktgen.L2TP{Tunnel: 3, Session: 4, Sized: true, Sequenced: true}, ppp)},
		{name: "l2tp-bare", what: "L2TP version 2 with no optional field", outer: of(link, four, pktgen.UDP{Src: 1701, Dst: 1701}, pktgen.L2TP{Tunnel: 3, Session: 4}, ppp)},
		{name: "l2tpv3", what: "Ethernet in L2TP version 3 over IP", outer: of(link, four, pktgen.Header{Bytes: []byte{0, 0, 0, 9}, Protocol: 115}, inner)},
		{name: "teredo", what: "Teredo with authentication and origin", ipv6: true, outer: of(link, four, udp, pktgen.Teredo{Authenticated: true, Origin: endpoint("192.0.2.99:3545")})},
		{name: "teredo-bare", what: "Teredo without indications", ipv6: true, outer: of(link, four, udp, pktgen.Teredo{})},
		{name: "capwap", what: "Ethernet in CAPWAP", outer: of(link, four, udp, pktgen.CAPWAP{Radio: 1}, inner)},
		{name: "capwap-wifi", what: "802.11 in CAPWAP", outer: of(link, four, udp, pktgen.CAPWAP{Radio: 1}, wifi, snap)},
		{name: "tzsp", what: "Ethernet in TZSP with tags", outer: of(link, four, udp, pktgen.TZSP{Tags: []byte{0, 10, 1, 0xce}}, inner)},
		{name: "tzsp-wifi", what: "802.11 in TZSP", outer: of(link, four, udp, pktgen.TZSP{}, wifi, snap)},
		{name: "etherip", what: "EtherIP", outer: of(link, four, pktgen.Header{Bytes: []byte{0x30, 0}, Protocol: 97}, inner)},
		{name: "mpls-ip", what: "IPv4 behind three MPLS labels", outer: of(link, pktgen.MPLS{Label: 16}, pktgen.MPLS{Label: 17}, pktgen.MPLS{Label: 18})},
		{name: "mpls-ether", what: "Ethernet pseudowire with control word in MPLS", outer: of(link, pktgen.MPLS{Label: 16, ControlWord: true}, inner)},
		{name: "pppoe", what: "PPPoE in a VLAN", outer: of(link, pktgen.VLAN{ID: 7}, pktgen.PPPoE{Session: 17}, pktgen.PPP{})},
		{name: "vntag", what: "VN-Tag before a VLAN", outer: of(link, pktgen.VNTag{}, pktgen.VLAN{ID: 7})},
		{name: "ah", what: "authentication header in IPv4 in IPv4", outer: of(link, four, pktgen.Extension{Type: pktgen.Authentication, Data: []byte{0, 0, 0, 0, 0, 9, 0, 0, 0, 1}})},
		{name: "nested", what: "GTP-U in GRE in VXLAN in MPLS", outer: of(link, pktgen.MPLS{Label: 16}, four, udp, pktgen.VXLAN{VNI: 1}, inner, four, pktgen.GRE{}, six, pktgen.UDP{Src: 2152, Dst: 2152}, pktgen.GTPU{TEID: 1})},
	})
}
