package gopackettcpassembly_test

import (
	"context"
	"fmt"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
	"github.com/tcpfollow/tcpfollow/reassemble/gopackettcpassembly"
)

// A follower orders bytes with this engine when its configuration says so.
func Example() {
	end := func(s *tcpfollow.TCPStream) {
		fmt.Println(len(s.ClientPayload()), "bytes from the client,", len(s.ServerPayload()), "from the server")
	}
	follower, err := tcpfollow.New(nil, end, &tcpfollow.Config{Engine: gopackettcpassembly.New()})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := pcapfile.Open("../../testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	if err := follower.Follow(context.Background(), file); err != nil {
		fmt.Println(err)
	}
	// Output: 577 bytes from the client, 8168 from the server
}
