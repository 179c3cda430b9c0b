package appid_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

// zeros appends n zero bytes.
func zeros(s string, n int) string { return s + strings.Repeat("\x00", n) }

// streams are what both sides of a protocol send first. miss is the byte of the client's, or, when it sends nothing, of
// the server's, that makes it something else when it is changed.
var streams = []struct {
	name, client, server string
	port                 uint16
	miss                 int
}{
	{"BitTorrent", "\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x05", "", 0, 0},
	{"VNC", "", "RFB 003.008\n", 0, 1},
	{"AMQP", "AMQP\x00\x00\x09\x01", "", 0, 1},
	{"Gnutella", "GNUTELLA CONNECT/0.6\r\n", "", 0, 3},
	{"RSYNC", "@RSYNCD: 31.0\n", "", 0, 2},
	{"Jabber", "<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client'>" + strings.Repeat(" ", 40), "", 0, 23},
	{"POP3", "", "+OK ready\r\n", 0, 1},
	{"IMAP", "", "* OK IMAP4rev1 ready\r\n", 0, 2},
	{"SMTP", "EHLO me.example\r\n", "220 mail.example ESMTP\r\n", 0, 1},
	{"SMTP", "helo me.example\r\n", "", 0, 1},
	{"FTP_CONTROL", "USER anonymous\r\n", "220 files\r\n", 0, 1},
	{"Usenet", "MODE READER\r\n", "200 news\r\n", 0, 1},
	{"IRC", "NICK me\r\nUSER me 0 * :me\r\n", "", 0, 1},
	{"Redis", "*1\r\n$4\r\nPING\r\n", "+PONG\r\n", 0, 1},
	{"Memcached", "get key\r\n", "VALUE key 0 1\r\nx\r\nEND\r\n", 0, 1},
	{"NATS", "", "INFO {\"server_id\":\"x\"}\r\n", 0, 1},
	{"FIX", "8=FIX.4.4\x019=100\x0135=A\x01", "", 0, 3},
	{"Git", "0032git-upload-pack /project.git\x00host=a.example\x00", "", 0, 5},
	{"RTSP", "OPTIONS rtsp://a.example/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", "", 0, 30},
	{"SIP", "REGISTER sip:a.example SIP/2.0\r\nVia: SIP/2.0/TCP b\r\n\r\n", "", 0, 24},
	{"Telnet", "", "\xff\xfd\x18\xff\xfd\x20", 0, 1},
	{"RDP", "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", "", 3389, 5},
	{"H323", "\x03\x00\x00\x20\x08\x02\x00\x01\x05", "", 0, 4},
	{"S7Comm", "\x03\x00\x00\x19\x02\xf0\x80\x32\x01\x00\x00", "", 102, 7},
	{"SMBv1", "\x00\x00\x00\x54\xffSMB\x72\x00", "", 0, 5},
	{"SMBv23", "\x00\x00\x00\x54\xfeSMB\x40\x00", "", 0, 5},
	{"NetBIOS", "\x81\x00\x00\x44\x20" + strings.Repeat("C", 32) + "\x00\x20" + strings.Repeat("A", 32) + "\x00", "", 0, 3},
	{"MySQL", "", "\x4a\x00\x00\x00\x0a8.0.36\x00" + strings.Repeat("x", 67), 0, 3},
	{"PostgreSQL", "\x00\x00\x00\x08\x04\xd2\x16\x2f", "S", 0, 6},
	{"PostgreSQL", "\x00\x00\x00\x17\x00\x03\x00\x00user\x00me\x00\x00", "", 0, 5},
	{"MsSQL-TDS", "\x12\x01\x00\x2f\x00\x00\x01\x00\x00\x00\x1a\x00\x06\x01", "", 0, 0},
	{"MongoDB", "\x3a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00" + strings.Repeat("x", 42), "", 0, 13},
	{"Cassandra", "\x04\x00\x00\x00\x01\x00\x00\x00\x16\x00\x01", "", 0, 4},
	{"MQTT", "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c", "", 0, 4},
	{"BGP", strings.Repeat("\xff", 16) + "\x00\x1d\x01\x04", "", 0, 3},
	{"RTMP", zeros("\x03\x00\x00\x00\x01", 1532), "\x03\x00", 0, 0},
	{"SOCKS", "\x05\x01\x00", "\x05\x00", 0, 0},
	{"SOCKS", "\x04\x01\x00\x50\xc0\x00\x02\x01\x00", "\x00\x5a\x00\x00", 0, 0},
	{"PPTP", zeros("\x00\x9c\x00\x01\x1a\x2b\x3c\x4d\x00\x01", 20), "", 0, 5},
	{"LDAP", "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00", "", 0, 5},
	{"Kerberos", "\x00\x00\x00\x80\x6a\x7e\x30\x7c\xa1\x03\x02\x01\x05", "", 0, 6},
	{"DCE_RPC", "\x05\x00\x0b\x03\x10\x00\x00\x00\x48\x00", "", 0, 2},
	{"DNP3", "\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x21", "", 0, 1},
	{"IEC60870", "\x68\x04\x07\x00\x00\x00", "", 2404, 0},
	{"OPC-UA", "HELF\x00\x00\x00\x20", "", 0, 1},
	{"EthernetIP", zeros("\x65\x00\x04\x00", 24), "", 0, 1},
	{"Modbus", "\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x01", "", 502, 3},
	{"OpenVPN", "\x00\x0e\x38" + "12345678" + "\x00\x00\x00\x00\x00", "", 0, 2},
	{"TLS", "\x17\x03\x03\x01\x00" + strings.Repeat("x", 256), "", 0, 1},
	{"Syslog", "<34>1 2026-01-01T00:00:00Z host app - - - text\n", "", 0, 0},
}

