package appid

import (
	"bytes"
	"encoding/binary"
)

// protocol is one that is told by its first bytes, or guessed by its port.
type protocol struct {
	name, category string
	stream         signature // of TCP; nil where there is none
	datagram       signature // of UDP
	tcp, udp       []uint16  // registered ports (IANA), for the guess
	custom         bool      // a Classifier of the user
}

// protocols returns all that are known, the surest first: the first that matches counts. Names and categories are those
// of nDPI, so that results can be compared.
func protocols() []protocol {
	return []protocol{
		{name: "BitTorrent", category: "Download", stream: eitherText("\x13BitTorrent protocol"), datagram: dataText("d1:ad2:id20:", "d1:rd2:id20:", "d1:el")},
		{name: "VNC", category: "RemoteAccess", stream: eitherText("RFB 003.", "RFB 004."), tcp: []uint16{5900, 5901}},
		{name: "AMQP", category: "RPC", stream: clientText("AMQP"), tcp: []uint16{5672}},
		{name: "Gnutella", category: "Download", stream: clientText("GNUTELLA CONNECT/", "GNUTELLA/"), datagram: dataText("GND\x01", "GND\x02")},
		{name: "RSYNC", category: "DataTransfer", stream: eitherText("@RSYNCD:"), tcp: []uint16{873}},
		{name: "Jabber", category: "Web", stream: jabber, tcp: []uint16{5222, 5269}},
		{name: "POP3", category: "Email", stream: serverText("+OK"), tcp: []uint16{110}},
		{name: "IMAP", category: "Email", stream: serverText("* OK ", "* PREAUTH "), tcp: []uint16{143}},
		{name: "SMTP", category: "Email", stream: bothText([]string{"EHLO ", "HELO ", "LHLO "}, []string{"220"}), tcp: []uint16{25, 587}},
		{name: "FTP_CONTROL", category: "Download", stream: ftp, tcp: []uint16{21}},
		{name: "Usenet", category: "Web", stream: bothText([]string{"MODE READER", "GROUP ", "ARTICLE ", "AUTHINFO "}, []string{"200", "201"}), tcp: []uint16{119}},
		{name: "IRC", category: "Chat", stream: irc, tcp: []uint16{6667}},
		{name: "Redis", category: "Database", stream: redis, tcp: []uint16{6379}},
		{name: "Memcached", category: "Network", stream: memcached, datagram: packetOf(8+4, memcachedUDP), tcp: []uint16{11211}, udp: []uint16{11211}},
		{name: "NATS", category: "RPC", stream: serverText("INFO {"), tcp: []uint16{4222}},
		{name: "FIX", category: "RPC", stream: clientText("8=FIX.4.", "8=FIXT.1.")},
		{name: "Git", category: "Collaborative", stream: fixed(8, git), tcp: []uint16{9418}},
		{name: "HTTP2", category: "Web", stream: clientText("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
		{name: "RTSP", category: "Media", stream: startLine("RTSP/1.0", clientBytes), tcp: []uint16{554}},
		{name: "SIP", category: "VoIP", stream: startLine("SIP/2.0", clientBytes), datagram: dataLine("SIP/2.0"), tcp: []uint16{5060}, udp: []uint16{5060}},
		{name: "SSDP", category: "System", datagram: ssdp, udp: []uint16{1900}},
		{name: "Telnet", category: "RemoteAccess", stream: telnet, tcp: []uint16{23}},
		{name: "RDP", category: "RemoteAccess", stream: fixed(7, rdp), tcp: []uint16{3389}},
		{name: "H323", category: "VoIP", stream: fixed(7, h323), tcp: []uint16{1720}},
		{name: "S7Comm", category: "IoT-Scada", stream: fixed(8, s7comm), tcp: []uint16{102}},
		{name: "SMBv1", category: "System", stream: fixed(8, smb("\xffSMB"))},
		{name: "SMBv23", category: "System", stream: fixed(8, smb("\xfeSMB")), tcp: []uint16{445}},
		{name: "NetBIOS", category: "System", stream: fixed(72, netbiosSession), datagram: packetOf(12, netbiosDatagram), tcp: []uint16{139}, udp: []uint16{137, 138}},
		{name: "MySQL", category: "Database", stream: answered(16, mysql), tcp: []uint16{3306}},
		{name: "PostgreSQL", category: "Database", stream: fixed(8, postgres), tcp: []uint16{5432}},
		{name: "MsSQL-TDS", category: "Database", stream: fixed(13, tds), tcp: []uint16{1433}},
		{name: "MongoDB", category: "Database", stream: fixed(16, mongo), tcp: []uint16{27017}},
		{name: "Cassandra", category: "Database", stream: fixed(9, cassandra), tcp: []uint16{9042}},
		{name: "MQTT", category: "IoT-Scada", stream: fixed(9, mqtt), tcp: []uint16{1883}},
		{name: "BGP", category: "Network", stream: fixed(19, bgp), tcp: []uint16{179}},
		{name: "RTMP", category: "Media", stream: rtmp, tcp: []uint16{1935}},
		{name: "SOCKS", category: "Web", stream: socks, tcp: []uint16{1080}},
		{name: "PPTP", category: "VPN", stream: fixed(10, pptp), tcp: []uint16{1723}},
		{name: "LDAP", category: "System", stream: fixed(10, ldap), datagram: packetOf(10, ldap), tcp: []uint16{389}, udp: []uint16{389}},
		{name: "Kerberos", category: "Network", stream: fixed(10, kerberosTCP), datagram: packetOf(6, kerberos), tcp: []uint16{88}, udp: []uint16{88}},
		{name: "DCE_RPC", category: "RPC", stream: fixed(10, dcerpc), tcp: []uint16{135}},
		{name: "DNP3", category: "IoT-Scada", stream: fixed(10, dnp3), tcp: []uint16{20000}},
		{name: "IEC60870", category: "IoT-Scada", stream: fixed(6, iec104), tcp: []uint16{2404}},
		{name: "OPC-UA", category: "IoT-Scada", stream: clientText("HELF", "OPNF"), tcp: []uint16{4840}},
		{name: "EthernetIP", category: "IoT-Scada", stream: fixed(24, ethernetIP), tcp: []uint16{44818}},
		{name: "Modbus", category: "IoT-Scada", stream: fixed(8, modbus), tcp: []uint16{502}},
		{name: "OpenVPN", category: "VPN", stream: fixed(16, openVPNTCP), datagram: packetOf(14, openVPN), tcp: []uint16{1194}, udp: []uint16{1194}},
		{name: "Syslog", category: "System", stream: syslogTCP, datagram: packetOf(5, syslog), tcp: []uint16{514}, udp: []uint16{514}},
		{name: "WireGuard", category: "VPN", datagram: packetOf(32, wireGuard), udp: []uint16{51820}},
		{name: "STUN", category: "Network", datagram: packetOf(20, stun), udp: []uint16{3478}},
		{name: "DHCP", category: "Network", datagram: packetOf(240, dhcp), udp: []uint16{67, 68}},
		{name: "DHCPV6", category: "Network", datagram: packetOf(4, dhcp6), udp: []uint16{546, 547}},
		{name: "NTP", category: "System", datagram: packetOf(48, ntp), udp: []uint16{123}},
		{name: "SNMP", category: "Network", datagram: packetOf(10, snmp), udp: []uint16{161, 162}},
		{name: "Radius", category: "Network", datagram: packetOf(20, radius), udp: []uint16{1812, 1813}},
		{name: "IPSec", category: "VPN", datagram: packetOf(28, isakmp), udp: []uint16{500, 4500}},
		{name: "TFTP", category: "DataTransfer", datagram: packetOf(6, tftp), udp: []uint16{69}},
		{name: "SLP", category: "Network", datagram: packetOf(16, slp), tcp: []uint16{427}, udp: []uint16{427}},
		{name: "VXLAN", category: "Network", datagram: packetOf(8, vxlan), udp: []uint16{4789}},
		{name: "COAP", category: "RPC", datagram: packetOf(4, coap), udp: []uint16{5683}},
		{name: "NetFlow", category: "Network", datagram: packetOf(20, netflow), udp: []uint16{2055}},
		{name: "sFlow", category: "Network", datagram: packetOf(28, sflow), udp: []uint16{6343}},
		{name: "RIP", category: "Network", datagram: packetOf(24, rip), udp: []uint16{520}},
		{name: "L2TP", category: "VPN", datagram: packetOf(12, l2tp), udp: []uint16{1701}},
		{name: "Dropbox", category: "Cloud", datagram: dataText(`{"host_int": `), udp: []uint16{17500}},
		{name: "Spotify", category: "Music", datagram: dataText("SpotUdp0")},
		{name: "SourceEngine", category: "Game", datagram: dataText("\xff\xff\xff\xffTSource Engine Query")},
		{name: "RTCP", category: "VoIP", datagram: packetOf(8, rtcp)},
		{name: "RTP", category: "Media", datagram: rtp},
		{name: "TLS", category: "Web", stream: tlsRecords, tcp: []uint16{443, 8443}},
		// By port alone: what they say first is not enough to tell.
		{name: "DNS", category: "Network", tcp: []uint16{53}, udp: []uint16{53}},
		{name: "MDNS", category: "Network", udp: []uint16{5353}},
		{name: "LLMNR", category: "Network", udp: []uint16{5355}},
		{name: "HTTP", category: "Web", tcp: []uint16{80, 8080}},
		{name: "QUIC", category: "Web", udp: []uint16{443}},
		{name: "SSH", category: "RemoteAccess", tcp: []uint16{22}},
		{name: "Whois-DAS", category: "Network", tcp: []uint16{43}},
		{name: "IMAPS", category: "Email", tcp: []uint16{993}},
		{name: "POPS", category: "Email", tcp: []uint16{995}},
		{name: "SMTPS", category: "Email", tcp: []uint16{465}},
		{name: "FTPS", category: "Download", tcp: []uint16{990}},
		{name: "LDAPS", category: "System", tcp: []uint16{636}},
		{name: "Oracle", category: "Database", tcp: []uint16{1521}},
	}
}

// tlsRecords is TLS met in mid-stream: records of application data.
func tlsRecords(s *sample) verdict {
	one := func(b []byte) verdict {
		switch {
		case len(b) < 5:
			return starts(b, "\x17\x03"[:min(len(b), 2)])
		case b[0] == 0x17 && b[1] == 3 && b[2] <= 4 && be16(b[3:]) > 0 && be16(b[3:]) <= maxRecord+256:
			return yes
		}
		return no
	}
	v := no
	for _, b := range [2][]byte{s.client, s.server} {
		if len(b) >= 5 {
			v = either(v, one(b))
		} else if len(b) > 0 {
			v = either(v, min(one(b), more))
		}
	}
	return v
}

func jabber(s *sample) verdict {
	if v := starts(s.client, "<"); v != yes {
		return v
	}
	switch {
	case bytes.Contains(s.client[:min(len(s.client), 512)], []byte("<stream:stream")):
		return yes
	case len(s.client) < 64:
		return more
	}
	return no
}

// ftp needs both sides: mail servers greet alike, and other protocols have the command (RFC 959).
func ftp(s *sample) verdict {
	g := starts(s.server, "220")
	if g != yes || len(s.client) == 0 {
		return min(g, more)
	}
	return either(startsFold(s.client, "USER "), startsFold(s.client, "AUTH "), startsFold(s.client, "FEAT\r\n"), startsFold(s.client, "SYST\r\n"))
}

func irc(s *sample) verdict {
	return either(starts(s.client, "NICK "), starts(s.client, "CAP LS"), starts(s.server, "NOTICE AUTH"), starts(s.server, ":irc."))
}

func redis(s *sample) verdict {
	l, ok := line(s.client)
	if !ok {
		if v := starts(s.client, "*"); v != yes || len(s.client) > 8 {
			return either(no, v&more)
		}
		return more
	}
	if len(l) < 2 || l[0] != '*' || !digits(l[1:]) {
		return no
	}
	if rest := s.client[len(l)+2:]; len(rest) > 0 {
		return starts(rest[:1], "$")
	}
	return more
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

func memcached(s *sample) verdict {
	c := anyText(s.client, []string{"get ", "set ", "stats", "version\r\n", "gets "})
	if c != yes || len(s.server) == 0 {
		return min(c, more)
	}
	return anyText(s.server, []string{"VALUE ", "END\r\n", "STORED\r\n", "STAT ", "VERSION "})
}

func memcachedUDP(b []byte, s *sample) bool {
	if !s.onPort(11211) || be16(b[4:]) == 0 || b[6] != 0 || b[7] != 0 {
		return false
	}
	return anyText(b[8:], []string{"get ", "set ", "stats", "gets ", "VALUE ", "END\r", "STAT "}) == yes
}

func git(b []byte, _ *sample) bool {
	for _, c := range b[:4] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return bytes.HasPrefix(b[4:], []byte("git-"))
}

// dataLine is startLine for datagrams.
func dataLine(version string) signature {
	f := startLine(version, dataBytes)
	return func(s *sample) verdict { return whole(f(s)) }
}

func ssdp(s *sample) verdict {
	if v := anyText(s.data, []string{"M-SEARCH * HTTP/1.1\r\n", "NOTIFY * HTTP/1.1\r\n"}); v == yes {
		return yes
	}
	if s.onPort(1900) {
		return whole(starts(s.data, "HTTP/1.1 200 OK\r\n"))
	}
	return no
}

// telnet starts with the negotiation of options (RFC 854).
func telnet(s *sample) verdict {
	one := func(b []byte) verdict {
		switch {
		case len(b) < 3:
			return starts(b, "\xff"[:min(len(b), 1)]) & more
		case b[0] == 0xff && b[1] >= 0xfa && b[1] <= 0xfe:
			return yes
		}
		return no
	}
	return either(one(s.client), one(s.server))
}

// tpkt reports whether b starts with an RFC 1006 packet of a COTP type.
func tpkt(b []byte, kind byte) bool {
	return b[0] == 3 && b[1] == 0 && be16(b[2:]) >= 7 && b[5] == kind
}

func rdp(b []byte, s *sample) bool { return tpkt(b, 0xe0) && (be16(b[2:]) >= 11 && !s.onPort(102)) }

func h323(b []byte, _ *sample) bool { return b[0] == 3 && b[1] == 0 && b[4] == 8 && b[5] == 2 }

func s7comm(b []byte, s *sample) bool {
	return tpkt(b, 0xf0) && b[6] == 0x80 && b[7] == 0x32 || s.onPort(102) && tpkt(b, 0xe0)
}

// smb is behind the four bytes of NetBIOS sessions (MS-SMB2 §2.1).
func smb(magic string) func([]byte, *sample) bool {
	return func(b []byte, _ *sample) bool { return b[0] == 0 && string(b[4:8]) == magic }
}

// netbiosSession is a session request with its two encoded names (RFC 1002 §4.3.2).
func netbiosSession(b []byte, _ *sample) bool {
	return b[0] == 0x81 && b[1] == 0 && be16(b[2:]) == 68 && b[4] == 32 && b[38] == 32
}

func netbiosDatagram(b []byte, s *sample) bool {
	switch {
	case s.onPort(137):
		return looksLikeDNS(b) || be16(b[8:])+be16(b[10:]) > 0 && b[2]&0x78 <= 0x78 && b[4] == 0
	case s.onPort(138):
		return b[0] >= 0x10 && b[0] <= 0x16
	}
	return false
}

// mysql is the server's greeting: protocol 10, and a version in text.
func mysql(b []byte, _ *sample) bool {
	size := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	i := bytes.IndexByte(b[5:], 0)
	return b[3] == 0 && b[4] == 10 && size > 20 && size < 1024 && i > 0 && b[5] >= '0' && b[5] <= '9' || b[3] == 0 && b[4] == 0xff && size < 512 && size > 3 && s4(b)
}

// s4 reports whether a MySQL error packet holds an error number that servers send before the greeting.
func s4(b []byte) bool { n := int(b[5]) | int(b[6])<<8; return n >= 1000 && n < 2000 }

func postgres(b []byte, _ *sample) bool {
	n, code := be32(b), be32(b[4:])
	return code == 196608 && n > 8 && n < 1<<14 || n == 8 && (code == 80877103 || code == 80877104) || n == 16 && code == 80877102
}

// tds is a PRELOGIN (MS-TDS §2.2.6.5): its first option is the version.
func tds(b []byte, _ *sample) bool {
	return b[0] == 0x12 && b[1] <= 1 && be16(b[2:]) > 8 && b[4] == 0 && b[5] == 0 && b[7] == 0 && b[8] == 0
}

func mongo(b []byte, _ *sample) bool {
	size, op := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[12:])
	return size > 16 && size < 48<<20 && binary.LittleEndian.Uint32(b[8:]) == 0 && (op == 2004 || op == 2010 || op == 2012 || op == 2013)
}

func cassandra(b []byte, _ *sample) bool {
	return b[0] >= 3 && b[0] <= 5 && b[1]&^0x1f == 0 && (b[4] == 1 || b[4] == 5) && be32(b[5:]) < 1<<12 && (b[4] == 1) == (be32(b[5:]) > 0)
}

func mqtt(b []byte, _ *sample) bool {
	if b[0] != 0x10 {
		return false
	}
	at := 1
	for b[at]&0x80 != 0 && at < 4 {
		at++
	}
	return bytes.HasPrefix(b[at+1:], []byte("\x00\x04MQ")) || bytes.HasPrefix(b[at+1:], []byte("\x00\x06MQ"))
}

func bgp(b []byte, _ *sample) bool {
	return string(b[:16]) == string(bytes.Repeat([]byte{0xff}, 16)) && be16(b[16:]) >= 19 && be16(b[16:]) <= 4096 && b[18] >= 1 && b[18] <= 5
}

// rtmp is version 3 on both sides, and the four bytes of C1 that are zero.
func rtmp(s *sample) verdict {
	if len(s.client) < 9 || len(s.server) < 1 {
		if len(s.client) > 0 && s.client[0] != 3 || len(s.server) > 0 && s.server[0] != 3 {
			return no
		}
		return more
	}
	if s.client[0] == 3 && s.server[0] == 3 && be32(s.client[5:]) == 0 {
		return yes
	}
	return no
}

// socks is version 5 with its answer (RFC 1928 §3), or a request of version 4.
func socks(s *sample) verdict {
	c := s.client
	if len(c) < 3 {
		return more
	}
	switch {
	case c[0] == 5 && c[1] > 0 && len(c) >= 2+int(c[1]):
		if len(s.server) < 2 {
			return more
		}
		if s.server[0] == 5 && (s.server[1] == 0xff || bytes.IndexByte(c[2:2+int(c[1])], s.server[1]) >= 0) {
			return yes
		}
	case c[0] == 4 && (c[1] == 1 || c[1] == 2):
		if len(c) < 9 || len(s.server) < 2 {
			return more
		}
		if s.server[0] == 0 && s.server[1] >= 90 && s.server[1] <= 93 {
			return yes
		}
	}
	return no
}

func pptp(b []byte, _ *sample) bool { return be32(b[4:]) == 0x1a2b3c4d && be16(b[2:]) == 1 }

// ldap is a message with a number and a bind or search request, or an answer (RFC 4511 §4.1.1).
func ldap(b []byte, _ *sample) bool {
	at, n, ok := ber(b)
	if b[0] != 0x30 || !ok || n < 5 || at+4 > len(b) || b[at] != 2 || b[at+1] == 0 || b[at+1] > 4 {
		return false
	}
	op := at + 2 + int(b[at+1])
	return op < len(b) && (b[op] == 0x60 || b[op] == 0x61 || b[op] == 0x63 || b[op] == 0x64 || b[op] == 0x77)
}

// kerberos is a message with an application tag (RFC 4120 §5.10).
func kerberos(b []byte, _ *sample) bool {
	at, n, ok := ber(b)
	if !ok || b[0] < 0x6a || b[0] > 0x7e || at >= len(b) || b[at] != 0x30 {
		return false
	}
	switch b[0] & 0x1f {
	case 10, 11, 12, 13, 14, 15, 30:
		return n > 10 && at+3 < len(b)
	}
	return false
}

func kerberosTCP(b []byte, s *sample) bool {
	return be32(b) > 20 && be32(b) < 1<<16 && kerberos(b[4:], s)
}

func dcerpc(b []byte, _ *sample) bool {
	return b[0] == 5 && b[1] <= 1 && b[2] == 11 && b[4] == 0x10 && b[5] == 0 && b[6] == 0 && b[7] == 0
}

func dnp3(b []byte, _ *sample) bool { return b[0] == 5 && b[1] == 0x64 && b[2] >= 5 && b[3]&0x40 != 0 }

func iec104(b []byte, s *sample) bool {
	return s.onPort(2404) && b[0] == 0x68 && b[1] >= 4 && (b[2]&3 == 3 && b[1] == 4 || b[2]&1 == 0 || b[2] == 1)
}

func ethernetIP(b []byte, _ *sample) bool {
	command := binary.LittleEndian.Uint16(b)
	return (command == 0x65 || command == 0x63 || command == 0x64 || command == 4) && binary.LittleEndian.Uint32(b[8:]) == 0 &&
		binary.LittleEndian.Uint32(b[20:]) == 0 && (command != 0x65 || binary.LittleEndian.Uint16(b[2:]) == 4)
}

// modbus has so little to tell it by that the port must agree.
func modbus(b []byte, s *sample) bool {
	return s.onPort(502) && be16(b[2:]) == 0 && be16(b[4:]) >= 2 && be16(b[4:]) <= 254 && b[7] >= 1 && b[7] <= 0x2b
}

// openVPN is a hard reset of client or server, key 0, and an acknowledgement array that is empty for the client.
func openVPN(b []byte, s *sample) bool {
	return b[0] == 0x38 && (b[13] == 0 || len(b) >= 42) && s.fromClient || b[0] == 0x40 && !s.fromClient && (b[9] <= 4 || len(b) >= 42)
}

func openVPNTCP(b []byte, _ *sample) bool {
	n := be16(b)
	return b[2] == 0x38 && n >= 14 && n < 200 && (n == len(b)-2 && b[15] == 0 || n == 42 || n == 54 || n == 86)
}

func syslog(b []byte, s *sample) bool {
	i := bytes.IndexByte(b[:min(len(b), 5)], '>')
	return b[0] == '<' && i >= 2 && digits(b[1:i]) && (s.onPort(514) || i+1 < len(b) && (b[i+1] == '1' || b[i+1] >= 'A' && b[i+1] <= 'S'))
}

func syslogTCP(s *sample) verdict { return judged(s.client, 16, syslog, s) }

// wireGuard is an initiation or its response, or data: types and lengths of the WireGuard protocol description §5.4.
func wireGuard(b []byte, _ *sample) bool {
	if b[1] != 0 || b[2] != 0 || b[3] != 0 {
		return false
	}
	return b[0] == 1 && len(b) == 148 || b[0] == 2 && len(b) == 92 || b[0] == 3 && len(b) == 64
}

// stun has the magic cookie of RFC 8489 §5.
func stun(b []byte, _ *sample) bool {
	n := be16(b[2:])
	return b[0]&0xc0 == 0 && be32(b[4:]) == 0x2112a442 && n%4 == 0 && n+20 <= len(b)
}

func dhcp(b []byte, _ *sample) bool {
	return (b[0] == 1 || b[0] == 2) && b[2] <= 16 && be32(b[236:]) == 0x63825363
}

func dhcp6(b []byte, s *sample) bool { return s.onPort(546, 547) && b[0] >= 1 && b[0] <= 13 }

func ntp(b []byte, s *sample) bool {
	version, mode := b[0]>>3&7, b[0]&7
	return s.onPort(123) && version >= 1 && version <= 4 && mode >= 1 && b[1] <= 16
}

// snmp is a sequence with a version, and a community or a header (RFC 3416, RFC 3412).
func snmp(b []byte, _ *sample) bool {
	at, n, ok := ber(b)
	if b[0] != 0x30 || !ok || at+n != len(b) || at+4 > len(b) || b[at] != 2 || b[at+1] != 1 {
		return false
	}
	return b[at+2] <= 1 && b[at+3] == 4 || b[at+2] == 3 && b[at+3] == 0x30
}

// radius has attributes that fill it (RFC 2865 §3).
func radius(b []byte, _ *sample) bool {
	switch b[0] {
	case 1, 2, 3, 4, 5, 11, 12, 13, 40, 41, 42, 43, 44, 45:
	default:
		return false
	}
	n := be16(b[2:])
	if n < 20 || n > len(b) {
		return false
	}
	rest := b[20:n]
	for len(rest) > 0 {
		if len(rest) < 2 || rest[0] == 0 || rest[1] < 2 || int(rest[1]) > len(rest) {
			return false
		}
		rest = rest[rest[1]:]
	}
	return n > 20 || b[0] == 5
}

// isakmp is IKE, behind four zero bytes on port 4500 (RFC 7296 §3.1, RFC 3948 §2.2).
func isakmp(b []byte, s *sample) bool {
	if !s.onPort(500, 4500) {
		return false
	}
	if be32(b) == 0 && len(b) >= 32 {
		b = b[4:]
	}
	return (b[17] == 0x10 || b[17] == 0x20 || b[17] == 0x21) && be32(b[24:]) == uint32(len(b)) && be32(b)|be32(b[4:]) != 0
}

func tftp(b []byte, _ *sample) bool {
	if b[0] != 0 || b[1] != 1 && b[1] != 2 {
		return false
	}
	name, rest, ok := bytes.Cut(b[2:], []byte{0})
	mode, _, ends := bytes.Cut(rest, []byte{0})
	if !ok || !ends || len(name) == 0 {
		return false
	}
	m := string(bytes.ToLower(mode))
	return m == "octet" || m == "netascii" || m == "mail"
}

func slp(b []byte, _ *sample) bool {
	return b[0] == 2 && b[1] >= 1 && b[1] <= 11 && int24(b[2:]) == len(b) && b[5]&0x1f == 0 && be16(b[12:]) <= 8
}

func vxlan(b []byte, s *sample) bool { return s.onPort(4789) && b[0] == 8 && b[7] == 0 }

func coap(b []byte, s *sample) bool { return s.onPort(5683) && b[0]>>6 == 1 && b[0]&15 <= 8 }

func netflow(b []byte, _ *sample) bool {
	n := be16(b[2:])
	switch be16(b) {
	case 5:
		return n > 0 && n <= 30 && len(b) == 24+48*n
	case 9:
		return n > 0 && len(b) > 24 && be16(b[20:]) <= 1 && be16(b[22:])+20 <= len(b)
	case 10:
		return n == len(b) && n > 20 && (be16(b[16:]) == 2 || be16(b[16:]) == 3 || be16(b[16:]) >= 256)
	}
	return false
}

func sflow(b []byte, s *sample) bool {
	return be32(b) == 5 && (be32(b[4:]) == 1 || be32(b[4:]) == 2) && s.onPort(6343)
}

func rip(b []byte, s *sample) bool {
	return s.onPort(520) && (b[0] == 1 || b[0] == 2) && (b[1] == 1 || b[1] == 2) && (len(b)-4)%20 == 0
}

func l2tp(b []byte, s *sample) bool { return s.onPort(1701) && b[0]&0xc8 == 0xc8 && b[1]&15 == 2 }

// rtcp is a compound of packets that fills the datagram (RFC 3550 §6.1).
func rtcp(b []byte, _ *sample) bool {
	if b[1] != 200 && b[1] != 201 {
		return false
	}
	for len(b) >= 4 {
		n := 4 * (be16(b[2:]) + 1)
		if b[0]>>6 != 2 || b[1] < 192 || b[1] > 223 || n > len(b) {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

// rtpState is the last RTP header of a side, and how many fitted together.
type rtpState struct {
	seq  uint16
	ssrc uint32
	kind byte
	n    int
}

// rtpPackets is how many headers must fit together: one alone says too little.
const rtpPackets = 4

// rtp is a few packets of one source with ascending numbers (RFC 3550 §5.1).
func rtp(s *sample) verdict {
	b, r := s.data, s.rtp
	if len(b) < 13 || b[0]>>6 != 2 || b[1]&0x7f >= 64 && b[1]&0x7f < 96 {
		return no
	}
	seq, ssrc, kind := uint16(be16(b[2:])), be32(b[8:]), b[1]&0x7f
	if step := seq - r.seq; r.n > 0 && (ssrc != r.ssrc || kind != r.kind || step == 0 || step > 8) {
		r.n = 0
	}
	r.seq, r.ssrc, r.kind = seq, ssrc, kind
	r.n++
	if r.n >= rtpPackets {
		return yes
	}
	return more
}
