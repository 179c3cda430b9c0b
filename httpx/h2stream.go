package httpx

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// h2stream is a stream of an HTTP/2 connection: an exchange.
type h2stream struct {
	p     *h2
	id    uint32
	e     *Exchange
	open  [2]*Message // by direction: its body is to come
	got   [2]uint64   // of which there were so many bytes, or of what the stream carries
	ended [2]bool     // nothing comes any more
	inner *Conn       // what it carries as a tunnel
}

// message takes a header block that is complete, or as far as it goes.
func (s *h2side) message(flags Flags) {
	p, x := s.p, &s.block
	id := x.stream
	if x.promise != 0 {
		s.promised(flags)
		return
	}
	st := p.streams[id]
	if st == nil {
		if id == 0 || slices.Contains(p.closed, id) {
			return
		}
		st = p.open(id)
	}
	if m := st.open[s.dir]; m != nil {
		m.Flags |= flags
		s.trailer(m)
		return
	}
	if st.ended[s.dir] {
		return
	}
	m := s.newMessage(flags)
	st.add(m)
	switch {
	case s.holed && x.last && len(m.Header) > 0 && !strings.HasPrefix(m.Header[0].Name, ":") && !flags.Has(FlagStateLost): // the header is missing
		m.Header = nil
		m.Flags |= FlagGap
		p.c.head(m)
		st.open[s.dir] = m
		s.trailer(m)
		return
	case m.Kind == Response && m.isInterim() && !x.last:
		p.c.head(m)
		p.c.done(m)
		return
	case !x.last:
		m.Framing = FramingStream
	}
	p.c.head(m)
	st.open[s.dir] = m
	st.turn()
	if x.last {
		st.finish(s.dir)
	}
}

// trailer takes a header block as the trailer of a message.
func (s *h2side) trailer(m *Message) {
	m.Trailer = append(m.Trailer, s.fields.list...)
	m.End = s.end
	if !s.block.last { // RFC 9113 §8.1
		m.Flags |= FlagBadFrame
		s.p.c.p.stats.BadFrames++
		return
	}
	s.p.streams[s.block.stream].finish(s.dir)
}

// newMessage makes a message of a header block.
func (s *h2side) newMessage(flags Flags) *Message {
	p, x := s.p, &s.block
	kind := Response
	if s.dir == p.client || x.promise != 0 {
		kind = Request
	}
	m := p.c.newMessage(kind, s.dir, x.start.off, &x.start.o)
	m.Version, m.StreamID, m.End = "HTTP/2", x.stream, s.end
	if x.promise != 0 {
		m.StreamID = x.promise
	}
	m.Header = slices.Clone(s.fields.list)
	m.Flags = flags
	m.pseudo()
	return m
}

// pseudo reads the pseudo-header fields (RFC 9113 §8.3), and checks the others (§8.2).
func (m *Message) pseudo() {
	var status, method, path, authority, protocol int
	regular := false
	var x framing
	x.length = -1
	for i := range m.Header {
		f := &m.Header[i]
		m.checkField(f)
		if len(f.Name) > 0 && f.Name[0] == ':' && regular {
			m.Flags |= FlagBadStart
		}
		switch f.Name {
		case ":status":
			status++
			m.Status = statusOf(f.Value)
			if m.Status == 0 {
				m.Flags |= FlagBadStatus
			}
		case ":method":
			method++
			m.Method = f.Value
		case ":path":
			path++
			m.Target = f.Value
		case ":authority":
			authority++
		case ":protocol":
			protocol++
		case "content-length":
			x.contentLength(m, f.Value)
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			m.Flags |= FlagForbidden
		}
		regular = regular || len(f.Name) > 0 && f.Name[0] != ':'
	}
	m.ContentLength = x.length
	if host, ok := m.Lookup("host"); ok && authority > 0 && !strings.EqualFold(host, m.Get(":authority")) {
		m.Flags |= FlagHostTarget
	}
	connect := m.Method == "CONNECT" && protocol == 0
	if connect {
		m.Target = m.Get(":authority")
		path++
	}
	whole := !m.Flags.Has(FlagStateLost) && !m.Flags.Has(FlagLimit)
	if m.Kind == Response && (status > 1 || whole && status != 1) ||
		m.Kind == Request && (method > 1 || path > 1 || authority > 1 || whole && (method == 0 || path == 0)) {
		m.Flags |= FlagBadStart
	}
}

