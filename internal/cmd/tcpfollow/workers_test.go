package tcpfollow_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
)

// TestWorkers: what is shown, the summary and the exit status do not depend on the number of workers.
func TestWorkers(t *testing.T) {
	all := captures(t)
	bad := save(t, "bad.pcap", pktgen.Pcap(pktgen.PcapFormat{}, append(hole(12, 0, true).Frames(), oddTrace().Frames()...)))
	for _, args := range [][]string{
		{"follow"},
		{"follow", "--as-captured"},
		{"follow", "--max-rendered", "300"},
		{"follow", "--hex", "--urgent", "oob"},
		{"follow", "--stream", "3,5"},
		{"follow", "--raw", "server"},
		{"follow", "-o", "json", "-c", "200"},
		{"ls", "-o", "json", "--digests"},
		{"ls", "-o", "csv", "--duplicates", "1s"},
		{"ls", "--compare=false", "--history", "10"},
		{"ls", "-v"},
		{"ls", "--strict"},
		{"ls", "--depth", "50"},
		{"bench"},
		{"bench", "--crc"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			for _, files := range [][]string{all, {data + "mixed.pcap"}, {data + "truncated.pcap", data + "http.pcap"}, {bad}, {data + "missing.pcap"}} {
				want := run(append(slices.Clone(args), files...)...)
				for _, n := range []int{2, 3, 8} {
					got := run(append(append(slices.Clone(args), "--workers", strconv.Itoa(n)), files...)...)
					require.Equal(t, want, got, "%d workers", n)
				}
			}
		})
	}
}

// TestWorkersExtract: the files are the same, too.
func TestWorkersExtract(t *testing.T) {
	one, many := t.TempDir(), t.TempDir()
	files := captures(t)
	want := runOK(t, append([]string{"follow", "-q", "--extract", one, "--index", data + "http.pcap"}, files[:0]...)...)
	require.NotEmpty(t, want.stdout)
	args := func(dir string, workers string) []string {
		return append([]string{"follow", "-q", "-o", "json", "--extract", dir, "--index", "--workers", workers}, files...)
	}
	r := run(args(one, "1")...)
	require.Equal(t, r, run(args(many, "4")...))
	require.Equal(t, names(t, one), names(t, many))
	for _, name := range names(t, one) {
		require.Equal(t, read(t, filepath.Join(one, name)), read(t, filepath.Join(many, name)), name)
	}
}

// TestWorkersOutputFails: a failing output ends the run as with one worker.
func TestWorkersOutputFails(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "000000_192.0.2.1.49152_198.51.100.2.80_client"), 0o700))
	args := []string{"follow", "-q", "--extract", dir, data + "http.pcap"}
	one := run(args...)
	require.NotZero(t, one.code)
	require.Equal(t, one, run(append(args, "--workers", "2")...))
}

// TestMeterWorkers: the rows and ids of one worker, whatever their number is called.
func TestMeterWorkers(t *testing.T) {
	for _, args := range [][]string{{"--statistical-analysis"}, {"--order", "first"}, {"--order", "expiry", "--idle-timeout", "0"}, {"--max-nflows", "2"}} {
		all := append([]string{"meter", "-q", data + "links", data + "tunnels"}, args...)
		want := runOK(t, all...).stdout
		require.NotEmpty(t, want)
		for _, more := range [][]string{{"--workers", "2"}, {"--n-meters", "3"}, {"--workers", "0"}} {
			require.Equal(t, want, runOK(t, append(all, more...)...).stdout, "%v", more)
		}
	}
	require.Equal(t, cli.ExitUsage, run("meter", "--workers", "-1", data+"http.pcap").code)
}
