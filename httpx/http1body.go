package httpx

import (
	"bytes"

	"github.com/tcpfollow/tcpfollow/internal/http1"
)

// inDoubt looks whether a response whose request is not known has the body that it announces. If it answers HEAD, the next
// response comes in its place.
func (s *side) inDoubt(x *piece) {
	if len(s.collect.buf) == 0 {
		s.start = *x
		s.start.b = nil
	}
	n := min(len(x.b), len(http1.StatusForm)-len(s.collect.buf))
	s.gather(x, n)
	all := s.collect.buf
	switch {
	case !http1.IsStatusForm(all):
		s.settleDoubt()
	case len(all) == len(http1.StatusForm):
		rest := s.start
		rest.b = bytes.Clone(all)
		s.m.Flags |= FlagTruncated
		s.finish()
		s.again(&rest)
	}
}

// settleDoubt takes what is there for a body.
func (s *side) settleDoubt() { s.replay(len(s.collect.buf), s.m.Framing.state()) }

// inBody takes bytes of a body whose length, or that of the chunk, is known, or that goes on to the end.
func (s *side) inBody(x *piece) {
	n := len(x.b)
	if s.state != inClose {
		n = int(min(uint64(n), s.remain))
		s.remain -= uint64(n)
	}
	m := s.m
	b := s.use(x, n)
	m.WireLength += uint64(n)
	s.p.c.body(m, b)
	s.filled()
}

// filled goes on when all of a body or a chunk is there.
func (s *side) filled() {
	switch {
	case s.state == inClose || s.remain > 0:
	case s.state == inLength:
		s.finish()
	default:
		s.state = inEnd
	}
}

// inSize reads a chunk's size line (RFC 9112 §7.1).
func (s *side) inSize(x *piece) {
	line, ok := s.line(x)
	if !ok {
		return
	}
	m := s.m
	size, faults, ok := http1.ParseChunk(line)
	if faults != 0 {
		m.Flags |= FlagBadChunk
	}
	switch {
	case !ok:
		s.broken()
		return
	case bytes.IndexByte(line, ';') >= 0:
		m.Flags |= FlagChunkExt
	}
	s.collect.reset()
	if s.state, s.remain = inChunk, size; size == 0 {
		s.state = inTrailer
	}
}

// line takes a line of a body's framing; it is complete if ok. It has its line end.
func (s *side) line(x *piece) (line []byte, ok bool) {
	n := bytes.IndexByte(x.b, '\n') + 1
	ok = n > 0
	if !ok {
		n = len(x.b)
	}
	b := s.use(x, n)
	s.m.WireLength += uint64(n)
	if ok && len(s.collect.buf) == 0 && n <= s.limits().Line {
		return b, true
	}
	s.collect.add(b, s.limits())
	if s.collect.cut {
		s.m.Flags |= FlagLimit
	}
	return s.collect.buf, ok
}

// broken ends a message whose framing makes no sense from here on.
func (s *side) broken() {
	s.m.Flags |= FlagTruncated
	s.lose(s.next)
	s.finish()
	s.seekNext()
}

// seekNext goes to look for the next start line, unless something else is waited for.
func (s *side) seekNext() {
	if s.state == atStart {
		s.state = seeking
	}
}

// inEnd reads the line end behind a chunk's data.
func (s *side) inEnd(x *piece) {
	switch x.b[0] {
	case '\r':
		if s.remain == 1 { // the second one
			s.m.Flags |= FlagBadChunk
		}
		s.remain = 1
	case '\n':
		if s.remain == 0 {
			s.m.Flags |= FlagBadChunk
		}
		s.state = inSize
		s.collect.reset()
	default:
		s.m.Flags |= FlagBadChunk
		s.broken()
		return
	}
	s.use(x, 1)
	s.m.WireLength++
}

// inTrailer collects the trailer.
func (s *side) inTrailer(x *piece) {
	n, whole := s.collect.until(x.b)
	s.m.WireLength += uint64(n)
	s.collect.add(s.use(x, n), s.limits())
	if !whole {
		return
	}
	if string(s.collect.buf) != "\r\n" {
		text := string(s.collect.buf)
		s.m.Trailer = s.p.c.fields(s.collect.buf, text, &s.m.Flags)
	}
	if s.collect.cut {
		s.m.Flags |= FlagLimit
		s.p.c.p.stats.LimitHeader++
	}
	s.finish()
}
