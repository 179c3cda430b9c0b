package httpx

import "weak"

// pending is a request that waits for its response.
type pending struct {
	e   *Exchange
	ack uint32 // what its first packet acknowledged: bytes that its sender had seen then
	has bool   // and that is known
}

// ask begins the exchange of a request.
func (p *http1c) ask(s *side, m *Message) {
	e := s.e
	s.e = nil
	p.c.number(e)
	e.Request, m.Exchange = m, e
	s.lost = false
	e.open++
	p.pending = append(p.pending, pending{e, s.start.o.Ack, s.start.o.Ack != 0})
	all := p.c.p
	all.pending += m.weight()
	for p.waiting() > all.cfg.Limits.Pending || p.waiting() > 1 && all.pending > all.cfg.Limits.TotalPending {
		all.stats.LimitPending++
		p.pop(FlagLimit)
	}
}

// weight returns about how many bytes of memory the head of a message takes.
func (m *Message) weight() int {
	if m == nil {
		return 0
	}
	const bare, field = 512, 40
	return bare + len(m.Head) + field*len(m.Header)
}

func (p *http1c) waiting() int { return len(p.pending) - p.popped }

// pop takes the oldest request out of those that wait, and ends its exchange.
func (p *http1c) pop(flags Flags) {
	e := p.pending[p.popped].e
	p.pending[p.popped] = pending{}
	p.c.p.pending -= e.Request.weight()
	p.popped++
	switch {
	case p.popped == len(p.pending):
		p.pending, p.popped = p.pending[:0], 0
	case p.popped > 64 && p.popped > len(p.pending)/2:
		p.pending, p.popped = p.pending[:copy(p.pending, p.pending[p.popped:])], 0
	}
	e.over = true
	e.Flags |= flags
	p.settle(e)
}

// settle calls back with an exchange that is over.
func (p *http1c) settle(e *Exchange) {
	if e.over && e.open == 0 {
		p.c.exchanged(e)
	}
}

// answer finds the exchange of a response, and adds it there.
func (p *http1c) answer(s *side, m *Message) {
	if s.lost {
		p.catchUp(s)
		s.lost = false
	}
	var e *Exchange
	if p.waiting() > 0 {
		e = p.pending[p.popped].e
	} else {
		e = p.c.newExchange()
		p.pending = append(p.pending, pending{e: e})
	}
	m.Exchange = e
	e.open++
	if q := e.Request; q != nil && e.open > 1 && m.Status/100 != 1 {
		m.Flags |= FlagEarly
	}
	if m.isInterim() {
		p.c.interim(e, m)
	} else {
		e.Response = m
	}
}

// isInterim reports whether another response to the same request follows.
func (m *Message) isInterim() bool { return m.Status/100 == 1 && m.Status != 101 }

// catchUp gives up requests whose response was among the bytes that are lost. The sender of a request had seen what its
// packet acknowledges, so that no byte of those is the request's response: of the requests sent before the response at
// hand, it answers the first of those whose sender had seen most.
func (p *http1c) catchUp(s *side) {
	list := p.pending[p.popped:]
	if len(list) < 2 {
		return
	}
	known := p.c.dirs[s.dir].known
	best, sure := 0, known && list[0].has && after(list[0].ack, s.lostAt)
	for i, q := range list[1:] {
		if known && q.has && after(q.ack, s.lostAt) && !after(q.ack, s.start.o.Seq) && (!sure || after(q.ack, list[best].ack)) {
			best, sure = i+1, true
		}
	}
	for range best {
		p.pop(FlagGap)
	}
	if !sure {
		p.pending[p.popped].e.Flags |= FlagPairing
	}
}

// after reports whether sequence number a lies behind b.
func after(a, b uint32) bool { return int32(a-b) > 0 }

// finish ends s.m, and goes on to the next message.
func (s *side) finish() {
	m, p := s.m, s.p
	e := m.Exchange
	s.m, s.state = nil, atStart
	s.remember(m)
	s.collect.reset()
	p.c.done(m)
	e.open--
	switch {
	case m.Kind == Request:
		if m.Method == "CONNECT" || m.upgrades() {
			s.state, p.turning = waiting, e
		}
		p.settle(e)
	case m.isInterim():
	default:
		if p.turning == e {
			p.turning, p.giveWay = nil, true
		}
		if p.waiting() > 0 && p.pending[p.popped].e == e {
			p.pop(0)
		} else {
			p.settle(e)
		}
		p.turn(e)
	}
}

// remember keeps the last message, whose flags may still change; of an exchange that is large, as long as others keep it.
func (s *side) remember(m *Message) {
	size := len(m.Head)
	if q := m.Exchange.Request; q != nil && q != m {
		size += len(q.Head)
	}
	s.prev = m
	if !s.p.c.p.cfg.Collect && size <= maxIdle {
		return
	}
	for i := range s.p.sides { // each of them has the other
		if x := &s.p.sides[i]; x.prev != nil && x.prev.Exchange == m.Exchange {
			x.prev, x.weak = nil, weak.Make(x.prev)
		}
	}
}

// previous returns the last message, nil if there is none or nobody keeps it.
func (s *side) previous() *Message {
	if s.prev != nil {
		return s.prev
	}
	return s.weak.Value()
}

// upgrades reports whether a request asks for another protocol on its connection.
func (m *Message) upgrades() bool {
	_, ok := m.Lookup("upgrade")
	return ok
}
