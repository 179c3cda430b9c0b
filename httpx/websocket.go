package httpx

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// websocket is a WebSocket connection (RFC 6455).
type websocket struct {
	c       *Conn
	upgrade *Exchange
	client  packet.Direction
	deflate deflation
	sides   [2]wsSide
}

// wsSide is one direction of a WebSocket connection.
type wsSide struct {
	p     *websocket
	dir   packet.Direction
	start piece // where the frame starts, without bytes

	head   [maxWSHead]byte // of the frame that is being read,
	n      int             // as much of it as is there
	frame  wsFrame
	left   uint64 // bytes of its payload that are to come; valid in a frame
	in     bool   // in the payload of a frame
	masked int    // the next byte's place in the mask

	message *wsMessage // whose frames are coming in
	control *wsMessage
	inflate inflater
	charged bool // the inflater counts towards Limits.Decoders

	lost bool   // where the next frame starts is not known
	torn bool   // and was not known at some time
	buf  []byte // in lost: the bytes of a packet, which starts at start
}

// maxWSHead is the most bytes of a frame's header.
const maxWSHead = 14

// wsFrame is what a frame's header says (RFC 6455 §5.2).
type wsFrame struct {
	final  bool
	rsv    uint8 // the three reserved bits
	op     Opcode
	mask   [4]byte
	masks  bool
	length uint64
	short  bool // the length could have been written shorter
}

// wsMessage is a message that is being read.
type wsMessage struct {
	*WebSocketMessage
	raw  []byte // compressed
	torn bool   // what follows cannot be decompressed
	cost int    // what it counts towards Limits.TotalBody
}

// newWebSocket returns the WebSocket connection that an exchange ended in: its response was 101 (RFC 6455 §4).
func newWebSocket(c *Conn, upgrade *Exchange) protocol {
	p := &websocket{c: c, upgrade: upgrade, client: upgrade.Response.Direction.Reverse()}
	p.deflate = negotiated(upgrade.Response, p.client)
	for dir := range p.sides {
		s := &p.sides[dir]
		s.p, s.dir = p, packet.Direction(dir)
		s.inflate.fresh = p.deflate.fresh[dir]
	}
	return p
}

func (p *websocket) data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	s := &p.sides[dir]
	x := piece{b, off, o}
	for len(x.b) > 0 {
		switch {
		case s.lost:
			s.seek(&x)
		case s.in:
			s.payload(&x)
		default:
			s.header(&x)
		}
	}
	return len(b)
}

