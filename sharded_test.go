package tcpfollow_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// lender is a source that reuses its buffers, and overwrites them before it does.
type lender struct {
	frames []packet.Frame
	size   int // of a batch
	bytes  []byte
	read   int
	err    error // at the end, io.EOF when nil
}

func (l *lender) ReadBatch(b *packet.Batch) error {
	for i := range l.bytes {
		l.bytes[i] = 0xAA
	}
	l.bytes, b.Frames = l.bytes[:0], b.Frames[:0]
	for len(b.Frames) < l.size && l.read < len(l.frames) {
		fr := l.frames[l.read]
		l.read++
		at := len(l.bytes)
		l.bytes = append(l.bytes, fr.Data...)
		fr.Data = l.bytes[at:]
		b.Frames = append(b.Frames, fr)
	}
	switch {
	case len(b.Frames) > 0:
		return nil
	case l.err != nil:
		return l.err
	}
	return io.EOF
}

// logger sets callbacks that write down all that they see, but the stream's number.
func logger(cfg *tcpfollow.Config, emit func(s *tcpfollow.TCPStream, text string)) (data, end tcpfollow.StreamFunc) {
	logf := func(s *tcpfollow.TCPStream, format string, args ...any) {
		emit(s, fmt.Sprintf("frame %d ", s.Frame())+fmt.Sprintf(format, args...))
	}
	cfg.OnOpen = func(s *tcpfollow.TCPStream) { logf(s, "open %v > %v %v", s.Client(), s.Server(), s.OpenedAt()) }
	cfg.OnGap = func(s *tcpfollow.TCPStream, g tcpfollow.Gap) { logf(s, "gap %v", g) }
	cfg.OnConflict = func(s *tcpfollow.TCPStream, x tcpfollow.Conflict) { logf(s, "conflict %v", x) }
	cfg.OnUrgent = func(s *tcpfollow.TCPStream, u tcpfollow.Urgent) { logf(s, "urgent %v", u) }
	data = func(s *tcpfollow.TCPStream) {
		c := s.Chunk()
		logf(s, "data %v %d+%d %08x %v; %d %d", c.Direction, c.Offset, len(c.Bytes), crc32.ChecksumIEEE(c.Bytes), c.Origin,
			len(s.ClientPayload()), len(s.ServerPayload()))
		switch len(c.Bytes) % 61 { // some are stopped
		case 58:
			s.Stop(c.Direction)
		case 59:
			s.Stop(c.Direction.Reverse())
		case 60:
			s.StopAll()
		}
	}
	end = func(s *tcpfollow.TCPStream) {
		info := s.Info()
		info.ID = 0
		logf(s, "end %+v %08x %v", info, crc32.ChecksumIEEE(s.ClientPayload()), slices.Collect(s.Segments(server)))
	}
	return data, end
}

// serialLog follows frames with one follower.
func serialLog(t testing.TB, cfg tcpfollow.Config, frames []packet.Frame) ([]string, tcpfollow.Totals) {
	t.Helper()
	var log []string
	data, end := logger(&cfg, func(s *tcpfollow.TCPStream, text string) { log = append(log, fmt.Sprintf("#%d %s", s.ID(), text)) })
	f, err := tcpfollow.New(data, end, &cfg)
	require.NoError(t, err)
	require.NoError(t, f.Follow(context.Background(), &lender{frames: frames, size: 64}))
	return log, tcpfollow.Totals{Stats: f.Stats(), Decoder: f.DecoderStats(), Defragmenter: f.DefragmenterStats()}
}

// way is a number of shards, and how frames come to them.
type way struct{ shards, batch, round int }

// everyWay is 1, 2, 3 and 8 shards, short and long batches, and short and long rounds.
var everyWay = []way{{1, 64, 4096}, {2, 1, 64}, {2, 64, 4096}, {3, 64, 1}, {3, 1, 4096}, {8, 64, 64}, {8, 1, 1}}

