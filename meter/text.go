package meter

import (
	"io"
	"slices"
)

// Plain writes flows as NFStream prints them: "NFlow(" and a line for each column.
type Plain struct {
	columns []Column
	cfg     PlainConfig
	line    lines
	value   []byte
}

// PlainConfig says how flows are printed.
type PlainConfig struct {
	// Escape appends the text of a column in the form that is printed; nil prints it as it is.
	Escape func(dst, text []byte) []byte
}

// NewPlain returns a writer of these columns. A nil cfg is the default.
func NewPlain(w io.Writer, columns []Column, cfg *PlainConfig) *Plain {
	p := &Plain{columns: slices.Clone(columns)}
	if cfg != nil {
		p.cfg = *cfg
	}
	p.line.w = w
	return p
}

// Write prints a flow. What is written may wait for Close.
func (p *Plain) Write(f *Flow) error {
	b := append(p.line.buf, "NFlow("...)
	for i := range p.columns {
		if i > 0 {
			b = append(b, ",\n      "...)
		}
		col := &p.columns[i]
		b = append(append(b, col.Name...), '=')
		switch {
		case col.Missing(f):
			b = append(b, "None"...)
		case p.cfg.Escape != nil && col.Type == Text:
			p.value = col.text(p.value[:0], f)
			b = p.cfg.Escape(b, p.value)
		default:
			b = p.line.appendText(b, col, f)
		}
	}
	p.line.buf = append(b, ")\n"...)
	return p.line.flushed(bufferSize)
}

// Flush writes what waits of the rows so far.
func (p *Plain) Flush() error { return p.line.flushed(0) }

// Close prints what waits. It does not close the underlying writer.
func (p *Plain) Close() error { return p.line.flushed(0) }
