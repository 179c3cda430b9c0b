package tcpfollow

import (
	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// acknowledge follows an acknowledgement that side from sends. When it covers a hole, the receiver has bytes that
// were not captured: they may still come, out of order, but not for long.
func (f *TCPStreamFollower) acknowledge(ref flowtable.Ref, c *conn, from uint8, ack uint32) {
	peer := &c.side[from^1]
	if !peer.has(known) {
		f.hint(c, from, &packet.TCP{Flags: packet.ACK, Ack: ack})
		return
	}
	if _, near := c.ahead(from^1, ack); !near {
		return
	}
	if peer.has(ackKnown) {
		ack = later(peer.acked, ack)
	}
	peer.acked = ack
	peer.set(ackKnown)
	f.notePassed(ref, c, from^1)
}

// notePassed notes since when the receiver of a side is known to do without the hole at Next.
func (f *TCPStreamFollower) notePassed(ref flowtable.Ref, c *conn, from uint8) {
	s := &c.side[from]
	if s.Buffered == 0 && !s.has(finSeen) || s.ackedTo() <= s.Next || s.done() {
		return
	}
	if st := f.stall(ref, c, from); !st.lost {
		st.lost, st.lostAt, st.behind = true, f.clock, 0
		f.schedule(ref, c)
	}
}

// giveUp gives up the holes of a connection that have no hope: acknowledged ones that did not come in time, and those
// in front of too much.
func (f *TCPStreamFollower) giveUp(ref flowtable.Ref, c *conn) {
	for i := range c.side {
		from := uint8(i)
		s := &c.side[i]
		if !s.has(stalled) {
			continue
		}
		st := f.stallOf(ref, from)
		if st.lost && (st.behind >= f.cfg.Limits.Reorder || f.clock-st.lostAt >= int64(f.cfg.Timeouts.Reorder)) {
			// Only this hole: the evidence on later ones may be newer.
			st.lost = false
			edge := uint64(max(s.unwrap(f.edgeOf(ref, c, from)), int64(s.Next)))
			f.skip(ref, c, from, min(s.ackedTo(), edge), reassemble.GapLost)
			f.notePassed(ref, c, from)
		}
		for s.Buffered > 0 && f.overLimit(s, st) {
			f.skip(ref, c, from, reassemble.ToHeld, reassemble.GapLimit)
		}
	}
}

// overLimit reports whether too much waits behind a side's hole, and counts it.
func (f *TCPStreamFollower) overLimit(s *side, st *stall) bool {
	switch {
	case int(s.Buffered) > f.cfg.Limits.Buffered:
		f.stats.LimitBuffered++
	case st.waiting > f.cfg.Limits.Segments:
		st.waiting-- // the skip lets one go at the least
		f.stats.LimitBuffered++
	case f.buffered > f.cfg.Limits.TotalBuffered:
		f.stats.LimitTotal++
	case f.clock-st.since >= int64(f.cfg.Timeouts.Hole):
		st.since = f.clock
		f.stats.LimitHole++
	default:
		return false
	}
	return true
}

// resync follows a segment that lies out of reach. Two of them in a row, the second where the first ends, show that the
// capture lost more than a window: then both are followed, and what lies before them is lost.
func (f *TCPStreamFollower) resync(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP, seq uint32) (Verdict, bool) {
	s := &c.side[from]
	n := uint32(len(seg.Payload)) + seg.Missing
	if n == 0 || seg.Flags.Has(packet.SYN) || s.has(stopped) || s.unwrap(seq) < int64(s.Next) {
		return 0, false
	}
	more := f.stream(ref).needs()
	first := more.far[from]
	if first == nil || first.Seq+uint32(len(first.Payload))+first.Missing != seq {
		if first != nil {
			f.buffered -= len(first.Payload)
		}
		copied := f.copyOf(seg)
		more.far[from] = &copied
		return 0, false
	}
	f.buffered -= len(first.Payload)
	more.far[from] = nil
	f.skipAll(ref, c, from, uint64(s.unwrap(first.Seq)), reassemble.GapLost)
	if !c.has(connEnded) {
		f.bytes(ref, c, from, first)
	}
	if c.has(connEnded) {
		return Closed, true
	}
	return f.bytes(ref, c, from, seg), true
}

// skip gives up the hole at a side's Next, up to an offset or to the first byte held. What of it the snapshot length cut
// off is a gap for that reason.
func (f *TCPStreamFollower) skip(ref flowtable.Ref, c *conn, from uint8, to uint64, why reassemble.GapReason) {
	s := &c.side[from]
	if s.has(stopped) || s.Buffered == 0 && (to <= s.Next || to == reassemble.ToHeld) {
		return
	}
	if more := f.extraOf(ref); more != nil {
		for _, cut := range more.cuts {
			if cut.side == from && cut.off > s.Next {
				to = min(to, cut.off)
			}
		}
	}
	f.engineSkip(ref, c, from, to, why)
	f.cutsDue(ref, c, from)
}

// skipAll gives up every hole of a side up to an offset, or, with ToHeld, in front of all that is held.
func (f *TCPStreamFollower) skipAll(ref flowtable.Ref, c *conn, from uint8, to uint64, why reassemble.GapReason) {
	s := &c.side[from]
	for !s.has(stopped) && s.Next < to && (s.Buffered > 0 || to != reassemble.ToHeld) {
		f.skip(ref, c, from, to, why)
	}
}

func (f *TCPStreamFollower) engineSkip(ref flowtable.Ref, c *conn, from uint8, to uint64, why reassemble.GapReason) {
	s := &c.side[from]
	f.engine(ref, c, from, func(out reassemble.Sink) { f.cfg.Engine.Skip(&s.Half, to, why, out) })
}

// gap reports a hole to the user. The side's Next is already past it.
func (f *TCPStreamFollower) gap(ref flowtable.Ref, c *conn, from uint8, off, n uint64, why reassemble.GapReason) {
	g := Gap{c.direction(from), off, n, why}
	st := f.stream(ref)
	p := &st.needs().payload[g.Direction]
	p.missing += n
	f.stats.Gaps++
	f.stats.GapBytes += n
	if last := len(p.gaps) - 1; last >= 0 && p.gaps[last].Offset+p.gaps[last].Length == off {
		p.gaps[last].Length += n
	} else if len(p.gaps) < f.cfg.Limits.Gaps {
		p.gaps = append(p.gaps, g)
	} else {
		p.unlisted++
	}
	if f.cfg.OnGap != nil {
		f.cfg.OnGap(st, g)
	}
}
