package tcpfollow_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/cmd/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// readers are the commands that read captures.
var readers = []string{"follow", "ls", "bench"}

// TestBadInput: one line says what is wrong with which file, and nothing is on standard output.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	require.NoError(t, os.WriteFile("x.txt", []byte("Hello, world\n"), 0o600))
	require.NoError(t, os.WriteFile("empty", nil, 0o600))
	require.NoError(t, os.WriteFile("three", []byte{0xd4, 0xc3, 0xb2}, 0o600))
	require.NoError(t, os.WriteFile("bad\x1b[31m\nname", []byte("none"), 0o600))
	require.NoError(t, os.Mkdir("bare", 0o700))
	require.NoError(t, os.Mkdir("texts", 0o700))
	require.NoError(t, os.WriteFile("texts/x.txt", []byte("Hello, world\n"), 0o600))
	require.NoError(t, os.WriteFile("good.pcap", pktgen.Pcap(pktgen.PcapFormat{}, nil), 0o600))
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"text", "x.txt: not a capture file (first bytes 48 65 6c 6c)", []string{"x.txt"}},
		{"empty", "empty: not a capture file (empty)", []string{"empty"}},
		{"three bytes", "three: not a capture file (first bytes d4 c3 b2)", []string{"three"}},
		{"missing", "nope.pcap: no such file or directory", []string{"nope.pcap"}},
		{"missing by flag", "nope.pcap: no such file or directory", []string{"-r", "nope.pcap"}},
		{"missing behind a good one", "nope.pcap: no such file or directory", []string{"good.pcap", "nope.pcap"}},
		{"below a file", "x.txt/a: not a directory", []string{"x.txt/a"}},
		{"empty directory", "bare: no capture file in it", []string{"bare"}},
		{"directory of texts", "texts: no capture file in it", []string{"texts"}},
		{"hostile name", `bad\x1b[31m\x0aname: not a capture file (first bytes 6e 6f 6e 65)`, []string{"bad\x1b[31m\nname"}},
	} {
		for _, command := range readers {
			t.Run(tt.name+"/"+command, func(t *testing.T) {
				require.Equal(t, result{cli.ExitError, "", "tcpfollow: " + tt.want + "\n"}, run(append([]string{command}, tt.args...)...))
			})
		}
	}
}

// TestUsage: what is asked for in the wrong way exits with 2, before anything is read.
func TestUsage(t *testing.T) {
	file := data + "http.pcap"
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"no capture given: name a file, a directory, - for standard input, or an interface with -i", []string{"follow"}},
		{"no capture given: name a file, a directory, - for standard input, or an interface with -i", []string{"ls"}},
		{"no capture given: name a file, a directory, - for standard input, or an interface with -i", []string{"bench"}},
		{`unknown command "folow": did you mean follow?`, []string{"folow", file}},
		{`unknown command "x" for "tcpfollow links"`, []string{"links", "x"}},
		{"accepts 1 arg(s), received 0", []string{"man"}},
		{"unknown flag: --bogus", []string{"follow", "--bogus", file}},
		{"unknown flag: --bogus", []string{"--bogus"}},
		{`-o: "xml" is none of text, json`, []string{"follow", "-o", "xml", file}},
		{`-o: "xml" is none of text, json, csv, events`, []string{"ls", "-o", "xml", file}},
		{`--raw: "both" is none of client, server`, []string{"follow", "--raw", "both", file}},
		{`--color: "red" is none of auto, always, never`, []string{"follow", "--color", "red", file}},
		{`--engine: "x" is none of native, gopacket`, []string{"ls", "--engine", "x", file}},
		{`--checksum: "x" is none of auto, off, strict`, []string{"ls", "--checksum", "x", file}},
		{`--urgent: "x" is none of inline, drop, oob`, []string{"bench", "--urgent", "x", file}},
		{`--fragment-overlap: "x" is none of default, first, last, drop`, []string{"ls", "--fragment-overlap", "x", file}},
		{"only one of --hex, --raw, --extract and -o json can be had at a time", []string{"follow", "--hex", "--raw", "client", file}},
		{"only one of --hex, --raw, --extract and -o json can be had at a time", []string{"follow", "--extract", "x", "--hex", file}},
		{"only one of --hex, --raw, --extract and -o json can be had at a time", []string{"follow", "-o", "json", "--hex", file}},
		{"--workers: 0 is less than 1", []string{"follow", "--workers", "0", file}},
		{"--workers: -1 is less than 1", []string{"bench", "--workers", "-1", file}},
		{"--workers goes with --engine native only", []string{"ls", "--workers", "2", "--engine", "gopacket", file}},
		{"--workers goes neither with -w nor with --tunnels", []string{"ls", "--workers", "2", "--tunnels", file}},
		{"--workers goes neither with -w nor with --tunnels", []string{"follow", "--workers", "2", "-w", "x.pcap", file}},
		{"--index goes with --extract", []string{"follow", "--index", file}},
		{"--max-rendered: negative", []string{"follow", "--max-rendered", "-1", file}},
		{"config: negative Limits.Buffered", []string{"follow", "--max-buffered", "-1", file}},
		{"config: negative Timeouts.Idle", []string{"bench", "--idle-timeout", "-1s", file}},
		{"config: Overlap and OverlapFor are for the default engine", []string{"ls", "--engine", "gopacket", "--overlap", "last", file}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			require.Equal(t, result{cli.ExitUsage, "", "tcpfollow: " + tt.want + "\nTry 'tcpfollow --help'.\n"}, run(tt.args...))
		})
	}
	for flag, value := range map[string]string{
		"--enter-tunnels": "nope", "--overlap": "nope", "--stream": "-1", "--count": "x", "--linger": "5", "--max-gaps": "many",
	} {
		r := run("follow", flag, value, file)
		require.Equal(t, cli.ExitUsage, r.code, flag)
		require.Contains(t, r.stderr, flag)
		require.Equal(t, 2, strings.Count(r.stderr, "\n"), r.stderr)
	}
}