// statusOf returns a status of three digits, 0 for what is none.
func statusOf(v string) int {
	if n, err := strconv.Atoi(v); err == nil && len(v) == 3 && v[0] != '+' && v[0] != '-' {
		return n
	}
	return 0
}

// checkField looks for what a field must not hold (RFC 9113 §8.2.1): what would end or split it in HTTP/1 as well.
func (m *Message) checkField(f *Field) {
	if f.Name == "" {
		m.Flags |= FlagBadName
	}
	for i := range len(f.Name) {
		if c := f.Name[i]; c <= ' ' || c >= 0x7f || c >= 'A' && c <= 'Z' || c == ':' && i > 0 {
			m.Flags |= FlagBadName
		}
	}
	for i := range len(f.Value) {
		switch f.Value[i] {
		case 0, '\n', '\r':
			m.Flags |= FlagControl
		}
	}
}

// open makes a stream. When there are too many, the oldest is given up.
func (p *h2) open(id uint32) *h2stream {
	for len(p.streams) >= p.c.p.cfg.Limits.Streams && len(p.opened) > 0 {
		if st := p.streams[p.opened[0]]; st != nil {
			p.c.p.stats.LimitStreams++
			p.forget(st.id)
			st.close(FlagLimit)
		}
		p.opened = p.opened[1:]
	}
	if len(p.opened) > 2*len(p.streams)+64 {
		p.opened = slices.DeleteFunc(p.opened, func(id uint32) bool { return p.streams[id] == nil })
	}
	p.top = max(p.top, id)
	st := &h2stream{p: p, id: id, e: p.c.newExchange()}
	p.streams[id] = st
	p.opened = append(p.opened, id)
	return st
}

// upgraded makes stream 1 of the request that the connection was upgraded by. Its exchange goes on under its number.
func (p *h2) upgraded() {
	first := p.upgrade
	e := &Exchange{Conn: first.Conn, Number: first.Number, Request: first.Request, Informational: slices.Clone(first.Informational)}
	if first.Response != nil {
		e.Informational = append(e.Informational, first.Response)
	}
	st := &h2stream{p: p, id: 1, e: e}
	st.ended[p.client] = true
	p.streams[1], p.opened, p.top = st, append(p.opened, 1), 1
}

// promised takes a request that the server answers without being asked (RFC 9113 §8.4).
func (s *h2side) promised(flags Flags) {
	p, id := s.p, s.block.promise
	if p.streams[id] != nil {
		p.c.p.stats.BadFrames++
		return
	}
	m := s.newMessage(flags | FlagPushed)
	st := p.open(id)
	st.add(m)
	p.c.head(m)
	p.c.done(m)
	st.ended[p.client] = true
}

// add adds a message to its exchange.
func (st *h2stream) add(m *Message) {
	e := st.e
	m.Exchange = e
	if m.Kind == Request {
		e.Request = m
		return
	}
	if q := e.Request; q != nil && q.Flags.Has(FlagPushed) {
		m.Flags |= FlagPushed
	} else if q != nil && !st.ended[st.p.client] && !m.isInterim() {
		m.Flags |= FlagEarly
	}
	if m.isInterim() {
		st.p.c.interim(e, m)
	} else {
		e.Response = m
	}
}

// finish ends the message of a direction, and with the last one the stream.
func (st *h2stream) finish(dir packet.Direction) {
	st.ended[dir] = true
	if m := st.open[dir]; m != nil {
		st.open[dir] = nil
		m.checkLength(st.got[dir])
		st.p.c.done(m)
	}
	if st.inner != nil {
		st.inner.End(dir)
	}
	if st.ended[dir.Reverse()] {
		st.close(0)
	}
}

// checkLength compares the bytes of the body with the length that was announced (RFC 9113 §8.1.1).
func (m *Message) checkLength(n uint64) {
	bodyless := m.Kind == Response && m.isBodyless()
	if m.ContentLength >= 0 && m.Flags&(FlagGap|FlagTruncated) == 0 && !bodyless && uint64(m.ContentLength) != n {
		m.Flags |= FlagBodyLength
	}
}

// cutOff ends a direction before its end.
func (st *h2stream) cutOff(dir packet.Direction, why Flags) {
	if m := st.open[dir]; m != nil {
		m.Flags |= why
	}
	if !st.ended[dir] {
		st.finish(dir)
	}
}

