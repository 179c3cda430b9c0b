package main

import (
	"bytes"
	"embed"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
)

// transcripts are what record wrote.
//
//go:embed transcripts/*.txt
var transcripts embed.FS

// transcript returns a recorded session.
func transcript(name string) *tlsrec.Session {
	text, err := transcripts.ReadFile("transcripts/" + name + ".txt")
	if err != nil {
		panic(err) // it is embedded
	}
	s, err := tlsrec.Parse(string(text))
	if err != nil {
		panic(err)
	}
	return s
}

// https returns a connection to port 443.
func https(from string) *pktgen.Conversation {
	return &pktgen.Conversation{ClientAddr: endpoint(from), ServerAddr: endpoint("198.51.100.2:443"), ClientISN: 31, ServerISN: 47}
}

// play appends what a session says.
func play(c *pktgen.Conversation, s *tlsrec.Session) *pktgen.Conversation {
	for _, p := range s.Parts {
		c.Send(p.Dir, p.Data)
	}
	return c
}

// pcapng returns a pcapng file of a trace, with a key log.
func pcapng(name, what string, trace pktgen.Trace, keys []byte) capture {
	return capture{name: name, what: what, data: pktgen.Pcapng(pktgen.PcapngFormat{KeyLog: keys}, trace.Frames()), frames: len(trace)}
}

// secure returns captures of TLS, and of HTTP/2 and WebSocket without it.
func secure() []capture {
	h2, http11, cbc := transcript("h2"), transcript("http11"), transcript("cbc")
	whole := play(https("192.0.2.1:49400").Open(), h2).Close(client).Trace()
	torn := whole.Drop(segment(whole, server, 5))
	both := pktgen.Merge(
		play(https("192.0.2.1:49401").Open(), http11).Close(client).Trace(),
		play((&pktgen.Conversation{ClientAddr: endpoint("192.0.2.1:49402"), ServerAddr: endpoint("198.51.100.2:443"), Start: pktgen.Start + int64(time.Second)}).Open(), cbc).Close(client).Trace(),
	)
	proxy := &pktgen.Conversation{ClientAddr: endpoint("192.0.2.1:49403"), ServerAddr: endpoint("198.51.100.3:8080")}
	proxy.Open().Client(request("CONNECT", web+":443", web+":443", "")).Server([]byte("HTTP/1.1 200 Connection established\r\n\r\n"))
	return []capture{
		pcapng("tls/h2.pcapng", "TLS 1.3 with HTTP/2, three exchanges; the key log is in the file", whole, h2.KeyLog),
		pcapng("tls/h2-gap.pcapng", "the same without one of the server's segments", torn, h2.KeyLog),
		pcap("tls/http11.pcap", "TLS 1.2: HTTP/1.1 in ChaCha20-Poly1305, and the same in a CBC suite", both),
		{name: "tls/http11.keys", what: "the key log of http11.pcap", data: append(bytes.Clone(http11.KeyLog), cbc.KeyLog...)},
		pcapng("tls/connect.pcapng", "TLS 1.3 with HTTP/2 in a CONNECT tunnel", play(proxy, h2).Close(client).Trace(), h2.KeyLog),
		pcap("h2.pcap", "HTTP/2 by prior knowledge: two streams at once, padding, trailers, push", plainH2()),
		pcap("h2c.pcap", "HTTP/1.1 upgraded to HTTP/2", upgradedH2()),
		pcap("websocket.pcap", "WebSocket with permessage-deflate: text in fragments, ping and pong, close", webSocket()),
	}
}

// frames writes HTTP/2 frames of one side.
type frames struct {
	out   bytes.Buffer
	w     *http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

func newFrames(start string) *frames {
	f := new(frames)
	f.out.WriteString(start)
	f.w = http2.NewFramer(&f.out, nil)
	f.enc = hpack.NewEncoder(&f.block)
	must(f.w.WriteSettings())
	return f
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// take returns what was written since.
func (f *frames) take() []byte {
	defer f.out.Reset()
	return bytes.Clone(f.out.Bytes())
}

// fields returns a header block of names and values in turns.
func (f *frames) fields(list ...string) []byte {
	f.block.Reset()
	for i := 0; i < len(list); i += 2 {
		must(f.enc.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1]}))
	}
	return bytes.Clone(f.block.Bytes())
}

func (f *frames) headers(id uint32, last bool, list ...string) *frames {
	must(f.w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.fields(list...), EndStream: last, EndHeaders: true}))
	return f
}

func (f *frames) data(id uint32, last bool, text string, padding int) *frames {
	must(f.w.WriteDataPadded(id, last, []byte(text), make([]byte, padding)))
	return f
}

func (f *frames) get(id uint32, path string) *frames {
	return f.headers(id, true, ":method", "GET", ":scheme", "http", ":path", path, ":authority", web, "user-agent", "tcpfollow-testdata/1.0")
}

func plainH2() pktgen.Trace {
	c, s := newFrames(http2.ClientPreface), newFrames("")
	one := &pktgen.Conversation{ClientAddr: endpoint("192.0.2.1:49500")}
	one.Open().Client(c.take()).Server(s.take())
	one.Client(c.get(1, "/").get(3, "/story.txt").take())
	must(s.w.WritePushPromise(http2.PushPromiseParam{
		StreamID: 1, PromiseID: 2, EndHeaders: true,
		BlockFragment: s.fields(":method", "GET", ":scheme", "http", ":path", "/style.css", ":authority", web),
	}))
	s.headers(1, false, ":status", "200", "content-type", html).headers(3, false, ":status", "200", "content-type", plain)
	s.data(3, false, story(20), 0).data(1, true, page("Hello from HTTP/2"), 100).data(3, false, story(10), 0)
	s.headers(2, false, ":status", "200", "content-type", "text/css").headers(3, true, "x-lines", "30").data(2, true, "h1 { color: green }\n", 0)
	return one.Server(s.take()).Close(client).Trace()
}

func upgradedH2() pktgen.Trace {
	c, s := newFrames(http2.ClientPreface), newFrames("")
	one := &pktgen.Conversation{ClientAddr: endpoint("192.0.2.1:49501")}
	one.Open().Client(request("GET", "/", web, "", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
	one.Server(append([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), s.take()...))
	one.Client(c.get(3, "/hello.txt").take())
	s.headers(1, false, ":status", "200", "content-type", html).data(1, true, page("Hello from HTTP/2"), 0)
	s.headers(3, false, ":status", "200", "content-type", plain).data(3, true, "Hello from tcpfollow.\n", 0)
	return one.Server(s.take()).Close(client).Trace()
}

// webSocket uses the messages of RFC 7692 §7.2.3.
func webSocket() pktgen.Trace {
	one := &pktgen.Conversation{ClientAddr: endpoint("192.0.2.1:49502")}
	one.Open().Client(request("GET", "/chat", web, "", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Extensions: permessage-deflate"))
	one.Server([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
	one.Server([]byte("\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00")).Server([]byte("\xc1\x05\xf2\x00\x11\x00\x00")) // Hello, and once more from the window
	one.Client([]byte("\x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d")).Server([]byte("\x89\x04ping"))                 // Hel
	one.Client([]byte("\x8a\x84\x00\x00\x00\x00ping")).Client([]byte("\x80\x82\x00\x00\x00\x00lo"))
	return one.Server([]byte("\x88\x05\x03\xe8bye")).Client([]byte("\x88\x82\x00\x00\x00\x00\x03\xe8")).Close(server).Trace()
}
