package tcpfollow

import (
	"bytes"
	"slices"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
)

// reuseDistance is how far from an ended connection's last byte a segment must lie to count as one of a new
// connection whose SYN was not captured.
const reuseDistance = 1 << 20

// opens reports whether a segment makes an unknown connection a stream. Acknowledgements alone, and FIN and RST without
// data, are what is left of one that ended.
func (f *TCPStreamFollower) opens(seg *packet.TCP) bool {
	if seg.Flags.Has(packet.RST) {
		return false
	}
	if seg.Flags.Has(packet.SYN) {
		return true
	}
	return f.cfg.Midstream == MidstreamFollow && (len(seg.Payload) > 0 || seg.Missing > 0)
}

// unknown follows a segment of a connection that is no stream yet. Acknowledgements leave a silent record, so that
// the sender of the first packet seen is the client if this turns out to be a stream in mid-course.
func (f *TCPStreamFollower) unknown(ref flowtable.Ref, k *packet.ConnKey, seg *packet.TCP) (flowtable.Ref, bool) {
	if ref != 0 && (seg.Flags&(packet.SYN|packet.RST) != 0) {
		f.forget(ref) // of an older connection
		ref = 0
	}
	switch {
	case f.opens(seg):
		if ref == 0 {
			ref = f.add(k, seg)
		}
		f.open(ref, k.From, seg)
		return ref, true
	case ref == 0 && f.cfg.Midstream == MidstreamFollow && seg.Flags&(packet.FIN|packet.RST) == 0:
		ref = f.add(k, seg)
		f.table.At(ref).set(connSilent)
		f.schedule(ref, f.table.At(ref))
	}
	if ref != 0 {
		c := f.table.At(ref)
		c.meet(seg.Time)
		f.hint(c, k.From, seg)
	}
	return ref, false
}

// add makes a record for a connection with its first packet.
func (f *TCPStreamFollower) add(k *packet.ConnKey, seg *packet.TCP) flowtable.Ref {
	if f.table.Len() >= f.cfg.Limits.Connections {
		f.evict()
	}
	ref := f.table.Insert(k.Hash, &k.Key)
	c := f.table.At(ref)
	c.last, c.client = seg.Time, k.From
	rest := f.table.Rest(ref)
	rest.opened, rest.first = seg.Number, seg.Time
	return ref
}

// open makes a connection a stream. Its roles are those that its first segment with SYN or data suggests.
func (f *TCPStreamFollower) open(ref flowtable.Ref, from uint8, seg *packet.TCP) {
	c := f.table.At(ref)
	c.flags &^= connSilent
	id := f.identify(ref)
	f.cfg.Engine.Open(&c.side[0].Half, id<<1)
	f.cfg.Engine.Open(&c.side[1].Half, id<<1|1)
	f.stats.Streams++
	s := &c.side[from]
	switch {
	case !seg.Flags.Has(packet.SYN):
		c.start = StartMid
		f.hold(ref, c) // schedules
		return
	case seg.Flags.Has(packet.ACK):
		c.start = StartSYNACK
		c.client = from ^ 1
		c.set(connEstablished)
		c.side[c.client].begin(seg.Ack)
	default:
		c.client = from
	}
	s.begin(seg.Seq + 1)
	s.set(synSeen)
	s.scale = windowScale(seg.Options)
	f.announce(ref, c)
	f.schedule(ref, c)
}

// announce tells the user of a stream whose roles are known.
func (f *TCPStreamFollower) announce(ref flowtable.Ref, c *conn) {
	if c.has(connAnnounced) {
		return
	}
	c.set(connAnnounced)
	if f.cfg.OnOpen != nil {
		f.cfg.OnOpen(f.stream(ref))
		f.settleStopsIn(ref, c)
	}
}

// hold makes a connection wait until it is known where its streams start, see held.
func (f *TCPStreamFollower) hold(ref flowtable.Ref, c *conn) {
	c.set(connHolding)
	f.stream(ref).needs().heldAt = f.clock
	f.schedule(ref, c)
}

// held takes a segment of a connection that holds: packets may be captured out of order, so the first one seen need
// not be the first of its stream. It reports whether the hold is over, which then includes the segment.
func (f *TCPStreamFollower) held(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) Verdict {
	f.hint(c, from, seg)
	if c.has(connAnnounced) && c.side[from^1].has(ackKnown) && !c.side[from^1].has(known) {
		f.release(ref, c) // the SYN+ACK is missing, but its acknowledgement says where the server starts
		return f.follow(ref, c, from, seg)
	}
	if len(seg.Payload) == 0 && seg.Missing == 0 && !seg.Flags.Has(packet.FIN) {
		return Control
	}
	more := f.stream(ref).needs()
	more.held = append(more.held, heldSegment{f.copyOf(seg), from})
	if len(more.held) >= f.cfg.Limits.Reorder || f.buffered > f.cfg.Limits.TotalBuffered {
		f.release(ref, c)
	}
	return Held
}

