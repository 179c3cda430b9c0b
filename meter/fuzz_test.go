package meter_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// modelFlow is a flow of the model: what tests of the order and of counts need.
type modelFlow struct {
	port                 uint16
	first, last          int64
	packets, bytes, back uint64
}

// model is the meter's rule written down again, as simply as can be: a list of flows in the order of their creation.
type model struct {
	idle, active int64
	flows        []*modelFlow
	out          []modelFlow
	why          []meter.Expiration
	now, scanned int64
	started      bool
}

func (m *model) end(i int, why meter.Expiration) {
	m.out = append(m.out, *m.flows[i])
	m.why = append(m.why, why)
	m.flows = append(m.flows[:i:i], m.flows[i+1:]...)
}

func (m *model) add(port uint16, back bool, size uint64, ms int64) {
	if !m.started {
		m.started, m.scanned = true, -1<<40
	}
	m.now = max(m.now, ms)
	scan := m.now-m.scanned >= 10
	if scan {
		m.scanned = m.now
	}
	at := -1
	for i, f := range m.flows {
		if f.port == port {
			at = i
		}
	}
	switch {
	case at >= 0 && m.now-m.flows[at].last >= m.idle:
		m.end(at, meter.ExpiredIdle)
		at = -1
	case at >= 0 && m.now-m.flows[at].first >= m.active:
		m.end(at, meter.ExpiredActive)
		at = -1
	}
	if at < 0 {
		at = len(m.flows)
		m.flows = append(m.flows, &modelFlow{port: port, first: m.now})
	}
	f := m.flows[at]
	f.last = m.now
	f.packets++
	f.bytes += size
	if back {
		f.back++
	}
	for scan && len(m.flows) > 0 && m.now-m.flows[0].last >= m.idle {
		m.end(0, meter.ExpiredIdle)
	}
}

// FuzzMeter: against the model, flows have the same counts, ends and order, ids ascend, and the statistics agree with the
// counts; the same packets in batches of other sizes, or in other orders of rows, give the same flows.
func FuzzMeter(f *testing.F) {
	f.Add(uint8(3), uint8(5), []byte{0, 0, 10, 1, 1, 200, 0, 2, 250, 1, 3, 1})
	f.Add(uint8(0), uint8(0), []byte{0, 0, 0, 0, 0, 0})
	f.Add(uint8(1), uint8(200), []byte{1, 1, 255, 2, 0, 255, 3, 0, 255, 1, 0, 255, 1, 128, 255})
	f.Fuzz(func(t *testing.T, idle, active uint8, ops []byte) {
		if len(ops) > 3*400 {
			return
		}
		m := &model{idle: int64(idle) * 100, active: int64(active) * 100}
		var frames []packet.Frame
		now := int64(0)
		for ; len(ops) >= 3; ops = ops[3:] {
			port, back := uint16(1+ops[0]%8), ops[0]&0x80 != 0
			size := int(ops[1])
			now += int64(int8(ops[2]-30)) * 7 // it may go back
			frame := udp(now, port, back, size)
			frame.Number = uint64(len(frames) + 1)
			frames = append(frames, frame)
			m.add(port, back, uint64(frame.Length), start/1e6+now)
		}
		for len(m.flows) > 0 {
			m.end(0, meter.ExpiredIdle)
		}
		cfg := config(func(c *meter.Config) {
			c.IdleTimeout, c.ActiveTimeout = time.Duration(m.idle)*time.Millisecond, time.Duration(m.active)*time.Millisecond
			c.Statistics, c.SPLT = true, 5
		})
		flows := run(t, cfg, frames...)
		require.Len(t, flows, len(m.out))
		for i, got := range flows {
			want := m.out[i]
			b := &got.Bidirectional
			port := got.Key.Src().Port()
			if port == 9 {
				port = got.Key.Dst().Port()
				want.back = want.packets - want.back
			}
			require.Equal(t, modelFlow{port, int64(b.FirstSeen), int64(b.LastSeen), b.Packets, b.Bytes, got.Dst2Src.Packets}, want)
			require.Equal(t, m.why[i], got.Expiration)
			require.Equal(t, uint64(i), got.ID)
			require.Len(t, got.SPLT, int(min(b.Packets, 5)))
			require.InEpsilon(t, float64(b.Bytes), b.Sizes.Mean*float64(b.Packets), 1e-9)
			require.LessOrEqual(t, float64(b.Sizes.Min), b.Sizes.Mean+1e-9)
			require.GreaterOrEqual(t, float64(b.Sizes.Max), b.Sizes.Mean-1e-9)
			require.InDelta(t, float64(b.Duration()), b.Gaps.Mean*float64(b.Packets-1), 1e-6)
		}
		requireSameFlows(t, cfg, frames, flows)
	})
}

