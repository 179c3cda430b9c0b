package packet_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

// frag4 puts an IPv4 fragment header before the rest; offset is in bytes.
func frag4(id, offset int, more bool, proto byte, options ...byte) header {
	return func(rest []byte) []byte {
		b := ip4(253, options...)(rest)
		binary.BigEndian.PutUint16(b[4:], uint16(id))
		v := uint16(offset / 8)
		if more {
			v |= 0x2000
		}
		binary.BigEndian.PutUint16(b[6:], v|binary.BigEndian.Uint16(b[6:]))
		b[9] = proto
		return b
	}
}

// frag6 is the IPv6 fragment header, to be put behind an IPv6 header with protocol 44.
func frag6(id, offset int, more bool, proto byte) header {
	v := offset
	if more {
		v |= 1
	}
	return raw(join([]byte{proto, 0}, u16(v), u32(uint32(id)))...)
}

// split cuts the payload of a datagram at the given places, which are multiples of 8, and returns the fragments as raw
// IP frames.
func split(six bool, id int, proto byte, payload []byte, at ...int) []*packet.Frame {
	var frames []*packet.Frame
	start := 0
	for i := 0; i <= len(at); i++ {
		end := len(payload)
		if i < len(at) {
			end = at[i]
		}
		part := data(string(payload[start:end]))
		if six {
			frames = append(frames, frameOf(packet.LinkRaw, stack(ip6(44), frag6(id, start, i < len(at), proto), part)))
		} else {
			frames = append(frames, frameOf(packet.LinkRaw, stack(frag4(id, start, i < len(at), proto), part)))
		}
		start = end
	}
	return frames
}

// segment returns a TCP segment with the right checksum and n bytes of payload.
func segment(six bool, n int) []byte {
	h := []header{ip4(6), tcp(packet.ACK, 1, 1, 1, 0), data(strings.Repeat("0123456789", n/10+1)[:n])}
	if six {
		h[0] = ip6(6)
		return stack(h...)[40:]
	}
	return stack(h...)[20:]
}

type defrag struct {
	*packet.Defragmenter
	dec *packet.Decoder
	p   packet.Packet
}

func newDefrag(t testing.TB, cfg *packet.DefragmenterConfig, dec *packet.DecoderConfig) *defrag {
	t.Helper()
	g, err := packet.NewDefragmenter(cfg)
	require.NoError(t, err)
	return &defrag{Defragmenter: g, dec: newDecoder(t, dec)}
}

// add decodes f, as often as fragments come out, and reports whether g.p is then something else than a fragment.
func (g *defrag) add(f *packet.Frame) bool {
	g.dec.Decode(f, &g.p)
	for g.p.Status == packet.Fragment {
		var ok bool
		if f, ok = g.Add(f, &g.p); !ok {
			return false
		}
		g.dec.DecodeDatagram(f, &g.p)
	}
	return true
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for i := range n {
			q := append([]int(nil), p[:i]...)
			all = append(all, append(append(q, n-1), p[i:]...))
		}
	}
	return all
}

func TestDefragmentTCP(t *testing.T) {
	versions(t, func(t *testing.T, six bool) {
		for _, tc := range []struct {
			name string
			at   []int
			tiny uint64
		}{
			{"two", []int{1000}, 0},
			{"four", []int{24, 400, 808}, 0},
			{"header in two", []int{16}, 2},
			{"header in three", []int{8, 16}, 3},
			{"header in three and data", []int{8, 16, 24}, 3},
		} {
			t.Run(tc.name, func(t *testing.T) {
				seg := segment(six, 1400)
				frames := split(six, 9, 6, seg, tc.at...)
				for _, order := range permutations(len(frames)) {
					g := newDefrag(t, nil, nil)
					for i, n := range order {
						frames[n].Number = uint64(100 + i)
						frames[n].Time = int64(1000 + i)
						require.Equal(t, i == len(order)-1, g.add(frames[n]), order)
					}
					require.True(t, g.p.IsTCP(), "%v", g.p.Err())
					require.Equal(t, seg[24:], g.p.TCP.Payload)
					require.Equal(t, packet.ChecksumGood, g.p.Checksum)
					require.EqualValues(t, 99+len(frames), g.p.TCP.Number)
					require.EqualValues(t, 999+len(frames), g.p.TCP.Time)
					s := g.Stats()
					require.Equal(t, packet.DefragmenterStats{Fragments: uint64(len(frames)), Datagrams: 1, Tiny: s.Tiny}, s)
				}
				g := newDefrag(t, nil, nil)
				for _, f := range frames {
					g.add(f)
				}
				require.Equal(t, tc.tiny, g.Stats().Tiny)
			})
		}
	})
}

