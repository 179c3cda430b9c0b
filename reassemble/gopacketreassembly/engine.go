// Package gopacketreassembly puts google/gopacket's reassembly (v1.1.19) behind [reassemble.Engine].
//
// The assembler is fed so that its known faults cannot reach a user: every direction is a connection of its own under
// a synthetic key, sequence numbers are rebased and the connection is renewed long before they wrap, control flags
// and old bytes are stripped, holes are filled with zeros that come out as gaps, and a connection is taken down with a
// reset each way, so that nothing depends on a flush, on map order or on the wall clock.
//
// Its overlap policy for bytes that still wait is "last wins", and it does not report conflicts among them.
//
// Importing this package adds gopacket's two flags (assembly_memuse_log, assembly_debug_log) to flag.CommandLine,
// and it cannot be linked together with gopacket's tcpassembly, which registers the same two.
package gopacketreassembly

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/reassembly"

	"github.com/tcpfollow/tcpfollow/reassemble"
)

const (
	// reach is how far ahead of the next byte a segment may start and still be given to the assembler; what is
	// further away waits outside, so that no hole of more than this is ever filled with zeros.
	reach = 1 << 20
	// renewAt is the length after which a connection is replaced by a new one as soon as it holds nothing.
	// The assembler corrupts data where sequence numbers wrap, at 1 << 32.
	renewAt = 1 << 30
	// lastSeq bounds the rebased sequence numbers while a connection cannot be renewed.
	lastSeq = 3 << 30
	// fillSize is how many bytes of a hole are filled at a time.
	fillSize = 1 << 16
)

// Engine is gopacket's reassembler as a [reassemble.Engine]. It is not safe for concurrent use.
type Engine struct {
	assembler *reassembly.Assembler
	halves    []half // index is Half.Ref; 0 is unused
	free      []uint32
	serial    uint64 // names the assembler's connections

	// The call that is being served, for the assembler's callback.
	at  *reassemble.Half
	cur *half
	out reassemble.Sink // nil while closing

	panicked any // what a callback of the sink panicked with

	tcp  layers.TCP
	ctx  context
	zero []byte
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

// New returns an engine of its own assembler and stream pool.
func New() *Engine {
	e := &Engine{halves: make([]half, 1), zero: make([]byte, fillSize)}
	e.assembler = reassembly.NewAssembler(reassembly.NewStreamPool(e.factory()))
	return e
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

// Skip fills the holes below to with zeros, which the callback turns into gaps.
func (e *Engine) Skip(h *reassemble.Half, to uint64, why reassemble.GapReason, out reassemble.Sink) {
	e.serve(h, out)
	defer e.done()
	for {
		stop, ok := e.nextHeld()
		switch {
		case to == reassemble.FirstHole || to == reassemble.AllHoles:
			if !ok {
				return
			}
		case to <= h.Next:
			return
		case !ok || stop > to:
			stop = to
		}
		e.skipTo(stop, why)
		if to == reassemble.FirstHole {
			return
		}
	}
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
	e.tcp.Payload = nil
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
	e.insert(span{off: off, end: off + uint64(len(data)), origin: o})
	e.send(off, data)
}

// insert puts s among the held spans; where it overlaps them it replaces them, as the assembler's bytes do.
func (e *Engine) insert(s span) {
	held := e.cur.held
	i := len(held)
	for i > 0 && held[i-1].end > s.off {
		i--
	}
	j := i
	var pieces [3]span
	n := 0
	if i < len(held) && held[i].off < s.off {
		pieces[n] = held[i]
		pieces[n].end = s.off
		n++
	}
	pieces[n] = s
	n++
	for j < len(held) && held[j].off < s.end {
		if held[j].end > s.end {
			tail := held[j]
			tail.origin.Seq += uint32(s.end - tail.off)
			tail.off = s.end
			pieces[n] = tail
			n++
		}
		j++
	}
	e.cur.held = slices.Replace(held, i, j, pieces[:n]...)
}

func (g *half) overlaps(off, end uint64) bool {
	for i := len(g.held) - 1; i >= 0 && g.held[i].end > off; i-- {
		if g.held[i].off < end {
			return true
		}
	}
	return false
}

// send feeds one segment, opening the connection with a SYN when there is none.
func (e *Engine) send(off uint64, data []byte) {
	g := e.cur
	if g.key == 0 {
		e.serial++
		g.key = e.serial
		e.tcp.SYN = true
		e.assemble(0, nil, false)
		e.tcp.SYN = false
	}
	e.assemble(uint32(off-g.base)+1, data, false)
}

// disconnect takes the assembler's connection down: a reset in order ends each side at once.
func (e *Engine) disconnect() {
	g := e.cur
	if g.key == 0 {
		return
	}
	e.tcp.RST = true
	e.assemble(uint32(e.at.Next-g.base)+1, nil, false)
	e.assemble(0, nil, true)
	e.tcp.RST = false
	g.key = 0
}

func (e *Engine) assemble(seq uint32, data []byte, reverse bool) {
	var name [8]byte
	binary.BigEndian.PutUint64(name[:], e.cur.key)
	flow := gopacket.NewFlow(layers.EndpointIPv4, name[:], nil)
	if reverse {
		flow = flow.Reverse()
	}
	e.tcp.Seq, e.tcp.Payload = seq, data
	e.assembler.AssembleWithContext(flow, &e.tcp, &e.ctx)
}

// deliver turns what the assembler put in order into data and gaps.
func (e *Engine) deliver(b []byte) {
	for len(b) > 0 && len(e.cur.held) > 0 {
		s := e.cur.held[0]
		n := int(s.end - s.off)
		if n > len(b) {
			return // the assembler always delivers whole segments
		}
		e.cur.held = slices.Delete(e.cur.held, 0, 1)
		e.at.Next = s.end
		if e.out != nil {
			e.pass(s, b[:n])
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

// factory makes the assembler's streams: all are the engine itself.
func (e *Engine) factory() reassembly.StreamFactory { return (*stream)(e) }

// stream is the engine as the assembler sees it.
type stream Engine

func (s *stream) New(_, _ gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext) reassembly.Stream {
	return s
}

// Accept lets the reverse side start without a SYN, so that its reset counts.
func (s *stream) Accept(tcp *layers.TCP, _ gopacket.CaptureInfo, _ reassembly.TCPFlowDirection, _ reassembly.Sequence, start *bool, _ reassembly.AssemblerContext) bool {
	*start = *start || tcp.RST
	return true
}

func (s *stream) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	if n, _ := sg.Lengths(); n > 0 {
		(*Engine)(s).deliver(sg.Fetch(n))
	}
}

func (s *stream) ReassemblyComplete(reassembly.AssemblerContext) bool { return true }

// context satisfies the assembler, which dereferences it; the engine keeps origins itself.
type context struct{}

func (*context) GetCaptureInfo() gopacket.CaptureInfo {
	return gopacket.CaptureInfo{Timestamp: time.Unix(0, 0)}
}
