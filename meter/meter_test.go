package meter_test

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// shape is what tests look at of a flow.
type shape struct {
	port    uint16
	why     meter.Expiration
	packets uint64
	first   int64 // in milliseconds since start
}

func shapes(flows []*meter.Flow) []shape {
	var all []shape
	for _, f := range flows {
		all = append(all, shape{
			f.Key.Src().Port(), f.Expiration, f.Bidirectional.Packets, int64(f.Bidirectional.FirstSeen) - start/1e6,
		})
	}
	return all
}

// TestTimeouts: both timeouts cut at the exact millisecond, idle before active, and the packet that cuts belongs to the new
// flow.
func TestTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name         string
		idle, active time.Duration
		times        []int64
		want         []shape
	}{
		{"9,999 ms apart", 10 * time.Second, time.Hour, []int64{0, 9999}, []shape{{5, 0, 2, 0}}},
		{"10,000 ms apart", 10 * time.Second, time.Hour, []int64{0, 10000}, []shape{{5, 0, 1, 0}, {5, 0, 1, 10000}}},
		{"active", time.Hour, 2 * time.Second, []int64{0, 1000, 1999, 2000, 2500}, []shape{{5, 1, 3, 0}, {5, 0, 2, 2000}}},
		{"both: idle goes first", 2 * time.Second, 2 * time.Second, []int64{0, 2000}, []shape{{5, 0, 1, 0}, {5, 0, 1, 2000}}},
		{"idle 0: a row a packet", 0, time.Hour, []int64{0, 0, 1}, []shape{{5, 0, 1, 0}, {5, 0, 1, 0}, {5, 0, 1, 1}}},
		{"active 0: a row a packet", time.Hour, 0, []int64{0, 1}, []shape{{5, 1, 1, 0}, {5, 0, 1, 1}}},
		{"never", meter.Never, meter.Never, []int64{0, 1e9, 2e9}, []shape{{5, 0, 3, 0}}},
		{"time going back counts as standing still", time.Second, time.Hour, []int64{5000, 100, 5999}, []shape{{5, 0, 3, 5000}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var frames []packet.Frame
			for _, ms := range tt.times {
				frames = append(frames, udp(ms, 5, false, 10))
			}
			cfg := config(func(c *meter.Config) { c.IdleTimeout, c.ActiveTimeout = tt.idle, tt.active })
			require.Equal(t, tt.want, shapes(run(t, cfg, frames...)))
		})
	}
}

// headOfLine is one flow that goes on and three short ones behind it.
func headOfLine() []packet.Frame {
	frames := []packet.Frame{udp(0, 1, false, 1)}
	for port := uint16(2); port <= 4; port++ {
		frames = append(frames, udp(int64(port), port, false, 1))
	}
	for ms := int64(5000); ms <= 60000; ms += 5000 {
		frames = append(frames, udp(ms, 1, false, 1))
	}
	return frames
}

// TestOrders: in NFStream's order a flow that goes on keeps back those behind it; else they come when they are idle, or in
// the order of their first packets. The rows are the same.
func TestOrders(t *testing.T) {
	for _, tt := range []struct {
		name  string
		order meter.Order
		want  []uint16 // source ports
	}{
		{"nfstream", meter.OrderNFStream, []uint16{1, 2, 3, 4}},
		{"expiry", meter.OrderExpiry, []uint16{2, 3, 4, 1}},
		{"first", meter.OrderFirst, []uint16{1, 2, 3, 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config(func(c *meter.Config) { c.IdleTimeout, c.Order = 10*time.Second, tt.order })
			flows := run(t, cfg, headOfLine()...)
			var ports []uint16
			for i, f := range flows {
				require.Equal(t, uint64(i), f.ID)
				ports = append(ports, f.Key.Src().Port())
			}
			require.Equal(t, tt.want, ports)
		})
	}
}

