// Package flowfile finds sequences of events that are described in a file, YAML or JSON: each step says what the fields of
// its event are, by literals, regular expressions, and variables that earlier steps have set.
//
//	flow: login
//	within: 30s
//	key: client
//	steps:
//	  - match: {method: GET, path: /login}
//	    set: {host: host}
//	  - match: {host: $host, body: 'csrf=(?P<csrf>\w+)'}
//	  - match: {method: POST, host: $host, form.csrf: $csrf}
//
// Events may be of any type, as long as a [Schema] tells their fields. What flows remember is data: the open ones can be
// written down, and read back. docs/match.md describes the files.
package flowfile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/relational"
)

// Field is a field of events.
type Field[T any] struct {
	// Values appends the values that an event has in the field to a list, none for what it has not.
	Values func(ev T, values []string) []string
	// Secret marks variables that are set from it, see [Var].
	Secret bool
}

// Schema tells the fields of events by their names. The error is for a name that is no field.
type Schema[T any] func(name string) (Field[T], error)

// Error is what is wrong with a file. Flow and Step are as far as they are known; steps count from 1.
type Error struct {
	File string
	Line int
	Flow string
	Step int
	Err  error
}

// Error returns where something is wrong, and what.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	if e.Flow != "" {
		fmt.Fprintf(&b, "flow %s: ", e.Flow)
	}
	if e.Step > 0 {
		fmt.Fprintf(&b, "step %d: ", e.Step)
	}
	return b.String() + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// maxFile is the most bytes of a file.
const maxFile = 1 << 20

// Flows are the flows of a file.
type Flows[T any] struct{ list []*flow[T] }

// Read reads the flows of a file; name is what it is called in errors, all of which are an [Error] but for those of r.
func Read[T any](r io.Reader, name string, schema Schema[T]) (*Flows[T], error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("flowfile: read %s: %w", name, err)
	}
	if len(b) > maxFile {
		return nil, &Error{File: name, Line: 1, Err: fmt.Errorf("more than %d bytes", maxFile)}
	}
	return parse(b, name, schema)
}

// Names returns the names of the flows, in the order of the file.
func (f *Flows[T]) Names() []string {
	var names []string
	for _, x := range f.list {
		names = append(names, x.name)
	}
	return names
}

// Var is a variable of a match.
type Var struct {
	Name   string
	Values []string
	// Secret says that it was set from a field that is.
	Secret bool
}

// Match is a flow that has ended. N is what is noted of its events.
type Match[N any] struct {
	Flow string
	// Key is the value of the flow's key, "" without one.
	Key  string
	Vars []Var // that are set, in the order of the file
	// Notes are those of its events, in order.
	Notes      []N
	Start, End time.Time
	Seq        uint64
	From, To   uint64
	Reason     relational.Reason
	// KeySecret says that the key's field is.
	KeySecret bool
}

// Config says what a [Matcher] does. The zero value is the default.
type Config[T, N any] struct {
	// Stream is how events are taken.
	Stream relational.Config[T]
	// Note returns what is kept of an event in a flow. Nil keeps nothing.
	Note func(ev T) N
	// OnMatch is called with each match, OnEnd with each flow that ended otherwise.
	OnMatch, OnEnd func(*Match[N])
	// MaxOpen is the most open flows of those that say nothing else. Default 65,536.
	MaxOpen int
	// MaxValue is the most bytes of a variable; one with more is not set. Default 4,096.
	MaxValue int
	// MaxNotes is the most notes of a flow; those of further events are not kept. Default 1,024.
	MaxNotes int
}

// Stats counts what a [Matcher] has done.
type Stats struct {
	relational.Stats
	// Flows counts what became of flows, by their names.
	Flows map[string]relational.TypeStats
	// LimitValue and LimitNotes count variables and notes that were not kept.
	LimitValue, LimitNotes uint64
}

// Matcher finds the flows of a file in events. It is not safe for concurrent use.
type Matcher[T, N any] struct {
	cfg    Config[T, N]
	stream *relational.Stream[T]
	types  []*found[T, N]
	stats  Stats
	values []string // scratch
}

// found is a flow of the file, as it is looked for.
type found[T, N any] struct {
	*flow[T]
	pattern *relational.Pattern[T, state[N]]
	typ     *relational.Type[T, *relational.Run[T, state[N]]]
}

// state is what a flow remembers.
type state[N any] struct {
	key   string
	vars  [][]string // by number
	notes []N
}

