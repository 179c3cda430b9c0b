package relational

import (
	"container/heap"
	"errors"
	"slices"
	"time"
)

// instance is an open flow.
type instance[T any, F Flow[T]] struct {
	flow       F
	events     []T
	seq        uint64
	first      int64
	last       int64
	key        string
	filed      bool   // under key, else among those that are offered every event
	open       bool   // it is among the open flows
	dead       Reason // not Matched: it ended while an event was offered
	marked     bool   // something happened to it, see Type.marked
	start, end links[T, F]
}

// links are an instance's neighbours in a lane.
type links[T any, F Flow[T]] struct{ prev, next *instance[T, F] }

// lane is a list of instances in some order.
type lane[T any, F Flow[T]] struct {
	first, last *instance[T, F]
	second      bool // uses the second pair of links
}

func (l *lane[T, F]) links(i *instance[T, F]) *links[T, F] {
	if l.second {
		return &i.end
	}
	return &i.start
}

func (l *lane[T, F]) append(i *instance[T, F]) {
	x := l.links(i)
	x.prev, x.next = l.last, nil
	if l.last != nil {
		l.links(l.last).next = i
	} else {
		l.first = i
	}
	l.last = i
}

func (l *lane[T, F]) remove(i *instance[T, F]) {
	x := l.links(i)
	if x.prev != nil {
		l.links(x.prev).next = x.next
	} else {
		l.first = x.next
	}
	if x.next != nil {
		l.links(x.next).prev = x.prev
	} else {
		l.last = x.prev
	}
	*x = links[T, F]{}
}

// bucket is the open flows that wait for one key, in the order in which they started.
type bucket[T any, F Flow[T]] struct{ list []*instance[T, F] }

func (b *bucket[T, F]) add(i *instance[T, F]) {
	at := len(b.list)
	for at > 0 && b.list[at-1].seq > i.seq {
		at--
	}
	b.list = slices.Insert(b.list, at, i)
}

func (b *bucket[T, F]) remove(i *instance[T, F]) {
	at, ok := slices.BinarySearchFunc(b.list, i.seq, func(x *instance[T, F], seq uint64) int {
		switch {
		case x.seq < seq:
			return -1
		case x.seq > seq:
			return 1
		}
		return 0
	})
	if ok {
		b.list = slices.Delete(b.list, at, at+1)
	}
}

func (i *instance[T, F]) match() *Match[T, F] {
	m := &Match[T, F]{Flow: i.flow, Events: slices.Clone(i.events), Seq: i.seq}
	if i.first != 0 || i.last != 0 {
		m.Start, m.End = time.Unix(0, i.first).UTC(), time.Unix(0, i.last).UTC()
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

// candidates collects into t.offered the open flows that an event concerns, the oldest first, and into t.keys its keys. It
// reports false if the event concerns no flow of this type.
func (t *Type[T, F]) candidates(ev T) bool {
	t.offered, t.keys = t.offered[:0], t.keys[:0]
	switch {
	case t.cfg.Key != nil:
		key, ok := t.cfg.Key(ev)
		if !ok {
			return false
		}
		t.keys = append(t.keys, key)
	case t.cfg.Keys != nil:
		t.cfg.Keys(ev, t.addKey)
		if len(t.keys) == 0 {
			return false
		}
	}
	for _, key := range t.keys {
		if b := t.buckets[key]; b != nil {
			t.offered = append(t.offered, b.list...)
		}
	}
	t.offered = append(t.offered, t.anyKey.list...)
	if len(t.keys) > 1 || len(t.keys) == 1 && len(t.anyKey.list) > 0 {
		slices.SortFunc(t.offered, func(a, b *instance[T, F]) int {
			if a.seq < b.seq {
				return -1
			}
			return 1
		})
	}
	return true
}

func (t *Type[T, F]) ingest(ev T, at int64) {
	if !t.candidates(ev) {
		return
	}
	if t.stream.cfg.Compat060 {
		if i := t.begin(ev, at); i != nil {
			t.offered = append(t.offered, i)
		}
	}
	for _, i := range t.offered {
		t.offer(i, ev, at)
	}
	if !t.stream.cfg.Compat060 {
		t.begin(ev, at)
	}
}

// offer asks an open flow whether an event is its next one.
func (t *Type[T, F]) offer(i *instance[T, F], ev T, at int64) {
	if !i.open || i.dead != Matched {
		return
	}
	if a, ok := any(i.flow).(Aborter[T]); ok && t.asks(i, func() bool { return a.Abort(ev) }) {
		t.mark(i)
		i.dead = Aborted
		return
	}
	if !t.accepts(i, ev) {
		return
	}
	t.took(i, ev, at)
}

// took notes that a flow accepted an event.
func (t *Type[T, F]) took(i *instance[T, F], ev T, at int64) {
	i.last = at
	if !t.cfg.DropEvents {
		i.events = append(i.events, ev)
	}
	if t.cfg.MaxGap > 0 {
		t.byEnd.remove(i)
		t.byEnd.append(i)
	}
	t.mark(i)
	if w, ok := any(i.flow).(Waiter); ok {
		t.unfile(i)
		i.key, i.filed = w.WaitsFor()
		t.file(i)
	}
}

// mark notes that something happened to a flow, to be settled when all flows have been offered the event.
func (t *Type[T, F]) mark(i *instance[T, F]) {
	if !i.marked {
		i.marked = true
		t.marked = append(t.marked, i)
	}
}

// accepts calls Accept, and isolates a panic of it.
func (t *Type[T, F]) accepts(i *instance[T, F], ev T) (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			t.broke(i, cause)
			ok = false
		}
	}()
	return i.flow.Accept(ev)
}

