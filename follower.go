// Package tcpfollow follows TCP streams out of captured packets and calls back with what client and server said.
//
// A [TCPStreamFollower] is fed frames, packets or segments, in any of several forms; it finds the connections among
// them, tells client and server apart, puts the bytes of each direction in order and calls back: for data, for the
// end, and, when asked, for the opening, for gaps and for conflicting copies. No byte is lost, invented or reordered
// without a gap, a conflict or a counter that says so.
//
// Everything happens during the calls that feed it, on the packets' own clock: results depend on the input alone.
package tcpfollow

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"iter"
	"math"

	"github.com/google/gopacket"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// ErrReentrant is returned by, and described by the verdict of, a call from inside a callback.
var ErrReentrant = errors.New("follower called from inside one of its callbacks")

// StreamFunc is a callback for a stream.
type StreamFunc func(*TCPStream)

// TCPStreamFollower follows TCP streams. It is not safe for concurrent use.
//
// Per stream, callbacks come in this order: OnOpen, then data, gaps and conflicts as they are delivered, then one
// end, last. Data is never empty. Across streams they come in the order of the packets that caused them.
type TCPStreamFollower struct {
	cfg     Config
	data    StreamFunc
	end     StreamFunc
	decoder *packet.Decoder
	defrag  *packet.Defragmenter
	native  *reassemble.Native // the engine, if policies differ by receiver
	table   *flowtable.Table[packet.FlowKey, conn, connRest]
	streams handles
	seed    uint64

	clock     int64 // the latest packet time
	nextTick  int64 // when timers are looked at next
	due       []flowtable.Ref
	lingering lingerers
	nextID    uint64
	buffered  int  // bytes that wait, in all connections
	payload   int  // bytes accumulated, in all streams
	runs      int  // segments of which the origin is kept, in all streams
	history   int  // bytes of rings, in all streams
	keeps     bool // something of delivered bytes is kept
	scratch   []byte
	seen      *sightings // nil without Config.Duplicates
	diverts   bool       // segments go to divert
	front     *front     // nil unless it only decodes, for shards
	journal   *journal   // nil unless it is a shard
	stats     Stats

	frame   uint64 // being followed
	current *packet.Packet
	last    flowtable.Ref // see LastStream
	busy    bool          // inside a call
	closed  bool
	at      flowtable.Ref // the connection that the engine is called for
	chunk   Chunk         // valid while chunkOf's data callback runs
	chunkOf *TCPStream
	stops   []*TCPStream // were asked to stop, and may have more to do for it
	touched uint64       // keeps the reads of decode from being optimised away
	pkts    [batchSize]packet.Packet
	keys    [batchSize]keyed
	whole   packet.Packet // what fragments became
}

// batchSize is how many packets are decoded before they are followed.
const batchSize = 32

// How many records may lie in the processor's nearest cache, and how many slots of the table in one of its caches.
const (
	nearRecords = 1 << 8
	nearSlots   = 1 << 13
)

// New returns a follower that calls data when a stream has new payload and end when it is over; either may be nil.
func New(data, end StreamFunc, cfg *Config) (*TCPStreamFollower, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	full, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	decoder, err := packet.NewDecoder(&full.Decode)
	if err != nil {
		return nil, err
	}
	defrag, err := packet.NewDefragmenter(&full.Fragments)
	if err != nil {
		return nil, err
	}
	var native *reassemble.Native
	if full.OverlapFor != nil {
		native, _ = full.Engine.(*reassemble.Native)
	}
	var seen *sightings
	if full.Duplicates > 0 {
		seen = newSightings(full.Duplicates)
	}
	return &TCPStreamFollower{
		cfg: full, native: native, data: data, end: end, decoder: decoder, defrag: defrag,
		seen: seen, keeps: !full.Incremental || full.Origins || full.History > 0,
		table: flowtable.New[packet.FlowKey, conn, connRest](), clock: math.MinInt64, nextTick: math.MinInt64,
		lingering: newLingerers(full.Limits.Lingering),
		seed:      maphash.Bytes(maphash.MakeSeed(), nil) | 1,
		diverts:   full.CompatLibtins,
	}, nil
}

// Feed follows one packet. nil and packets without TCP are ignored, and the verdict says so. The packet is decoded
// anew from its Data, by the type of its first layer; it is never changed.
func (f *TCPStreamFollower) Feed(pdu gopacket.Packet) Verdict {
	if pdu == nil {
		return NotTCP
	}
	if f.busy || f.closed {
		return Reentrant
	}
	fr, ok := f.frameOf(pdu)
	if !ok {
		f.stats.Frames++
		f.frame, f.current, f.last = f.stats.Frames, nil, 0
		return f.count(NotTCP)
	}
	return f.FeedFrame(fr)
}

