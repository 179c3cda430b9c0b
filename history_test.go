package tcpfollow_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

func TestHistory(t *testing.T) {
	type conversation = pktgen.Conversation
	seg := func(c *conversation, at int, data string) { c.Segment(client, packet.ACK, int64(at), []byte(data)) }
	for name, test := range map[string]struct {
		history    int
		limits     tcpfollow.Limits
		feed       func(c *conversation)
		want       []string // conflicts
		unverified uint64
		limited    uint64
	}{
		"none": {
			want:       []string{},
			feed:       func(c *conversation) { seg(c, 0, "abcdef"); seg(c, 0, "abXdef") },
			unverified: 6,
		},
		"all is there": {
			history: 10,
			feed:    func(c *conversation) { seg(c, 0, "abcdef"); seg(c, 1, "bXdef") },
			want:    []string{`#0 conflict client 2 "c" "X" false`},
		},
		"equal copies are no conflict": {
			want:    []string{},
			history: 10,
			feed:    func(c *conversation) { seg(c, 0, "abcdef"); seg(c, 0, "abcdef"); seg(c, 3, "def") },
		},
		"the last bytes": {
			history:    4,
			feed:       func(c *conversation) { seg(c, 0, "abc"); seg(c, 3, "def"); seg(c, 0, "aXXXef") },
			want:       []string{`#0 conflict client 2 "cd" "XX" false`},
			unverified: 2,
		},
		"a segment longer than the ring": {
			history:    4,
			feed:       func(c *conversation) { seg(c, 0, "abcdefghijklmn"); seg(c, 8, "iXklXn") },
			want:       []string{`#0 conflict client 12 "m" "X" false`},
			unverified: 2,
		},
		"across a gap": {
			history: 100,
			feed: func(c *conversation) {
				seg(c, 0, "abc")
				seg(c, 5, "fgh")
				c.Ack(server).Wait(2e9)
				seg(c, 8, "i")
				seg(c, 0, "XbcdefgX")
			},
			want:       []string{`#0 conflict client 0 "a" "X" false`, `#0 conflict client 7 "h" "X" false`},
			unverified: 2,
		},
		"after gaps that are not listed": {
			history: 100,
			limits:  tcpfollow.Limits{Gaps: 1},
			feed: func(c *conversation) {
				seg(c, 0, "abc")
				seg(c, 5, "fgh")
				seg(c, 10, "klm")
				c.Ack(server).Wait(2e9).Ack(server).Wait(2e9).Ack(server)
				seg(c, 13, "n")
				seg(c, 0, "abcdefghijklXn")
			},
			want:       []string{`#0 conflict client 12 "m" "X" false`},
			unverified: 2 + 8, // of the first gap, and of what lies in front of the second
		},
		"beyond what accumulates": {
			history:    4,
			limits:     tcpfollow.Limits{Payload: 3},
			feed:       func(c *conversation) { seg(c, 0, "abc"); seg(c, 3, "def"); seg(c, 6, "ghi"); seg(c, 0, "aXcdefgXi") },
			want:       []string{`#0 conflict client 1 "b" "X" false`, `#0 conflict client 7 "h" "X" false`},
			unverified: 2,
		},
		"no room": {
			history:    600,
			limits:     tcpfollow.Limits{TotalHistory: 2},
			feed:       func(c *conversation) { seg(c, 0, "abc"); seg(c, 0, "abX"); seg(c, 3, "d"); seg(c, 3, "e") },
			want:       []string{`#0 conflict client 2 "c" "X" false`, `#0 conflict client 3 "d" "e" false`},
			unverified: 1,
			limited:    1,
		},
		"room for less than was asked for": {
			history: 2000,
			limits:  tcpfollow.Limits{TotalHistory: 1100},
			feed: func(c *conversation) {
				seg(c, 0, strings.Repeat("a", 600))
				seg(c, 600, strings.Repeat("b", 600))
				seg(c, 0, strings.Repeat("a", 599)+"X"+strings.Repeat("b", 600))
			},
			want:       []string{`#0 conflict client 599 "a" "X" false`},
			unverified: 1200 - 1100,
			limited:    1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := (&conversation{ClientISN: 1<<32 - 5}).Open()
			test.feed(c)
			r := record(t, tcpfollow.Config{Incremental: test.limits.Payload == 0, History: test.history, Limits: test.limits})
			r.feed(c.Frames()...)
			r.close()
			require.Equal(t, test.want, slices.DeleteFunc(r.log, func(s string) bool { return !strings.Contains(s, "conflict") }))
			stats := r.follower.Stats()
			require.Equal(t, test.unverified, stats.Unverified)
			require.Equal(t, test.limited, stats.LimitHistory)
		})
	}
}

