package tcpfollow

import (
	"slices"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// goesOn reports whether a segment shows that its connection was not reset, although a reset ended its stream: it
// acknowledges bytes that the other side sent after that. The reset was forged, then, and never reached its receiver.
//
// Bytes after a reset are kept until they are acknowledged. Mostly they were on their way when the reset was sent, and
// are answered by another one (RFC 9293 §3.10.7.1), which lets them go.
func (f *TCPStreamFollower) goesOn(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) bool {
	if c.end != EndReset || f.cfg.Midstream != MidstreamFollow || seg.Flags.Has(packet.SYN) {
		return false
	}
	if seg.Flags.Has(packet.RST) {
		f.dropAfterReset(ref)
		return false
	}
	if seg.Flags.Has(packet.ACK) {
		if _, near := c.ahead(from^1, seg.Ack); near && slices.ContainsFunc(f.lingering.late[ref], func(h heldSegment) bool {
			return h.side != from && int32(seg.Ack-h.end()) >= 0
		}) {
			return true
		}
	}
	f.keepAfterReset(ref, c, from, seg)
	return false
}

// keepAfterReset keeps a segment with new bytes of a connection that was reset.
func (f *TCPStreamFollower) keepAfterReset(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) {
	if !c.brings(from, seg) || len(f.lingering.late[ref]) >= f.cfg.Limits.Reorder {
		return
	}
	if held, ok := f.keepAside(from, seg); ok {
		if f.lingering.late == nil {
			f.lingering.late = map[flowtable.Ref][]heldSegment{}
		}
		f.lingering.late[ref] = append(f.lingering.late[ref], held)
	}
}

// dropAfterReset lets go of what is kept of a connection that was reset.
func (f *TCPStreamFollower) dropAfterReset(ref flowtable.Ref) {
	for i := range f.lingering.late[ref] {
		f.buffered -= len(f.lingering.late[ref][i].seg.Payload)
	}
	delete(f.lingering.late, ref)
}

// resume opens the stream of a connection that goes on after a reset: it starts where that one ended, with the same
// client.
func (f *TCPStreamFollower) resume(ref flowtable.Ref, k *packet.ConnKey, seg *packet.TCP) Verdict {
	old, kept := *f.table.At(ref), f.lingering.late[ref]
	for i := range kept {
		f.stats.AfterEnd -= old.fresh(kept[i].side, &kept[i].seg)
	}
	f.forget(ref)
	ref = f.add(k, &kept[0].seg)
	f.open(ref, kept[0].side, &kept[0].seg)
	c := f.table.At(ref)
	c.client = old.client
	for i := range c.side {
		if was := &old.side[i]; was.has(known) {
			c.side[i].begin(was.seqAt(was.Next))
			c.side[i].scale = was.scale
		}
	}
	f.release(ref, c)
	f.last = ref
	c.last, c.packets = max(c.last, seg.Time), uint32(len(kept))+1
	for i := range kept {
		if !c.has(connEnded) {
			f.follow(ref, c, kept[i].side, &kept[i].seg)
		}
	}
	f.follow(ref, c, k.From, seg)
	return Opened
}

// end returns the sequence number after a held segment's bytes.
func (h *heldSegment) end() uint32 { return h.seg.Seq + uint32(len(h.seg.Payload)) + h.seg.Missing }

// fresh returns how many bytes of a segment lie beyond those that are delivered.
func (c *conn) fresh(from uint8, seg *packet.TCP) uint64 {
	s := &c.side[from]
	n := uint64(len(seg.Payload))
	if s.has(known) && n > 0 {
		if old := int64(s.Next) - s.unwrap(seg.Seq); old > 0 {
			n -= min(n, uint64(old))
		}
	}
	return n
}

// brings reports whether a segment brings bytes that can be of the stream.
func (c *conn) brings(from uint8, seg *packet.TCP) bool {
	if !c.side[from].has(known) || c.fresh(from, seg) == 0 {
		return false
	}
	_, near := c.ahead(from, seg.Seq)
	return near
}

// keepAside copies a segment that may yet be needed, as far as Limits.TotalBuffered allows.
func (f *TCPStreamFollower) keepAside(from uint8, seg *packet.TCP) (heldSegment, bool) {
	if f.buffered+len(seg.Payload) > f.cfg.Limits.TotalBuffered {
		f.stats.LimitTotal++
		return heldSegment{}, false
	}
	return heldSegment{f.copyOf(seg), from}, true
}

// keepRefused keeps the payload of a reset that its receiver would have ignored. As likely as not the receiver saw the
// segment without that flag, and acknowledges the bytes: then they fill the hole that is there.
func (f *TCPStreamFollower) keepRefused(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) {
	if seg.Flags.Has(packet.SYN) || c.side[from].has(stopped) || !c.brings(from, seg) {
		return
	}
	more := f.stream(ref).needs()
	more.refused = slices.DeleteFunc(more.refused, func(h heldSegment) bool {
		past := c.fresh(h.side, &h.seg) == 0
		if past {
			f.buffered -= len(h.seg.Payload)
		}
		return past
	})
	if len(more.refused) >= f.cfg.Limits.Reorder {
		return
	}
	if held, ok := f.keepAside(from, seg); ok {
		more.refused = append(more.refused, held)
	}
}

// fill delivers what resets that were refused carried of n bytes at off, which were given up although their receiver
// acknowledged them. The rest is gaps.
func (f *TCPStreamFollower) fill(ref flowtable.Ref, c *conn, from uint8, off, n uint64, refused []heldSegment) {
	s := &c.side[from]
	end := off + n
	for off < end && !s.has(stopped) {
		var next *heldSegment
		start, stop := end, end
		for i := range refused { // which has the first of the bytes?
			h := &refused[i]
			at := s.unwrap(h.seg.Seq)
			first, last := max(at, int64(off)), min(at+int64(len(h.seg.Payload)), s.unwrap(s.acked), int64(end))
			if h.side == from && first < last && uint64(first) < start {
				next, start, stop = h, uint64(first), uint64(last)
			}
		}
		if start > off {
			f.gap(ref, c, from, off, start-off, reassemble.GapLost)
		}
		if next != nil {
			seq := s.seqAt(start)
			b := next.seg.Payload[seq-next.seg.Seq:][:stop-start]
			f.deliver(ref, c, from, start, b, reassemble.Origin{Time: next.seg.Time, Packet: next.seg.Number, Seq: seq, Ack: next.seg.Ack})
		}
		off = stop
	}
	f.unwanted(ref, c.direction(from), end-off)
}
