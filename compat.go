package tcpfollow

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// legacyRun is a segment that waits for an earlier one under Config.CompatLibtins.
type legacyRun struct {
	off    uint64
	data   []byte
	origin reassemble.Origin
}

// completeCompat refuses what CompatLibtins leaves no choice in.
func (c Config) completeCompat() error {
	if !c.CompatLibtins {
		return nil
	}
	if c.Engine != nil || c.Overlap != reassemble.OverlapBSD || c.OverlapFor != nil || c.Midstream != MidstreamFollow ||
		c.Urgent != UrgentInline || c.AnyReset || c.Incremental || c.Limits.Depth > 0 {
		return errors.New("config: CompatLibtins leaves no choice in Engine, Overlap, Midstream, Urgent, AnyReset, Incremental and Depth")
	}
	return nil
}

// compat follows one segment as libtins' TCPStreamFollower does: see Config.CompatLibtins.
func (f *TCPStreamFollower) compat(k *packet.ConnKey, seg *packet.TCP) Verdict {
	ref := f.lookup(k)
	if ref != 0 && f.table.At(ref).has(connEnded) { // by StopAll
		f.forget(ref)
		ref = 0
	}
	if ref == 0 {
		if seg.Flags&(packet.SYN|packet.ACK) != packet.SYN {
			return NoStream
		}
		return f.compatOpen(k, seg)
	}
	c := f.table.At(ref)
	f.last = ref
	c.meet(seg.Time)
	if !c.has(connEstablished) {
		// Its SYN+ACK may come from either side, and with no other flag.
		if seg.Flags == packet.SYN|packet.ACK {
			c.side[c.client].begin(seg.Ack)
			c.side[c.client^1].begin(seg.Seq + 1)
			c.set(connEstablished)
		}
		return Control
	}
	switch {
	case seg.Flags.Has(packet.RST):
		c.end = EndReset
	case seg.Flags.Has(packet.FIN):
		c.end = EndFIN
	}
	v := Control
	if len(seg.Payload) > 0 {
		v = f.compatData(ref, c, k.From, seg)
	}
	if c.end != EndNone {
		f.compatFinish(ref, c, c.end)
		f.forget(ref)
		return Closed
	}
	f.settleStopsIn(ref, c)
	return v
}

func (f *TCPStreamFollower) compatOpen(k *packet.ConnKey, seg *packet.TCP) Verdict {
	ref := f.add(k, seg)
	c := f.table.At(ref)
	f.last = ref
	c.packets = 1
	c.set(connAnnounced)
	f.identify(ref)
	f.stats.Streams++
	f.schedule(ref, c)
	if f.cfg.OnOpen != nil {
		f.cfg.OnOpen(f.stream(ref))
		f.settleStopsIn(ref, c)
	}
	return Opened
}

// compatData follows the payload of a segment. When it ends at the next byte or behind it, and starts there or before,
// the user hears of it, with all that it made follow, be that nothing.
func (f *TCPStreamFollower) compatData(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) Verdict {
	s := &c.side[from]
	off, next := s.unwrap(seg.Seq), int64(s.Next)
	data, origin := seg.Payload, reassemble.Origin{Time: seg.Time, Packet: seg.Number, Seq: seg.Seq, Ack: seg.Ack}
	if off+int64(len(data)) < next {
		return Duplicate
	}
	if off > next {
		return f.compatHold(ref, s, from, legacyRun{uint64(off), data, origin})
	}
	data = data[next-off:]
	origin.Seq += uint32(next - off)
	chunk := Chunk{c.direction(from), s.Next, data, origin}
	f.compatDeliver(ref, c, from, data, &origin)
	for more := f.extraOf(ref); more != nil && len(more.legacy[from]) > 0; {
		run := more.legacy[from][0]
		if run.off > s.Next {
			break
		}
		more.legacy[from] = more.legacy[from][1:]
		f.compatAccount(s, &run, -1)
		if run.off < s.Next { // what is left of it competes with what starts there
			old := s.Next - run.off
			if old < uint64(len(run.data)) {
				run.off, run.data = s.Next, run.data[old:]
				run.origin.Seq += uint32(old)
				f.compatInsert(more, s, from, run)
			}
			continue
		}
		if len(chunk.Bytes) == len(data) {
			f.scratch = append(f.scratch[:0], data...)
		}
		f.scratch = append(f.scratch, run.data...)
		chunk.Bytes = f.scratch
		f.compatDeliver(ref, c, from, run.data, &run.origin)
	}
	v := Data
	if len(chunk.Bytes) == 0 {
		v = Duplicate
	}
	if s.has(stopped) {
		return Unwanted
	}
	if f.data != nil {
		st := f.stream(ref)
		f.chunk, f.chunkOf = chunk, st
		f.data(st)
		f.chunk, f.chunkOf = Chunk{}, nil
	}
	return v
}

