package flowtable_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
)

const second = int64(time.Second)

// wheelModel is what a wheel should hold: for each timer, the tick at which it comes up.
type wheelModel struct {
	now   int64 // nanoseconds
	ticks map[flowtable.Ref]int64
	order map[flowtable.Ref]int // when it was scheduled, for ties
	count int
}

func newWheelModel() *wheelModel {
	return &wheelModel{ticks: map[flowtable.Ref]int64{}, order: map[flowtable.Ref]int{}}
}

// floor returns the last whole second that does not come after at.
func floor(at int64) int64 {
	n := at / second
	if n*second > at {
		n--
	}
	return n
}

// reach is how many ticks the wheel reaches ahead; timers beyond it come up early.
const reach = 1<<13 - 1

// tick returns when a timer comes up that is set for at: at a whole second, later than now, and within reach.
func (w *wheelModel) tick(at int64) int64 {
	now := floor(w.now)
	return min(max(-floor(-at), now+1), now+reach)
}

func (w *wheelModel) set(ref flowtable.Ref, at int64) {
	w.ticks[ref], w.order[ref] = w.tick(at), w.count
	w.count++
}

func (w *wheelModel) schedule(table *flowtable.Table[uint64, record, struct{}], ref flowtable.Ref, at int64) {
	table.Schedule(ref, at)
	w.set(ref, at)
}

func (w *wheelModel) cancel(ref flowtable.Ref) {
	delete(w.ticks, ref)
	delete(w.order, ref)
}

// advance moves both on, and compares what comes up. Time only moves on: see TestWheelClockBack.
func (w *wheelModel) advance(t *testing.T, table *flowtable.Table[uint64, record, struct{}], now int64) {
	t.Helper()
	w.now = max(w.now, now)
	var want []flowtable.Ref
	for ref, at := range w.ticks {
		if at <= floor(w.now) {
			want = append(want, ref)
			w.cancel(ref)
		}
	}
	got := table.Advance(w.now, nil)
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(t, want, got, "at %v", time.Duration(w.now))
}

func (w *wheelModel) checkSoonest(t *testing.T, table *flowtable.Table[uint64, record, struct{}]) {
	t.Helper()
	var want flowtable.Ref
	for ref, at := range w.ticks {
		if best := w.ticks[want]; want == 0 || at < best || at == best && w.order[ref] < w.order[want] {
			want = ref
		}
	}
	require.Equal(t, want, table.Soonest())
}

func TestWheelModel(t *testing.T) {
	for name, test := range map[string]struct {
		start   int64
		reach   int64 // deadlines lie up to this far ahead
		advance int64 // steps are up to this long
	}{
		"near":              {0, 40 * second, 3 * second},
		"below a second":    {0, 3 * second, second / 2},
		"far":               {0, 40_000 * second, 500 * second},
		"big jumps":         {0, 5000 * second, 30_000 * second},
		"real time":         {1_700_000_000_123_456_789, 8000 * second, 100 * second},
		"negative":          {-5000*second - 77, 400 * second, 20 * second},
		"long, small steps": {0, 100_000 * second, 2 * second},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			table := flowtable.New[uint64, record, struct{}]()
			w := newWheelModel()
			w.now = test.start
			w.advance(t, table, test.start)
			var refs []flowtable.Ref
			for key := range uint64(60) {
				refs = append(refs, table.Insert(spread(key), &key))
			}
			for range 4000 {
				ref := refs[r.IntN(len(refs))]
				switch r.IntN(8) {
				case 0, 1:
					w.schedule(table, ref, w.now+r.Int64N(test.reach)-test.reach/50)
				case 2:
					at := w.now + r.Int64N(test.reach)
					old, on := w.ticks[ref]
					moved := !on || w.tick(at) > old
					require.Equal(t, moved, table.Reschedule(ref, at))
					if moved {
						w.set(ref, at)
					}
				case 3:
					table.Cancel(ref)
					w.cancel(ref)
				case 4:
					w.checkSoonest(t, table)
				default:
					w.advance(t, table, w.now+r.Int64N(test.advance))
				}
			}
			w.advance(t, table, w.now+2*test.reach)
			require.Empty(t, w.ticks)
			require.Zero(t, table.Soonest())
		})
	}
}

func TestWheelClockBack(t *testing.T) {
	table := flowtable.New[uint64, record, struct{}]()
	key := uint64(1)
	ref := table.Insert(1, &key)
	table.Schedule(ref, 100*second)
	require.Empty(t, table.Advance(50*second, nil))
	require.Empty(t, table.Advance(20*second, nil))
	require.Empty(t, table.Advance(99*second, nil))
	require.Equal(t, []flowtable.Ref{ref}, table.Advance(100*second, nil))
}

func TestWheelPastDeadline(t *testing.T) {
	table := flowtable.New[uint64, record, struct{}]()
	key := uint64(1)
	ref := table.Insert(1, &key)
	table.Schedule(ref, 1)
	require.Equal(t, []flowtable.Ref{ref}, table.Advance(50*second, nil))
	table.Schedule(ref, 10*second)
	require.Empty(t, table.Advance(50*second+second/2, nil), "in the same second")
	require.Equal(t, []flowtable.Ref{ref}, table.Advance(51*second, nil))
	require.Empty(t, table.Advance(99*second, nil), "once")
}

func TestRemoveCancelsTimer(t *testing.T) {
	table := flowtable.New[uint64, record, struct{}]()
	var refs []flowtable.Ref
	for key := range uint64(3) {
		refs = append(refs, table.Insert(key, &key))
		table.Schedule(refs[key], 5*second)
	}
	table.Remove(refs[1])
	require.Equal(t, refs[0], table.Soonest())
	require.ElementsMatch(t, []flowtable.Ref{refs[0], refs[2]}, table.Advance(5*second, nil))
	require.Zero(t, table.Soonest())
}

// A timer more than a round ahead hides no nearer one that shares its slot.
func TestSoonestBehindFarTimer(t *testing.T) {
	for _, slots := range []int64{512, 1 << 13, 1 << 16} {
		table := flowtable.New[uint64, record, struct{}]()
		far, near := uint64(1), uint64(2)
		a, b := table.Insert(1, &far), table.Insert(2, &near)
		table.Advance(second, nil)
		table.Schedule(a, (10+slots)*second)
		table.Schedule(b, 10*second)
		require.Equal(t, b, table.Soonest(), slots)
		require.Equal(t, []flowtable.Ref{b}, table.Advance(10*second, nil))
		require.Equal(t, a, table.Soonest(), slots)
	}
}
