package httpx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

func TestFlags(t *testing.T) {
	require.Empty(t, httpx.Flags(0).Strings())
	require.Equal(t, []string{"gap", "cl_te", "unknown_coding"}, (httpx.FlagUnknownCoding | httpx.FlagGap | httpx.FlagLengthChunked).Strings())
	seen := map[string]bool{}
	for f := httpx.FlagGap; f <= httpx.FlagUnknownCoding; f <<= 1 {
		words := f.Strings()
		require.Len(t, words, 1)
		require.NotEmpty(t, words[0])
		require.False(t, seen[words[0]], "%s", words[0])
		seen[words[0]] = true
	}
}

func TestConfig(t *testing.T) {
	_, err := httpx.New(nil)
	require.NoError(t, err)
	_, err = httpx.New(&httpx.Config{Limits: httpx.Limits{Line: -1}})
	require.EqualError(t, err, "config: negative Limits.Line")
}

// TestSkipped: what is no HTTP is skipped, and said so.
func TestSkipped(t *testing.T) {
	var skipped []httpx.Skipped
	p, err := httpx.New(&httpx.Config{OnSkip: func(s httpx.Skipped) { skipped = append(skipped, s) }})
	require.NoError(t, err)
	c := p.Open(httpx.ConnInfo{Stream: 3})
	c.Data(packet.ServerToClient, 0, []byte("SSH-2.0-x\r\n"), reassemble.Origin{Packet: 4, Time: 5})
	c.Gap(packet.ServerToClient, 11, 100)
	c.Close()
	c.Data(packet.ServerToClient, 111, []byte("late"), reassemble.Origin{})
	var n uint64
	for _, s := range skipped {
		require.Equal(t, packet.ServerToClient, s.Direction)
		require.Equal(t, httpx.Place{Offset: n, Packet: 4, Time: 5}, s.Start)
		n += s.Length
	}
	require.Equal(t, uint64(11), n)
	require.Equal(t, httpx.Stats{Conns: 1, Bytes: 11, Missing: 100, Skipped: 11}, p.Stats())
}
