package reassemble_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

var policies = []reassemble.Overlap{
	reassemble.OverlapFirst, reassemble.OverlapBSD, reassemble.OverlapLinux, reassemble.OverlapOldLinux,
	reassemble.OverlapSolaris, reassemble.OverlapLast,
}

func native(p reassemble.Overlap) *reassemble.Native {
	return reassemble.NewNative(&reassemble.NativeConfig{Overlap: p})
}

func open(t *testing.T, p reassemble.Overlap) *enginetest.Stream {
	t.Helper()
	return enginetest.Open(t, native(p), enginetest.Rules{Overlap: p, Exact: true})
}

// The models of Novak and Sturges, "Target-Based TCP Stream Reassembly" (2007), as Suricata's tests have them. A word
// is a segment: its bytes and, behind @, the place of the first, counted from 1.
var models = map[string]struct {
	segments string
	want     map[string]string // by policy; "." is a hole, "others" is for the policies that are not named
}{
	"all": {
		"AAA@2 BB@6 CCC@8 D@12 EE@15 FFF@17 GG@20 HH@22 I@24 JJJJ@3 KKK@8 LLL@11 MMM@14 N@18 O@21 P@22 QQ@24 0@1",
		map[string]string{
			"first":     "0AAAJBBCCCLDLMEEFFFGGHHIQ",
			"bsd":       "0AAAJJBCCCLLLMMMFFFGGHHIQ",
			"linux":     "0AAAJJBCCCLLLMMMFFFGGHHQQ",
			"old-linux": "0AAAJJBKKKLLLMMMFFFGGHHQQ",
			"solaris":   "0AJJJBBKKKLLLMMMFFFGGHHQQ",
			"last":      "0AJJJJBKKKLLLMMMFNFGOPHQQ",
		},
	},
	"before": {
		"B@3 D@9 EE@12 AA@2 JJJJ@1 LLL@8 MMM@11",
		map[string]string{"first": "JABJ...LDLMEE", "others": "JJJJ...LLLMMM"},
	},
	"same": {
		"CCC@1 HH@15 II@17 KKK@1 LLLL@1 P@15 QQ@15",
		map[string]string{
			"first": "CCCL..........HHII", "bsd": "CCCL..........HHII", "linux": "LLLL..........HHII",
			"others": "LLLL..........QQII",
		},
	},
	"after": {
		"AA@1 FFF@16 GG@19 JJ@2 O@20 N@17",
		map[string]string{
			"solaris": "AJJ............FFFGG", "last": "AJJ............FNFGO", "others": "AAJ............FFFGG",
		},
	},
	"longer copy, other beginning": {
		"aaaa@2 bbbbbb@2 0@1",
		map[string]string{"first": "0aaaabb", "bsd": "0aaaabb", "others": "0bbbbbb"},
	},
	"ladder": {
		strings.Repeat("a", 10) + "@2 " + strings.Repeat("b", 10) + "@12 " + strings.Repeat("c", 10) + "@32 " +
			strings.Repeat("d", 20) + "@12 " + strings.Repeat("e", 50) + "@1",
		map[string]string{"bsd": strings.Repeat("e", 50), "linux": strings.Repeat("e", 50), "last": strings.Repeat("e", 50)},
	},
}

func TestOverlapModels(t *testing.T) {
	for name, m := range models {
		for _, p := range policies {
			want, ok := m.want[p.String()]
			if !ok {
				if want, ok = m.want["others"]; !ok {
					continue
				}
			}
			t.Run(name+"/"+p.String(), func(t *testing.T) {
				s := open(t, p)
				for word := range strings.FieldsSeq(m.segments) {
					data, at, _ := strings.Cut(word, "@")
					off := uint64(0)
					for _, c := range at {
						off = off*10 + uint64(c-'0')
					}
					s.Segment(off, []byte(data)) // place 1 is offset 1: what is there waits, too
				}
				require.Zero(t, s.Half.Next)
				s.SkipAll(reassemble.GapEnd)
				require.Equal(t, strings.ReplaceAll(want, ".", "\x00"), string(s.Got[1:]))
				require.Zero(t, s.Half.Buffered)
			})
		}
	}
}

func TestConflictOnlyWhereBytesDiffer(t *testing.T) {
	type event struct {
		off      uint64
		old, new string
		keptNew  bool
	}
	for name, test := range map[string]struct {
		segments map[string]uint64
		second   string
		want     []event
	}{
		"the same bytes":      {second: "bcdef"},
		"other bytes":         {second: "bXdef", want: []event{{5, "bcdef", "bXdef", false}}},
		"two held runs":       {second: "bcdef..XYZ", want: []event{{12, "uvw", "XYZ", false}}},
		"between held runs":   {second: "bcdef??"},
		"in both held runs":   {second: "bcdeF..uvX", want: []event{{5, "bcdef", "bcdeF", false}, {12, "uvw", "uvX", false}}},
		"in front and inside": {second: "bcdef", want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := native(reassemble.OverlapFirst)
			var h reassemble.Half
			var got []event
			out := &sink{conflict: func(off uint64, old, b []byte, keptNew bool) {
				got = append(got, event{off, string(old), string(b), keptNew})
			}}
			segment(e, &h, 5, "bcdef", out)
			segment(e, &h, 12, "uvw", out)
			segment(e, &h, 5, test.second, out)
			require.Equal(t, test.want, got)
		})
	}
}

