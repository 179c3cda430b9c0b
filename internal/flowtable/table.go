// Package flowtable is the hash table that flows live in: keyed records in pointer-free slabs, and a timer wheel on
// the packet clock.
//
// A record keeps its place until it is removed, and is named by a [Ref]. Lookups compare whole keys, so colliding
// hashes never merge two flows. Memory is given back when the table shrinks well below its peak.
package flowtable

// Ref names a record; 0 names none. It is reused after Remove.
type Ref uint32

const (
	minSlots  = 1 << 10
	fewSlots  = 1 << 16 // below, that many more cost less than searches that meet other records
	chunkBits = 12
	chunkLen  = 1 << chunkBits // records in a slab
)

// Table maps keys to records. A record has two parts: R, which lies beside the key and should fill two cache lines
// with it, and C, which is seldom looked at. None of them should hold pointers, so that the garbage collector need not
// look into the slabs. It is not safe for concurrent use.
type Table[K comparable, R, C any] struct {
	slots  []slot // open addressing, linear probing; len is a power of two, for the load see full
	used   int
	chunks []*chunk[K, R, C]
	spare  spareSet
	kept   int // a slab that was empty and was kept
	wheel  wheel
}

// slot holds the low half of a hash and the record it leads to; ref 0 is an empty slot.
type slot struct {
	hash uint32
	ref  Ref
}

type chunk[K comparable, R, C any] struct {
	entries [chunkLen]entry[K, R]
	rest    [chunkLen]rest[C]
	free    uint32 // head of the list of freed entries, as index+1
	fresh   uint32 // entries from here on were never used
	live    uint32
}

type entry[K comparable, R any] struct {
	key    K
	record R
}

// rest is the seldom used part of an entry.
type rest[C any] struct {
	record C
	timer  timer // of a freed entry, next is the next freed one, as index+1
	hash   uint32
}

// New returns an empty table.
func New[K comparable, R, C any]() *Table[K, R, C] {
	return &Table[K, R, C]{slots: make([]slot, minSlots), wheel: wheel{now: epoch}}
}

// Len returns the number of records.
func (t *Table[K, R, C]) Len() int { return t.used }

// Lookup returns the record with the given key, or 0. hash must be the same for equal keys.
func (t *Table[K, R, C]) Lookup(hash uint64, key *K) Ref {
	mask := uint32(len(t.slots) - 1)
	for i := uint32(hash) & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s.ref == 0 {
			return 0
		}
		if s.hash == uint32(hash) && t.entry(s.ref).key == *key {
			return s.ref
		}
	}
}

// Touch reads where Near and Lookup start to search, so that it is in the cache by then. What it returns means nothing.
func (t *Table[K, R, C]) Touch(hash uint64) Ref {
	return t.slots[uint32(hash)&uint32(len(t.slots)-1)].ref
}

// Near returns the first record whose key may have the given hash, or 0. It does not look at the record, which a caller
// with many hashes can then fetch side by side.
func (t *Table[K, R, C]) Near(hash uint64) Ref {
	mask := uint32(len(t.slots) - 1)
	for i := uint32(hash) & mask; ; i = (i + 1) & mask {
		if s := t.slots[i]; s.hash == uint32(hash) || s.ref == 0 {
			return s.ref
		}
	}
}

// Insert adds a zero record under a key that the table does not hold.
func (t *Table[K, R, C]) Insert(hash uint64, key *K) Ref {
	if t.full() {
		t.rehash(len(t.slots) * 2)
	}
	ref := t.allocate()
	t.entry(ref).key = *key
	t.rest(ref).hash = uint32(hash)
	t.place(slot{uint32(hash), ref})
	t.used++
	return ref
}

// full reports whether another record needs more slots: the load is at most 1/4 while they are few, and then 3/4.
func (t *Table[K, R, C]) full() bool {
	n := len(t.slots)
	return (t.used+1)*4 > n*3 || n < fewSlots && (t.used+1)*4 > n
}

// Live reports whether ref names a record: it may be one that was removed, or another one since.
func (t *Table[K, R, C]) Live(ref Ref) bool {
	i := uint32(ref) - 1
	c := int(i >> chunkBits)
	return ref != 0 && c < len(t.chunks) && t.chunks[c] != nil && t.chunks[c].inUse(i&(chunkLen-1))
}

// At returns the record that ref names. It is valid until the record is removed.
func (t *Table[K, R, C]) At(ref Ref) *R { return &t.entry(ref).record }

// Rest returns the second part of the record that ref names. It is valid until the record is removed.
func (t *Table[K, R, C]) Rest(ref Ref) *C { return &t.rest(ref).record }

