package httpx

import (
	"math"
	"strings"
)

// named reports whether a field has a name, in whatever case.
func (f *Field) named(name string) bool {
	return len(f.Name) == len(name) && strings.EqualFold(f.Name, name)
}

// body finds out how the body of s.m ends (RFC 9112 §6), announces the message, and goes on to its body.
func (s *side) body() {
	m, c := s.m, s.p.c
	var x framing
	x.length = -1
	hosts := 0
	for i := range m.Header {
		f := &m.Header[i]
		switch len(f.Name) {
		case len("host"):
			if f.named("host") {
				hosts++
			}
		case len("content-length"):
			if f.named("content-length") {
				x.contentLength(m, f.Value)
			}
		case len("transfer-encoding"):
			if f.named("transfer-encoding") {
				x.transferEncoding(m, f.Value)
			}
		}
	}
	m.ContentLength = x.length
	if m.Kind == Request && s.state != inTorn && !m.Flags.Has(FlagGap) {
		m.checkHost(hosts)
	}
	switch {
	case s.state == inTorn:
		m.Flags |= FlagTruncated // where the head ends is not known
	case m.Kind == Response && m.isBodyless():
		if m.turns() {
			m.Flags |= FlagUpgrade
		}
		if m.Status != 304 && x.any() && (m.Exchange.Request == nil || m.Exchange.Request.Method != "HEAD") {
			m.Flags |= FlagForbidden
		}
	case x.coded:
		m.Framing = FramingClose
		if x.chunked {
			m.Framing = FramingChunked
		}
		if x.length >= 0 || x.bad {
			m.Flags |= FlagLengthChunked
		}
		if m.Version == "HTTP/1.0" {
			m.Flags |= FlagTransfer10
		}
	case x.length >= 0:
		m.Framing = FramingLength
	case m.Kind == Response && !strings.HasPrefix(m.Version, "RTSP/"):
		m.Framing = FramingClose
	}
	c.head(m)
	if m.Framing == FramingNone || m.Framing == FramingLength && m.ContentLength == 0 {
		s.finish()
		return
	}
	s.collect.reset()
	s.remain = uint64(max(m.ContentLength, 0))
	if s.state = m.Framing.state(); m.Kind == Response && m.Exchange.Request == nil {
		s.start = piece{off: m.End.Offset} // of no origin, but none is needed
		s.state = inDoubt
	}
}

// state returns the state of a side at the start of a body.
func (f Framing) state() state {
	switch f {
	case FramingLength:
		return inLength
	case FramingChunked:
		return inSize
	default:
		return inClose
	}
}

// isBodyless reports whether a response has no body, whatever its header says (RFC 9112 §6.3).
func (m *Message) isBodyless() bool {
	q := m.Exchange.Request
	return m.Status/100 == 1 || m.Status == 204 || m.Status == 304 ||
		q != nil && (q.Method == "HEAD" || q.Method == "CONNECT" && m.Status/100 == 2)
}

// framing is what header fields say of the body.
type framing struct {
	length  int64 // -1 for none
	bad     bool  // there is a length that makes no sense
	coded   bool  // a transfer coding is named,
	chunked bool  // of which the last is chunked
}

func (x *framing) any() bool { return x.length > 0 || x.bad || x.coded }

// contentLength reads a Content-Length. Of several the first counts.
func (x *framing) contentLength(m *Message, value string) {
	for {
		one, rest, more := strings.Cut(value, ",")
		n, plain := parseLength(strings.Trim(one, " \t"))
		if !plain {
			m.Flags |= FlagBadLength
		}
		switch {
		case n < 0:
			x.bad = true
		case x.length < 0:
			x.length = n
		case n == x.length:
			m.Flags |= FlagLengthTwice
		default:
			m.Flags |= FlagLengths
		}
		if !more {
			return
		}
		value = rest
	}
}

// parseLength reads a decimal number, with a plus sign if need be. It returns -1 for what is none, or too large.
func parseLength(v string) (n int64, plain bool) {
	digits := strings.TrimPrefix(v, "+")
	for i := range len(digits) {
		d := int64(digits[i]) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return -1, false
		}
		n = n*10 + d
	}
	if digits == "" {
		return -1, false
	}
	return n, len(digits) == len(v)
}

// transferEncoding reads a Transfer-Encoding. The body is chunked if that comes last; identity, which older rules had, is
// nothing.
func (x *framing) transferEncoding(m *Message, value string) {
	for {
		one, rest, more := strings.Cut(value, ",")
		coding, param, _ := strings.Cut(strings.Trim(one, " \t"), ";")
		coding = strings.ToLower(strings.TrimRight(coding, " \t"))
		if x.chunked && coding != "" { // RFC 9112 §6.1: not twice, and last
			m.Flags |= FlagBadTransfer
		}
		switch coding {
		case "chunked":
			x.coded, x.chunked = true, true
			if param != "" {
				m.Flags |= FlagBadTransfer
			}
		case "identity", "":
			m.Flags |= FlagBadTransfer
		case "gzip", "x-gzip", "deflate", "compress", "x-compress":
			x.coded, x.chunked = true, false
			m.needs().transfer = append(m.needs().transfer, coding)
		default:
			x.coded, x.chunked = true, false
			m.Flags |= FlagBadTransfer
		}
		if !more {
			return
		}
		value = rest
	}
}

// checkHost compares what a request says of its host.
func (m *Message) checkHost(hosts int) {
	if hosts == 0 && m.Version == "HTTP/1.1" {
		m.Flags |= FlagNoHost
	}
	if hosts > 1 {
		m.Flags |= FlagHosts
	}
	if hosts == 0 || m.Target == "" || m.Target[0] == '/' {
		return
	}
	_, rest, absolute := strings.Cut(m.Target, "://")
	if !absolute {
		return
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if !strings.EqualFold(rest, m.Get("host")) {
		m.Flags |= FlagHostTarget
	}
}
