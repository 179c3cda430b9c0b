package httpx

import (
	"bytes"
	"iter"
	"net/url"
	"strconv"
	"strings"
)

// Part is a part of a multipart body (RFC 2046 §5.1), as in a form with files or in several ranges.
type Part struct {
	// Header holds its fields, as sent.
	Header []Field
	// Body is what it holds; retained: it is a part of the message's body.
	Body []byte
	// Offset is where its body starts in that of the message, decoded.
	Offset int
	// Flags are those of its header, and FlagTruncated for a part that no delimiter ends.
	Flags Flags
}

// Get returns the value of the part's first field with that name, in whatever case, or "".
func (p *Part) Get(name string) string {
	v, _ := lookup(p.Header, name)
	return v
}

// Name returns the name of the form's field that the part is the value of.
func (p *Part) Name() string { return parameter(p.Get("content-disposition"), "name") }

// Filename returns the name of the file that the part is, as sent: it may be any path.
func (p *Part) Filename() string { return filename(p.Get("content-disposition")) }

// Range returns which part of a whole the part is.
func (p *Part) Range() (ContentRange, bool) { return parseRange(p.Get("content-range")) }

// Filename returns the name that a message proposes for its body, as sent: it may be any path.
func (m *Message) Filename() string { return filename(m.Get("content-disposition")) }

// Range returns which part of a whole the body is, as a response to a request for a range says.
func (m *Message) Range() (ContentRange, bool) { return parseRange(m.Get("content-range")) }

// Parts returns the parts of the message's body, if that was collected and is a multipart one. What lies in front of the
// first delimiter and behind the last is left out.
func (m *Message) Parts() iter.Seq[Part] { return Parts(m.Body, m.Get("content-type")) }

// Parts returns the parts of a body with that Content-Type.
func Parts(body []byte, contentType string) iter.Seq[Part] {
	return func(yield func(Part) bool) {
		kind, _, _ := strings.Cut(strings.TrimSpace(contentType), "/")
		boundary := parameter(contentType, "boundary")
		if !strings.EqualFold(kind, "multipart") || boundary == "" {
			return
		}
		from := -1
		for d := range delimiters(body, boundary) {
			if from >= 0 && !yield(newPart(body, from, d.start)) {
				return
			}
			if from = d.end; d.last {
				return
			}
		}
		if from >= 0 {
			p := newPart(body, from, len(body))
			p.Flags |= FlagTruncated
			yield(p)
		}
	}
}

// delimiter is a boundary line in a multipart body, with the line end in front of it.
type delimiter struct {
	start, end int
	last       bool
}

// delimiters returns the boundary lines of a body.
func delimiters(body []byte, boundary string) iter.Seq[delimiter] {
	mark := []byte("--" + boundary)
	return func(yield func(delimiter) bool) {
		for at := 0; ; {
			i := bytes.Index(body[at:], mark)
			if i < 0 {
				return
			}
			i += at
			at = i + len(mark)
			if i > 0 && body[i-1] != '\n' {
				continue
			}
			d := delimiter{start: i}
			rest := body[at:]
			rest, d.last = bytes.CutPrefix(rest, []byte("--"))
			line := rest
			if n := bytes.IndexByte(rest, '\n'); n >= 0 {
				line = rest[:n]
				d.end = len(body) - len(rest) + n + 1
			} else {
				d.end = len(body)
			}
			if len(bytes.Trim(line, " \t\r")) > 0 && !d.last { // a longer boundary, or text
				continue
			}
			if d.start > 0 {
				d.start--
				if d.start > 0 && body[d.start-1] == '\r' {
					d.start--
				}
			}
			if !yield(d) {
				return
			}
			at = d.end
		}
	}
}

// newPart returns the part that lies between two delimiters.
func newPart(body []byte, from, to int) Part {
	to = max(from, to)
	b := body[from:to]
	head := 0
	for head < len(b) {
		n := bytes.IndexByte(b[head:], '\n') + 1
		if n == 0 {
			n = len(b) - head
		}
		line := b[head : head+n]
		head += n
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
	}
	p := Part{Body: b[head:], Offset: from + head}
	p.Header = parseFields(nil, b[:head], string(b[:head]), &p.Flags)
	return p
}

// parameter returns a parameter of a header field's value (RFC 9110 §5.6.6), or "".
func parameter(value, name string) string {
	for {
		i := strings.IndexByte(value, ';')
		if i < 0 {
			return ""
		}
		value = strings.TrimLeft(value[i+1:], " \t")
		key, rest, ok := strings.Cut(value, "=")
		if !ok {
			return ""
		}
		if strings.IndexByte(key, ';') >= 0 {
			continue
		}
		found := strings.EqualFold(strings.TrimRight(key, " \t"), name)
		rest = strings.TrimLeft(rest, " \t")
		if !strings.HasPrefix(rest, `"`) {
			if word, _, _ := strings.Cut(rest, ";"); found {
				return strings.TrimRight(word, " \t")
			}
			value = rest
			continue
		}
		text, n := unquote(rest)
		if found {
			return text
		}
		value = rest[n:]
	}
}

// unquote returns the text of a quoted string at the start of s, and how long that is.
func unquote(s string) (text string, n int) {
	var b strings.Builder
	for n = 1; n < len(s); n++ {
		switch c := s[n]; {
		case c == '"':
			return b.String(), n + 1
		case c == '\\' && n+1 < len(s) && (s[n+1] == '"' || s[n+1] == '\\'): // not in front of others: paths have them
			n++
			b.WriteByte(s[n])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), n
}

// filename returns the file name in a Content-Disposition: the extended one (RFC 8187) if there is one.
func filename(value string) string {
	if v := parameter(value, "filename*"); v != "" {
		charset, rest, _ := strings.Cut(v, "'")
		_, coded, ok := strings.Cut(rest, "'")
		if name, err := url.PathUnescape(coded); ok && err == nil {
			if strings.EqualFold(charset, "iso-8859-1") {
				return latin1(name)
			}
			return name
		}
	}
	return parameter(value, "filename")
}

func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// ContentRange says which bytes of a whole something is (RFC 9110 §14.4). Each number is -1 if it is not said.
type ContentRange struct {
	// First and Last are the offsets of the first and of the last byte.
	First, Last int64
	// Total is the length of the whole.
	Total int64
}

func parseRange(value string) (r ContentRange, ok bool) {
	r = ContentRange{-1, -1, -1}
	unit, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	if !strings.EqualFold(unit, "bytes") {
		return r, false
	}
	span, total, ok := strings.Cut(strings.TrimSpace(rest), "/")
	if !ok {
		return r, false
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil || n < 0 {
			return -1
		}
		return n
	}
	r.Total = number(total)
	if strings.TrimSpace(span) == "*" {
		return r, r.Total >= 0
	}
	first, last, ok := strings.Cut(span, "-")
	r.First, r.Last = number(first), number(last)
	return r, ok && r.First >= 0 && r.Last >= r.First
}
