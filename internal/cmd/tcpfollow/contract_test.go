package tcpfollow_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TestListFields: a line of ls -o json has every field that scripts rely on, of the right type.
func TestListFields(t *testing.T) {
	starts := []any{"syn", "synack", "mid"}
	ends := []any{"fin", "reset", "refused", "timeout", "superseded", "evicted", "eof"}
	for _, path := range captures(t) {
		for i, o := range jsonLines[map[string]any](t, run("ls", "-o", "json", "--digests", path).stdout) {
			require.Equal(t, i, int(o["stream"].(float64)), "%s: in the order of opening", path)
			for _, k := range []string{"client", "server"} {
				require.NoError(t, new(netip.AddrPort).UnmarshalText([]byte(o[k].(string))))
				require.GreaterOrEqual(t, o[k+"_bytes"].(float64), 0.0)
				require.GreaterOrEqual(t, o[k+"_conflicts"].(float64), 0.0)
				require.Regexp(t, "^[0-9a-f]{64}$", o[k+"_sha256"])
				missing := 0
				for _, g := range o[k+"_gaps"].([]any) {
					require.Len(t, g, 2)
					missing += int(g.([]any)[1].(float64))
				}
				require.Equal(t, missing, int(o[k+"_missing"].(float64)))
			}
			for _, k := range []string{"first", "last"} {
				_, err := time.Parse(time.RFC3339Nano, o[k].(string))
				require.NoError(t, err)
				require.True(t, strings.HasSuffix(o[k].(string), "Z"), "UTC")
			}
			require.Contains(t, starts, o["start"])
			require.Contains(t, ends, o["end"])
			require.Positive(t, o["packets"])
			require.Positive(t, o["frame"])
		}
	}
	without := jsonLines[map[string]any](t, runOK(t, "ls", "-o", "json", data+"http.pcap").stdout)
	require.NotContains(t, without[0], "client_sha256")
	require.NotContains(t, without[0], "layers")
}

// TestEventFields: a line of follow -o json has every field that scripts rely on, of the right type, in an order that
// makes sense.
func TestEventFields(t *testing.T) {
	seen := map[string]bool{}
	for _, path := range captures(t) {
		open, ended := map[float64]bool{}, map[float64]bool{}
		for _, o := range jsonLines[map[string]any](t, run("follow", "-o", "json", path).stdout) {
			kind, stream := o["event"].(string), o["stream"].(float64)
			seen[kind] = true
			require.Positive(t, o["frame"])
			require.False(t, ended[stream], "nothing comes after the end")
			require.Equal(t, kind != "open", open[stream])
			switch kind {
			case "open":
				open[stream] = true
			case "end":
				ended[stream] = true
				require.NotEmpty(t, o["reason"])
			case "data", "gap", "conflict":
				require.Contains(t, []any{"client", "server"}, o["dir"])
				require.GreaterOrEqual(t, o["offset"].(float64), 0.0)
				require.Positive(t, o["length"])
			default:
				require.Failf(t, "unknown event", "%v", o)
			}
			switch kind {
			case "data":
				b, err := base64.StdEncoding.DecodeString(o["data"].(string))
				require.NoError(t, err)
				require.Len(t, b, int(o["length"].(float64)))
			case "gap":
				require.NotEmpty(t, o["reason"])
			}
		}
		require.Equal(t, open, ended)
	}
	require.Equal(t, map[string]bool{"open": true, "data": true, "gap": true, "conflict": true, "end": true}, seen)
}

