//go:build linux

package nettest_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/nettest"
)

// TestIsolated: the test has interfaces of its own, and none of others.
func TestIsolated(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	all, err := net.Interfaces()
	require.NoError(t, err)
	var names []string
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 {
			names = append(names, i.Name)
		}
	}
	require.ElementsMatch(t, []string{"a0", "a1"}, names)
}
