package meter_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// traffic is of few hosts that talk a lot, with pauses about as long as the timeouts of configs.
func traffic(seed uint64, packets int) []packet.Frame {
	random := rand.New(rand.NewPCG(seed, 1))
	var frames []packet.Frame
	ms := int64(0)
	for i := range packets {
		switch random.IntN(10) {
		case 0:
			ms += int64(random.IntN(400))
		case 1:
			ms -= int64(random.IntN(5))
		default:
			ms += int64(random.IntN(6))
		}
		if i%500 == 499 {
			ms += 3000
		}
		client, server := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(6))}), netip.AddrFrom4([4]byte{10, 0, 1, byte(random.IntN(3))})
		port := uint16(1000 + random.IntN(3))
		ip, size := pktgen.IPv4{Src: client, Dst: server}, random.IntN(200)
		back := random.IntN(2) == 0
		if back {
			ip.Src, ip.Dst = ip.Dst, ip.Src
		}
		var transport pktgen.Layer
		if random.IntN(3) == 0 {
			u := pktgen.UDP{Src: port, Dst: 53}
			if back {
				u.Src, u.Dst = u.Dst, u.Src
			}
			transport = u
		} else {
			p := pktgen.TCP{Src: port, Dst: 80, Seq: uint32(i), Flags: []packet.TCPFlags{packet.ACK, packet.ACK, packet.SYN, packet.FIN | packet.ACK, packet.RST}[random.IntN(5)]}
			if back {
				p.Src, p.Dst = p.Dst, p.Src
			}
			transport = p
		}
		frames = append(frames, pktgen.Frame(at(ms), pktgen.Ethernet{}, ip, transport, pktgen.Payload(make([]byte, size))))
	}
	for i := range frames {
		frames[i].Number = uint64(i + 1)
	}
	return frames
}

// shortLived ends flows of an odd size with their packet, and notes what it saw.
type shortLived struct{}

func (shortLived) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{{Name: "seen", Type: meter.Uint64}, {Name: "ends", Type: meter.Int64List}}
}

func (shortLived) OnInit(e *meter.Event, f *meter.Flow, r *meter.Row) {
	r.SetInts(1, nil)
	shortLived{}.OnUpdate(e, f, r)
}

func (shortLived) OnUpdate(e *meter.Event, f *meter.Flow, r *meter.Row) {
	r.SetUint(0, r.Uint(0)+uint64(len(e.Payload())))
	if e.Sizes[0]%17 == 3 {
		f.Expiration = meter.ExpiredByPlugin
	}
}

func (shortLived) OnExpire(f *meter.Flow, r *meter.Row) { r.SetInts(1, []int64{int64(f.Expiration)}) }
func (shortLived) Close() error                         { return nil }

func shortLivedOnes() ([]meter.Plugin, error) { return []meter.Plugin{shortLived{}}, nil }

// metered is what Meter and Sharded have in common.
type metered interface {
	FeedBatch(b *packet.Batch)
	Advance(ns int64)
	Flush() error
	Stats() meter.Stats
}

// feed gives frames in batches of some size, and tells the time now and then.
func feed(t testing.TB, m metered, frames []packet.Frame, size int, advance bool) meter.Stats {
	t.Helper()
	for i := 0; len(frames) > 0; i++ {
		n := min(size, len(frames))
		m.FeedBatch(&packet.Batch{Frames: frames[:n]})
		if advance && i%10 == 9 {
			m.Advance(frames[n-1].Time + 500e6)
		}
		frames = frames[n:]
	}
	require.NoError(t, m.Flush())
	return m.Stats()
}

// TestSharded: flows, ids and order are those of one meter, for any number of shards and size of rounds.
func TestSharded(t *testing.T) {
	for name, edit := range map[string]func(*meter.Config){
		"short":      func(c *meter.Config) { c.IdleTimeout, c.ActiveTimeout = time.Second, 2*time.Second },
		"idle 0":     func(c *meter.Config) { c.IdleTimeout = 0 },
		"never":      func(c *meter.Config) { c.IdleTimeout, c.ActiveTimeout = meter.Never, meter.Never },
		"expiry":     func(c *meter.Config) { c.IdleTimeout, c.Order = time.Second/2, meter.OrderExpiry },
		"first":      func(c *meter.Config) { c.IdleTimeout, c.Order = time.Second/2, meter.OrderFirst },
		"statistics": func(c *meter.Config) { c.IdleTimeout, c.Statistics, c.SPLT = time.Second, true, 7 },
		"tcp end":    func(c *meter.Config) { c.EndOnTCP, c.KeepDirection, c.ActiveTimeout = true, true, time.Second },
		"dissection": func(c *meter.Config) { c.Dissections, c.IdleTimeout = 20, time.Second },
		"plugins": func(c *meter.Config) {
			c.IdleTimeout = time.Second
			c.Plugins, _ = shortLivedOnes()
		},
		"most":   func(c *meter.Config) { c.IdleTimeout, c.MaxFlows = time.Second, 40 },
		"strict": func(c *meter.Config) { c.Rules, c.TimeUnit = meter.RulesStrict, time.Microsecond },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2) {
				frames := traffic(seed, 1500)
				advance := seed == 1 && name != "most"
				var want []*meter.Flow
				serial, err := meter.New(func(f *meter.Flow) { want = append(want, f.Clone()) }, config(edit))
				require.NoError(t, err)
				stats := feed(t, serial, frames, 64, advance)
				require.NotEmpty(t, want)
				for _, n := range []int{1, 2, 3, 8} {
					for _, round := range []int{1, 64, 4096} {
						var got []*meter.Flow
						m, err := meter.NewShardedRounds(n, round, func(f *meter.Flow) { got = append(got, f.Clone()) }, config(edit), shortLivedOnes)
						require.NoError(t, err)
						found := feed(t, m, frames, 64, advance)
						require.Equal(t, want, got, "seed %d, %d shards, rounds of %d", seed, n, round)
						if name != "most" {
							require.Equal(t, stats, found)
						}
					}
				}
			}
		})
	}
}

