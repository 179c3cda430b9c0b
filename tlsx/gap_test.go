package tlsx_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/tlsx"
)

// conversation13 says lines of different lengths in records of their own, with key updates among them.
func conversation13(t testing.TB, id uint16) (s *session13, lines []string, first int) {
	t.Helper()
	s = newSession13(t, id).open(t)
	first = len(s.parts)
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("<%d %s>", i, strings.Repeat("x", i*i%97)))
		s.add(s.c.say(lines[i]))
	}
	return s, lines, first
}

func conversation12(t testing.TB, id uint16, nonce uint64) (s *session12, lines []string, first int) {
	t.Helper()
	s = newSession12(t, id).open(t)
	first = len(s.parts)
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("<%d %s>", i, strings.Repeat("x", i*i%97)))
		s.add(s.c.seal12(23, []byte(lines[i]), nonce))
	}
	return s, lines, first
}

// After a gap anywhere the records behind it are found, and the gap has the length of what is missing.
func TestGapBetweenAndWithinRecords(t *testing.T) {
	type talk struct {
		name  string
		keys  string
		parts []part
		lines []string
		first int
	}
	var talks []talk
	for _, id := range suites13 {
		s, lines, first := conversation13(t, id)
		talks = append(talks, talk{tlsx.SuiteName(id), s.keys, s.parts, lines, first})
	}
	for _, id := range []uint16{gcm128, gcm256, chacha12} {
		for _, nonce := range []uint64{0, 1 << 40} {
			s, lines, first := conversation12(t, id, nonce)
			talks = append(talks, talk{fmt.Sprintf("%s nonce %d", tlsx.SuiteName(id), nonce), s.keys, s.parts, lines, first})
		}
	}
	for _, c := range talks {
		t.Run(c.name, func(t *testing.T) {
			keys := keyLog(t, c.keys)
			var wire []byte
			starts := []int{0}
			for _, p := range c.parts[c.first:] {
				wire = append(wire, p.data...)
				starts = append(starts, len(wire))
			}
			r := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				at := r.IntN(len(wire))
				n := 1 + r.IntN(min(500, len(wire)-at))
				// Records that the gap touches are lost.
				lost, before, after := 0, "", ""
				for i, line := range c.lines {
					switch {
					case starts[i+1] <= at:
						before += line
					case starts[i] >= at+n:
						after += line
					default:
						lost += len(line)
					}
				}
				parts := append(append([]part(nil), c.parts[:c.first]...), lose([]part{{dir: client, data: wire}}, 0, at, n)...)
				o := run(t, keys, nil, parts)
				require.Equal(t, before+after, string(o.data[client]), "%d bytes at %d", n, at)
				var missing uint64
				for _, g := range o.gaps[client] {
					require.Equal(t, tlsx.GapLost, g.Reason)
					missing += g.Length
				}
				if after != "" {
					require.Equal(t, uint64(lost), missing, "%d bytes at %d", n, at)
				} else {
					require.GreaterOrEqual(t, missing, uint64(lost))
				}
				require.Zero(t, o.stats.BadRecords)
				require.Zero(t, o.stats.LimitSearch)
			}
		})
	}
}

// Gaps in the handshake: what comes behind is decrypted as long as the hellos are there.
func TestGapInHandshake(t *testing.T) {
	s13 := newSession13(t, aes128).open(t)
	s13.add(s13.c.say("question"), s13.s.say("answer"))
	s12 := newSession12(t, gcm128).open(t)
	s12.add(s12.c.seal12(23, []byte("question"), 0), s12.s.seal12(23, []byte("answer"), 0))
	for _, s := range []struct {
		keys  string
		parts []part
		tls13 bool
	}{{s13.keys, s13.parts, true}, {s12.keys, s12.parts, false}} {
		keys := keyLog(t, s.keys)
		for i, p := range s.parts[:len(s.parts)-2] {
			for at := range p.data {
				for _, n := range []int{1, len(p.data) - at} {
					if n > len(p.data)-at {
						continue
					}
					o := run(t, keys, nil, lose(s.parts, i, at, n))
					switch {
					case i == 0:
						require.Equal(t, tlsx.NoClientHello, o.info.Trouble)
						require.Zero(t, o.stats.Plain)
					case i == 1 && !s.tls13:
						require.Equal(t, tlsx.NoServerHello, o.info.Trouble)
						require.Zero(t, o.stats.Plain)
					default: // in TLS 1.3 the suite is found by trial
						require.Equal(t, "question", string(o.data[client]), "part %d at %d", i, at)
						require.Equal(t, "answer", string(o.data[server]), "part %d at %d", i, at)
						require.Equal(t, s.tls13, o.info.Suite == aes128)
						require.Empty(t, o.gaps[client], "part %d at %d, %d bytes", i, at, n)
						require.Empty(t, o.gaps[server], "part %d at %d, %d bytes", i, at, n)
					}
				}
			}
		}
	}
}

// One direction alone: TLS 1.3 needs no ServerHello.
func TestOneWay(t *testing.T) {
	for _, id := range suites13 {
		s := newSession13(t, id).open(t)
		s.add(s.c.say("question"), s.s.say("answer"))
		var parts []part
		for _, p := range s.parts {
			if p.dir == client {
				parts = append(parts, p)
			}
		}
		o := run(t, keyLog(t, s.keys), nil, parts)
		require.Equal(t, "question", string(o.data[client]))
		require.Equal(t, id, o.info.Suite)
		require.Equal(t, uint16(0x0304), o.info.Version)
	}
}

