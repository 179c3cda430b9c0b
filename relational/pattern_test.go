package relational_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/relational"
)

type (
	letterStep = relational.Step[event, string]
	letterRun  = relational.Run[event, string]
)

// fits is a step that takes events with one of the words, and remembers them.
func fits(words ...string) letterStep {
	return letterStep{Name: strings.Join(words, "|"), Match: func(e event, seen *string) bool {
		if !slices.Contains(words, e.word) {
			return false
		}
		*seen += e.word
		return true
	}}
}

func optional(s letterStep) letterStep { s.Optional = true; return s }

func greedy(s letterStep) letterStep { s.Greedy = true; return s }

func not(s letterStep) letterStep { s.Not = true; return s }

func times(s letterStep, least, most int) letterStep { s.Min, s.Max = least, most; return s }

func anyOrder(steps ...letterStep) letterStep { return letterStep{All: steps} }

func keyOf(e event) relational.Key { return relational.Key{Value: e.key} }

// patterned feeds events to a pattern, and returns what became of its flows.
func patterned(t *testing.T, cfg *relational.PatternConfig[event, string], typ *relational.TypeConfig[event, *letterRun], events string, steps ...letterStep) []string {
	t.Helper()
	p, err := relational.NewPattern(cfg, steps...)
	require.NoError(t, err)
	var log []string
	note := func(m *relational.Match[event, *letterRun]) {
		log = append(log, fmt.Sprint(m.Reason, " ", m.Flow.State))
	}
	typ.OnMatch, typ.OnEnd = note, note
	found, err := relational.Define("pattern", p.New, typ)
	require.NoError(t, err)
	feed(t, &relational.Config[event]{Time: eventTime}, found, events).Flush()
	return log
}

