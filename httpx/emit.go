package httpx

import (
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// newMessage returns a message that starts at off, in a packet of origin o.
func (c *Conn) newMessage(kind Kind, dir packet.Direction, off uint64, o *reassemble.Origin) *Message {
	at := Place{Offset: off, Packet: o.Packet, Time: o.Time}
	return &Message{Conn: &c.info, Kind: kind, Direction: dir, Start: at, End: at, ContentLength: -1}
}

// head is called when the start line and the header of a message are complete, and its framing is known.
func (c *Conn) head(m *Message) {
	if m.Kind == Request {
		c.p.stats.Requests++
	} else {
		c.p.stats.Responses++
	}
	if f := c.p.cfg.OnMessage; f != nil {
		f(m)
	}
}

// body takes the next bytes of a message's body, out of its framing but not decoded. Borrowed.
func (c *Conn) body(m *Message, b []byte) {
	m.Length += uint64(len(b))
	if c.p.cfg.Collect {
		m.Body = append(m.Body, b...)
	}
	if f := c.p.cfg.OnBody; f != nil {
		f(m, b)
	}
}

// hole takes the place of n bytes of a message's body that are missing.
func (c *Conn) hole(m *Message, n uint64) {
	m.Flags |= FlagGap
	m.Missing += n
	if f := c.p.cfg.OnHole; f != nil {
		f(m, n)
	}
}

// done is called when a message is over; the caller has set its End.
func (c *Conn) done(m *Message) {
	if f := c.p.cfg.OnMessageEnd; f != nil {
		f(m)
	}
}

// newExchange returns an exchange, numbered.
func (c *Conn) newExchange() *Exchange {
	c.exchanges++
	return &Exchange{Conn: &c.info, Number: c.exchanges - 1}
}

// exchanged is called when an exchange is over, after the end of its messages.
func (c *Conn) exchanged(e *Exchange) {
	c.p.stats.Exchanges++
	if f := c.p.cfg.OnExchange; f != nil {
		f(e)
	}
}

// consumed counts bytes of messages and frames.
func (c *Conn) consumed(n int) { c.p.stats.Consumed += uint64(n) }

// skipped counts bytes that belong to no message, n of them from off on.
func (c *Conn) skipped(dir packet.Direction, off uint64, n int, o *reassemble.Origin) {
	if n == 0 {
		return
	}
	c.p.stats.Skipped += uint64(n)
	if f := c.p.cfg.OnSkip; f != nil {
		f(Skipped{&c.info, dir, Place{off, o.Packet, o.Time}, uint64(n)})
	}
}
