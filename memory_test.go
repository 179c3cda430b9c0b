package tcpfollow_test

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// heap returns the bytes that are live.
func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

var web = netip.MustParseAddrPort("198.51.100.2:80")

func keyOf(i int) packet.FlowKey {
	src := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return packet.NewFlowKey(netip.AddrPortFrom(src, 1000), web, packet.ProtoTCP)
}

// Half-open connections cost a bounded amount, which comes back when they time out.
func TestHalfOpenConnections(t *testing.T) {
	const n = 200_000
	f, err := tcpfollow.New(nil, nil, nil)
	require.NoError(t, err)
	before := heap()
	for i := range n {
		if v := f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start, Flags: packet.SYN}); v != tcpfollow.Opened {
			require.Equal(t, tcpfollow.Opened, v)
		}
	}
	peak := heap() - before
	require.Less(t, peak, int64(n*400), "bytes for each")
	for s := range 70 {
		f.FeedSegment(keyOf(n), packet.TCP{Time: pktgen.Start + int64(s)*int64(time.Second), Flags: packet.ACK})
	}
	require.Equal(t, uint64(n), f.Stats().Ends[tcpfollow.EndTimeout])
	require.Less(t, heap()-before, peak/8)
	runtime.KeepAlive(f)
}

// What a user attaches costs a stream little more than itself.
func TestAttachedValues(t *testing.T) {
	const n = 20_000
	cost := func(attach bool) int64 {
		value := new(int)
		f, err := tcpfollow.New(nil, nil, &tcpfollow.Config{OnOpen: func(s *tcpfollow.TCPStream) {
			if attach {
				s.SetUser(value)
				require.Same(t, value, s.User())
			}
			require.Empty(t, s.ClientPayload())
			require.Empty(t, s.Gaps(client))
			require.False(t, s.Truncated(client))
		}})
		require.NoError(t, err)
		before := heap()
		for i := range n {
			f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start, Flags: packet.SYN})
		}
		defer runtime.KeepAlive(f)
		return heap() - before
	}
	require.Less(t, cost(true)-cost(false), int64(n*(24+40)), "and a handle")
}

// A batch may hold packets of connections that its first packet ends, and whose memory is given back with them.
func TestBatchOutlivesConnections(t *testing.T) {
	const n = 20_000
	f, err := tcpfollow.New(nil, nil, nil)
	require.NoError(t, err)
	for i := range n {
		f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start, Flags: packet.SYN})
	}
	var frames []packet.Frame
	for i := n; i > 0; i -= n / 20 {
		k := keyOf(i)
		frames = append(frames, pktgen.Segment(pktgen.Start+int64(time.Hour), k.Src(), k.Dst(), pktgen.TCP{Flags: packet.SYN}, nil))
	}
	f.FeedBatch(&packet.Batch{Frames: frames}, nil)
	require.Equal(t, uint64(n), f.Stats().Ends[tcpfollow.EndTimeout])
	require.Equal(t, uint64(n+20), f.Stats().Streams)
	require.NoError(t, f.Close())
}

// Streams with payload cost what they hold, which comes back when they end.
func TestPayloadMemoryReturns(t *testing.T) {
	const n, size = 2000, 10_000
	f, err := tcpfollow.New(nil, nil, nil)
	require.NoError(t, err)
	data := text(size)
	before := heap()
	for i := range n {
		f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start, Flags: packet.SYN})
		f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start, Seq: 1, Flags: packet.ACK, Payload: data})
		f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start, Seq: 1 + 2*size, Flags: packet.ACK, Payload: data})
	}
	peak := heap() - before
	require.Greater(t, peak, int64(n*2*size))
	require.NoError(t, f.Close())
	require.Less(t, heap()-before, peak/8)
	runtime.KeepAlive(f)
}

// With Limits.Connections, a flood takes no more than that many.
func TestFloodIsBounded(t *testing.T) {
	const limit = 2000
	f, err := tcpfollow.New(nil, nil, &tcpfollow.Config{Limits: tcpfollow.Limits{Connections: limit}})
	require.NoError(t, err)
	flood := func(from, to int) {
		for i := from; i < to; i++ {
			f.FeedSegment(keyOf(i), packet.TCP{Time: pktgen.Start + int64(i)*1000, Flags: packet.SYN})
		}
	}
	flood(0, limit)
	before := heap()
	flood(limit, 60*limit)
	require.Less(t, heap()-before, int64(4<<20))
	require.Equal(t, uint64(59*limit), f.Stats().LimitConnections)
	require.NoError(t, f.Close())
}

