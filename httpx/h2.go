package httpx

import (
	"bytes"
	"slices"

	"golang.org/x/net/http2"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// preface is what a client's side of an HTTP/2 connection starts with (RFC 9113 §3.4).
const preface = http2.ClientPreface

const (
	frameHead   = 9       // bytes of a frame header
	usualFrame  = 1 << 14 // the most payload of a frame, unless more is agreed upon (RFC 9113 §4.2)
	longestSeek = 1 << 16 // the most payload of a frame that is found behind a gap
)

// h2 is an HTTP/2 connection (RFC 9113). The frames of its sides are read each on its own; what ties them together are
// the streams.
type h2 struct {
	c        *Conn
	client   packet.Direction // of requests,
	known    bool             // if that is known
	upgrade  *Exchange
	sides    [2]h2side
	streams  map[uint32]*h2stream
	opened   []uint32 // their numbers, oldest first; some of them may be over
	closed   []uint32 // numbers of the last that were given up: what still comes of them is passed over
	top      uint32   // the highest number
	maxFrame int      // the most payload of a frame that was announced
	framer   *http2.Framer
	frame    bytes.Reader // what framer reads
	ended    [2]bool
}

// h2state is what a side expects next.
type h2state uint8

const (
	h2AtPreface h2state = iota
	h2AtFrame           // a frame header
	h2InFrame           // the rest of a frame that is looked at when it is whole
	h2InData            // the payload of DATA
	h2Passing           // the rest of a frame that is of no interest
	h2Seeking           // anything: the next frame header is looked for
)

// h2side is one direction of an HTTP/2 connection.
type h2side struct {
	p     *h2
	dir   packet.Direction
	state h2state
	first bool  // no frame was read yet
	holed bool  // frames are missing
	start piece // where the frame starts, without bytes
	end   Place // behind the last byte that was taken

	head    http2.FrameHeader // of the frame that is being read,
	left    int               // the bytes of its payload that are to come,
	buf     []byte            // what is there of it, or in h2Seeking what is sought through,
	marks   []mark            // and where that came from
	sought  int               // bytes in which no frame starts
	padding int               // at the end of DATA; -1 if its length is still to come
	stream  *h2stream         // whose DATA it is; nil for none

	fields fieldDecoder
	block  block
}

// newH2 returns an HTTP/2 connection; requests flow in the direction in which the client's preface comes. upgrade is the
// exchange that the connection was upgraded by, whose request is stream 1 (RFC 7540 §3.2), nil with prior knowledge. Both
// prefaces are still to come.
func newH2(c *Conn, upgrade *Exchange) protocol {
	p := &h2{c: c, upgrade: upgrade, streams: map[uint32]*h2stream{}, maxFrame: usualFrame}
	for dir := range p.sides {
		s := &p.sides[dir]
		s.p, s.dir, s.first = p, packet.Direction(dir), true
		s.fields.limits = &c.p.cfg.Limits
		s.fields.table = usualTable
	}
	if upgrade != nil && upgrade.Request != nil {
		p.client, p.known = upgrade.Request.Direction, true
		p.upgraded()
	}
	return p
}

func (p *h2) data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	x := piece{b, off, o}
	p.sides[dir].run(&x)
	return len(b) - len(x.b)
}

func (s *h2side) run(x *piece) {
	for len(x.b) > 0 && s.p.c.proto == protocol(s.p) {
		switch s.state {
		case h2AtPreface:
			s.atPreface(x)
		case h2AtFrame:
			s.atFrame(x)
		case h2InFrame:
			s.inFrame(x)
		case h2InData:
			s.inData(x)
		case h2Passing:
			s.use(x, min(s.left, len(x.b)))
			s.pass()
		case h2Seeking:
			s.seek(x)
		}
	}
}

// use takes n bytes as part of the frame.
func (s *h2side) use(x *piece, n int) []byte {
	b := x.take(n)
	s.p.c.consumed(n)
	s.left -= n
	s.end = x.place()
	return b
}

// atPreface reads the client's preface. The other side is the server's.
func (s *h2side) atPreface(x *piece) {
	p := s.p
	if p.known && p.client != s.dir {
		s.state = h2AtFrame
		return
	}
	s.begin(x)
	n := min(len(x.b), len(preface)-len(s.buf))
	s.buf = append(s.buf, x.take(n)...)
	switch {
	case string(s.buf) == preface:
		p.client, p.known = s.dir, true
		p.c.consumed(len(preface))
		s.reset(h2AtFrame)
	case string(s.buf) != preface[:len(s.buf)]:
		s.replay(h2AtFrame)
	}
}

// begin notes where what is collected starts.
func (s *h2side) begin(x *piece) {
	if len(s.buf) == 0 {
		s.start = *x
		s.start.b = nil
	}
}

// reset forgets what is collected, and goes on to another state.
func (s *h2side) reset(next h2state) { s.buf, s.state = s.buf[:0], next }

// replay parses what was collected once more, in another state.
func (s *h2side) replay(next h2state) {
	x := s.start
	x.b = bytes.Clone(s.buf)
	s.reset(next)
	s.run(&x)
}

// atFrame reads a frame header (RFC 9113 §4.1).
func (s *h2side) atFrame(x *piece) {
	s.begin(x)
	n := min(len(x.b), frameHead-len(s.buf))
	s.buf = append(s.buf, x.take(n)...)
	if s.first && s.refuses() || len(s.buf) < frameHead {
		return
	}
	s.head = frameHeader(s.buf)
	if int(s.head.Length) > s.p.maxFrame {
		s.p.c.p.stats.BadFrames++
		s.loseFrames()
		s.marks, s.sought = append(s.marks[:0], mark{0, s.start.o}), 0
		s.state = h2Seeking
		return
	}
	s.first = false
	s.p.c.consumed(frameHead)
	s.end = x.place()
	s.left = int(s.head.Length)
	s.open()
}

