package tlsx_test

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/tlsx"
)

const (
	aes128   = tls.TLS_AES_128_GCM_SHA256
	aes256   = tls.TLS_AES_256_GCM_SHA384
	chacha20 = tls.TLS_CHACHA20_POLY1305_SHA256
	gcm128   = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	gcm256   = tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	chacha12 = tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
)

var suites13 = []uint16{aes128, aes256, chacha20}

// without returns the lines of a key log that do not start with one of labels.
func without(keys string, labels ...string) string {
	var out strings.Builder
	for line := range strings.Lines(keys) {
		keep := true
		for _, l := range labels {
			keep = keep && !strings.HasPrefix(line, l)
		}
		if keep {
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestSuitesOfTLS13(t *testing.T) {
	for _, id := range suites13 {
		s := newSession13(t, id).open(t)
		s.add(s.c.say("question"), s.s.seal(23, []byte("answer"), 100), s.s.seal(23, nil, 0), s.s.seal(23, nil, 9), s.s.say("!"))
		o := s.run(t)
		require.Equal(t, "question", string(o.data[client]))
		require.Equal(t, "answer!", string(o.data[server]))
		require.Equal(t, id, o.info.Suite)
		require.Equal(t, "h2", o.info.Protocol)
		require.Zero(t, o.stats.Skipped)
		require.False(t, o.end[client].Closed)
	}
}

func TestKeyUpdate(t *testing.T) {
	for _, id := range suites13 {
		s := newSession13(t, id).open(t)
		for i := range 3 {
			s.add(s.s.say("before"), s.s.seal(22, message(24, []byte{byte(i % 2)}), 0))
			s.s.update(t)
			s.add(s.s.say("after"))
		}
		o := s.run(t)
		require.Equal(t, strings.Repeat("beforeafter", 3), string(o.data[server]))
		require.Equal(t, [2]int{0, 3}, o.info.KeyUpdates)
		require.Zero(t, o.stats.Skipped)
	}
}

// A handshake message that is spread over records, and records with several messages.
func TestHandshakeSpread(t *testing.T) {
	s := newSession13(t, aes128)
	hello := helloOf(1, random(1), aes128, "id", extension(0, vector16(append([]byte{0}, vector16([]byte("example.com"))...))))
	for b := hello; len(b) > 0; b = b[min(7, len(b)):] {
		s.add(plainly(client, 22, b[:min(7, len(b))]))
	}
	s.s.use(t, aes128, secretOf(aes128, serverSecret))
	s.add(plainly(server, 22, helloOf(2, random(2), aes128, "id", chose13)),
		s.s.seal(22, append(append(message(8, vector16(nil)), message(11, make([]byte, 50))...), message(20, random(3))...), 0))
	s.s.use(t, aes128, secretOf(aes128, serverTraffic))
	o := s.add(s.s.say("answer")).run(t)
	require.Equal(t, "answer", string(o.data[server]))
	require.Equal(t, "example.com", o.info.ServerName)
}

func TestEarlyData(t *testing.T) {
	open := func(id uint16, psk, hears bool) *session13 {
		s := newSession13(t, id)
		s.c.use(t, id, secretOf(id, earlySecret))
		s.add(plainly(client, 22, helloOf(1, random(1), id, "", extension(42, nil), extension(41, []byte{9}))), s.c.say("early"), s.c.say(" bird"))
		s.s.use(t, id, secretOf(id, serverSecret))
		chosen := [][]byte{chose13}
		if psk {
			chosen = append(chosen, extension(41, []byte{0, 0}))
		}
		s.add(plainly(server, 22, helloOf(2, random(2), id, "", chosen...)))
		if hears {
			s.add(s.s.seal(22, message(8, vector16(extension(42, nil))), 0), s.s.seal(22, message(20, random(3)), 0), s.c.seal(22, message(5, nil), 0))
		} else {
			s.add(s.s.seal(22, message(8, vector16(nil)), 0), s.s.seal(22, message(20, random(3)), 0))
		}
		s.c.use(t, id, secretOf(id, clientSecret))
		s.add(s.c.seal(22, message(20, random(4)), 0))
		s.c.use(t, id, secretOf(id, clientTraffic))
		return s.add(s.c.say(" late"))
	}
	for _, id := range suites13 {
		o := open(id, true, true).run(t)
		require.Equal(t, "early bird late", string(o.data[client]))
		require.Equal(t, tlsx.EarlyAccepted, o.info.EarlyData)
		require.Equal(t, []bool{true, true, false}, []bool{o.chunks[client][0].Early, o.chunks[client][1].Early, o.chunks[client][2].Early})
		require.True(t, o.info.Resumed)
		require.Zero(t, o.stats.Skipped)

		o = open(id, true, false).run(t)
		require.Equal(t, tlsx.EarlyRejected, o.info.EarlyData)
		require.Equal(t, "early bird late", string(o.data[client]))
		o = open(id, false, false).run(t)
		require.Equal(t, tlsx.EarlyRejected, o.info.EarlyData)

		s := open(id, true, true)
		s.keys = without(s.keys, "CLIENT_EARLY")
		o = s.run(t)
		require.Equal(t, " late", string(o.data[client]))
		require.Equal(t, uint64(3), o.stats.NoKey, "two records of data, and the end of early data")
	}
}

// With some of the secrets, what they open is opened.
func TestPartOfTheKeys(t *testing.T) {
	s := newSession13(t, aes256).open(t)
	s.add(s.c.say("question"), s.s.say("answer"), s.c.say("next"))
	all := s.keys
	for _, c := range []struct {
		name           string
		labels         []string
		client, server string
		gaps           int
		noKey          uint64
	}{
		{"no handshake secrets", []string{"CLIENT_HANDSHAKE", "SERVER_HANDSHAKE"}, "questionnext", "answer", 0, 4},
		{"no secret of the client", []string{"CLIENT"}, "", "answer", 1, 3},
		{"no secret of the server", []string{"SERVER"}, "questionnext", "", 1, 4},
		{"no traffic secrets", []string{"CLIENT_TRAFFIC", "SERVER_TRAFFIC"}, "", "", 2, 3},
		{"none", []string{"CLIENT", "SERVER"}, "", "", 2, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.keys = without(all, c.labels...)
			o := s.run(t)
			require.Equal(t, c.client, string(o.data[client]))
			require.Equal(t, c.server, string(o.data[server]))
			require.Len(t, append(o.gaps[client], o.gaps[server]...), c.gaps)
			require.Equal(t, tlsx.NoKey, o.info.Trouble)
			require.Equal(t, c.noKey, o.stats.NoKey)
			for _, g := range append(o.gaps[client], o.gaps[server]...) {
				require.Equal(t, tlsx.GapKey, g.Reason)
			}
		})
	}
	o := run(t, nil, nil, s.parts)
	require.Equal(t, tlsx.NoKey, o.info.Trouble)
}

// Keys that come while the connection is under way, as decryption secrets blocks do.
func TestLateKeys(t *testing.T) {
	s := newSession13(t, aes128).open(t)
	s.add(s.c.say("question"), s.s.say("answer"))
	keys := new(tlsx.KeyLog)
	c, o := newConn(t, keys, nil)
	var off [2]uint64
	for i, p := range s.parts {
		if i == len(s.parts)-2 {
			_, err := keys.Write([]byte(s.keys))
			require.NoError(t, err)
		}
		c.Data(p.dir, off[p.dir], p.data, tlsx.Origin{})
		off[p.dir] += uint64(len(p.data))
	}
	c.Close()
	require.Equal(t, "question", string(o.data[client]))
	require.Equal(t, "answer", string(o.data[server]))
}

func TestWrongKeys(t *testing.T) {
	s := newSession12(t, gcm128).open(t)
	s.add(s.c.seal12(23, []byte("question"), 0))
	s.keys = strings.ReplaceAll(s.keys, " 6d", " 6e")
	o := s.run(t)
	require.Equal(t, tlsx.BadRecord, o.info.Trouble)
	require.Equal(t, uint64(3), o.stats.BadRecords)
	require.Equal(t, []tlsx.Gap{{Length: 8, Reason: tlsx.GapRecord}}, o.gaps[client])
}

// A record that was damaged is a gap of its length; the ones around it are whole.
func TestDamagedRecord(t *testing.T) {
	s13 := newSession13(t, chacha20).open(t)
	s13.add(s13.c.say("one"), s13.c.say("damaged"), s13.c.say("three"))
	s12 := newSession12(t, chacha12).open(t)
	s12.add(s12.c.seal12(23, []byte("one"), 0), s12.c.seal12(23, []byte("damaged"), 0), s12.c.seal12(23, []byte("three"), 0))
	for _, s := range []struct {
		keys  string
		parts []part
	}{{s13.keys, s13.parts}, {s12.keys, s12.parts}} {
		b := s.parts[len(s.parts)-2].data
		for i := 5; i < len(b); i++ {
			b[i] ^= 0x10
			o := run(t, keyLog(t, s.keys), nil, s.parts)
			b[i] ^= 0x10
			require.Equal(t, "onethree", string(o.data[client]))
			require.Equal(t, []tlsx.Gap{{Offset: 3, Length: 7, Reason: tlsx.GapRecord}}, o.gaps[client])
			require.Equal(t, uint64(1), o.stats.BadRecords)
		}
	}
}

func TestRenegotiation(t *testing.T) {
	for _, id := range []uint16{gcm128, gcm256, chacha12} {
		s := newSession12(t, gcm128).open(t).key(random(5))
		s.add(s.c.seal12(23, []byte("before"), 0),
			s.c.seal12(22, helloOf(1, random(5), id, ""), 0),
			s.s.seal12(22, helloOf(2, random(6), id, ""), 0),
			s.c.seal12(20, []byte{1}, 0), s.s.seal12(20, []byte{1}, 0))
		s.c.master(t, id, masterSecret, random(5), random(6))
		s.s.master(t, id, masterSecret, random(5), random(6))
		s.add(s.c.seal12(22, message(20, make([]byte, 12)), 0), s.c.seal12(23, []byte(" after"), 0), s.s.seal12(23, []byte("yes"), 0))
		o := s.run(t)
		require.Equal(t, "before after", string(o.data[client]))
		require.Equal(t, "yes", string(o.data[server]))
		require.Equal(t, 1, o.info.Renegotiations)
		require.Zero(t, o.stats.Skipped)
	}
}

func TestAlerts(t *testing.T) {
	o := run(t, nil, nil, []part{plainly(client, 22, helloOf(1, random(1), aes128, "")), plainly(server, 21, []byte{2, 40})})
	require.Equal(t, [2]tlsx.Alert{1: {Level: 2, Description: 40}}, o.info.Alerts)
	require.False(t, o.end[server].Closed)
	require.Zero(t, o.stats.Skipped)

	s := newSession12(t, chacha12).open(t)
	o = s.add(s.c.seal12(21, []byte{1, 0}, 0), s.s.seal12(21, []byte{2, 20, 0}, 0)).run(t)
	require.True(t, o.end[client].Closed)
	require.False(t, o.end[server].Closed)
	require.Equal(t, uint64(1), o.stats.Malformed)
}

func TestNotTLS(t *testing.T) {
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "\x80\x2e\x01\x03\x01", strings.Repeat("\x00", 100)} {
		o := run(t, nil, nil, []part{{dir: client, data: []byte(text)}, {dir: client, gap: 9}, {dir: client, data: []byte(text)}})
		require.Equal(t, tlsx.NotTLS, o.info.Trouble)
		require.Equal(t, uint64(2*len(text)), o.stats.Skipped)
		require.Equal(t, []tlsx.Gap{{Length: uint64(2*len(text) + 9), Reason: tlsx.GapMalformed}}, o.gaps[client])
		require.Equal(t, uint64(1), o.stats.Malformed)
	}
}

// What cannot be decrypted has a reason.
func TestTroubles(t *testing.T) {
	data := part{dir: client, data: append([]byte{23, 3, 3, 0, 50}, make([]byte, 50)...)}
	back := data
	back.dir = server
	hello := plainly(client, 22, helloOf(1, random(1), aes128, ""))
	answer := func(id uint16, extensions ...[]byte) part {
		return plainly(server, 22, helloOf(2, random(2), id, "", extensions...))
	}
	for _, c := range []struct {
		want  tlsx.Trouble
		parts []part
	}{
		{tlsx.NoClientHello, []part{data, back}},
		{tlsx.NoClientHello, []part{data}},
		{tlsx.NoClientHello, []part{answer(gcm128), back, data}},
		{tlsx.NoServerHello, []part{hello, data, back}},
		{tlsx.NoServerHello, []part{hello, data}},
		{tlsx.UnsupportedSuite, []part{hello, answer(0x1304, chose13), data}},
		{tlsx.UnsupportedSuite, []part{hello, answer(gcm128, chose13), data}},
		{tlsx.UnsupportedSuite, []part{hello, answer(aes128), data}},
		{tlsx.UnsupportedVersion, []part{hello, answer(aes128, []byte{0, 43, 0, 2, 3, 5}), data}},
		{tlsx.NoKey, []part{hello, answer(aes128, chose13), data}},
		{tlsx.NoKey, []part{hello, answer(gcm128), data}},
	} {
		o := run(t, new(tlsx.KeyLog), nil, c.parts)
		require.Equal(t, c.want, o.info.Trouble, c.want.String())
		require.Zero(t, o.stats.Plain)
		require.NotEmpty(t, o.gaps[client])
	}
	s := newSession13(t, aes128) // a suite that is not decrypted has no keys, whatever is in the key log
	o := run(t, keyLog(t, s.keys), nil, []part{hello, answer(0x1304, chose13), data})
	require.Equal(t, []tlsx.Gap{{Length: 50, Reason: tlsx.GapUnsupported}}, o.gaps[client])
}

// Hellos that are no hellos are counted, and leave nothing behind.
func TestMalformedHellos(t *testing.T) {
	good := helloOf(1, random(1), aes128, "id", extension(0, vector16([]byte("\x00\x00\x01x"))), extension(16, vector16([]byte("\x01y"))), chose13)
	for n := 4; n < len(good)-1; n++ {
		cut := message(1, good[4:n])
		o := run(t, nil, nil, []part{plainly(client, 22, cut)})
		if bytes.Equal(cut[4:], good[4:4+2+32+3+4+2]) { // up to the extensions, which may be left out
			require.Zero(t, o.stats.Malformed)
			continue
		}
		require.Equal(t, uint64(1), o.stats.Malformed, n)
		require.Empty(t, o.info.ServerName)
	}
	good = helloOf(2, random(1), aes128, "id", extension(16, vector16([]byte("\x01y"))), chose13)
	for n := 4; n < len(good)-1; n++ {
		cut := message(2, good[4:n])
		o := run(t, nil, nil, []part{plainly(server, 22, cut)})
		if bytes.Equal(cut[4:], good[4:4+2+32+3+2+1]) {
			require.Zero(t, o.stats.Malformed)
			continue
		}
		require.Equal(t, uint64(1), o.stats.Malformed, n)
		require.Zero(t, o.info.Version)
	}
	// A hello from the wrong side, and a second handshake of TLS 1.3.
	s := newSession13(t, aes128).open(t)
	s.add(s.c.seal(22, helloOf(1, random(9), aes128, ""), 0), s.s.seal(22, helloOf(1, random(9), aes128, ""), 0),
		s.c.seal(22, helloOf(2, random(9), aes128, ""), 0), s.c.say("still"))
	o := s.run(t)
	require.Equal(t, uint64(3), o.stats.Malformed)
	require.Equal(t, "still", string(o.data[client]))
}

// Content that is none, extensions that are none, and a gap over one that was not needed.
func TestMalformedContent(t *testing.T) {
	s := newSession13(t, aes128).open(t)
	s.add(s.s.seal(0, nil, 9), s.s.seal(99, []byte("x"), 0), s.s.seal(24, []byte("heartbeat"), 0), s.s.say("fine"))
	o := s.run(t)
	require.Equal(t, "fine", string(o.data[server]))
	require.Equal(t, uint64(2), o.stats.Malformed)
	require.Zero(t, o.stats.Skipped)

	for _, extensions := range [][]byte{{0}, {0, 16, 0, 1, 9}, {0, 16, 0, 3, 0, 1, 2}} { // not a block; ALPN that is cut
		s := newSession13(t, aes128)
		s.s.use(t, aes128, secretOf(aes128, serverSecret))
		s.add(plainly(client, 22, helloOf(1, random(1), aes128, "")), plainly(server, 22, helloOf(2, random(2), aes128, "", chose13)),
			s.s.seal(22, message(8, append([]byte{0, byte(len(extensions))}, extensions...)), 0))
		require.Equal(t, uint64(1), s.run(t).stats.Malformed)
	}
	// Names that are no host's, and several.
	name := func(kind byte, n string) []byte { return append([]byte{kind}, vector16([]byte(n))...) }
	list := bytes.Join([][]byte{name(1, "odd"), name(0, "first"), name(0, "second")}, nil)
	o = run(t, nil, nil, []part{plainly(client, 22, helloOf(1, random(1), aes128, "", extension(0, vector16(list))))})
	require.Equal(t, "first", o.info.ServerName)

	// Gaps in what is no TLS, and in a record that has a gap.
	c, got := newConn(t, nil, nil)
	c.Data(client, 0, []byte{23, 3, 3, 0, 100, 1, 2}, tlsx.Origin{})
	c.Gap(client, 7, 3)
	c.Data(client, 10, []byte("x"), tlsx.Origin{})
	c.Gap(client, 11, 200)
	c.Close()
	require.Equal(t, uint64(8), c.Stats().Skipped)
	require.Equal(t, uint64(203), c.Stats().Missing)
	require.NotEmpty(t, got.gaps[client])
}
