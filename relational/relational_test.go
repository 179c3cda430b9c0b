package relational_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/relational"
)

// event is one of a key, with a word that says what it is.
type event struct {
	key, word string
	at        int // seconds
}

func (e event) String() string { return e.key + ":" + e.word }

func eventTime(e event) time.Time { return time.Unix(int64(e.at), 0) }

func eventKey(e event) (string, bool) { return e.key, e.key != "" }

// words is a flow of words with one key, in order.
type words struct {
	want []string
	key  string
	at   int
}

func (f *words) Accept(e event) bool {
	if f.at >= len(f.want) || e.word != f.want[f.at] || f.at > 0 && e.key != f.key {
		return false
	}
	if e.word == "panic" {
		panic("told to")
	}
	f.key = e.key
	f.at++
	return true
}

func (f *words) Complete() bool { return f.at == len(f.want) }

// pairs returns a type of flows "a b", and what is reported of them.
func pairs(t *testing.T, cfg *relational.TypeConfig[event, *words], want ...string) (*relational.Type[event, *words], *[]string) {
	t.Helper()
	if len(want) == 0 {
		want = []string{"a", "b"}
	}
	var log []string
	if cfg == nil {
		cfg = &relational.TypeConfig[event, *words]{}
	}
	note := func(m *relational.Match[event, *words]) {
		log = append(log, fmt.Sprintf("%v %v", m.Reason, m.Events))
	}
	cfg.OnMatch, cfg.OnEnd = note, note
	typ, err := relational.Define("pairs", func() *words { return &words{want: want} }, cfg)
	require.NoError(t, err)
	return typ, &log
}

func feed(t *testing.T, cfg *relational.Config[event], typ relational.AnyType[event], text string) *relational.Stream[event] {
	t.Helper()
	s, err := relational.New(cfg, typ)
	require.NoError(t, err)
	for i, f := range strings.Fields(text) {
		var e event
		e.at = i
		if f, at, ok := strings.Cut(f, "@"); ok {
			_, err := fmt.Sscan(at, &e.at)
			require.NoError(t, err)
			e.key, e.word, _ = strings.Cut(f, ":")
		} else {
			e.key, e.word, _ = strings.Cut(f, ":")
		}
		s.Ingest(e)
	}
	return s
}

func TestPolicies(t *testing.T) {
	type config = relational.TypeConfig[event, *words]
	for name, tc := range map[string]struct {
		cfg    config
		want   []string // the flow's words
		events string
		log    []string
	}{
		"keyed":            {config{Key: eventKey}, nil, "1:a 2:a 2:b 1:b :b", []string{"matched [2:a 2:b]", "matched [1:a 1:b]"}},
		"unkeyed":          {config{}, nil, "1:a 2:a 2:b 1:b", []string{"matched [2:a 2:b]", "matched [1:a 1:b]"}},
		"several starts":   {config{Key: eventKey}, nil, "1:a 1:a 1:b", []string{"matched [1:a 1:b]", "matched [1:a 1:b]"}},
		"past last":        {config{Key: eventKey, Skip: relational.PastLast}, nil, "1:a 1:a 1:b 1:a 1:b", []string{"matched [1:a 1:b]", "dropped [1:a 1:b]", "matched [1:a 1:b]"}},
		"one per key":      {config{Key: eventKey, Skip: relational.OnePerKey}, nil, "1:a 1:a 2:a 1:b 2:b", []string{"matched [1:a 1:b]", "matched [2:a 2:b]"}},
		"within":           {config{Key: eventKey, Within: 5 * time.Second}, nil, "1:a@0 2:a@4 1:b@6 2:b@9", []string{"expired [1:a]", "matched [2:a 2:b]"}},
		"gap":              {config{Key: eventKey, MaxGap: 5 * time.Second}, []string{"a", "b", "c"}, "1:a@0 2:a@1 1:b@4 2:b@7 1:c@9", []string{"expired [2:a]", "matched [1:a 1:b 1:c]"}},
		"drop oldest":      {config{Key: eventKey, MaxOpen: 2}, nil, "1:a 2:a 3:a 1:b 3:b", []string{"dropped [1:a]", "matched [3:a 3:b]"}},
		"reject new":       {config{Key: eventKey, MaxOpen: 2, Policy: relational.RejectNew}, nil, "1:a 2:a 3:a 3:b 1:b", []string{"matched [1:a 1:b]"}},
		"events dropped":   {config{Key: eventKey, DropEvents: true}, nil, "1:a 1:b", []string{"matched []"}},
		"a flow panics":    {config{Key: eventKey}, []string{"a", "panic", "b"}, "1:a 2:a 1:panic 2:b 1:a", []string{"panicked [1:a]"}},
		"the start panics": {config{Key: eventKey}, []string{"panic", "b"}, "1:panic 1:b", nil},
		"one event only":   {config{Key: eventKey}, []string{"a"}, "1:a 1:a", []string{"matched [1:a]", "matched [1:a]"}},
		"several keys": {
			config{Keys: func(e event, keys []relational.Key) []relational.Key {
				return append(keys, relational.Key{Value: e.key}, relational.Key{Space: 1, Value: e.key}, relational.Key{Value: e.key})
			}}, nil, "1:a 1:b", []string{"matched [1:a 1:b]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tc.cfg
			typ, log := pairs(t, &cfg, tc.want...)
			var failures []error
			s := feed(t, &relational.Config[event]{Time: eventTime, OnError: func(err error) { failures = append(failures, err) }}, typ, tc.events)
			require.Equal(t, tc.log, *log)
			st := typ.Stats()
			require.EqualValues(t, len(failures), s.Stats().Panics)
			require.Equal(t, strings.Contains(name, "panics"), len(failures) > 0)
			require.Equal(t, name == "drop oldest" || name == "reject new", st.LimitOpen > 0)
			require.Equal(t, name == "one per key" || name == "reject new", st.Rejected > 0)
			ended := uint64(0)
			for _, n := range st.Ended {
				ended += n
			}
			require.EqualValues(t, st.Started-ended, typ.Open(), "every flow is open, or has ended")
			s.Flush()
			require.Zero(t, typ.Open())
		})
	}
}

