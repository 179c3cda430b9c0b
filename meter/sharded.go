package meter

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

const (
	roundPackets = 4096    // that shards are given at a time
	roundBytes   = 4 << 20 // of packets that dissection and plugins look at, in a round
	passFlows    = 1024    // that wait to be emitted while the input's end ends them all
	maxShards    = 256
)

// Sharded is a [Meter] on several goroutines: shards gather packets into flows, each those of its own keys, while the
// caller's goroutine decodes, puts flows in order and emits them. Flows, ids and order are those of one Meter, whatever the
// number of shards, as long as Config.MaxActive and Config.MaxDissecting are not reached and plugins keep nothing across flows.
//
// A Sharded must be fed from one goroutine, and flushed at the end.
type Sharded struct {
	cfg            Config
	emit           func(*Flow)
	front          *Meter // decodes and tells the time; it has no flows
	shards         []*shard
	filling        *round
	running        *round // by the shards
	resting        *round
	bytes          bool // of packets are needed
	head, tail     link
	created        uint64
	active         int
	flows, evicted uint64
	waiting        *waiting
	out            []*Flow // in order, to be emitted
	spare          []*Flow // that were
}

// shard is a meter of some keys.
type shard struct {
	*Meter
	index int
	at    int // the journal's next event, while it is put in order
	fault any // what a plugin panicked with
}

// link names a node of a shard; 0 is none.
type link uint64

func (s *shard) link(node uint64) link { return link(node<<8|uint64(s.index)) + 1 }

func (s *Sharded) node(l link) (*node, *shard) {
	sh := s.shards[(l-1)&(maxShards-1)]
	return &sh.journal.nodes[(l-1)>>8], sh
}

// round is a run of packets.
type round struct {
	items []item
	parts [][]int32 // by shard: places of items
	bytes []byte    // that items refer to
	done  sync.WaitGroup
}

type item struct {
	pending
	now   uint64
	shard uint8
	scan  bool // idle flows are looked for behind it
}

// NewSharded returns a meter of n shards, 256 at most. cfg is as for [New]; its plugins are the first shard's, and plugins
// returns those of each other one. It may be nil when there are none.
func NewSharded(n int, emit func(*Flow), cfg *Config, plugins func() ([]Plugin, error)) (*Sharded, error) {
	return newSharded(n, roundPackets, emit, cfg, plugins)
}

func newSharded(n, packets int, emit func(*Flow), cfg *Config, plugins func() ([]Plugin, error)) (*Sharded, error) {
	s := &Sharded{cfg: DefaultConfig(), emit: emit}
	if cfg != nil {
		s.cfg = *cfg
	}
	switch {
	case n < 1 || n > maxShards:
		return nil, fmt.Errorf("meter: %d shards", n)
	case n > 1 && len(s.cfg.Plugins) > 0 && plugins == nil:
		return nil, errors.New("meter: plugins belong to one meter, and shards have their own each")
	}
	var err error
	if s.cfg.Dissections > 0 && s.cfg.Applications == nil { // one table for all
		if s.cfg.Applications, err = appid.NewApplications(); err != nil {
			return nil, fmt.Errorf("meter: %w", err)
		}
	}
	part := s.cfg
	part.MaxFlows, part.MaxDissecting = 0, max(1, part.MaxDissecting/n)
	for i := range n {
		if i > 0 && len(s.cfg.Plugins) > 0 {
			if part.Plugins, err = plugins(); err != nil {
				return nil, err
			}
		}
		m, err := New(nil, &part)
		if err != nil {
			return nil, err
		}
		m.journal, m.waiting = &journal{}, nil
		s.shards = append(s.shards, &shard{Meter: m, index: i})
	}
	front := s.cfg
	front.Plugins, front.Dissections = nil, 0
	if s.front, err = New(nil, &front); err != nil {
		return nil, err
	}
	if s.cfg.Order == OrderFirst {
		s.waiting = &waiting{emit: emit, most: s.cfg.MaxWaiting}
	}
	s.bytes = s.cfg.Dissections > 0 || len(s.cfg.Plugins) > 0
	s.filling, s.resting = newRound(n, packets), newRound(n, packets)
	return s, nil
}

func newRound(shards, packets int) *round {
	return &round{items: make([]item, 0, packets), parts: make([][]int32, shards)}
}

