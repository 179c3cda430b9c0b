package meter

import "github.com/tcpfollow/tcpfollow/internal/flowtable"

// journal is what a shard tells of its flows: which began, went on and ended with which packet of a round. A Sharded keeps
// them in the order in which one meter would.
type journal struct {
	item   int32 // the packet at hand, by its place in the round
	events []event
	nodes  []node
	free   []uint64 // nodes
	flows  []*Flow  // copies that nobody uses
}

// event is what became of a flow.
type event struct {
	item int32
	kind eventKind
	node uint64
}

type eventKind uint8

const (
	began eventKind = iota
	wentOn
	finished
)

// node stands for a flow in the order of all. It is the shard's until its round is over, and then the Sharded's.
type node struct {
	before, after link
	created       uint64
	ref           flowtable.Ref // of its record, while it has not ended in the shard
	flow          *Flow         // what it was when it ended in the shard, with Expiration set
	emitted       bool          // before the shard ended it
}

// opened notes that a flow began, and returns its node.
func (j *journal) opened(ref flowtable.Ref) uint64 {
	var n uint64
	if len(j.free) > 0 {
		n = j.free[len(j.free)-1]
		j.free = j.free[:len(j.free)-1]
	} else {
		n = uint64(len(j.nodes))
		j.nodes = append(j.nodes, node{})
	}
	j.nodes[n] = node{ref: ref}
	j.note(event{kind: began, node: n})
	return n
}

// ended notes that a flow ended, and keeps a copy of it.
func (j *journal) ended(n uint64, f *Flow) {
	c := new(Flow)
	if len(j.flows) > 0 {
		c = j.flows[len(j.flows)-1]
		j.flows = j.flows[:len(j.flows)-1]
	}
	f.copyTo(c)
	j.nodes[n].ref, j.nodes[n].flow = 0, c
	j.note(event{kind: finished, node: n})
}

func (j *journal) note(e event) {
	e.item = j.item
	j.events = append(j.events, e)
}
