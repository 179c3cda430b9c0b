package pcapfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/tcpfollow/tcpfollow/packet"
)

// sniffLen is the size of the first read, which tells the format.
const sniffLen = 4 << 10

// Reader reads one capture file. It implements [packet.Source].
//
// It is not safe for concurrent use, except for BytesRead and Size.
type Reader struct {
	cfg    Config
	name   string
	raw    *rawInput
	src    io.Reader // raw, or what decompresses it
	closer []func()

	buf      []byte
	pos, end int   // what was read and not yet parsed
	base     int64 // offset of buf[0] in the decompressed stream
	need     int   // bytes from pos on that the next record takes, as far as is known
	readErr  error // what src ended with
	err      error // what ReadBatch ended with

	last   bool   // no file follows, see Config.AtEnd
	before uint64 // frames of the files before this one
	frames uint64 // frames of this file
	info   Info
	stats  Stats
	pcap   pcapState
	ng     ngState
}

var _ packet.Source = (*Reader)(nil)

// Open opens the capture file at path; "-" is standard input. It reads as much as it takes to know the format, so it
// waits for the writer of a pipe. An error about the file is an [*Error].
func Open(path string, cfg *Config) (*Reader, error) {
	r, err := newReader(cfg)
	if err != nil {
		return nil, err
	}
	if err := r.open(path, new(atomic.Int64)); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// NewReader reads a capture from src, which stays the caller's to close. The name is only used in errors.
func NewReader(src io.Reader, name string, cfg *Config) (*Reader, error) {
	r, err := newReader(cfg)
	if err != nil {
		return nil, err
	}
	if err := r.start(&rawInput{r: src, read: new(atomic.Int64), atEnd: r.cfg.AtEnd}, name); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func newReader(cfg *Config) (*Reader, error) {
	c, err := cfg.settled()
	if err != nil {
		return nil, err
	}
	return &Reader{cfg: c, last: true, buf: make([]byte, c.Buffer)}, nil
}

// open starts on the file at path, counting its bytes into read.
func (r *Reader) open(path string, read *atomic.Int64) error {
	f := os.Stdin
	name := "standard input"
	if path != "-" {
		name = path
		var err error
		if f, err = os.Open(path); err != nil {
			return &Error{File: path, Err: osError(err)}
		}
		r.closer = append(r.closer, func() { _ = f.Close() })
	}
	in := &rawInput{r: f, read: read, size: fileSize(f)}
	if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() && r.last && r.cfg.AtEnd != nil {
		in.atEnd, in.size = r.cfg.AtEnd, 0
	}
	return r.start(in, name)
}

// fileSize returns how many bytes are left to read from f, 0 when that cannot be known.
func fileSize(f *os.File) int64 {
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return 0
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return max(0, fi.Size()-at)
}

// start finds the format of in.
func (r *Reader) start(in *rawInput, name string) error {
	r.raw, r.src, r.name = in, in, name
	r.pos, r.end, r.base, r.need = 0, 0, 0, 0
	r.readErr, r.err = nil, nil
	r.before, r.frames = r.before+r.frames, 0
	r.info, r.pcap, r.ng = Info{}, pcapState{}, ngState{ifs: r.ng.ifs[:0]}
	if err := r.recognise(); err != nil {
		r.err = &Error{File: r.name, Err: err}
		return r.err
	}
	r.stats.Files++
	return nil
}

// recognise looks at the first bytes and parses the file header.
func (r *Reader) recognise() error {
	for layer := 0; ; layer++ {
		head, err := r.sniff(4)
		if err != nil {
			return err
		}
		if len(head) < 4 {
			return notCapture(head, r.info.Compression)
		}
		kind := compression(head)
		if kind == "" {
			return r.startFormat(head)
		}
		if layer == maxLayers {
			return faultf(ErrNotCapture, "not a capture file (compressed more than %d times)", maxLayers)
		}
		if err := r.decompress(kind); err != nil {
			return err
		}
	}
}

// startFormat parses the file header that starts with head.
func (r *Reader) startFormat(head []byte) error {
	if _, _, ok := pcapMagic(head); ok {
		return r.startPcap()
	}
	switch {
	case binary.LittleEndian.Uint32(head) == blockSection:
		return r.startNG()
	case string(head[:4]) == snoopMagic[:4]:
		return r.startSnoop()
	}
	return notCapture(head, r.info.Compression)
}

// ReadBatch replaces the frames of b by the next ones: those that are there, so that a slow pipe is not held back.
// It returns io.EOF after the last frame, and one [*Error], again and again, after the last frame that could be read.
// The frames are borrowed: valid until the next ReadBatch or Close. It does not allocate once b and the buffer have
// their size.
func (r *Reader) ReadBatch(b *packet.Batch) error {
	if cap(b.Frames) < packet.BatchSize {
		b.Frames = make([]packet.Frame, 0, packet.BatchSize)
	}
	b.Frames, b.Clock = b.Frames[:0], 0
	for r.err == nil {
		var err error
		switch r.info.Format {
		case FormatPcapNG:
			err = r.readNG(b)
		case FormatSnoop:
			err = r.readSnoop(b)
		default:
			err = r.readPcap(b)
		}
		if len(b.Frames) > 0 {
			return nil
		}
		if err == nil {
			err = r.fill()
		}
		if errors.Is(err, io.EOF) {
			r.err = io.EOF
		} else if err != nil {
			r.err = r.at(err)
		}
	}
	return r.err
}

// fill reads once, after all frames in the buffer were given out. At the end of the input it says what is missing.
func (r *Reader) fill() error {
	if r.readErr != nil {
		return r.ended()
	}
	if r.pos > 0 {
		copy(r.buf, r.buf[r.pos:r.end])
		r.base += int64(r.pos)
		r.end -= r.pos
		r.pos = 0
	}
	if r.end == len(r.buf) {
		// Only as much again as is really there: a length alone costs nothing.
		buf := make([]byte, min(2*len(r.buf), r.cfg.MaxFrame+blockRoom))
		copy(buf, r.buf[:r.end])
		r.buf = buf
	}
	if n := r.read(r.buf[r.end:]); n == 0 {
		return r.ended()
	}
	return nil
}

// read reads some bytes behind end; 0 means that readErr is set.
func (r *Reader) read(b []byte) int {
	for range 100 {
		n, err := r.src.Read(b)
		if n < 0 || n > len(b) {
			n, err = 0, errors.New("reader returned an impossible count")
		}
		r.end += n
		r.readErr = err
		if n > 0 || err != nil {
			return n
		}
	}
	r.readErr = io.ErrNoProgress
	return 0
}

// ended turns the end of the input into io.EOF or into the reason why it came too early.
func (r *Reader) ended() error {
	if !errors.Is(r.readErr, io.EOF) {
		return r.failure()
	}
	if r.pos == r.end && r.ng.total == 0 {
		return io.EOF
	}
	return faultf(ErrTruncated, "%s", r.cutOff())
}

// cutOff describes the record that the input ends in.
func (r *Reader) cutOff() string {
	switch r.info.Format {
	case FormatPcapNG:
		return r.cutNG()
	case FormatSnoop:
		return cutText("record", r.end-r.pos, r.need)
	default:
		return r.cutPcap()
	}
}

// sniff reads until n bytes are in the buffer or the input ends, and returns what is there.
func (r *Reader) sniff(n int) ([]byte, error) {
	for r.end-r.pos < n && r.readErr == nil {
		if len(r.buf) < n {
			r.buf = append(r.buf, make([]byte, n-len(r.buf))...)
		}
		r.read(r.buf[r.end:min(len(r.buf), max(n, sniffLen))])
	}
	if r.end-r.pos < n && !errors.Is(r.readErr, io.EOF) {
		return nil, r.failure()
	}
	return r.buf[r.pos:r.end], nil
}

func headerCut(have, want int) error {
	return faultf(ErrTruncated, "%s", cutText("file header", have, want))
}

// at adds the place of the record at pos to err.
func (r *Reader) at(err error) error {
	at := r.offset()
	if r.ng.total != 0 {
		at = r.ng.start
	}
	return &Error{File: r.name, Offset: at, Frame: r.frames + 1, Err: err}
}

// offset is the place of pos in the decompressed stream.
func (r *Reader) offset() int64 { return r.base + int64(r.pos) }

func (r *Reader) tooLarge(n uint64) error {
	return faultf(ErrTooLarge, "record claims %d bytes, the limit is %d", n, r.cfg.MaxFrame)
}

func cutText[N int | int64](what string, have, want N) string {
	return fmt.Sprintf("%s cut off: %d of %d bytes", what, have, want)
}

// Close closes the file and releases what decompresses it; standard input stays open. Frames are no longer valid.
func (r *Reader) Close() error {
	for _, f := range r.closer {
		f()
	}
	r.closer = nil
	r.err = &Error{File: r.name, Err: os.ErrClosed}
	return nil
}

// Info returns what the file header says.
func (r *Reader) Info() Info { return r.info }

// Stats returns what was counted so far.
func (r *Reader) Stats() Stats {
	s := r.stats
	s.Frames = r.before + r.frames
	return s
}

// Name returns the name of the file, as it was given; "standard input" for "-".
func (r *Reader) Name() string { return r.name }

// BytesRead returns how many bytes of the file were read, before decompression. Safe for concurrent use.
func (r *Reader) BytesRead() int64 { return r.raw.read.Load() }

// Size returns the size of the file in bytes, 0 when unknown (pipes, NewReader). Safe for concurrent use.
func (r *Reader) Size() int64 { return r.raw.size }

// rawInput counts the bytes of a file and remembers how it ended, to tell a failing disk from a damaged file.
type rawInput struct {
	r     io.Reader
	read  *atomic.Int64
	size  int64
	own   int64        // bytes read
	atEnd func() error // see Config.AtEnd
	err   error
}

// Read implements io.Reader.
func (in *rawInput) Read(b []byte) (int, error) {
	n, err := in.r.Read(b)
	for n == 0 && len(b) > 0 && errors.Is(err, io.EOF) && in.atEnd != nil {
		if err = in.grow(); err != nil {
			break
		}
		n, err = in.r.Read(b)
	}
	in.own += int64(n)
	in.read.Add(int64(n))
	in.err = err
	return n, err
}

// grow waits for the file to grow.
func (in *rawInput) grow() error {
	if f, ok := in.r.(*os.File); ok {
		if fi, err := f.Stat(); err == nil && fi.Size() < in.own {
			return faultf(ErrTruncated, "file became shorter: %d of %d bytes that were read", fi.Size(), in.own)
		}
	}
	return in.atEnd()
}
