package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// BenchmarkHTTP1 parses exchanges of one connection from ordered bytes, in segments of 1460: the cost of httpx alone.
func BenchmarkHTTP1(b *testing.B) {
	text := bytes.Repeat([]byte("All work and no play makes Jack a dull boy.\n"), 200)
	var coded bytes.Buffer
	w := gzip.NewWriter(&coded)
	_, err := w.Write(text)
	require.NoError(b, err)
	require.NoError(b, w.Close())
	request := []byte("GET /pages/index.html?x=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\nConnection: keep-alive\r\n\r\n")
	head := "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: example\r\nContent-Type: text/html\r\nVary: Accept-Encoding\r\n"
	var chunks bytes.Buffer
	for rest := text; len(rest) > 0; {
		n := min(len(rest), 1000)
		fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	for name, response := range map[string]string{
		"no body": head + "Content-Length: 0\r\n\r\n",
		"length":  head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(text), text),
		"chunked": head + "Transfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\n\r\n",
		"gzip":    head + fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", coded.Len(), coded.Bytes()),
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			p, err := httpx.New(&httpx.Config{OnExchange: func(*httpx.Exchange) { n++ }, OnBody: func(*httpx.Message, []byte) {}})
			require.NoError(b, err)
			c := p.Open(httpx.ConnInfo{})
			var off [2]uint64
			say := func(dir packet.Direction, text []byte) {
				for len(text) > 0 {
					part := text[:min(len(text), 1460)]
					c.Data(dir, off[dir], part, reassemble.Origin{Seq: uint32(off[dir]), Ack: uint32(off[dir.Reverse()])})
					off[dir] += uint64(len(part))
					text = text[len(part):]
				}
			}
			answer := []byte(response)
			b.SetBytes(int64(len(request) + len(answer)))
			b.ReportAllocs()
			for b.Loop() {
				say(packet.ClientToServer, request)
				say(packet.ServerToClient, answer)
			}
			require.Equal(b, b.N, n)
		})
	}
}
