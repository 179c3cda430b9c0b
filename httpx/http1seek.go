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
	n := len(x.b)
	s.collect.buf = append(s.collect.buf, x.take(n)...)
	s.sought += n
	s.find(false)
}

// find looks through what is collected; with final, nothing follows directly.
func (s *side) find(final bool) {
	at, ok := http1.Find(s.collect.buf, s.kind != responses, s.kind != requests, final)
	if !ok && !s.p.found && s.sought > s.limits().Scan {
		s.passOver(len(s.collect.buf))
		s.state = idle
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
	off := s.start.off
	for i, m := range s.marks {
		end := len(b)
		if i+1 < len(s.marks) {
			end = s.marks[i+1].at
		}
		list = append(list, piece{b[m.at:end], off + uint64(m.at), m.o})
	}
	return list
}

// passOver skips the first n of the collected bytes.
func (s *side) passOver(n int) {
	if n == 0 {
		return
	}
	all := s.collect.buf
	list := s.pieces(all)
	left := n
	s.marks = s.marks[:0]
	for i := range list {
		x := &list[i]
		k := min(left, len(x.b))
		s.skip(x, k)
		if left -= k; len(x.b) > 0 {
			if len(s.marks) == 0 {
				s.start = *x
				s.start.b = nil
			}
			s.marks = append(s.marks, mark{int(x.off - s.start.off), x.o})
		}
	}
	s.collect.buf = all[:copy(all, all[n:])]
}
