package httpx

import (
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// opaque is a protocol that is not looked into.
type opaque struct{ c *Conn }

func (p *opaque) data(_ packet.Direction, _ uint64, b []byte, _ reassemble.Origin) int {
	p.c.p.stats.Opaque += uint64(len(b))
	return len(b)
}

func (*opaque) gap(packet.Direction, uint64, uint64) {}

func (*opaque) end(packet.Direction) {}
