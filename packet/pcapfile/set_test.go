package pcapfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// tree writes files below a new working directory; names ending in / are directories.
func tree(t *testing.T, files map[string][]byte) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		if name[len(name)-1] == '/' {
			require.NoError(t, os.MkdirAll(name, 0o700))
			continue
		}
		require.NoError(t, os.WriteFile(name, content, 0o600))
	}
}

// visited reads a set to its end, and returns the data of all frames and which file each batch came from.
func visited(t *testing.T, s *pcapfile.Set) (files []string, frames []packet.Frame, err error) {
	t.Helper()
	var b packet.Batch
	for {
		if err = s.ReadBatch(&b); err != nil {
			require.Empty(t, b.Frames)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return files, frames, err
		}
		if n := s.Name(); len(files) == 0 || files[len(files)-1] != n {
			files = append(files, n)
		}
		for _, f := range b.Frames {
			f.Data = append([]byte{}, f.Data...)
			frames = append(frames, f)
		}
	}
}

func TestSet(t *testing.T) {
	all := samples()
	files := map[string][]byte{
		"dir/b.pcap":        all[0].file,
		"dir/a/z.dump":      all[1].file,
		"dir/a/notes.txt":   []byte("Hello, world"),
		"dir/a/empty":       nil,
		"dir/c":             gz(t, all[2].file),
		"dir/nothing/":      nil,
		"dir/more/text.txt": []byte("x"),
		"first":             all[3].file,
	}
	tree(t, files)
	require.NoError(t, os.Symlink("../first", "dir/link"))
	require.NoError(t, os.Symlink("nowhere", "dir/broken"))
	require.NoError(t, os.Symlink("../dir", "dir/loop"))
	s, err := pcapfile.OpenAll([]string{"first", "dir", "first"}, nil)
	require.NoError(t, err)
	require.Equal(t, 6, s.Files())
	require.Empty(t, s.Name())
	require.Zero(t, s.BytesRead())
	names, frames, err := visited(t, s)
	require.NoError(t, err)
	require.Equal(t, []string{"first", "dir/a/z.dump", "dir/b.pcap", "dir/c", "dir/link", "first"}, names)

	var want []packet.Frame
	for _, i := range []int{3, 1, 0, 2, 3, 3} {
		want = append(want, all[i].frames...)
	}
	for i := range want {
		want[i].Number = uint64(i + 1)
	}
	require.Equal(t, want, frames)
	stats := s.Stats()
	require.Equal(t, 6, stats.Files)
	require.Equal(t, 5, stats.Skipped, "notes.txt, empty, text.txt, broken, loop")
	require.Equal(t, uint64(len(want)), stats.Frames)
	require.Equal(t, pcapfile.FormatPcap, s.Info().Format)

	size := 0
	for _, name := range []string{"first", "dir/a/z.dump", "dir/b.pcap", "dir/c", "first", "first"} {
		size += len(files[name])
	}
	require.Equal(t, int64(size), s.Size())
	require.Equal(t, int64(size), s.BytesRead())
	require.Equal(t, io.EOF, s.ReadBatch(new(packet.Batch)), "and again")
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.ReadBatch(new(packet.Batch)), os.ErrClosed)
}

func TestOpenAllErrors(t *testing.T) {
	good := samples()[0].file
	tree(t, map[string][]byte{
		"good.pcap": good, "x.txt": []byte("Hello"), "empty/": nil, "texts/deep/x.txt": []byte("Hello"), "blank": nil,
	})
	tests := []struct {
		name  string
		paths []string
		kind  error
		text  string
	}{
		{"nothing given", nil, nil, "pcapfile: no file given"},
		{"missing", []string{"good.pcap", "missing.pcap"}, fs.ErrNotExist, "missing.pcap: no such file or directory"},
		{"text", []string{"good.pcap", "x.txt"}, pcapfile.ErrNotCapture, "x.txt: not a capture file (first bytes 48 65 6c 6c)"},
		{"blank", []string{"blank"}, pcapfile.ErrNotCapture, "blank: not a capture file (empty)"},
		{"empty directory", []string{"empty"}, pcapfile.ErrNotCapture, "empty: no capture file in it"},
		{"directory of texts", []string{"good.pcap", "texts"}, pcapfile.ErrNotCapture, "texts: no capture file in it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := pcapfile.OpenAll(tt.paths, nil)
			require.EqualError(t, err, tt.text)
			if tt.kind != nil {
				require.ErrorIs(t, err, tt.kind)
			}
		})
	}
	if os.Getuid() != 0 {
		require.NoError(t, os.Mkdir("locked", 0))
		_, err := pcapfile.OpenAll([]string{"locked"}, nil)
		require.EqualError(t, err, "locked: permission denied")
		require.NoError(t, os.WriteFile("texts/secret.pcap", good, 0))
		_, err = pcapfile.OpenAll([]string{"texts"}, nil)
		require.EqualError(t, err, "texts/secret.pcap: permission denied", "not skipped in silence")
	}
}

