package relational

import (
	"hash/maphash"
	"math/bits"
)

// Open flows are numbered from 1, and lie in blocks. A flow is filed under each key that it waits for; what is filed under
// one key is a chain, the flow that started first at its head. All references are numbers: a million open flows are few
// pointers to the garbage collector, and a look-up touches a slot of the table and the flow.

// filing is that a flow waits for a key. The first of a flow is a part of it, further ones lie elsewhere.
type filing struct {
	key  hashed
	next uint32 // in the chain; 0 at its end
	prev uint32 // the head's is the last of the chain; 0 when it is not filed
	more uint32 // the next filing of the same flow
}

// further is a filing that is no part of its flow.
type further struct {
	filing
	owner uint32
}

// hashed stands for a key: two hashes of it with different seeds, which nobody can make collide. That of zeros stands for
// every key.
type hashed [2]uint64

// hasher turns keys into what stands for them.
type hasher [2]maphash.Seed

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h *hasher) sum(k Key) hashed {
	x := hashed{maphash.String(h[0], k.Value), maphash.String(h[1], k.Value) | 1}
	if k.Space != 0 {
		hi, lo := bits.Mul64(x[0]^uint64(k.Space), 0x9e3779b97f4a7c15)
		x[0], x[1] = hi^lo, x[1]+2*uint64(k.Space)
	}
	return x
}

// table finds chains by their keys: open addressing, linear probing.
type table struct {
	slots []slot
	used  int
}

// slot is an entry of a table: the head of a chain, and a part of its key's hash.
type slot struct{ tag, head uint32 }

// drop removes the chain at a place; those behind it move up.
func (t *table) drop(hole int) {
	t.slots[hole] = slot{}
	if t.used--; t.used < len(t.slots)/16 && len(t.slots) > 1024 {
		t.resize(len(t.slots) / 4)
		return
	}
	mask := len(t.slots) - 1
	for at := (hole + 1) & mask; t.slots[at].head != 0; at = (at + 1) & mask {
		home := int(t.slots[at].tag) & mask
		if (at-home)&mask >= (at-hole)&mask {
			t.slots[hole], t.slots[at] = t.slots[at], slot{}
			hole = at
		}
	}
}

func (t *table) resize(n int) {
	old := t.slots
	t.slots = make([]slot, n)
	mask := n - 1
	for _, s := range old {
		if s.head == 0 {
			continue
		}
		at := int(s.tag) & mask
		for t.slots[at].head != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = s
	}
}

// elsewhere marks the numbers of filings that are no part of a flow.
const elsewhere = 1 << 31

// filing returns a filing by its number.
func (t *Type[T, F]) filing(n uint32) *filing {
	if n&elsewhere != 0 {
		return &t.filings[n&^elsewhere].filing
	}
	return &t.at(n).filing
}

// owner returns the flow that a filing is of.
func (t *Type[T, F]) owner(n uint32) uint32 {
	if n&elsewhere != 0 {
		return t.filings[n&^elsewhere].owner
	}
	return n
}

// find returns where in a table the chain of a key is, or is to be put.
func (t *Type[T, F]) find(in *table, k hashed) (at int, ok bool) {
	tag := uint32(k[0])
	mask := len(in.slots) - 1
	for at = int(tag) & mask; ; at = (at + 1) & mask {
		s := in.slots[at]
		if s.head == 0 {
			return at, false
		}
		if s.tag == tag && t.filing(s.head).key == k {
			return at, true
		}
	}
}

// chain returns the head of the chain of a key, 0 if there is none.
func (t *Type[T, F]) chain(in *table, k hashed) uint32 {
	if in.used == 0 {
		return 0
	}
	if at, ok := t.find(in, k); ok {
		return in.slots[at].head
	}
	return 0
}

