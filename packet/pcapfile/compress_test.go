package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// namedGzip has all optional fields of a member header.
func namedGzip(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Name, w.Comment, w.Extra = "a name", "a comment", []byte("extra")
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// skippable is a zstd frame to be passed over (RFC 8878, section 3.1.2).
func skippable(body string) []byte {
	return append(words(binary.LittleEndian, nil, 0x184d2a5a, uint32(len(body))), body...)
}

// zstBlocks compresses in several blocks: one that is cut off gives nothing.
func zstBlocks(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	require.NoError(t, err)
	for part := range slices.Chunk(b, len(b)/3) {
		_, err = w.Write(part)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestCompression(t *testing.T) {
	s := samples()[0]
	half := len(s.file) / 2
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := []struct {
		name string
		file []byte
		info string
	}{
		{"gzip", gz(t, s.file), "gzip"},
		{"gzip with all header fields", namedGzip(t, s.file), "gzip"},
		{"gzip members", join(gz(t, s.file[:half]), namedGzip(t, s.file[half:])), "gzip"},
		{"empty gzip members", join(gz(t, nil), gz(t, nil), gz(t, s.file), gz(t, nil)), "gzip"},
		{"zstd", zst(t, s.file), "zstd"},
		{"zstd frames", join(zst(t, s.file[:half]), zst(t, s.file[half:])), "zstd"},
		{"skippable zstd frames", join(skippable("first"), zst(t, s.file), skippable("last")), "zstd"},
		{"gzip in gzip", gz(t, gz(t, s.file)), "gzip+gzip"},
		{"zstd in gzip", gz(t, zst(t, s.file)), "gzip+zstd"},
		{"gzip in zstd", zst(t, gz(t, s.file)), "zstd+gzip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, src := range []io.Reader{bytes.NewReader(tt.file), iotest.OneByteReader(bytes.NewReader(tt.file))} {
				r, err := pcapfile.NewReader(src, "x", nil)
				require.NoError(t, err)
				defer r.Close()
				frames, err := readAll(t, r)
				require.NoError(t, err)
				require.Equal(t, s.frames, frames)
				require.Equal(t, tt.info, r.Info().Compression)
			}
		})
	}
}

func TestCompressedNotACapture(t *testing.T) {
	tests := []struct {
		name string
		file []byte
		text string
	}{
		{"text", gz(t, []byte("Hello")), "x.pcap: not a capture file (gzip, first bytes 48 65 6c 6c)"},
		{"text, twice", gz(t, zst(t, []byte("Hello"))), "x.pcap: not a capture file (gzip in zstd, first bytes 48 65 6c 6c)"},
		{"nothing", gz(t, nil), "x.pcap: not a capture file (gzip, empty)"},
		{"three times", gz(t, gz(t, gz(t, samples()[0].file))), "x.pcap: not a capture file (compressed more than 2 times)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(t, tt.file, nil)
			requireError(t, err, pcapfile.ErrNotCapture, 0, 0, tt.text)
		})
	}
}

// TestCompressedCutOffAtEveryByte: the frames that could be had, then the right error, never a silent end.
func TestCompressedCutOffAtEveryByte(t *testing.T) {
	le := binary.LittleEndian
	file := pcapHeader(le, 0xa1b2c3d4, 1)
	for i := range 90 {
		file = pcapRecord(le, file, uint32(i*i*i), uint32(i*7919), fmt.Sprint("record ", i*i))
	}
	all, err := readBytes(t, file, nil)
	require.NoError(t, err)
	half := len(file) / 2
	tests := []struct {
		name string
		file []byte
		cuts []int // where a cut cannot be told from the end
	}{
		{"gzip", gz(t, file), nil},
		{"gzip members", append(gz(t, file[:half]), namedGzip(t, file[half:])...), []int{len(gz(t, file[:half]))}},
		{"zstd", zstBlocks(t, file), nil},
		{"zstd frames", append(zst(t, file[:half]), zst(t, file[half:])...), []int{len(zst(t, file[:half]))}},
		{"zstd and a skippable frame", append(zst(t, file), skippable("rest")...), []int{len(zst(t, file))}},
		{"gzip in gzip", gz(t, gz(t, file)), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			most := 0
			for n := range len(tt.file) {
				frames, err := readBytes(t, tt.file[:n], nil)
				require.Equal(t, append([]packet.Frame(nil), all[:len(frames)]...), frames)
				most = max(most, len(frames))
				if n < 4 {
					require.ErrorIs(t, err, pcapfile.ErrNotCapture, "%d bytes", n)
					continue
				}
				if len(tt.cuts) > 0 && n == tt.cuts[0] && len(frames) == len(all) {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, pcapfile.ErrTruncated, "%d of %d bytes", n, len(tt.file))
			}
			require.Positive(t, most)
		})
	}
	_, err = readBytes(t, gz(t, file)[:9], nil)
	requireError(t, err, pcapfile.ErrTruncated, 0, 0, "x.pcap: gzip stream cut off")
}

