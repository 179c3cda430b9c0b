package http1

import "bytes"

// MaxFound is the longest start line that Find finds, and about how much it may ask to keep.
const MaxFound = 8 << 10

// Find looks for a start line in the midst of other bytes: one that can hardly be anything else, with a header line or an
// empty line behind it. It need not be at the start of a line, since bodies do not end with one. It returns where the
// line starts; or, without one, how many bytes can be passed over: the rest is to be looked at again with what follows.
// With final, nothing follows.
func Find(b []byte, requests, responses, final bool) (at int, found bool) {
	keep := len(b) // from where on it is not decided
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("HTTP/"))
		if i < 0 {
			break
		}
		i += from
		from = i + 1
		at, yes, open := i, false, false
		if responses {
			yes, open = statusAt(b[i:], final)
		}
		if !yes && requests && i > 0 && b[i-1] == ' ' {
			if start, is, may := requestAt(b, i, final); is || may {
				at, yes, open = start, is, open || may
			}
		}
		switch {
		case yes && keep == len(b):
			return at, true
		case yes || open: // if it comes, what is open in front of it goes first
			if at > 0 && b[at-1] == '\n' { // which tells that it is at the start of a line
				at--
			}
			keep = min(keep, at)
		}
	}
	if final {
		return len(b), false
	}
	if keep < len(b) {
		return keep, false
	}
	if !requests {
		return max(0, len(b)-len("HTTP/")), false
	}
	line := bytes.LastIndexByte(b, '\n') // a request line may start behind it
	return max(line, len(b)-MaxFound, 0), false
}

// StatusForm is what a status line starts with; d stands for a digit.
const StatusForm = "HTTP/d.d ddd"

// IsStatusForm reports whether b is the beginning of a status line, up to its status.
func IsStatusForm(b []byte) bool {
	if len(b) > len(StatusForm) {
		return false
	}
	for i, c := range b {
		if StatusForm[i] == 'd' && !isDigit(c) || StatusForm[i] != 'd' && StatusForm[i] != c {
			return false
		}
	}
	return true
}

// statusAt reports whether b starts with a status line and one that fits behind it, or may do so with more bytes.
func statusAt(b []byte, final bool) (yes, open bool) {
	if !IsStatusForm(b[:min(len(b), len(StatusForm))]) {
		return false, false
	}
	if len(b) < len(StatusForm) {
		return false, !final
	}
	rest := b[len(StatusForm):]
	if len(rest) > 0 && rest[0] != ' ' && rest[0] != '\r' && rest[0] != '\n' {
		return false, false
	}
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		return false, !final && len(rest) < MaxFound
	}
	if line, _ := TrimEOL(rest[:end+1]); lineFaults(line) != 0 {
		return false, false
	}
	return headerAt(rest[end+1:], final)
}

// requestAt reports whether a request line that has its version at b[i:], and one that fits behind it, are there, and
// where the line starts.
func requestAt(b []byte, i int, final bool) (at int, yes, open bool) {
	version := b[i:]
	if n := bytes.IndexByte(version[:min(len(version), 10)], '\n'); n >= 0 {
		version, _ = TrimEOL(version[:n+1])
	} else if len(version) >= 10 {
		return 0, false, false
	}
	target := bytes.LastIndexAny(b[max(0, i-MaxFound):i-1], " \t\r\n") + max(0, i-MaxFound)
	if target <= 0 || b[target] != ' ' {
		return 0, false, false
	}
	at = target
	for at > 0 && target-at < 20 && isToken(b[at-1]) {
		at--
	}
	if at == 0 || b[at-1] != '\n' { // within a line it must be a method that is known
		for at < target && !IsMethod(b[at:target]) {
			at++
		}
	}
	uri := b[target+1 : i-1]
	if at == target || len(uri) == 0 || uri[0] != '/' && uri[0] != '*' && !bytes.HasPrefix(uri, []byte("http://")) && string(b[at:target]) != "CONNECT" {
		return 0, false, false
	}
	end := bytes.IndexByte(b[i:], '\n')
	if end < 0 {
		return at, false, !final
	}
	if !isVersion(version, "HTTP") {
		return 0, false, false
	}
	yes, open = headerAt(b[i+end+1:], final)
	return at, yes, open
}

// headerAt reports whether b starts with a header line or an empty one, or may do so with more bytes.
func headerAt(b []byte, final bool) (yes, open bool) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if final {
			return len(b) == 0 || IsToken(b) || LooksLikeField(b), false
		}
		return false, len(b) < MaxFound
	}
	line, _ := TrimEOL(b[:end+1])
	return len(line) == 0 || LooksLikeField(line), false
}
