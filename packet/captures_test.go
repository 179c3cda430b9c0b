package packet_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// captures returns the real captures, or skips the test.
func captures(t *testing.T) []string {
	t.Helper()
	root := os.Getenv("TCPFOLLOW_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "shared")
	}
	root = filepath.Join(root, "pcaps")
	if _, err := os.Stat(root); err != nil {
		t.Skip("no real captures: set TCPFOLLOW_SHARED to the directory that holds pcaps")
	}
	var paths []string
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && (strings.Contains(path, "cap") && !strings.HasSuffix(path, ".md") && !strings.HasSuffix(path, ".txt") || strings.HasSuffix(path, ".snoop")) {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

// read decodes every frame of a capture, fragments put together, and calls see for what came out.
func (g *defrag) read(t *testing.T, path string, see func(f *packet.Frame, p *packet.Packet)) {
	t.Helper()
	r, err := pcapfile.Open(path, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	var b packet.Batch
	for {
		err := r.ReadBatch(&b)
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		for i := range b.Frames {
			g.add(&b.Frames[i])
			see(&b.Frames[i], &g.p)
		}
	}
}

// explained are the frames of the real captures that cannot be decoded. Frames of fuzz-2006-06-26-2594.pcap were
// changed at random before they were captured.
var explained = map[string]map[uint64]packet.Status{
	"trunc.pcap": {1: packet.TruncatedTransport}, // 2 of the 20 bytes of TCP, and the wire had no more
	// Damaged: the data offset says 52 bytes, and the frame ends after 20 and 40.
	"layers__testdata__linux_sll_oversized_addr.pcapng": {87: packet.TruncatedTransport, 95: packet.BadTCPHeader},
	"fuzz-2006-06-26-2594.pcap": {
		45: packet.BadIPVersion, 55: packet.BadIPVersion, 78: packet.BadIPVersion, 318: packet.BadIPVersion,
		551: packet.BadIPVersion, 669: packet.BadIPVersion,
		86:  packet.BadTCPHeader,                 // 24 bytes of IP options leave 12 for TCP
		303: packet.BadIPHeader,                  // header length below 20
		607: packet.BadLink, 608: packet.BadLink, // Ethernet type below 3, so a frame of that length
	},
	"bug-76__input.pcap": {46: packet.BadTCPHeader}, // a header of 0xaa bytes: data offset 40 in 32 bytes
}

// datagrams are the numbers of datagrams that the fragments of a capture make.
var datagrams = map[string]uint64{
	"examples__frag_http_req.pcap":                       1,
	"ip4_fragments.pcap":                                 6,
	"ip6_fragments.pcap":                                 4,
	"defrag__bug-6887-defrag-ipv6-tcp__frag-ip-tcp.pcap": 1,
	"dns-edns-ecs.pcap":                                  4,
	"ipv4__fragmented-4.pcap":                            1,
	"tunnels__gtp__gtp_ext_header.pcap":                  1,
}

func TestCaptures(t *testing.T) {
	for _, path := range captures(t) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			g := newDefrag(t, nil, nil)
			found := map[uint64]packet.Status{}
			g.read(t, path, func(f *packet.Frame, p *packet.Packet) {
				if p.Status.Undecodable() {
					found[f.Number] = p.Status
				}
				if p.IsTCP() {
					require.Equal(t, p.Number, p.TCP.Number)
				}
			})
			want := explained[name]
			if want == nil {
				want = map[uint64]packet.Status{}
			}
			require.Equal(t, want, found)
			require.Equal(t, datagrams[name], g.Stats().Datagrams)
		})
	}
}

// TestCapturesTCP compares what real captures of link types and tunnels hold with what is known of them.
func TestCapturesTCP(t *testing.T) {
	want := map[string]struct {
		tcp    int
		bytes  int // of payload, captured or not
		tunnel packet.LayerKind
	}{
		"bigtcp-ipv4-vxlan-ipv4.pcap":  {1, 80000, packet.LayerVXLAN},
		"bigtcp-ipv6.pcap":             {1, 79968, packet.LayerNone},
		"geneve.pcap":                  {33, 4396, packet.LayerGeneve},
		"one_http_stream_rst.pcap":     {10, 1636, packet.LayerNone},
		"sll2.pcap":                    {3, 31, packet.LayerNone},
		"http-qinq-0.pcap":             {14, 5143, packet.LayerNone},
		"pcap__test_loopback.pcap":     {24, 56331, packet.LayerNone},
		"examples__frag_http_req.pcap": {1, 1460, packet.LayerNone},
		"tcp__retransmit-fast009.pcap": {39, 28547, packet.LayerNone},
	}
	for _, path := range captures(t) {
		w, ok := want[filepath.Base(path)]
		if !ok {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			n, sum := 0, 0
			newDefrag(t, nil, nil).read(t, path, func(_ *packet.Frame, p *packet.Packet) {
				if p.IsTCP() {
					n++
					sum += len(p.Payload) + int(p.Missing)
					require.Equal(t, w.tunnel, p.Tunnel())
				}
			})
			require.Equal(t, w.tcp, n)
			require.Equal(t, w.bytes, sum)
		})
	}
}
