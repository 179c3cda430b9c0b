package tcpfollow

import (
	"cmp"
	"slices"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// finished reports whether both sides have finished, and everything before is delivered or given up.
func (f *TCPStreamFollower) finished(c *conn) bool { return c.side[0].done() && c.side[1].done() }

// reset follows a RST, which ends the connection when its receiver would have accepted it.
func (f *TCPStreamFollower) reset(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) Verdict {
	if f.answers(ref, c, from, seg) {
		return f.supersede(ref, c, from, seg)
	}
	f.release(ref, c)
	if c.has(connEnded) {
		return f.late(c, from, seg)
	}
	reason := f.resets(ref, c, from, seg)
	if reason == EndNone {
		f.keepRefused(ref, c, from, seg)
		return BadReset
	}
	if seg.Flags.Has(packet.ACK) && reason == EndReset {
		f.acknowledge(ref, c, from, seg.Ack)
	}
	f.stats.AfterEnd += uint64(len(seg.Payload)) // an explanation for people, not data (RFC 9293 §3.5.2)
	f.finish(ref, c, reason)
	return Closed
}

// resets returns the reason for which a RST ends the connection, or EndNone when it does not (RFC 5961 §3.2).
func (f *TCPStreamFollower) resets(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) EndReason {
	s := &c.side[from]
	if f.cfg.AnyReset {
		return EndReset
	}
	if !s.has(known) {
		switch {
		case s.has(ackKnown) && seg.Seq == s.acked:
			return EndReset
		case !c.has(connEstablished) && seg.Flags.Has(packet.ACK) && f.ackFits(ref, c, from^1, seg.Ack):
			return EndRefused // RFC 9293 §3.10.7.3
		case c.start == StartMid && !s.has(ackKnown):
			return EndReset
		}
		return EndNone
	}
	off := s.unwrap(seg.Seq)
	switch {
	case off < int64(s.Next):
		return EndNone
	case off == int64(s.Next), seg.Seq == f.edgeOf(ref, c, from), off == int64(s.ackedTo()):
		return EndReset
	case s.has(finSeen) && seg.Seq == s.fin+1:
		return EndReset
	}
	return EndNone
}

// finish ends a stream: what is held is delivered, holes become gaps, and the user hears of the end. The record stays.
func (f *TCPStreamFollower) finish(ref flowtable.Ref, c *conn, reason EndReason) {
	if f.cfg.CompatLibtins {
		f.compatFinish(ref, c, reason)
		return
	}
	f.release(ref, c)
	if c.has(connEnding) || c.has(connEnded) {
		return
	}
	c.set(connEnding)
	defer func() {
		c.flags &^= connEnding
		if c.end != EndNone { // else a callback panicked, and the end is still to come
			f.over(ref, c)
		}
	}()
	why := reassemble.GapEnd
	switch reason {
	case EndFIN:
		why = reassemble.GapFIN
	case EndReset:
		why = reassemble.GapReset
	default:
	}
	for _, from := range [2]uint8{c.client, c.client ^ 1} {
		f.drain(ref, c, from, why)
	}
	for i := range c.side {
		f.drop(c, uint8(i))
	}
	f.announce(ref, c)
	c.end = reason
	f.stats.Ends[reason]++
	if f.end != nil {
		f.end(f.stream(ref))
	}
}

// over lets go of a stream that has ended, and keeps its record for late packets.
func (f *TCPStreamFollower) over(ref flowtable.Ref, c *conn) {
	if f.journal != nil {
		f.journal.note(closedStream, f.table.Rest(ref).id)
	}
	c.set(connEnded)
	c.last = f.clock
	f.detach(ref)
	if f.closed { // no packet comes any more, and the table goes as a whole
		return
	}
	f.schedule(ref, c)
	f.linger(ref)
}

// drain delivers what a side holds, and reports what is missing up to its FIN, or to what the peer acknowledged.
func (f *TCPStreamFollower) drain(ref flowtable.Ref, c *conn, from uint8, why reassemble.GapReason) {
	s := &c.side[from]
	if !s.has(known) || s.Next == s.finAt() && s.Buffered == 0 && !s.has(deep) {
		return
	}
	if !s.has(stopped) {
		f.drainHeld(ref, c, from, why)
	}
	if s.has(deep) { // perhaps only now
		f.deepGap(ref, c, from)
	}
}

func (f *TCPStreamFollower) drainHeld(ref flowtable.Ref, c *conn, from uint8, why reassemble.GapReason) {
	s := &c.side[from]
	if acked := s.ackedTo(); acked > s.Next+1 { // one byte may be a FIN that was not captured
		f.skipAll(ref, c, from, min(acked, s.finAt()), reassemble.GapLost)
	}
	f.skipAll(ref, c, from, reassemble.ToHeld, why)
	if more := f.extraOf(ref); more != nil {
		for !s.has(stopped) { // behind a hole, with nothing captured
			i := slices.IndexFunc(more.cuts, func(x cut) bool { return x.side == from && x.end > s.Next })
			if i < 0 {
				break
			}
			f.skipAll(ref, c, from, more.cuts[i].end, why)
		}
	}
	if s.has(finSeen) {
		f.skipAll(ref, c, from, s.finAt(), why)
	}
}

// deepGap reports all that was passed over beyond Limits.Depth as one gap.
func (f *TCPStreamFollower) deepGap(ref flowtable.Ref, c *conn, from uint8) {
	s := &c.side[from]
	p := &f.stream(ref).needs().payload[c.direction(from)]
	if n := p.unwanted; n > 0 {
		p.unwanted = 0
		f.gap(ref, c, from, s.Next-n, n, reassemble.GapDepth)
	}
}

// drop makes the engine forget a side.
func (f *TCPStreamFollower) drop(c *conn, side uint8) {
	s := &c.side[side]
	if s.Ref == 0 {
		return
	}
	f.buffered -= int(s.Buffered)
	f.cfg.Engine.Close(&s.Half)
	s.Buffered = 0
	s.flags &^= stalled
}

// detach empties the handle of a stream that has ended.
func (f *TCPStreamFollower) detach(ref flowtable.Ref) {
	st := f.streams.at(ref)
	if st == nil {
		return
	}
	if more := st.extra(); more != nil {
		f.payload -= len(more.payload[0].bytes) + len(more.payload[1].bytes)
		if h := more.history; h != nil {
			f.history -= len(h[0].buf) + len(h[1].buf)
		}
		if t := more.origins; t != nil {
			f.runs -= len(t[0].runs) + len(t[1].runs)
		}
		for i := range more.refused {
			f.buffered -= len(more.refused[i].seg.Payload)
		}
		for _, far := range more.far {
			if far != nil {
				f.buffered -= len(far.Payload)
			}
		}
	}
	st.f, st.more = nil, nil
	f.streams.remove(ref)
}

// forget removes the record of a connection that has ended.
func (f *TCPStreamFollower) forget(ref flowtable.Ref) {
	if len(f.lingering.late) > 0 {
		f.dropAfterReset(ref)
	}
	f.table.Remove(ref)
}

// evict makes room for a connection, at the cost of the one whose timeout is nearest.
func (f *TCPStreamFollower) evict() {
	for {
		ref := f.table.Soonest()
		c := f.table.At(ref)
		if at := f.deadline(ref, c); f.table.Reschedule(ref, at) {
			continue // it has been used since
		}
		if !c.has(connEnded) && !c.has(connSilent) {
			f.stats.LimitConnections++
			f.finish(ref, c, EndEvicted)
		}
		f.forget(ref)
		return
	}
}

// endAll ends every stream, in the order in which they were opened.
func (f *TCPStreamFollower) endAll() {
	open := make([]flowtable.Ref, 0, f.table.Len())
	for ref := range f.table.All {
		if c := f.table.At(ref); !c.has(connEnded) && !c.has(connSilent) {
			open = append(open, ref)
		}
	}
	slices.SortFunc(open, func(a, b flowtable.Ref) int { return cmp.Compare(f.table.Rest(a).id, f.table.Rest(b).id) })
	for _, ref := range open {
		if f.journal != nil {
			f.journal.place.stream = f.table.Rest(ref).id
		}
		if f.cfg.CompatLibtins {
			f.detach(ref)
			continue
		}
		c := f.table.At(ref)
		f.finish(ref, c, f.orFIN(c, EndEOF))
	}
	f.table = flowtable.New[packet.FlowKey, conn, connRest]()
	f.streams, f.lingering.late = handles{}, nil
}

// orFIN returns EndFIN when both sides have sent one, and reason else.
func (f *TCPStreamFollower) orFIN(c *conn, reason EndReason) EndReason {
	if c.side[0].has(finSeen) && c.side[1].has(finSeen) {
		return EndFIN
	}
	return reason
}

// expire runs the timers of the connections in f.due, in the order of deadline, then of opening.
func (f *TCPStreamFollower) expire(now int64) {
	type timer struct {
		ref flowtable.Ref
		at  int64
		id  uint64
	}
	due := f.due[:0]
	var timers []timer
	for _, ref := range f.due {
		c := f.table.At(ref)
		at := f.deadline(ref, c)
		f.table.Schedule(ref, at) // whatever happens below
		if at <= now {
			if c.has(connEnded) || c.has(connSilent) {
				f.forget(ref)
				continue
			}
			if f.cfg.CompatLibtins {
				f.table.Schedule(ref, now+int64(f.cfg.Timeouts.Idle)) // only evict asks who was idle for longest
				continue
			}
			timers = append(timers, timer{ref, at, f.table.Rest(ref).id})
		}
	}
	f.due = due
	slices.SortFunc(timers, func(a, b timer) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
	for _, t := range timers {
		if f.journal != nil {
			f.journal.place.at, f.journal.place.stream = t.at, t.id
		}
		c := f.table.At(t.ref)
		if c.has(connHolding) {
			f.release(t.ref, c)
		}
		if !c.has(connEnded) {
			f.giveUp(t.ref, c)
		}
		switch {
		case c.has(connEnded):
		case f.finished(c):
			f.finish(t.ref, c, EndFIN)
		case f.idleAt(c) <= now:
			f.finish(t.ref, c, f.orFIN(c, EndTimeout))
			f.forget(t.ref)
		default:
			f.schedule(t.ref, c)
		}
	}
}

// settleStopsIn carries out what Stop and StopAll asked for, once no callback and no engine is at work.
func (f *TCPStreamFollower) settleStopsIn(ref flowtable.Ref, c *conn) {
	if c.has(connEnding) || c.has(connEnded) {
		return
	}
	for i := range c.side {
		if s := &c.side[i]; s.has(stopped) && s.Ref != 0 {
			f.drop(c, uint8(i))
		}
	}
	if c.has(connStopping) {
		f.finish(ref, c, EndStopped)
	}
}

// settleStops is settleStopsIn for calls that may come from outside any callback, or from a callback of another stream.
func (f *TCPStreamFollower) settleStops(st *TCPStream, c *conn) {
	if f.busy {
		f.stops = append(f.stops, st)
		return
	}
	f.busy = true
	defer f.leave()
	f.settleStopsIn(st.ref, c)
}

// settleOthers carries out what was asked of streams by callbacks of others while a packet was followed.
func (f *TCPStreamFollower) settleOthers() {
	for len(f.stops) > 0 {
		st := f.stops[0]
		f.stops = f.stops[1:]
		if c := st.conn(); c != nil {
			f.settleStopsIn(st.ref, c)
		}
		if len(f.stops) == 0 {
			f.stops = nil
		}
	}
}
