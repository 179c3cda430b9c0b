package httpx

import (
	"bytes"
	"strings"

	"github.com/tcpfollow/tcpfollow/internal/http1"
)

// collector gathers the lines of a head that comes in several pieces, as far as the limits allow. Lines beyond them are
// dropped, but for those that say where the body ends. Each byte is looked at once.
type collector struct {
	buf   []byte
	blank http1.BlankLine
	begin int    // where the current line begins in buf
	line  int    // bytes of the current line so far
	lines int    // that were begun
	mode  uint8  // of the current line
	spare []byte // the beginning of one that is dropped
	kept  int    // lines that were dropped but for their framing
	taken int    // bytes in all
	cut   bool   // something was dropped
}

// What becomes of a line.
const (
	keeping  uint8 = iota
	dropping       // unless it turns out to be needed
	cutting        // its rest is passed over
)

// maxSpare is how much is looked at of a line that is dropped, and maxKept how many of them are kept all the same.
const (
	maxSpare = 256
	maxKept  = 16
)

func (c *collector) reset() {
	*c = collector{buf: c.buf[:0], spare: c.spare[:0]}
	if cap(c.buf) > maxIdle {
		c.buf = nil
	}
}

// maxIdle is the most memory that a side keeps between messages.
const maxIdle = 4 << 10

// until returns how many bytes of b belong to the head, all if its end is not among them, and whether it is.
func (c *collector) until(b []byte) (n int, end bool) {
	if n := c.blank.Next(b); n >= 0 {
		return n, true
	}
	return len(b), false
}

// add takes bytes of the head.
func (c *collector) add(b []byte, l *Limits) {
	c.taken += len(b)
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(b)
		}
		c.part(b[:n], whole, l)
		b = b[n:]
	}
}

// part takes a part of a line, or its rest.
func (c *collector) part(b []byte, whole bool, l *Limits) {
	if c.line == 0 {
		c.lines++
		c.begin, c.mode, c.spare = len(c.buf), keeping, c.spare[:0]
		if c.lines-1 > l.Fields && len(bytes.TrimRight(b, "\r\n")) > 0 {
			c.mode = dropping
		}
	}
	room := l.Line - c.line
	if c.mode == keeping && c.lines > 1 && len(c.buf) > l.Header-min(len(b), room) {
		c.spare = append(c.spare, c.buf[c.begin:min(len(c.buf), c.begin+maxSpare)]...)
		c.buf = c.buf[:c.begin]
		c.mode = dropping
	}
	switch {
	case c.mode == keeping && len(b) > room:
		c.buf = append(append(c.buf, b[:room]...), '\r', '\n')
		c.mode, c.cut = cutting, true
	case c.mode == keeping:
		c.buf = append(c.buf, b...)
	case c.mode == dropping:
		c.spare = append(c.spare, b[:min(len(b), maxSpare-len(c.spare))]...)
		c.cut = true
	}
	c.line += len(b)
	if !whole {
		return
	}
	c.line = 0
	if c.mode == dropping && c.kept < maxKept && isFraming(c.spare) {
		c.kept++
		c.buf = append(append(c.buf, bytes.TrimRight(c.spare, "\r\n")...), '\r', '\n')
	}
}

// isFraming reports whether a header line has a say in where the body ends, or in what the connection becomes.
func isFraming(line []byte) bool {
	f := http1.ParseField(line)
	switch name := f.Name.Of(line); len(name) {
	case len("content-length"), len("transfer-encoding"), len("upgrade"):
		return strings.EqualFold(string(name), "content-length") || strings.EqualFold(string(name), "transfer-encoding") ||
			strings.EqualFold(string(name), "upgrade")
	}
	return false
}
