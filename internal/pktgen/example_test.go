package pktgen_test

import (
	"fmt"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// A conversation whose second segment arrives late and whose third never does.
func ExampleConversation() {
	c := &pktgen.Conversation{ClientISN: 1000, ServerISN: 5000, MSS: 4, AckEvery: -1}
	c.Open().Client([]byte("GET / HTTP/1.0\r\n\r\n")).Close(packet.ClientToServer)
	for _, f := range c.Trace().Move(4, 5).Drop(4).Frames() {
		fmt.Println(f.Number, f.Timestamp().Format("05.000"), f.Length)
	}
	// Output:
	// 1 00.000 58
	// 2 00.001 58
	// 3 00.002 54
	// 4 00.003 58
	// 5 00.005 58
	// 6 00.006 58
	// 7 00.007 56
	// 8 00.008 54
	// 9 00.009 54
	// 10 00.010 54
	// 11 00.011 54
}

// A frame in layers, with a wrong total length.
func ExampleFrame() {
	ip := v4()
	ip.TotalLength = pktgen.Fixed(0)
	f := pktgen.Frame(pktgen.Start, pktgen.Ethernet{}, pktgen.VLAN{ID: 100}, ip, pktgen.TCP{Src: 49152, Dst: 80, Flags: packet.SYN})
	fmt.Println(f.Timestamp(), f.Link, f.Length)
	fmt.Printf("% x\n", f.Data[12:24])
	// Output:
	// 2024-01-01 00:00:00 +0000 UTC ETHERNET 58
	// 81 00 00 64 08 00 45 00 00 00 00 07
}