// FeedAll feeds every packet of a sequence. Packets that are nil are skipped.
func (f *TCPStreamFollower) FeedAll(pdus iter.Seq[gopacket.Packet]) {
	for p := range pdus {
		f.Feed(p)
	}
}

// FeedFrame follows one frame. A Number of 0 is replaced by the count of frames fed. It does not allocate, but for a
// new stream.
func (f *TCPStreamFollower) FeedFrame(fr packet.Frame) Verdict {
	if f.busy || f.closed {
		return Reentrant
	}
	f.busy = true
	defer f.leave()
	p := &f.pkts[0]
	f.decoder.Decode(&fr, p)
	v := f.packet(&fr, p, nil)
	f.settleOthers()
	return v
}

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
		for i := range frames {
			k := &f.keys[i]
			if !f.pkts[i].IsTCP() {
				k = nil
			}
			v := f.packet(&frames[i], &f.pkts[i], k)
			if len(f.stops) > 0 {
				f.settleOthers()
			}
			if verdicts != nil {
				verdicts[start+i] = v
			}
		}
	}
	if b.Clock != 0 {
		f.advance(b.Clock)
		f.settleOthers()
	}
}

// decode fills f.pkts and f.keys. When the table has outgrown the cache, it also reads the slots and then the records
// that the packets will need, so that the processor fetches them side by side instead of one after the other.
func (f *TCPStreamFollower) decode(frames []packet.Frame) {
	keys := f.keys[:len(frames)]
	for i := range frames {
		p := &f.pkts[i]
		f.decoder.Decode(&frames[i], p)
		if p.IsTCP() {
			f.keyTo(&keys[i], &p.Key)
		}
	}
	f.fetch(keys)
}

// fetch looks for the records of keys.
func (f *TCPStreamFollower) fetch(keys []keyed) {
	var touched uint64
	if f.table.Len() >= nearSlots {
		for i := range keys {
			touched += uint64(f.table.Touch(keys[i].hash))
		}
	}
	for i := range keys {
		keys[i].near = f.table.Near(keys[i].hash) // of an older packet if this one is not TCP, which does no harm
	}
	if f.table.Len() >= nearRecords {
		for i := range keys {
			if ref := keys[i].near; ref != 0 {
				c := f.table.At(ref)
				touched += uint64(c.packets) + c.side[1].Next
			}
		}
	}
	if f.table.Len() >= nearSlots {
		for i := range keys {
			if st := f.streams.at(keys[i].near); st != nil {
				touched += uint64(st.ref)
			}
		}
	}
	f.touched += touched
}

// FeedSegment follows one segment that the caller decoded: key is its 5-tuple as sent. A Number of 0 is replaced by
// the count of frames fed. It does not allocate, but for a new stream.
func (f *TCPStreamFollower) FeedSegment(key packet.FlowKey, seg packet.TCP) Verdict {
	if f.busy || f.closed {
		return Reentrant
	}
	f.busy = true
	defer f.leave()
	f.stats.Frames++
	if seg.Number == 0 {
		seg.Number = f.stats.Frames
	}
	f.frame, f.current, f.last = seg.Number, nil, 0
	f.advance(seg.Time)
	k := &f.keys[0]
	f.keyTo(k, &key)
	k.near = 0
	v := f.count(f.segment(k, &seg))
	f.settleOthers()
	return v
}

