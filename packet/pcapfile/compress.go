package pcapfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// compressedBuffer is the size of the reads below a decompressor.
	compressedBuffer = 64 << 10
	// maxLayers is how many compressions inside each other are undone.
	maxLayers = 2
)

// compression tells what b is compressed with, by its first four bytes: RFC 1952 section 2.3.1, RFC 8878 sections
// 3.1.1 and 3.1.2 (a zstd file may start with a skippable frame).
func compression(b []byte) string {
	switch {
	case b[0] == 0x1f && b[1] == 0x8b && b[2] == 8:
		return "gzip"
	case b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd,
		b[0]&0xf0 == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18:
		return "zstd"
	default:
		return ""
	}
}

// decompress puts a decompressor between the input, with what was read of it, and the buffer.
func (r *Reader) decompress(kind string) error {
	rest := r.src
	if r.readErr != nil {
		rest = failedReader{r.readErr}
	}
	in := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(r.buf[r.pos:r.end])), rest), compressedBuffer)
	r.pos, r.end, r.readErr = 0, 0, nil
	switch kind {
	case "gzip":
		r.src = &members{in: in, z: new(gzip.Reader)}
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(r.cfg.MaxWindow)))
		if err != nil {
			return err
		}
		r.closer = append(r.closer, z.Close)
		r.src = z
	}
	if limit := r.cfg.MaxDecompressed; limit > 0 {
		r.src = &quota{r: r.src, left: limit, limit: limit}
	}
	if r.info.Compression == "" {
		r.info.Compression = kind
	} else {
		r.info.Compression += "+" + kind
	}
	return nil
}

// members reads the members of a gzip file one after the other. The multistream mode of the decompressor would do so
// too, but takes a member cut off within its header for the end of the file.
type members struct {
	in   *bufio.Reader
	z    *gzip.Reader
	open bool
}

// Read implements io.Reader.
func (m *members) Read(b []byte) (int, error) {
	for {
		if !m.open {
			if _, err := m.in.Peek(1); err != nil {
				return 0, err
			}
			if err := m.z.Reset(m.in); err != nil {
				return 0, noEOF(err)
			}
			m.z.Multistream(false)
			m.open = true
		}
		n, err := m.z.Read(b)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		m.open = false
		if n > 0 {
			return n, nil
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// quota ends a decompressed stream at its limit.
type quota struct {
	r           io.Reader
	left, limit int64
}

// Read implements io.Reader.
func (q *quota) Read(b []byte) (int, error) {
	if q.left == 0 {
		var one [1]byte
		n, err := q.r.Read(one[:])
		if n > 0 {
			err = faultf(ErrTooLarge, "decompresses to more than %d bytes", q.limit)
		}
		return 0, err
	}
	n, err := q.r.Read(b[:min(int64(len(b)), q.left)])
	q.left -= int64(n)
	return n, err
}

type failedReader struct{ err error }

func (f failedReader) Read([]byte) (int, error) { return 0, f.err }

// failure describes a read that ended with something else than io.EOF.
func (r *Reader) failure() error {
	cause := r.readErr
	if e := r.raw.err; e != nil && !errors.Is(e, io.EOF) {
		cause = e // the file could not be read: do not blame its content
	}
	kind := r.info.Compression
	switch {
	case errors.Is(cause, io.ErrUnexpectedEOF) && kind != "":
		return faultf(ErrTruncated, "%s stream cut off", kind)
	case errors.Is(cause, io.ErrUnexpectedEOF):
		return faultBy(ErrTruncated, cause, "input cut off")
	case kind == "", errors.Is(cause, r.raw.err), errors.Is(cause, ErrTooLarge):
		return osError(cause)
	case errors.Is(cause, zstd.ErrWindowSizeExceeded), errors.Is(cause, zstd.ErrDecoderSizeExceeded):
		return faultf(ErrTooLarge, "zstd window is larger than %d bytes", r.cfg.MaxWindow)
	default:
		return faultBy(ErrCorrupt, cause, "damaged "+kind+" stream")
	}
}
