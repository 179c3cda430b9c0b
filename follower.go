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
	stops   []*TCPStream   // were asked to stop, and may have more to do for it
	touched uint64         // keeps reads ahead from being optimised away
	frames  []packet.Frame // of the batch
	batch   [batchSize]packet.Plain
	pkts    [batchSize]packet.Packet  // of frames that are not plain,
	conns   [batchSize]packet.ConnKey // and their connections
	plain   int                       // which frame of the batch is being followed, plus 1, if it is plain and was not decoded to its end
	seg     packet.TCP                // of a plain frame
	again   *packet.Decoder           // for those that the user asks for
	shown   packet.Packet             // that again decoded
	whole   packet.Packet             // what fragments became
}

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
		f.frame, f.current, f.plain, f.last = f.stats.Frames, nil, 0, 0
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
	f.frame, f.current, f.plain, f.last = seg.Number, nil, 0, 0
	f.advance(seg.Time)
	k := &f.conns[0]
	k.Set(&key, f.seed)
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
func (f *TCPStreamFollower) Packet() *packet.Packet {
	f.show()
	return f.current
}

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

// packet follows one decoded packet, of frame fr. k is its connection, if it is TCP and that was made already.
func (f *TCPStreamFollower) packet(fr *packet.Frame, p *packet.Packet, k *packet.ConnKey) Verdict {
	f.stats.Frames++
	if p.Number == 0 {
		p.Number, p.TCP.Number = f.stats.Frames, f.stats.Frames
	}
	f.frame, f.current, f.plain, f.last = p.Number, p, 0, 0
	f.advance(p.Time)
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
			k = &f.conns[0]
			k.Set(&p.Key, f.seed)
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

// lookup returns the record of a connection, 0 if there is none.
func (f *TCPStreamFollower) lookup(k *packet.ConnKey) flowtable.Ref {
	ref := f.table.Near(k.Hash)
	if ref != 0 && !f.table.Key(ref).Equal(&k.Key) {
		return f.table.Lookup(k.Hash, &k.Key)
	}
	return ref
}

// segment follows one segment, whose time the clock has reached.
func (f *TCPStreamFollower) segment(k *packet.ConnKey, seg *packet.TCP) Verdict {
	if f.diverts {
		return f.divert(k, seg)
	}
	ref := f.lookup(k)
	if ref == 0 {
		return f.first(0, k, seg)
	}
	c := f.table.At(ref)
	switch {
	case c.flags&(connEnded|connSilent) == 0:
		if seg.Missing == 0 && c.awaits(k.From, seg.Flags, seg.Seq, seg.Ack) {
			return f.next(ref, c, k.From, seg.Flags, seg.Payload, reassemble.Origin{Time: seg.Time, Packet: seg.Number, Seq: seg.Seq, Ack: seg.Ack})
		}
		return f.more(ref, c, k.From, seg)
	case c.has(connEnded):
		if !f.reopens(c, k.From, seg) {
			if f.goesOn(ref, c, k.From, seg) {
				return f.resume(ref, k, seg)
			}
			f.last = ref
			return f.late(c, k.From, seg)
		}
		f.forget(ref)
		ref = 0
	}
	return f.first(ref, k, seg)
}

// more counts and follows a segment of a stream.
func (f *TCPStreamFollower) more(ref flowtable.Ref, c *conn, from uint8, seg *packet.TCP) Verdict {
	f.last = ref
	c.meet(seg.Time)
	return f.follow(ref, c, from, seg)
}

// first follows a segment of a connection that is no stream yet. ref is its record, if it has one.
func (f *TCPStreamFollower) first(ref flowtable.Ref, k *packet.ConnKey, seg *packet.TCP) Verdict {
	ref, opened := f.unknown(ref, k, seg)
	if !opened {
		return NoStream
	}
	v := f.more(ref, f.table.At(ref), k.From, seg)
	if v == Control {
		v = Opened
	}
	return v
}

var _ reassemble.Sink = (*sink)(nil)
