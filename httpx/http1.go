package httpx

import (
	"bytes"
	"math"
	"weak"

	"github.com/tcpfollow/tcpfollow/internal/http1"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// http1c is a connection that may turn out to speak HTTP/1. Its sides are parsed each on its own; what ties them together
// is which request a response answers (pairing.go).
type http1c struct {
	c        *Conn
	tunneled bool // inside of a CONNECT tunnel
	found    bool // there was a message
	ended    [2]bool
	sides    [2]side
	pending  []pending // requests that wait for their response, oldest first,
	popped   int       // but for the first of them
	turning  *Exchange // a CONNECT or Upgrade that waits for its response, which decides what the connection becomes
	giveWay  bool      // that came, so that what waited for it goes first
}

// sideKind says what a side sends.
type sideKind uint8

const (
	unknown sideKind = iota
	requests
	responses
)

// state is what a side expects next.
type state uint8

const (
	atStart   state = iota // a message
	inStart                // more of a start line
	inOld                  // what tells whether a start line without version has a header, or is all
	inHead                 // more of a head
	inTorn                 // more of a head, behind a gap
	inDoubt                // a body, or the next message: the request may have been HEAD
	inLength               // a body of known length
	inSize                 // a chunk's size line
	inChunk                // a chunk's data
	inEnd                  // the line end behind a chunk's data
	inTrailer              // the trailer
	inClose                // a body up to the end
	seeking                // anything: the next start line is looked for
	waiting                // what becomes of the connection
	idle                   // nothing: this is not HTTP
)

// side is one direction of an HTTP/1 connection.
type side struct {
	p     *http1c
	dir   packet.Direction
	kind  sideKind
	state state

	m       *Message  // being read
	e       *Exchange // for it, if it is a request
	remain  uint64    // bytes to come of its body, or of a chunk
	collect collector // of its head, of a line, or of what is sought through
	start   piece     // where what is collected starts, without bytes
	second  int       // in inOld: where the second line starts in what is collected
	torn    []byte    // in inTorn: a line,
	rest    bool      // of which the start is missing
	marks   []mark    // in seeking: where what is collected came from
	sought  int       // bytes passed over, among which no message was found

	prev    *Message              // the last one,
	weak    weak.Pointer[Message] // if it is large, so that it can go when nobody has it
	skipped bool                  // bytes were skipped since
	lost    bool                  // it is not known how many messages there were since
	lostAt  uint32                // this sequence number
	next    uint32                // sequence number behind the last byte
}

func newHTTP1(c *Conn, tunneled bool) protocol {
	p := &http1c{c: c, tunneled: tunneled}
	for dir := range p.sides {
		p.sides[dir].p, p.sides[dir].dir = p, packet.Direction(dir)
		if c.info.Midstream && !tunneled {
			p.sides[dir].state = seeking
		}
	}
	return p
}

func (p *http1c) data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	if other := &p.sides[dir.Reverse()]; other.state == inOld && other.collect.line == 0 {
		other.endOld() // it was answered, so that was all
	}
	x := piece{b, off, o}
	p.sides[dir].run(&x)
	return len(b) - len(x.b)
}

// run parses as much of x as it can. What is left has to wait, or is for another protocol.
func (s *side) run(x *piece) {
	for len(x.b) > 0 && s.p.c.proto == protocol(s.p) {
		if s.state == waiting && !s.decided() || s.state == atStart && s.awaitsPreface(x) {
			break
		}
		if s.step(x); s.p.giveWay {
			s.p.giveWay = false
			if s.p.c.dirs[s.dir.Reverse()].waits() {
				break
			}
		}
	}
}

// step parses at least a byte of x, or changes state.
func (s *side) step(x *piece) {
	switch s.state {
	case atStart:
		s.begin(x)
	case inStart:
		s.inStart(x)
	case inOld:
		s.inOld(x)
	case inHead:
		s.inHead(x)
	case inTorn:
		s.inTorn(x)
	case inDoubt:
		s.inDoubt(x)
	case inLength, inChunk, inClose:
		s.inBody(x)
	case inSize:
		s.inSize(x)
	case inEnd:
		s.inEnd(x)
	case inTrailer:
		s.inTrailer(x)
	case seeking:
		s.seek(x)
	case waiting:
		if s.state = atStart; s.lost {
			s.state = seeking
		}
	case idle:
		s.skip(x, len(x.b))
	}
}

// use takes n bytes as part of a message.
func (s *side) use(x *piece, n int) []byte {
	b := x.take(n)
	s.p.c.consumed(n)
	s.next = x.o.Seq
	if s.m != nil {
		s.m.End = x.place()
	}
	return b
}

