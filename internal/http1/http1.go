// Package http1 is the lexer of HTTP/1: start lines and header lines, as RFC 9112 has them and as they are sent.
//
// It works on bytes and gives places in them, so that a caller decides what is copied. Nothing is refused that can be
// read: what a line does not conform to is in its faults. No function allocates.
package http1

import (
	"bytes"
	"encoding/binary"
)

// Span is a part of a line: the bytes from Off up to End.
type Span struct{ Off, End int }

// Of returns the span of b.
func (s Span) Of(b []byte) []byte { return b[s.Off:s.End] }

// Len returns the number of bytes.
func (s Span) Len() int { return s.End - s.Off }

// Faults are what a line does not conform to: a set of bits.
type Faults uint16

// The faults.
const (
	BadStart    Faults = 1 << iota // the start line has too few or too many parts, or blanks between them
	BadMethod                      // the method holds other than token characters
	BadTarget                      // the target is empty, or holds blanks or control bytes
	BadEscape                      // a percent sign in the target that starts no escape
	BadVersion                     // the version is not of the form HTTP/d.d
	BadStatus                      // the status is not three digits
	BareCR                         // a CR within the line
	Control                        // control bytes
	NoColon                        // no colon
	BadName                        // an empty name, or one with other than token characters
	BlankBefore                    // blanks between name and colon
	Fold                           // the line continues the one before
)

// Has reports whether all of want are set.
func (f Faults) Has(want Faults) bool { return f&want == want }

// Class says what a first line is.
type Class uint8

// The classes of first lines.
const (
	NotStart Class = iota // no start line
	Request
	Response
)

// Start is a start line in parts.
type Start struct {
	Class Class
	// Method and Target are those of a request, Reason is that of a response.
	Method, Target, Reason Span
	// Version may be empty in a request.
	Version Span
	// Status is 0 if it is no number.
	Status int
	// Sure says that the line can hardly be anything else.
	Sure bool
	// Lookalike says that the version names another protocol: ICY or RTSP.
	Lookalike bool
	Faults    Faults
}

// tokens has a t for every token character (RFC 9110 §5.6.2).
const tokens = "--------------------------------" + // control bytes
	"-t-ttttt--tt-tt-tttttttttt------" + //  !"#$%&'()*+,-./0123456789:;<=>?
	"-tttttttttttttttttttttttttt---tt" + // @A-Z[\]^_
	"ttttttttttttttttttttttttttt-t-t-" + // `a-z{|}~
	"--------------------------------" + "--------------------------------" + "--------------------------------" + "--------------------------------"

func isToken(c byte) bool { return tokens[c] == 't' }

func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