// requireSameFlows meters the same frames one by one, and in the other orders: what comes is the same but for the order.
func requireSameFlows(t *testing.T, cfg *meter.Config, frames []packet.Frame, want []*meter.Flow) {
	t.Helper()
	var one []*meter.Flow
	m, err := meter.New(func(f *meter.Flow) { one = append(one, f.Clone()) }, cfg)
	require.NoError(t, err)
	for i := range frames {
		m.Feed(&frames[i])
	}
	require.NoError(t, m.Flush())
	require.Equal(t, want, one)
	key := func(f *meter.Flow) [12]byte {
		var k [12]byte
		binary.BigEndian.PutUint64(k[:], f.Bidirectional.FirstSeen)
		binary.BigEndian.PutUint32(k[8:], uint32(f.Key.Src().Port())<<16|uint32(f.Key.Dst().Port()))
		return k
	}
	for _, order := range []meter.Order{meter.OrderExpiry, meter.OrderFirst} {
		other := *cfg
		other.Order = order
		counts := map[[12]byte]int{}
		for _, f := range want {
			counts[key(f)] += int(f.Bidirectional.Packets)
		}
		got := run(t, &other, frames...)
		require.Len(t, got, len(want))
		for _, f := range got {
			counts[key(f)] -= int(f.Bidirectional.Packets)
		}
		for _, n := range counts {
			require.Zero(t, n)
		}
	}
}

// FuzzStrict: whatever comes, by the strict rules with everything switched on, each frame that counts is in exactly one flow,
// sizes do not grow inwards, and a copy of the frame goes to the same flow.
func FuzzStrict(f *testing.F) {
	f.Add(uint8(1), pktgen.Build(pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.TCP{Src: 1, Dst: 2}, pktgen.Payload("hello")))
	f.Add(uint8(1), pktgen.Build(pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.UDP{Dst: 4789}, pktgen.VXLAN{VNI: 7}, pktgen.Ethernet{},
		pktgen.IPv6{Src: hostA6, Dst: hostB6}, pktgen.UDP{Src: 1, Dst: 2}))
	f.Add(uint8(101), fragment4([]byte("\x00\x01\x00\x02\x00\x10\x00\x00abcdefgh"), 0, true))
	f.Add(uint8(101), fragment4([]byte("abcdefgh"), 16, false))
	f.Add(uint8(101), fragment6([]byte("\x00\x01\x00\x02\x00\x10\x00\x00abcdefgh"), 0, true))
	f.Add(uint8(101), fragment6([]byte("abcdefgh"), 16, false))
	f.Fuzz(func(t *testing.T, link uint8, data []byte) {
		frame := packet.Frame{Time: start, Data: data, Length: len(data), Link: packet.LinkType(link), Number: 1}
		var bytes [4]uint64
		for mode := range bytes {
			var flows []*meter.Flow
			m, err := meter.New(func(f *meter.Flow) { flows = append(flows, f.Clone()) }, strictly(func(c *meter.Config) {
				c.Statistics, c.SPLT, c.Dissections, c.Accounting = true, 3, 20, nfpacket.Accounting(mode)
			}))
			require.NoError(t, err)
			counts := m.Feed(&frame)
			require.Equal(t, counts, m.Feed(&frame))
			require.NoError(t, m.Flush())
			st := m.Stats()
			require.Equal(t, uint64(2), st.Frames)
			var ignored uint64
			for _, n := range st.Ignored {
				ignored += n
			}
			require.Equal(t, uint64(2), st.Packets+ignored)
			if !counts {
				require.Empty(t, flows)
				return
			}
			require.Len(t, flows, 1)
			require.Equal(t, uint64(2), flows[0].Src2Dst.Packets)
			require.Zero(t, flows[0].Dst2Src.Packets)
			bytes[mode] = flows[0].Bidirectional.Bytes
		}
		require.GreaterOrEqual(t, bytes[nfpacket.IPSize], bytes[nfpacket.TransportSize])
		require.GreaterOrEqual(t, bytes[nfpacket.TransportSize], bytes[nfpacket.PayloadSize])
	})
}
