package httpx_test

import (
	"context"
	"fmt"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Print the exchanges of a capture file.
func Example() {
	file, err := pcapfile.Open("../testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	for e, err := range httpx.Exchanges(context.Background(), file) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Request.Method, e.Request.URL(), e.Response.Status, e.Response.Length, e.TTFB(), e.Response.Flags.Strings())
	}
	// Output:
	// GET http://example.com/ 200 236 3ms []
	// GET http://example.com/style.css 304 0 3ms []
	// GET http://example.com/story.txt 200 7440 3ms [gap]
	// GET http://example.com/news 200 19 3ms []
	// POST http://example.com/guestbook 201 11 3ms []
}

// Callbacks see messages and their bodies while they come.
func ExampleFollow() {
	http, err := httpx.Follow(&httpx.Config{
		OnMessage: func(m *httpx.Message) { fmt.Println(m.Kind, "from frame", m.Start.Packet) },
		OnBody:    func(_ *httpx.Message, b []byte) { fmt.Println("  body", len(b)) },
		OnHole:    func(_ *httpx.Message, n uint64) { fmt.Println("  missing", n) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	follower, err := tcpfollow.New(http.Data, http.End, &tcpfollow.Config{OnGap: http.Gap, Incremental: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := pcapfile.Open("../testdata/ipv6.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	if err := follower.Follow(context.Background(), file); err != nil {
		fmt.Println(err)
	}
	// Output:
	// request from frame 4
	// response from frame 6
	//   body 1356
	//   body 1440
	//   body 764
}

// A connection is fed with bytes from anywhere. What is ambiguous is kept and flagged.
func ExampleParser_Open() {
	p, err := httpx.New(&httpx.Config{OnExchange: func(e *httpx.Exchange) {
		fmt.Printf("%s %s %q %v\n", e.Request.Method, e.Request.Target, e.Request.Header, e.Request.Flags.Strings())
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := p.Open(httpx.ConnInfo{})
	c.Data(packet.ClientToServer, 0, []byte("POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), reassemble.Origin{})
	c.Close()
	// Output:
	// POST / [{"host" "a"} {"Content-Length" "5"} {"Transfer-Encoding" "chunked"}] [cl_te]
}

// The parts of a form, or of a response with several ranges.
func ExampleParts() {
	body := "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--cut--\r\n"
	for p := range httpx.Parts([]byte(body), "multipart/form-data; boundary=cut") {
		fmt.Printf("%s %s %q\n", p.Name(), p.Filename(), p.Body)
	}
	// Output:
	// file a.txt "hello"
}
