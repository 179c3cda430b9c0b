//go:build unix

package tcpfollow_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// TestMeterPipe: a pipe is written to and stays one.
func TestMeterPipe(t *testing.T) {
	file := datagrams(t, 3)
	pipe := filepath.Join(t.TempDir(), "rows.csv")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	read := make(chan string)
	go func() {
		b, err := os.ReadFile(pipe)
		if err != nil {
			b = []byte(err.Error())
		}
		read <- string(b)
	}()
	runOK(t, "meter", "-w", pipe, file)
	require.Equal(t, runOK(t, "meter", file).stdout, <-read)
	fi, err := os.Stat(pipe)
	require.NoError(t, err)
	require.Equal(t, os.ModeNamedPipe, fi.Mode().Type())
}

// TestMeterDevice: a device that is full is an error, and stays a device.
func TestMeterDevice(t *testing.T) {
	const device = "/dev/full"
	if fi, err := os.Stat(device); err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		t.Skip("this system has no " + device)
	}
	r := run("meter", "-w", device, datagrams(t, 3))
	require.Equal(t, cli.ExitError, r.code, r.stderr)
	require.Contains(t, r.stderr, "no space left")
	fi, err := os.Stat(device)
	require.NoError(t, err)
	require.NotZero(t, fi.Mode()&os.ModeCharDevice)
}