// headLen returns the length of the header that starts with b, of which two bytes are there.
func headLen(b []byte) int {
	n := 2
	switch b[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// parseWSHead parses a whole header.
func parseWSHead(b []byte) wsFrame {
	f := wsFrame{final: b[0]&0x80 != 0, rsv: b[0] >> 4 & 7, op: Opcode(b[0] & 15), masks: b[1]&0x80 != 0, length: uint64(b[1] & 0x7f)}
	switch rest := b[2:]; f.length {
	case 126:
		f.length = uint64(binary.BigEndian.Uint16(rest))
		f.short = f.length < 126
	case 127:
		f.length = binary.BigEndian.Uint64(rest)
		f.short = f.length < 1<<16
	}
	if f.masks {
		copy(f.mask[:], b[len(b)-4:])
	}
	return f
}

// header reads a frame's header.
func (s *wsSide) header(x *piece) {
	if s.n == 0 {
		s.start = *x
		s.start.b = nil
	}
	need := 2
	if s.n >= 2 {
		need = headLen(s.head[:])
	}
	s.n += len(copyOf(s.head[s.n:need], x))
	if s.n < 2 || s.n < headLen(s.head[:]) {
		return
	}
	f := parseWSHead(s.head[:s.n])
	if f.length > 1<<63-1 { // RFC 6455 §5.2
		s.p.c.p.stats.BadFrames++
		s.p.c.skipped(s.dir, s.start.off, s.n, &s.start.o)
		s.lose(FlagBadFrame)
		return
	}
	s.p.c.consumed(s.n)
	s.frame, s.left, s.in, s.masked = f, f.length, true, 0
	s.open(uint64(s.n), x.place())
	s.n = 0
	s.filled()
}

// copyOf takes bytes of x into b.
func copyOf(b []byte, x *piece) []byte {
	n := copy(b, x.b)
	x.take(n)
	return b[:n]
}

// open begins a message, or goes on with one, in a frame whose header has n bytes.
func (s *wsSide) open(n uint64, end Place) {
	f, p := &s.frame, s.p
	flags := s.check(f)
	switch {
	case f.op.control() || f.op.reserved():
		s.control = s.newMessage()
	case f.op == OpContinuation && s.message != nil:
	default:
		if s.message != nil { // RFC 6455 §5.4
			s.message.Flags |= FlagTruncated
			flags |= FlagBadFrame
			s.finish(s.message)
		}
		if f.op == OpContinuation && s.torn {
			flags |= FlagGap
		} else if f.op == OpContinuation {
			flags |= FlagBadFrame
		}
		s.message = s.newMessage()
		s.message.Compressed = f.rsv&4 != 0 && p.deflate.on
		s.message.torn = f.op == OpContinuation && p.deflate.on // whether it is compressed is not known
	}
	if flags.Has(FlagBadFrame) {
		p.c.p.stats.BadFrames++
	}
	m := s.current()
	m.Flags |= flags
	m.Frames++
	m.WireLength += n
	m.End = end
}

// check returns what is wrong with a frame.
func (s *wsSide) check(f *wsFrame) (flags Flags) {
	compressed := uint8(0)
	if s.p.deflate.on && (f.op == OpText || f.op == OpBinary) {
		compressed = 4
	}
	if f.rsv&^compressed != 0 || f.op.reserved() || f.short || f.op.control() && (!f.final || f.length > 125) {
		flags |= FlagBadFrame
	}
	if f.masks != (s.dir == s.p.client) {
		flags |= FlagBadMask
	}
	return flags
}

func (s *wsSide) newMessage() *wsMessage {
	at := s.start.place()
	return &wsMessage{WebSocketMessage: &WebSocketMessage{
		Conn: &s.p.c.info, Exchange: s.p.upgrade, Direction: s.dir, Opcode: s.frame.op, Start: at, End: at,
	}}
}

// current returns the message that the frame belongs to.
func (s *wsSide) current() *wsMessage {
	if s.control != nil {
		return s.control
	}
	return s.message
}

// payload takes payload of a frame.
func (s *wsSide) payload(x *piece) {
	m := s.current()
	n := int(min(uint64(len(x.b)), s.left))
	b := x.take(n)
	s.p.c.consumed(n)
	s.left -= uint64(n)
	m.WireLength += uint64(n)
	m.End = x.place()
	s.add(m, b)
	s.filled()
}

// add adds payload, still masked, to a message.
func (s *wsSide) add(m *wsMessage, b []byte) {
	from := s.masked
	s.masked = (s.masked + len(b)) & 3
	to := &m.Data
	if m.Compressed {
		to = &m.raw
	} else {
		m.Length += uint64(len(b))
	}
	if s.p.c.p.cfg.OnWebSocket == nil || m.torn {
		return
	}
	at := len(*to)
	kept := s.p.c.keep(m, at, b)
	*to = append(*to, kept...)
	if s.frame.masks {
		for i := range kept {
			(*to)[at+i] ^= s.frame.mask[(from+i)&3]
		}
	}
	if m.Compressed && len(kept) < len(b) {
		m.torn = true
	}
}

// keep returns as much of b as the limits allow to keep beside n bytes that are kept already.
func (c *Conn) keep(m *wsMessage, n int, b []byte) []byte {
	l := &c.p.cfg.Limits
	if room := max(0, min(l.Body-n, l.TotalBody-c.p.collected)); len(b) > room {
		b = b[:room]
		if !m.Flags.Has(FlagBodyCut) {
			m.Flags |= FlagBodyCut
			c.p.stats.LimitBody++
		}
	}
	m.cost += len(b)
	c.p.collected += len(b)
	return b
}

// filled goes on when all of a frame is there.
func (s *wsSide) filled() {
	if s.left > 0 {
		return
	}
	s.in = false
	if m := s.control; m != nil {
		s.control = nil
		s.finish(m)
	} else if s.frame.final {
		m := s.message
		s.message = nil
		s.finish(m)
	}
}

// finish calls back with a message.
func (s *wsSide) finish(m *wsMessage) {
	c := s.p.c
	c.p.stats.WebSocketMessages++
	f := c.p.cfg.OnWebSocket
	if f != nil {
		if m.Compressed {
			s.decompress(m)
		}
		switch {
		case m.Opcode == OpClose && len(m.Data) >= 2:
			m.CloseCode = binary.BigEndian.Uint16(m.Data)
		case m.Opcode == OpClose && m.Length == 1:
			m.Flags |= FlagBadFrame
		}
		const partial = FlagGap | FlagTruncated | FlagBodyCut | FlagBomb | FlagBadCoding | FlagStateLost | FlagLimit
		if m.Opcode == OpText && m.Flags&partial == 0 && !utf8.Valid(m.Data) {
			m.Flags |= FlagBadText
		}
		f(m.WebSocketMessage)
	}
	c.p.collected -= m.cost
	if m == s.message {
		s.message = nil
	}
}

// decompress makes what was said of what was sent.
func (s *wsSide) decompress(m *wsMessage) {
	c := s.p.c
	if !s.charged {
		if c.p.decoding+inflateMemory > c.p.cfg.Limits.Decoders {
			c.p.stats.LimitDecoders++
			m.Flags |= FlagLimit
			s.inflate.lose()
			return
		}
		s.charged = true
		c.p.decoding += inflateMemory
	}
	torn := m.torn || m.Flags.Has(FlagTruncated)
	m.Flags |= s.inflate.message(m.raw, torn, &c.p.cfg.Limits, func(b []byte) {
		m.Length += uint64(len(b))
		m.Data = append(m.Data, c.keep(m, len(m.Data), b)...)
	})
	if m.Flags.Has(FlagBomb) {
		c.p.stats.LimitRatio++
	}
	m.raw = nil
}

// end ends what is open of a side.
func (p *websocket) end(dir packet.Direction) {
	s := &p.sides[dir]
	if s.lost {
		s.settle()
	}
	p.c.skipped(dir, s.start.off, s.n, &s.start.o)
	s.n = 0
	s.cutOff(FlagTruncated)
	if s.charged {
		s.charged = false
		p.c.p.decoding -= inflateMemory
	}
	s.inflate = inflater{}
}

// cutOff ends messages before their end.
func (s *wsSide) cutOff(why Flags) {
	for _, m := range []*wsMessage{s.control, s.message} {
		if m != nil {
			m.Flags |= why
			s.finish(m)
		}
	}
	s.control, s.message, s.in = nil, nil, false
}
