//go:build unix

package pcapfile_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// TestNamedPipe: a pipe among the files is read when its turn comes, and makes the size unknown.
func TestNamedPipe(t *testing.T) {
	s := samples()[0]
	tree(t, map[string][]byte{"file": s.file, "dir/file": s.file})
	require.NoError(t, unix.Mkfifo("pipe", 0o600))
	require.NoError(t, unix.Mkfifo("dir/pipe", 0o600))
	set, err := pcapfile.OpenAll([]string{"pipe", "dir", "file"}, nil)
	require.NoError(t, err)
	defer set.Close()
	require.Zero(t, set.Size())
	written := make(chan error)
	go func() { written <- os.WriteFile("pipe", s.file, 0o600) }()
	names, frames, err := visited(t, set)
	require.NoError(t, err)
	require.NoError(t, <-written)
	require.Equal(t, []string{"pipe", "dir/file", "file"}, names)
	require.Len(t, frames, 3*len(s.frames))
	require.Equal(t, int64(3*len(s.file)), set.BytesRead())
	require.Equal(t, 1, set.Stats().Skipped, "a pipe in a directory is not waited for")
}
