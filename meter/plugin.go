package meter

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
)

// Type is the type of a column.
type Type uint8

// The types of columns.
const (
	Uint64      Type = iota // unsigned integer
	Int64                   // signed integer
	Float64                 // floating-point number
	Bool                    // true or false
	Text                    // string
	Int64List               // list of signed integers
	Float64List             // list of floating-point numbers
)

// PluginColumn is a column that a plugin fills.
type PluginColumn struct {
	// Name is the name behind "udps.".
	Name string
	// Type is what its values are.
	Type Type
}

// Event is a packet that a plugin is called with. Borrowed: valid during the call.
type Event struct {
	*Packet
	// Direction is 0 from the flow's source, 1 to it.
	Direction uint8
	// Gap is the time since the flow's packet before this one, in Config.TimeUnit; 0 for the first.
	Gap uint64
}

// Plugin computes columns of its own from the packets of each flow. All calls come from the goroutine that feeds the meter.
//
// In OnInit and OnUpdate a plugin may end the flow, this packet included, by setting f.Expiration to [ExpiredByPlugin]; no
// other field of the flow may be changed. Everything is borrowed: valid during the call, but for what the plugin stores in
// its row.
type Plugin interface {
	// Columns declares the columns. It is called once, before all else.
	Columns() []PluginColumn
	// OnInit is called with the first packet of each flow, which counts already.
	OnInit(e *Event, f *Flow, r *Row)
	// OnUpdate is called with every later packet of the flow.
	OnUpdate(e *Event, f *Flow, r *Row)
	// OnExpire is called when the flow has ended, with its Expiration set.
	OnExpire(f *Flow, r *Row)
	// Close is called once after the last flow has ended.
	Close() error
}

// Row is what one plugin keeps of one flow: a value for each of its columns, missing until set.
type Row struct {
	// State is the plugin's own, nil at first.
	State  any
	values []value
}

// value is a value of a column.
type value struct {
	set   bool
	flag  bool
	int   int64
	float float64
	text  string
	ints  []int64
	reals []float64
}

// SetUint sets a value of a column of type Uint64.
func (r *Row) SetUint(column int, v uint64) { r.values[column] = value{set: true, int: int64(v)} }

// SetInt sets a value of a column of type Int64.
func (r *Row) SetInt(column int, v int64) { r.values[column] = value{set: true, int: v} }

// SetFloat sets a value of a column of type Float64.
func (r *Row) SetFloat(column int, v float64) { r.values[column] = value{set: true, float: v} }

// SetBool sets a value of a column of type Bool.
func (r *Row) SetBool(column int, v bool) { r.values[column] = value{set: true, flag: v} }

// SetText sets a value of a column of type Text.
func (r *Row) SetText(column int, v string) { r.values[column] = value{set: true, text: v} }

// SetInts sets a value of a column of type Int64List. Retained: the caller must not modify it.
func (r *Row) SetInts(column int, v []int64) { r.values[column] = value{set: true, ints: v} }

// SetFloats sets a value of a column of type Float64List. Retained: the caller must not modify it.
func (r *Row) SetFloats(column int, v []float64) { r.values[column] = value{set: true, reals: v} }

// Has reports whether a value was set.
func (r *Row) Has(column int) bool { return r.values[column].set }

// Uint returns the value of a column of type Uint64 or Int64, 0 if it is missing.
func (r *Row) Uint(column int) uint64 { return uint64(r.values[column].int) }

// Float returns the value of a column of type Float64, 0 if it is missing.
func (r *Row) Float(column int) float64 { return r.values[column].float }

// Text returns the value of a column of type Text, "" if it is missing.
func (r *Row) Text(column int) string { return r.values[column].text }

// clone returns a copy that shares the state.
func (r *Row) clone() Row {
	c := Row{State: r.State, values: slices.Clone(r.values)}
	for i := range c.values {
		v := &c.values[i]
		v.ints, v.reals = slices.Clone(v.ints), slices.Clone(v.reals)
	}
	return c
}

// plugins are those of a meter, with the rows of all flows.
type plugins struct {
	list    []Plugin
	columns [][]PluginColumn
	store   slab[[]Row]
	event   Event
}

func newPlugins(list []Plugin) (plugins, error) {
	p := plugins{list: list}
	names := map[string]bool{}
	for _, plugin := range list {
		if plugin == nil {
			return p, errors.New("meter: a plugin is nil")
		}
		columns := plugin.Columns()
		for _, c := range columns {
			if c.Name == "" || names[c.Name] {
				return p, fmt.Errorf("meter: two plugin columns named %q, or one without a name", c.Name)
			}
			names[c.Name] = true
			if c.Type > Float64List {
				return p, fmt.Errorf("meter: plugin column %q: no such type: %d", c.Name, c.Type)
			}
		}
		p.columns = append(p.columns, columns)
	}
	return p, nil
}

// open makes the rows of a flow. They are used again after forget.
func (p *plugins) open(ref flowtable.Ref) {
	if len(p.list) == 0 {
		return
	}
	rows := p.store.add(ref)
	if *rows == nil {
		*rows = make([]Row, len(p.list))
		for i := range *rows {
			(*rows)[i].values = make([]value, len(p.columns[i]))
		}
	}
	for i := range *rows {
		r := &(*rows)[i]
		r.State = nil
		clear(r.values)
	}
}

func (p *plugins) rows(ref flowtable.Ref) []Row {
	if len(p.list) == 0 {
		return nil
	}
	return *p.store.at(ref)
}

func (p *plugins) forget(ref flowtable.Ref) {
	if len(p.list) > 0 {
		p.store.remove(ref)
	}
}

// expire tells the plugins that a flow has ended.
func (p *plugins) expire(f *Flow) {
	for i, plugin := range p.list {
		plugin.OnExpire(f, &f.Rows[i])
	}
}

// close closes all plugins.
func (p *plugins) close() error {
	var errs []error
	for _, plugin := range p.list {
		errs = append(errs, plugin.Close())
	}
	p.list = nil
	return errors.Join(errs...)
}

// plug calls the plugins with a packet of a flow. It reports whether one of them ended it.
func (m *Meter) plug(ref flowtable.Ref, p *pending, direction uint8, gap uint64) bool {
	f, e := m.view(ref), &m.plugins.event
	*e = Event{&p.packet, direction, gap}
	first := f.Bidirectional.Packets == 1
	for i, plugin := range m.plugins.list {
		if first {
			plugin.OnInit(e, f, &f.Rows[i])
		} else {
			plugin.OnUpdate(e, f, &f.Rows[i])
		}
	}
	return f.Expiration == ExpiredByPlugin
}
