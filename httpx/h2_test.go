package httpx_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// Connections of every kind, and the messages in them.
func TestH2(t *testing.T) {
	for _, c := range []struct {
		name string
		said func(c, s *h2side) talk
		want []string
	}{
		{"prior knowledge", func(c, s *h2side) talk {
			return append(opening(c, s), c.headers(1, true, h2get("/a", "x-n: 1")...).line(),
				s.headers(1, false, ":status: 200", "content-type: text/plain").data(1, false, "hello ").data(1, true, "world").line())
		}, []string{
			"#0 > GET /a HTTP/2|:method:GET|:scheme:http|:path:/a|:authority:example.com|x-n:1",
			"#0 < HTTP/2 200 |:status:200|content-type:text/plain|=hello world",
		}},
		{"a body and trailers both ways", func(c, s *h2side) talk {
			return append(opening(c, s),
				c.headers(1, false, ":method: POST", ":scheme: http", ":path: /", ":authority: x", "content-length: 5").data(1, false, "abcde").headers(1, true, "t: 1").line(),
				s.headers(1, false, ":status: 200").padded(1, false, "12", 7).padded(1, false, "3", 0).headers(1, true, "grpc-status: 0").line())
		}, []string{
			"#0 > POST / HTTP/2|:method:POST|:scheme:http|:path:/|:authority:x|content-length:5|=abcde|+t:1",
			"#0 < HTTP/2 200 |:status:200|=123|+grpc-status:0",
		}},
		{"streams in turns, answered in another order", func(c, s *h2side) talk {
			return append(opening(c, s),
				c.headers(1, false, ":method: POST", ":scheme: http", ":path: /1", ":authority: x").headers(3, false, ":method: POST", ":scheme: http", ":path: /3", ":authority: x").
					data(3, false, "3").data(1, true, "1").data(3, true, "3").line(),
				s.headers(3, false, ":status: 201").headers(1, false, ":status: 202").data(3, false, "c").data(1, true, "a").data(3, true, "c").line())
		}, []string{
			"#0 > POST /1 HTTP/2|:method:POST|:scheme:http|:path:/1|:authority:x|=1",
			"#1 > POST /3 HTTP/2|:method:POST|:scheme:http|:path:/3|:authority:x|=33",
			"#1 < HTTP/2 201 |:status:201|=cc",
			"#0 < HTTP/2 202 |:status:202|=a",
		}},
		{"interim responses", func(c, s *h2side) talk {
			return append(opening(c, s), c.headers(1, true, h2get("/")...).line(),
				s.headers(1, false, ":status: 103", "link: </a>").headers(1, false, ":status: 100").headers(1, true, ":status: 204").line())
		}, []string{
			"#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com",
			"#0 < HTTP/2 103 |:status:103|link:</a>",
			"#0 < HTTP/2 100 |:status:100",
			"#0 < HTTP/2 204 |:status:204",
		}},
		{"a header block over many frames", func(c, s *h2side) talk {
			return append(opening(c, s), c.spread(1, true, 3, h2get("/spread", "cookie: a=b")...).line(), s.spread(1, false, 1, ":status: 200").data(1, true, "x").line())
		}, []string{
			"#0 > GET /spread HTTP/2|:method:GET|:scheme:http|:path:/spread|:authority:example.com|cookie:a=b",
			"#0 < HTTP/2 200 |:status:200|=x",
		}},
		{"fields from the table", func(c, s *h2side) talk {
			said := opening(c, s)
			for _, id := range []uint32{1, 3} {
				said = append(said, c.headers(id, true, h2get("/", "user-agent: u", "x-own: v")...).line(), s.headers(id, true, ":status: 418", "server: s").line())
			}
			return said
		}, []string{
			"#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com|user-agent:u|x-own:v",
			"#0 < HTTP/2 418 |:status:418|server:s",
			"#1 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com|user-agent:u|x-own:v",
			"#1 < HTTP/2 418 |:status:418|server:s",
		}},
		{"push", func(c, s *h2side) talk {
			return append(opening(c, s), c.headers(1, true, h2get("/")...).line(),
				s.push(1, 2, h2get("/style.css")...).headers(1, true, ":status: 200").headers(2, false, ":status: 200").data(2, true, "css").line())
		}, []string{
			"#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com",
			"#1 < GET /style.css HTTP/2|:method:GET|:scheme:http|:path:/style.css|:authority:example.com|[pushed]",
			"#0 < HTTP/2 200 |:status:200",
			"#1 < HTTP/2 200 |:status:200|=css|[pushed]",
		}},
		{"other frames are no messages", func(c, s *h2side) talk {
			return append(opening(c, s),
				c.raw(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x09").raw(http2.FramePing, 0, 0, "12345678").raw(0x7f, 0x55, 9, "unknown").
					headers(1, true, h2get("/")...).raw(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x01\x00").line(),
				s.raw(http2.FramePing, http2.FlagPingAck, 0, "12345678").raw(0x0a, 0, 0, "\x00\x00alt").headers(1, true, ":status: 200").raw(http2.FrameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x00bye").line())
		}, []string{
			"#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com",
			"#0 < HTTP/2 200 |:status:200",
		}},
		{"early answer, then reset without error", func(c, s *h2side) talk {
			return append(opening(c, s), c.headers(1, false, ":method: POST", ":scheme: http", ":path: /", ":authority: x").data(1, false, "part").line(),
				s.headers(1, true, ":status: 413").rst(1, http2.ErrCodeNo).line(), c.data(1, true, "rest").line())
		}, []string{
			"#0 > POST / HTTP/2|:method:POST|:scheme:http|:path:/|:authority:x|=part|[truncated reset]",
			"#0 < HTTP/2 413 |:status:413|[early]",
		}},
		{"cancelled", func(c, s *h2side) talk {
			return append(opening(c, s), c.headers(1, true, h2get("/")...).line(), s.headers(1, false, ":status: 200").data(1, false, "par").line(),
				c.rst(1, http2.ErrCodeCancel).line(), s.data(1, true, "t").headers(1, true, "t: 1").line())
		}, []string{
			"#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com",
			"#0 < HTTP/2 200 |:status:200|=par|[truncated reset]",
		}},
		{"the end of the connection", func(c, s *h2side) talk {
			return append(opening(c, s), c.headers(1, true, h2get("/")...).headers(3, true, h2get("/3")...).line(), s.headers(1, false, ":status: 200").data(1, false, "par").line())
		}, []string{
			"#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com",
			"#1 > GET /3 HTTP/2|:method:GET|:scheme:http|:path:/3|:authority:example.com",
			"#0 < HTTP/2 200 |:status:200|=par|[truncated]",
		}},
		{"lengths that differ", func(c, s *h2side) talk {
			return append(opening(c, s), c.headers(1, false, ":method: POST", ":scheme: http", ":path: /", ":authority: x", "content-length: 9").data(1, true, "abc").line(),
				s.headers(1, true, ":status: 304", "content-length: 9").line())
		}, []string{
			"#0 > POST / HTTP/2|:method:POST|:scheme:http|:path:/|:authority:x|content-length:9|=abc|[body_length]",
			"#0 < HTTP/2 304 |:status:304|content-length:9",
		}},
		{"what HTTP/1 would be split by", func(c, s *h2side) talk {
			return append(opening(c, s),
				c.headers(1, true, ":method: GET", ":scheme: http", ":path: /", "x: a\r\nb: c", "Upper: x", "transfer-encoding: chunked", ":late: x", ":authority: a", "host: b").line(),
				s.headers(1, true, ":status: 20x").headers(3, true, "no: status").line())
		}, []string{
			"#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|x:a\r\nb: c|Upper:x|transfer-encoding:chunked|:late:x|:authority:a|host:b|[bad_start control bad_name host_target forbidden_framing]",
			"#0 < HTTP/2 0 |:status:20x|[bad_status]",
			"#1 < HTTP/2 0 |no:status|[bad_start]",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := newH2(t)
			said := c.said(client, server)
			require.Equal(t, c.want, everyCut(t, httpx.Config{Digest: true}, said))
		})
	}
}

// A connection that starts in HTTP/1.1: the request is stream 1.
func TestH2Upgrade(t *testing.T) {
	c, s := newH2(t)
	said := talk{
		">POST /a HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 3\r\n\r\nabc",
		"<HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + s.settings().line()[1:],
		c.preface().settings().headers(3, true, h2get("/b")...).line(),
		s.headers(1, false, ":status: 200").data(1, true, "A").headers(3, false, ":status: 200").data(3, true, "B").line(),
	}
	lines := everyCut(t, httpx.Config{}, said)
	require.Len(t, lines, 5)
	require.Contains(t, lines[0], "#0 > POST /a HTTP/1.1|")
	require.Contains(t, lines[0], "=abc")
	require.Contains(t, lines[1], "#0 < HTTP/1.1 101 Switching Protocols|")
	require.Equal(t, "#1 > GET /b HTTP/2|:method:GET|:scheme:http|:path:/b|:authority:example.com", lines[2])
	require.Equal(t, "#0 < HTTP/2 200 |:status:200|=A", lines[3])
	require.Equal(t, "#1 < HTTP/2 200 |:status:200|=B", lines[4])
}

// A server may send its SETTINGS before it has anything of the client (RFC 9113 §3.4). To a client of HTTP/1, and when no
// client speaks, they are bytes of no message.
func TestH2ServerFirst(t *testing.T) {
	c, s := newH2(t)
	first := s.settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}).line()
	lines := everyCut(t, httpx.Config{}, talk{
		first, c.preface().settings().headers(1, true, h2get("/")...).line(), s.headers(1, false, ":status: 200").data(1, true, "A").line(),
	})
	require.Equal(t, []string{
		"#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com", "#0 < HTTP/2 200 |:status:200|=A",
	}, lines)

	said := talk{first, ">GET /a HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA"}
	require.Contains(t, strings.Join(everyCut(t, httpx.Config{}, said), "\n"), "> GET /a HTTP/1.1")
	for _, said := range []talk{said, {first}} {
		_, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
		require.Equal(t, uint64(len(first)-1), p.Stats().Skipped)
	}
}

// A server that knows no HTTP/2 answers the preface in HTTP/1.
func TestH2Refused(t *testing.T) {
	c, _ := newH2(t)
	lines := everyCut(t, httpx.Config{}, talk{
		c.preface().settings().headers(1, true, h2get("/")...).line(),
		"<HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
	})
	require.Equal(t, "#0 > GET / HTTP/2|:method:GET|:scheme:http|:path:/|:authority:example.com", lines[0])
	require.Equal(t, "#1 < HTTP/1.1 400 Bad Request|Content-Length:2|Connection:close|=no", lines[1])
}

// Bodies are decoded as in HTTP/1.
func TestH2Coding(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write([]byte(strings.Repeat("hello ", 1000)))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	c, s := newH2(t)
	said := append(opening(c, s), c.headers(1, true, h2get("/")...).line(),
		s.headers(1, false, ":status: 200", "content-encoding: gzip").data(1, false, z.String()[:20]).padded(1, true, z.String()[20:], 9).line())
	lines := everyCut(t, httpx.Config{}, said)
	require.Equal(t, "#0 < HTTP/2 200 |:status:200|content-encoding:gzip|="+strings.Repeat("hello ", 1000), lines[1])
	d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
	require.Equal(t, uint64(6000), d.list[1].Length)
	require.Equal(t, uint64(z.Len()+9+9+1+9), d.list[1].WireLength, "two frame headers, padding and its length")
	require.Equal(t, httpx.FramingStream, d.list[1].Framing)
	require.Equal(t, httpx.FramingNone, d.list[0].Framing)
}

// What a CONNECT stream carries is looked into, and so is what its connection carries.
func TestH2Connect(t *testing.T) {
	c, s := newH2(t)
	said := append(opening(c, s), c.headers(1, false, ":method: CONNECT", ":authority: example.com:80").line(), s.headers(1, false, ":status: 200").line(),
		c.data(1, false, "GET / HTTP/1.1\r\nHo").data(1, false, "st: inner\r\n\r\n").line(),
		s.data(1, false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nin").line(), c.data(1, true, "").line(), s.data(1, true, "").line())
	require.Equal(t, []string{
		"#0 > CONNECT example.com:80 HTTP/2|:method:CONNECT|:authority:example.com:80",
		"#0 < HTTP/2 200 |:status:200|[early upgrade]",
		"#1 > GET / HTTP/1.1|Host:inner|[tunnel]",
		"#1 < HTTP/1.1 200 OK|Content-Length:2|=in|[tunnel]",
	}, everyCut(t, httpx.Config{}, said))
}
