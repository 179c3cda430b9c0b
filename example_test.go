package tcpfollow_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// Follow every stream of a capture file, and print what client and server said.
func Example() {
	data := func(s *tcpfollow.TCPStream) {
		c := s.Chunk()
		fmt.Printf("%v at %d: %d bytes\n", c.Direction, c.Offset, len(c.Bytes))
	}
	end := func(s *tcpfollow.TCPStream) {
		fmt.Printf("%v > %v ended: %v\n", s.Client(), s.Server(), s.End())
	}
	follower, err := tcpfollow.New(data, end, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := pcapfile.Open("testdata/ipv6.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	if err := follower.Follow(context.Background(), file); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// client at 0: 95 bytes
	// server at 0: 1440 bytes
	// server at 1440: 1440 bytes
	// server at 2880: 764 bytes
	// [2001:db8:1::10]:51000 > [2001:db8:2::80]:80 ended: fin
}

// Gaps, and the payload so far, as the end callback sees them.
func ExampleTCPStream_Gaps() {
	end := func(s *tcpfollow.TCPStream) {
		for _, g := range s.Gaps(packet.ServerToClient) {
			fmt.Printf("missing: %d bytes at %d (%v)\n", g.Length, g.Offset, g.Reason)
		}
		fmt.Println("server sent", len(s.ServerPayload()), "bytes that were captured")
	}
	follower, err := tcpfollow.New(nil, end, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := pcapfile.Open("testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	if err := follower.Follow(context.Background(), file); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// missing: 1460 bytes at 6214 (lost)
	// server sent 8168 bytes that were captured
}

// Ask which packet carried a byte, and what a packet carried.
func ExampleTCPStream_PacketAt() {
	end := func(s *tcpfollow.TCPStream) {
		i := uint64(bytes.Index(s.ClientPayload(), []byte("Host:")))
		if o, ok := s.PacketAt(packet.ClientToServer, i); ok {
			fmt.Printf("the host is named at %d, in frame %d at sequence number %d\n", i, o.Packet, o.Seq)
			for seg := range s.SegmentsOf(o.Packet) {
				fmt.Printf("that frame carried %d bytes of the %v, from %d\n", seg.Length, seg.Direction, seg.Offset)
			}
		}
	}
	follower, err := tcpfollow.New(nil, end, &tcpfollow.Config{Origins: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := pcapfile.Open("testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	if err := follower.Follow(context.Background(), file); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// the host is named at 16, in frame 4 at sequence number 305419913
	// that frame carried 86 bytes of the client, from 0
}

// Stop following a direction once enough of it was seen.
func ExampleTCPStream_Stop() {
	data := func(s *tcpfollow.TCPStream) {
		c := s.Chunk()
		fmt.Printf("%v: %.14q\n", c.Direction, c.Bytes)
		s.Stop(c.Direction)
	}
	follower, err := tcpfollow.New(data, nil, &tcpfollow.Config{Incremental: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := pcapfile.Open("testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	if err := follower.Follow(context.Background(), file); err != nil {
		fmt.Println(err)
		return
	}
	// Output:
	// client: "GET / HTTP/1.1"
	// server: "HTTP/1.1 200 O"
}

// Follow on four goroutines. Handlers turn what they are called for into values of their own, which arrive in order.
func ExampleFollowSharded() {
	type ended struct {
		info  tcpfollow.StreamInfo
		start string
	}
	newHandlers := func(_ *tcpfollow.Config, emit func(ended)) (data, end tcpfollow.StreamFunc) {
		return nil, func(s *tcpfollow.TCPStream) {
			start := s.ClientPayload()[:min(14, len(s.ClientPayload()))]
			emit(ended{s.Info(), string(start)})
		}
	}
	sink := func(stream uint64, e ended) error {
		fmt.Printf("stream %d: %v bytes from the client, %q\n", stream, e.info.Halves[packet.ClientToServer].Bytes, e.start)
		return nil
	}
	file, err := pcapfile.Open("testdata/vlan.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	totals, err := tcpfollow.FollowSharded(context.Background(), file, 4, newHandlers, sink, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(totals.Stats.Streams, "streams")
	// Output:
	// stream 0: 95 bytes from the client, "GET /hello.txt"
	// stream 1: 95 bytes from the client, "GET /hello.txt"
	// 2 streams
}
