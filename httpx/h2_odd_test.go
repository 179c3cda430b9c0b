package httpx_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// What is odd, or torn, in the midst of streams. The first line is always the request of stream 1.
func TestH2Odd(t *testing.T) {
	// part returns the first n bytes of what was written, and a gap for the rest.
	part := func(s *h2side, n int) talk {
		line := s.line()
		return talk{line[:1+n], fmt.Sprintf("%s[%d]", line[:1], len(line)-1-n)}
	}
	answer := []string{":status: 200"}
	for _, c := range []struct {
		name string
		said func(c, s *h2side) talk
		want []string
	}{
		{"a trailer that does not end the stream", func(_, s *h2side) talk {
			return talk{s.headers(1, false, answer...).data(1, false, "a").headers(1, false, "t: 1").data(1, true, "b").line()}
		}, []string{"#0 < HTTP/2 200 |:status:200|=ab|+t:1|[bad_frame]"}},
		{"a trailer behind a gap that took the header", func(_, s *h2side) talk {
			head := s.headers(1, false, answer...).line()
			return talk{fmt.Sprintf("<[%d]", len(head)-1), s.data(1, false, "body").headers(1, true, "t: 1").raw(http2.FramePing, 0, 0, "12345678").line()}
		}, []string{"#0 < HTTP/2 0 |+t:1|[gap bad_start]"}},
		{"DATA whose padding is longer", func(_, s *h2side) talk {
			return talk{s.headers(1, false, answer...).raw(http2.FrameData, 8, 1, "\x09abc").data(1, true, "d").line()}
		}, []string{"#0 < HTTP/2 200 |:status:200|=d|[bad_frame]"}},
		{"the padding's length missing", func(_, s *h2side) talk {
			said := talk{s.headers(1, false, answer...).line()}
			frame := s.padded(1, true, "body", 3).line()
			return append(said, frame[:10], "<[1]", "<"+frame[11:])
		}, []string{"#0 < HTTP/2 200 |:status:200|=[1]body\x00\x00\x00|[gap]"}},
		{"a gap in DATA of no message", func(_, s *h2side) talk {
			said := part(s.raw(http2.FrameData, 0, 9, "abcdef"), 11)
			return append(said, s.headers(1, true, answer...).line())
		}, []string{"#0 < HTTP/2 200 |:status:200"}},
		{"a gap in PUSH_PROMISE", func(_, s *h2side) talk {
			said := part(s.push(1, 2, h2get("/p")...), 12)
			return append(said, s.headers(2, true, answer...).headers(1, true, answer...).line())
		}, []string{"#1 < HTTP/2 200 |:status:200", "#0 < HTTP/2 200 |:status:200"}},
		{"a gap in CONTINUATION", func(c, s *h2side) talk {
			line := c.spread(3, true, 8, h2get("/3")...).line()
			return talk{line[:len(line)-4], ">[4]", s.headers(1, true, answer...).line()}
		}, []string{"#1 > GET /3 HTTP/2|:method:GET|:scheme:http|:path:/3|[gap state_lost]", "#0 < HTTP/2 200 |:status:200"}},
		{"a gap in a CONTINUATION of nothing", func(c, s *h2side) talk {
			said := part(c.raw(http2.FrameContinuation, 4, 3, "abcd"), 11)
			return append(said, s.headers(1, true, answer...).line())
		}, []string{"#0 < HTTP/2 200 |:status:200"}},
		{"a gap in RST_STREAM", func(_, s *h2side) talk {
			said := talk{s.headers(1, false, answer...).line()}
			return append(said, part(s.rst(1, 2), 10)...)
		}, []string{"#0 < HTTP/2 200 |:status:200|[truncated reset]"}},
		{"a gap in HEADERS with padding and priority", func(c, s *h2side) talk {
			line := c.spread(3, true, 100, h2get("/3")...).line()
			return talk{line[:1+9+6+6], fmt.Sprintf(">[%d]", len(line)-22), s.headers(1, true, answer...).line()}
		}, []string{"#1 > GET /3 HTTP/2|:method:GET|:scheme:http|:path:/3|[gap state_lost]", "#0 < HTTP/2 200 |:status:200"}},
		{"HEADERS of no byte", func(_, s *h2side) talk {
			said := talk{s.raw(http2.FrameHeaders, 4, 1, "abcde").line()[:10]}
			return append(said, "<[5]", s.data(1, true, "x").line())
		}, []string{"#0 < HTTP/2 0 |=x|[gap state_lost]"}},
		{"a promise of a stream that is there", func(_, s *h2side) talk {
			return talk{s.push(1, 1, h2get("/p")...).headers(1, true, answer...).line()}
		}, []string{"#0 < HTTP/2 200 |:status:200"}},
		{"a tunnel of another protocol", func(c, s *h2side) talk {
			return talk{
				c.headers(3, false, ":method: CONNECT", ":protocol: other", ":scheme: http", ":path: /", ":authority: x").line(),
				s.headers(3, false, answer...).data(3, true, "opaque").headers(1, true, answer...).line(), c.data(3, true, "").line(),
			}
		}, []string{
			"#1 > CONNECT / HTTP/2|:method:CONNECT|:protocol:other|:scheme:http|:path:/|:authority:x",
			"#1 < HTTP/2 200 |:status:200|=opaque|[early]", "#0 < HTTP/2 200 |:status:200",
		}},
		{"a gap in a tunnel", func(c, s *h2side) talk {
			said := talk{
				c.headers(3, false, ":method: CONNECT", ":authority: x").line(), s.headers(3, false, answer...).line(),
				c.data(3, false, "GET /in HTTP/1.1\r\nHost: x\r\n\r\n").line(),
			}
			frame := s.data(3, true, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789").line()
			n := len(frame)
			return append(said, frame[:n-6], "<[3]", "<"+frame[n-3:], s.headers(1, true, answer...).line(), c.data(3, true, "").line())
		}, []string{
			"#1 > CONNECT x HTTP/2|:method:CONNECT|:authority:x", "#1 < HTTP/2 200 |:status:200|[early upgrade]",
			"#2 > GET /in HTTP/1.1|Host:x|[tunnel]", "#2 < HTTP/1.1 200 OK|Content-Length:9|=123[3]789|[gap tunnel]",
			"#0 < HTTP/2 200 |:status:200",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := newH2(t)
			said := append(opening(client, server), client.headers(1, true, h2get("/1")...).line())
			lines := everyCutOf(t, append(said, c.said(client, server)...))
			require.Equal(t, "#0 > GET /1 HTTP/2|:method:GET|:scheme:http|:path:/1|:authority:example.com", lines[0])
			require.Equal(t, c.want, lines[1:])
		})
	}
}

// everyCutOf is everyCut for connections that may carry others, whose bytes count twice.
func everyCutOf(t *testing.T, said talk) []string {
	t.Helper()
	whole, p := parseSecured(t, httpx.Config{}, said.steps())
	for _, n := range []int{1, 2, 3, 8, 9, 10} {
		d, q := parseSecured(t, httpx.Config{}, cut(said.steps(), n, n))
		require.Equal(t, summary(whole), summary(d), "pieces of %d", n)
		require.Equal(t, p.Stats(), q.Stats())
	}
	return whole.lines()
}

// Streams that were reset stay so, as far as that is remembered.
func TestH2ManyResets(t *testing.T) {
	c, s := newH2(t)
	said := opening(c, s)
	const streams = 200
	for i := range uint32(streams) {
		said = append(said, c.headers(2*i+1, false, h2get("/")...).rst(2*i+1, http2.ErrCodeCancel).line())
	}
	said = append(said, s.headers(2*streams-1, true, ":status: 200").line())
	d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
	require.Len(t, d.list, streams)
	require.Equal(t, uint64(streams), p.Stats().Exchanges)
	for _, m := range d.list {
		require.Equal(t, httpx.FlagReset|httpx.FlagTruncated, m.Flags)
	}
	require.Equal(t, streams, strings.Count(strings.Join(d.order, "\n"), "exchange"))
}
