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
	"github.com/tcpfollow/tcpfollow/internal/cmd/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
)

// datagrams returns a capture of so many flows of one UDP packet each, a second apart, from ascending ports.
func datagrams(t *testing.T, n int) string {
	t.Helper()
	var trace pktgen.Trace
	for i := range n {
		trace = append(trace, pktgen.Packet{Time: int64(i) * 1e9, Layers: []pktgen.Layer{
			pktgen.Ethernet{},
			pktgen.IPv4{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("198.51.100.2")},
			pktgen.UDP{Src: uint16(1000 + i), Dst: 9},
			pktgen.Payload("hello"),
		}})
	}
	return saveTrace(t, trace)
}

// table reads rows of CSV.
func table(t *testing.T, text string) []map[string]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	var all []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		all = append(all, m)
	}
	return all
}

// TestMeterParameters: NFStream's parameters, each with an effect.
func TestMeterParameters(t *testing.T) {
	file := datagrams(t, 3)
	for _, tt := range []struct {
		args    string
		columns int
		rows    int
	}{
		{"", 38, 3},
		{"--n-dissections 0", 29, 3},
		{"--n-dissections 0 --decode-tunnels=false", 28, 3},
		{"--n-dissections 0 --statistical-analysis", 77, 3},
		{"--n-dissections 0 --statistical-analysis --splt-analysis 10", 80, 3},
		{"--n-dissections 0 --max-nflows 2", 29, 2},
		{"--n-dissections 0 --bpf-filter port\t1001", 29, 1},
		{"--n-dissections 0 --filter port\t1001", 29, 1},
		{"-c 1", 38, 1},
		{"--columns id,src_port", 2, 3},
		{"--plugin tcp --plugin slicer=1", 45, 3},
		{"--promiscuous-mode=false --snapshot-length 100 --socket-buffer-size 5 --n-meters 1 --performance-report 0 --system-visibility-mode 0", 38, 3},
	} {
		t.Run(tt.args, func(t *testing.T) {
			args := []string{"meter"}
			for a := range strings.FieldsSeq(strings.ReplaceAll(tt.args, "\t", "~")) {
				args = append(args, strings.ReplaceAll(a, "~", " "))
			}
			r := runOK(t, append(args, file)...)
			rows := table(t, r.stdout)
			require.Len(t, rows, tt.rows)
			require.Len(t, rows[0], tt.columns)
			require.Contains(t, r.stderr, "flows"[:min(5, 4+len(rows)-1)])
		})
	}
}

// TestMeterUsage: what is no value of a parameter is said, with the parameter.
func TestMeterUsage(t *testing.T) {
	file := datagrams(t, 1)
	for _, tt := range []struct{ args, says string }{
		{"--idle-timeout -1", "--idle-timeout"},
		{"--idle-timeout 1.5", "--idle-timeout"},
		{"--active-timeout 18446744073709551615", "--active-timeout"},
		{"--accounting-mode 4", "--accounting-mode"},
		{"--n-dissections 256", "256 dissections"},
		{"--splt-analysis 65536", "65536"},
		{"--order random", "--order"},
		{"--rules lax", "--rules"},
		{"--dialect excel", "--dialect"},
		{"--time-unit h", "--time-unit"},
		{"-o xml", "-o"},
		{"--columns nonsense", "nonsense"},
		{"--plugin nonsense", "nonsense"},
		{"--plugin slicer=0", "slicer"},
		{"--plugin slicer=x", "slicer"},
		{"--plugin tcp=1", "tcp"},
		{"--plugin splt=x", "splt"},
		{"--plugin splt=5,9", "splt"},
		{"--plugin activity=x", "activity"},
		{"--plugin community-id=99999", "community-id"},
		{"--flows-per-file -1", "--flows-per-file"},
		{"--flows-per-file 3", "-w"},
		{"--rotate-files -1", "--rotate-files"},
		{"--anon-key xyz --columns-to-anonymize id", "--anon-key"},
		{"-o records --columns id", "records"},
		{"--max-active 0", "MaxActive"},
		{"--bpf-filter (", "filter"},
		{"--system-visibility-mode 1", "--system-visibility-mode"},
		{"--performance-report 5", "--performance-report"},
		{"--snapshot-length 0", "--snapshot-length"},
		{"--socket-buffer-size -1", "--socket-buffer-size"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			r := run(append(append([]string{"meter"}, strings.Fields(tt.args)...), file)...)
			require.Equal(t, cli.ExitUsage, r.code, r.stderr)
			require.Contains(t, r.stderr, tt.says)
			require.Empty(t, r.stdout)
		})
	}
	require.Equal(t, cli.ExitUsage, run("meter").code)
	require.Equal(t, cli.ExitError, run("meter", filepath.Join(t.TempDir(), "absent")).code)
}

