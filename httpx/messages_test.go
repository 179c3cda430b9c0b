package httpx_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// message is a talk and what is found in it.
type message struct {
	name string
	talk talk
	want []string
}

const (
	get  = ">GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	head = ">HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
	ok2  = "<HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

	gotGet  = "#0 > GET / HTTP/1.1|Host:a"
	gotHead = "#0 > HEAD / HTTP/1.1|Host:a"
	gotOK2  = "#0 < HTTP/1.1 200 OK|Content-Length:2|=ok"
)

// plain are messages as they should be.
func plain() []message {
	return []message{
		{"GET", talk{get, ok2}, []string{gotGet, gotOK2}},
		{"nothing", talk{}, nil},
		{"no response", talk{get}, []string{gotGet}},
		{"no request", talk{ok2}, []string{gotOK2}},
		{"no header", talk{">GET / HTTP/1.0\r\n\r\n", "<HTTP/1.0 200 OK\r\n\r\nbody", "< more"}, []string{
			"#0 > GET / HTTP/1.0", "#0 < HTTP/1.0 200 OK|=body more",
		}},
		{"POST", talk{">POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b", ok2}, []string{
			"#0 > POST /p HTTP/1.1|Host:a|Content-Length:3|=a=b", gotOK2,
		}},
		{"chunked request", talk{">PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ok2}, []string{
			"#0 > PUT /p HTTP/1.1|Host:a|Transfer-Encoding:chunked|=abc", gotOK2,
		}},
		{"keep-alive", talk{get, ok2, ">GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "<HTTP/1.1 204 No Content\r\n\r\n"}, []string{
			gotGet, gotOK2, "#1 > GET /2 HTTP/1.1|Host:a", "#1 < HTTP/1.1 204 No Content",
		}},
		{"pipelined", talk{get + "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", ok2 + "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"}, []string{
			gotGet, "#1 > GET /2 HTTP/1.1|Host:a", gotOK2, "#1 < HTTP/1.1 200 OK|Content-Length:1|=2",
		}},
		{"chunked", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abcde",
		}},
		{"chunked in capitals", talk{get, "<HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|TRANSFER-ENCODING:Chunked|=0123456789",
		}},
		{"trailer and extension", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\nV: w\r\n\r\n", ">GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abcde|+T:u|+V:w|[chunk_ext]", "#1 > GET /2 HTTP/1.1|Host:a", "#1" + gotOK2[2:],
		}},
		{"HEAD", talk{head, "<HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ">GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{
			gotHead, "#0 < HTTP/1.1 200 OK|Content-Length:5", "#1 > GET /2 HTTP/1.1|Host:a", "#1" + gotOK2[2:],
		}},
		{"HEAD chunked", talk{head, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ">GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{
			gotHead, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked", "#1 > GET /2 HTTP/1.1|Host:a", "#1" + gotOK2[2:],
		}},
		{"HEAD that was not captured", talk{"<HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", ok2}, []string{
			"#0 < HTTP/1.1 200 OK|Content-Length:500|[truncated]", "#1" + gotOK2[2:],
		}},
		{"HEAD that was not captured, chunked", talk{"<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ok2}, []string{
			"#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|[truncated]", "#1" + gotOK2[2:],
		}},
		{"GET that was not captured", talk{"<HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nHTTP/1.1", ok2}, []string{
			"#0 < HTTP/1.1 200 OK|Content-Length:8|=HTTP/1.1", "#1" + gotOK2[2:],
		}},
		{"304", talk{get, "<HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", get, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 304 Not Modified|Content-Length:5", "#1" + gotGet[2:], "#1" + gotOK2[2:],
		}},
		{"100", talk{">POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "<HTTP/1.1 100 Continue\r\n\r\n", ">abc", ok2}, []string{
			"#0 > POST / HTTP/1.1|Host:a|Content-Length:3|Expect:100-continue|=abc", "#0 < HTTP/1.1 100 Continue", gotOK2,
		}},
		{"102, 103 and the response", talk{get, "<HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", ok2}, []string{
			gotGet, "#0 < HTTP/1.1 102 Processing", "#0 < HTTP/1.1 103 Early Hints|Link:x", gotOK2,
		}},
		{"close-delimited", talk{get, "<HTTP/1.1 200 OK\r\n\r\nall", "< of it\r\n", "<end"}, []string{gotGet, "#0 < HTTP/1.1 200 OK|=all of it\r\n"}},
		{"empty body", talk{">POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, []string{
			"#0 > POST / HTTP/1.1|Host:a|Content-Length:0", "#0 < HTTP/1.1 200 OK|Content-Length:0",
		}},
		{"empty chunked body", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", get, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked", "#1" + gotGet[2:], "#1" + gotOK2[2:],
		}},
		{"no reason", talk{get, "<HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"}, []string{gotGet, "#0 < HTTP/1.1 200 |Content-Length:0"}},
		{"long reason", talk{get, "<HTTP/1.1 404 Not here, nor there\r\nContent-Length: 0\r\n\r\n"}, []string{gotGet, "#0 < HTTP/1.1 404 Not here, nor there|Content-Length:0"}},
		{"absolute target", talk{">GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET http://a/b?c HTTP/1.1|Host:a", gotOK2}},
		{"asterisk target", talk{">OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > OPTIONS * HTTP/1.1|Host:a", gotOK2}},
		{"own method", talk{">M-SEARCH /x HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > M-SEARCH /x HTTP/1.1|Host:a", gotOK2}},
		{"order, case and duplicates", talk{get, "<HTTP/1.1 200 OK\r\nset-cookie: a\r\nContent-length: 0\r\nSET-COOKIE: b\r\nX:\r\n\r\n"}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|set-cookie:a|Content-length:0|SET-COOKIE:b|X:",
		}},
		{"other bytes than ASCII", talk{">GET /\xe9\xc3\xa9 HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n"}, []string{"#0 > GET /\xe9\xc3\xa9 HTTP/1.1|Host:a|X:\xff\xfe"}},
		{"roles reversed", talk{"<GET / HTTP/1.1\r\nHost: a\r\n\r\n", ">HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, []string{
			"#0 < GET / HTTP/1.1|Host:a", "#0 > HTTP/1.1 200 OK|Content-Length:2|=ok",
		}},
		{"response before the end of its request", talk{
			">POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "<HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", ">defghi", get, ok2,
		}, []string{
			"#0 > POST / HTTP/1.1|Host:a|Content-Length:9|=abcdefghi", "#0 < HTTP/1.1 413 Too Large|Content-Length:0|[early]", "#1" + gotGet[2:], "#1" + gotOK2[2:],
		}},
		{"200 to OPTIONS without a body", talk{">OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAllow: GET\r\n\r\n"}, []string{
			"#0 > OPTIONS * HTTP/1.1|Host:a", "#0 < HTTP/1.1 200 OK|Content-Length:0|Allow:GET",
		}},
		{"body that looks like messages", talk{get, "<HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\nHTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n", get, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Content-Length:37|=HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n", "#1" + gotGet[2:], "#1" + gotOK2[2:],
		}},
		{"not HTTP", talk{"<220 mail ESMTP\r\n", ">EHLO a\r\n", "<250 b\r\n"}, nil},
		{"not HTTP, binary", talk{">\x16\x03\x01\x00\x05hello", "<\x16\x03\x03\x00\x05hallo"}, nil},
		{"not HTTP, but SIP", talk{">OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n", "<SIP/2.0 200 OK\r\nVia: x\r\n\r\n"}, nil},
		{"not HTTP, but Redis", talk{">GET key\r\n", "<$3\r\nabc\r\n"}, nil},
		{"cut in the body", talk{get, "<HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"}, []string{gotGet, "#0 < HTTP/1.1 200 OK|Content-Length:9|=abc|[truncated]"}},
		{"cut in a chunk", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"}, []string{gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abc|[truncated]"}},
		{"cut in a chunk's size", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9"}, []string{gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|[truncated]"}},
		{"cut behind a chunk", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r"}, []string{gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abc|[truncated]"}},
		{"cut in the trailer", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: u\r\n"}, []string{gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|[truncated]"}},
		{"cut in the header", talk{">GET / HTTP/1.1\r\nHost: a\r\nUser-Ag"}, []string{"#0 > GET / HTTP/1.1|Host:a|:User-Ag|[truncated]"}},
		{"cut in the start line's end", talk{">GET / HTTP/1.1\r"}, []string{"#0 > GET / HTTP/1.1|[truncated]"}},
		{"cut in the start line", talk{">GET /abc HTT"}, nil},
	}
}

// TestMessages: what is found does not depend on how the bytes were cut into packets.
func TestMessages(t *testing.T) {
	for _, tt := range slices.Concat(plain(), odd(), smuggled(), torn(), turned()) {
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
