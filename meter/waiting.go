package meter

import "container/heap"

// waiting holds flows that have ended until all that were created before them are emitted: OrderFirst.
type waiting struct {
	emit     func(*Flow)
	most     int
	next     uint64 // the flow that is due, by its place in the order of creation
	emitted  uint64
	unsorted uint64
	flows    waitingFlows
}

type waitingFlow struct {
	created uint64
	flow    *Flow
}

// add takes a flow that has ended.
func (w *waiting) add(f *Flow, created uint64) {
	if created == w.next && len(w.flows) == 0 { // without a copy
		w.pass(f, created)
		return
	}
	heap.Push(&w.flows, waitingFlow{created, f.Clone()})
	for len(w.flows) > 0 && (w.flows[0].created == w.next || len(w.flows) > w.most) {
		w.pop()
	}
}

// flush emits all that wait.
func (w *waiting) flush() {
	for len(w.flows) > 0 {
		w.pop()
	}
}

func (w *waiting) pop() {
	first, _ := heap.Pop(&w.flows).(waitingFlow)
	w.pass(first.flow, first.created)
}

func (w *waiting) pass(f *Flow, created uint64) {
	if created < w.next {
		w.unsorted++
	}
	w.next = max(w.next, created+1)
	f.ID = w.emitted
	w.emitted++
	w.emit(f)
}

// waitingFlows is a heap, the flow that was created first on top.
type waitingFlows []waitingFlow

// Len implements [heap.Interface].
func (w *waitingFlows) Len() int { return len(*w) }

// Less implements [heap.Interface].
func (w *waitingFlows) Less(i, j int) bool { return (*w)[i].created < (*w)[j].created }

// Swap implements [heap.Interface].
func (w *waitingFlows) Swap(i, j int) { (*w)[i], (*w)[j] = (*w)[j], (*w)[i] }

// Push implements [heap.Interface].
func (w *waitingFlows) Push(x any) {
	f, _ := x.(waitingFlow)
	*w = append(*w, f)
}

// Pop implements [heap.Interface].
func (w *waitingFlows) Pop() any {
	old := *w
	last := old[len(old)-1]
	old[len(old)-1] = waitingFlow{}
	*w = old[:len(old)-1]
	return last
}
