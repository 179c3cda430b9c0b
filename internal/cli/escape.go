package cli

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// AppendEscaped appends b to dst in a form that is safe on a terminal and says exactly what was there: printable text
// and spaces as they are, every other byte, those of control and bidirectional characters included, as \xNN. A
// backslash is itself, but \x5c in front of an x. Newlines and tabs are kept when lines is set.
func AppendEscaped(dst, b []byte, lines bool) []byte {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case lines && (r == '\n' || r == '\t'):
			dst = append(dst, b[0])
		case r == utf8.RuneError && n == 1, !unicode.IsPrint(r), r == '\\' && len(b) > 1 && b[1] == 'x':
			for _, c := range b[:n] {
				dst = append(dst, '\\', 'x')
				if c < 0x10 {
					dst = append(dst, '0')
				}
				dst = strconv.AppendUint(dst, uint64(c), 16)
			}
		default:
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}

// EscapeLine returns s, safe on a terminal and in one line.
func EscapeLine(s string) string { return string(AppendEscaped(nil, []byte(s), false)) }

// Count returns "1 frame" or "2 frames".
func Count(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.FormatUint(n, 10) + " " + what
}