// conflicted returns a conversation in which many segments come again, changed or not.
func conflicted(seed uint64) pktgen.Trace {
	rnd := rand.New(rand.NewPCG(seed, 9))
	c := &pktgen.Conversation{MSS: 30 + rnd.IntN(60), ClientISN: uint32(-700 + int(seed))}
	trace := dialogue(c).Trace().Reorder(seed, 2)
	for range 12 {
		i := 3 + rnd.IntN(len(trace)-8)
		switch rnd.IntN(3) {
		case 0:
			trace = trace.Retransmit(i, i+1+rnd.IntN(5))
		case 1:
			trace = trace.Drop(i)
		default:
			trace = trace.Overlap(i, i+1+rnd.IntN(5), rnd.IntN(40)-20, text(rnd.IntN(90)))
		}
	}
	return trace
}

// With enough history, what is found is what comparing with all of the payload finds.
func TestHistoryFindsWhatPayloadFinds(t *testing.T) {
	var found, missed uint64
	for seed := range uint64(300) {
		frames := conflicted(seed).Frames()
		logs := [3]*recorder{}
		for i, cfg := range []tcpfollow.Config{{}, {Incremental: true, History: 5000}, {Incremental: true, History: 70}} {
			logs[i] = record(t, cfg)
			logs[i].feed(frames...)
			logs[i].close()
		}
		require.Equal(t, logs[0].log, logs[1].log, "seed %d", seed)
		all, some := logs[0].follower.Stats(), logs[2].follower.Stats()
		require.Equal(t, all.Unverified, logs[1].follower.Stats().Unverified)
		require.LessOrEqual(t, some.Conflicts, all.Conflicts)
		require.LessOrEqual(t, all.Conflicts-some.Conflicts, some.Unverified-all.Unverified, "what is not found was not compared")
		found, missed = found+all.Conflicts, missed+some.Unverified
	}
	require.NotZero(t, found)
	require.NotZero(t, missed)
}

// History takes what it is allowed to, and gives it back.
func TestHistoryMemory(t *testing.T) {
	const n, total = 1000, 8 << 20
	f, err := tcpfollow.New(nil, nil, &tcpfollow.Config{Incremental: true, History: 16 << 10, Limits: tcpfollow.Limits{TotalHistory: total}})
	require.NoError(t, err)
	data := text(40_000)
	before := heap()
	for i := range n {
		f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start, Flags: packet.SYN})
		f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start, Seq: 1, Flags: packet.ACK, Payload: data})
	}
	peak := heap() - before
	require.Greater(t, peak, int64(total*9/10))
	require.Less(t, peak, int64(total+2<<20))
	require.Equal(t, uint64(n-total/(16<<10)), f.Stats().LimitHistory)
	require.NoError(t, f.Close())
	require.Less(t, heap()-before, peak/8)
}

// Bytes that are compared with are copies: the caller's buffer is overwritten after each call, see recorder.feed.
func TestHistoryIsCopied(t *testing.T) {
	r := record(t, tcpfollow.Config{Incremental: true, History: 1000})
	c := (&pktgen.Conversation{}).Open().Client(text(300))
	c.Segment(client, packet.ACK, 0, text(300))
	r.feed(c.Frames()...)
	r.close()
	require.Zero(t, r.follower.Stats().Conflicts)
	require.Zero(t, r.follower.Stats().Unverified)
}
