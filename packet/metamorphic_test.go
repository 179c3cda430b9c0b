package packet_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

// fragmented cuts the IP datagram b into fragments of at most size bytes each, headers not counted.
func fragmented(b []byte, id, size int) [][]byte {
	header, six := int(b[0]&0xf)*4, b[0]>>4 == 6
	if six {
		header = 40
	}
	var all [][]byte
	for at := header; at < len(b); at += size {
		end := min(at+size, len(b))
		more := end < len(b)
		if six {
			h := append([]byte(nil), b[:header]...)
			h[6] = 44
			binary.BigEndian.PutUint16(h[4:], uint16(8+end-at))
			all = append(all, join(h, frag6(id, at-header, more, b[6])(b[at:end])))
			continue
		}
		h := append([]byte(nil), b[:header]...)
		binary.BigEndian.PutUint16(h[2:], uint16(header+end-at))
		binary.BigEndian.PutUint16(h[4:], uint16(id))
		v := uint16((at - header) / 8)
		if more {
			v |= 0x2000
		}
		binary.BigEndian.PutUint16(h[6:], v)
		all = append(all, join(h, b[at:end]))
	}
	return all
}

// A packet that was fragmented below any link or tunnel header is the same packet again.
func TestFragmentedIsSame(t *testing.T) {
	same := func(t *testing.T, whole *packet.Frame, parts []*packet.Frame) {
		t.Helper()
		rng := rand.New(rand.NewPCG(3, 4))
		cfg := &packet.DecoderConfig{KeyVLAN: true, KeyTunnel: true}
		var want packet.Packet
		newDecoder(t, cfg).Decode(whole, &want)
		require.True(t, want.IsTCP())
		for range 5 {
			rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			g := newDefrag(t, nil, cfg)
			for i, f := range parts {
				require.Equal(t, i == len(parts)-1, g.add(f))
			}
			require.True(t, g.p.IsTCP(), "%v %v", g.p.Err(), g.p.Layers())
			require.Equal(t, want.Key, g.p.Key)
			require.Equal(t, want.TCP, g.p.TCP)
			require.Equal(t, want.Checksum, g.p.Checksum)
			require.Equal(t, want.Tunnel(), g.p.Tunnel())
			require.Equal(t, want.TunnelID(), g.p.TunnelID())
			require.Equal(t, want.AppendVLANs(nil), g.p.AppendVLANs(nil))
			wantOuter, ok := want.OuterKey()
			outer, also := g.p.OuterKey()
			require.Equal(t, ok, also)
			require.Equal(t, wantOuter, outer)
			require.Len(t, g.p.Layers(), len(want.Layers()))
		}
	}
	versions(t, func(t *testing.T, six bool) {
		ip := stack(ip4(6), tcp(packet.ACK, 1, 1, 1, 0), data("a payload of some length, to be cut"))
		if six {
			ip = stack(ip6(6), tcp(packet.ACK, 1, 1, 1, 0), data("a payload of some length, to be cut"))
		}
		carry := func(l under, headers []header, b []byte) *packet.Frame {
			h := append(append([]header(nil), l.headers...), headers...)
			return frameOf(l.link, stack(append(h, raw(b...))...))
		}
		for _, l := range links(six) {
			t.Run(l.name, func(t *testing.T) {
				var parts []*packet.Frame
				for _, b := range fragmented(ip, 7, 16) {
					parts = append(parts, carry(l, nil, b))
				}
				same(t, carry(l, nil, ip), parts)
			})
		}
		for _, u := range tunnels(six) {
			l, _ := find(links(u.outer6), "qinq 88a8")
			t.Run(u.name+", inner fragments", func(t *testing.T) {
				var parts []*packet.Frame
				for _, b := range fragmented(ip, 7, 16) {
					parts = append(parts, carry(l, u.headers, b))
				}
				same(t, carry(l, u.headers, ip), parts)
			})
			t.Run(u.name+", outer fragments", func(t *testing.T) {
				outer := stack(append(append([]header(nil), u.headers...), raw(ip...))...)
				var parts []*packet.Frame
				for _, b := range fragmented(outer, 7, 32) {
					parts = append(parts, carry(l, nil, b))
				}
				same(t, carry(l, nil, outer), parts)
			})
		}
	})
}