// refuses hands the connection back when the server answers the preface in HTTP/1.
func (s *h2side) refuses() bool {
	const start = "HTTP/"
	if !s.p.known || s.p.client == s.dir || s.p.upgrade != nil || !bytes.HasPrefix(s.buf, []byte(start)) {
		return false
	}
	x, c := s.start, s.p.c
	x.b = bytes.Clone(s.buf)
	if other := &s.p.sides[s.dir.Reverse()]; other.state == h2AtFrame {
		c.skipped(other.dir, other.start.off, len(other.buf), &other.start.o)
	}
	s.p.giveUp()
	c.switchTo(newHTTP1(c, false))
	c.proto.data(s.dir, x.off, x.b, x.o) // it takes the start of a line
	return true
}

func frameHeader(b []byte) http2.FrameHeader {
	return http2.FrameHeader{
		Length: uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]), Type: http2.FrameType(b[3]), Flags: http2.Flags(b[4]),
		StreamID: (uint32(b[5])<<24 | uint32(b[6])<<16 | uint32(b[7])<<8 | uint32(b[8])) &^ (1 << 31),
	}
}

// open goes on to the payload of a frame.
func (s *h2side) open() {
	if s.block.open && s.head.Type != http2.FrameContinuation { // RFC 9113 §6.10
		s.p.c.p.stats.BadFrames++
		s.breakBlock(FlagTruncated)
	}
	switch s.head.Type {
	case http2.FrameData:
		s.openData()
		return
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation, http2.FrameRSTStream, http2.FrameSettings:
		if s.left <= s.p.c.p.cfg.Limits.Frame {
			if s.state = h2InFrame; s.left == 0 {
				s.whole()
			}
			return
		}
		s.p.c.p.stats.LimitFrame++
		s.lostFrame(FlagLimit)
	default: // of no interest
	}
	s.buf = s.buf[:0]
	s.state = h2Passing
	s.pass()
}

// pass goes on when all of a frame is there.
func (s *h2side) pass() {
	if s.left == 0 {
		s.reset(h2AtFrame)
	}
}

// inFrame collects a frame.
func (s *h2side) inFrame(x *piece) {
	s.buf = append(s.buf, s.use(x, min(s.left, len(x.b)))...)
	if s.left == 0 {
		s.whole()
	}
}

// whole looks at a frame that was collected.
func (s *h2side) whole() {
	p := s.p
	if p.framer == nil {
		p.framer = http2.NewFramer(nil, &p.frame)
		p.framer.AllowIllegalReads = true // the order of frames is for open
		p.framer.SetReuseFrames()
	}
	p.frame.Reset(s.buf)
	f, err := p.framer.ReadFrame()
	if err != nil {
		p.c.p.stats.BadFrames++
		s.lostFrame(FlagBadFrame)
		s.reset(h2AtFrame)
		return
	}
	switch f := f.(type) {
	case *http2.HeadersFrame:
		s.openBlock(f.StreamID, f.StreamEnded(), 0)
		s.addBlock(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.PushPromiseFrame:
		s.openBlock(f.StreamID, false, f.PromiseID)
		s.addBlock(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		if s.block.open && s.block.stream == f.StreamID {
			s.addBlock(f.HeaderBlockFragment(), f.HeadersEnded())
		} else {
			p.c.p.stats.BadFrames++
			s.breakBlock(FlagTruncated)
			s.fields.lose()
		}
	case *http2.RSTStreamFrame:
		if st := p.streams[f.StreamID]; st != nil {
			st.reset()
		}
	case *http2.SettingsFrame:
		s.settings(f)
	}
	s.reset(h2AtFrame)
}

// settings takes what the receiver allows the other side to send.
func (s *h2side) settings(f *http2.SettingsFrame) {
	other := &s.p.sides[s.dir.Reverse()]
	if v, ok := f.Value(http2.SettingMaxFrameSize); ok && v < 1<<24 {
		s.p.maxFrame = max(s.p.maxFrame, int(v))
	}
	if v, ok := f.Value(http2.SettingHeaderTableSize); ok {
		other.fields.table = max(other.fields.table, int(min(v, uint32(s.p.c.p.cfg.Limits.HeaderTable))))
	}
}

// end ends what is open of a side.
func (p *h2) end(dir packet.Direction) {
	s := &p.sides[dir]
	for s.state == h2Seeking && len(s.buf) >= frameHead {
		s.find(true)
	}
	switch s.state {
	case h2AtPreface, h2AtFrame, h2Seeking:
		p.c.skipped(dir, s.start.off, len(s.buf), &s.start.o)
	case h2InFrame:
		s.lostFrame(FlagTruncated)
	default:
	}
	if s.block.open {
		s.breakBlock(FlagTruncated)
	}
	s.reset(h2Passing)
	p.ended[dir] = true
	for _, id := range slices.Clone(p.opened) {
		if st := p.streams[id]; st != nil {
			st.cutOff(dir, FlagTruncated)
		}
	}
	if p.ended[dir.Reverse()] {
		p.giveUp()
	}
}

// giveUp ends what is still open of streams.
func (p *h2) giveUp() {
	for _, id := range p.opened {
		if st := p.streams[id]; st != nil {
			st.close(FlagTruncated)
		}
	}
	p.opened = nil
}
