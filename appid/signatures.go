package appid

import (
	"bytes"
	"encoding/binary"
)

// tlsRecords is TLS met in mid-stream: records of application data.
func tlsRecords(s *sample) verdict {
	one := func(b []byte) verdict {
		switch {
		case len(b) < 5:
			return min(starts(b[:min(len(b), 2)], "\x17\x03"), more)
		case b[0] == 0x17 && b[1] == 3 && b[2] <= 4 && be16(b[3:]) > 0 && be16(b[3:]) <= maxRecord+256:
			return yes
		}
		return no
	}
	return max(one(s.client), s.answer(one(s.server)))
}

func jabber(s *sample) verdict {
	if v := starts(s.client, "<"); v != yes {
		return v
	}
	switch {
	case bytes.Contains(s.client[:min(len(s.client), 512)], []byte("<stream:stream")):
		return yes
	case len(s.client) < 512:
		return more
	}
	return no
}

// ftp needs both sides: mail servers greet alike, and other protocols have the command (RFC 959).
func ftp(s *sample) verdict {
	g := s.answer(starts(s.server, "220"))
	if g != yes || len(s.client) == 0 {
		return min(g, more)
	}
	return max(startsFold(s.client, "USER "), startsFold(s.client, "AUTH "), startsFold(s.client, "FEAT\r\n"), startsFold(s.client, "SYST\r\n"))
}

func irc(s *sample) verdict {
	return max(starts(s.client, "NICK "), starts(s.client, "CAP LS"), s.answer(max(starts(s.server, "NOTICE AUTH"), starts(s.server, ":irc."))))
}

func redis(s *sample) verdict {
	l, rest, ok := bytes.Cut(s.client, []byte("\r\n"))
	if !ok {
		if len(s.client) > 32 {
			return no
		}
		return min(starts(s.client, "*"), more)
	}
	if len(l) < 2 || l[0] != '*' || !digits(l[1:]) {
		return no
	}
	if len(rest) > 0 {
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
			return min(starts(b, "\xff"), more)
		case b[0] == 0xff && b[1] >= 0xfa && b[1] <= 0xfe:
			return yes
		}
		return no
	}
	return max(one(s.client), s.answer(one(s.server)))
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

// mysql is the server's greeting: protocol 10, and a version in text; or an error in its place.
func mysql(s *sample) verdict {
	b := s.server
	if len(b) < 16 {
		return s.answer(more)
	}
	size := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	switch {
	case b[3] == 0 && b[4] == 0xff && size < 512 && size > 3 && s4(b):
		return yes
	case b[3] != 0 || b[4] != 10 || size <= 20 || size >= 1024 || b[5] < '0' || b[5] > '9':
		return no
	case bytes.IndexByte(b[5:], 0) < 0:
		return more
	}
	return yes
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
	case c[0] == 5 && c[1] > 0:
		if len(c) < 2+int(c[1]) || len(s.server) < 2 {
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
func ldap(b []byte, _ *sample) bool { return ldapMessage(b) == yes }

func ldapTCP(s *sample) verdict {
	if len(s.client) < 10 {
		return more
	}
	return ldapMessage(s.client)
}

func ldapMessage(b []byte) verdict {
	at, n, ok := ber(b)
	if b[0] != 0x30 || !ok || n < 5 || at+4 > len(b) || b[at] != 2 || b[at+1] == 0 || b[at+1] > 4 {
		return no
	}
	op := at + 2 + int(b[at+1])
	if op >= len(b) {
		return more
	}
	switch b[op] {
	case 0x60, 0x61, 0x63, 0x64, 0x77:
		return yes
	}
	return no
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

func kerberosTCP(s *sample) verdict {
	b := s.client
	switch {
	case len(b) < 10:
		return more
	case be32(b) <= 20 || be32(b) >= 1<<16:
		return no
	case kerberos(b[4:], s):
		return yes
	case len(b) < 14:
		return more
	}
	return no
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

// openVPNTCP is a hard reset of a client behind its length: of a size that clients are known for, or sent alone.
func openVPNTCP(s *sample) verdict {
	b := s.client
	if len(b) < 16 {
		return more
	}
	switch n := be16(b); {
	case b[2] != 0x38 || n < 14 || n >= 200:
		return no
	case n == 42 || n == 54 || n == 86 || n == len(b)-2 && b[15] == 0:
		return yes
	case n > len(b)-2 && b[15] == 0:
		return more
	}
	return no
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
