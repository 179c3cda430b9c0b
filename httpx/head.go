package httpx

import (
	"bytes"
	"strings"

	"github.com/tcpfollow/tcpfollow/internal/http1"
)

// message makes the message whose start line is known, and which starts at s.start.
func (s *side) message(st *http1.Start) {
	p := s.p
	kind := Response
	if st.Class == http1.Request {
		kind = Request
		s.m, s.e = p.c.newRequest(s.dir, s.start.off, &s.start.o)
	} else {
		s.m = p.c.newMessage(kind, s.dir, s.start.off, &s.start.o)
	}
	if p.tunneled {
		s.m.Flags |= FlagTunnel
	}
	if s.skipped {
		s.m.Flags |= FlagSkipped
		s.skipped = false
	}
	s.known(kind)
}

// known notes that the side sends messages of a kind, and that the connection is HTTP.
func (s *side) known(kind Kind) {
	p := s.p
	p.found = true
	if s.kind != unknown {
		return
	}
	other := &p.sides[s.dir.Reverse()]
	if s.kind, other.kind = requests, responses; kind == Response {
		s.kind, other.kind = responses, requests
	}
	if other.state == idle {
		other.state = seeking
	}
}

// flagsOf returns the flags for the faults of a line.
func flagsOf(f http1.Faults) (flags Flags) {
	if f == 0 {
		return 0
	}
	for _, x := range [...]struct {
		fault http1.Faults
		flag  Flags
	}{
		{http1.BadStart, FlagBadStart},
		{http1.BadMethod, FlagBadMethod},
		{http1.BadTarget, FlagBadTarget},
		{http1.BadEscape, FlagBadEscape},
		{http1.BadVersion, FlagBadVersion},
		{http1.BadStatus, FlagBadStatus},
		{http1.BareCR, FlagBareCR},
		{http1.Control, FlagControl},
		{http1.NoColon, FlagNoColon},
		{http1.BadName, FlagBadName},
		{http1.BlankBefore, FlagBlank},
		{http1.Fold, FlagFold},
	} {
		if f.Has(x.fault) {
			flags |= x.flag
		}
	}
	return flags
}

// scan takes the lines of a header apart, up to the empty one, into p.spans, whose offsets are those in b. It is not ok if the
// header is not whole, or needs more care.
func (p *Parser) scan(b []byte) (n int, flags Flags, ok bool) {
	p.spans = p.spans[:0]
	for len(p.spans) < p.cfg.Limits.Fields {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return 0, 0, false
		}
		line := b[n : n+i]
		if i > 0 && line[i-1] == '\r' {
			line = line[:i-1]
		} else {
			flags |= FlagBareLF
		}
		if len(line) == 0 {
			return n + i + 1, flags, true
		}
		f := http1.ParseField(line)
		if f.Faults != 0 {
			if flags |= flagsOf(f.Faults); f.Faults.Has(http1.Fold) {
				return 0, 0, false
			}
		}
		p.spans = append(p.spans, [2]http1.Span{{Off: n + f.Name.Off, End: n + f.Name.End}, {Off: n + f.Value.Off, End: n + f.Value.End}})
		n += i + 1
	}
	return 0, 0, false
}

// scanned returns the fields that scan found; text is what was scanned.
func (p *Parser) scanned(text string) []Field {
	if len(p.spans) == 0 {
		return nil
	}
	list := make([]Field, len(p.spans))
	for i, x := range p.spans {
		list[i] = Field{text[x[0].Off:x[0].End], text[x[1].Off:x[1].End]}
	}
	return list
}

// head parses the head of s.m, whose start line st was made from its first line, and goes on to the body. If it was
// scanned, its fields are known.
func (s *side) head(b []byte, st *http1.Start, scanned bool) {
	m, p := s.m, s.p
	m.Head = string(b)
	first := bytes.IndexByte(b, '\n') + 1
	if first == 0 {
		first = len(b)
	}
	line := m.Head[:first]
	m.Flags |= flagsOf(st.Faults)
	if _, bare := http1.TrimEOL(b[:first]); bare {
		m.Flags |= FlagBareLF
	}
	if s.collect.cut {
		m.Flags |= FlagLimit
		p.c.p.stats.LimitHeader++
	}
	if st.Lookalike {
		m.Flags |= FlagLookalike
	}
	m.Version = line[st.Version.Off:st.Version.End]
	if scanned {
		m.Header = p.c.p.scanned(m.Head[first:])
	} else {
		m.Header = p.c.fields(b[first:], m.Head[first:], &m.Flags)
	}
	if m.Kind == Response {
		m.Status, m.Reason = st.Status, line[st.Reason.Off:st.Reason.End]
		p.answer(s, m)
	} else {
		m.Method, m.Target = line[st.Method.Off:st.Method.End], line[st.Target.Off:st.Target.End]
		if m.Version == "" && len(m.Header) == 0 && !m.Flags.Has(FlagGap) {
			m.Flags |= FlagHTTP09
		} else if m.Version == "" && !m.Flags.Has(FlagGap) {
			m.Flags |= FlagBadStart
		}
		p.ask(s, m)
	}
	s.body()
}

// fields takes header lines apart, which are there as bytes and as text. The strings are parts of the text, but where
// lines are continued.
func (c *Conn) fields(b []byte, text string, flags *Flags) []Field {
	c.p.fields = parseFields(c.p.fields[:0], b, text, flags)
	if len(c.p.fields) == 0 {
		return nil
	}
	return append(make([]Field, 0, len(c.p.fields)), c.p.fields...)
}

// parseFields adds the fields to list.
func parseFields(list []Field, b []byte, text string, flags *Flags) []Field {
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			n = len(b)
		}
		line, bare := http1.TrimEOL(b[:n])
		if bare {
			*flags |= FlagBareLF
		}
		if len(line) > 0 {
			f := http1.ParseField(line)
			if b[n-1] == '\n' { // it is whole
				*flags |= flagsOf(f.Faults)
			}
			if f.Faults.Has(http1.Fold) && len(list) > 0 {
				n = unfold(&list[len(list)-1], b, flags)
			} else {
				list = append(list, Field{text[f.Name.Off:f.Name.End], text[f.Value.Off:f.Value.End]})
			}
		}
		b, text = b[n:], text[n:]
	}
	return list
}

// unfold adds the lines at the start of b that continue a field (RFC 9112 §5.2), and returns their length.
func unfold(f *Field, b []byte, flags *Flags) (n int) {
	var value strings.Builder
	value.WriteString(f.Value)
	for n < len(b) && (b[n] == ' ' || b[n] == '\t') {
		end := bytes.IndexByte(b[n:], '\n') + 1
		if end == 0 {
			end = len(b) - n
		}
		line, bare := http1.TrimEOL(b[n : n+end])
		if bare {
			*flags |= FlagBareLF
		}
		more := http1.ParseField(line)
		*flags |= flagsOf(more.Faults)
		value.WriteByte(' ')
		value.Write(more.Value.Of(line))
		n += end
	}
	f.Value = value.String()
	return n
}
