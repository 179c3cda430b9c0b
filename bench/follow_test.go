package bench

import (
	"net/netip"
	"runtime"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/reassembly"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// traffic is n connections at a time, each with so many segments of size bytes from the server.
type traffic struct {
	connections, segments, size int
	swapped                     bool // each two of the segments change places
	closed                      bool
}

func (t traffic) frames() []packet.Frame {
	traces := make([]pktgen.Trace, t.connections)
	for i := range traces {
		c := &pktgen.Conversation{
			ClientAddr: clientAddr(i),
			ClientISN:  uint32(i) << 20,
			ServerISN:  uint32(i) << 12,
			AckEvery:   -1,
			Start:      pktgen.Start + int64(i),
		}
		c.Open()
		first := len(c.Trace())
		for range t.segments {
			c.Server(make([]byte, t.size))
		}
		if t.closed {
			c.Close(packet.ClientToServer)
		}
		trace := c.Trace()
		for j := first; t.swapped && j+1 < first+t.segments; j += 2 {
			trace[j].Layers, trace[j+1].Layers = trace[j+1].Layers, trace[j].Layers
		}
		traces[i] = trace
	}
	return pktgen.Merge(traces...).Frames()
}

var kinds = []struct {
	name string
	traffic
}{
	{"in order", traffic{connections: 20, segments: 1000, size: 200}},
	{"pairs swapped", traffic{connections: 20, segments: 1000, size: 200, swapped: true}},
	{"short connections", traffic{connections: 2000, segments: 5, size: 200, closed: true}},
}

// BenchmarkFollow follows whole traffic, decoding included, and counts bytes.
func BenchmarkFollow(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			batches := batchesOf(kind.frames())
			want := kind.connections * kind.segments * kind.size
			for b.Loop() {
				got := 0
				f, err := tcpfollow.New(func(s *tcpfollow.TCPStream) { got += len(s.Chunk().Bytes) }, nil, &tcpfollow.Config{Incremental: true})
				require.NoError(b, err)
				for i := range batches {
					f.FeedBatch(&batches[i], nil)
				}
				require.NoError(b, f.Close())
				require.Equal(b, want, got)
			}
			report(b, batches)
		})
	}
}

// BenchmarkGopacket does the same with google/gopacket: its decoder, its reassembly.
func BenchmarkGopacket(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			batches := batchesOf(kind.frames())
			want := kind.connections * kind.segments * kind.size
			for b.Loop() {
				require.Equal(b, want, gopacketBytes(b, batches))
			}
			report(b, batches)
		})
	}
}

// BenchmarkHalfOpen reports the memory of a connection of which only the SYN was seen.
func BenchmarkHalfOpen(b *testing.B) {
	const n = 200_000
	batches := batchesOf(traffic{connections: n}.frames())
	for b.Loop() {
		var before, after runtime.MemStats
		f, err := tcpfollow.New(nil, nil, &tcpfollow.Config{Incremental: true})
		require.NoError(b, err)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range batches {
			f.FeedBatch(&batches[i], nil)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/connection")
		require.NoError(b, f.Close())
	}
}

// clientAddr is the address and port of the ith client.
func clientAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(1024+i%60000))
}

func batchesOf(frames []packet.Frame) []packet.Batch {
	var batches []packet.Batch
	for start := 0; start < len(frames); start += packet.BatchSize {
		batches = append(batches, packet.Batch{Frames: frames[start:min(start+packet.BatchSize, len(frames))]})
	}
	return batches
}

func report(b *testing.B, batches []packet.Batch) {
	b.Helper()
	packets, size := 0, 0
	for _, batch := range batches {
		packets += len(batch.Frames)
		for i := range batch.Frames {
			size += len(batch.Frames[i].Data)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(packets), "ns/packet")
}

func gopacketBytes(b *testing.B, batches []packet.Batch) int {
	b.Helper()
	var sum counter
	assembler := reassembly.NewAssembler(reassembly.NewStreamPool(&sum))
	var eth layers.Ethernet
	var ip layers.IPv4
	var tcp layers.TCP
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip, &tcp)
	parser.IgnoreUnsupported = true
	var decoded []gopacket.LayerType
	for _, batch := range batches {
		for i := range batch.Frames {
			fr := &batch.Frames[i]
			require.NoError(b, parser.DecodeLayers(fr.Data, &decoded))
			ci := capture{Timestamp: fr.Timestamp(), CaptureLength: len(fr.Data), Length: fr.Length}
			assembler.AssembleWithContext(ip.NetworkFlow(), &tcp, ci)
		}
	}
	assembler.FlushAll()
	return int(sum)
}

type capture gopacket.CaptureInfo

func (c capture) GetCaptureInfo() gopacket.CaptureInfo { return gopacket.CaptureInfo(c) }

// counter is a stream factory, and its streams, that count bytes.
type counter int

func (c *counter) New(_, _ gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext) reassembly.Stream {
	return c
}

func (c *counter) Accept(_ *layers.TCP, _ gopacket.CaptureInfo, _ reassembly.TCPFlowDirection, _ reassembly.Sequence, start *bool, _ reassembly.AssemblerContext) bool {
	*start = true
	return true
}

func (c *counter) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	n, _ := sg.Lengths()
	*c += counter(n)
}

func (c *counter) ReassemblyComplete(reassembly.AssemblerContext) bool { return true }