// A stream of fragments that is far too much for the limits: they hold at every step, and two runs are the same.
func TestDefragmenterStress(t *testing.T) {
	const steps = 20_000
	run := func(seed uint64) (log []string, s packet.DefragmenterStats) {
		rng := rand.New(rand.NewPCG(seed, 1))
		cfg := packet.DefragmenterConfig{MaxDatagrams: 20, MaxBytes: 128 << 10, MaxFragments: 8, TimeoutIPv4: time.Second, TimeoutIPv6: 2 * time.Second}
		g := newDefrag(t, &cfg, nil)
		now := int64(0)
		for range steps {
			now += int64(rng.IntN(1e8)) - 1e7 // backwards at times
			id, six, last := rng.IntN(80), rng.IntN(2) == 0, rng.IntN(3) == 0
			at := rng.IntN(6) * 512
			size := 512
			if last {
				size = 1 + rng.IntN(2000)
			} else if rng.IntN(10) == 0 {
				size = 8 * (1 + rng.IntN(300))
			}
			body := raw(make([]byte, size)...)
			if rng.IntN(50) == 0 {
				body = raw(append([]byte{byte(rng.Uint32())}, make([]byte, size-1)...)...)
			}
			b := stack(frag4(id, at, !last, 253), body)
			if six {
				b = stack(ip6(44), frag6(id, at, !last, 253), body)
			}
			f := frameOf(packet.LinkRaw, b)
			f.Time = now
			if rng.IntN(20) == 0 {
				f.Data = f.Data[:len(f.Data)-min(size/2, 100)]
			}
			if g.add(f) {
				log = append(log, fmt.Sprint(g.p.Key, len(g.p.Payload), g.p.Missing, g.p.Time))
			}
			s = g.Stats()
			require.LessOrEqual(t, s.Pending, uint64(cfg.MaxDatagrams))
			require.LessOrEqual(t, s.PendingBytes, uint64(cfg.MaxBytes))
		}
		return log, s
	}
	a, stats := run(1)
	b, again := run(1)
	require.Equal(t, a, b)
	require.Equal(t, stats, again)
	require.NotEmpty(t, a)
	require.NotZero(t, stats.Expired)
	require.NotZero(t, stats.Evicted)
	require.NotZero(t, stats.Duplicates)
	require.NotZero(t, stats.Overlaps)
	require.NotZero(t, stats.Overlapped)
	require.NotZero(t, stats.Late)
	require.NotZero(t, stats.Malformed)
	require.NotZero(t, stats.Cut)
}

// What the packet holds lies in the frame: nothing is copied.
func TestBorrowed(t *testing.T) {
	d := newDecoder(t, nil)
	var p packet.Packet
	for _, f := range allFrames() {
		d.Decode(f, &p)
		require.True(t, p.IsTCP())
		for i := range f.Data {
			f.Data[i] = 0xee
		}
		for _, b := range [][]byte{p.Payload, p.TCP.Payload, p.TCP.Options} {
			for _, c := range b {
				require.EqualValues(t, 0xee, c)
			}
		}
	}
}

// The decoder reads no byte behind what was captured, and none that the link layer does not count.
func TestBehindTheFrame(t *testing.T) {
	d := newDecoder(t, nil)
	var p, q packet.Packet
	for _, f := range allFrames() {
		for n := range len(f.Data) + 1 {
			cut := packet.Frame{Data: f.Data[:n:n], Length: len(f.Data), Link: f.Link}
			d.Decode(&cut, &p)
			buf := append(append([]byte(nil), f.Data[:n]...), "\xff\xff\xff\xff\xff\xff\xff\xff behind"...)
			cut.Data = buf[:n]
			d.Decode(&cut, &q)
			require.Equal(t, p.Status, q.Status)
			require.Equal(t, p.Layers(), q.Layers())
			require.Equal(t, p.Payload, q.Payload)
			require.Equal(t, p.Missing, q.Missing)
		}
	}
}
