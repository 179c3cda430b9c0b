package meter_test

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/blake2b"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet"
)

// values is a plugin that sets a value of every type, or none.
type values struct {
	text  string
	float float64
	none  bool
}

func (values) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{
		{Name: "uint", Type: meter.Uint64},
		{Name: "int", Type: meter.Int64},
		{Name: "float", Type: meter.Float64},
		{Name: "bool", Type: meter.Bool},
		{Name: "text", Type: meter.Text},
		{Name: "ints", Type: meter.Int64List},
		{Name: "floats", Type: meter.Float64List},
	}
}
func (values) OnInit(*meter.Event, *meter.Flow, *meter.Row)   {}
func (values) OnUpdate(*meter.Event, *meter.Flow, *meter.Row) {}
func (v values) OnExpire(_ *meter.Flow, r *meter.Row) {
	if v.none {
		return
	}
	r.SetUint(0, math.MaxUint64)
	r.SetInt(1, math.MinInt64)
	r.SetFloat(2, v.float)
	r.SetBool(3, true)
	r.SetText(4, v.text)
	r.SetInts(5, []int64{1, -2})
	r.SetFloats(6, []float64{0.5, 2})
}
func (values) Close() error { return nil }

// written is what a writer makes of one flow, of the columns of the plugin alone.
func written(t *testing.T, v values, writer func(*bytes.Buffer, []meter.Column) meter.Writer) string {
	t.Helper()
	cfg := config(func(c *meter.Config) { c.Plugins = []meter.Plugin{v} })
	columns, err := meter.Columns(cfg)
	require.NoError(t, err)
	var out bytes.Buffer
	w := writer(&out, columns[len(columns)-7:])
	for _, f := range run(t, cfg, udp(0, 1, false, 1)) {
		require.NoError(t, w.Write(f))
	}
	require.NoError(t, w.Close())
	return out.String()
}

func dialect(d meter.Dialect) func(*bytes.Buffer, []meter.Column) meter.Writer {
	return func(b *bytes.Buffer, columns []meter.Column) meter.Writer {
		return meter.NewCSV(b, columns, &meter.CSVConfig{Dialect: d})
	}
}