func isHex(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// IsToken reports whether b is not empty and holds token characters only.
func IsToken(b []byte) bool {
	for _, c := range b {
		if !isToken(c) {
			return false
		}
	}
	return len(b) > 0
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// TrimEOL returns a line without its LF or CRLF, and whether it ended with LF and without CR.
func TrimEOL(line []byte) (body []byte, bareLF bool) {
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		n--
		if n > 0 && line[n-1] == '\r' {
			return line[:n-1], false
		}
		return line[:n], true
	}
	return line, false
}

// isVersion reports whether b is name/d.d.
func isVersion(b []byte, name string) bool {
	n := len(name)
	return len(b) == n+4 && string(b[:n]) == name && b[n] == '/' && isDigit(b[n+1]) && b[n+2] == '.' && isDigit(b[n+3])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// ParseStart takes a first line apart, which is given without its end.
func ParseStart(line []byte) Start {
	if s := parseStatus(line); s.Class != NotStart {
		return s
	}
	return parseRequest(line)
}

// parseStatus takes a status line apart (RFC 9112 §4).
func parseStatus(line []byte) Start {
	s := Start{Class: Response}
	switch {
	case bytes.HasPrefix(line, []byte("HTTP/")):
	case bytes.HasPrefix(line, []byte("RTSP/")):
		s.Lookalike = true
	case bytes.HasPrefix(line, []byte("ICY ")):
		s.Lookalike = true
	default:
		return Start{}
	}
	n := 0
	for n < len(line) && !isBlank(line[n]) {
		n++
	}
	s.Version = Span{0, n}
	good := isVersion(line[:n], "HTTP") || isVersion(line[:n], "RTSP") || string(line[:n]) == "ICY"
	if !good {
		s.Faults |= BadVersion
	}
	at := skipBlanks(line, n)
	if at-n > 1 || at == n || line[n] == '\t' {
		s.Faults |= BadStart
	}
	end := at
	for end < len(line) && isDigit(line[end]) {
		if s.Status < 1e6 {
			s.Status = s.Status*10 + int(line[end]-'0')
		}
		end++
	}
	three := end-at == 3 && (end == len(line) || isBlank(line[end]))
	if !three {
		s.Faults |= BadStatus
	}
	s.Sure = good && three
	if end < len(line) && isBlank(line[end]) {
		end++
	}
	s.Reason = Span{end, len(line)}
	s.Faults |= lineFaults(s.Reason.Of(line))
	return s
}

// parseRequest takes a request line apart (RFC 9112 §3). With blanks in the target, the target is all between the first
// and the last of them; a line of two words has no version.
func parseRequest(line []byte) Start {
	first := bytes.IndexAny(line, " \t")
	s := Start{Class: Request}
	if first == 0 {
		return Start{}
	}
	if first < 0 {
		first = len(line)
	}
	s.Method = Span{0, first}
	end := len(line)
	for end > first && isBlank(line[end-1]) {
		end--
		s.Faults |= BadStart
	}
	at := skipBlanks(line, first)
	if at > first+1 || first < len(line) && line[first] == '\t' {
		s.Faults |= BadStart
	}
	at = min(at, end)
	last := end
	for last > at && !isBlank(line[last-1]) {
		last--
	}
	word := line[last:end]
	switch { // is the last word a version?
	case last == at:
		s.Target, s.Version = Span{at, end}, Span{end, end}
	case isVersion(word, "HTTP"):
		s.Sure = true
		s.Target, s.Version = Span{at, last - 1}, Span{last, end}
	case isVersion(word, "RTSP"):
		s.Sure, s.Lookalike = true, true
		s.Target, s.Version = Span{at, last - 1}, Span{last, end}
	case bytes.HasPrefix(word, []byte("HTTP")):
		s.Faults |= BadVersion
		s.Target, s.Version = Span{at, last - 1}, Span{last, end}
	default:
		s.Target, s.Version = Span{at, end}, Span{end, end}
	}
	if s.Version.Len() > 0 && line[s.Version.Off-1] == '\t' {
		s.Faults |= BadStart
	}
	for s.Version.Len() > 0 && s.Target.Len() > 0 && isBlank(line[s.Target.End-1]) {
		s.Target.End--
		s.Faults |= BadStart
	}
	if !IsToken(s.Method.Of(line)) {
		s.Faults |= BadMethod
		s.Sure = false
	}
	s.Faults |= targetFaults(s.Target.Of(line))
	if s.Version.Len() > 0 || isOldForm(line, s) {
		return s
	}
	if bytes.LastIndex(line, []byte("HTTP/")) >= max(0, len(line)-12) { // what is missing is a blank
		s.Faults |= BadStart
		return s
	}
	return Start{}
}

// isOldForm reports whether a request line without version is that of HTTP/0.9, or of a method that its server knows. A
// method alone is BadTarget, and no more than a hint.
func isOldForm(line []byte, s Start) bool {
	target := s.Target.Of(line)
	if !IsMethod(s.Method.Of(line)) || bytes.ContainsAny(target, " \t") {
		return false
	}
	return len(target) == 0 || target[0] == '/' || target[0] == '*' || bytes.HasPrefix(target, []byte("http://"))
}

// IsMethod reports whether b is a method of RFC 9110 or RFC 5789.
func IsMethod(b []byte) bool {
	switch string(b) {
	case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH":
		return true
	}
	return false
}

func targetFaults(b []byte) (f Faults) {
	if len(b) == 0 {
		return BadTarget
	}
	for i, c := range b {
		switch {
		case c == '%':
			if i+2 >= len(b) || !isHex(b[i+1]) || !isHex(b[i+2]) {
				f |= BadEscape
			}
		case c <= ' ', c == 0x7f:
			f |= BadTarget
			if c == '\r' {
				f |= BareCR
			}
		}
	}
	return f
}

func lineFaults(b []byte) (f Faults) {
	for len(b) >= 8 && !suspicious(binary.LittleEndian.Uint64(b)) {
		b = b[8:]
	}
	for _, c := range b {
		if isControl(c) {
			f |= Control
			if c == '\r' {
				f |= BareCR
			}
		}
	}
	return f
}

// suspicious reports whether one of eight bytes may be a control byte. It errs only on the side of yes.
func suspicious(x uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	del := x ^ 0x7f*ones
	return (x-' '*ones)&^x&tops != 0 || (del-ones)&^del&tops != 0
}

func skipBlanks(b []byte, at int) int {
	for at < len(b) && isBlank(b[at]) {
		at++
	}
	return at
}

// Field is a header line in parts. The value of a line without a colon is the whole line.
type Field struct {
	Name, Value Span
	Faults      Faults
}

// ParseField takes a header line apart, which is given without its end (RFC 9112 §5).
func ParseField(line []byte) Field {
	if len(line) > 0 && isBlank(line[0]) {
		f := Field{Value: trim(line, 0, len(line)), Faults: Fold}
		f.Faults |= lineFaults(f.Value.Of(line))
		return f
	}
	colon := 0
	for colon < len(line) && isToken(line[colon]) {
		colon++
	}
	var f Field
	if colon == len(line) || line[colon] != ':' || colon == 0 {
		if colon = bytes.IndexByte(line, ':'); colon < 0 {
			return Field{Value: Span{0, len(line)}, Faults: NoColon | lineFaults(line)}
		}
		end := colon
		for end > 0 && isBlank(line[end-1]) {
			end--
			f.Faults |= BlankBefore
		}
		f.Name = Span{0, end}
		if !IsToken(line[:end]) {
			f.Faults |= BadName | lineFaults(line[:end])
		}
	} else {
		f.Name = Span{0, colon}
	}
	f.Value = trim(line, colon+1, len(line))
	f.Faults |= lineFaults(f.Value.Of(line))
	return f
}

// trim returns the span from off to end without the blanks around it.
func trim(b []byte, off, end int) Span {
	off = skipBlanks(b[:end], off)
	for end > off && isBlank(b[end-1]) {
		end--
	}
	return Span{off, end}
}

// LooksLikeField reports whether a line, given without its end, is a plain header line: a token, a colon, a value without
// control bytes.
func LooksLikeField(line []byte) bool {
	f := ParseField(line)
	return f.Faults == 0
}

// ParseChunk reads the size from a chunk's size line, which is given with its end (RFC 9112 §7.1). Not ok is what has none
// that makes sense.
func ParseChunk(line []byte) (size uint64, f Faults, ok bool) {
	line, bare := TrimEOL(line)
	if bare {
		f |= BadStart
	}
	f |= lineFaults(line)
	at := skipBlanks(line, 0)
	if at > 0 {
		f |= BadStart
	}
	if rest := line[at:]; len(rest) > 1 && rest[0] == '0' && rest[1]|0x20 == 'x' {
		at += 2
		f |= BadStart
	}
	end := at
	for ; end < len(line) && isHex(line[end]); end++ {
		if size >= 1<<58 {
			return 0, f | BadStart, false
		}
		size = size<<4 | uint64(hexValue(line[end]))
	}
	if end == at {
		return 0, f | BadStart, false
	}
	switch next := skipBlanks(line, end); {
	case next == len(line):
		if next > end {
			f |= BadStart
		}
		return size, f, true
	case line[next] == ';':
		return size, f, true
	}
	return 0, f | BadStart, false
}

func hexValue(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
