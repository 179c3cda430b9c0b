package flowfile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/relational"
)

// flow is a flow of a file.
type flow[T any] struct {
	name        string
	digest      string // of its text
	within, gap time.Duration
	maxOpen     int
	policy      relational.Policy
	skip        relational.Skip
	key         *Field[T] // nil for none
	keySpace    int
	steps       []step[T]
	until       []step[T]
	vars        []variable
	indices     []Field[T] // by which events are found; the index is the space of its keys
	indexNames  []string
}

// variable is a variable of a flow; its number is that in flow.vars.
type variable struct {
	name   string
	secret bool
}

// step is a step of a flow: one of several matches, all of them, or one that must not come.
type step[T any] struct {
	name             string
	any, all         []match[T]
	not              bool
	set              []capture[T]
	least, most      int
	optional, greedy bool
}

// match is what the fields of an event are to be.
type match[T any] struct {
	tests []test[T]
	index int // space of the keys by which such an event is found, -1 for none: of the first test for equality with
	by    int // variables, or, with -1 here, of the flow's key
}

// test is what one field is to be.
type test[T any] struct {
	field  Field[T]
	not    bool
	values []string       // it is one of these; "" is also a field without a value
	re     *regexp.Regexp // or this matches
	groups []int          // variables that its named groups set, by number of the group; -1 for none
	is     []part         // or it is a text of these parts; a variable alone stands for each of its values
	least  *float64       // or it is a number, no less
	most   *float64       // and no more
}

// part is a text, or a variable.
type part struct {
	text string
	v    int // -1 for a text
}

// known returns the texts that a test for equality with variables stands for, as they are known by now.
func (c *test[T]) known(vars [][]string, sets []pending) []string {
	if len(c.is) == 1 {
		return value(c.is[0].v, vars, sets)
	}
	var b strings.Builder
	for _, p := range c.is {
		b.WriteString(p.text)
		if p.v < 0 {
			continue
		}
		values := value(p.v, vars, sets)
		if len(values) == 0 {
			return nil
		}
		b.WriteString(values[0])
	}
	return []string{b.String()}
}

// within reports whether a value is a number within the limits.
func (c *test[T]) within(s string) bool {
	n, err := strconv.ParseFloat(s, 64)
	return err == nil && (c.least == nil || n >= *c.least) && (c.most == nil || n <= *c.most)
}

// capture sets a variable to the values of a field.
type capture[T any] struct {
	to    int
	field Field[T]
}

// never is a space of keys that no event has.
const never = 1<<32 - 1

// step returns a step as the pattern has it.
func (m *Matcher[T, N]) step(f *flow[T], s *step[T]) relational.Step[T, state[N]] {
	one := func(some []match[T]) relational.Step[T, state[N]] {
		return relational.Step[T, state[N]]{
			Match: func(ev T, st *state[N]) bool {
				return m.matches(f, s, some, ev, st)
			},
			WaitsFor: func(st *state[N], keys []relational.Key) []relational.Key { return waitsFor(some, st, keys) },
		}
	}
	var out relational.Step[T, state[N]]
	if s.all != nil {
		for i := range s.all {
			out.All = append(out.All, one(s.all[i:i+1]))
		}
	} else {
		out = one(s.any)
	}
	out.Name, out.Not, out.Optional, out.Greedy, out.Min, out.Max = s.name, s.not, s.optional, s.greedy, s.least, s.most
	return out
}

// waitsFor appends the keys by which an event that one of several matches tells is found.
func waitsFor[T, N any](some []match[T], st *state[N], keys []relational.Key) []relational.Key {
	before := len(keys)
	for i := range some {
		x := &some[i]
		switch {
		case x.index < 0: // any event
			return keys[:before]
		case x.by < 0:
			keys = append(keys, relational.Key{Space: uint32(x.index), Value: st.key})
		default:
			values := x.tests[x.by].known(st.vars, nil)
			if len(values) == 0 {
				keys = append(keys, relational.Key{Space: never})
			}
			for _, v := range values {
				keys = append(keys, relational.Key{Space: uint32(x.index), Value: v})
			}
		}
	}
	return keys
}

// pending is a variable to be set.
type pending struct {
	to     int
	values []string
}

