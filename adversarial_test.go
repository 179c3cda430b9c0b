package tcpfollow_test

import (
	"context"
	"hash/fnv"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// What senders can do to a follower, and what it may cost. Memory is what counts: time shows in benchmarks.

// feeder returns a follower and what feeds it segments of one direction of a connection.
func feeder(t testing.TB, cfg tcpfollow.Config) (*tcpfollow.TCPStreamFollower, func(key packet.FlowKey, seq uint32, flags packet.TCPFlags, data []byte) tcpfollow.Verdict) {
	t.Helper()
	f, err := tcpfollow.New(nil, nil, &cfg)
	require.NoError(t, err)
	now := int64(pktgen.Start)
	return f, func(key packet.FlowKey, seq uint32, flags packet.TCPFlags, data []byte) tcpfollow.Verdict {
		now += 1000
		return f.FeedSegment(key, packet.TCP{Time: now, Seq: seq, Flags: flags, Payload: data})
	}
}

// Many connections that each hoard segments behind a hole get no more than all of them may.
func TestHoardedHoles(t *testing.T) {
	const total, size = 8 << 20, 1000
	f, feed := feeder(t, tcpfollow.Config{Incremental: true, Limits: tcpfollow.Limits{TotalBuffered: total, Segments: 1 << 20}})
	data := text(size)
	before := heap()
	for i := range 100 {
		key := keyOf(i)
		feed(key, 0, packet.SYN, nil)
		for k := range uint32(500) {
			feed(key, 10+k*(size+10), packet.ACK, data)
		}
	}
	require.NotZero(t, f.Stats().LimitTotal)
	require.Less(t, heap()-before, int64(total*3/2))
	require.NoError(t, f.Close())
	require.Equal(t, uint64(100*500*size), f.Stats().Bytes, "no byte was lost")
	require.Less(t, heap()-before, int64(2<<20))
	runtime.KeepAlive(f)
}

// One byte, then a hole of one byte: what is held counts for more than its bytes.
func TestTinyHoles(t *testing.T) {
	const buffered = 1 << 20
	f, feed := feeder(t, tcpfollow.Config{Incremental: true, Limits: tcpfollow.Limits{Segments: 1 << 30}})
	before := heap()
	for i := range 20 {
		feed(keyOf(i), 0, packet.SYN, nil)
		for k := range uint32(50_000) {
			feed(keyOf(i), 3+2*k, packet.ACK, []byte{1})
		}
	}
	require.NotZero(t, f.Stats().LimitBuffered)
	require.Less(t, heap()-before, int64(20*buffered*5/2))
	require.NoError(t, f.Close())
	require.Equal(t, uint64(20*50_000), f.Stats().Bytes)
}

// A segment that is sent 50,000 times, held or delivered, is held once.
func TestRepeatedSegments(t *testing.T) {
	f, feed := feeder(t, tcpfollow.Config{Incremental: true, History: 4000, Limits: tcpfollow.Limits{Segments: 1 << 30}})
	key, data := keyOf(0), text(1400)
	feed(key, 0, packet.SYN, nil)
	feed(key, 1, packet.ACK, data)
	for k := range uint32(40) {
		feed(key, 1+3000+k*3000, packet.ACK, data)
	}
	before := heap()
	for range 50_000 / 40 {
		for k := range uint32(40) {
			require.NotEqual(t, tcpfollow.Data, feed(key, 1+3000+k*3000, packet.ACK, data))
		}
	}
	for range 50_000 {
		feed(key, 1, packet.ACK, data)
	}
	require.Less(t, heap()-before, int64(100<<10))
	require.Zero(t, f.Stats().Gaps)
	require.Zero(t, f.Stats().Conflicts)
	require.Zero(t, f.Stats().Unverified)
	require.NoError(t, f.Close())
	require.Equal(t, uint64(41*1400), f.Stats().Bytes)
}

// Sequence numbers that jump by half the space are no gap of two gigabytes, and hold nothing.
func TestJumps(t *testing.T) {
	f, feed := feeder(t, tcpfollow.Config{Incremental: true})
	data := text(1400)
	before := heap()
	for i := range 500 {
		key := keyOf(i)
		feed(key, 0, packet.SYN, nil)
		feed(key, 1, packet.ACK, data[:10])
		for k := range uint32(100) {
			jump := []uint32{1 << 31, 1<<31 - 1, 1<<31 + 1, 1 << 30, 3 << 30}[k%5] + k*7919
			feed(key, 11+jump, packet.ACK, data)
		}
		require.Equal(t, tcpfollow.Data, feed(key, 11, packet.ACK, data[:10]))
	}
	require.Less(t, heap()-before, int64(500*(1<<12)))
	require.NoError(t, f.Close())
	require.Equal(t, uint64(500*20), f.Stats().Bytes)
	require.Zero(t, f.Stats().Gaps)
	require.NotZero(t, f.Stats().Verdicts[tcpfollow.OutOfWindow])
}

// A million connections that are never answered take what Limits.Connections allows; with shards, each its share.
func TestSYNFlood(t *testing.T) {
	const n, limit = 1_000_000, 50_000
	cfg := tcpfollow.Config{Limits: tcpfollow.Limits{Connections: limit}}
	f, feed := feeder(t, cfg)
	before := heap()
	for i := range n {
		feed(keyOf(i), uint32(i), packet.SYN, nil)
	}
	require.Less(t, heap()-before, int64(limit*500))
	require.Equal(t, uint64(n-limit), f.Stats().LimitConnections)
	require.Equal(t, uint64(n), f.Stats().Streams)
	require.NoError(t, f.Close())

	flood := &synthetic{n: n / 10, make: func(i int) packet.Frame {
		k := keyOf(i)
		return pktgen.Segment(pktgen.Start+int64(i), k.Src(), k.Dst(), pktgen.TCP{Seq: uint32(i), Flags: packet.SYN}, nil)
	}}
	before = heap()
	peak := int64(0)
	flood.batch = func(i int) {
		if i%20_000 == 0 {
			peak = max(peak, heap()-before)
		}
	}
	totals, err := tcpfollow.FollowSharded(context.Background(), flood, 4, silent, func(uint64, int) error { return nil }, &tcpfollow.Config{
		Limits: tcpfollow.Limits{Connections: limit / 10},
	})
	require.NoError(t, err)
	require.Equal(t, uint64(n/10), totals.Stats.Streams)
	require.Greater(t, totals.Stats.LimitConnections, uint64(n/10-limit/10-1))
	require.Less(t, peak, int64(limit/10*500+8<<20))
}

// synthetic is a source of frames made as they are read.
type synthetic struct {
	n, at int
	make  func(i int) packet.Frame
	batch func(at int)
}

func (s *synthetic) ReadBatch(b *packet.Batch) error {
	if s.batch(s.at); s.at >= s.n {
		return (&lender{}).ReadBatch(b)
	}
	for b.Frames = b.Frames[:0]; len(b.Frames) < packet.BatchSize && s.at < s.n; s.at++ {
		b.Frames = append(b.Frames, s.make(s.at))
	}
	return nil
}

// 100,000 connections whose 5-tuples have the same FNV-1a hash, as far as a table of that size looks at it, stay apart.
func TestHashFlood(t *testing.T) {
	const n = 100_000
	want := map[netip.AddrPort]byte{}
	f, err := tcpfollow.New(nil, func(s *tcpfollow.TCPStream) {
		if b, ok := want[s.Client()]; !ok || string(s.ClientPayload()) != string([]byte{b}) {
			require.Failf(t, "merged", "%v sent %x", s.Client(), s.ClientPayload())
		}
		delete(want, s.Client())
	}, nil)
	require.NoError(t, err)
	h := fnv.New32a()
	for i := uint32(0); len(want) < n; i++ {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 24), byte(i >> 16), byte(i >> 8)}), uint16(1024+i%256*64))
		b, _ := src.MarshalBinary()
		h.Reset()
		h.Write(b)
		if h.Sum32()&7 != 0 {
			continue
		}
		want[src] = byte(i)
		key := packet.NewFlowKey(src, web, packet.ProtoTCP)
		f.FeedSegment(key, packet.TCP{Time: pktgen.Start, Flags: packet.SYN})
		f.FeedSegment(key, packet.TCP{Time: pktgen.Start, Seq: 1, Flags: packet.ACK, Payload: []byte{byte(i)}})
	}
	require.NoError(t, f.Close())
	require.Empty(t, want)
	require.Equal(t, uint64(n), f.Stats().Streams)
}