func TestShardedLimits(t *testing.T) {
	frames := traffic(7, 2000)
	for _, n := range []int{1, 3} {
		flows, packets := 0, uint64(0)
		m, err := meter.NewShardedRounds(n, 32, func(f *meter.Flow) {
			flows++
			packets += f.Bidirectional.Packets
		}, config(func(c *meter.Config) { c.MaxActive = 5 }), nil)
		require.NoError(t, err)
		st := feed(t, m, frames, 100, false)
		require.EqualValues(t, len(frames), packets)
		require.EqualValues(t, flows, st.Flows)
		require.NotZero(t, st.Evicted)
	}
	_, err := meter.NewSharded(0, nil, nil, nil)
	require.ErrorContains(t, err, "0 shards")
	_, err = meter.NewSharded(257, nil, nil, nil)
	require.ErrorContains(t, err, "257 shards")
	_, err = meter.NewSharded(2, nil, config(func(c *meter.Config) { c.Plugins, _ = shortLivedOnes() }), nil)
	require.ErrorContains(t, err, "plugins")
	_, err = meter.NewSharded(2, nil, config(func(c *meter.Config) { c.SPLT = -1 }), nil)
	require.Error(t, err)
	_, err = meter.NewSharded(2, nil, config(func(c *meter.Config) { c.Plugins, _ = shortLivedOnes() }), func() ([]meter.Plugin, error) { return nil, io.ErrUnexpectedEOF })
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// faulty panics at a packet.
type faulty struct{ shortLived }

func (faulty) OnUpdate(*meter.Event, *meter.Flow, *meter.Row) { panic("faulty") }

func TestShardedPanic(t *testing.T) {
	ones := func() ([]meter.Plugin, error) { return []meter.Plugin{faulty{}}, nil }
	m, err := meter.NewSharded(2, func(*meter.Flow) {}, config(func(c *meter.Config) { c.Plugins, _ = ones() }), ones)
	require.NoError(t, err)
	m.FeedBatch(&packet.Batch{Frames: traffic(1, 100)})
	require.PanicsWithValue(t, "faulty", func() { _ = m.Flush() })
}

// The project's captures, with all columns.
func TestShardedCaptures(t *testing.T) {
	paths, err := filepath.Glob("../testdata/*.pcap")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		var want, got []*meter.Flow
		cfg := meter.DefaultConfig()
		cfg.Statistics, cfg.SPLT = true, 10
		serial, err := meter.New(func(f *meter.Flow) { want = append(want, f.Clone()) }, &cfg)
		require.NoError(t, err)
		sharded, err := meter.NewSharded(3, func(f *meter.Flow) { got = append(got, f.Clone()) }, &cfg, nil)
		require.NoError(t, err)
		for _, m := range []metered{serial, sharded} {
			src, err := pcapfile.Open(path, nil)
			require.NoError(t, err)
			for b := (packet.Batch{}); err == nil; {
				if err = src.ReadBatch(&b); err == nil {
					m.FeedBatch(&b)
				}
			}
			require.NoError(t, m.Flush())
			require.NoError(t, src.Close())
		}
		require.Equal(t, want, got, path)
	}
}

// A steady stream of packets costs no allocation but for what starts the goroutines of a round.
func TestShardedSteadyState(t *testing.T) {
	frames := traffic(3, 4096)
	m, err := meter.NewSharded(2, func(*meter.Flow) {}, config(func(c *meter.Config) { c.IdleTimeout, c.Statistics = time.Second/2, true }), nil)
	require.NoError(t, err)
	b := &packet.Batch{Frames: frames}
	for range 5 {
		m.FeedBatch(b)
	}
	require.LessOrEqual(t, testing.AllocsPerRun(10, func() { m.FeedBatch(b) }), 16.0)
	require.NoError(t, m.Flush())
}

func ExampleNewSharded() {
	m, err := meter.NewSharded(4, func(f *meter.Flow) { fmt.Println(f.ID, f.Key.Src(), f.Bidirectional.Packets) }, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	src, err := pcapfile.Open("../testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	var b packet.Batch
	for err = src.ReadBatch(&b); err == nil; err = src.ReadBatch(&b) {
		m.FeedBatch(&b)
	}
	if errors.Is(err, io.EOF) {
		err = m.Flush()
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output: 0 192.0.2.1:49152 36
}