func TestDefragmentHeaders(t *testing.T) {
	t.Run("IPv4 is whole again", func(t *testing.T) {
		seg := segment(false, 100)
		g := newDefrag(t, nil, nil)
		a := frameOf(packet.LinkEthernet, stack(eth(0x0800), pad(6), frag4(7, 0, true, 6, 1, 1, 1, 0), data(string(seg[:48]))))
		b := frameOf(packet.LinkEthernet, stack(eth(0x0800), frag4(7, 48, false, 6), data(string(seg[48:]))))
		b.Interface = 3
		g.dec.Decode(b, &g.p)
		_, ok := g.Add(b, &g.p)
		require.False(t, ok)
		g.dec.Decode(a, &g.p)
		a.Interface = 3
		f, ok := g.Add(a, &g.p)
		require.True(t, ok)
		require.Equal(t, packet.LinkIPv4, f.Link)
		require.EqualValues(t, 3, f.Interface)
		require.Equal(t, len(f.Data), f.Length)
		want := ip4(6, 1, 1, 1, 0)(seg)
		want[5] = 7
		want[10], want[11] = 0, 0
		binary.BigEndian.PutUint16(want[10:], ^refSum(want[:24]))
		require.Equal(t, want, f.Data)
	})
	t.Run("IPv6 extension headers", func(t *testing.T) {
		seg := segment(true, 100)
		g := newDefrag(t, nil, nil)
		part := func(offset int, more bool, next byte, b []byte) *packet.Frame {
			return frameOf(packet.LinkRaw, stack(ip6(0), ext(60), ext(44), frag6(7, offset, more, next), data(string(b))))
		}
		content := ext(6)(seg) // a header in the fragmentable part
		require.False(t, g.add(part(64, false, 99, content[64:])))
		g.dec.Decode(part(0, true, 60, content[:64]), &g.p)
		require.EqualValues(t, 60, g.p.Proto)
		f, ok := g.Add(part(0, true, 60, content[:64]), &g.p)
		require.True(t, ok)
		require.Equal(t, packet.LinkIPv6, f.Link)
		require.Equal(t, stack(ip6(0), ext(60), ext(60), data(string(content))), f.Data)
		g.dec.DecodeDatagram(f, &g.p)
		require.True(t, g.p.IsTCP())
		require.Equal(t, seg[24:], g.p.Payload)
		require.Equal(t, packet.ChecksumGood, g.p.Checksum)
	})
	t.Run("atomic fragment", func(t *testing.T) {
		seg := segment(true, 100)
		g := newDefrag(t, nil, nil)
		require.True(t, g.add(split(true, 1, 6, seg)[0]))
		require.True(t, g.p.IsTCP())
		require.Equal(t, packet.ChecksumGood, g.p.Checksum)
		require.Zero(t, g.Stats().Fragments)
	})
}