func TestFlushAndAdvance(t *testing.T) {
	typ, log := pairs(t, &relational.TypeConfig[event, *words]{Key: eventKey, Within: time.Minute})
	s := feed(t, &relational.Config[event]{Time: eventTime}, typ, "1:a 2:a")
	s.Advance(time.Unix(60, 0))
	require.Empty(t, *log)
	s.Advance(time.Unix(61, 0))
	s.Advance(time.Unix(5, 0))
	require.Equal(t, []string{"expired [1:a]"}, *log)
	s.Flush()
	require.Equal(t, []string{"expired [1:a]", "flushed [2:a]"}, *log)
}

func TestReorder(t *testing.T) {
	typ, log := pairs(t, &relational.TypeConfig[event, *words]{Key: eventKey})
	s := feed(t, &relational.Config[event]{Time: eventTime, Reorder: 5 * time.Second}, typ, "1:b@3 1:a@1 2:x@9 1:b@2 3:x@20")
	require.Equal(t, []string{"matched [1:a 1:b]"}, *log)
	require.EqualValues(t, 1, s.Stats().Late, "1:b@2 came when it was 4 already")
	s.Flush()
	typ, log = pairs(t, &relational.TypeConfig[event, *words]{Key: eventKey})
	s = feed(t, &relational.Config[event]{Time: eventTime, Reorder: time.Hour, MaxReorder: 2}, typ, "1:b@3 1:a@1 2:x@9 3:x@10")
	require.EqualValues(t, 2, s.Stats().LimitReorder)
	require.Equal(t, []string{"matched [1:a 1:b]"}, *log)
	typ, log = pairs(t, &relational.TypeConfig[event, *words]{Key: eventKey, Within: 3 * time.Second})
	s = feed(t, &relational.Config[event]{Time: eventTime, Reorder: 5 * time.Second}, typ, "1:a@3")
	s.Advance(time.Unix(10, 0))
	s.Ingest(event{"1", "b", 6})
	s.Advance(time.Unix(12, 0))
	require.Equal(t, []string{"matched [1:a 1:b]"}, *log, "what may still come late is waited for")
	require.Zero(t, s.Stats().Late)
	_, err := relational.New(&relational.Config[event]{Reorder: time.Second})
	require.Error(t, err, "without Time")
}

// login waits for another key at each step: the host, then the token that the host gave.
type login struct {
	host, token string
	at          int
}

func (f *login) Accept(e event) bool {
	switch word, arg, _ := strings.Cut(e.word, "="); {
	case f.at == 0 && word == "form":
		f.host = e.key
	case f.at == 1 && word == "token" && e.key == f.host:
		f.token = arg
	case f.at == 2 && word == "post" && e.key == f.token:
	default:
		return false
	}
	f.at++
	return true
}

func (f *login) Complete() bool     { return f.at == 3 }
func (f *login) Abort(e event) bool { return e.word == "logout" && e.key == f.host }
func (f *login) Expire() bool       { return f.at == 2 && f.host == "patient" }

func (f *login) WaitsFor(keys []relational.Key) []relational.Key {
	if f.at == 1 {
		return append(keys, relational.Key{Value: f.host})
	}
	return append(keys, relational.Key{Value: f.token})
}

