package httpx_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

func TestURL(t *testing.T) {
	info := httpx.ConnInfo{Server: netip.MustParseAddrPort("198.51.100.2:8080")}
	for _, tt := range []struct{ line, header, want, host string }{
		{"GET /a?b HTTP/1.1", "Host: h:81\r\n", "http://h:81/a?b", "h:81"},
		{"GET /a HTTP/1.0", "", "http://198.51.100.2:8080/a", ""},
		{"GET http://o/a HTTP/1.1", "Host: h\r\n", "http://o/a", "h"},
		{"GET /?u=http://o/ HTTP/1.1", "Host: h\r\n", "http://h/?u=http://o/", "h"},
		{"OPTIONS * HTTP/1.1", "Host: h\r\n", "http://h/*", "h"},
		{"CONNECT o:443 HTTP/1.1", "Host: h\r\n", "o:443", "h"},
		{"GET a HTTP/1.1", "Host: h\r\n", "http://h/a", "h"},
	} {
		d, _ := parse(t, httpx.Config{}, info, talk{">" + tt.line + "\r\n" + tt.header + "\r\n"}.steps())
		require.Len(t, d.list, 1, "%s", tt.line)
		require.Equal(t, tt.want, d.list[0].URL())
		require.Equal(t, tt.host, d.list[0].Host())
	}
	info.Secured = true
	d, _ := parse(t, httpx.Config{}, info, talk{get}.steps())
	require.Equal(t, "https://a/", d.list[0].URL())
}

func TestLookup(t *testing.T) {
	d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, talk{">GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\nEmpty:\r\n\r\n"}.steps())
	m := d.list[0]
	require.Equal(t, "1", m.Get("x"), "the first")
	v, ok := m.Lookup("EMPTY")
	require.True(t, ok)
	require.Empty(t, v)
	_, ok = m.Lookup("Emptyy")
	require.False(t, ok)
}

func TestHead(t *testing.T) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\nHost : a\n b\r\n\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET /old\r\n",
	} {
		for _, steps := range [][]step{talk{">" + text}.steps(), cut(talk{">" + text}.steps(), 1, 1)} {
			d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, steps)
			require.Equal(t, text, d.list[0].Head, "byte for byte")
		}
	}
}

func TestStrings(t *testing.T) {
	require.Equal(t, "request response", fmt.Sprint(httpx.Request, " ", httpx.Response))
	var words []string
	for f := httpx.FramingNone; f <= httpx.FramingStream+1; f++ {
		words = append(words, f.String())
	}
	require.Equal(t, "none length chunked close stream unknown", strings.Join(words, " "))
}

func TestFraming(t *testing.T) {
	for _, tt := range []struct {
		header, body string
		want         httpx.Framing
		length       int64
		wire         uint64
	}{
		{"Content-Length: 3\r\n", "abc", httpx.FramingLength, 3, 3},
		{"Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n", httpx.FramingChunked, -1, 13},
		{"", "abc", httpx.FramingClose, -1, 3},
		{"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", "3;x\r\nabc\r\n0\r\nT: u\r\n\r\n", httpx.FramingChunked, 9, 21},
		{"Transfer-Encoding: gzip\r\n", "", httpx.FramingClose, -1, 0},
	} {
		d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, talk{get, "<HTTP/1.1 200 OK\r\n" + tt.header + "\r\n" + tt.body}.steps())
		m := d.list[1]
		require.Equal(t, tt.want, m.Framing, "%s", tt.header)
		require.Equal(t, tt.length, m.ContentLength)
		require.Equal(t, tt.wire, m.WireLength)
		require.Equal(t, uint64(len(m.Head))+tt.wire, m.End.Offset-m.Start.Offset)
	}
	d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, talk{get, "<HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\n"}.steps())
	require.Equal(t, httpx.FramingNone, d.list[0].Framing)
	require.Equal(t, httpx.FramingNone, d.list[1].Framing)
	require.Equal(t, int64(7), d.list[1].ContentLength, "what was announced")
}