// completes is accepts for Complete.
func (t *Type[T, F]) completes(i *instance[T, F]) (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			t.broke(i, cause)
			ok = false
		}
	}()
	return i.flow.Complete()
}

// asks is accepts for other questions.
func (t *Type[T, F]) asks(i *instance[T, F], ask func() bool) (ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			t.broke(i, cause)
			ok = false
		}
	}()
	return ask()
}

func (t *Type[T, F]) broke(i *instance[T, F], cause any) {
	t.stream.failed(t.name, cause)
	i.dead = Panicked
	if i.open {
		t.mark(i)
	}
}

// begin starts a flow if one accepts the event as its first. A flow that does not is offered the next event in its turn.
func (t *Type[T, F]) begin(ev T, at int64) *instance[T, F] {
	if t.cfg.Skip == OnePerKey && t.occupied() {
		return nil
	}
	if t.open >= t.cfg.MaxOpen && t.cfg.Policy == RejectNew {
		if t.wouldStart(ev) {
			t.stats.Rejected++
		}
		return nil
	}
	if !t.wouldStart(ev) {
		return nil
	}
	if t.open >= t.cfg.MaxOpen {
		t.end(t.byStart.first, Dropped)
	}
	i := &instance[T, F]{flow: t.spare, seq: t.seq, first: at, last: at, open: true}
	var none F
	t.spare, t.hasSpare = none, false
	t.seq++
	t.stats.Started++
	t.open++
	t.byStart.append(i)
	if t.cfg.MaxGap > 0 {
		t.byEnd.append(i)
	}
	if len(t.keys) > 0 {
		i.key, i.filed = t.keys[0], true
	}
	t.file(i)
	t.took(i, ev, at)
	return i
}

// occupied reports whether a flow with a key of the event at hand is open, and counts that none starts.
func (t *Type[T, F]) occupied() bool {
	for _, key := range t.keys {
		if b := t.buckets[key]; b != nil && len(b.list) > 0 {
			t.stats.Rejected++
			return true
		}
	}
	return len(t.keys) == 0 && t.open > 0
}

// wouldStart offers an event to a new flow, which is kept as t.spare: if it accepted, it has begun.
func (t *Type[T, F]) wouldStart(ev T) bool {
	if !t.hasSpare {
		t.spare, t.hasSpare = t.newFlow(), true
	}
	t.probe = instance[T, F]{flow: t.spare}
	if t.accepts(&t.probe, ev) {
		return true
	}
	if t.probe.dead == Panicked { // who knows what it looks like now
		var none F
		t.spare, t.hasSpare = none, false
	}
	return false
}

func (t *Type[T, F]) file(i *instance[T, F]) {
	if !i.filed {
		t.anyKey.add(i)
		return
	}
	b := t.buckets[i.key]
	if b == nil {
		b = &bucket[T, F]{}
		t.buckets[i.key] = b
	}
	b.add(i)
}

func (t *Type[T, F]) unfile(i *instance[T, F]) {
	if !i.filed {
		t.anyKey.remove(i)
		return
	}
	if b := t.buckets[i.key]; b != nil {
		if b.remove(i); len(b.list) == 0 {
			delete(t.buckets, i.key)
		}
	}
}

