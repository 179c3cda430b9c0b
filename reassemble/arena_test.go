package reassemble

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBlockSizes(t *testing.T) {
	require.Equal(t, 32, blockSize(0))
	require.Equal(t, maxBlock, blockSize(blockClasses-1))
	for class := range blockClasses {
		require.LessOrEqual(t, slabBlocks(class), 64)
		require.LessOrEqual(t, slabBlocks(class)*blockSize(class), 1<<20)
		require.Greater(t, slabBlocks(class), 1)
		require.Equal(t, class, classOf(blockSize(class)))
		require.Equal(t, class, classOf(blockSize(class)/2+1))
	}
	require.Zero(t, classOf(1))
}

// taken is a block in use, filled with a mark of its own.
type taken struct {
	ref  blockRef
	data []byte
	mark byte
}

func TestArenaBlocksNeverOverlap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var a arena
	var inUse []taken
	for i := range 6000 {
		if r.IntN(100) < 55-i/3000*10 || len(inUse) == 0 {
			n := 1 + r.IntN(blockSize(r.IntN(11)))
			ref, b := a.allocate(n)
			require.Len(t, b, n)
			for j := range b {
				b[j] = byte(i)
			}
			require.Equal(t, &b[0], &a.block(ref)[0])
			inUse = append(inUse, taken{ref, b, byte(i)})
			continue
		}
		k := r.IntN(len(inUse))
		for j, v := range inUse[k].data {
			if v != inUse[k].mark {
				require.Equal(t, inUse[k].mark, v, "byte %d was overwritten", j)
			}
		}
		a.release(inUse[k].ref)
		inUse[k] = inUse[len(inUse)-1]
		inUse = inUse[:len(inUse)-1]
	}
}

// fill allocates n blocks of size bytes.
func fill(a *arena, n, size int) []blockRef {
	refs := make([]blockRef, n)
	for i := range refs {
		refs[i], _ = a.allocate(size)
	}
	return refs
}

func TestArenaGivesMemoryBack(t *testing.T) {
	for name, order := range map[string]func(refs []blockRef){
		"oldest first": func([]blockRef) {},
		"newest first": func(refs []blockRef) {
			for i := range len(refs) / 2 {
				refs[i], refs[len(refs)-1-i] = refs[len(refs)-1-i], refs[i]
			}
		},
		"any order": func(refs []blockRef) {
			rand.New(rand.NewPCG(2, 2)).Shuffle(len(refs), func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
		},
	} {
		for class := range blockClasses {
			t.Run(name, func(t *testing.T) {
				var a arena
				require.Zero(t, a.size())
				slab := slabBlocks(class) * blockSize(class)
				refs := fill(&a, 20*slabBlocks(class), blockSize(class))
				require.Equal(t, 20*slab, a.size())
				order(refs)
				for _, ref := range refs {
					a.release(ref)
				}
				require.Equal(t, min(20, keepSlabs(class))*slab, a.size())
				refs = fill(&a, 20*slabBlocks(class), blockSize(class))
				require.Equal(t, 20*slab, a.size())
				seen := map[blockRef]bool{}
				for _, ref := range refs {
					require.False(t, seen[ref])
					seen[ref] = true
				}
			})
		}
	}
}

// Slabs that empty and fill in turn are kept, or each turn would cost slabs.
func TestArenaKeepsSlabs(t *testing.T) {
	var a arena
	var waves [2 * 64]blockRef
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for i := range waves { // a wave that needs two slabs
			waves[i], _ = a.allocate(2048)
		}
		for _, ref := range waves {
			a.release(ref)
		}
	}))
	for _, held := range []int{0, 63, 64, 65} {
		refs := fill(&a, held, 32)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			ref, _ := a.allocate(32)
			a.release(ref)
		}), held)
		for _, ref := range refs {
			a.release(ref)
		}
	}
}

func TestReleasedBytesStay(t *testing.T) {
	var a arena
	refs := fill(&a, 200, 32)
	b := a.block(refs[199])
	b[0] = 77
	for _, ref := range refs {
		a.release(ref)
	}
	require.Equal(t, byte(77), b[0], "until the next allocate")
}

func TestNativeGivesMemoryBack(t *testing.T) {
	e := NewNative(nil)
	var halves [50]Half
	for i := range halves {
		for off := range uint64(1000) {
			e.Segment(&halves[i], Segment{Off: 1 + off*200, Data: make([]byte, 100)}, nil)
		}
	}
	peak := e.bytes.size()
	require.Greater(t, peak, 50*1000*100)
	for i := range halves {
		e.Close(&halves[i])
	}
	require.Less(t, e.bytes.size(), peak/10)
	require.Len(t, e.tree.chunks, 1)
}

// What is left of long segments, after others took most of them, takes no more than twice what counts.
func TestCarvedRunsGiveMemoryBack(t *testing.T) {
	for name, carve := range map[string]func(i uint64) []Segment{
		"from the front": func(i uint64) []Segment {
			return []Segment{{Off: i * 200_000, Data: make([]byte, 60_000)}, {Off: i*200_000 - 1, Data: make([]byte, 60_000)}}
		},
		"from behind": func(i uint64) []Segment {
			return []Segment{{Off: i * 200_000, Data: make([]byte, 60_000)}, {Off: i*200_000 + 1, Data: make([]byte, 60_000)}}
		},
		"from inside": func(i uint64) []Segment {
			return []Segment{{Off: i * 200_000, Data: make([]byte, 60_000)}, {Off: i*200_000 + 1, Data: make([]byte, 59_998)}}
		},
		"bit by bit": func(i uint64) (all []Segment) {
			for k := range uint64(30) {
				all = append(all, Segment{Off: i*200_000 + k*50, Data: make([]byte, 40_000-k*1300)})
			}
			return all
		},
	} {
		for p := OverlapBSD; p <= OverlapSolaris; p++ {
			t.Run(name+"/"+p.String(), func(t *testing.T) {
				e := NewNative(&NativeConfig{Overlap: p})
				var h Half
				out := discard{}
				for i := range uint64(200) {
					for _, s := range carve(i + 1) {
						e.Segment(&h, s, out)
					}
				}
				require.NotZero(t, h.Buffered)
				require.LessOrEqual(t, e.bytes.size(), 2*int(h.Buffered)+blockClasses<<18)
				before := h.Buffered
				sum := 0
				e.Skip(&h, 1<<40, GapEnd, &count{n: &sum})
				for h.Buffered > 0 {
					e.Skip(&h, ToHeld, GapEnd, &count{n: &sum})
				}
				require.Positive(t, sum)
				require.LessOrEqual(t, sum, int(before))
			})
		}
	}
}

// discard is a sink that wants nothing.
type discard struct{}

func (discard) Data(*Half, uint64, []byte, Origin)                   {}
func (discard) Gap(*Half, uint64, uint64, GapReason)                 {}
func (discard) Old(*Half, uint64, []byte, Origin)                    {}
func (discard) Conflict(*Half, uint64, []byte, []byte, bool, Origin) {}

// count is a sink that counts bytes.
type count struct {
	discard
	n *int
}

func (c *count) Data(_ *Half, _ uint64, b []byte, _ Origin) { *c.n += len(b) }