// copyOf returns a copy of a segment that outlives its frame, without options, and counts its payload as buffered.
func (f *TCPStreamFollower) copyOf(seg *packet.TCP) packet.TCP {
	copied := *seg
	copied.Payload, copied.Options = bytes.Clone(seg.Payload), nil
	f.buffered += len(seg.Payload)
	return copied
}

// hint keeps the lowest acknowledgement that a side has sent while its peer's start is unknown.
func (f *TCPStreamFollower) hint(c *conn, from uint8, seg *packet.TCP) {
	peer := &c.side[from^1]
	if peer.has(known) || !seg.Flags.Has(packet.ACK) {
		return
	}
	if !peer.has(ackKnown) || later(peer.acked, seg.Ack) == peer.acked {
		peer.acked = seg.Ack
	}
	peer.set(ackKnown)
}

// release ends a hold: starts that are still unknown are settled, and the held segments are followed.
func (f *TCPStreamFollower) release(ref flowtable.Ref, c *conn) {
	if !c.has(connHolding) {
		return
	}
	c.flags &^= connHolding
	c.set(connEstablished)
	more := f.stream(ref).needs()
	for i := range c.side {
		f.settle(c, uint8(i), more.held)
	}
	f.announce(ref, c)
	f.schedule(ref, c)
	held := more.held
	more.held = nil
	for i := range held {
		f.buffered -= len(held[i].seg.Payload)
	}
	for i := range held {
		if !c.has(connEnded) {
			f.follow(ref, c, held[i].side, &held[i].seg)
		}
	}
}

// settle decides where a side starts: at its lowest held byte, or, when the other side's SYN was seen and so nothing
// can have been sent before, at the first byte that the other side acknowledged.
func (f *TCPStreamFollower) settle(c *conn, i uint8, held []heldSegment) {
	s := &c.side[i]
	if s.has(known) {
		return
	}
	var first *packet.TCP
	for j := range held {
		if h := &held[j]; h.side == i && (first == nil || later(first.Seq, h.seg.Seq) == first.Seq && (!isProbe(first) || first.Seq != h.seg.Seq)) {
			first = &h.seg
		}
	}
	if first == nil {
		return
	}
	lowest := first.Seq
	if isProbe(first) && slices.ContainsFunc(held, func(h heldSegment) bool { return h.side == i && h.seg.Seq == lowest+1 }) {
		lowest++ // a keep-alive: its byte lies before the stream's next one
	}
	if c.side[i^1].has(synSeen) && s.has(ackKnown) && later(lowest, s.acked) == lowest {
		lowest = s.acked
	}
	s.begin(lowest)
}

// isProbe reports whether a segment may be a keep-alive with a byte of no meaning.
func isProbe(seg *packet.TCP) bool {
	return len(seg.Payload) == 1 && seg.Missing == 0 && seg.Flags&(packet.PSH|packet.FIN|packet.SYN) == 0
}

// startAt settles the start of a side of an announced stream by a segment of it. It reports false when the connection
// should hold first.
func (f *TCPStreamFollower) startAt(c *conn, from uint8, seg *packet.TCP) bool {
	s := &c.side[from]
	ahead := seg.Seq - s.acked
	switch {
	case s.has(ackKnown) && c.side[from^1].has(synSeen) && ahead < reuseDistance:
		s.begin(s.acked) // nothing can have been sent before the handshake
	case !c.has(connEstablished):
		return false
	default:
		s.begin(seg.Seq)
	}
	c.set(connEstablished)
	return true
}

// opening follows a SYN. It reports what became of the segment, and whether its payload is still to be followed.
func (f *TCPStreamFollower) opening(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) (v Verdict, payload bool) {
	s, peer := &c.side[from], &c.side[from^1]
	ack := seg.Flags.Has(packet.ACK)
	isn := seg.Seq + 1
	switch {
	case s.has(known) && s.base == isn: // the one that is known, or late
		s.set(synSeen)
		if ack && peer.has(known) && !c.has(connEstablished) {
			c.set(connEstablished)
		}
		return Control, true
	case ack && f.answers(ref, c, from, seg):
		return f.supersede(ref, c, from, seg), false
	case s.has(known) && s.Next == 0 && s.Buffered == 0 && !f.settled(c, from):
		// Nothing depends on the earlier one yet: the sender has started anew.
		s.begin(isn)
		s.set(synSeen)
		s.scale = windowScale(seg.Options)
		return Control, true
	case !s.has(known) && (!ack || !peer.has(known) || f.ackFits(ref, c, from^1, seg.Ack)):
		if c.has(connHolding) && !f.consistent(ref, from, isn) {
			f.release(ref, c)
			return f.doubt(ref, c, from, seg), false
		}
		s.begin(isn)
		s.set(synSeen)
		s.scale = windowScale(seg.Options)
		if !c.has(connAnnounced) {
			c.start, c.client = StartSYN, from
		}
		if ack {
			if !c.has(connAnnounced) {
				c.start, c.client = StartSYNACK, from^1
			}
			if !peer.has(known) {
				peer.begin(seg.Ack)
			}
		}
		if peer.has(known) {
			c.set(connEstablished)
		}
		f.announce(ref, c)
		f.release(ref, c)
		return Control, true
	}
	return f.doubt(ref, c, from, seg), false
}

