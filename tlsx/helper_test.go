package tlsx_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
	"github.com/tcpfollow/tcpfollow/tlsx"
)

const (
	client = tlsx.ClientToServer
	server = tlsx.ServerToClient
)

// part is what a direction sent, or n bytes of it that are missing.
type part struct {
	dir  tlsx.Direction
	data []byte
	gap  int
}

// outcome is all that a connection shows. Its handler's checks are on.
type outcome struct {
	t      testing.TB
	data   [2][]byte
	chunks [2][]tlsx.Chunk // with their bytes
	gaps   [2][]tlsx.Gap
	end    [2]*tlsx.End
	next   [2]uint64
	info   tlsx.Info
	stats  tlsx.Stats
}

func (o *outcome) Data(d tlsx.Direction, c tlsx.Chunk) {
	require.NotEmpty(o.t, c.Bytes)
	require.Equal(o.t, o.next[d], c.Offset)
	require.Nil(o.t, o.end[d], "data behind the end")
	o.next[d] += uint64(len(c.Bytes))
	o.data[d] = append(o.data[d], c.Bytes...)
	c.Bytes = bytes.Clone(c.Bytes)
	o.chunks[d] = append(o.chunks[d], c)
}

func (o *outcome) Gap(d tlsx.Direction, g tlsx.Gap) {
	require.NotZero(o.t, g.Length)
	require.Equal(o.t, o.next[d], g.Offset)
	require.Nil(o.t, o.end[d], "a gap behind the end")
	o.next[d] += g.Length
	o.gaps[d] = append(o.gaps[d], g)
}

func (o *outcome) End(d tlsx.Direction, e tlsx.End) {
	require.Nil(o.t, o.end[d], "ended twice")
	require.Equal(o.t, o.next[d], e.Length)
	o.end[d] = &e
}

// newConn returns a connection into an outcome.
func newConn(t testing.TB, keys *tlsx.KeyLog, cfg *tlsx.Config) (*tlsx.Conn, *outcome) {
	t.Helper()
	o := &outcome{t: t}
	d, err := tlsx.New(keys, cfg)
	require.NoError(t, err)
	return d.Open(o), o
}

// run decrypts parts to their end. Each part is a packet of its own.
func run(t testing.TB, keys *tlsx.KeyLog, cfg *tlsx.Config, parts []part) *outcome {
	t.Helper()
	c, o := newConn(t, keys, cfg)
	var off [2]uint64
	for i, p := range parts {
		if p.gap > 0 {
			c.Gap(p.dir, off[p.dir], uint64(p.gap))
			off[p.dir] += uint64(p.gap)
			continue
		}
		poisoned := bytes.Clone(p.data)
		c.Data(p.dir, off[p.dir], poisoned, tlsx.Origin{Packet: uint64(i + 1), Seq: uint32(off[p.dir])})
		for j := range poisoned {
			poisoned[j] = 0xee
		}
		off[p.dir] += uint64(len(p.data))
	}
	c.Close()
	o.info, o.stats = c.Info(), c.Stats()
	checkStats(t, o)
	return o
}

// checkStats holds what is true for any input.
func checkStats(t testing.TB, o *outcome) {
	t.Helper()
	s := o.stats
	require.Equal(t, s.Bytes, s.Consumed+s.Skipped, "consumed + skipped = input: %+v", s)
	require.Equal(t, s.Plain, uint64(len(o.data[0])+len(o.data[1])))
	require.Equal(t, s.Plain+s.PlainMissing, o.next[0]+o.next[1])
	require.GreaterOrEqual(t, s.Records, s.Opened+s.NoKey+s.Unsupported+s.BadRecords+s.Undecided)
}

// recorded returns the parts of a session, and its keys.
func recorded(t testing.TB, s *tlsrec.Session) ([]part, *tlsx.KeyLog) {
	t.Helper()
	var parts []part
	for _, p := range s.Parts {
		parts = append(parts, part{dir: tlsx.Direction(p.Dir), data: p.Data})
	}
	return parts, keyLog(t, string(s.KeyLog))
}

func keyLog(t testing.TB, text string) *tlsx.KeyLog {
	t.Helper()
	keys, err := tlsx.ReadKeyLog(strings.NewReader(text))
	require.NoError(t, err)
	return keys
}

