package relational

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// instance is an open flow: what is touched to find it and to go on with it, in 64 bytes. What is not lies in its record.
type instance[T any, F Flow[T]] struct {
	filing
	dead   Reason // not Matched: it ended while an event was offered
	open   bool   // it is among the open flows
	marked bool   // something happened to it, see Type.marked
	flow   F
	seq    uint64
	last   int64
	to     uint64
}

// record is the rest of an instance.
type record[T any] struct {
	first  int64
	from   uint64
	events []T
	part   uint32 // the filing under its partition, 0 without one
	sooner uint32 // by the times of the latest events, with MaxGap only
	later  uint32
}

// match returns what an open flow is by now.
func (t *Type[T, F]) match(n uint32) *Match[T, F] {
	i, r := t.at(n), t.record(n)
	m := &Match[T, F]{Flow: i.flow, Events: r.events, Seq: i.seq, From: r.from, To: i.to}
	if r.first != 0 || i.last != 0 {
		m.Start, m.End = time.Unix(0, r.first).UTC(), time.Unix(0, i.last).UTC()
	}
	return m
}

func (t *Type[T, F]) attach(s *Stream[T]) error {
	if t.stream != nil {
		return errors.New("relational: type " + t.name + " belongs to a stream already")
	}
	t.stream = s
	return nil
}

// candidates collects into t.offered the open flows that an event concerns, the oldest first, and into t.sums what stands
// for its keys. It reports false if the event concerns no flow of this type.
func (t *Type[T, F]) candidates(ev T) bool {
	t.offered = t.offered[:0]
	hint := uint32(0)
	if n := len(t.ahead); n > 0 {
		hint = t.hints[t.foreseen-n]
	}
	if !t.summed(ev) {
		return false
	}
	if t.open == 0 {
		return true
	}
	chains := 0
	for _, k := range t.sums {
		chains += t.collect(t.hinted(hint, k))
	}
	if t.anyKey > 0 {
		chains += t.collect(t.chain(&t.waiting, hashed{}))
	}
	if chains > 1 {
		slices.SortFunc(t.offered, t.bySeq)
		t.offered = slices.Compact(t.offered)
	}
	return true
}

// summed fills t.sums with what stands for the keys of an event, or reports false if it concerns no flow of this type.
func (t *Type[T, F]) summed(ev T) bool {
	t.sums = t.sums[:0]
	switch {
	case len(t.ahead) > 0:
		k := t.ahead[0]
		t.ahead = t.ahead[1:]
		t.sums = append(t.sums, k)
		return k != hashed{}
	case t.cfg.Key != nil:
		key, ok := t.cfg.Key(ev)
		if !ok {
			return false
		}
		t.sums = append(t.sums, t.hasher.sum(Key{Value: key}))
	case t.cfg.Keys != nil:
		t.keys = t.cfg.Keys(ev, t.keys[:0])
		for _, k := range t.keys {
			t.sums = append(t.sums, t.hasher.sum(k))
		}
	}
	return true
}

// collect adds the flows of a chain to t.offered, and returns how many chains that were.
func (t *Type[T, F]) collect(n uint32) int {
	if n == 0 {
		return 0
	}
	for n != 0 {
		t.offered = append(t.offered, t.owner(n))
		n = t.filing(n).next
	}
	return 1
}

func (t *Type[T, F]) compareSeq(a, b uint32) int { return cmp.Compare(t.at(a).seq, t.at(b).seq) }

func (t *Type[T, F]) ingest(ev T, at int64) {
	if !t.candidates(ev) {
		return
	}
	if t.stream.cfg.Compat060 {
		if n := t.begin(ev, at); n != 0 {
			t.offered = append(t.offered, n)
		}
	}
	for _, n := range t.offered {
		t.offer(n, ev, at)
	}
	if !t.stream.cfg.Compat060 {
		t.begin(ev, at)
	}
}

// offer asks an open flow whether an event is its next one.
func (t *Type[T, F]) offer(n uint32, ev T, at int64) {
	i := t.at(n)
	if !i.open || i.dead != Matched {
		return
	}
	if t.aborts && t.wantsToAbort(n, ev) {
		t.mark(n)
		if i.dead == Matched {
			i.dead = Aborted
		}
		return
	}
	if i.dead == Matched && t.accepts(i, ev) {
		t.took(n, ev, at)
	} else if i.dead != Matched {
		t.mark(n)
	}
}

// took notes that a flow accepted an event.
func (t *Type[T, F]) took(n uint32, ev T, at int64) {
	i := t.at(n)
	i.last, i.to = at, t.stream.number
	if !t.cfg.DropEvents {
		r := t.record(n)
		r.events = append(r.events, ev)
	}
	if t.cfg.MaxGap > 0 {
		t.leave(n)
		t.queue(n)
	}
	t.mark(n)
	if t.waits {
		t.refile(n)
	}
}

// mark notes that something happened to a flow, to be settled when all flows have been offered the event.
func (t *Type[T, F]) mark(n uint32) {
	if i := t.at(n); !i.marked {
		i.marked = true
		t.marked = append(t.marked, n)
	}
}

