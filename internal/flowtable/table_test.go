package flowtable_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
)

type record struct {
	value uint64
	_     [24]uint64
}

// model is a table and what it should hold.
type model struct {
	table *flowtable.Table[uint64, record, struct{}]
	refs  map[uint64]flowtable.Ref
	value map[uint64]uint64
	hash  func(uint64) uint64
}

func newModel(hash func(uint64) uint64) *model {
	return &model{flowtable.New[uint64, record, struct{}](), map[uint64]flowtable.Ref{}, map[uint64]uint64{}, hash}
}

func (m *model) insert(t *testing.T, key uint64) {
	t.Helper()
	if _, ok := m.refs[key]; ok {
		return
	}
	ref := m.table.Insert(m.hash(key), &key)
	require.NotZero(t, ref)
	require.Equal(t, record{}, *m.table.At(ref), "a new record is zero")
	m.table.At(ref).value = key * 3
	m.refs[key], m.value[key] = ref, key*3
}

func (m *model) remove(key uint64) {
	if ref, ok := m.refs[key]; ok {
		m.table.Remove(ref)
		delete(m.refs, key)
		delete(m.value, key)
	}
}

// check looks a key up that may be there or not.
func (m *model) check(t *testing.T, key uint64) {
	t.Helper()
	ref := m.table.Lookup(m.hash(key), &key)
	require.Equal(t, m.refs[key], ref)
	if ref != 0 {
		require.Equal(t, m.value[key], m.table.At(ref).value)
		require.Equal(t, key, *m.table.Key(ref))
	}
}

func (m *model) checkAll(t *testing.T) {
	t.Helper()
	require.Equal(t, len(m.refs), m.table.Len())
	seen := map[flowtable.Ref]bool{}
	for ref := range m.table.All {
		require.False(t, seen[ref], "met twice")
		seen[ref] = true
		require.Equal(t, m.refs[*m.table.Key(ref)], ref)
	}
	require.Len(t, seen, len(m.refs))
	for key := range m.refs {
		m.check(t, key)
	}
}

func spread(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 17 }

// hashes are ways to hash that a table must bear.
var hashes = map[string]func(uint64) uint64{
	"spread":        spread,
	"colliding":     func(key uint64) uint64 { return key % 3 },
	"all the same":  func(uint64) uint64 { return 0xffff_ffff },
	"low half same": func(key uint64) uint64 { return key << 32 },
	"neighbours":    func(key uint64) uint64 { return key % 64 },
}

func TestModel(t *testing.T) {
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			keys := uint64(600)
			steps := 20_000
			if name == "spread" {
				keys, steps = 30_000, 200_000
			}
			r := rand.New(rand.NewPCG(1, 2))
			m := newModel(hash)
			for i := range steps {
				// The share of inserts swings, so that the table grows and shrinks.
				grow := i/(steps/8)%2 == 0
				switch n := r.IntN(10); {
				case n < 3:
					m.check(t, r.Uint64N(keys))
				case grow == (n < 8):
					m.insert(t, r.Uint64N(keys))
				default:
					m.remove(r.Uint64N(keys))
				}
				if i%(steps/20) == 0 {
					m.checkAll(t)
				}
			}
			m.checkAll(t)
		})
	}
}

func TestCollidingHashesDoNotMerge(t *testing.T) {
	m := newModel(hashes["low half same"])
	for key := range uint64(2000) {
		m.insert(t, key)
	}
	m.checkAll(t)
	for key := range uint64(2000) {
		if key%2 == 0 {
			m.remove(key)
		}
	}
	m.checkAll(t)
}

func TestNear(t *testing.T) {
	m := newModel(func(key uint64) uint64 { return key / 2 }) // two keys a hash, and neighbouring slots
	require.Zero(t, m.table.Near(3))
	for key := range uint64(100) {
		m.insert(t, key)
		near := m.table.Near(key / 2)
		require.Equal(t, m.refs[key&^1], near)
		require.Equal(t, key&^1, *m.table.Key(near))
	}
	m.remove(6)
	require.Equal(t, m.refs[7], m.table.Near(3))
}

