package tcpfollow

import (
	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// batchSize is how many packets are decoded before they are followed.
const batchSize = 32

// nearSlots is how many records a table holds that lies in one of the processor's caches.
const nearSlots = 1 << 13

// FeedBatch follows the frames of a batch, faster than one by one and with the same result, and then lets the time pass
// to its Clock. When verdicts is not nil it must be as long as the batch, and is filled.
func (f *TCPStreamFollower) FeedBatch(b *packet.Batch, verdicts []Verdict) {
	if f.busy || f.closed {
		for i := range verdicts {
			verdicts[i] = Reentrant
		}
		return
	}
	f.busy = true
	defer f.leave()
	for start := 0; start < len(b.Frames); start += batchSize {
		frames := b.Frames[start:min(start+batchSize, len(b.Frames))]
		f.decode(frames)
		f.fetch(len(frames))
		if verdicts == nil {
			f.followBatch(frames, nil)
		} else {
			f.followBatch(frames, verdicts[start:start+len(frames)])
		}
	}
	f.show()
	if b.Clock != 0 {
		f.advance(b.Clock)
		f.settleOthers()
	}
}

// decode fills f.batch, and f.pkts and f.conns where frames are not plain.
func (f *TCPStreamFollower) decode(frames []packet.Frame) {
	f.frames = frames
	batch := f.batch[:len(frames)]
	for i := 0; i < len(frames); i++ {
		if f.seen == nil { // else digests are made of whole packets
			if i += f.decoder.Plain(frames[i:], f.seed, batch[i:]); i == len(frames) {
				return
			}
		}
		p := &f.pkts[i]
		f.decoder.Decode(&frames[i], p)
		batch[i] = packet.Plain{}
		if p.IsTCP() {
			f.conns[i].Set(&p.Key, f.seed)
			batch[i].Hash = f.conns[i].Hash
		}
	}
}

// fetch reads what following n packets of f.batch will read: first the slots of the table, then the records, then the
// handles, each for all packets, so that the processor fetches them side by side instead of one after the other. It does
// nothing, and nothing needs it, while all that lies in the cache.
func (f *TCPStreamFollower) fetch(n int) {
	t, batch := f.table, f.batch[:n]
	if t.Len() < nearSlots {
		return
	}
	var refs [batchSize]flowtable.Ref
	var touched uint64
	for i := range batch {
		touched += uint64(t.Touch(batch[i].Hash))
	}
	for i := range batch {
		if ref := t.Near(batch[i].Hash); ref != 0 {
			c := t.At(ref)
			touched += uint64(c.packets) + c.side[1].Next
			refs[i] = ref
		}
	}
	for _, ref := range refs[:n] {
		if st := f.streams.at(ref); st != nil {
			touched += uint64(st.ref)
		}
	}
	f.touched += touched
}

// followBatch follows the frames in f.batch. verdicts is nil or as long.
func (f *TCPStreamFollower) followBatch(frames []packet.Frame, verdicts []Verdict) {
	for i := range frames {
		v := f.ready(i, &frames[i], &f.batch[i%batchSize])
		if len(f.stops) > 0 {
			f.settleOthers()
		}
		if i < len(verdicts) {
			verdicts[i] = v
		}
	}
}

// ready follows frame i of a batch.
func (f *TCPStreamFollower) ready(i int, fr *packet.Frame, r *packet.Plain) Verdict {
	if !r.IsPlain() {
		k := &f.conns[i]
		if !f.pkts[i].IsTCP() {
			k = nil
		}
		return f.packet(fr, &f.pkts[i], k)
	}
	f.stats.Frames++
	f.frame = fr.Number
	if fr.Number == 0 {
		f.frame = f.stats.Frames
	}
	f.plain, f.last = i+1, 0
	f.advance(fr.Time)
	if r.Checksum == packet.ChecksumBad {
		return f.count(BadChecksum)
	}
	if ref := f.table.Near(r.Hash); ref != 0 && !f.diverts {
		if key, c := f.table.Entry(ref); r.Is(key) {
			flags, seq, ack := r.Segment(fr)
			switch {
			case c.awaits(r.From, flags, seq, ack):
				o := reassemble.Origin{Time: fr.Time, Packet: f.frame, Seq: seq, Ack: ack}
				return f.count(f.next(ref, c, r.From, flags, r.Payload(fr), o))
			case c.has(connEnded) && c.end == EndFIN && r.Empty() && !flags.Has(packet.SYN): // the last acknowledgement
				f.last = ref
				return f.count(AfterEnd)
			}
		}
	}
	k := &f.conns[i]
	r.Conn(k)
	r.TCP(fr, &f.seg)
	f.seg.Number = f.frame
	return f.count(f.segment(k, &f.seg))
}

// show decodes the frame that is being followed to its end, if so far only its segment was.
func (f *TCPStreamFollower) show() {
	if f.plain == 0 {
		return
	}
	if f.again == nil {
		f.again, _ = packet.NewDecoder(nil)
	}
	f.again.Decode(&f.frames[f.plain-1], &f.shown)
	f.shown.Number, f.shown.TCP.Number = f.frame, f.frame
	f.shown.Checksum = f.batch[f.plain-1].Checksum
	f.current, f.plain = &f.shown, 0
}
