package tcpfollow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// hooked is a source that calls before each read.
type hooked struct {
	lender
	before func(reads int)
	reads  int
}

func (h *hooked) ReadBatch(b *packet.Batch) error {
	h.before(h.reads)
	h.reads++
	return h.lender.ReadBatch(b)
}

// outcome is what a run ended with.
type outcome struct {
	log   []string
	err   error
	panic any
}

// both follows frames with one follower and with n shards; try makes the handlers call it with every line. The bubble
// that each runs in fails the test when a goroutine is left behind.
func both(t *testing.T, n int, cfg tcpfollow.Config, src func(ctx context.Context, cancel func()) packet.Source, try func(text string)) (one, many outcome) {
	t.Helper()
	run := func(out *outcome, follow func(ctx context.Context, cancel func()) error) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			defer func() { out.panic = recover() }()
			out.err = follow(ctx, cancel)
		})
	}
	run(&one, func(ctx context.Context, cancel func()) error {
		cfg := cfg
		data, end := logger(&cfg, func(s *tcpfollow.TCPStream, text string) {
			try(text)
			one.log = append(one.log, fmt.Sprintf("#%d %s", s.ID(), text))
		})
		f, err := tcpfollow.New(data, end, &cfg)
		require.NoError(t, err)
		return f.Follow(ctx, src(ctx, cancel))
	})
	run(&many, func(ctx context.Context, cancel func()) error {
		newHandlers := func(cfg *tcpfollow.Config, emit func(string)) (data, end tcpfollow.StreamFunc) {
			return logger(cfg, func(_ *tcpfollow.TCPStream, text string) {
				try(text)
				emit(text)
			})
		}
		sink := func(stream uint64, text string) error {
			many.log = append(many.log, fmt.Sprintf("#%d %s", stream, text))
			return nil
		}
		_, err := tcpfollow.FollowInRounds(ctx, src(ctx, cancel), n, 50, newHandlers, sink, &cfg)
		return err
	})
	return one, many
}

func from(frames []packet.Frame, err error) func(context.Context, func()) packet.Source {
	return func(context.Context, func()) packet.Source { return &lender{frames: frames, size: 20, err: err} }
}

func nothing(string) {}

// However a run ends, sink has had what one follower would have come to, and the end is the same.
func TestShardedEnds(t *testing.T) {
	frames := crowd(5, 100)
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		src func(ctx context.Context, cancel func()) packet.Source
		cfg tcpfollow.Config
		try func(text string)
		// want is what comes out
		err   error
		panic any
	}{
		"source fails": {src: from(frames[:700], broken), try: nothing, err: broken},
		"cancelled": {
			src: func(_ context.Context, cancel func()) packet.Source {
				return &hooked{lender: lender{frames: frames, size: 20}, before: func(n int) {
					if n == 30 {
						cancel()
					}
				}}
			},
			try: nothing, err: context.Canceled,
		},
		"source panics": {
			src: func(context.Context, func()) packet.Source {
				return &hooked{lender: lender{frames: frames, size: 20}, before: func(n int) {
					if n == 30 {
						panic("source")
					}
				}}
			},
			try: nothing, panic: "source",
		},
		"error callback panics": {
			src: from(slices.Insert(slices.Clone(frames), 500, packet.Frame{Data: []byte{1}, Length: 1, Link: packet.LinkEthernet, Time: frames[499].Time}), nil),
			cfg: tcpfollow.Config{OnError: func(error) { panic("error callback") }},
			try: nothing, panic: "error callback",
		},
	} {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				one, many := both(t, n, test.cfg, test.src, test.try)
				require.Equal(t, one.log, many.log)
				require.NotEmpty(t, one.log)
				require.Equal(t, test.panic, one.panic)
				require.Equal(t, test.panic, many.panic)
				require.ErrorIs(t, one.err, test.err)
				require.ErrorIs(t, many.err, test.err)
			})
		}
	}
	whole, _ := both(t, 1, tcpfollow.Config{}, from(frames, nil), nothing)
	for _, what := range []string{"open ", "data ", "gap ", "conflict ", "urgent ", "End:fin", "End:timeout", "End:eof"} {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprintf("a handler panics at %s/%d", what, n), func(t *testing.T) {
				lines := slices.DeleteFunc(slices.Clone(whole.log), func(s string) bool { return !strings.Contains(s, what) })
				if what == "urgent " || what == "conflict " {
					lines = append(lines, "no such line")
				}
				_, bad, _ := strings.Cut(lines[len(lines)/2], " ")
				try := func(text string) {
					if text == bad {
						panic("handler: " + what)
					}
				}
				one, many := both(t, n, tcpfollow.Config{}, from(frames, nil), try)
				require.Equal(t, one.log, many.log)
				require.Equal(t, one.panic, many.panic)
				if bad != "such line" {
					require.Equal(t, "handler: "+what, one.panic)
				}
			})
		}
	}
}

