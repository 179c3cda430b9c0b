package packet_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

func TestDecodeIPv6Extensions(t *testing.T) {
	seg := []header{tcp(packet.ACK, 1, 1, 1, 0), data("payload")}
	ah := func(next byte) header {
		return raw(next, 4, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	}
	routing := func(next, left byte) header {
		return raw(join([]byte{next, 2, 0, left, 0, 0, 0, 0}, server6.Addr().AsSlice())...)
	}
	home := func(next byte) header {
		return raw(join([]byte{next, 2, 1, 0, 201, 16}, client6.Addr().AsSlice(), []byte{0, 0})...)
	}
	for _, tc := range []struct {
		name    string
		headers []header
		layers  int
		sum     packet.ChecksumState
	}{
		{"hop by hop", []header{ip6(0), ext(6)}, 3, packet.ChecksumGood},
		{"long", []header{ip6(0), ext(6, make([]byte, 64)...)}, 3, packet.ChecksumGood},
		{"destination options", []header{ip6(60), ext(6)}, 3, packet.ChecksumGood},
		{"mobility", []header{ip6(135), ext(6)}, 3, packet.ChecksumGood},
		{"HIP", []header{ip6(139), ext(6)}, 3, packet.ChecksumGood},
		{"shim6", []header{ip6(140), ext(6)}, 3, packet.ChecksumGood},
		{"routing", []header{ip6(43), routing(6, 0)}, 3, packet.ChecksumGood},
		{"routing, segments left", []header{ip6(43), routing(6, 1)}, 3, packet.ChecksumUnchecked},
		{"home address", []header{ip6(60), home(6)}, 3, packet.ChecksumUnchecked},
		{"authentication", []header{ip6(51), ah(6)}, 3, packet.ChecksumGood},
		{"atomic fragment", []header{ip6(44), frag6(1, 0, false, 6)}, 3, packet.ChecksumGood},
		{"all of them", []header{ip6(0), ext(60), ext(43), routing(44, 0), frag6(1, 0, false, 51), ah(60), ext(6)}, 8, packet.ChecksumGood},
	} {
		t.Run(tc.name, func(t *testing.T) {
			whole := stack(append(tc.headers, seg...)...)
			binary.BigEndian.PutUint16(whole[len(whole)-31+16:], tcpSum6(whole[len(whole)-31:]))
			f := frameOf(packet.LinkRaw, whole)
			d := newDecoder(t, nil)
			p := poisoned()
			d.Decode(f, p)
			require.True(t, p.IsTCP(), "%v %v", p.Err(), p.Layers())
			require.Equal(t, packet.NewFlowKey(client6, server6, 6), p.Key)
			require.Equal(t, "payload", string(p.Payload))
			require.Len(t, p.Layers(), tc.layers)
			require.Equal(t, tc.sum, p.Checksum)
			require.Zero(t, testing.AllocsPerRun(10, func() { d.Decode(f, p) }))
			tcpAt := len(whole) - 31
			for n := range whole {
				f.Data = append([]byte(nil), whole[:n]...)
				d.Decode(f, p)
				switch {
				case n < tcpAt:
					require.Equal(t, packet.TruncatedIP, p.Status, n)
				case n < tcpAt+20:
					require.Equal(t, packet.TruncatedTransport, p.Status, n)
				default:
					require.True(t, p.IsTCP())
				}
			}
		})
	}
}

// tcpSum6 returns the checksum of a segment from client6 to server6.
func tcpSum6(seg []byte) uint16 {
	seg = append([]byte(nil), seg...)
	seg[16], seg[17] = 0, 0
	return binary.BigEndian.Uint16(tcpChecksum(client6.Addr(), server6.Addr(), 6, seg)[16:])
}

func TestDecodeIPv6Lengths(t *testing.T) {
	for _, tc := range []struct {
		name    string
		edit    func(b []byte) []byte
		want    packet.Status
		payload int
	}{
		{"payload length 0", func(b []byte) []byte { b[4], b[5] = 0, 0; return b }, packet.OK, 100},
		{"jumbo option", func([]byte) []byte {
			b := stack(ip6(0), raw(6, 0, 194, 4, 0, 0, 0, 128), tcp(packet.ACK), data(strings.Repeat("x", 100)))
			b[4], b[5] = 0, 0
			return b
		}, packet.OK, 100},
		{"payload length too large", func(b []byte) []byte { b[4] = 9; return b }, packet.OK, 100},
		{"payload length smaller", func(b []byte) []byte { b[5] -= 10; return b }, packet.OK, 90},
		{"no TCP header", func(b []byte) []byte { b[5] = 19; return b }, packet.BadTCPHeader, 0},
		{"extension beyond payload", func([]byte) []byte { return stack(ip6(0), raw(6, 9, 1, 4, 0, 0, 0, 0)) }, packet.BadIPHeader, 0},
		{"extension without header", func([]byte) []byte { return stack(ip6(0), raw(6, 0, 1, 4)) }, packet.BadIPHeader, 0},
		{"version 4", func(b []byte) []byte { b[0] = 0x40; return b }, packet.BadIPHeader, 0},
		{"version 0", func(b []byte) []byte { b[0] = 0; return b }, packet.BadIPVersion, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := tc.edit(stack(ip6(6), tcp(packet.ACK), data(strings.Repeat("x", 100))))
			p := poisoned()
			newDecoder(t, nil).Decode(frameOf(packet.LinkRaw, b), p)
			require.Equal(t, tc.want, p.Status)
			require.Len(t, p.Payload, tc.payload)
		})
	}
	t.Run("no next header", func(t *testing.T) {
		p := poisoned()
		b := append(stack(ip6(59)), 0, 0, 0) // padding
		newDecoder(t, nil).Decode(frameOf(packet.LinkRaw, b), p)
		require.Equal(t, packet.OK, p.Status)
		require.EqualValues(t, 59, p.Proto)
		require.Empty(t, p.Payload)
	})
}