// One-byte segments behind a hole cost no more than their account says.
func TestTinySegmentsAreBounded(t *testing.T) {
	f, err := tcpfollow.New(nil, nil, &tcpfollow.Config{Incremental: true, Limits: tcpfollow.Limits{Segments: 1 << 20, Buffered: 1 << 30}})
	require.NoError(t, err)
	f.FeedSegment(keyOf(0), packet.TCP{Time: pktgen.Start, Flags: packet.SYN})
	before := heap()
	const n = 100_000
	for i := range uint32(n) {
		v := f.FeedSegment(keyOf(0), packet.TCP{Time: pktgen.Start, Seq: 10 + 2*i, Flags: packet.ACK, Payload: []byte{1}})
		if v != tcpfollow.Held {
			require.Equal(t, tcpfollow.Held, v)
		}
	}
	require.Less(t, heap()-before, int64(n*(4+160)))
	f.FeedSegment(keyOf(0), packet.TCP{Time: pktgen.Start + int64(time.Minute), Flags: packet.ACK, Seq: 1})
	require.NoError(t, f.Close())
	require.Equal(t, uint64(n), f.Stats().Bytes)
	require.Less(t, heap()-before, int64(1<<20))
	runtime.KeepAlive(f)
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	data := text(1000)
	key := keyOf(0)
	type order []uint32
	for name, order := range map[string]order{"in order": {0, 1}, "swapped": {1, 0}, "twice": {0, 0, 1, 0}} {
		t.Run("segments "+name, func(t *testing.T) {
			var seen int
			f, err := tcpfollow.New(func(s *tcpfollow.TCPStream) { seen += len(s.Chunk().Bytes) }, nil, &tcpfollow.Config{Incremental: true})
			require.NoError(t, err)
			f.FeedSegment(key, packet.TCP{Flags: packet.SYN})
			f.FeedSegment(key.Reverse(), packet.TCP{Seq: 0, Ack: 1, Flags: packet.SYN | packet.ACK})
			seq, now := uint32(1), pktgen.Start
			require.Zero(t, testing.AllocsPerRun(500, func() {
				for _, i := range order {
					f.FeedSegment(key, packet.TCP{Time: int64(now), Seq: seq + 1000*i, Ack: 1, Flags: packet.ACK, Payload: data})
				}
				seq += 2000
				now += 300_000_000
				f.FeedSegment(key.Reverse(), packet.TCP{Time: int64(now), Seq: 1, Ack: seq, Flags: packet.ACK})
			}))
			require.Equal(t, 501*2000, seen)
		})
	}
	c := (&pktgen.Conversation{MSS: 100}).Open()
	frames := c.Client(text(200_000)).Server(text(100_000)).Frames()
	feed := map[string]func(f *tcpfollow.TCPStreamFollower, fr []packet.Frame){
		"frames": func(f *tcpfollow.TCPStreamFollower, fr []packet.Frame) {
			for _, one := range fr {
				f.FeedFrame(one)
			}
		},
		"batches": func(f *tcpfollow.TCPStreamFollower, fr []packet.Frame) {
			f.FeedBatch(&packet.Batch{Frames: fr}, nil)
		},
	}
	for name, feed := range feed {
		t.Run(name, func(t *testing.T) {
			var seen int
			f, err := tcpfollow.New(func(s *tcpfollow.TCPStream) { seen += len(s.Chunk().Bytes) }, nil, &tcpfollow.Config{Incremental: true})
			require.NoError(t, err)
			feed(f, frames[:100])
			at := 100
			require.Zero(t, testing.AllocsPerRun(40, func() {
				feed(f, frames[at:at+64])
				at += 64
			}))
			feed(f, frames[at:])
			require.Equal(t, 300_000, seen)
		})
	}
}

// What a user keeps of a chunk is overwritten, and what a snapshot keeps is not; see also recorder.feed.
func TestChunksAreBorrowed(t *testing.T) {
	var kept, cloned []byte
	r := record(t, tcpfollow.Config{})
	r.onData = func(s *tcpfollow.TCPStream) {
		if s.Chunk().Offset == 0 && kept == nil {
			kept, cloned = s.Chunk().Bytes, s.Snapshot().ClientPayload
		}
	}
	r.feed(talk().Frames()...)
	require.Equal(t, byte(0xAA), kept[0], "a sub-slice of the frame, not a copy")
	require.Equal(t, byte('G'), cloned[0])
	r.close()
}
