package tcpfollow

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
)

// textExchanges prints a line for every exchange; the headers, what was searched for, and files follow if wanted.
type textExchanges struct {
	w       io.Writer
	headers bool
	show    fields
	colors  cli.Palette
	extract **bodyExtractor
	grep    *regexp.Regexp
	b       []byte
}

func (v *textExchanges) exchange(e *httpx.Exchange, x *events.Event) error {
	b := x.Time.AppendFormat(v.b[:0], "2006-01-02 15:04:05.000000")
	b = fmt.Appendf(b, " %v > %v ", e.Conn.Client, e.Conn.Server)
	b = append(v.escaped(append(b, v.colors.Client...), dash(x.Method)), ' ')
	b = append(append(v.escaped(b, dash(x.URL)), v.colors.Reset...), ' ')
	if x.Answered {
		kind, _, _ := strings.Cut(x.ContentType, ";")
		b = append(append(b, v.colors.Server...), dash(statusText(x.Status))...)
		b = v.escaped(append(b, ' '), dash(strings.TrimSpace(kind)))
		b = append(b, v.colors.Reset...)
		b = fmt.Appendf(b, " %d %.6fs", x.Bytes, x.Duration)
	} else {
		b = append(b, "- - - -"...)
	}
	if len(x.Flags) > 0 {
		b = fmt.Appendf(b, " %s%v%s", v.colors.Warn, x.Flags, v.colors.Reset)
	}
	b = append(b, '\n')
	for m := range e.Messages() {
		if v.headers {
			b = v.header(b, m)
		}
		b = v.matches(b, m)
		if *v.extract == nil {
			continue
		}
		if name := (*v.extract).name(m); name != "" {
			b = fmt.Appendf(b, "%s%s  %d bytes\n", v.sign(m.Direction), name, m.Length)
		}
	}
	v.b = b
	_, err := v.w.Write(b)
	return err
}

// webSocket prints a line for a WebSocket message, from its sender to its receiver.
func (v *textExchanges) webSocket(m *httpx.WebSocketMessage) error {
	from, to, color := m.Conn.Client, m.Conn.Server, v.colors.Client
	if m.Direction == packet.ServerToClient {
		from, to, color = to, from, v.colors.Server
	}
	b := m.Start.When().AppendFormat(v.b[:0], "2006-01-02 15:04:05.000000")
	b = fmt.Appendf(b, " %v > %v %sWEBSOCKET %v %d", from, to, color, m.Opcode, m.Length)
	switch m.Opcode {
	case httpx.OpText:
		b = cli.AppendEscaped(append(b, ' '), m.Data[:min(len(m.Data), maxMatch)], false)
	case httpx.OpClose:
		b = fmt.Appendf(b, " %d", m.CloseCode)
	default:
	}
	b = append(b, v.colors.Reset...)
	if m.Flags != 0 {
		b = fmt.Appendf(b, " %s%v%s", v.colors.Warn, m.Flags.Strings(), v.colors.Reset)
	}
	v.b = append(b, '\n')
	_, err := v.w.Write(v.b)
	return err
}

func (v *textExchanges) close() error { return nil }

func (v *textExchanges) escaped(b []byte, s string) []byte {
	return cli.AppendEscaped(b, []byte(s), false)
}

// statusText returns a status, "" for that of HTTP/0.9, which has none.
func statusText(status int) string {
	if status == 0 {
		return ""
	}
	return strconv.Itoa(status)
}

// sign returns what starts a line about a message.
func (v *textExchanges) sign(d packet.Direction) string {
	if d == packet.ClientToServer {
		return "> "
	}
	return "< "
}

// header prints the start line and the header fields.
func (v *textExchanges) header(b []byte, m *httpx.Message) []byte {
	sign := v.sign(m.Direction)
	first := m.Method + " " + m.Target + " " + m.Version
	if m.Kind == httpx.Response {
		first = m.Version + " " + strconv.Itoa(m.Status) + " " + m.Reason
	}
	b = append(v.escaped(append(b, sign...), strings.TrimRight(first, " ")), '\n')
	for _, list := range [][]httpx.Field{m.Header, m.Trailer} {
		for _, f := range list {
			b = v.escaped(append(b, sign...), f.Name)
			b = append(v.escaped(append(b, ": "...), v.show.value(f.Name, f.Value)), '\n')
		}
	}
	return b
}

// maxMatches is how many matches of a body are shown, and maxMatch how many bytes of each line.
const (
	maxMatches = 10
	maxMatch   = 200
)

// matches prints the lines of a body that match.
func (v *textExchanges) matches(b []byte, m *httpx.Message) []byte {
	if v.grep == nil {
		return b
	}
	n, end := 0, -1
	for _, at := range v.grep.FindAllIndex(m.Body, maxMatches+1) {
		if at[0] < end {
			continue // in the same line
		}
		if n++; n > maxMatches {
			return append(b, v.sign(m.Direction)+"...\n"...)
		}
		start := bytes.LastIndexByte(m.Body[:at[0]], '\n') + 1
		end = len(m.Body)
		if i := bytes.IndexByte(m.Body[at[0]:], '\n'); i >= 0 {
			end = at[0] + i
		}
		start = max(start, at[0]-maxMatch/4)
		line := bytes.TrimRight(m.Body[start:min(end, start+maxMatch)], "\r")
		b = append(b, v.sign(m.Direction)...)
		b = append(cli.AppendEscaped(b, line, false), '\n')
	}
	return b
}