// TestSetGoesOnAfterDamage: SkipFile leaves a damaged file behind.
func TestSetGoesOnAfterDamage(t *testing.T) {
	s := samples()[0]
	cut := s.file[:len(s.file)-1]
	tree(t, map[string][]byte{"1": s.file, "2": cut, "3": s.file[:20], "4": gz(t, s.file)[:12], "5": s.file})
	set, err := pcapfile.OpenAll([]string{"."}, nil)
	require.NoError(t, err, "damage is for ReadBatch to tell")
	defer set.Close()
	var texts []string
	total := 0
	for {
		_, frames, err := visited(t, set)
		total += len(frames)
		if err == nil {
			break
		}
		again := set.ReadBatch(new(packet.Batch))
		require.Equal(t, err, again)
		require.ErrorIs(t, err, pcapfile.ErrTruncated)
		texts = append(texts, err.Error())
		set.SkipFile()
	}
	require.Equal(t, []string{
		"2: frame 4 at byte 86: record cut off: 0 of 1 bytes",
		"3: file header cut off: 20 of 24 bytes",
		"4: gzip stream cut off",
	}, texts)
	require.Equal(t, 4+3+4, total)
	require.Equal(t, set.Size(), set.BytesRead())
	require.Equal(t, 3, set.Stats().Files)
}

func TestSkipFile(t *testing.T) {
	s := samples()[0]
	tree(t, map[string][]byte{"1": s.file, "2": s.file})
	set, err := pcapfile.OpenAll([]string{"1", "2"}, nil)
	require.NoError(t, err)
	set.SkipFile()
	var b packet.Batch
	require.NoError(t, set.ReadBatch(&b))
	require.Equal(t, "1", set.Name(), "nothing was open yet")
	set.SkipFile()
	require.Equal(t, int64(len(s.file)), set.BytesRead())
	require.NoError(t, set.ReadBatch(&b))
	require.Equal(t, "2", set.Name())
	require.Equal(t, uint64(5), b.Frames[0].Number, "what was read counts")
	require.NoError(t, set.Close())
	set.SkipFile()
	require.ErrorIs(t, set.ReadBatch(&b), os.ErrClosed)
}

// TestSetFilesThatChange: a file may go away, or stop to be a capture, after it was looked at.
func TestSetFilesThatChange(t *testing.T) {
	s := samples()[0]
	tree(t, map[string][]byte{"1": s.file, "2": s.file, "3": s.file})
	set, err := pcapfile.OpenAll([]string{"1", "2", "3"}, nil)
	require.NoError(t, err)
	require.NoError(t, os.Remove("1"))
	require.NoError(t, os.WriteFile("2", []byte("text"), 0o600))
	_, _, err = visited(t, set)
	require.EqualError(t, err, "1: no such file or directory")
	require.Equal(t, "1", set.Name())
	set.SkipFile()
	_, _, err = visited(t, set)
	require.EqualError(t, err, "2: not a capture file (first bytes 74 65 78 74)")
	set.SkipFile()
	_, frames, err := visited(t, set)
	require.NoError(t, err)
	require.Equal(t, s.frames, frames)
}

// TestSetReadsBesideProgress runs under the race detector.
func TestSetReadsBesideProgress(t *testing.T) {
	tree(t, map[string][]byte{"1": samples()[0].file, "2": samples()[2].file})
	set, err := pcapfile.OpenAll([]string{"."}, nil)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for set.BytesRead() < set.Size() {
			_ = set.Name()
		}
	}()
	_, _, err = visited(t, set)
	require.NoError(t, err)
	<-done
}
