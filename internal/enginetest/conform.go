package enginetest

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Conform holds an engine to what the traps of assemblers have in common: sequence numbers that wrap, long segments,
// large holes, directions closed in the middle, callbacks that panic.
func Conform(t *testing.T, engine func() reassemble.Engine, rules Rules) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, reassemble.Engine, Rules){
		"wrap by skips":        wrapBySkips,
		"wrap while it holds":  wrapWhileHolding,
		"long segments":        longSegments,
		"large holes":          largeHoles,
		"far segments":         farSegments,
		"many directions":      manyDirections,
		"close and open again": closeAndOpen,
		"panicking sink":       panickingSink,
		"any order":            anyOrder,
		"operations":           operations,
	} {
		t.Run(name, func(t *testing.T) { test(t, engine(), rules) })
	}
}

// feed feeds n bytes of [Text] at off.
func (s *Stream) feed(off uint64, n int) {
	s.t.Helper()
	s.Segment(off, Text(off, n))
}

func wrapBySkips(t *testing.T, e reassemble.Engine, rules Rules) {
	s := Open(t, e, rules)
	for s.Half.Next < 13<<30 {
		at := s.Half.Next
		s.feed(at, 100)
		s.feed(at+200, 100)
		s.feed(at+100, 100)
		s.feed(at+150, 200)
		s.feed(at+1000, 3000)
		s.Skip(at+300<<20, reassemble.GapLost) // ends at what is held
		require.Equal(t, at+4000, s.Half.Next)
		s.Skip(at+300<<20, reassemble.GapLost)
		require.Equal(t, at+300<<20, s.Half.Next)
	}
	for range 30 { // across 2^32 byte by byte
		s.feed(s.Half.Next+1, 1)
		s.feed(s.Half.Next, 1)
	}
	s.Close()
}

// There is always something held, so that an engine cannot start its numbers anew.
func wrapWhileHolding(t *testing.T, e reassemble.Engine, rules Rules) {
	const step = 500_000
	s := OpenAt(t, e, rules, 1<<31)
	at := s.Half.Next + step
	s.feed(at, 10)
	for at < 6<<30 {
		s.feed(at+step, 10)
		s.Skip(reassemble.ToHeld, reassemble.GapLimit)
		require.Equal(t, at+10, s.Half.Next)
		at += step
	}
	s.SkipAll(reassemble.GapEnd)
	require.Equal(t, at+10, s.Half.Next)
	s.Close()
}

func longSegments(t *testing.T, e reassemble.Engine, rules Rules) {
	for _, n := range []int{1899, 1900, 1901, 3800, 3801, 20_000, 65_535} {
		s := Open(t, e, rules)
		for i := 4; i >= 0; i-- {
			s.feed(uint64(i*n), n)
		}
		s.feed(uint64(7*n), n)
		s.feed(uint64(6*n), n)
		s.feed(uint64(6*n-n/2), n) // over the next one
		s.SkipAll(reassemble.GapEnd)
		require.Equal(t, uint64(8*n), s.Half.Next)
		s.Close()
	}
}

func largeHoles(t *testing.T, e reassemble.Engine, rules Rules) {
	for _, hole := range []uint64{65_535, 65_536, 65_537, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5 << 20, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 40} {
		s := Open(t, e, rules)
		s.feed(0, 10)
		s.feed(10+hole, 10)
		s.Skip(reassemble.ToHeld, reassemble.GapLimit)
		require.Equal(t, 20+hole, s.Half.Next)
		s.Skip(20+2*hole, reassemble.GapLost) // nothing behind it
		s.feed(20+2*hole, 10)
		require.Equal(t, 30+2*hole, s.Half.Next)
		s.Close()
	}
}

// Segments far ahead come in any order, overlap each other, and become near bit by bit.
func farSegments(t *testing.T, e reassemble.Engine, rules Rules) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 3))
		s := Open(t, e, rules)
		var at []uint64
		for i := range uint64(40) {
			at = append(at, 1+i*300_000, 50+i*300_000)
		}
		for _, i := range r.Perm(len(at)) {
			s.feed(at[i], 100)
		}
		s.feed(0, 1)
		require.Equal(t, uint64(150), s.Half.Next)
		s.feed(150, 70_000) // in order, with the others still far
		s.SkipAll(reassemble.GapEnd)
		require.Equal(t, uint64(150+39*300_000), s.Half.Next)
		s.Close()
	}
}