// requireSharded checks that shards give what one follower gives.
func requireSharded(t testing.TB, cfg tcpfollow.Config, frames []packet.Frame, ways ...way) {
	t.Helper()
	want, totals := serialLog(t, cfg, frames)
	newHandlers := func(cfg *tcpfollow.Config, emit func(string)) (data, end tcpfollow.StreamFunc) {
		return logger(cfg, func(_ *tcpfollow.TCPStream, text string) { emit(text) })
	}
	for _, w := range ways {
		var log []string
		sink := func(stream uint64, text string) error {
			log = append(log, fmt.Sprintf("#%d %s", stream, text))
			return nil
		}
		src := &lender{frames: frames, size: w.batch}
		got, err := tcpfollow.FollowInRounds(context.Background(), src, w.shards, w.round, newHandlers, sink, &cfg)
		require.NoError(t, err)
		if !slices.Equal(want, log) {
			require.Equal(t, strings.Join(want, "\n"), strings.Join(log, "\n"), "%+v", w)
		}
		require.Equal(t, totals, got)
	}
}

// shardConfigs are ways to follow that keep much.
func shardConfigs() map[string]tcpfollow.Config {
	return map[string]tcpfollow.Config{
		"default": {},
		"all":     {Origins: true, History: 500, Urgent: tcpfollow.UrgentOutOfBand, Duplicates: time.Millisecond, Limits: tcpfollow.Limits{Payload: 300}},
		"lean":    {Incremental: true, AnyReset: true, Overlap: reassemble.OverlapLast, Midstream: tcpfollow.MidstreamIgnore},
		"depth":   {Limits: tcpfollow.Limits{Depth: 1000, Gaps: 1}, Timeouts: tcpfollow.Timeouts{Idle: 2 * time.Second, Linger: time.Second}},
		"libtins": {CompatLibtins: true},
	}
}

func TestShardedCaptures(t *testing.T) {
	var names []string
	for _, pattern := range []string{"*.pcap*", "links/*", "tunnels/*"} {
		some, err := filepath.Glob(filepath.Join("testdata", pattern))
		require.NoError(t, err)
		names = append(names, some...)
	}
	var all []packet.Frame // one after the other
	for _, name := range names {
		frames := capture(t, strings.TrimPrefix(name, "testdata/"))
		requireSharded(t, tcpfollow.Config{}, frames, way{3, 64, 7})
		all = append(all, frames...)
	}
	for i := range all {
		all[i].Number = uint64(i + 1)
	}
	require.Greater(t, len(all), 1000)
	for name, cfg := range shardConfigs() {
		t.Run(name, func(t *testing.T) { requireSharded(t, cfg, all, everyWay...) })
	}
}

// crowd is many connections side by side that lose, repeat and reorder packets, pause, and end in every way.
func crowd(seed uint64, n int) []packet.Frame {
	rnd := rand.New(rand.NewPCG(seed, 11))
	var traces []pktgen.Trace
	for i := range n {
		c := &pktgen.Conversation{
			ClientAddr: addr(i % (n*3/4 + 1)), ClientISN: rnd.Uint32(), ServerISN: rnd.Uint32(), MSS: 20 + rnd.IntN(200),
			Start: pktgen.Start + rnd.Int64N(int64(10*time.Second)),
		}
		if rnd.IntN(8) > 0 {
			c.Open()
		}
		for range rnd.IntN(4) {
			c.Client(text(rnd.IntN(400))).Wait(time.Duration(rnd.Int64N(int64(time.Second)))).Server(text(rnd.IntN(900)))
		}
		switch rnd.IntN(6) {
		case 0:
			c.Reset(packet.Direction(rnd.IntN(2)))
		case 1:
			c.HalfClose(client).Wait(6 * time.Minute).Ack(client)
		case 2:
			c.Wait(3 * time.Hour).Client(text(10))
		case 3:
			c.Urgent(client, c.Next(client), text(30), uint16(1+rnd.IntN(30)))
		default:
			c.Close(client).Wait(time.Duration(rnd.IntN(40))*time.Second).Segment(client, packet.ACK, 3, text(20))
		}
		tr := c.Trace().Reorder(rnd.Uint64(), rnd.IntN(4))
		for range rnd.IntN(3) {
			if at := rnd.IntN(len(tr)); len(tr) > 8 {
				tr = tr.Drop(at)
			}
		}
		if len(tr) > 6 && rnd.IntN(3) == 0 {
			tr = tr.Overlap(4, 5, rnd.IntN(20), text(rnd.IntN(80))).Retransmit(4, 6)
		}
		if len(tr) > 6 && rnd.IntN(5) == 0 {
			tr = tr.Fragment(5, 24)
		}
		traces = append(traces, tr)
	}
	frames := pktgen.Merge(traces...).Frames()
	for i := range frames { // clocks differ, so that time goes back
		if rnd.IntN(8) == 0 {
			frames[i].Time += rnd.Int64N(int64(500 * time.Millisecond))
		}
	}
	return frames
}