// Stats returns the counters so far.
func (s *Sharded) Stats() Stats {
	st := s.front.Stats()
	st.Flows, st.Active, st.Evicted = s.flows, uint64(s.active), s.evicted
	if s.waiting != nil {
		st.Unsorted = s.waiting.unsorted
	}
	for _, sh := range s.shards {
		if sh.dissector != nil && s.running == nil { // else they are still counting
			st.Undissected += sh.dissector.limited
		}
	}
	return st
}

// Done is that of [Meter].
func (s *Sharded) Done() bool { return s.cfg.MaxFlows > 0 && s.flows >= s.cfg.MaxFlows }

// FeedBatch decodes frames and adds them. Flows are emitted some time later.
func (s *Sharded) FeedBatch(b *packet.Batch) {
	for i := range b.Frames {
		if s.Done() {
			return
		}
		r := s.filling
		if len(r.items) == cap(r.items) || len(r.bytes) >= roundBytes {
			s.turn()
			r = s.filling
		}
		s.fill(r, &b.Frames[i])
	}
}

// fill adds a frame to a round that has room.
func (s *Sharded) fill(r *round, f *packet.Frame) {
	n := len(r.items)
	r.items = r.items[:n+1]
	it := &r.items[n]
	if !s.front.decoder.decode(f, &it.packet) {
		r.items = r.items[:n]
		return
	}
	it.reversed = it.packet.Key.CanonicalTo(&it.key)
	it.hash = it.key.Hash(s.front.seed)
	it.now, it.scan = s.front.tick(it.packet.Time)
	const mix = 0x9e3779b97f4a7c15 // the tables of the shards look at the hash as it is
	part, _ := bits.Mul64(it.hash*mix, uint64(len(s.shards)))
	it.shard = uint8(part)
	r.parts[part] = append(r.parts[part], int32(n))
	if !s.bytes {
		it.packet.IP = nil
		return
	}
	start := len(r.bytes)
	r.bytes = append(r.bytes, it.packet.IP...)
	it.packet.IP = r.bytes[start:]
}

// turn gives the shards the round that is full, and emits the flows of the one before.
func (s *Sharded) turn() {
	s.collect()
	s.running = s.filling
	s.filling, s.resting = s.resting, nil
	s.running.done.Add(len(s.shards))
	for _, sh := range s.shards {
		go sh.run(s.running)
	}
	s.pass()
}

// collect waits for the shards, and puts what became of their flows in order.
func (s *Sharded) collect() {
	r := s.running
	if r == nil {
		return
	}
	r.done.Wait()
	s.running = nil
	for _, sh := range s.shards {
		if sh.fault != nil {
			panic(sh.fault)
		}
	}
	s.sequence(r)
	s.reuse()
	for i := range r.parts {
		r.parts[i] = r.parts[i][:0]
	}
	r.items, r.bytes = r.items[:0], r.bytes[:0]
	s.resting = r
}

// pass emits the flows that are in order.
func (s *Sharded) pass() {
	for _, f := range s.out {
		if s.waiting != nil {
			s.waiting.add(f, f.ID)
		} else {
			s.emit(f)
		}
	}
	s.spare = append(s.spare, s.out...)
	s.out = s.out[:0]
	if s.running == nil {
		s.reuse()
	}
}

// reuse gives the copies of flows back to the shards, which rest.
func (s *Sharded) reuse() {
	for i, f := range s.spare {
		j := s.shards[i%len(s.shards)].journal
		j.flows = append(j.flows, f)
	}
	s.spare = s.spare[:0]
}

// run gathers the shard's part of a round.
func (s *shard) run(r *round) {
	defer r.done.Done()
	ended := false
	defer func() {
		if v := recover(); !ended {
			s.fault = v
			if v == nil {
				s.fault = errors.New("meter: a plugin ended its goroutine")
			}
		}
	}()
	for part := r.parts[s.index]; len(part) > 0; {
		some := part[:min(len(part), packet.BatchSize)]
		part = part[len(some):]
		// As in FeedBatch: side by side, before each waits for its own.
		for _, i := range some {
			s.table.Touch(r.items[i].hash)
		}
		for _, i := range some {
			if ref := s.table.Near(r.items[i].hash); ref != 0 {
				s.touch(ref)
			}
		}
		for _, i := range some {
			s.journal.item = i
			s.gather(&r.items[i].pending, r.items[i].now)
		}
	}
	ended = true
}

