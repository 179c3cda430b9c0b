package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func TestSamples(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			frames, err := readBytes(t, s.file, nil)
			require.NoError(t, err)
			require.Equal(t, s.frames, frames)
		})
	}
}

// TestChunks reads each sample through readers and buffers of all kinds, which must not show.
func TestChunks(t *testing.T) {
	readers := map[string]func(io.Reader) io.Reader{
		"whole":         func(r io.Reader) io.Reader { return r },
		"one byte":      iotest.OneByteReader,
		"half":          iotest.HalfReader,
		"data with EOF": iotest.DataErrReader,
		"one with EOF":  func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
		"empty reads":   func(r io.Reader) io.Reader { return &emptyReads{r: r} },
	}
	for _, s := range samples() {
		files := map[string][]byte{"plain": s.file, "gzip": gz(t, s.file), "zstd": zst(t, s.file)}
		for kind, file := range files {
			for name, reader := range readers {
				for _, size := range []int{1, 7, 64, 1 << 20} {
					t.Run(fmt.Sprintf("%s/%s/%s/%d", s.name, kind, name, size), func(t *testing.T) {
						frames, err := readFrom(t, reader(bytes.NewReader(file)), &pcapfile.Config{Buffer: size})
						require.NoError(t, err)
						require.Equal(t, s.frames, frames)
					})
				}
			}
		}
	}
}

// emptyReads returns nothing, without an error, every other time.
type emptyReads struct {
	r     io.Reader
	empty bool
}

func (e *emptyReads) Read(b []byte) (int, error) {
	if e.empty = !e.empty; e.empty {
		return 0, nil
	}
	return e.r.Read(b)
}

// TestCutOffAtEveryByte: all frames before the cut, then one error that says where the cut record starts.
func TestCutOffAtEveryByte(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			for n := range len(s.file) {
				r, err := pcapfile.NewReader(bytes.NewReader(s.file[:n]), "x", nil)
				if n < 4 {
					require.ErrorIs(t, err, pcapfile.ErrNotCapture)
					continue
				}
				var frames []packet.Frame
				if err == nil {
					frames, err = readAll(t, r)
				}
				want, start, whole := 0, 0, false
				for _, end := range s.ends {
					if end <= n {
						want++
					}
				}
				for _, bound := range s.bounds {
					if bound <= n {
						start, whole = bound, bound == n
					}
				}
				require.Len(t, frames, want, "%d bytes", n)
				if want > 0 {
					require.Equal(t, s.frames[:want], frames)
				}
				if whole {
					require.NoError(t, err, "%d bytes", n)
					continue
				}
				require.ErrorIs(t, err, pcapfile.ErrTruncated, "%d bytes", n)
				var e *pcapfile.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, int64(start), e.Offset, "%d bytes", n)
				if start > 0 {
					require.Equal(t, uint64(want+1), e.Frame, "%d bytes", n)
				}
			}
		})
	}
}

func TestCutOffMessages(t *testing.T) {
	le := binary.LittleEndian
	pcap := pcapRecord(le, pcapHeader(le, 0xa1b2c3d4, 1), 1, 1, "four")
	modified := pcapHeader(le, 0xa1b2cd34, 1)
	ng := interfaceBlock(le, section(le, nil), 1, 0)
	snoop := snoopHeader(2, 4)
	tests := []struct {
		name   string
		file   []byte
		frame  uint64
		offset int64
		text   string
	}{
		{"file header", pcap[:10], 0, 0, "x.pcap: file header cut off: 10 of 24 bytes"},
		{"record header", append(bytes.Clone(pcap), 1, 2, 3), 2, 44, "x.pcap: frame 2 at byte 44: record header cut off: 3 of 16 bytes"},
		{
			"record", append(words(le, bytes.Clone(pcap), 1, 1, 1500, 1500), make([]byte, 52)...), 2, 44,
			"x.pcap: frame 2 at byte 44: record cut off: 52 of 1500 bytes",
		},
		{
			"record without a byte", words(le, bytes.Clone(pcap), 1, 1, 1500, 1500), 2, 44,
			"x.pcap: frame 2 at byte 44: record cut off: 0 of 1500 bytes",
		},
		{
			"modified record header", append(bytes.Clone(modified), make([]byte, 23)...), 1, 24,
			"x.pcap: frame 1 at byte 24: record header cut off: 23 of 24 bytes",
		},
		{"section header", ng[:20], 0, 0, "x.pcap: file header cut off: 20 of 24 bytes"},
		{"section trailer", ng[:26], 1, 0, "x.pcap: frame 1 at byte 0: block cut off: 26 of 28 bytes"},
		{"block header", append(bytes.Clone(ng), 6, 0, 0), 1, 48, "x.pcap: frame 1 at byte 48: block cut off: 3 of 12 bytes"},
		{"packet block", words(le, bytes.Clone(ng), 6, 100, 0), 1, 48, "x.pcap: frame 1 at byte 48: block cut off: 12 of 100 bytes"},
		{
			"skipped block", words(le, bytes.Clone(ng), 5, 1<<31, 0, 0, 0), 1, 48,
			"x.pcap: frame 1 at byte 48: block cut off: 20 of 2147483648 bytes",
		},
		{"snoop header", snoop[:15], 0, 0, "x.pcap: file header cut off: 15 of 16 bytes"},
		{
			"snoop record", snoopRecord(bytes.Clone(snoop), 1, 1, "abcd")[:16+26], 1, 16,
			"x.pcap: frame 1 at byte 16: record cut off: 26 of 28 bytes",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readBytes(t, tt.file, nil)
			requireError(t, err, pcapfile.ErrTruncated, tt.frame, tt.offset, tt.text)
			_, err = readFrom(t, iotest.OneByteReader(bytes.NewReader(tt.file)), &pcapfile.Config{Buffer: 5})
			requireError(t, err, pcapfile.ErrTruncated, tt.frame, tt.offset, tt.text)
		})
	}
}

