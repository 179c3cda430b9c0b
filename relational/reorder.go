package relational

import "container/heap"

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