var (
	_ relational.Waiter         = (*login)(nil)
	_ relational.Aborter[event] = (*login)(nil)
	_ relational.Expirer        = (*login)(nil)
)

func TestWaiterAborterExpirer(t *testing.T) {
	var log []string
	note := func(m *relational.Match[event, *login]) { log = append(log, fmt.Sprintf("%v %v", m.Reason, m.Events)) }
	typ, err := relational.Define("login", func() *login { return &login{} }, &relational.TypeConfig[event, *login]{
		Key: eventKey, OnMatch: note, OnEnd: note,
	})
	require.NoError(t, err)
	s := feed(t, nil, typ, "h:form i:form h:token=7 i:token=8 9:post 8:post h:other 7:post j:form j:logout patient:form patient:token=5 k:form")
	require.Equal(t, []string{"matched [i:form i:token=8 8:post]", "matched [h:form h:token=7 7:post]", "aborted [j:form]"}, log)
	s.Flush()
	require.Equal(t, []string{"matched [patient:form patient:token=5]", "flushed [k:form]"}, log[3:])
}

func TestSnapshots(t *testing.T) {
	typ, err := relational.Define("pairs", func() *words { return &words{want: []string{"a", "b"}} }, &relational.TypeConfig[event, *words]{Keep: 2})
	require.NoError(t, err)
	s := feed(t, &relational.Config[event]{Time: eventTime}, typ, "1:a 1:b 2:a 2:b 3:a 3:b 4:a")
	done := slices.Collect(typ.Completed())
	require.Len(t, done, 2)
	require.EqualValues(t, 1, typ.Stats().Forgotten)
	require.Equal(t, "2", done[0].Events[0].key)
	require.Equal(t, time.Unix(2, 0).UTC(), done[0].Start)
	require.Equal(t, time.Unix(3, 0).UTC(), done[0].End)
	require.EqualValues(t, 1, done[0].Seq)
	done[0].Events[0].key = "changed"
	require.Equal(t, "2", slices.Collect(typ.Completed())[0].Events[0].key)
	open := slices.Collect(typ.Incomplete())
	require.Len(t, open, 1)
	for range typ.Completed() {
		break
	}
	_, err = relational.New(nil, relational.AnyType[event](typ))
	require.ErrorContains(t, err, "belongs to a stream")
	require.Equal(t, "pairs", typ.Name())
	require.EqualValues(t, 7, s.Stats().Events)
}

// TestMatches: matches are handed out as they are found, those of the end of the events too.
func TestMatches(t *testing.T) {
	typ, err := relational.Define("login", func() *login { return &login{} }, &relational.TypeConfig[event, *login]{Key: eventKey, Keep: -1})
	require.NoError(t, err)
	_, err = relational.New(nil, typ)
	require.NoError(t, err)
	taken := 0
	events := func(words ...string) func(func(event) bool) {
		return func(yield func(event) bool) {
			for _, w := range words {
				key, word, _ := strings.Cut(w, ":")
				if taken++; !yield(event{key: key, word: word}) {
					return
				}
			}
		}
	}
	var got []string
	for m := range typ.Matches(events("h:form", "h:token=7", "7:post", "patient:form", "patient:token=5", "k:form")) {
		got = append(got, fmt.Sprint(taken, m.Events))
	}
	require.Equal(t, []string{"3 [h:form h:token=7 7:post]", "6 [patient:form patient:token=5]"}, got)
	require.Empty(t, slices.Collect(typ.Completed()))
	taken = 0
	for range typ.Matches(events("h:form", "h:token=7", "7:post", "i:form")) {
		break
	}
	require.Equal(t, 3, taken, "what comes behind is not asked for")
	require.Zero(t, typ.Open())
}

func TestDefineRefuses(t *testing.T) {
	type config = relational.TypeConfig[event, *words]
	for _, cfg := range []config{{MaxOpen: -1}, {MaxOpen: 1<<30 + 1}, {Within: -1}, {MaxGap: -1}, {Key: eventKey, Keys: func(_ event, keys []relational.Key) []relational.Key { return keys }}} {
		_, err := relational.Define("x", func() *words { return nil }, &cfg)
		require.Error(t, err)
	}
	require.Equal(t, "matched expired dropped aborted panicked flushed unknown", fmt.Sprint(
		relational.Matched, relational.Expired, relational.Dropped, relational.Aborted, relational.Panicked, relational.Flushed, relational.Reason(99)))
}