// 20 MB of one side alone, with losses and nothing that acknowledges them.
func TestOneSidedMemory(t *testing.T) {
	f, feed := feeder(t, tcpfollow.Config{Incremental: true})
	key, data := keyOf(0), text(1400)
	feed(key, 0, packet.SYN, nil)
	before, peak, lost := heap(), int64(0), uint64(0)
	for i := range uint32(15_000) {
		if i%100 == 50 {
			lost++
			continue
		}
		feed(key, 1+i*1400, packet.ACK, data)
		if i%3000 == 0 {
			peak = max(peak, heap()-before)
		}
	}
	require.Less(t, peak, int64(3<<20))
	require.NoError(t, f.Close())
	require.Equal(t, (15_000-lost)*1400, f.Stats().Bytes)
	require.Equal(t, lost, f.Stats().Gaps)
	require.Equal(t, lost*1400, f.Stats().GapBytes)
}

// Offsets go on where sequence numbers start anew, twice over.
func TestFiveGigabytes(t *testing.T) {
	data := text(65_000)
	var next uint64
	f, err := tcpfollow.New(func(s *tcpfollow.TCPStream) {
		c := s.Chunk()
		if c.Offset != next {
			require.Equal(t, next, c.Offset)
		}
		next += uint64(len(c.Bytes))
	}, func(s *tcpfollow.TCPStream) {
		require.Equal(t, uint64(80_000*65_000), s.Info().Halves[client].Bytes)
		o, ok := s.PacketAt(client, 5_199_999_999)
		require.True(t, ok)
		require.Equal(t, uint64(80_001), o.Packet, "the frame behind the SYN's")
		require.Equal(t, uint32((5_199_999_999+1-7)%(1<<32)), o.Seq)
	}, &tcpfollow.Config{Incremental: true, Origins: true})
	require.NoError(t, err)
	key := keyOf(0)
	f.FeedSegment(key, packet.TCP{Time: pktgen.Start, Seq: 1<<32 - 7, Flags: packet.SYN})
	seq := ^uint32(0) - 5
	for i := range 80_000 {
		first, second := seq, seq+30_000
		if i%1000 == 999 { // the halves swapped
			f.FeedSegment(key, packet.TCP{Time: pktgen.Start, Number: uint64(i + 2), Seq: second, Flags: packet.ACK, Payload: data[30_000:]})
			f.FeedSegment(key, packet.TCP{Time: pktgen.Start, Number: uint64(i + 2), Seq: first, Flags: packet.ACK, Payload: data[:30_000]})
		} else {
			f.FeedSegment(key, packet.TCP{Time: pktgen.Start, Number: uint64(i + 2), Seq: first, Flags: packet.ACK, Payload: data})
		}
		seq += 65_000
	}
	require.NoError(t, f.Close())
	require.Equal(t, uint64(80_000*65_000), next)
	require.Zero(t, f.Stats().Gaps)
}

