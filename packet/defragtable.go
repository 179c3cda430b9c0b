package packet

import (
	"bytes"
	"time"
)

// none is the absence of a slot.
const none = -1

// fragmentKey tells datagrams apart: RFC 791 §2.3 for IPv4, RFC 8200 §4.5 for IPv6, where the protocol does not count.
type fragmentKey struct {
	flow FlowKey
	id   uint32
}

func keyOf(p *Packet) fragmentKey {
	k := p.Key
	k.ports = 0
	if k.Version() == 6 {
		k.setProto(0)
	}
	return fragmentKey{flow: k, id: p.frag.id}
}

// datagram is one that is not complete yet.
type datagram struct {
	key    fragmentKey
	first  int64  // time of the first fragment
	serial uint64 // order of opening

	data   []byte  // bytes of the fragments, and the header, in order of arrival
	pieces []piece // the fragments, in order of arrival
	spans  []span  // what they cover: disjoint, in order, with holes between
	cost   int     // bytes of memory accounted for

	header, headerSize int // in data; a size of 0 means that the fragment at 0 has not come
	next               int // where the protocol is named in the header (IPv6)
	proto              uint8
	dead               bool // dropped; later fragments are to be refused
	end                int  // length of the datagram behind the header, none if not known

	older, newer int32
}

// piece is one fragment: its place on the wire, and the bytes captured of it.
type piece struct{ start, end, at, size uint32 }

// span is a part of the datagram that is there.
type span struct{ start, end uint32 }

// ageList is a list of slots, linked by older and newer.
type ageList struct{ oldest, newest int32 }

func (g *datagram) complete() bool {
	return g.headerSize > 0 && g.end >= 0 && len(g.spans) == 1 && g.spans[0] == span{0, uint32(g.end)}
}

func (g *datagram) age() int {
	if g.key.flow.Version() == 6 {
		return 1
	}
	return 0
}

func (d *Defragmenter) timeout(age int) time.Duration {
	if age == 1 {
		return d.cfg.TimeoutIPv6
	}
	return d.cfg.TimeoutIPv4
}

func (d *Defragmenter) policy(g *datagram) OverlapPolicy {
	switch {
	case d.cfg.Overlap != OverlapDefault:
		return d.cfg.Overlap
	case g.key.flow.Version() == 6:
		return OverlapDrop
	}
	return OverlapFirst
}