func TestShardedCrowd(t *testing.T) {
	for name, cfg := range shardConfigs() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				requireSharded(t, cfg, crowd(seed, 120), everyWay...)
			}
		})
	}
	log, totals := serialLog(t, tcpfollow.Config{}, crowd(1, 120))
	require.Greater(t, len(log), 500)
	for _, reason := range []tcpfollow.EndReason{
		tcpfollow.EndFIN, tcpfollow.EndReset, tcpfollow.EndTimeout, tcpfollow.EndSuperseded, tcpfollow.EndStopped, tcpfollow.EndEOF,
	} {
		require.NotZero(t, totals.Stats.Ends[reason], "%v", reason)
	}
	require.NotZero(t, totals.Stats.Gaps)
	require.NotZero(t, totals.Stats.Conflicts)
	require.NotZero(t, totals.Defragmenter.Datagrams)
}

// Which ended connections are forgotten, so that a late packet opens a stream, does not depend on the shards.
func TestShardedLingering(t *testing.T) {
	var frames []packet.Frame
	for round := range 3 {
		for i := range 300 {
			c := &pktgen.Conversation{ClientAddr: addr(i), Start: pktgen.Start + int64(300*round+i)*1e6, Step: 1000, ClientISN: uint32(round) << 28}
			c.Open().Client([]byte("hello")).Close(client)
			frames = append(frames, c.Frames()...)
			late := &pktgen.Conversation{ClientAddr: addr((i * 7) % 300), Start: pktgen.Start + int64(300*round+i)*1e6 + 5000, ClientISN: uint32(round) << 28}
			frames = append(frames, late.Segment(client, packet.ACK, 0, []byte("hello")).Frames()...)
		}
	}
	for i := range frames {
		frames[i].Number = uint64(i + 1)
	}
	for _, lingering := range []int{1, 40, 100, 5000} {
		requireSharded(t, tcpfollow.Config{Limits: tcpfollow.Limits{Lingering: lingering}}, frames, everyWay...)
	}
	_, few := serialLog(t, tcpfollow.Config{Limits: tcpfollow.Limits{Lingering: 40}}, frames)
	_, many := serialLog(t, tcpfollow.Config{}, frames)
	require.Greater(t, few.Stats.Streams, many.Stats.Streams, "the limit counts")
}

// random returns frames of segments that contradict each other, of many times three connections.
func random(seed uint64) []packet.Frame {
	var frames []packet.Frame
	for part := range uint64(8) {
		for _, fed := range enginetest.Segments(operations(seed*8+part, 120), true) {
			src, dst := fed.Key.Src(), fed.Key.Dst()
			fr := pktgen.Segment(fed.TCP.Time, src, dst, pktgen.TCP{
				Seq: fed.TCP.Seq, Ack: fed.TCP.Ack, Flags: fed.TCP.Flags, Urgent: fed.TCP.Urgent,
			}, fed.TCP.Payload)
			fr.Data[26+2] = byte(part) // another network
			fr.Data[30+2] = byte(part)
			frames = append(frames, fr)
		}
	}
	slices.SortStableFunc(frames, func(a, b packet.Frame) int { return int(a.Time - b.Time) })
	for i := range frames {
		frames[i].Number = uint64(i + 1)
	}
	return frames
}