// sink calls back what a test wants to see.
type sink struct {
	data     func(off uint64, b []byte)
	gap      func(off, n uint64)
	old      func(off uint64, b []byte)
	conflict func(off uint64, old, b []byte, keptNew bool)
}

func (s *sink) Data(_ *reassemble.Half, off uint64, b []byte, _ reassemble.Origin) {
	if s.data != nil {
		s.data(off, b)
	}
}

func (s *sink) Gap(_ *reassemble.Half, off, n uint64, _ reassemble.GapReason) {
	if s.gap != nil {
		s.gap(off, n)
	}
}

func (s *sink) Old(_ *reassemble.Half, off uint64, b []byte, _ reassemble.Origin) {
	if s.old != nil {
		s.old(off, b)
	}
}

func (s *sink) Conflict(_ *reassemble.Half, off uint64, old, b []byte, keptNew bool, _ reassemble.Origin) {
	if s.conflict != nil {
		s.conflict(off, old, b, keptNew)
	}
}

func segment(e reassemble.Engine, h *reassemble.Half, off uint64, data string, out reassemble.Sink) reassemble.Result {
	return e.Segment(h, reassemble.Segment{Off: off, Data: []byte(data)}, out)
}

func TestSegmentResult(t *testing.T) {
	type step struct {
		off  uint64
		data string
		want reassemble.Result
	}
	const delivered, held, known = reassemble.Delivered, reassemble.Held, reassemble.Known
	for name, steps := range map[string][]step{
		"in order":         {{0, "ab", delivered}, {2, "cd", delivered}},
		"hole":             {{2, "cd", held}, {0, "ab", delivered}},
		"duplicate":        {{0, "ab", delivered}, {0, "ab", known}, {1, "b", known}},
		"duplicate held":   {{2, "cd", held}, {2, "cd", held | known}},
		"new tail":         {{0, "ab", delivered}, {1, "bc", delivered | known}},
		"covers held":      {{2, "c", held}, {0, "abcd", delivered | known}},
		"meets held":       {{4, "e", held}, {0, "abcde", delivered | known}},
		"up to held":       {{4, "e", held}, {0, "abcd", delivered}},
		"old, held beyond": {{0, "ab", delivered}, {4, "e", held}, {1, "bcdef", delivered | known}},
		"behind held":      {{4, "e", held}, {6, "g", held}, {5, "f", held}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, reassemble.OverlapBSD)
			for _, st := range steps {
				require.Equal(t, st.want, s.Segment(st.off, []byte(st.data)))
			}
			require.True(t, strings.HasPrefix("abcdefg", string(s.Got)))
		})
	}
}

func TestSkip(t *testing.T) {
	for name, test := range map[string]struct {
		held []uint64 // offsets of two bytes each
		to   uint64
		next uint64
		gap  uint64
	}{
		"nothing held, to held":    {nil, reassemble.ToHeld, 10, 0},
		"nothing held, beyond":     {nil, 15, 15, 5},
		"nothing held, far beyond": {nil, 1 << 40, 1 << 40, 1<<40 - 10},
		"backwards":                {[]uint64{20}, 3, 10, 0},
		"to Next":                  {[]uint64{20}, 10, 10, 0},
		"short of held":            {[]uint64{20}, 15, 15, 5},
		"exactly to held":          {[]uint64{20}, 20, 22, 10},
		"into held":                {[]uint64{20}, 21, 22, 10},
		"past held":                {[]uint64{20, 30}, 100, 22, 10},
		"to held":                  {[]uint64{20, 30}, reassemble.ToHeld, 22, 10},
		"neighbours follow":        {[]uint64{20, 22, 24, 30}, reassemble.ToHeld, 26, 10},
	} {
		t.Run(name, func(t *testing.T) {
			e := native(reassemble.OverlapBSD)
			h := reassemble.Half{Next: 10}
			e.Open(&h, 1)
			var gap uint64
			out := &sink{gap: func(off, n uint64) {
				require.Equal(t, uint64(10), off)
				gap += n
			}}
			for _, off := range test.held {
				segment(e, &h, off, "ab", out)
			}
			e.Skip(&h, test.to, reassemble.GapLost, out)
			require.Equal(t, test.next, h.Next)
			require.Equal(t, test.gap, gap)
		})
	}
}