// Follow feeds all of src and closes the follower. It returns the first error of src but io.EOF, or that of ctx;
// what came before it has been followed.
func (f *TCPStreamFollower) Follow(ctx context.Context, src packet.Source) error {
	var b packet.Batch
	var err error
	for err == nil {
		if err = ctx.Err(); err == nil {
			if err = src.ReadBatch(&b); err == nil {
				f.FeedBatch(&b, nil)
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Close ends every open stream, in the order in which they were opened, after delivering what is held of it. A closed
// follower takes nothing more. Closing again does nothing.
func (f *TCPStreamFollower) Close() error {
	if f.busy {
		return ErrReentrant
	}
	f.busy = true
	defer f.leave()
	f.closed = true
	f.endAll()
	return nil
}

// Frame returns the number of the frame that is being followed, or was last.
func (f *TCPStreamFollower) Frame() uint64 { return f.frame }

// Packet returns the decoded packet that is being followed, or was last: a datagram's, when it came in fragments. It is
// nil after FeedSegment. Borrowed: valid until the follower is fed again.
func (f *TCPStreamFollower) Packet() *packet.Packet { return f.current }

// LastStream returns the ID of the stream that the packet fed last belongs to, if it belongs to one.
func (f *TCPStreamFollower) LastStream() (id uint64, ok bool) {
	if !f.table.Live(f.last) {
		return 0, false
	}
	return f.table.Rest(f.last).id, true
}

// Stats returns the counters so far.
func (f *TCPStreamFollower) Stats() Stats { return f.stats }

// DecoderStats returns the counters of the packet decoder.
func (f *TCPStreamFollower) DecoderStats() packet.DecoderStats { return f.decoder.Stats() }

// DefragmenterStats returns the counters of the IP defragmenter.
func (f *TCPStreamFollower) DefragmenterStats() packet.DefragmenterStats { return f.defrag.Stats() }

// leave makes the follower callable again, also after a callback that panicked.
func (f *TCPStreamFollower) leave() {
	f.busy = false
	f.chunk, f.chunkOf = Chunk{}, nil
}

func (f *TCPStreamFollower) count(v Verdict) Verdict {
	f.stats.Verdicts[v]++
	return v
}

// packet follows one decoded packet, of frame fr. k is its key, if it is TCP and the key was made already.
func (f *TCPStreamFollower) packet(fr *packet.Frame, p *packet.Packet, k *keyed) Verdict {
	f.stats.Frames++
	if p.Number == 0 {
		p.Number, p.TCP.Number = f.stats.Frames, f.stats.Frames
	}
	f.frame, f.last = p.Number, 0
	if p.Time > f.clock {
		f.advance(p.Time)
	}
	for p.Status == packet.Fragment { // more than once: a datagram may hold a fragment of a tunnelled one
		datagram, ok := f.defrag.Add(fr, p)
		if !ok {
			return f.count(Fragment)
		}
		fr, p = datagram, &f.whole
		f.decoder.DecodeDatagram(fr, p)
		p.Number, p.TCP.Number = f.frame, f.frame
	}
	f.current = p
	switch {
	case p.IsTCP():
		if p.Checksum == packet.ChecksumBad {
			return f.count(BadChecksum)
		}
		if k == nil {
			k = &f.keys[0]
			f.keyTo(k, &p.Key)
			k.near = 0
		}
		if f.seen != nil && f.seen.again(fr, p, k) {
			f.capturedTwice(k)
			return f.count(CapturedTwice)
		}
		return f.count(f.segment(k, &p.TCP))
	case p.Status == packet.OK, p.Status == packet.NotIP:
		return f.count(NotTCP)
	}
	if f.cfg.OnError != nil {
		f.cfg.OnError(p.Err())
	}
	return f.count(Undecodable)
}

// keyed is the key of a connection, with what finds it in the table.
type keyed struct {
	key  packet.FlowKey
	hash uint64
	near flowtable.Ref // a record that may be its own, 0 if not looked for
	from uint8         // the side that sends
}

func (f *TCPStreamFollower) keyTo(k *keyed, key *packet.FlowKey) {
	k.from = 0
	if key.CanonicalTo(&k.key) {
		k.from = 1
	}
	k.hash = k.key.Hash(f.seed)
}

func (f *TCPStreamFollower) lookup(k *keyed) flowtable.Ref {
	if k.near != 0 {
		if key := f.table.Peek(k.near); key != nil && key.Equal(&k.key) {
			return k.near
		}
	}
	return f.table.Lookup(k.hash, &k.key)
}

// segment follows one segment, whose time the clock has reached.
func (f *TCPStreamFollower) segment(k *keyed, seg *packet.TCP) Verdict {
	if f.diverts {
		return f.divert(k, seg)
	}
	ref := f.lookup(k)
	var c *conn
	opened := false
	if ref != 0 {
		c = f.table.At(ref)
	}
	if ref == 0 || c.flags&(connEnded|connSilent) != 0 {
		if ref != 0 && c.has(connEnded) {
			if !f.reopens(c, k.from, seg) {
				if f.goesOn(ref, c, k.from, seg) {
					return f.resume(ref, k, seg)
				}
				f.last = ref
				return f.late(c, k.from, seg)
			}
			f.forget(ref)
			ref = 0
		}
		if ref, opened = f.unknown(ref, k, seg); !opened {
			return NoStream
		}
		c = f.table.At(ref)
	}
	f.last = ref
	c.last = max(c.last, seg.Time)
	if c.packets++; c.packets == 0 {
		c.packets-- // saturate
	}
	if v, ok := f.inOrder(ref, c, k.from, seg); ok {
		return v
	}
	v := f.follow(ref, c, k.from, seg)
	if opened && v == Control {
		v = Opened
	}
	return v
}

var _ reassemble.Sink = (*sink)(nil)
