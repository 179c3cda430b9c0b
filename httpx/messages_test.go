package httpx_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// messages are talks and what is found in them.
var messages = []struct {
	name string
	talk talk
	want []string
}{
	{"GET", talk{">GET / HTTP/1.1\r\nHost: a\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, []string{
		"#0 > GET / HTTP/1.1|Host:a", "#0 < HTTP/1.1 200 OK|Content-Length:2|=ok",
	}},
	{"pipelined", talk{">GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"}, []string{
		"#0 > GET /1 HTTP/1.1|Host:a", "#1 > GET /2 HTTP/1.1|Host:a", "#0 < HTTP/1.1 200 OK|Content-Length:1|=1", "#1 < HTTP/1.1 200 OK|Content-Length:1|=2",
	}},
	{"chunked", talk{">GET / HTTP/1.1\r\nHost: a\r\n\r\n", "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"}, []string{
		"#0 > GET / HTTP/1.1|Host:a", "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abcde|+T:u|[chunk_ext]",
	}},
}

// TestMessages: what is found does not depend on how the bytes were cut into packets.
func TestMessages(t *testing.T) {
	for _, tt := range messages {
		t.Run(tt.name, func(t *testing.T) {
			steps := tt.talk.steps()
			whole, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, steps)
			require.Equal(t, tt.want, whole.lines())
			longest := 0
			for _, s := range steps {
				longest = max(longest, len(s.text))
			}
			for first := 1; first < longest; first++ {
				some, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, cut(steps, first, longest))
				require.Equal(t, whole.lines(), some.lines(), "cut at %d", first)
				require.Equal(t, whole.order, some.order, "cut at %d", first)
				require.Equal(t, whole.skipped, some.skipped, "cut at %d", first)
			}
			bytes, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, cut(steps, 1, 1))
			require.Equal(t, whole.lines(), bytes.lines(), "byte by byte")
			require.Equal(t, whole.order, bytes.order, "byte by byte")
		})
	}
}
