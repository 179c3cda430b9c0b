// Package relational finds sequences of related events in a stream: a flow starts with one event, takes the next ones
// that belong to it, passing over all others, and is reported when it is complete.
//
// A flow is a type of the user's that says which event is next for it, and remembers what it needs to tell. A [Type]
// says how flows of that type are made, found, bounded and reported; a [Stream] feeds events to types. Events that no
// flow waits for cost a look-up: a keyed type finds the flows that an event concerns without asking the others.
//
// Nothing here starts a goroutine; a Stream and its types are used by one goroutine at a time.
package relational

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Flow is one match in the making.
type Flow[T any] interface {
	// Accept reports whether ev is the flow's next event, and if so records what the flow needs of it.
	Accept(ev T) bool
	// Complete reports whether the flow has all of its events. It is asked after an event was accepted.
	Complete() bool
}

// Waiter is a [Flow] that says by which key its next event is found; it is asked after each event that it accepted. ok is
// false when any event may be next: the flow is then offered all of them.
type Waiter interface {
	WaitsFor() (key string, ok bool)
}

// Aborter is a [Flow] that some events end: it is asked before Accept.
type Aborter[T any] interface {
	Abort(ev T) bool
}

// Expirer is a [Flow] that may be a match when its time is over: "this, and then not that". It is asked when the flow
// expires, or when the stream is flushed.
type Expirer interface {
	Expire() bool
}

// Reason says how a flow ended.
type Reason uint8

// The ways in which a flow ends.
const (
	Matched  Reason = iota // it is complete
	Expired                // its time was over: Within or MaxGap
	Dropped                // there were too many: MaxOpen, or an after-match policy
	Aborted                // an event ended it, see Aborter
	Panicked               // its code did, see Config.OnError
	Flushed                // the input ended
)

