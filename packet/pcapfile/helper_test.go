package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func words(order byteOrder, b []byte, v ...uint32) []byte {
	for _, w := range v {
		b = order.AppendUint32(b, w)
	}
	return b
}

// pcapHeader returns a version 2.4 file header.
func pcapHeader(order byteOrder, magic, link uint32) []byte {
	return pcapHeaderV(order, magic, 2, 4, link)
}

func pcapHeaderV(order byteOrder, magic uint32, major, minor uint16, link uint32) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, major)
	b = order.AppendUint16(b, minor)
	return words(order, b, 0, 0, 65535, link)
}

// pcapRecord appends a record whose wire length is 10 bytes above its captured length.
func pcapRecord(order byteOrder, b []byte, sec, frac uint32, data string) []byte {
	b = words(order, b, sec, frac, uint32(len(data)), uint32(len(data)+10))
	return append(b, data...)
}

// block appends a pcapng block with the body padded to 32 bits.
func block(order byteOrder, b []byte, kind uint32, body []byte) []byte {
	total := uint32(12 + (len(body)+3)&^3)
	b = words(order, b, kind, total)
	b = append(b, body...)
	b = append(b, make([]byte, int(total)-12-len(body))...)
	return words(order, b, total)
}

// section appends a section header of unknown length.
func section(order byteOrder, b []byte) []byte {
	return block(order, b, 0x0a0d0d0a, words(order, nil, 0x1a2b3c4d, version(order, 1, 0), 0xffffffff, 0xffffffff))
}

// version is two 16-bit numbers as one word.
func version(order byteOrder, major, minor uint16) uint32 {
	return order.Uint32(order.AppendUint16(order.AppendUint16(nil, major), minor))
}

