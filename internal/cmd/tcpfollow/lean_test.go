//go:build nogopacket && noparquet && noexpr

package tcpfollow_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// TestLeftOut: what build tags leave out says so before anything is written, and the rest is there.
func TestLeftOut(t *testing.T) {
	file, out := data+"http.pcap", filepath.Join(t.TempDir(), "out")
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"--engine gopacket: left out of this program by the build tag nogopacket", []string{"ls", "--engine", "gopacket", file}},
		{"-o parquet: left out of this program by the build tag noparquet", []string{"meter", "-o", "parquet", "-w", out, file}},
		{"--where: left out of this program by the build tag noexpr", []string{"http", "--where", "status == 200", file}},
		{"--where: left out of this program by the build tag noexpr", []string{"ident", "--where", "true", file}},
		{"--where: left out of this program by the build tag noexpr", []string{"ls", "--where", "true", file}},
		{"--where: left out of this program by the build tag noexpr", []string{"match", "-f", data + "flows/login.yaml", "--where", "true", file}},
	} {
		r := run(tt.args...)
		require.Equal(t, cli.ExitUsage, r.code, tt.want)
		require.Contains(t, r.stderr, tt.want)
		require.Empty(t, r.stdout)
	}
	_, err := os.Stat(out)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Contains(t, runOK(t, "http", file).stdout, "GET")
	require.Contains(t, runOK(t, "meter", "-o", "csv", file).stdout, "src_ip")
}