// skip passes over n bytes that belong to no message.
func (s *side) skip(x *piece, n int) {
	if n == 0 {
		return
	}
	s.lose(x.o.Seq)
	s.skipped = true
	if prev := s.previous(); prev != nil {
		prev.Flags |= FlagTrailing
	}
	s.p.c.skipped(s.dir, x.off, n, &x.o)
	x.take(n)
	s.next = x.o.Seq
}

// lose notes that from a sequence number on it is not known how many messages there were.
func (s *side) lose(seq uint32) {
	if !s.lost {
		s.lost, s.lostAt = true, seq
	}
}

func (s *side) limits() *Limits { return &s.p.c.p.cfg.Limits }

// begin begins a message.
func (s *side) begin(x *piece) {
	if s.answersOld(x.b) {
		s.beginOld(x)
		return
	}
	n := 0
	for n < len(x.b) && (x.b[n] == '\r' || x.b[n] == '\n') { // RFC 9112 §2.2
		n++
	}
	if n > 0 {
		s.use(x, n)
		return
	}
	s.start = *x
	s.start.b = nil
	s.collect.reset()
	end := bytes.IndexByte(x.b, '\n')
	if end < 0 || end >= s.limits().Line {
		s.state = inStart
		return
	}
	line := x.b[:end+1]
	st, ok := s.classify(line)
	switch {
	case !ok:
		s.skip(x, 1)
		s.state = seeking
		return
	case isPreface(line):
		s.p.turnInto(newH2(s.p.c, nil))
		return
	case st.Class == http1.Request && st.Version.Len() == 0:
		s.state = inStart
		return
	}
	s.message(&st)
	n, flags, ok := s.p.c.p.scan(x.b[end+1:])
	if n += end + 1; ok && n <= s.limits().Header && n <= s.limits().Line {
		s.m.Flags |= flags
		s.head(s.use(x, n), &st, true)
		return
	}
	s.collect.until(line)
	n, whole := s.collect.until(x.b[end+1:])
	s.collect.add(s.use(x, n+end+1), s.limits())
	if s.state = inHead; whole {
		s.wholeHead()
	}
}

// awaitsPreface reports whether x looks like SETTINGS that a server of HTTP/2 sent first (RFC 9113 §3.4), and it is not
// known yet whether the client starts with its preface.
func (s *side) awaitsPreface(x *piece) bool {
	const header = "\x00\x00?\x04\x00\x00\x00\x00\x00"
	c, other := s.p.c, &s.p.sides[s.dir.Reverse()]
	open := s.kind == unknown && (other.state == atStart || other.state == inStart) && !s.p.ended[other.dir]
	if x.off != 0 || !open || c.dirs[s.dir].alone || c.hurried(s.dir) {
		return false
	}
	for i, b := range x.b[:min(len(x.b), frameHead)] {
		if i == 2 && b%6 != 0 || i != 2 && b != header[i] {
			return false
		}
	}
	return true
}

// isPreface reports whether a line is the first of an HTTP/2 connection (RFC 9113 §3.4).
func isPreface(line []byte) bool { return string(line) == "PRI * HTTP/2.0\r\n" }

// classify takes a line apart, and reports whether it can start a message of this side.
func (s *side) classify(line []byte) (st http1.Start, ok bool) {
	if !s.mayStart(line) {
		return st, false
	}
	body, _ := http1.TrimEOL(line)
	st = http1.ParseStart(body)
	switch st.Class {
	case http1.Request:
		return st, s.kind != responses
	case http1.Response:
		return st, s.kind != requests
	default:
		return st, false
	}
}

// inStart collects a start line.
func (s *side) inStart(x *piece) {
	n := bytes.IndexByte(x.b, '\n') + 1
	whole := n > 0
	if !whole {
		n = len(x.b)
	}
	if room := s.limits().Line - len(s.collect.buf); n > room {
		n, whole = room, false
	}
	s.gather(x, n)
	line := s.collect.buf
	if s.answersOld(line) {
		s.replay(len(line), atStart)
		return
	}
	if !whole && len(line) < s.limits().Line {
		if !s.mayStart(line) {
			s.replay(len(line), seeking)
		}
		return
	}
	st, ok := s.classify(line)
	switch {
	case !ok:
		s.replay(len(line), seeking)
	case isPreface(line):
		first := s.start
		first.b = bytes.Clone(line)
		s.collect = collector{}
		s.p.turnInto(newH2(s.p.c, nil))
		s.p.c.proto.data(s.dir, first.off, first.b, first.o)
	case whole && st.Class == http1.Request && st.Version.Len() == 0:
		s.state, s.second = inOld, len(line)
	default:
		s.message(&st)
		s.inherit(x)
		s.state = inHead
	}
}

// gather collects bytes that may turn out to belong to no message: all of them, so that they can be given back.
func (s *side) gather(x *piece, n int) {
	s.collect.until(x.b[:n])
	s.collect.add(x.take(n), &Limits{Header: math.MaxInt, Line: math.MaxInt, Fields: math.MaxInt})
}

