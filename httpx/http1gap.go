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
	default:
	}
	at := p.c.dirs[dir].next - uint32(n)
	s.next = at + uint32(n)
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
	default: // idle
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
	switch n + s.remain {
	case 1:
		s.remain = 1
	case 2:
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
	} else if words := bytes.SplitN(all, []byte(" "), 3); len(words) > 1 && http1.IsMethod(words[0]) && len(words[1]) > 0 {
		line = all[:len(words[0])+1+len(words[1])] // without the version, of which some is missing
	}
	st, ok := s.classify(line)
	if !ok || st.Target.Len() == 0 && !st.Sure {
		s.replay(len(all), seeking)
		s.find(true)
		return
	}
	s.message(&st)
	s.p.c.consumed(s.collect.taken)
	s.m.End = s.start.place()
	s.m.End.Offset += uint64(s.collect.taken)
	if s.state == inStart {
		s.collect.buf = line
	}
	s.tear()
}

// tear is called when bytes of a head are missing. It may go on behind them, or anything else may.
func (s *side) tear() {
	c := &s.collect
	s.m.Flags |= FlagGap
	if len(s.torn) > 0 {
		s.p.c.consumed(len(s.torn))
		if !s.rest {
			c.add(s.torn, s.limits())
		}
	}
	if c.line > 0 && c.lines > 1 && bytes.IndexByte(c.buf[c.begin:], ':') < 0 {
		c.buf = c.buf[:c.begin] // not even its name is there
	} else if c.line > 0 {
		c.buf = append(bytes.TrimRight(c.buf, "\r"), '\r', '\n')
	}
	c.line = 0
	s.torn, s.rest = s.torn[:0], true
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
	st, starts := s.classify(s.torn)
	starts = starts && whole && st.Sure
	switch {
	case !whole && len(s.torn) <= http1.MaxFound && !bytes.ContainsRune(line, 0):
		return
	case whole && s.rest && !starts && !bytes.ContainsRune(line, 0):
	case whole && len(line) == 0:
		s.keepTorn(x)
		s.state = inHead
		s.wholeHead()
		return
	case whole && !starts && http1.LooksLikeField(line):
	default:
		rest := s.start
		rest.b = bytes.Clone(s.torn)
		s.torn = s.torn[:0]
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
	for s.state == inDoubt || s.state == inOld || s.state == inStart { // there may be more behind what ends
		s.endStart()
	}
	s.endMessage()
	if s.state == seeking {
		s.find(true)
	}
	p.ended[dir] = true
	if p.ended[dir.Reverse()] {
		p.giveUp()
	}
}

// endMessage ends the message that is being read, if there is one.
func (s *side) endMessage() {
	switch s.state {
	case inHead:
		s.state = inTorn
		s.wholeHead()
	case inTorn:
		s.p.c.skipped(s.dir, s.start.off, len(s.torn), &s.start.o)
		s.torn = s.torn[:0]
		s.wholeHead()
	case inClose:
		s.finish()
	case inDoubt, inLength, inSize, inChunk, inEnd, inTrailer:
		s.m.Flags |= FlagTruncated
		s.finish()
	default:
	}
}

// endStart ends what is not yet known to be a start line, or a body.
func (s *side) endStart() {
	switch s.state {
	case inDoubt:
		s.settleDoubt()
	case inOld:
		s.endOld()
	case inStart:
		line := bytes.TrimRight(s.collect.buf, "\r")
		st, ok := s.classify(line)
		if !ok || !st.Sure {
			s.replay(len(s.collect.buf), seeking)
			return
		}
		s.message(&st)
		s.p.c.consumed(s.collect.taken)
		s.m.End = s.start.place()
		s.m.End.Offset += uint64(s.collect.taken)
		s.collect.buf = line
		s.state = inTorn
		s.wholeHead()
	default:
	}
}