func TestPattern(t *testing.T) {
	a, b, c, d, x := fits("a"), fits("b"), fits("c"), fits("d"), fits("x")
	type config = relational.PatternConfig[event, string]
	for name, tc := range map[string]struct {
		cfg    config
		steps  []letterStep
		within time.Duration
		events string
		want   []string
	}{
		"in order":                  {config{}, []letterStep{a, b, c}, 0, "1:b 1:a 1:c 1:b 1:x 1:c", []string{"matched abc"}},
		"optional, there":           {config{}, []letterStep{a, optional(b), c}, 0, "1:a 1:b 1:b 1:c", []string{"matched abc"}},
		"optional, left out":        {config{}, []letterStep{a, optional(b), optional(d), c}, 0, "1:a 1:c 1:b", []string{"matched ac"}},
		"optional at first":         {config{}, []letterStep{optional(a), b}, 0, "1:a 1:b", []string{"matched ab", "matched b"}},
		"optional at last":          {config{}, []letterStep{a, optional(b)}, 0, "1:a 1:b", []string{"matched a"}},
		"greedy optional at last":   {config{}, []letterStep{a, greedy(optional(b))}, 0, "1:a 1:b 1:a", []string{"matched ab", "matched a"}},
		"two to three":              {config{}, []letterStep{a, times(b, 2, 3), c}, 0, "1:a 1:b 1:c 1:b 1:b 1:b 1:c", []string{"matched abbbc"}},
		"two to three, too few":     {config{}, []letterStep{a, times(b, 2, 3), c}, 0, "1:a 1:b 1:c", []string{"flushed ab"}},
		"any number, the next goes": {config{}, []letterStep{a, times(fits("b", "c"), 1, -1), c, d}, 0, "1:a 1:b 1:b 1:c 1:c 1:d", []string{"matched abbcd"}},
		"any number, greedy":        {config{}, []letterStep{a, greedy(times(fits("b", "c"), 1, -1)), c, d}, 0, "1:a 1:b 1:c 1:c 1:d", []string{"flushed abcc"}},
		"repeated at last":          {config{}, []letterStep{a, times(b, 2, -1)}, 0, "1:a 1:b 1:b 1:b", []string{"matched abb"}},
		"repeated at last, greedy":  {config{}, []letterStep{a, greedy(times(b, 2, -1))}, 0, "1:a 1:b 1:b 1:b 1:c", []string{"matched abbb"}},
		"greedy up to its most":     {config{}, []letterStep{a, greedy(times(b, 1, 2))}, 0, "1:a 1:b 1:b 1:b", []string{"matched abb"}},
		"greedy, too few":           {config{}, []letterStep{a, greedy(times(b, 2, -1))}, 0, "1:a 1:b", []string{"flushed ab"}},
		"not, and it does not come": {config{}, []letterStep{a, not(x), b}, 0, "1:x 1:a 1:c 1:b 1:x", []string{"matched ab"}},
		"not, and it comes":         {config{}, []letterStep{a, not(x), b}, 0, "1:a 1:x 1:b", []string{"aborted ax"}},
		"not, once it is over":      {config{}, []letterStep{a, not(x), b, c}, 0, "1:a 1:b 1:x 1:c", []string{"matched abc"}},
		"not, before its time":      {config{}, []letterStep{a, b, not(x), c}, 0, "1:a 1:x 1:b 1:c", []string{"matched abc"}},
		"not, behind an optional":   {config{}, []letterStep{a, optional(b), not(x), c}, 0, "1:a 1:x 1:c", []string{"aborted ax"}},
		"not, in a repetition":      {config{}, []letterStep{a, times(b, 1, 9), not(x), c}, 0, "1:a 1:x 1:b 1:x", []string{"aborted abx"}},
		"a and then no b":           {config{}, []letterStep{a, not(b)}, 5 * time.Second, "1:a@0 1:c@2 1:c@6", []string{"matched a"}},
		"a and then a b":            {config{}, []letterStep{a, not(b)}, 5 * time.Second, "1:a@0 1:b@5 1:c@6", []string{"aborted ab"}},
		"a and a late b":            {config{}, []letterStep{a, not(b)}, 5 * time.Second, "1:a@0 1:b@6", []string{"matched a"}},
		"no b to the end":           {config{}, []letterStep{a, c, not(b)}, 0, "1:a 1:b 1:c 1:a", []string{"matched ac", "flushed a"}},
		"until":                     {config{Until: []letterStep{x}}, []letterStep{a, b, c}, 0, "1:a 1:b 1:x 1:c 1:a 1:b 1:c", []string{"aborted abx", "matched abc"}},
		"any order":                 {config{}, []letterStep{a, anyOrder(b, c, d), x}, 0, "1:a 1:d 1:d 1:x 1:b 1:c 1:x", []string{"matched adbcx"}},
		"any order, at first":       {config{}, []letterStep{anyOrder(a, b)}, 0, "1:b 1:a", []string{"matched ba", "flushed a"}},
		"any order, optional":       {config{}, []letterStep{a, optional(anyOrder(b, c)), x}, 0, "1:a 1:x 1:a 1:b 1:x 1:c 1:x", []string{"matched ax", "matched abcx"}},
		"any order, the same":       {config{}, []letterStep{a, anyOrder(b, b)}, 0, "1:a 1:b 1:b", []string{"matched abb"}},
		"one of several":            {config{}, []letterStep{a, fits("b", "c"), d}, 0, "1:a 1:c 1:b 1:d", []string{"matched acd"}},
		"several keys":              {config{}, []letterStep{a, b}, 0, "1:a 2:a 2:b 1:b", []string{"matched ab", "matched ab"}},
	} {
		for _, keyed := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", keyed ", keyed), func(t *testing.T) {
				if !keyed && name == "several keys" {
					tc.want = []string{"matched ab", "matched ab"}
				}
				typ := &relational.TypeConfig[event, *letterRun]{Within: tc.within}
				cfg := tc.cfg
				if keyed {
					typ.Key, cfg.Key = eventKey, keyOf
				}
				require.Equal(t, tc.want, patterned(t, &cfg, typ, tc.events, tc.steps...))
			})
		}
	}
}

