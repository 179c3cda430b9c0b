package appid_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

func hash12(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

func repeated(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }

func keyInit(lists ...string) []byte {
	b := append([]byte{20}, make([]byte, 16)...)
	for _, l := range lists {
		b = binary.BigEndian.AppendUint32(b, uint32(len(l)))
		b = append(b, l...)
	}
	b = append(b, 0, 0, 0, 0, 0)
	padded := append([]byte{4}, b...)
	padded = append(padded, 0, 0, 0, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(padded))), padded...)
}

func TestSSH(t *testing.T) {
	init := keyInit("curve25519", "ssh-ed25519", "aes-c", "aes-s", "mac-c", "mac-s", "none,c", "none,s", "", "")
	fromClient := append([]byte("SSH-2.0-Tester_1.0 me\r\n"), init...)
	fromServer := append([]byte("Authorized use only\r\nSSH-2.0-Server\n"), init...)
	f := newFinder(t, nil)
	sum := func(s string) string { m := md5.Sum([]byte(s)); return hex.EncodeToString(m[:]) }
	for _, piece := range []int{1, 5, 1 << 16} {
		found := f.stream(fromClient, fromServer, piece)
		require.Len(t, found, 4)
		require.Equal(t, "SSH-2.0-Tester_1.0 me", found[0].Banner)
		require.Equal(t, sum("curve25519;aes-c;mac-c;none,c"), found[1].HASSH)
		require.Equal(t, "SSH-2.0-Server", found[2].Banner)
		require.Equal(t, sum("curve25519;aes-s;mac-s;none,s"), found[3].HASSHServer)
	}
	require.Empty(t, f.stream([]byte("SSH"), nil, 1))
	require.Len(t, f.stream([]byte("SSH-2.0-a\r\nnot binary at all, but text\r\n"), nil, 1), 1, "the banner alone")
	require.EqualValues(t, 1, f.engine.Stats().Malformed)
}

func TestHTTP(t *testing.T) {
	f := newFinder(t, nil)
	found := f.stream(
		[]byte("GET / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: tester/1\r\n\r\n"),
		[]byte("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\nbody"), 1)
	require.Len(t, found, 2)
	require.Equal(t, "www.example.com", found[0].Host)
	require.Equal(t, "tester/1", found[0].UserAgent)
	require.Equal(t, "text/html; charset=utf-8", found[1].ContentType)
	require.Equal(t, "HTTP", found[1].Flow.Name())
	require.Empty(t, f.stream([]byte("NEWS of the day\r\n\r\n"), []byte("HTTPS is another matter\r\n"), 1<<16))
}

// message returns a DNS response with an alias, an address, and a text.
func message(t testing.TB) []byte {
	t.Helper()
	name := dnsmessage.MustNewName("WWW.example.com.")
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7, Response: true})
	b.EnableCompression()
	require.NoError(t, b.StartQuestions())
	require.NoError(t, b.Question(dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}))
	require.NoError(t, b.StartAnswers())
	h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET}
	require.NoError(t, b.CNAMEResource(h, dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("cdn.example.net.")}))
	require.NoError(t, b.AResource(h, dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}}))
	require.NoError(t, b.TXTResource(h, dnsmessage.TXTResource{TXT: []string{"a", "b"}}))
	m, err := b.Finish()
	require.NoError(t, err)
	return m
}

func TestDNS(t *testing.T) {
	f := newFinder(t, nil)
	m := message(t)
	for port, proto := range map[uint16]string{53: "dns", 5353: "mdns", 5355: "llmnr"} {
		found := f.datagrams(port, datagram{packet.ServerToClient, m})
		require.Len(t, found, 1)
		require.Equal(t, proto, found[0].Proto)
		require.Equal(t, "www.example.com", found[0].Query)
		require.Equal(t, []string{"cdn.example.net", "192.0.2.7", "ab"}, found[0].Answers)
		require.Equal(t, []appid.Record{
			{Owner: "www.example.com", Alias: "cdn.example.net"}, {Owner: "www.example.com", Addr: netip.MustParseAddr("192.0.2.7")},
		}, found[0].Records)
		require.False(t, found[0].Broken)
	}
	require.Empty(t, f.datagrams(5000, datagram{packet.ServerToClient, m}), "any other port")
	found := f.datagrams(53, datagram{packet.ServerToClient, m[:len(m)-3]})
	require.Len(t, found, 1)
	require.Equal(t, []string{"cdn.example.net", "192.0.2.7"}, found[0].Answers, "what comes before the break")
	require.True(t, found[0].Broken)
	absurd := bytes.Clone(m)
	absurd[4] = 0x73
	require.Empty(t, f.datagrams(53, datagram{packet.ServerToClient, absurd}), "more questions than there is room for")
	require.Empty(t, f.datagrams(53, datagram{packet.ClientToServer, []byte("this is not a message")}))
}

