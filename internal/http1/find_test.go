package http1_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/http1"
)

// TestFind: a start line is found where it can hardly be anything else, and what might become one is kept.
func TestFind(t *testing.T) {
	for _, tt := range []struct {
		name, text          string
		requests, responses bool
		at                  int
		found               bool
		rest                int // bytes that are kept if more may follow, when nothing is found
	}{
		{"request", "GET / HTTP/1.1\r\nHost: a\r\n", true, true, 0, true, 0},
		{"request without header", "GET / HTTP/1.1\r\n\r\n", true, true, 0, true, 0},
		{"own method at the start of a line", "x\nMINE / HTTP/1.1\r\nHost: a\r\n", true, true, 2, true, 0},
		{"own method within a line", "x MINE / HTTP/1.1\r\nHost: a\r\n", true, true, 0, false, 1},
		{"method within a line", "bodyPOST /x HTTP/1.0\nHost: a\n", true, true, 4, true, 0},
		{"method behind binary bytes", "\x00\xffGET / HTTP/1.1\r\nHost: a\r\n", true, true, 2, true, 0},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n", true, true, 0, true, 0},
		{"absolute", "GET http://a/ HTTP/1.1\r\nHost: a\r\n", true, true, 0, true, 0},
		{"authority", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n", true, true, 0, true, 0},
		{"authority of another method", "GET a:1 HTTP/1.1\r\nHost: a\r\n", true, true, 0, false, 1},
		{"request where none is wanted", "GET / HTTP/1.1\r\nHost: a\r\n", false, true, 0, false, 5},
		{"no header line behind", "GET / HTTP/1.1\r\nno header\r\n", true, true, 0, false, 1},
		{"other version", "GET / HTTP/11\r\nHost: a\r\n", true, true, 0, false, 1},
		{"text behind the version", "GET / HTTP/1.1 and more\r\nHost: a\r\n", true, true, 0, false, 1},
		{"a log's line", `1.2.3.4 "GET / HTTP/1.1" 200` + "\nA: b\n", true, true, 0, false, 1},
		{"response", "HTTP/1.1 200 OK\r\nA: b\r\n", true, true, 0, true, 0},
		{"response without a reason", "HTTP/1.0 404\r\n\r\n", true, true, 0, true, 0},
		{"response within a line", "bodyHTTP/1.1 200 OK\r\nA: b\r\n", true, true, 4, true, 0},
		{"response where none is wanted", "HTTP/1.1 200 OK\r\nA: b\r\n", true, false, 0, false, 1},
		{"status of two digits", "HTTP/1.1 20 OK\r\nA: b\r\n", true, true, 0, false, 1},
		{"status of four digits", "HTTP/1.1 2000 OK\r\nA: b\r\n", true, true, 0, false, 1},
		{"control byte in the reason", "HTTP/1.1 200 O\x01K\r\nA: b\r\n", true, true, 0, false, 1},
		{"curl's output", "< HTTP/1.1 200 OK\r\n< A: b\r\n", true, true, 0, false, 1},
		{"the first of two", "xHTTP/1.1 200 OK\r\nA: b\r\n\r\nHTTP/1.1 500 No\r\nA: b\r\n", true, true, 1, true, 0},
		{"the second of two", "HTTP/1.1 200 OK\r\nno\r\nHTTP/1.1 500 No\r\nA: b\r\n", true, true, 21, true, 0},
		{"cut in the status", "abc\nHTTP/1.1 2", true, true, 0, false, 11},
		{"cut in the reason", "abc\nHTTP/1.1 200 O", true, true, 0, false, 15},
		{"cut in the next line", "abc\nHTTP/1.1 200 OK\r\nA", true, true, 4, false, 19},
		{"cut in the target", "abc\nGET /abc", true, true, 0, false, 9},
		{"cut in the version", "abc\nGET / HTTP/1", true, true, 0, false, 13},
		{"cut behind the line", "abc\nGET / HTTP/1.1\r\n", true, true, 4, false, 17},
		{"nothing", "abc", false, true, 0, false, 3},
		{"empty", "", true, true, 0, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at, found := http1.Find([]byte(tt.text), tt.requests, tt.responses, false)
			require.Equal(t, tt.found, found)
			if found {
				require.Equal(t, tt.at, at)
			} else {
				require.Equal(t, tt.rest, len(tt.text)-at)
			}
			at, found = http1.Find([]byte(tt.text), tt.requests, tt.responses, true)
			if !found {
				require.Equal(t, len(tt.text), at, "nothing is kept at the end")
				require.False(t, tt.found)
			} else {
				require.Equal(t, tt.at, at)
			}
		})
	}
}

// TestFindLong: what is kept is bounded, whatever it looks like.
func TestFindLong(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("x", 100_000), "GET /" + strings.Repeat("x", 100_000), "HTTP/1.1 200 " + strings.Repeat("x", 100_000),
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000), strings.Repeat(" HTTP/1.1", 20_000),
	} {
		at, found := http1.Find([]byte(text), true, true, false)
		require.False(t, found)
		require.LessOrEqual(t, len(text)-at, http1.MaxFound, "%.30s", text)
	}
}

func TestIsStatusForm(t *testing.T) {
	const status = "HTTP/1.1 200"
	for n := range len(status) + 1 {
		require.True(t, http1.IsStatusForm([]byte(status[:n])), "%q", status[:n])
	}
	for _, text := range []string{"HTTP/1.1 2x0", "HTTP/1.1  20", "HTTP/x", "http/1.1", "XTTP", "HTTP/1.1 200 "} {
		require.False(t, http1.IsStatusForm([]byte(text)), "%q", text)
	}
}

func TestTrimEOL(t *testing.T) {
	for _, tt := range []struct {
		line, body string
		bare       bool
	}{
		{"a\r\n", "a", false}, {"a\n", "a", true}, {"a", "a", false}, {"a\r", "a\r", false}, {"\r\n", "", false}, {"\n", "", true}, {"", "", false}, {"a\r\r\n", "a\r", false},
	} {
		body, bare := http1.TrimEOL([]byte(tt.line))
		require.Equal(t, tt.body, string(body), "%q", tt.line)
		require.Equal(t, tt.bare, bare, "%q", tt.line)
	}
}

// TestControlBytes: each one is seen, wherever it stands among others.
func TestControlBytes(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			line := []byte("X: " + strings.Repeat("v", 20))
			line[3+at] = byte(c)
			want := http1.Faults(0)
			if c < ' ' && c != '\t' || c == 0x7f {
				want = http1.Control
			}
			if c == '\r' {
				want |= http1.BareCR
			}
			require.Equal(t, want, http1.ParseField(line).Faults, "byte %#x at %d", c, at)
		}
	}
}

func Example() {
	line := []byte("GET /index.html HTTP/1.1")
	s := http1.ParseStart(line)
	fmt.Printf("%s %s %s\n", s.Method.Of(line), s.Target.Of(line), s.Version.Of(line))
	line = []byte("Host : example.com")
	f := http1.ParseField(line)
	fmt.Printf("%s=%s %t\n", f.Name.Of(line), f.Value.Of(line), f.Faults.Has(http1.BlankBefore))
	// Output:
	// GET /index.html HTTP/1.1
	// Host=example.com true
}
