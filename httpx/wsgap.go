package httpx

import (
	"bytes"

	"github.com/tcpfollow/tcpfollow/packet"
)

// gap takes the place of n bytes that are missing.
func (p *websocket) gap(dir packet.Direction, _, n uint64) {
	s := &p.sides[dir]
	switch {
	case s.lost:
		s.settle()
		if s.lost {
			return
		}
	case s.in:
		k := min(n, s.left)
		m := s.current()
		m.Flags |= FlagGap
		m.Missing += k
		m.WireLength += k
		m.End.Offset += k
		m.torn = m.torn || m.Compressed
		s.masked = (s.masked + int(k&3)) & 3
		s.left -= k
		s.filled()
		if n -= k; n == 0 {
			return
		}
	}
	p.c.skipped(dir, s.start.off, s.n, &s.start.o)
	s.lose(FlagGap)
}

// lose is called when it is not known where the next frame starts.
func (s *wsSide) lose(why Flags) {
	s.n = 0
	s.lost, s.torn = true, true
	s.buf = s.buf[:0]
	s.cutOff(why | FlagTruncated)
	s.inflate.lose()
}

// maxSettle is the most bytes of a packet in which frames are looked for.
const maxSettle = 1 << 18

// seek collects the bytes of a packet. Frames tend to begin where packets do, and their headers alone are too short to be
// told from other bytes: a packet that consists of whole frames is where they go on.
func (s *wsSide) seek(x *piece) {
	if len(s.buf) > 0 && (s.start.o.Packet != x.o.Packet || len(s.buf) > maxSettle) {
		if s.settle(); !s.lost {
			return
		}
	}
	if len(s.buf) == 0 {
		s.start = *x
		s.start.b = nil
	}
	s.buf = append(s.buf, x.take(len(x.b))...)
}

// settle looks whether the packet that was collected consists of frames.
func (s *wsSide) settle() {
	if len(s.buf) == 0 {
		return
	}
	if s.start.o.Packet == 0 || len(s.buf) > maxSettle || !s.frames(s.buf) {
		s.p.c.skipped(s.dir, s.start.off, len(s.buf), &s.start.o)
		s.buf = s.buf[:0]
		return
	}
	x := s.start
	x.b = bytes.Clone(s.buf)
	s.buf, s.lost = nil, false
	s.p.data(s.dir, x.off, x.b, x.o)
}

// frames reports whether b consists of whole frames, the first of which begins a message, and none of which is odd.
func (s *wsSide) frames(b []byte) bool {
	for first := true; len(b) > 0; first = false {
		if len(b) < 2 || len(b) < headLen(b) {
			return false
		}
		n := headLen(b)
		f := parseWSHead(b[:n])
		b = b[n:]
		if s.check(&f) != 0 || first && f.op == OpContinuation || f.length > uint64(len(b)) {
			return false
		}
		b = b[f.length:]
	}
	return true
}
