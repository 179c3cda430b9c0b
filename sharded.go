package tcpfollow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Totals are the counters of a follower with shards.
type Totals struct {
	Stats        Stats
	Decoder      packet.DecoderStats
	Defragmenter packet.DefragmenterStats
}

// FollowSharded follows all of src like [TCPStreamFollower.Follow], on n goroutines beside the caller's and one that
// reads, and gives sink what the handlers emit in the order in which one follower alone would have come to it. It returns
// when all goroutines have ended, after the first error of src, sink or ctx.
//
// newHandlers is called once for each shard, one after the other. It returns the shard's data and end callback, either of
// which may be nil, and may set the other callbacks in cfg, a copy that is the shard's own. Handlers of different shards
// run side by side; those of a stream are called in one goroutine, by the rules of [TCPStreamFollower]. They may call the
// methods of the stream that they are called for, and emit, which must be given nothing that is borrowed. Within handlers
// a stream's ID tells it from others but does not count: sink is given the number that does, of the stream in whose
// callback a value was emitted. sink runs in the caller's goroutine.
//
// A panic in a handler comes out of FollowSharded, with its value, after sink has had all that came before. OnError and
// OverlapFor of cfg are called by other goroutines than the caller's.
//
// The outcome does not depend on n as long as no limit is reached that is one for all streams together: each shard has
// its share of those.
func FollowSharded[T any](
	ctx context.Context, src packet.Source, n int,
	newHandlers func(cfg *Config, emit func(T)) (data, end StreamFunc), sink func(stream uint64, v T) error, cfg *Config,
) (Totals, error) {
	return followSharded(ctx, src, n, newHandlers, sink, cfg, roundFrames)
}

func followSharded[T any](
	ctx context.Context, src packet.Source, n int,
	newHandlers func(cfg *Config, emit func(T)) (data, end StreamFunc), sink func(stream uint64, v T) error, cfg *Config, frames int,
) (Totals, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	switch {
	case n < 1:
		return Totals{}, fmt.Errorf("follow: %d shards", n)
	case cfg.Engine != nil:
		return Totals{}, errors.New("follow: an Engine belongs to one follower, and shards have one each")
	}
	stop := make(chan struct{})
	front, err := newFront(cfg, n, frames, stop)
	if err != nil {
		return Totals{}, err
	}
	q := &sequencer[T]{sink: sink, numbers: map[uint64]uint64{}}
	for i := range n {
		s, err := newShard(front, i, newHandlers, *cfg)
		if err != nil {
			return Totals{}, err
		}
		q.shards = append(q.shards, s)
	}
	var running sync.WaitGroup
	finish := func() { close(stop); running.Wait() }
	defer func() {
		if finish != nil { // sink, or a handler, panicked
			finish()
		}
	}()
	running.Go(func() { front.run(ctx, src) })
	for _, s := range q.shards {
		running.Go(s.run)
	}
	err = q.run()
	finish()
	finish = nil
	if err != nil && front.late != nil {
		return Totals{}, front.late.raise("source")
	}
	totals := front.totals()
	for _, s := range q.shards {
		totals.Stats.add(&s.follower.stats)
	}
	return totals, errors.Join(err)
}

// shard follows the connections that are its part.
type shard[T any] struct {
	follower *TCPStreamFollower
	front    *front
	index    int
	journal  *journal
	values   []T
	out      chan *output[T]
	spare    chan *output[T]
}

// output is what came of a round in one shard.
type output[T any] struct {
	events []event
	values []T    // of the events that were emitted
	fault  *fault // of the last event, if that failed
	round  outcome
}

// outcome is what a round tells the sequencer.
type outcome struct {
	end   bool
	err   error
	fault *fault
}

func newShard[T any](front *front, index int, newHandlers func(*Config, func(T)) (data, end StreamFunc), cfg Config) (*shard[T], error) {
	waiting := cap(front.free)
	s := &shard[T]{
		front: front, index: index, journal: &journal{}, out: make(chan *output[T], waiting), spare: make(chan *output[T], waiting),
	}
	data, end := newHandlers(&cfg, func(v T) {
		s.journal.note(emitted, s.journal.stream)
		s.values = append(s.values, v)
	})
	s.journal.watch(&cfg)
	f, err := New(s.journal.watched(data), s.journal.watched(end), &cfg)
	if err != nil {
		return nil, err
	}
	f.seed, f.journal, f.seen = front.follower.seed, s.journal, nil
	l, n := &f.cfg.Limits, len(front.shards)
	for _, v := range []*int{&l.Connections, &l.TotalBuffered, &l.TotalPayload, &l.TotalHistory, &l.TotalOrigins} {
		*v = max(1, *v/n)
	}
	s.follower = f
	return s, nil
}

// watched notes whose callback is running.
func (j *journal) watched(f StreamFunc) StreamFunc {
	if f == nil {
		return nil
	}
	return func(s *TCPStream) {
		j.stream = s.ID()
		f(s)
	}
}

// watch does so for the callbacks of a config.
func (j *journal) watch(cfg *Config) {
	cfg.OnOpen = j.watched(cfg.OnOpen)
	if f := cfg.OnGap; f != nil {
		cfg.OnGap = func(s *TCPStream, g Gap) { j.stream = s.ID(); f(s, g) }
	}
	if f := cfg.OnConflict; f != nil {
		cfg.OnConflict = func(s *TCPStream, x Conflict) { j.stream = s.ID(); f(s, x) }
	}
	if f := cfg.OnUrgent; f != nil {
		cfg.OnUrgent = func(s *TCPStream, u Urgent) { j.stream = s.ID(); f(s, u) }
	}
}

