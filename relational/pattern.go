package relational

import (
	"errors"
	"fmt"
	"math"
)

// Step is what a [Pattern] waits for. S is what a flow remembers.
type Step[T, S any] struct {
	// Name is for errors.
	Name string
	// Match reports whether ev is an event of the step, given what the flow remembers, and if so notes there what is to be
	// remembered of it.
	Match func(ev T, state *S) bool
	// Min and Max are how many events the step takes. Defaults are 1, and Min; a negative Max is no limit. The step that
	// follows goes before another one of these, see Greedy.
	Min, Max int
	// Optional says that the step may be left out.
	Optional bool
	// Greedy takes further events of the step before those of the step that follows; at the end of a pattern it waits for
	// all that Max allows, until the flow's time is over.
	Greedy bool
	// Not says that an event of the step ends the flow, while the step that follows is waited for. At the end of a
	// pattern, the flow is a match when its time is over without one.
	Not bool
	// All are steps that are taken in any order, one event each, in place of Match.
	All []Step[T, S]
	// WaitsFor appends the keys by which an event of the step is found; none stands for any event. Nil is
	// PatternConfig.Key of the flow's first event.
	WaitsFor func(state *S, keys []Key) []Key
}

// PatternConfig is what holds for all steps of a [Pattern]. The zero value is the default.
type PatternConfig[T, S any] struct {
	// Key is the key by which the events of a flow are found, those of steps that say nothing else. Nil offers every event
	// to every flow.
	Key func(ev T) Key
	// Until are steps an event of which ends a flow wherever it is.
	Until []Step[T, S]
}

// Pattern is a sequence of steps. A flow of it takes an event for the first step that it fits, of those that may come
// next: the step at hand, and those behind it as far as steps may be left out. It never goes back.
type Pattern[T, S any] struct {
	cfg      PatternConfig[T, S]
	steps    []stage[T, S]
	trailing []Step[T, S] // Not, at the end
}

// stage is a step that takes events, and the Not in front of it.
type stage[T, S any] struct {
	Step[T, S]
	guards []Step[T, S]
	all    uint64 // a bit for each of All
}

// NewPattern returns a pattern of steps. A nil cfg is the default; the error names a step that makes no sense.
func NewPattern[T, S any](cfg *PatternConfig[T, S], steps ...Step[T, S]) (*Pattern[T, S], error) {
	p := &Pattern[T, S]{}
	if cfg != nil {
		p.cfg = *cfg
	}
	needed := false
	for i, s := range steps {
		if err := check(&s); err != nil {
			return nil, fmt.Errorf("relational: %s: %w", label("step", i, s.Name), err)
		}
		if s.Not {
			p.trailing = append(p.trailing, s)
			continue
		}
		if s.Min == 0 && !s.Optional {
			s.Min = 1
		}
		if s.Max == 0 {
			s.Max = max(s.Min, 1)
		} else if s.Max < 0 {
			s.Max = math.MaxInt
		}
		needed = needed || !s.Optional
		p.steps = append(p.steps, stage[T, S]{Step: s, guards: p.trailing, all: 1<<len(s.All) - 1})
		p.trailing = nil
	}
	for i, s := range p.cfg.Until {
		if s.Match == nil {
			return nil, fmt.Errorf("relational: %s: no Match", label("until", i, s.Name))
		}
	}
	switch {
	case !needed:
		return nil, errors.New("relational: a pattern needs a step that takes an event")
	case len(p.steps[0].guards) > 0:
		return nil, fmt.Errorf("relational: %s: Not before a flow has begun", label("step", 0, steps[0].Name))
	}
	return p, nil
}

// label returns what a step is called in errors.
func label(what string, i int, name string) string {
	if name == "" {
		return fmt.Sprintf("%s %d", what, i+1)
	}
	return fmt.Sprintf("%s %d (%s)", what, i+1, name)
}

// check says what is wrong with a step.
func check[T, S any](s *Step[T, S]) error {
	several := s.Min != 0 || s.Max != 0 || s.Optional || s.Greedy
	switch {
	case (s.Match == nil) == (len(s.All) == 0):
		return errors.New("wants either Match or All")
	case s.Not && (several || len(s.All) > 0):
		return errors.New("a Not takes no events, and cannot say how many")
	case s.Min < 0 || s.Max > 0 && s.Max < s.Min:
		return fmt.Errorf("takes %d to %d events", s.Min, s.Max)
	case s.Optional && s.Min > 0:
		return fmt.Errorf("is Optional, and takes at least %d", s.Min)
	case len(s.All) > 63:
		return fmt.Errorf("has %d steps in any order, more than 63", len(s.All))
	case len(s.All) > 0 && (s.Min != 0 || s.Max != 0):
		return errors.New("steps in any order come once")
	}
	for i := range s.All {
		one := &s.All[i]
		if one.Match == nil || one.Not || one.Optional || one.Greedy || one.Min != 0 || one.Max != 0 || one.All != nil {
			return errors.New("of steps in any order, each takes one event")
		}
	}
	return nil
}

// New returns a flow that has not begun. The method is what [Define] asks for.
func (p *Pattern[T, S]) New() *Run[T, S] { return &Run[T, S]{pattern: p} }

// Position is how far a flow has come.
type Position struct {
	// Step is the index of the step at hand, those with Not left out; Count how many events it has taken, Done a bit for
	// each of its steps in any order that is done.
	Step  int    `json:"step"`
	Count int    `json:"count,omitempty"`
	Done  uint64 `json:"done,omitempty"`
	// Key is that of the first event, see PatternConfig.Key.
	Key Key `json:"key"`
}