func TestShardedSink(t *testing.T) {
	frames := crowd(6, 100)
	full := errors.New("full")
	for name, test := range map[string]struct {
		sink  func(calls int) error
		err   error
		panic any
	}{
		"fails":  {func(int) error { return full }, full, nil},
		"panics": {func(int) error { panic("sink") }, nil, "sink"},
	} {
		for _, n := range []int{1, 2, 8} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					calls := 0
					newHandlers := func(cfg *tcpfollow.Config, emit func(string)) (data, end tcpfollow.StreamFunc) {
						return logger(cfg, func(_ *tcpfollow.TCPStream, text string) { emit(text) })
					}
					sink := func(uint64, string) error {
						if calls++; calls == 100 {
							return test.sink(calls)
						}
						return nil
					}
					src := &lender{frames: slices.Repeat(frames, 20), size: 64}
					defer func() {
						require.Equal(t, test.panic, recover())
						require.Equal(t, 100, calls)
						require.Less(t, src.read, len(src.frames), "the rest was not read")
					}()
					totals, err := tcpfollow.FollowInRounds(context.Background(), src, n, 64, newHandlers, sink, nil)
					require.ErrorIs(t, err, test.err)
					require.NotZero(t, totals.Stats.Frames)
				})
			})
		}
	}
}

// A handler that ends its goroutine, as a failing test does, is an error and no deadlock.
func TestShardedExit(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			newHandlers := func(*tcpfollow.Config, func(int)) (data, end tcpfollow.StreamFunc) {
				return func(*tcpfollow.TCPStream) { runtime.Goexit() }, nil
			}
			_, err := tcpfollow.FollowSharded(context.Background(), &lender{frames: crowd(7, 20), size: 64}, n, newHandlers,
				func(uint64, int) error { return nil }, nil)
			require.EqualError(t, err, "follow: a handler ended its goroutine")
			exits := &hooked{lender: lender{frames: crowd(7, 20), size: 64}, before: func(int) { runtime.Goexit() }}
			_, err = tcpfollow.FollowSharded(context.Background(), exits, n, silent, func(uint64, int) error { return nil }, nil)
			require.EqualError(t, err, "follow: a source ended its goroutine")
		})
	}
}

func silent(*tcpfollow.Config, func(int)) (data, end tcpfollow.StreamFunc) { return nil, nil }

func TestShardedArguments(t *testing.T) {
	sink := func(uint64, int) error { return nil }
	src := &lender{err: io.EOF}
	for want, test := range map[string]struct {
		n   int
		cfg tcpfollow.Config
	}{
		"follow: 0 shards":  {0, tcpfollow.Config{}},
		"follow: -1 shards": {-1, tcpfollow.Config{}},
		"follow: an Engine belongs to one follower, and shards have one each": {2, tcpfollow.Config{Engine: reassemble.NewNative(nil)}},
		"config: negative History": {2, tcpfollow.Config{History: -1}},
	} {
		_, err := tcpfollow.FollowSharded(context.Background(), src, test.n, silent, sink, &test.cfg)
		require.EqualError(t, err, want)
	}
	breaks := func(cfg *tcpfollow.Config, _ func(int)) (data, end tcpfollow.StreamFunc) {
		cfg.Urgent = 99
		return nil, nil
	}
	_, err := tcpfollow.FollowSharded(context.Background(), src, 2, breaks, sink, nil)
	require.EqualError(t, err, "config: unknown Urgent 99")
	require.Zero(t, src.read)
	totals, err := tcpfollow.FollowSharded(context.Background(), &lender{frames: crowd(8, 30), size: 64}, 2, silent, sink, nil)
	require.NoError(t, err)
	require.NotZero(t, totals.Stats.Bytes, "also when nobody listens")
}

// Limits for all streams together are shared out.
func TestShardedLimits(t *testing.T) {
	frames := crowd(9, 200)
	for _, n := range []int{1, 2, 8} {
		totals, err := tcpfollow.FollowSharded(context.Background(), &lender{frames: frames, size: 64}, n, silent,
			func(uint64, int) error { return nil }, &tcpfollow.Config{Limits: tcpfollow.Limits{Connections: 16}})
		require.NoError(t, err)
		require.NotZero(t, totals.Stats.LimitConnections)
		require.True(t, totals.Stats.LimitsHit())
	}
}