func TestDNSOverTCP(t *testing.T) {
	m := message(t)
	one := append([]byte{byte(len(m) >> 8), byte(len(m))}, m...)
	f := newFinder(t, nil)
	for _, piece := range []int{1, 3, 1 << 16} {
		f.findings = nil
		st := f.engine.Open(packet.ProtoTCP, client, netip53)
		two := append(append([]byte(nil), one...), one...)
		for len(two) > 0 {
			n := min(piece, len(two))
			f.engine.Feed(st, appid.Input{Data: two[:n]})
			two = two[n:]
		}
		require.Len(t, f.findings, 2)
	}
}

// The vectors of RFC 9001 appendix A and RFC 9369 appendix A are in quic_internal_test.go; this is the server's Initial
// packet of RFC 9001 §A.3 behind a client's.
func TestQUIC(t *testing.T) {
	for name, version := range map[string]uint32{"1": 1, "2": 0x6b3343cf, "draft 22": 0xff000016, "draft 29": 0xff00001d, "draft 27": 0xff00001b, "T050": 0x54303530, "T051": 0x54303531} {
		t.Run(name, func(t *testing.T) {
			f := newFinder(t, nil)
			id := unhex(t, "8394c8f03e515708")
			hello := firefox()
			whole := appid.SealInitial(version, 0, id, 0, crypto(0, hello))
			found := f.datagrams(443, datagram{packet.ClientToServer, whole})
			require.Len(t, found, 1)
			require.Equal(t, "example.com", found[0].ServerName)
			require.Equal(t, version, found[0].QUICVersion)
			require.Equal(t, "q13d1715h2_5b57614c22b0_3d5424432f57", found[0].JA4)

			// Over two packets, the later part first, and coalesced.
			a := appid.SealInitial(version, 0, id, 0, crypto(0, hello[:100]))
			b := appid.SealInitial(version, 0, id, 1, append([]byte{1, 0}, crypto(90, hello[90:])...))
			require.Equal(t, found[0].JA3, f.datagrams(443, datagram{packet.ClientToServer, append(b, a...)})[0].JA3)
			require.Len(t, f.datagrams(443, datagram{packet.ClientToServer, b}, datagram{packet.ClientToServer, a}), 1)
			require.Empty(t, f.datagrams(443, datagram{packet.ClientToServer, b}))

			// After a Retry the client goes on with the server's connection ID, and so with other keys.
			other := unhex(t, "f067a5502a4262b5")
			found = f.datagrams(443, datagram{packet.ClientToServer, whole}, datagram{packet.ClientToServer, appid.SealInitial(version, 0, other, 1, crypto(0, hello))})
			require.Len(t, found, 2)
			changed := append([]byte(nil), whole...)
			changed[len(changed)-1] ^= 1
			require.Empty(t, f.datagrams(443, datagram{packet.ClientToServer, changed}), "not authentic")
		})
	}
	f := newFinder(t, nil)
	require.Empty(t, f.datagrams(443, datagram{packet.ClientToServer, appid.SealInitial(1, 1, unhex(t, "8394c8f03e515708"), 0, crypto(0, firefox()))}))
}

// TestQ050: Google's handshake in the packets of the IETF's QUIC.
func TestQ050(t *testing.T) {
	const version = 0x51303530
	message, id := chlo("PAD\x00", strings.Repeat("-", 200), "SNI\x00", "WWW.example.com", "UAID", "tester/1", "ALPN", "h3"), unhex(t, "8394c8f03e515708")
	frame := func(offset int, b []byte) []byte {
		f := crypto(offset, b)
		f[0] = 8
		return f
	}
	f := newFinder(t, nil)
	whole := appid.SealInitial(version, 0, id, 1, frame(0, message))
	a := appid.SealInitial(version, 0, id, 1, frame(0, message[:150]))
	b := appid.SealInitial(version, 0, id, 2, frame(120, message[120:]))
	for _, all := range [][]datagram{
		{{packet.ClientToServer, whole}}, {{packet.ClientToServer, a}, {packet.ClientToServer, b}}, {{packet.ClientToServer, append(b, a...)}},
	} {
		found := f.datagrams(443, all...)
		require.Len(t, found, 1)
		require.Equal(t, appid.KindClientHello, found[0].Kind)
		require.EqualValues(t, version, found[0].QUICVersion)
		require.Equal(t, "www.example.com", found[0].ServerName)
		require.Equal(t, "tester/1", found[0].UserAgent)
		require.Equal(t, []string{"h3"}, found[0].ALPN)
		require.Empty(t, found[0].JA4)
	}
	require.Empty(t, f.datagrams(443, datagram{packet.ClientToServer, a}))
	require.Empty(t, f.datagrams(443, datagram{packet.ClientToServer, appid.SealInitial(version, 0, id, 1, crypto(0, message))}), "another version's frame")
}

// crypto returns a CRYPTO frame.
func crypto(offset int, b []byte) []byte {
	frame := []byte{6, 0x40 | byte(offset>>8), byte(offset), 0x40 | byte(len(b)>>8), byte(len(b))}
	return append(frame, b...)
}

// dtls returns a handshake message in fragments of at most size bytes, a record each.
func dtls(message []byte, seq, size int) [][]byte {
	body := message[4:]
	var all [][]byte
	for at := 0; at < len(body); at += size {
		n := min(size, len(body)-at)
		h := append([]byte{message[0], message[1], message[2], message[3], 0, byte(seq), 0, byte(at >> 8), byte(at), 0, byte(n >> 8), byte(n)}, body[at:at+n]...)
		r := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, byte(at), byte(len(h) >> 8), byte(len(h))}, h...)
		all = append(all, r)
	}
	return all
}

