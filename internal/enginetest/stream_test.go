package enginetest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// faulty is an engine with a fault.
type faulty struct {
	*reassemble.Native
	fault string
}

func (e *faulty) Segment(h *reassemble.Half, s reassemble.Segment, out reassemble.Sink) reassemble.Result {
	switch e.fault {
	case "changes the caller's bytes":
		s.Data[0]++
	case "loses a segment":
		if s.Off == 4 {
			return reassemble.Held
		}
	case "wrong result":
		return e.Native.Segment(h, s, out) ^ reassemble.Known
	}
	return e.Native.Segment(h, s, &faultySink{out, e.fault})
}

func (e *faulty) Skip(h *reassemble.Half, to uint64, why reassemble.GapReason, out reassemble.Sink) {
	if e.fault != "skips nothing" {
		e.Native.Skip(h, to, why, &faultySink{out, e.fault})
	}
}

func (e *faulty) Close(h *reassemble.Half) {
	if e.fault != "closes nothing" {
		e.Native.Close(h)
	}
}

// faultySink is a sink that passes on something else than it was given.
type faultySink struct {
	reassemble.Sink
	fault string
}

func (k *faultySink) Data(h *reassemble.Half, off uint64, b []byte, o reassemble.Origin) {
	switch k.fault {
	case "wrong byte":
		b = append([]byte{b[0] + 1}, b[1:]...)
	case "wrong offset":
		off++
	case "wrong origin":
		o.Packet = 0
	case "wrong sequence number":
		o.Seq++
	case "data twice":
		k.Sink.Data(h, off, b, o)
	}
	k.Sink.Data(h, off, b, o)
}

func (k *faultySink) Gap(h *reassemble.Half, off, n uint64, why reassemble.GapReason) {
	switch k.fault {
	case "no gap":
		return
	case "long gap":
		n++
	case "wrong reason":
		why++
	}
	k.Sink.Gap(h, off, n, why)
}

func (k *faultySink) Old(h *reassemble.Half, off uint64, b []byte, o reassemble.Origin) {
	switch k.fault {
	case "no old bytes":
		return
	case "fewer old bytes":
		b = b[:len(b)-1]
	}
	k.Sink.Old(h, off, b, o)
}

func (k *faultySink) Conflict(h *reassemble.Half, off uint64, old, b []byte, keptNew bool, o reassemble.Origin) {
	switch k.fault {
	case "no conflict":
		return
	case "wrong winner":
		keptNew = !keptNew
	case "conflict swapped":
		old, b = b, old
	}
	k.Sink.Conflict(h, off, old, b, keptNew, o)
}

// failed is what a probe panics with where a test would stop.
type failed struct{}

// probe is a test that is expected to fail.
type probe struct {
	testing.TB
	said string
}

func (*probe) Helper()                     {}
func (p *probe) Errorf(f string, a ...any) { p.said = fmt.Sprintf(f, a...) }
func (*probe) FailNow()                    { panic(failed{}) }

// conversation has everything that an engine can get wrong.
func conversation(t testing.TB, e reassemble.Engine) {
	t.Helper()
	s := enginetest.Open(t, e, enginetest.Rules{Exact: true})
	s.Segment(0, []byte("abc"))
	s.Segment(4, []byte("efg"))
	s.Segment(6, []byte("Xh"))
	s.Segment(3, []byte("d"))
	s.Segment(1, []byte("bcd"))
	s.Segment(20, []byte("uvw"))
	s.Segment(30, []byte("z"))
	s.Skip(reassemble.ToHeld, reassemble.GapLost)
	s.Close()
}

// Each fault is noticed: a model that finds nothing proves nothing.
func TestFaultsAreFound(t *testing.T) {
	faults := []string{
		"changes the caller's bytes", "loses a segment", "wrong result", "skips nothing", "closes nothing", "wrong byte",
		"wrong offset", "wrong origin", "wrong sequence number", "data twice", "no gap", "long gap", "wrong reason",
		"no old bytes", "fewer old bytes", "no conflict", "wrong winner", "conflict swapped",
	}
	for _, fault := range faults {
		t.Run(fault, func(t *testing.T) {
			p := &probe{TB: t}
			func() {
				defer func() { _ = recover() }()
				conversation(p, &faulty{reassemble.NewNative(nil), fault})
			}()
			require.NotEmpty(t, p.said)
		})
	}
	conversation(t, &faulty{reassemble.NewNative(nil), ""})
}

func TestText(t *testing.T) {
	text := enginetest.Text(0, 1000)
	require.Equal(t, enginetest.Byte(999), text[999])
	require.Equal(t, text[300:400], enginetest.Text(300, 100))
	require.False(t, slices.Equal(text[:256], text[256:512]), "shifted bytes show")
}

func TestRun(t *testing.T) {
	p := &probe{TB: t}
	require.Panics(t, func() {
		enginetest.Run(p, &faulty{reassemble.NewNative(nil), "wrong byte"}, enginetest.Rules{Exact: true}, []byte{0, 1, 1}, false)
	})
	require.Contains(t, p.said, "origin's bytes")
}