// TestExpiryDoesNotWait: without head-of-line blocking, flows are emitted while the long one goes on; in NFStream's order
// they are not.
func TestExpiryDoesNotWait(t *testing.T) {
	for order, early := range map[meter.Order]uint64{meter.OrderNFStream: 0, meter.OrderExpiry: 3} {
		m, err := meter.New(func(*meter.Flow) {}, config(func(c *meter.Config) { c.IdleTimeout, c.Order = 10*time.Second, order }))
		require.NoError(t, err)
		for _, f := range headOfLine() {
			m.Feed(&f)
		}
		require.Equal(t, early, m.Stats().Flows)
		require.Equal(t, 4-early, m.Stats().Active)
		require.NoError(t, m.Flush())
	}
}

// TestWaitingIsBounded: in the order of first packets, so many flows wait for one that goes on, and no more.
func TestWaitingIsBounded(t *testing.T) {
	var ports []uint16
	m, err := meter.New(func(f *meter.Flow) { ports = append(ports, f.Key.Src().Port()) }, config(func(c *meter.Config) {
		c.IdleTimeout, c.Order, c.MaxWaiting = 10*time.Second, meter.OrderFirst, 2
	}))
	require.NoError(t, err)
	for _, f := range headOfLine() {
		m.Feed(&f)
	}
	require.NoError(t, m.Flush())
	require.Equal(t, []uint16{2, 3, 4, 1}, ports)
	require.Equal(t, uint64(1), m.Stats().Unsorted)
}

// TestMaxActive: the first of the order makes room.
func TestMaxActive(t *testing.T) {
	cfg := config(func(c *meter.Config) { c.MaxActive = 2 })
	flows := run(t, cfg, udp(0, 1, false, 1), udp(1, 2, false, 1), udp(2, 3, false, 1))
	require.Equal(t, []shape{{1, meter.ExpiredEvicted, 1, 0}, {2, 0, 1, 1}, {3, 0, 1, 2}}, shapes(flows))
}

// TestMaxFlows: metering ends after so many flows.
func TestMaxFlows(t *testing.T) {
	cfg := config(func(c *meter.Config) { c.MaxFlows, c.IdleTimeout = 2, 0 })
	require.Len(t, run(t, cfg, udp(0, 1, false, 1), udp(1, 1, false, 1), udp(2, 1, false, 1), udp(3, 1, false, 1)), 2)
}

// TestAdvance: without packets, the clock on the wall ends flows.
func TestAdvance(t *testing.T) {
	n := 0
	m, err := meter.New(func(*meter.Flow) { n++ }, config(nil))
	require.NoError(t, err)
	m.Advance(at(0)) // nothing yet
	f := udp(0, 1, false, 1)
	m.Feed(&f)
	m.Advance(at(119_999))
	require.Zero(t, n)
	m.Advance(at(120_000))
	require.Equal(t, 1, n)
}

// TestDirections: the sender of the first packet is the source, and keeps it after a cut only if asked.
func TestDirections(t *testing.T) {
	frames := []packet.Frame{udp(0, 5, false, 10), udp(10, 5, true, 20), udp(2000, 5, true, 30), udp(2010, 5, false, 40)}
	for _, tt := range []struct {
		name string
		keep bool
		want [2][4]uint64 // of each flow: packets and bytes, from A and from B
	}{
		{"turned round", false, [2][4]uint64{{1, 52, 1, 62}, {1, 72, 1, 82}}},
		{"kept", true, [2][4]uint64{{1, 52, 1, 62}, {1, 82, 1, 72}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flows := run(t, config(func(c *meter.Config) { c.ActiveTimeout, c.KeepDirection = 2*time.Second, tt.keep }), frames...)
			require.Len(t, flows, 2)
			for i, f := range flows {
				got := [4]uint64{f.Src2Dst.Packets, f.Src2Dst.Bytes, f.Dst2Src.Packets, f.Dst2Src.Bytes}
				require.Equal(t, tt.want[i], got)
			}
			require.Equal(t, hostA, flows[0].Key.Src().Addr())
			require.Equal(t, tt.keep, flows[1].Key.Src().Addr() == hostA)
			require.Equal(t, uint64(at(2000)/1e6), flows[1].Bidirectional.FirstSeen)
			require.Equal(t, uint64(10), flows[1].Bidirectional.Duration())
		})
	}
}

