package httpx

import (
	"errors"
	"io"
	"iter"
	"strings"
)

// decoder undoes codings of bytes that come in pieces. The readers of the codings ask for more in the midst of their work;
// each decoder is a coroutine, which is much cheaper than what it decodes.
type decoder struct {
	in     []byte // what is there to read, borrowed
	over   bool   // nothing follows
	yield  func([]byte) bool
	next   func() ([]byte, bool)
	stop   func()
	err    error
	memory int
	meter  meter
	chain  *chain
}

// newDecoder returns a decoder of codings, which are in the order in which they were applied. It must be finished.
func newDecoder(list []coding, limits *Limits, free *readers) *decoder {
	d := &decoder{memory: memoryOf(list)}
	d.meter.r = d
	d.chain = newChain(&d.meter, list, limits, free)
	d.next, d.stop = iter.Pull(d.run)
	return d
}

// errStopped ends a coroutine that is not needed any more.
var errStopped = errors.New("stopped")

// run yields what it decodes, and nil when it needs more.
func (d *decoder) run(yield func([]byte) bool) {
	d.yield = yield
	buf := d.chain.readers.buffer()
	defer d.chain.readers.release(buf)
	for {
		n, err := d.chain.Read(buf)
		if n > 0 && !yield(buf[:n]) {
			return
		}
		if err != nil {
			d.err = err
			return
		}
	}
}

// Read is how the codings get what is pushed.
func (d *decoder) Read(b []byte) (int, error) {
	for len(d.in) == 0 {
		if d.over {
			return 0, io.EOF
		}
		if !d.yield(nil) {
			return 0, errStopped
		}
	}
	n := copy(b, d.in)
	d.in = d.in[n:]
	return n, nil
}

// ReadByte is Read for one byte.
func (d *decoder) ReadByte() (byte, error) {
	if len(d.in) > 0 {
		b := d.in[0]
		d.in = d.in[1:]
		return b, nil
	}
	var b [1]byte
	_, err := d.Read(b[:])
	return b[0], err
}

// push decodes more, and calls out with what comes of it. It reports whether more can be decoded behind it.
func (d *decoder) push(b []byte, out func([]byte)) bool {
	d.in = b
	for {
		decoded, ok := d.next()
		if !ok || decoded == nil {
			return ok
		}
		out(decoded)
	}
}

// finish decodes what is left when nothing follows. It returns why it ended: nil at the end of the coding.
func (d *decoder) finish(out func([]byte)) error {
	d.over = true
	d.push(d.in, out)
	d.stop()
	err := d.chain.Close()
	if d.err != nil && !errors.Is(d.err, io.EOF) {
		err = d.err
	} else if len(d.in) > 0 {
		err = errors.New("bytes behind the end of a coding")
	}
	return err
}

// codings returns the codings of a body, in the order in which they were applied, and flags what is not understood.
func (m *Message) codings(contents bool) []coding {
	var list []coding
	add := func(name string) bool {
		c, ok := codingOf(strings.Trim(name, " \t"))
		if !ok {
			m.Flags |= FlagUnknownCoding
		}
		if c != noCoding {
			list = append(list, c)
		}
		return ok
	}
	if contents {
		for i := range m.Header {
			if f := &m.Header[i]; f.named("content-encoding") {
				for name := range strings.SplitSeq(f.Value, ",") {
					if !add(name) {
						list = list[:0] // what was applied before stays
					}
				}
			}
		}
	}
	if m.content != nil {
		for _, name := range m.content.transfer {
			if !add(name) {
				list = list[:0]
			}
		}
	}
	return list
}
