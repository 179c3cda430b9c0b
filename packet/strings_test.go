package packet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

func TestNames(t *testing.T) {
	distinct := func(t *testing.T, n int, name func(i int) string) {
		t.Helper()
		seen := map[string]bool{}
		for i := range n {
			s := name(i)
			require.NotEmpty(t, s)
			require.NotContains(t, s, fmt.Sprint(i), "no name of its own")
			require.False(t, seen[s], s)
			seen[s] = true
		}
		require.Contains(t, name(n), fmt.Sprint(n), "one more has no name")
	}
	t.Run("Status", func(t *testing.T) {
		distinct(t, int(packet.TooDeep)+1, func(i int) string { return packet.Status(i).String() })
		require.Equal(t, packet.TooDeep.String(), packet.TooDeep.Error())
	})
	t.Run("LayerKind", func(t *testing.T) {
		distinct(t, int(packet.LayerEtherIP)+1, func(i int) string { return packet.LayerKind(i).String() })
	})
	t.Run("ChecksumState", func(t *testing.T) {
		distinct(t, int(packet.ChecksumBad)+1, func(i int) string { return packet.ChecksumState(i).String() })
	})
	t.Run("ChecksumMode", func(t *testing.T) {
		distinct(t, int(packet.ChecksumStrict)+1, func(i int) string { return packet.ChecksumMode(i).String() })
	})
	t.Run("LinkType", func(t *testing.T) {
		for _, l := range links(false) {
			require.NotContains(t, l.link.String(), "link type")
		}
		require.Equal(t, "ETHERNET", packet.LinkEthernet.String())
		require.Equal(t, "link type 147", packet.LinkType(147).String())
	})
	t.Run("Direction", func(t *testing.T) {
		require.Equal(t, "client", packet.ClientToServer.String())
		require.Equal(t, "server", packet.ServerToClient.String())
		require.Equal(t, packet.ServerToClient, packet.ClientToServer.Reverse())
		require.Equal(t, packet.ClientToServer, packet.ServerToClient.Reverse())
	})
	t.Run("TCPFlags", func(t *testing.T) {
		require.Equal(t, "SYN|ACK", (packet.SYN | packet.ACK).String())
		require.Equal(t, "FIN|SYN|RST|PSH|ACK|URG|ECE|CWR|AE", packet.TCPFlags(0x1ff).String())
		require.Empty(t, packet.TCPFlags(0).String())
		require.True(t, packet.TCPFlags(0x12).Has(packet.SYN))
		require.False(t, packet.SYN.Has(packet.SYN|packet.ACK))
	})
}

func TestStatusUndecodable(t *testing.T) {
	for s := packet.OK; s <= packet.TooDeep; s++ {
		require.Equal(t, s != packet.OK && s != packet.NotIP && s != packet.Fragment, s.Undecodable(), s)
	}
}

func TestDecodeError(t *testing.T) {
	var p packet.Packet
	d := newDecoder(t, nil)
	b := stack(eth(0x0800), ip4(6), tcp(packet.ACK))
	b[46] = 0x10
	d.Decode(frameOf(packet.LinkEthernet, b), &p)
	err := p.Err()
	require.EqualError(t, err, "frame 7: TCP at byte 34: bad TCP header")
	require.ErrorIs(t, err, packet.BadTCPHeader)
	var e *packet.DecodeError
	require.ErrorAs(t, err, &e)
	require.Equal(t, packet.DecodeError{Frame: 7, Layer: "TCP", Offset: 34, Err: packet.BadTCPHeader}, *e)

	d.Decode(frameOf(147, b), &p)
	require.EqualError(t, p.Err(), "frame 7: link layer at byte 0: unknown link type")
}

func TestDecoderConfig(t *testing.T) {
	for name, cfg := range map[string]packet.DecoderConfig{
		"mode":             {Checksum: 3},
		"unknown tunnel":   {Tunnels: 1 << 30},
		"none and another": {Tunnels: packet.NoTunnels | packet.TunnelGRE},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := packet.NewDecoder(&cfg)
			require.Error(t, err)
		})
	}
}

func TestDecoderStats(t *testing.T) {
	d := newDecoder(t, nil)
	var p packet.Packet
	d.Decode(frameOf(packet.LinkEthernet, stack(eth(0x0800), ip4(4), ip4(6), tcp(packet.SYN))), &p)
	d.Decode(frameOf(packet.LinkEthernet, stack(eth(0x0806))), &p)
	d.Decode(frameOf(147, nil), &p)
	var want packet.DecoderStats
	want.Frames = 3
	want.Status[packet.OK], want.Status[packet.NotIP], want.Status[packet.UnknownLink] = 1, 1, 1
	want.Layers[packet.LayerEthernet], want.Layers[packet.LayerIPv4], want.Layers[packet.LayerTCP] = 2, 2, 1
	want.Checksums[packet.ChecksumGood] = 1
	require.Equal(t, want, d.Stats())
}

func TestFrameTimestamp(t *testing.T) {
	f := packet.Frame{Time: -1}
	require.Equal(t, time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.UTC), f.Timestamp())
}
