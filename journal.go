package tcpfollow

import (
	"cmp"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
)

// place says where an event stands among those of all shards: in the order in which one follower alone would have come
// to it.
type place struct {
	fed    uint64 // how many frames had been fed, the one with the event included
	phase  phase
	at     int64  // of a timer: its deadline
	stream uint64 // of a timer, and at the end: whose turn it is
}

// phase is a part of what is done for a frame.
type phase uint8

const (
	phaseClock  phase = iota // timers that came up, in the order of deadline, then of opening
	phasePacket              // the packet itself
	phaseStops               // what callbacks asked of other streams
	phaseClose               // after the last frame, in the order of opening
)

func (p *place) compare(q *place) int {
	return cmp.Or(cmp.Compare(p.fed, q.fed), cmp.Compare(p.phase, q.phase), cmp.Compare(p.at, q.at), cmp.Compare(p.stream, q.stream))
}

// journal is what happens in a shard, in order.
type journal struct {
	place  place
	stream uint64 // whose callback is running
	events []event
}

// event is an entry of a journal.
type event struct {
	place  place
	stream uint64
	kind   eventKind
}

type eventKind uint8

const (
	openedStream eventKind = iota
	closedStream
	emitted // by a handler; the value is beside the journal
	failed  // a handler panicked, or ended its goroutine; the reason is beside the journal
)

func (j *journal) note(kind eventKind, stream uint64) {
	j.events = append(j.events, event{j.place, stream, kind})
}

// identify gives a stream its number. In a shard that is how many frames had been fed when it was opened: a frame opens
// one stream at the most, so that these numbers, too, are in the order of opening.
func (f *TCPStreamFollower) identify(ref flowtable.Ref) uint64 {
	id := f.nextID
	f.nextID++
	if f.journal != nil {
		id = f.journal.place.fed
		f.journal.note(openedStream, id)
	}
	f.table.Rest(ref).id = id
	return id
}