func TestPatternRefuses(t *testing.T) {
	a, b := fits("a"), fits("b")
	for name, tc := range map[string]struct {
		steps []letterStep
		want  string
	}{
		"nothing":              {nil, "needs a step that takes an event"},
		"all optional":         {[]letterStep{optional(a)}, "needs a step that takes an event"},
		"not at first":         {[]letterStep{not(a), b}, "step 1 (a): Not before"},
		"no match":             {[]letterStep{a, {Name: "x"}}, "step 2 (x): wants either Match or All"},
		"both":                 {[]letterStep{a, {All: []letterStep{a}, Match: b.Match}}, "step 2: wants either"},
		"not, twice":           {[]letterStep{a, not(times(b, 2, 2))}, "a Not takes no events"},
		"less than none":       {[]letterStep{times(a, -1, 2)}, "takes -1 to 2"},
		"more than most":       {[]letterStep{times(a, 3, 2)}, "takes 3 to 2"},
		"optional, at least 2": {[]letterStep{a, optional(times(b, 2, 3))}, "is Optional, and takes at least 2"},
		"any order, twice":     {[]letterStep{times(anyOrder(a, b), 2, 2)}, "come once"},
		"any order, optional":  {[]letterStep{anyOrder(a, optional(b))}, "each takes one event"},
		"any order, too many":  {[]letterStep{anyOrder(slices.Repeat([]letterStep{a}, 64)...)}, "more than 63"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := relational.NewPattern(nil, tc.steps...)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, err := relational.NewPattern(&relational.PatternConfig[event, string]{Until: []letterStep{{Name: "u"}}}, a)
	require.ErrorContains(t, err, "until 1 (u): no Match")
}

// TestPatternWaits: a flow is asked about the events that it waits for, and no others, whatever the step is.
func TestPatternWaits(t *testing.T) {
	asked := 0
	by := func(space uint32, s letterStep) letterStep {
		match := s.Match
		s.Match = func(e event, seen *string) bool {
			asked++
			return match(e, seen)
		}
		s.WaitsFor = func(_ *string, keys []relational.Key) []relational.Key {
			if space == 9 {
				return keys
			}
			return append(keys, relational.Key{Space: space, Value: s.Name}, relational.Key{Space: space, Value: "b"})
		}
		return s
	}
	for name, tc := range map[string]struct {
		steps  []letterStep
		events string
		asked  int // once a flow has begun: the events of the key, not those of others
		want   []string
	}{
		"one key":          {[]letterStep{fits("a"), by(0, fits("b"))}, "a:a x:b y:z b:b", 1, []string{"matched ab"}},
		"another space":    {[]letterStep{fits("a"), by(1, fits("b"))}, "a:a b:b", 0, []string{"flushed a"}},
		"optional":         {[]letterStep{fits("a"), optional(by(0, fits("d"))), by(0, fits("c"))}, "a:a x:z d:z c:c", 4, []string{"matched ac"}},
		"not":              {[]letterStep{fits("a"), not(by(0, fits("d"))), by(0, fits("c"))}, "a:a x:z d:d c:c", 1, []string{"aborted ad"}},
		"any order":        {[]letterStep{fits("a"), anyOrder(by(0, fits("c")), by(0, fits("d")))}, "a:a x:z d:d d:z c:c", 3, []string{"matched adc"}},
		"any event":        {[]letterStep{fits("a"), optional(by(9, fits("d"))), by(0, fits("c"))}, "a:a x:z y:z c:c", 6, []string{"matched ac"}},
		"the flow's own":   {[]letterStep{fits("a"), fits("b"), by(0, fits("c"))}, "a:a x:b a:b c:c", 1, []string{"matched abc"}},
		"trailing not":     {[]letterStep{fits("a"), not(by(0, fits("d")))}, "a:a x:d d:z", 1, []string{"matched a"}},
		"greedy, then not": {[]letterStep{fits("a"), greedy(optional(by(0, fits("c")))), not(by(0, fits("d")))}, "a:a c:c x:c d:d", 3, []string{"aborted acd"}},
	} {
		t.Run(name, func(t *testing.T) {
			asked = 0
			got := patterned(t, &relational.PatternConfig[event, string]{Key: keyOf}, &relational.TypeConfig[event, *letterRun]{Key: eventKey}, tc.events, tc.steps...)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.asked, asked)
		})
	}
}

// TestPatternAllocations: with guards and groups, too, an event that concerns no flow costs no allocation.
func TestPatternAllocations(t *testing.T) {
	p, err := relational.NewPattern(&relational.PatternConfig[event, string]{Key: keyOf, Until: []letterStep{fits("u")}},
		fits("a"), not(fits("x")), anyOrder(fits("b"), fits("c")), greedy(optional(fits("d"))), not(fits("e")))
	require.NoError(t, err)
	typ, err := relational.Define("pattern", p.New, &relational.TypeConfig[event, *letterRun]{Key: eventKey, Keep: -1})
	require.NoError(t, err)
	s := feed(t, nil, typ, "1:a 1:b 2:a")
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		s.Ingest(event{key: "1", word: "z"})
		s.Ingest(event{key: "2", word: "z"})
		s.Ingest(event{key: "3", word: "z"})
	}))
	long, err := relational.NewPattern(&relational.PatternConfig[event, int]{Key: keyOf}, relational.Step[event, int]{
		Match: func(e event, n *int) bool { *n++; return e.word == "a" }, Max: -1, Greedy: true,
	})
	require.NoError(t, err)
	ever, err := relational.Define("ever", long.New, &relational.TypeConfig[event, *relational.Run[event, int]]{Key: eventKey, Skip: relational.OnePerKey})
	require.NoError(t, err)
	s = feed(t, nil, ever, "1:a")
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { s.Ingest(event{key: "1", word: "a"}) }), 2.0)
}

