package packet_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

func TestFlowKey(t *testing.T) {
	for _, tc := range []struct{ src, dst string }{
		{"192.0.2.1:40000", "198.51.100.2:80"},
		{"198.51.100.2:80", "192.0.2.1:40000"},
		{"[2001:db8::1]:40000", "[2001:db8::2]:80"},
		{"[2001:db8:1::1]:1", "[2001:db8::1]:1"},
		{"[::ffff:192.0.2.1]:40000", "[::ffff:198.51.100.2]:80"},
		{"10.0.0.1:1", "10.0.0.1:2"},
		{"10.0.0.1:2", "10.0.0.1:1"},
		{"10.0.0.1:1", "10.0.0.1:1"},
		{"0.0.0.0:0", "255.255.255.255:65535"},
	} {
		t.Run(tc.src+">"+tc.dst, func(t *testing.T) {
			src, dst := netip.MustParseAddrPort(tc.src), netip.MustParseAddrPort(tc.dst)
			k := packet.NewFlowKey(src, dst, packet.ProtoTCP)
			require.Equal(t, src, k.Src())
			require.Equal(t, dst, k.Dst())
			require.EqualValues(t, packet.ProtoTCP, k.Proto())
			require.Equal(t, fmt.Sprintf("%s > %s proto 6", src, dst), k.String())

			r := k.Reverse()
			require.Equal(t, dst, r.Src())
			require.Equal(t, src, r.Dst())
			require.Equal(t, k, r.Reverse())

			a, ra := k.Canonical()
			b, rb := r.Canonical()
			require.Equal(t, a, b)
			require.True(t, a.Equal(&b))
			require.Equal(t, src == dst, k.Equal(&r))
			require.Equal(t, src != dst, ra != rb, "one of the two is reversed")
			require.Equal(t, ra, a != k)
			require.Equal(t, a.Hash(7), b.Hash(7))
			require.NotEqual(t, a.Hash(7), a.Hash(8), "the seed counts")
		})
	}
}

func TestFlowKeyParts(t *testing.T) {
	base := packet.NewFlowKey(client4, server4, packet.ProtoTCP)
	other := netip.MustParseAddrPort("192.0.2.1:40001")
	mapped := netip.AddrPortFrom(netip.AddrFrom16(client4.Addr().As16()), client4.Port())
	mappedTo := netip.AddrPortFrom(netip.AddrFrom16(server4.Addr().As16()), server4.Port())
	for name, k := range map[string]packet.FlowKey{
		"port":      packet.NewFlowKey(other, server4, packet.ProtoTCP),
		"address":   packet.NewFlowKey(netip.MustParseAddrPort("192.0.2.2:40000"), server4, packet.ProtoTCP),
		"protocol":  packet.NewFlowKey(client4, server4, packet.ProtoUDP),
		"version":   packet.NewFlowKey(mapped, mappedTo, packet.ProtoTCP),
		"VLAN":      base.WithVLAN(5),
		"tunnel":    base.WithTunnel(5),
		"direction": base.Reverse(),
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, base, k)
			require.NotEqual(t, base.Hash(1), k.Hash(1))
		})
	}
	six := packet.NewFlowKey(client6, server6, packet.ProtoTCP)
	for _, k := range []packet.FlowKey{base, six} {
		hashes := map[uint64]bool{k.Hash(1): true}
		for id := range uint32(100) { // a VLAN is no tunnel
			for _, k := range []packet.FlowKey{k.WithVLAN(uint16(id)), k.WithTunnel(id), k.WithTunnel(id<<24 | 1)} {
				hashes[k.Hash(1)] = true
			}
		}
		require.Len(t, hashes, 1+99+99+99)
		tagged := k.WithVLAN(0xffff).WithTunnel(0xffffffff)
		require.Equal(t, k.Version(), tagged.Version())
		require.Equal(t, k.Proto(), tagged.Proto())
		require.Equal(t, k, tagged.WithTunnel(0).WithVLAN(0))
		require.Equal(t, tagged, tagged.Reverse().Reverse())
	}
	k := base.WithVLAN(7).WithTunnel(8)
	require.EqualValues(t, 7, k.VLAN())
	require.EqualValues(t, 8, k.Tunnel())
	require.EqualValues(t, 7, k.Reverse().VLAN())
	c, _ := k.Canonical()
	require.EqualValues(t, 8, c.Tunnel())
	require.Equal(t, base, k.WithVLAN(0).WithTunnel(0))
	require.Equal(t, netip.AddrPort{}, packet.FlowKey{}.Src())
	require.Equal(t, netip.MustParseAddrPort("[fe80::1]:1"), packet.NewFlowKey(netip.MustParseAddrPort("[fe80::1%eth0]:1"), server6, 6).Src(), "no zone")
}

// No address hides the other one, whatever constants the hash has: here those that it had, and 0.
func TestFlowKeyHashOfChosenAddresses(t *testing.T) {
	for _, dst := range []string{"2001:db8::9e37:79b9:7f4a:7c15", "9e37:79b9:7f4a:7c15::", "d6e8:feb8:6659:fd93::", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		seen := map[uint64]bool{}
		to := netip.AddrPortFrom(netip.MustParseAddr(dst), 2)
		for i := range 2000 {
			for _, src := range [][16]byte{{0x20, 1, 6: byte(i >> 8), 7: byte(i)}, {0x30, 1, 14: byte(i), 15: byte(i >> 8)}} { // one half varies
				from := netip.AddrPortFrom(netip.AddrFrom16(src), 1)
				forth, back := packet.NewFlowKey(from, to, packet.ProtoTCP), packet.NewFlowKey(to, from, packet.ProtoTCP)
				seen[forth.Hash(77)], seen[back.Hash(77)] = true, true
			}
		}
		require.Len(t, seen, 8000, dst)
	}
}

// Tuples that a 32-bit hash would merge stay apart, and spread evenly.
func TestFlowKeyHash(t *testing.T) {
	seen := map[uint64]bool{}
	var buckets [64]int
	const n = 200_000
	for i := range n {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(i))
		k := packet.NewFlowKey(src, server4, packet.ProtoTCP)
		h := k.Hash(12345)
		require.False(t, seen[h])
		seen[h] = true
		buckets[h>>58]++
	}
	for _, b := range buckets {
		require.InDelta(t, n/len(buckets), b, float64(n/len(buckets)/10))
	}
}
