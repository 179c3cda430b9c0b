package relational_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/relational"
)

// many returns events of many keys: flows start, go on and end, thousands of them open.
func many(n int, seed uint64) []event {
	r := rand.New(rand.NewPCG(seed, 1))
	events := make([]event, n)
	for i := range events {
		events[i] = event{key: fmt.Sprint(r.IntN(n / 3)), word: "aaaabcbcx"[r.IntN(9):][:1], at: i/50 - r.IntN(3)*r.IntN(2)}
		if r.IntN(50) == 0 {
			events[i].key = ""
		}
	}
	return events
}

// outcomes returns a type, and what is reported of its flows: each with where it ended and began, to be sorted by.
func outcomes(t testing.TB, cfg relational.TypeConfig[event, *words]) (*relational.Type[event, *words], *[]reported) {
	t.Helper()
	var log []reported
	note := func(m *relational.Match[event, *words]) {
		log = append(log, reported{m.To, m.From, fmt.Sprint(m.Reason, m.Events, m.Start.Unix(), m.End.Unix())})
	}
	cfg.OnMatch, cfg.OnEnd = note, note
	typ, err := relational.Define("abc", func() *words { return &words{want: []string{"a", "b", "c"}} }, &cfg)
	require.NoError(t, err)
	return typ, &log
}

type reported struct {
	to, from uint64
	text     string
}

func inOrder(list []reported) []reported {
	slices.SortFunc(list, func(a, b reported) int { return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.from, b.from)) })
	return list
}

// TestSplit: how events are split over calls, batches and shards changes nothing; nor do unrelated events.
func TestSplit(t *testing.T) {
	events := many(40000, 7)
	for name, cfg := range map[string]relational.TypeConfig[event, *words]{
		"for ever":    {Key: eventKey},
		"within":      {Key: eventKey, Within: 300 * time.Second},
		"gap":         {Key: eventKey, MaxGap: 200 * time.Second},
		"one per key": {Key: eventKey, Skip: relational.OnePerKey},
		"newest":      {Key: eventKey, Skip: relational.Newest},
		"past last":   {Key: eventKey, Skip: relational.PastLast},
		"several keys": {Keys: func(e event, keys []relational.Key) []relational.Key {
			return append(keys, keyOf(e), relational.Key{Space: 2, Value: e.key})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			stream := &relational.Config[event]{Time: eventTime}
			typ, log := outcomes(t, cfg)
			s, err := relational.New(stream, typ)
			require.NoError(t, err)
			open := 0
			for _, e := range events {
				s.Ingest(e)
				open = max(open, typ.Open())
			}
			s.Flush()
			require.Greater(t, open, 1000)
			want, stats := inOrder(slices.Clone(*log)), s.Stats()
			matched := typ.Stats().Ended[relational.Matched]
			require.Greater(t, matched, uint64(100))

			typ, log = outcomes(t, cfg)
			s, err = relational.New(stream, typ)
			require.NoError(t, err)
			for rest, n := events, 1; len(rest) > 0; n = n*3%200 + 1 {
				n = min(n, len(rest))
				s.IngestAll(rest[:n])
				rest = rest[n:]
			}
			s.Flush()
			require.Equal(t, want, inOrder(*log))
			require.Equal(t, stats, s.Stats())

			if cfg.Key != nil { // without a key, every flow is offered them
				typ, log = outcomes(t, cfg)
				s, err = relational.New(stream, typ)
				require.NoError(t, err)
				for i, e := range events {
					s.Ingest(e)
					s.Ingest(event{key: fmt.Sprint("noise ", i), word: "b", at: e.at})
				}
				s.Flush()
				for i, x := range inOrder(*log) {
					require.Equal(t, want[i].text, x.text)
				}
				require.Len(t, *log, len(want))
			}

			var all []reported
			var logs []*[]reported
			sharded, err := relational.NewSharded(stream, 3, func(e event) string { return e.key }, func(int) ([]relational.AnyType[event], error) {
				typ, log := outcomes(t, cfg)
				logs = append(logs, log)
				return []relational.AnyType[event]{typ}, nil
			})
			require.NoError(t, err)
			sharded.IngestAll(events[:1000])
			for _, e := range events[1000:] {
				sharded.Ingest(e)
			}
			sharded.Flush()
			for _, log := range logs {
				require.NotEmpty(t, *log)
				all = append(all, *log...)
			}
			require.Equal(t, want, inOrder(all))
			require.Equal(t, stats, sharded.Stats())
		})
	}
}

