package reassemble

import "math/bits"

// arena hands out blocks of bytes from slabs that hold no pointers. A slab that is empty is given back, but for a few:
// what is held comes and goes.
type arena struct{ classes [blockClasses]sizeClass }

// Blocks come in thirteen sizes, each twice the one before, 32 bytes to 128 KiB: none is more than half empty.
const (
	blockClasses = 13
	leastBlock   = 32
	maxBlock     = leastBlock << (blockClasses - 1)
)

func blockSize(class int) int { return leastBlock << class }

// classOf returns the class of the smallest blocks that hold n bytes, at least one.
func classOf(n int) int { return bits.Len(uint(n-1) / leastBlock) }

// slabBlocks returns how many blocks make a slab: as many as a word has bits, but no more than a quarter of a megabyte.
func slabBlocks(class int) int { return min(64, 1<<18/blockSize(class)) }

// keepSlabs returns how many empty slabs are kept: half a megabyte, one at least.
func keepSlabs(class int) int { return max(1, 512<<10/(slabBlocks(class)*blockSize(class))) }

func allFree(class int) uint64 { return 1<<slabBlocks(class) - 1 }

// blockRef names a block: its class in the lowest bits, then its place in the slab, then the slab.
type blockRef uint32

const (
	classBits = 4
	placeBits = 6
)

func (r blockRef) parts() (class, place, slab int) {
	return int(r & (1<<classBits - 1)), int(r >> classBits & (1<<placeBits - 1)), int(r >> (classBits + placeBits))
}

type sizeClass struct {
	slabs []slab
	hint  int // the slab to try first
	empty int // slabs with memory and no block in use
}

type slab struct {
	mem  []byte // nil when given back
	free uint64 // a bit for each free block
}

// allocate returns a block for n bytes, at most maxBlock, cut to that length.
func (a *arena) allocate(n int) (blockRef, []byte) {
	class := classOf(n)
	c := &a.classes[class]
	for c.hint < len(c.slabs) && c.slabs[c.hint].mem != nil && c.slabs[c.hint].free == 0 {
		c.hint++
	}
	if c.hint == len(c.slabs) {
		c.hint = c.unused()
	}
	s := &c.slabs[c.hint]
	switch {
	case s.mem == nil:
		s.mem = make([]byte, blockSize(class)*slabBlocks(class))
		s.free = allFree(class)
	case s.free == allFree(class):
		c.empty--
	}
	place := bits.TrailingZeros64(s.free)
	s.free &^= 1 << place
	ref := blockRef(c.hint<<(classBits+placeBits) | place<<classBits | class)
	return ref, a.block(ref)[:n]
}

// unused returns a slab without memory.
func (c *sizeClass) unused() int {
	for i := range c.slabs {
		if c.slabs[i].mem == nil {
			return i
		}
	}
	c.slabs = append(c.slabs, slab{})
	return len(c.slabs) - 1
}

// block returns all of a block.
func (a *arena) block(ref blockRef) []byte {
	class, place, i := ref.parts()
	size := blockSize(class)
	return a.classes[class].slabs[i].mem[place*size : (place+1)*size]
}

// release gives a block back. Its bytes stay as they are until the next allocate.
func (a *arena) release(ref blockRef) {
	class, place, i := ref.parts()
	c := &a.classes[class]
	s := &c.slabs[i]
	s.free |= 1 << place
	if s.free == allFree(class) {
		if c.empty >= keepSlabs(class) {
			s.mem = nil
			return
		}
		c.empty++
	}
	c.hint = min(c.hint, i)
}

// size returns how many bytes the arena holds.
func (a *arena) size() int {
	n := 0
	for class := range a.classes {
		for _, s := range a.classes[class].slabs {
			n += len(s.mem)
		}
	}
	return n
}
