package relational

// A flow among very many is far away in memory, and to reach it takes three steps: a slot of the table, the flow's entry,
// the flow itself. With several events at hand, all first steps are made together, then all second ones, so that
// memory is waited for once and not once an event.

const (
	batchSize = 64      // events looked at together
	nearBy    = 1 << 12 // flows that are not far away
)

// hinted returns the head of the chain of a key, which is known beforehand unless it changed in the meantime.
func (t *Type[T, F]) hinted(hint uint32, k hashed) uint32 {
	if hint != 0 && hint&elsewhere == 0 {
		if i := t.at(hint); i.key == k && i.prev != 0 && t.filing(i.prev).next == 0 { // before the head is the last one
			return hint
		}
	}
	return t.chain(&t.waiting, k)
}

// foresee computes what stands for the keys of events that come next, and has the memory fetched that they lead to.
func (t *Type[T, F]) foresee(evs []T) {
	t.ahead = nil
	if t.cfg.Key == nil || t.open < nearBy || len(evs) == 0 {
		return
	}
	t.ahead = t.aheadOf[:0]
	for _, ev := range evs {
		var k hashed
		if key, ok := t.cfg.Key(ev); ok {
			k = t.hasher.sum(Key{Value: key})
		}
		t.ahead = append(t.ahead, k)
	}
	t.foreseen = len(t.ahead)
	mask := len(t.waiting.slots) - 1
	for _, k := range t.ahead {
		t.fetched += t.waiting.slots[int(uint32(k[0]))&mask].head
	}
	t.hints = [batchSize]uint32{}
	for n, k := range t.ahead {
		tag := uint32(k[0])
		at := int(tag) & mask
		for t.waiting.slots[at].head != 0 && t.waiting.slots[at].tag != tag {
			at = (at + 1) & mask
		}
		t.hints[n] = t.waiting.slots[at].head
	}
	var flows [batchSize]F
	near := 0
	for _, n := range t.hints[:len(evs)] {
		if n != 0 && n&elsewhere == 0 {
			flows[near] = t.at(n).flow
			near++
		}
	}
	t.fetch(flows[:near])
}
