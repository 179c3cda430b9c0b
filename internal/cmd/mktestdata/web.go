package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// browsing returns connections that show what HTTP there is, one a second.
func browsing() pktgen.Trace {
	n := 0
	next := func() *pktgen.Conversation {
		n++
		c := &pktgen.Conversation{
			ClientAddr: netip.AddrPortFrom(addr("192.0.2.9"), uint16(49500+n)), ClientISN: uint32(n) * 1_000_003, ServerISN: uint32(n) * 7_000_003,
			Start: pktgen.Start + int64(time.Duration(n)*time.Second), Step: 2 * time.Millisecond,
		}
		return c.Open()
	}
	return pktgen.Merge(
		session(next()), pipeline(next()), upload(next()), tunnel(next()), chat(next()), old(next()), smuggled(next()), lost(next()), second(next()),
	)
}

// session is a visit with credentials, cookies, a coded body and a body that is not there.
func session(c *pktgen.Conversation) pktgen.Trace {
	body := string(gzipped([]byte(page("Private"))))
	return c.
		Client(request("GET", "/private/?q=a%20b&lang=en", web, "", "Authorization: Basic dXNlcjpzZWNyZXQ=", "Cookie: sid=0123456789; theme=dark")).
		Server(response("200 OK", html, body, "Content-Encoding: gzip", "Set-Cookie: sid=9876543210; Path=/; HttpOnly")).
		Client(request("HEAD", "/missing", web, "", "Referer: http://example.com/private/")).
		Server([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 1234\r\nContent-Type: text/plain\r\n\r\n")).
		Close(client).Trace()
}

// pipeline is two requests in one packet.
func pipeline(c *pktgen.Conversation) pktgen.Trace {
	return c.
		Client(append(request("GET", "/a.txt", web, ""), request("GET", "/b.txt", web, "")...)).
		Server([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n6;x=y\r\nfirst\n\r\n0\r\nX-Sum: 1\r\n\r\n")).
		Server(response("200 OK", plain, "second\n")).
		Close(server).Trace()
}

// upload is a form with a file, sent when the server is ready for it.
func upload(c *pktgen.Conversation) pktgen.Trace {
	form := "--cut-here\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nHello from tcpfollow\r\n" +
		"--cut-here\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../notes.txt\"\r\nContent-Type: text/plain\r\n\r\n" + story(5) + "\r\n--cut-here--\r\n"
	head := request("POST", "/upload", web, "", "Expect: 100-continue", "Content-Type: multipart/form-data; boundary=cut-here", fmt.Sprintf("Content-Length: %d", len(form)))
	return c.Client(head).Server([]byte("HTTP/1.1 100 Continue\r\n\r\n")).Client([]byte(form)).
		Server(response("201 Created", "application/json", `{"id":1}`, "Location: /files/1")).
		Close(client).Trace()
}

// tunnel is HTTP through a proxy's tunnel.
func tunnel(c *pktgen.Conversation) pktgen.Trace {
	return c.Client(request("CONNECT", "example.org:80", "example.org:80", "")).
		Server([]byte("HTTP/1.1 200 Connection established\r\n\r\n")).
		Client(request("GET", "/inside", "example.org", "")).Server(response("200 OK", plain, "inside\n")).
		Close(client).Trace()
}

// chat is a WebSocket connection (the key and its answer are those of RFC 6455 §1.3).
func chat(c *pktgen.Conversation) pktgen.Trace {
	masked := func(op byte, text string) []byte {
		b := []byte{0x80 | op, 0x80 | byte(len(text)), 1, 2, 3, 4}
		for i := range len(text) {
			b = append(b, text[i]^byte(i%4+1))
		}
		return b
	}
	return c.
		Client(request("GET", "/chat", web, "", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")).
		Server([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")).
		Client(masked(1, "Hello?")).Server([]byte("\x81\x06Hello!")).Client(masked(8, "\x03\xe8")).Server([]byte("\x88\x02\x03\xe8")).
		Close(server).Trace()
}

// old is HTTP/0.9.
func old(c *pktgen.Conversation) pktgen.Trace {
	return c.Client([]byte("GET /old.html\r\n")).Server([]byte("<title>Old</title>\n")).Close(server).Trace()
}

// smuggled is a request that hides another from those who believe its Content-Length.
func smuggled(c *pktgen.Conversation) pktgen.Trace {
	hidden := "GET /hidden HTTP/1.1\r\nHost: " + web + "\r\n\r\n"
	return c.
		Client(fmt.Appendf(nil, "POST /front HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", web, 5+len(hidden), hidden)).
		Server(append(response("200 OK", plain, "front\n"), response("200 OK", plain, "hidden\n")...)).
		Close(client).Trace()
}

// lost is three requests one after the other; the second response is not in the capture, and the fourth never came.
func lost(c *pktgen.Conversation) pktgen.Trace {
	for i := 1; i <= 3; i++ {
		c.Client(request("GET", fmt.Sprintf("/%d.txt", i), web, "")).Server(response("200 OK", plain, fmt.Sprintln("number", i)))
	}
	trace := c.Client(request("GET", "/4.txt", web, "")).Close(client).Trace()
	return trace.Drop(segment(trace, server, 1))
}

// second is HTTP/2 with prior knowledge.
func second(c *pktgen.Conversation) pktgen.Trace {
	var out, block bytes.Buffer
	fr := http2.NewFramer(&out, nil)
	send := func(write func() error) []byte {
		if err := write(); err != nil {
			panic(err) // the frames are written to memory
		}
		b := bytes.Clone(out.Bytes())
		out.Reset()
		return b
	}
	headers := func(enc *hpack.Encoder, end bool, pairs ...string) []byte {
		for i := 0; i < len(pairs); i += 2 {
			if err := enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
				panic(err)
			}
		}
		return send(func() error {
			defer block.Reset()
			return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
		})
	}
	settings := func() error { return fr.WriteSettings() }
	ask, answer := hpack.NewEncoder(&block), hpack.NewEncoder(&block)
	c.Client(append([]byte(http2.ClientPreface), send(settings)...)).Server(send(settings)).
		Client(headers(ask, true, ":method", "GET", ":scheme", "http", ":authority", web, ":path", "/two", "user-agent", "tcpfollow-testdata/1.0")).
		Server(headers(answer, false, ":status", "200", "content-type", plain)).
		Server(send(func() error { return fr.WriteData(1, true, []byte("two\n")) }))
	return c.Close(packet.ClientToServer).Trace()
}
