package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// pcapHeader returns a version 2.4 file header.
func pcapHeader(order binary.AppendByteOrder, magic, link uint32) []byte {
	return pcapHeaderV(order, magic, 2, 4, link)
}

func pcapHeaderV(order binary.AppendByteOrder, magic uint32, major, minor uint16, link uint32) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, major)
	b = order.AppendUint16(b, minor)
	return words(order, b, 0, 0, 65535, link)
}

func words(order binary.AppendByteOrder, b []byte, v ...uint32) []byte {
	for _, w := range v {
		b = order.AppendUint32(b, w)
	}
	return b
}

// pcapRecord appends a record whose wire length is 10 bytes above its captured length.
func pcapRecord(order binary.AppendByteOrder, b []byte, sec, frac uint32, data string) []byte {
	b = words(order, b, sec, frac, uint32(len(data)), uint32(len(data)+10))
	return append(b, data...)
}

// readAll returns copies of all frames and what ended the input, nil at its regular end.
func readAll(t testing.TB, src packet.Source) ([]packet.Frame, error) {
	t.Helper()
	var all []packet.Frame
	var b packet.Batch
	for {
		err := src.ReadBatch(&b)
		if err != nil {
			require.Empty(t, b.Frames)
			again := src.ReadBatch(&b)
			require.Equal(t, err, again, "the error stays")
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, err
		}
		require.NotEmpty(t, b.Frames)
		require.LessOrEqual(t, len(b.Frames), packet.BatchSize)
		for _, f := range b.Frames {
			f.Data = append([]byte{}, f.Data...)
			all = append(all, f)
		}
	}
}

func readBytes(t testing.TB, file []byte, cfg *pcapfile.Config) ([]packet.Frame, error) {
	t.Helper()
	r, err := pcapfile.NewReader(bytes.NewReader(file), "x.pcap", cfg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(t, r)
}

func TestPcapFormats(t *testing.T) {
	const sec, day = 1_000_000_000, 86400
	tests := []struct {
		name   string
		magic  uint32
		order  binary.AppendByteOrder
		format pcapfile.Format
		mult   int64
		extra  int
	}{
		{"little endian, microseconds", 0xa1b2c3d4, binary.LittleEndian, pcapfile.FormatPcap, 1000, 0},
		{"big endian, microseconds", 0xa1b2c3d4, binary.BigEndian, pcapfile.FormatPcap, 1000, 0},
		{"little endian, nanoseconds", 0xa1b23c4d, binary.LittleEndian, pcapfile.FormatPcap, 1, 0},
		{"big endian, nanoseconds", 0xa1b23c4d, binary.BigEndian, pcapfile.FormatPcap, 1, 0},
		{"little endian, modified", 0xa1b2cd34, binary.LittleEndian, pcapfile.FormatModified, 1000, 8},
		{"big endian, modified", 0xa1b2cd34, binary.BigEndian, pcapfile.FormatModified, 1000, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := pcapHeader(tt.order, tt.magic, 113)
			for i, data := range []string{"one", "", "three"} {
				file = words(tt.order, file, uint32(sec+i*day), 999_999, uint32(len(data)), 1500)
				file = append(file, make([]byte, tt.extra)...)
				file = append(file, data...)
			}
			r, err := pcapfile.NewReader(bytes.NewReader(file), "x.pcap", nil)
			require.NoError(t, err)
			defer r.Close()
			frames, err := readAll(t, r)
			require.NoError(t, err)
			require.Equal(t, []packet.Frame{
				{Data: []byte("one"), Time: sec*1e9 + 999_999*tt.mult, Number: 1, Length: 1500, Link: 113},
				{Data: []byte(""), Time: (sec+day)*1e9 + 999_999*tt.mult, Number: 2, Length: 1500, Link: 113},
				{Data: []byte("three"), Time: (sec+2*day)*1e9 + 999_999*tt.mult, Number: 3, Length: 1500, Link: 113},
			}, frames)
			require.Equal(t, pcapfile.Info{
				Format: tt.format, Major: 2, Minor: 4, BigEndian: tt.order == binary.BigEndian,
				TicksPerSecond: uint64(1e9 / tt.mult), SnapLen: 65535, Link: 113,
			}, r.Info())
		})
	}
}

func TestReadBatchDoesNotAllocate(t *testing.T) {
	file := pcapHeader(binary.LittleEndian, 0xa1b2c3d4, 1)
	for range 50_000 {
		file = pcapRecord(binary.LittleEndian, file, 1, 2, "some bytes of a frame that is not very long at all")
	}
	r, err := pcapfile.NewReader(bytes.NewReader(file), "x.pcap", &pcapfile.Config{Buffer: 8 << 10})
	require.NoError(t, err)
	var b packet.Batch
	require.NoError(t, r.ReadBatch(&b))
	require.Zero(t, testing.AllocsPerRun(500, func() {
		if err := r.ReadBatch(&b); err != nil {
			t.Fatal(err)
		}
	}))
}
