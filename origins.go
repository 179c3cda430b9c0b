package tcpfollow

import (
	"cmp"
	"iter"
	"slices"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Segment is a run of a stream's bytes that one packet carried.
type Segment struct {
	Direction packet.Direction
	// Offset and Length are in bytes of the stream, as in Chunk.
	Offset, Length uint64
	// Origin is the packet, with the sequence number of the first of the bytes.
	Origin reassemble.Origin
}

// run is a Segment as it is kept. Its sequence number follows from its offset.
type run struct {
	off, packet uint64
	time        int64
	ack, size   uint32
}

// origins is where the bytes of one direction came from.
type origins struct {
	runs     []run // in order, none touching the next one of the same packet
	untraced uint64
}

// trace notes where bytes that are delivered came from.
func (f *TCPStreamFollower) trace(st *TCPStream, d packet.Direction, off uint64, b []byte, o *reassemble.Origin) {
	more := st.needs()
	if more.origins == nil {
		more.origins = new([2]origins)
	}
	t := &more.origins[d]
	n := len(t.runs)
	if n > 0 {
		if last := &t.runs[n-1]; last.packet == o.Packet && last.off+uint64(last.size) == off {
			last.size += uint32(len(b))
			return
		}
	}
	if t.untraced > 0 || n >= f.cfg.Limits.Origins || f.runs >= f.cfg.Limits.TotalOrigins {
		if t.untraced == 0 {
			f.stats.LimitOrigins++
		}
		t.untraced += uint64(len(b))
		f.stats.Untraced += uint64(len(b))
		return
	}
	t.runs = append(t.runs, run{off: off, packet: o.Packet, time: o.Time, ack: o.Ack, size: uint32(len(b))})
	f.runs++
}

// originsOf returns what is kept of a direction, nil if nothing is.
func (s *TCPStream) originsOf(d packet.Direction) []run {
	if more := s.extra(); more != nil && more.origins != nil {
		return more.origins[d].runs
	}
	return nil
}

// segment returns a run as users see it.
func (s *TCPStream) segment(d packet.Direction, r *run) Segment {
	c := s.conn()
	return Segment{d, r.off, uint64(r.size), reassemble.Origin{
		Time: r.time, Packet: r.packet, Seq: c.side[uint8(d)^c.client].seqAt(r.off), Ack: r.ack,
	}}
}

// Segments returns the segments that made up a direction so far, in the order of their bytes: every delivered byte is
// in one of them, as far as Limits.Origins allows. There are none without Config.Origins. The follower must not be fed
// meanwhile.
func (s *TCPStream) Segments(d packet.Direction) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		runs := s.originsOf(d)
		for i := range runs {
			if !yield(s.segment(d, &runs[i])) {
				return
			}
		}
	}
}

// SegmentsOf returns what one packet contributed to the stream, by its frame number: nothing, one segment, or several
// when other copies of some of its bytes counted. It looks at all segments of the stream; see Segments.
func (s *TCPStream) SegmentsOf(frame uint64) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for d := packet.ClientToServer; d <= packet.ServerToClient; d++ {
			runs := s.originsOf(d)
			for i := range runs {
				if runs[i].packet == frame && !yield(s.segment(d, &runs[i])) {
					return
				}
			}
		}
	}
}

// PacketAt returns the packet that carried the byte at an offset of a direction, with the byte's own sequence number. It
// reports false for bytes that were not delivered, and for those of which no origin is kept: see Segments.
func (s *TCPStream) PacketAt(d packet.Direction, off uint64) (reassemble.Origin, bool) {
	runs := s.originsOf(d)
	i, found := slices.BinarySearchFunc(runs, off, func(r run, off uint64) int { return cmp.Compare(r.off, off) })
	if !found {
		i--
	}
	if i < 0 || off-runs[i].off >= uint64(runs[i].size) {
		return reassemble.Origin{}, false
	}
	o := s.segment(d, &runs[i]).Origin
	o.Seq += uint32(off - runs[i].off)
	return o, true
}