func TestDefragmentOverlap(t *testing.T) {
	type part struct {
		at   int
		more bool
		text string
	}
	const x, y, z = "xxxxxxxx", "yyyyyyyy", "zzzzzzzz"
	for _, tc := range []struct {
		name        string
		parts       []part
		first, last string // "" if never complete
		dropped     bool   // under OverlapDrop
		stats       packet.DefragmenterStats
	}{
		{"none", []part{{0, true, x + y}, {16, false, z}}, x + y + z, x + y + z, false, packet.DefragmenterStats{}},
		{"duplicate", []part{{0, true, x + y}, {0, true, x + y}, {16, false, z}}, x + y + z, x + y + z, false, packet.DefragmenterStats{Duplicates: 1}},
		{"duplicate of a part", []part{{0, true, x + y}, {8, true, y}, {16, false, z}}, x + y + z, x + y + z, false, packet.DefragmenterStats{Duplicates: 1}},
		{"duplicate of two", []part{{0, true, x}, {8, true, y}, {0, true, x + y}, {16, false, z}}, x + y + z, x + y + z, false, packet.DefragmenterStats{Duplicates: 1}},
		{"duplicate last", []part{{16, false, z}, {16, false, z}, {0, true, x + y}}, x + y + z, x + y + z, false, packet.DefragmenterStats{Duplicates: 1}},
		{"same place, other bytes", []part{{0, true, x}, {0, true, y}, {8, false, z}}, x + z, y + z, true, packet.DefragmenterStats{Overlaps: 1}},
		{"over the end of the old", []part{{0, true, x + x}, {8, true, y + y}, {24, false, z}}, x + x + y + z, x + y + y + z, true, packet.DefragmenterStats{Overlaps: 1}},
		{"over the start of the old", []part{{8, true, x + x}, {0, true, y + y}, {24, false, z}}, y + x + x + z, y + y + x + z, true, packet.DefragmenterStats{Overlaps: 1}},
		{"over all of the old", []part{{8, true, x}, {0, true, y + y + y}, {24, false, z}}, y + x + y + z, y + y + y + z, true, packet.DefragmenterStats{Overlaps: 1}},
		{"inside the old", []part{{0, true, x + x + x}, {8, true, y}, {24, false, z}}, x + x + x + z, x + y + x + z, true, packet.DefragmenterStats{Overlaps: 1}},
		{"closes a hole over two", []part{{0, true, x + x}, {24, false, x + x}, {8, true, y + y + y}}, x + x + y + x + x, x + y + y + y + x, true, packet.DefragmenterStats{Overlaps: 1}},
		{"teardrop", []part{{0, true, x + x + x}, {8, false, "yyyy"}}, "", "", false, packet.DefragmenterStats{Malformed: 1}},
		{"two ends", []part{{8, false, x}, {8, false, x + y}, {0, true, z}}, z + x, z + x, false, packet.DefragmenterStats{Malformed: 1}},
		{"beyond the end", []part{{8, false, x}, {16, true, y}, {0, true, z}}, z + x, z + x, false, packet.DefragmenterStats{Malformed: 1}},
		{"not a multiple of 8", []part{{0, true, "1234567"}, {8, false, x}}, "", "", false, packet.DefragmenterStats{Malformed: 1}},
		{"empty", []part{{8, false, ""}, {0, true, x}}, "", "", false, packet.DefragmenterStats{Malformed: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			versions(t, func(t *testing.T, six bool) {
				for policy, want := range map[packet.OverlapPolicy]string{
					packet.OverlapDefault: tc.first, packet.OverlapFirst: tc.first, packet.OverlapLast: tc.last, packet.OverlapDrop: tc.first,
				} {
					drop := tc.dropped && (policy == packet.OverlapDrop || six && policy == packet.OverlapDefault)
					g := newDefrag(t, &packet.DefragmenterConfig{Overlap: policy}, nil)
					done := false
					for _, p := range tc.parts {
						f := stack(frag4(1, p.at, p.more, 253), data(p.text))
						if six {
							f = stack(ip6(44), frag6(1, p.at, p.more, 253), data(p.text))
						}
						done = g.add(frameOf(packet.LinkRaw, f)) || done
					}
					s := g.Stats()
					if drop {
						require.False(t, done)
						require.EqualValues(t, 1, s.Overlapped)
						require.NotZero(t, s.Overlaps)
						require.EqualValues(t, 1, s.Pending, "remembered")
						if len(tc.parts) == 3 && tc.name != "closes a hole over two" {
							require.NotZero(t, s.Late)
						}
						continue
					}
					require.Equal(t, want != "", done)
					if done {
						require.Equal(t, want, string(g.p.Payload), policy)
						require.EqualValues(t, 253, g.p.Proto)
						tc.stats.Datagrams = 1
					}
					s.Fragments, s.Pending, s.PendingBytes = 0, 0, 0
					require.Equal(t, tc.stats, s, policy)
				}
			})
		})
	}
}