// compatDeliver advances a side by bytes that are next.
func (f *TCPStreamFollower) compatDeliver(ref flowtable.Ref, c *conn, from uint8, b []byte, o *reassemble.Origin) {
	s, d := &c.side[from], c.direction(from)
	off := s.Next
	s.Next += uint64(len(b))
	switch {
	case s.has(stopped):
		f.unwanted(ref, d, uint64(len(b)))
	case len(b) > 0:
		f.stats.Bytes += uint64(len(b))
		f.keep(ref, d, off, b, o)
	}
}

// compatHold keeps a segment that comes too early, as far as limits allow; libtins knows none.
func (f *TCPStreamFollower) compatHold(ref flowtable.Ref, s *side, from uint8, run legacyRun) Verdict {
	more := f.stream(ref).needs()
	size := len(run.data) + reassemble.Overhead
	switch l := &f.cfg.Limits; {
	case int(s.Buffered)+size > l.Buffered, len(more.legacy[from]) >= l.Segments:
		f.stats.LimitBuffered++
	case f.buffered+size > l.TotalBuffered:
		f.stats.LimitTotal++
	default:
		run.data = bytes.Clone(run.data)
		f.compatInsert(more, s, from, run)
		return Held
	}
	f.stats.Unwanted += uint64(len(run.data))
	return Unwanted
}

// compatInsert adds a run to those that wait. Of two that start at the same byte the longer one stays, or the new one.
func (f *TCPStreamFollower) compatInsert(more *extra, s *side, from uint8, run legacyRun) {
	runs := more.legacy[from]
	i, found := slices.BinarySearchFunc(runs, run.off, func(r legacyRun, off uint64) int { return cmp.Compare(r.off, off) })
	switch {
	case !found:
		more.legacy[from] = slices.Insert(runs, i, run)
		f.compatAccount(s, &run, 1)
	case len(runs[i].data) <= len(run.data):
		f.compatAccount(s, &runs[i], -1)
		f.compatAccount(s, &run, 1)
		runs[i] = run
	}
}

// compatAccount adds a run to what is buffered, or with sign -1 takes it away.
func (f *TCPStreamFollower) compatAccount(s *side, run *legacyRun, sign int) {
	n := sign * (len(run.data) + reassemble.Overhead)
	f.buffered += n
	s.Buffered = uint32(int(s.Buffered) + n)
}

// compatFinish ends a stream, and forgets what waits. The record is still to be removed.
func (f *TCPStreamFollower) compatFinish(ref flowtable.Ref, c *conn, reason EndReason) {
	if c.flags&(connEnding|connEnded) != 0 {
		return
	}
	c.set(connEnding)
	defer func() {
		f.buffered -= int(c.side[0].Buffered) + int(c.side[1].Buffered)
		c.set(connEnded)
		if f.journal != nil {
			f.journal.note(closedStream, f.table.Rest(ref).id)
		}
		f.detach(ref)
	}()
	c.end = reason
	f.stats.Ends[reason]++
	if f.end != nil {
		f.end(f.stream(ref))
	}
}