// open makes a slot for a new datagram, at the cost of the oldest one if there are too many.
func (d *Defragmenter) open(key fragmentKey, now int64) int32 {
	if len(d.index) >= d.cfg.MaxDatagrams {
		d.evict()
	}
	slot := d.free
	if slot == none {
		slot = int32(len(d.slots))
		d.slots = append(d.slots, datagram{})
	} else {
		d.free = d.slots[slot].newer
	}
	g := &d.slots[slot]
	d.serial++
	*g = datagram{key: key, first: now, serial: d.serial, end: none, older: none, newer: none, pieces: g.pieces, spans: g.spans}
	if n := len(d.spare); n > 0 {
		g.data, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	list := &d.ages[g.age()]
	g.older = list.newest
	if list.newest == none {
		list.oldest = slot
	} else {
		d.slots[list.newest].newer = slot
	}
	list.newest = slot
	d.index[key] = slot
	return slot
}

// close forgets a datagram.
func (d *Defragmenter) close(slot int32) {
	g := &d.slots[slot]
	delete(d.index, g.key)
	d.release(g)
	list := &d.ages[g.age()]
	if g.older == none {
		list.oldest = g.newer
	} else {
		d.slots[g.older].newer = g.newer
	}
	if g.newer == none {
		list.newest = g.older
	} else {
		d.slots[g.newer].older = g.older
	}
	g.newer = d.free
	d.free = slot
}

// release gives the memory of a datagram back.
func (d *Defragmenter) release(g *datagram) {
	const (
		maxSpare       = 16
		maxSpareSize   = 1 << 16
		maxSparePieces = 64
	)
	if g.data != nil && len(d.spare) < maxSpare && cap(g.data) <= maxSpareSize {
		d.spare = append(d.spare, g.data[:0])
	}
	g.data = nil
	g.pieces, g.spans = g.pieces[:0], g.spans[:0]
	if cap(g.pieces) > maxSparePieces {
		g.pieces, g.spans = nil, nil
	}
	d.bytes -= g.cost
	g.cost = 0
}

// drop gives up a datagram, and remembers it so that its later fragments are refused.
func (d *Defragmenter) drop(g *datagram, counter *uint64) {
	*counter++
	d.release(g)
	g.dead = true
}

// expire drops the datagrams that are too old at now.
func (d *Defragmenter) expire(now int64) {
	for age := range d.ages {
		timeout := int64(d.timeout(age))
		for slot := d.ages[age].oldest; slot != none && now-d.slots[slot].first > timeout; slot = d.ages[age].oldest {
			if !d.slots[slot].dead {
				d.stats.Expired++
			}
			d.close(slot)
		}
	}
}

// shrink evicts the oldest datagrams until the rest fits; that of slot has grown.
func (d *Defragmenter) shrink(slot int32) {
	const pieceCost, spanCost = 16, 8
	g := &d.slots[slot]
	cost := cap(g.data) + pieceCost*cap(g.pieces) + spanCost*cap(g.spans)
	d.bytes += cost - g.cost
	g.cost = cost
	for d.bytes > d.cfg.MaxBytes && len(d.index) > 0 {
		d.evict()
	}
}

// evict drops the datagram that was opened first.
func (d *Defragmenter) evict() {
	slot, other := d.ages[0].oldest, d.ages[1].oldest
	if slot == none || other != none && d.slots[other].serial < d.slots[slot].serial {
		slot = other
	}
	if slot == none {
		return
	}
	if !d.slots[slot].dead {
		d.stats.Evicted++
	}
	d.close(slot)
}

// insert adds a fragment to its datagram, and reports whether that has grown.
func (d *Defragmenter) insert(g *datagram, a *arrival) bool {
	reach := 0
	if n := len(g.spans); n > 0 {
		reach = int(g.spans[n-1].end)
	}
	if a.last && (g.end != none && g.end != a.end || a.end < reach) || !a.last && g.end != none && a.end > g.end {
		d.stats.Malformed++
		return false
	}
	policy := d.policy(g)
	if covered := g.covered(a); covered > 0 {
		if covered == a.end-a.start && g.same(a) {
			d.stats.Duplicates++
			return g.ends(a)
		}
		d.stats.Overlaps++
		if policy == OverlapDrop {
			d.drop(g, &d.stats.Overlapped)
			return false
		}
		if policy == OverlapFirst && covered == a.end-a.start {
			return g.ends(a)
		}
	}
	if len(g.pieces) == d.cfg.MaxFragments {
		d.drop(g, &d.stats.Overfull)
		return false
	}
	if a.last {
		g.end = a.end
	}
	if a.start == 0 && (g.headerSize == 0 || policy == OverlapLast) {
		g.header, g.headerSize, g.next, g.proto = len(g.data), len(a.header), a.next, a.proto
		g.data = append(g.data, a.header...)
	}
	g.pieces = append(g.pieces, piece{uint32(a.start), uint32(a.end), uint32(len(g.data)), uint32(len(a.data))})
	g.data = append(g.data, a.data...)
	g.cover(span{uint32(a.start), uint32(a.end)})
	return true
}

// ends takes from a fragment that brings no bytes where the datagram ends. It reports whether that is news.
func (g *datagram) ends(a *arrival) bool {
	if !a.last || g.end != none {
		return false
	}
	g.end = a.end
	return true
}

// covered returns how many bytes of a are there already.
func (g *datagram) covered(a *arrival) int {
	n := 0
	for i := len(g.spans) - 1; i >= 0 && int(g.spans[i].end) > a.start; i-- {
		s := g.spans[i]
		n += max(0, min(int(s.end), a.end)-max(int(s.start), a.start))
	}
	return n
}

// same reports whether a has the bytes of every fragment that it shares a place with, as far as they were captured.
func (g *datagram) same(a *arrival) bool {
	for _, p := range g.pieces {
		lo, hi := max(int(p.start), a.start), min(int(p.start+p.size), a.start+len(a.data))
		if lo < hi && !bytes.Equal(g.data[int(p.at)+lo-int(p.start):][:hi-lo], a.data[lo-a.start:hi-a.start]) {
			return false
		}
	}
	return true
}

// cover adds s to the spans.
func (g *datagram) cover(s span) {
	i := len(g.spans)
	for i > 0 && g.spans[i-1].start > s.start {
		i--
	}
	g.spans = append(g.spans, span{})
	copy(g.spans[i+1:], g.spans[i:])
	g.spans[i] = s
	// Join what touches, from the span before s on.
	from := max(i-1, 0)
	out := g.spans[:from+1]
	for _, next := range g.spans[from+1:] {
		if top := &out[len(out)-1]; next.start <= top.end {
			top.end = max(top.end, next.end)
			continue
		}
		out = append(out, next)
	}
	g.spans = out
}
