package meter_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// shared returns the directory of recorded truths, or skips the test.
func shared(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TCPFOLLOW_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "golden", "nfstream")); err != nil {
		t.Skip("no recorded truths: neither ../shared beside the project nor $TCPFOLLOW_SHARED is there")
	}
	return dir
}

// csvOf meters a source and returns the rows.
func csvOf(t *testing.T, src packet.Source, cfg *meter.Config) string {
	t.Helper()
	var out bytes.Buffer
	columns, err := meter.Columns(cfg)
	require.NoError(t, err)
	w := meter.NewCSV(&out, columns, nil)
	for f, err := range meter.Flows(t.Context(), src, cfg) {
		require.NoError(t, err)
		require.NoError(t, w.Write(f))
	}
	require.NoError(t, w.Close())
	return out.String()
}

// filtered is a source of the frames that a filter accepts.
type filtered struct {
	packet.Source
	expr string
}

func (f *filtered) ReadBatch(b *packet.Batch) error {
	if err := f.Source.ReadBatch(b); err != nil || f.expr == "" {
		return err
	}
	kept := b.Frames[:0]
	for _, frame := range b.Frames {
		p, err := bpf.Compile(frame.Link, f.expr)
		if err != nil {
			return err
		}
		if p.Run(frame.Data, frame.Length) > 0 {
			kept = append(kept, frame)
		}
	}
	b.Frames = kept
	return nil
}

// TestNFStream: the rows that NFStream 6.6.0 wrote of real captures, byte for byte.
func TestNFStream(t *testing.T) {
	dir := shared(t)
	full := func(mode nfpacket.Accounting) func(*meter.Config) {
		return func(c *meter.Config) { c.Statistics, c.SPLT, c.Accounting = true, 10, mode }
	}
	configs := map[string]func(*meter.Config){
		"stat-splt10-am0": full(0), "stat-splt10-am1": full(1), "stat-splt10-am2": full(2), "stat-splt10-am3": full(3),
		"stat-splt10-idle1-active2": func(c *meter.Config) {
			full(0)(c)
			c.IdleTimeout, c.ActiveTimeout = time.Second, 2*time.Second
		},
		"core-notunnels": func(c *meter.Config) { c.DecodeTunnels = false },
		"core-idle0":     func(c *meter.Config) { c.IdleTimeout = 0 },
		"core-bpf-udp":   nil,
	}
	records, err := filepath.Glob(filepath.Join(dir, "golden", "nfstream", "*.csv.gz"))
	require.NoError(t, err)
	compared := 0
	for _, path := range records {
		name := strings.TrimSuffix(filepath.Base(path), ".csv.gz")
		dot := strings.LastIndexByte(name, '.')
		edit, ok := configs[name[dot+1:]]
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			src, err := pcapfile.Open(filepath.Join(dir, "pcaps", "ndpi", name[:dot]), &pcapfile.Config{SignedSeconds: true})
			require.NoError(t, err)
			defer src.Close()
			expr := ""
			if edit == nil {
				expr = "udp"
			}
			require.Equal(t, gunzip(t, path), csvOf(t, &filtered{src, expr}, config(edit)))
		})
		compared++
	}
	require.Equal(t, 32, compared)
}

func gunzip(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(b)
}
