//go:build !linux

package live_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/live"
)

// TestUnsupported: where there is no live capture, everything says so.
func TestUnsupported(t *testing.T) {
	_, err := live.Open(&live.Config{Interfaces: []string{"eth0"}})
	require.ErrorIs(t, err, live.ErrUnsupported)
	_, err = live.Interfaces()
	require.ErrorIs(t, err, live.ErrUnsupported)
	var s live.Source
	require.ErrorIs(t, s.ReadBatch(&packet.Batch{}), live.ErrUnsupported)
	require.NoError(t, s.Close())
}