// TestMeterFiles: rows go to a file that appears when it is complete, or to several.
func TestMeterFiles(t *testing.T) {
	file := datagrams(t, 5)
	whole := runOK(t, "meter", file).stdout
	names := func(dir string) []string {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		var all []string
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	for _, tt := range []struct {
		name, path string
		args       []string
		want       []string // names
		rows       []int
	}{
		{"one", "x.csv", nil, []string{"x.csv"}, []int{5}},
		{"several", "x.csv", []string{"--flows-per-file", "2"}, []string{"x.0.csv", "x.1.csv", "x.2.csv"}, []int{2, 2, 1}},
		{"as many as there are", "x.csv", []string{"--flows-per-file", "5"}, []string{"x.0.csv"}, []int{5}},
		{"csv in the name", "csv.csv.d", []string{"--flows-per-file", "3"}, []string{"csv.csv.0.d", "csv.csv.1.d"}, []int{3, 2}},
		{"rotated", "x.csv", []string{"--flows-per-file", "1", "--rotate-files", "2"}, []string{"x.0.csv", "x.1.csv"}, []int{1, 1}},
		{"rotation alone means nothing", "x.csv", []string{"--rotate-files", "2"}, []string{"x.csv"}, []int{5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			r := runOK(t, append(append([]string{"meter", "-w", filepath.Join(dir, tt.path)}, tt.args...), file)...)
			require.Empty(t, r.stdout)
			require.Contains(t, r.stderr, "5 rows written to ")
			require.Equal(t, tt.want, names(dir))
			for i, name := range tt.want {
				b, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err)
				require.Len(t, table(t, string(b)), tt.rows[i])
				if tt.name == "one" {
					require.Equal(t, whole, string(b))
				}
			}
		})
	}
	t.Run("rotated files are written over", func(t *testing.T) {
		dir := t.TempDir()
		runOK(t, "meter", "--flows-per-file", "1", "--rotate-files", "2", "-w", filepath.Join(dir, "x.csv"), file)
		b, err := os.ReadFile(filepath.Join(dir, "x.0.csv"))
		require.NoError(t, err)
		require.Equal(t, "4", table(t, string(b))[0]["id"])
	})
	t.Run("beside the capture", func(t *testing.T) {
		r := runOK(t, "meter", file, "-w")
		b, err := os.ReadFile(file + ".csv")
		require.NoError(t, err)
		require.Equal(t, whole, string(b))
		require.Contains(t, r.stderr, "5 rows written to ")
		require.Equal(t, cli.ExitUsage, run("meter", "-", "-w").code)
	})
	t.Run("no rows, no file", func(t *testing.T) {
		dir := t.TempDir()
		for _, args := range [][]string{{"-w", "none.csv"}, {"--dialect", "rfc4180", "-w", "header.csv"}, {"-o", "json", "-w", "empty.json"}} {
			args[len(args)-1] = filepath.Join(dir, args[len(args)-1])
			runOK(t, append(append([]string{"meter", "--bpf-filter", "icmp"}, args...), file)...)
		}
		require.Equal(t, []string{"empty.json", "header.csv"}, names(dir))
	})
	t.Run("the input is not written over", func(t *testing.T) {
		r := run("meter", "-w", file, file)
		require.Equal(t, cli.ExitError, r.code)
		require.Contains(t, r.stderr, "is being read")
	})
	t.Run("no directory", func(t *testing.T) {
		require.Equal(t, cli.ExitError, run("meter", "-w", filepath.Join(t.TempDir(), "no", "x.csv"), file).code)
	})
}

// full is an output that takes so many bytes and no more.
type full struct{ left int }

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, fmt.Errorf("no space left")
	}
	return len(b), nil
}

// TestMeterFullDisk: output that cannot be written is an error, and not a shorter file.
func TestMeterFullDisk(t *testing.T) {
	file := datagrams(t, 2000)
	var errs bytes.Buffer
	code := cli.Run(tcpfollow.New(), []string{"meter", file}, &full{left: 100_000}, &errs)
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, errs.String(), "no space left")
}