func TestShardedRandom(t *testing.T) {
	for name, cfg := range shardConfigs() {
		t.Run(name, func(t *testing.T) {
			cfg.Decode.Checksum = packet.ChecksumOff
			for seed := range uint64(2) {
				requireSharded(t, cfg, random(seed), everyWay...)
			}
		})
	}
}

// TestShardedRealCaptures runs over the captures that are not part of the project, where they are.
func TestShardedRealCaptures(t *testing.T) {
	shared := os.Getenv("TCPFOLLOW_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "shared")
	}
	if _, err := os.Stat(filepath.Join(shared, "pcaps")); err != nil {
		t.Skip("needs the captures in ../shared/pcaps, or where TCPFOLLOW_SHARED says")
	}
	set, err := pcapfile.OpenAll([]string{filepath.Join(shared, "pcaps")}, nil)
	require.NoError(t, err)
	defer set.Close()
	var frames []packet.Frame
	var b packet.Batch
	for {
		err := set.ReadBatch(&b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			set.SkipFile()
			continue
		}
		for _, fr := range b.Frames {
			fr.Data = slices.Clone(fr.Data)
			fr.Number = uint64(len(frames) + 1)
			frames = append(frames, fr)
		}
	}
	require.Greater(t, len(frames), 20_000)
	for name, cfg := range shardConfigs() {
		t.Run(name, func(t *testing.T) {
			ways := []way{{3, 64, 64}}
			if name == "default" {
				ways = everyWay
			}
			requireSharded(t, cfg, frames, ways...)
		})
	}
}

// Sums of counters leave none out.
func TestTotalsAddAll(t *testing.T) {
	var one tcpfollow.Stats
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case reflect.Array:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		default:
			v.SetUint(1)
		}
	}
	fill(reflect.ValueOf(&one).Elem())
	sum := one
	sum.Add(&tcpfollow.Stats{})
	require.Equal(t, one, sum)
	sum = tcpfollow.Stats{}
	sum.Add(&one)
	require.Equal(t, one, sum)
}

func FuzzSharded(f *testing.F) {
	for seed := range uint64(6) {
		f.Add(byte(seed), byte(seed*5), operations(seed, 40))
	}
	f.Fuzz(func(t *testing.T, config, how byte, ops []byte) {
		cfg := fuzzConfig(config)
		if config%5 == 4 {
			cfg = tcpfollow.Config{CompatLibtins: true}
		}
		// Limits for all streams together are shared out.
		cfg.Limits.Connections, cfg.Limits.TotalBuffered, cfg.Limits.TotalPayload, cfg.Limits.TotalOrigins = 0, 0, 0, 0
		cfg.Origins, cfg.Decode.Checksum = true, packet.ChecksumOff
		var frames []packet.Frame
		for i, fed := range enginetest.Segments(ops[:min(len(ops), 600)], true) {
			fr := pktgen.Segment(fed.TCP.Time, fed.Key.Src(), fed.Key.Dst(), pktgen.TCP{
				Seq: fed.TCP.Seq, Ack: fed.TCP.Ack, Flags: fed.TCP.Flags, Urgent: fed.TCP.Urgent,
			}, fed.TCP.Payload)
			fr.Data[28], fr.Data[32] = ops[i*4%len(ops)]&how, ops[i*4%len(ops)]&how // more connections
			fr.Number = uint64(i + 1)
			frames = append(frames, fr)
		}
		requireSharded(t, cfg, frames, way{1 + int(how&7), 1 + int(how>>3), 1 + int(how>>2)})
	})
}
