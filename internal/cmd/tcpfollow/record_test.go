package tcpfollow_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// framesOf returns the frames of a capture, and its format.
func framesOf(t *testing.T, paths ...string) ([]packet.Frame, pcapfile.Format) {
	t.Helper()
	set, err := pcapfile.OpenAll(paths, nil)
	require.NoError(t, err)
	defer set.Close()
	var all []packet.Frame
	var b packet.Batch
	for {
		err := set.ReadBatch(&b)
		if errors.Is(err, io.EOF) {
			return all, set.Info().Format
		}
		require.NoError(t, err)
		for _, f := range b.Frames {
			f.Data = bytes.Clone(f.Data)
			all = append(all, f)
		}
	}
}

// long is a capture of many frames, a millisecond apart.
func long(t *testing.T) (path string, frames []packet.Frame) {
	t.Helper()
	c := (&pktgen.Conversation{MSS: 1000}).Open()
	trace := c.Client(bytes.Repeat([]byte("0123456789"), 5000)).Close(packet.ClientToServer).Trace()
	return saveTrace(t, trace), trace.Frames()
}

// TestRecord: all frames that are followed are written, in the format that the name asks for.
func TestRecord(t *testing.T) {
	path, frames := long(t)
	for name, format := range map[string]pcapfile.Format{
		"a.pcap": pcapfile.FormatPcap, "a.CAP": pcapfile.FormatPcap, "a.dmp": pcapfile.FormatPcap,
		"a.pcapng": pcapfile.FormatPcapNG, "a": pcapfile.FormatPcapNG, "a.pcap.x": pcapfile.FormatPcapNG,
	} {
		out := filepath.Join(t.TempDir(), name)
		for _, args := range [][]string{{"ls"}, {"ls", "--workers", "3"}, {"http"}, {"ident"}, {"follow"}} {
			runOK(t, append(args, "-w", out, path)...)
			got, f := framesOf(t, out)
			require.Equal(t, frames, got)
			require.Equal(t, format, f)
		}
	}
	out := filepath.Join(t.TempDir(), "a.pcapng")
	runOK(t, "ls", "-c", "7", "-w", out, path)
	got, _ := framesOf(t, out)
	require.Equal(t, frames[:7], got)
	runOK(t, "ls", "-w", out, path, "--", "tcp[tcpflags] & tcp-fin != 0")
	got, _ = framesOf(t, out)
	require.Len(t, got, 2)
	runOK(t, "ls", "-w", out, path, "--", "udp")
	got, _ = framesOf(t, out)
	require.Empty(t, got, "a file without frames is one")
}

// TestRecordFiles: files are as large as they may be, and together hold everything, or the end of it.
func TestRecordFiles(t *testing.T) {
	path, frames := long(t)
	for _, tt := range []struct {
		size, name string
		keep       int
		max        int64
	}{
		{"2k", "out.pcap", 0, 2 << 10},
		{"2K", "out.pcapng", 0, 2 << 10},
		{"5k", "out", 3, 5 << 10},
		{"1k", "out.pcapng", 1, 1 << 10}, // below a frame
		{"1M", "out.pcapng", 2, 1 << 20},
		{"1", "out.pcapng", 0, 1e6},
		{"1g", "out.pcapng", 0, 1 << 30},
	} {
		t.Run(fmt.Sprint(tt.size, tt.name, tt.keep), func(t *testing.T) {
			dir := t.TempDir()
			other := filepath.Join(dir, "out-000000.pcap")
			require.NoError(t, os.WriteFile(other, nil, 0o600))
			args := []string{"ls", "-w", filepath.Join(dir, tt.name), "-C", tt.size, path}
			if tt.keep > 0 {
				args = append(args, "-W", fmt.Sprint(tt.keep))
			}
			runOK(t, args...)
			require.FileExists(t, other, "what another made is left alone")
			require.NoError(t, os.Remove(other))
			files, err := os.ReadDir(dir)
			require.NoError(t, err)
			var paths []string
			for i, f := range files {
				fi, err := f.Info()
				require.NoError(t, err)
				one, _ := framesOf(t, filepath.Join(dir, f.Name()))
				require.NotEmpty(t, one)
				require.True(t, fi.Size() <= tt.max || len(one) == 1)
				paths = append(paths, filepath.Join(dir, f.Name()))
				if i+1 < len(files) {
					require.Greater(t, fi.Size()+1200, tt.max, "a file is full before the next")
				}
			}
			got, _ := framesOf(t, paths...)
			for i := range got {
				got[i].Number = frames[len(frames)-len(got)+i].Number
			}
			require.Equal(t, frames[len(frames)-len(got):], got)
			if tt.keep == 0 || tt.max > 1e5 {
				require.Len(t, got, len(frames))
			} else {
				require.Len(t, files, tt.keep)
			}
			ext := filepath.Ext(tt.name)
			for _, p := range paths {
				require.Regexp(t, `^out-\d{6}`+ext+"$", filepath.Base(p))
			}
		})
	}
}

