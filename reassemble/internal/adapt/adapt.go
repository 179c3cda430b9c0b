// Package adapt makes a [reassemble.Engine] of an assembler in the manner of gopacket's: one that is fed TCP segments
// with 32-bit sequence numbers, keeps connections of its own, and knows neither gaps without a flush nor origins.
//
// The assembler is fed so that its faults cannot reach a user: every direction is a connection of its own under a
// synthetic key, sequence numbers are rebased and the connection is renewed long before they wrap, control flags
// and old bytes are stripped, holes are filled with zeros that come out as gaps, and nothing depends on a flush, on map
// order or on the wall clock.
package adapt

import (
	"slices"

	"github.com/tcpfollow/tcpfollow/reassemble"
)

const (
	// reach is how far ahead of the next byte a segment may start and still be given to the assembler; what is
	// further away waits outside, so that no hole of more than this is ever filled with zeros.
	reach = 1 << 20
	// renewAt is the length after which a connection is replaced by a new one as soon as it holds nothing.
	renewAt = 1 << 30
	// lastSeq bounds the rebased sequence numbers while a connection cannot be renewed.
	lastSeq = 3 << 30
	// fillSize is how many bytes of a hole are filled at a time.
	fillSize = 1 << 16
)

// Assembler is what is adapted. A connection starts at sequence number 1, and is known by a key.
type Assembler interface {
	// Begin opens a connection.
	Begin(key uint64)
	// Bytes feeds a segment. What is in order goes to [Engine.Deliver] during the call.
	Bytes(key uint64, seq uint32, b []byte)
	// End removes a connection that holds nothing; seq is the number of its next byte.
	End(key uint64, seq uint32)
}

// Config says what the assembler does.
type Config struct {
	// Overlap is the policy that it follows for bytes that come twice before they are delivered.
	Overlap reassemble.Overlap
	// MaxHeld, when not 0, is the most bytes of a segment that it can hold as one; longer ones are fed in pieces.
	MaxHeld int
}

// Engine is an adapted assembler. It is not safe for concurrent use.
type Engine struct {
	assembler Assembler
	cfg       Config
	halves    []half // index is Half.Ref; 0 is unused
	free      []uint32
	serial    uint64 // names the assembler's connections

	// The call that is being served, for Deliver.
	at  *reassemble.Half
	cur *half
	out reassemble.Sink // nil while closing

	panicked any // what a callback of the sink panicked with
	zero     []byte
	pieces   []span // scratch
}

// half is what the engine knows of one direction beyond the assembler's own state.
type half struct {
	base uint64 // the offset that sequence number 1 of the connection stands for
	key  uint64 // the connection's name, 0 while there is none
	held []span // what the assembler was given and has not delivered, in order, without overlap
	far  []far  // segments out of reach, in order of arrival
}

// span is a run of bytes with one origin.
type span struct {
	off, end uint64
	whole    reassemble.Extent // what its segment covered when it was fed
	origin   reassemble.Origin
	filler   bool   // zeros in the place of a hole
	hole     uint64 // at the hole's last filler: its whole length
	why      reassemble.GapReason
}

// far is a segment that waits to come within reach.
type far struct {
	off    uint64
	data   []byte
	origin reassemble.Origin
}

// New returns an engine that drives a.
func New(a Assembler, cfg Config) *Engine {
	return &Engine{assembler: a, cfg: cfg, halves: make([]half, 1), zero: make([]byte, fillSize)}
}

var _ reassemble.Engine = (*Engine)(nil)

// Open starts a direction. The assembler hears of it with its first byte.
func (e *Engine) Open(h *reassemble.Half, _ uint64) {
	if n := len(e.free); n > 0 {
		h.Ref, e.free = e.free[n-1], e.free[:n-1]
	} else {
		h.Ref = uint32(len(e.halves))
		e.halves = append(e.halves, half{})
	}
	e.halves[h.Ref].base = h.Next
}

// Segment hands s to the assembler, without the bytes that were delivered before.
func (e *Engine) Segment(h *reassemble.Half, s reassemble.Segment, out reassemble.Sink) reassemble.Result {
	g := &e.halves[h.Ref]
	var res reassemble.Result
	if s.Off < h.Next {
		n := min(h.Next-s.Off, uint64(len(s.Data)))
		out.Old(h, s.Off, s.Data[:n], s.Origin)
		res |= reassemble.Known
		s.Off, s.Data = s.Off+n, s.Data[n:]
		s.Origin.Seq += uint32(n)
	}
	if len(s.Data) == 0 {
		return res
	}
	if g.overlaps(s.Off, s.Off+uint64(len(s.Data))) {
		res |= reassemble.Known
	}
	e.serve(h, out)
	if e.outOfReach(s.Off, s.Off+uint64(len(s.Data))) {
		g.far = append(g.far, far{s.Off, append([]byte(nil), s.Data...), s.Origin})
	} else {
		e.feed(s.Off, s.Data, s.Origin)
		e.admit()
	}
	e.done()
	if h.Next > s.Off {
		res |= reassemble.Delivered
	}
	if h.Next < s.Off+uint64(len(s.Data)) {
		res |= reassemble.Held
	}
	return res
}

