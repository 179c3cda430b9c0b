package events

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
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

// Writer writes events as JSON, an object a line.
type Writer struct{ enc *json.Encoder }

// NewWriter returns a writer to w, which it does not buffer.
func NewWriter(w io.Writer) *Writer {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &Writer{enc}
}

// Write writes an event.
func (w *Writer) Write(e *Event) error {
	v := *e
	for _, s := range []*string{
		&v.Method, &v.Scheme, &v.Host, &v.URI, &v.URL, &v.Path, &v.Query, &v.Version, &v.UserAgent, &v.Referer, &v.RequestType, &v.Reason,
		&v.ResponseVersion, &v.ContentType, &v.Location,
	} {
		*s = Text(*s)
	}
	return w.enc.Encode(&v)
}