// TestRecordFails: what cannot be written is an error.
func TestRecordFails(t *testing.T) {
	path, _ := long(t)
	links := filepath.Join(t.TempDir(), "two.pcapng")
	w, err := pcapfile.Create(links, &pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG})
	require.NoError(t, err)
	for _, link := range []packet.LinkType{packet.LinkEthernet, packet.LinkRaw} {
		require.NoError(t, w.Write(&packet.Frame{Data: make([]byte, 60), Link: link}))
	}
	require.NoError(t, w.Close())
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{cli.ExitError, "no such file or directory", []string{"-w", filepath.Join(t.TempDir(), "no", "x"), path}},
		{cli.ExitError, "is being read, and cannot be written to", []string{"-w", path, path}},
		{cli.ExitError, "frame 2 has link type 101 in a file of link type 1", []string{"-w", filepath.Join(t.TempDir(), "x.pcap"), links}},
		{cli.ExitUsage, "-w -: standard output is the command's own", []string{"-w", "-", path}},
		{cli.ExitUsage, "-C goes with -w FILE", []string{"-C", "1", path}},
		{cli.ExitUsage, "-W goes with -C", []string{"-W", "1", "-w", "x", path}},
		{cli.ExitUsage, "-W: negative", []string{"-C", "1", "-W", "-1", "-w", "x", path}},
		{cli.ExitUsage, `-C: "0" is no size`, []string{"-C", "0", "-w", "x", path}},
		{cli.ExitUsage, `-C: "-5" is no size`, []string{"-C", "-5", "-w", "x", path}},
		{cli.ExitUsage, `-C: "1kk" is no size`, []string{"-C", "1kk", "-w", "x", path}},
		{cli.ExitUsage, `-C: "k" is no size`, []string{"-C", "k", "-w", "x", path}},
		{cli.ExitUsage, `-C: "9999999999999g" is no size`, []string{"-C", "9999999999999g", "-w", "x", path}},
	} {
		t.Run(tt.want, func(t *testing.T) {
			r := run(append([]string{"ls"}, tt.args...)...)
			require.Equal(t, tt.code, r.code)
			require.Contains(t, r.stderr, tt.want)
		})
	}
	require.Equal(t, cli.ExitUsage, run("follow", "-w", "-", "-C", "1", path).code)
}

// TestDuration: of files, the packets' times count.
func TestDuration(t *testing.T) {
	path, frames := long(t)
	out := filepath.Join(t.TempDir(), "a.pcapng")
	for _, tt := range []struct {
		duration string
		want     int
	}{{"1ns", 1}, {"9ms", 10}, {"9999us", 10}, {"10ms", 11}, {"1h", len(frames)}} {
		for _, workers := range []string{"1", "2"} {
			runOK(t, "ls", "--duration", tt.duration, "--workers", workers, "-w", out, path)
			got, _ := framesOf(t, out)
			require.Equal(t, frames[:tt.want], got)
		}
	}
	require.Equal(t, cli.ExitUsage, run("ls", "--duration", "-1s", path).code)
}
