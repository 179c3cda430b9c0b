package adapt_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/reassemble/internal/adapt"
)

// plain is the simplest assembler: a map of bytes for each connection. Later bytes win.
type plain struct {
	t       testing.TB
	conns   map[uint64]*conn
	deliver func([]byte)
	portion int // how much is delivered at a time, 0 for all that is in order
}

type conn struct {
	next  uint32
	bytes map[uint32]byte
}

func (p *plain) Begin(key uint64) {
	require.NotContains(p.t, p.conns, key)
	p.conns[key] = &conn{next: 1, bytes: map[uint32]byte{}}
}

func (p *plain) Bytes(key uint64, seq uint32, b []byte) {
	c := p.conns[key]
	require.NotNil(p.t, c)
	require.LessOrEqual(p.t, seq, seq+uint32(len(b)), "sequence numbers wrap")
	require.GreaterOrEqual(p.t, seq, c.next, "old bytes")
	for i, v := range b {
		c.bytes[seq+uint32(i)] = v
	}
	var run []byte
	for {
		v, ok := c.bytes[c.next]
		if !ok {
			break
		}
		delete(c.bytes, c.next)
		run = append(run, v)
		c.next++
	}
	for len(run) > 0 {
		n := len(run)
		if p.portion > 0 {
			n = min(n, p.portion)
		}
		p.deliver(run[:n])
		run = run[n:]
	}
}

func (p *plain) End(key uint64, seq uint32) {
	require.Contains(p.t, p.conns, key)
	require.Equal(p.t, p.conns[key].next, seq)
	require.Empty(p.t, p.conns[key].bytes, "ended with bytes that wait")
	delete(p.conns, key)
}

func TestOperations(t *testing.T) {
	rules := enginetest.Rules{Overlap: reassemble.OverlapLast}
	for name, portion := range map[string]int{"whole": 0, "in portions": 7} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10) {
				r := rand.New(rand.NewPCG(seed, 11))
				ops := make([]byte, 240)
				for i := range ops {
					ops[i] = byte(r.Uint32())
				}
				p := &plain{t: t, conns: map[uint64]*conn{}, portion: portion}
				e := adapt.New(p, adapt.Config{Overlap: reassemble.OverlapLast})
				p.deliver = e.Deliver
				enginetest.Run(t, e, rules, ops, false)
				require.Empty(t, p.conns)
			}
		})
	}
}

func TestMaxHeld(t *testing.T) {
	p := &plain{t: t, conns: map[uint64]*conn{}}
	longest := 0
	e := adapt.New(&lengths{p, &longest}, adapt.Config{Overlap: reassemble.OverlapLast, MaxHeld: 100})
	p.deliver = e.Deliver
	s := enginetest.Open(t, e, enginetest.Rules{Overlap: reassemble.OverlapLast})
	s.Segment(1, enginetest.Text(1, 1000))
	require.Equal(t, 100, longest)
	s.Segment(0, enginetest.Text(0, 1))
	require.Equal(t, enginetest.Text(0, 1001), s.Got)
	s.Close()
	require.Empty(t, p.conns)
}

// lengths notes the longest segment.
type lengths struct {
	*plain
	longest *int
}

func (l *lengths) Bytes(key uint64, seq uint32, b []byte) {
	*l.longest = max(*l.longest, len(b))
	l.plain.Bytes(key, seq, b)
}