func TestDecodeIPv4Options(t *testing.T) {
	for name, tc := range map[string]struct {
		options []byte
		want    packet.ChecksumState
	}{
		"no operation":   {[]byte{1, 1, 1, 1}, packet.ChecksumGood},
		"timestamp":      {[]byte{68, 8, 5, 0, 0, 0, 0, 0}, packet.ChecksumGood},
		"loose route":    {[]byte{1, 131, 7, 4, 1, 2, 3, 4}, packet.ChecksumUnchecked},
		"strict route":   {[]byte{137, 7, 4, 1, 2, 3, 4, 0}, packet.ChecksumUnchecked},
		"end, then data": {[]byte{0, 131, 0, 0}, packet.ChecksumGood},
		"bad length":     {[]byte{7, 99, 131, 0}, packet.ChecksumGood},
		"length 0":       {[]byte{7, 0, 131, 0}, packet.ChecksumGood},
	} {
		t.Run(name, func(t *testing.T) {
			p := poisoned()
			f := frameOf(packet.LinkRaw, stack(ip4(6, tc.options...), tcp(packet.ACK), data("payload")))
			newDecoder(t, nil).Decode(f, p)
			require.True(t, p.IsTCP())
			require.Equal(t, "payload", string(p.Payload))
			require.Equal(t, tc.want, p.Checksum)
		})
	}
	t.Run("a route of the outer packet does not count", func(t *testing.T) {
		p := poisoned()
		f := frameOf(packet.LinkRaw, stack(ip4(4, 131, 7, 4, 1, 2, 3, 4, 0), ip4(6), tcp(packet.ACK), data("payload")))
		newDecoder(t, nil).Decode(f, p)
		require.True(t, p.IsTCP())
		require.Equal(t, packet.ChecksumGood, p.Checksum)
	})
	t.Run("authentication header", func(t *testing.T) {
		p := poisoned()
		f := frameOf(packet.LinkRaw, stack(ip4(51), raw(6, 1, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1), tcp(packet.ACK), data("payload")))
		newDecoder(t, nil).Decode(f, p)
		require.True(t, p.IsTCP())
		require.Equal(t, "payload", string(p.Payload))
		require.EqualValues(t, 7, p.Layers()[1].ID)
	})
	t.Run("IPv6 extension numbers mean nothing", func(t *testing.T) {
		p := poisoned()
		newDecoder(t, nil).Decode(frameOf(packet.LinkRaw, stack(ip4(0), ext(6), tcp(packet.ACK))), p)
		require.Equal(t, packet.OK, p.Status)
		require.Zero(t, p.Proto)
	})
}

func TestDecodeOtherProtocols(t *testing.T) {
	quoted := stack(ip4(6), tcp(packet.ACK), data("12345678"))
	for _, tc := range []struct {
		name  string
		frame []byte
		proto byte
	}{
		{"ICMP quoting TCP", stack(ip4(1), raw(3, 1, 0, 0, 0, 0, 0, 0), raw(quoted...)), 1},
		{"ICMPv6 quoting TCP", stack(ip6(58), raw(1, 4, 0, 0, 0, 0, 0, 0), raw(quoted...)), 58},
		{"ESP", stack(ip4(50), raw(quoted...)), 50},
		{"SCTP", stack(ip6(132), raw(quoted...)), 132},
		{"IGMP", stack(ip4(2), raw(0x16, 0, 0, 0, 224, 0, 0, 1)), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := poisoned()
			newDecoder(t, nil).Decode(frameOf(packet.LinkRaw, tc.frame), p)
			require.Equal(t, packet.OK, p.Status)
			require.Equal(t, tc.proto, p.Proto)
			require.Equal(t, tc.proto, p.Key.Proto())
			require.False(t, p.IsTCP())
			require.Zero(t, p.Key.Src().Port())
			require.Equal(t, packet.LayerNone, p.Tunnel())
			header := 20
			if tc.frame[0]>>4 == 6 {
				header = 40
			}
			require.Equal(t, tc.frame[header:], p.Payload)
		})
	}
}

func TestDecodeUDP(t *testing.T) {
	for _, tc := range []struct {
		name   string
		length int // -1 keeps the right one
		want   packet.Status
		n      int
	}{
		{"right", -1, packet.OK, 7},
		{"zero", 0, packet.OK, 7},
		{"below the header", 7, packet.BadUDPHeader, 0},
		{"empty", 8, packet.OK, 0},
		{"smaller", 10, packet.OK, 2},
		{"larger", 500, packet.OK, 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := stack(ip4(17), udp(5000, 53), data("payload"))
			if tc.length >= 0 {
				binary.BigEndian.PutUint16(b[24:], uint16(tc.length))
			}
			p := poisoned()
			newDecoder(t, nil).Decode(frameOf(packet.LinkRaw, b), p)
			require.Equal(t, tc.want, p.Status)
			require.Equal(t, "payload"[:tc.n], string(p.Payload))
			require.Zero(t, p.Missing)
			if p.Status == packet.OK {
				require.EqualValues(t, 5000, p.Key.Src().Port())
				require.EqualValues(t, 53, p.Key.Dst().Port())
				require.EqualValues(t, packet.ProtoUDP, p.Proto)
			}
		})
	}
	t.Run("no room for a header", func(t *testing.T) {
		p := poisoned()
		newDecoder(t, nil).Decode(frameOf(packet.LinkRaw, stack(ip4(17), raw(1, 2, 3, 4, 0, 4))), p)
		require.Equal(t, packet.BadUDPHeader, p.Status)
	})
}
