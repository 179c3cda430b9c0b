package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func TestWriterBytes(t *testing.T) {
	le := binary.LittleEndian
	frame := packet.Frame{Data: []byte("five!"), Time: 1_700_000_000_123_456_789, Length: 60, Link: 113, Interface: 7}
	pcap := func(magic, frac uint32) []byte {
		b := words(le, nil, magic, 2|4<<16, 0, 0, 262144, 113)
		return append(words(le, b, 1_700_000_000, frac, 5, 60), "five!"...)
	}
	stamp := uint64(frame.Time)
	ng := interfaceBlock(le, section(le, nil), 113, 0, resolution(le, 9), option(le, 0, nil))
	ng = block(le, ng, 6, append(words(le, nil, 0, uint32(stamp>>32), uint32(stamp), 5, 60), "five!"...))
	tests := []struct {
		name string
		cfg  *pcapfile.WriterConfig
		want []byte
	}{
		{"pcap", nil, pcap(0xa1b23c4d, 123_456_789)},
		{"pcap, microseconds", &pcapfile.WriterConfig{Micro: true}, pcap(0xa1b2c3d4, 123_456)},
		{"pcapng", &pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG}, ng},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			w, err := pcapfile.NewWriter(&out, tt.cfg)
			require.NoError(t, err)
			require.NoError(t, w.Write(&frame))
			require.Zero(t, out.Len(), "it is buffered")
			require.NoError(t, w.Flush())
			require.Equal(t, tt.want, out.Bytes())
			require.NoError(t, w.Close())
			require.Equal(t, tt.want, out.Bytes())
		})
	}
}

func TestWriterWithoutFrames(t *testing.T) {
	le := binary.LittleEndian
	tests := []struct {
		name string
		cfg  pcapfile.WriterConfig
		want []byte
	}{
		{"pcap", pcapfile.WriterConfig{}, words(le, nil, 0xa1b23c4d, 2|4<<16, 0, 0, 262144, 1)},
		{"pcap of another link type", pcapfile.WriterConfig{Link: 101, SnapLen: 96}, words(le, nil, 0xa1b23c4d, 2|4<<16, 0, 0, 96, 101)},
		{"pcapng", pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG}, section(le, nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			w, err := pcapfile.NewWriter(&out, &tt.cfg)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			require.Equal(t, tt.want, out.Bytes())
			frames, err := readBytes(t, out.Bytes(), nil)
			require.NoError(t, err)
			require.Empty(t, frames)
		})
	}
}

// TestRoundTrip: what is written is read back, for random frames of all kinds a format can hold.
func TestRoundTrip(t *testing.T) {
	tests := []struct {
		name  string
		cfg   pcapfile.WriterConfig
		links []packet.LinkType
		time  func(*rand.Rand) int64
	}{
		{"pcap", pcapfile.WriterConfig{}, []packet.LinkType{276}, func(r *rand.Rand) int64 { return r.Int64N(math.MaxUint32 * 1e9) }},
		{
			"pcap, microseconds",
			pcapfile.WriterConfig{Micro: true},
			[]packet.LinkType{1},
			func(r *rand.Rand) int64 { return r.Int64N(math.MaxUint32*1e6) * 1000 },
		},
		{
			"pcapng",
			pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG},
			[]packet.LinkType{0, 1, 113, 65535},
			func(r *rand.Rand) int64 { return int64(r.Uint64()) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(5, 6))
			var want []packet.Frame
			for i := range 3000 {
				data := make([]byte, rnd.IntN(100))
				if i == 1000 {
					data = make([]byte, 600<<10) // BIG TCP, and larger than the buffers
				}
				for i := range data {
					data[i] = byte(rnd.Uint32())
				}
				want = append(want, packet.Frame{
					Data: data, Time: tt.time(rnd), Number: uint64(i + 1), Length: len(data) + rnd.IntN(2)*rnd.IntN(1000),
					Link: tt.links[rnd.IntN(len(tt.links))],
				})
			}
			if tt.cfg.Format == pcapfile.FormatPcapNG {
				want[5].Time, want[6].Time, want[7].Time, want[8].Time = math.MinInt64, math.MaxInt64, 0, -1
			}
			var out bytes.Buffer
			w, err := pcapfile.NewWriter(&out, &tt.cfg)
			require.NoError(t, err)
			for i := range want {
				require.NoError(t, w.Write(&want[i]))
			}
			require.NoError(t, w.Close())
			r, err := pcapfile.NewReader(&out, "", nil)
			require.NoError(t, err)
			got, err := readAll(t, r)
			require.NoError(t, err)
			for i := range got {
				got[i].Interface = 0
			}
			require.Equal(t, want, got)
			require.Equal(t, pcapfile.Stats{Files: 1, Frames: 3000}, r.Stats())
		})
	}
}

