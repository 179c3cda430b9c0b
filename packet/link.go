package packet

import "encoding/binary"

// Ethernet types (IEEE registry).
const (
	etherIPv4        = 0x0800
	etherTransBridge = 0x6558
	etherVLAN        = 0x8100
	etherIPv6        = 0x86dd
	etherMPLS        = 0x8847
	etherMPLSMulti   = 0x8848
	etherPPPoE       = 0x8864
	etherJumboLLC    = 0x8870
	etherQinQ        = 0x88a8
	etherVNTag       = 0x8926
	etherQinQOld     = 0x9100
	etherQinQOld2    = 0x9200
	etherMaxLength   = 1500 // up to here the field is a length (IEEE 802.3 §3.2.6)
)

// link decodes what a frame of link type l starts with.
func (w *walk) link(l LinkType) {
	if l == LinkEthernet { // most are
		w.ethernet()
		return
	}
	switch l {
	case LinkRaw, LinkRawBSD, LinkRawOpenBSD:
		w.anyIP()
	case LinkIPv4:
		w.ipv4()
	case LinkIPv6:
		w.ipv6()
	case LinkNull, LinkLoop:
		w.loopback()
	case LinkSLL:
		w.sll()
	case LinkSLL2:
		w.sll2()
	case LinkPPP:
		w.ppp()
	case LinkPPPSerial:
		w.pppSerial()
	case LinkPPPoE:
		w.pppoe()
	case LinkPPPD:
		w.pppDirection(true)
	case LinkPPPWithDir:
		w.pppDirection(false)
	case LinkCiscoHDLC:
		w.hdlc()
	case LinkATM:
		w.llc()
	case LinkMPLS:
		w.mpls()
	case LinkWiFi:
		w.wifi(false)
	case LinkRadiotap:
		w.radiotap()
	case LinkPrism:
		w.prism()
	case LinkAVS:
		w.avs()
	case LinkPPI:
		w.ppi()
	case LinkNFLog:
		w.nflog()
	case LinkPFLog:
		w.pflog()
	case LinkPktap:
		w.pktap()
	default:
		w.fail(UnknownLink)
	}
}

func (w *walk) ethernet() {
	if !w.push(LayerEthernet, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 14 {
		w.fail(TruncatedLink)
		return
	}
	w.off += 14
	w.etherType(binary.BigEndian.Uint16(h[12:14]))
}

// etherType decodes what follows an Ethernet type, or the length that IEEE 802.3 has in its place.
func (w *walk) etherType(t uint16) {
	if t == etherIPv4 { // most are
		w.ipv4()
		return
	}
	switch t {
	case etherIPv6:
		w.ipv6()
	case etherVLAN, etherQinQ, etherQinQOld, etherQinQOld2:
		w.vlan()
	case etherMPLS, etherMPLSMulti:
		w.mpls()
	case etherPPPoE:
		w.pppoe()
	case etherVNTag:
		w.vnTag()
	case etherTransBridge:
		w.ethernet()
	case etherJumboLLC:
		w.llc()
	default: // ARP, LLDP, MACsec, provider backbone bridges, …
		if t <= etherMaxLength {
			w.claim(int(t))
			w.llc()
			return
		}
		w.fail(NotIP)
	}
}

func (w *walk) vlan() {
	if !w.push(LayerVLAN, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 4 {
		w.fail(TruncatedLink)
		return
	}
	w.setID(uint32(binary.BigEndian.Uint16(h) & 0xfff))
	w.off += 4
	w.etherType(binary.BigEndian.Uint16(h[2:4]))
}

// vnTag decodes an IEEE 802.1BR or Cisco VN-Tag.
func (w *walk) vnTag() {
	if !w.push(LayerVNTag, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 6 {
		w.fail(TruncatedLink)
		return
	}
	w.off += 6
	w.etherType(binary.BigEndian.Uint16(h[4:6]))
}

// llc decodes an IEEE 802.2 header, and the SNAP header that follows it when it holds an Ethernet type (RFC 1042).
func (w *walk) llc() {
	if !w.push(LayerLLC, 0) {
		return
	}
	const snap = 0xaaaa03
	h := w.data[w.off:]
	if len(h) < 3 {
		w.truncated(3, TruncatedLink, BadLink)
		return
	}
	switch uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2]) {
	case 0x060603: // the IP service access point
		w.off += 3
		w.ipv4()
		return
	case snap:
	default:
		w.fail(NotIP)
		return
	}
	if len(h) < 8 {
		w.truncated(8, TruncatedLink, BadLink)
		return
	}
	oui := uint32(h[3])<<16 | uint32(h[4])<<8 | uint32(h[5])
	t := binary.BigEndian.Uint16(h[6:8])
	if oui != 0 && oui != 0x0000f8 || t <= etherMaxLength { // 00-00-F8: IEEE 802.1H bridge tunnel
		w.fail(NotIP)
		return
	}
	w.off += 8
	w.etherType(t)
}

// loopback decodes the address family of BSD loopback frames. NULL has it in the capturing host's byte order, LOOP in
// network order, and files mix that up: the small number is the right one.
func (w *walk) loopback() {
	if !w.push(LayerLoopback, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 4 {
		w.fail(TruncatedLink)
		return
	}
	family := min(binary.LittleEndian.Uint32(h), binary.BigEndian.Uint32(h))
	w.off += 4
	w.family(family)
}

// family decodes what an address family announces. That of IPv6 differs: 10 Linux, 23 Windows, 24 NetBSD and OpenBSD,
// 28 FreeBSD, 30 macOS.
func (w *walk) family(family uint32) {
	switch family {
	case 2:
		w.ipv4()
	case 10, 23, 24, 28, 30:
		w.ipv6()
	default:
		w.fail(NotIP)
	}
}

// sll decodes a LINUX_SLL header: packet type, ARPHRD type, address length, address, protocol.
func (w *walk) sll() {
	if !w.push(LayerSLL, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 16 {
		w.fail(TruncatedLink)
		return
	}
	w.off += 16
	w.cooked(binary.BigEndian.Uint16(h[2:4]), binary.BigEndian.Uint16(h[14:16]))
}

// sll2 decodes a LINUX_SLL2 header: protocol, reserved, interface, ARPHRD type, packet type, address length, address.
func (w *walk) sll2() {
	if !w.push(LayerSLL2, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 20 {
		w.fail(TruncatedLink)
		return
	}
	w.off += 20
	w.cooked(binary.BigEndian.Uint16(h[8:10]), binary.BigEndian.Uint16(h[0:2]))
}

// cooked decodes what follows a "cooked" header. The protocol is an Ethernet type, unless the ARPHRD type says otherwise.
func (w *walk) cooked(arphrd, protocol uint16) {
	const (
		arphrdWiFi     = 801
		arphrdPrism    = 802
		arphrdRadiotap = 803
		arphrdNetlink  = 824
		protoLLC       = 4 // ETH_P_802_2
	)
	switch {
	case arphrd == arphrdNetlink:
		w.fail(NotIP)
	case arphrd == arphrdWiFi:
		w.wifi(false)
	case arphrd == arphrdPrism:
		w.prism()
	case arphrd == arphrdRadiotap:
		w.radiotap()
	case protocol == protoLLC:
		w.llc()
	case protocol <= etherMaxLength:
		w.fail(NotIP)
	default:
		w.etherType(protocol)
	}
}
