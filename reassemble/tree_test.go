package reassemble

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// run is what a model of a tree knows of a node.
type run struct {
	ref  nodeRef
	off  uint64
	size uint32
}

// inOrder returns the nodes of a treap in order, and checks that it is a heap of priorities.
func inOrder(t *testing.T, tr *tree, root nodeRef) []nodeRef {
	t.Helper()
	if root == 0 {
		return nil
	}
	n := tr.at(root)
	for _, child := range []nodeRef{n.left, n.right} {
		if child != 0 {
			require.LessOrEqual(t, tr.at(child).priority, n.priority)
		}
	}
	return append(append(inOrder(t, tr, n.left), root), inOrder(t, tr, n.right)...)
}

func TestTreeModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		tr := &tree{seed: seed + 1}
		roots, models := make([]nodeRef, 2), make([][]run, 2) // two treaps in one slab
		for range 400 {
			root, model := &roots[seed%2], &models[seed%2]
			seed += r.Uint64N(2)
			switch op := r.IntN(5); {
			case op < 2 || len(*model) == 0:
				off := r.Uint64N(500) * 10
				i, found := slices.BinarySearchFunc(*model, off, byOffset)
				if found {
					continue
				}
				ref := tr.allocate()
				size := uint32(1 + r.IntN(10))
				*tr.at(ref) = node{off: off, size: size}
				*root = tr.insert(*root, ref)
				*model = slices.Insert(*model, i, run{ref, off, size})
			case op == 2:
				i := r.IntN(len(*model))
				*root = tr.remove(*root, (*model)[i].off)
				tr.release((*model)[i].ref)
				*model = slices.Delete(*model, i, i+1)
			case op == 3:
				rest, first := tr.popFirst(*root)
				require.Equal(t, (*model)[0].ref, first)
				tr.release(first)
				*root, *model = rest, (*model)[1:]
			default:
				start := r.Uint64N(5200)
				end := start + 1 + r.Uint64N(300)
				var want []nodeRef
				for _, n := range *model {
					if n.off < end && n.off+uint64(n.size) > start {
						want = append(want, n.ref)
					}
				}
				require.Equal(t, want, tr.overlapping(*root, start, end, nil))
			}
			var want []nodeRef
			for _, n := range *model {
				want = append(want, n.ref)
			}
			require.Equal(t, want, inOrder(t, tr, *root))
			require.Equal(t, len(models[0])+len(models[1]), tr.used)
			if len(*model) == 0 {
				require.Nil(t, tr.last(*root))
				continue
			}
			require.Equal(t, (*model)[0].off, tr.first(*root).off)
			require.Equal(t, (*model)[len(*model)-1].off, tr.last(*root).off)
		}
	}
}

func byOffset(n run, off uint64) int { return int(int64(n.off) - int64(off)) }

// depth returns the length of the longest way down.
func depth(tr *tree, root nodeRef) int {
	if root == 0 {
		return 0
	}
	return 1 + max(depth(tr, tr.at(root).left), depth(tr, tr.at(root).right))
}

func TestTreeStaysFlat(t *testing.T) {
	const n = 20_000
	for name, offset := range map[string]func(i int) uint64{
		"ascending":  func(i int) uint64 { return uint64(i) },
		"descending": func(i int) uint64 { return uint64(n - i) },
		"outside in": func(i int) uint64 { return uint64([2]int{i, 2*n - i}[i%2]) },
	} {
		t.Run(name, func(t *testing.T) {
			tr := &tree{seed: 1}
			var root nodeRef
			for i := range n {
				ref := tr.allocate()
				*tr.at(ref) = node{off: offset(i), size: 1}
				root = tr.insert(root, ref)
			}
			require.Less(t, depth(tr, root), 60, "about three times the logarithm")
		})
	}
}

func TestTreeGivesMemoryBack(t *testing.T) {
	tr := &tree{seed: 1}
	var refs []nodeRef
	for range 10 * nodeChunk {
		refs = append(refs, tr.allocate())
	}
	require.Len(t, tr.chunks, 10)
	for _, ref := range refs[1:] {
		tr.release(ref)
	}
	again := tr.allocate()
	require.Len(t, tr.chunks, 10, "freed nodes are used first")
	tr.release(again)
	tr.release(refs[0])
	require.Len(t, tr.chunks, 1)
	require.Equal(t, nodeRef(1), tr.allocate())
}

func TestTreeRefsAreDistinct(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	tr := &tree{seed: 1}
	inUse := map[nodeRef]bool{}
	for range 20_000 {
		if r.IntN(2) == 0 || len(inUse) == 0 {
			ref := tr.allocate()
			require.NotZero(t, ref)
			require.False(t, inUse[ref])
			inUse[ref] = true
			continue
		}
		for ref := range inUse {
			delete(inUse, ref)
			tr.release(ref)
			break
		}
	}
	require.Equal(t, len(inUse), tr.used)
}