// sequence replays a round on the one list of flows, as one meter would have gone through it.
func (s *Sharded) sequence(r *round) {
	for i := range r.items {
		it := &r.items[i]
		s.replay(s.shards[it.shard], int32(i))
		if it.scan {
			s.scan(it.now)
		}
	}
	for _, sh := range s.shards {
		sh.journal.events, sh.at = sh.journal.events[:0], 0
	}
	for s.active > s.cfg.MaxActive && !s.Done() {
		s.evicted++
		s.take(s.head, ExpiredEvicted)
	}
}

// replay follows what became of a shard's flows with one packet.
func (s *Sharded) replay(sh *shard, item int32) {
	for j := sh.journal; sh.at < len(j.events) && j.events[sh.at].item == item; sh.at++ {
		e := &j.events[sh.at]
		n, l := &j.nodes[e.node], sh.link(e.node)
		switch e.kind {
		case began:
			n.created = s.created
			s.created++
			s.push(l)
		case wentOn:
			s.remove(l)
			s.push(l)
		case finished:
			if !n.emitted {
				s.remove(l)
				s.emitted(n)
			}
			j.free = append(j.free, e.node)
		}
	}
}

// scan is that of [Meter]. A flow may have gone on in its shard meanwhile, by packets that come later in the round: then it
// was not idle, and its last packet says the same.
func (s *Sharded) scan(now uint64) {
	for range scanMost {
		if s.head == 0 {
			return
		}
		n, sh := s.node(s.head)
		var last uint64
		if n.flow != nil {
			last = n.flow.Bidirectional.LastSeen
		} else {
			last = sh.table.At(n.ref).last()
		}
		if now < last || now-last < s.front.idle || s.Done() {
			return
		}
		s.take(s.head, ExpiredIdle)
	}
}

// take ends a flow that its shard has not ended yet, or ends later in the round: with the next packet of the same key, and
// for the same reason.
func (s *Sharded) take(l link, why Expiration) {
	n, sh := s.node(l)
	s.remove(l)
	if n.flow != nil {
		n.emitted = true
		s.emitted(n)
		return
	}
	j := sh.journal
	sh.end(n.ref, why)
	n, _ = s.node(l)
	e := j.events[len(j.events)-1] // is not one of the round
	j.events = j.events[:len(j.events)-1]
	s.emitted(n)
	j.free = append(j.free, e.node)
}

// emitted puts a flow that has ended in order.
func (s *Sharded) emitted(n *node) {
	if s.Done() {
		return
	}
	n.flow.ID = n.created
	if s.waiting == nil {
		n.flow.ID = s.flows
	}
	s.flows++
	s.out = append(s.out, n.flow)
}

func (s *Sharded) push(l link) {
	n, _ := s.node(l)
	n.before, n.after = s.tail, 0
	if s.tail == 0 {
		s.head = l
	} else {
		last, _ := s.node(s.tail)
		last.after = l
	}
	s.tail = l
	s.active++
}

func (s *Sharded) remove(l link) {
	n, _ := s.node(l)
	if n.before == 0 {
		s.head = n.after
	} else {
		b, _ := s.node(n.before)
		b.after = n.after
	}
	if n.after == 0 {
		s.tail = n.before
	} else {
		a, _ := s.node(n.after)
		a.before = n.before
	}
	s.active--
}

// settle emits all that comes of the packets so far.
func (s *Sharded) settle() {
	s.turn()
	s.collect()
	s.pass()
}

// Advance is that of [Meter]. It also emits what is due of the packets fed so far.
func (s *Sharded) Advance(ns int64) {
	s.settle()
	if m := s.front; m.stats.Packets > 0 && !s.Done() {
		m.now = max(m.now, uint64(floor(ns, m.unit)))
		m.scanned = m.now
		s.scan(m.now)
		s.pass()
	}
}

// Flush is that of [Meter].
func (s *Sharded) Flush() error {
	s.settle()
	for s.head != 0 && !s.Done() {
		s.take(s.head, ExpiredIdle)
		if len(s.out) == passFlows {
			s.pass()
		}
	}
	s.pass()
	if s.waiting != nil {
		s.waiting.flush()
	}
	var errs []error
	for _, sh := range s.shards {
		errs = append(errs, sh.plugins.close())
	}
	return errors.Join(errs...)
}