// talks is what is said in sessions of crypto/tls: each line in its own record, in turns.
func talks() (clients, servers []string) {
	return []string{"GET / HTTP/1.1\r\n\r\n", strings.Repeat("question ", 4000), "bye"},
		[]string{"HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("answer ", 6000), "see you"}
}

// record records a session of crypto/tls in which talks are said.
func record(t testing.TB, c, s *tls.Config) *tlsrec.Session {
	t.Helper()
	clients, servers := talks()
	talk := func(speak, hear []string, first bool) func(*tls.Conn) error {
		return func(conn *tls.Conn) error {
			for i := range speak {
				buf := make([]byte, len(hear[i]))
				if !first {
					if _, err := io.ReadFull(conn, buf); err != nil {
						return err
					}
				}
				if _, err := io.WriteString(conn, speak[i]); err != nil {
					return err
				}
				if first {
					if _, err := io.ReadFull(conn, buf); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	session, err := tlsrec.Record(c, s, talk(clients, servers, true), talk(servers, clients, false))
	require.NoError(t, err)
	return session
}

// configs returns configurations for a version, with a key that is always the same.
func configs(t testing.TB, version uint16) (c, s *tls.Config) {
	t.Helper()
	cert, err := tlsrec.Certificate(tlsrec.Ed25519())
	require.NoError(t, err)
	c = &tls.Config{
		ServerName: "example.com", InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"},
		MinVersion: tls.VersionTLS10, MaxVersion: version,
	}
	s = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS10}
	return c, s
}

// said requires that all of talks was decrypted.
func said(t testing.TB, o *outcome) {
	t.Helper()
	clients, servers := talks()
	require.Equal(t, tlsx.NoTrouble, o.info.Trouble, "%+v", o.stats)
	require.Empty(t, o.gaps[client])
	require.Empty(t, o.gaps[server])
	for d, want := range [][]string{clients, servers} { // compared in short: they are long
		require.Len(t, o.data[d], len(strings.Join(want, "")))
		require.True(t, bytes.Equal([]byte(strings.Join(want, "")), o.data[d]))
	}
	for d := range o.end {
		require.NotNil(t, o.end[d])
		require.True(t, o.end[d].Closed)
	}
}

// peer seals records as one side of a connection does, by its own reading of the RFCs.
type peer struct {
	dir    tlsx.Direction
	id     uint16 // of the suite
	aead   cipher.AEAD
	iv     []byte
	secret []byte
	seq    uint64
}

func newHash(id uint16) func() hash.Hash {
	switch id {
	case 0x1302, 0xc030, 0xc02c:
		return sha512.New384
	}
	return sha256.New
}

func newAEAD(t testing.TB, id uint16, key []byte) cipher.AEAD {
	t.Helper()
	if id == 0x1303 || id == 0xcca8 {
		a, err := chacha20poly1305.New(key)
		require.NoError(t, err)
		return a
	}
	b, err := aes.NewCipher(key)
	require.NoError(t, err)
	a, err := cipher.NewGCM(b)
	require.NoError(t, err)
	return a
}

func keySize(id uint16) int {
	if id == 0x1301 || id == 0xc02f {
		return 16
	}
	return 32
}

func label(t testing.TB, id uint16, secret []byte, name string, n int) []byte {
	t.Helper()
	name = "tls13 " + name
	info := string([]byte{byte(n >> 8), byte(n), byte(len(name))}) + name + "\x00"
	out, err := hkdf.Expand(newHash(id), secret, info, n)
	require.NoError(t, err)
	return out
}

// use goes on with the keys of a TLS 1.3 secret.
func (p *peer) use(t testing.TB, id uint16, secret []byte) {
	t.Helper()
	p.id, p.secret, p.seq = id, secret, 0
	p.aead = newAEAD(t, id, label(t, id, secret, "key", keySize(id)))
	p.iv = label(t, id, secret, "iv", 12)
}

// update goes on with the keys behind a KeyUpdate.
func (p *peer) update(t testing.TB) {
	t.Helper()
	p.use(t, p.id, label(t, p.id, p.secret, "traffic upd", len(p.secret)))
}

// seal returns a TLS 1.3 record.
func (p *peer) seal(kind byte, content []byte, padding int) part {
	inner := append(append(bytes.Clone(content), kind), make([]byte, padding)...)
	head := []byte{23, 3, 3, byte((len(inner) + 16) >> 8), byte(len(inner) + 16)}
	nonce := bytes.Clone(p.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(p.seq >> (56 - 8*i))
	}
	p.seq++
	return part{dir: p.dir, data: p.aead.Seal(head, nonce, inner, head)}
}

func (p *peer) say(s string) part { return p.seal(23, []byte(s), 0) }

// master goes on with the keys of a TLS 1.2 master secret.
func (p *peer) master(t testing.TB, id uint16, master, clientRandom, serverRandom []byte) {
	t.Helper()
	p.id, p.seq = id, 0
	ivSize := 4
	if id == 0xcca8 {
		ivSize = 12
	}
	n := keySize(id)
	seed := []byte("key expansion" + string(serverRandom) + string(clientRandom))
	var block []byte
	mac := func(b []byte) []byte {
		h := hmac.New(newHash(id), master)
		h.Write(b)
		return h.Sum(nil)
	}
	for a := mac(seed); len(block) < 2*(n+ivSize); a = mac(a) {
		block = append(block, mac(append(bytes.Clone(a), seed...))...)
	}
	key, iv := block[:n], block[2*n:2*n+ivSize]
	if p.dir == server {
		key, iv = block[n:2*n], block[2*n+ivSize:2*n+2*ivSize]
	}
	p.aead, p.iv = newAEAD(t, id, key), iv
}

// seal12 returns a TLS 1.2 record; the explicit nonce, where there is one, starts at nonce.
func (p *peer) seal12(kind byte, content []byte, nonce uint64) part {
	aad := binary.BigEndian.AppendUint64(nil, p.seq)
	aad = append(aad, kind, 3, 3, byte(len(content)>>8), byte(len(content)))
	var full, explicit []byte
	if len(p.iv) == 4 {
		explicit = binary.BigEndian.AppendUint64(nil, nonce+p.seq)
		full = append(bytes.Clone(p.iv), explicit...)
	} else {
		full = bytes.Clone(p.iv)
		for i := range 8 {
			full[4+i] ^= byte(p.seq >> (56 - 8*i))
		}
	}
	p.seq++
	sealed := p.aead.Seal(explicit, full, content, aad)
	return part{dir: p.dir, data: append([]byte{kind, 3, 3, byte(len(sealed) >> 8), byte(len(sealed))}, sealed...)}
}

// plainly returns a record in clear text.
func plainly(d tlsx.Direction, kind byte, content []byte) part {
	return part{dir: d, data: append([]byte{kind, 3, 3, byte(len(content) >> 8), byte(len(content))}, content...)}
}

func ccs(d tlsx.Direction) part { return plainly(d, 20, []byte{1}) }

// message returns a handshake message.
func message(kind byte, body []byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func vector16(b []byte) []byte { return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) }

func extension(kind byte, v []byte) []byte { return append([]byte{0, kind}, vector16(v)...) }

// randoms are recognisable.
func random(c byte) []byte { return bytes.Repeat([]byte{c}, 32) }

// helloOf returns a ClientHello or a ServerHello.
func helloOf(kind byte, rnd []byte, id uint16, session string, extensions ...[]byte) []byte {
	body := append([]byte{3, 3}, rnd...)
	body = append(append(body, byte(len(session))), session...)
	suite := []byte{byte(id >> 8), byte(id)}
	if kind == 1 {
		body = append(append(body, vector16(suite)...), 1, 0)
	} else {
		body = append(append(body, suite...), 0)
	}
	if all := bytes.Join(extensions, nil); len(all) > 0 {
		body = append(body, vector16(all)...)
	}
	return message(kind, body)
}

var chose13 = []byte{0, 43, 0, 2, 3, 4}

// session13 is a made-up TLS 1.3 connection up to its Finished messages, in parts of one record each.
type session13 struct {
	c, s  peer
	id    uint16
	parts []part
	keys  string
}

func secretOf(id uint16, c byte) []byte { return bytes.Repeat([]byte{c}, newHash(id)().Size()) }

// The labels of a key log, and the letters of the secrets that session13 has.
const (
	earlySecret   = 'e'
	clientSecret  = 'c'
	serverSecret  = 's'
	clientTraffic = 'C'
	serverTraffic = 'S'
)

func newSession13(t testing.TB, id uint16) *session13 {
	t.Helper()
	s := &session13{c: peer{dir: client}, s: peer{dir: server}, id: id}
	for _, l := range []struct {
		label  string
		secret byte
	}{
		{"CLIENT_EARLY_TRAFFIC_SECRET", earlySecret},
		{"CLIENT_HANDSHAKE_TRAFFIC_SECRET", clientSecret},
		{"SERVER_HANDSHAKE_TRAFFIC_SECRET", serverSecret},
		{"CLIENT_TRAFFIC_SECRET_0", clientTraffic},
		{"SERVER_TRAFFIC_SECRET_0", serverTraffic},
	} {
		s.keys += fmt.Sprintf("%s %x %x\n", l.label, random(1), secretOf(id, l.secret))
	}
	return s
}

func (s *session13) add(parts ...part) *session13 {
	s.parts = append(s.parts, parts...)
	return s
}

// open appends the handshake.
func (s *session13) open(t testing.TB) *session13 {
	t.Helper()
	s.s.use(t, s.id, secretOf(s.id, serverSecret))
	s.c.use(t, s.id, secretOf(s.id, clientSecret))
	s.add(
		plainly(client, 22, helloOf(1, random(1), s.id, "id")),
		plainly(server, 22, helloOf(2, random(2), s.id, "id", chose13)), ccs(server),
		s.s.seal(22, message(8, vector16(extension(16, vector16([]byte("\x02h2"))))), 0),
		s.s.seal(22, message(11, make([]byte, 900)), 0),
		s.s.seal(22, message(20, random(3)), 0),
		ccs(client), s.c.seal(22, message(20, random(4)), 0),
	)
	s.s.use(t, s.id, secretOf(s.id, serverTraffic))
	s.c.use(t, s.id, secretOf(s.id, clientTraffic))
	return s
}

func (s *session13) run(t testing.TB) *outcome {
	t.Helper()
	return run(t, keyLog(t, s.keys), nil, s.parts)
}

// session12 is a made-up TLS 1.2 connection.
type session12 struct {
	c, s  peer
	id    uint16
	parts []part
	keys  string
}

func newSession12(t testing.TB, id uint16) *session12 {
	t.Helper()
	s := &session12{c: peer{dir: client}, s: peer{dir: server}, id: id}
	return s.key(random(1))
}

var masterSecret = bytes.Repeat([]byte("m"), 48)

// key adds a line to the key log.
func (s *session12) key(clientRandom []byte) *session12 {
	s.keys += "CLIENT_RANDOM " + hex.EncodeToString(clientRandom) + " " + hex.EncodeToString(masterSecret) + "\n"
	return s
}

func (s *session12) add(parts ...part) *session12 {
	s.parts = append(s.parts, parts...)
	return s
}

// open appends the handshake.
func (s *session12) open(t testing.TB) *session12 {
	t.Helper()
	s.c.master(t, s.id, masterSecret, random(1), random(2))
	s.s.master(t, s.id, masterSecret, random(1), random(2))
	return s.add(
		plainly(client, 22, helloOf(1, random(1), s.id, "")),
		plainly(server, 22, helloOf(2, random(2), s.id, "", extension(16, vector16([]byte("\x08http/1.1"))))),
		plainly(server, 22, message(11, make([]byte, 900))), plainly(server, 22, message(14, nil)),
		plainly(client, 22, message(16, make([]byte, 33))), ccs(client), s.c.seal12(22, message(20, make([]byte, 12)), 0),
		ccs(server), s.s.seal12(22, message(20, make([]byte, 12)), 0),
	)
}

func (s *session12) run(t testing.TB) *outcome {
	t.Helper()
	return run(t, keyLog(t, s.keys), nil, s.parts)
}

// split cuts every part into pieces of n bytes.
func split(parts []part, n int) []part {
	var out []part
	for _, p := range parts {
		if p.gap > 0 {
			out = append(out, p)
			continue
		}
		for b := p.data; len(b) > 0; b = b[min(n, len(b)):] {
			out = append(out, part{dir: p.dir, data: b[:min(n, len(b))]})
		}
	}
	return out
}

// lose makes a gap of the n bytes of part i from byte at on.
func lose(parts []part, i, at, n int) []part {
	p := parts[i]
	out := append([]part(nil), parts[:i]...)
	if at > 0 {
		out = append(out, part{dir: p.dir, data: p.data[:at]})
	}
	out = append(out, part{dir: p.dir, gap: n})
	if rest := p.data[at+n:]; len(rest) > 0 {
		out = append(out, part{dir: p.dir, data: rest})
	}
	return append(out, parts[i+1:]...)
}