func TestStreamProtocols(t *testing.T) {
	for _, tc := range streams {
		for _, piece := range []int{1 << 16, 1} {
			t.Run(fmt.Sprintf("%s/%d", tc.name, piece), func(t *testing.T) {
				require.Equal(t, tc.name, protocolOf(t, tc.port, tc.client, tc.server, piece))
			})
		}
		t.Run(tc.name+"/near miss", func(t *testing.T) {
			c, s := []byte(tc.client), []byte(tc.server)
			if b := c; len(b) > 0 {
				b[tc.miss] ^= 0x55
			} else {
				s[tc.miss] ^= 0x55
			}
			require.NotEqual(t, tc.name, protocolOf(t, tc.port, string(c), string(s), 1<<16))
		})
	}
}

// protocolOf feeds the server first, which is harder: it may be heard before it is asked.
func protocolOf(t *testing.T, port uint16, fromClient, fromServer string, piece int) string {
	t.Helper()
	f := newFinder(t, nil)
	st := f.engine.Open(packet.ProtoTCP, client, addrPort(server.Addr(), orOther(port)))
	for _, side := range []struct {
		dir packet.Direction
		b   string
	}{{packet.ServerToClient, fromServer}, {packet.ClientToServer, fromClient}} {
		for b := side.b; b != ""; {
			n := min(piece, len(b))
			f.engine.Feed(st, appid.Input{Direction: side.dir, Data: []byte(b[:n])})
			b = b[n:]
		}
	}
	r := f.engine.Finish(st)
	if r.Guessed {
		return "guess"
	}
	return r.Name()
}

// packets are datagrams of a client, alike.
var packets = []struct {
	name, data string
	port       uint16
	miss       int
}{
	{"BitTorrent", "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", 0, 0},
	{"Gnutella", "GND\x01\x00", 0, 3},
	{"Memcached", "\x00\x01\x00\x00\x00\x01\x00\x00get key\r\n", 11211, 8},
	{"SIP", "INVITE sip:a@b.example SIP/2.0\r\nVia: x\r\n\r\n", 0, 24},
	{"SSDP", "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", 0, 0},
	{"LDAP", "\x30\x25\x02\x01\x01\x63\x20\x04\x00\x0a\x01\x00", 0, 5},
	{"Kerberos", "\x6a\x7e\x30\x7c\xa1\x03\x02\x01\x05", 0, 2},
	{"OpenVPN", "\x38" + "12345678" + "\x00\x00\x00\x00\x00", 0, 0},
	{"Syslog", "<34>Oct 11 22:14:15 host su: text", 0, 0},
	{"WireGuard", zeros("\x01\x00\x00\x00", 144), 0, 1},
	{"STUN", zeros("\x00\x01\x00\x00\x21\x12\xa4\x42", 12), 0, 4},
	{"DHCP", zeros(zeros("\x01\x01\x06\x00", 232)+"\x63\x82\x53\x63\x35\x01\x01\xff", 10), 67, 236},
	{"DHCPV6", "\x01\x12\x34\x56\x00\x01\x00\x0e", 547, 0},
	{"NTP", zeros("\x23\x02\x06\xe9", 44), 123, 1},
	{"SNMP", "\x30\x0f\x02\x01\x01\x04\x06public\xa0\x02\x02\x00", 0, 5},
	{"Radius", zeros("\x01\x01\x00\x1a", 16) + "\x01\x06user", 0, 21},
	{"IPSec", "12345678" + zeros("", 8) + "\x21\x20\x22\x08\x00\x00\x00\x00\x00\x00\x00\x1c", 500, 17},
	{"TFTP", "\x00\x01file.bin\x00octet\x00", 0, 1},
	{"SLP", "\x02\x01\x00\x00\x12\x00\x00\x00\x00\x00\x00\x01\x00\x02en\x00\x00", 0, 4},
	{"COAP", "\x40\x01\x12\x34", 5683, 0},
	{"NetFlow", zeros("\x00\x05\x00\x01", 68), 0, 1},
	{"sFlow", zeros("\x00\x00\x00\x05\x00\x00\x00\x01", 24), 6343, 3},
	{"RIP", zeros("\x02\x02\x00\x00\x00\x02\x00\x00", 16), 520, 1},
	{"L2TP", zeros("\xc8\x02\x00\x0c", 8), 1701, 0},
	{"VXLAN", zeros("\x08\x00\x00\x00\x00\x00\x05\x00", 14), 4789, 0},
	{"Dropbox", `{"host_int": 123}`, 0, 2},
	{"Spotify", "SpotUdp0abcdefgh", 0, 1},
	{"SourceEngine", "\xff\xff\xff\xffTSource Engine Query\x00", 0, 4},
	{"RTCP", "\x80\xc8\x00\x06" + strings.Repeat("x", 24), 0, 3},
	{"NetBIOS", "\x00\x01\x01\x10\x00\x01\x00\x00\x00\x00\x00\x00\x20" + strings.Repeat("CA", 16) + "\x00\x00\x20\x00\x01", 137, 4},
}