// matches reports whether one of several matches tells an event, and if so notes what is to be remembered of it.
func (m *Matcher[T, N]) matches(f *flow[T], s *step[T], some []match[T], ev T, st *state[N]) bool {
	begins := st.vars == nil
	if f.key != nil && !begins {
		if m.values = f.key.Values(ev, m.values[:0]); !slices.Contains(m.values, st.key) {
			return false
		}
	}
	for i := range some {
		sets, ok := m.tested(&some[i], ev, st.vars)
		if !ok {
			continue
		}
		key := st.key
		if begins && f.key != nil {
			if key = f.keyOf(ev, &m.values); key == "" {
				return false // it has nothing that its others could have in common with it
			}
		}
		if s.not {
			return true
		}
		if begins {
			st.key = strings.Clone(key)
		}
		if st.vars == nil {
			st.vars = make([][]string, len(f.vars))
		}
		for _, p := range sets {
			m.set(st, p.to, p.values)
		}
		for _, c := range s.set {
			m.set(st, c.to, c.field.Values(ev, nil))
		}
		m.note(st, ev)
		return true
	}
	return false
}

// tested reports whether an event is what a match says, and returns the variables that it sets.
func (m *Matcher[T, N]) tested(x *match[T], ev T, vars [][]string) (sets []pending, ok bool) {
	for i := range x.tests {
		c := &x.tests[i]
		m.values = c.field.Values(ev, m.values[:0])
		yes := false
		switch {
		case c.re != nil:
			for _, v := range m.values {
				if len(c.groups) == 0 {
					yes = c.re.MatchString(v)
				} else if at := c.re.FindStringSubmatch(v); at != nil {
					yes = true
					for group, to := range c.groups {
						if to >= 0 {
							sets = append(sets, pending{to, []string{at[group]}})
						}
					}
				}
				if yes {
					break
				}
			}
		case c.least != nil || c.most != nil:
			yes = slices.ContainsFunc(m.values, c.within)
		case c.is != nil:
			known := c.known(vars, sets)
			yes = slices.ContainsFunc(m.values, func(v string) bool { return slices.Contains(known, v) })
		case len(m.values) == 0:
			yes = slices.Contains(c.values, "")
		default:
			yes = slices.ContainsFunc(m.values, func(v string) bool { return slices.Contains(c.values, v) })
		}
		if yes == c.not {
			return nil, false
		}
	}
	return sets, true
}

// value returns what a variable is, with those that are to be set.
func value(n int, vars [][]string, sets []pending) []string {
	for _, p := range slices.Backward(sets) {
		if p.to == n {
			return p.values
		}
	}
	if n < len(vars) {
		return vars[n]
	}
	return nil
}

// set sets a variable, if it is not too large.
func (m *Matcher[T, N]) set(st *state[N], to int, values []string) {
	size := 0
	for _, v := range values {
		size += len(v)
	}
	if size > m.cfg.MaxValue {
		m.stats.LimitValue++
		values = nil
	}
	kept := make([]string, 0, len(values))
	for _, v := range values {
		kept = append(kept, strings.Clone(v)) // it may be a part of something large
	}
	st.vars[to] = kept
}

// note keeps what is to be kept of an event.
func (m *Matcher[T, N]) note(st *state[N], ev T) {
	switch {
	case m.cfg.Note == nil:
	case len(st.notes) >= m.cfg.MaxNotes:
		m.stats.LimitNotes++
	default:
		st.notes = append(st.notes, m.cfg.Note(ev))
	}
}

// keyOf returns the flow's key of an event, "" if it has none.
func (f *flow[T]) keyOf(ev T, scratch *[]string) string {
	if f.key == nil {
		return ""
	}
	if *scratch = f.key.Values(ev, (*scratch)[:0]); len(*scratch) > 0 {
		return (*scratch)[0]
	}
	return ""
}

// match returns a flow that has ended.
func (f *found[T, N]) match(r *relational.Match[T, *relational.Run[T, state[N]]]) *Match[N] {
	st := &r.Flow.State
	m := &Match[N]{
		Flow: f.name, Key: st.key, KeySecret: f.key != nil && f.key.Secret, Notes: st.notes, Start: r.Start, End: r.End,
		Seq: r.Seq, From: r.From, To: r.To, Reason: r.Reason,
	}
	for i, v := range st.vars {
		if len(v) > 0 {
			m.Vars = append(m.Vars, Var{f.vars[i].name, v, f.vars[i].secret})
		}
	}
	return m
}
