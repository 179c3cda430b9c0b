package pcapfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// growing is a file that is written a few bytes at a time, whenever its end is reached, and is whole when all are there.
func growing(t *testing.T, content []byte, step int) (path string, atEnd func() error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "growing")
	f, err := os.Create(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return path, func() error {
		if len(content) == 0 {
			return io.EOF
		}
		n := min(step, len(content))
		_, err := f.Write(content[:n])
		content = content[n:]
		return err
	}
}

// TestGrowing: a file that is still being written gives the frames of the finished one, however it grows.
func TestGrowing(t *testing.T) {
	for _, s := range samples() {
		for _, step := range []int{1, 7, 1000} {
			t.Run(s.name, func(t *testing.T) {
				for name, content := range map[string][]byte{"plain": s.file, "gzip": gz(t, s.file), "zstd": zst(t, s.file)} {
					path, atEnd := growing(t, content, step)
					r, err := pcapfile.Open(path, &pcapfile.Config{AtEnd: atEnd})
					require.NoError(t, err, name)
					require.Zero(t, r.Size(), "who knows")
					frames, err := readAll(t, r)
					require.NoError(t, err, name)
					require.Equal(t, s.frames, frames)
					require.NoError(t, r.Close())
				}
			})
		}
	}
}

// TestGrowingEnds: what AtEnd returns ends the reading, where it stands.
func TestGrowingEnds(t *testing.T) {
	s := samples()[0]
	stop := errors.New("stop")
	for _, tt := range []struct {
		name   string
		size   int
		err    error
		frames int
		want   error
	}{
		{"behind a record", s.ends[0], io.EOF, 1, nil},
		{"within a record", s.ends[0] + 3, io.EOF, 1, pcapfile.ErrTruncated},
		{"by an error", s.ends[0] + 3, stop, 1, stop},
		{"before the header", 0, io.EOF, 0, pcapfile.ErrNotCapture},
		{"within the header", 5, io.EOF, 0, pcapfile.ErrTruncated},
		{"within the header, by an error", 5, stop, 0, stop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "growing")
			require.NoError(t, os.WriteFile(path, s.file[:tt.size], 0o600))
			calls := 0
			set, err := pcapfile.OpenAll([]string{path}, &pcapfile.Config{AtEnd: func() error { calls++; return tt.err }})
			require.NoError(t, err)
			defer set.Close()
			_, frames, err := visited(t, set)
			require.Len(t, frames, tt.frames)
			if tt.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, tt.want)
			}
			require.Equal(t, 1, calls)
		})
	}
}

// TestGrowingSet: only the last file is waited for.
func TestGrowingSet(t *testing.T) {
	s := samples()[0]
	path, atEnd := growing(t, s.file, 10)
	first := filepath.Join(t.TempDir(), "first")
	require.NoError(t, os.WriteFile(first, s.file, 0o600))
	set, err := pcapfile.OpenAll([]string{first, path}, &pcapfile.Config{AtEnd: atEnd})
	require.NoError(t, err)
	defer set.Close()
	require.Zero(t, set.Size())
	names, frames, err := visited(t, set)
	require.NoError(t, err)
	require.Equal(t, []string{first, path}, names)
	require.Len(t, frames, 2*len(s.frames))
}

// TestShrinking: a file that is begun anew is not waited for.
func TestShrinking(t *testing.T) {
	s := samples()[0]
	path := filepath.Join(t.TempDir(), "shrinking")
	require.NoError(t, os.WriteFile(path, s.file, 0o600))
	r, err := pcapfile.Open(path, &pcapfile.Config{AtEnd: func() error { return os.Truncate(path, 24) }})
	require.NoError(t, err)
	defer r.Close()
	frames, err := readAll(t, r)
	require.Equal(t, s.frames, frames)
	require.ErrorIs(t, err, pcapfile.ErrTruncated)
	require.ErrorContains(t, err, "file became shorter: 24 of ")
}
