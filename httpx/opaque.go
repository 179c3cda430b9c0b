package httpx

import (
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// noHTTP is a protocol that turned out to be none of those that are understood. It takes less memory than the search.
type noHTTP struct{ c *Conn }

func (p noHTTP) data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	p.c.skipped(dir, off, len(b), &o)
	return len(b)
}

func (noHTTP) gap(packet.Direction, uint64, uint64) {}

func (noHTTP) end(packet.Direction) {}

// opaque is a protocol that is not looked into.
type opaque struct{ c *Conn }

func (p *opaque) data(_ packet.Direction, _ uint64, b []byte, _ reassemble.Origin) int {
	p.c.p.stats.Opaque += uint64(len(b))
	return len(b)
}

func (*opaque) gap(packet.Direction, uint64, uint64) {}

func (*opaque) end(packet.Direction) {}