// TestTruncated: every good record is shown, the error has file, frame and offset, and the files behind are read too.
func TestTruncated(t *testing.T) {
	const complaint = "truncated.pcap: frame 11 at byte 931: record cut off: 24 of 54 bytes\n"
	for _, command := range readers {
		r := run(command, data+"truncated.pcap")
		require.Equal(t, cli.ExitPartial, r.code)
		require.True(t, strings.HasSuffix(r.stderr, "tcpfollow: "+data+complaint), r.stderr)
	}
	require.Equal(t, "RESULT bytes=199 streams=1\n", run("bench", data+"truncated.pcap").stdout)
	r := run("ls", "-q", "-o", "json", data+"truncated.pcap", data+"refused.pcap", data+"truncated.pcap")
	require.Equal(t, cli.ExitPartial, r.code)
	require.Len(t, jsonLines[row](t, r.stdout), 3)
	require.Equal(t, strings.Repeat("tcpfollow: "+data+complaint, 2), r.stderr)

	whole := []byte(read(t, data+"http.pcap"))
	for _, cut := range []int{4, 23, 24, 30, 40, 100, len(whole) / 2, len(whole) - 1} {
		r := run("follow", "-q", save(t, "cut.pcap", whole[:cut]))
		if cut == 24 {
			require.Equal(t, result{}, r)
			continue
		}
		require.Equal(t, cli.ExitPartial, r.code, "at %d", cut)
		require.Regexp(t, `cut.pcap: frame \d+ at byte \d+: .*cut off|cut.pcap: file header cut off`, r.stderr)
		require.Equal(t, 1, strings.Count(r.stderr, "\n"))
	}
	zipped := []byte(read(t, data+"http.pcap.gz"))
	r = run("ls", save(t, "cut.gz", zipped[:len(zipped)/2]))
	require.Equal(t, cli.ExitPartial, r.code)
	require.NotEmpty(t, r.stdout)
}

// oddTrace returns a conversation with a broken IP header as frame 3.
func oddTrace() pktgen.Trace {
	c := &pktgen.Conversation{}
	trace := c.Open().Client([]byte("hello\n")).Close(packet.ClientToServer).Trace()
	ip := pktgen.IP(c.ClientAddr.Addr(), c.ServerAddr.Addr()).(pktgen.IPv4)
	ip.IHL = pktgen.Fixed(2)
	return trace.Insert(2, pktgen.Packet{Layers: []pktgen.Layer{pktgen.Ethernet{}, ip, pktgen.TCP{}}})
}

