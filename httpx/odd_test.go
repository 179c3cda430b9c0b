package httpx_test

// odd are messages that are not as they should be, alone in their connection or in front of others.
func odd() []message {
	next := ">GET /n HTTP/1.1\r\nHost: a\r\n\r\n"
	gotNext := "#1 > GET /n HTTP/1.1|Host:a"
	gotOK := "#1" + gotOK2[2:]
	return []message{
		// What net/http refuses or forgets.
		{"bad escape", talk{">GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET /%zz HTTP/1.1|Host:a|[bad_escape]", gotOK2}},
		{"blank in the target", talk{">GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET /a b HTTP/1.1|Host:a|[bad_target]", gotOK2}},
		{"HTTP/0.9", talk{">GET /old\r\n", "<<html>", "<</html>"}, []string{"#0 > GET /old |[http09]", "#0 <  0 |=<html></html>|[http09]"}},
		{"HTTP/0.9 with an empty line", talk{">GET /old\r\n\r\n", "<HTML"}, []string{"#0 > GET /old |[http09]", "#0 <  0 |=HTML|[http09]"}},
		{"HTTP/0.9 with bare LF", talk{">GET /old\n", "<\r\n\r\nx"}, []string{"#0 > GET /old |[http09 bare_lf]", "#0 <  0 |=\r\n\r\nx|[http09]"}},
		{"HTTP/0.9, answered with a status line", talk{">GET /old\r\n", ok2}, []string{"#0 > GET /old |[http09]", gotOK2}},
		{"HTTP/0.9 without an answer", talk{">GET /old\r\n"}, []string{"#0 > GET /old |[http09]"}},
		{"HTTP/0.9, refused", talk{">POST /old\r\n", "<bad method\r\n"}, []string{"#0 > POST /old |[http09]", "#0 <  0 |=bad method\r\n|[http09]"}},
		{"HTTP/0.9 with more behind it", talk{">GET /old\r\nwhat is this\r\n"}, []string{"#0 > GET /old |[http09 trailing]"}},
		{"method alone", talk{">GET \r\n", "<missing uri"}, nil},
		{"method alone, with a header", talk{">OPTIONS\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > OPTIONS  |Host:a|[bad_start bad_target]", gotOK2}},
		{"no version, with a header", talk{">GET /HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET /HTTP/1.1 |Host:a|[bad_start]", gotOK2}},
		{"no target", talk{">OPTIONS HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > OPTIONS HTTP/1.1 |Host:a|[bad_start]", gotOK2}},
		{"no blanks", talk{">GET/HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET/HTTP/1.1  |Host:a|[bad_start bad_method bad_target]", gotOK2}},
		{"unknown version", talk{">GET / HTTP/1.\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.|Host:a|[bad_version]", gotOK2}},
		{"version without number", talk{">T / HTTP\n\n", "<HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"}, []string{"#0 > T / HTTP|[bad_version bare_lf]", "#0 < HTTP/1.1 400 Bad Request|Content-Length:0"}},
		{"method of other bytes", talk{">\xdf\xc2 / HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > \xdf\xc2 / HTTP/1.1|Host:a|[bad_method]", gotOK2}},
		{"leading line ends", talk{">\r\n\r\n" + get[1:], "<\r\n" + ok2[1:]}, []string{gotGet, gotOK2}},
		{"garbage in front of the request", talk{">nonsense\r\n" + get[1:], ok2}, []string{gotGet + "|[skipped]", gotOK2}},
		{"garbage in front of the response", talk{get, "<nonsense\r\n" + ok2[1:]}, []string{gotGet, gotOK2 + "|[skipped]"}},
		{"another protocol in front", talk{">\x05\x01\x00", "<\x05\x00", ">\x05\x01\x00\x01\x01\x02\x03\x04\x00\x50", "<\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", get, ok2}, []string{
			gotGet + "|[skipped]", gotOK2 + "|[skipped]",
		}},
		{"a proxy's line in front", talk{">PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n" + get[1:], ok2}, []string{gotGet + "|[skipped]", gotOK2}},
		{"garbage between messages", talk{get, ok2, ">nonsense\r\n" + next[1:], "<nonsense\r\n" + ok2[1:]}, []string{
			gotGet + "|[trailing]", gotOK2 + "|[trailing]", gotNext + "|[skipped]", gotOK + "|[skipped]",
		}},
		{"garbage that looks like messages", talk{get, ok2, ">see HTTP/1.1 200 OK\r\nand GET / HTTP/1.1 as well\r\n" + next[1:], ok2}, []string{
			gotGet + "|[trailing]", gotOK2, gotNext + "|[skipped]", gotOK,
		}},
		{"ICY", talk{">GET /live HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n", "<ICY 200 OK\r\nicy-name: x\r\n\r\nmusic"}, []string{
			"#0 > GET /live HTTP/1.0|Icy-MetaData:1", "#0 < ICY 200 OK|icy-name:x|=music|[lookalike]",
		}},
		{"RTSP", talk{
			">OPTIONS rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n", "<RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
			">DESCRIBE rtsp://a/b RTSP/1.0\r\nCSeq: 2\r\n\r\n", "<RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 2\r\n\r\nok",
		}, []string{
			"#0 > OPTIONS rtsp://a/b RTSP/1.0|CSeq:1|[lookalike]", "#0 < RTSP/1.0 200 OK|CSeq:1|[lookalike]",
			"#1 > DESCRIBE rtsp://a/b RTSP/1.0|CSeq:2|[lookalike]", "#1 < RTSP/1.0 200 OK|CSeq:2|Content-Length:2|=ok|[lookalike]",
		}},
		{"line without colon", talk{">GET / HTTP/1.1\r\nHost: a\r\nnothing\r\nX: y\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a|:nothing|X:y|[no_colon]", gotOK2}},
		{"control byte in a value", talk{">GET / HTTP/1.1\r\nHost: a\r\nX: a\x00\x01\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a|X:a\x00\x01|[control]", gotOK2}},
		{"control byte in the target", talk{">GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET /\x01 HTTP/1.1|Host:a|[bad_target]", gotOK2}},
		{"control byte in the reason", talk{get, "<HTTP/1.1 200 O\x02K\r\nContent-Length: 0\r\n\r\n"}, []string{gotGet, "#0 < HTTP/1.1 200 O\x02K|Content-Length:0|[control]"}},
		{"two hosts", talk{">GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a|Host:b|[hosts]", gotOK2}},
		{"no host", talk{">GET / HTTP/1.1\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|[no_host]", gotOK2}},
		{"another host in the target", talk{">GET http://u@b:80/x HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET http://u@b:80/x HTTP/1.1|Host:a|[host_target]", gotOK2}},
		{"blank before the colon", talk{">GET / HTTP/1.1\r\nHost : a\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a|[blank_before_colon]", gotOK2}},
		{"blank in a name", talk{">GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a|X y:z|[bad_name]", gotOK2}},
		{"empty name", talk{">GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a|:z|[bad_name]", gotOK2}},
		{"continued line", talk{">GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\td  \r\nY: z\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a|X:b c d|Y:z|[fold]", gotOK2}},
		{"continued first line", talk{">GET / HTTP/1.1\r\n Host: a\r\nX: b\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|:Host: a|X:b|[fold no_host]", gotOK2}},
		{"line of blanks", talk{">GET / HTTP/1.1\r\nHost: a\r\n \r\nX: b\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a |X:b|[fold]", gotOK2}},
		{"bare LF", talk{">GET / HTTP/1.1\nHost: a\n\n", "<HTTP/1.1 200 OK\nContent-Length: 2\n\nok"}, []string{gotGet + "|[bare_lf]", gotOK2 + "|[bare_lf]"}},
		{"one bare LF", talk{">GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a|X:y|[bare_lf]", gotOK2}},
		{"bare CR", talk{">GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1|Host:a\rX: y|[bare_cr control]", gotOK2}},
		{"CR CR LF", talk{">GET / HTTP/1.1\r\r\nHost: a\r\r\n\r\n", ok2}, []string{"#0 > GET / HTTP/1.1\r|Host:a\r|[bad_version bare_cr control]", gotOK2}},
		{"more blanks in the start line", talk{">GET  /  HTTP/1.1 \r\nHost: a\r\n\r\n", ok2}, []string{gotGet + "|[bad_start]", gotOK2}},
		{"tabs in the start line", talk{">GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", "<HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nok"}, []string{gotGet + "|[bad_start]", gotOK2 + "|[bad_start]"}},
		{"status of two digits", talk{get, "<HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"}, []string{gotGet, "#0 < HTTP/1.1 20 OK|Content-Length:2|=ok|[bad_status]"}},
		{"status of four digits", talk{get, "<HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"}, []string{gotGet, "#0 < HTTP/1.1 2000 OK|Content-Length:2|=ok|[bad_status]"}},
		{"no status", talk{get, "<HTTP/1.1\r\nContent-Length: 2\r\n\r\nok"}, []string{gotGet, "#0 < HTTP/1.1 0 |Content-Length:2|=ok|[bad_start bad_status]"}},
		{"no version number in the response", talk{get, "<HTTP/ 200 OK\r\nContent-Length: 2\r\n\r\nok"}, []string{gotGet, "#0 < HTTP/ 200 OK|Content-Length:2|=ok|[bad_version]"}},
		{"bytes behind the response", talk{get, ok2 + "!!"}, []string{gotGet, gotOK2 + "|[trailing]"}},
		{"length and a body in 204", talk{get, "<HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 204 No Content|Content-Length:2|[forbidden_framing trailing]", gotNext, gotOK + "|[skipped]",
		}},
		{"length in 100", talk{get, "<HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n" + ok2[1:]}, []string{
			gotGet, "#0 < HTTP/1.1 100 Continue|Content-Length:2|[forbidden_framing]", gotOK2,
		}},
		{"chunk size that is none", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\nabc\r\n0\r\n\r\n", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abc|[truncated bad_chunk trailing]", gotNext, gotOK + "|[skipped]",
		}},
		{"chunk longer than its size", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abc|[truncated bad_chunk trailing]", gotNext, gotOK + "|[skipped]",
		}},
		{"chunk lines with bare LF", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abc|[bare_lf bad_chunk]", gotNext, gotOK,
		}},
		{"too large a chunk size", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n"}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|[truncated bad_chunk trailing]",
		}},
		{"chunk size of zeros", talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000003\r\nabc\r\n000\r\n\r\n", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=abc", gotNext, gotOK,
		}},
		{"length of 0 with a body", talk{get, "<HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nbody", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Content-Length:0|[trailing]", gotNext, gotOK + "|[skipped]",
		}},
		{"two unanswered", talk{get + next[1:]}, []string{gotGet, gotNext}},
		{"response to nothing behind a response", talk{get, ok2, "<HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"}, []string{
			gotGet, gotOK2, "#1 < HTTP/1.1 408 Request Timeout|Content-Length:0",
		}},
	}
}
