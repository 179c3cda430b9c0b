package meter

import (
	"bytes"
	"io"
	"math"
	"slices"
	"strconv"
)

// Dialect is a way to write CSV.
type Dialect uint8

// The dialects of CSV.
const (
	// DialectNFStream is that of NFStream 6.6.0: CRLF, quotes where they are needed, True and False; without a row nothing
	// is written.
	DialectNFStream Dialect = iota
	// DialectNFStream65 is that of NFStream 6.5.4: LF, quotes around all that is no number, and a backslash in front of
	// quotes within; without a row nothing is written.
	DialectNFStream65
	// DialectRFC4180 is RFC 4180: CRLF, quotes where they are needed, true and false, and a header in any case.
	DialectRFC4180
)

// CSVConfig says how CSV is written. The zero value is NFStream 6.6.0's way.
type CSVConfig struct {
	// Dialect is the dialect.
	Dialect Dialect
}

// bufferSize is how much of the output is gathered before it is written.
const bufferSize = 64 << 10

// CSV writes flows as rows of CSV. It does not allocate in steady state.
type CSV struct {
	w       io.Writer
	columns []Column
	cfg     CSVConfig
	line    lines
	begun   bool
}

// NewCSV returns a writer of these columns. A nil cfg is NFStream 6.6.0's dialect.
func NewCSV(w io.Writer, columns []Column, cfg *CSVConfig) *CSV {
	c := &CSV{w: w, columns: slices.Clone(columns)}
	if cfg != nil {
		c.cfg = *cfg
	}
	c.line.w = w
	return c
}

// Write writes a row, and the header before the first. What is written may wait for Close.
func (c *CSV) Write(f *Flow) error {
	if !c.begun {
		c.header()
	}
	b := c.line.buf
	for i := range c.columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.field(b, &c.columns[i], f)
	}
	c.line.buf = c.end(b)
	return c.line.flushed(bufferSize)
}

// Flush writes what waits of the rows so far.
func (c *CSV) Flush() error { return c.line.flushed(0) }

// Close writes what waits. It does not close the underlying writer.
func (c *CSV) Close() error {
	if !c.begun && c.cfg.Dialect == DialectRFC4180 {
		c.header()
	}
	return c.line.flushed(0)
}

func (c *CSV) header() {
	c.begun = true
	b := c.line.buf
	for i := range c.columns {
		if i > 0 {
			b = append(b, ',')
		}
		start := len(b)
		if b = append(b, c.columns[i].Name...); c.cfg.Dialect != DialectNFStream65 {
			b = c.quote(b, start)
		}
	}
	c.line.buf = c.end(b)
}

func (c *CSV) end(b []byte) []byte {
	if c.cfg.Dialect == DialectNFStream65 {
		return append(b, '\n')
	}
	return append(b, '\r', '\n')
}

// field appends a value.
func (c *CSV) field(b []byte, col *Column, f *Flow) []byte {
	if col.Missing(f) {
		return b
	}
	start := len(b)
	switch col.Type {
	case Uint64:
		return strconv.AppendUint(b, col.uint(f), 10)
	case Int64:
		return strconv.AppendInt(b, int64(col.uint(f)), 10)
	case Float64:
		return appendFloat(b, col.float(f))
	case Bool:
		return c.bool(b, col.flag(f))
	case Text:
		return c.quote(col.text(b, f), start)
	default:
		return c.quote(c.line.appendList(b, col, f, ", "), start)
	}
}

func (c *CSV) bool(b []byte, v bool) []byte {
	if c.cfg.Dialect == DialectNFStream65 {
		start := len(b)
		return c.quote(appendBool(b, v, true), start)
	}
	return appendBool(b, v, c.cfg.Dialect == DialectNFStream)
}

// quote puts quotes around the field that starts at a place of b, if it takes them.
func (c *CSV) quote(b []byte, start int) []byte {
	field := b[start:]
	if c.cfg.Dialect != DialectNFStream65 && !bytes.ContainsAny(field, ",\"\r\n") {
		return b
	}
	escape := byte('"')
	if c.cfg.Dialect == DialectNFStream65 {
		escape = '\\'
	}
	b = slices.Insert(b, start, '"')
	for i := start + 1; i < len(b); i++ {
		if b[i] == '"' {
			b = slices.Insert(b, i, escape)
			i++
		}
	}
	return append(b, '"')
}

// appendText appends a value as Python's str does.
func (l *lines) appendText(b []byte, col *Column, f *Flow) []byte {
	switch col.Type {
	case Uint64:
		return strconv.AppendUint(b, col.uint(f), 10)
	case Int64:
		return strconv.AppendInt(b, int64(col.uint(f)), 10)
	case Float64:
		return appendFloat(b, col.float(f))
	case Bool:
		return appendBool(b, col.flag(f), true)
	case Text:
		return col.text(b, f)
	default:
		return l.appendList(b, col, f, ", ")
	}
}

func appendBool(b []byte, v, python bool) []byte {
	switch {
	case !python:
		return strconv.AppendBool(b, v)
	case v:
		return append(b, "True"...)
	}
	return append(b, "False"...)
}

// appendFloat appends a number as Python's repr does: the shortest text that reads as the same number.
func appendFloat(b []byte, v float64) []byte {
	switch a := math.Abs(v); {
	case a < 1e15 && v == math.Trunc(v) && (v != 0 || !math.Signbit(v)):
		return append(strconv.AppendInt(b, int64(v), 10), ".0"...)
	case a >= 1e-4 && a < 1e16:
		start := len(b)
		b = strconv.AppendFloat(b, v, 'f', -1, 64)
		if bytes.IndexByte(b[start:], '.') < 0 {
			b = append(b, ".0"...)
		}
		return b
	case math.IsNaN(v):
		return append(b, "nan"...)
	case math.IsInf(v, 0):
		if v < 0 {
			b = append(b, '-')
		}
		return append(b, "inf"...)
	case v == 0:
		return append(b, "-0.0"...)
	}
	return strconv.AppendFloat(b, v, 'e', -1, 64)
}

// lines gathers output.
type lines struct {
	w    io.Writer
	buf  []byte
	ints []int64
	err  error
}

// appendList appends the values of a list in brackets.
func (l *lines) appendList(b []byte, col *Column, f *Flow, separator string) []byte {
	b = append(b, '[')
	if col.Type == Int64List {
		l.ints = col.ints(l.ints[:0], f)
		for i, v := range l.ints {
			if i > 0 {
				b = append(b, separator...)
			}
			b = strconv.AppendInt(b, v, 10)
		}
	} else {
		for i, v := range col.floats(f) {
			if i > 0 {
				b = append(b, separator...)
			}
			b = appendFloat(b, v)
		}
	}
	return append(b, ']')
}

// flushed writes what was gathered when it is at least least bytes. An error stays.
func (l *lines) flushed(least int) error {
	if l.err == nil && len(l.buf) >= max(least, 1) {
		_, l.err = l.w.Write(l.buf)
		l.buf = l.buf[:0]
	}
	return l.err
}

// Writer writes flows as rows: [CSV], [JSON], [Plain] and others.
type Writer interface {
	// Write writes a flow. What is written may wait for Close.
	Write(f *Flow) error
	// Close writes what waits. It does not close the underlying writer.
	Close() error
}

var (
	_ Writer = (*CSV)(nil)
	_ Writer = (*JSON)(nil)
	_ Writer = (*Plain)(nil)
)