// TestUndecodable: frames that make no sense are counted and are no failure, unless --strict.
func TestUndecodable(t *testing.T) {
	path := saveTrace(t, oddTrace())
	r := runOK(t, "ls", path)
	require.Equal(t, "10 frames, 1 stream, 6 bytes of payload, 1 frame undecodable\n  1 frame undecodable: bad IP header\n", r.stderr)
	r = runOK(t, "ls", "-q", "-v", path)
	require.Regexp(t, `^tcpfollow: .*test\.pcap: frame 3: IPv4 at byte \d+: bad IP header\n$`, r.stderr)
	require.Empty(t, runOK(t, "ls", "-q", path).stderr)
	for _, command := range readers {
		r = run(command, "-q", "--strict", path)
		require.Equal(t, cli.ExitError, r.code)
		require.Regexp(t, `^tcpfollow: .*test\.pcap: frame 3: IPv4 at byte \d+: bad IP header\n$`, r.stderr)
	}
	require.Contains(t, run("ls", "--strict", path).stderr, "3 frames, 1 stream,")
	require.Equal(t, cli.ExitOK, run("ls", "--strict", data+"http.pcap").code)
	require.Equal(t, cli.ExitOK, run("ls", "--strict", data+"mixed.pcap").code, "other protocols can be decoded")
	require.Equal(t, cli.ExitOK, run("ls", data+"snaplen.pcap").code)
}

// TestUnknownLink: the type is named with its number, and its frames are counted.
func TestUnknownLink(t *testing.T) {
	frames := oddTrace().Frames()
	for i := range frames {
		frames[i].Link = 147
	}
	path := save(t, "user.pcap", pktgen.Pcap(pktgen.PcapFormat{}, frames))
	r := runOK(t, "ls", path)
	require.Equal(t, "10 frames, 0 streams, 0 bytes of payload, 10 frames undecodable\n  10 frames undecodable: unknown link type 147\n", r.stderr)
	r = run("bench", "--strict", path)
	require.Equal(t, cli.ExitError, r.code)
	require.Equal(t, "tcpfollow: "+path+": frame 1: unknown link type 147\n", r.stderr)

	frames = oddTrace().Frames()
	frames[0].Link, frames[0].Interface = 189, 1
	frames[4].Link, frames[4].Interface = 220, 2
	frames[5].Link, frames[5].Interface = 220, 2
	path = save(t, "mixed.pcapng", pktgen.Pcapng(pktgen.PcapngFormat{}, frames))
	r = runOK(t, "bench", "-v", path)
	require.Contains(t, r.stderr, "mixed.pcapng: frame 5: unknown link type 220\n")
	require.Contains(t, runOK(t, "ls", path).stderr,
		"\n  1 frame undecodable: unknown link type 189\n  2 frames undecodable: unknown link type 220\n  1 frame undecodable: bad IP header\n")
}

// TestQuiet: -q leaves only what went wrong.
func TestQuiet(t *testing.T) {
	require.Equal(t, "36 frames, 1 stream, 8745 bytes of payload, 1460 bytes missing\n", runOK(t, "ls", data+"http.pcap").stderr)
	require.Empty(t, runOK(t, "ls", "-q", data+"http.pcap").stderr)
	require.Empty(t, runOK(t, "follow", "--quiet", data+"http.pcap").stderr)
}

// TestInputs: one file or several, by argument or flag, plain or compressed, or by standard input.
func TestInputs(t *testing.T) {
	want := list(t, data+"http.pcap")
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.pcap"), []byte(read(t, data+"reset.pcap")), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "b"), []byte(read(t, data+"refused.pcap")), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no capture"), 0o600))
	both := append(list(t, data+"reset.pcap"), list(t, data+"refused.pcap")...)
	for i := range both {
		both[i].Stream = uint64(i)
	}
	snoop := list(t, data+"http.pcapng")
	for _, tt := range []struct {
		name string
		want []row
		args []string
	}{
		{"argument", want, []string{data + "http.pcap"}},
		{"flag", want, []string{"-r", data + "http.pcap"}},
		{"gzip", want, []string{data + "http.pcap.gz"}},
		{"zstd", want, []string{data + "http.pcap.zst"}},
		{"pcapng", snoop, []string{data + "http.pcapng"}},
		{"two arguments", both, []string{data + "reset.pcap", data + "refused.pcap"}},
		{"two flags", both, []string{"-r", data + "reset.pcap", "--read", data + "refused.pcap"}},
		{"flags come first", both, []string{data + "refused.pcap", "-r", data + "reset.pcap"}},
		{"directory", both, []string{dir}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, list(t, tt.args...))
		})
	}
	t.Run("standard input", func(t *testing.T) {
		for _, name := range []string{"http.pcap", "http.pcap.gz", "http.pcap.zst"} {
			stdin(t, data+name)
			require.Equal(t, want, list(t, "-"))
		}
		stdin(t, data+"refused.pcap")
		require.Equal(t, both, list(t, data+"reset.pcap", "-"))
		stdin(t, data+"MANIFEST")
		require.Equal(t, "tcpfollow: standard input: not a capture file (first bytes 23 20 6e 61)\n", run("ls", "-q", "-").stderr)
		stdin(t, data+"truncated.pcap")
		r := run("bench", "-")
		require.Equal(t, result{
			cli.ExitPartial, "RESULT bytes=199 streams=1\n",
			"tcpfollow: standard input: frame 11 at byte 931: record cut off: 24 of 54 bytes\n",
		}, r)
	})
}