// accepts calls Accept, and isolates a panic of it.
func (t *Type[T, F]) accepts(i *instance[T, F], ev T) (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			ok = false
			t.broke(i, cause)
		}
	}()
	return i.flow.Accept(ev)
}

// completes is accepts for Complete.
func (t *Type[T, F]) completes(i *instance[T, F]) (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			ok = false
			t.broke(i, cause)
		}
	}()
	return i.flow.Complete()
}

// wantsToAbort is accepts for Abort.
func (t *Type[T, F]) wantsToAbort(n uint32, ev T) (ok bool) {
	i := t.at(n)
	defer func() {
		if cause := recover(); cause != nil {
			ok = true
			t.broke(i, cause)
		}
	}()
	a, is := any(i.flow).(Aborter[T])
	return is && a.Abort(ev)
}

// matches is accepts for Expire.
func (t *Type[T, F]) matches(i *instance[T, F]) (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			ok = false
			t.broke(i, cause)
		}
	}()
	x, is := any(i.flow).(Expirer)
	return is && x.Expire()
}

// expected is accepts for WaitsFor: it fills t.wants.
func (t *Type[T, F]) expected(i *instance[T, F]) {
	defer func() {
		if cause := recover(); cause != nil {
			t.wants = t.wants[:0]
			t.broke(i, cause)
		}
	}()
	t.wants = t.wants[:0]
	if w, is := any(i.flow).(Waiter); is {
		t.wants = w.WaitsFor(t.wants)
	}
}

func (t *Type[T, F]) broke(i *instance[T, F], cause any) {
	t.stream.failed(t.name, cause)
	i.dead = Panicked
}

// begin starts a flow if one accepts the event as its first, and returns its number. One that does not is offered the next
// event in its turn.
func (t *Type[T, F]) begin(ev T, at int64) uint32 {
	if !t.wouldStart(ev) {
		return 0
	}
	flow := t.probe.flow
	t.probe = instance[T, F]{}
	var part hashed
	if t.cfg.Skip != NoSkip {
		part = t.partition(ev)
		switch open := t.chain(&t.parts, part); {
		case open == 0:
		case t.cfg.Skip == OnePerKey:
			t.stats.Rejected++
			return 0
		case t.cfg.Skip == Newest:
			t.endPart(part)
		default:
		}
	}
	if t.open >= t.cfg.MaxOpen {
		t.stats.LimitOpen++
		if t.cfg.Policy == RejectNew {
			t.stats.Rejected++
			return 0
		}
		t.end(t.oldest(), Dropped)
	}
	n := t.newInstance()
	i, r := t.at(n), t.record(n)
	i.flow, i.seq, i.open = flow, t.seq, true
	r.first, r.from = at, t.stream.number
	t.seq++
	t.stats.Started++
	t.enter(n, part)
	if !t.waits {
		if len(t.sums) > 0 {
			t.expect(n, t.sums[0])
		}
		t.expectAny(n)
	}
	t.took(n, ev, at)
	return n
}

// enter puts a flow among the open ones.
func (t *Type[T, F]) enter(n uint32, part hashed) {
	t.open++
	t.born(n)
	if t.cfg.MaxGap > 0 {
		t.queue(n)
	}
	if t.cfg.Skip != NoSkip {
		t.divide(n, part)
	}
}

// divide puts a flow into its partition.
func (t *Type[T, F]) divide(n uint32, part hashed) {
	p := t.newFiling(n, part)
	t.record(n).part = p
	t.link(&t.parts, p)
}

// partition returns what the after-match policy goes by.
func (t *Type[T, F]) partition(ev T) hashed {
	switch {
	case t.cfg.Partition != nil:
		return t.hasher.sum(Key{Value: t.cfg.Partition(ev)})
	case len(t.sums) > 0:
		return t.sums[0]
	}
	return hashed{}
}

// wouldStart offers an event to a new flow, t.probe. One that refuses is kept for the next event.
func (t *Type[T, F]) wouldStart(ev T) bool {
	if !t.probe.open {
		t.probe.flow, t.probe.open = t.newFlow(), true
	}
	if t.accepts(&t.probe, ev) {
		return true
	}
	if t.probe.dead != Matched { // who knows what it looks like now
		t.probe = instance[T, F]{}
	}
	return false
}

// expect files a flow under one more key.
func (t *Type[T, F]) expect(n uint32, k hashed) {
	i := t.at(n)
	if i.prev == 0 {
		i.key = k
		t.link(&t.waiting, n)
		return
	}
	f := t.newFiling(n, k)
	t.filing(f).more = i.more
	i.more = f
	t.link(&t.waiting, f)
}

// expectAny files a flow that waits for no key among those that are offered every event.
func (t *Type[T, F]) expectAny(n uint32) {
	if t.at(n).prev == 0 {
		t.anyKey++
		t.expect(n, hashed{})
	}
}

