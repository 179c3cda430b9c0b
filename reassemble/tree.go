package reassemble

// tree is a set of treaps (Seidel and Aragon, 1996) of held runs, ordered by offset, in one slab of nodes without
// pointers. A treap's shape depends on priorities that the sender cannot know, so that no order of segments makes it
// deep.
type tree struct {
	chunks [][]node
	free   nodeRef // linked by left
	used   int
	fresh  int    // nodes from here on were never used
	seed   uint64 // of the priorities
}

// nodeRef names a node; 0 is none.
type nodeRef = uint32

// node is a held run of bytes.
type node struct {
	off         uint64
	origin      Origin
	size        uint32
	skip        uint32 // of the block, in front of the bytes
	block       blockRef
	before      uint32 // how much the segment covered in front of the run when it came
	after       uint32 // and behind it
	left, right nodeRef
	priority    uint32
}

func (n *node) end() uint64 { return n.off + uint64(n.size) }

// extent returns what the run's segment covered when it came.
func (n *node) extent() Extent {
	return Extent{n.off - uint64(n.before), n.end() + uint64(n.after)}
}

const (
	nodeBits  = 10
	nodeChunk = 1 << nodeBits // nodes in a chunk
)

func (t *tree) at(ref nodeRef) *node { return &t.chunks[(ref-1)>>nodeBits][(ref-1)&(nodeChunk-1)] }

func (t *tree) allocate() nodeRef {
	t.used++
	if t.free != 0 {
		ref := t.free
		t.free = t.at(ref).left
		return ref
	}
	if t.fresh == len(t.chunks)*nodeChunk {
		t.chunks = append(t.chunks, make([]node, nodeChunk))
	}
	t.fresh++
	return nodeRef(t.fresh)
}

// release gives a node back. When none is left in use, so is the memory, but for one chunk.
func (t *tree) release(ref nodeRef) {
	t.used--
	if t.used == 0 {
		clear(t.chunks[min(1, len(t.chunks)):])
		t.chunks = t.chunks[:min(1, len(t.chunks))]
		t.free, t.fresh = 0, 0
		return
	}
	t.at(ref).left = t.free
	t.free = ref
}

// random returns the next priority (xorshift64*, Vigna 2016).
func (t *tree) random() uint32 {
	t.seed ^= t.seed >> 12
	t.seed ^= t.seed << 25
	t.seed ^= t.seed >> 27
	return uint32(t.seed * 0x2545f4914f6cdd1d >> 32)
}

// first returns the first node of a treap that is not empty.
func (t *tree) first(root nodeRef) *node {
	n := t.at(root)
	for n.left != 0 {
		n = t.at(n.left)
	}
	return n
}

// last returns the last node of a treap, nil when it is empty.
func (t *tree) last(root nodeRef) *node {
	if root == 0 {
		return nil
	}
	n := t.at(root)
	for n.right != 0 {
		n = t.at(n.right)
	}
	return n
}

// popFirst takes the first node out of a treap, and returns the rest and the node.
func (t *tree) popFirst(root nodeRef) (rest, first nodeRef) {
	if n := t.at(root); n.left == 0 {
		return n.right, root
	}
	parent := root
	for t.at(t.at(parent).left).left != 0 {
		parent = t.at(parent).left
	}
	p := t.at(parent)
	first = p.left
	p.left = t.at(first).right
	return root, first
}

// insert adds a node, whose off lies in none of the others, and returns the new root.
func (t *tree) insert(root, ref nodeRef) nodeRef {
	n := t.at(ref)
	n.priority = t.random()
	link := &root
	for *link != 0 && t.at(*link).priority >= n.priority {
		if at := t.at(*link); n.off < at.off {
			link = &at.left
		} else {
			link = &at.right
		}
	}
	n.left, n.right = t.split(*link, n.off)
	*link = ref
	return root
}

// split divides a treap into the nodes in front of off and those behind it.
func (t *tree) split(root nodeRef, off uint64) (left, right nodeRef) {
	l, r := &left, &right
	for root != 0 {
		if n := t.at(root); n.off < off {
			*l = root
			l = &n.right
			root = n.right
		} else {
			*r = root
			r = &n.left
			root = n.left
		}
	}
	*l, *r = 0, 0
	return left, right
}

// remove takes the node at off out of a treap and returns the new root.
func (t *tree) remove(root nodeRef, off uint64) nodeRef {
	link := &root
	for {
		n := t.at(*link)
		if n.off == off {
			break
		}
		if off < n.off {
			link = &n.left
		} else {
			link = &n.right
		}
	}
	n := t.at(*link)
	left, right := n.left, n.right
	for left != 0 && right != 0 { // merge
		l, r := t.at(left), t.at(right)
		if l.priority >= r.priority {
			*link = left
			link = &l.right
			left = l.right
		} else {
			*link = right
			link = &r.left
			right = r.left
		}
	}
	*link = left | right
	return root
}

// overlapping appends the nodes that have bytes in [start, end), in order.
func (t *tree) overlapping(root nodeRef, start, end uint64, to []nodeRef) []nodeRef {
	if root == 0 {
		return to
	}
	n := t.at(root)
	if n.off > start {
		to = t.overlapping(n.left, start, end, to)
	}
	if n.off < end && n.end() > start {
		to = append(to, root)
	}
	if n.off < end {
		to = t.overlapping(n.right, start, end, to)
	}
	return to
}