// An IP total length of 0, as cards that cut segments leave it, means all of the frame.
func TestTotalLengthZero(t *testing.T) {
	c := (&pktgen.Conversation{MSS: 60_000}).Open().Client(text(60_000)).Close(client)
	trace := c.Trace()
	for i := range trace {
		trace = trace.Edit(i, func(layers []pktgen.Layer) []pktgen.Layer {
			h := layers[1].(pktgen.IPv4)
			h.TotalLength = pktgen.Fixed(0)
			layers[1] = h
			return layers
		})
	}
	streams := streamsOf(t, tcpfollow.Config{}, trace.Frames())
	require.Equal(t, text(60_000), streams[0].payload[client])
	require.Equal(t, tcpfollow.EndFIN, streams[0].end)
}

// What is held under CompatLibtins is bounded like all else.
func TestCompatLibtinsHoards(t *testing.T) {
	const total = 4 << 20
	f, feed := feeder(t, tcpfollow.Config{CompatLibtins: true, Limits: tcpfollow.Limits{TotalBuffered: total}})
	before := heap()
	for i := range 200 {
		key := keyOf(i)
		feed(key, 0, packet.SYN, nil)
		f.FeedSegment(key.Reverse(), packet.TCP{Time: pktgen.Start, Ack: 1, Flags: packet.SYN | packet.ACK})
		for k := range uint32(300) {
			feed(key, 2+2*k, packet.ACK, []byte{1})
			feed(key, 100_000-k*300, packet.ACK, text(200))
		}
	}
	require.NotZero(t, f.Stats().LimitTotal)
	require.NotZero(t, f.Stats().LimitBuffered)
	require.Less(t, heap()-before, int64(total*3))
	require.NoError(t, f.Close())
	require.Less(t, heap()-before, int64(2<<20))
	runtime.KeepAlive(f)
}

// Origins, histories, urgent octets and copies of one hostile connection are bounded, each by its limit.
func TestOptionalMemory(t *testing.T) {
	const origins, gaps = 10_000, 1000
	f, feed := feeder(t, tcpfollow.Config{
		Incremental: true, Origins: true, History: 1 << 16, Urgent: tcpfollow.UrgentOutOfBand, Duplicates: time.Second,
		Limits: tcpfollow.Limits{Origins: origins, Gaps: gaps, Segments: 100},
	})
	key := keyOf(0)
	feed(key, 0, packet.SYN, nil)
	before := heap()
	for i := range uint32(200_000) {
		f.FeedSegment(key, packet.TCP{Time: pktgen.Start, Seq: 1 + i, Flags: packet.ACK | packet.URG, Urgent: uint16(1 + i%3*20_000), Payload: []byte{1}})
	}
	require.Less(t, heap()-before, int64(2*origins*32+2<<16+gaps*64+1<<20))
	stats := f.Stats()
	require.NotZero(t, stats.Urgent)
	require.NotZero(t, stats.LimitUrgent)
	require.Equal(t, uint64(1), stats.LimitOrigins)
	require.Equal(t, uint64(200_000), stats.Bytes+stats.Urgent)
	require.NoError(t, f.Close())
}