func TestDefragmentTooLong(t *testing.T) {
	big := strings.Repeat("x", 1480)
	t.Run("one fragment", func(t *testing.T) {
		g := newDefrag(t, nil, nil)
		require.False(t, g.add(frameOf(packet.LinkRaw, stack(frag4(1, 65528, false, 1), data(big)))))
		require.EqualValues(t, 1, g.Stats().TooLong)
		require.Zero(t, g.Stats().Pending)
	})
	t.Run("by the first header", func(t *testing.T) {
		g := newDefrag(t, nil, nil)
		rest := strings.Repeat("y", 65515-1480)
		opts := make([]byte, 40)
		for i := range opts {
			opts[i] = 1
		}
		require.False(t, g.add(frameOf(packet.LinkRaw, stack(frag4(1, 1480, false, 253), data(rest)))))
		require.False(t, g.add(frameOf(packet.LinkRaw, stack(frag4(1, 0, true, 253, opts...), data(big)))))
		require.EqualValues(t, 1, g.Stats().TooLong)
		require.Zero(t, g.Stats().Pending)
	})
	t.Run("the longest", func(t *testing.T) {
		g := newDefrag(t, nil, nil)
		rest := strings.Repeat("y", 65515-1480)
		require.False(t, g.add(frameOf(packet.LinkRaw, stack(frag4(1, 1480, false, 253), data(rest)))))
		require.True(t, g.add(frameOf(packet.LinkRaw, stack(frag4(1, 0, true, 253), data(big)))))
		require.Len(t, g.p.Payload, 65515)
	})
	t.Run("the longest IPv6", func(t *testing.T) {
		g := newDefrag(t, nil, nil)
		rest := strings.Repeat("y", 65535-1480)
		f := stack(ip6(44), frag6(1, 1480, false, 253), data(rest))
		f[4], f[5] = 0, 0 // beyond 16 bits with the fragment header: the wire's length counts
		require.False(t, g.add(frameOf(packet.LinkRaw, f)))
		require.True(t, g.add(frameOf(packet.LinkRaw, stack(ip6(44), frag6(1, 0, true, 253), data(big)))))
		require.Len(t, g.p.Payload, 65535)
	})
}

func TestDefragmentKey(t *testing.T) {
	whole := segment(false, 40)
	t.Run("identification, protocol, addresses, VLAN", func(t *testing.T) {
		a := frameOf(packet.LinkEthernet, stack(eth(0x8100), vlan(1, 0x0800), frag4(5, 0, true, 6), data(string(whole[:32]))))
		rest := data(string(whole[32:]))
		for _, b := range [][]byte{
			stack(eth(0x8100), vlan(1, 0x0800), frag4(6, 32, false, 6), rest),
			stack(eth(0x8100), vlan(1, 0x0800), frag4(5, 32, false, 17), rest),
			stack(eth(0x8100), vlan(2, 0x0800), frag4(5, 32, false, 6), rest),
		} {
			g := newDefrag(t, nil, &packet.DecoderConfig{KeyVLAN: true})
			require.False(t, g.add(a))
			require.False(t, g.add(frameOf(packet.LinkEthernet, b)))
			require.EqualValues(t, 2, g.Stats().Pending)
		}
		g := newDefrag(t, nil, nil)
		require.False(t, g.add(a))
		require.True(t, g.add(frameOf(packet.LinkEthernet, stack(eth(0x8100), vlan(2, 0x0800), frag4(5, 32, false, 6), rest))), "VLAN does not count")
		require.Equal(t, []uint16{2}, g.p.AppendVLANs(nil))
		require.True(t, g.p.IsTCP())
		g = newDefrag(t, nil, &packet.DecoderConfig{KeyVLAN: true})
		require.False(t, g.add(a))
		require.True(t, g.add(frameOf(packet.LinkEthernet, stack(eth(0x8100), vlan(1, 0x0800), frag4(5, 32, false, 6), rest))))
		require.EqualValues(t, 1, g.p.Key.VLAN())
	})
	t.Run("IPv6 ignores the protocol", func(t *testing.T) {
		seg := segment(true, 40)
		g := newDefrag(t, nil, nil)
		require.False(t, g.add(frameOf(packet.LinkRaw, stack(ip6(44), frag6(1, 32, false, 17), data(string(seg[32:]))))))
		require.True(t, g.add(frameOf(packet.LinkRaw, stack(ip6(44), frag6(1, 0, true, 6), data(string(seg[:32]))))))
		require.True(t, g.p.IsTCP())
	})
}

