package tcpfollow_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// extractedFile is a line of --extract -o json.
type extractedFile struct {
	Stream  uint64      `json:"stream"`
	Dir     string      `json:"dir"`
	File    string      `json:"file"`
	Bytes   uint64      `json:"bytes"`
	Missing uint64      `json:"missing"`
	Gaps    [][2]uint64 `json:"gaps"`
	Index   string      `json:"index"`
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(b)
}

// names returns the names of the files in dir.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestExtract(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	r := runOK(t, "follow", "--extract", dir, data+"http.pcap")
	const client, server = "000000_192.0.2.1.49152_198.51.100.2.80_client", "000000_192.0.2.1.49152_198.51.100.2.80_server"
	require.Equal(t, []string{client, server}, names(t, dir))
	require.Equal(t, client+"  577 bytes, 0 missing\n"+server+"  8168 bytes, 1460 missing\n", r.stdout)
	for _, name := range names(t, dir) {
		fi, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode())
		side := strings.TrimPrefix(filepath.Ext(strings.ReplaceAll(name, "_", ".")), ".")
		require.Equal(t, runOK(t, "follow", "--raw", side, data+"http.pcap").stdout, read(t, filepath.Join(dir, name)))
	}
	fi, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), fi.Mode().Perm())

	files := jsonLines[extractedFile](t, runOK(t, "follow", "--extract", dir, "-o", "json", data+"http.pcap").stdout)
	require.Equal(t, []extractedFile{
		{0, "client", client, 577, 0, [][2]uint64{}, ""},
		{0, "server", server, 8168, 1460, [][2]uint64{{6214, 1460}}, ""},
	}, files)
	require.Len(t, read(t, filepath.Join(dir, client)), 577, "a second run replaces, it does not append")
}

func TestExtractIPv6(t *testing.T) {
	dir := t.TempDir()
	runOK(t, "follow", "--extract", dir, data+"ipv6.pcap")
	require.Equal(t, []string{
		"000000_2001-db8-1--10.51000_2001-db8-2--80.80_client", "000000_2001-db8-1--10.51000_2001-db8-2--80.80_server",
	}, names(t, dir))
}

// TestExtractIndex: the index of each file names, for every byte, the packet that it came from.
func TestExtractIndex(t *testing.T) {
	for _, capture := range []string{"http.pcap", "wrap.pcap", "conflict.pcap", "snaplen.pcap", "vlan.pcap", "tunnels/vxlan-vlan.pcap"} {
		dir := t.TempDir()
		files := jsonLines[extractedFile](t, runOK(t, "follow", "--extract", dir, "--index", "-o", "json", data+capture).stdout)
		require.NotEmpty(t, files)
		require.Len(t, names(t, dir), 2*len(files))
		events := jsonLines[event](t, runOK(t, "follow", "-o", "json", data+capture).stdout)
		for _, f := range files {
			require.Equal(t, f.File+".index.csv", f.Index)
			rows, err := csv.NewReader(strings.NewReader(read(t, filepath.Join(dir, f.Index)))).ReadAll()
			require.NoError(t, err)
			require.Equal(t, []string{"offset", "length", "frame", "time", "seq", "ack"}, rows[0])
			var got, want [][]string
			for _, row := range rows[1:] {
				got = append(got, row[:4])
				for _, n := range row[4:] {
					_, err := strconv.ParseUint(n, 10, 32)
					require.NoError(t, err)
				}
			}
			payload := read(t, filepath.Join(dir, f.File))
			for _, e := range events {
				if e.Event == "data" && e.Stream == f.Stream && e.Dir == f.Dir {
					require.True(t, strings.HasPrefix(payload, string(e.Data)))
					payload = payload[len(e.Data):]
					want = append(want, []string{fmt.Sprint(e.Offset), fmt.Sprint(e.Length), fmt.Sprint(e.Frame), e.Time})
				}
			}
			require.Empty(t, payload)
			require.Equal(t, want, got)
		}
	}
}

// TestExtractMany: more streams at a time than files are kept open.
func TestExtractMany(t *testing.T) {
	const streams = 300
	all := make([]*pktgen.Conversation, streams)
	var parts []pktgen.Trace
	for i := range all {
		c := &pktgen.Conversation{ClientAddr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(10000+i)), Start: pktgen.Start + int64(i)}
		c.Open()
		for turn := range 3 {
			c.Client(fmt.Appendf(nil, "client %d turn %d\n", i, turn)).Server(fmt.Appendf(nil, "server %d turn %d\n", i, turn))
		}
		all[i] = c
		parts = append(parts, c.Trace())
	}
	path, dir := saveTrace(t, pktgen.Merge(parts...)), t.TempDir()
	files := jsonLines[extractedFile](t, runOK(t, "follow", "--extract", dir, "-o", "json", path).stdout)
	require.Len(t, files, 2*streams)
	for _, f := range files {
		dir := filepath.Join(dir, f.File)
		want := all[f.Stream].Payload(packet.ClientToServer)
		if f.Dir == "server" {
			want = all[f.Stream].Payload(packet.ServerToClient)
		}
		require.Equal(t, string(want), read(t, dir))
	}
}

