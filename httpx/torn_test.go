package httpx_test

// torn are talks of which bytes are missing.
func torn() []message {
	next := ">GET /n HTTP/1.1\r\nHost: a\r\n\r\n"
	gotNext := "#1 > GET /n HTTP/1.1|Host:a"
	gotOK := "#1" + gotOK2[2:]
	long := "<HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"
	gotLong := "#0 < HTTP/1.1 200 OK|Content-Length:20"
	chunked := "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	gotChunked := "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked"
	return []message{
		{"in a body", talk{get, long + "abc", "<[10]", "<1234567", next, ok2}, []string{gotGet, gotLong + "|=abc[10]1234567|[gap]", gotNext, gotOK}},
		{"at the start of a body", talk{get, long, "<[10]", "<1234567890", next, ok2}, []string{gotGet, gotLong + "|=[10]1234567890|[gap]", gotNext, gotOK}},
		{"to the end of a body", talk{get, long + "abc", "<[17]", next, ok2}, []string{gotGet, gotLong + "|=abc[17]|[gap]", gotNext, gotOK}},
		{"all of a body", talk{get, long, "<[20]", next, ok2}, []string{gotGet, gotLong + "|=[20]|[gap]", gotNext, gotOK}},
		{"beyond a body, into the next one", talk{get, long + "abc", next, "<[117]", "<tail of it\r\n", ">GET /3 HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{
			gotGet, gotLong + "|=abc[17]|[gap trailing]", gotNext, "#2 > GET /3 HTTP/1.1|Host:a", "#2" + gotOK2[2:] + "|[skipped]",
		}},
		{"beyond a body, up to a response", talk{get, long + "abc", next, "<[117]", "<tail of it" + ok2[1:]}, []string{
			gotGet, gotLong + "|=abc[17]|[gap trailing]", gotNext, gotOK + "|[skipped]",
		}},
		{"a response", talk{get, "<[100]", next, ok2}, []string{gotGet, gotNext, gotOK}},
		{"a response whose end is there", talk{get, "<[100]", "<tail", next, ok2}, []string{gotGet, gotNext, gotOK + "|[skipped]"}},
		{"a request", talk{get, ok2, ">[50]", "<HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", next, ok2}, []string{
			gotGet, gotOK2, "#1 < HTTP/1.1 404 No|Content-Length:0", "#2" + gotNext[2:], "#2" + gotOK2[2:],
		}},
		{"a close-delimited body", talk{get, "<HTTP/1.0 200 OK\r\n\r\nabc", "<[5]", "<def", "<[1]"}, []string{gotGet, "#0 < HTTP/1.0 200 OK|=abc[5]def[1]|[gap]"}},
		{"in a chunk", talk{get, chunked + "a\r\nabc", "<[4]", "<hij\r\n0\r\n\r\n", next, ok2}, []string{gotGet, gotChunked + "|=abc[4]hij|[gap]", gotNext, gotOK}},
		{"to the end of a chunk", talk{get, chunked + "a\r\nabc", "<[7]", "<\r\n2\r\nde\r\n0\r\n\r\n", next, ok2}, []string{gotGet, gotChunked + "|=abc[7]de|[gap]", gotNext, gotOK}},
		{"to the CR behind a chunk", talk{get, chunked + "a\r\nabc", "<[8]", "<\n2\r\nde\r\n0\r\n\r\n", next, ok2}, []string{gotGet, gotChunked + "|=abc[7]de|[gap]", gotNext, gotOK}},
		{"to the line end behind a chunk", talk{get, chunked + "a\r\nabc", "<[9]", "<2\r\nde\r\n0\r\n\r\n", next, ok2}, []string{gotGet, gotChunked + "|=abc[7]de|[gap]", gotNext, gotOK}},
		{"the line end behind a chunk", talk{get, chunked + "3\r\nabc", "<[2]", "<2\r\nde\r\n0\r\n\r\n", next, ok2}, []string{gotGet, gotChunked + "|=abcde|[gap]", gotNext, gotOK}},
		{"beyond a chunk", talk{get, chunked + "a\r\nabc", "<[50]", "<xyz\r\n0\r\n\r\n", next, ok2}, []string{gotGet, gotChunked + "|=abc[7]|[gap truncated trailing]", gotNext, gotOK + "|[skipped]"}},
		{"in a chunk's size", talk{get, chunked + "1", "<[5]", "<xyz\r\n0\r\n\r\n", next, ok2}, []string{gotGet, gotChunked + "|[gap truncated trailing]", gotNext, gotOK + "|[skipped]"}},
		{"in a trailer", talk{get, chunked + "0\r\nA: b\r\nC", "<[5]", "<d\r\n\r\n", next, ok2}, []string{gotGet, gotChunked + "|[gap truncated trailing]", gotNext, gotOK + "|[skipped]"}},
		{"in a header", talk{">GET / HTTP/1.1\r\nHost: a\r\nX: ab", ">[20]", ">cd\r\nY: z\r\n\r\n", ok2, next, ok2}, []string{
			"#0 > GET / HTTP/1.1|Host:a|X:ab|Y:z|[gap]", gotOK2, gotNext, gotOK,
		}},
		{"in a header, before a colon", talk{">GET / HTTP/1.1\r\nHost: a\r\nX", ">[20]", ">cd\r\nY: z\r\n\r\n", ok2}, []string{
			"#0 > GET / HTTP/1.1|Host:a|Y:z|[gap]", gotOK2,
		}},
		{"in a header, with a body behind", talk{get, "<HTTP/1.1 200 OK\r\nX: ab", "<[20]", "<cd\r\nContent-Length: 3\r\n\r\nabc", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|X:ab|Content-Length:3|=abc|[gap]", gotNext, gotOK,
		}},
		{"twice in a header", talk{">GET / HTTP/1.1\r\nA: b", ">[20]", ">c\r\nD: e\r\nF: g", ">[20]", ">\r\nH: i\r\n\r\n", ok2}, []string{
			"#0 > GET / HTTP/1.1|A:b|D:e|F:g|H:i|[gap]", gotOK2,
		}},
		{"from a header into a body", talk{get, "<HTTP/1.1 200 OK\r\nContent-Length: 400\r\nX: ab", "<[200]", "<\x00\x01body\r\n\x02\x03\r\n", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Content-Length:400|X:ab|[gap truncated trailing]", gotNext, gotOK + "|[skipped]",
		}},
		{"from a header into a body of text", talk{get, "<HTTP/1.1 200 OK\r\nX: ab", "<[200]", "<some text\r\nand more of it, here\r\n", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|X:ab|[gap truncated trailing]", gotNext, gotOK + "|[skipped]",
		}},
		{"from a header to the next message", talk{get + next[1:], "<HTTP/1.1 204 OK\r\nX: ab", "<[20]", ok2}, []string{
			gotGet, gotNext, "#0 < HTTP/1.1 204 OK|X:ab|[gap truncated]", gotOK,
		}},
		{"from a header into the last line before the next message", talk{get + next[1:], "<HTTP/1.1 204 OK\r\nX: ab", "<[20]", "<xy\r\n" + ok2[1:]}, []string{
			gotGet, gotNext, "#0 < HTTP/1.1 204 OK|X:ab|[gap truncated]", gotOK,
		}},
		{"twice, with a start line between", talk{get + next[1:], "<HTTP/1.1 204 OK\r\nX: ab", "<[20]", "<HTTP/1.1 200 OK\r\n", "<[5]", "<x\r\nY: z\r\nContent-Length: 0\r\n\r\n"}, []string{
			gotGet, gotNext, "#0 < HTTP/1.1 204 OK|X:ab|[gap truncated]", "#1 < HTTP/1.1 200 OK|Y:z|Content-Length:0|[gap]",
		}},
		{"in a start line's target", talk{">GET /abc", ">[10]", ">def HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []string{"#0 > GET /abc |Host:a|[gap]", gotOK2}},
		{"in a start line's version", talk{">GET /abc HT", ">[10]", ">Host: a\r\nX: y\r\n\r\n", ok2}, []string{"#0 > GET /abc |X:y|[gap]", gotOK2}},
		{"in a start line's method", talk{">GE", ">[10]", ">Host: a\r\nX: y\r\n\r\n" + next[1:], ok2}, []string{"#0" + gotNext[2:] + "|[skipped]", gotOK2}},
		{"in a status line's reason", talk{get, "<HTTP/1.1 200 O", "<[10]", "<ngth: 2\r\nX: y\r\n\r\n", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 O|X:y|=HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok|[gap]", gotNext,
		}},
		{"in a status", talk{get, "<HTTP/1.1 2", "<[10]", "<ngth: 2\r\nX: y\r\n\r\nab", next, ok2}, []string{gotGet, gotNext, gotOK + "|[skipped]"}},
		{"the start", talk{">[10]", ">st: a\r\n\r\n", ok2, next, ok2}, []string{"#0" + gotOK2[2:], gotNext + "|[skipped]", gotOK}},
		{"everything of a side", talk{">[30]", ok2, ">[40]", ok2}, []string{gotOK2, gotOK}},
		{"pipelined responses", talk{
			get + next[1:] + ">GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"[1:], "<[60]", ok2,
		}, []string{gotGet, gotNext, "#2 > GET /3 HTTP/1.1|Host:a", gotOK2}},
		{"end of the start line without a version", talk{">GET /old\r\nHo", ">[5]", ">x\r\nX: y\r\n\r\n", ok2}, []string{"#0 > GET /old |X:y|[gap]", gotOK2}},
		{"of a body that is coded", talk{get, "<HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n\x1f\x8b\x08", "<[10]", "<abcdefg", next, ok2}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Content-Encoding:gzip|Content-Length:20|=[10]|[gap bad_coding]", gotNext, gotOK,
		}},
		{"of which the rest never came", talk{get, long + "abc", "<[10]"}, []string{gotGet, gotLong + "|=abc[10]|[gap truncated]"}},
		{"of a header of which the rest never came", talk{get, "<HTTP/1.1 200 OK\r\nX: ab", "<[10]", "<cd"}, []string{gotGet, "#0 < HTTP/1.1 200 OK|X:ab|[gap truncated]"}},
	}
}

// turned are connections that become something else.
func turned() []message {
	connect := ">CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"
	gotConnect := "#0 > CONNECT b:443 HTTP/1.1|Host:b:443"
	established := "<HTTP/1.1 200 Connection established\r\n\r\n"
	gotEstablished := "#0 < HTTP/1.1 200 Connection established|[upgrade]"
	upgrade := ">GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n"
	gotUpgrade := "#0 > GET /chat HTTP/1.1|Host:a|Upgrade:foo|Connection:Upgrade"
	switching := "<HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n"
	gotSwitching := "#0 < HTTP/1.1 101 Switching Protocols|Upgrade:foo|Connection:Upgrade|[upgrade]"
	next := ">GET /n HTTP/1.1\r\nHost: a\r\n\r\n"
	gotNext := "#1 > GET /n HTTP/1.1|Host:a"
	gotOK := "#1" + gotOK2[2:]
	return []message{
		{"CONNECT", talk{connect, established, ">\x16\x03\x01", "<\x16\x03\x03"}, []string{gotConnect, gotEstablished}},
		{"CONNECT with a length in its response", talk{connect, "<HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ">\x16\x03\x01", "<\x16\x03\x03"}, []string{
			gotConnect, "#0 < HTTP/1.1 200 OK|Content-Length:5|[upgrade forbidden_framing]",
		}},
		{"HTTP in a tunnel", talk{connect, established, next, ok2}, []string{gotConnect, gotEstablished, gotNext + "|[tunnel]", gotOK + "|[tunnel]"}},
		{"HTTP in a tunnel in a tunnel", talk{connect, established, connect, established, next, ok2}, []string{
			gotConnect, gotEstablished, "#1" + gotConnect[2:] + "|[tunnel]", "#1 < HTTP/1.1 200 Connection established|[tunnel upgrade]",
			"#2" + gotNext[2:] + "|[tunnel]", "#2" + gotOK2[2:] + "|[tunnel]",
		}},
		{"HTTP in a tunnel, sent ahead", talk{connect + next[1:], established + ok2[1:]}, []string{gotConnect, gotEstablished, gotNext + "|[tunnel]", gotOK + "|[tunnel]"}},
		{"CONNECT refused", talk{connect, "<HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n", next, ok2}, []string{
			gotConnect, "#0 < HTTP/1.1 407 Auth|Content-Length:0", gotNext, gotOK,
		}},
		{"CONNECT refused, the next sent ahead", talk{connect + next[1:], "<HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n", ok2}, []string{
			gotConnect, "#0 < HTTP/1.1 407 Auth|Content-Length:0", gotNext, gotOK,
		}},
		{"CONNECT without a response", talk{connect, next}, []string{gotConnect, gotNext + "|[tunnel]"}},
		{"upgrade", talk{upgrade, switching, ">GET / HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 OK\r\n\r\n"}, []string{gotUpgrade, gotSwitching}},
		{"upgrade in one packet", talk{upgrade, switching + "stuff", ">stuff"}, []string{gotUpgrade, gotSwitching}},
		{"upgrade ignored", talk{upgrade, ok2, next, ok2}, []string{gotUpgrade, gotOK2, gotNext, gotOK}},
		{"upgrade ignored, pipelined", talk{upgrade + next[1:], ok2 + ok2[1:]}, []string{gotUpgrade, gotOK2, gotNext, gotOK}},
		{"upgrade without a response", talk{upgrade + next[1:]}, []string{gotUpgrade, gotNext}},
		{"upgrade with 100 first", talk{upgrade, "<HTTP/1.1 100 Continue\r\n\r\n" + switching[1:], "<x"}, []string{gotUpgrade, "#0 < HTTP/1.1 100 Continue", gotSwitching}},
		{"upgrade of which the request is missing", talk{switching, ">GET / HTTP/1.1\r\n\r\n"}, []string{gotSwitching}},
	}
}