// An event that concerns no flow costs no allocation, one that advances a flow two at most.
func TestAllocations(t *testing.T) {
	typ, err := relational.Define("pairs", func() *words { return &words{want: []string{"a", "b"}} }, &relational.TypeConfig[event, *words]{Key: eventKey, Keep: -1})
	require.NoError(t, err)
	s := feed(t, nil, typ, "1:a 2:a")
	require.Zero(t, testing.AllocsPerRun(1000, func() { s.Ingest(event{key: "7", word: "b"}) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { s.Ingest(event{key: "1", word: "x"}) }))
	long, err := relational.Define("long", func() *words { return &words{want: slices.Repeat([]string{"a"}, 1<<16)} }, &relational.TypeConfig[event, *words]{
		Key: eventKey, Skip: relational.OnePerKey,
	})
	require.NoError(t, err)
	s = feed(t, nil, long, "1:a")
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { s.Ingest(event{key: "1", word: "a"}) }), 2.0)
}

// reference is the slow way: every flow is asked about every event.
func reference(events []event, want []string, keyed bool) (completed, open []string) {
	type flow struct {
		words
		events []event
	}
	var flows []*flow
	for _, e := range events {
		if keyed && e.key == "" {
			continue
		}
		var rest []*flow
		for _, f := range flows {
			if f.Accept(e) {
				if f.events = append(f.events, e); f.Complete() {
					completed = append(completed, fmt.Sprint(f.events))
					continue
				}
			}
			rest = append(rest, f)
		}
		flows = rest
		if f := (&flow{words: words{want: want}}); f.Accept(e) {
			if f.events = append(f.events, e); f.Complete() {
				completed = append(completed, fmt.Sprint(f.events))
			} else {
				flows = append(flows, f)
			}
		}
	}
	for _, f := range flows {
		open = append(open, fmt.Sprint(f.events))
	}
	return completed, open
}

// Keyed or not, what is found is what the slow way finds; unrelated events change nothing.
func FuzzStream(f *testing.F) {
	f.Add("a1b1a2b2", "ab")
	f.Add("a1a1b1c1z9c1a0b0", "abc")
	f.Add("aaaaaa", "aa")
	f.Fuzz(func(t *testing.T, text, pattern string) {
		if len(pattern) == 0 || len(pattern) > 6 || len(text) > 200 {
			return
		}
		want := strings.Split(pattern, "")
		var events, noisy []event
		for i := 0; i+1 < len(text); i += 2 {
			e := event{key: strings.Trim(text[i+1:i+2], "0"), word: text[i : i+1]}
			events = append(events, e)
			noisy = append(noisy, e, event{key: "noise", word: "\x00none"})
		}
		for _, keyed := range []bool{false, true} {
			completed, open := reference(events, want, keyed)
			for _, list := range [][]event{events, noisy} {
				cfg := &relational.TypeConfig[event, *words]{}
				if keyed {
					cfg.Key = eventKey
				}
				typ, err := relational.Define("fuzz", func() *words { return &words{want: want} }, cfg)
				require.NoError(t, err)
				s, err := relational.New(nil, typ)
				require.NoError(t, err)
				for _, e := range list {
					s.Ingest(e)
				}
				var got, still []string
				for m := range typ.Completed() {
					got = append(got, fmt.Sprint(m.Events))
				}
				for m := range typ.Incomplete() {
					still = append(still, fmt.Sprint(m.Events))
				}
				require.Equal(t, completed, got)
				require.Equal(t, open, still)
			}
		}
	})
}

// BenchmarkIngest: events that advance open flows, each another one, in no order.
func BenchmarkIngest(b *testing.B) {
	for _, open := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("open %d", open), func(b *testing.B) {
			typ, err := relational.Define("three", func() *steps { return &steps{} }, &relational.TypeConfig[event, *steps]{
				Key: eventKey, Keep: -1, MaxOpen: 1 << 21, DropEvents: true,
			})
			require.NoError(b, err)
			s, err := relational.New(nil, typ)
			require.NoError(b, err)
			const n = 1 << 20
			var text strings.Builder
			events := make([]event, n) // what is read of a wire lies in a row: so do the keys
			ends := make([]int, n)
			at := make([]int, open)
			r := rand.New(rand.NewPCG(1, 2))
			for i := range open {
				s.Ingest(event{key: fmt.Sprint("key ", i), word: "a"})
			}
			for i := range events {
				k := r.IntN(open)
				fmt.Fprint(&text, "key ", k)
				ends[i] = text.Len()
				at[k] = (at[k] + 1) % 3
				events[i].word = "abc"[at[k] : at[k]+1]
			}
			all, from := text.String(), 0
			for i, to := range ends {
				events[i].key, from = all[from:to], to
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				s.IngestAll(events[i : i+64])
				i = (i + 64) % n
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/64, "ns/event")
		})
	}
}

// steps is a flow of a, b and c.
type steps struct{ at int }

func (f *steps) Accept(e event) bool {
	if f.at > 2 || e.word != "abc"[f.at:f.at+1] {
		return false
	}
	f.at++
	return true
}

func (f *steps) Complete() bool { return f.at == 3 }
