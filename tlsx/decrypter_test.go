package tlsx_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/tlsx"
)

// Many connections that wait for the rest of their record: beyond the limit, records are given up, and what comes behind
// them is decrypted.
func TestTotalHeld(t *testing.T) {
	const conns, size = 20, 4000
	s := newSession13(t, aes128).open(t)
	s.add(s.c.say(strings.Repeat("x", size)), s.c.say("behind"))
	big, behind := s.parts[len(s.parts)-2].data, s.parts[len(s.parts)-1].data
	d, err := tlsx.New(keyLog(t, s.keys), &tlsx.Config{MaxTotalHeld: 10_000})
	require.NoError(t, err)
	type one struct {
		*tlsx.Conn
		o   *outcome
		off [2]uint64
	}
	var all []*one
	for range conns {
		o := &outcome{t: t}
		c := &one{d.Open(o), o, [2]uint64{}}
		for _, p := range s.parts[:len(s.parts)-2] {
			c.Data(p.dir, c.off[p.dir], p.data, tlsx.Origin{})
			c.off[p.dir] += uint64(len(p.data))
		}
		all = append(all, c)
	}
	say := func(c *one, b []byte) {
		c.Data(client, c.off[client], b, tlsx.Origin{})
		c.off[client] += uint64(len(b))
	}
	for _, c := range all {
		say(c, big[:3000])
	}
	for _, c := range all {
		say(c, big[3000:])
		say(c, behind)
		c.Close()
	}
	whole, cut := 0, 0
	for _, c := range all {
		c.o.info, c.o.stats = c.Info(), c.Stats()
		checkStats(t, c.o)
		if c.Stats().LimitHeld == 0 {
			whole++
			require.Len(t, c.o.data[client], size+len("behind"))
			continue
		}
		cut++
		require.Equal(t, "behind", string(c.o.data[client]))
		require.Equal(t, []tlsx.Gap{{Length: size, Reason: tlsx.GapLimit}}, c.o.gaps[client])
	}
	require.Equal(t, 3, whole)
	require.Equal(t, conns-3, cut)

	// All that waited is given back.
	o := &outcome{t: t}
	c := d.Open(o)
	var off [2]uint64
	for _, p := range s.parts {
		c.Data(p.dir, off[p.dir], p.data, tlsx.Origin{})
		off[p.dir] += uint64(len(p.data))
	}
	require.Len(t, o.data[client], size+len("behind"))
	require.Zero(t, c.Stats().LimitHeld)
}

// nested feeds what it is given to another connection.
type nested struct{ to *tlsx.Conn }

func (n nested) Data(d tlsx.Direction, c tlsx.Chunk) { n.to.Data(d, c.Offset, c.Bytes, c.Origin) }
func (n nested) Gap(d tlsx.Direction, g tlsx.Gap)    { n.to.Gap(d, g.Offset, g.Length) }
func (n nested) End(d tlsx.Direction, _ tlsx.End)    { n.to.End(d) }

// TLS within TLS, of one decrypter.
func TestNested(t *testing.T) {
	in := newSession13(t, chacha20).open(t)
	in.add(in.c.say("question"), in.s.say(strings.Repeat("answer ", 2000)))
	out := newSession12(t, gcm256).key(random(7))
	out.keys = strings.ReplaceAll(out.keys, strings.Repeat("01", 32), strings.Repeat("09", 32))
	out.c.master(t, gcm256, masterSecret, random(9), random(2))
	out.s.master(t, gcm256, masterSecret, random(9), random(2))
	out.add(plainly(client, 22, helloOf(1, random(9), gcm256, "")), plainly(server, 22, helloOf(2, random(2), gcm256, "")), ccs(client), ccs(server))
	for _, p := range in.parts {
		for b := p.data; len(b) > 0; b = b[min(700, len(b)):] {
			if p.dir == client {
				out.add(out.c.seal12(23, b[:min(700, len(b))], 0))
			} else {
				out.add(out.s.seal12(23, b[:min(700, len(b))], 0))
			}
		}
	}
	d, err := tlsx.New(keyLog(t, in.keys+out.keys), nil)
	require.NoError(t, err)
	o := &outcome{t: t}
	inner := d.Open(o)
	c := d.Open(nested{inner})
	var off [2]uint64
	for _, p := range split(out.parts, 100) {
		c.Data(p.dir, off[p.dir], p.data, tlsx.Origin{})
		off[p.dir] += uint64(len(p.data))
	}
	c.Close()
	require.Equal(t, "question", string(o.data[client]))
	require.Equal(t, strings.Repeat("answer ", 2000), string(o.data[server]))
	require.Zero(t, c.Stats().Skipped+inner.Stats().Skipped)
}
