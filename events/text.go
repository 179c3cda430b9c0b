package events

import (
	"encoding/hex"
	"fmt"
	"unicode/utf8"
)

func hexadecimal(b []byte) string { return hex.EncodeToString(b) }

// Text returns s as JSON can hold it. UTF-8 is left as it is; in anything else, each byte that is no UTF-8, and each
// backslash, becomes \xNN.
func Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b []byte
	for i, r := range s {
		if _, n := utf8.DecodeRuneInString(s[i:]); r == '\\' || r == utf8.RuneError && n == 1 {
			b = fmt.Appendf(b, `\x%02x`, s[i])
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}