// TestUrgent: the last byte of urgent data stays, goes, or is shown apart.
func TestUrgent(t *testing.T) {
	c := (&pktgen.Conversation{}).Open()
	c.Urgent(packet.ClientToServer, 0, []byte("ab\x1bd"), 3).Client([]byte("ef\n"))
	path := saveTrace(t, c.Close(packet.ClientToServer).Trace())
	for policy, want := range map[string]string{"inline": "ab\x1bdef\n", "drop": "abdef\n", "oob": "abdef\n"} {
		require.Equal(t, want, runOK(t, "follow", "-q", "--urgent", policy, "--raw", "client", path).stdout)
		rows := jsonLines[map[string]any](t, runOK(t, "ls", "-o", "json", "--urgent", policy, path).stdout)
		require.EqualValues(t, len(want), rows[0]["client_bytes"])
		if policy == "inline" {
			require.NotContains(t, rows[0], "client_urgent")
			continue
		}
		require.EqualValues(t, 1, rows[0]["client_urgent"])
		require.NotContains(t, rows[0], "server_urgent")
		require.Contains(t, runOK(t, "bench", "--urgent", policy, path).stdout, "bytes=6 ")
		require.Contains(t, runOK(t, "ls", "--urgent", policy, path).stderr, ", 1 urgent byte taken out\n")
	}
	var got []string
	for _, e := range jsonLines[event](t, runOK(t, "follow", "--urgent", "oob", "-o", "json", path).stdout) {
		if e.Event != "open" && e.Event != "end" {
			got = append(got, fmt.Sprintf("%s %d %s %d+%d %q %s", e.Event, e.Frame, e.Dir, e.Offset, e.Length, e.Data, e.Time))
		}
	}
	require.Equal(t, []string{
		`data 4 client 0+2 "ab" 2024-01-01T00:00:00.003Z`, `urgent 4 client 2+1 "\x1b" 2024-01-01T00:00:00.003Z`,
		`data 4 client 3+1 "d" 2024-01-01T00:00:00.003Z`, `data 5 client 4+3 "ef\n" 2024-01-01T00:00:00.004Z`,
	}, got)
	text := runOK(t, "follow", "--urgent", "oob", path).stdout
	require.Contains(t, text, "> ab\n--- > [urgent byte at offset 2, in frame 4: \\x1b]\n> def\n")
	for _, side := range []string{"client", "server"} {
		r := runOK(t, "follow", "-q", "--urgent", "oob", "--raw", side, path)
		require.Equal(t, side == "client", r.stderr == "tcpfollow: stream 0: urgent byte at offset 2: \\x1b\n", r.stderr)
	}
	dir := t.TempDir()
	runOK(t, "follow", "--urgent", "oob", "--extract", dir, path)
	require.Equal(t, "abdef\n", read(t, filepath.Join(dir, names(t, dir)[0])))

	many := (&pktgen.Conversation{}).Open()
	for i := range 3 {
		many.Urgent(packet.ClientToServer, 0, nil, uint16(2+2*i))
	}
	r := run("ls", "-q", "--urgent", "drop", "--max-segments", "2", saveTrace(t, many.Client([]byte("abcdefgh")).Trace()))
	require.Equal(t, cli.ExitPartial, r.code)
	require.Equal(t, "tcpfollow: results are partial: limits reached: --max-segments (1 time)\n", r.stderr)
}

// TestDuplicates: frames that a mirror port sent twice are counted apart from retransmissions.
func TestDuplicates(t *testing.T) {
	c := (&pktgen.Conversation{}).Open().Client([]byte("hello"))
	trace := c.Trace().Duplicate(0, 3, 4)
	trace = append(trace, c.Segment(packet.ClientToServer, packet.ACK, 0, []byte("hello")).Trace()[5]) // sent again
	path := saveTrace(t, trace)
	rows := jsonLines[map[string]any](t, runOK(t, "ls", "-o", "json", path).stdout)
	require.NotContains(t, rows[0], "duplicates")
	require.EqualValues(t, 9, rows[0]["packets"])
	r := runOK(t, "ls", "-o", "json", "--duplicates", "5ms", path)
	require.Contains(t, r.stderr, ", 3 frames captured twice\n")
	rows = jsonLines[map[string]any](t, r.stdout)
	require.EqualValues(t, 3, rows[0]["duplicates"])
	require.EqualValues(t, 6, rows[0]["packets"])
	require.EqualValues(t, 5, rows[0]["client_bytes"])
	require.Equal(t, cli.ExitUsage, run("ls", "--duplicates", "-5ms", path).code)
}