func TestDefragmentTunnels(t *testing.T) {
	t.Run("inner fragments", func(t *testing.T) {
		g := newDefrag(t, nil, &packet.DecoderConfig{KeyTunnel: true})
		seg := segment(false, 100)
		wrap := func(f *packet.Frame) *packet.Frame {
			return frameOf(packet.LinkEthernet, stack(eth(0x8100), vlan(3, 0x0800), ip4To(outerA4, outerB4, 17), udp(50000, 4789), vxlan(55), eth(0x0800), raw(f.Data...)))
		}
		parts := split(false, 1, 6, seg, 48)
		require.False(t, g.add(wrap(parts[0])))
		require.True(t, g.add(wrap(parts[1])))
		require.True(t, g.p.IsTCP())
		require.Equal(t, client4, g.p.Key.Src())
		require.EqualValues(t, 55, g.p.Key.Tunnel())
		require.EqualValues(t, 55, g.p.TunnelID())
		require.Equal(t, packet.LayerVXLAN, g.p.Tunnel())
		require.EqualValues(t, 3, g.p.VLAN())
		outer, ok := g.p.OuterKey()
		require.True(t, ok)
		require.Equal(t, outerA4, outer.Src().Addr())
		require.EqualValues(t, 4789, outer.Dst().Port())
	})
	t.Run("outer fragments", func(t *testing.T) {
		g := newDefrag(t, nil, nil)
		inner := stack(ip4(6), tcp(packet.ACK), data("payload"))
		outer := stack(ip4To(outerA4, outerB4, 47), gre(0, 0x0800), raw(inner...))
		parts := split(false, 1, 47, outer[20:], 8)
		require.False(t, g.add(parts[0]))
		require.True(t, g.add(parts[1]))
		require.True(t, g.p.IsTCP())
		require.Equal(t, packet.LayerGRE, g.p.Tunnel())
		key, ok := g.p.OuterKey()
		require.True(t, ok)
		require.Equal(t, client4.Addr(), key.Src().Addr(), "the fragments' own header")
		require.Equal(t, "payload", string(g.p.Payload))
	})
	t.Run("fragments of fragments", func(t *testing.T) {
		seg := segment(false, 200)
		parts := split(false, 1, 6, seg, 104)
		var frames []*packet.Frame
		for i, f := range parts {
			frames = append(frames, split(false, 50+i, 4, f.Data, 64)...)
		}
		for _, order := range permutations(4) {
			g := newDefrag(t, nil, nil)
			for i, n := range order {
				require.Equal(t, i == 3, g.add(frames[n]))
			}
			require.True(t, g.p.IsTCP())
			require.Equal(t, seg[24:], g.p.Payload)
			require.Equal(t, packet.LayerIPv4, g.p.Tunnel())
			require.Len(t, g.p.Layers(), 3)
		}
	})
}

func TestDefragmentCut(t *testing.T) {
	versions(t, func(t *testing.T, six bool) {
		seg := segment(six, 1000)
		header := 20
		if six {
			header = 48
		}
		g := newDefrag(t, nil, nil)
		frames := split(six, 1, 6, seg, 400, 800)
		frames[1].Data = frames[1].Data[:header+100]
		frames[2].Data = frames[2].Data[:header+10]
		require.False(t, g.add(frames[2]))
		require.False(t, g.add(frames[1]))
		require.True(t, g.add(frames[0]))
		require.True(t, g.p.IsTCP())
		require.Equal(t, seg[24:500], g.p.TCP.Payload)
		require.EqualValues(t, len(seg)-500, g.p.TCP.Missing)
		require.Equal(t, packet.ChecksumUnchecked, g.p.Checksum)
		require.EqualValues(t, 2, g.Stats().Cut)
	})
}

