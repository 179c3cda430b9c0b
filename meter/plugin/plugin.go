// Package plugin holds plugins for the flow meter: the ones that come with NFStream, and some that its users ask for.
package plugin

import (
	"fmt"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
)

// base has what most plugins need not do.
type base struct{}

// OnInit implements [meter.Plugin].
func (base) OnInit(*meter.Event, *meter.Flow, *meter.Row) {}

// OnUpdate implements [meter.Plugin].
func (base) OnUpdate(*meter.Event, *meter.Flow, *meter.Row) {}

// OnExpire implements [meter.Plugin].
func (base) OnExpire(*meter.Flow, *meter.Row) {}

// Close implements [meter.Plugin].
func (base) Close() error { return nil }

// state returns what a plugin keeps of a flow, made when it is first asked for.
func state[T any](r *meter.Row) *T {
	s, ok := r.State.(*T)
	if !ok {
		s = new(T)
		r.State = s
	}
	return s
}

type slicer struct {
	base
	limit uint64
}

// Slicer returns a plugin that ends flows after so many packets: NFStream's FlowSlicer. It has no columns.
func Slicer(limit int) (meter.Plugin, error) {
	if limit < 1 {
		return nil, fmt.Errorf("plugin: slices of %d packets", limit)
	}
	return &slicer{limit: uint64(limit)}, nil
}

// Columns implements [meter.Plugin].
func (*slicer) Columns() []meter.PluginColumn { return nil }

// OnInit implements [meter.Plugin].
func (s *slicer) OnInit(_ *meter.Event, f *meter.Flow, _ *meter.Row) {
	if f.Bidirectional.Packets >= s.limit {
		f.Expiration = meter.ExpiredByPlugin
	}
}

// OnUpdate implements [meter.Plugin].
func (s *slicer) OnUpdate(e *meter.Event, f *meter.Flow, r *meter.Row) { s.OnInit(e, f, r) }

type splt struct {
	base
	length int
	mode   nfpacket.Accounting
}

type sequence struct{ directions, sizes, gaps []int64 }

// SPLT returns a plugin that keeps directions, sizes and gaps of the first packets, -1 for those that did not come:
// NFStream's SPLT. Beside Config.SPLT it may have a mode of its own.
func SPLT(length int, mode nfpacket.Accounting) (meter.Plugin, error) {
	if length < 1 || length > meter.MaxSPLT {
		return nil, fmt.Errorf("plugin: SPLT of %d packets: 1 to %d are possible", length, meter.MaxSPLT)
	}
	if mode > nfpacket.PayloadSize {
		return nil, fmt.Errorf("plugin: no such accounting mode: %d", mode)
	}
	return &splt{length: length, mode: mode}, nil
}

// Columns implements [meter.Plugin].
func (*splt) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{{Name: "splt_direction", Type: meter.Int64List}, {Name: "splt_ps", Type: meter.Int64List}, {Name: "splt_piat_ms", Type: meter.Int64List}}
}

// OnInit implements [meter.Plugin].
func (s *splt) OnInit(e *meter.Event, f *meter.Flow, r *meter.Row) { s.OnUpdate(e, f, r) }

// OnUpdate implements [meter.Plugin].
func (s *splt) OnUpdate(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	q := state[sequence](r)
	if len(q.sizes) < s.length {
		q.directions = append(q.directions, int64(e.Direction))
		q.sizes = append(q.sizes, int64(e.Sizes[s.mode]))
		q.gaps = append(q.gaps, int64(e.Gap))
	}
}

// OnExpire implements [meter.Plugin].
func (s *splt) OnExpire(_ *meter.Flow, r *meter.Row) {
	q := state[sequence](r)
	for i, v := range [][]int64{q.directions, q.sizes, q.gaps} {
		for len(v) < s.length {
			v = append(v, -1)
		}
		r.SetInts(i, v)
	}
}

type payload struct{ base }

type payloads struct{ bytes, packets [2]uint64 }

// Payload returns a plugin that counts the bytes of transport payload, and the packets that have some, by direction.
func Payload() meter.Plugin { return payload{} }

// Columns implements [meter.Plugin].
func (payload) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{
		{Name: "src2dst_payload_bytes"}, {Name: "dst2src_payload_bytes"}, {Name: "src2dst_payload_packets"}, {Name: "dst2src_payload_packets"},
	}
}

// OnInit implements [meter.Plugin].
func (p payload) OnInit(e *meter.Event, f *meter.Flow, r *meter.Row) { p.OnUpdate(e, f, r) }

// OnUpdate implements [meter.Plugin].
func (payload) OnUpdate(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	if n := e.Sizes[nfpacket.PayloadSize]; n > 0 {
		s := state[payloads](r)
		s.bytes[e.Direction] += uint64(n)
		s.packets[e.Direction]++
	}
}

// OnExpire implements [meter.Plugin].
func (payload) OnExpire(_ *meter.Flow, r *meter.Row) {
	s := state[payloads](r)
	for i := range 2 {
		r.SetUint(i, s.bytes[i])
		r.SetUint(2+i, s.packets[i])
	}
}

type fingerprints struct{ base }

// JA4 returns a plugin with the fingerprints of TLS, DTLS and QUIC hellos, each in a column of its own. It takes them from
// dissection: Config.Dissections must not be 0.
func JA4() meter.Plugin { return fingerprints{} }

// Columns implements [meter.Plugin].
func (fingerprints) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{{Name: "ja3", Type: meter.Text}, {Name: "ja3s", Type: meter.Text}, {Name: "ja4", Type: meter.Text}}
}

// OnExpire implements [meter.Plugin].
func (fingerprints) OnExpire(f *meter.Flow, r *meter.Row) {
	for i, v := range []string{f.Application.JA3, f.Application.JA3S, f.Application.JA4} {
		if v != "" {
			r.SetText(i, v)
		}
	}
}