// Skip fills the hole at Next with zeros, which Deliver turns into a gap.
func (e *Engine) Skip(h *reassemble.Half, to uint64, why reassemble.GapReason, out reassemble.Sink) {
	e.serve(h, out)
	defer e.done()
	stop, ok := e.nextHeld()
	switch {
	case ok:
		to = min(to, stop)
	case to == reassemble.ToHeld:
		return
	}
	if to > h.Next {
		e.skipTo(to, why)
		return
	}
	e.admit() // what an earlier call of the sink that panicked left out of reach
}

// Close takes the direction down without delivering what it holds.
func (e *Engine) Close(h *reassemble.Half) {
	if h.Ref == 0 {
		return
	}
	at := *h
	e.serve(&at, nil)
	g := e.cur
	g.far = nil
	for len(g.held) > 0 {
		e.skipTo(g.held[0].off, reassemble.GapEnd)
	}
	e.disconnect()
	e.done()
	*g = half{held: g.held[:0]}
	e.free = append(e.free, h.Ref)
	h.Ref, h.Buffered = 0, 0
}

func (e *Engine) serve(h *reassemble.Half, out reassemble.Sink) {
	e.at, e.cur, e.out = h, &e.halves[h.Ref], out
}

// done recounts what is held and lets go of the caller's values.
func (e *Engine) done() {
	var n uint64
	for _, s := range e.cur.held {
		n += s.end - s.off + reassemble.Overhead
	}
	for _, f := range e.cur.far {
		n += uint64(len(f.data)) + reassemble.Overhead
	}
	e.at.Buffered = uint32(min(n, 1<<32-1))
	e.at, e.cur, e.out = nil, nil, nil
	if v := e.panicked; v != nil {
		e.panicked = nil
		panic(v)
	}
}

func (e *Engine) outOfReach(off, end uint64) bool {
	return off > e.at.Next+reach || end-e.cur.base > lastSeq
}

// nextHeld returns the first offset beyond Next that the engine has bytes for.
func (e *Engine) nextHeld() (off uint64, ok bool) {
	if len(e.cur.held) > 0 {
		return e.cur.held[0].off, true
	}
	for _, f := range e.cur.far {
		if !ok || f.off < off {
			off, ok = f.off, true
		}
	}
	return off, ok
}

// skipTo gives up the hole between Next and stop, in front of which nothing is held.
func (e *Engine) skipTo(stop uint64, why reassemble.GapReason) {
	if len(e.cur.held) > 0 {
		e.fill(stop, why)
	} else {
		e.disconnect()
		off := e.at.Next
		e.at.Next = max(stop, off)
		e.cur.base = e.at.Next
		if e.out != nil && stop > off {
			e.out.Gap(e.at, off, stop-off, why)
		}
	}
	e.admit()
}

// fill feeds zeros up to stop. Held bytes follow on their own once the hole in front of them is closed.
func (e *Engine) fill(stop uint64, why reassemble.GapReason) {
	hole := stop - e.at.Next
	for off := e.at.Next; off < stop; {
		s := span{off: off, end: off + min(stop-off, fillSize), filler: true, why: why}
		s.whole = reassemble.Extent{Start: s.off, End: s.end}
		if s.end == stop {
			s.hole = hole
		}
		e.insert(s)
		e.send(off, e.zero[:s.end-off])
		off = s.end
	}
}

// admit feeds the segments that have come within reach. Each can bring others within reach.
func (e *Engine) admit() {
	g := e.cur
	for again := true; again && len(g.far) > 0; {
		again = false
		if len(g.held) == 0 && e.at.Next-g.base > 0 {
			e.disconnect()
			g.base = e.at.Next
		}
		rest := g.far[:0]
		for _, f := range g.far {
			if e.outOfReach(f.off, f.off+uint64(len(f.data))) {
				rest = append(rest, f)
				continue
			}
			if f.off < e.at.Next {
				n := min(e.at.Next-f.off, uint64(len(f.data)))
				if e.out != nil {
					e.out.Old(e.at, f.off, f.data[:n], f.origin)
				}
				f.off, f.data = f.off+n, f.data[n:]
				f.origin.Seq += uint32(n)
			}
			if len(f.data) > 0 {
				e.feed(f.off, f.data, f.origin)
			}
			again = true
		}
		clear(g.far[len(rest):])
		g.far = rest
	}
}

