// Package enginetest holds reassembly engines to a model that works byte by byte.
package enginetest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Rules say what a model expects of an engine beyond the bytes.
type Rules struct {
	// Overlap is the policy for bytes that come twice and differ before they are delivered.
	Overlap reassemble.Overlap
	// Exact says that the engine reports conflicts and names for each byte the very segment that the policy keeps.
	// Without it, segments must not contradict each other, and an origin may be any segment that held the byte.
	Exact bool
}

// Stream is one direction that an engine orders, beside the model of it. Every call is checked at once: the bytes, their
// order, their origins, the gaps, the conflicts, and the account of what is held. The engine gets buffers that are
// overwritten when it returns.
type Stream struct {
	// Half is the direction, as the engine knows it.
	Half reassemble.Half
	// Got is what was delivered, zeros in place of gaps, since the start or the last gap of more than 64 KiB.
	Got []byte
	// Fast makes Segment deliver what is next without the engine when that is allowed, as the follower does.
	Fast bool

	t       testing.TB
	engine  reassemble.Engine
	rules   Rules
	base    uint64 // the offset of Got[0]
	segs    []segment
	held    map[uint64]cell
	run     []piece // what the model expects to be delivered by the current call
	gaps    []gap   // what it expects to be given up
	old     []byte  // what it expects to be old
	oldAt   uint64
	clashes map[uint64]clash
}

// segment is what was fed.
type segment struct {
	off  uint64
	data []byte
}

// cell is a byte that waits.
type cell struct {
	value byte
	seg   int
	whole reassemble.Extent
}

// piece is a byte that is due.
type piece struct {
	value byte
	seg   int
}

type gap struct {
	off, n uint64
	why    reassemble.GapReason
}

// clash is a byte in which a segment differs from a held one.
type clash struct {
	old, new byte
	keptNew  bool
}

// Seq is the sequence number of offset 0 in the origins that a [Stream] gives.
const Seq = 0xffff_fff0

// Open starts a direction at offset 0.
func Open(t testing.TB, e reassemble.Engine, rules Rules) *Stream {
	t.Helper()
	return OpenAt(t, e, rules, 0)
}

// OpenAt starts a direction of which everything before next was delivered.
func OpenAt(t testing.TB, e reassemble.Engine, rules Rules, next uint64) *Stream {
	t.Helper()
	s := &Stream{t: t, engine: e, rules: rules, base: next, held: map[uint64]cell{}}
	s.Half.Next = next
	e.Open(&s.Half, 1)
	require.Zero(t, s.Half.Buffered)
	return s
}

// Segment feeds data at off, and returns what the engine says became of it.
func (s *Stream) Segment(off uint64, data []byte) reassemble.Result {
	s.t.Helper()
	s.segs = append(s.segs, segment{off, bytes.Clone(data)})
	want := s.expect(off, data)
	buffer := bytes.Clone(data)
	origin := s.origin(len(s.segs)-1, off)
	var got reassemble.Result
	if s.Fast && s.Half.Ref == 0 && off == s.Half.Next {
		s.Half.Next += uint64(len(buffer))
		s.Data(&s.Half, off, buffer, origin)
		got = reassemble.Delivered
	} else {
		got = s.engine.Segment(&s.Half, reassemble.Segment{Off: off, Data: buffer, Origin: origin}, s)
	}
	require.Equal(s.t, data, buffer, "the engine changed the caller's bytes")
	for i := range buffer {
		buffer[i] = 0xAA
	}
	s.settle()
	if !s.rules.Exact { // it may not know what it keeps for later
		want, got = want|reassemble.Known, got|reassemble.Known
	}
	require.Equal(s.t, want, got, "result")
	return got
}

// expect works out what a segment does.
func (s *Stream) expect(off uint64, data []byte) reassemble.Result {
	var res reassemble.Result
	n := len(s.segs) - 1
	end := off + uint64(len(data))
	if off < s.Half.Next {
		res |= reassemble.Known
		s.oldAt = off
		s.old = bytes.Clone(data[:min(s.Half.Next-off, uint64(len(data)))])
	}
	whole := reassemble.Extent{Start: off, End: end}
	s.clashes = map[uint64]clash{}
	for i, b := range data {
		at := off + uint64(i)
		if at < s.Half.Next {
			continue
		}
		o, ok := s.held[at]
		if ok {
			res |= reassemble.Known
			wins := s.rules.Overlap.NewWins(o.whole, whole)
			if o.value != b {
				s.clashes[at] = clash{o.value, b, wins}
			}
			if !wins {
				continue
			}
		}
		s.held[at] = cell{b, n, whole}
	}
	from := max(off, s.Half.Next)
	next := s.drain(s.Half.Next)
	if next > from {
		res |= reassemble.Delivered
	}
	if next < end {
		res |= reassemble.Held
	}
	return res
}

// drain moves what is next from held to run, and returns what is next then.
func (s *Stream) drain(next uint64) uint64 {
	for ; ; next++ {
		c, ok := s.held[next]
		if !ok {
			return next
		}
		delete(s.held, next)
		s.run = append(s.run, piece{c.value, c.seg})
	}
}

// Skip gives up the hole at Next, as the engine's Skip does.
func (s *Stream) Skip(to uint64, why reassemble.GapReason) {
	s.t.Helper()
	stop := to
	for off := range s.held {
		stop = min(stop, off)
	}
	if next := s.Half.Next; stop > next && stop != reassemble.ToHeld {
		s.gaps = append(s.gaps, gap{next, stop - next, why})
		s.drain(stop)
	}
	s.engine.Skip(&s.Half, to, why, s)
	s.settle()
}

