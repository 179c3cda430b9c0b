package flowtable

import (
	"math/bits"
	"time"
)

// Tick is the resolution of timers.
const Tick = time.Second

const wheelSlots = 1 << 13 // more than the ticks of the default idle timeout of two hours and four minutes

// wheel is a hashed timer wheel. Only the tick for which a record was last scheduled is kept in it: a record that is
// used again need not be moved, its owner looks at the true deadline when the timer comes up.
type wheel struct {
	slots [wheelSlots]list
	now   int64 // the last tick that was advanced to
	armed int
}

// list is a doubly linked list of timers in order of their ticks, of scheduling among equals. Only timers further ahead
// than the wheel has slots make it hold more than one tick, so that almost every new one goes to its end.
type list struct{ head, tail Ref }

// timer is the wheel's part of an entry.
type timer struct {
	tick       int64
	next, prev Ref
	on         bool
}

// tickOf returns the first tick that does not come before deadline.
func tickOf(deadline int64) int64 {
	n := deadline / int64(Tick)
	if n*int64(Tick) < deadline {
		n++
	}
	return n
}

// Schedule sets the timer of ref, in nanoseconds of the packet clock; a deadline that has passed fires at the next
// Advance.
func (t *Table[K, R]) Schedule(ref Ref, deadline int64) {
	t.Cancel(ref)
	w := &t.wheel
	tick := max(tickOf(deadline), w.now+1)
	tm := &t.entry(ref).timer
	l := &w.slots[uint64(tick)%wheelSlots]
	prev, next := l.tail, Ref(0)
	for prev != 0 && t.entry(prev).timer.tick > tick {
		prev, next = t.entry(prev).timer.prev, prev
	}
	*tm = timer{tick: tick, prev: prev, next: next, on: true}
	if prev != 0 {
		t.entry(prev).timer.next = ref
	} else {
		l.head = ref
	}
	if next != 0 {
		t.entry(next).timer.prev = ref
	} else {
		l.tail = ref
	}
	w.armed++
}

// Reschedule moves the timer of ref to a later deadline. It reports false, and does nothing, when deadline is not later
// than what the timer is set to.
func (t *Table[K, R]) Reschedule(ref Ref, deadline int64) bool {
	if tm := &t.entry(ref).timer; tm.on && tickOf(deadline) <= tm.tick {
		return false
	}
	t.Schedule(ref, deadline)
	return true
}

// Cancel clears the timer of ref.
func (t *Table[K, R]) Cancel(ref Ref) {
	tm := &t.entry(ref).timer
	if !tm.on {
		return
	}
	l := &t.wheel.slots[uint64(tm.tick)%wheelSlots]
	if tm.prev != 0 {
		t.entry(tm.prev).timer.next = tm.next
	} else {
		l.head = tm.next
	}
	if tm.next != 0 {
		t.entry(tm.next).timer.prev = tm.prev
	} else {
		l.tail = tm.prev
	}
	*tm = timer{}
	t.wheel.armed--
}

// Advance moves the wheel to the packet clock now and appends the records whose timers have come up to due, in no
// useful order. Their timers are cleared. A clock that goes back does nothing.
func (t *Table[K, R]) Advance(now int64, due []Ref) []Ref {
	w := &t.wheel
	tick := now / int64(Tick)
	if now < 0 && now%int64(Tick) != 0 {
		tick--
	}
	if tick <= w.now && w.armed > 0 {
		return due
	}
	from := max(w.now+1, tick-wheelSlots+1)
	w.now = tick
	if w.armed == 0 {
		return due
	}
	for n := from; n <= tick; n++ {
		l := &w.slots[uint64(n)%wheelSlots]
		for l.head != 0 && t.entry(l.head).timer.tick <= tick {
			due = append(due, l.head)
			t.Cancel(l.head)
		}
	}
	return due
}

// Soonest returns the record whose timer comes up first, the one scheduled first among equals, or 0 when no timer is
// set. It costs a look at each slot in front of that.
func (t *Table[K, R]) Soonest() Ref {
	var later Ref
	for n := range int64(wheelSlots) {
		tick := t.wheel.now + 1 + n
		ref := t.wheel.slots[uint64(tick)%wheelSlots].head
		if ref == 0 {
			continue
		}
		if t.entry(ref).timer.tick <= tick {
			return ref
		}
		if later == 0 || t.entry(ref).timer.tick < t.entry(later).timer.tick {
			later = ref
		}
	}
	return later
}

// spareSet is the set of slabs that have room.
type spareSet struct {
	words []uint64
	hint  int // no word before it has a member
}

func (s *spareSet) set(i int) {
	for len(s.words) <= i/64 {
		s.words = append(s.words, 0)
	}
	s.words[i/64] |= 1 << (i % 64)
	s.hint = min(s.hint, i/64)
}

func (s *spareSet) clear(i int) { s.words[i/64] &^= 1 << (i % 64) }

func (s *spareSet) lowest() (int, bool) {
	for ; s.hint < len(s.words); s.hint++ {
		if w := s.words[s.hint]; w != 0 {
			return s.hint*64 + bits.TrailingZeros64(w), true
		}
	}
	return 0, false
}
