package http1_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/http1"
)

func TestParseStart(t *testing.T) {
	const none = http1.Faults(0)
	for _, tt := range []struct {
		line     string
		class    http1.Class
		words    []string // method, target, version; or version, reason
		status   int
		sure     bool
		faults   http1.Faults
		lookLike bool
	}{
		{line: "GET / HTTP/1.1", class: http1.Request, words: []string{"GET", "/", "HTTP/1.1"}, sure: true},
		{line: "X-Y * HTTP/1.0", class: http1.Request, words: []string{"X-Y", "*", "HTTP/1.0"}, sure: true},
		{line: "GET http://a/b HTTP/1.1", class: http1.Request, words: []string{"GET", "http://a/b", "HTTP/1.1"}, sure: true},
		{line: "GET /a b HTTP/1.1", class: http1.Request, words: []string{"GET", "/a b", "HTTP/1.1"}, sure: true, faults: http1.BadTarget},
		{line: "GET  /  HTTP/1.1 ", class: http1.Request, words: []string{"GET", "/", "HTTP/1.1"}, sure: true, faults: http1.BadStart},
		{line: "GET\t/\tHTTP/1.1", class: http1.Request, words: []string{"GET", "/", "HTTP/1.1"}, sure: true, faults: http1.BadStart},
		{line: "GET /\tHTTP/1.1", class: http1.Request, words: []string{"GET", "/", "HTTP/1.1"}, sure: true, faults: http1.BadStart},
		{line: "HTTP/1.1\t200 OK", class: http1.Response, words: []string{"HTTP/1.1", "OK"}, status: 200, sure: true, faults: http1.BadStart},
		{line: "GET /%zz HTTP/1.1", class: http1.Request, words: []string{"GET", "/%zz", "HTTP/1.1"}, sure: true, faults: http1.BadEscape},
		{line: "GET /%4 HTTP/1.1", class: http1.Request, words: []string{"GET", "/%4", "HTTP/1.1"}, sure: true, faults: http1.BadEscape},
		{line: "GET /%4a%Fe HTTP/1.1", class: http1.Request, words: []string{"GET", "/%4a%Fe", "HTTP/1.1"}, sure: true},
		{line: "GET / HTTP/1.", class: http1.Request, words: []string{"GET", "/", "HTTP/1."}, faults: http1.BadVersion},
		{line: "GET / HTTP/1.1x", class: http1.Request, words: []string{"GET", "/", "HTTP/1.1x"}, faults: http1.BadVersion},
		{line: "G(T / HTTP/1.1", class: http1.Request, words: []string{"G(T", "/", "HTTP/1.1"}, faults: http1.BadMethod},
		{line: "GET /", class: http1.Request, words: []string{"GET", "/", ""}},
		{line: "GET", class: http1.Request, words: []string{"GET", "", ""}, faults: http1.BadTarget},
		{line: "GET ", class: http1.Request, words: []string{"GET", "", ""}, faults: http1.BadTarget | http1.BadStart},
		{line: "OPTIONS HTTP/1.1", class: http1.Request, words: []string{"OPTIONS", "HTTP/1.1", ""}, faults: http1.BadStart},
		{line: "GET/ HTTP/1.1", class: http1.Request, words: []string{"GET/", "HTTP/1.1", ""}, faults: http1.BadStart | http1.BadMethod},
		{line: "GET/HTTP/1.1", class: http1.Request, words: []string{"GET/HTTP/1.1", "", ""}, faults: http1.BadStart | http1.BadMethod | http1.BadTarget},
		{line: "SETUP rtsp://a/b RTSP/1.0", class: http1.Request, words: []string{"SETUP", "rtsp://a/b", "RTSP/1.0"}, sure: true, lookLike: true},
		{line: "INVITE sip:a SIP/2.0"},
		{line: "OPTIONS sip:a SIP/2.0"},
		{line: "GET key"},
		{line: "hello there"},
		{line: ""},
		{line: "HTTP/1.1 200 OK", class: http1.Response, words: []string{"HTTP/1.1", "OK"}, status: 200, sure: true},
		{line: "HTTP/1.0 404 Not Found", class: http1.Response, words: []string{"HTTP/1.0", "Not Found"}, status: 404, sure: true},
		{line: "HTTP/1.1 200 ", class: http1.Response, words: []string{"HTTP/1.1", ""}, status: 200, sure: true},
		{line: "HTTP/1.1 200", class: http1.Response, words: []string{"HTTP/1.1", ""}, status: 200, sure: true},
		{line: "HTTP/1.1  200 OK", class: http1.Response, words: []string{"HTTP/1.1", "OK"}, status: 200, sure: true, faults: http1.BadStart},
		{line: "HTTP/1.1 20 OK", class: http1.Response, words: []string{"HTTP/1.1", "OK"}, status: 20, faults: http1.BadStatus},
		{line: "HTTP/1.1 2000 OK", class: http1.Response, words: []string{"HTTP/1.1", "OK"}, status: 2000, faults: http1.BadStatus},
		{line: "HTTP/1.1 200OK", class: http1.Response, words: []string{"HTTP/1.1", "OK"}, status: 200, faults: http1.BadStatus},
		{line: "HTTP/1.1 OK", class: http1.Response, words: []string{"HTTP/1.1", "OK"}, faults: http1.BadStatus},
		{line: "HTTP/1.1", class: http1.Response, words: []string{"HTTP/1.1", ""}, faults: http1.BadStatus | http1.BadStart},
		{line: "HTTP/11 200 OK", class: http1.Response, words: []string{"HTTP/11", "OK"}, status: 200, faults: http1.BadVersion},
		{line: "HTTP/1.1 200 a\x01b\rc", class: http1.Response, words: []string{"HTTP/1.1", "a\x01b\rc"}, status: 200, sure: true, faults: http1.Control | http1.BareCR},
		{line: "ICY 200 OK", class: http1.Response, words: []string{"ICY", "OK"}, status: 200, sure: true, lookLike: true},
		{line: "RTSP/1.0 200 OK", class: http1.Response, words: []string{"RTSP/1.0", "OK"}, status: 200, sure: true, lookLike: true},
		{line: "SIP/2.0 200 OK"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			b := []byte(tt.line)
			s := http1.ParseStart(b)
			require.Equal(t, tt.class, s.Class)
			if s.Class == http1.NotStart {
				return
			}
			spans := []http1.Span{s.Method, s.Target, s.Version}
			if s.Class == http1.Response {
				spans = []http1.Span{s.Version, s.Reason}
			}
			var words []string
			for _, span := range spans {
				words = append(words, string(span.Of(b)))
			}
			require.Equal(t, tt.words, words)
			require.Equal(t, tt.status, s.Status)
			require.Equal(t, tt.sure, s.Sure)
			require.Equal(t, tt.lookLike, s.Lookalike)
			require.Equal(t, none|tt.faults, s.Faults)
		})
	}
}