// TestMeterOutputs: each format has all flows.
func TestMeterOutputs(t *testing.T) {
	file := datagrams(t, 4)
	require.Len(t, table(t, runOK(t, "meter", file).stdout), 4)
	require.Len(t, jsonLines[map[string]any](t, runOK(t, "meter", "-o", "json", file).stdout), 4)
	require.Equal(t, 4, strings.Count(runOK(t, "meter", "-o", "text", file).stdout, "NFlow(id="))
	require.Equal(t, 4, strings.Count(runOK(t, "meter", "-o", "records", file).stdout, "\n"))
	require.Equal(t, 4, strings.Count(runOK(t, "meter", "-o", "zeek", file).stdout, "\tudp\t"))
	require.True(t, strings.HasPrefix(runOK(t, "meter", "-o", "parquet", file).stdout, "PAR1"))
	require.Contains(t, runOK(t, "meter", "-o", "text", file).stdout, "NFlow(id=0,\n      expiration_id=0,\n")
	old := runOK(t, "meter", "--dialect", "nfstream-6.5", file).stdout
	require.NotContains(t, old, "\r")
	require.Contains(t, old, `"192.0.2.1"`)
	ns := jsonLines[map[string]any](t, runOK(t, "meter", "-o", "json", "--time-unit", "ns", file).stdout)
	require.InDelta(t, 1e9, ns[1]["bidirectional_first_seen_ns"], 0)
}

// TestMeterAnonymized: digests under one key are the same in every run, under random ones never.
func TestMeterAnonymized(t *testing.T) {
	file := datagrams(t, 2)
	show := func(args ...string) []map[string]string {
		return table(t, runOK(t, append(append([]string{"meter", "--columns-to-anonymize", "src_ip,dst_ip,src_port"}, args...), file)...).stdout)
	}
	a, b := show("--anon-key", "00ff"), show("--anon-key", "00ff")
	require.Equal(t, a, b)
	require.Len(t, a[0]["src_ip"], 128)
	require.Equal(t, a[0]["src_ip"], a[1]["src_ip"])
	require.NotEqual(t, a[0]["src_port"], a[1]["src_port"])
	once, again := show(), show()
	require.NotEqual(t, once[0]["src_ip"], again[0]["src_ip"])
	kept := show("--anon-key", "00ff", "--anon-prefixes")
	addr, err := netip.ParseAddr(kept[0]["src_ip"])
	require.NoError(t, err)
	require.NotEqual(t, netip.MustParseAddr("192.0.2.1"), addr)
	require.Contains(t, runOK(t, "meter", "--columns-to-anonymize", "nonsense", file).stderr, `no column named "nonsense"`)
}

// TestMeterPartial: a damaged file gives the rows of what was before the damage, and the exit status says so.
func TestMeterPartial(t *testing.T) {
	b, err := os.ReadFile(datagrams(t, 4))
	require.NoError(t, err)
	r := run("meter", save(t, "cut.pcap", b[:len(b)-3]))
	require.Equal(t, cli.ExitPartial, r.code)
	require.Len(t, table(t, r.stdout), 3)
	r = run("meter", "--max-active", "2", datagrams(t, 4))
	require.Equal(t, cli.ExitPartial, r.code)
	require.Contains(t, r.stderr, "--max-active")
	require.Len(t, table(t, r.stdout), 4)
}

// TestMeterSources: several files are one input, and the rows do not depend on where it was cut.
func TestMeterSources(t *testing.T) {
	whole, err := os.ReadFile(datagrams(t, 6))
	require.NoError(t, err)
	const header, record = 24, 16 + 14 + 20 + 8 + 5
	want := runOK(t, "meter", save(t, "whole.pcap", whole)).stdout
	for _, at := range []int{1, 3, 5} {
		first := save(t, "a.pcap", whole[:header+at*record])
		second := save(t, "b.pcap", append(append([]byte(nil), whole[:header]...), whole[header+at*record:]...))
		require.Equal(t, want, runOK(t, "meter", "-r", first, second).stdout, strconv.Itoa(at))
	}
}

// TestBenchMeter: the line agrees with the rows.
func TestBenchMeter(t *testing.T) {
	require.Equal(t, "RESULT packets=7 bytes=329 flows=7\n", runOK(t, "bench", "--meter", datagrams(t, 7)).stdout)
	require.Equal(t, "RESULT packets=7 bytes=329 flows=7\n", runOK(t, "bench", "--meter", "--workers", "3", datagrams(t, 7)).stdout)
	require.Equal(t, "RESULT packets=1 bytes=47 flows=1\n", runOK(t, "bench", "--meter", datagrams(t, 7), "--", "src", "port", "1003").stdout)
	require.Equal(t, cli.ExitUsage, run("bench", "--meter").code)
}