// feed gives bytes within reach to the assembler.
func (e *Engine) feed(off uint64, data []byte, o reassemble.Origin) {
	g := e.cur
	if len(g.held) == 0 && e.at.Next-g.base > renewAt {
		e.disconnect()
		g.base = e.at.Next
	}
	n := len(data)
	if e.cfg.MaxHeld > 0 && off > e.at.Next {
		n = min(n, e.cfg.MaxHeld)
	}
	for len(data) > 0 {
		n = min(n, len(data))
		end := off + uint64(n)
		e.insert(span{off: off, end: end, whole: reassemble.Extent{Start: off, End: end}, origin: o})
		e.send(off, data[:n])
		off, data = end, data[n:]
		o.Seq += uint32(n)
	}
}

// insert puts s among the held spans. Where it overlaps them, the assembler's policy decides which of them counts.
func (e *Engine) insert(s span) {
	held := e.cur.held
	i := len(held)
	for i > 0 && held[i-1].end > s.off {
		i--
	}
	j := i
	pieces := e.pieces[:0]
	rest := s // what of s has no place yet
	for ; j < len(held) && held[j].off < s.end; j++ {
		o := held[j]
		if !e.cfg.Overlap.NewWins(o.whole, s.whole) {
			if rest.off < o.off {
				pieces = append(pieces, rest.cut(rest.off, o.off))
			}
			pieces = append(pieces, o)
			rest.skipTo(min(o.end, s.end))
			continue
		}
		if o.off < s.off {
			pieces = append(pieces, o.cut(o.off, s.off))
		}
		if o.end > s.end {
			pieces = append(pieces, rest)
			rest = o.cut(s.end, o.end)
			j++
			break
		}
	}
	if rest.off < rest.end {
		pieces = append(pieces, rest)
	}
	e.pieces = pieces
	e.cur.held = slices.Replace(held, i, j, pieces...)
}

// cut returns the part of a span between two offsets.
func (s span) cut(from, to uint64) span {
	s.skipTo(from)
	s.end = to
	return s
}

// skipTo drops the part of a span in front of an offset.
func (s *span) skipTo(off uint64) {
	s.origin.Seq += uint32(off - s.off)
	s.off = off
}

func (g *half) overlaps(off, end uint64) bool {
	for i := len(g.held) - 1; i >= 0 && g.held[i].end > off; i-- {
		if g.held[i].off < end {
			return true
		}
	}
	return false
}

// send feeds one segment, opening the connection when there is none.
func (e *Engine) send(off uint64, data []byte) {
	g := e.cur
	if g.key == 0 {
		e.serial++
		g.key = e.serial
		e.assembler.Begin(g.key)
	}
	e.assembler.Bytes(g.key, uint32(off-g.base)+1, data)
}

// disconnect takes the assembler's connection down.
func (e *Engine) disconnect() {
	g := e.cur
	if g.key == 0 {
		return
	}
	e.assembler.End(g.key, uint32(e.at.Next-g.base)+1)
	g.key = 0
}

// Deliver takes what the assembler put in order, in any portions, and turns it into data and gaps. The assembler calls
// it during Bytes.
func (e *Engine) Deliver(b []byte) {
	for len(b) > 0 && len(e.cur.held) > 0 {
		s := e.cur.held[0]
		n := min(len(b), int(s.end-s.off))
		part := s.cut(s.off, s.off+uint64(n))
		if part.end < s.end {
			part.hole = 0
			e.cur.held[0].skipTo(part.end)
		} else {
			e.cur.held = slices.Delete(e.cur.held, 0, 1)
		}
		e.at.Next = part.end
		if e.out != nil {
			e.pass(part, b[:n])
		}
		b = b[n:]
	}
}

// pass calls the sink. A panic in it is kept until the assembler has finished, which could not go on after one.
func (e *Engine) pass(s span, b []byte) {
	defer func() {
		if v := recover(); v != nil && e.panicked == nil {
			e.panicked = v
		}
	}()
	switch {
	case !s.filler:
		e.out.Data(e.at, s.off, b, s.origin)
	case s.hole > 0:
		e.out.Gap(e.at, s.end-s.hole, s.hole, s.why)
	}
}
