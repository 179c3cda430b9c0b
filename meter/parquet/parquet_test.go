package parquet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/parquet"
	"github.com/tcpfollow/tcpfollow/packet"
)

// frames are datagrams of so many flows, some with an answer.
func frames(flows int) []packet.Frame {
	var all []packet.Frame
	for i := range flows {
		ip := pktgen.IPv4{Src: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Dst: netip.MustParseAddr("192.0.2.1")}
		u := pktgen.UDP{Src: uint16(1024 + i%1000), Dst: 9}
		at := pktgen.Start + int64(i)*1e6
		all = append(all, pktgen.Frame(at, pktgen.Ethernet{}, ip, u, pktgen.Payload(make([]byte, i%50))))
		if i%3 == 0 {
			ip.Src, ip.Dst, u.Src, u.Dst = ip.Dst, ip.Src, u.Dst, u.Src
			all = append(all, pktgen.Frame(at+1, pktgen.Ethernet{}, ip, u, pktgen.Payload(make([]byte, 7))))
		}
	}
	return all
}

// marks fills columns of all types, and leaves some out.
type marks struct{}

func (marks) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{
		{Name: "u", Type: meter.Uint64},
		{Name: "i", Type: meter.Int64},
		{Name: "f", Type: meter.Float64},
		{Name: "b", Type: meter.Bool},
		{Name: "t", Type: meter.Text},
		{Name: "is", Type: meter.Int64List},
		{Name: "fs", Type: meter.Float64List},
		{Name: "never", Type: meter.Int64List},
	}
}

func (marks) OnInit(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	n := int64(len(e.Payload()))
	if n%5 == 0 {
		return
	}
	r.SetUint(0, uint64(n))
	r.SetInt(1, -n)
	r.SetFloat(2, float64(n)/4)
	r.SetBool(3, n%2 == 0)
	r.SetText(4, fmt.Sprint("mark ", n))
	r.SetInts(5, []int64{n, -n, 7}[:n%4%3])
	r.SetFloats(6, []float64{0.5, float64(n)}[:n%3])
}

func (marks) OnUpdate(*meter.Event, *meter.Flow, *meter.Row) {}
func (marks) OnExpire(*meter.Flow, *meter.Row)               {}
func (marks) Close() error                                   { return nil }

func config() *meter.Config {
	c := meter.DefaultConfig()
	c.Statistics, c.SPLT, c.Plugins = true, 3, []meter.Plugin{marks{}}
	return &c
}

// write meters frames and returns the file, and the text of all values by row and column.
func write(t *testing.T, cfg *parquet.Config, hide *meter.Anonymizer, all []packet.Frame) (file []byte, columns []meter.Column, want [][]string) {
	t.Helper()
	columns, err := meter.Columns(config())
	require.NoError(t, err)
	columns = hide.Columns(columns)
	var out bytes.Buffer
	w, err := parquet.New(&out, columns, cfg)
	require.NoError(t, err)
	m, err := meter.New(func(f *meter.Flow) {
		require.NoError(t, w.Write(f))
		row := make([]string, len(columns))
		for i := range columns {
			row[i] = textOf(&columns[i], f)
		}
		want = append(want, row)
	}, config())
	require.NoError(t, err)
	m.FeedBatch(&packet.Batch{Frames: all})
	require.NoError(t, m.Flush())
	require.NoError(t, w.Close())
	return out.Bytes(), columns, want
}

func textOf(c *meter.Column, f *meter.Flow) string {
	if c.Missing(f) {
		return "null"
	}
	switch c.Type {
	case meter.Uint64:
		return fmt.Sprint(uint64(c.Int(f)))
	case meter.Int64:
		return fmt.Sprint(c.Int(f))
	case meter.Float64:
		return fmt.Sprint(c.Float(f))
	case meter.Bool:
		return fmt.Sprint(c.Bool(f))
	case meter.Text:
		return string(c.AppendText(nil, f))
	case meter.Int64List:
		return fmt.Sprint(c.AppendInts(nil, f))
	case meter.Float64List:
		return fmt.Sprint(c.Floats(f))
	}
	return "?"
}

