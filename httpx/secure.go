package httpx

import (
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Layer is a protocol between TCP and HTTP, as TLS is. It is fed what a [Conn] carries, and feeds what is in that to the
// Conn that it was made for. A Conn is one itself.
type Layer interface {
	// Data, Gap and End are those of a Conn. Offsets are in bytes of the layer; each direction starts at 0.
	Data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin)
	Gap(dir packet.Direction, off, n uint64)
	End(dir packet.Direction)
}

var _ Layer = (*Conn)(nil)

// HTTP2 says that the connection is known to speak HTTP/2, by ALPN for instance, so that it is understood even when the
// client's preface is missing. It counts only before the first byte and the first gap.
func (c *Conn) HTTP2() {
	if _, ok := c.proto.(*http1c); !ok || c.dirs[0].spoke || c.dirs[1].spoke {
		return
	}
	p := newH2(c, nil).(*h2)
	p.client, p.known = packet.ClientToServer, true
	c.switchTo(p)
}

// newStart returns what finds out what a connection, or a tunnel, carries.
func newStart(c *Conn, tunneled bool) protocol {
	if c.p.cfg.Secure == nil || c.info.Midstream && !tunneled {
		return newHTTP1(c, tunneled)
	}
	return &opening{c: c, tunneled: tunneled}
}

// opening looks at the first bytes of a connection: TLS, or else HTTP.
type opening struct {
	c        *Conn
	tunneled bool
	first    [2]piece // the first bytes of each direction
}

// recordHead is how many bytes tell a TLS record with a hello.
const recordHead = 6

// mayBeHello reports whether b is the start of a TLS record with a ClientHello or a ServerHello.
func mayBeHello(b []byte) bool {
	const handshake, client, server = 22, 1, 2
	for i, c := range b[:min(len(b), recordHead)] {
		if i == 0 && c != handshake || i == 1 && c != 3 || i == 2 && c > 4 || i == 3 && c > 0x48 || i == 5 && c != client && c != server {
			return false
		}
	}
	return true
}

func (p *opening) data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	x := &p.first[dir]
	if len(x.b) == 0 {
		*x = piece{nil, off, o}
	}
	n := min(len(b), recordHead-len(x.b))
	was := len(x.b)
	x.b = append(x.b, b[:n]...)
	switch {
	case !mayBeHello(x.b):
		x.b = x.b[:was]
		p.turn(newHTTP1(p.c, p.tunneled))
		return 0
	case len(x.b) == recordHead:
		x.b = x.b[:was]
		p.turn(newSecured(p.c, p.tunneled))
		return 0
	}
	return n
}

// turn hands over to what the connection turned out to carry.
func (p *opening) turn(next protocol) {
	p.c.switchTo(next)
	for dir, x := range p.first {
		if len(x.b) > 0 {
			next.data(packet.Direction(dir), x.off, x.b, x.o)
		}
	}
}

func (p *opening) gap(dir packet.Direction, off, n uint64) {
	p.turn(newHTTP1(p.c, p.tunneled))
	p.c.proto.gap(dir, off, n)
}

func (p *opening) end(packet.Direction) { p.turn(newHTTP1(p.c, p.tunneled)) } // which is told of it

// secured is a connection in a layer that is undone.
type secured struct {
	c     *Conn
	inner *Conn
	layer Layer
	begun [2]bool
	base  [2]uint64 // where the layer starts
	ended [2]bool
}

// newSecured returns the protocol for a layer; it is newHTTP1 when that is left alone.
func newSecured(c *Conn, tunneled bool) protocol {
	p := &secured{c: c, inner: c.within()}
	p.inner.info.Secured = true
	p.inner.proto = newHTTP1(p.inner, tunneled)
	if p.layer = c.p.cfg.Secure(p.inner); p.layer == nil {
		return newHTTP1(c, tunneled)
	}
	return p
}

// at returns an offset in the layer.
func (p *secured) at(dir packet.Direction, off uint64) uint64 {
	if !p.begun[dir] {
		p.begun[dir], p.base[dir] = true, off
	}
	return off - p.base[dir]
}

func (p *secured) data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	p.c.p.stats.Secured += uint64(len(b))
	p.layer.Data(dir, p.at(dir, off), b, o)
	return len(b)
}

func (p *secured) gap(dir packet.Direction, off, n uint64) { p.layer.Gap(dir, p.at(dir, off), n) }

func (p *secured) end(dir packet.Direction) {
	p.layer.End(dir)
	p.ended[dir] = true
	if p.ended[dir.Reverse()] {
		p.inner.Close()
	}
}