// TestCallbackPanics: a panic of a callback is the caller's, and leaves nothing behind that later events would suffer from.
func TestCallbackPanics(t *testing.T) {
	matches := 0
	typ, err := relational.Define("abc", func() *words { return &words{want: []string{"a", "b"}} }, &relational.TypeConfig[event, *words]{
		Key: eventKey, OnMatch: func(m *relational.Match[event, *words]) {
			if matches++; m.Flow.key == "key 7" {
				panic("told to")
			}
		},
	})
	require.NoError(t, err)
	s, err := relational.New(nil, typ)
	require.NoError(t, err)
	var ends []event
	for i := range 10000 {
		s.Ingest(event{key: fmt.Sprint("key ", i), word: "a"})
		ends = append(ends, event{key: fmt.Sprint("key ", i), word: "b"})
	}
	require.PanicsWithValue(t, "told to", func() { s.IngestAll(ends) })
	s.Ingest(ends[9000])
	require.Equal(t, 9, matches)
	s.IngestAll(ends[8:])
	require.Equal(t, 10000, matches)
	require.Zero(t, typ.Open())
}

func TestSharded(t *testing.T) {
	var failures []error
	var logs []*[]string
	make2 := func(n int) (*relational.Sharded[event], error) {
		return relational.NewSharded(&relational.Config[event]{Time: eventTime, Reorder: 2 * time.Second, OnError: func(err error) { failures = append(failures, err) }}, n,
			func(e event) string { return e.key }, func(int) ([]relational.AnyType[event], error) {
				typ, log := pairs(t, &relational.TypeConfig[event, *words]{Key: eventKey, Within: 10 * time.Second}, "a", "panic")
				other, _ := pairs(t, nil, "a", "b")
				logs = append(logs, log)
				return []relational.AnyType[event]{typ, other}, nil
			})
	}
	s, err := make2(2)
	require.NoError(t, err)
	for _, e := range []event{{"1", "panic", 2}, {"1", "a", 1}, {"2", "a", 1}, {"3", "x", 9}} {
		s.Ingest(e)
	}
	s.Advance(time.Unix(20, 0))
	s.Flush()
	require.Len(t, failures, 1)
	require.EqualValues(t, 1, s.Stats().Panics)
	log := append(*logs[0], *logs[1]...)
	slices.Sort(log)
	require.Equal(t, []string{"expired [2:a]", "panicked [1:a]"}, log)
	s.Ingest(event{"2", "a", 21}) // it goes on after Flush
	s.Flush()
	require.Len(t, append(*logs[0], *logs[1]...), 3)

	_, err = make2(0)
	require.ErrorContains(t, err, "less than one shard")
	broken := fmt.Errorf("broken")
	_, err = relational.NewSharded[event](nil, 1, nil, func(int) ([]relational.AnyType[event], error) { return nil, broken })
	require.Equal(t, broken, err)
	_, err = relational.NewSharded(&relational.Config[event]{Reorder: -1}, 1, nil, nil)
	require.Error(t, err)
	typ, _ := pairs(t, nil)
	_, err = relational.NewSharded(nil, 2, nil, func(int) ([]relational.AnyType[event], error) { return []relational.AnyType[event]{typ}, nil })
	require.ErrorContains(t, err, "belongs to a stream")
}

