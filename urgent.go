package tcpfollow

import (
	"slices"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// UrgentPolicy says what becomes of urgent data (RFC 9293 §3.8.5). The urgent pointer names the octet behind it. A
// receiver that asks for out-of-band data takes the last urgent octet, that in front of the pointer, out of the stream,
// and nothing else (RFC 6093 §3.1); one that does not finds it in line. A capture does not tell which of them was at
// work.
type UrgentPolicy uint8

// The policies for urgent data.
const (
	UrgentInline    UrgentPolicy = iota // it is data like all other
	UrgentDrop                          // the last urgent octet is left out, and counted
	UrgentOutOfBand                     // the last urgent octet is left out, and goes to Config.OnUrgent
)

// Urgent is an octet that was taken out of a stream. It keeps its offset, at which no data comes.
type Urgent struct {
	Direction packet.Direction
	Offset    uint64
	Byte      byte
	// Origin is the packet that carried it.
	Origin reassemble.Origin
}

// urgents is what is known of the urgent data of one direction.
type urgents struct {
	pending []uint64 // offsets of octets to take out, in order; some may lie in gaps
	taken   []octet  // in order, for copies that come late
	count   uint64   // of all that were taken out
}

// octet is a byte that was taken out.
type octet struct {
	off uint64
	b   [1]byte
}

// pointed notes the octet that a segment with URG points at.
func (f *TCPStreamFollower) pointed(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) {
	s := &c.side[from]
	if _, near := c.ahead(from, seg.Seq); !near || seg.Urgent == 0 {
		return
	}
	f.stats.UrgentSegments++
	at := s.unwrap(seg.Seq + uint32(seg.Urgent) - 1)
	if f.cfg.Urgent == UrgentInline || at < int64(s.Next) || s.has(stopped) {
		return
	}
	more := f.stream(ref).needs()
	if more.urgent == nil {
		more.urgent = new([2]urgents)
	}
	u := &more.urgent[c.direction(from)]
	u.forget(s.Next)
	i, found := slices.BinarySearch(u.pending, uint64(at))
	switch {
	case found:
	case len(u.pending) >= f.cfg.Limits.Segments:
		f.stats.LimitUrgent++
	default:
		u.pending = slices.Insert(u.pending, i, uint64(at))
		s.set(pointing)
	}
}

// forget drops pending octets in front of off: they lie in gaps.
func (u *urgents) forget(off uint64) {
	i, _ := slices.BinarySearch(u.pending, off)
	u.pending = slices.Delete(u.pending, 0, i)
}

// urgentIn returns how far into n bytes at off the first octet lies that is to be taken out of them, if there is one.
func (f *TCPStreamFollower) urgentIn(ref flowtable.Ref, c *conn, from uint8, off uint64, n int) (int, bool) {
	u := &f.stream(ref).needs().urgent[c.direction(from)]
	u.forget(off)
	if len(u.pending) == 0 {
		c.side[from].flags &^= pointing
		return 0, false
	}
	at := u.pending[0] - off
	return int(at), at < uint64(n)
}

// deliverAround delivers bytes without the urgent octet at index i of them.
func (f *TCPStreamFollower) deliverAround(ref flowtable.Ref, c *conn, from uint8, off uint64, b []byte, o reassemble.Origin, i int) {
	s, d := &c.side[from], c.direction(from)
	rest := uint64(len(b) - i)
	defer func() { f.unwanted(ref, d, rest) }() // unless a callback panics, there is none
	if i > 0 {
		f.deliver(ref, c, from, off, b[:i], o)
	}
	o.Seq += uint32(i)
	u := &f.stream(ref).needs().urgent[d]
	u.forget(off + uint64(i) + 1)
	if depth := f.cfg.Limits.Depth; s.has(stopped) || depth > 0 && off+uint64(i) >= depth {
		rest = 0
		f.deliver(ref, c, from, off+uint64(i), b[i:], o) // it is not wanted, either
		return
	}
	rest--
	f.takeOut(ref, u, Urgent{d, off + uint64(i), b[i], o})
	if b = b[i+1:]; len(b) > 0 {
		rest = 0
		o.Seq++
		f.deliver(ref, c, from, off+uint64(i)+1, b, o)
	}
}

// takeOut reports an urgent octet.
func (f *TCPStreamFollower) takeOut(ref flowtable.Ref, u *urgents, x Urgent) {
	st := f.stream(ref)
	u.count++
	f.stats.Urgent++
	if len(u.taken) < f.cfg.Limits.Gaps {
		u.taken = append(u.taken, octet{x.Offset, [1]byte{x.Byte}})
	} else {
		st.needs().payload[x.Direction].unlisted++
	}
	if f.cfg.Urgent == UrgentOutOfBand && f.cfg.OnUrgent != nil {
		f.cfg.OnUrgent(st, x)
	}
}

// locate adjusts what payload.locate found: octets that were taken out did not accumulate. It returns such an octet when
// there is one at off.
func (u *urgents) locate(off, at uint64, n int) (taken []byte, where uint64, run int) {
	i, found := slices.BinarySearchFunc(u.taken, off, func(o octet, off uint64) int {
		if o.off < off {
			return -1
		}
		return int(min(o.off-off, 1))
	})
	switch {
	case found:
		return u.taken[i].b[:], at, 1
	case i < len(u.taken):
		n = int(min(uint64(n), u.taken[i].off-off))
	}
	return nil, at - uint64(i), n
}
