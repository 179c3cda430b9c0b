package flowtable

import (
	"math"
	"math/bits"
	"time"
)

// Tick is the resolution of timers.
const Tick = time.Second

const wheelSlots = 1 << 13 // more than the ticks of the follower's default idle timeout

// wheel is a hashed timer wheel. It reaches wheelSlots ticks ahead, so that a slot holds timers of one tick only; a
// timer beyond that comes up early. Owners look at the true deadline anyway: a record that is used again need not be
// moved.
type wheel struct {
	slots [wheelSlots]list
	now   int64 // the last tick that was advanced to, that of time 0 before the first
	armed int
}

// list is a doubly linked list of timers, in the order in which they were set.
type list struct{ head, tail Ref }

// timer is the wheel's part of an entry.
type timer struct {
	at         uint32 // index of its slot + 1, or off, or freed
	next, prev Ref
}

const (
	off   = 0
	freed = wheelSlots + 1 // the entry is not in use
)

// epoch is added to ticks, so that none is 0 or less: half the range of times, in ticks.
const epoch = -(math.MinInt64 / int64(Tick)) + 2

// tickOf returns the first tick that does not come before deadline.
func tickOf(deadline int64) int64 {
	n := deadline / int64(Tick)
	if n*int64(Tick) < deadline {
		n++
	}
	return n + epoch
}

// Schedule sets the timer of ref, in nanoseconds of the packet clock. A deadline that has passed comes up at the next
// Advance, and one more than two hours ahead early.
func (t *Table[K, R, C]) Schedule(ref Ref, deadline int64) {
	t.Cancel(ref)
	w := &t.wheel
	tick := w.clamp(tickOf(deadline))
	slot := uint32(uint64(tick) % wheelSlots)
	l := &w.slots[slot]
	t.rest(ref).timer = timer{at: slot + 1, prev: l.tail}
	if l.tail != 0 {
		t.rest(l.tail).timer.next = ref
	} else {
		l.head = ref
	}
	l.tail = ref
	w.armed++
}

// Hasten sets the timer of ref unless it is set to come up by deadline anyway.
func (t *Table[K, R, C]) Hasten(ref Ref, deadline int64) {
	if at := t.rest(ref).timer.at; at == off || t.wheel.tick(at) > tickOf(deadline) {
		t.Schedule(ref, deadline)
	}
}

// tick returns the tick of a timer: it is less than a turn away.
func (w *wheel) tick(at uint32) int64 {
	return w.now + int64((uint64(at)-1-uint64(w.now))%wheelSlots)
}

// clamp moves a tick to where the wheel reaches.
func (w *wheel) clamp(tick int64) int64 {
	return min(max(tick, w.now+1), w.now+wheelSlots-1)
}

// Reschedule moves the timer of ref to a later deadline. It reports false, and does nothing, when deadline is not later
// than what the timer is set to.
func (t *Table[K, R, C]) Reschedule(ref Ref, deadline int64) bool {
	if at := t.rest(ref).timer.at; at != off && t.wheel.clamp(tickOf(deadline)) <= t.wheel.tick(at) {
		return false
	}
	t.Schedule(ref, deadline)
	return true
}

// Cancel clears the timer of ref.
func (t *Table[K, R, C]) Cancel(ref Ref) {
	tm := &t.rest(ref).timer
	if tm.at == off {
		return
	}
	l := &t.wheel.slots[tm.at-1]
	if tm.prev != 0 {
		t.rest(tm.prev).timer.next = tm.next
	} else {
		l.head = tm.next
	}
	if tm.next != 0 {
		t.rest(tm.next).timer.prev = tm.prev
	} else {
		l.tail = tm.prev
	}
	*tm = timer{}
	t.wheel.armed--
}

// Advance moves the wheel to the packet clock now and appends the records whose timers have come up to due, in no
// useful order. Their timers are cleared. A clock that goes back does nothing.
func (t *Table[K, R, C]) Advance(now int64, due []Ref) []Ref {
	w := &t.wheel
	tick := now/int64(Tick) + epoch
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
		for ref := w.slots[uint64(n)%wheelSlots].head; ref != 0; {
			next := t.rest(ref).timer.next
			t.Cancel(ref)
			due = append(due, ref)
			ref = next
		}
	}
	return due
}

// Soonest returns the record whose timer comes up first, the one set first among equals, or 0 when no timer is set.
// It costs a look at each slot in front of that.
func (t *Table[K, R, C]) Soonest() Ref {
	if t.wheel.armed == 0 {
		return 0
	}
	for n := range int64(wheelSlots) {
		if ref := t.wheel.slots[uint64(t.wheel.now+1+n)%wheelSlots].head; ref != 0 {
			return ref
		}
	}
	return 0
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
