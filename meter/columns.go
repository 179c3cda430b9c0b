package meter

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
)

// Column is a column of the rows that flows make.
type Column struct {
	// Name is NFStream's name of it.
	Name string
	// Type is what its values are.
	Type Type

	// One of these is set, as Type says.
	uint   func(*Flow) uint64 // of Int64, too
	float  func(*Flow) float64
	flag   func(*Flow) bool
	text   func([]byte, *Flow) []byte
	ints   func([]int64, *Flow) []int64
	floats func(*Flow) []float64
	set    func(*Flow) bool       // nil: the value is always there
	addr   func(*Flow) netip.Addr // of a text that is an address
}

// Missing reports whether the flow has no value here. Only columns of plugins can be missing.
func (c *Column) Missing(f *Flow) bool { return c.set != nil && !c.set(f) }

// Optional reports whether rows may have no value here.
func (c *Column) Optional() bool { return c.set != nil }

// Int returns the value of a column of type Uint64 or Int64; one of Uint64 as its bits.
func (c *Column) Int(f *Flow) int64 { return int64(c.uint(f)) }

// Float returns the value of a column of type Float64.
func (c *Column) Float(f *Flow) float64 { return c.float(f) }

// Bool returns the value of a column of type Bool.
func (c *Column) Bool(f *Flow) bool { return c.flag(f) }

// AppendText appends the value of a column of type Text to b.
func (c *Column) AppendText(b []byte, f *Flow) []byte { return c.text(b, f) }

// AppendInts appends the values of a column of type Int64List to b.
func (c *Column) AppendInts(b []int64, f *Flow) []int64 { return c.ints(b, f) }

// Floats returns the values of a column of type Float64List. Borrowed.
func (c *Column) Floats(f *Flow) []float64 { return c.floats(f) }