func manyDirections(t *testing.T, e reassemble.Engine, rules Rules) {
	streams := make([]*Stream, 100)
	for i := range streams {
		streams[i] = OpenAt(t, e, rules, uint64(i))
		streams[i].feed(uint64(2000+i), 10+i)
	}
	for i, s := range streams {
		if i%2 == 0 {
			s.Close()
		}
	}
	for i, s := range streams {
		if i%2 != 0 {
			s.feed(uint64(i), 2000)
			require.Equal(t, uint64(2010+2*i), s.Half.Next)
			s.Close()
		}
	}
}

func closeAndOpen(t *testing.T, e reassemble.Engine, rules Rules) {
	s := Open(t, e, rules)
	s.Close()
	for i := range 2000 {
		s := OpenAt(t, e, rules, uint64(i))
		if i%2 == 0 {
			s.feed(s.Half.Next, 5)
		}
		if i%3 == 0 {
			s.feed(s.Half.Next+5, 5)
		}
		if i%7 == 0 {
			s.feed(s.Half.Next+3<<20, 5)
		}
		s.Close()
	}
}

func anyOrder(t *testing.T, e reassemble.Engine, rules Rules) {
	for seed := range uint64(20) {
		s := Open(t, e, rules)
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(200) {
			s.feed(uint64(i*10), 10+int(seed%4)*7)
		}
		require.Equal(t, Text(0, len(s.Got)), s.Got)
		require.GreaterOrEqual(t, len(s.Got), 2000)
		s.Close()
	}
}

func operations(t *testing.T, e reassemble.Engine, rules Rules) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 5))
		ops := make([]byte, 300)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		Run(t, e, rules, ops, rules.Exact)
	}
}

// panicker is a sink that panics at its nth call.
type panicker struct {
	n   int
	got []byte
}

func (p *panicker) call() {
	if p.n--; p.n == 0 {
		panic(p)
	}
}

// Data counts bytes, and perhaps panics.
func (p *panicker) Data(_ *reassemble.Half, _ uint64, b []byte, _ reassemble.Origin) {
	p.got = append(p.got, b...)
	p.call()
}

// Gap counts bytes, and perhaps panics.
func (p *panicker) Gap(_ *reassemble.Half, _, n uint64, _ reassemble.GapReason) {
	p.got = append(p.got, make([]byte, n)...)
	p.call()
}

// Old perhaps panics.
func (p *panicker) Old(*reassemble.Half, uint64, []byte, reassemble.Origin) { p.call() }

// Conflict perhaps panics.
func (p *panicker) Conflict(*reassemble.Half, uint64, []byte, []byte, bool, reassemble.Origin) {
	p.call()
}

// A panic goes through to the caller, the bytes it was called for count as delivered, and the engine goes on.
func panickingSink(t *testing.T, e reassemble.Engine, _ Rules) {
	for n := 1; ; n++ {
		var h reassemble.Half
		e.Open(&h, 1)
		p := &panicker{n: n}
		panics := 0
		try := func(call func()) {
			defer func() {
				if v := recover(); v != nil {
					require.Same(t, p, v)
					panics++
				}
			}()
			call()
		}
		segment := func(off uint64, n int) {
			try(func() { e.Segment(&h, reassemble.Segment{Off: off, Data: Text(off, n)}, p) })
		}
		segment(0, 10)
		segment(20, 10)
		segment(40, 10)
		segment(5, 20) // old, new, and over what is held
		try(func() { e.Skip(&h, reassemble.ToHeld, reassemble.GapLost, p) })
		segment(3<<20, 10)
		segment(3<<20+5, 10)
		segment(60, 10)
		try(func() { e.Skip(&h, 55, reassemble.GapLost, p) })
		for tries := 0; h.Buffered > 0 || tries == 0; tries++ {
			require.Less(t, tries, 10, "held for ever %d %+v", n, h)
			try(func() { e.Skip(&h, reassemble.ToHeld, reassemble.GapEnd, p) })
		}
		require.Len(t, p.got, int(h.Next), "each byte once")
		e.Close(&h)
		if p.n > 0 {
			require.Zero(t, panics)
			require.Greater(t, n, 10, "calls of the sink")
			return
		}
		require.Equal(t, 1, panics)
	}
}
