package tcpfollow

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"

	"github.com/tcpfollow/tcpfollow/packet"
)

// front is the part of a sharded follower that reads: it decodes, defragments, numbers and hashes, and hands segments
// and the steps of the clock to the shards.
type front struct {
	follower *TCPStreamFollower // follows nothing itself
	rounds   int                // frames in a round
	shards   []chan *round
	free     chan *round
	stop     <-chan struct{}
	now      *round // being filled
	late     *fault // of the goroutine
}

// round is what shards are given at a time: a run of frames. All shards get every round, which tells them the time.
type round struct {
	shards [][]item
	steps  []step
	bytes  []byte // that items refer to
	frames int
	fed    uint64 // frames so far
	frame  uint64 // number of the last
	clock  int64
	end    bool // the last round,
	close  bool // after which streams end,
	err    error
	fault  *fault // or which was cut short
	left   atomic.Int32
}

// item is a segment for a shard.
type item struct {
	key   packet.ConnKey
	seg   packet.TCP
	fed   uint64
	frame uint64
	clock int64
	twice bool // the frame was captured before
}

// step is a frame at which timers are looked at.
type step struct {
	fed, frame uint64
	clock      int64
}

// fault is why a goroutine ended early.
type fault struct {
	value any  // that it panicked with
	exit  bool // runtime.Goexit
}

// roundFrames is the most frames in a round. It takes fewer when a shard has nothing to do.
const roundFrames = 512

func newFront(cfg *Config, n, frames int, stop <-chan struct{}) (*front, error) {
	f, err := New(nil, nil, cfg)
	if err != nil {
		return nil, err
	}
	const waiting = 4 // rounds for each shard
	r := &front{follower: f, rounds: frames, free: make(chan *round, waiting+2), stop: stop}
	f.front, f.diverts = r, true
	for range cap(r.free) {
		r.free <- &round{shards: make([][]item, n)}
	}
	for range n {
		r.shards = append(r.shards, make(chan *round, waiting))
	}
	return r, nil
}

// run reads src to its end.
func (r *front) run(ctx context.Context, src packet.Source) {
	done := false
	defer func() {
		if done {
			return
		}
		v := recover()
		if r.late = (&fault{v, v == nil}); r.begin() {
			r.now.end, r.now.fault = true, r.late
			r.send()
		}
	}()
	var b packet.Batch
	var err error
	for err == nil {
		if err = ctx.Err(); err == nil {
			if err = src.ReadBatch(&b); err == nil && !r.feed(&b) {
				done = true
				return
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if done = true; r.begin() {
		r.now.end, r.now.close, r.now.err = true, true, err
		r.send()
	}
}

// begin makes sure that there is a round to fill. It reports false when the shards want no more.
func (r *front) begin() bool {
	if r.now != nil {
		return true
	}
	select {
	case r.now = <-r.free:
		return true
	case <-r.stop:
		return false
	}
}

// feed adds frames to rounds, and sends those that are long enough, or at once when a shard has nothing else to do.
func (r *front) feed(b *packet.Batch) bool {
	for frames := b.Frames; len(frames) > 0; {
		if !r.begin() {
			return false
		}
		n := min(len(frames), r.rounds-r.now.frames)
		r.follower.FeedBatch(&packet.Batch{Frames: frames[:n]}, nil)
		r.now.frames += n
		frames = frames[n:]
		if (r.now.frames == r.rounds || r.idle()) && !r.send() {
			return false
		}
	}
	return b.Clock == 0 || r.pass(b.Clock)
}

// pass lets time pass without frames: in a round of its own, as steps of a round come before its last frame.
func (r *front) pass(clock int64) bool {
	if r.now != nil && r.now.frames > 0 && !r.send() || !r.begin() {
		return false
	}
	r.follower.FeedBatch(&packet.Batch{Clock: clock}, nil)
	return len(r.now.steps) == 0 || r.send()
}

// idle reports whether a shard has nothing to do.
func (r *front) idle() bool {
	return slices.ContainsFunc(r.shards, func(c chan *round) bool { return len(c) == 0 })
}

// divert does with a segment what a follower of an unusual kind does. The verdict on one that is handed to a shard is the
// shard's.
func (f *TCPStreamFollower) divert(k *packet.ConnKey, seg *packet.TCP) Verdict {
	if f.front == nil {
		return f.compat(k, seg)
	}
	f.front.add(k, seg, false)
	return Control
}

// add hands over a segment, or word of one that was captured twice.
func (r *front) add(k *packet.ConnKey, seg *packet.TCP, twice bool) {
	f := r.follower
	to := &r.now.shards[f.lingering.partition(&k.Key)%uint64(len(r.shards))]
	*to = append(*to, item{key: *k, fed: f.stats.Frames, frame: f.frame, clock: f.clock, twice: twice})
	if twice {
		return
	}
	it := &(*to)[len(*to)-1]
	it.seg = *seg
	it.seg.Payload, it.seg.Options = r.now.copy(seg.Payload), r.now.copy(seg.Options)
}

// step tells the shards that it is time to look at timers.
func (r *front) step() {
	f := r.follower
	r.now.steps = append(r.now.steps, step{f.stats.Frames, f.frame, f.clock})
}

// copy returns a copy of b that lasts as long as the round.
func (r *round) copy(b []byte) []byte {
	n := len(r.bytes)
	r.bytes = append(r.bytes, b...)
	return r.bytes[n:len(r.bytes):len(r.bytes)]
}

// send gives the round to the shards. It reports false when they want no more.
func (r *front) send() bool {
	now := r.now
	r.now = nil
	now.fed, now.frame, now.clock = r.follower.stats.Frames, r.follower.frame, r.follower.clock
	now.left.Store(int32(len(r.shards)))
	for _, shard := range r.shards {
		select {
		case shard <- now:
		case <-r.stop:
			return false
		}
	}
	return true
}

// release takes a round back from one shard, and empties it after the last.
func (r *front) release(done *round) {
	if done.left.Add(-1) > 0 {
		return
	}
	for i := range done.shards {
		clear(done.shards[i])
		done.shards[i] = done.shards[i][:0]
	}
	done.steps, done.bytes, done.frames = done.steps[:0], done.bytes[:0], 0
	r.free <- done
}

// totals returns the counters of what is no shard's.
func (r *front) totals() Totals {
	f := r.follower
	stats := f.stats
	stats.Verdicts[Control] = 0 // segments that were handed over
	return Totals{stats, f.DecoderStats(), f.DefragmenterStats()}
}