// TestSameBytesEverywhere: the events, --raw, --extract and a copy made with -w hold the bytes whose digests ls prints.
func TestSameBytesEverywhere(t *testing.T) {
	for _, path := range captures(t) {
		t.Run(strings.TrimPrefix(path, data), func(t *testing.T) {
			rows := list(t, path)
			type side struct {
				stream uint64
				dir    string
			}
			var next map[side]uint64
			sums := map[side][]byte{}
			next = map[side]uint64{}
			for _, e := range jsonLines[event](t, run("follow", "-o", "json", path).stdout) {
				k := side{e.Stream, e.Dir}
				switch e.Event {
				case "data":
					sums[k] = append(sums[k], e.Data...)
					fallthrough
				case "gap":
					require.Equal(t, next[k], e.Offset, "data and gaps follow each other without a hole")
					next[k] += e.Length
				}
			}
			for _, r := range rows {
				require.Equal(t, r.ClientSHA256, digest(sums[side{r.Stream, "client"}]))
				require.Equal(t, r.ServerSHA256, digest(sums[side{r.Stream, "server"}]))
				require.Len(t, sums[side{r.Stream, "client"}], int(r.ClientBytes))
				require.Len(t, sums[side{r.Stream, "server"}], int(r.ServerBytes))
			}
			for _, dir := range []string{"client", "server"} {
				var all int
				for k, b := range sums {
					if k.dir == dir {
						all += len(b)
					}
				}
				require.Len(t, run("follow", "-q", "--raw", dir, path).stdout, all)
			}
			dir := t.TempDir()
			for _, x := range jsonLines[extractedFile](t, run("follow", "-o", "json", "--extract", dir, path).stdout) {
				require.Equal(t, string(sums[side{x.Stream, x.Dir}]), read(t, filepath.Join(dir, x.File)))
			}
			copied := filepath.Join(dir, "copy.pcapng")
			run("follow", "-q", "-w", copied, path)
			again := list(t, copied)
			require.Equal(t, rows, again)
		})
	}
}

// TestRawBytes: what is written is what was sent, byte for byte, and nothing else.
func TestRawBytes(t *testing.T) {
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	path := says(t, string(all), "\r\n\x00\xff--- stream 0\n", "more")
	require.Equal(t, string(all)+"more", runOK(t, "follow", "--raw", "client", path).stdout)
	require.Equal(t, "\r\n\x00\xff--- stream 0\n", runOK(t, "follow", "--raw", "server", path).stdout)
	r := runOK(t, "follow", "--raw", "server", "--color", "always", data+"http.pcap")
	require.NotContains(t, r.stdout, "\x1b")
	require.NotContains(t, r.stdout, "bytes missing")
	require.Contains(t, r.stderr, "tcpfollow: stream 0: 1460 bytes missing at offset 6214 (lost)\n")
	r = runOK(t, "follow", "--raw", "client", data+"http.pcap")
	require.NotContains(t, r.stderr, "tcpfollow:", "nothing is missing of this side")
	r = runOK(t, "follow", "-q", "--raw", "client", data+"conflict.pcap")
	require.Equal(t, "tcpfollow: stream 0: bytes at offset 5 came twice and differ, in frame 6\n", r.stderr)
}

// TestStreamSelection: --stream takes numbers and lists, and the commands agree about them.
func TestStreamSelection(t *testing.T) {
	var parts []pktgen.Trace
	for i := range 4 {
		c := &pktgen.Conversation{ClientAddr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(5000+i)), Start: pktgen.Start + int64(i)}
		parts = append(parts, c.Open().Client([]byte{byte('a' + i), '\n'}).Close(packet.ClientToServer).Trace())
	}
	path := saveTrace(t, pktgen.Merge(parts...))
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"all", "a\nb\nc\nd\n", nil},
		{"one", "c\n", []string{"--stream", "2"}},
		{"repeated", "a\nd\n", []string{"--stream", "3", "--stream", "0"}},
		{"list", "b\nc\n", []string{"--stream", "1,2"}},
		{"none there", "", []string{"--stream", "9"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, runOK(t, append([]string{"follow", "--raw", "client", path}, tt.args...)...).stdout)
			text := runOK(t, append([]string{"follow", path}, tt.args...)...).stdout
			require.Equal(t, len(tt.want)/2, strings.Count(text, "\n> "))
			events := jsonLines[event](t, runOK(t, append([]string{"follow", "-o", "json", path}, tt.args...)...).stdout)
			require.Len(t, events, len(tt.want)/2*3)
		})
	}
}

// TestJSONIsPlain: captured text cannot break a line, and is not changed for HTML.
func TestJSONIsPlain(t *testing.T) {
	r := runOK(t, "ls", "-o", "json", "--tunnels", says(t, "x"))
	require.Equal(t, 1, strings.Count(r.stdout, "\n"))
	require.True(t, json.Valid([]byte(r.stdout)))
}
