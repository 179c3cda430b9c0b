package gopacketreassembly

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// state returns how many connections the assembler knows, and how many of its pages are in use.
func state(e *Engine) (conns, pages int) {
	conns = reflect.ValueOf(e.pool).Elem().FieldByName("conns").Len()
	driver := reflect.ValueOf(e.Engine).Elem().FieldByName("assembler").Elem().Elem()
	cache := driver.FieldByName("assembler").Elem().FieldByName("pc").Elem()
	return conns, int(cache.FieldByName("used").Int())
}

// quiet is a sink that takes everything.
type quiet struct{}

func (quiet) Data(*reassemble.Half, uint64, []byte, reassemble.Origin)                   {}
func (quiet) Gap(*reassemble.Half, uint64, uint64, reassemble.GapReason)                 {}
func (quiet) Old(*reassemble.Half, uint64, []byte, reassemble.Origin)                    {}
func (quiet) Conflict(*reassemble.Half, uint64, []byte, []byte, bool, reassemble.Origin) {}

func TestPoolIsLeftEmpty(t *testing.T) {
	data := enginetest.Text(0, 5000)
	segment := func(e *Engine, h *reassemble.Half, off uint64, n int) {
		e.Segment(h, reassemble.Segment{Off: off, Data: data[:n]}, quiet{})
	}
	e := New()
	var open []*reassemble.Half
	for i := range uint64(100_000) {
		h := &reassemble.Half{Next: i}
		e.Open(h, i)
		switch i % 7 {
		case 1: // in order
			segment(e, h, i, 3)
		case 2: // held
			segment(e, h, i+5, 3)
		case 3: // held, more than a page
			segment(e, h, i+5, 5000)
		case 4: // far away
			segment(e, h, i+3<<20, 3)
		case 5: // nothing but a gap
			e.Skip(h, i+1<<33, reassemble.GapLost, quiet{})
		case 6:
			segment(e, h, i, 3)
			e.Skip(h, i+9, reassemble.GapLost, quiet{})
		}
		if open = append(open, h); len(open) == 10 {
			e.Close(open[0])
			open = open[1:]
		}
	}
	for _, h := range open {
		e.Close(h)
		require.Equal(t, reassemble.Half{Next: h.Next}, *h)
	}
	conns, pages := state(e)
	require.Zero(t, conns)
	require.Zero(t, pages)
}

// The figures above mean something.
func TestPoolIsUsed(t *testing.T) {
	e := New()
	s := enginetest.Open(t, e, enginetest.Rules{Overlap: reassemble.OverlapLast})
	s.Segment(5, enginetest.Text(0, 5000))
	conns, pages := state(e)
	require.Equal(t, 1, conns)
	require.Equal(t, 3, pages)
	s.SkipAll(reassemble.GapEnd)
	_, pages = state(e)
	require.Zero(t, pages)
}
