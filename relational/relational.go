// Package relational finds sequences of related events in a stream: a flow starts with one event, takes the next ones
// that belong to it, passing over all others, and is reported when it is complete.
//
// A flow is a type of the user's that says which event is next for it, and remembers what it needs to tell. A [Type]
// says how flows of that type are made, found, bounded and reported; a [Stream] feeds events to types. Events that no
// flow waits for cost a look-up: a keyed type finds the flows that an event concerns without asking the others. A [Pattern]
// makes flows of steps: optional ones, repeated ones, such that must not come, in any order.
//
// Nothing here starts a goroutine; a Stream and its types are used by one goroutine at a time.
package relational

import (
	"errors"
	"iter"
	"reflect"
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

// Key is what events are found by: a value, in a space of values such as those of one field.
type Key struct {
	Space uint32
	Value string
}

// Waiter is a [Flow] that says by which keys its next event is found; it is asked after each event that it accepted.
// WaitsFor appends them to a list; with none, any event may be next, and the flow is offered all of them.
type Waiter interface {
	WaitsFor(keys []Key) []Key
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
	// From and To are the numbers of its first and its latest event, in the order in which the stream took them, from 0.
	From, To uint64
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

// Skip says what a match, or a start, means for other flows of the same type and partition.
type Skip uint8

// The after-match policies.
const (
	NoSkip    Skip = iota // nothing: each start is a flow
	PastLast              // a match ends all others that are open
	OnePerKey             // no flow starts while one is open
	Newest                // a flow that starts ends those that are open
)

// TypeConfig says how flows of a type are found, bounded and reported. The zero value is the default.
type TypeConfig[T any, F any] struct {
	// Key is the join key of an event: it goes to the open flows with that key, and starts one with it. ok is false for
	// events that concern no flow of this type. Nil offers every event to every open flow. A flow has the key of its
	// first event, unless it is a Waiter.
	Key func(ev T) (key string, ok bool)
	// Keys is Key for events that are found by several keys: it appends them to a list. An event without one goes to the
	// flows that wait for any event, and may start one. One flow is offered an event once.
	Keys func(ev T, keys []Key) []Key
	// Partition says which flows Skip concerns: those whose first events have the same one. Nil is the first key of that
	// event.
	Partition func(ev T) string
	// Within is the most time from a flow's first event to its last, MaxGap that from one to the next. 0 is no limit.
	Within, MaxGap time.Duration
	// MaxOpen is the most open flows, up to 2^30. Default 1,048,576.
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
	// OnMatch is called with each match, OnEnd with each flow that ended otherwise. They must not feed the stream.
	OnMatch, OnEnd func(*Match[T, F])
}

// TypeStats counts what became of the flows of a type.
type TypeStats struct {
	// Started is the number of flows; Ended tells how they ended, by Reason.
	Started uint64
	Ended   [Flushed + 1]uint64
	// Rejected counts flows that did not start because of RejectNew or OnePerKey, Forgotten matches that Keep let go of.
	Rejected, Forgotten uint64
	// LimitOpen counts the flows that did not start, or made room, because of MaxOpen.
	LimitOpen uint64
}

// Type is a kind of flow. It belongs to one [Stream].
type Type[T any, F Flow[T]] struct {
	name    string
	newFlow func() F
	cfg     TypeConfig[T, F]
	stream  *Stream[T]
	hasher  hasher
	waits   bool // the flows may be Waiters, Aborters, Expirers
	aborts  bool
	expires bool

	blocks     []*[blockSize]instance[T, F]
	records    []*[blockSize]record[T]
	made, free uint32 // flows that there is memory for; the first one that is free
	filings    []further
	freeFiling uint32
	waiting    table // by what they wait for
	parts      table // by partition, with an after-match policy only
	anyKey     int   // flows that are offered every event
	ages       ages
	longest    uint32 // the flow whose latest event is the oldest, with MaxGap only
	latest     uint32 // the one that is last in that order

	probe     instance[T, F] // a new flow, offered each event until it accepts one; open says that there is one
	open      int
	seq       uint64
	completed []Match[T, F]
	eldest    int // of completed, once it is full
	pulling   bool
	pulled    []*Match[T, F] // by Matches, not handed out yet
	offered   []uint32
	marked    []uint32
	keys      []Key    // of the event at hand
	sums      []hashed // of these keys
	ahead     []hashed // of the events that come next; zeros for those that concern no flow
	aheadOf   [batchSize]hashed
	hints     [batchSize]uint32 // where the flows were that wait for these
	foreseen  int               // of ahead, there were so many
	fetch     func(flows []F)   // reads from each
	fetched   uint32            // keeps what was read from being of no use
	wants     []Key
	bySeq     func(a, b uint32) int
	stats     TypeStats
}

// Define returns a type of flows that newFlow makes: pointers to a type V. A nil cfg is the default; the error is for
// negative limits.
func Define[T, V any, F flowOf[T, V]](name string, newFlow func() F, cfg *TypeConfig[T, F]) (*Type[T, F], error) {
	t := &Type[T, F]{name: name, newFlow: newFlow, hasher: newHasher(), filings: make([]further, 1)}
	if cfg != nil {
		t.cfg = *cfg
	}
	if t.cfg.MaxOpen < 0 || t.cfg.Within < 0 || t.cfg.MaxGap < 0 {
		return nil, errors.New("relational: negative limit")
	}
	if t.cfg.MaxOpen > 1<<30 {
		return nil, errors.New("relational: MaxOpen of more than 2^30")
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
	t.bySeq = t.compareSeq
	flow := reflect.TypeFor[F]()
	t.waits = flow.Implements(reflect.TypeFor[Waiter]())
	t.aborts = flow.Implements(reflect.TypeFor[Aborter[T]]())
	t.expires = flow.Implements(reflect.TypeFor[Expirer]())
	read := new(V)
	t.fetch = func(flows []F) {
		for _, f := range flows {
			*read = *f
		}
		*read = *new(V)
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
	for _, a := range t.ages.list[t.ages.first:] {
		if t.lives(a) {
			m := t.match(a.n)
			m.Events = slices.Clone(m.Events)
			all = append(all, m)
		}
	}
	return slices.Values(all)
}

// Completed returns the matches that are kept, in the order in which they were completed; those that one event completed
// in the order in which they started.
func (t *Type[T, F]) Completed() iter.Seq[*Match[T, F]] {
	return func(yield func(*Match[T, F]) bool) {
		for i := range t.completed {
			m := t.completed[(t.eldest+i)%len(t.completed)]
			m.Events = slices.Clone(m.Events)
			if !yield(&m) {
				return
			}
		}
	}
}

// Matches feeds events to the type's stream, which may have other types as well, and returns the matches of this one as they
// are found; at the end of the events the stream is flushed. Breaking off leaves the flows as they are. The sequence is
// single-use.
func (t *Type[T, F]) Matches(events iter.Seq[T]) iter.Seq[*Match[T, F]] {
	return func(yield func(*Match[T, F]) bool) {
		t.pulling = true
		defer func() { t.pulling, t.pulled = false, nil }()
		hand := func() bool {
			found := t.pulled
			t.pulled = nil
			for _, m := range found {
				if !yield(m) {
					return false
				}
			}
			return true
		}
		for ev := range events {
			if t.stream.Ingest(ev); len(t.pulled) > 0 && !hand() {
				return
			}
		}
		t.stream.Flush()
		hand()
	}
}

// flowOf is a pointer to V that is a flow.
type flowOf[T, V any] interface {
	*V
	Flow[T]
}

// AnyType is a [Type] of any kind of flow.
type AnyType[T any] interface {
	attach(s *Stream[T]) error
	foresee(evs []T)
	ingest(ev T, at int64)
	settle()
	advance(at int64)
	flush()
}
