package httpx

import "strings"

// turn makes the connection what the response of e turns it into, if it does.
func (p *http1c) turn(e *Exchange) {
	m := e.Response
	switch {
	case !m.turns():
	case m.Status == 101:
		name, _, _ := strings.Cut(m.Get("upgrade"), ",")
		switch name = strings.Trim(name, " \t"); {
		case strings.EqualFold(name, "websocket"):
			p.turnInto(newWebSocket(p.c, e))
		case strings.EqualFold(name, "h2c"):
			p.turnInto(newH2(p.c, e))
		default:
			p.turnInto(&opaque{p.c})
		}
	default:
		p.turnInto(newTunnel(p.c))
	}
}

// turns reports whether a response turns the connection into something else.
func (m *Message) turns() bool {
	q := m.Exchange.Request
	return m.Status == 101 || q != nil && q.Method == "CONNECT" && m.Status/100 == 2
}

// turnInto hands the connection over.
func (p *http1c) turnInto(next protocol) {
	if p.c.proto != protocol(p) {
		return
	}
	p.c.switchTo(next)
	for i := range p.sides {
		s := &p.sides[i]
		if x := s.start; len(s.collect.buf) > 0 && s.gathers() {
			x.b = s.collect.buf
			s.collect = collector{}
			p.c.unread(s.dir, x)
		}
		s.endMessage()
	}
	p.giveUp()
}

// gathers reports whether what is collected belongs to no message so far.
func (s *side) gathers() bool {
	return s.state == inStart || s.state == inOld || s.state == inDoubt || s.state == seeking
}

// giveUp ends the exchanges that are still open.
func (p *http1c) giveUp() {
	for p.waiting() > 0 {
		p.pop(0)
	}
}

// decided reports whether it is known what becomes of the connection, and the side can go on.
func (s *side) decided() bool {
	p := s.p
	e := p.turning
	if e == nil {
		return true
	}
	if !p.c.hurried(s.dir) && !p.ended[s.dir.Reverse()] {
		return false
	}
	p.turning = nil
	if e.Request.Method == "CONNECT" {
		p.turnInto(newTunnel(p.c))
		return false
	}
	return true
}