// Key returns the key of the record that ref names.
func (t *Table[K, R, C]) Key(ref Ref) *K { return &t.entry(ref).key }

// Entry is Key and At.
func (t *Table[K, R, C]) Entry(ref Ref) (*K, *R) {
	e := t.entry(ref)
	return &e.key, &e.record
}

// Peek is Rest for a ref that may name no record any more: nil, or what is left of one, or another's. It is for fetching
// ahead.
func (t *Table[K, R, C]) Peek(ref Ref) *C {
	i := uint32(ref) - 1
	c := int(i >> chunkBits)
	if c >= len(t.chunks) || t.chunks[c] == nil {
		return nil
	}
	return &t.chunks[c].rest[i&(chunkLen-1)].record
}

// Remove deletes the record that ref names, with its timer.
func (t *Table[K, R, C]) Remove(ref Ref) {
	t.Cancel(ref)
	mask := uint32(len(t.slots) - 1)
	i := t.rest(ref).hash & mask
	for t.slots[i].ref != ref {
		i = (i + 1) & mask
	}
	// Backward shift: whatever probed past this slot moves up, so that no tombstones gather.
	for j := (i + 1) & mask; t.slots[j].ref != 0; j = (j + 1) & mask {
		if home := t.slots[j].hash & mask; (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
	t.used--
	t.release(ref)
	if len(t.slots) > minSlots && t.used*16 < len(t.slots) {
		t.rehash(len(t.slots) / 2)
	}
}

// All calls yield with every record, in no useful order, until it returns false. Records may be removed meanwhile.
func (t *Table[K, R, C]) All(yield func(Ref) bool) {
	for c, ch := range t.chunks {
		if ch == nil {
			continue
		}
		for i := uint32(0); i < ch.fresh; i++ {
			if ch.inUse(i) && !yield(Ref(c<<chunkBits|int(i)+1)) {
				return
			}
			if t.chunks[c] != ch {
				break // yield removed the chunk's last record
			}
		}
	}
}

func (t *Table[K, R, C]) entry(ref Ref) *entry[K, R] {
	i := uint32(ref) - 1
	return &t.chunks[i>>chunkBits].entries[i&(chunkLen-1)]
}

func (t *Table[K, R, C]) rest(ref Ref) *rest[C] {
	i := uint32(ref) - 1
	return &t.chunks[i>>chunkBits].rest[i&(chunkLen-1)]
}

func (t *Table[K, R, C]) place(s slot) {
	mask := uint32(len(t.slots) - 1)
	i := s.hash & mask
	for t.slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

func (t *Table[K, R, C]) rehash(n int) {
	old := t.slots
	t.slots = make([]slot, n)
	for _, s := range old {
		if s.ref != 0 {
			t.place(s)
		}
	}
}

func (ch *chunk[K, R, C]) inUse(i uint32) bool { return i < ch.fresh && ch.rest[i].timer.at != freed }

// allocate takes an entry from the lowest slab that has one, so that high slabs run empty.
func (t *Table[K, R, C]) allocate() Ref {
	c, ok := t.spare.lowest()
	if !ok {
		c = len(t.chunks)
		t.chunks = append(t.chunks, nil)
		t.spare.set(c)
	}
	ch := t.chunks[c]
	if ch == nil {
		ch = new(chunk[K, R, C])
		t.chunks[c] = ch
	}
	var i uint32
	if ch.free != 0 {
		i = ch.free - 1
		ch.free = uint32(ch.rest[i].timer.next)
	} else {
		i = ch.fresh
		ch.fresh++
	}
	ch.rest[i] = rest[C]{}
	ch.live++
	if ch.live == chunkLen {
		t.spare.clear(c)
	}
	return Ref(uint32(c)<<chunkBits|i) + 1
}

// release gives an entry back. Of the slabs that are empty one is kept, so that a connection more or less does not
// make and drop one each time.
func (t *Table[K, R, C]) release(ref Ref) {
	i := uint32(ref) - 1
	c := int(i >> chunkBits)
	ch := t.chunks[c]
	i &= chunkLen - 1
	ch.entries[i] = entry[K, R]{} // here, as a new record is used at once, and must not wait for it
	ch.rest[i].timer = timer{at: freed, next: Ref(ch.free)}
	ch.free = i + 1
	ch.live--
	t.spare.set(c)
	if ch.live > 0 {
		return
	}
	if k := t.chunks[t.kept]; k != nil && k.live == 0 && t.kept != c {
		t.chunks[t.kept] = nil
	}
	t.kept = c
}
