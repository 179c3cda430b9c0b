// Package parquet writes flows of package meter as Apache Parquet: a column each, lists as lists.
package parquet

import (
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"

	"github.com/tcpfollow/tcpfollow/meter"
)

// DefaultRowGroup is how many rows a row group has.
const DefaultRowGroup = 100_000

// chunkRows are handed to the columns at a time.
const chunkRows = 1024

// Config says how files are written. The zero value is the default.
type Config struct {
	// RowGroup is the most rows of a row group, which is held in memory until it is written. Default [DefaultRowGroup].
	RowGroup int
}

// Writer writes flows. It is a [meter.Writer].
type Writer struct {
	columns []meter.Column
	group   int
	w       *parquet.GenericWriter[any]
	chunk   [][]parquet.Value // by column: rows that were not handed over
	text    []byte            // that they refer to
	ints    []int64
	rows    int // in the chunk
	grouped int // in the row group
	err     error
}

var _ meter.Writer = (*Writer)(nil)

// New returns a writer of these columns. A nil cfg is the default. The error is for a negative limit, and for two columns
// of one name.
func New(w io.Writer, columns []meter.Column, cfg *Config) (*Writer, error) {
	p := &Writer{columns: slices.Clone(columns), group: DefaultRowGroup}
	if cfg != nil {
		if cfg.RowGroup < 0 {
			return nil, fmt.Errorf("parquet: row groups of %d", cfg.RowGroup)
		}
		if cfg.RowGroup > 0 {
			p.group = cfg.RowGroup
		}
	}
	fields := group{Group: parquet.Group{}}
	for i := range p.columns {
		c := &p.columns[i]
		if _, ok := fields.Group[c.Name]; ok {
			return nil, fmt.Errorf("parquet: two columns named %q", c.Name)
		}
		fields.Group[c.Name] = field(c)
		fields.names = append(fields.names, c.Name)
	}
	p.w = parquet.NewGenericWriter[any](w, parquet.NewSchema("flow", fields), parquet.Compression(&parquet.Zstd), parquet.CreatedBy("tcpfollow", "", ""))
	p.chunk = make([][]parquet.Value, len(p.columns))
	return p, nil
}

// group is a parquet.Group whose fields keep their order.
type group struct {
	parquet.Group
	names []string
}

// Fields returns the fields in their order.
func (g group) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	fields := make([]parquet.Field, len(g.names))
	for i, name := range g.names {
		fields[i] = byName[name]
	}
	return fields
}

// field is the schema of a column.
func field(c *meter.Column) parquet.Node {
	var n parquet.Node
	switch c.Type {
	case meter.Uint64:
		n = parquet.Uint(64)
	case meter.Int64:
		n = parquet.Int(64)
	case meter.Float64:
		n = parquet.Leaf(parquet.DoubleType)
	case meter.Bool:
		n = parquet.Leaf(parquet.BooleanType)
	case meter.Text:
		n = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	case meter.Int64List:
		n = parquet.List(parquet.Int(64))
	case meter.Float64List:
		n = parquet.List(parquet.Leaf(parquet.DoubleType))
	}
	if c.Optional() {
		n = parquet.Optional(n)
	}
	return n
}

// Write writes a flow. What is written waits for its row group to be full, or for Close.
func (p *Writer) Write(f *meter.Flow) error {
	if p.err != nil {
		return p.err
	}
	for i := range p.columns {
		p.chunk[i] = p.append(p.chunk[i], &p.columns[i], f)
	}
	if p.rows++; p.rows == chunkRows || p.grouped+p.rows == p.group {
		p.err = p.flush(p.grouped+p.rows == p.group)
	}
	return p.err
}

// append appends the values of a flow in a column, with the levels of Dremel: how deep they are defined, and whether they
// go on with a list.
func (p *Writer) append(to []parquet.Value, c *meter.Column, f *meter.Flow) []parquet.Value {
	defined := 0
	if c.Optional() {
		if c.Missing(f) {
			return append(to, parquet.NullValue().Level(0, 0, 0))
		}
		defined = 1
	}
	var v parquet.Value
	switch c.Type {
	case meter.Uint64, meter.Int64:
		v = parquet.Int64Value(c.Int(f))
	case meter.Float64:
		v = parquet.DoubleValue(c.Float(f))
	case meter.Bool:
		v = parquet.BooleanValue(c.Bool(f))
	case meter.Text:
		start := len(p.text)
		p.text = c.AppendText(p.text, f)
		v = parquet.ByteArrayValue(p.text[start:])
	case meter.Int64List:
		p.ints = c.AppendInts(p.ints[:0], f)
		return appendList(to, p.ints, defined, parquet.Int64Value)
	case meter.Float64List:
		return appendList(to, c.Floats(f), defined, parquet.DoubleValue)
	}
	return append(to, v.Level(0, defined, 0))
}

func appendList[T any](to []parquet.Value, list []T, defined int, value func(T) parquet.Value) []parquet.Value {
	if len(list) == 0 {
		return append(to, parquet.NullValue().Level(0, defined, 0))
	}
	for i, v := range list {
		to = append(to, value(v).Level(min(i, 1), defined+1, 0))
	}
	return to
}

// flush hands the chunk to the columns, and ends the row group if that is full.
func (p *Writer) flush(full bool) error {
	if p.rows == 0 {
		return nil
	}
	for i, c := range p.w.ColumnWriters() {
		if _, err := c.WriteRowValues(p.chunk[i]); err != nil {
			return fmt.Errorf("parquet: column %s: %w", p.columns[i].Name, err)
		}
		p.chunk[i] = p.chunk[i][:0]
	}
	p.grouped += p.rows
	p.rows, p.text = 0, p.text[:0]
	if full {
		p.grouped = 0
		if err := p.w.Flush(); err != nil {
			return fmt.Errorf("parquet: %w", err)
		}
	}
	return nil
}

// Close writes what waits, and the end of the file. It does not close the underlying writer.
func (p *Writer) Close() error {
	if p.err == nil {
		p.err = p.flush(false)
	}
	if p.err != nil {
		return p.err
	}
	if err := p.w.Close(); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	return nil
}