// New returns a matcher. A nil cfg is the default; the error is for negative limits.
func New[T, N any](flows *Flows[T], cfg *Config[T, N]) (*Matcher[T, N], error) {
	m := &Matcher[T, N]{}
	if cfg != nil {
		m.cfg = *cfg
	}
	if m.cfg.MaxOpen < 0 || m.cfg.MaxValue < 0 || m.cfg.MaxNotes < 0 {
		return nil, errors.New("flowfile: negative limit")
	}
	for _, d := range []struct {
		n     *int
		value int
	}{{&m.cfg.MaxOpen, 1 << 16}, {&m.cfg.MaxValue, 4 << 10}, {&m.cfg.MaxNotes, 1 << 10}} {
		if *d.n == 0 {
			*d.n = d.value
		}
	}
	var err error
	if m.stream, err = relational.New(&m.cfg.Stream); err != nil {
		return nil, err
	}
	for _, f := range flows.list {
		x, err := m.find(f)
		if err != nil {
			return nil, fmt.Errorf("flowfile: flow %s: %w", f.name, err)
		}
		if err := m.stream.Add(x.typ); err != nil {
			return nil, err
		}
		m.types = append(m.types, x)
	}
	return m, nil
}

// find makes what looks for a flow.
func (m *Matcher[T, N]) find(f *flow[T]) (*found[T, N], error) {
	x := &found[T, N]{flow: f}
	var steps []relational.Step[T, state[N]]
	for i := range f.steps {
		steps = append(steps, m.step(f, &f.steps[i]))
	}
	var until []relational.Step[T, state[N]]
	for i := range f.until {
		until = append(until, m.step(f, &f.until[i]))
	}
	var err error
	if x.pattern, err = relational.NewPattern(&relational.PatternConfig[T, state[N]]{Until: until}, steps...); err != nil {
		return nil, err
	}
	cfg := relational.TypeConfig[T, *relational.Run[T, state[N]]]{
		Within: f.within, MaxGap: f.gap, MaxOpen: f.maxOpen, Policy: f.policy, Skip: f.skip, Keep: -1, DropEvents: true,
		OnMatch: func(r *relational.Match[T, *relational.Run[T, state[N]]]) {
			if m.cfg.OnMatch != nil {
				m.cfg.OnMatch(x.match(r))
			}
		},
		OnEnd: func(r *relational.Match[T, *relational.Run[T, state[N]]]) {
			if m.cfg.OnEnd != nil {
				m.cfg.OnEnd(x.match(r))
			}
		},
	}
	if cfg.MaxOpen == 0 {
		cfg.MaxOpen = m.cfg.MaxOpen
	}
	if len(f.indices) > 0 {
		cfg.Keys = func(ev T, keys []relational.Key) []relational.Key {
			for space, field := range f.indices {
				m.values = field.Values(ev, m.values[:0])
				for _, v := range m.values {
					keys = append(keys, relational.Key{Space: uint32(space), Value: v})
				}
			}
			return keys
		}
	}
	cfg.Partition = func(ev T) string { return f.keyOf(ev, &m.values) }
	x.typ, err = relational.Define(f.name, x.pattern.New, &cfg)
	return x, err
}

// Ingest takes the next event.
func (m *Matcher[T, N]) Ingest(ev T) { m.stream.Ingest(ev) }

// Advance says that it is t, though no event came.
func (m *Matcher[T, N]) Advance(t time.Time) { m.stream.Advance(t) }

// Flush says that the input has ended.
func (m *Matcher[T, N]) Flush() { m.stream.Flush() }

// Open returns how many flows are open.
func (m *Matcher[T, N]) Open() int {
	n := 0
	for _, x := range m.types {
		n += x.typ.Open()
	}
	return n
}

// Stats returns the counters so far.
func (m *Matcher[T, N]) Stats() Stats {
	st := m.stats
	st.Stats, st.Flows = m.stream.Stats(), map[string]relational.TypeStats{}
	for _, x := range m.types {
		st.Flows[x.name] = x.typ.Stats()
	}
	return st
}

// Add adds flows, of another file. The error is for one that is there already.
func (f *Flows[T]) Add(more *Flows[T]) error {
	for _, x := range more.list {
		if slices.Contains(f.Names(), x.name) {
			return fmt.Errorf("flowfile: there are two flows %s", x.name)
		}
		f.list = append(f.list, x)
	}
	return nil
}
