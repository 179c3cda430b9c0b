package httpx

import (
	"bytes"

	"github.com/tcpfollow/tcpfollow/internal/http1"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// mark says that collected bytes from at on came from an origin.
type mark struct {
	at int
	o  reassemble.Origin
}

// seek looks for the next start line. What may be the beginning of one is collected.
func (s *side) seek(x *piece) {
	if len(s.collect.buf) == 0 {
		s.start = *x
		s.start.b = nil
		s.marks = s.marks[:0]
	}
	s.marks = append(s.marks, mark{len(s.collect.buf), x.o})
	line := bytes.IndexByte(x.b, '\n') >= 0
	s.collect.buf = append(s.collect.buf, x.take(len(x.b))...)
	if line || len(s.collect.buf) > 2*http1.MaxFound { // nothing is decided before, see Find
		s.find(false)
	}
}

// find looks through what is collected; with final, nothing follows directly.
func (s *side) find(final bool) {
	at, ok := http1.Find(s.collect.buf, s.kind != responses, s.kind != requests, final)
	if !s.p.found && s.sought+at > s.limits().Scan {
		s.passOver(len(s.collect.buf))
		s.state = idle
		s.p.c.p.stats.NoHTTP++
		if s.p.sides[s.dir.Reverse()].state == idle {
			s.p.c.switchTo(noHTTP{s.p.c})
		}
		return
	}
	s.passOver(at)
	if !ok {
		return
	}
	list := s.pieces(bytes.Clone(s.collect.buf))
	s.collect.reset()
	s.state = atStart
	for i := range list {
		if s.run(&list[i]); len(list[i].b) > 0 {
			for k := len(list) - 1; k >= i; k-- {
				s.p.c.unread(s.dir, list[k])
			}
			return
		}
	}
}

// pieces returns the collected bytes, of which b is a copy, by where they came from.
func (s *side) pieces(b []byte) []piece {
	list := make([]piece, 0, len(s.marks))
	for i := range s.marks {
		list = append(list, s.piece(b, i))
	}
	return list
}

// piece returns those of the collected bytes b that came from one origin.
func (s *side) piece(b []byte, i int) piece {
	at, end := s.marks[i].at, len(b)
	if i+1 < len(s.marks) {
		end = s.marks[i+1].at
	}
	return piece{b[at:end], s.start.off + uint64(at), s.marks[i].o}
}

// passOver skips the first n of the collected bytes.
func (s *side) passOver(n int) {
	if n == 0 {
		return
	}
	s.sought += n
	b, kept := s.collect.buf, 0
	var start piece
	for i := range s.marks {
		x := s.piece(b, i)
		at := s.marks[i].at
		s.skip(&x, min(max(n-at, 0), len(x.b)))
		if len(x.b) == 0 {
			continue
		}
		if kept == 0 {
			start = piece{off: x.off, o: x.o}
		}
		s.marks[kept] = mark{max(at-n, 0), x.o}
		kept++
	}
	s.start, s.marks = start, s.marks[:kept]
	s.collect.buf = b[:copy(b, b[n:])]
}
