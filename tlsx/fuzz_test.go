package tlsx_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/tlsx"
)

// fuzzSession is a connection, and all that is said in it.
type fuzzSession struct {
	parts []part
	keys  *tlsx.KeyLog
	said  [2]map[string]bool
}

// fuzzSessions are connections of every kind.
func fuzzSessions(t testing.TB) []fuzzSession {
	t.Helper()
	lines := []string{"one", "two", "a longer line of text than the others", "4"}
	said := [2]map[string]bool{{"updated": true}, {}}
	for _, line := range lines {
		said[client][line], said[server][line+"!"] = true, true
	}
	var all []fuzzSession
	for _, id := range suites13 {
		s := newSession13(t, id).open(t)
		for _, line := range lines {
			s.add(s.c.say(line), s.s.say(line+"!"))
		}
		s.add(s.c.seal(22, message(24, []byte{0}), 0))
		s.c.update(t)
		s.add(s.c.say("updated"), s.s.seal(21, []byte{1, 0}, 5))
		all = append(all, fuzzSession{s.parts, keyLog(t, s.keys), said})
	}
	for _, id := range []uint16{gcm128, gcm256, chacha12} {
		s := newSession12(t, id).open(t)
		for _, line := range lines {
			s.add(s.c.seal12(23, []byte(line), 0), s.s.seal12(23, []byte(line+"!"), 0))
		}
		all = append(all, fuzzSession{s.parts, keyLog(t, s.keys), said})
	}
	return all
}

// play runs ops over a session: cuts, gaps, repeated and changed bytes, jumps between directions.
//
// An op is two bytes: what to do, and how much of the next part.
func play(t *testing.T, s *fuzzSession, ops []byte) *outcome {
	var queue [2][]byte
	for _, p := range s.parts {
		queue[p.dir] = append(queue[p.dir], p.data...)
	}
	c, o := newConn(t, s.keys, &tlsx.Config{MaxHeld: 2000, MaxSearch: 64})
	var off [2]uint64
	take := func(d tlsx.Direction, n int) []byte {
		b := queue[d][:min(n, len(queue[d]))]
		queue[d] = queue[d][len(b):]
		return b
	}
	for len(ops) >= 2 {
		op, n := ops[0], int(ops[1])+1
		ops = ops[2:]
		d := tlsx.Direction(op & 1)
		switch op >> 1 & 7 {
		case 0, 1, 2, 3:
			b := take(d, n<<(op>>1&3))
			c.Data(d, off[d], b, tlsx.Origin{})
			off[d] += uint64(len(b))
		case 4:
			c.Gap(d, off[d], uint64(len(take(d, n))))
			off[d] += uint64(n)
		case 5:
			b := bytes.Clone(take(d, n))
			if len(b) > 0 {
				b[int(op>>4)%len(b)] ^= 1 << (op >> 5)
			}
			c.Data(d, off[d], b, tlsx.Origin{})
			off[d] += uint64(len(b))
		case 6:
			b := bytes.Repeat(ops[:min(8, len(ops))], n)
			c.Data(d, off[d], b, tlsx.Origin{})
			off[d] += uint64(len(b))
		case 7:
			if n > 250 {
				c.End(d)
			}
			c.Data(d, max(off[d], uint64(n))-uint64(n), make([]byte, n), tlsx.Origin{}) // came before
		}
	}
	for d := range queue {
		c.Data(tlsx.Direction(d), off[d], queue[d], tlsx.Origin{})
	}
	c.Close()
	o.info, o.stats = c.Info(), c.Stats()
	return o
}

// Whatever is done to connections, nothing is handed out that was not said in them, all bytes are accounted for, and
// the offsets of data and gaps join (the handler checks that).
func FuzzRecords(f *testing.F) {
	sessions := fuzzSessions(f)
	for i := range sessions {
		f.Add(byte(i), []byte{})
		f.Add(byte(i), bytes.Repeat([]byte{0, 200, 1, 200}, 40))
		f.Add(byte(i), bytes.Repeat([]byte{6, 100, 7, 100, 8, 9, 1, 3}, 40))
		f.Add(byte(i), bytes.Repeat([]byte{6, 30, 0x2a, 30, 7, 255}, 40))
		f.Add(byte(i), []byte{0, 255, 1, 255, 12, 255, 0x17, 3, 3, 0, 0x20, 0x17, 3, 3})
	}
	f.Fuzz(func(t *testing.T, which byte, ops []byte) {
		if len(ops) > 4000 {
			return
		}
		s := &sessions[int(which)%len(sessions)]
		o := play(t, s, ops)
		checkStats(t, o)
		for d := range o.chunks {
			for _, c := range o.chunks[d] {
				require.True(t, s.said[d][string(c.Bytes)], "%q was not said", c.Bytes)
			}
			require.NotNil(t, o.end[d])
		}
	})
}

// A key log of any bytes is read to its end, and every line is counted once.
func FuzzKeyLog(f *testing.F) {
	f.Add([]byte(line("CLIENT_RANDOM", 32, 48) + "\n# x\n\n" + line("SERVER_TRAFFIC_SECRET_0", 32, 32)))
	f.Add([]byte("RSA 00 00\r\n" + line("CLIENT_RANDOM", 31, 48)))
	f.Fuzz(func(t *testing.T, text []byte) {
		k := tlsx.KeyLog{MaxSecrets: 3}
		n, err := k.ReadFrom(bytes.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, int64(len(text)), n)
		s := k.Stats()
		lines := bytes.Count(text, []byte("\n"))
		if len(text) > 0 && text[len(text)-1] != '\n' {
			lines++
		}
		require.Equal(t, uint64(lines), s.Lines)
		require.Equal(t, s.Lines, s.Secrets+s.Repeated+s.Replaced+s.Unused+s.Blank+s.Bad+s.Dropped)
		require.Equal(t, int(s.Secrets), k.Len())
		require.LessOrEqual(t, k.Len(), 3)
	})
}