// SkipAll gives up every hole in front of a held byte.
func (s *Stream) SkipAll(why reassemble.GapReason) {
	s.t.Helper()
	for s.Half.Buffered > 0 {
		s.Skip(reassemble.ToHeld, why)
	}
}

// Close makes the engine forget the direction, which may deliver nothing.
func (s *Stream) Close() {
	s.t.Helper()
	clear(s.held)
	s.engine.Close(&s.Half)
	require.Zero(s.t, s.Half.Ref)
	s.settle()
}

// settle checks that all that was due has come, and the account of what is held.
func (s *Stream) settle() {
	require.Empty(s.t, s.run, "not delivered")
	require.Empty(s.t, s.gaps, "not given up")
	if s.rules.Exact {
		require.Empty(s.t, s.clashes, "not reported")
		require.Empty(s.t, s.old, "not shown as old")
	}
	s.old = nil
	require.Equal(s.t, s.base+uint64(len(s.Got)), s.Half.Next, "next")
	overhead := int(s.Half.Buffered) - len(s.held)
	require.Equal(s.t, len(s.held) > 0, s.Half.Buffered > 0, "buffered")
	if s.rules.Exact {
		require.Zero(s.t, overhead%reassemble.Overhead, "buffered")
		require.GreaterOrEqual(s.t, overhead/reassemble.Overhead, s.runs(), "buffered")
	}
}

// runs returns how many runs of held bytes there are.
func (s *Stream) runs() int {
	n := 0
	for off := range s.held {
		if _, ok := s.held[off-1]; !ok {
			n++
		}
	}
	return n
}

func (s *Stream) origin(seg int, off uint64) reassemble.Origin {
	return reassemble.Origin{Time: int64(1000 + seg), Packet: uint64(seg), Seq: uint32(Seq + off), Ack: uint32(seg * 2)}
}

var _ reassemble.Sink = (*Stream)(nil)

// Data checks what the engine delivers.
func (s *Stream) Data(h *reassemble.Half, off uint64, b []byte, o reassemble.Origin) {
	require.Same(s.t, &s.Half, h)
	require.NotEmpty(s.t, b)
	require.Equal(s.t, s.base+uint64(len(s.Got)), off, "offsets are contiguous")
	require.Equal(s.t, off+uint64(len(b)), h.Next, "Next is already past the bytes")
	require.Empty(s.t, s.gaps, "data in front of a gap")
	require.LessOrEqual(s.t, len(b), len(s.run), "more than is due")
	require.Equal(s.t, s.origin(int(o.Packet), off), o, "origin")
	seg := s.segs[o.Packet]
	require.LessOrEqual(s.t, seg.off, off, "origin")
	require.LessOrEqual(s.t, off+uint64(len(b)), seg.off+uint64(len(seg.data)), "origin")
	require.Equal(s.t, seg.data[off-seg.off:][:len(b)], b, "these are not the origin's bytes")
	for i, p := range s.run[:len(b)] {
		if p.value != b[i] || s.rules.Exact && p.seg != int(o.Packet) {
			got := piece{b[i], int(o.Packet)}
			require.Equal(s.t, p, got, "byte at %d", off+uint64(i))
		}
	}
	s.run = s.run[len(b):]
	s.Got = append(s.Got, b...)
}

// Gap checks what the engine gives up.
func (s *Stream) Gap(h *reassemble.Half, off, n uint64, why reassemble.GapReason) {
	require.Same(s.t, &s.Half, h)
	require.NotEmpty(s.t, s.gaps, "a gap that nobody asked for")
	got := gap{off, n, why}
	require.Equal(s.t, s.gaps[0], got)
	require.Equal(s.t, off+n, h.Next, "Next is already past the gap")
	s.gaps = s.gaps[1:]
	if n > 64<<10 {
		s.Got, s.base = nil, off+n
		return
	}
	s.Got = append(s.Got, make([]byte, n)...)
}

// Old checks what the engine shows of what was delivered before.
func (s *Stream) Old(h *reassemble.Half, off uint64, b []byte, o reassemble.Origin) {
	require.Same(s.t, &s.Half, h)
	require.NotEmpty(s.t, b)
	require.LessOrEqual(s.t, off+uint64(len(b)), h.Next)
	require.Equal(s.t, s.origin(int(o.Packet), off), o, "origin")
	seg := s.segs[o.Packet]
	require.Equal(s.t, seg.data[off-seg.off:][:len(b)], b, "these are not the origin's bytes")
	if s.rules.Exact {
		require.Equal(s.t, s.oldAt, off)
		require.Equal(s.t, s.old, b)
		s.old = nil
	}
}

// Conflict checks what the engine says of held bytes that came twice.
func (s *Stream) Conflict(h *reassemble.Half, off uint64, old, b []byte, keptNew bool, o reassemble.Origin) {
	require.Same(s.t, &s.Half, h)
	require.True(s.t, s.rules.Exact, "this engine reports conflicts")
	require.Len(s.t, b, len(old))
	require.NotEqual(s.t, old, b)
	require.Equal(s.t, s.origin(len(s.segs)-1, off), o, "origin")
	for i := range old {
		if old[i] != b[i] {
			at := off + uint64(i)
			want, ok := s.clashes[at]
			require.True(s.t, ok, "no conflict at %d", at)
			require.Equal(s.t, want, clash{old[i], b[i], keptNew})
			delete(s.clashes, at)
		}
	}
}
