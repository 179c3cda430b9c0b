package reassemble

import (
	"bytes"
	"hash/maphash"
)

// NativeConfig adjusts a [Native] engine. Nil and zero fields mean the defaults.
type NativeConfig struct {
	// Overlap says which copy of bytes that differ is kept, while neither is delivered. Default OverlapBSD.
	Overlap Overlap
}

// Native is this project's own engine. Bytes that are next go to the sink straight from the caller's buffer; only what
// comes too early is copied, into slabs that are given back after a peak. A segment costs O(log n) in the number of
// held runs, whatever their order. It does not allocate in steady state.
//
// A direction without holes costs it nothing: its Ref is 0, and the caller may deliver what is next itself.
type Native struct {
	overlap Overlap
	tree    tree
	bytes   arena
	met     []nodeRef // scratch: the held runs that a segment meets
}

// NewNative returns an engine.
func NewNative(cfg *NativeConfig) *Native {
	e := &Native{tree: tree{seed: maphash.Bytes(maphash.MakeSeed(), nil) | 1}}
	if cfg != nil {
		e.overlap = cfg.Overlap
	}
	return e
}

var _ Engine = (*Native)(nil)

// SetOverlap changes the policy for the segments to come.
func (e *Native) SetOverlap(p Overlap) { e.overlap = p }

// Open starts a direction. Nothing is kept of it.
func (e *Native) Open(h *Half, _ uint64) { h.Ref, h.Buffered = 0, 0 }

// Segment delivers what is next, and holds what is not.
func (e *Native) Segment(h *Half, s Segment, out Sink) Result {
	whole := Extent{s.Off, s.Off + uint64(len(s.Data))}
	var res Result
	if s.Off < h.Next {
		n := min(h.Next-s.Off, uint64(len(s.Data)))
		out.Old(h, s.Off, s.Data[:n], s.Origin)
		res |= Known
		s = s.from(n)
		if len(s.Data) == 0 {
			return res
		}
	}
	end := whole.End
	if s.Off == h.Next && (h.Ref == 0 || end <= e.tree.first(h.Ref).off) {
		h.Next = end
		out.Data(h, s.Off, s.Data, s.Origin)
		e.drain(h, out)
		return res | Delivered
	}
	off := s.Off
	res |= e.hold(h, s, whole, out)
	e.drain(h, out)
	if h.Next > off {
		res |= Delivered
	}
	if h.Next < end {
		res |= Held
	}
	return res
}

// Skip gives up the hole at Next.
func (e *Native) Skip(h *Half, to uint64, why GapReason, out Sink) {
	switch {
	case h.Ref != 0:
		to = min(to, e.tree.first(h.Ref).off)
	case to == ToHeld:
		return
	}
	if off := h.Next; to > off {
		h.Next = to
		out.Gap(h, off, to-off, why)
	}
	e.drain(h, out) // without a hole in front of it, too: an earlier call of the sink may have panicked
}

// Close forgets a direction.
func (e *Native) Close(h *Half) {
	for h.Ref != 0 {
		e.pop(h)
	}
	h.Buffered = 0
}

// from returns the segment without its first n bytes.
func (s Segment) from(n uint64) Segment {
	s.Off += n
	s.Data = s.Data[n:]
	s.Origin.Seq += uint32(n)
	return s
}

// drain delivers the held runs that have come to be next.
func (e *Native) drain(h *Half, out Sink) {
	for h.Ref != 0 && e.tree.first(h.Ref).off == h.Next {
		// The run is let go before the call, which may panic; its bytes stay until the engine is called again.
		n, b := e.pop(h)
		h.Next = n.off + uint64(len(b))
		out.Data(h, n.off, b, n.origin)
	}
}

// pop removes the first held run and returns it.
func (e *Native) pop(h *Half) (node, []byte) {
	var ref nodeRef
	h.Ref, ref = e.tree.popFirst(h.Ref)
	n := *e.tree.at(ref)
	b := e.bytesOf(&n)
	e.free(h, ref)
	return n, b
}

func (e *Native) bytesOf(n *node) []byte {
	return e.bytes.block(n.block)[n.skip : n.skip+n.size]
}