func TestNotACapture(t *testing.T) {
	tests := []struct {
		name, content, text string
	}{
		{"text", "Hello, world", "x.txt: not a capture file (first bytes 48 65 6c 6c)"},
		{"short", "Hi", "x.txt: not a capture file (first bytes 48 69)"},
		{"empty", "", "x.txt: not a capture file (empty)"},
		{"half a magic number", "\xd4\xc3\xb2", "x.txt: not a capture file (first bytes d4 c3 b2)"},
		{"newlines", "\n\r\r\n and text", "x.txt: not a capture file (first bytes 0a 0d 0d 0a)"},
		{"snoop in prose", "snooping", "x.txt: not a capture file (first bytes 73 6e 6f 6f)"},
		{"snoop version", string(snoopHeader(1, 4)), "x.txt: not a capture file (snoop version 1)"},
		{
			"pcapng version", string(block(binary.LittleEndian, nil, 0x0a0d0d0a,
				words(binary.LittleEndian, nil, 0x1a2b3c4d, version(binary.LittleEndian, 2, 1), 0, 0))),
			"x.txt: not a capture file (pcapng version 2.1)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.txt")
			require.NoError(t, os.WriteFile(path, []byte(tt.content), 0o600))
			t.Chdir(filepath.Dir(path))
			_, err := pcapfile.Open("x.txt", nil)
			require.EqualError(t, err, tt.text)
			require.ErrorIs(t, err, pcapfile.ErrNotCapture)
		})
	}
}

func TestOpenErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := pcapfile.Open("missing.pcap", nil)
	require.EqualError(t, err, "missing.pcap: no such file or directory")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.Mkdir("dir", 0o700))
	_, err = pcapfile.Open("dir", nil)
	require.EqualError(t, err, "dir: is a directory")
	require.NoError(t, os.WriteFile("secret.pcap", nil, 0))
	if os.Getuid() != 0 {
		_, err = pcapfile.Open("secret.pcap", nil)
		require.EqualError(t, err, "secret.pcap: permission denied")
		require.ErrorIs(t, err, fs.ErrPermission)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, cfg := range []pcapfile.Config{
		{Buffer: -1},
		{MaxFrame: -1},
		{MaxInterfaces: -1},
		{MaxSkip: -1},
		{MaxDecompressed: -1},
		{MaxWindow: -1},
		{MaxFrame: 1<<30 + 1},
		{MaxWindow: 1023},
	} {
		_, err := pcapfile.NewReader(bytes.NewReader(nil), "x", &cfg)
		require.ErrorContains(t, err, "pcapfile: ", "%+v", cfg)
		_, err = pcapfile.Open("x", &cfg)
		require.ErrorContains(t, err, "pcapfile: ", "%+v", cfg)
		_, err = pcapfile.OpenAll([]string{"x"}, &cfg)
		require.ErrorContains(t, err, "pcapfile: ", "%+v", cfg)
	}
}