// inherit counts what was gathered as part of the message.
func (s *side) inherit(x *piece) {
	s.p.c.consumed(s.collect.taken)
	s.m.End = x.place()
}

// replay parses the last n of the bytes that were gathered once more, in another state. Those that are no start line are
// sought through from the second on.
func (s *side) replay(n int, next state) {
	all := s.collect.buf
	x := s.start
	x.b = bytes.Clone(all)
	x.take(len(all) - n)
	s.collect.reset()
	if s.state = next; next == seeking {
		s.skip(&x, 1)
	}
	s.again(&x)
}

// again parses bytes that were taken before. What has to wait is given back.
func (s *side) again(x *piece) {
	s.run(x)
	if len(x.b) > 0 {
		s.p.c.unread(s.dir, *x)
	}
}

// mayStart reports whether b can be the beginning of a start line, or all of one with its end. It bounds what is held of what is no HTTP.
func (s *side) mayStart(b []byte) bool {
	const longest = 64 // of methods
	for i, c := range b {
		switch {
		case c == ' ', c == '\t':
			return i > 0 && (s.kind == requests || len(b) <= http1.MaxFound || http1.IsToken(b[:i]))
		case c == '\n':
			return true
		case c == '\r':
			return i == len(b)-1 || b[i+1] == '\n'
		case c < ' ', c == 0x7f, i == longest:
			return false
		}
	}
	return true
}

// inHead collects a head.
func (s *side) inHead(x *piece) {
	n, whole := s.collect.until(x.b)
	s.collect.add(s.use(x, n), s.limits())
	if whole {
		s.wholeHead()
	}
}

// wholeHead parses the head that was collected.
func (s *side) wholeHead() {
	line := s.collect.buf
	if n := bytes.IndexByte(line, '\n'); n >= 0 {
		line = line[:n+1]
	}
	line, _ = http1.TrimEOL(line)
	st := http1.ParseStart(line)
	s.head(s.collect.buf, &st, false)
}

// inOld collects the line behind a start line without version, which tells whether there is a header.
func (s *side) inOld(x *piece) {
	n := bytes.IndexByte(x.b, '\n') + 1
	whole := n > 0
	if !whole {
		n = len(x.b)
	}
	room := min(s.limits().Line, http1.MaxFound) - (len(s.collect.buf) - s.second)
	if n > room {
		n, whole = room, false
	}
	s.gather(x, n)
	line, _ := http1.TrimEOL(s.collect.buf[s.second:])
	switch {
	case !whole:
		if n == room {
			s.endOld()
		}
	case len(line) == 0 || http1.LooksLikeField(line):
		first, _ := http1.TrimEOL(s.collect.buf[:s.second])
		st := http1.ParseStart(first)
		if st.Target.Len() == 0 && !isHost(line) {
			s.endOld()
			return
		}
		s.message(&st)
		s.inherit(x)
		if s.state = inHead; len(line) == 0 {
			s.wholeHead()
		}
	default:
		s.endOld()
	}
}

// isHost reports whether a header line is Host.
func isHost(line []byte) bool {
	f := http1.ParseField(line)
	return bytes.EqualFold(f.Name.Of(line), []byte("host"))
}

// endOld ends a request that is a line without version, if it can be one of HTTP/0.9, and goes on behind it.
func (s *side) endOld() {
	all := s.collect.buf
	first, _ := http1.TrimEOL(all[:s.second])
	st := http1.ParseStart(first)
	if st.Target.Len() == 0 || st.Faults.Has(http1.BadStart) && !bytes.HasPrefix(st.Target.Of(first), []byte("/")) {
		s.replay(len(all), seeking)
		return
	}
	rest := len(all) - s.second
	s.message(&st)
	s.p.c.consumed(s.second)
	s.m.End = s.start.place()
	s.m.End.Offset += uint64(s.second)
	x := s.start
	x.b = bytes.Clone(all)
	s.head(all[:s.second], &st, false)
	x.take(s.second)
	if rest > 0 {
		s.again(&x)
	}
}

// answersOld reports whether b starts the response to a request of HTTP/0.9: anything but a status line.
func (s *side) answersOld(b []byte) bool {
	if s.kind != responses || s.p.waiting() == 0 || len(b) == 0 {
		return false
	}
	n := min(len(b), len("HTTP/"))
	q := s.p.pending[s.p.popped].e.Request
	return q != nil && q.Flags.Has(FlagHTTP09) && string(b[:n]) != "HTTP/"[:n]
}

// beginOld begins the response to a request of HTTP/0.9.
func (s *side) beginOld(x *piece) {
	s.start = *x
	s.start.b = nil
	s.collect.reset()
	st := http1.Start{Class: http1.Response}
	s.message(&st)
	s.m.Flags |= FlagHTTP09
	s.head(nil, &st, false)
}