// TestAllocations: an exchange costs no more than what is kept of it: itself with its request, the response, a string and a
// list of fields for each; a body costs nothing.
func TestAllocations(t *testing.T) {
	exchanges := 0
	p, err := httpx.New(&httpx.Config{OnExchange: func(*httpx.Exchange) { exchanges++ }})
	require.NoError(t, err)
	c := p.Open(httpx.ConnInfo{})
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n")
	head := []byte("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 3000\r\n\r\n")
	body := make([]byte, 1000)
	var off [2]uint64
	say := func(dir packet.Direction, b []byte) {
		c.Data(dir, off[dir], b, reassemble.Origin{Seq: 1000 + uint32(off[dir]), Ack: 1000 + uint32(off[dir.Reverse()])})
		off[dir] += uint64(len(b))
	}
	say(c2s, request)
	n := testing.AllocsPerRun(100, func() {
		say(s2c, head)
		for range 3 {
			say(s2c, body)
		}
		say(c2s, request)
	})
	require.Equal(t, 101, exchanges)
	require.LessOrEqual(t, n, 6.0)

	idle := p.Open(httpx.ConnInfo{})
	idle.Data(s2c, 0, []byte(strings.Repeat("not HTTP\r\n", 5000)), reassemble.Origin{})
	idle.Data(c2s, 0, []byte(strings.Repeat("not HTTP\r\n", 5000)), reassemble.Origin{})
	at := uint64(50_000)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		idle.Data(s2c, at, body, reassemble.Origin{})
		at += 1000
	}), "what is no HTTP costs nothing")
}

// FuzzAgainstNetHTTP: a request that nothing is odd about is one to net/http as well, and the same.
func FuzzAgainstNetHTTP(f *testing.F) {
	for _, tt := range append(plain(), smuggled()...) {
		for _, line := range tt.talk {
			if line[0] == '>' {
				f.Add([]byte(line[1:]))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m *httpx.Message
		var body bytes.Buffer
		p, err := httpx.New(&httpx.Config{
			OnMessageEnd: func(x *httpx.Message) {
				if m == nil {
					m = x
				}
			},
			OnBody: func(_ *httpx.Message, b []byte) {
				if m == nil {
					body.Write(b)
				}
			},
			KeepEncoded: true,
		})
		require.NoError(t, err)
		c := p.Open(httpx.ConnInfo{})
		c.Data(c2s, 0, text, reassemble.Origin{})
		c.Close()
		if m == nil || m.Kind != httpx.Request || m.Flags&^(httpx.FlagTrailing|httpx.FlagChunkExt) != 0 || !strings.HasPrefix(m.Version, "HTTP/1.") {
			return
		}
		if m.Start.Offset != 0 || m.Framing == httpx.FramingClose || m.Method == "CONNECT" || !plainTarget(m) {
			return
		}
		q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		require.NoError(t, err, "%q", text)
		require.Equal(t, q.Method, m.Method)
		require.Equal(t, q.RequestURI, m.Target)
		require.Equal(t, q.Proto, m.Version)
		b, err := io.ReadAll(q.Body)
		require.NoError(t, err)
		require.Equal(t, string(b), body.String())
		n := len(q.Trailer)
		for name, values := range q.Header {
			n += len(values)
			require.Equal(t, values[0], m.Get(name))
		}
		require.LessOrEqual(t, n, len(m.Header)+len(m.Trailer))
	})
}

// plainTarget reports whether a request has a target and a host that net/http does not judge by other rules than those of
// HTTP/1, which leave the form of URLs to others.
func plainTarget(m *httpx.Message) bool {
	letters := func(s, more string) bool {
		return strings.IndexFunc(s, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(more, r)
		}) < 0
	}
	return strings.HasPrefix(m.Target, "/") && letters(m.Target, "/?=&.-_~") && letters(m.Get("host"), ".-") &&
		m.Get("transfer-encoding") == strings.TrimSpace(m.Get("transfer-encoding"))
}
