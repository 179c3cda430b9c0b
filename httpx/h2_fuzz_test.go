package httpx_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// turns makes a talk of bytes: a byte that says who speaks, whether bytes are missing, and for how long, then the bytes.
func turns(said talk, b []byte) talk {
	for len(b) > 1 {
		op, n := b[0], min(int(b[0]>>2)*4+1, len(b)-1)
		part := string(b[1 : 1+n])
		b = b[1+n:]
		sign := ">"
		if op&1 != 0 {
			sign = "<"
		}
		if op&2 != 0 && n < 9 {
			said = append(said, fmt.Sprintf("%s[%d]", sign, n))
			continue
		}
		if strings.HasPrefix(part, "[") || part == "end" { // words of the talk
			continue
		}
		said = append(said, sign+part)
	}
	return said
}

// inTurns is the opposite of turns, for what both sides say.
func inTurns(said talk) []byte {
	var out []byte
	for _, line := range said {
		sign := byte(0)
		if line[0] == '<' {
			sign = 1
		}
		for b := line[1:]; b != ""; {
			n := min(len(b), 63*4+1)
			for n%4 != 1 {
				n--
			}
			out = append(append(out, byte(n/4)<<2|sign), b[:n]...)
			b = b[n:]
		}
	}
	return out
}

// Any bytes behind the prefaces: all are accounted for, messages end, and how they are cut makes no difference.
func FuzzH2(f *testing.F) {
	c, s := newH2(f)
	start := opening(c, s)
	f.Add(inTurns(chat(f)[len(start):]))
	f.Add(inTurns(talk{c.spread(1, true, 3, h2get("/")...).line(), s.push(1, 2, h2get("/p")...).padded(1, true, "x", 9).rst(2, 1).line()}))
	f.Add(inTurns(talk{c.headers(1, false, ":method: CONNECT", ":authority: x").line(), s.headers(1, false, ":status: 200").line(), c.data(1, false, "GET / HTTP/1.0\r\n\r\n").line()}))
	f.Add([]byte("\x22\x00\x00\x05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		c, s := newH2(t)
		steps := turns(opening(c, s), b).steps()
		cfg := httpx.Config{Digest: true, Limits: httpx.Limits{Streams: 5, Fields: 20, Header: 500, Line: 100, Frame: 1000}}
		whole, p := parse(t, cfg, httpx.ConnInfo{}, steps)
		for _, n := range []int{1, 7} {
			d, q := parse(t, cfg, httpx.ConnInfo{}, cut(steps, n, n))
			require.Equal(t, summary(whole), summary(d), "pieces of %d", n)
			require.Equal(t, p.Stats(), q.Stats())
		}
		for _, m := range whole.list {
			require.LessOrEqual(t, len(m.Header), 20)
		}
	})
}

// Any bytes behind a WebSocket handshake.
func FuzzWebSocket(f *testing.F) {
	var d deflater
	f.Add(false, inTurns(talk{"<" + fromServer(text, "hello") + fromServer(textOpen, "one") + fromServer(ping, "") + fromServer(last, "two"), ">" + fromClient(closing, "\x03\xe8")}))
	f.Add(true, inTurns(talk{"<" + fromServer(text|deflated, d.message(f, "hello")) + fromServer(text|deflated, d.message(f, "hello hello")), ">" + fromClient(text|deflated, "\xf2\x48\xcd\xc9\xc9\x07\x00")}))
	f.Add(true, append(inTurns(talk{"<" + fromServer(text, "hello")}), 0x23, 1, 2, 3))
	f.Fuzz(func(t *testing.T, compressed bool, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		extensions := ""
		if compressed {
			extensions = "permessage-deflate"
		}
		steps := turns(wsOpening(extensions), b).steps()
		cfg := httpx.Config{Limits: httpx.Limits{Body: 500}}
		whole, p := parseWS(t, cfg, steps)
		for _, m := range whole {
			require.LessOrEqual(t, len(m.Data), 500)
		}
		for _, n := range []int{1, 7} {
			list, q := parseWS(t, cfg, cut(steps, n, n))
			require.Equal(t, wsLines(whole), wsLines(list), "pieces of %d", n)
			require.Equal(t, p.Stats(), q.Stats())
		}
	})
}
