package bpf

// namedNumber returns the value of a named constant: offsets of fields, types of ICMP, flags of TCP.
func namedNumber(name string) (uint32, bool) {
	switch name {
	case "icmptype", "icmp6type", "icmp-echoreply":
		return 0, true
	case "icmpcode", "icmp6code", "icmp6-destinationunreach", "tcp-fin":
		return 1, true
	case "icmp6-packettoobig", "tcp-syn":
		return 2, true
	case "icmp-unreach", "icmp6-timeexceeded":
		return 3, true
	case "icmp-sourcequench", "icmp6-parameterproblem", "tcp-rst":
		return 4, true
	case "icmp-redirect":
		return 5, true
	case "icmp-echo", "tcp-push":
		return 8, true
	case "icmp-routeradvert":
		return 9, true
	case "icmp-routersolicit":
		return 10, true
	case "icmp-timxceed":
		return 11, true
	case "icmp-paramprob":
		return 12, true
	case "icmp-tstamp", "tcpflags":
		return 13, true
	case "icmp-tstampreply":
		return 14, true
	case "icmp-ireq":
		return 15, true
	case "icmp-ireqreply", "tcp-ack":
		return 16, true
	case "icmp-maskreq":
		return 17, true
	case "icmp-maskreply":
		return 18, true
	case "tcp-urg":
		return 32, true
	case "tcp-ece":
		return 64, true
	case "tcp-cwr", "icmp6-echo":
		return 128, true
	}
	for i, n := range [...]string{
		"echoreply", "multicastlistenerquery", "multicastlistenerreportv1", "multicastlistenerdone", "routersolicit",
		"routeradvert", "neighborsolicit", "neighboradvert", "redirect", "routerrenum", "nodeinformationquery",
		"nodeinformationresponse", "ineighbordiscoverysolicit", "ineighbordiscoveryadvert", "multicastlistenerreportv2",
		"homeagentdiscoveryrequest", "homeagentdiscoveryreply", "mobileprefixsolicit", "mobileprefixadvert",
		"certpathsolicit", "certpathadvert", "", "multicastrouteradvert", "multicastroutersolicit", "multicastrouterterm",
	} {
		if n != "" && len(name) == len(n)+6 && name[:6] == "icmp6-" && name[6:] == n {
			return uint32(129 + i), true
		}
	}
	return 0, false
}

// protocol is a word that names a protocol.
type protocol uint8

const (
	protoNone protocol = iota
	protoLink
	protoIP
	protoIPv6
	protoARP
	protoRARP
	protoTCP
	protoUDP
	protoSCTP
	protoICMP
	protoICMPv6
	protoIGMP
	protoIGRP
	protoPIM
	protoVRRP
	protoAH
	protoESP
	protoATALK
	protoAARP
	protoDECnet
	protoLAT
	protoSCA
	protoMOPDL
	protoMOPRC
	protoISO
	protoESIS
	protoISIS
	protoCLNP
	protoL1
	protoL2
	protoIIH
	protoLSP
	protoSNP
	protoCSNP
	protoPSNP
	protoSTP
	protoIPX
	protoNetBEUI
	protoRadio
)