func TestResume(t *testing.T) {
	p, err := relational.NewPattern(&relational.PatternConfig[event, string]{Key: keyOf}, fits("a"), times(fits("b"), 2, 3), anyOrder(fits("c"), fits("d")), fits("e"))
	require.NoError(t, err)
	f := p.New()
	for i, word := range []string{"a", "b", "b", "d", "c", "e"} {
		require.False(t, f.Complete())
		g, err := p.Resume(f.Position(), f.State)
		require.NoError(t, err)
		require.Equal(t, f, g)
		require.Equal(t, i > 0, f.Position().Key == relational.Key{Value: "k"})
		require.True(t, g.Accept(event{key: "k", word: word}))
		f = g
	}
	require.True(t, f.Complete())
	require.Equal(t, "abbdce", f.State)
	for _, bad := range []relational.Position{{Step: -1}, {Step: 5}, {Step: 1, Count: 3}, {Step: 1, Count: -1}, {Step: 2, Done: 4}, {Step: 2, Done: 3}, {Step: 1, Done: 1}, {Step: 4, Count: 1}} {
		_, err := p.Resume(bad, "")
		require.Error(t, err, "%+v", bad)
	}
}

// plan is a pattern for which there is a second reading: which steps the events of a flow may have been taken for, told
// by what must hold of all of them together.
type plan struct {
	words    []string // of each step; of one in any order, a letter is a step
	least    []int
	most     []int
	greedy   []bool
	all      []bool
	guards   []string // letters that end a flow in front of a step, and behind the last
	steps    []letterStep
	needed   bool
	trailing bool
}

func newPlan(code string) *plan {
	p := &plan{guards: []string{""}}
	for len(code) > 0 && len(p.words) < 5 {
		op := code[0] & 15
		word := string("abcd"[code[0]>>4&3])
		code = code[1:]
		s := fits(word)
		least, most := 1, 1
		switch {
		case op < 4:
		case op < 6:
			s, least = optional(s), 0
		case op < 8:
			s, least = greedy(optional(s)), 0
		case op < 9:
			s, least, most = times(s, 2, 3), 2, 3
		case op < 10:
			s, most = times(s, 1, -1), 1<<30
		case op < 12:
			s, most = greedy(times(s, 1, 2)), 2
		case op < 14:
			if len(p.words) > 0 {
				p.steps = append(p.steps, not(s))
				p.guards[len(p.guards)-1] += word
			}
			continue
		default:
			other := string("dcba"[op&1])
			s, word, least, most = anyOrder(s, fits(other)), word+other, 2, 2
		}
		p.steps = append(p.steps, s)
		p.words, p.least, p.most = append(p.words, word), append(p.least, least), append(p.most, most)
		p.greedy, p.all = append(p.greedy, s.Greedy), append(p.all, s.All != nil)
		p.guards = append(p.guards, "")
		p.needed = p.needed || least > 0
	}
	p.trailing = p.guards[len(p.guards)-1] != ""
	return p
}

// taken is the events of a flow, each with its step.
type taken struct {
	steps []int
	words string
}

// possible reports whether events can have been taken so: steps in order, none with too many events, none passed over with
// too few.
func (p *plan) possible(steps []int) bool {
	count := make([]int, len(p.words))
	for i, k := range steps {
		if count[k]++; i > 0 && k < steps[i-1] || count[k] > p.most[k] {
			return false
		}
		for before := range k {
			if count[before] < p.least[before] && (!p.all[before] || count[before] != 2) {
				return false
			}
		}
	}
	return true
}

// may reports whether the next event may be one of a step.
func (p *plan) may(f *taken, k int) bool { return p.possible(append(slices.Clone(f.steps), k)) }

// full reports whether nothing that a flow needs is missing.
func (p *plan) full(f *taken) bool {
	for k := range p.words {
		if n := count(f.steps, k); n < p.least[k] {
			return false
		}
	}
	return true
}

func count(list []int, k int) (n int) {
	for _, x := range list {
		if x == k {
			n++
		}
	}
	return n
}