func TestCompressedCorruption(t *testing.T) {
	le := binary.LittleEndian
	file := pcapHeader(le, 0xa1b2c3d4, 1)
	for i := range 100 {
		file = pcapRecord(le, file, uint32(i), 1, "record")
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 0x55
		return b
	}
	tests := []struct {
		name   string
		file   []byte
		frames int
		frame  uint64
		text   string
	}{
		{"gzip checksum", flip(gz(t, file), -8), 0, 1, "damaged gzip stream: gzip: invalid checksum"},
		{"gzip trailing garbage", append(gz(t, file), "garbage behind it"...), 100, 101, "damaged gzip stream: gzip: invalid header"},
		{"zstd checksum", flip(zst(t, file), -1), 0, 0, "damaged zstd stream: CRC check failed"},
		{
			"zstd trailing garbage", append(zst(t, file), "garbage behind it"...), 100, 101,
			"damaged zstd stream: invalid input: magic number mismatch",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frames, err := readBytes(t, tt.file, nil)
			require.GreaterOrEqual(t, len(frames), tt.frames)
			require.ErrorIs(t, err, pcapfile.ErrCorrupt)
			require.ErrorContains(t, err, tt.text)
		})
	}
	// Any one byte that is wrong is noticed, or does not matter.
	all, err := readBytes(t, file, nil)
	require.NoError(t, err)
	for _, file := range [][]byte{gz(t, file), zst(t, file)} {
		for at := range file {
			frames, err := readBytes(t, flip(file, at), nil)
			if err == nil {
				require.Equal(t, all, frames, "byte %d", at)
			}
		}
	}
}

func TestMaxDecompressed(t *testing.T) {
	s := samples()[0]
	for name, file := range map[string][]byte{"gzip": gz(t, s.file), "zstd": zst(t, s.file), "twice": zst(t, gz(t, s.file))} {
		t.Run(name, func(t *testing.T) {
			limit := int64(max(len(s.file), len(gz(t, s.file))))
			frames, err := readBytes(t, file, &pcapfile.Config{MaxDecompressed: limit})
			require.NoError(t, err)
			require.Equal(t, s.frames, frames)
		})
	}
	frames, err := readBytes(t, gz(t, s.file), &pcapfile.Config{MaxDecompressed: int64(len(s.file) - 1)})
	require.Len(t, frames, 3)
	requireError(t, err, pcapfile.ErrTooLarge, 4, int64(s.bounds[3]),
		fmt.Sprintf("x.pcap: frame 4 at byte %d: decompresses to more than %d bytes", s.bounds[3], len(s.file)-1))
	_, err = readBytes(t, gz(t, s.file), &pcapfile.Config{MaxDecompressed: 2})
	requireError(t, err, pcapfile.ErrTooLarge, 0, 0, "x.pcap: decompresses to more than 2 bytes")
	_, err = readBytes(t, s.file, &pcapfile.Config{MaxDecompressed: 2})
	require.NoError(t, err, "it is not compressed")
}