// TestEndOnTCP: with it, an RST or two FINs and their acknowledgement end a flow.
func TestEndOnTCP(t *testing.T) {
	c := (&pktgen.Conversation{}).Open().Send(packet.ClientToServer, []byte("hello")).Close(packet.ClientToServer)
	frames := c.Trace().Frames()
	require.Equal(t, []shape{{portOf(frames), 0, uint64(len(frames)), frames[0].Time/1e6 - start/1e6}}, shapes(run(t, config(nil), frames...)))
	flows := run(t, config(func(c *meter.Config) { c.EndOnTCP = true }), frames...)
	require.Len(t, flows, 1)
	require.Equal(t, meter.ExpiredFIN, flows[0].Expiration)
	reset := pktgen.Frame(frames[0].Time, pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.TCP{Src: 1, Dst: 2, Flags: packet.RST})
	flows = run(t, config(func(c *meter.Config) { c.EndOnTCP = true }), reset, reset)
	require.Len(t, flows, 2)
	require.Equal(t, meter.ExpiredReset, flows[0].Expiration)
}

func portOf(frames []packet.Frame) uint16 {
	var p nfpacket.Packet
	nfpacket.New(nil).Decode(&frames[0], &p)
	return p.Key.Src().Port()
}

// TestStatistics: distributions and flags against their definitions, computed here from the sequence.
func TestStatistics(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var frames []packet.Frame
	ms := int64(0)
	for range 500 {
		back := rng.IntN(3) == 0
		ip, tcp := pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.TCP{Src: 1, Dst: 2, Flags: packet.TCPFlags(rng.IntN(256))}
		if back && len(frames) > 0 {
			ip.Src, ip.Dst, tcp.Src, tcp.Dst = hostB, hostA, 2, 1
		}
		ms += rng.Int64N(300)
		frames = append(frames, pktgen.Frame(at(ms), pktgen.Ethernet{}, ip, tcp, pktgen.Payload(make([]byte, rng.IntN(1000)))))
	}
	for mode := nfpacket.RawSize; mode <= nfpacket.PayloadSize; mode++ {
		flows := run(t, config(func(c *meter.Config) { c.Statistics, c.SPLT, c.Accounting = true, 500, mode }), frames...)
		require.Len(t, flows, 1)
		f := flows[0]
		var sizes, gaps [3][]float64
		var flags [3][8]uint64
		last := [3]int64{-1, -1, -1}
		var p nfpacket.Packet
		for i := range frames {
			require.Equal(t, nfpacket.OK, nfpacket.New(nil).Decode(&frames[i], &p))
			side := 1
			if p.Key.Src().Addr() == hostB {
				side = 2
			}
			for _, s := range []int{0, side} {
				sizes[s] = append(sizes[s], float64(p.Sizes[mode]))
				if last[s] >= 0 {
					gaps[s] = append(gaps[s], float64(p.Time/1e6-last[s]))
				}
				last[s] = p.Time / 1e6
				for j, flag := range []packet.TCPFlags{packet.SYN, packet.CWR, packet.ECE, packet.URG, packet.ACK, packet.PSH, packet.RST, packet.FIN} {
					if p.Flags.Has(flag) {
						flags[s][j]++
					}
				}
			}
			require.Equal(t, p.Sizes[mode], f.SPLT[i].Size)
			require.Equal(t, uint8(side-1), f.SPLT[i].Direction)
		}
		for s, side := range []*meter.Side{&f.Bidirectional, &f.Src2Dst, &f.Dst2Src} {
			requireDistribution(t, sizes[s], &side.Sizes)
			requireDistribution(t, gaps[s], &side.Gaps)
			require.Equal(t, flags[s], side.Flags)
		}
	}
}