// read returns the text of all values, by row and column.
func read(t *testing.T, file []byte, columns []meter.Column) (rows [][]string, groups int) {
	t.Helper()
	f, err := pq.OpenFile(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	for _, g := range f.RowGroups() {
		r := g.Rows()
		buffer := make([]pq.Row, 64)
		for {
			n, err := r.ReadRows(buffer)
			for _, row := range buffer[:n] {
				text := make([]string, len(columns))
				row.Range(func(column int, values []pq.Value) bool {
					text[column] = valueText(&columns[column], values)
					return true
				})
				rows = append(rows, text)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		require.NoError(t, r.Close())
	}
	return rows, len(f.RowGroups())
}

func valueText(c *meter.Column, values []pq.Value) string {
	empty := 0
	if c.Optional() {
		empty = 1
		if values[0].DefinitionLevel() == 0 {
			return "null"
		}
	}
	one := func(v pq.Value) any {
		switch v.Kind() {
		case pq.Int64:
			if c.Type == meter.Uint64 {
				return v.Uint64()
			}
			return v.Int64()
		case pq.Double:
			return v.Double()
		case pq.Boolean:
			return v.Boolean()
		}
		return string(v.ByteArray())
	}
	if c.Type != meter.Int64List && c.Type != meter.Float64List {
		return fmt.Sprint(one(values[0]))
	}
	list := []any{}
	for _, v := range values {
		if v.DefinitionLevel() > empty {
			list = append(list, one(v))
		}
	}
	return fmt.Sprint(list)
}

func TestWriter(t *testing.T) {
	a, err := meter.NewAnonymizer([]string{"src_ip", "udps.is", "id"}, []byte("key"))
	require.NoError(t, err)
	for _, tt := range []struct {
		name   string
		cfg    *parquet.Config
		hide   *meter.Anonymizer
		flows  int
		groups int
	}{
		{"default", nil, nil, 3000, 1},
		{"none", nil, nil, 0, 0},
		{"groups", &parquet.Config{RowGroup: 700}, nil, 3000, 5},
		{"full groups", &parquet.Config{RowGroup: 1500}, nil, 3000, 2},
		{"one each", &parquet.Config{RowGroup: 1}, nil, 20, 20},
		{"anonymised", nil, a, 40, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file, columns, want := write(t, tt.cfg, tt.hide, frames(tt.flows))
			require.Len(t, want, tt.flows)
			got, groups := read(t, file, columns)
			require.Equal(t, want, got)
			require.Equal(t, tt.groups, groups)
		})
	}
}

// The columns are in NFStream's order, lists are lists, and what plugins may leave out is optional.
func TestSchema(t *testing.T) {
	file, columns, _ := write(t, nil, nil, frames(1))
	f, err := pq.OpenFile(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	fields := f.Schema().Fields()
	require.Len(t, fields, len(columns))
	for i, c := range columns {
		require.Equal(t, c.Name, fields[i].Name())
		require.Equal(t, c.Optional(), fields[i].Optional())
		require.Equal(t, c.Type != meter.Int64List && c.Type != meter.Float64List, fields[i].Leaf(), c.Name)
	}
}

func TestErrors(t *testing.T) {
	columns, err := meter.Columns(nil)
	require.NoError(t, err)
	_, err = parquet.New(io.Discard, columns, &parquet.Config{RowGroup: -1})
	require.ErrorContains(t, err, "-1")
	_, err = parquet.New(io.Discard, append(columns, columns[3]), nil)
	require.ErrorContains(t, err, columns[3].Name)
	full := errors.New("full")
	w, err := parquet.New(failing{full}, columns, &parquet.Config{RowGroup: 500})
	require.NoError(t, err)
	for i := 0; err == nil && i < 1_000_000; i++ {
		err = w.Write(&meter.Flow{ID: uint64(i) * 0x9e3779b97f4a7c15})
	}
	require.ErrorIs(t, err, full, "as soon as something is written")
	require.ErrorIs(t, w.Write(&meter.Flow{}), full)
	require.ErrorIs(t, w.Close(), full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func Example() {
	cfg := meter.DefaultConfig()
	columns, err := meter.Columns(&cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	w, err := parquet.New(&file, columns, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := meter.New(func(f *meter.Flow) {
		if err := w.Write(f); err != nil {
			fmt.Println(err)
		}
	}, &cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	m.FeedBatch(&packet.Batch{Frames: frames(2)})
	if err := errors.Join(m.Flush(), w.Close()); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s … %s\n", file.Bytes()[:4], file.Bytes()[file.Len()-4:])
	// Output: PAR1 … PAR1
}
