package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
	"github.com/tcpfollow/tcpfollow/tlsx"
)

const committed = "../../../testdata"

// TestCommittedFilesAreThese makes all captures anew and compares them with the ones that are committed.
func TestCommittedFilesAreThese(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, write(dir))
	made := files(t, dir)
	require.Contains(t, made, "MANIFEST")
	require.Contains(t, made, "http.pcap")
	require.Contains(t, made, "tls/http11.keys")
	for _, name := range made {
		want, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(committed, name))
		require.NoError(t, err, "run: go run ./internal/cmd/mktestdata testdata")
		require.True(t, bytes.Equal(want, got), "%s differs; run: go run ./internal/cmd/mktestdata testdata", name)
	}
	for _, name := range files(t, committed) {
		if strings.Contains(name, ".pcap") {
			require.Contains(t, made, name, "a capture that nothing makes")
		}
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	require.NoError(t, err)
	return names
}

func TestWriteFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, write(file))
}

func TestCaptures(t *testing.T) {
	var size int
	var names []string
	for _, c := range captures() {
		size += len(c.data)
		names = append(names, c.name)
		require.NotEmpty(t, c.what)
		require.Equal(t, strings.Contains(c.name, ".pcap"), c.frames > 0, c.name)
		if strings.HasPrefix(c.name, "links/") || strings.HasPrefix(c.name, "tunnels/") {
			require.Equal(t, 11, c.frames, c.name)
			require.Equal(t, 1, bytes.Count(c.data, []byte("Hello from tcpfollow.\n")), c.name)
		}
	}
	require.Less(t, size, 1<<20)
	slices.Sort(names)
	require.Len(t, slices.Compact(names), len(captures()), "a name that is used twice")
}

func TestCompressed(t *testing.T) {
	for _, n := range []int{0, 1, 0xffff, 0x10000, 200_000} {
		want := bytes.Repeat([]byte("x"), n)
		g, err := gzip.NewReader(bytes.NewReader(gzipped(want)))
		require.NoError(t, err)
		got, err := io.ReadAll(g)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))

		z, err := zstd.NewReader(nil)
		require.NoError(t, err)
		got, err = z.DecodeAll(zstandard(want), nil)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		z.Close()
	}
}

// TestDocumentationAddresses holds the captures to the ranges of RFC 5737 and RFC 3849.
func TestDocumentationAddresses(t *testing.T) {
	ranges := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	}
	seen := 0
	check := func(a netip.Addr) {
		seen++
		require.True(t, slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) }), a.String())
	}
	for _, trace := range []pktgen.Trace{browse(), twoInterfaces(), six(), vlans(), reset(), refused(), wrap(), conflict(), mixed(), browsing(), plainH2(), upgradedH2(), webSocket(), hello().Trace(), hello6().Trace()} {
		for _, p := range trace {
			for _, l := range p.Layers {
				switch h := l.(type) {
				case pktgen.IPv4:
					check(h.Src)
					check(h.Dst)
				case pktgen.IPv6:
					check(h.Src)
					check(h.Dst)
				}
			}
		}
	}
	require.Greater(t, seen, 300)
}

func TestDNS(t *testing.T) {
	want := "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01" +
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x33\x64\x02"
	require.Equal(t, want, string(dns("example.com", []byte{198, 51, 100, 2})))
}

func TestSegmentMustExist(t *testing.T) {
	require.Panics(t, func() { segment(hello().Trace(), client, 1) })
}

// opened collects what is decrypted.
type opened struct{ data [2][]byte }

func (o *opened) Data(d tlsx.Direction, c tlsx.Chunk) { o.data[d] = append(o.data[d], c.Bytes...) }
func (*opened) Gap(tlsx.Direction, tlsx.Gap)          {}
func (*opened) End(tlsx.Direction, tlsx.End)          {}

// decrypt returns what client and server say in a session.
func decrypt(t *testing.T, s *tlsrec.Session) (o opened, info tlsx.Info) {
	t.Helper()
	keys, err := tlsx.ReadKeyLog(bytes.NewReader(s.KeyLog))
	require.NoError(t, err)
	d, err := tlsx.New(keys, nil)
	require.NoError(t, err)
	c := d.Open(&o)
	var off [2]uint64
	for _, p := range s.Parts {
		c.Data(tlsx.Direction(p.Dir), off[p.Dir], p.Data, tlsx.Origin{})
		off[p.Dir] += uint64(len(p.Data))
	}
	c.Close()
	return o, c.Info()
}

// TestRecord: what is recorded now says the same as the transcripts.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, record(dir))
	for _, name := range []string{"h2", "http11", "cbc"} {
		text, err := os.ReadFile(filepath.Join(dir, name+".txt"))
		require.NoError(t, err)
		now, err := tlsrec.Parse(string(text))
		require.NoError(t, err)
		got, info := decrypt(t, now)
		want, then := decrypt(t, transcript(name))
		require.Equal(t, then.Suite, info.Suite)
		require.Equal(t, then.Trouble, info.Trouble)
		require.Equal(t, name == "cbc", info.Trouble == tlsx.UnsupportedSuite)
		if name == "http11" { // in HTTP/2 the turns of small frames are up to the scheduler
			require.Equal(t, string(want.data[0]), string(got.data[0]))
			require.Equal(t, string(want.data[1]), string(got.data[1]))
			require.Contains(t, string(got.data[1]), story(100)[:2000])
		}
	}
	require.Error(t, record(filepath.Join(dir, "nowhere")))
}
