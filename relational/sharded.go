package relational

import (
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// Sharded feeds events to several streams at the same time, each on a goroutine of its own: events with the same key go to
// the same one. Each flow is what it is on one stream, as long as all of its events have the same key, and no limit of
// number is reached: those hold for each shard. Flows end in another order, and callbacks of different shards are called
// at the same time; Match.To and From say where in the stream a flow ended and began, and so give back one order.
//
// A Sharded is used by one goroutine. Its own goroutines run from the first event to Flush.
type Sharded[T any] struct {
	front  *Stream[T] // of one clock, and in one order
	key    func(ev T) string
	seed   maphash.Seed
	shards []*shard[T]
	wait   sync.WaitGroup
	runs   bool
}

// shard is one of the streams.
type shard[T any] struct {
	stream *Stream[T]
	next   *batch[T] // to be sent
	work   chan *batch[T]
	spare  chan *batch[T]
}

// batch is events that a shard takes together, the times they are taken at, and their numbers; and then it is clock.
type batch[T any] struct {
	evs     []T
	at      []int64
	numbers []uint64
	clock   int64
	begun   bool
	flush   bool
}

const (
	shardBatch = 4 * batchSize
	shardWaits = 4 // batches that a shard may be behind
)

// NewSharded returns n streams. types is called for each of them, and returns types of its own. A nil cfg is the default;
// Config.OnError is called by one goroutine at a time.
func NewSharded[T any](cfg *Config[T], n int, key func(ev T) string, types func(shard int) ([]AnyType[T], error)) (*Sharded[T], error) {
	if n < 1 {
		return nil, errors.New("relational: less than one shard")
	}
	front, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s := &Sharded[T]{front: front, key: key, seed: maphash.MakeSeed()}
	front.emit = s.emit
	one := Config[T]{Compat060: front.cfg.Compat060}
	if front.cfg.OnError != nil {
		var lock sync.Mutex
		one.OnError = func(err error) {
			lock.Lock()
			defer lock.Unlock()
			front.cfg.OnError(err)
		}
	}
	for i := range n {
		list, err := types(i)
		if err != nil {
			return nil, err
		}
		stream, err := New(&one, list...)
		if err != nil {
			return nil, err
		}
		s.shards = append(s.shards, &shard[T]{stream: stream, next: &batch[T]{}})
	}
	return s, nil
}

// Ingest takes the next event, as [Stream.Ingest] does, but that callbacks are called later.
func (s *Sharded[T]) Ingest(ev T) { s.front.Ingest(ev) }

// IngestAll takes events, one after the other.
func (s *Sharded[T]) IngestAll(evs []T) { s.front.IngestAll(evs) }

// Advance is [Stream.Advance].
func (s *Sharded[T]) Advance(t time.Time) {
	s.front.Advance(t)
	for _, x := range s.shards {
		s.send(x, false)
	}
}

// Flush is [Stream.Flush]. It returns when all shards have taken all events, and their goroutines have ended; types and
// their counters may be looked at from then on.
func (s *Sharded[T]) Flush() {
	s.front.Flush()
	for _, x := range s.shards {
		s.send(x, true)
		close(x.work)
	}
	s.wait.Wait()
	s.runs = false
}

// Stats returns the counters so far; panics are counted up to the latest Flush.
func (s *Sharded[T]) Stats() Stats {
	st := s.front.Stats()
	if !s.runs {
		for _, x := range s.shards {
			st.Panics += x.stream.stats.Panics
		}
	}
	return st
}

// emit gives an event to its shard.
func (s *Sharded[T]) emit(ev T, at int64) {
	x := s.shards[maphash.String(s.seed, s.key(ev))%uint64(len(s.shards))]
	b := x.next
	b.evs, b.at, b.numbers = append(b.evs, ev), append(b.at, at), append(b.numbers, s.front.number)
	if len(b.evs) == shardBatch {
		s.send(x, false)
	}
}

// send sends a shard what it is to do next.
func (s *Sharded[T]) send(x *shard[T], flush bool) {
	if !s.runs {
		s.runs = true
		for _, x := range s.shards {
			x.work, x.spare = make(chan *batch[T], shardWaits), make(chan *batch[T], shardWaits+1)
			s.wait.Go(x.run)
		}
	}
	b := x.next
	b.clock, b.begun, b.flush = s.front.now, s.front.begun, flush
	x.work <- b
	select {
	case x.next = <-x.spare:
	default:
		x.next = &batch[T]{}
	}
}

// run takes what is sent, until there is no more.
func (x *shard[T]) run() {
	s := x.stream
	for b := range x.work {
		for first := 0; first < len(b.evs); first += batchSize {
			end := min(first+batchSize, len(b.evs))
			for _, t := range s.types {
				t.foresee(b.evs[first:end])
			}
			for i := first; i < end; i++ {
				s.number = b.numbers[i]
				s.reach(b.at[i])
				s.take(b.evs[i], b.at[i])
			}
		}
		if b.begun {
			s.reach(b.clock)
		}
		if b.flush {
			s.Flush()
		}
		clear(b.evs)
		b.evs, b.at, b.numbers = b.evs[:0], b.at[:0], b.numbers[:0]
		select {
		case x.spare <- b:
		default:
		}
	}
}