// run follows the shard's part of all rounds.
func (s *shard[T]) run() {
	for {
		select {
		case r := <-s.front.shards[s.index]:
			if !s.round(r) {
				return
			}
		case <-s.front.stop:
			return
		}
	}
}

// round follows one round. It reports false when it was the last.
func (s *shard[T]) round(r *round) (more bool) {
	out := s.output()
	out.round = outcome{r.end, r.err, r.fault}
	s.journal.events, s.values = out.events[:0], out.values[:0]
	done := false
	defer func() {
		if !done {
			v := recover()
			s.journal.note(failed, s.journal.stream)
			out.fault = &fault{v, v == nil}
			more = false
		}
		out.events, out.values = s.journal.events, s.values
		s.front.release(r)
		select {
		case s.out <- out:
		case <-s.front.stop:
		}
	}()
	s.follow(r)
	done = true
	return !r.end
}

// output returns an empty output.
func (s *shard[T]) output() *output[T] {
	select {
	case o := <-s.spare:
		clear(o.values)
		return o
	default:
		return &output[T]{}
	}
}

func (s *shard[T]) follow(r *round) {
	f := s.follower
	f.busy = true
	items, steps := r.shards[s.index], r.steps
	for len(items) > 0 {
		n := min(len(items), batchSize)
		for i := range n {
			f.batch[i].Hash = items[i].key.Hash
		}
		f.fetch(n)
		for i := range n {
			for len(steps) > 0 && steps[0].fed <= items[i].fed {
				s.step(&steps[0])
				steps = steps[1:]
			}
			s.item(&items[i])
		}
		items = items[n:]
	}
	for i := range steps {
		s.step(&steps[i])
	}
	f.frame, f.clock = r.frame, r.clock
	s.journal.place = place{fed: r.fed, phase: phaseClose}
	if r.close {
		f.closed = true
		f.endAll()
	}
}

// step looks at timers.
func (s *shard[T]) step(st *step) {
	f := s.follower
	f.frame, f.clock = st.frame, st.clock
	s.journal.place = place{fed: st.fed, phase: phaseClock}
	f.due = f.table.Advance(st.clock, f.due[:0])
	if len(f.due) > 0 {
		f.expire(st.clock)
	}
	s.settle(st.fed)
}

// item follows a segment.
func (s *shard[T]) item(it *item) {
	f := s.follower
	f.frame, f.clock, f.last = it.frame, it.clock, 0
	s.journal.place = place{fed: it.fed, phase: phasePacket}
	if it.twice {
		f.capturedTwice(&it.key)
		return
	}
	f.count(f.segment(&it.key, &it.seg))
	s.settle(it.fed)
}

func (s *shard[T]) settle(fed uint64) {
	if len(s.follower.stops) > 0 {
		s.journal.place = place{fed: fed, phase: phaseStops}
		s.follower.settleOthers()
	}
}

// sequencer puts what shards emit in order, and numbers their streams.
type sequencer[T any] struct {
	shards  []*shard[T]
	sink    func(uint64, T) error
	numbers map[uint64]uint64 // of open streams, by what they are called in the shards
	opened  uint64
}

// run gives the sink everything. It panics when a handler did, or the source.
func (q *sequencer[T]) run() error {
	outs := make([]*output[T], len(q.shards))
	for {
		for i, s := range q.shards {
			outs[i] = <-s.out
		}
		if err := q.merge(outs); err != nil {
			return err
		}
		round := outs[0].round
		for i, s := range q.shards {
			select {
			case s.spare <- outs[i]:
			default:
			}
		}
		switch {
		case round.fault != nil:
			return round.fault.raise("source")
		case round.end:
			return round.err
		}
	}
}

// merge gives the sink what came of one round.
func (q *sequencer[T]) merge(outs []*output[T]) error {
	type cursor struct {
		*output[T]
		event, value int
	}
	at := make([]cursor, 0, len(outs))
	for _, o := range outs {
		if len(o.events) > 0 {
			at = append(at, cursor{output: o})
		}
	}
	for len(at) > 0 {
		first := 0
		for i := 1; i < len(at); i++ {
			if at[i].events[at[i].event].place.compare(&at[first].events[at[first].event].place) < 0 {
				first = i
			}
		}
		c := &at[first]
		switch e := &c.events[c.event]; e.kind {
		case openedStream:
			q.numbers[e.stream] = q.opened
			q.opened++
		case closedStream:
			delete(q.numbers, e.stream)
		case emitted:
			if err := q.sink(q.numbers[e.stream], c.values[c.value]); err != nil {
				return err
			}
			c.value++
		case failed:
			return c.fault.raise("handler")
		}
		if c.event++; c.event == len(c.events) {
			at[first] = at[len(at)-1]
			at = at[:len(at)-1]
		}
	}
	return nil
}

// raise panics in the caller's goroutine, as another one did.
func (f *fault) raise(what string) error {
	if f.exit {
		return fmt.Errorf("follow: a %s ended its goroutine", what)
	}
	panic(f.value)
}
