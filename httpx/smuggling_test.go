package httpx_test

// smuggled are requests that different readers take for different ones: what is hidden is the request for /hid. The
// reading that is chosen is that of RFC 9112, where it has one; the flag says that there are others.
func smuggled() []message {
	const hid = "GET /hid HTTP/1.1\r\nHost: a\r\n\r\n" // 30 bytes
	const gotHid = "#1 > GET /hid HTTP/1.1|Host:a"
	post := func(header, rest string) talk {
		return talk{">POST / HTTP/1.1\r\nHost: a\r\n" + header + "\r\n\r\n" + rest}
	}
	got := func(header, rest string) string { return "#0 > POST / HTTP/1.1|Host:a" + header + rest }
	return []message{
		{"CL.TE", post("Content-Length: 35\r\nTransfer-Encoding: chunked", "0\r\n\r\n"+hid), []string{
			got("|Content-Length:35|Transfer-Encoding:chunked", "|[cl_te]"), gotHid,
		}},
		{"TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4", "1e\r\n"+hid+"\r\n0\r\n\r\n"), []string{
			got("|Transfer-Encoding:chunked|Content-Length:4", "|="+hid+"|[cl_te]"),
		}},
		{"TE.TE, unknown last", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked|Transfer-Encoding:x", "|=0\r\n\r\n"+hid+"|[bad_te]"),
		}},
		{"TE.TE, unknown first", post("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:x|Transfer-Encoding:chunked", "|[bad_te]"), gotHid,
		}},
		{"xchunked", post("Transfer-Encoding: xchunked\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:xchunked|Content-Length:5", "|=0\r\n\r\n"+hid+"|[cl_te bad_te]"),
		}},
		{"chunked twice", post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked, chunked", "|[bad_te]"), gotHid,
		}},
		{"identity behind chunked", post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked, identity", "|[bad_te]"), gotHid,
		}},
		{"identity", post("Transfer-Encoding: identity\r\nContent-Length: 3", "abc"+hid), []string{
			got("|Transfer-Encoding:identity|Content-Length:3", "|=abc|[bad_te]"), gotHid,
		}},
		{"quoted chunked", post("Transfer-Encoding: \"chunked\"\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:\"chunked\"|Content-Length:5", "|=0\r\n\r\n"+hid+"|[cl_te bad_te]"),
		}},
		{"blank before the colon", post("Transfer-Encoding : chunked\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked|Content-Length:5", "|[blank_before_colon cl_te]"), gotHid,
		}},
		{"vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:\x0bchunked|Content-Length:5", "|=0\r\n\r\n"+hid+"|[control cl_te bad_te]"),
		}},
		{"continued chunked", post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding: chunked|Content-Length:5", "|[fold cl_te]"), gotHid,
		}},
		{"hidden behind a bare CR", post("X: y\rTransfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|X:y\rTransfer-Encoding: chunked|Content-Length:5", "|=0\r\n\r\n|[bare_cr control]"), gotHid,
		}},
		{"hidden behind a bare LF", post("X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|X:y|Transfer-Encoding:chunked|Content-Length:5", "|[bare_lf cl_te]"), gotHid,
		}},
		{"name with an underscore", post("Transfer_Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|Transfer_Encoding:chunked|Content-Length:5", "|=0\r\n\r\n"), gotHid,
		}},
		{"NUL in the name", post("Transfer-Encoding\x00: chunked\r\nContent-Length: 5", "0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding\x00:chunked|Content-Length:5", "|=0\r\n\r\n|[control bad_name]"), gotHid,
		}},
		{"continued first line", talk{">POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hid}, []string{
			"#0 > POST / HTTP/1.1|:Transfer-Encoding: chunked|Host:a|Content-Length:5|=0\r\n\r\n|[fold]", gotHid,
		}},
		{"chunked in HTTP/1.0", talk{">POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hid}, []string{
			"#0 > POST / HTTP/1.0|Transfer-Encoding:chunked|[te_http10]", gotHid,
		}},
		{"gzip, chunked", post("Transfer-Encoding: gzip, chunked", "3\r\nabc\r\n0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:gzip, chunked", "|[bad_coding]"), gotHid,
		}},
		{"two lengths", post("Content-Length: 3\r\nContent-Length: 33", "abc"+hid), []string{
			got("|Content-Length:3|Content-Length:33", "|=abc|[cl_conflict]"), gotHid,
		}},
		{"two lengths in one", post("Content-Length: 3, 33", "abc"+hid), []string{got("|Content-Length:3, 33", "|=abc|[cl_conflict]"), gotHid}},
		{"the same length twice", post("Content-Length: 3\r\nContent-Length: 3", "abc"+hid), []string{got("|Content-Length:3|Content-Length:3", "|=abc|[cl_twice]"), gotHid}},
		{"length with a sign", post("Content-Length: +3", "abc"+hid), []string{got("|Content-Length:+3", "|=abc|[bad_cl]"), gotHid}},
		{"negative length", post("Content-Length: -3", hid), []string{got("|Content-Length:-3", "|[bad_cl]"), gotHid}},
		{"hexadecimal length", post("Content-Length: 0x3", hid), []string{got("|Content-Length:0x3", "|[bad_cl]"), gotHid}},
		{"empty length", post("Content-Length:", hid), []string{got("|Content-Length:", "|[bad_cl]"), gotHid}},
		{"length with blanks", post("Content-Length: 3 3", hid), []string{got("|Content-Length:3 3", "|[bad_cl]"), gotHid}},
		{"too large a length", post("Content-Length: 99999999999999999999", hid), []string{got("|Content-Length:99999999999999999999", "|[bad_cl]"), gotHid}},
		{"length with leading zeros", post("Content-Length: 0003", "abc"+hid), []string{got("|Content-Length:0003", "|=abc"), gotHid}},
		{"one bad length of two", post("Content-Length: x\r\nContent-Length: 3", "abc"+hid), []string{got("|Content-Length:x|Content-Length:3", "|=abc|[bad_cl]"), gotHid}},
		{"length with a form feed", post("Content-Length: 3\x0c", hid), []string{got("|Content-Length:3\x0c", "|[control bad_cl]"), gotHid}},
		{"no length, but a body", post("X: y", "abc"+hid), []string{got("|X:y", ""), "#1 > abcGET /hid HTTP/1.1|Host:a"}},
		{"GET with a body", talk{">GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n" + hid}, []string{"#0 > GET / HTTP/1.1|Host:a|Content-Length:30|=" + hid}},
		{"extension with a bare LF", post("Transfer-Encoding: chunked", "2;\nxx\r\n0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked", "|=xx|[chunk_ext bad_chunk]"), gotHid,
		}},
		{"hexadecimal chunk size", post("Transfer-Encoding: chunked", "0x3\r\nabc\r\n0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked", "|=abc|[bad_chunk]"), gotHid,
		}},
		{"chunk size with a sign", post("Transfer-Encoding: chunked", "+3\r\nabc\r\n0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked", "|[truncated bad_chunk trailing]"), gotHid + "|[skipped]",
		}},
		{"no line end behind a chunk", post("Transfer-Encoding: chunked", "3\r\nabc0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked", "|=abc|[truncated bad_chunk trailing]"), gotHid + "|[skipped]",
		}},
		{"other bytes behind a chunk", post("Transfer-Encoding: chunked", "3\r\nabcXX0\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked", "|=abc|[truncated bad_chunk trailing]"), gotHid + "|[skipped]",
		}},
		{"length in the trailer", post("Transfer-Encoding: chunked", "0\r\nContent-Length: 33\r\n\r\n"+hid), []string{
			got("|Transfer-Encoding:chunked", "|+Content-Length:33"), gotHid,
		}},
		{"another request in the header", talk{">GET / HTTP/1.1\r\nHost: a\r\nGET /hid HTTP/1.1\r\nHost: b\r\n\r\n"}, []string{
			"#0 > GET / HTTP/1.1|Host:a|:GET /hid HTTP/1.1|Host:b|[no_colon hosts]",
		}},
		{"Host in another case", talk{">GET / HTTP/1.1\r\nhost: a\r\nHOST: b\r\n\r\n"}, []string{"#0 > GET / HTTP/1.1|host:a|HOST:b|[hosts]"}},
		{"two responses for one", talk{get, "<HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + ok2[1:]}, []string{
			gotGet, "#0 < HTTP/1.1 200 OK|Content-Length:0", "#1" + gotOK2[2:],
		}},
	}
}