// free releases a run that is no longer in the tree.
func (e *Native) free(h *Half, ref nodeRef) {
	n := e.tree.at(ref)
	h.Buffered -= n.size + Overhead
	e.bytes.release(n.block)
	e.tree.release(ref)
}

// hold keeps a segment that starts at Next or behind it. whole is what it covered when it came.
func (e *Native) hold(h *Half, s Segment, whole Extent, out Sink) Result {
	end := s.Off + uint64(len(s.Data))
	if last := e.tree.last(h.Ref); last == nil || last.end() <= s.Off {
		e.add(h, s, whole)
		return 0
	}
	e.met = e.tree.overlapping(h.Ref, s.Off, end, e.met[:0])
	if len(e.met) == 0 {
		e.add(h, s, whole)
		return 0
	}
	// What the new segment wins is added as one run for each stretch between bytes that it loses.
	from := s.Off
	for _, ref := range e.met {
		o := e.tree.at(ref)
		lo, hi := max(o.off, s.Off), min(o.end(), end)
		wins := e.overlap.NewWins(o.extent(), whole)
		e.compare(h, o, s, lo, hi, wins, out)
		if wins {
			e.carve(h, ref, lo, hi)
			continue
		}
		if lo > from {
			e.add(h, s.from(from-s.Off).upTo(lo), whole)
		}
		from = hi
	}
	if end > from {
		e.add(h, s.from(from-s.Off), whole)
	}
	return Known
}

func (s Segment) upTo(off uint64) Segment {
	s.Data = s.Data[:off-s.Off]
	return s
}

// compare reports the bytes in which a segment differs from a held run.
func (e *Native) compare(h *Half, o *node, s Segment, lo, hi uint64, wins bool, out Sink) {
	old := e.bytesOf(o)[lo-o.off : hi-o.off]
	b := s.Data[lo-s.Off : hi-s.Off]
	if !bytes.Equal(old, b) {
		origin := s.Origin
		origin.Seq += uint32(lo - s.Off)
		out.Conflict(h, lo, old, b, wins, origin)
	}
}

// carve takes [lo, hi), which a held run covers, out of it.
func (e *Native) carve(h *Half, ref nodeRef, lo, hi uint64) {
	n := e.tree.at(ref)
	left, right := lo-n.off, n.end()-hi
	switch {
	case left == 0 && right == 0:
		h.Ref = e.tree.remove(h.Ref, n.off)
		e.free(h, ref)
	case left == 0:
		cut := uint32(hi - n.off) // the run stays in its place of the order
		n.off, n.before = hi, n.before+cut
		n.skip, n.size = n.skip+cut, n.size-cut
		n.origin.Seq += cut
		h.Buffered -= cut
		e.refit(n)
	default:
		if right > 0 {
			tail := Segment{Off: hi, Data: e.bytesOf(n)[hi-n.off:], Origin: n.origin}
			tail.Origin.Seq += uint32(hi - n.off)
			e.add(h, tail, n.extent())
			n = e.tree.at(ref)
		}
		cut := n.size - uint32(left)
		n.size, n.after = uint32(left), n.after+cut
		h.Buffered -= cut
		e.refit(n)
	}
}

// refit moves what is left of a run to a smaller block, if that is enough: what counts as held is what is held.
func (e *Native) refit(n *node) {
	if class, _, _ := n.block.parts(); class == classOf(int(n.size)) {
		return
	}
	old := e.bytesOf(n)
	block, b := e.bytes.allocate(len(old))
	copy(b, old)
	e.bytes.release(n.block)
	n.block, n.skip = block, 0
}

// add puts a run that overlaps none into the tree, in pieces when it is longer than the largest block.
func (e *Native) add(h *Half, s Segment, whole Extent) {
	for len(s.Data) > 0 {
		n := min(len(s.Data), maxBlock)
		block, b := e.bytes.allocate(n)
		copy(b, s.Data)
		ref := e.tree.allocate()
		*e.tree.at(ref) = node{
			off: s.Off, size: uint32(n), block: block, origin: s.Origin,
			before: uint32(s.Off - whole.Start), after: uint32(whole.End - s.Off - uint64(n)),
		}
		h.Ref = e.tree.insert(h.Ref, ref)
		h.Buffered += uint32(n) + Overhead
		s = s.from(uint64(n))
	}
}
