package meter

import (
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// JSON writes flows as JSON Lines: an object each, with the columns as its members. Missing values, and numbers that are not
// finite, are null. It does not allocate in steady state.
type JSON struct {
	columns []Column
	line    lines
	text    []byte
}

// NewJSON returns a writer of these columns.
func NewJSON(w io.Writer, columns []Column) *JSON {
	return &JSON{columns: slices.Clone(columns), line: lines{w: w}}
}

// Write writes an object. What is written may wait for Close.
func (j *JSON) Write(f *Flow) error {
	b := append(j.line.buf, '{')
	for i := range j.columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONString(b, j.columns[i].Name), ':')
		b = j.value(b, &j.columns[i], f)
	}
	j.line.buf = append(b, "}\n"...)
	return j.line.flushed(bufferSize)
}

// Flush writes what waits of the rows so far.
func (j *JSON) Flush() error { return j.line.flushed(0) }

// Close writes what waits. It does not close the underlying writer.
func (j *JSON) Close() error { return j.line.flushed(0) }

func (j *JSON) value(b []byte, col *Column, f *Flow) []byte {
	if col.Missing(f) {
		return append(b, "null"...)
	}
	switch col.Type {
	case Uint64:
		return strconv.AppendUint(b, col.uint(f), 10)
	case Int64:
		return strconv.AppendInt(b, int64(col.uint(f)), 10)
	case Float64:
		return appendJSONFloat(b, col.float(f))
	case Bool:
		return strconv.AppendBool(b, col.flag(f))
	case Text:
		j.text = col.text(j.text[:0], f)
		return appendJSONString(b, j.text)
	case Float64List:
		b = append(b, '[')
		for i, v := range col.floats(f) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONFloat(b, v)
		}
		return append(b, ']')
	default:
		return j.line.appendList(b, col, f, ",")
	}
}

func appendJSONFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return appendFloat(b, v)
}

// appendJSONString appends a string of JSON (RFC 8259 §7), safe on a terminal: control characters and what is no UTF-8 are
// escaped, the latter as U+FFFD.
func appendJSONString[T string | []byte](b []byte, s T) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"', c == '\\':
			b = append(b, '\\', c)
		case c < ' ', c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			switch {
			case r == utf8.RuneError && n == 1:
				b = append(b, "\\ufffd"...)
			case r < 0xa0, r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
				b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
			default:
				b = utf8.AppendRune(b, r)
			}
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}