// requireDistribution compares with a computation in two passes.
func requireDistribution(t *testing.T, values []float64, got *meter.Distribution) {
	t.Helper()
	lo, hi, sum := math.Inf(1), 0.0, 0.0
	for _, v := range values {
		lo, hi, sum = min(lo, v), max(hi, v), sum+v
	}
	mean, squares := sum/float64(len(values)), 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	require.InDelta(t, lo, float64(got.Min), 0)
	require.InDelta(t, hi, float64(got.Max), 0)
	require.InEpsilon(t, mean+1, got.Mean+1, 1e-9)
	require.InEpsilon(t, math.Sqrt(squares/float64(len(values)-1))+1, got.StdDev()+1, 1e-9)
}

// TestWholeSizes: a million bytes in one packet count modulo 65536 by NFStream's rules, and as they are by the strict ones.
func TestWholeSizes(t *testing.T) {
	f := udp(0, 1, false, 10)
	f.Length = 1_000_000
	require.Equal(t, uint64(1_000_000%65536), run(t, config(nil), f)[0].Bidirectional.Bytes)
	require.Equal(t, uint64(1_000_000), run(t, config(func(c *meter.Config) { c.Rules = meter.RulesStrict }), f)[0].Bidirectional.Bytes)
}

// TestTimeUnits: in nanoseconds nothing is cut off.
func TestTimeUnits(t *testing.T) {
	a, b := udp(0, 1, false, 1), udp(0, 1, false, 1)
	a.Time, b.Time = a.Time+999, b.Time+1_999_999
	for unit, want := range map[time.Duration]uint64{time.Millisecond: 1, time.Microsecond: 1999, time.Nanosecond: 1_999_000} {
		f := run(t, config(func(c *meter.Config) { c.TimeUnit = unit }), a, b)[0]
		require.Equal(t, want, f.Bidirectional.Duration(), "%v", unit)
	}
}

// TestTimesBeforeTheEpoch count down from 2^64, as unsigned numbers do.
func TestTimesBeforeTheEpoch(t *testing.T) {
	f := udp(0, 1, false, 1)
	f.Time = -1500 * 1e6
	require.Equal(t, uint64(math.MaxUint64-1499), run(t, config(nil), f)[0].Bidirectional.FirstSeen)
}

func TestConfigErrors(t *testing.T) {
	for name, edit := range map[string]func(*meter.Config){
		"idle":        func(c *meter.Config) { c.IdleTimeout = -2 },
		"active":      func(c *meter.Config) { c.ActiveTimeout = -time.Hour },
		"accounting":  func(c *meter.Config) { c.Accounting = 4 },
		"SPLT":        func(c *meter.Config) { c.SPLT = 65536 },
		"dissections": func(c *meter.Config) { c.Dissections = 256 },
		"order":       func(c *meter.Config) { c.Order = 9 },
		"rules":       func(c *meter.Config) { c.Rules = 9 },
		"unit":        func(c *meter.Config) { c.TimeUnit = 7 },
		"room":        func(c *meter.Config) { c.MaxActive = 0 },
		"waiting":     func(c *meter.Config) { c.MaxWaiting = -1 },
		"plugin":      func(c *meter.Config) { c.Plugins = []meter.Plugin{nil} },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := meter.New(func(*meter.Flow) {}, config(edit))
			require.Error(t, err)
			_, err = meter.Columns(config(edit))
			require.Error(t, err)
		})
	}
	_, err := meter.New(func(*meter.Flow) {}, &meter.Config{})
	require.ErrorContains(t, err, "time unit")
}