// String returns the reason in one word.
func (r Reason) String() string {
	names := [...]string{"matched", "expired", "dropped", "aborted", "panicked", "flushed"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// Match is a flow with its events, complete or on its way.
type Match[T any, F any] struct {
	Flow F
	// Events are those that the flow accepted; nil with TypeConfig.DropEvents. Owned by the match.
	Events []T
	// Start and End are the times of its first and of its latest event; zero without Config.Time.
	Start, End time.Time
	// Seq counts the flows of the type, from 0, in the order in which they started.
	Seq uint64
	// Reason says how it ended; it means nothing of one that is open.
	Reason Reason
}

// Policy says what happens when there are too many open flows.
type Policy uint8

// The policies.
const (
	DropOldest Policy = iota // the flow that started first makes room
	RejectNew                // no flow starts
)

// Skip says what a match means for the other open flows of its type and key.
type Skip uint8

// The after-match policies.
const (
	NoSkip    Skip = iota // nothing: each start is a flow
	PastLast              // a match ends all that started before it ended
	OnePerKey             // no flow starts while one with the key of the event is open
)

// TypeConfig says how flows of a type are found, bounded and reported. The zero value is the default.
type TypeConfig[T any, F any] struct {
	// Key is the join key of an event: it goes to the open flows with that key, and starts one with it. ok is false for
	// events that concern no flow of this type. Nil offers every event to every open flow. A flow has the key of its
	// first event, unless it is a Waiter.
	Key func(ev T) (key string, ok bool)
	// Keys is Key for events that are found by several keys; it calls add with each. One flow is offered an event once.
	Keys func(ev T, add func(key string))
	// Within is the most time from a flow's first event to its last, MaxGap that from one to the next. 0 is no limit.
	Within, MaxGap time.Duration
	// MaxOpen is the most open flows. Default 1,048,576.
	MaxOpen int
	// Policy says which of them makes room.
	Policy Policy
	// Skip is the after-match policy.
	Skip Skip
	// Keep is the most completed matches that Completed returns; the oldest make room. Default 65,536, or none with
	// OnMatch; negative for none.
	Keep int
	// DropEvents forgets the events of a flow: it keeps what it needs itself.
	DropEvents bool
	// OnMatch is called with each match, OnEnd with each flow that ended otherwise.
	OnMatch, OnEnd func(*Match[T, F])
}

// TypeStats counts what became of the flows of a type.
type TypeStats struct {
	// Started is the number of flows; Ended tells how they ended, by Reason.
	Started uint64
	Ended   [Flushed + 1]uint64
	// Rejected counts flows that did not start because of MaxOpen or OnePerKey, Forgotten matches that Keep let go of.
	Rejected, Forgotten uint64
}

// Type is a kind of flow. It belongs to one [Stream].
type Type[T any, F Flow[T]] struct {
	name      string
	newFlow   func() F
	cfg       TypeConfig[T, F]
	stream    *Stream[T]
	buckets   map[string]*bucket[T, F]
	anyKey    bucket[T, F] // flows that are offered every event
	byStart   lane[T, F]   // in the order in which they started
	byEnd     lane[T, F]   // in the order of their latest events; kept with MaxGap only
	spare     F            // was made, and refused the event that it was offered
	hasSpare  bool
	probe     instance[T, F] // in which it is offered one
	open      int
	seq       uint64
	completed []Match[T, F]
	offered   []*instance[T, F]
	marked    []*instance[T, F]
	keys      []string
	addKey    func(string)
	stats     TypeStats
}

// Define returns a type of flows that newFlow makes. A nil cfg is the default; the error is for negative limits.
func Define[T any, F Flow[T]](name string, newFlow func() F, cfg *TypeConfig[T, F]) (*Type[T, F], error) {
	t := &Type[T, F]{name: name, newFlow: newFlow, buckets: map[string]*bucket[T, F]{}}
	if cfg != nil {
		t.cfg = *cfg
	}
	if t.cfg.MaxOpen < 0 || t.cfg.Within < 0 || t.cfg.MaxGap < 0 {
		return nil, errors.New("relational: negative limit")
	}
	if t.cfg.Key != nil && t.cfg.Keys != nil {
		return nil, errors.New("relational: both Key and Keys")
	}
	if t.cfg.MaxOpen == 0 {
		t.cfg.MaxOpen = 1 << 20
	}
	if t.cfg.Keep == 0 && t.cfg.OnMatch == nil {
		t.cfg.Keep = 1 << 16
	}
	t.cfg.Keep = max(t.cfg.Keep, 0)
	t.byEnd.second = true
	t.addKey = func(key string) {
		if !slices.Contains(t.keys, key) {
			t.keys = append(t.keys, key)
		}
	}
	return t, nil
}

// Name returns the name given to Define.
func (t *Type[T, F]) Name() string { return t.name }

// Stats returns the counters so far.
func (t *Type[T, F]) Stats() TypeStats { return t.stats }

// Open returns how many flows are open.
func (t *Type[T, F]) Open() int { return t.open }

// Incomplete returns the open flows as they are now, in the order in which they started.
func (t *Type[T, F]) Incomplete() iter.Seq[*Match[T, F]] {
	var all []*Match[T, F]
	for i := t.byStart.first; i != nil; i = i.start.next {
		all = append(all, i.match())
	}
	return slices.Values(all)
}

// Completed returns the matches that are kept, in the order in which they were completed; those that one event completed
// in the order in which they started.
func (t *Type[T, F]) Completed() iter.Seq[*Match[T, F]] {
	return func(yield func(*Match[T, F]) bool) {
		for i := range t.completed {
			m := t.completed[i]
			m.Events = slices.Clone(m.Events)
			if !yield(&m) {
				return
			}
		}
	}
}

// AnyType is a [Type] of any kind of flow.
type AnyType[T any] interface {
	attach(s *Stream[T]) error
	ingest(ev T, at int64)
	settle(at int64)
	advance(at int64)
	flush()
}

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
	cfg   Config[T]
	types []AnyType[T]
	now   int64 // the latest time, in nanoseconds since the Unix epoch
	begun bool
	held  queue[T]
	stats Stats
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
	for _, t := range s.types {
		t.ingest(ev, at)
	}
	for _, t := range s.types {
		t.settle(at)
	}
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

// Advance says that it is t, though no event came: flows whose time is over end. A time that has passed does nothing.
func (s *Stream[T]) Advance(t time.Time) {
	s.release(t.UnixNano() - int64(s.cfg.Reorder))
	s.reach(t.UnixNano())
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