// reset ends a stream by RST_STREAM (RFC 9113 §6.4).
func (st *h2stream) reset() {
	open := false
	for _, m := range st.open {
		if m != nil {
			m.Flags |= FlagReset
			open = true
		}
	}
	if !open {
		st.e.Flags |= FlagReset
	}
	st.p.forget(st.id)
	st.close(FlagTruncated)
}

// forget makes what still comes of a stream be passed over.
func (p *h2) forget(id uint32) {
	const most = 128
	if len(p.closed) == most {
		p.closed = p.closed[:copy(p.closed, p.closed[1:])]
	}
	p.closed = append(p.closed, id)
}

// close ends a stream; why is for messages that are not over.
func (st *h2stream) close(why Flags) {
	p := st.p
	if p.streams[st.id] != st {
		return
	}
	delete(p.streams, st.id)
	for dir, m := range st.open {
		if s := &p.sides[dir]; s.stream == st {
			s.stream = nil
		}
		if m != nil {
			m.Flags |= why
			st.open[dir] = nil
			p.c.done(m)
		}
	}
	if st.inner != nil {
		st.inner.Close()
	}
	p.c.exchanged(st.e)
}

// openData goes on to the payload of DATA (RFC 9113 §6.1).
func (s *h2side) openData() {
	s.buf = s.buf[:0]
	s.state, s.padding = h2InData, 0
	s.stream = s.p.streams[s.head.StreamID]
	s.took(frameHead)
	if s.head.Flags.Has(http2.FlagDataPadded) {
		s.padding = -1
		if s.left == 0 {
			s.badData()
		}
	}
	s.dataDone()
}

// reading returns the message whose DATA is being read, nil for none.
func (s *h2side) reading() *Message {
	if s.stream == nil {
		return nil
	}
	return s.stream.open[s.dir]
}

func (s *h2side) badData() {
	s.p.c.p.stats.BadFrames++
	if m := s.reading(); m != nil {
		m.Flags |= FlagBadFrame
	}
}

// inData takes payload of DATA.
func (s *h2side) inData(x *piece) {
	st, n := s.stream, min(len(x.b), s.left-s.padding)
	switch {
	case s.padding < 0:
		if s.padding = int(s.use(x, 1)[0]); s.padding > s.left {
			s.badData()
			s.padding = s.left
		}
		s.took(1)
	case n == 0:
		n = min(len(x.b), s.left)
		s.use(x, n)
		s.took(n)
		s.padding = s.left
	case st == nil || st.open[s.dir] == nil:
		s.p.c.skipped(s.dir, x.off, n, &x.o)
		x.take(n)
		s.left -= n
	default:
		o := x.o
		b := s.use(x, n)
		s.took(n)
		st.data(s.dir, b, o)
	}
	s.dataDone()
}

// data takes bytes of a message's body, or of what the stream carries.
func (st *h2stream) data(dir packet.Direction, b []byte, o reassemble.Origin) {
	off := st.got[dir]
	st.got[dir] += uint64(len(b))
	if st.inner != nil {
		o.Ack = 0 // it is of another stream of bytes
		st.inner.Data(dir, off, b, o)
		return
	}
	st.p.c.body(st.open[dir], b)
}

// took counts n bytes of a message's DATA.
func (s *h2side) took(n int) {
	if m := s.reading(); m != nil {
		m.WireLength += uint64(n)
		m.End = s.end
	}
}

// dataDone goes on when all of DATA is there.
func (s *h2side) dataDone() {
	if s.left > 0 {
		return
	}
	st := s.stream
	s.stream = nil
	s.reset(h2AtFrame)
	if st != nil && s.head.Flags.Has(http2.FlagDataEndStream) && !st.ended[s.dir] {
		st.finish(s.dir)
	}
}

// turn makes a stream the tunnel, or the WebSocket connection (RFC 8441), that its response says it is.
func (st *h2stream) turn() {
	e := st.e
	if st.inner != nil || e.Request == nil || e.Response == nil || e.Request.Method != "CONNECT" || e.Response.Status/100 != 2 {
		return
	}
	inner := st.p.c.within()
	switch e.Request.Get(":protocol") {
	case "":
		inner.proto = newTunnel(inner)
	case "websocket":
		inner.proto = newWebSocket(inner, e)
	default:
		return
	}
	e.Response.Flags |= FlagUpgrade
	st.inner = inner
}