// wants reports whether a word is one of a step, and, in any order, still to come.
func (p *plan) wants(f *taken, k int, word string) bool {
	if !p.all[k] {
		return p.words[k] == word
	}
	left := strings.Split(p.words[k], "")
	for i, x := range f.steps {
		if x == k {
			at := slices.Index(left, f.words[i:i+1])
			left = slices.Delete(left, at, at+1)
		}
	}
	return slices.Contains(left, word)
}

// take returns the flow with one event more, or what else becomes of it.
func (p *plan) take(f *taken, word string) (next *taken, aborted bool) {
	last := 0
	if len(f.steps) > 0 {
		last = f.steps[len(f.steps)-1]
		for k := range p.words {
			if strings.Contains(p.guards[k], word) && k >= last && count(f.steps, k) == 0 && p.may(f, k) {
				return nil, true
			}
		}
		if p.full(f) && strings.Contains(p.guards[len(p.words)], word) {
			return nil, true
		}
	}
	var order []int
	for k := range p.words {
		order = append(order, k)
	}
	if len(f.steps) > 0 && !p.greedy[last] && !p.all[last] { // what follows goes before more of the same
		order = append(append(order[:last:last], order[last+1:]...), last)
	}
	for _, k := range order {
		if p.may(f, k) && p.wants(f, k, word) {
			return &taken{append(slices.Clone(f.steps), k), f.words + word}, false
		}
	}
	return f, false
}

// complete reports whether a flow ends when it is there.
func (p *plan) complete(f *taken) bool {
	last := f.steps[len(f.steps)-1]
	for k := last; k < len(p.words); k++ {
		if p.greedy[k] && count(f.steps, k) < p.most[k] {
			return false
		}
	}
	return p.full(f) && !p.trailing
}

// FuzzPattern: what a pattern finds, with keys and without, is what its plan says.
func FuzzPattern(f *testing.F) {
	f.Add("\x00\x10\x20", "a1b1c1a2b1c2")
	f.Add("\x00\x18\x2c\x30", "a1b1b1c1d1")
	f.Add("\x00\x0e\x2a\x1c", "a1a1d1c1c1b1")
	f.Add("\x04\x16\x20\x3c", "b1a1b1c1d1")
	f.Fuzz(func(t *testing.T, code, text string) {
		p := newPlan(code)
		if !p.needed || len(text) > 120 {
			return
		}
		for _, keyed := range []bool{false, true} {
			cfg, typ := relational.PatternConfig[event, string]{}, relational.TypeConfig[event, *letterRun]{}
			if keyed {
				cfg.Key, typ.Key = keyOf, eventKey
			}
			var got, want []string
			typ.OnMatch = func(m *relational.Match[event, *letterRun]) { got = append(got, "matched "+m.Flow.State) }
			typ.OnEnd = func(m *relational.Match[event, *letterRun]) { got = append(got, "ended "+m.Flow.State) }
			pattern, err := relational.NewPattern(&cfg, p.steps...)
			require.NoError(t, err)
			found, err := relational.Define("fuzz", pattern.New, &typ)
			require.NoError(t, err)
			s, err := relational.New(nil, found)
			require.NoError(t, err)
			type open struct {
				*taken
				key string
			}
			var flows []open
			for i := 0; i+1 < len(text); i += 2 {
				e := event{key: string("12"[text[i+1]&1]), word: string("abcde"[text[i]%5])}
				s.Ingest(e)
				var rest []open
				for _, x := range flows {
					next, aborted := x.taken, false
					if !keyed || x.key == e.key {
						next, aborted = p.take(x.taken, e.word)
					}
					switch {
					case aborted:
						want = append(want, "ended "+x.words+e.word)
					case next != x.taken && p.complete(next):
						want = append(want, "matched "+next.words)
					default:
						rest = append(rest, open{next, x.key})
					}
				}
				flows = rest
				if next, _ := p.take(&taken{}, e.word); len(next.steps) > 0 {
					if p.complete(next) {
						want = append(want, "matched "+next.words)
					} else {
						flows = append(flows, open{next, e.key})
					}
				}
				require.Equal(t, want, got, "after event %d", i/2)
			}
			s.Flush()
			for _, x := range flows {
				if p.full(x.taken) {
					want = append(want, "matched "+x.words)
				} else {
					want = append(want, "ended "+x.words)
				}
			}
			require.Equal(t, want, got)
		}
	})
}