func TestConfigIsCopied(t *testing.T) {
	le := binary.LittleEndian
	cfg := pcapfile.Config{MaxFrame: 10}
	r, err := pcapfile.NewReader(bytes.NewReader(pcapRecord(le, pcapHeader(le, 0xa1b2c3d4, 1), 1, 1, "four")), "x", &cfg)
	require.NoError(t, err)
	cfg.MaxFrame = 1
	frames, err := readAll(t, r)
	require.NoError(t, err)
	require.Len(t, frames, 1)
}

// TestReadErrors: what fails below is passed on as it is, with the place.
func TestReadErrors(t *testing.T) {
	disk := errors.New("disk on fire")
	s := samples()[0]
	for name, file := range map[string][]byte{"plain": s.file, "gzip": gz(t, s.file), "zstd": zst(t, s.file)} {
		t.Run(name, func(t *testing.T) {
			frames, err := readFrom(t, io.MultiReader(bytes.NewReader(file[:len(file)-3]), iotest.ErrReader(disk)), nil)
			require.ErrorIs(t, err, disk)
			require.NotErrorIs(t, err, pcapfile.ErrCorrupt)
			require.NotErrorIs(t, err, pcapfile.ErrTruncated)
			require.LessOrEqual(t, len(frames), len(s.frames))
			require.ErrorContains(t, err, ": disk on fire")
			_, err = readFrom(t, iotest.ErrReader(disk), nil)
			require.EqualError(t, err, "x.pcap: disk on fire")
		})
	}
	_, err := readFrom(t, io.MultiReader(bytes.NewReader(s.file[:30]), iotest.ErrReader(io.ErrUnexpectedEOF)), nil)
	requireError(t, err, pcapfile.ErrTruncated, 1, 24, "x.pcap: frame 1 at byte 24: input cut off: unexpected EOF")
	_, err = readFrom(t, stuck{}, nil)
	require.ErrorIs(t, err, io.ErrNoProgress)
	_, err = readFrom(t, liar{}, nil)
	require.ErrorContains(t, err, "impossible count")
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

type liar struct{}

func (liar) Read(b []byte) (int, error) { return len(b) + 1, nil }

// TestSlowWriter has a writer that waits for each frame to arrive before it sends on: nothing may be held back.
func TestSlowWriter(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			in, out := io.Pipe()
			arrived := make(chan struct{})
			go func() {
				at := 0
				for _, end := range s.ends {
					out.Write(s.file[at : end-1])
					out.Write(s.file[end-1 : end])
					at = end
					<-arrived
				}
				out.Close()
			}()
			r, err := pcapfile.NewReader(in, s.name, nil)
			require.NoError(t, err)
			var b packet.Batch
			for i := range s.frames {
				require.NoError(t, r.ReadBatch(&b))
				require.Len(t, b.Frames, 1)
				require.Equal(t, s.frames[i], b.Frames[0])
				arrived <- struct{}{}
			}
			require.Equal(t, io.EOF, r.ReadBatch(&b))
		})
	}
}

// TestBatchesStayWhole: the frames of a batch are all valid until the next read, wherever the buffer ends.
func TestBatchesStayWhole(t *testing.T) {
	le := binary.LittleEndian
	for _, size := range []int{300, 1000, 4096} {
		file := pcapHeader(le, 0xa1b2c3d4, 1)
		for i := range 1000 {
			file = pcapRecord(le, file, uint32(i), 0, fmt.Sprintf("%0*d", 1+i*7%290, i))
		}
		r, err := pcapfile.NewReader(bytes.NewReader(file), "x", &pcapfile.Config{Buffer: size})
		require.NoError(t, err)
		var b packet.Batch
		i := 0
		for r.ReadBatch(&b) == nil {
			for _, f := range b.Frames {
				require.Equal(t, fmt.Sprintf("%0*d", 1+i*7%290, i), string(f.Data))
				i++
			}
		}
		require.Equal(t, 1000, i)
		require.Equal(t, pcapfile.Stats{Files: 1, Frames: 1000}, r.Stats())
	}
}

func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	require.NoError(t, os.WriteFile(path, samples()[0].file, 0o600))
	r, err := pcapfile.Open(path, nil)
	require.NoError(t, err)
	require.Equal(t, path, r.Name())
	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	var b packet.Batch
	require.ErrorIs(t, r.ReadBatch(&b), os.ErrClosed)
	require.Empty(t, b.Frames)
}

