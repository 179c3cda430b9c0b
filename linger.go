package tcpfollow

import (
	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
)

// lingerers are the records of ended connections that are kept for their late packets: as many rings as there are
// partitions of keys, so that which record makes room for another does not depend on how connections are spread over
// shards.
type lingerers struct {
	rings [partitions]lingerRing
	mask  uint64                          // of the partitions that are used
	each  int                             // the most in a ring
	late  map[flowtable.Ref][]heldSegment // what came after a reset, see goesOn
}

// lingerRing holds the records of one partition.
type lingerRing struct {
	at   []lingerer
	next int // the oldest, once it is full
}

// lingerer names an ended connection; id tells whether ref still does.
type lingerer struct {
	ref flowtable.Ref
	id  uint64
}

// partitions is the most partitions of keys, and leastLingers the least that a ring of them should hold.
const (
	partitions   = 64
	leastLingers = 16
)

func newLingerers(limit int) lingerers {
	n := 1
	for n < partitions && limit/(2*n) >= leastLingers {
		n *= 2
	}
	return lingerers{mask: uint64(n - 1), each: limit / n}
}

// partition returns the partition of a canonical key. It is the same in all shards, and in every run.
func (l *lingerers) partition(key *packet.FlowKey) uint64 {
	const seed = 0x9e3779b97f4a7c15
	return key.Hash(seed) >> 32 & l.mask
}

// linger keeps the record of an ended connection for its late packets, as long as there are not too many of them.
func (f *TCPStreamFollower) linger(ref flowtable.Ref) {
	id := f.table.Rest(ref).id
	ring := &f.lingering.rings[f.lingering.partition(f.table.Key(ref))]
	if len(ring.at) < f.lingering.each {
		ring.at = append(ring.at, lingerer{ref, id})
		return
	}
	oldest := &ring.at[ring.next]
	if f.table.Live(oldest.ref) && f.table.Rest(oldest.ref).id == oldest.id {
		f.forget(oldest.ref)
	}
	*oldest = lingerer{ref, id}
	if ring.next++; ring.next == len(ring.at) {
		ring.next = 0
	}
	if ahead := f.table.Peek(ring.at[ring.next].ref); ahead != nil { // is in the cache when its turn comes
		f.touched += ahead.id
	}
}