// A KeyUpdate within a gap.
func TestKeyUpdateLost(t *testing.T) {
	s := newSession13(t, aes256).open(t)
	s.add(s.c.say("before"), s.c.seal(22, message(24, []byte{0}), 0))
	lost := len(s.parts) - 1
	s.c.update(t)
	s.add(s.c.say("first"), s.c.say("second"))
	for _, n := range []int{0, 1} {
		parts := append([]part(nil), s.parts[:lost]...)
		gap := len(s.parts[lost].data)
		if n == 1 {
			gap += len(s.parts[lost+1].data)
		}
		parts = append(append(parts, part{dir: client, gap: gap}), s.parts[lost+1+n:]...)
		o := run(t, keyLog(t, s.keys), nil, parts)
		require.Equal(t, "before"+[]string{"firstsecond", "second"}[n], string(o.data[client]))
		require.Equal(t, [2]int{1, 0}, o.info.KeyUpdates)
	}
}

// Bytes that are no record: the search passes over them.
func TestGarbageBetweenRecords(t *testing.T) {
	s, lines, first := conversation13(t, aes128)
	for _, garbage := range []string{"\x00", "GET / HTTP/1.1\r\n\r\n", "\x17\x03\x03\x00\x00\x17\x03", strings.Repeat("\x17\x03\x03\x60\x00", 30), strings.Repeat("\xff", 40000)} {
		parts := append([]part(nil), s.parts[:first+5]...)
		parts = append(append(parts, part{dir: client, data: []byte(garbage)}), s.parts[first+5:]...)
		o := run(t, keyLog(t, s.keys), nil, parts)
		require.Equal(t, strings.Join(lines, ""), string(o.data[client]), "%.10q", garbage)
	}
}

// Without keys the records behind a gap are found by their headers.
func TestGapWithoutKeys(t *testing.T) {
	s, _, first := conversation13(t, aes128)
	o := run(t, nil, nil, lose(s.parts, first+3, 2, 20))
	require.Equal(t, uint64(1), o.stats.Resyncs)
	require.Equal(t, tlsx.NoKey, o.info.Trouble)
	require.Greater(t, o.stats.NoKey, uint64(30))
	// The last of two gaps that overlap what was there before.
	c, got := newConn(t, nil, nil)
	c.Data(client, 0, s.parts[0].data, tlsx.Origin{})
	c.Gap(client, 0, 5)
	c.Gap(client, 3, 1<<64-1)
	c.Data(client, 2, s.parts[0].data[2:], tlsx.Origin{})
	c.Close()
	c.Data(client, 1000, []byte("x"), tlsx.Origin{})
	c.Gap(client, 1000, 1)
	c.Close()
	require.Equal(t, uint64(len(s.parts[0].data)), c.Stats().Bytes)
	require.Zero(t, c.Stats().Missing)
	require.NotNil(t, got.end[client])
	// Offsets that jump are a gap.
	c, _ = newConn(t, nil, nil)
	c.Data(client, 0, s.parts[0].data, tlsx.Origin{})
	c.Data(client, uint64(len(s.parts[0].data))+7, []byte("xxx"), tlsx.Origin{})
	c.Close()
	require.Equal(t, uint64(7), c.Stats().Missing)
}

func TestLimits(t *testing.T) {
	_, err := tlsx.New(nil, &tlsx.Config{MaxHeld: -1})
	require.Error(t, err)

	t.Run("handshake", func(t *testing.T) {
		s := newSession13(t, aes128)
		big := helloOf(1, random(1), aes128, "", extension(21, make([]byte, 2000)))
		s.add(plainly(client, 22, big))
		require.Equal(t, uint64(1), run(t, nil, &tlsx.Config{MaxHandshake: 1000}, s.parts).stats.LimitHandshake)
		require.Zero(t, run(t, nil, nil, s.parts).stats.LimitHandshake)
	})
	t.Run("sequence numbers", func(t *testing.T) {
		s, lines, first := conversation13(t, chacha20)
		gap := 0
		for _, p := range s.parts[first : first+30] {
			gap += len(p.data)
		}
		parts := append(append(append([]part(nil), s.parts[:first]...), part{dir: client, gap: gap}), s.parts[first+30:]...)
		keys := keyLog(t, s.keys)
		require.Equal(t, strings.Join(lines[30:], ""), string(run(t, keys, nil, parts).data[client]))
		o := run(t, keys, &tlsx.Config{MaxSearch: 29}, parts)
		require.Empty(t, o.data[client])
		require.NotEmpty(t, o.gaps[client])
	})
	t.Run("trials", func(t *testing.T) {
		// Every fifth byte looks like a record of 16 KiB: without a limit each would be tried with 1,024 numbers.
		s := newSession13(t, chacha20).open(t)
		s.add(part{dir: client, gap: 1 << 20}, part{dir: client, data: bytes.Repeat([]byte("\x17\x03\x03\x40\x00"), 8000)})
		o := s.run(t)
		require.Equal(t, uint64(1), o.stats.LimitSearch)
	})
	t.Run("held", func(t *testing.T) {
		s := newSession13(t, aes128).open(t)
		for range 100 {
			s.add(s.c.say(strings.Repeat("x", 1000)))
		}
		var parts []part
		for _, p := range s.parts {
			if p.dir == client {
				parts = append(parts, p)
			}
		}
		keys := keyLog(t, s.keys)
		c, o := newConn(t, keys, &tlsx.Config{MaxHeld: 10_000})
		var off uint64
		for _, p := range parts {
			c.Data(client, off, p.data, tlsx.Origin{})
			off += uint64(len(p.data))
			if c.Stats().LimitHeld == 0 {
				require.Zero(t, c.Stats().Plain)
			}
		}
		require.Equal(t, uint64(1), c.Stats().LimitHeld)
		require.Len(t, o.data[client], 100_000, "what waited is decrypted without the other side")
	})
}
