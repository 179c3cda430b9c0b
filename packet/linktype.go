package packet

import "strconv"

// The link types that a [Decoder] understands, by their LINKTYPE_ numbers.
const (
	LinkNull       LinkType = 0   // BSD loopback: address family in the capturing host's byte order
	LinkEthernet   LinkType = 1   // Ethernet II or IEEE 802.3
	LinkPPP        LinkType = 9   // PPP, with or without its HDLC address and control bytes
	LinkRawBSD     LinkType = 12  // IPv4 or IPv6: DLT_RAW of most systems, written unmapped
	LinkRawOpenBSD LinkType = 14  // IPv4 or IPv6: DLT_RAW of OpenBSD, written unmapped
	LinkPPPSerial  LinkType = 50  // PPP in HDLC-like framing, or Cisco HDLC
	LinkPPPoE      LinkType = 51  // PPPoE session header first (RFC 2516)
	LinkATM        LinkType = 100 // LLC-encapsulated ATM (RFC 2684)
	LinkRaw        LinkType = 101 // IPv4 or IPv6
	LinkCiscoHDLC  LinkType = 104 // Cisco HDLC (RFC 1547 §4.3.1)
	LinkWiFi       LinkType = 105 // IEEE 802.11
	LinkLoop       LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkSLL        LinkType = 113 // Linux "cooked" capture, version 1
	LinkPFLog      LinkType = 117 // OpenBSD packet filter log
	LinkPrism      LinkType = 119 // Prism header, then IEEE 802.11
	LinkRadiotap   LinkType = 127 // radiotap header, then IEEE 802.11
	LinkAVS        LinkType = 163 // AVS header, then IEEE 802.11
	LinkPPPD       LinkType = 166 // PPP whose address byte is a direction
	LinkPPI        LinkType = 192 // per-packet information header, then the link type it names
	LinkPPPWithDir LinkType = 204 // a direction byte, then PPP
	LinkMPLS       LinkType = 219 // MPLS label stack
	LinkIPv4       LinkType = 228 // IPv4
	LinkIPv6       LinkType = 229 // IPv6
	LinkNFLog      LinkType = 239 // Linux netfilter log
	LinkPktap      LinkType = 258 // macOS packet tap header, then the link type it names
	LinkSLL2       LinkType = 276 // Linux "cooked" capture, version 2
)

// String returns the registry's name for the link types that are decoded, in capitals as the registry has it, and
// "link type N" for all others.
func (l LinkType) String() string {
	switch l {
	case LinkNull:
		return "NULL"
	case LinkEthernet:
		return "ETHERNET"
	case LinkPPP:
		return "PPP"
	case LinkRaw, LinkRawBSD, LinkRawOpenBSD:
		return "RAW"
	case LinkPPPSerial:
		return "PPP_HDLC"
	case LinkPPPoE:
		return "PPP_ETHER"
	case LinkATM:
		return "ATM_RFC1483"
	case LinkCiscoHDLC:
		return "C_HDLC"
	case LinkWiFi:
		return "IEEE802_11"
	case LinkLoop:
		return "LOOP"
	case LinkSLL:
		return "LINUX_SLL"
	case LinkPFLog:
		return "PFLOG"
	case LinkPrism:
		return "IEEE802_11_PRISM"
	case LinkRadiotap:
		return "IEEE802_11_RADIOTAP"
	case LinkAVS:
		return "IEEE802_11_AVS"
	case LinkPPPD:
		return "PPP_PPPD"
	case LinkPPI:
		return "PPI"
	case LinkPPPWithDir:
		return "PPP_WITH_DIR"
	case LinkMPLS:
		return "MPLS"
	case LinkIPv4:
		return "IPV4"
	case LinkIPv6:
		return "IPV6"
	case LinkNFLog:
		return "NFLOG"
	case LinkPktap:
		return "PKTAP"
	case LinkSLL2:
		return "LINUX_SLL2"
	}
	return "link type " + strconv.FormatUint(uint64(l), 10)
}