func TestDatagramProtocols(t *testing.T) {
	for _, tc := range packets {
		protocol := func(data string) string {
			f := newFinder(t, nil)
			st := f.engine.Open(packet.ProtoUDP, addrPort(client.Addr(), 50001), addrPort(server.Addr(), orOther(tc.port)))
			f.engine.Feed(st, appid.Input{Data: []byte(data)})
			if r := f.engine.Finish(st); !r.Guessed {
				return r.Name()
			}
			return "guess"
		}
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.name, protocol(tc.data)) })
		t.Run(tc.name+"/near miss", func(t *testing.T) {
			b := []byte(tc.data)
			b[tc.miss] ^= 0x55
			require.NotEqual(t, tc.name, protocol(string(b)))
		})
		t.Run(tc.name+"/cut", func(t *testing.T) { require.NotEqual(t, tc.name, protocol(tc.data[:3])) })
	}
}

func TestRTP(t *testing.T) {
	f := newFinder(t, nil)
	header := func(seq byte, ssrc byte) datagram {
		return datagram{packet.ClientToServer, append([]byte{0x80, 0, 0, seq, 0, 0, 0, seq, 0, 0, 0, ssrc}, make([]byte, 160)...)}
	}
	require.Empty(t, f.datagrams(40000, header(1, 1), header(2, 1), header(3, 1)), "too few")
	require.Equal(t, "RTP", f.datagrams(40000, header(1, 1), header(2, 1), header(3, 1), header(5, 1))[0].Flow.Name())
	require.Empty(t, f.datagrams(40000, header(1, 1), header(2, 2), header(3, 3), header(4, 4), header(5, 5)), "of many sources")
}

func TestGuess(t *testing.T) {
	f := newFinder(t, nil)
	for _, tc := range []struct {
		transport      uint8
		client, server uint16
		want, category string
	}{
		{packet.ProtoTCP, 40000, 443, "TLS", "Web"},
		{packet.ProtoTCP, 22, 40000, "SSH", "RemoteAccess"},
		{packet.ProtoTCP, 40000, 8080, "HTTP", "Web"},
		{packet.ProtoUDP, 40000, 53, "DNS", "Network"},
		{packet.ProtoTCP, 40000, 50000, "Unknown", "Unspecified"},
		{packet.ProtoICMP, 0, 0, "ICMP", "Network"},
		{50, 0, 0, "ESP", "VPN"},
	} {
		st := f.engine.Open(tc.transport, addrPort(client.Addr(), tc.client), addrPort(server.Addr(), tc.server))
		r := f.engine.Finish(st)
		require.Equal(t, tc.want, r.Name())
		require.Equal(t, tc.category, r.Category)
		require.Equal(t, tc.want != "Unknown", r.Guessed)
		require.Equal(t, map[bool]appid.Confidence{true: appid.ConfidenceByPort}[r.Guessed], r.Confidence)
	}
	// What was found goes before the port.
	st := f.engine.Open(packet.ProtoTCP, client, addrPort(server.Addr(), 443))
	f.engine.Feed(st, appid.Input{Direction: packet.ServerToClient, Data: []byte("+OK ready\r\n")})
	r := f.engine.Finish(st)
	require.Equal(t, "POP3", r.Name())
	require.False(t, r.Guessed)
	require.Equal(t, appid.ConfidenceDPI, r.Confidence)
}