func TestProgress(t *testing.T) {
	s := samples()[0]
	file := gz(t, s.file)
	path := filepath.Join(t.TempDir(), "x.pcap.gz")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	r, err := pcapfile.Open(path, nil)
	require.NoError(t, err)
	defer r.Close()
	require.Equal(t, int64(len(file)), r.Size())
	_, err = readAll(t, r)
	require.NoError(t, err)
	require.Equal(t, int64(len(file)), r.BytesRead(), "of the compressed file")

	r, err = pcapfile.NewReader(bytes.NewReader(s.file), "x", nil)
	require.NoError(t, err)
	require.Zero(t, r.Size())
	_, err = readAll(t, r)
	require.NoError(t, err)
	require.Equal(t, int64(len(s.file)), r.BytesRead())
}

func TestStandardInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	s := samples()[0]
	require.NoError(t, os.WriteFile(path, append([]byte("skipped"), s.file...), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Seek(7, io.SeekStart)
	require.NoError(t, err)
	old := os.Stdin
	defer func() { os.Stdin = old }()
	os.Stdin = f
	r, err := pcapfile.Open("-", nil)
	require.NoError(t, err)
	require.Equal(t, "standard input", r.Name())
	require.Equal(t, int64(len(s.file)), r.Size(), "what is left of it")
	frames, err := readAll(t, r)
	require.NoError(t, err)
	require.Equal(t, s.frames, frames)
	require.NoError(t, r.Close())
	_, err = f.Stat()
	require.NoError(t, err, "it stays open")
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestClaimsCostNothing: lengths that nothing follows must not be allocated.
func TestClaimsCostNothing(t *testing.T) {
	le := binary.LittleEndian
	const large = 16 << 20
	tests := []struct {
		name string
		file []byte
	}{
		{"pcap record", words(le, pcapHeader(le, 0xa1b2c3d4, 1), 1, 1, large, large)},
		{"pcapng packet", words(le, interfaceBlock(le, section(le, nil), 1, 0), 6, large)},
		{"pcapng interface", words(le, section(le, nil), 1, large, 1)},
		{"pcapng other block", words(le, section(le, nil), 5, 1<<31, 1)},
		{"pcapng section", words(le, nil, 0x0a0d0d0a, 1<<31, 0x1a2b3c4d, 1, 0, 0)},
		{"snoop record", words(binary.BigEndian, snoopHeader(2, 4), large, large, large+24, 0, 0, 0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := append(tt.file, make([]byte, 300)...)
			require.Less(t, allocated(func() {
				_, err := readBytes(t, file, &pcapfile.Config{Buffer: 1 << 10, OnBlock: func(pcapfile.Block) {}})
				require.ErrorIs(t, err, pcapfile.ErrTruncated)
			}), uint64(64<<10))
		})
	}
}

func TestLargeRecordGrowsTheBuffer(t *testing.T) {
	le := binary.LittleEndian
	large := string(bytes.Repeat([]byte("large"), 1<<20))
	file := pcapRecord(le, pcapHeader(le, 0xa1b2c3d4, 1), 1, 1, "small")
	file = pcapRecord(le, file, 2, 2, large)
	file = pcapRecord(le, file, 3, 3, "small")
	r, err := pcapfile.NewReader(bytes.NewReader(file), "x", nil)
	require.NoError(t, err)
	require.Less(t, allocated(func() {
		frames := 0
		var b packet.Batch
		for r.ReadBatch(&b) == nil {
			frames += len(b.Frames)
		}
		require.Equal(t, 3, frames)
	}), uint64(4*len(large)))
}

func TestReadBatchDoesNotAllocate(t *testing.T) {
	const text = "some bytes of a frame that is not very long at all"
	le := binary.LittleEndian
	pcap, ng, snoop := pcapHeader(le, 0xa1b2c3d4, 1), interfaceBlock(le, section(le, nil), 1, 0), snoopHeader(2, 4)
	for i := range 50_000 {
		pcap = pcapRecord(le, pcap, 1, 2, text)
		ng = enhanced(le, ng, 0, 77, text)
		if i%10 == 0 {
			ng = block(le, ng, 5, []byte(text))
		}
		snoop = snoopRecord(snoop, 1, 2, text)
	}
	for name, file := range map[string][]byte{"pcap": pcap, "pcapng": ng, "snoop": snoop, "gzip": gz(t, pcap), "zstd": zst(t, ng)} {
		t.Run(name, func(t *testing.T) {
			r, err := pcapfile.NewReader(bytes.NewReader(file), "x.pcap", &pcapfile.Config{Buffer: 8 << 10})
			require.NoError(t, err)
			defer r.Close()
			var b packet.Batch
			for range 100 {
				require.NoError(t, r.ReadBatch(&b))
			}
			require.Zero(t, testing.AllocsPerRun(400, func() {
				if err := r.ReadBatch(&b); err != nil {
					t.Fatal(err)
				}
			}))
		})
	}
}
