package httpx

import (
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// http1 is a connection that may turn out to speak HTTP/1.
type http1 struct {
	c        *Conn
	tunneled bool // inside of a CONNECT tunnel
}

func newHTTP1(c *Conn, tunneled bool) *http1 { return &http1{c: c, tunneled: tunneled} }

func (p *http1) data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	p.c.skipped(dir, off, len(b), &o)
	return len(b)
}

func (p *http1) gap(packet.Direction, uint64, uint64) {}

func (p *http1) end(packet.Direction) {}
