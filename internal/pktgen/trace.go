package pktgen

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Packet is one packet of a trace, still in layers.
type Packet struct {
	// Time is the capture time, in nanoseconds since the Unix epoch.
	Time int64
	// Dir is who sent it.
	Dir packet.Direction
	// Layers are its layers, outermost first.
	Layers []Layer
	// Snap is the most bytes that are captured, 0 for all.
	Snap int
	// Interface is the index of the capturing interface.
	Interface uint32
}

// Trace is packets in capture order. Its methods return a new trace and leave the old one as it was; they panic on an
// index that is out of range.
type Trace []Packet

// Frames returns the packets as frames, numbered from 1.
func (t Trace) Frames() []packet.Frame {
	frames := make([]packet.Frame, 0, len(t))
	for i, p := range t {
		f := Frame(p.Time, p.Layers...)
		f.Number, f.Interface = uint64(i+1), p.Interface
		if p.Snap > 0 && p.Snap < len(f.Data) {
			f.Data = f.Data[:p.Snap:p.Snap]
		}
		frames = append(frames, f)
	}
	return frames
}

// Merge returns the packets of all traces in order of time; at equal times the earlier argument comes first.
func Merge(traces ...Trace) Trace {
	all := slices.Concat(traces...)
	slices.SortStableFunc(all, func(a, b Packet) int { return cmp.Compare(a.Time, b.Time) })
	return all
}

// Reorder shuffles the packets under seed, none by more than window places, or freely when window is 0. The times stay
// in their places, so that they still ascend.
func (t Trace) Reorder(seed uint64, window int) Trace {
	r := rand.New(rand.NewPCG(seed, 0))
	order := r.Perm(len(t))
	if window > 0 {
		key := make([]int, len(t))
		for i := range key {
			order[i], key[i] = i, i+r.IntN(window+1)
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(key[a], key[b]) })
	}
	return t.Pick(order...)
}

// Pick returns the packets at indexes in that order; some may be left out, others come twice. Unless there are more
// than before, the times stay in their places.
func (t Trace) Pick(indexes ...int) Trace {
	out := make(Trace, 0, len(indexes))
	for i, from := range indexes {
		p := t[from]
		if i < len(t) {
			p.Time = t[i].Time
		}
		out = append(out, p)
	}
	return out
}

// Move puts the packet at from to index to of the result; the times stay in their places.
func (t Trace) Move(from, to int) Trace {
	order := make([]int, 0, len(t))
	for i := range t {
		if i != from {
			order = append(order, i)
		}
	}
	return t.Pick(slices.Insert(order, to, from)...)
}

// Drop leaves out the packets at indexes.
func (t Trace) Drop(indexes ...int) Trace {
	var out Trace
	for i, p := range t {
		if !slices.Contains(indexes, i) {
			out = append(out, p)
		}
	}
	return out
}

// Duplicate repeats the packets at indexes right behind themselves, as a capture on two interfaces does.
func (t Trace) Duplicate(indexes ...int) Trace {
	var out Trace
	for i, p := range t {
		out = append(out, p)
		if slices.Contains(indexes, i) {
			out = append(out, p)
		}
	}
	return out
}

// Insert puts p at index at, at a time between its neighbours'.
func (t Trace) Insert(at int, p Packet) Trace {
	switch {
	case len(t) == 0:
	case at == 0:
		p.Time = t[0].Time
	case at == len(t):
		p.Time = t[at-1].Time
	default:
		p.Time = t[at-1].Time + (t[at].Time-t[at-1].Time)/2
	}
	return slices.Insert(slices.Clone(t), at, p)
}

// Retransmit sends the packet at index i once more, at index at of the result.
func (t Trace) Retransmit(i, at int) Trace { return t.Insert(at, t[i]) }

// Overlap inserts at index at a segment like the one at index i, shifted by shift bytes and with other data. Retained.
func (t Trace) Overlap(i, at, shift int, data []byte) Trace {
	p := t[i]
	k := slices.IndexFunc(p.Layers, func(l Layer) bool { _, ok := l.(TCP); return ok })
	h := p.Layers[k].(TCP)
	h.Seq += uint32(shift)
	p.Layers = append(slices.Clone(p.Layers[:k]), h, Payload(data))
	return t.Insert(at, p)
}

// Edit replaces the packet at index i by what change makes of its layers, which are a copy.
func (t Trace) Edit(i int, change func(layers []Layer) []Layer) Trace {
	out := slices.Clone(t)
	out[i].Layers = change(slices.Clone(out[i].Layers))
	return out
}

// Snap cuts every packet to n captured bytes.
func (t Trace) Snap(n int) Trace {
	out := slices.Clone(t)
	for i := range out {
		out[i].Snap = n
	}
	return out
}

// Wrap puts layers around every packet, as the client sends them; around the server's packets their addresses are
// swapped.
func (t Trace) Wrap(layers ...Layer) Trace {
	out := slices.Clone(t)
	for i, p := range out {
		out[i].Layers = append(directed(layers, p.Dir), p.Layers...)
	}
	return out
}

// Relink puts layers in the place of the outermost layer of every packet, as [Trace.Wrap] does.
func (t Trace) Relink(layers ...Layer) Trace {
	out := slices.Clone(t)
	for i, p := range out {
		out[i].Layers = p.Layers[1:]
	}
	return out.Wrap(layers...)
}

// Fragment cuts the packet at index i into IP fragments that carry at most size bytes each, size being a multiple of 8.
// The fragments come in the given order, some may be left out or repeated; no order is the natural one. It is the
// innermost IP header that is fragmented; behind it there must be another layer.
func (t Trace) Fragment(i, size int, order ...int) Trace {
	p := t[i]
	k := len(p.Layers) - 1
	for ; ; k-- {
		if l := p.Layers[k].ids().ip; l == 4 || l == 41 {
			break
		}
	}
	body := build(p.Layers[:k+1], p.Layers[k+1:])
	var parts Trace
	for at := 0; at < len(body); at += size {
		end := min(at+size, len(body))
		f := p
		f.Layers = append(slices.Clone(p.Layers[:k]), fragment(p.Layers[k:], i, at, end < len(body))...)
		f.Layers = append(f.Layers, Payload(body[at:end]))
		parts = append(parts, f)
	}
	out := slices.Clone(t[:i])
	if len(order) == 0 {
		out = append(out, parts...)
	}
	for _, n := range order {
		out = append(out, parts[n])
	}
	return append(out, t[i+1:]...)
}

// fragment returns the header of one fragment of the datagram that starts with layers[0].
func fragment(layers []Layer, id, offset int, more bool) []Layer {
	next := Fixed(uint32(layers[1].ids().ip))
	if h, ok := layers[0].(IPv4); ok {
		h.DontFragment, h.MoreFragments, h.Offset, h.Protocol = false, more, offset, next
		return []Layer{h}
	}
	return []Layer{layers[0], IPv6Fragment{ID: uint32(id + 1), Offset: offset, More: more, Next: next}}
}
