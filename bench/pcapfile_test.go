package bench

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/gopacket/pcapgo"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// pcapfileShape is a capture to read: how many frames of which sizes, in turn.
type pcapfileShape struct {
	name   string
	frames int
	sizes  []int
}

var pcapfileShapes = []pcapfileShape{
	{"bulk", 60_000, []int{1514, 1514, 66}},
	{"mice", 400_000, []int{74, 74, 66, 120, 66, 150}},
}

// write makes the capture, and returns its path and the wire bytes in it.
func (s pcapfileShape) write(b *testing.B, cfg *pcapfile.WriterConfig, compress func(io.Writer) (io.WriteCloser, error)) (string, int64) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "capture")
	f, err := os.Create(path)
	require.NoError(b, err)
	var out io.Writer = f
	var z io.WriteCloser
	if compress != nil {
		z, err = compress(f)
		require.NoError(b, err)
		out = z
	}
	w, err := pcapfile.NewWriter(out, cfg)
	require.NoError(b, err)
	data := make([]byte, 2000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	total := int64(0)
	for i := range s.frames {
		n := s.sizes[i%len(s.sizes)]
		binary.LittleEndian.PutUint32(data[30:], uint32(i)*2654435761)
		require.NoError(b, w.Write(&packet.Frame{Data: data[:n], Time: 1e18 + int64(i)*1000, Length: n, Link: 1}))
		total += int64(n)
	}
	require.NoError(b, w.Close())
	if z != nil {
		require.NoError(b, z.Close())
	}
	require.NoError(b, f.Close())
	return path, total
}

func perPacket(b *testing.B, frames int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(frames), "ns/pkt")
}

// BenchmarkPcapfile reads captures from the page cache through their ordinary files.
func BenchmarkPcapfile(b *testing.B) {
	formats := []struct {
		name     string
		cfg      *pcapfile.WriterConfig
		compress func(io.Writer) (io.WriteCloser, error)
	}{
		{"pcap", nil, nil},
		{"pcapng", &pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG}, nil},
		{"pcap.gz", nil, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }},
		{"pcap.zst", nil, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }},
	}
	for _, s := range pcapfileShapes {
		for _, f := range formats {
			b.Run(s.name+"/"+f.name, func(b *testing.B) {
				path, bytes := s.write(b, f.cfg, f.compress)
				b.SetBytes(bytes)
				b.ReportAllocs()
				var batch packet.Batch
				for b.Loop() {
					r, err := pcapfile.Open(path, nil)
					if err != nil {
						b.Fatal(err)
					}
					got := int64(0)
					for {
						if err = r.ReadBatch(&batch); err != nil {
							break
						}
						for i := range batch.Frames {
							got += int64(len(batch.Frames[i].Data))
						}
					}
					r.Close()
					if !errors.Is(err, io.EOF) || got != bytes {
						b.Fatal(err, got)
					}
				}
				perPacket(b, s.frames)
			})
		}
		b.Run(s.name+"/floor: header walk", func(b *testing.B) {
			path, bytes := s.write(b, nil, nil)
			b.SetBytes(bytes)
			b.ReportAllocs()
			for b.Loop() {
				if got := headerWalk(b, path); got != bytes {
					b.Fatal(got)
				}
			}
			perPacket(b, s.frames)
		})
		b.Run(s.name+"/gopacket pcapgo, zero copy", func(b *testing.B) {
			path, bytes := s.write(b, nil, nil)
			b.SetBytes(bytes)
			b.ReportAllocs()
			for b.Loop() {
				if got := pcapgoWalk(b, path); got != bytes {
					b.Fatal(got)
				}
			}
			perPacket(b, s.frames)
		})
	}
}

// headerWalk does the least that reading a little-endian pcap file takes: no frame is made, nothing is checked.
func headerWalk(b *testing.B, path string) (total int64) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, pcapfile.DefaultBuffer)
	pos, end := 24, 0
	for {
		n, err := f.Read(buf[end:])
		if err != nil {
			return total
		}
		end += n
		for end-pos >= 16 {
			next := pos + 16 + int(binary.LittleEndian.Uint32(buf[pos+8:]))
			if next > end {
				break
			}
			total += int64(next - pos - 16)
			pos = next
		}
		end = copy(buf, buf[pos:end])
		pos = 0
	}
}

func pcapgoWalk(b *testing.B, path string) (total int64) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	for {
		data, _, err := r.ZeroCopyReadPacketData()
		if err != nil {
			return total
		}
		total += int64(len(data))
	}
}

// BenchmarkPcapfileWrite writes to nowhere.
func BenchmarkPcapfileWrite(b *testing.B) {
	for _, f := range []pcapfile.Format{pcapfile.FormatPcap, pcapfile.FormatPcapNG} {
		b.Run(f.String(), func(b *testing.B) {
			w, err := pcapfile.NewWriter(io.Discard, &pcapfile.WriterConfig{Format: f})
			require.NoError(b, err)
			frame := packet.Frame{Data: make([]byte, 600), Time: 1e18, Length: 600, Link: 1}
			b.SetBytes(600)
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Write(&frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