// Columns returns the columns that flows have under a configuration, in NFStream's order. A nil cfg means [DefaultConfig].
func Columns(cfg *Config) ([]Column, error) {
	c := DefaultConfig()
	if cfg != nil {
		c = *cfg
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	p, err := newPlugins(c.Plugins)
	if err != nil {
		return nil, err
	}
	return slices.Concat(coreColumns(&c), statisticColumns(&c), stepColumns(&c), applicationColumns(&c), p.columnsOf()), nil
}

// Select returns the columns with these names, in their order.
func Select(all []Column, names []string) ([]Column, error) {
	some := make([]Column, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(all, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("meter: no column named %q", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}

func number(name string, of func(*Flow) uint64) Column {
	return Column{Name: name, Type: Uint64, uint: of}
}

func text(name string, of func([]byte, *Flow) []byte) Column {
	return Column{Name: name, Type: Text, text: of}
}

func address(name string, of func(*Flow) netip.Addr) Column {
	return Column{Name: name, Type: Text, addr: of, text: func(b []byte, f *Flow) []byte { return appendAddr(b, of(f)) }}
}

// prefix is one of the three that the names of columns start with.
type prefix struct {
	name string
	side func(*Flow) *Side
}

func prefixes() []prefix {
	return []prefix{
		{"bidirectional", func(f *Flow) *Side { return &f.Bidirectional }},
		{"src2dst", func(f *Flow) *Side { return &f.Src2Dst }},
		{"dst2src", func(f *Flow) *Side { return &f.Dst2Src }},
	}
}

// unitName is how the names of columns end that are times.
func (c *Config) unitName() string {
	switch c.TimeUnit {
	case time.Millisecond:
		return "ms"
	case time.Microsecond:
		return "us"
	case time.Nanosecond:
		return "ns"
	default:
		return strconv.FormatInt(int64(c.TimeUnit), 10) + "ns"
	}
}

func coreColumns(cfg *Config) []Column {
	list := []Column{
		number("id", func(f *Flow) uint64 { return f.ID }),
		{Name: "expiration_id", Type: Int64, uint: func(f *Flow) uint64 { return uint64(f.Expiration) }},
		address("src_ip", func(f *Flow) netip.Addr { return f.Key.Src().Addr() }),
		text("src_mac", func(b []byte, f *Flow) []byte { return appendMAC(b, f.SrcMAC, macText) }),
		text("src_oui", func(b []byte, f *Flow) []byte { return appendMAC(b, f.SrcMAC, ouiText) }),
		number("src_port", func(f *Flow) uint64 { return uint64(f.Key.Src().Port()) }),
		address("dst_ip", func(f *Flow) netip.Addr { return f.Key.Dst().Addr() }),
		text("dst_mac", func(b []byte, f *Flow) []byte { return appendMAC(b, f.DstMAC, macText) }),
		text("dst_oui", func(b []byte, f *Flow) []byte { return appendMAC(b, f.DstMAC, ouiText) }),
		number("dst_port", func(f *Flow) uint64 { return uint64(f.Key.Dst().Port()) }),
		number("protocol", func(f *Flow) uint64 { return uint64(f.Key.Proto()) }),
		number("ip_version", func(f *Flow) uint64 { return uint64(f.Key.Version()) }),
		number("vlan_id", func(f *Flow) uint64 { return uint64(f.Key.VLAN()) }),
	}
	if cfg.DecodeTunnels {
		list = append(list, number("tunnel_id", func(f *Flow) uint64 { return uint64(f.Key.Tunnel() & kindMask) }))
	}
	unit := "_" + cfg.unitName()
	for _, p := range prefixes() {
		list = append(list,
			number(p.name+"_first_seen"+unit, func(f *Flow) uint64 { return p.side(f).FirstSeen }),
			number(p.name+"_last_seen"+unit, func(f *Flow) uint64 { return p.side(f).LastSeen }),
			number(p.name+"_duration"+unit, func(f *Flow) uint64 { return p.side(f).Duration() }),
			number(p.name+"_packets", func(f *Flow) uint64 { return p.side(f).Packets }),
			number(p.name+"_bytes", func(f *Flow) uint64 { return p.side(f).Bytes }),
		)
	}
	return list
}

// flagNames are the TCP flags in the order of NFStream's columns.
var flagNames = [numFlags]string{"syn", "cwr", "ece", "urg", "ack", "psh", "rst", "fin"}

func statisticColumns(cfg *Config) []Column {
	if !cfg.Statistics {
		return nil
	}
	var list []Column
	for _, series := range []struct {
		name string
		of   func(*Side) *Distribution
	}{
		{"ps", func(s *Side) *Distribution { return &s.Sizes }},
		{"piat_" + cfg.unitName(), func(s *Side) *Distribution { return &s.Gaps }},
	} {
		for _, p := range prefixes() {
			of := func(f *Flow) *Distribution { return series.of(p.side(f)) }
			list = append(list,
				number(p.name+"_min_"+series.name, func(f *Flow) uint64 { return of(f).Min }),
				Column{Name: p.name + "_mean_" + series.name, Type: Float64, float: func(f *Flow) float64 { return of(f).Mean }},
				Column{Name: p.name + "_stddev_" + series.name, Type: Float64, float: func(f *Flow) float64 { return of(f).StdDev() }},
				number(p.name+"_max_"+series.name, func(f *Flow) uint64 { return of(f).Max }),
			)
		}
	}
	for _, p := range prefixes() {
		for i, flag := range flagNames {
			list = append(list, number(p.name+"_"+flag+"_packets", func(f *Flow) uint64 { return p.side(f).Flags[i] }))
		}
	}
	return list
}

// stepColumns are the sequences of the first packets, -1 for those that did not come.
func stepColumns(cfg *Config) []Column {
	n := cfg.SPLT
	if n == 0 {
		return nil
	}
	list := func(name string, of func(Step) int64) Column {
		return Column{Name: name, Type: Int64List, ints: func(b []int64, f *Flow) []int64 {
			for _, s := range f.SPLT {
				b = append(b, of(s))
			}
			for range n - len(f.SPLT) {
				b = append(b, -1)
			}
			return b
		}}
	}
	return []Column{
		list("splt_direction", func(s Step) int64 { return int64(s.Direction) }),
		list("splt_ps", func(s Step) int64 { return int64(s.Size) }),
		list("splt_piat_"+cfg.unitName(), func(s Step) int64 { return int64(s.Gap) }),
	}
}

// columnsOf returns the columns of all plugins.
func (p *plugins) columnsOf() []Column {
	var list []Column
	for plugin, columns := range p.columns {
		for i, c := range columns {
			v := func(f *Flow) *value { return &f.Rows[plugin].values[i] }
			list = append(list, Column{
				Name: "udps." + c.Name, Type: c.Type,
				uint:   func(f *Flow) uint64 { return uint64(v(f).int) },
				float:  func(f *Flow) float64 { return v(f).float },
				flag:   func(f *Flow) bool { return v(f).flag },
				text:   func(b []byte, f *Flow) []byte { return append(b, v(f).text...) },
				ints:   func(b []int64, f *Flow) []int64 { return append(b, v(f).ints...) },
				floats: func(f *Flow) []float64 { return v(f).reals },
				set:    func(f *Flow) bool { return v(f).set },
			})
		}
	}
	return list
}

const (
	macText = 17 // bytes of text
	ouiText = 8
)

func appendMAC(b []byte, m nfpacket.MAC, n int) []byte {
	start := len(b)
	b, _ = m.AppendText(b)
	return b[:start+n]
}

// appendAddr appends an address as inet_ntop does, which writes what looks like an embedded IPv4 address as one.
func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is6() {
		if h := a.As16(); [12]byte(h[:12]) == [12]byte{} && (h[12] != 0 || h[13] != 0) {
			return netip.AddrFrom4([4]byte(h[12:])).AppendTo(append(b, "::"...))
		}
	}
	return a.AppendTo(b)
}