// protocolOf returns the protocol of a keyword, or protoNone.
func protocolOf(word string) protocol {
	switch word {
	case "link", "ether", "ppp", "slip", "fddi", "tr", "wlan":
		return protoLink
	case "ip":
		return protoIP
	case "ip6":
		return protoIPv6
	case "arp":
		return protoARP
	case "rarp":
		return protoRARP
	case "tcp":
		return protoTCP
	case "udp":
		return protoUDP
	case "sctp":
		return protoSCTP
	case "icmp":
		return protoICMP
	case "icmp6":
		return protoICMPv6
	case "igmp":
		return protoIGMP
	case "igrp":
		return protoIGRP
	case "pim":
		return protoPIM
	case "vrrp", "carp":
		return protoVRRP
	case "ah":
		return protoAH
	case "esp":
		return protoESP
	case "atalk":
		return protoATALK
	case "aarp":
		return protoAARP
	case "decnet":
		return protoDECnet
	case "lat":
		return protoLAT
	case "sca":
		return protoSCA
	case "mopdl":
		return protoMOPDL
	case "moprc":
		return protoMOPRC
	case "iso":
		return protoISO
	case "esis", "es-is":
		return protoESIS
	case "isis", "is-is":
		return protoISIS
	case "clnp":
		return protoCLNP
	case "l1":
		return protoL1
	case "l2":
		return protoL2
	case "iih":
		return protoIIH
	case "lsp":
		return protoLSP
	case "snp":
		return protoSNP
	case "csnp":
		return protoCSNP
	case "psnp":
		return protoPSNP
	case "stp":
		return protoSTP
	case "ipx":
		return protoIPX
	case "netbeui":
		return protoNetBEUI
	case "radio":
		return protoRadio
	}
	return protoNone
}

// isKeyword tells the words of the language, which are no names unless a backslash is before them.
func isKeyword(word string) bool {
	switch word {
	case "dst", "src", "host", "net", "mask", "port", "portrange", "proto", "protochain", "gateway",
		"less", "greater", "byte", "broadcast", "multicast", "len", "length", "inbound", "outbound", "ifindex",
		"vlan", "mpls", "pppoed", "pppoes", "geneve":
		return true
	}
	return protocolOf(word) != protoNone || unsupported(word)
}

// unsupported tells the words of the language whose primitives are refused.
func unsupported(word string) bool {
	switch word {
	case "type", "subtype", "direction", "dir", "address1", "addr1", "address2", "addr2", "address3", "addr3",
		"address4", "addr4", "ra", "ta", "lane", "llc", "metac", "bcc", "oam", "oamf4", "oamf4ec", "oamf4sc", "sc",
		"ilmic", "vpi", "vci", "connectmsg", "metaconnect", "on", "ifname", "rset", "ruleset", "rnr", "rulenum",
		"srnr", "subrulenum", "reason", "action", "fisu", "lssu", "lsu", "msu", "hfisu", "hlssu", "hmsu", "sio",
		"opc", "dpc", "sls", "hsio", "hopc", "hdpc", "hsls":
		return true
	}
	return false
}

// Numbers of IP protocols.
const (
	ipTCP      = 6
	ipUDP      = 17
	ipFragment = 44
	ipSCTP     = 132
)

// ipProtocol returns the number of a protocol by its name in the registry of IANA.
func ipProtocol(name string) (uint32, bool) {
	switch name {
	case "ip", "hopopt":
		return 0, true
	case "icmp":
		return 1, true
	case "igmp":
		return 2, true
	case "ipencap":
		return 4, true
	case "tcp":
		return ipTCP, true
	case "egp":
		return 8, true
	case "igp":
		return 9, true
	case "udp":
		return ipUDP, true
	case "ipv6":
		return 41, true
	case "ipv6-route":
		return 43, true
	case "ipv6-frag":
		return ipFragment, true
	case "rsvp":
		return 46, true
	case "gre":
		return 47, true
	case "esp":
		return 50, true
	case "ah":
		return 51, true
	case "ipv6-icmp":
		return 58, true
	case "ipv6-nonxt":
		return 59, true
	case "ipv6-opts":
		return 60, true
	case "eigrp":
		return 88, true
	case "ospf":
		return 89, true
	case "ipip":
		return 94, true
	case "etherip":
		return 97, true
	case "pim":
		return 103, true
	case "ipcomp":
		return 108, true
	case "vrrp":
		return 112, true
	case "l2tp":
		return 115, true
	case "sctp":
		return ipSCTP, true
	case "udplite":
		return 136, true
	}
	return 0, false
}