func TestDTLS(t *testing.T) {
	message := helloOf(0xfefd, []uint16{0xc02b}, sni("dtls.example"))
	// The cookie comes between session and ciphers.
	message = append(message[:4+2+32+1:4+2+32+1], append([]byte{2, 0xaa, 0xbb}, message[4+2+32+1:]...)...)
	message[3] += 3
	f := newFinder(t, nil)
	whole := dtls(message, 0, 1<<12)
	found := f.datagrams(4433, datagram{packet.ClientToServer, whole[0]})
	require.Len(t, found, 1)
	require.Equal(t, "dtls.example", found[0].ServerName)
	require.Equal(t, "dd2d010100_"+hash12("c02b")+"_000000000000", found[0].JA4)
	parts := dtls(message, 1, 10)
	var backwards []datagram
	for i := range parts {
		backwards = append(backwards, datagram{packet.ClientToServer, parts[len(parts)-1-i]})
	}
	require.Equal(t, found[0].JA3, f.datagrams(4433, backwards...)[0].JA3)
	require.Empty(t, f.datagrams(4433, backwards[1:]...))
}

func TestDatagrams(t *testing.T) {
	f := newFinder(t, nil)
	d, err := appid.NewDatagrams(f.engine, &appid.DatagramConfig{MaxFlows: 2, Idle: time.Second})
	require.NoError(t, err)
	feed := func(port uint16, reply bool, at int64) {
		key := packet.NewFlowKey(client, netip53, packet.ProtoUDP)
		if port != 0 {
			key = packet.NewFlowKey(addrPort(client.Addr(), port), netip53, packet.ProtoUDP)
		}
		if reply {
			key = key.Reverse()
		}
		d.Feed(&packet.Packet{Key: key, Proto: packet.ProtoUDP, Payload: message(t), Time: at, Number: 1, Status: packet.OK})
	}
	feed(1, false, 0)
	feed(1, true, 1)
	require.Len(t, f.findings, 2)
	require.Equal(t, packet.ClientToServer, f.findings[0].Direction)
	require.Equal(t, packet.ServerToClient, f.findings[1].Direction)
	require.EqualValues(t, 1, f.engine.Stats().Flows)
	feed(1, true, int64(3*time.Second))
	require.EqualValues(t, 2, f.engine.Stats().Flows, "the first has been idle for too long")
	require.Equal(t, packet.ClientToServer, f.findings[2].Direction)
	feed(2, false, int64(3*time.Second))
	feed(3, false, int64(3*time.Second))
	require.EqualValues(t, 1, d.Evicted())
	_, err = appid.NewDatagrams(f.engine, &appid.DatagramConfig{MaxFlows: -1})
	require.Error(t, err)
}

func TestLimitPackets(t *testing.T) {
	f := newFinder(t, &appid.Config{MaxPackets: 3})
	st := f.engine.Open(packet.ProtoUDP, client, server)
	for i := range 4 {
		require.Equal(t, i == 3, f.engine.Feed(st, appid.Input{Data: []byte("nothing known")}))
	}
	require.EqualValues(t, 1, f.engine.Stats().LimitPackets)
}

// chlo is a client's first message of Google's QUIC.
func chlo(tags ...string) []byte {
	b := append([]byte("CHLO"), byte(len(tags)/2), 0, 0, 0)
	var values []byte
	for i := 0; i < len(tags); i += 2 {
		values = append(values, tags[i+1]...)
		b = append(b, tags[i]...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(values)))
	}
	return append(b, values...)
}

func TestGoogleQUIC(t *testing.T) {
	message := chlo("PAD\x00", strings.Repeat("-", 20), "SNI\x00", "WWW.example.com", "UAID", "tester/1", "ALPN", "h3")
	q043 := append([]byte("\x0d12345678Q043\x01"+strings.Repeat("h", 12)+"\xa0\x01\x00\x04"), message...)
	q046 := append([]byte("\xc3Q046\x50"+"12345678"+"\x00\x00\x00\x01"+strings.Repeat("h", 12)+"\xa0\x01\x00\x04"), message...)
	for version, b := range map[uint32][]byte{0x51303433: q043, 0x51303436: q046} {
		f := newFinder(t, nil)
		found := f.datagrams(443, datagram{packet.ClientToServer, b})
		require.Len(t, found, 1)
		require.Equal(t, version, found[0].QUICVersion)
		require.Equal(t, "www.example.com", found[0].ServerName)
		require.Equal(t, "tester/1", found[0].UserAgent)
		require.Equal(t, []string{"h3"}, found[0].ALPN)
		require.Equal(t, "QUIC", found[0].Flow.Name())
		for n := range len(b) {
			for _, found := range f.datagrams(443, datagram{packet.ClientToServer, b[:n]}) {
				require.NotEqual(t, appid.KindClientHello, found.Kind, "cut at %d", n)
			}
		}
	}
}