func TestApplications(t *testing.T) {
	a, err := appid.NewApplications()
	require.NoError(t, err)
	for host, want := range map[string]string{
		"www.youtube.com": "YouTube", "youtube.com.": "YouTube", "notyoutube.com": "", "mail.google.com": "GMail", "x.mail.google.com:443": "GMail",
		"www.google.com": "Google", "com": "", "": "", "youtube.com.evil.example": "",
	} {
		name, _, custom, ok := a.Lookup(host)
		require.Equal(t, want, name, host)
		require.Equal(t, want != "", ok, host)
		require.False(t, custom)
	}
	require.NoError(t, a.Read(strings.NewReader("# mine\n\nYouTube.com\tVideos\tMedia\nbücher.example\tBooks\tShopping\n")))
	name, category, custom, _ := a.Lookup("www.youtube.com")
	require.Equal(t, []any{"Videos", "Media", true}, []any{name, category, custom})
	name, _, _, _ = a.Lookup("shop.xn--bcher-kva.example")
	require.Equal(t, "Books", name)
	require.Zero(t, testing.AllocsPerRun(100, func() { a.Lookup("a.b.c.d.www.google.com") }))
	require.ErrorContains(t, a.Read(strings.NewReader("a.example\tX\tY\nno tabs\n")), "line 2")
	require.ErrorContains(t, a.Read(strings.NewReader("a b\tX\tY\n")), "line 1")
}

func TestFlowNames(t *testing.T) {
	f := newFinder(t, nil)
	hello := func(name string, more ...extension) []byte {
		return records(helloOf(0x0303, []uint16{5}, append([]extension{sni(name)}, more...)...), 1<<14)
	}
	found := f.stream(hello("www.youtube.com"), nil, 1<<16)
	require.Equal(t, "TLS.YouTube", found[0].Flow.Name())
	require.Equal(t, "Media", found[0].Flow.Category)
	found = f.stream(hello("www.youtube.com", extension{0xfe0d, []byte{0}}), nil, 1<<16)
	require.Equal(t, "TLS", found[0].Flow.Name(), "the name in front of an encrypted hello")
	require.True(t, found[0].Flow.ECH)
	st := f.engine.Open(packet.ProtoTCP, client, netip.AddrPortFrom(server.Addr(), 993))
	f.engine.Feed(st, appid.Input{Data: hello("imap.gmail.com")})
	r := f.engine.Finish(st)
	require.Equal(t, "IMAPS.GMail", r.Name())
	found = f.datagrams(53, datagram{packet.ServerToClient, message(t)})
	require.Equal(t, "DNS", found[0].Flow.Name())
	require.Equal(t, "Network", found[0].Flow.Category)
}

func TestDHCPAndNetBIOS(t *testing.T) {
	f := newFinder(t, nil)
	data := zeros("\x01\x01\x06\x00", 232) + "\x63\x82\x53\x63\x35\x01\x01\x00\x0c\x05myhost\x37\x03\x01\x03\x06\xff"
	data = strings.Replace(data, "\x05myhost", "\x06myhost", 1)
	found := f.datagrams(67, datagram{packet.ClientToServer, []byte(data)})
	require.Len(t, found, 2)
	require.Equal(t, "myhost", found[1].HostName)
	require.Equal(t, "1,3,6", found[1].Parameters)
	found = f.datagrams(67, datagram{packet.ClientToServer, []byte(data[:len(data)-6])})
	require.Equal(t, "myhost", found[1].HostName, "what comes before the break")

	name := "\x00\x01\x01\x10\x00\x01\x00\x00\x00\x00\x00\x00\x20"
	for _, c := range []byte("FILESERVER     ") {
		name += string([]byte{'A' + c>>4, 'A' + c&15})
	}
	name += "CA\x00\x00\x20\x00\x01"
	found = f.datagrams(137, datagram{packet.ClientToServer, []byte(name)})
	require.Equal(t, "fileserver", found[1].Query)
	require.False(t, found[1].Broken)
	for at, want := range map[int]string{13: "", 14: "", 21: "file", 32: "fileserve", 44: "fileserver"} {
		broken := []byte(name)
		broken[at] = 'k'
		found = f.datagrams(137, datagram{packet.ClientToServer, broken})
		if want == "" {
			require.Len(t, found, 1)
			continue
		}
		require.Equal(t, want, found[1].Query)
		require.True(t, found[1].Broken)
	}
	found = f.datagrams(138, datagram{packet.ClientToServer, append([]byte("\x11\x02\x00\x01\xc0\x00\x02\x01\x00\x8a\x00\x20\x00\x00"), name[12:]...)})
	require.Equal(t, "fileserver", found[1].Query)
	found = f.datagrams(1900, datagram{packet.ClientToServer, []byte("NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nUser-Agent: box/1\r\n\r\n")})
	require.Equal(t, "239.255.255.250:1900", found[1].Host)
	require.Equal(t, "box/1", found[1].UserAgent)
}

// orOther returns a port that nothing is registered for in place of 0.
func orOther(port uint16) uint16 {
	if port == 0 {
		return 7777
	}
	return port
}