// TestDialects: every type and every character that needs care, in each dialect.
func TestDialects(t *testing.T) {
	const header = "udps.uint,udps.int,udps.float,udps.bool,udps.text,udps.ints,udps.floats"
	const numbers = "18446744073709551615,-9223372036854775808,0.25,"
	for _, tt := range []struct {
		name, text, nfstream, nfstream65, rfc4180 string
	}{
		{"plain", "a b", `True,a b,"[1, -2]","[0.5, 2.0]"`, `"True","a b","[1, -2]","[0.5, 2.0]"`, `true,a b,"[1, -2]","[0.5, 2.0]"`},
		{"quotes", `"a"`, `True,"""a""","[1, -2]","[0.5, 2.0]"`, `"True","\"a\"","[1, -2]","[0.5, 2.0]"`, `true,"""a""","[1, -2]","[0.5, 2.0]"`},
		{"commas", "a,b", `True,"a,b","[1, -2]","[0.5, 2.0]"`, `"True","a,b","[1, -2]","[0.5, 2.0]"`, `true,"a,b","[1, -2]","[0.5, 2.0]"`},
		{"lines", "a\r\nb", "True,\"a\r\nb\",\"[1, -2]\",\"[0.5, 2.0]\"", "\"True\",\"a\r\nb\",\"[1, -2]\",\"[0.5, 2.0]\"", "true,\"a\r\nb\",\"[1, -2]\",\"[0.5, 2.0]\""},
		{"empty", "", `True,,"[1, -2]","[0.5, 2.0]"`, `"True","","[1, -2]","[0.5, 2.0]"`, `true,,"[1, -2]","[0.5, 2.0]"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := values{text: tt.text, float: 0.25}
			require.Equal(t, header+"\r\n"+numbers+tt.nfstream+"\r\n", written(t, v, dialect(meter.DialectNFStream)))
			require.Equal(t, header+"\n"+numbers+tt.nfstream65+"\n", written(t, v, dialect(meter.DialectNFStream65)))
			require.Equal(t, header+"\r\n"+numbers+tt.rfc4180+"\r\n", written(t, v, dialect(meter.DialectRFC4180)))
			rows, err := csv.NewReader(strings.NewReader(written(t, v, dialect(meter.DialectRFC4180)))).ReadAll()
			require.NoError(t, err)
			require.Equal(t, strings.ReplaceAll(tt.text, "\r\n", "\n"), rows[1][4])
		})
	}
	require.Equal(t, header+"\r\n,,,,,,\r\n", written(t, values{none: true}, dialect(meter.DialectNFStream)))
}

// TestNoRows: without a row NFStream's dialects write nothing, the other a header.
func TestNoRows(t *testing.T) {
	columns, err := meter.Columns(nil)
	require.NoError(t, err)
	for d, want := range map[meter.Dialect]bool{meter.DialectNFStream: false, meter.DialectNFStream65: false, meter.DialectRFC4180: true} {
		var out bytes.Buffer
		require.NoError(t, meter.NewCSV(&out, columns, &meter.CSVConfig{Dialect: d}).Close())
		require.Equal(t, want, strings.HasPrefix(out.String(), "id,expiration_id,src_ip"))
		require.Equal(t, want, out.Len() > 0)
	}
}

// TestFloats: numbers as Python's repr writes them.
func TestFloats(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1: "-1.0", 0.1: "0.1", 1.0 / 3: "0.3333333333333333", 1e15: "1000000000000000.0", 123456789012345680: "1.2345678901234568e+17",
		1e16: "1e+16", 9999999999999998: "9999999999999998.0", 1e22: "1e+22", 0.0001: "0.0001", 0.00001: "1e-05", 1e-7: "1e-07", 1.5e300: "1.5e+300",
		math.Copysign(0, -1): "-0.0", math.Inf(1): "inf", math.Inf(-1): "-inf", 5e-324: "5e-324",
	} {
		row := strings.Split(written(t, values{float: v}, dialect(meter.DialectNFStream)), "\r\n")[1]
		require.Equal(t, want, strings.Split(row, ",")[2])
	}
	require.Contains(t, written(t, values{float: math.NaN()}, dialect(meter.DialectNFStream)), ",nan,")
}

func TestJSONValues(t *testing.T) {
	asJSON := func(b *bytes.Buffer, columns []meter.Column) meter.Writer { return meter.NewJSON(b, columns) }
	for _, text := range []string{"plain", "quote \" backslash \\", "line\r\n\ttab\x00\x1b\x7f", "grüße 世界", "\u009b\u2028\u202e\u2066", "\xff\xfe cut \xe4\xb8"} {
		line := written(t, values{text: text, float: 0.25}, asJSON)
		var got map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &got), "%s", line)
		require.Equal(t, strings.ToValidUTF8(text, "\ufffd"), strings.ReplaceAll(got["udps.text"].(string), "\ufffd\ufffd", "\ufffd"))
		require.Equal(t, []any{1.0, -2.0}, got["udps.ints"])
		require.Equal(t, []any{0.5, 2.0}, got["udps.floats"])
		require.Equal(t, true, got["udps.bool"])
		for _, c := range line[:len(line)-1] {
			require.False(t, c < ' ' || c >= 0x7f && c < 0xa0 || c >= 0x2028 && c <= 0x202e, "%q", line)
		}
	}
	require.Contains(t, written(t, values{float: math.NaN()}, asJSON), `"udps.float":null`)
	require.Equal(t, `{"udps.uint":null,"udps.int":null,"udps.float":null,"udps.bool":null,"udps.text":null,"udps.ints":null,"udps.floats":null}`+"\n",
		written(t, values{none: true}, asJSON))
}

func TestPlain(t *testing.T) {
	plain := func(b *bytes.Buffer, columns []meter.Column) meter.Writer { return meter.NewPlain(b, columns, nil) }
	require.Equal(t, `NFlow(udps.uint=18446744073709551615,
      udps.int=-9223372036854775808,
      udps.float=0.25,
      udps.bool=True,
      udps.text=a,
      udps.ints=[1, -2],
      udps.floats=[0.5, 2.0])
`, written(t, values{text: "a", float: 0.25}, plain))
	require.Contains(t, written(t, values{none: true}, plain), "udps.text=None,")
	escaped := func(b *bytes.Buffer, columns []meter.Column) meter.Writer {
		return meter.NewPlain(b, columns, &meter.PlainConfig{Escape: func(dst, text []byte) []byte { return append(dst, bytes.ToUpper(text)...) }})
	}
	require.Contains(t, written(t, values{text: "abc"}, escaped), "udps.text=ABC,")
}

// TestAnonymizer: the digests are those of BLAKE2b under the key, of the value's text; equal values stay equal.
func TestAnonymizer(t *testing.T) {
	key := []byte("a key")
	a, err := meter.NewAnonymizer([]string{"udps.text", "udps.ints", "udps.uint", "absent"}, key)
	require.NoError(t, err)
	sum := func(text string) string {
		h, err := blake2b.New512(key)
		require.NoError(t, err)
		h.Write([]byte(text))
		return hex.EncodeToString(h.Sum(nil))
	}
	v := values{text: "name", float: 1}
	row := strings.Split(written(t, v, func(b *bytes.Buffer, columns []meter.Column) meter.Writer {
		return meter.NewCSV(b, a.Columns(columns), nil)
	}), "\r\n")[1]
	require.Equal(t, sum("18446744073709551615")+",-9223372036854775808,1.0,True,"+sum("name")+","+sum("[1, -2]")+`,"[0.5, 2.0]"`, row)
	for _, w := range []func(*bytes.Buffer, []meter.Column) meter.Writer{
		func(b *bytes.Buffer, columns []meter.Column) meter.Writer {
			return meter.NewJSON(b, a.Columns(columns))
		},
		func(b *bytes.Buffer, columns []meter.Column) meter.Writer {
			return meter.NewPlain(b, a.Columns(columns), nil)
		},
	} {
		out := written(t, v, w)
		require.Contains(t, out, sum("name"))
		require.NotContains(t, out, "=name")
		require.NotContains(t, written(t, values{none: true}, w), sum(""), "what is missing stays missing")
	}
	one, err := meter.NewAnonymizer(nil, nil)
	require.NoError(t, err)
	require.NotNil(t, one)
	_, err = meter.NewAnonymizer(nil, make([]byte, 65))
	require.Error(t, err)
}

type failing struct{ after int }

func (f *failing) Write(b []byte) (int, error) {
	if f.after -= len(b); f.after < 0 {
		return 0, errors.New("disk is full")
	}
	return len(b), nil
}

// TestWriteErrors: an error of the output comes out of Write or Close, and stays.
func TestWriteErrors(t *testing.T) {
	columns, err := meter.Columns(config(nil))
	require.NoError(t, err)
	flow := run(t, config(nil), udp(0, 1, false, 1))[0]
	for name, w := range map[string]meter.Writer{
		"CSV": meter.NewCSV(&failing{after: 70000}, columns, nil), "JSON": meter.NewJSON(&failing{after: 70000}, columns),
		"plain": meter.NewPlain(&failing{after: 70000}, columns, nil),
	} {
		var first error
		for range 2000 {
			if err := w.Write(flow); err != nil && first == nil {
				first = err
			}
		}
		require.ErrorContains(t, first, "disk is full", name)
		require.ErrorContains(t, w.Close(), "disk is full", name)
	}
}

// TestColumns: NFStream's numbers of columns, and no name twice.
func TestColumns(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*meter.Config)
		want int
	}{
		{"core", nil, 29},
		{"without tunnels", func(c *meter.Config) { c.DecodeTunnels = false }, 28},
		{"statistics", func(c *meter.Config) { c.Statistics = true }, 77},
		{"SPLT", func(c *meter.Config) { c.Statistics, c.SPLT = true, 5 }, 80},
		{"dissection", func(c *meter.Config) { c.Statistics, c.SPLT, c.Dissections = true, 5, 20 }, 89},
	} {
		columns, err := meter.Columns(config(tt.edit))
		require.NoError(t, err)
		require.Len(t, columns, tt.want, tt.name)
		names := map[string]bool{}
		for _, c := range columns {
			require.False(t, names[c.Name], c.Name)
			names[c.Name] = true
		}
	}
	columns, err := meter.Columns(nil)
	require.NoError(t, err)
	require.Len(t, columns, 38)
	_, err = meter.Select(columns, []string{"id", "nonsense"})
	require.ErrorContains(t, err, "nonsense")
}

// TestEmbeddedAddresses: IPv6 addresses as inet_ntop writes them.
func TestEmbeddedAddresses(t *testing.T) {
	for addr, want := range map[string]string{
		"::ffff:10.0.0.1": "::ffff:10.0.0.1", "::a00:1": "::10.0.0.1", "::1": "::1", "::": "::", "::1:0": "::0.1.0.0", "2001:db8::1": "2001:db8::1",
		"1:0:0:2:0:0:0:3": "1:0:0:2::3", "::ffff": "::ffff",
	} {
		row := strings.Split(csvRow(t, addr), ",")
		require.Equal(t, want, row[2])
	}
}

func csvRow(t *testing.T, src string) string {
	t.Helper()
	f := packet.Frame{Time: start, Link: packet.LinkRaw, Data: ipv6From(t, src)}
	f.Length = len(f.Data)
	columns, err := meter.Columns(config(nil))
	require.NoError(t, err)
	var out bytes.Buffer
	w := meter.NewCSV(&out, columns, nil)
	for _, flow := range run(t, config(nil), f) {
		require.NoError(t, w.Write(flow))
	}
	require.NoError(t, w.Close())
	return strings.Split(out.String(), "\r\n")[1]
}

// TestRecords: the 21 fields of flow_models, one record a direction.
func TestRecords(t *testing.T) {
	var out bytes.Buffer
	for unit, frames := range map[time.Duration][]packet.Frame{
		time.Millisecond: {udp(250, 5, false, 10), udp(1300, 5, true, 20)}, time.Nanosecond: {{Time: at(7), Link: packet.LinkRaw, Data: ipv6From(t, "2001:db8::1")}},
	} {
		cfg := config(func(c *meter.Config) { c.TimeUnit = unit })
		out.Reset()
		w := meter.NewRecords(&out, unit)
		for _, f := range run(t, cfg, frames...) {
			require.NoError(t, w.Write(f))
		}
		require.NoError(t, w.Close())
		if unit == time.Millisecond {
			require.Equal(t, "2, 17, 0, 0, 0, 0, 0, 3221225985, 0, 0, 0, 3325256706, 5, 9, 1704067200, 250, 1704067200, 250, 1, 52, 0\n"+
				"2, 17, 0, 0, 0, 0, 0, 3325256706, 0, 0, 0, 3221225985, 9, 5, 1704067201, 300, 1704067201, 300, 1, 62, 0\n", out.String())
		} else {
			require.Equal(t, "10, 17, 0, 0, 536939960, 0, 0, 1, 536939960, 0, 0, 9, 1, 2, 1704067200, 7, 1704067200, 7, 1, 0, 0\n", out.String())
		}
	}
}

// TestKeepPrefixes: addresses become others that share as long a prefix as before, the same ones under the same key.
func TestKeepPrefixes(t *testing.T) {
	of := func(key, addr string) netip.Addr {
		a, err := meter.NewAnonymizer([]string{"src_ip"}, []byte(key))
		require.NoError(t, err)
		a.KeepPrefixes()
		columns, err := meter.Columns(nil)
		require.NoError(t, err)
		f := &meter.Flow{Key: packet.NewFlowKey(netip.AddrPortFrom(netip.MustParseAddr(addr), 1), netip.AddrPortFrom(netip.MustParseAddr(addr), 2), 17)}
		got, err := netip.ParseAddr(string(a.Columns(columns)[2].AppendText(nil, f)))
		require.NoError(t, err)
		return got
	}
	shared := func(a, b netip.Addr) int {
		n := 0
		for ; n < a.BitLen(); n++ {
			p, err := a.Prefix(n + 1)
			require.NoError(t, err)
			if !p.Contains(b) {
				break
			}
		}
		return n
	}
	addrs := []string{"192.0.2.1", "192.0.2.2", "192.0.3.1", "10.0.0.1", "203.0.113.77", "192.0.2.1"}
	six := []string{"2001:db8::1", "2001:db8::2", "2001:db8:1::1", "fe80::1"}
	for _, list := range [][]string{addrs, six} {
		for _, a := range list {
			require.NotEqual(t, of("k", a), of("other", a))
			for _, b := range list {
				require.Equal(t, shared(netip.MustParseAddr(a), netip.MustParseAddr(b)), shared(of("k", a), of("k", b)), "%s %s", a, b)
			}
		}
	}
}