func TestDefragmentLimits(t *testing.T) {
	first := func(six bool, id int, at time.Duration, size int) *packet.Frame {
		f := split(six, id, 253, make([]byte, size+8), size)[0]
		f.Time = int64(at)
		return f
	}
	last := func(six bool, id int, at time.Duration, size int) *packet.Frame {
		f := split(six, id, 253, make([]byte, size+8), size)[1]
		f.Time = int64(at)
		return f
	}
	t.Run("datagrams", func(t *testing.T) {
		g := newDefrag(t, &packet.DefragmenterConfig{MaxDatagrams: 3}, nil)
		for id, six := range []bool{false, true, false, true, false} {
			require.False(t, g.add(first(six, id, 0, 64)))
		}
		require.EqualValues(t, 2, g.Stats().Evicted)
		require.EqualValues(t, 3, g.Stats().Pending)
		for id, six := range []bool{false, true, false, true, false} {
			if id >= 2 {
				require.True(t, g.add(last(six, id, 0, 64)), id)
			}
		}
		require.Zero(t, g.Stats().Pending)
	})
	t.Run("bytes", func(t *testing.T) {
		g := newDefrag(t, &packet.DefragmenterConfig{MaxBytes: 128 << 10}, nil)
		for id := range 1000 {
			require.False(t, g.add(first(id%2 == 0, id, 0, 1400)))
			require.LessOrEqual(t, g.Stats().PendingBytes, uint64(128<<10))
		}
		require.Greater(t, g.Stats().Pending, uint64(20))
		require.True(t, g.add(last(false, 999, 0, 1400)))
		require.False(t, g.add(last(true, 0, 0, 1400)), "evicted")
	})
	t.Run("one datagram larger than all", func(t *testing.T) {
		g := newDefrag(t, &packet.DefragmenterConfig{MaxBytes: 128 << 10, Overlap: packet.OverlapLast}, nil)
		for i := range 200 {
			f := first(false, 1, 0, 1400)
			f.Data[30] = byte(i)
			require.False(t, g.add(f))
			require.LessOrEqual(t, g.Stats().PendingBytes, uint64(128<<10))
		}
		require.NotZero(t, g.Stats().Evicted)
	})
	t.Run("fragments", func(t *testing.T) {
		g := newDefrag(t, &packet.DefragmenterConfig{MaxFragments: 3}, nil)
		for i, f := range split(false, 1, 253, make([]byte, 40), 8, 16, 24, 32) {
			require.False(t, g.add(f), i)
		}
		s := g.Stats()
		require.EqualValues(t, 1, s.Overfull)
		require.EqualValues(t, 1, s.Late)
		require.Zero(t, s.PendingBytes)
	})
	t.Run("time", func(t *testing.T) {
		for _, tc := range []struct {
			name  string
			six   bool
			after time.Duration
			want  bool
		}{
			{"IPv4 in time", false, 30 * time.Second, true},
			{"IPv4 late", false, 30*time.Second + 1, false},
			{"IPv6 in time", true, 60 * time.Second, true},
			{"IPv6 late", true, 60*time.Second + 1, false},
			{"backwards", false, -time.Hour, true},
		} {
			t.Run(tc.name, func(t *testing.T) {
				const start = time.Duration(1e18)
				g := newDefrag(t, nil, nil)
				require.False(t, g.add(first(!tc.six, 8, start, 64)))
				require.False(t, g.add(first(tc.six, 9, start, 64)))
				require.Equal(t, tc.want, g.add(last(tc.six, 9, start+tc.after, 64)))
				if !tc.want {
					require.NotZero(t, g.Stats().Expired)
				}
			})
		}
	})
}

func TestDefragmenterConfig(t *testing.T) {
	for name, cfg := range map[string]packet.DefragmenterConfig{
		"datagrams": {MaxDatagrams: -1},
		"bytes":     {MaxBytes: 1000},
		"negative":  {MaxBytes: -1},
		"fragments": {MaxFragments: -1},
		"IPv4 time": {TimeoutIPv4: -1},
		"IPv6 time": {TimeoutIPv6: -1},
		"policy":    {Overlap: 4},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := packet.NewDefragmenter(&cfg)
			require.Error(t, err)
		})
	}
}

func TestDefragmentOtherInput(t *testing.T) {
	g := newDefrag(t, nil, nil)
	f := frameOf(packet.LinkRaw, stack(ip4(6), tcp(packet.ACK), data("payload")))
	g.dec.Decode(f, &g.p)
	_, ok := g.Add(f, &g.p)
	require.False(t, ok)
	require.Zero(t, g.Stats().Fragments)

	part := split(false, 1, 6, segment(false, 100), 48)[0]
	g.dec.Decode(part, &g.p)
	for n := range part.Data { // not the frame that was decoded
		g.Add(&packet.Frame{Data: part.Data[:n:n]}, &g.p)
	}
	require.NotZero(t, g.Stats().Malformed)
}

func TestDefragmentDoesNotAllocate(t *testing.T) {
	g := newDefrag(t, nil, nil)
	frames := append(split(false, 1, 6, segment(false, 2000), 1000), split(true, 1, 6, segment(true, 2000), 1000)...)
	for _, f := range frames {
		g.add(f)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			g.add(f)
		}
	}))
	require.EqualValues(t, 2*102, g.Stats().Datagrams)
}

// The bytes of a fragment are copied: the caller's buffer is its own after Add.
func TestDefragmentCopies(t *testing.T) {
	g := newDefrag(t, nil, nil)
	seg := segment(false, 500)
	frames := split(false, 1, 6, seg, 304)
	require.False(t, g.add(frames[0]))
	clear(frames[0].Data)
	require.True(t, g.add(frames[1]))
	clear(frames[1].Data)
	require.Equal(t, seg[24:], g.p.Payload)
}