func TestParseField(t *testing.T) {
	for _, tt := range []struct {
		line, name, value string
		faults            http1.Faults
	}{
		{"Host: a", "Host", "a", 0},
		{"Host:a", "Host", "a", 0},
		{"Host: \t a b \t", "Host", "a b", 0},
		{"Host:", "Host", "", 0},
		{"A: b: c", "A", "b: c", 0},
		{"Host : a", "Host", "a", http1.BlankBefore},
		{"Ho st: a", "Ho st", "a", http1.BadName},
		{": a", "", "a", http1.BadName},
		{"nothing", "", "nothing", http1.NoColon},
		{" more", "", "more", http1.Fold},
		{"\tmore: x", "", "more: x", http1.Fold},
		{"A: b\rc", "A", "b\rc", http1.Control | http1.BareCR},
		{"A: \x00", "A", "\x00", http1.Control},
		{"A: b\xff", "A", "b\xff", 0},
		{"A\x01: b", "A\x01", "b", http1.BadName | http1.Control},
		{"é: b", "é", "b", http1.BadName},
	} {
		t.Run(tt.line, func(t *testing.T) {
			f := http1.ParseField([]byte(tt.line))
			require.Equal(t, tt.name, string(f.Name.Of([]byte(tt.line))))
			require.Equal(t, tt.value, string(f.Value.Of([]byte(tt.line))))
			require.Equal(t, tt.faults, f.Faults)
			require.Equal(t, tt.faults == 0, http1.LooksLikeField([]byte(tt.line)))
		})
	}
}

func TestIsToken(t *testing.T) {
	const want = "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~"
	var got []byte
	for c := range 256 {
		if http1.IsToken([]byte{byte(c)}) {
			got = append(got, byte(c))
		}
	}
	require.Equal(t, want, string(got))
	require.False(t, http1.IsToken(nil))
	require.False(t, http1.IsToken([]byte("a b")))
}

func TestParseChunk(t *testing.T) {
	for _, tt := range []struct {
		line   string
		size   uint64
		ok     bool
		faulty bool
	}{
		{"0\r\n", 0, true, false},
		{"1aF\r\n", 0x1af, true, false},
		{"0000000000000000000a\r\n", 10, true, false},
		{"5;x=y\r\n", 5, true, false},
		{"5 ;x=y\r\n", 5, true, false},
		{"5\n", 5, true, true},
		{"5 \r\n", 5, true, true},
		{" 5\r\n", 5, true, true},
		{"0x5\r\n", 5, true, true},
		{"5;a\x00\r\n", 5, true, true},
		{"fffffffffffffff\r\n", 0xfffffffffffffff, true, false},
		{"ffffffffffffffff\r\n", 0, false, true},
		{"10000000000000000\r\n", 0, false, true},
		{"\r\n", 0, false, true},
		{"-5\r\n", 0, false, true},
		{"+5\r\n", 0, false, true},
		{"5g\r\n", 0, false, true},
		{"5 5\r\n", 0, false, true},
		{"0x\r\n", 0, false, true},
		{";\r\n", 0, false, true},
	} {
		t.Run(tt.line, func(t *testing.T) {
			size, faults, ok := http1.ParseChunk([]byte(tt.line))
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.size, size)
			require.Equal(t, tt.faulty, faults != 0)
		})
	}
}

// TestBlankLine: the end of a header is found however its bytes are cut.
func TestBlankLine(t *testing.T) {
	for _, tt := range []struct {
		text string
		end  int
	}{
		{"A: b\r\n\r\nrest", 8},
		{"A: b\n\nrest", 6},
		{"A: b\r\n\nrest", 7},
		{"A: b\n\r\nrest", 7},
		{"\r\nrest", 2},
		{"\nrest", 1},
		{"A: b\r\n \r\nC: d\r\n\r\n", 17},
		{"A: b\r\n\r\r\nC: d\r\n\r\n", 17},
		{"A: b\r\r\n\r\n", 9},
		{"A: b\r\nC: d\r\n\r", -1},
		{"", -1},
	} {
		t.Run(tt.text, func(t *testing.T) {
			for n := 1; n <= len(tt.text)+1; n++ {
				var s http1.BlankLine
				end := -1
				for at := 0; at < len(tt.text); at += n {
					if i := s.Next([]byte(tt.text[at:min(at+n, len(tt.text))])); i >= 0 {
						end = at + i
						break
					}
				}
				require.Equal(t, tt.end, end, "in pieces of %d", n)
			}
		})
	}
}
