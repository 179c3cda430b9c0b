// Package meter turns packets into bidirectional flows with the features of NFStream 6.6.0: the same flows, numbers, ids and
// order of rows, as package nfpacket counts the same packets.
//
// A [Meter] is fed frames or packets and calls back with each flow when it ends; [Flows] does so over a whole source. A
// [Writer] writes flows as CSV, JSON Lines or text. What NFStream does that could be done better can be had otherwise:
// see [Config].
//
// The flow layer sees packets as [Packet] alone, and the packets' own clock: what comes out depends on the input only.
package meter

import (
	"hash/maphash"
	"time"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

const (
	scanEvery = 10 * time.Millisecond // idle flows are looked for
	scanMost  = 1000                  // flows that one scan ends
)

// Stats counts what a [Meter] has seen.
type Stats struct {
	// Frames is the number of frames that were decoded, Packets that of packets among them.
	Frames, Packets uint64
	// Ignored counts frames that are no packets, by what is wrong with them.
	Ignored nfpacket.Stats
	// Flows is the number of flows emitted, Active that of flows that go on.
	Flows, Active uint64
	// Evicted counts flows that made room because of Config.MaxActive, Unsorted those that were emitted out of order
	// because of Config.MaxWaiting.
	Evicted, Unsorted uint64
	// Undissected counts flows that had their verdict early because of Config.MaxDissecting.
	Undissected uint64
	// Backwards counts packets with a time before that of an earlier packet, which is taken instead.
	Backwards uint64
}

// Meter gathers packets into flows. It does not allocate in steady state, nor start goroutines, and is not safe for
// concurrent use.
type Meter struct {
	cfg          Config
	emit         func(*Flow)
	decoder      decoder
	table        *flowtable.Table[packet.FlowKey, record, rare]
	order        list
	statistics   slab[statistics]
	steps        stepStore
	dissector    *dissector
	plugins      plugins
	waiting      *waiting
	stats        Stats
	seed         uint64
	unit         int64 // nanoseconds in a tick
	idle, active uint64
	now, scanned uint64 // ticks
	scanTicks    uint64
	created      uint64
	touched      uint64 // means nothing
	flow         Flow   // what callbacks see
	batch        *[packet.BatchSize]pending
	journal      *journal // of a shard, which leaves the order of flows to a Sharded
}

// pending is a packet that was decoded and is still to be counted.
type pending struct {
	packet   Packet
	key      packet.FlowKey // canonical
	hash     uint64
	reversed bool
}

// New returns a meter that calls emit with every flow that has ended. A nil cfg means [DefaultConfig]; plugins belong to the
// meter from then on. Flows are borrowed: valid during the call.
func New(emit func(*Flow), cfg *Config) (*Meter, error) {
	m := &Meter{emit: emit, cfg: DefaultConfig(), seed: maphash.Bytes(maphash.MakeSeed(), nil), batch: new([packet.BatchSize]pending)}
	if cfg != nil {
		m.cfg = *cfg
	}
	if err := m.cfg.check(); err != nil {
		return nil, err
	}
	m.table = flowtable.New[packet.FlowKey, record, rare]()
	m.order.table = m.table
	m.unit = int64(m.cfg.TimeUnit)
	m.idle, m.active = m.cfg.ticks(m.cfg.IdleTimeout), m.cfg.ticks(m.cfg.ActiveTimeout)
	m.scanTicks = m.cfg.ticks(scanEvery)
	if m.cfg.Order == OrderFirst {
		m.waiting = &waiting{emit: emit, most: m.cfg.MaxWaiting}
	}
	var err error
	if m.decoder, err = newDecoder(&m.cfg); err != nil {
		return nil, err
	}
	if m.plugins, err = newPlugins(m.cfg.Plugins); err != nil {
		return nil, err
	}
	if m.cfg.Dissections > 0 {
		if m.dissector, err = newDissector(&m.cfg); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Stats returns the counters so far.
func (m *Meter) Stats() Stats {
	s := m.stats
	s.Active = uint64(m.table.Len())
	if m.waiting != nil {
		s.Unsorted = m.waiting.unsorted
	}
	if m.dissector != nil {
		s.Undissected = m.dissector.limited
	}
	m.decoder.count(&s)
	return s
}

// Done reports whether Config.MaxFlows flows were emitted: whatever is fed now has no effect.
func (m *Meter) Done() bool { return m.cfg.MaxFlows > 0 && m.stats.Flows >= m.cfg.MaxFlows }

// Feed decodes a frame and adds it. It reports false for frames that do not count.
func (m *Meter) Feed(f *packet.Frame) bool {
	p := &m.batch[0]
	if !m.decoder.decode(f, &p.packet) {
		return false
	}
	m.look(p)
	m.add(p)
	return true
}

// FeedBatch is Feed for all frames of a batch, faster.
func (m *Meter) FeedBatch(b *packet.Batch) {
	for frames := b.Frames; len(frames) > 0; {
		n := 0
		for n < len(m.batch) && len(frames) > 0 {
			if p := &m.batch[n]; m.decoder.decode(&frames[0], &p.packet) {
				m.look(p)
				n++
			}
			frames = frames[1:]
		}
		// What is at the hashes is fetched for many packets side by side, before each of them waits for its own.
		for i := range m.batch[:n] {
			if ref := m.table.Near(m.batch[i].hash); ref != 0 {
				m.touch(ref)
			}
		}
		for i := range m.batch[:n] {
			m.add(&m.batch[i])
		}
	}
}

// Add adds a packet that was decoded.
func (m *Meter) Add(p *Packet) {
	to := &m.batch[0]
	to.packet = *p
	m.look(to)
	m.add(to)
}

// Advance tells the meter what time it is, in nanoseconds since the Unix epoch, and ends flows that are idle by then: for
// live capture, where no packet may come for long.
func (m *Meter) Advance(ns int64) {
	if m.stats.Packets > 0 && !m.Done() {
		if t := uint64(floor(ns, m.unit)); t > m.now {
			m.now = t
		}
		m.scanned = m.now
		m.scan()
	}
}

// look prepares a packet for add.
func (m *Meter) look(p *pending) {
	p.reversed = p.packet.Key.CanonicalTo(&p.key)
	p.hash = p.key.Hash(m.seed)
	m.table.Touch(p.hash)
}

// touch reads what an update will write.
func (m *Meter) touch(ref flowtable.Ref) {
	m.touched += m.table.At(ref).sides[1].packets
	if m.cfg.Statistics {
		s := m.statistics.at(ref)
		m.touched += s.sides[0].sizes.min + s.sides[2].sizes.min + s.flags[0][CountACK] + s.flags[1][CountACK]
	}
}

// clock returns the time of a packet in ticks, which never goes back.
func (m *Meter) clock(ns int64) uint64 {
	var t int64
	if m.unit == int64(time.Millisecond) { // without a division
		t = floor(ns, int64(time.Millisecond))
	} else {
		t = floor(ns, m.unit)
	}
	if uint64(t) < m.now {
		m.stats.Backwards++
	} else {
		m.now = uint64(t)
	}
	return m.now
}

func floor(a, b int64) int64 {
	q := a / b
	if q*b > a {
		q--
	}
	return q
}

// add counts a packet: NFStream's consume and scan.
func (m *Meter) add(p *pending) {
	if m.Done() {
		return
	}
	now, scan := m.tick(p.packet.Time)
	m.gather(p, now)
	if scan {
		m.scan()
	}
}

// tick counts a packet and returns its time, and whether idle flows are to be looked for behind it.
func (m *Meter) tick(ns int64) (now uint64, scan bool) {
	now = m.clock(ns)
	m.stats.Packets++
	if scan = now-m.scanned >= m.scanTicks; scan {
		m.scanned = now
	}
	return now, scan
}

// gather adds a packet to the flow it belongs to.
func (m *Meter) gather(p *pending, now uint64) {
	ref := m.lookup(p.hash, &p.key)
	if ref == 0 {
		m.create(p, now, false, false)
		return
	}
	r := m.table.At(ref)
	switch {
	case now-r.last() >= m.idle:
		m.end(ref, ExpiredIdle)
		m.create(p, now, false, false)
	case now-r.first() >= m.active:
		reversed := r.reversed
		m.end(ref, ExpiredActive)
		m.create(p, now, m.cfg.KeepDirection, reversed)
	default:
		m.update(ref, r, p, now)
	}
}

// lookup is the table's Lookup with a comparison that knows the key.
func (m *Meter) lookup(hash uint64, key *packet.FlowKey) flowtable.Ref {
	if ref := m.table.Near(hash); ref == 0 || m.table.Key(ref).Equal(key) {
		return ref
	}
	return m.table.Lookup(hash, key)
}

// scan ends flows that are idle, from the head of the order up to the first that is not.
func (m *Meter) scan() {
	for range scanMost {
		ref := m.order.head
		if ref == 0 || m.now-m.table.At(ref).last() < m.idle || m.Done() {
			return
		}
		m.end(ref, ExpiredIdle)
	}
}

// create starts a flow with its first packet. Unless kept, the packet's sender is the source.
func (m *Meter) create(p *pending, now uint64, kept, reversed bool) {
	if m.journal == nil && m.table.Len() >= m.cfg.MaxActive {
		m.stats.Evicted++
		m.end(m.order.head, ExpiredEvicted)
	}
	if m.Done() {
		return
	}
	ref := m.table.Insert(p.hash, &p.key)
	r, rest := m.table.At(ref), m.table.Rest(ref)
	r.reversed = p.reversed
	if kept {
		r.reversed = reversed
	}
	rest.srcMAC, rest.dstMAC = p.packet.SrcMAC, p.packet.DstMAC
	if r.reversed != p.reversed {
		rest.srcMAC, rest.dstMAC = rest.dstMAC, rest.srcMAC
	}
	if m.journal != nil {
		rest.created = m.journal.opened(ref)
	} else {
		rest.created = m.created
		m.created++
		m.order.push(ref)
	}
	if m.cfg.Statistics {
		*m.statistics.add(ref) = statistics{}
	}
	if m.dissector != nil {
		m.dissector.open(ref)
	}
	m.plugins.open(ref)
	m.count(ref, r, p, now, 0)
}

// update adds a packet to a flow.
func (m *Meter) update(ref flowtable.Ref, r *record, p *pending, now uint64) {
	goesOn := m.count(ref, r, p, now, now-r.last())
	if m.cfg.Order == OrderNFStream || !goesOn {
		return
	}
	if m.journal != nil {
		m.journal.note(event{kind: wentOn, node: m.table.Rest(ref).created})
	} else if ref != m.order.tail {
		m.order.remove(ref)
		m.order.push(ref)
	}
}

// count adds a packet to a flow; gap is the time since its last packet. It reports false when the flow has ended with it.
func (m *Meter) count(ref flowtable.Ref, r *record, p *pending, now, gap uint64) (goesOn bool) {
	var direction uint8
	if p.reversed != r.reversed {
		direction = 1
	}
	size := uint64(p.packet.Sizes[m.cfg.Accounting])
	t := &r.sides[direction]
	if m.cfg.Statistics {
		s := m.statistics.at(ref)
		s.sides[0].add(size, now, r.sides[0].packets+r.sides[1].packets, now-gap)
		s.sides[1+direction].add(size, now, t.packets, t.last)
		s.count(direction, p.packet.Flags)
	}
	if t.packets == 0 {
		t.first = now
	}
	t.last = now
	t.packets++
	t.bytes += size
	if m.cfg.SPLT > 0 {
		if s := &m.table.Rest(ref).steps; s.count < uint32(m.cfg.SPLT) {
			m.steps.add(s, Step{Gap: gap, Size: uint32(size), Direction: direction})
		}
	}
	if m.dissector != nil && int(r.packets) < m.cfg.Dissections {
		r.packets++
		m.dissect(ref, r, p, direction)
	}
	if len(m.plugins.list) > 0 && m.plug(ref, p, direction, gap) {
		m.end(ref, ExpiredByPlugin)
		return false
	}
	return !m.cfg.EndOnTCP || m.staysOpen(ref, r, p, direction)
}

// staysOpen ends a flow whose connection is over with this packet, and reports false: with an RST, or when both sides have
// sent a FIN, with the first packet after that which carries no data, which acknowledges it.
func (m *Meter) staysOpen(ref flowtable.Ref, r *record, p *pending, direction uint8) bool {
	const both = 3
	switch flags := p.packet.Flags; {
	case flags.Has(packet.RST):
		m.end(ref, ExpiredReset)
		return false
	case flags.Has(packet.FIN):
		r.fins |= 1 << direction
	case r.fins == both && flags.Has(packet.ACK) && p.packet.Sizes[nfpacket.PayloadSize] == 0:
		m.end(ref, ExpiredFIN)
		return false
	}
	return true
}

// Flush ends all flows, as the end of the input does, and closes the plugins. A meter must not be fed after it.
func (m *Meter) Flush() error {
	for m.order.head != 0 && !m.Done() {
		m.end(m.order.head, ExpiredIdle)
	}
	if m.waiting != nil {
		m.waiting.flush()
	}
	return m.plugins.close()
}

// end emits a flow and forgets it.
func (m *Meter) end(ref flowtable.Ref, why Expiration) {
	f := m.view(ref)
	f.Expiration = why
	if m.dissector != nil {
		m.dissector.finish(ref, f)
	}
	m.plugins.expire(f)
	created := f.ID
	if m.journal != nil {
		m.journal.ended(created, f)
		m.forget(ref)
		return
	}
	f.ID = m.stats.Flows
	m.stats.Flows++
	m.forget(ref) // before the call, which may panic
	if m.waiting != nil {
		m.waiting.add(f, created)
		return
	}
	m.emit(f)
}

// forget gives back all that is kept of a flow.
func (m *Meter) forget(ref flowtable.Ref) {
	if m.cfg.SPLT > 0 {
		m.steps.release(&m.table.Rest(ref).steps)
	}
	if m.cfg.Statistics {
		m.statistics.remove(ref)
	}
	if m.dissector != nil {
		m.dissector.close(ref)
	}
	m.plugins.forget(ref)
	if m.journal == nil {
		m.order.remove(ref)
	}
	m.table.Remove(ref)
}

// view fills in the flow that callbacks see.
func (m *Meter) view(ref flowtable.Ref) *Flow {
	f, r, rest := &m.flow, m.table.At(ref), m.table.Rest(ref)
	f.ID, f.Expiration = rest.created, ExpiredIdle
	f.Key = *m.table.Key(ref)
	if r.reversed {
		f.Key = f.Key.Reverse()
	}
	f.SrcMAC, f.DstMAC = rest.srcMAC, rest.dstMAC
	f.Src2Dst, f.Dst2Src = r.sides[0].side(), r.sides[1].side()
	b := &f.Bidirectional
	*b = Side{
		FirstSeen: r.first(), LastSeen: r.last(),
		Packets: f.Src2Dst.Packets + f.Dst2Src.Packets, Bytes: f.Src2Dst.Bytes + f.Dst2Src.Bytes,
	}
	if m.cfg.Statistics {
		s := m.statistics.at(ref)
		b.spreadOver(&s.sides[0])
		f.Src2Dst.spreadOver(&s.sides[1])
		f.Dst2Src.spreadOver(&s.sides[2])
		f.Src2Dst.Flags, f.Dst2Src.Flags = s.flags[0], s.flags[1]
		for i := range b.Flags {
			b.Flags[i] = s.flags[0][i] + s.flags[1][i]
		}
	}
	if m.cfg.SPLT > 0 {
		f.SPLT = m.steps.appendTo(f.SPLT[:0], &rest.steps)
	}
	f.Rows = m.plugins.rows(ref)
	return f
}
