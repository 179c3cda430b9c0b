package tcpfollow_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/cmd/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// data is the directory of the project's own captures.
const data = "../../../testdata/"

// result is what a run of the program gave.
type result struct {
	code           int
	stdout, stderr string
}

func run(args ...string) result {
	var out, errs bytes.Buffer
	code := cli.Run(tcpfollow.New(args...), args, &out, &errs)
	return result{code, out.String(), errs.String()}
}

// runOK is run for what must go well.
func runOK(t *testing.T, args ...string) result {
	t.Helper()
	r := run(args...)
	require.Equal(t, cli.ExitOK, r.code, "%q: %s", args, r.stderr)
	return r
}

// golden compares got with a recorded file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to record it")
	require.Equal(t, string(want), got)
}

// jsonLines decodes an object a line.
func jsonLines[T any](t *testing.T, text string) []T {
	t.Helper()
	var all []T
	for line := range strings.Lines(text) {
		var v T
		require.NoError(t, json.Unmarshal([]byte(line), &v), "%s", line)
		all = append(all, v)
	}
	return all
}

// row is a line of ls -o json.
type row struct {
	Stream      uint64      `json:"stream"`
	Client      string      `json:"client"`
	Server      string      `json:"server"`
	Start       string      `json:"start"`
	End         string      `json:"end"`
	ClientBytes uint64      `json:"client_bytes"`
	ServerBytes uint64      `json:"server_bytes"`
	ClientGaps  [][2]uint64 `json:"client_gaps"`
	ServerGaps  [][2]uint64 `json:"server_gaps"`

	ClientConflicts int    `json:"client_conflicts"`
	ServerConflicts int    `json:"server_conflicts"`
	ClientSHA256    string `json:"client_sha256"`
	ServerSHA256    string `json:"server_sha256"`
	Layers          string `json:"layers"`
}

func list(t *testing.T, args ...string) []row {
	t.Helper()
	r := run(append([]string{"ls", "-o", "json", "--digests"}, args...)...)
	require.Contains(t, []int{cli.ExitOK, cli.ExitPartial}, r.code, "%q: %s", args, r.stderr)
	return jsonLines[row](t, r.stdout)
}

// event is a line of follow -o json.
type event struct {
	Event  string `json:"event"`
	Stream uint64 `json:"stream"`
	Frame  uint64 `json:"frame"`
	Dir    string `json:"dir"`
	Offset uint64 `json:"offset"`
	Length uint64 `json:"length"`
	Data   []byte `json:"data"`
	Reason string `json:"reason"`
	Time   string `json:"time"`
}

// captures returns the paths of all captures that are whole.
func captures(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.pcap*", "links/*", "tunnels/*"} {
		some, err := filepath.Glob(data + pattern)
		require.NoError(t, err)
		all = append(all, some...)
	}
	require.Greater(t, len(all), 50)
	return all
}

// save writes a file of the test's own.
func save(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

// saveTrace writes packets to a capture of the test's own.
func saveTrace(t *testing.T, trace pktgen.Trace) string {
	t.Helper()
	return save(t, "test.pcap", pktgen.Pcap(pktgen.PcapFormat{Nanoseconds: true}, trace.Frames()))
}

// says returns a capture of a connection in which each text is a segment of its own, the client's first and then by
// turns.
func says(t *testing.T, texts ...string) string {
	t.Helper()
	c := &pktgen.Conversation{MSS: 1 << 15}
	c.Open()
	for i, text := range texts {
		c.Send(packet.Direction(i%2), []byte(text))
	}
	return saveTrace(t, c.Close(packet.ClientToServer).Trace())
}

func TestRowsAreThere(t *testing.T) {
	rows := list(t, says(t, "hello", "world!"))
	require.Len(t, rows, 1)
	require.Equal(t, uint64(5), rows[0].ClientBytes)
	require.Equal(t, uint64(6), rows[0].ServerBytes)
}
