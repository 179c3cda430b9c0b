package httpx

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
)

const (
	windowSize    = 32 << 10
	inflateMemory = flateMemory + 2*windowSize
)

// inflater decompresses the messages of one direction of a WebSocket connection (RFC 7692 §7.2.2).
type inflater struct {
	fresh  bool // every message starts with an empty window
	lost   bool // what was before is not known; the window is what is known of it
	window []byte
	in     bytes.Reader
	r      io.ReadCloser
	buf    []byte
}

// message decompresses a message, whose end is missing if torn. It calls take with what it is made of, and returns what
// went wrong. What refers to text that is not known is an error, never something else.
func (d *inflater) message(raw []byte, torn bool, l *Limits, take func([]byte)) Flags {
	if d.fresh {
		d.window = d.window[:0]
	}
	const tail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff" // what the sender took away, and a last block
	if !torn {
		raw = append(raw, tail...)
	}
	d.in.Reset(raw)
	if d.r == nil {
		d.r = flate.NewReaderDict(&d.in, d.window)
		d.buf = make([]byte, 8<<10)
	} else {
		_ = d.r.(flate.Resetter).Reset(&d.in, d.window) // it does not fail
	}
	wasLost := d.lost && !d.fresh
	total := 0
	for {
		n, err := d.r.Read(d.buf)
		total += n
		take(d.buf[:n])
		d.window = append(d.window, d.buf[:n]...)
		if over := len(d.window) - windowSize; over > windowSize {
			d.window = d.window[:copy(d.window, d.window[over:])]
		}
		switch {
		case total > ratioFree && total/l.Ratio > len(raw):
			return d.lose() | FlagBomb
		case err == nil:
		case errors.Is(err, io.EOF):
			return 0
		case torn && errors.Is(err, io.ErrUnexpectedEOF):
			return d.lose()
		case wasLost:
			return d.lose() | FlagStateLost
		default:
			return d.lose() | FlagBadCoding
		}
	}
}

// ratioFree is how many bytes may come of whatever.
const ratioFree = 1 << 20

// lose forgets the window.
func (d *inflater) lose() Flags {
	d.lost, d.window = true, d.window[:0]
	return 0
}