func TestAllWithRemoval(t *testing.T) {
	for name, remove := range map[string]func(key uint64) bool{
		"none":      func(uint64) bool { return false },
		"every one": func(uint64) bool { return true },
		"odd":       func(key uint64) bool { return key%2 == 1 },
		"most":      func(key uint64) bool { return key%1000 != 0 },
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(spread)
			for key := range uint64(20_000) {
				m.insert(t, key)
			}
			met := 0
			for ref := range m.table.All {
				met++
				if key := *m.table.Key(ref); remove(key) {
					m.remove(key)
				}
			}
			require.Equal(t, 20_000, met)
			m.checkAll(t)
		})
	}
	t.Run("break", func(t *testing.T) {
		m := newModel(spread)
		m.insert(t, 1)
		m.insert(t, 2)
		for range m.table.All {
			break
		}
		m.checkAll(t)
	})
}

// heap returns the bytes that are live.
func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func TestMemoryReturns(t *testing.T) {
	const n = 200_000
	for name, order := range map[string]func([]flowtable.Ref){
		"oldest first": func([]flowtable.Ref) {},
		"newest first": slices.Reverse[[]flowtable.Ref],
		"any order": func(refs []flowtable.Ref) {
			r := rand.New(rand.NewPCG(3, 4))
			r.Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
		},
	} {
		t.Run(name, func(t *testing.T) {
			refs := make([]flowtable.Ref, n)
			table := flowtable.New[uint64, record, struct{}]()
			before := heap()
			for key := range uint64(n) {
				refs[key] = table.Insert(spread(key), &key)
				table.Schedule(refs[key], int64(key)*1e6)
			}
			peak := heap() - before
			require.Greater(t, peak, int64(n*200), "what a record takes")
			order(refs)
			for _, ref := range refs {
				table.Remove(ref)
			}
			require.Zero(t, table.Len())
			require.Less(t, heap()-before, peak/10)
			runtime.KeepAlive(table)
			runtime.KeepAlive(refs)
		})
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	table := flowtable.New[uint64, record, struct{}]()
	var refs []flowtable.Ref
	for key := range uint64(10_000) {
		ref := table.Insert(spread(key), &key)
		table.Schedule(ref, int64(key)*1e9)
		refs = append(refs, ref)
	}
	next := uint64(len(refs))
	var due []flowtable.Ref
	require.Zero(t, testing.AllocsPerRun(5000, func() {
		i := next % uint64(len(refs))
		table.Remove(refs[i])
		refs[i] = table.Insert(spread(next), &next)
		table.Schedule(refs[i], int64(next)*1e9)
		table.Lookup(spread(next), &next)
		table.Reschedule(refs[i], int64(next+1)*1e9)
		table.Soonest()
		due = table.Advance(int64(next-20_000)*1e9, due[:0])
		next++
	}))
}

// FuzzTable runs operations, three bytes each, on a table with a bad hash and on a map.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x02\x00\x01\x01\x00"))
	f.Add(slices.Repeat([]byte{0, 1, 1, 0, 2, 2, 1, 1, 1}, 20))
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := newModel(func(key uint64) uint64 { return key & 0x307 })
		w := newWheelModel()
		for ; len(ops) >= 3; ops = ops[3:] {
			key := uint64(ops[1]) | uint64(ops[2]&3)<<8
			switch ops[0] % 6 {
			case 0, 1:
				m.insert(t, key)
				m.check(t, key)
			case 2:
				w.cancel(m.refs[key])
				m.remove(key)
			case 3:
				m.check(t, key)
			case 4:
				if ref := m.refs[key]; ref != 0 {
					w.schedule(m.table, ref, w.now+(int64(ops[2])-64)*int64(ops[0])*1e8)
				}
			case 5:
				w.advance(t, m.table, w.now+int64(ops[1])*int64(ops[2])*1e7)
			}
			w.checkSoonest(t, m.table)
		}
		m.checkAll(t)
	})
}

func TestLive(t *testing.T) {
	m := newModel(spread)
	require.False(t, m.table.Live(0))
	require.False(t, m.table.Live(1))
	var refs []flowtable.Ref
	for key := range uint64(10_000) {
		m.insert(t, key)
		refs = append(refs, m.refs[key])
	}
	for _, key := range rand.New(rand.NewPCG(8, 8)).Perm(10_000) {
		require.True(t, m.table.Live(refs[key]))
		m.remove(uint64(key))
		require.False(t, m.table.Live(refs[key]), "removed, perhaps with its slab")
	}
	require.False(t, m.table.Live(1<<31))
}
