package tcpfollow

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// textExchanges prints a line for every exchange, and the headers if wanted.
type textExchanges struct {
	w       io.Writer
	headers bool
	b       []byte
	err     error
}

func (v *textExchanges) exchange(e *httpx.Exchange) {
	q, a := e.Request, e.Response
	first := q
	if first == nil {
		first = a
	}
	if first == nil {
		if len(e.Informational) == 0 {
			return
		}
		first = e.Informational[0]
	}
	b := v.b[:0]
	b = first.Start.When().AppendFormat(b, "2006-01-02 15:04:05.000000")
	b = fmt.Appendf(b, " %v > %v ", e.Conn.Client, e.Conn.Server)
	if q != nil {
		b = v.escaped(b, q.Method)
		b = append(b, ' ')
		b = v.escaped(b, q.URL())
	} else {
		b = append(b, "- -"...)
	}
	if a != nil {
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(a.Status), 10)
		kind, _, _ := strings.Cut(a.Get("content-type"), ";")
		if kind == "" {
			kind = "-"
		}
		b = append(b, ' ')
		b = v.escaped(b, kind)
		b = append(b, ' ')
		b = strconv.AppendUint(b, a.Length, 10)
		b = fmt.Appendf(b, " %.6fs", e.Duration().Seconds())
	} else {
		b = append(b, " - - - -"...)
	}
	flags := e.Flags
	for _, m := range messagesOf(e) {
		flags |= m.Flags
	}
	if flags != 0 {
		b = fmt.Appendf(b, " %v", flags.Strings())
	}
	b = append(b, '\n')
	if v.headers {
		for _, m := range messagesOf(e) {
			b = v.header(b, m)
		}
	}
	v.b = b
	if v.err == nil {
		_, v.err = v.w.Write(b)
	}
}

// messagesOf returns the messages of an exchange, in order.
func messagesOf(e *httpx.Exchange) []*httpx.Message {
	var list []*httpx.Message
	if e.Request != nil {
		list = append(list, e.Request)
	}
	list = append(list, e.Informational...)
	if e.Response != nil {
		list = append(list, e.Response)
	}
	return list
}

func (v *textExchanges) escaped(b []byte, s string) []byte {
	return cli.AppendEscaped(b, []byte(s), false)
}

func (v *textExchanges) header(b []byte, m *httpx.Message) []byte {
	sign := "> "
	first := m.Method + " " + m.Target + " " + m.Version
	if m.Kind == httpx.Response {
		sign = "< "
		first = m.Version + " " + strconv.Itoa(m.Status) + " " + m.Reason
	}
	b = append(b, sign...)
	b = append(v.escaped(b, strings.TrimRight(first, " ")), '\n')
	for _, f := range append(append([]httpx.Field(nil), m.Header...), m.Trailer...) {
		b = append(b, sign...)
		b = append(v.escaped(b, f.Name), ": "...)
		b = append(v.escaped(b, f.Value), '\n')
	}
	return b
}
