package httpx

import (
	"slices"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Conn parses one connection. It knows nothing of TCP but what it is given: the bytes of both directions in order, what
// is missing of them, and their ends.
type Conn struct {
	p         *Parser
	info      ConnInfo
	proto     protocol
	dirs      [2]half
	exchanges uint64
	closed    bool
}

// half is one direction of a connection.
type half struct {
	held  []held // waits for the other direction
	bytes []byte // of held
	hurry bool   // it can wait no longer
	over  bool   // nothing comes any more
	ended bool   // and the protocol knows
}

// held is a run of bytes that wait, or a gap among them.
type held struct {
	off, n uint64
	gap    bool
	origin reassemble.Origin
}

// Open returns a new connection.
func (p *Parser) Open(info ConnInfo) *Conn {
	p.stats.Conns++
	c := &Conn{p: p, info: info}
	c.proto = newHTTP1(c, false)
	return c
}

// Data takes the next bytes of a direction; off is where they are in it, o the packet that carried the first of them.
// Borrowed.
func (c *Conn) Data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) {
	h := &c.dirs[dir]
	if len(b) == 0 || h.over {
		return
	}
	c.p.stats.Bytes += uint64(len(b))
	n := 0
	if len(h.held) == 0 {
		n = c.feed(dir, off, b, o)
	}
	if n < len(b) {
		c.hold(dir, held{off: off + uint64(n), n: uint64(len(b) - n), origin: moved(o, n)}, b[n:])
	}
	c.settle(dir.Reverse())
}

// Gap says that n bytes of a direction are missing.
func (c *Conn) Gap(dir packet.Direction, off, n uint64) {
	h := &c.dirs[dir]
	if n == 0 || h.over {
		return
	}
	c.p.stats.Missing += n
	if len(h.held) > 0 {
		c.hold(dir, held{off: off, n: n, gap: true}, nil)
	} else {
		c.proto.gap(dir, off, n)
	}
	c.settle(dir.Reverse())
}

// End says that a direction is over.
func (c *Conn) End(dir packet.Direction) {
	c.dirs[dir].over = true
	c.settle(dir)
	c.settle(dir.Reverse())
}

// Close ends both directions, and what is open of messages and exchanges. Nothing may be fed afterwards.
func (c *Conn) Close() {
	if c.closed {
		return
	}
	c.closed = true
	for dir := range c.dirs {
		c.dirs[dir].over = true
	}
	c.settle(packet.ClientToServer)
	c.settle(packet.ServerToClient)
	for dir := packet.ClientToServer; dir <= packet.ServerToClient; dir++ {
		c.dirs[dir].hurry = true
		c.settle(dir)
	}
}

// feed gives bytes to the protocol, and what that leaves to the one it switched to. It returns how many bytes were taken.
func (c *Conn) feed(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	for n := 0; ; {
		p := c.proto
		n += p.data(dir, off+uint64(n), b[n:], moved(o, n))
		if n == len(b) || c.proto == p {
			return n
		}
	}
}

func moved(o reassemble.Origin, n int) reassemble.Origin {
	o.Seq += uint32(n)
	return o
}

// hold keeps bytes, or a gap, until the other direction has more.
func (c *Conn) hold(dir packet.Direction, x held, b []byte) {
	h := &c.dirs[dir]
	h.held = append(h.held, x)
	h.bytes = append(h.bytes, b...)
	if len(h.bytes) > c.p.cfg.Limits.Held {
		c.p.stats.LimitHeld++
		h.hurry = true
		c.settle(dir)
		h.hurry = false
	}
}

// settle feeds what is held of a direction, as far as that goes, and ends it when it is over.
func (c *Conn) settle(dir packet.Direction) {
	h := &c.dirs[dir]
	for len(h.held) > 0 {
		x := h.held[0]
		n := int(x.n)
		if x.gap {
			c.proto.gap(dir, x.off, x.n)
		} else if n = c.feed(dir, x.off, h.bytes[:x.n], x.origin); n < int(x.n) {
			h.bytes = h.bytes[n:]
			h.held[0].off, h.held[0].n, h.held[0].origin = x.off+uint64(n), x.n-uint64(n), moved(x.origin, n)
			return
		}
		if !x.gap {
			h.bytes = h.bytes[n:]
		}
		h.held = slices.Delete(h.held, 0, 1)
	}
	h.bytes = nil
	if h.over && !h.ended {
		h.ended = true
		c.proto.end(dir)
	}
}

// hurried reports whether the bytes of a direction can wait no longer for the other one.
func (c *Conn) hurried(dir packet.Direction) bool { return c.dirs[dir].hurry }

// switchTo makes p take what comes from now on, in both directions.
func (c *Conn) switchTo(p protocol) { c.proto = p }
