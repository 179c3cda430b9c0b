package tcpfollow

import (
	"math"
	"net/netip"
	"time"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// conn is the record of one connection. It lives in a slab and holds no pointer.
//
// Its two sides are those of the canonical flow key: side 0 sends in the key's own direction. Which of them is the
// client may change until the stream is announced.
//
// With its key it fills two cache lines, the second of them with its sides. What is seldom needed is in connRest.
type conn struct {
	last    int64 // time of the latest packet; of the end, once ended
	packets uint32
	flags   connFlags
	client  uint8
	start   StartKind
	end     EndReason
	side    [2]side
}

// connRest is the part of a connection's record that few packets need.
type connRest struct {
	id     uint64
	opened uint64 // number of the first frame
	first  int64  // time of the first packet
}

// side is what one end of a connection sends. Offsets count from base; sequence numbers kept beside Next are within
// half the sequence space of it, see unwrap.
type side struct {
	reassemble.Half
	base  uint32 // sequence number of offset 0; valid when known
	acked uint32 // highest sequence number that the peer acknowledged; valid when ackKnown
	fin   uint32 // sequence number of the FIN; valid when finSeen
	flags sideFlags
	scale uint8 // window scale that the side's SYN announced (RFC 7323 §2)
}

type sideFlags uint8

const (
	known    sideFlags = 1 << iota // base is known
	synSeen                        // and comes from the side's own SYN
	ackKnown                       // the peer has acknowledged something
	finSeen                        // a valid FIN was seen
	stopped                        // the user wants no more
	deep                           // Limits.Depth was reached
	stalled                        // there is a stall in the connection's extra part
	pointing                       // an urgent octet is to be taken out
)

type connFlags uint8

const (
	connAnnounced   connFlags = 1 << iota // OnOpen was called
	connEstablished                       // both SYNs were seen, or the connection was met in mid-stream
	connHolding                           // segments wait for the start to be known
	connEnded                             // the stream has ended; the record lingers
	connStopping                          // StopAll was called
	connSilent                            // only acknowledgements were seen: no stream yet
	connEnding                            // the stream is being ended
	connDoubt                             // a SYN may have opened a new connection, see candidate
)

func (s *side) has(f sideFlags) bool { return s.flags&f == f }
func (s *side) set(f sideFlags)      { s.flags |= f }
func (c *conn) has(f connFlags) bool { return c.flags&f == f }
func (c *conn) set(f connFlags)      { c.flags |= f }

// direction returns who sends on a side.
func (c *conn) direction(side uint8) packet.Direction { return packet.Direction(side ^ c.client) }

// sideOf returns the side that half lies in.
func (c *conn) sideOf(h *reassemble.Half) uint8 {
	if h == &c.side[0].Half {
		return 0
	}
	return 1
}

// begin sets the sequence number of offset 0.
func (s *side) begin(base uint32) {
	s.base = base
	s.set(known)
	if !s.has(ackKnown) {
		s.acked = base
	}
}

// unwrap returns the offset of a sequence number: the one nearest to Next. It is negative before the start.
func (s *side) unwrap(seq uint32) int64 {
	return int64(s.Next) + int64(int32(seq-(s.base+uint32(s.Next))))
}

// seqAt returns the sequence number of an offset.
func (s *side) seqAt(off uint64) uint32 { return s.base + uint32(off) }

// done reports whether the side has finished, and everything before its FIN was delivered or given up.
func (s *side) done() bool { return s.has(finSeen) && s.Next >= s.finAt() }

// finAt returns the offset of the side's FIN, or the largest offset if none was seen.
func (s *side) finAt() uint64 {
	if !s.has(finSeen) {
		return math.MaxUint64
	}
	return uint64(s.unwrap(s.fin))
}

// ackedTo returns the offset up to which the peer has acknowledged the side's bytes, never below Next.
func (s *side) ackedTo() uint64 {
	if !s.has(ackKnown | known) {
		return s.Next
	}
	return uint64(max(s.unwrap(s.acked), int64(s.Next)))
}

// later returns the later of two sequence numbers (RFC 9293 §3.4).
func later(a, b uint32) uint32 {
	if int32(a-b) > 0 {
		return a
	}
	return b
}

func (f *TCPStreamFollower) addrOf(ref flowtable.Ref, side int) netip.AddrPort {
	key := f.table.Key(ref)
	if side == 0 {
		return key.Src()
	}
	return key.Dst()
}

// extraOf returns the extra part of a connection if it has one.
func (f *TCPStreamFollower) extraOf(ref flowtable.Ref) *extra {
	if st := f.streams.at(ref); st != nil {
		return st.extra()
	}
	return nil
}

// stallOf returns the stall of a side that is stalled.
func (f *TCPStreamFollower) stallOf(ref flowtable.Ref, side uint8) *stall {
	return &f.stream(ref).needs().stalls[side]
}

// edgeOf returns the sequence number after the last byte seen of a side.
func (f *TCPStreamFollower) edgeOf(ref flowtable.Ref, c *conn, side uint8) uint32 {
	s := &c.side[side]
	edge := s.seqAt(s.Next)
	if s.has(finSeen) {
		edge = later(edge, s.fin)
	}
	if s.has(stalled) {
		edge = later(edge, f.stallOf(ref, side).edge)
	}
	return edge
}

// stall makes a side stalled.
func (f *TCPStreamFollower) stall(ref flowtable.Ref, c *conn, side uint8) *stall {
	st := f.stallOf(ref, side)
	if s := &c.side[side]; !s.has(stalled) {
		s.set(stalled)
		*st = stall{since: f.clock, edge: s.seqAt(s.Next)}
	}
	return st
}

// deadline returns when a connection's next timer is due.
func (f *TCPStreamFollower) deadline(ref flowtable.Ref, c *conn) int64 {
	t := &f.cfg.Timeouts
	if c.has(connEnded) {
		return c.last + int64(t.Linger)
	}
	if c.has(connHolding) {
		return f.extraOf(ref).heldAt + int64(t.Reorder)
	}
	at := f.idleAt(c)
	for i := range c.side {
		s := &c.side[i]
		if !s.has(stalled) {
			continue
		}
		st := f.stallOf(ref, uint8(i))
		if s.Buffered > 0 {
			at = min(at, st.since+int64(t.Hole))
		}
		if st.lost {
			at = min(at, st.lostAt+int64(t.Reorder))
		}
	}
	return at
}

// idleAt returns when an open connection ends for want of packets.
func (f *TCPStreamFollower) idleAt(c *conn) int64 {
	t := &f.cfg.Timeouts
	wait := t.Idle
	switch {
	case !c.has(connEstablished), c.has(connSilent):
		wait = min(t.Handshake, t.Idle)
	case c.side[0].has(finSeen) || c.side[1].has(finSeen):
		wait = t.HalfClosed
	}
	return c.last + int64(wait)
}

// schedule makes sure that a connection's timer comes up by its deadline, which may have come nearer. It may come up
// early.
func (f *TCPStreamFollower) schedule(ref flowtable.Ref, c *conn) {
	f.table.Hasten(ref, f.deadline(ref, c))
}

// advance moves the packet clock and runs the timers that came up, at whole seconds only, so that a run does not
// depend on how packets are grouped.
func (f *TCPStreamFollower) advance(now int64) {
	if now > f.clock {
		f.clock = now
		if now >= f.nextTick {
			f.tick(now)
		}
	}
}

func (f *TCPStreamFollower) tick(now int64) {
	tick := int64(flowtable.Tick)
	f.nextTick = now - now%tick + tick
	if f.front != nil {
		f.front.step()
		return
	}
	f.due = f.table.Advance(now, f.due[:0])
	if len(f.due) > 0 {
		f.expire(now)
	}
}

// timestamp returns t as the JSON output and StreamInfo have it.
func timestamp(t int64) time.Time { return time.Unix(0, t).UTC() }
