package httpx_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

const (
	c2s = packet.ClientToServer
	s2c = packet.ServerToClient
)

// talk is what two sides say, packet by packet: "> text" is the client's, "< text" the server's, without the blank;
// ">[n]" is a gap of n bytes, ">end" the end of a side. Blanks at the start belong to the text.
type talk []string

// step is one packet of a talk.
type step struct {
	dir  packet.Direction
	off  uint64
	text string
	gap  uint64
	end  bool
	o    reassemble.Origin
}

// steps returns the packets, each of which acknowledges all that was sent before.
func (t talk) steps() []step {
	var list []step
	var next [2]uint64
	for i, line := range t {
		s := step{dir: c2s, text: line[1:]}
		if line[0] == '<' {
			s.dir = s2c
		}
		s.off = next[s.dir]
		s.o = reassemble.Origin{
			Packet: uint64(i + 1), Time: int64(i+1) * 1e6, Seq: 1000 + uint32(s.off), Ack: 1000 + uint32(next[s.dir.Reverse()]),
		}
		switch _, err := fmt.Sscanf(s.text, "[%d]", &s.gap); {
		case err == nil && s.gap > 0:
			next[s.dir] += s.gap
		case s.text == "end":
			s.end = true
		default:
			s.gap = 0
			next[s.dir] += uint64(len(s.text))
		}
		list = append(list, s)
	}
	return list
}

// feed gives packets to a connection and closes it.
func feed(c *httpx.Conn, steps []step) {
	for _, s := range steps {
		switch {
		case s.gap > 0:
			c.Gap(s.dir, s.off, s.gap)
		case s.end:
			c.End(s.dir)
		default:
			b := []byte(s.text)
			c.Data(s.dir, s.off, b, s.o)
			for i := range b { // it was borrowed
				b[i] = 0xaa
			}
		}
	}
	c.Close()
}

// cut returns the packets with each cut into pieces of n bytes, the first of them of first.
func cut(steps []step, first, n int) []step {
	var list []step
	for _, s := range steps {
		for at, size := 0, first; ; size = n {
			piece := s
			piece.text = s.text[at:min(at+size, len(s.text))]
			piece.off += uint64(at)
			piece.o.Seq += uint32(at)
			list = append(list, piece)
			if at += size; at >= len(s.text) || s.gap > 0 || s.end {
				break
			}
		}
	}
	return list
}

// dump collects what a parser calls back with, in a line a message.
type dump struct {
	list    []*httpx.Message
	bodies  map[*httpx.Message]*strings.Builder
	ended   map[*httpx.Message]bool
	skipped [2][]uint64 // offsets, by direction
	order   []string    // of ends and exchanges
}

func (d *dump) config(cfg httpx.Config) *httpx.Config {
	d.bodies, d.ended = map[*httpx.Message]*strings.Builder{}, map[*httpx.Message]bool{}
	cfg.OnMessage = func(m *httpx.Message) {
		d.list = append(d.list, m)
		d.bodies[m] = &strings.Builder{}
	}
	cfg.OnBody = func(m *httpx.Message, b []byte) { d.bodies[m].Write(b) }
	cfg.OnHole = func(m *httpx.Message, n uint64) { fmt.Fprintf(d.bodies[m], "[%d]", n) }
	cfg.OnMessageEnd = func(m *httpx.Message) {
		d.ended[m] = true
		d.order = append(d.order, fmt.Sprintf("%v %d", m.Kind, m.Start.Offset))
	}
	cfg.OnExchange = func(e *httpx.Exchange) {
		line := fmt.Sprintf("exchange %d", e.Number)
		if len(e.Flags.Strings()) > 0 {
			line += fmt.Sprintf(" %v", e.Flags.Strings())
		}
		d.order = append(d.order, line)
	}
	cfg.OnSkip = func(s httpx.Skipped) {
		for i := range s.Length {
			d.skipped[s.Direction] = append(d.skipped[s.Direction], s.Start.Offset+i)
		}
	}
	return &cfg
}

// line describes a message: exchange, direction, start line, header, body, flags.
func (d *dump) line(m *httpx.Message) string {
	var b strings.Builder
	sign := '>'
	if m.Direction == s2c {
		sign = '<'
	}
	fmt.Fprintf(&b, "#%d %c ", m.Exchange.Number, sign)
	if m.Kind == httpx.Request {
		fmt.Fprintf(&b, "%s %s %s", m.Method, m.Target, m.Version)
	} else {
		fmt.Fprintf(&b, "%s %d %s", m.Version, m.Status, m.Reason)
	}
	for _, f := range m.Header {
		fmt.Fprintf(&b, "|%s:%s", f.Name, f.Value)
	}
	if body := d.bodies[m].String(); body != "" {
		fmt.Fprintf(&b, "|=%s", body)
	}
	for _, f := range m.Trailer {
		fmt.Fprintf(&b, "|+%s:%s", f.Name, f.Value)
	}
	if m.Flags != 0 {
		fmt.Fprintf(&b, "|%v", m.Flags.Strings())
	}
	return b.String()
}

func (d *dump) lines() []string {
	var list []string
	for _, m := range d.list {
		list = append(list, d.line(m))
	}
	return list
}

// parse parses packets and checks what always holds.
func parse(t *testing.T, cfg httpx.Config, info httpx.ConnInfo, steps []step) (*dump, *httpx.Parser) {
	t.Helper()
	d := &dump{}
	p, err := httpx.New(d.config(cfg))
	require.NoError(t, err)
	feed(p.Open(info), steps)
	st := p.Stats()
	require.Equal(t, st.Bytes, st.Consumed+st.Opaque+st.Skipped, "every byte is accounted for")
	require.Equal(t, st.Requests+st.Responses, uint64(len(d.list)))
	for _, m := range d.list {
		require.True(t, d.ended[m], "%s has ended", d.line(m))
		require.LessOrEqual(t, m.Start.Offset, m.End.Offset)
		require.NotNil(t, m.Exchange)
		require.True(t, m.Kind == httpx.Request && m.Exchange.Request == m || m.Exchange.Response == m || m.Status/100 == 1)
	}
	return d, p
}
