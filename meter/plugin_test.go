package meter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// recorder notes its calls.
type recorder struct {
	calls   []string
	endAt   uint64 // the packet that ends the flow, 0 for none
	columns []meter.PluginColumn
	closing error
}

func (r *recorder) Columns() []meter.PluginColumn { return r.columns }

func (r *recorder) OnInit(e *meter.Event, f *meter.Flow, row *meter.Row) { r.note("init", e, f, row) }

func (r *recorder) OnUpdate(e *meter.Event, f *meter.Flow, row *meter.Row) {
	r.note("update", e, f, row)
}

func (r *recorder) note(what string, e *meter.Event, f *meter.Flow, row *meter.Row) {
	n, _ := row.State.(int)
	row.State = n + 1
	r.calls = append(r.calls, fmt.Sprintf("%s %d gap %d packets %d state %d", what, e.Direction, e.Gap, f.Bidirectional.Packets, n))
	if f.Bidirectional.Packets == r.endAt {
		f.Expiration = meter.ExpiredByPlugin
	}
}

func (r *recorder) OnExpire(f *meter.Flow, _ *meter.Row) {
	r.calls = append(r.calls, fmt.Sprintf("expire %d packets %d", f.Expiration, f.Bidirectional.Packets))
}

func (r *recorder) Close() error {
	r.calls = append(r.calls, "close")
	return r.closing
}

// TestPluginCalls: a plugin sees each packet once it counts, and can end the flow with it.
func TestPluginCalls(t *testing.T) {
	frames := []packet.Frame{udp(0, 1, false, 1), udp(5, 1, true, 1), udp(7, 1, false, 1)}
	for _, tt := range []struct {
		name  string
		endAt uint64
		want  []string
	}{
		{"to the end", 0, []string{
			"init 0 gap 0 packets 1 state 0", "update 1 gap 5 packets 2 state 1", "update 0 gap 2 packets 3 state 2", "expire 0 packets 3", "close",
		}},
		{"ended at the second", 2, []string{
			"init 0 gap 0 packets 1 state 0", "update 1 gap 5 packets 2 state 1", "expire -1 packets 2",
			"init 0 gap 0 packets 1 state 0", "expire 0 packets 1", "close",
		}},
		{"ended at the first", 1, []string{
			"init 0 gap 0 packets 1 state 0", "expire -1 packets 1", "init 0 gap 0 packets 1 state 0", "expire -1 packets 1",
			"init 0 gap 0 packets 1 state 0", "expire -1 packets 1", "close",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{endAt: tt.endAt}
			run(t, config(func(c *meter.Config) { c.Plugins = []meter.Plugin{r} }), frames...)
			require.Equal(t, tt.want, r.calls)
		})
	}
}

// TestPluginsTogether: each has a row of its own; the error of closing one comes out.
func TestPluginsTogether(t *testing.T) {
	a, b := &recorder{}, &recorder{closing: errors.New("no room")}
	m, err := meter.New(func(*meter.Flow) {}, config(func(c *meter.Config) { c.Plugins = []meter.Plugin{a, b} }))
	require.NoError(t, err)
	f := udp(0, 1, false, 1)
	m.Feed(&f)
	require.ErrorContains(t, m.Flush(), "no room")
	require.Equal(t, a.calls, b.calls)
	same := []meter.PluginColumn{{Name: "x"}}
	_, err = meter.New(func(*meter.Flow) {}, config(func(c *meter.Config) {
		c.Plugins = []meter.Plugin{&recorder{columns: same}, &recorder{columns: same}}
	}))
	require.ErrorContains(t, err, `"x"`)
	_, err = meter.New(func(*meter.Flow) {}, config(func(c *meter.Config) {
		c.Plugins = []meter.Plugin{&recorder{columns: []meter.PluginColumn{{Name: "x", Type: 99}}}}
	}))
	require.ErrorContains(t, err, "type")
}

// counting counts packets whose IP packet has a certain size.
type counting struct{ size uint32 }

func (*counting) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{{Name: "packets_of_555"}}
}

func (c *counting) OnInit(e *meter.Event, f *meter.Flow, r *meter.Row) { c.OnUpdate(e, f, r) }

func (c *counting) OnUpdate(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	n := r.Uint(0)
	if e.Sizes[1] == c.size {
		n++
	}
	r.SetUint(0, n)
}

func (*counting) OnExpire(*meter.Flow, *meter.Row) {}
func (*counting) Close() error                     { return nil }

// A plugin that counts packets of 555 bytes.
func ExamplePlugin() {
	ip, u := pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.UDP{Src: 1, Dst: 2}
	var b packet.Batch
	for _, size := range []int{555, 100, 555} {
		b.Frames = append(b.Frames, pktgen.Frame(start, pktgen.Ethernet{}, ip, u, pktgen.Payload(make([]byte, size-28))))
	}
	cfg := meter.DefaultConfig()
	cfg.Plugins = []meter.Plugin{&counting{size: 555}}
	m, err := meter.New(func(f *meter.Flow) { fmt.Println(f.Rows[0].Uint(0), "of", f.Bidirectional.Packets) }, &cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	m.FeedBatch(&b)
	if err := m.Flush(); err != nil {
		fmt.Println(err)
	}
	// Output: 2 of 3
}

// predictor calls a model with the features of each flow when it has ended.
type predictor struct {
	model func(packets, bytes float64) string
}

func (*predictor) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{{Name: "prediction", Type: meter.Text}}
}
func (*predictor) OnInit(*meter.Event, *meter.Flow, *meter.Row)   {}
func (*predictor) OnUpdate(*meter.Event, *meter.Flow, *meter.Row) {}
func (p *predictor) OnExpire(f *meter.Flow, r *meter.Row) {
	r.SetText(0, p.model(float64(f.Bidirectional.Packets), float64(f.Bidirectional.Bytes)))
}
func (*predictor) Close() error { return nil }

// A plugin that predicts what a flow is when it has ended.
func ExamplePlugin_prediction() {
	file, err := pcapfile.Open("../testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	cfg := meter.DefaultConfig()
	cfg.Plugins = []meter.Plugin{&predictor{model: func(packets, bytes float64) string {
		if bytes/packets > 200 {
			return "download"
		}
		return "chat"
	}}}
	all, err := meter.Columns(&cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	columns, err := meter.Select(all, []string{"dst_port", "udps.prediction"})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := meter.NewJSON(os.Stdout, columns)
	for f, err := range meter.Flows(context.Background(), file, &cfg) {
		if err == nil {
			err = w.Write(f)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := w.Close(); err != nil {
		fmt.Println(err)
	}
	// Output: {"dst_port":80,"udps.prediction":"download"}
}
