package meter

import (
	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
)

// list is the order in which flows are looked at for idleness: that of their creation, or that of their last packets.
type list struct {
	table      *flowtable.Table[packet.FlowKey, record, rare]
	head, tail flowtable.Ref
}

// push appends a flow.
func (l *list) push(ref flowtable.Ref) {
	r := l.table.Rest(ref)
	r.before, r.after = l.tail, 0
	if l.tail == 0 {
		l.head = ref
	} else {
		l.table.Rest(l.tail).after = ref
	}
	l.tail = ref
}

// remove takes a flow out.
func (l *list) remove(ref flowtable.Ref) {
	r := l.table.Rest(ref)
	if r.before == 0 {
		l.head = r.after
	} else {
		l.table.Rest(r.before).after = r.after
	}
	if r.after == 0 {
		l.tail = r.before
	} else {
		l.table.Rest(r.after).before = r.before
	}
}
