package httpx

import "github.com/tcpfollow/tcpfollow/reassemble"

// piece is a run of bytes that is being parsed.
type piece struct {
	b   []byte
	off uint64
	o   reassemble.Origin
}

// take cuts the first n bytes off.
func (x *piece) take(n int) []byte {
	b := x.b[:n]
	x.b = x.b[n:]
	x.off += uint64(n)
	x.o.Seq += uint32(n)
	return b
}

// place returns where the bytes start.
func (x *piece) place() Place { return Place{x.off, x.o.Packet, x.o.Time} }