// Run is a flow of a [Pattern].
type Run[T, S any] struct {
	// State is what it remembers.
	State S

	pattern *Pattern[T, S]
	at      Position
}

var (
	_ Flow[int]    = (*Run[int, int])(nil)
	_ Waiter       = (*Run[int, int])(nil)
	_ Aborter[int] = (*Run[int, int])(nil)
	_ Expirer      = (*Run[int, int])(nil)
)

// Position returns how far the flow has come.
func (r *Run[T, S]) Position() Position { return r.at }

// Resume returns a flow that has come so far. The error is for a position that the pattern has not.
func (p *Pattern[T, S]) Resume(at Position, state S) (*Run[T, S], error) {
	ok := at.Step >= 0 && at.Step <= len(p.steps) && at.Count >= 0
	if ok && at.Step < len(p.steps) {
		s := &p.steps[at.Step]
		ok = at.Count < s.Max && at.Done&^s.all == 0 && (at.Done == 0 || at.Done != s.all)
	} else {
		ok = ok && at.Count == 0 && at.Done == 0
	}
	if !ok {
		return nil, fmt.Errorf("relational: the pattern has no position %+v", at)
	}
	return &Run[T, S]{State: state, pattern: p, at: at}, nil
}

// satisfied reports whether the step at hand has all that it must have.
func (r *Run[T, S]) satisfied() bool {
	if r.at.Step == len(r.pattern.steps) {
		return true
	}
	s := &r.pattern.steps[r.at.Step]
	if s.all != 0 {
		return s.Optional && r.at.Done == 0
	}
	return r.at.Count >= s.Min
}

// reach returns the index of the last step that may come next; that behind the last one when the flow has all it needs.
func (r *Run[T, S]) reach() int {
	to := r.at.Step
	if !r.satisfied() {
		return to
	}
	for to++; to < len(r.pattern.steps) && r.pattern.steps[to].Optional; to++ {
	}
	return min(to, len(r.pattern.steps))
}

// Accept is for [Flow].
func (r *Run[T, S]) Accept(ev T) bool {
	first, to := r.at.Step, r.reach()
	if first < len(r.pattern.steps) && r.at.Count > 0 && !r.pattern.steps[first].Greedy {
		first++ // and this one last
	}
	for k := first; k <= to && k < len(r.pattern.steps); k++ {
		if r.take(k, ev) {
			return true
		}
	}
	return first > r.at.Step && r.take(r.at.Step, ev)
}

// take takes an event for a step, if it is one of it.
func (r *Run[T, S]) take(k int, ev T) bool {
	s := &r.pattern.steps[k]
	now := r.at
	if k != now.Step {
		now.Step, now.Count, now.Done = k, 0, 0
	}
	if s.Match != nil {
		if !s.Match(ev, &r.State) {
			return false
		}
		now.Count++
	} else {
		i := 0
		for i < len(s.All) && (now.Done>>i&1 != 0 || !s.All[i].Match(ev, &r.State)) {
			i++
		}
		if i == len(s.All) {
			return false
		}
		now.Done |= 1 << i
	}
	if r.at.Step == 0 && r.at.Count == 0 && r.at.Done == 0 && r.pattern.cfg.Key != nil {
		now.Key = r.pattern.cfg.Key(ev)
	}
	if s.all == 0 && now.Count >= s.Max || s.all != 0 && now.Done == s.all {
		now.Step, now.Count, now.Done = now.Step+1, 0, 0
	}
	r.at = now
	return true
}

// Complete is for [Flow].
func (r *Run[T, S]) Complete() bool {
	steps := r.pattern.steps
	if len(r.pattern.trailing) > 0 || r.reach() < len(steps) {
		return false
	}
	for _, s := range steps[r.at.Step:] {
		if s.Greedy {
			return false
		}
	}
	return true
}

// Expire is for [Expirer].
func (r *Run[T, S]) Expire() bool { return r.reach() == len(r.pattern.steps) }

// Abort is for [Aborter].
func (r *Run[T, S]) Abort(ev T) bool {
	ends := false
	r.guards(func(s *Step[T, S]) bool {
		ends = s.Match(ev, &r.State)
		return !ends
	})
	return ends
}

// guards calls yield with each step that would end the flow now.
func (r *Run[T, S]) guards(yield func(*Step[T, S]) bool) {
	p := r.pattern
	each := func(list []Step[T, S]) bool {
		for i := range list {
			if !yield(&list[i]) {
				return false
			}
		}
		return true
	}
	if !each(p.cfg.Until) {
		return
	}
	to := r.reach()
	for k := r.at.Step; k <= to && k < len(p.steps); k++ {
		begun := k == r.at.Step && (r.at.Count > 0 || r.at.Done != 0)
		if !begun && !each(p.steps[k].guards) {
			return
		}
	}
	if to == len(p.steps) {
		each(p.trailing)
	}
}

// WaitsFor is for [Waiter].
func (r *Run[T, S]) WaitsFor(keys []Key) []Key {
	p, none := r.pattern, keys
	found := true
	add := func(s *Step[T, S]) bool {
		before := len(keys)
		if s.WaitsFor != nil {
			keys = s.WaitsFor(&r.State, keys)
		} else if p.cfg.Key != nil {
			keys = append(keys, r.at.Key)
		}
		found = found && len(keys) > before
		return found
	}
	r.guards(add)
	to := r.reach()
	for k := r.at.Step; k <= to && k < len(p.steps) && found; k++ {
		s := &p.steps[k]
		if s.Match != nil {
			add(&s.Step)
		}
		for i := range s.All {
			if k != r.at.Step || r.at.Done>>i&1 == 0 {
				add(&s.All[i])
			}
		}
	}
	if !found {
		return none
	}
	return keys
}
