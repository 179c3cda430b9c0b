package httpx

import (
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
	outer     *Conn // what carries it; nil for a connection of its own
	closed    bool
	finished  func(packet.Direction) bool // whether a direction is known to have ended with all its bytes; may be nil
}

// Open returns a new connection. Close ends it, and gives back what it holds.
func (p *Parser) Open(info ConnInfo) *Conn {
	p.stats.Conns++
	c := &Conn{p: p, info: info}
	c.proto = newStart(c, false)
	return c
}

// Data takes the next bytes of a direction; off is where they are in it, o the packet that carried the first of them.
// Borrowed.
//
// What a packet acknowledges tells which bytes of the other direction its sender had: where those are still to come, as
// behind a hole, the packet's bytes wait for them, so that requests come before their responses. An Ack of 0 tells
// nothing.
func (c *Conn) Data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) {
	h := &c.dirs[dir]
	if len(b) == 0 || h.over {
		return
	}
	c.p.stats.Bytes += uint64(len(b))
	x, before := piece{b, off, o}, c.proto
	if !h.waits() && !c.early(dir, &o) {
		c.feed(dir, &x)
	}
	if len(x.b) > 0 {
		c.hold(dir, held{piece: x})
	}
	if h.waits() || c.dirs[dir.Reverse()].waits() || c.proto != before {
		c.settle()
	}
}

// Gap says that n bytes of a direction are missing.
func (c *Conn) Gap(dir packet.Direction, off, n uint64) {
	h := &c.dirs[dir]
	if n == 0 || h.over {
		return
	}
	c.p.stats.Missing += n
	if h.waits() {
		c.hold(dir, held{piece: piece{off: off}, gap: n})
	} else {
		c.gap(dir, off, n)
	}
	c.settle()
}

// End says that a direction is over. The acknowledgement of a FIN lies behind all bytes, so that without a call packets
// that carry one wait.
func (c *Conn) End(dir packet.Direction) {
	c.dirs[dir].over = true
	c.settle()
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
	c.settle()
	for dir := range c.dirs {
		c.dirs[dir].hurry = true
	}
	c.settle()
}

// feed gives bytes to the protocol, and what that leaves to the one it switched to. It returns how many were taken, and
// leaves the others in x.
func (c *Conn) feed(dir packet.Direction, x *piece) (taken int) {
	for {
		p := c.proto
		n := p.data(dir, x.off, x.b, x.o)
		taken += n
		x.take(n)
		if len(x.b) == 0 || c.proto == p || c.dirs[dir.Reverse()].waits() || c.dirs[dir].waitsBefore(x.off) {
			break // what waited for the switch goes first, and what was given back
		}
	}
	h := &c.dirs[dir]
	h.spoke, h.known, h.next = true, true, x.o.Seq
	return taken
}

func (c *Conn) gap(dir packet.Direction, off, n uint64) {
	h, other := &c.dirs[dir], &c.dirs[dir.Reverse()]
	if !h.spoke && other.spoke && dir == packet.ServerToClient {
		h.next, h.known = other.start, other.start != 0
	}
	h.spoke = true
	h.next += uint32(n)
	c.proto.gap(dir, off, n)
}

// switchTo makes p take what comes from now on, in both directions.
func (c *Conn) switchTo(p protocol) {
	c.proto = p
	for dir := range c.dirs {
		c.dirs[dir].ended = false // p is still to be told
	}
}
