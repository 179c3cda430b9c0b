package httpx

import (
	"bytes"

	"golang.org/x/net/http2"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// gap takes the place of n bytes that are missing.
func (p *h2) gap(dir packet.Direction, _, n uint64) {
	s := &p.sides[dir]
	within := min(n, uint64(max(0, s.left)))
	switch s.state {
	case h2AtPreface, h2AtFrame:
		p.c.skipped(dir, s.start.off, len(s.buf), &s.start.o)
		s.buf = s.buf[:0]
	case h2Seeking:
		s.passOver(len(s.buf))
		return
	case h2InData:
		s.hole(int(within))
		s.left -= int(within)
		s.padding = min(s.padding, s.left)
		s.dataDone()
	case h2InFrame:
		s.torn()
		s.buf, s.state = s.buf[:0], h2Passing
		fallthrough
	case h2Passing:
		s.left -= int(within)
		s.pass()
	}
	if n > within {
		s.loseFrames()
		s.state = h2Seeking
	}
}

// hole takes the place of n bytes of DATA.
func (s *h2side) hole(n int) {
	if s.padding < 0 { // its length is missing
		s.padding = 0
	}
	n = min(n, s.left-s.padding)
	st, m := s.stream, s.reading()
	if n == 0 || m == nil {
		return
	}
	m.WireLength += uint64(n)
	off := st.got[s.dir]
	st.got[s.dir] += uint64(n)
	if st.inner != nil {
		st.inner.Gap(s.dir, off, uint64(n))
		return
	}
	s.p.c.hole(m, uint64(n))
}

// torn is called when bytes of a frame are missing that is looked at only when it is whole. What came of a header block
// before them is good.
func (s *h2side) torn() {
	b := s.buf[frameHead:]
	if h := &s.head; h.Type == http2.FrameHeaders && len(b) > 0 {
		skip := 0
		if h.Flags.Has(http2.FlagHeadersPadded) {
			skip++
		}
		if h.Flags.Has(http2.FlagHeadersPriority) {
			skip += 5
		}
		s.openBlock(h.StreamID, h.Flags.Has(http2.FlagHeadersEndStream), 0)
		s.addBlock(b[min(skip, len(b)):], false)
		s.badFragment(FlagGap, h.Flags.Has(http2.FlagHeadersEndHeaders))
		return
	}
	s.lostFrame(FlagGap)
}

// loseFrames is called when it is not known where the next frame starts: any stream may have gone on, and the fields of
// any header block may have entered the table.
func (s *h2side) loseFrames() {
	s.holed = true
	s.breakBlock(FlagGap)
	s.fields.lose()
	for _, id := range s.p.opened {
		st := s.p.streams[id]
		if st == nil {
			continue
		}
		if m := st.open[s.dir]; m != nil && st.inner == nil {
			s.p.c.hole(m, 0)
		}
	}
}

// seek looks for the next frame.
func (s *h2side) seek(x *piece) {
	if s.begin(x); len(s.buf) == 0 {
		s.marks, s.sought = s.marks[:0], 0
	}
	s.marks = append(s.marks, mark{len(s.buf), x.o})
	s.buf = append(s.buf, x.take(len(x.b))...)
	s.find(false)
}

// find looks through what is collected: a frame header that makes sense, and another one behind its frame. With final,
// the end of the direction is as good as that.
func (s *h2side) find(final bool) {
	for ; s.sought+frameHead <= len(s.buf); s.sought++ {
		b := s.buf[s.sought:]
		n, ok := s.plausible(b)
		switch {
		case !ok:
			continue
		case len(b) >= n+frameHead:
			if _, ok := s.plausible(b[n:]); !ok {
				continue
			}
		case !final:
			if s.sought > longestSeek {
				s.passOver(s.sought)
			}
			return
		case len(b) != n:
			continue
		}
		s.passOver(s.sought)
		s.found()
		return
	}
	s.passOver(s.sought)
}

// found goes on with the frame that what is collected starts with.
func (s *h2side) found() {
	b, off, marks := bytes.Clone(s.buf), s.start.off, s.marks
	s.marks = nil
	s.reset(h2AtFrame)
	for i, m := range marks {
		end := len(b)
		if i+1 < len(marks) {
			end = marks[i+1].at
		}
		x := piece{b[m.at:end], off + uint64(m.at), m.o}
		s.run(&x)
	}
}

// passOver skips the first n of the collected bytes.
func (s *h2side) passOver(n int) {
	if n == 0 {
		return
	}
	s.p.c.skipped(s.dir, s.start.off, n, &s.start.o)
	s.buf = s.buf[:copy(s.buf, s.buf[n:])]
	s.sought = max(0, s.sought-n)
	k := 0 // the mark of the byte that is first now
	for k+1 < len(s.marks) && s.marks[k+1].at <= n {
		k++
	}
	s.marks = s.marks[:copy(s.marks, s.marks[k:])]
	for i := range s.marks {
		m := &s.marks[i]
		if m.at -= n; m.at < 0 {
			m.o.Seq += uint32(-m.at)
			m.at = 0
		}
	}
	s.start.off += uint64(n)
	s.start.o = reassemble.Origin{}
	if len(s.marks) > 0 {
		s.start.o = s.marks[0].o
	}
}

// plausible reports whether a frame can start with the header b, and how long it is with the header.
func (s *h2side) plausible(b []byte) (n int, ok bool) {
	h := frameHeader(b)
	size := int(h.Length)
	if size > min(s.p.maxFrame, longestSeek) || b[5]&0x80 != 0 {
		return 0, false
	}
	var flags http2.Flags
	stream := h.StreamID != 0
	switch h.Type {
	case http2.FrameData:
		flags, ok = http2.FlagDataEndStream|http2.FlagDataPadded, stream
	case http2.FrameHeaders:
		flags = http2.FlagHeadersEndStream | http2.FlagHeadersEndHeaders | http2.FlagHeadersPadded | http2.FlagHeadersPriority
		ok = stream && size > 0
	case http2.FramePriority:
		ok = stream && size == 5
	case http2.FrameRSTStream:
		ok = stream && size == 4
	case http2.FrameSettings:
		flags, ok = http2.FlagSettingsAck, !stream && size%6 == 0 && size < 200 && (size == 0 || h.Flags == 0)
	case http2.FramePushPromise:
		flags, ok = http2.FlagPushPromiseEndHeaders|http2.FlagPushPromisePadded, stream && size > 4
	case http2.FramePing:
		flags, ok = http2.FlagPingAck, !stream && size == 8
	case http2.FrameGoAway:
		ok = !stream && size >= 8
	case http2.FrameWindowUpdate:
		ok = size == 4
	case http2.FrameContinuation:
		flags, ok = http2.FlagContinuationEndHeaders, stream
	default: // frames of extensions are rare
	}
	const near = 1 << 12 // a stream that was not seen is not far from those that were
	return frameHead + size, ok && h.Flags&^flags == 0 && (!stream || h.StreamID <= s.p.top+near)
}
