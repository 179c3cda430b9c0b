package httpx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Errors of decoding, for errors.Is.
var (
	// ErrCoding says that a coding is not understood.
	ErrCoding = errors.New("unknown coding")
	// ErrBomb says that a body grew too much in decoding.
	ErrBomb = errors.New("body grows too much in decoding")
	// ErrCodings says that there are more codings on top of each other than Limits.Codings.
	ErrCodings = errors.New("too many codings")
)

// coding is a content or transfer coding (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
type coding uint8

const (
	noCoding coding = iota
	gzipCoding
	deflateCoding // in the frame of zlib
	bareDeflate   // without one
	brotliCoding
	zstdCoding
	numCodings
)

// codingOf returns the coding with a name, noCoding for identity; not ok is one that is not understood.
func codingOf(name string) (c coding, ok bool) {
	switch strings.ToLower(name) {
	case "identity", "":
		return noCoding, true
	case "gzip", "x-gzip":
		return gzipCoding, true
	case "deflate":
		return deflateCoding, true
	case "br":
		return brotliCoding, true
	case "zstd":
		return zstdCoding, true
	}
	return noCoding, false
}

// What decoders need of memory, at most.
const (
	flateMemory  = 64 << 10
	brotliMemory = 17 << 20
	zstdWindow   = 8 << 20
	zstdMemory   = zstdWindow + 1<<20
)

// memoryOf returns how much memory the decoders of codings need at most.
func memoryOf(list []coding) (n int) {
	for _, c := range list {
		switch c {
		case brotliCoding:
			n += brotliMemory
		case zstdCoding:
			n += zstdMemory
		default:
			n += flateMemory
		}
	}
	return n
}

// Decode returns a reader of what r holds, decoded: codings are in the order in which they were applied, as in
// Content-Encoding. It is an error to read more than Limits.Ratio times what was read of r, or than Limits.Decoded; nil
// limits are the defaults. Close frees what the reader holds; it does not close r.
func Decode(r io.Reader, codings []string, limits *Limits) (io.ReadCloser, error) {
	cfg := Config{}
	if limits != nil {
		cfg.Limits = *limits
	}
	full, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	var list []coding
	for _, name := range codings {
		c, ok := codingOf(strings.TrimSpace(name))
		if !ok {
			return nil, fmt.Errorf("%w: %q", ErrCoding, name)
		}
		if c != noCoding {
			list = append(list, c)
		}
	}
	if len(list) > full.Limits.Codings {
		return nil, ErrCodings
	}
	in := &meter{r: bufio.NewReader(r)}
	return newChain(in, list, &full.Limits, &readers{}), nil
}

// byteReader is what decoders read from, so that they take no more than they need.
type byteReader interface {
	io.Reader
	io.ByteReader
}

// meter counts what is read.
type meter struct {
	r byteReader
	n uint64
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.n += uint64(n)
	return n, err
}

// ReadByte is Read for one byte.
func (m *meter) ReadByte() (byte, error) {
	b, err := m.r.ReadByte()
	if err == nil {
		m.n++
	}
	return b, err
}

// chain decodes one coding after the other.
type chain struct {
	in      *meter
	limits  *Limits
	readers *readers
	stages  []stage
}

// stage is one coding that is being undone.
type stage struct {
	chain *chain
	c     coding
	src   byteReader
	r     io.Reader // made when it is first read
	n     uint64    // bytes read from it
}

func newChain(in *meter, list []coding, limits *Limits, free *readers) *chain {
	c := &chain{in: in, limits: limits, readers: free, stages: make([]stage, len(list))}
	src := byteReader(in)
	for i := range list {
		s := &c.stages[i]
		*s = stage{chain: c, c: list[len(list)-1-i], src: src}
		src = bufio.NewReaderSize(s, 4<<10)
	}
	return c
}

// Read returns what the last stage gives.
func (c *chain) Read(b []byte) (int, error) {
	if len(c.stages) == 0 {
		return c.in.Read(b)
	}
	return c.stages[len(c.stages)-1].Read(b)
}

// Close gives back what the stages hold.
func (c *chain) Close() error {
	for i := range c.stages {
		if s := &c.stages[i]; s.r != nil {
			c.readers.put(s.c, s.r)
			s.r = nil
		}
	}
	return nil
}

// freeSize is how large a body may get in decoding whatever its size was.
const freeSize = 1 << 20

func (s *stage) Read(b []byte) (int, error) {
	if s.r == nil {
		if err := s.open(); err != nil {
			return 0, err
		}
	}
	n, err := s.r.Read(b)
	s.n += uint64(n)
	l := s.chain.limits
	if s.n > freeSize && s.n/uint64(l.Ratio) > s.chain.in.n || s.n > l.Decoded {
		return n, ErrBomb
	}
	return n, err
}

func (s *stage) open() error {
	src := s.src
	if s.c == deflateCoding { // by the standard with a frame, by custom without
		peeked := bufio.NewReaderSize(src, 16)
		head, _ := peeked.Peek(2)
		if len(head) < 2 || head[0]&0x0f != 8 || (uint(head[0])<<8|uint(head[1]))%31 != 0 {
			s.c = bareDeflate
		}
		src = peeked
	}
	r, err := s.chain.readers.get(s.c, src)
	s.r = r
	return err
}

// readers keeps the readers of codings that are not in use.
type readers struct {
	free [numCodings][]io.Reader
	bufs [][]byte
}

// maxFree is how many readers of a coding are kept, maxLarge how many of one that holds much memory.
const (
	maxFree  = 16
	maxLarge = 1
)

// get returns a reader of a coding. If there is none because of an error in its first bytes, it is nil.
func (p *readers) get(c coding, src byteReader) (io.Reader, error) {
	var old io.Reader
	if n := len(p.free[c]); n > 0 {
		old = p.free[c][n-1]
		p.free[c] = p.free[c][:n-1]
	}
	switch c {
	case gzipCoding:
		r, ok := old.(*gzip.Reader)
		if !ok {
			r = new(gzip.Reader)
		}
		return r, r.Reset(src)
	case deflateCoding:
		if r, ok := old.(zlib.Resetter); ok {
			return old, r.Reset(src, nil)
		}
		r, err := zlib.NewReader(src)
		if err != nil {
			return nil, err
		}
		return r, nil
	case bareDeflate:
		if r, ok := old.(flate.Resetter); ok {
			return old, r.Reset(src, nil)
		}
		return flate.NewReader(src), nil
	case brotliCoding:
		if r, ok := old.(*brotli.Reader); ok {
			return r, r.Reset(src)
		}
		return brotli.NewReader(src), nil
	default:
		if r, ok := old.(*zstd.Decoder); ok {
			return r, r.Reset(src)
		}
		r, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

// put takes a reader that is not needed any more.
func (p *readers) put(c coding, r io.Reader) {
	most := maxFree
	if c == brotliCoding || c == zstdCoding {
		most = maxLarge
	}
	if len(p.free[c]) < most {
		p.free[c] = append(p.free[c], r)
	} else if z, ok := r.(*zstd.Decoder); ok {
		z.Close()
	}
}

// buffer returns a buffer to decode into.
func (p *readers) buffer() []byte {
	n := len(p.bufs)
	if n == 0 {
		return make([]byte, 8<<10)
	}
	b := p.bufs[n-1]
	p.bufs = p.bufs[:n-1]
	return b
}

// release takes a buffer that is not needed any more.
func (p *readers) release(b []byte) {
	if len(p.bufs) < maxFree {
		p.bufs = append(p.bufs, b)
	}
}