func TestCloseDeliversNothing(t *testing.T) {
	e := native(reassemble.OverlapBSD)
	s := enginetest.Open(t, e, enginetest.Rules{Exact: true})
	other := enginetest.Open(t, e, enginetest.Rules{Exact: true})
	for i := range uint64(100) {
		s.Segment(3+i*7, []byte("abc"))
		other.Segment(1+i, []byte("x"))
	}
	s.Close()
	require.Empty(t, s.Got)
	s.Close() // of what is closed
	other.Segment(0, []byte("x"))
	require.Len(t, other.Got, 101)
	require.Zero(t, other.Half.Buffered)
}

func TestBufferedReturnsToZero(t *testing.T) {
	const n = 300
	text := enginetest.Text(0, n*10)
	for seed := range uint64(50) {
		e := native(policies[seed%6])
		s := enginetest.Open(t, e, enginetest.Rules{Overlap: policies[seed%6], Exact: true})
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(n) {
			end := min(len(text), i*10+10+int(seed%17))
			s.Segment(uint64(i*10), text[i*10:end])
		}
		require.Equal(t, text, s.Got)
		require.Zero(t, s.Half.Buffered)
		require.Zero(t, s.Half.Ref)
	}
}

func TestLongSegments(t *testing.T) {
	for _, n := range []int{1, 31, 32, 33, 1900, 1901, 65_535, 128 << 10, 128<<10 + 1, 1 << 20} {
		e := native(reassemble.OverlapBSD)
		var h reassemble.Half
		var got []byte
		out := &sink{data: func(_ uint64, b []byte) { got = append(got, b...) }}
		text := enginetest.Text(0, n+1)
		require.Equal(t, reassemble.Held, segment(e, &h, 1, string(text[1:]), out))
		require.Equal(t, reassemble.Delivered, segment(e, &h, 0, string(text[:1]), out))
		require.True(t, bytes.Equal(text, got), n)
		require.Zero(t, h.Buffered)
	}
}

func TestPanickingSink(t *testing.T) {
	for name, feed := range map[string]func(e reassemble.Engine, h *reassemble.Half, out reassemble.Sink){
		"data":      func(e reassemble.Engine, h *reassemble.Half, out reassemble.Sink) { segment(e, h, 0, "ab", out) },
		"held data": func(e reassemble.Engine, h *reassemble.Half, out reassemble.Sink) { segment(e, h, 0, "abcd", out) },
		"gap": func(e reassemble.Engine, h *reassemble.Half, out reassemble.Sink) {
			e.Skip(h, reassemble.ToHeld, 0, out)
		},
		"conflict": func(e reassemble.Engine, h *reassemble.Half, out reassemble.Sink) { segment(e, h, 4, "XXX", out) },
	} {
		t.Run(name, func(t *testing.T) {
			e := native(reassemble.OverlapLast)
			var h reassemble.Half
			segment(e, &h, 4, "efg", &sink{})
			bad := &sink{
				data:     func(uint64, []byte) { panic("bad sink") },
				gap:      func(uint64, uint64) { panic("bad sink") },
				conflict: func(uint64, []byte, []byte, bool) { panic("bad sink") },
			}
			require.PanicsWithValue(t, "bad sink", func() { feed(e, &h, bad) })
			var got []byte
			out := &sink{data: func(_ uint64, b []byte) { got = append(got, b...) }}
			if h.Next < 4 {
				segment(e, &h, h.Next, "abcd"[h.Next:], out)
			}
			segment(e, &h, 7, "hij", out)
			require.Equal(t, uint64(10), h.Next)
			require.Equal(t, "efghij", string(got[len(got)-6:]), "what is held is still there")
			require.Zero(t, h.Buffered)
		})
	}
}

func TestNativeDoesNotAllocate(t *testing.T) {
	data := enginetest.Text(0, 1400)
	for name, order := range map[string][]uint64{
		"in order":     {0, 1, 2, 3},
		"pair-swapped": {1, 0, 3, 2},
		"reversed":     {3, 2, 1, 0},
		"twice":        {2, 2, 0, 0, 1, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			e := native(reassemble.OverlapBSD)
			var h reassemble.Half
			out := &sink{}
			require.Zero(t, testing.AllocsPerRun(200, func() {
				at := h.Next
				for _, i := range order {
					e.Segment(&h, reassemble.Segment{Off: at + i*1400, Data: data}, out)
				}
			}))
			require.Equal(t, uint64(201*4*1400), h.Next)
		})
	}
}

func TestSetOverlap(t *testing.T) {
	e := reassemble.NewNative(nil)
	s := enginetest.Open(t, e, enginetest.Rules{Overlap: reassemble.OverlapLast, Exact: true})
	e.SetOverlap(reassemble.OverlapLast)
	s.Segment(1, []byte("aaa"))
	s.Segment(2, []byte("b"))
	s.Segment(0, []byte("0"))
	require.Equal(t, "0aba", string(s.Got))
}

func TestConform(t *testing.T) {
	enginetest.Conform(t, func() reassemble.Engine { return reassemble.NewNative(nil) }, enginetest.Rules{Exact: true})
}