func TestWriterInterfaces(t *testing.T) {
	var out bytes.Buffer
	w, err := pcapfile.NewWriter(&out, &pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG})
	require.NoError(t, err)
	for _, f := range []packet.Frame{
		{Interface: 9, Link: 1}, {Interface: 2, Link: 1}, {Interface: 9, Link: 1}, {Interface: 9, Link: 101}, {Interface: 2, Link: 1},
	} {
		require.NoError(t, w.Write(&f))
	}
	require.NoError(t, w.Close())
	frames, err := readBytes(t, out.Bytes(), nil)
	require.NoError(t, err)
	var got []uint32
	for _, f := range frames {
		got = append(got, f.Interface)
	}
	require.Equal(t, []uint32{0, 1, 0, 2, 1}, got)
}

func TestWriterLengths(t *testing.T) {
	tests := []struct {
		name         string
		length, want int
	}{
		{"shorter than the data", 1, 4},
		{"negative", -5, 4},
		{"as long", 4, 4},
		{"longer than the format can say", math.MaxInt, min(math.MaxUint32, math.MaxInt)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, format := range []pcapfile.Format{pcapfile.FormatPcap, pcapfile.FormatPcapNG} {
				var out bytes.Buffer
				w, err := pcapfile.NewWriter(&out, &pcapfile.WriterConfig{Format: format})
				require.NoError(t, err)
				require.NoError(t, w.Write(&packet.Frame{Data: []byte("four"), Length: tt.length}))
				require.NoError(t, w.Close())
				frames, err := readBytes(t, out.Bytes(), nil)
				require.NoError(t, err)
				require.Equal(t, tt.want, frames[0].Length)
			}
		})
	}
}

func TestWriterErrors(t *testing.T) {
	ng := &pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG}
	tests := []struct {
		name  string
		cfg   *pcapfile.WriterConfig
		frame packet.Frame
		text  string
	}{
		{"another link type", nil, packet.Frame{Link: 101}, "write capture: frame 2 has link type 101 in a file of link type 1"},
		{
			"before 1970", nil,
			packet.Frame{Link: 1, Time: -1},
			"write capture: frame 2 is of 1969-12-31 23:59:59.999999999 +0000 UTC, which pcap cannot hold",
		},
		{
			"after 2106", nil,
			packet.Frame{Link: 1, Time: (1 << 32) * 1e9},
			"write capture: frame 2 is of 2106-02-07 06:28:16 +0000 UTC, which pcap cannot hold",
		},
		{"link type beyond 16 bits", ng, packet.Frame{Link: 1 << 16}, "write capture: link type 65536 does not fit into pcapng"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			w, err := pcapfile.NewWriter(&out, tt.cfg)
			require.NoError(t, err)
			good := packet.Frame{Data: []byte("good"), Link: 1}
			require.NoError(t, w.Write(&good))
			err = w.Write(&tt.frame)
			require.ErrorContains(t, err, tt.text[:len(tt.text)-4])
			require.Same(t, err, w.Write(&good), "it stays")
			require.Same(t, err, w.Flush())
			require.Same(t, err, w.Close())
		})
	}
	w, err := pcapfile.NewWriter(io.Discard, nil)
	require.NoError(t, err)
	require.ErrorContains(t, w.Write(&packet.Frame{Link: 1 << 16}), "link type 65536 does not fit into pcap")
	w, err = pcapfile.NewWriter(io.Discard, nil)
	require.NoError(t, err)
	require.ErrorIs(t, w.Write(&packet.Frame{Data: make([]byte, 1<<30+1)}), pcapfile.ErrTooLarge)

	_, err = pcapfile.NewWriter(io.Discard, &pcapfile.WriterConfig{Format: pcapfile.FormatSnoop})
	require.EqualError(t, err, "pcapfile: snoop files are not written")
	_, err = pcapfile.NewWriter(io.Discard, &pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG, Micro: true})
	require.EqualError(t, err, "pcapfile: pcapng files are written with nanoseconds only")
	_, err = pcapfile.Create("x", &pcapfile.WriterConfig{Format: pcapfile.FormatSnoop})
	require.EqualError(t, err, "pcapfile: snoop files are not written")
}

