package httpx

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

const (
	c2s = packet.ClientToServer
	s2c = packet.ServerToClient
)

// words is a protocol of words that end with a dot. "wait" waits for the other direction, "switch" hands over to what
// is not looked into, every other word is a request or, if the server says it, the response to the one before.
type words struct {
	c    *Conn
	log  []string
	said [2]int
	last *Exchange
}

func (p *words) data(dir packet.Direction, off uint64, b []byte, _ reassemble.Origin) (n int) {
	for p.c.proto == p && n < len(b) {
		k := p.word(dir, off+uint64(n), b[n:], reassemble.Origin{})
		if k == 0 {
			break
		}
		n += k
	}
	return n
}

func (p *words) word(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int {
	word, _, found := bytes.Cut(b, []byte("."))
	if !found {
		p.c.skipped(dir, off, len(b), &o)
		return len(b)
	}
	if string(word) == "wait" && p.said[dir.Reverse()] == 0 && !p.c.hurried(dir) {
		return 0
	}
	p.said[dir]++
	p.log = append(p.log, fmt.Sprintf("%v %d %s", dir, off, word))
	p.c.consumed(len(word) + 1)
	if string(word) == "switch" {
		p.c.switchTo(&opaque{p.c})
		return len(word) + 1
	}
	if dir == c2s {
		p.last = p.c.newExchange()
		p.last.Request = p.message(Request, p.last, off, word, o)
	} else if p.last != nil {
		p.last.Response = p.message(Response, p.last, off, word, o)
		p.c.exchanged(p.last)
	}
	return len(word) + 1
}

func (p *words) message(kind Kind, e *Exchange, off uint64, word []byte, o reassemble.Origin) *Message {
	m := p.c.newMessage(kind, packet.Direction(kind), off, &o)
	m.Exchange = e
	p.c.head(m)
	p.c.body(m, word)
	p.c.hole(m, 1)
	m.End.Offset = off + uint64(len(word)) + 1
	p.c.done(m)
	return m
}

func (p *words) gap(dir packet.Direction, off, n uint64) {
	p.log = append(p.log, fmt.Sprintf("%v %d gap %d", dir, off, n))
}

func (p *words) end(dir packet.Direction) { p.log = append(p.log, fmt.Sprintf("%v end", dir)) }

func open(t *testing.T, cfg *Config) (*Parser, *Conn, *words) {
	t.Helper()
	p, err := New(cfg)
	require.NoError(t, err)
	c := p.Open(ConnInfo{Stream: 7})
	w := &words{c: c}
	c.switchTo(w)
	return p, c, w
}

// say feeds text and gaps: "[5]" is a gap.
func say(c *Conn, dir packet.Direction, off uint64, parts ...string) {
	for i, text := range parts {
		var n uint64
		if _, err := fmt.Sscanf(text, "[%d]", &n); err == nil {
			c.Gap(dir, off, n)
			off += n
			continue
		}
		c.Data(dir, off, []byte(text), reassemble.Origin{Packet: uint64(i + 1), Seq: uint32(off)})
		off += uint64(len(text))
	}
}

func TestConnWaits(t *testing.T) {
	p, c, w := open(t, nil)
	say(c, s2c, 0, "wait.a.", "[10]", "b.")
	require.Empty(t, w.log)
	c.End(s2c)
	require.Empty(t, w.log)
	say(c, c2s, 0, "q.")
	require.Equal(t, []string{"client 0 q", "server 0 wait", "server 5 a", "server 7 gap 10", "server 17 b", "server end"}, w.log)
	c.Close()
	c.Close()
	say(c, c2s, 2, "late.", "[1]")
	require.Equal(t, []string{"client end"}, w.log[6:])
	require.Equal(t, uint64(11), p.Stats().Bytes)
	require.Equal(t, uint64(10), p.Stats().Missing)
	require.Equal(t, p.Stats().Bytes, p.Stats().Consumed)
}

func TestConnWaitsForNothing(t *testing.T) {
	_, c, w := open(t, nil)
	say(c, s2c, 0, "wait.", "[2]")
	c.Close()
	require.Equal(t, []string{"client end", "server 0 wait", "server 5 gap 2", "server end"}, w.log)
}

func TestConnHoldsLimit(t *testing.T) {
	p, c, w := open(t, &Config{Limits: Limits{Held: 140}})
	say(c, s2c, 0, "wait.", "a.b.")
	require.Empty(t, w.log)
	say(c, s2c, 9, "c.")
	require.Equal(t, []string{"server 0 wait", "server 5 a", "server 7 b", "server 9 c"}, w.log)
	require.Equal(t, uint64(1), p.Stats().LimitHeld)
	require.True(t, (&Stats{LimitHeld: 1}).LimitsHit())
}

func TestConnSwitches(t *testing.T) {
	p, c, w := open(t, nil)
	say(c, c2s, 0, "a.switch.b.", "[3]", "c.")
	say(c, s2c, 0, "d.")
	c.Close()
	require.Equal(t, []string{"client 0 a", "client 2 switch"}, w.log)
	require.Equal(t, Stats{Conns: 1, Bytes: 15, Missing: 3, Consumed: 9, Opaque: 6, Requests: 1}, p.Stats())
}

func TestConnCallbacks(t *testing.T) {
	var log []string
	_, c, _ := open(t, &Config{
		OnMessage: func(m *Message) { log = append(log, fmt.Sprintf("%v from %d", m.Kind, m.Start.Offset)) },
		OnBody:    func(m *Message, b []byte) { log = append(log, fmt.Sprintf("%v body %s", m.Kind, b)) },
		OnHole:    func(m *Message, n uint64) { log = append(log, fmt.Sprintf("%v hole %d", m.Kind, n)) },
		OnMessageEnd: func(m *Message) {
			log = append(log, fmt.Sprintf("%v to %d %v", m.Kind, m.End.Offset, m.Flags.Strings()))
		},
		OnExchange: func(e *Exchange) {
			log = append(log, fmt.Sprintf("exchange %d.%d %s", e.Conn.Stream, e.Number, e.Response.Body))
		},
		Collect: true,
	})
	say(c, c2s, 0, "q.")
	say(c, s2c, 0, "a.", "tail")
	require.Equal(t, []string{
		"request from 0", "request body q", "request hole 1", "request to 2 [gap]",
		"response from 0", "response body a", "response hole 1", "response to 2 [gap]", "exchange 7.0 a",
	}, log)
}

// TestProtocols: those that are switched to take every byte.
func TestProtocols(t *testing.T) {
	for _, newProtocol := range []func(*Conn) protocol{
		newTunnel,
		func(c *Conn) protocol { return newH2(c, nil) },
		func(c *Conn) protocol { return newWebSocket(c, &Exchange{Response: &Message{Direction: s2c}}) },
	} {
		p, c, _ := open(t, nil)
		c.switchTo(newProtocol(c))
		say(c, c2s, 0, "a", "[3]", "bc")
		c.Close()
		s := p.Stats()
		require.Equal(t, uint64(3), s.Bytes)
		require.Equal(t, s.Bytes, s.Consumed+s.Opaque+s.Skipped)
	}
}
