package tlsx_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
	"github.com/tcpfollow/tcpfollow/tlsx"
)

// Every suite of TLS 1.2 that crypto/tls has: decrypted when it is authenticated, reported otherwise.
func TestSuitesOfTLS12(t *testing.T) {
	c, s := configs(t, tls.VersionTLS12)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	cert, err := tlsrec.Certificate(key)
	require.NoError(t, err)
	s.Certificates = append(s.Certificates, cert)
	opened, refused := 0, 0
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if suite.SupportedVersions[0] == tls.VersionTLS13 {
			continue
		}
		t.Run(suite.Name, func(t *testing.T) {
			c.CipherSuites, s.CipherSuites = []uint16{suite.ID}, []uint16{suite.ID}
			parts, keys := recorded(t, record(t, c, s))
			o := run(t, keys, nil, parts)
			require.Equal(t, uint16(tls.VersionTLS12), o.info.Version)
			require.Equal(t, suite.ID, o.info.Suite)
			require.Equal(t, suite.Name, tlsx.SuiteName(o.info.Suite))
			require.Equal(t, "example.com", o.info.ServerName)
			require.Equal(t, []string{"h2", "http/1.1"}, o.info.Offered)
			require.Equal(t, "http/1.1", o.info.Protocol)
			if o.stats.Unsupported > 0 {
				refused++
				require.NotRegexp(t, "GCM|POLY1305", suite.Name)
				require.Equal(t, tlsx.UnsupportedSuite, o.info.Trouble)
				require.Zero(t, o.stats.Plain)
				require.Equal(t, tlsx.GapUnsupported, o.gaps[client][0].Reason)
				return
			}
			opened++
			said(t, o)
			require.Equal(t, o, run(t, keys, nil, split(parts, len(parts[0].data))).sameOrigins(o))
		})
	}
	require.Equal(t, 8, opened, "authenticated suites")
	require.Equal(t, 14, refused, "other suites")
}

// sameOrigins takes over the origins of other, where packets were cut in another way.
func (o *outcome) sameOrigins(other *outcome) *outcome {
	for d := range o.chunks {
		for i := range min(len(o.chunks[d]), len(other.chunks[d])) {
			o.chunks[d][i].Origin = other.chunks[d][i].Origin
		}
	}
	o.t = other.t
	return o
}

func TestTLS13(t *testing.T) {
	c, s := configs(t, tls.VersionTLS13)
	parts, keys := recorded(t, record(t, c, s))
	o := run(t, keys, nil, parts)
	said(t, o)
	require.Equal(t, uint16(tls.VersionTLS13), o.info.Version)
	require.Equal(t, "example.com", o.info.ServerName)
	require.Equal(t, []string{"h2", "http/1.1"}, o.info.Offered)
	require.Equal(t, "http/1.1", o.info.Protocol)
	require.False(t, o.info.Retried)
	require.False(t, o.info.Resumed)
	require.Equal(t, tlsx.EarlyNone, o.info.EarlyData)
	require.Equal(t, [2]tlsx.Alert{{Level: 1}, {Level: 1}}, o.info.Alerts)
	require.Zero(t, o.stats.Skipped)
}

func TestHelloRetryRequest(t *testing.T) {
	c, s := configs(t, tls.VersionTLS13)
	c.CurvePreferences, s.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}, []tls.CurveID{tls.CurveP256}
	parts, keys := recorded(t, record(t, c, s))
	o := run(t, keys, nil, parts)
	said(t, o)
	require.True(t, o.info.Retried)
}

func TestResumption(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			c, s := configs(t, version)
			c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			s.SetSessionTicketKeys([][32]byte{{1}})
			opener := record(t, c, s)
			first, _ := recorded(t, opener)
			resumed := record(t, c, s)
			if version == tls.VersionTLS12 { // whose resumptions crypto/tls does not log: other random, same secret
				master := strings.Fields(string(opener.KeyLog))[2]
				hello := resumed.Parts[0].Data[5+4+2:]
				resumed.KeyLog = fmt.Appendf(nil, "CLIENT_RANDOM %x %s\n", hello[:32], master)
			}
			parts, keys := recorded(t, resumed)
			o := run(t, keys, nil, parts)
			said(t, o)
			require.True(t, o.info.Resumed)
			o = run(t, keys, nil, first)
			require.Equal(t, tlsx.NoKey, o.info.Trouble, "keys of the second connection do not open the first")
			require.Zero(t, o.stats.Plain)
		})
	}
}

func TestOldVersions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			c, s := configs(t, version)
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			require.NoError(t, err)
			cert, err := tlsrec.Certificate(key)
			require.NoError(t, err)
			s.Certificates = []tls.Certificate{cert}
			parts, keys := recorded(t, record(t, c, s))
			o := run(t, keys, nil, parts)
			require.Equal(t, tlsx.UnsupportedVersion, o.info.Trouble)
			require.Equal(t, version, o.info.Version)
			require.Zero(t, o.stats.Plain)
			require.NotZero(t, o.stats.Unsupported)
		})
	}
}

