package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime/metrics"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

const fuzzMaxFrame = 1 << 16

// outcome is all that reading a file shows.
type outcome struct {
	frames []packet.Frame
	err    string
	blocks int
	stats  pcapfile.Stats
}

func outcomeOf(t *testing.T, src io.Reader, buffer int) outcome {
	t.Helper()
	var o outcome
	r, err := pcapfile.NewReader(src, "x", &pcapfile.Config{
		Buffer: buffer, MaxFrame: fuzzMaxFrame, MaxWindow: 1 << 20, MaxDecompressed: 1 << 16,
		OnBlock: func(pcapfile.Block) { o.blocks++ },
	})
	if err != nil {
		o.err = err.Error()
		return o
	}
	defer r.Close()
	o.frames, err = readAll(t, r)
	if err != nil {
		o.err = err.Error()
		var e *pcapfile.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, uint64(len(o.frames)+1), e.Frame)
		require.True(t, errors.Is(err, pcapfile.ErrTruncated) || errors.Is(err, pcapfile.ErrCorrupt) || errors.Is(err, pcapfile.ErrTooLarge))
	}
	o.stats = r.Stats()
	return o
}

func heapAllocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// checkFile holds what is true for any input: bounds, numbers, memory, independence of buffers and reads, and that
// frames survive being written.
func checkFile(t *testing.T, file []byte) {
	before := heapAllocated()
	var b packet.Batch
	if r, err := pcapfile.NewReader(bytes.NewReader(file), "x", &pcapfile.Config{
		Buffer: 1 << 12, MaxFrame: fuzzMaxFrame, MaxWindow: 1 << 20, MaxDecompressed: 1 << 16,
	}); err == nil {
		for r.ReadBatch(&b) == nil {
		}
		r.Close()
	}
	require.Less(t, heapAllocated()-before, uint64(4<<20+8*len(file)), "memory")

	whole := outcomeOf(t, bytes.NewReader(file), 1<<16)
	for i, f := range whole.frames {
		require.Equal(t, uint64(i+1), f.Number)
		require.LessOrEqual(t, len(f.Data), fuzzMaxFrame)
		require.GreaterOrEqual(t, f.Length, 0)
	}
	require.Equal(t, whole, outcomeOf(t, bytes.NewReader(file), 1))
	require.Equal(t, whole, outcomeOf(t, iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(file))), 100))
	if len(file) < 1000 {
		require.Equal(t, whole, outcomeOf(t, iotest.OneByteReader(bytes.NewReader(file)), 33))
	}
	checkRoundTrip(t, whole.frames)
}

func checkRoundTrip(t *testing.T, frames []packet.Frame) {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapfile.NewWriter(&out, &pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG})
	require.NoError(t, err)
	for i := range frames {
		f := frames[i]
		if f.Link > 0xffff {
			return
		}
		require.NoError(t, w.Write(&f))
	}
	require.NoError(t, w.Close())
	again := outcomeOf(t, &out, 1<<16)
	require.Empty(t, again.err)
	require.Len(t, again.frames, len(frames))
	for i, want := range frames {
		got := again.frames[i]
		want.Length, want.Interface, got.Interface = max(want.Length, len(want.Data)), 0, 0
		require.Equal(t, want, got)
	}
}

func addSamples(f *testing.F, format pcapfile.Format) {
	f.Helper()
	for _, s := range samples() {
		r, err := pcapfile.NewReader(bytes.NewReader(s.file), "x", nil)
		require.NoError(f, err)
		if r.Info().Format == format {
			f.Add(s.file)
			f.Add(s.file[:len(s.file)-1])
			f.Add(gz(f, s.file))
			f.Add(zst(f, s.file))
		}
	}
}

func FuzzPcap(f *testing.F) {
	addSamples(f, pcapfile.FormatPcap)
	addSamples(f, pcapfile.FormatModified)
	le := binary.LittleEndian
	f.Add(words(le, pcapHeader(le, 0xa1b2c3d4, 1), 1, 1, 1<<31, 5))
	f.Add(words(le, pcapHeaderV(le, 0xa1b23c4d, 2, 2, 1), 1, 1, 60, 0))
	f.Fuzz(checkFile)
}

func FuzzPcapng(f *testing.F) {
	addSamples(f, pcapfile.FormatPcapNG)
	le := binary.LittleEndian
	f.Add(enhanced(le, interfaceBlock(le, section(le, nil), 1, 0, resolution(le, 0x8a), offset(le, -1)), 0, 1<<63, "x"))
	f.Add(words(le, section(le, nil), 5, 1<<30, 0))
	f.Fuzz(checkFile)
}

func FuzzSnoop(f *testing.F) {
	addSamples(f, pcapfile.FormatSnoop)
	f.Add(words(binary.BigEndian, snoopHeader(2, 9), 1, 2, 1<<20, 3, 4, 5))
	f.Fuzz(checkFile)
}
