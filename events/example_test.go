package events_test

import (
	"context"
	"fmt"
	"os"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// Print what went wrong in a capture.
func Example() {
	http, err := httpx.Follow(&httpx.Config{OnExchange: func(e *httpx.Exchange) {
		if v := events.New(e); v.Status >= 400 || !v.Answered {
			fmt.Println(v.Method, v.URL, v.Status, v.Flags)
		}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	follower, err := tcpfollow.New(http.Data, http.End, &tcpfollow.Config{OnGap: http.Gap, Incremental: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := pcapfile.Open("../testdata/web.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	if err := follower.Follow(context.Background(), file); err != nil {
		fmt.Println(err)
	}
	// Output:
	// HEAD http://example.com/missing 404 []
	// GET http://example.com/2.txt 0 [gap]
	// GET http://example.com/4.txt 0 []
}

// Events are written as JSON, an object a line.
func ExampleWriter() {
	err := events.NewWriter(os.Stdout).Write(&events.Event{Schema: events.Schema, Kind: events.KindHTTP, Method: "GET", URI: "/\xff", Flags: []string{}})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"schema":1,"kind":"http","time":"0001-01-01T00:00:00Z","end":"0001-01-01T00:00:00Z","stream":0,"frame":0,"exchange":0,"client":"","server":"","client_ip":"","server_ip":"","client_port":0,"server_port":0,"method":"GET","scheme":"","host":"","uri":"/\\xff","url":"","path":"","version":"","request_bytes":0,"request_wire_bytes":0,"request_missing":0,"status":0,"bytes":0,"wire_bytes":0,"missing":0,"ttfb":0,"duration":0,"answered":false,"tunnel":false,"flags":[]}
}

func ExampleRedact() {
	fmt.Println(events.Redact("Authorization", "Basic dXNlcjpwYXNz"))
	fmt.Println(events.Redact("Set-Cookie", "sid=secret; Path=/; Secure"))
	fmt.Println(events.Redact("Content-Type", "text/plain"))
	// Output:
	// Basic [redacted]
	// sid=[redacted]; Path=/; Secure
	// text/plain
}
