package httpx

import (
	"bytes"

	"github.com/tcpfollow/tcpfollow/internal/http1"
	"github.com/tcpfollow/tcpfollow/packet"
)

// gap takes the place of n bytes that are missing.
func (p *http1c) gap(dir packet.Direction, _, n uint64) {
	s := &p.sides[dir]
	switch s.state { // what was waited for does not come
	case inDoubt:
		s.settleDoubt()
	case seeking:
		s.find(true)
	}
	at := s.next
	s.next += uint32(n)
	switch s.state {
	case atStart, seeking:
		s.lose(at)
		s.seekNext()
	case inStart, inOld:
		s.lose(at)
		s.tearStart()
	case inHead, inTorn:
		s.tear()
	case inLength, inChunk, inClose:
		s.hole(at, n)
	case inSize, inTrailer:
		s.m.Flags |= FlagGap
		s.broken()
	case inEnd:
		s.m.Flags |= FlagGap
		s.missEnd(n)
	case waiting:
		s.lose(at)
	case idle:
	}
}

// hole leaves out bytes of a body. What is missing beyond its end may have been anything.
func (s *side) hole(at uint32, n uint64) {
	m := s.m
	k := n
	if s.state != inClose {
		k = min(n, s.remain)
		s.remain -= k
	}
	m.WireLength += k
	m.End.Offset += k
	s.p.c.hole(m, k)
	n -= k
	if n > 0 {
		s.lose(at + uint32(k))
	}
	s.filled()
	switch {
	case n == 0:
	case s.state == inEnd:
		s.missEnd(n)
	default:
		s.seekNext()
	}
}

// missEnd leaves out n bytes from the line end behind a chunk on.
func (s *side) missEnd(n uint64) {
	s.m.WireLength += min(n, 2)
	switch n += s.remain; {
	case n == 1:
		s.remain = 1
	case n == 2:
		s.state, s.remain = inSize, 0
		s.collect.reset()
	default:
		s.broken()
	}
}

// tearStart is called when bytes are missing in a start line, or behind one that has no version. It is kept if it is
// clear what it is: what a request is for was said before.
func (s *side) tearStart() {
	all := s.collect.buf
	line := all
	if s.state == inOld {
		line = all[:s.second]
	}
	st, ok := s.classify(line)
	body, bare := http1.TrimEOL(line)
	words := bytes.SplitN(body, []byte(" "), 3)
	switch {
	case !ok, st.Class == http1.Response && !st.Sure, st.Class == http1.Request && (len(words) < 2 || !http1.IsMethod(words[0]) || len(words[1]) == 0):
		s.replay(len(all), seeking)
		s.find(true)
		return
	}
	s.message(&st)
	s.p.c.consumed(s.collect.taken)
	s.m.End = s.start.place()
	s.m.End.Offset += uint64(s.collect.taken)
	if s.state == inStart && st.Class == http1.Request && !bare { // the version may be cut
		s.collect.buf = bytes.Join(words[:2], []byte(" "))
	}
	s.tear()
}

// tear is called when bytes of a head are missing. It may go on behind them, or anything else may.
func (s *side) tear() {
	s.m.Flags |= FlagGap
	s.torn = s.torn[:0]
	s.rest = true
	if c := &s.collect; c.line > 0 {
		c.buf = append(bytes.TrimRight(c.buf, "\r"), '\r', '\n')
		c.line = 0
	}
	s.state = inTorn
}

// inTorn reads lines behind a gap in a head. The first is the rest of one. Those that look like header lines are taken
// for what they look like; others end the message.
func (s *side) inTorn(x *piece) {
	n := bytes.IndexByte(x.b, '\n') + 1
	whole := n > 0
	if !whole {
		n = len(x.b)
	}
	if len(s.torn) == 0 {
		s.start = *x
		s.start.b = nil
	}
	s.torn = append(s.torn, x.take(n)...)
	line, _ := http1.TrimEOL(s.torn)
	switch {
	case !whole && len(s.torn) <= http1.MaxFound && !bytes.ContainsRune(line, 0):
		return
	case whole && s.rest && !bytes.ContainsRune(line, 0):
	case whole && len(line) == 0:
		s.keepTorn(x)
		s.state = inHead
		s.wholeHead()
		return
	case whole && http1.LooksLikeField(line):
	default:
		rest := s.start
		rest.b = bytes.Clone(s.torn)
		s.wholeHead() // without a body, since the state is inTorn
		s.state = seeking
		s.again(&rest)
		return
	}
	s.keepTorn(x)
}

// keepTorn takes a line as part of the head, but for the rest of one.
func (s *side) keepTorn(x *piece) {
	s.p.c.consumed(len(s.torn))
	s.next = x.o.Seq
	s.m.End = x.place()
	if !s.rest {
		s.collect.add(s.torn, s.limits())
	}
	s.torn, s.rest = s.torn[:0], false
}

// end ends what is open of a side.
func (p *http1c) end(dir packet.Direction) {
	s := &p.sides[dir]
	if s.state == inDoubt {
		s.settleDoubt()
	}
	switch s.state {
	case inStart:
		if st, ok := s.classify(s.collect.buf); ok && st.Sure {
			s.message(&st)
			s.p.c.consumed(s.collect.taken)
			s.m.End = s.start.place()
			s.m.End.Offset += uint64(s.collect.taken)
			s.state = inTorn
			s.wholeHead()
		} else {
			s.replay(len(s.collect.buf), seeking)
		}
	case inOld:
		s.endOld()
	case inHead:
		s.state = inTorn
		s.wholeHead()
	case inTorn:
		s.p.c.skipped(s.dir, s.start.off, len(s.torn), &s.start.o)
		s.wholeHead()
	case inClose:
		s.finish()
	case inLength, inSize, inChunk, inEnd, inTrailer:
		s.m.Flags |= FlagTruncated
		s.finish()
	}
	if s.state == seeking {
		s.find(true)
	}
	p.ended[dir] = true
	if p.ended[dir.Reverse()] {
		p.giveUp()
	}
}
