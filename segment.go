package tcpfollow

import (
	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// minReach is how far ahead of the next expected byte a segment may lie whatever the receiver's window is: captures
// lose packets, too.
const minReach = 16 << 20

// reach returns how far ahead of the next expected byte a segment of a side may lie: the largest window that its
// receiver can have announced.
func (c *conn) reach(from uint8) int64 { return max(minReach, int64(65535)<<c.side[from^1].scale) }

// ahead returns how far a sequence number lies ahead of the next expected byte, and whether that is near enough to be
// of the stream.
func (c *conn) ahead(from uint8, seq uint32) (distance int64, near bool) {
	s := &c.side[from]
	distance = s.unwrap(seq) - int64(s.Next)
	return distance, distance >= -1<<30 && distance <= c.reach(from)
}

// windowScale returns the shift that a SYN's options announce (RFC 7323 §2.2), 0 for none.
func windowScale(options []byte) uint8 {
	for i := 0; i+2 < len(options); {
		switch kind, n := options[i], int(options[i+1]); {
		case kind == 1:
			i++
		case kind == 0, n < 2:
			return 0
		case kind == 3 && n == 3:
			return min(options[i+2], 14)
		default:
			i += n
		}
	}
	return 0
}

// follow follows a segment of an open connection.
func (f *TCPStreamFollower) follow(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) Verdict {
	s := &c.side[from]
	if c.has(connEnded) {
		return f.late(c, from, seg) // by StopAll from OnOpen
	}
	if c.has(connHolding) && f.clock-f.extraOf(ref).heldAt >= int64(f.cfg.Timeouts.Reorder) {
		f.release(ref, c)
		if c.has(connEnded) {
			return f.late(c, from, seg)
		}
	}
	switch {
	case seg.Flags.Has(packet.RST):
		return f.reset(ref, c, from, seg)
	case seg.Flags.Has(packet.SYN):
		if v, payload := f.opening(ref, c, from, seg); !payload {
			return v
		}
		if c.has(connEnded) {
			return f.late(c, from, seg) // by StopAll from a callback for what was held
		}
	case f.answers(ref, c, from, seg):
		return f.supersede(ref, c, from, seg)
	case c.has(connHolding):
		return f.held(ref, c, from, seg)
	}
	if seg.Flags.Has(packet.ACK) {
		f.acknowledge(ref, c, from, seg.Ack)
	}
	v := Control
	if n := len(seg.Payload) + int(seg.Missing); n > 0 || seg.Flags.Has(packet.FIN) {
		if !s.has(known) && !f.startAt(c, from, seg) {
			f.hold(ref, c)
			return f.held(ref, c, from, seg)
		}
		v = f.bytes(ref, c, from, seg)
	} else if seg.Flags.Has(packet.URG) && s.has(known) {
		f.pointed(ref, c, from, seg)
	}
	if !c.has(connEnded) {
		f.giveUp(ref, c)
		if f.finished(c) {
			f.finish(ref, c, EndFIN)
			if v == Control {
				v = Closed
			}
		}
	}
	return v
}

// meet counts a packet at time t.
func (c *conn) meet(t int64) {
	c.last = max(c.last, t)
	if c.packets++; c.packets == 0 {
		c.packets-- // saturate
	}
}

// awaits reports whether a segment that was captured whole is of the plainest kind, which is most of them: on an
// established connection where nothing waits, the next bytes or none, acknowledging nothing that was not seen.
func (c *conn) awaits(from uint8, flags packet.TCPFlags, seq, ack uint32) bool {
	s, peer := &c.side[from&1], &c.side[from&1^1]
	return c.flags == connAnnounced|connEstablished && flags&(packet.SYN|packet.RST|packet.ACK|packet.URG) == packet.ACK &&
		s.flags&^(synSeen|ackKnown) == known && s.Ref == 0 && seq == s.seqAt(s.Next) &&
		peer.has(known) && int32(ack-peer.acked) >= 0 && (int32(peer.seqAt(peer.Next)-ack) >= 0 || ack == peer.fin+1 && peer.done())
}

// next follows a segment that its connection awaits.
func (f *TCPStreamFollower) next(ref flowtable.Ref, c *conn, from uint8, flags packet.TCPFlags, payload []byte, o reassemble.Origin) Verdict {
	f.last = ref
	c.meet(o.Time)
	s, peer := &c.side[from&1], &c.side[from&1^1]
	peer.acked = o.Ack
	peer.flags |= ackKnown
	v := Control
	if len(payload) > 0 {
		v = Data
		off := s.Next
		s.Next += uint64(len(payload))
		f.deliver(ref, c, from, off, payload, o)
		if len(f.stops) > 0 {
			f.settleStopsIn(ref, c)
		}
	}
	if flags&packet.FIN != 0 {
		return f.nextFIN(ref, c, s, v)
	}
	return v
}

// nextFIN follows the FIN of a segment that came in order; v is what its payload came to.
func (f *TCPStreamFollower) nextFIN(ref flowtable.Ref, c *conn, s *side, v Verdict) Verdict {
	if c.has(connEnded) {
		return v
	}
	s.set(finSeen)
	s.fin = s.seqAt(s.Next)
	if !f.finished(c) {
		f.schedule(ref, c)
		return v
	}
	f.finish(ref, c, EndFIN)
	if v == Control {
		return Closed
	}
	return v
}

// bytes follows the payload and the FIN of a segment whose side has a start.
func (f *TCPStreamFollower) bytes(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) Verdict {
	s := &c.side[from]
	seq := seg.Seq
	if seg.Flags.Has(packet.SYN) {
		seq++
	}
	off := s.unwrap(seq)
	ahead, near := c.ahead(from, seq)
	if !near {
		if v, ok := f.resync(ref, c, from, seg, seq); ok {
			return v
		}
		return OutOfWindow
	}
	if seg.Flags.Has(packet.URG) {
		f.pointed(ref, c, from, seg)
	}
	data, missing := seg.Payload, uint64(seg.Missing)
	end := off + int64(len(data)) + int64(missing)
	fin := seg.Flags.Has(packet.FIN) && end >= int64(s.Next)
	verdict := Control
	if len(data)+int(missing) > 0 {
		verdict = Duplicate
		if len(data)+int(missing) == 1 && ahead == -1 && !fin {
			verdict = KeepAlive
		}
	}
	if off < 0 { // before the first byte that is followed
		n := min(uint64(-off), uint64(len(data)))
		f.stats.BeforeStart += n
		data = data[n:]
		off += int64(n)
		if len(data) == 0 {
			if end < 0 || end == 0 && !fin {
				if verdict == Duplicate {
					verdict = BeforeStart
				}
				return verdict
			}
			missing -= min(missing, uint64(-off))
			off = max(off, 0)
		}
		seq = s.seqAt(uint64(off))
	}
	at := uint64(off)
	if limit := s.finAt(); at+uint64(len(data))+missing > limit {
		data, missing = f.behindFIN(limit, at, data)
		if len(data) == 0 && missing == 0 {
			return AfterFIN
		}
	}
	edge := s.seqAt(at + uint64(len(data)) + missing)
	if s.has(stopped) {
		v := f.passOver(ref, c, from, at, uint64(len(data))+missing)
		f.finSeen(ref, c, from, uint64(max(end, 0)), fin)
		return v
	}
	if len(data) > 0 {
		if r := f.hand(ref, c, from, at, data, seg, seq); r.Has(reassemble.Delivered) {
			verdict = Data
		} else if r.Has(reassemble.Held) {
			verdict = Held
		}
	}
	if missing > 0 && !c.has(connEnded) {
		if s.has(stopped) {
			f.passOver(ref, c, from, at+uint64(len(data)), missing)
		} else if f.cutOff(ref, c, from, at+uint64(len(data)), missing) {
			verdict = Data
		}
	}
	if !c.has(connEnded) {
		if s.has(stalled) {
			st := f.stallOf(ref, from)
			st.edge = later(st.edge, edge)
		}
		f.finSeen(ref, c, from, uint64(max(end, 0)), fin)
	}
	return verdict
}

// behindFIN cuts what lies behind the sender's FIN off a segment that reaches there. It returns what is left of its data
// and of what is missing.
func (f *TCPStreamFollower) behindFIN(fin, at uint64, data []byte) ([]byte, uint64) {
	room := uint64(0)
	if fin > at {
		room = fin - at
	}
	if n := uint64(len(data)); n > room {
		f.stats.AfterFIN += n - room
		return data[:room], 0
	}
	return data, room - uint64(len(data))
}

// finSeen notes a FIN at offset end.
func (f *TCPStreamFollower) finSeen(ref flowtable.Ref, c *conn, from uint8, end uint64, fin bool) {
	s := &c.side[from]
	if fin && !s.has(finSeen) && end >= s.Next && int32(f.edgeOf(ref, c, from)-s.seqAt(end)) <= 0 {
		s.set(finSeen)
		s.fin = s.seqAt(end)
		f.schedule(ref, c)
	}
}

// hand gives bytes at an offset to the engine, or to the user at once when nothing is held in front of them.
func (f *TCPStreamFollower) hand(ref flowtable.Ref, c *conn, from uint8, at uint64, data []byte, seg *packet.TCP, seq uint32) reassemble.Result {
	s := &c.side[from]
	origin := reassemble.Origin{Time: seg.Time, Packet: seg.Number, Seq: seq, Ack: seg.Ack}
	if s.Ref == 0 && at == s.Next {
		s.Next += uint64(len(data))
		f.deliver(ref, c, from, at, data, origin)
		f.settleStopsIn(ref, c)
		return reassemble.Delivered
	}
	before := s.Next
	var r reassemble.Result
	if f.native != nil {
		f.native.SetOverlap(f.cfg.OverlapFor(f.addrOf(ref, int(from^1)).Addr()))
	}
	f.engine(ref, c, from, func(out reassemble.Sink) {
		r = f.cfg.Engine.Segment(&s.Half, reassemble.Segment{Off: at, Data: data, Origin: origin}, out)
	})
	if s.has(stalled) && s.Next != before {
		st := f.stallOf(ref, from)
		st.since, st.waiting, st.lost = f.clock, 0, false
	}
	if r.Has(reassemble.Held) && s.Buffered > 0 {
		if !s.has(stalled) {
			f.stall(ref, c, from)
			f.schedule(ref, c)
		}
		st := f.stallOf(ref, from)
		st.waiting++
		st.behind++
	}
	f.cutsDue(ref, c, from)
	return r
}

// engine calls the engine for one side, and keeps account of what it holds.
func (f *TCPStreamFollower) engine(ref flowtable.Ref, c *conn, from uint8, call func(reassemble.Sink)) {
	s := &c.side[from]
	f.at = ref
	f.enter(s, call)
	f.settleStopsIn(ref, c)
}

// enter keeps account also when a callback panics.
func (f *TCPStreamFollower) enter(s *side, call func(reassemble.Sink)) {
	before := s.Buffered
	defer func() {
		f.buffered += int(s.Buffered) - int(before)
		if s.Buffered == 0 {
			s.flags &^= stalled
		}
	}()
	call((*sink)(f))
}

// passOver advances a direction that nobody wants.
func (f *TCPStreamFollower) passOver(ref flowtable.Ref, c *conn, from uint8, at, n uint64) Verdict {
	s := &c.side[from]
	if n == 0 {
		return Control
	}
	if at+n <= s.Next {
		return Duplicate
	}
	n = at + n - s.Next
	s.Next += n
	f.unwanted(ref, c.direction(from), n)
	return Unwanted
}

// cutOff notes bytes that the snapshot length cut off: a gap, as soon as everything before them is delivered. It
// reports whether that was at once.
func (f *TCPStreamFollower) cutOff(ref flowtable.Ref, c *conn, from uint8, at, n uint64) bool {
	s := &c.side[from]
	if at+n <= s.Next {
		return false
	}
	more := f.stream(ref).needs()
	if len(more.cuts) >= f.cfg.Limits.Segments {
		more.cuts = more.cuts[1:] // it will be an ordinary hole
	}
	more.cuts = append(more.cuts, cut{from, at, at + n})
	before := s.Next
	f.cutsDue(ref, c, from)
	return s.Next != before
}

// cutsDue turns cut-off bytes that have come to be next into gaps.
func (f *TCPStreamFollower) cutsDue(ref flowtable.Ref, c *conn, from uint8) {
	s := &c.side[from]
	for more := f.extraOf(ref); more != nil && !c.has(connEnded) && !s.has(stopped); {
		due := false
		rest := more.cuts[:0]
		for _, cut := range more.cuts {
			switch {
			case cut.side != from, cut.off > s.Next, cut.end > s.Next && due:
				rest = append(rest, cut)
			case cut.end > s.Next:
				due = true
				f.engineSkip(ref, c, from, cut.end, reassemble.GapTruncated)
			}
		}
		more.cuts = rest
		if !due {
			return
		}
	}
}

// deliver gives bytes to the user. The side's Next is already past them.
func (f *TCPStreamFollower) deliver(ref flowtable.Ref, c *conn, from uint8, off uint64, b []byte, o reassemble.Origin) {
	s := &c.side[from]
	if s.acked-s.seqAt(s.Next) > 1<<31 && s.seqAt(s.Next)-s.acked > 1<<30 {
		s.acked = s.seqAt(s.Next) // keep it near: acknowledgements are not seen
	}
	d := c.direction(from)
	if s.has(stopped) {
		f.unwanted(ref, d, uint64(len(b)))
		return
	}
	if s.has(pointing) {
		if i, ok := f.urgentIn(ref, c, from, off, len(b)); ok {
			f.deliverAround(ref, c, from, off, b, o, i)
			return
		}
	}
	if depth := f.cfg.Limits.Depth; depth > 0 && off+uint64(len(b)) >= depth {
		keep := depth - min(off, depth)
		f.unwanted(ref, d, uint64(len(b))-keep)
		if uint64(len(b)) > keep {
			s.set(stopped | deep)
			f.stats.LimitDepth++
		}
		if b = b[:keep]; keep == 0 {
			return
		}
	}
	f.stats.Bytes += uint64(len(b))
	if f.keeps {
		f.keep(ref, d, off, b, &o)
	}
	if f.data != nil {
		st := f.stream(ref)
		f.chunk, f.chunkOf = Chunk{d, off, b, o}, st
		f.data(st)
		f.chunkOf = nil
	}
}

func (f *TCPStreamFollower) unwanted(ref flowtable.Ref, d packet.Direction, n uint64) {
	if n > 0 {
		f.stats.Unwanted += n
		f.stream(ref).needs().payload[d].unwanted += n
	}
}

// keep remembers of bytes that are delivered what the user asked for.
func (f *TCPStreamFollower) keep(ref flowtable.Ref, d packet.Direction, off uint64, b []byte, o *reassemble.Origin) {
	st := f.stream(ref)
	if !f.cfg.Incremental {
		f.accumulate(st, d, b)
	}
	if f.cfg.History > 0 && (f.cfg.Incremental || st.extra().payload[d].truncated) {
		f.remember(st, d, off, b)
	}
	if f.cfg.Origins {
		f.trace(st, d, off, b, o)
	}
}

// accumulate adds to what ClientPayload and ServerPayload return.
func (f *TCPStreamFollower) accumulate(st *TCPStream, d packet.Direction, b []byte) {
	p := &st.needs().payload[d]
	room := min(f.cfg.Limits.Payload-len(p.bytes), f.cfg.Limits.TotalPayload-f.payload)
	if p.truncated {
		room = 0
	}
	if len(b) > room {
		b = b[:max(room, 0)]
		if !p.truncated {
			p.truncated = true
			f.stats.LimitPayload++
		}
	}
	p.bytes = append(p.bytes, b...)
	f.payload += len(b)
}