// link puts a filing into the chain of its key, behind those of flows that started earlier.
func (t *Type[T, F]) link(in *table, n uint32) {
	if in.used >= len(in.slots)/4*3 {
		in.resize(max(16, 2*len(in.slots)))
	}
	f := t.filing(n)
	at, ok := t.find(in, f.key)
	if !ok {
		in.slots[at] = slot{uint32(f.key[0]), n}
		in.used++
		f.prev, f.next = n, 0
		return
	}
	head := in.slots[at].head
	first := t.filing(head)
	seq := t.at(t.owner(n)).seq
	before := first.prev // goes before f: the last one that did not start later
	for t.at(t.owner(before)).seq > seq {
		if before == head { // f is the first
			f.next, f.prev = head, first.prev
			first.prev = n
			in.slots[at].head = n
			return
		}
		before = t.filing(before).prev
	}
	b := t.filing(before)
	f.prev, f.next = before, b.next
	if b.next != 0 {
		t.filing(b.next).prev = n
	} else {
		first.prev = n
	}
	b.next = n
}

// unlink takes a filing out of the chain of its key.
func (t *Type[T, F]) unlink(in *table, n uint32) {
	f := t.filing(n)
	switch {
	case f.prev == n: // it is alone
		at, _ := t.find(in, f.key)
		in.drop(at)
	case t.filing(f.prev).next == 0: // it is the head: before it is the last one
		at, _ := t.find(in, f.key)
		in.slots[at].head = f.next
		t.filing(f.next).prev = f.prev
	default:
		t.filing(f.prev).next = f.next
		if f.next != 0 {
			t.filing(f.next).prev = f.prev
		} else {
			at, _ := t.find(in, f.key)
			t.filing(in.slots[at].head).prev = f.prev
		}
	}
	f.prev, f.next = 0, 0
}

// newFiling returns the number of a filing elsewhere, of a flow under a key.
func (t *Type[T, F]) newFiling(owner uint32, k hashed) uint32 {
	n := t.freeFiling
	if n != 0 {
		t.freeFiling = t.filings[n&^elsewhere].next
	} else {
		n = uint32(len(t.filings)) | elsewhere
		t.filings = append(t.filings, further{})
	}
	t.filings[n&^elsewhere] = further{filing{key: k}, owner}
	return n
}

func (t *Type[T, F]) releaseFiling(n uint32) {
	t.filings[n&^elsewhere] = further{filing: filing{next: t.freeFiling}}
	t.freeFiling = n
}

// blockSize is the number of flows in a block.
const blockSize = 512

// at returns an open flow by its number.
func (t *Type[T, F]) at(n uint32) *instance[T, F] {
	return &t.blocks[(n-1)/blockSize][(n-1)%blockSize]
}

// record returns the rest of a flow.
func (t *Type[T, F]) record(n uint32) *record[T] {
	return &t.records[(n-1)/blockSize][(n-1)%blockSize]
}

// newInstance returns the number of a flow that is not open yet.
func (t *Type[T, F]) newInstance() uint32 {
	if n := t.free; n != 0 {
		t.free = t.at(n).next
		return n
	}
	if t.made%blockSize == 0 {
		t.blocks = append(t.blocks, new([blockSize]instance[T, F]))
		t.records = append(t.records, new([blockSize]record[T]))
	}
	t.made++
	return t.made
}

func (t *Type[T, F]) releaseInstance(n uint32) {
	i := t.at(n)
	*i = instance[T, F]{}
	if !t.cfg.DropEvents {
		t.record(n).events = nil
	}
	i.next = t.free
	t.free = n
}

// ages holds the open flows in the order in which they started. Those that have ended are passed over, and thrown out when
// there are too many of them.
type ages struct {
	list  []age
	first int // those before have ended
}

// age is a flow that was open under this number; seq tells whether it still is.
type age struct{ n, seq uint32 }

func (t *Type[T, F]) lives(a age) bool {
	i := t.at(a.n)
	return i.open && uint32(i.seq) == a.seq
}

// oldest returns the flow that started first, 0 if none is open.
func (t *Type[T, F]) oldest() uint32 {
	a := &t.ages
	for ; a.first < len(a.list); a.first++ {
		if t.lives(a.list[a.first]) {
			return a.list[a.first].n
		}
	}
	a.list, a.first = a.list[:0], 0
	return 0
}

// born adds a flow to the ages.
func (t *Type[T, F]) born(n uint32) {
	a := &t.ages
	if len(a.list) >= 64 && len(a.list) >= 2*t.open {
		kept := a.list[:0]
		for _, x := range a.list[a.first:] {
			if t.lives(x) {
				kept = append(kept, x)
			}
		}
		a.list, a.first = kept, 0
	}
	a.list = append(a.list, age{n, uint32(t.at(n).seq)})
}