func TestSkips(t *testing.T) {
	type config = relational.TypeConfig[event, *words]
	by := func(e event) string { return e.key[:1] }
	for name, tc := range map[string]struct {
		cfg    config
		events string
		log    []string
	}{
		"newest":                 {config{Key: eventKey, Skip: relational.Newest}, "1:a 2:a 1:a 1:b 2:b", []string{"dropped [1:a]", "matched [1:a 1:b]", "matched [2:a 2:b]"}},
		"newest, by partition":   {config{Key: eventKey, Skip: relational.Newest, Partition: by}, "1:a 12:a 2:a 1:b 12:b 2:b", []string{"dropped [1:a]", "matched [12:a 12:b]", "matched [2:a 2:b]"}},
		"one, by partition":      {config{Key: eventKey, Skip: relational.OnePerKey, Partition: by}, "1:a 12:a 2:a 12:b 1:b 2:b", []string{"matched [1:a 1:b]", "matched [2:a 2:b]"}},
		"past, by partition":     {config{Key: eventKey, Skip: relational.PastLast, Partition: by}, "1:a 12:a 2:a 1:b 12:b 2:b", []string{"matched [1:a 1:b]", "dropped [12:a]", "matched [2:a 2:b]"}},
		"one, without a key":     {config{Skip: relational.OnePerKey}, "1:a 2:a 2:b 1:b", []string{"matched [1:a 1:b]"}},
		"past last, and the end": {config{Skip: relational.PastLast}, "1:a 2:a 2:b 1:b", []string{"matched [2:a 2:b]", "dropped [1:a]"}},
		"the oldest makes room":  {config{Key: eventKey, MaxOpen: 1}, "1:a 2:a 1:b 2:b", []string{"dropped [1:a]", "matched [2:a 2:b]"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tc.cfg
			typ, log := pairs(t, &cfg)
			feed(t, nil, typ, tc.events)
			require.Equal(t, tc.log, *log)
		})
	}
}

// TestRejectNew: a start that is rejected leaves nothing behind.
func TestRejectNew(t *testing.T) {
	typ, log := pairs(t, &relational.TypeConfig[event, *words]{Key: eventKey, MaxOpen: 1, Policy: relational.RejectNew})
	feed(t, nil, typ, "1:a 2:a 1:b 2:b 2:a 2:b")
	require.Equal(t, []string{"matched [1:a 1:b]", "matched [2:a 2:b]"}, *log)
	require.EqualValues(t, 1, typ.Stats().Rejected)
}

// TestRestore: a stream that goes on where another one was ends as that one does.
func TestRestore(t *testing.T) {
	events := many(6000, 3)
	for name, cfg := range map[string]relational.TypeConfig[event, *words]{
		"keyed":       {Key: eventKey, Within: 90 * time.Second},
		"scanned":     {MaxGap: 20 * time.Second, MaxOpen: 500},
		"one per key": {Key: eventKey, Skip: relational.OnePerKey, MaxGap: 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			typ, log := outcomes(t, cfg)
			s, err := relational.New(&relational.Config[event]{Time: eventTime}, typ)
			require.NoError(t, err)
			s.IngestAll(events[:3000])
			require.Zero(t, s.Held())
			next, log2 := outcomes(t, cfg)
			s2, err := relational.New(&relational.Config[event]{Time: eventTime}, next)
			require.NoError(t, err)
			s2.Continue(s.Stats().Events, s.Now())
			var flows []relational.Restored[event, *words]
			for m := range typ.Incomplete() {
				f := *m.Flow
				m.Flow = &f
				x := relational.Restored[event, *words]{Match: m}
				if cfg.Key != nil {
					x.Keys, x.Partition = []relational.Key{{Value: f.key}}, relational.Key{Value: f.key}
				}
				flows = append(flows, x)
			}
			slices.Reverse(flows)
			require.NotEmpty(t, flows)
			require.NoError(t, next.Restore(flows))
			require.Equal(t, slices.Collect(typ.Incomplete()), slices.Collect(next.Incomplete()))
			before := len(*log)
			for _, x := range []*relational.Stream[event]{s, s2} {
				x.IngestAll(events[3000:])
				x.Flush()
			}
			require.Equal(t, (*log)[before:], *log2)
			require.Equal(t, s.Now(), s2.Now())
			require.Equal(t, s.Stats().Events, s2.Stats().Events)
			require.ErrorContains(t, next.Restore(nil), "has begun")
		})
	}
	typ, _ := outcomes(t, relational.TypeConfig[event, *words]{MaxOpen: 1})
	require.ErrorContains(t, typ.Restore(nil), "belongs to no stream")
	s, err := relational.New(nil, typ)
	require.NoError(t, err)
	require.True(t, s.Now().IsZero())
	one := relational.Restored[event, *words]{Match: &relational.Match[event, *words]{Flow: &words{want: []string{"a", "b"}}}}
	require.ErrorContains(t, typ.Restore([]relational.Restored[event, *words]{one, one}), "more flows")
	roomy, _ := outcomes(t, relational.TypeConfig[event, *words]{})
	_, err = relational.New(nil, roomy)
	require.NoError(t, err)
	require.ErrorContains(t, roomy.Restore([]relational.Restored[event, *words]{one, one}), "the same number")
}