// settled reports whether a side's initial sequence number can no longer change: the peer has acknowledged it.
func (f *TCPStreamFollower) settled(c *conn, from uint8) bool {
	return c.side[from].has(ackKnown) || c.side[from^1].has(known) && c.has(connEstablished)
}

// ackFits reports whether ack acknowledges the SYN of a side, and perhaps data sent with it (RFC 7413).
func (f *TCPStreamFollower) ackFits(ref flowtable.Ref, c *conn, side uint8, ack uint32) bool {
	base := c.side[side].base
	return ack-base <= f.edgeOf(ref, c, side)-base
}

// consistent reports whether what is held of a side can follow a SYN.
func (f *TCPStreamFollower) consistent(ref flowtable.Ref, from uint8, isn uint32) bool {
	for _, h := range f.stream(ref).needs().held {
		if h.side == from && h.seg.Seq-isn >= reuseDistance {
			return false
		}
	}
	return true
}

// doubt keeps a SYN that does not belong to its connection: it is an old one, or a forged one, or the port is in use
// again, which shows when it is answered.
func (f *TCPStreamFollower) doubt(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) Verdict {
	if !seg.Flags.Has(packet.ACK) {
		copied := *seg
		copied.Payload, copied.Options = nil, bytes.Clone(seg.Options)
		f.stream(ref).needs().syn = candidate{copied, from}
		c.set(connDoubt)
	}
	return BadSYN
}

// answers reports whether a segment shows that the SYN in doubt opened a new connection: the other side acknowledged
// it, or its sender went on from it.
func (f *TCPStreamFollower) answers(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) bool {
	if !c.has(connDoubt) || !seg.Flags.Has(packet.ACK) {
		return false
	}
	more := f.extraOf(ref)
	next := more.syn.seg.Seq + 1
	if from == more.syn.side {
		off := c.side[from].unwrap(seg.Seq) - int64(c.side[from].Next)
		return seg.Seq == next && seg.Flags&(packet.SYN|packet.RST) == 0 && (off > reuseDistance || off < -reuseDistance)
	}
	return seg.Ack == next && seg.Flags&(packet.SYN|packet.RST) != 0
}

// supersede ends a stream whose ports are in use again, opens the new one, and follows seg in it.
func (f *TCPStreamFollower) supersede(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) Verdict {
	syn := f.extraOf(ref).syn
	key := *f.table.Key(ref)
	f.finish(ref, c, EndSuperseded)
	f.forget(ref)
	ref = f.add(&packet.ConnKey{Key: key, Hash: key.Hash(f.seed), From: syn.side}, &syn.seg)
	f.open(ref, syn.side, &syn.seg)
	c = f.table.At(ref)
	c.packets = 2 // the SYN and seg
	f.last = ref
	c.last = max(c.last, seg.Time)
	f.follow(ref, c, from, seg)
	return Opened
}

// reopens reports whether a segment of an ended connection opens a new one: a SYN that is not the old one repeated,
// or data that lies far from the old.
func (f *TCPStreamFollower) reopens(c *conn, from uint8, seg *packet.TCP) bool {
	if !f.opens(seg) {
		return false
	}
	s, peer := &c.side[from], &c.side[from^1]
	if seg.Flags.Has(packet.SYN) {
		if c.end == EndStopped && !s.has(known) && seg.Flags.Has(packet.ACK) && peer.has(known) && seg.Ack-peer.base <= uint32(peer.Next) {
			return false // the answer to the SYN of the stream that was stopped
		}
		return !s.has(known) || s.base != seg.Seq+1
	}
	if !s.has(known) || c.end == EndStopped {
		return false
	}
	off := s.unwrap(seg.Seq) - int64(s.Next)
	return off > reuseDistance || off < -reuseDistance-int64(s.Next)
}

// late counts a packet of an ended connection.
func (f *TCPStreamFollower) late(c *conn, from uint8, seg *packet.TCP) Verdict {
	n := c.fresh(from, seg)
	if c.end == EndStopped {
		c.last = max(c.last, seg.Time) // it goes on, unwanted
		f.stats.Unwanted += n
		return Unwanted
	}
	f.stats.AfterEnd += n
	return AfterEnd
}
