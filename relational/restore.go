package relational

import (
	"cmp"
	"errors"
	"slices"
)

// Restored is an open flow of a stream that was.
type Restored[T any, F any] struct {
	*Match[T, F]
	// Keys are those that its next event is found by, none for any event; a [Waiter] says so itself.
	Keys []Key
	// Partition is what TypeConfig.Partition gave of its first event, or the first key of that event.
	Partition Key
}

// Restore adds open flows, as Incomplete gave them, to a type that has none and belongs to a stream. They keep their
// numbers; those that start later count on. Too many of them are an error.
func (t *Type[T, F]) Restore(flows []Restored[T, F]) error {
	switch {
	case t.stream == nil:
		return errors.New("relational: type " + t.name + " belongs to no stream")
	case t.open > 0 || t.seq > 0:
		return errors.New("relational: type " + t.name + " has begun already")
	case len(flows) > t.cfg.MaxOpen:
		return errors.New("relational: more flows of type " + t.name + " than MaxOpen")
	}
	flows = slices.Clone(flows)
	slices.SortFunc(flows, func(a, b Restored[T, F]) int { return cmp.Compare(a.Seq, b.Seq) })
	for i := range flows {
		if i > 0 && flows[i].Seq == flows[i-1].Seq {
			return errors.New("relational: two flows of type " + t.name + " with the same number")
		}
	}
	var byLatest []uint32
	for _, f := range flows {
		n := t.newInstance()
		i, r := t.at(n), t.record(n)
		*r = record[T]{from: f.From, events: slices.Clone(f.Events)}
		i.flow, i.seq, i.to, i.open = f.Flow, f.Seq, f.To, true
		if !f.Start.IsZero() {
			r.first, i.last = f.Start.UnixNano(), f.End.UnixNano()
		}
		t.seq = f.Seq + 1
		t.open++
		t.born(n)
		if t.cfg.Skip != NoSkip {
			t.divide(n, t.hasher.sum(f.Partition))
		}
		if t.waits {
			t.refile(n)
		} else {
			for _, k := range f.Keys {
				t.expect(n, t.hasher.sum(k))
			}
			t.expectAny(n)
		}
		byLatest = append(byLatest, n)
	}
	if t.cfg.MaxGap > 0 {
		slices.SortStableFunc(byLatest, func(a, b uint32) int { return cmp.Compare(t.at(a).to, t.at(b).to) })
		for _, n := range byLatest {
			t.queue(n)
		}
	}
	return nil
}