// EtherTypes, and LLC service access points, which are the numbers up to 1500.
const (
	sapIP      = 0x06
	sapSTP     = 0x42
	sapIPX     = 0xe0
	sapNetBEUI = 0xf0
	sapISO     = 0xfe

	longestLength = 1500 // larger is an EtherType

	etherIP     = 0x0800
	etherARP    = 0x0806
	etherMOPDL  = 0x6001
	etherMOPRC  = 0x6002
	etherDECnet = 0x6003
	etherLAT    = 0x6004
	etherSCA    = 0x6007
	etherRARP   = 0x8035
	etherATALK  = 0x809b
	etherAARP   = 0x80f3
	etherVLAN   = 0x8100
	etherIPX    = 0x8137
	etherIPv6   = 0x86dd
	etherMPLS   = 0x8847
	etherPPPoED = 0x8863
	etherPPPoES = 0x8864
	etherQinQ   = 0x88a8
	etherQinQ91 = 0x9100
)

// linkProtocol returns the EtherType or service access point of a name.
func linkProtocol(name string) (uint32, bool) {
	switch name {
	case "ip":
		return etherIP, true
	case "ip6":
		return etherIPv6, true
	case "arp":
		return etherARP, true
	case "rarp":
		return etherRARP, true
	case "aarp":
		return etherAARP, true
	case "atalk":
		return etherATALK, true
	case "decnet":
		return etherDECnet, true
	case "lat":
		return etherLAT, true
	case "loopback":
		return 0x9000, true
	case "mopdl":
		return etherMOPDL, true
	case "moprc":
		return etherMOPRC, true
	case "sca":
		return etherSCA, true
	case "iso":
		return sapISO, true
	case "stp":
		return sapSTP, true
	case "ipx":
		return sapIPX, true
	case "netbeui":
		return sapNetBEUI, true
	}
	return 0, false
}

// service is a port by name, and the protocol it is registered for: ipTCP, ipUDP, or 0 for both.
type service struct {
	port, proto uint32
}

func serviceOf(name string) (service, bool) {
	switch name {
	case "echo":
		return service{7, 0}, true
	case "discard":
		return service{9, 0}, true
	case "daytime":
		return service{13, 0}, true
	case "chargen":
		return service{19, 0}, true
	case "ftp-data":
		return service{20, ipTCP}, true
	case "ftp":
		return service{21, ipTCP}, true
	case "ssh":
		return service{22, ipTCP}, true
	case "telnet":
		return service{23, ipTCP}, true
	case "smtp", "mail":
		return service{25, ipTCP}, true
	case "time":
		return service{37, 0}, true
	case "whois":
		return service{43, ipTCP}, true
	case "tacacs":
		return service{49, 0}, true
	case "domain":
		return service{53, 0}, true
	case "bootps":
		return service{67, ipUDP}, true
	case "bootpc":
		return service{68, ipUDP}, true
	case "tftp":
		return service{69, ipUDP}, true
	case "finger":
		return service{79, ipTCP}, true
	case "http", "www":
		return service{80, ipTCP}, true
	case "kerberos":
		return service{88, 0}, true
	case "pop3":
		return service{110, ipTCP}, true
	case "sunrpc":
		return service{111, 0}, true
	case "nntp":
		return service{119, ipTCP}, true
	case "ntp":
		return service{123, ipUDP}, true
	case "imap", "imap2":
		return service{143, ipTCP}, true
	case "snmp":
		return service{161, 0}, true
	case "snmp-trap":
		return service{162, 0}, true
	case "bgp":
		return service{179, ipTCP}, true
	case "ldap":
		return service{389, 0}, true
	case "https":
		return service{443, 0}, true
	case "isakmp":
		return service{500, ipUDP}, true
	case "syslog":
		return service{514, ipUDP}, true
	case "ldaps":
		return service{636, 0}, true
	case "imaps":
		return service{993, ipTCP}, true
	case "pop3s":
		return service{995, ipTCP}, true
	case "openvpn":
		return service{1194, 0}, true
	case "radius":
		return service{1812, 0}, true
	case "mysql":
		return service{3306, ipTCP}, true
	case "sip":
		return service{5060, 0}, true
	case "postgresql":
		return service{5432, ipTCP}, true
	}
	return service{}, false
}