// full has room for some bytes.
type full struct{ left int }

var errFull = errors.New("no space left")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.left)
	f.left -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

// TestWriterFailsBelow: wherever the disk is full, the error comes, and stays.
func TestWriterFailsBelow(t *testing.T) {
	for _, format := range []pcapfile.Format{pcapfile.FormatPcap, pcapfile.FormatPcapNG} {
		for _, left := range []int{0, 30, 100, 70_000, 131_090, 131_111, 131_136, 200_000} {
			w, err := pcapfile.NewWriter(&full{left}, &pcapfile.WriterConfig{Format: format})
			require.NoError(t, err)
			frame := packet.Frame{Data: make([]byte, 65_401), Link: 1}
			for range 4 {
				if err = w.Write(&frame); err != nil {
					break
				}
			}
			if err == nil {
				err = w.Close()
			}
			require.ErrorIs(t, err, errFull, "%v %d", format, left)
			require.EqualError(t, err, "write capture: no space left")
			require.Equal(t, err, w.Close())
		}
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	for _, format := range []pcapfile.Format{pcapfile.FormatPcap, pcapfile.FormatPcapNG} {
		w, err := pcapfile.NewWriter(io.Discard, &pcapfile.WriterConfig{Format: format})
		require.NoError(t, err)
		frames := [2]packet.Frame{{Data: make([]byte, 999), Link: 1}, {Data: make([]byte, 99), Link: 1, Interface: 1}}
		for i := range frames {
			require.NoError(t, w.Write(&frames[i]))
		}
		i := 0
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			i++
			if err := w.Write(&frames[i%2]); err != nil {
				t.Fatal(err)
			}
		}), format)
	}
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.pcap")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "old.pcap"), make([]byte, 5000), 0o644))
	for _, path := range []string{path, filepath.Join(dir, "old.pcap")} {
		w, err := pcapfile.Create(path, nil)
		require.NoError(t, err)
		frame := packet.Frame{Data: []byte("one"), Time: 5, Length: 3, Link: 1}
		require.NoError(t, w.Write(&frame))
		require.NoError(t, w.Close())
		require.ErrorIs(t, w.Close(), os.ErrClosed)
		require.ErrorIs(t, w.Write(&frame), os.ErrClosed)
		r, err := pcapfile.Open(path, nil)
		require.NoError(t, err)
		frames, err := readAll(t, r)
		require.NoError(t, err)
		require.Equal(t, []packet.Frame{{Data: []byte("one"), Time: 5, Number: 1, Length: 3, Link: 1}}, frames)
		require.NoError(t, r.Close())
	}
	fi, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), fi.Mode())

	t.Chdir(dir)
	_, err = pcapfile.Create("missing/x.pcap", nil)
	require.EqualError(t, err, "missing/x.pcap: no such file or directory")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestCreateStandardOutput(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	require.NoError(t, err)
	defer f.Close()
	old := os.Stdout
	defer func() { os.Stdout = old }()
	os.Stdout = f
	w, err := pcapfile.Create("-", nil)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	fi, err := f.Stat()
	require.NoError(t, err, "it stays open")
	require.Equal(t, int64(24), fi.Size())
}
