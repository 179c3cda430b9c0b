package httpx

import (
	"crypto/sha256"
	"errors"
	"hash"
	"net/http"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// content is what a message keeps while its body comes in, if that is coded, collected or looked at.
type content struct {
	transfer []string // transfer codings but chunked, in the order in which they were applied
	decoder  *decoder // nil if there is nothing to decode
	hash     hash.Hash
	first    []byte // what the type is guessed from
	charged  int    // what the body counts towards Limits.TotalBody
}

// needs returns what the message keeps for its body, making it if there is nothing.
func (m *Message) needs() *content {
	if m.content == nil {
		m.content = new(content)
	}
	return m.content
}

// newMessage returns a message that starts at off, in a packet of origin o.
func (c *Conn) newMessage(kind Kind, dir packet.Direction, off uint64, o *reassemble.Origin) *Message {
	m := &Message{}
	m.begin(c, kind, dir, off, o)
	return m
}

func (m *Message) begin(c *Conn, kind Kind, dir packet.Direction, off uint64, o *reassemble.Origin) {
	m.Conn, m.Kind, m.Direction, m.ContentLength = &c.info, kind, dir, -1
	m.Start = Place{Offset: off, Packet: o.Packet, Time: o.Time}
	m.End = m.Start
}

// asked is a request and its exchange, which live as long as each other.
type asked struct {
	exchange Exchange
	request  Message
}

// newRequest returns a request that starts at off, in a packet of origin o, and an exchange for it that has no number yet.
func (c *Conn) newRequest(dir packet.Direction, off uint64, o *reassemble.Origin) (*Message, *Exchange) {
	a := &asked{}
	a.request.begin(c, Request, dir, off, o)
	return &a.request, &a.exchange
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
	if len(b) == 0 {
		return
	}
	if !m.started {
		c.startBody(m)
	}
	switch x := m.content; {
	case m.stopped:
		if !m.Flags.Has(FlagBomb) {
			m.Flags |= FlagBadCoding // there is more than was decoded
		}
	case x == nil || x.decoder == nil:
		c.decoded(m, b)
	case !x.decoder.push(b, func(b []byte) { c.decoded(m, b) }):
		c.endDecoder(m)
	}
}

// startBody makes ready for a body.
func (c *Conn) startBody(m *Message) {
	m.started = true
	cfg := &c.p.cfg
	if cfg.Digest {
		m.needs().hash = sha256.New()
	}
	list := m.codings(!cfg.KeepEncoded)
	if len(list) == 0 {
		return
	}
	if len(list) > cfg.Limits.Codings {
		c.p.stats.LimitDecoders++
		m.Flags |= FlagLimit
		return
	}
	if n := memoryOf(list); c.p.decoding+n > cfg.Limits.Decoders {
		c.p.stats.LimitDecoders++
		m.Flags |= FlagLimit
		return
	}
	d := newDecoder(list, &cfg.Limits, &c.p.readers)
	m.needs().decoder = d
	c.p.decoding += d.memory
}

// endDecoder ends the decoding of a body.
func (c *Conn) endDecoder(m *Message) {
	d := m.content.decoder
	m.content.decoder, m.stopped = nil, true
	c.p.decoding -= d.memory
	err := d.finish(func(b []byte) { c.decoded(m, b) })
	switch {
	case errors.Is(err, ErrBomb):
		c.p.stats.LimitRatio++
		m.Flags |= FlagBomb
	case err != nil:
		m.Flags |= FlagBadCoding
	}
}

// decoded takes decoded bytes of a body.
func (c *Conn) decoded(m *Message, b []byte) {
	cfg := &c.p.cfg
	m.Length += uint64(len(b))
	if cfg.Digest {
		m.needs().hash.Write(b)
	}
	if cfg.Sniff {
		x := m.needs()
		x.first = append(x.first, b[:min(len(b), sniffed-len(x.first))]...)
	}
	if cfg.Collect {
		c.collect(m, b)
	}
	if cfg.OnBody != nil {
		cfg.OnBody(m, b)
	}
}

// sniffed is how many bytes of a body its type is guessed from.
const sniffed = 512

// collect keeps bytes of a body, within the limits.
func (c *Conn) collect(m *Message, b []byte) {
	l := &c.p.cfg.Limits
	room := max(0, min(l.Body-len(m.Body), l.TotalBody-c.p.collected))
	if len(b) > room {
		if !m.Flags.Has(FlagBodyCut) {
			m.Flags |= FlagBodyCut
			c.p.stats.LimitBody++
		}
		b = b[:room]
	}
	m.Body = append(m.Body, b...)
	m.needs().charged += len(b)
	c.p.collected += len(b)
}

// hole takes the place of n bytes of a message's body that are missing. What is coded cannot be decoded behind it.
func (c *Conn) hole(m *Message, n uint64) {
	m.Flags |= FlagGap
	m.Missing += n
	if !m.started {
		c.startBody(m)
	}
	if m.content != nil && m.content.decoder != nil {
		c.endDecoder(m)
	}
	if f := c.p.cfg.OnHole; f != nil {
		f(m, n)
	}
}

// done is called when a message is over; the caller has set its End.
func (c *Conn) done(m *Message) {
	if x := m.content; x != nil {
		if x.decoder != nil {
			c.endDecoder(m)
		}
		if x.hash != nil {
			m.SHA256 = x.hash.Sum(nil)
			x.hash = nil
		}
		if len(x.first) > 0 {
			m.Sniffed = http.DetectContentType(x.first)
			x.first = nil
		}
	}
	if f := c.p.cfg.OnMessageEnd; f != nil {
		f(m)
	}
}

// newExchange returns an exchange, numbered.
func (c *Conn) newExchange() *Exchange {
	e := &Exchange{}
	c.number(e)
	return e
}

func (c *Conn) number(e *Exchange) {
	root := c
	for root.outer != nil {
		root = root.outer
	}
	root.exchanges++
	e.Conn, e.Number = &c.info, root.exchanges-1
}

// interim adds a response with a status of 1xx to its exchange.
func (c *Conn) interim(e *Exchange, m *Message) {
	if len(e.Informational) < c.p.cfg.Limits.Interim {
		e.Informational = append(e.Informational, m)
		return
	}
	if !e.Flags.Has(FlagLimit) {
		e.Flags |= FlagLimit
		c.p.stats.LimitInterim++
	}
}

// exchanged is called when an exchange is over, after the end of its messages.
func (c *Conn) exchanged(e *Exchange) {
	c.p.stats.Exchanges++
	if f := c.p.cfg.OnExchange; f != nil {
		f(e)
	}
	c.release(e.Request)
	c.release(e.Response)
	for _, m := range e.Informational {
		c.release(m)
	}
}

// release gives the memory of a body into the hands of whoever keeps the message.
func (c *Conn) release(m *Message) {
	if m != nil && m.content != nil {
		c.p.collected -= m.content.charged
		m.content.charged = 0
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