// TestExtractStaysInside: what is planted in the directory is not followed, and hostile payload names no file.
func TestExtractStaysInside(t *testing.T) {
	const name = "000000_192.0.2.1.49152_198.51.100.2.80_client"
	path := says(t, "GET ../../etc/passwd HTTP/1.0\r\n\x00/tmp/x", "../../y")
	want := "GET ../../etc/passwd HTTP/1.0\r\n\x00/tmp/x"
	for _, tt := range []struct {
		name  string
		plant func(t *testing.T, at, outside string)
	}{
		{"absolute link", func(t *testing.T, at, outside string) { t.Helper(); require.NoError(t, os.Symlink(outside, at)) }},
		{"relative link", func(t *testing.T, at, _ string) { t.Helper(); require.NoError(t, os.Symlink("../outside", at)) }},
		{"dangling link", func(t *testing.T, at, _ string) { t.Helper(); require.NoError(t, os.Symlink("../new", at)) }},
		{"hard link", func(t *testing.T, at, outside string) { t.Helper(); require.NoError(t, os.Link(outside, at)) }},
		{"open file", func(t *testing.T, at, _ string) {
			t.Helper()
			require.NoError(t, os.WriteFile(at, []byte("longer than what comes in its place, by far, as one can see"), 0o644))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			dir, outside := filepath.Join(top, "out"), filepath.Join(top, "outside")
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, os.WriteFile(outside, []byte("precious"), 0o644))
			tt.plant(t, filepath.Join(dir, name), outside)
			runOK(t, "follow", "--extract", dir, path)
			require.Equal(t, "precious", read(t, outside))
			require.Equal(t, want, read(t, filepath.Join(dir, name)))
			fi, err := os.Lstat(filepath.Join(dir, name))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), fi.Mode())
			require.Equal(t, []string{"out", "outside"}, names(t, top))
			require.Len(t, names(t, dir), 2)
		})
	}
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		r := run("follow", "-q", "--extract", dir, path)
		require.Equal(t, cli.ExitError, r.code)
		require.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
	})
	t.Run("file in the place of the directory", func(t *testing.T) {
		r := run("follow", "-q", "--extract", save(t, "file", nil), path)
		require.Equal(t, cli.ExitError, r.code)
		require.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
	})
}

// TestNothingIsMadeInVain: without input, no file is made or emptied.
func TestNothingIsMadeInVain(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old.pcapng")
	require.NoError(t, os.WriteFile(old, []byte("precious"), 0o600))
	for _, args := range [][]string{
		{"follow", "--extract", filepath.Join(dir, "x"), filepath.Join(dir, "missing.pcap")},
		{"follow", "-w", filepath.Join(dir, "x"), filepath.Join(dir, "missing.pcap")},
		{"follow", "-w", old, filepath.Join(dir, "missing.pcap")},
		{"follow", "-w", old, "--color", "pink", data + "http.pcap"},
		{"follow", "-w", old},
	} {
		r := run(args...)
		require.NotEqual(t, cli.ExitOK, r.code)
		require.Empty(t, r.stdout)
		require.Equal(t, []string{"old.pcapng"}, names(t, dir), "%q", args)
		require.Equal(t, "precious", read(t, old), "%q", args)
	}
}

// TestWriteKeepsItsInput: a capture is not overwritten while it is read, whatever it is called.
func TestWriteKeepsItsInput(t *testing.T) {
	dir := t.TempDir()
	path, link, hard := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "link"), filepath.Join(dir, "hard")
	want := read(t, data+"http.pcap")
	require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
	require.NoError(t, os.Symlink("a.pcap", link))
	require.NoError(t, os.Link(path, hard))
	for _, args := range [][]string{{path, path}, {link, path}, {path, link}, {hard, path}, {path, dir}} {
		r := run("follow", "-q", "-w", args[0], args[1])
		require.Equal(t, result{1, "", "tcpfollow: " + args[0] + ": is being read, and cannot be written to\n"}, r)
		require.Equal(t, want, read(t, path))
	}
}

// TestWriteStream: a copy holds the packets of the streams asked for, and no others, though fragments come mixed.
func TestWriteStream(t *testing.T) {
	var parts []pktgen.Trace
	for i := range 3 {
		c := &pktgen.Conversation{
			ClientAddr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(5000+i)), Start: pktgen.Start + int64(i), MSS: 64,
		}
		c.Open()
		for ack := range 2 { // each client's datagrams have identifications of their own
			c.Ack(packet.Direction(min(1, max(0, ack+i-1))))
		}
		trace := c.Client(bytes.Repeat([]byte{byte('a' + i)}, 200)).Close(packet.ClientToServer).Trace().Fragment(5, 24, 3, 1, 0, 2)
		for n := range trace {
			trace[n].Time = c.Start + int64(n)*1000
		}
		parts = append(parts, trace)
	}
	path := saveTrace(t, pktgen.Merge(parts...))
	rows := list(t, path)
	require.Len(t, rows, 3)
	for i := range 3 {
		out := filepath.Join(t.TempDir(), "one.pcapng")
		runOK(t, "follow", "--stream", fmt.Sprint(i), "-w", out, path)
		again := list(t, out)
		want := rows[i]
		want.Stream = 0
		require.Equal(t, []row{want}, again)
		r := runOK(t, "bench", out)
		require.Equal(t, "RESULT bytes=200 streams=1\n", r.stdout)
		require.Contains(t, runOK(t, "ls", out).stderr, fmt.Sprintf("%d frames,", len(parts[i])),
			"fragments that come first too, and the acknowledgement behind both FINs, which comes after the end")
		fi, err := os.Stat(out)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode())
	}
	r := runOK(t, "follow", "-q", "--stream", "1", "-w", "-", path)
	again := list(t, save(t, "stdout.pcapng", []byte(r.stdout)))
	require.Equal(t, rows[1].ClientSHA256, again[0].ClientSHA256, "standard output holds the capture, and no text")
	require.Equal(t, cli.ExitUsage, run("follow", "-w", "-", "--raw", "client", path).code)
	require.Equal(t, cli.ExitUsage, run("follow", "-w", "-", "-o", "json", path).code)
	require.Equal(t, cli.ExitError, run("follow", "-w", filepath.Join(t.TempDir(), "no", "x"), path).code)
}
