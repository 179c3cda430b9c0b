package relational

import (
	"errors"
	"fmt"
	"time"
)

// Config says how a [Stream] takes events. The zero value is the default.
type Config[T any] struct {
	// Time returns the time of an event. Without it there is no time but that of Advance.
	Time func(ev T) time.Time
	// Reorder holds events back for as long, in their own time, so that those that come late are put in order. 0 takes
	// them as they come. It needs Time.
	Reorder time.Duration
	// MaxReorder is the most events held back; the earliest goes on when there are more. Default 65,536.
	MaxReorder int
	// Compat060 does as relational_stream 0.6.0 does: a flow is offered the event that started it once more.
	Compat060 bool
	// OnError is told of flows whose code panicked. The flow is dropped, and the stream goes on.
	OnError func(error)
}

// Stats counts what a [Stream] took in.
type Stats struct {
	// Events is the number of events; Late that of those that came behind the time already reached, and were taken all
	// the same; LimitReorder that of events that went on early because of MaxReorder.
	Events, Late, LimitReorder uint64
	// Panics counts panics of flows.
	Panics uint64
}

// Stream feeds events to types.
type Stream[T any] struct {
	cfg    Config[T]
	types  []AnyType[T]
	now    int64 // the latest time, in nanoseconds since the Unix epoch
	begun  bool
	held   queue[T]
	stats  Stats
	number uint64               // events taken
	emit   func(ev T, at int64) // takes events in place of the types
}

// New returns a stream of events for types. A nil cfg is the default; the error is for a config that makes no sense, and
// for types that belong to a stream already.
func New[T any](cfg *Config[T], types ...AnyType[T]) (*Stream[T], error) {
	s := &Stream[T]{}
	if cfg != nil {
		s.cfg = *cfg
	}
	if s.cfg.Reorder < 0 || s.cfg.MaxReorder < 0 || s.cfg.Reorder > 0 && s.cfg.Time == nil {
		return nil, errors.New("relational: negative limit, or Reorder without Time")
	}
	if s.cfg.MaxReorder == 0 {
		s.cfg.MaxReorder = 1 << 16
	}
	for _, t := range types {
		if err := s.Add(t); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Add adds a type, to be fed from now on. It fails for one that belongs to a stream.
func (s *Stream[T]) Add(t AnyType[T]) error {
	if err := t.attach(s); err != nil {
		return err
	}
	s.types = append(s.types, t)
	return nil
}

// Stats returns the counters so far.
func (s *Stream[T]) Stats() Stats { return s.stats }

// Now returns the latest time that there was, zero before the first.
func (s *Stream[T]) Now() time.Time {
	if !s.begun {
		return time.Time{}
	}
	return time.Unix(0, s.now).UTC()
}

// Continue goes on where another stream was: it had taken so many events, and it was that time, zero for none. It is
// called before the first event.
func (s *Stream[T]) Continue(events uint64, now time.Time) {
	s.number, s.stats.Events = events, events
	if !now.IsZero() {
		s.now, s.begun = now.UnixNano(), true
	}
}

// Held returns how many events are held back, see Config.Reorder.
func (s *Stream[T]) Held() int { return s.held.len() }

// Ingest takes the next event. Callbacks are called before it returns, unless the event is held back.
func (s *Stream[T]) Ingest(ev T) {
	s.stats.Events++
	if s.cfg.Time == nil {
		s.take(ev, s.now)
		return
	}
	at := s.cfg.Time(ev).UnixNano()
	if s.begun && at < s.now {
		s.stats.Late++
		s.take(ev, s.now)
		return
	}
	if s.cfg.Reorder == 0 {
		s.take(ev, at)
		return
	}
	s.held.push(ev, at)
	for s.held.len() > s.cfg.MaxReorder {
		s.stats.LimitReorder++
		s.take(s.held.pop())
	}
	s.release(s.held.latest - int64(s.cfg.Reorder))
}

// IngestAll takes events as Ingest does, one after the other. With very many open flows it takes less time.
func (s *Stream[T]) IngestAll(evs []T) {
	defer func() { // a callback may have panicked
		for _, t := range s.types {
			t.foresee(nil)
		}
	}()
	for len(evs) > 0 {
		batch := evs[:min(len(evs), batchSize)]
		evs = evs[len(batch):]
		if s.cfg.Reorder == 0 {
			for _, t := range s.types {
				t.foresee(batch)
			}
		}
		for _, ev := range batch {
			s.Ingest(ev)
		}
	}
}

// release takes the events that are held back up to a time.
func (s *Stream[T]) release(to int64) {
	for s.held.len() > 0 && s.held.earliest() <= to {
		s.take(s.held.pop())
	}
}

func (s *Stream[T]) take(ev T, at int64) {
	if s.cfg.Time != nil {
		s.reach(at)
	}
	if s.emit != nil {
		s.emit(ev, at)
	}
	for _, t := range s.types {
		t.ingest(ev, at)
	}
	for _, t := range s.types {
		t.settle()
	}
	s.number++
}

// reach moves the clock.
func (s *Stream[T]) reach(at int64) {
	if s.begun && at <= s.now {
		return
	}
	s.now, s.begun = at, true
	for _, t := range s.types {
		t.advance(at)
	}
}

// Advance says that it is t, though no event came: flows whose time is over end. A time that has passed does nothing. With
// Reorder, what may still come late is waited for.
func (s *Stream[T]) Advance(t time.Time) {
	at := t.UnixNano() - int64(s.cfg.Reorder)
	s.release(at)
	s.reach(at)
}

// Flush says that the input has ended: what is held back is taken, and every open flow ends.
func (s *Stream[T]) Flush() {
	for s.held.len() > 0 {
		s.take(s.held.pop())
	}
	for _, t := range s.types {
		t.flush()
	}
}

// failed reports a panic of a flow's code.
func (s *Stream[T]) failed(name string, cause any) {
	s.stats.Panics++
	if s.cfg.OnError != nil {
		s.cfg.OnError(fmt.Errorf("relational: a flow %q panicked: %v", name, cause))
	}
}