// FuzzTable: flows that wait for several keys, and for other ones later, are found by them, in their order, whatever else is
// filed where.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\x00\x11\x22\x91\x80\x33\x92\xa1"), uint8(3))
	f.Add([]byte("\x00\x00\x00\x80\x80\x90\x01\x81"), uint8(1))
	f.Fuzz(fuzzTable)
}

func fuzzTable(t *testing.T, ops []byte, keys uint8) {
	n := int(keys)%40 + 1
	typ, err := relational.Define("roamer", func() *roamer { return &roamer{} }, &relational.TypeConfig[[3]int, *roamer]{
		Keys: func(e [3]int, keys []relational.Key) []relational.Key {
			if e[0] == 0 {
				return keys
			}
			return append(keys, relational.Key{Space: uint32(e[1] & 1), Value: fmt.Sprint(e[1])})
		},
	})
	require.NoError(t, err)
	s, err := relational.New(nil, typ)
	require.NoError(t, err)
	for i, op := range ops[:min(len(ops), 300)] {
		if op < 128 { // a start, which waits for two keys, or for any event
			s.Ingest([3]int{0, int(op) % n, int(op/3) % n})
			continue
		}
		key, to := int(op)%n, (int(op)+i)%n
		var want []int
		for m := range typ.Incomplete() {
			if f := m.Flow; f.any() || f.a == key || f.b == key {
				want = append(want, int(m.Seq))
			}
		}
		got := []int(nil)
		for m := range typ.Incomplete() {
			m.Flow.asked = false
		}
		s.Ingest([3]int{1, key, to})
		for m := range typ.Incomplete() {
			if m.Flow.asked {
				got = append(got, int(m.Seq))
			}
		}
		for m := range typ.Completed() {
			if m.To == s.Stats().Events-1 {
				got = append(got, int(m.Seq))
			}
		}
		slices.Sort(got)
		require.Equal(t, want, got)
	}
}

// roamer waits for two keys, or any event when they are equal and odd; an event moves it to others, or ends it.
type roamer struct {
	a, b  int
	begun bool
	done  bool
	asked bool
}

func (f *roamer) any() bool { return f.a == f.b && f.a&1 == 1 }

func (f *roamer) Accept(e [3]int) bool {
	if !f.begun {
		f.begun, f.a, f.b = e[0] == 0, e[1], e[2]
		return f.begun
	}
	f.asked = true
	if e[0] == 0 {
		return false
	}
	f.done = e[2]%5 == 0
	f.a, f.b = e[2], e[1]
	return true
}

func (f *roamer) Complete() bool { return f.done }

func (f *roamer) WaitsFor(keys []relational.Key) []relational.Key {
	if f.any() {
		return keys
	}
	for _, k := range []int{f.a, f.b} {
		keys = append(keys, relational.Key{Space: uint32(k & 1), Value: fmt.Sprint(k)})
	}
	return keys
}
