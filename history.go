package tcpfollow

import (
	"github.com/tcpfollow/tcpfollow/packet"
)

// ring holds the last delivered bytes of one direction. The byte at offset off lies at off modulo its size.
type ring struct {
	buf        []byte
	start, end uint64 // the offsets that it covers; what is a gap in between is listed as one
	limited    bool   // Limits.TotalHistory was in the way
}

// leastRing is the size with which rings start.
const leastRing = 512

// remember keeps bytes that are delivered, for copies of them that come late.
func (f *TCPStreamFollower) remember(st *TCPStream, d packet.Direction, off uint64, b []byte) {
	more := st.needs()
	if more.history == nil {
		more.history = new([2]ring)
	}
	r := &more.history[d]
	if off != r.end {
		if len(r.buf) == 0 || more.payload[d].unlisted > 0 {
			r.start = off
		}
		r.end = off
	}
	f.grow(r, r.end-r.start+uint64(len(b)))
	r.end += uint64(len(b))
	size := uint64(len(r.buf))
	if size == 0 {
		r.start = r.end
		return
	}
	if n := uint64(len(b)); n > size {
		off, b = off+n-size, b[n-size:]
	}
	r.put(off, b)
	if r.end-r.start > size {
		r.start = r.end - size
	}
}

// put writes bytes, at most as many as the ring holds.
func (r *ring) put(off uint64, b []byte) {
	n := copy(r.buf[off%uint64(len(r.buf)):], b)
	copy(r.buf, b[n:])
}

// grow makes a ring larger when it is too small for want bytes, as far as the limits allow.
func (f *TCPStreamFollower) grow(r *ring, want uint64) {
	size := len(r.buf)
	if want <= uint64(size) || size == f.cfg.History || r.limited {
		return
	}
	if size == 0 {
		size = leastRing
	}
	for uint64(size) < want && size < f.cfg.History {
		size *= 2
	}
	size = min(size, f.cfg.History)
	if room := len(r.buf) + f.cfg.Limits.TotalHistory - f.history; size > room {
		size = room
		r.limited = true
		f.stats.LimitHistory++
	}
	f.history += size - len(r.buf)
	larger := ring{buf: make([]byte, size)}
	if old := uint64(len(r.buf)); old > 0 && r.end > r.start {
		at := r.start % old
		first := r.buf[at:min(old, at+r.end-r.start)]
		larger.put(r.start, first)
		larger.put(r.start+uint64(len(first)), r.buf[:r.end-r.start-uint64(len(first))])
	}
	r.buf = larger.buf
}

// at looks for n bytes at an offset. It returns how many of them the ring holds, or how many it does not. The bytes are
// appended to scratch.
func (r *ring) at(off uint64, n int, scratch []byte) (b []byte, run int) {
	switch {
	case off < r.start:
		return nil, int(min(uint64(n), r.start-off))
	case off >= r.end:
		return nil, n
	}
	n = int(min(uint64(n), r.end-off))
	size := uint64(len(r.buf))
	at := off % size
	b = append(scratch, r.buf[at:min(size, at+uint64(n))]...)
	return append(b, r.buf[:n-len(b)]...), n
}

// firstCopy looks for n delivered bytes at a stream offset. It returns how many of them are alike: either the bytes, or
// none that could be compared.
func (f *TCPStreamFollower) firstCopy(more *extra, d packet.Direction, off uint64, n int) (b []byte, run int) {
	p := &more.payload[d]
	at, n, delivered := p.locate(off, n)
	if !delivered {
		return nil, n
	}
	if more.urgent != nil {
		if b, at, n = more.urgent[d].locate(off, at, n); b != nil {
			return b, n
		}
	}
	switch {
	case p.unlisted == 0 && at < uint64(len(p.bytes)):
		b = p.bytes[at:min(at+uint64(n), uint64(len(p.bytes)))]
		return b, len(b)
	case more.history == nil:
		return nil, n
	}
	b, n = more.history[d].at(off, n, f.scratch[:0])
	if b != nil {
		f.scratch = b
	}
	return b, n
}

// locate finds out where n bytes at a stream offset are among those that accumulated, when all gaps are listed. It
// returns how many of them lie together, either all delivered, or all in a gap.
func (p *payload) locate(off uint64, n int) (at uint64, run int, delivered bool) {
	before := p.missing
	for i := len(p.gaps) - 1; i >= 0; i-- { // late copies are late by little
		g := &p.gaps[i]
		end := g.Offset + g.Length
		if off >= end {
			break
		}
		if off >= g.Offset {
			return 0, int(min(uint64(n), end-off)), false
		}
		before -= g.Length
		n = int(min(uint64(n), g.Offset-off))
	}
	return off - before, n, true
}
