package bpf

import "slices"

// blockID numbers the blocks of a program.
type blockID int32

// The two ends of every program.
const (
	reject blockID = iota
	accept
)

// block is a test and where to go on from it.
type block struct {
	test            testID
	onTrue, onFalse blockID
}

// rounds bounds the passes of the optimizer. Each makes the program smaller; most programs are done after two.
const rounds = 12

// graph is a program as a graph without cycles. Equal blocks are one.
type graph struct {
	*pool
	blocks []block
	ids    map[block]blockID
	root   blockID
}

func newGraph(c *compiler) *graph {
	return &graph{pool: &c.pool, blocks: make([]block, 2, 32), ids: make(map[block]blockID, 32)}
}

// block returns the block, or where it goes to when its outcome does not matter. A block that loads stays then, but
// before the end that a frame too short for the load comes to as well.
func (g *graph) block(b block) blockID {
	if t := g.tests[b.test]; t.op == jumpGE && t.b == noValue && t.k == 0 {
		b.onFalse = b.onTrue // a load that is nothing but that
	}
	if b.onTrue == b.onFalse && (b.onTrue == reject || !g.mayFail(b.test)) {
		return b.onTrue
	}
	if id, ok := g.ids[b]; ok {
		return id
	}
	id := blockID(len(g.blocks))
	g.blocks = append(g.blocks, b)
	g.ids[b] = id
	return id
}

// build returns the first block of a formula that goes on with onTrue or onFalse.
func (g *graph) build(n *node, onTrue, onFalse blockID) blockID {
	switch n.kind {
	case nodeFalse:
		return onFalse
	case nodeTrue:
		return onTrue
	case nodeNot:
		return g.build(n.l, onFalse, onTrue)
	case nodeAnd:
		return g.build(n.l, g.build(n.r, onTrue, onFalse), onFalse)
	case nodeOr:
		return g.build(n.l, onTrue, g.build(n.r, onTrue, onFalse))
	default:
		return g.block(block{n.test, onTrue, onFalse})
	}
}

// order returns the blocks that are reached, but for the ends, every block before those it goes to, and where it can,
// directly before the one it goes to when its test holds.
func (g *graph) order() []blockID {
	list := make([]blockID, 0, len(g.blocks))
	seen := make([]bool, len(g.blocks))
	var visit func(blockID)
	visit = func(b blockID) {
		if b <= accept || seen[b] {
			return
		}
		seen[b] = true
		visit(g.blocks[b].onFalse)
		visit(g.blocks[b].onTrue)
		list = append(list, b)
	}
	visit(g.root)
	slices.Reverse(list)
	return list
}

// optimize lets edges jump over tests whose outcome is known on every path to them.
func (g *graph) optimize() {
	for range rounds {
		if !g.thread() {
			return
		}
	}
}

// facts is a set of outcomes: bit 2t says that test t failed, bit 2t+1 that it held.
type facts []uint64

func (f facts) has(t testID, outcome bool) bool {
	i := bit(t, outcome)
	return f[i>>6]&(1<<(i&63)) != 0
}

func bit(t testID, outcome bool) uint {
	if outcome {
		return uint(t)*2 + 1
	}
	return uint(t) * 2
}

func (g *graph) thread() bool {
	order := g.order()
	words := (2*len(g.tests) + 63) / 64
	store := make(facts, (len(g.blocks)+1)*words)
	known := make([]facts, len(g.blocks)) // at the entry of each block, nil before the first edge
	edge := store[len(g.blocks)*words:]
	changed := false
	follow := func(from blockID, outcome bool, to blockID) blockID {
		t := g.blocks[from].test
		copy(edge, known[from])
		i := bit(t, outcome)
		edge[i>>6] |= 1 << (i & 63)
		for to > accept {
			result, ok := g.decide(g.blocks[to].test, edge)
			if !ok && g.blocks[to].onTrue == g.blocks[to].onFalse {
				ok = g.tests[g.blocks[to].test].b == noValue && g.loaded(g.tests[g.blocks[to].test].a, edge)
			}
			if !ok {
				break
			}
			changed = true
			if result {
				to = g.blocks[to].onTrue
			} else {
				to = g.blocks[to].onFalse
			}
		}
		if known[to] == nil {
			known[to] = store[int(to)*words : (int(to)+1)*words]
			copy(known[to], edge)
			return to
		}
		for i := range edge {
			known[to][i] &= edge[i]
		}
		return to
	}
	next := make([]block, len(g.blocks))
	if g.root > accept {
		known[g.root] = store[int(g.root)*words : (int(g.root)+1)*words]
	}
	for _, id := range order {
		if known[id] == nil {
			continue // no edge comes here any more
		}
		b := g.blocks[id]
		next[id] = block{b.test, follow(id, true, b.onTrue), follow(id, false, b.onFalse)}
	}
	if !changed {
		return false
	}
	renamed := make([]blockID, len(g.blocks))
	renamed[accept] = accept
	g.blocks = append(make([]block, 0, len(g.blocks)), block{}, block{})
	clear(g.ids)
	for _, id := range slices.Backward(order) {
		if b := next[id]; known[id] != nil {
			renamed[id] = g.block(block{b.test, renamed[b.onTrue], renamed[b.onFalse]})
		}
	}
	g.root = renamed[g.root]
	return true
}

// mayFail tells whether a frame can be too short for a test.
func (g *graph) mayFail(id testID) bool {
	t := g.tests[id]
	return g.loads(t.a) || t.b != noValue && g.loads(t.b)
}

// loaded tells whether facts are known of a value, so that the frame is long enough for it.
func (g *graph) loaded(v valueID, known facts) bool {
	for s := g.lastOf[v]; s >= 0; s = g.same[s] {
		if known.has(s, true) || known.has(s, false) {
			return true
		}
	}
	return false
}

// decide returns the outcome of a test where facts tell it.
func (g *graph) decide(id testID, known facts) (outcome, ok bool) {
	if known.has(id, true) {
		return true, true
	}
	if known.has(id, false) {
		return false, true
	}
	t := g.tests[id]
	if t.b != noValue {
		return false, false
	}
	for s := g.lastOf[t.a]; s >= 0; s = g.same[s] {
		if other := g.tests[s]; other.op == jumpEQ && other.b == noValue && known.has(s, true) {
			return evaluate(t.op, other.k, t.k), true
		}
	}
	return false, false
}