// option returns an option, padded.
func option(order byteOrder, code uint16, value []byte) []byte {
	b := order.AppendUint16(nil, code)
	b = order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func interfaceBlock(order byteOrder, b []byte, link uint16, snaplen uint32, options ...[]byte) []byte {
	body := order.AppendUint16(nil, link)
	body = order.AppendUint16(body, 0)
	body = words(order, body, snaplen)
	return block(order, b, 1, append(body, bytes.Join(options, nil)...))
}

// enhanced appends an enhanced packet block whose wire length is 10 bytes above its captured length.
func enhanced(order byteOrder, b []byte, id uint32, stamp uint64, data string) []byte {
	body := words(order, nil, id, uint32(stamp>>32), uint32(stamp), uint32(len(data)), uint32(len(data)+10))
	return block(order, b, 6, append(body, data...))
}

func snoopHeader(version, datalink uint32) []byte {
	return words(binary.BigEndian, []byte("snoop\x00\x00\x00"), version, datalink)
}

func snoopRecord(b []byte, sec, usec uint32, data string) []byte {
	n := uint32(len(data))
	b = words(binary.BigEndian, b, n+10, n, 24+(n+3)&^3, 0, sec, usec)
	b = append(b, data...)
	return append(b, make([]byte, -len(data)&3)...)
}

// sample is a small file with all that its format has. Its parts end at bounds; ends holds where each frame's does.
type sample struct {
	name   string
	file   []byte
	bounds []int
	ends   []int
	frames []packet.Frame
}

func (s *sample) part(b []byte) {
	s.file = b
	s.bounds = append(s.bounds, len(b))
}

func (s *sample) frame(b []byte, f packet.Frame) {
	s.part(b)
	s.ends = append(s.ends, len(b))
	f.Number = uint64(len(s.frames) + 1)
	s.frames = append(s.frames, f)
}

func samples() []*sample {
	all := []*sample{}
	orders := []struct {
		name  string
		order byteOrder
	}{{"little endian", binary.LittleEndian}, {"big endian", binary.BigEndian}}
	for _, o := range orders {
		s := &sample{name: "pcap, " + o.name}
		s.part(pcapHeader(o.order, 0xa1b2c3d4, 1))
		for i, data := range []string{"first", "", "the third", "4"} {
			s.frame(pcapRecord(o.order, s.file, uint32(100+i), 5, data),
				packet.Frame{Data: []byte(data), Time: int64(100+i)*1e9 + 5000, Length: len(data) + 10, Link: 1})
		}
		s2 := &sample{name: "modified pcap, " + o.name}
		s2.part(pcapHeader(o.order, 0xa1b2cd34, 1))
		for i, data := range []string{"first", "2nd"} {
			b := words(o.order, s2.file, uint32(i), 7, uint32(len(data)), 99, 3, 0x08000000)
			s2.frame(append(b, data...), packet.Frame{Data: []byte(data), Time: int64(i)*1e9 + 7000, Length: 99, Link: 1})
		}
		all = append(all, s, s2, ngSample("pcapng, "+o.name, o.order))
	}
	s := &sample{name: "snoop"}
	s.part(snoopHeader(2, 4))
	for i, data := range []string{"first", "", "the third", "4444"} {
		s.frame(snoopRecord(s.file, uint32(100+i), 5, data),
			packet.Frame{Data: []byte(data), Time: int64(100+i)*1e9 + 5000, Length: len(data) + 10, Link: 1})
	}
	return append(all, s)
}

// ngSample has two sections, the second of the other byte order, with all kinds of blocks.
func ngSample(name string, order byteOrder) *sample {
	s := &sample{name: name}
	other := byteOrder(binary.LittleEndian)
	if order == other {
		other = binary.BigEndian
	}
	s.part(section(order, nil))
	s.part(interfaceBlock(order, s.file, 1, 0))
	s.frame(enhanced(order, s.file, 0, 1_000_001, "first"),
		packet.Frame{Data: []byte("first"), Time: 1_000_001_000, Length: 15, Link: 1})
	s.part(block(order, s.file, 5, []byte("statistics")))
	s.part(interfaceBlock(order, s.file, 113, 6, option(order, 2, []byte("eth0")), option(order, 9, []byte{9}), option(order, 0, nil)))
	s.frame(enhanced(order, s.file, 1, 77, ""),
		packet.Frame{Data: []byte{}, Time: 77, Length: 10, Link: 113, Interface: 1})
	s.part(block(order, s.file, 0x80000001, nil))
	s.frame(block(order, s.file, 3, append(words(order, nil, 3), "sim"...)),
		packet.Frame{Data: []byte("sim"), Length: 3, Link: 1})

	s.part(block(other, s.file, 0x0a0d0d0a,
		append(words(other, nil, 0x1a2b3c4d, version(other, 1, 2), 0, 4096), option(other, 1, []byte("a comment"))...)))
	s.part(interfaceBlock(other, s.file, 101, 4))
	obsolete := other.AppendUint16(other.AppendUint16(nil, 0), 99)
	obsolete = words(other, obsolete, 0, 3, 3, 4)
	s.frame(block(other, s.file, 2, append(obsolete, "old"...)),
		packet.Frame{Data: []byte("old"), Time: 3000, Length: 4, Link: 101, Interface: 2})
	s.frame(block(other, s.file, 3, append(words(other, nil, 60), "snap"...)),
		packet.Frame{Data: []byte("snap"), Length: 60, Link: 101, Interface: 2})
	return s
}

// readAll returns copies of all frames and what ended the input, nil at its regular end.
func readAll(tb testing.TB, src packet.Source) ([]packet.Frame, error) {
	tb.Helper()
	var all []packet.Frame
	var b packet.Batch
	for {
		err := src.ReadBatch(&b)
		if err != nil {
			require.Empty(tb, b.Frames)
			again := src.ReadBatch(&b)
			require.Equal(tb, err, again, "the error stays")
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, err
		}
		require.NotEmpty(tb, b.Frames)
		require.LessOrEqual(tb, len(b.Frames), packet.BatchSize)
		for _, f := range b.Frames {
			require.Equal(tb, len(f.Data), cap(f.Data), "appending to a frame must not reach its neighbour")
			f.Data = append([]byte{}, f.Data...)
			all = append(all, f)
		}
	}
}

func readBytes(tb testing.TB, file []byte, cfg *pcapfile.Config) ([]packet.Frame, error) {
	tb.Helper()
	return readFrom(tb, bytes.NewReader(file), cfg)
}

func readFrom(tb testing.TB, src io.Reader, cfg *pcapfile.Config) ([]packet.Frame, error) {
	tb.Helper()
	r, err := pcapfile.NewReader(src, "x.pcap", cfg)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readAll(tb, r)
}

// requireError checks kind, place and text of what ended a file.
func requireError(tb testing.TB, err, kind error, frame uint64, offset int64, text string) {
	tb.Helper()
	require.ErrorIs(tb, err, kind)
	var e *pcapfile.Error
	require.ErrorAs(tb, err, &e)
	require.Equal(tb, text, err.Error())
	require.Equal(tb, frame, e.Frame)
	require.Equal(tb, offset, e.Offset)
}

func gz(tb testing.TB, b []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return out.Bytes()
}

func zst(tb testing.TB, b []byte, opts ...zstd.EOption) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil, opts...)
	require.NoError(tb, err)
	defer w.Close()
	return w.EncodeAll(b, nil)
}