func TestMaxSkip(t *testing.T) {
	le := binary.LittleEndian
	head := interfaceBlock(le, section(le, nil), 1, 0)
	quiet := make([]byte, 88) // a block of 100 bytes
	once := enhanced(le, block(le, bytes.Clone(head), 5, quiet), 0, 1, "x")
	long := block(le, block(le, bytes.Clone(once), 5, quiet), 5, quiet)
	many := bytes.Clone(head)
	for range 10 {
		many = enhanced(le, block(le, many, 5, quiet), 0, 1, "x")
	}
	sections := bytes.Clone(head)
	interfaces := bytes.Clone(head)
	for range 10 {
		sections = section(le, sections)
		interfaces = interfaceBlock(le, interfaces, 1, 0)
	}
	tests := []struct {
		name   string
		file   []byte
		frames int
		offset int64 // 0: no error
	}{
		{"less", once, 1, 0},
		{"more", long, 1, int64(len(once) + 100)},
		{"more in all, but with frames between", many, 10, 0},
		{"one giant block", words(le, bytes.Clone(head), 5, 1<<31, 0), 0, int64(len(head))},
		{"sections", sections, 0, 160},
		{"interfaces", interfaces, 0, 168},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 1 << 20} {
				frames, err := readBytes(t, gz(t, tt.file), &pcapfile.Config{MaxSkip: 180, Buffer: size})
				require.Len(t, frames, tt.frames)
				if tt.offset == 0 {
					require.NoError(t, err)
					continue
				}
				requireError(t, err, pcapfile.ErrTooLarge, uint64(tt.frames+1), tt.offset,
					fmt.Sprintf("x.pcap: frame %d at byte %d: more than 180 bytes without a frame", tt.frames+1, tt.offset))
			}
		})
	}
	frames, err := readBytes(t, long, &pcapfile.Config{MaxSkip: 180})
	require.NoError(t, err, "a plain file is its own limit")
	require.Len(t, frames, 1)
}

// TestBombs: what decompresses to very much takes no more memory than the rest.
func TestBombs(t *testing.T) {
	le := binary.LittleEndian
	const size = 64 << 20
	zeros := append(pcapHeader(le, 0xa1b2c3d4, 1), make([]byte, size)...) // 4 Mi records of nothing
	blocks := section(le, nil)
	for range size >> 20 {
		blocks = block(le, blocks, 0xbad, make([]byte, 1<<20-12))
	}
	for name, file := range map[string][]byte{
		"gzip, records": gz(t, zeros), "zstd, records": zst(t, zeros, zstd.WithWindowSize(1<<20)),
		"gzip, blocks": gz(t, blocks), "zstd, blocks": zst(t, blocks, zstd.WithWindowSize(1<<20)),
		"gzip in gzip": gz(t, gz(t, zeros)),
	} {
		t.Run(name, func(t *testing.T) {
			frames := 0
			require.Less(t, allocated(func() {
				r, err := pcapfile.NewReader(bytes.NewReader(file), "x", &pcapfile.Config{MaxSkip: 8 << 20, MaxWindow: 1 << 20})
				require.NoError(t, err)
				defer r.Close()
				var b packet.Batch
				for err == nil {
					err = r.ReadBatch(&b)
					frames += len(b.Frames)
				}
				if frames == 0 {
					require.ErrorIs(t, err, pcapfile.ErrTooLarge)
				} else {
					require.Equal(t, io.EOF, err)
					require.Equal(t, size/16, frames)
				}
			}), uint64(4<<20))
		})
	}
}

func TestMaxWindow(t *testing.T) {
	// A frame header that asks for 8 MiB, and a last block of 4 bytes stored as they are.
	file := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 4<<3 | 1, 0, 0, 0xd4, 0xc3, 0xb2, 0xa1}
	_, err := readBytes(t, file, &pcapfile.Config{MaxWindow: 4 << 20})
	requireError(t, err, pcapfile.ErrTooLarge, 0, 0, "x.pcap: zstd window is larger than 4194304 bytes")
	_, err = readBytes(t, file, nil)
	requireError(t, err, pcapfile.ErrTruncated, 0, 0, "x.pcap: file header cut off: 4 of 24 bytes")
	file[5] = 18 << 3
	_, err = readBytes(t, file, nil)
	require.ErrorIs(t, err, pcapfile.ErrTooLarge, "256 MiB is more than the default")
}