// settle ends the flows that the event at hand completed or broke, in the order in which they started.
func (t *Type[T, F]) settle(int64) {
	if len(t.marked) == 0 {
		return
	}
	slices.SortFunc(t.marked, func(a, b *instance[T, F]) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	for n := 0; n < len(t.marked); n++ {
		i := t.marked[n]
		i.marked = false
		switch {
		case !i.open:
		case i.dead != Matched:
			t.end(i, i.dead)
		case t.completes(i):
			t.end(i, Matched)
			if t.cfg.Skip == PastLast {
				t.skipPast(i)
			}
		case i.dead != Matched:
			t.end(i, i.dead)
		}
	}
	clear(t.marked)
	t.marked = t.marked[:0]
}

// skipPast ends the open flows with the key of a match.
func (t *Type[T, F]) skipPast(match *instance[T, F]) {
	list := t.anyKey.list
	if match.filed {
		b := t.buckets[match.key]
		if b == nil {
			return
		}
		list = b.list
	}
	for _, i := range slices.Clone(list) {
		if i.first <= match.last {
			t.end(i, Dropped)
		}
	}
}

// end takes a flow off the open ones and reports it.
func (t *Type[T, F]) end(i *instance[T, F], why Reason) {
	if !i.open {
		return
	}
	i.open = false
	t.byStart.remove(i)
	if t.cfg.MaxGap > 0 {
		t.byEnd.remove(i)
	}
	t.unfile(i)
	t.open--
	if x, ok := any(i.flow).(Expirer); ok && (why == Expired || why == Flushed) && t.asks(i, x.Expire) {
		why = Matched
	}
	t.stats.Ended[why]++
	if why == Matched && t.cfg.OnMatch == nil && t.cfg.Keep == 0 || why != Matched && t.cfg.OnEnd == nil {
		return
	}
	m := i.match()
	m.Reason = why
	if why != Matched {
		t.cfg.OnEnd(m)
		return
	}
	if t.cfg.Keep > 0 {
		if len(t.completed) >= t.cfg.Keep {
			t.completed = slices.Delete(t.completed, 0, 1)
			t.stats.Forgotten++
		}
		t.completed = append(t.completed, *m)
	}
	if t.cfg.OnMatch != nil {
		t.cfg.OnMatch(m)
	}
}

// advance ends the flows whose time is over.
func (t *Type[T, F]) advance(at int64) {
	for i := t.byStart.first; i != nil && t.cfg.Within > 0 && at-i.first > int64(t.cfg.Within); i = t.byStart.first {
		t.end(i, Expired)
	}
	for i := t.byEnd.first; i != nil && t.cfg.MaxGap > 0 && at-i.last > int64(t.cfg.MaxGap); i = t.byEnd.first {
		t.end(i, Expired)
	}
}

func (t *Type[T, F]) flush() {
	for t.byStart.first != nil {
		t.end(t.byStart.first, Flushed)
	}
}

// queue holds events back, in the order of their times; those of one time in the order in which they came.
type queue[T any] struct {
	heap   heldEvents[T]
	latest int64
	n      uint64
}

type heldEvent[T any] struct {
	ev T
	at int64
	n  uint64
}

func (q *queue[T]) len() int        { return len(q.heap) }
func (q *queue[T]) earliest() int64 { return q.heap[0].at }

func (q *queue[T]) push(ev T, at int64) {
	if q.n == 0 || at > q.latest {
		q.latest = at
	}
	heap.Push(&q.heap, heldEvent[T]{ev, at, q.n})
	q.n++
}

func (q *queue[T]) pop() (T, int64) {
	e, _ := heap.Pop(&q.heap).(heldEvent[T])
	return e.ev, e.at
}

type heldEvents[T any] []heldEvent[T]

func (h heldEvents[T]) Len() int { return len(h) }
func (h heldEvents[T]) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].n < h[j].n
}
func (h heldEvents[T]) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *heldEvents[T]) Push(x any) { *h = append(*h, x.(heldEvent[T])) } //nolint:forcetypeassert // by container/heap

// Pop is for container/heap.
func (h *heldEvents[T]) Pop() any {
	old := *h
	e := old[len(old)-1]
	clear(old[len(old)-1:])
	*h = old[:len(old)-1]
	return e
}
