package tcpfollow_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// fuzzConfig makes a config of a byte: small limits, short timeouts, policies.
func fuzzConfig(b byte) tcpfollow.Config {
	cfg := tcpfollow.Config{
		Incremental: b&1 != 0, AnyReset: b&2 != 0, Overlap: reassemble.Overlap(b >> 2 % 6),
		Midstream: tcpfollow.Midstream(b >> 4 & 1), Urgent: tcpfollow.UrgentOutOfBand * tcpfollow.UrgentPolicy(b>>3&1),
	}
	if b&32 != 0 {
		cfg.Limits = tcpfollow.Limits{
			Connections: 2, Lingering: 1, Buffered: 500, Segments: 5, TotalBuffered: 700, Payload: 300, TotalPayload: 500, Gaps: 2, Reorder: 3,
			Origins: 4, TotalOrigins: 6,
		}
	}
	if b&64 != 0 {
		cfg.Limits.Depth = 200
	}
	if b&128 != 0 {
		cfg.Timeouts = tcpfollow.Timeouts{Idle: 3 * time.Second, Handshake: 2 * time.Second, HalfClosed: time.Second, Linger: time.Second, Hole: time.Second}
	}
	return cfg
}

// run follows what ops say; the recorder checks the rest. Some streams are stopped in their callbacks.
func run(t testing.TB, config byte, ops []byte, lies bool) *recorder {
	t.Helper()
	cfg := fuzzConfig(config)
	cfg.Origins = true
	r := record(t, cfg)
	src := sources{}
	r.onEnd = func(s *tcpfollow.TCPStream) {
		for d, payload := range r.streams[s.ID()].payload {
			if cfg.Limits.Gaps == 0 && r.follower.Stats().Untraced == 0 {
				src.check(t, s, packet.Direction(d), payload, r.streams[s.ID()].octets[d]...)
			}
		}
	}
	calls := 0
	r.onData = func(s *tcpfollow.TCPStream) {
		if calls++; len(ops) > 0 && lies {
			switch op := ops[calls%len(ops)]; {
			case op == 250:
				s.StopAll()
			case op > 250:
				s.Stop(packet.Direction(op & 1))
			}
		}
	}
	for _, fed := range enginetest.Segments(ops, lies) {
		seg := fed.TCP
		src[seg.Number] = seg
		seg.Payload = bytes.Clone(fed.TCP.Payload)
		if seg.Missing == 0 && seg.Number%3 == 0 {
			fr := pktgen.Segment(seg.Time, fed.Key.Src(), fed.Key.Dst(), pktgen.TCP{
				Seq: seg.Seq, Ack: seg.Ack, Flags: seg.Flags, Urgent: seg.Urgent, Options: pktgen.WindowScale(3),
			}, seg.Payload)
			fr.Number = seg.Number
			r.feed(fr)
			continue
		}
		r.follower.FeedSegment(fed.Key, seg)
		require.Equal(t, fed.TCP.Payload, seg.Payload, "the follower changed a payload")
		for i := range seg.Payload {
			seg.Payload[i] = 0xAA
		}
	}
	r.close()
	return r
}

// operations returns n operations for enginetest.Segments, each connection opened first.
func operations(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	ops := []byte{9, 0, 0, 0, 41, 0, 0, 0, 73, 0, 0, 0, 105, 0, 0, 0}
	for range 4 * n {
		ops = append(ops, byte(r.Uint32()))
	}
	return ops
}

func TestRandomSegments(t *testing.T) {
	gaps, conflicts, ends := uint64(0), uint64(0), [16]uint64{}
	for seed := range uint64(600) {
		r := run(t, byte(seed), operations(seed, 10+int(seed%90)), seed%2 == 0)
		stats := r.follower.Stats()
		gaps += stats.Gaps
		conflicts += stats.Conflicts
		for i, n := range stats.Ends {
			ends[i] += n
		}
	}
	require.NotZero(t, gaps)
	require.NotZero(t, conflicts)
	for reason := tcpfollow.EndFIN; reason <= tcpfollow.EndEOF; reason++ {
		require.NotZero(t, ends[reason], "nothing ended by %v", reason)
	}
}

// What is delivered of segments that do not contradict each other is the text, whatever was lost.
func TestRandomSegmentsAreTrue(t *testing.T) {
	delivered := 0
	for seed := range uint64(500) {
		ops := operations(seed, 60)
		for i := 0; i < len(ops); i += 4 {
			switch ops[i] & 31 {
			case 8, 12, 15, 16, 17, 21, 22: // no lies about the numbers, and no other connection
				ops[i] &^= 31
			}
			if ops[i]>>6%3 == 2 { // was not opened
				ops[i] &= 63
			}
		}
		r := record(t, tcpfollow.Config{})
		r.onData = func(s *tcpfollow.TCPStream) {
			c := s.Chunk()
			delivered += len(c.Bytes)
			if want := enginetest.Text(c.Offset, len(c.Bytes)); !bytes.Equal(want, c.Bytes) {
				require.Equal(t, want, c.Bytes, "seed %d, %v at %d", seed, c.Direction, c.Offset)
			}
		}
		for _, fed := range enginetest.Segments(ops, false) {
			r.follower.FeedSegment(fed.Key, fed.TCP)
		}
		r.close()
		require.Len(t, r.streams, 2)
	}
	require.Greater(t, delivered, 100_000)
}

func FuzzFollower(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(byte(seed*37), seed%2 == 0, operations(seed, 30))
	}
	f.Fuzz(func(t *testing.T, config byte, lies bool, ops []byte) {
		run(t, config, ops[:min(len(ops), 800)], lies)
	})
}