// refile files a flow under the keys that it waits for now.
func (t *Type[T, F]) refile(n uint32) {
	i := t.at(n)
	t.expected(i)
	if len(t.wants) == 1 && i.prev != 0 && i.more == 0 {
		k := t.hasher.sum(t.wants[0])
		if i.key == k {
			return
		}
		t.unfile(n)
		t.expect(n, k)
		return
	}
	t.unfile(n)
	for x, k := range t.wants {
		if !slices.Contains(t.wants[:x], k) {
			t.expect(n, t.hasher.sum(k))
		}
	}
	t.expectAny(n)
}

// unfile takes a flow from under its keys.
func (t *Type[T, F]) unfile(n uint32) {
	i := t.at(n)
	if i.prev == 0 {
		return
	}
	if i.key == (hashed{}) {
		t.anyKey--
	}
	t.unlink(&t.waiting, n)
	for f := i.more; f != 0; {
		next := t.filing(f).more
		t.unlink(&t.waiting, f)
		t.releaseFiling(f)
		f = next
	}
	i.more = 0
}

// settle ends the flows that the event at hand completed or broke, in the order in which they started.
func (t *Type[T, F]) settle() {
	if len(t.marked) == 0 {
		return
	}
	if len(t.marked) > 1 {
		slices.SortFunc(t.marked, t.bySeq)
	}
	for _, n := range t.marked {
		i := t.at(n)
		if !i.marked { // it has ended, and is another one now
			continue
		}
		i.marked = false
		switch {
		case i.dead != Matched:
			t.end(n, i.dead)
		case t.completes(i):
			if t.cfg.Skip != PastLast {
				t.end(n, Matched)
				continue
			}
			part := t.filing(t.record(n).part).key
			t.end(n, Matched)
			t.endPart(part)
		case i.dead != Matched:
			t.end(n, i.dead)
		}
	}
	t.marked = t.marked[:0]
}

// endPart ends the open flows of a partition.
func (t *Type[T, F]) endPart(part hashed) {
	for {
		f := t.chain(&t.parts, part)
		if f == 0 {
			return
		}
		t.end(t.owner(f), Dropped)
	}
}

// end takes a flow off the open ones and reports it.
func (t *Type[T, F]) end(n uint32, why Reason) {
	i := t.at(n)
	t.unfile(n)
	if t.cfg.MaxGap > 0 {
		t.leave(n)
	}
	if t.cfg.Skip != NoSkip {
		part := t.record(n).part
		t.unlink(&t.parts, part)
		t.releaseFiling(part)
	}
	t.open--
	if (why == Expired || why == Flushed) && t.expires {
		if t.matches(i) {
			why = Matched
		} else if i.dead != Matched {
			why = i.dead
		}
	}
	t.stats.Ended[why]++
	if why == Matched && t.cfg.OnMatch == nil && t.cfg.Keep == 0 && !t.pulling || why != Matched && t.cfg.OnEnd == nil {
		t.releaseInstance(n)
		return
	}
	m := t.match(n)
	m.Reason = why
	t.releaseInstance(n)
	if why != Matched {
		t.cfg.OnEnd(m)
		return
	}
	if t.cfg.Keep > 0 {
		t.keep(m)
	}
	if t.pulling {
		t.pulled = append(t.pulled, m)
	}
	if t.cfg.OnMatch != nil {
		t.cfg.OnMatch(m)
	}
}

// keep adds a match to those that Completed returns.
func (t *Type[T, F]) keep(m *Match[T, F]) {
	if len(t.completed) < t.cfg.Keep {
		t.completed = append(t.completed, *m)
		return
	}
	t.completed[t.eldest] = *m
	t.eldest = (t.eldest + 1) % t.cfg.Keep
	t.stats.Forgotten++
}

// advance ends the flows whose time is over.
func (t *Type[T, F]) advance(at int64) {
	for t.cfg.Within > 0 {
		n := t.oldest()
		if n == 0 || at-t.record(n).first <= int64(t.cfg.Within) {
			break
		}
		t.end(n, Expired)
	}
	for t.cfg.MaxGap > 0 {
		n := t.longest
		if n == 0 || at-t.at(n).last <= int64(t.cfg.MaxGap) {
			break
		}
		t.end(n, Expired)
	}
}

func (t *Type[T, F]) flush() {
	for n := t.oldest(); n != 0; n = t.oldest() {
		t.end(n, Flushed)
	}
}

// queue puts a flow behind all others by the time of its latest event.
func (t *Type[T, F]) queue(n uint32) {
	r := t.record(n)
	r.sooner, r.later = t.latest, 0
	if t.latest != 0 {
		t.record(t.latest).later = n
	} else {
		t.longest = n
	}
	t.latest = n
}

// leave takes a flow out of that order.
func (t *Type[T, F]) leave(n uint32) {
	r := t.record(n)
	if r.sooner != 0 {
		t.record(r.sooner).later = r.later
	} else {
		t.longest = r.later
	}
	if r.later != 0 {
		t.record(r.later).sooner = r.sooner
	} else {
		t.latest = r.sooner
	}
	r.sooner, r.later = 0, 0
}
