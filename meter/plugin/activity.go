package plugin

import (
	"fmt"
	"math"
	"time"

	"github.com/tcpfollow/tcpfollow/meter"
)

type activity struct {
	base
	pause int64
}

// phases are the stretches of a flow with packets, and those without.
type phases struct {
	begin, last  int64
	active, idle series
}

// series is a distribution of times in milliseconds.
type series struct {
	n                        float64
	min, max, mean, deviance float64
}

func (s *series) add(v float64) {
	if s.n++; s.n == 1 {
		*s = series{n: 1, min: v, max: v, mean: v}
		return
	}
	s.min, s.max = min(s.min, v), max(s.max, v)
	old := s.mean
	s.mean += (v - old) / s.n
	s.deviance += float64((v - old) * (v - s.mean))
}

func (s *series) stddev() float64 {
	if s.n < 2 {
		return 0
	}
	return math.Sqrt(s.deviance / (s.n - 1))
}

// Activity returns a plugin with features as CICFlowMeter has them: how long the flow was active without a pause longer than
// the given one, how long the pauses were, in milliseconds, and rates of bytes and packets over the flow's duration, which
// are 0 when it has none.
func Activity(pause time.Duration) (meter.Plugin, error) {
	if pause <= 0 {
		return nil, fmt.Errorf("plugin: a pause of %v", pause)
	}
	return &activity{pause: int64(pause)}, nil
}

// Columns implements [meter.Plugin].
func (*activity) Columns() []meter.PluginColumn {
	var list []meter.PluginColumn
	for _, name := range []string{
		"active_min_ms", "active_mean_ms", "active_stddev_ms", "active_max_ms", "idle_min_ms", "idle_mean_ms", "idle_stddev_ms", "idle_max_ms",
		"bidirectional_bytes_per_s", "bidirectional_packets_per_s", "src2dst_packets_per_s", "dst2src_packets_per_s", "down_up_ratio",
	} {
		list = append(list, meter.PluginColumn{Name: name, Type: meter.Float64})
	}
	return list
}

// OnInit implements [meter.Plugin].
func (*activity) OnInit(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	s := state[phases](r)
	s.begin, s.last = e.Time, e.Time
}

// OnUpdate implements [meter.Plugin].
func (a *activity) OnUpdate(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	s := state[phases](r)
	now := max(e.Time, s.last)
	if gap := now - s.last; gap > a.pause {
		s.active.add(milliseconds(s.last - s.begin))
		s.idle.add(milliseconds(gap))
		s.begin = now
	}
	s.last = now
}

// OnExpire implements [meter.Plugin].
func (*activity) OnExpire(f *meter.Flow, r *meter.Row) {
	s := state[phases](r)
	s.active.add(milliseconds(s.last - s.begin))
	for i, d := range []*series{&s.active, &s.idle} {
		for j, v := range []float64{d.min, d.mean, d.stddev(), d.max} {
			r.SetFloat(4*i+j, v)
		}
	}
	total := float64(s.active.mean*s.active.n) + float64(s.idle.mean*s.idle.n) // never fused, so that no machine differs
	for i, n := range []uint64{f.Bidirectional.Bytes, f.Bidirectional.Packets, f.Src2Dst.Packets, f.Dst2Src.Packets} {
		rate := 0.0
		if total > 0 {
			rate = float64(n) / total * 1000
		}
		r.SetFloat(8+i, rate)
	}
	if f.Src2Dst.Packets > 0 {
		r.SetFloat(12, float64(f.Dst2Src.Packets)/float64(f.Src2Dst.Packets))
	}
}

func milliseconds(ns int64) float64 { return float64(ns) / 1e6 }
