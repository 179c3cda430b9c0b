package tcpfollow_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
)

// ticking is a source that lets time pass behind every so many frames, in the batch with them or in one of its own.
type ticking struct {
	frames []packet.Frame
	size   int // of a batch
	every  int
	alone  bool
	passes time.Duration
	read   int
	tick   bool // is due
}

func (s *ticking) ReadBatch(b *packet.Batch) error {
	b.Frames, b.Clock = b.Frames[:0], 0
	for !s.tick && len(b.Frames) < s.size && s.read < len(s.frames) {
		b.Frames = append(b.Frames, s.frames[s.read])
		s.read++
		s.tick = s.read%s.every == 0
	}
	if s.tick && (!s.alone || len(b.Frames) == 0) {
		b.Clock, s.tick = s.frames[s.read-1].Time+int64(s.passes), false
	}
	if len(b.Frames) == 0 && b.Clock == 0 {
		return io.EOF
	}
	return nil
}

// TestClock: what waits for time ends when a batch says that it has passed, and not before; time never goes back.
func TestClock(t *testing.T) {
	at := func(r *recorder, clock time.Duration) {
		start := r.follower.Packet().Time
		r.follower.FeedBatch(&packet.Batch{Clock: start + int64(clock)}, nil)
	}
	r := record(t, tcpfollow.Config{Timeouts: tcpfollow.Timeouts{Idle: 20 * time.Second}})
	frames := talk().Client([]byte("hello")).Frames()
	r.feed(frames...)
	seen := r.follower.Stats()
	at(r, 19*time.Second)
	require.Zero(t, r.follower.Stats().Ends[tcpfollow.EndTimeout])
	at(r, -time.Hour)
	at(r, 22*time.Second)
	at(r, time.Second)
	require.EqualValues(t, 1, r.follower.Stats().Ends[tcpfollow.EndTimeout])
	require.Equal(t, seen.Frames, r.follower.Stats().Frames, "time is no frame")
	r.close()
	require.Contains(t, strings.Join(r.log, "\n"), "end timeout")
}

// TestClockReentrant: a callback cannot let time pass.
func TestClockReentrant(t *testing.T) {
	var f *tcpfollow.TCPStreamFollower
	f, err := tcpfollow.New(func(*tcpfollow.TCPStream) {
		f.FeedBatch(&packet.Batch{Clock: 1 << 62}, nil)
	}, nil, nil)
	require.NoError(t, err)
	frames := talk().Client([]byte("hello")).Frames()
	f.FeedBatch(&packet.Batch{Frames: frames}, nil)
	require.Zero(t, f.Stats().Ends[tcpfollow.EndTimeout])
	f.FeedBatch(&packet.Batch{Clock: 1 << 62}, nil)
	require.EqualValues(t, 1, f.Stats().Ends[tcpfollow.EndTimeout])
}

// TestShardedClock: shards see the time pass where one follower does.
func TestShardedClock(t *testing.T) {
	cfg := tcpfollow.Config{Timeouts: tcpfollow.Timeouts{
		Idle: 3 * time.Second, Handshake: 2 * time.Second, HalfClosed: time.Second, Linger: time.Second, Hole: time.Second,
	}}
	for _, passes := range []time.Duration{900 * time.Millisecond, 4 * time.Second} {
		for _, every := range []int{1, 7, 100} {
			frames := crowd(5, 60)
			follow := func(alone bool, w way) (log []string, totals tcpfollow.Totals) {
				src := &ticking{frames: frames, size: w.batch, every: every, alone: alone, passes: passes}
				newHandlers := func(cfg *tcpfollow.Config, emit func(string)) (data, end tcpfollow.StreamFunc) {
					return logger(cfg, func(_ *tcpfollow.TCPStream, text string) { emit(text) })
				}
				sink := func(stream uint64, text string) error {
					log = append(log, fmt.Sprintf("#%d %s", stream, text))
					return nil
				}
				totals, err := tcpfollow.FollowInRounds(context.Background(), src, w.shards, w.round, newHandlers, sink, &cfg)
				require.NoError(t, err)
				return log, totals
			}
			var want []string
			own := cfg
			data, end := logger(&own, func(s *tcpfollow.TCPStream, text string) { want = append(want, fmt.Sprintf("#%d %s", s.ID(), text)) })
			f, err := tcpfollow.New(data, end, &own)
			require.NoError(t, err)
			require.NoError(t, f.Follow(t.Context(), &ticking{frames: frames, size: 64, every: every, passes: passes}))
			require.NotZero(t, f.Stats().Ends[tcpfollow.EndTimeout])
			for i, w := range everyWay {
				log, totals := follow(i%2 == 0, w)
				require.Equal(t, strings.Join(want, "\n"), strings.Join(log, "\n"), "%+v", w)
				require.Equal(t, f.Stats(), totals.Stats)
			}
		}
	}
}