// stdin makes a file the standard input for the rest of the test.
func stdin(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	old := os.Stdin
	os.Stdin = f
	t.Cleanup(func() { os.Stdin = old; f.Close() })
}

// TestCountFlag: -c ends the run after so many frames, wherever batches and files end.
func TestCountFlag(t *testing.T) {
	for _, n := range []int{1, 9, 10, 11, 35, 36, 37, 1000} {
		for _, strict := range []bool{false, true} {
			r := runOK(t, "ls", "-c", fmt.Sprint(n), fmt.Sprintf("--strict=%v", strict), data+"http.pcap")
			require.True(t, strings.HasPrefix(r.stderr, cli.Count(uint64(min(n, 36)), "frame")+","), "%d: %s", n, r.stderr)
		}
	}
	r := runOK(t, "ls", "--count", "38", data+"http.pcap", data+"refused.pcap")
	require.True(t, strings.HasPrefix(r.stderr, "38 frames,"), r.stderr)
	require.Equal(t, cli.ExitOK, run("ls", "-c", "10", data+"truncated.pcap").code, "what is not asked for is not missed")
}

// failing fails after some bytes, like a disk that is full.
type failing struct {
	left int
	err  error
}

func (w *failing) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return w.left, w.err
	}
	w.left -= len(b)
	return len(b), nil
}

// TestWriteError: output that cannot be written is an error, a closed pipe ends quietly.
func TestWriteError(t *testing.T) {
	for _, args := range [][]string{
		{"follow"},
		{"follow", "--hex"},
		{"follow", "-o", "json"},
		{"follow", "--raw", "client"},
		{"follow", "--as-captured"},
		{"follow", "--extract", t.TempDir()},
		{"follow", "-w", "-"},
		{"ls"},
		{"ls", "-o", "json"},
		{"ls", "-o", "csv"},
		{"bench"},
		{"links"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if args[0] != "links" {
				args = append(args, "-q", data+"http.pcap")
			}
			for _, left := range []int{0, 10} {
				var stderr bytes.Buffer
				require.Equal(t, cli.ExitError, cli.Run(tcpfollow.New(), args, &failing{left, errors.New("disk full")}, &stderr))
				require.Regexp(t, `^tcpfollow: (write capture: )?disk full\n$`, stderr.String())
				stderr.Reset()
				require.Equal(t, cli.ExitOK, cli.Run(tcpfollow.New(), args, &failing{left, syscall.EPIPE}, &stderr))
				require.Empty(t, stderr.String())
			}
		})
	}
}

// TestWriteErrorEnds: a long input is not read to its end when nobody takes the output.
func TestWriteErrorEnds(t *testing.T) {
	c := &pktgen.Conversation{MSS: 1000}
	path := saveTrace(t, c.Open().Client(bytes.Repeat([]byte("x"), 2<<20)).Trace())
	for _, args := range [][]string{{"-o", "json"}, {"--raw", "client"}, {"--as-captured"}} {
		var stderr bytes.Buffer
		args = append([]string{"follow", path}, args...)
		require.Equal(t, cli.ExitError, cli.Run(tcpfollow.New(), args, &failing{100, errors.New("disk full")}, &stderr))
		var frames int
		_, err := fmt.Sscanf(stderr.String(), "%d frames", &frames)
		require.NoError(t, err, stderr.String())
		require.Less(t, frames, 500, "%q: of about 3000", args)
	}
}
