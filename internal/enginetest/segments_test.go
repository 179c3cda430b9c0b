package enginetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/packet"
)

func TestSegments(t *testing.T) {
	fed := enginetest.Segments([]byte{9, 0, 0, 0, 41, 0, 0, 0, 0, 10, 0, 0, 7, 5, 0, 0, 0, 10, 0, 0, 32, 3, 0, 1}, false)
	require.Len(t, fed, 5, "a lost segment is none")
	require.Equal(t, packet.SYN, fed[0].TCP.Flags)
	require.Equal(t, packet.SYN|packet.ACK, fed[1].TCP.Flags)
	require.Equal(t, fed[0].Key.Reverse(), fed[1].Key)
	require.Equal(t, fed[0].TCP.Seq+1, fed[2].TCP.Seq)
	require.Equal(t, enginetest.Text(0, 10), fed[2].TCP.Payload)
	require.Equal(t, fed[2].TCP.Seq+15, fed[3].TCP.Seq)
	require.Equal(t, enginetest.Text(15, 10), fed[3].TCP.Payload)
	require.Equal(t, fed[3].TCP.Seq+10, fed[4].TCP.Ack)
	for i, f := range fed {
		require.Equal(t, uint64(i+1), f.TCP.Number)
	}
	lies := enginetest.Segments([]byte{0, 10, 0, 0xf0}, true)
	require.NotEqual(t, enginetest.Text(0, 10), lies[0].TCP.Payload)
}