// TestSteadyState: packets of flows that are known, flows that come and go, and the rows of them do not allocate.
func TestSteadyState(t *testing.T) {
	cfg := config(func(c *meter.Config) { c.Statistics, c.SPLT, c.IdleTimeout = true, 10, time.Second })
	columns, err := meter.Columns(cfg)
	require.NoError(t, err)
	w := meter.NewCSV(discard{}, columns, nil)
	var failed error
	m, err := meter.New(func(f *meter.Flow) { failed = w.Write(f) }, cfg)
	require.NoError(t, err)
	var b packet.Batch
	for i := range 64 {
		b.Frames = append(b.Frames, udp(0, uint16(1000+i%16), i%3 == 0, i))
	}
	now := int64(0)
	feed := func() {
		now += 3000
		for i := range b.Frames {
			b.Frames[i].Time = at(now + int64(i)*20)
		}
		m.FeedBatch(&b)
	}
	for range 100 {
		feed()
	}
	require.Greater(t, m.Stats().Flows, uint64(100))
	require.Zero(t, testing.AllocsPerRun(200, feed))
	require.NoError(t, failed)
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestAdd: packets that were decoded elsewhere count as frames do.
func TestAdd(t *testing.T) {
	frames := web(100).Frames()
	want := run(t, dissecting(20), frames...)
	var got []*meter.Flow
	m, err := meter.New(func(f *meter.Flow) { got = append(got, f.Clone()) }, dissecting(20))
	require.NoError(t, err)
	d := nfpacket.New(nil)
	var p meter.Packet
	for i := range frames {
		require.Equal(t, nfpacket.OK, d.Decode(&frames[i], &p))
		m.Add(&p)
	}
	require.NoError(t, m.Flush())
	require.Equal(t, want, got)
	require.Equal(t, uint64(len(frames)), m.Stats().Packets)
	require.Zero(t, m.Stats().Frames)
}

// TestUnrelatedFlows: what else is captured changes nothing about a flow but its number.
func TestUnrelatedFlows(t *testing.T) {
	trace := web(100)
	edit := func(c *meter.Config) { c.Statistics, c.SPLT, c.Dissections = true, 20, 20 }
	want := run(t, config(edit), trace.Frames()...)
	require.Len(t, want, 1)
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var frames []packet.Frame
		for _, f := range trace.Frames() {
			for range rng.IntN(4) {
				other := udp(0, uint16(rng.IntN(500)), rng.IntN(2) == 0, rng.IntN(100))
				other.Time = f.Time
				frames = append(frames, other)
			}
			frames = append(frames, f)
		}
		found := 0
		for _, f := range run(t, config(edit), frames...) {
			if f.Key == want[0].Key {
				f.ID = want[0].ID
				require.Equal(t, want[0], f)
				found++
			}
		}
		require.Equal(t, 1, found)
	}
}

// TestFlowsStops: whoever has seen enough gets no more flows, and no error.
func TestFlowsStops(t *testing.T) {
	cfg := config(func(c *meter.Config) { c.IdleTimeout = 0 })
	n := 0
	for _, err := range meter.Flows(t.Context(), &batches{web(100).Frames()}, cfg) {
		require.NoError(t, err)
		if n++; n == 2 {
			break
		}
	}
	require.Equal(t, 2, n)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for f, err := range meter.Flows(ctx, &batches{web(100).Frames()}, cfg) {
		require.Nil(t, f)
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	for _, err := range meter.Flows(t.Context(), &batches{}, &meter.Config{}) {
		last = err
	}
	require.ErrorContains(t, last, "meter:")
}

// batches is a source of frames.
type batches struct{ frames []packet.Frame }

// ReadBatch implements [packet.Source].
func (b *batches) ReadBatch(to *packet.Batch) error {
	n := min(len(b.frames), packet.BatchSize)
	to.Frames, b.frames = b.frames[:n], b.frames[n:]
	if n == 0 {
		return io.EOF
	}
	return nil
}