// Whatever way the bytes are cut, the outcome is the same.
func TestCutAnywhere(t *testing.T) {
	small := map[string][]part{}
	keys := new(tlsx.KeyLog)
	s13 := newSession13(t, tls.TLS_AES_128_GCM_SHA256).open(t)
	s13.add(s13.c.say("question"), s13.s.say("answer"), s13.s.seal(22, message(24, []byte{0}), 3))
	s13.s.update(t)
	small["1.3"] = s13.add(s13.s.say("more"), s13.s.seal(21, []byte{1, 0}, 0), s13.c.seal(21, []byte{1, 0}, 0)).parts
	s12 := newSession12(t, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256).open(t)
	small["1.2"] = s12.add(s12.c.seal12(23, []byte("question"), 0), s12.s.seal12(23, []byte("answer"), 0)).parts
	small["1.2 with a gap"] = lose(s12.add(s12.c.seal12(23, []byte("next"), 0)).parts, 9, 3, 5)
	small["damaged"] = append(s12.parts[:9:9], part{dir: client, data: make([]byte, 40)}, s12.parts[11])
	for _, text := range []string{s13.keys, s12.keys} {
		_, err := keys.Write([]byte(text))
		require.NoError(t, err)
	}
	for name, parts := range small {
		t.Run(name, func(t *testing.T) {
			// What one side sends in a row is one part.
			var joined []part
			for _, p := range parts {
				if n := len(joined) - 1; n >= 0 && p.gap == 0 && joined[n].gap == 0 && joined[n].dir == p.dir {
					joined[n].data = append(slices.Clip(joined[n].data), p.data...)
					continue
				}
				joined = append(joined, p)
			}
			want := run(t, keys, nil, joined)
			require.NotZero(t, want.stats.Plain)
			for i, p := range joined {
				for at := 1; at < len(p.data); at++ {
					cut := append(append([]part(nil), joined[:i]...), part{dir: p.dir, data: p.data[:at]}, part{dir: p.dir, data: p.data[at:]})
					require.Equal(t, want, run(t, keys, nil, append(cut, joined[i+1:]...)).sameOrigins(want), "part %d at %d", i, at)
				}
			}
			for _, n := range []int{1, 2, 3, 5, 7, 16} {
				require.Equal(t, want, run(t, keys, nil, split(joined, n)).sameOrigins(want), "pieces of %d", n)
			}
		})
	}
}

// The origin of a chunk is the packet with the first byte of its record.
func TestOrigins(t *testing.T) {
	s := newSession13(t, tls.TLS_CHACHA20_POLY1305_SHA256).open(t)
	n := len(s.parts)
	first, second := s.c.say("first"), s.c.say("second")
	both := append(append([]byte(nil), first.data...), second.data...)
	s.add(part{dir: client, data: both[:3]}, part{dir: client, data: both[3:20]}, part{dir: client, data: both[20:30]}, part{dir: client, data: both[30:]})
	o := s.run(t)
	require.Len(t, o.chunks[client], 2)
	require.Equal(t, uint64(n+1), o.chunks[client][0].Origin.Packet)
	require.Equal(t, uint64(n+3), o.chunks[client][1].Origin.Packet)
	want := 0
	for _, p := range s.parts[:n] {
		if p.dir == client {
			want += len(p.data)
		}
	}
	require.Equal(t, uint32(want), o.chunks[client][0].Origin.Seq)
	require.Equal(t, uint32(want+len(first.data)), o.chunks[client][1].Origin.Seq)
}

// One side after the other, in both orders: records wait for the hello that comes late.
func TestOrderOfDirections(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c, s := configs(t, version)
		parts, keys := recorded(t, record(t, c, s))
		for _, first := range []tlsx.Direction{client, server} {
			var ordered []part
			for _, d := range []tlsx.Direction{first, first ^ 1} {
				for _, p := range parts {
					if p.dir == d {
						ordered = append(ordered, p)
					}
				}
			}
			o := run(t, keys, nil, ordered)
			said(t, o)
			require.Zero(t, o.stats.LimitHeld)

			o = run(t, keys, &tlsx.Config{MaxHeld: 100}, ordered)
			require.NotZero(t, o.stats.LimitHeld)
		}
	}
}

// A connection whose opener is the server of TLS.
func TestRolesReversed(t *testing.T) {
	c, s := configs(t, tls.VersionTLS12)
	parts, keys := recorded(t, record(t, c, s))
	for i := range parts {
		parts[i].dir ^= 1
	}
	o := run(t, keys, nil, parts)
	require.Equal(t, server, o.info.Client)
	clients, _ := talks()
	require.Contains(t, string(o.data[server]), clients[1])
	require.Empty(t, o.gaps)
}

// discard takes what is decrypted and keeps nothing.
type discard struct{}

func (discard) Data(tlsx.Direction, tlsx.Chunk) {}
func (discard) Gap(tlsx.Direction, tlsx.Gap)    {}
func (discard) End(tlsx.Direction, tlsx.End)    {}

// Decrypting a record does not allocate.
func TestAllocations(t *testing.T) {
	s13 := newSession13(t, tls.TLS_AES_128_GCM_SHA256).open(t)
	s12 := newSession12(t, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256).open(t)
	text := make([]byte, 8000)
	const runs = 100
	first13, first12 := len(s13.parts), len(s12.parts)
	for range runs + 10 {
		s13.add(s13.c.seal(23, text, 0))
		s12.add(s12.c.seal12(23, text, 0))
	}
	for _, s := range []struct {
		keys  string
		parts []part
		first int
	}{{s13.keys, s13.parts, first13}, {s12.keys, s12.parts, first12}} {
		d, err := tlsx.New(keyLog(t, s.keys), nil)
		require.NoError(t, err)
		c := d.Open(discard{})
		var off [2]uint64
		next := 0
		feed := func() {
			p := s.parts[next]
			next++
			half := len(p.data) / 2
			c.Data(p.dir, off[p.dir], p.data[:half], tlsx.Origin{})
			c.Data(p.dir, off[p.dir]+uint64(half), p.data[half:], tlsx.Origin{})
			off[p.dir] += uint64(len(p.data))
		}
		for next < s.first+5 {
			feed()
		}
		require.Zero(t, testing.AllocsPerRun(runs, feed))
		require.Equal(t, uint64(len(text)*(next-s.first)), c.Stats().Plain)
	}
}
