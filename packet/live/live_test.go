package live_test

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet/live"
)

func TestError(t *testing.T) {
	for _, tt := range []struct {
		err  live.Error
		want string
	}{
		{live.Error{Interface: "eth0", Op: "bind socket", Err: fs.ErrPermission}, "eth0: bind socket: permission denied"},
		{live.Error{Interface: "eth0", Err: live.ErrDown}, "eth0: interface is down"},
		{live.Error{Op: "list interfaces", Err: fs.ErrPermission}, "list interfaces: permission denied"},
		{live.Error{Err: live.ErrUnsupported}, "no live capture on this system: capture files only"},
	} {
		require.EqualError(t, &tt.err, tt.want)
		require.ErrorIs(t, &tt.err, tt.err.Err)
	}
}
