package nfpacket_test

import (
	"fmt"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// The EtherType says ARP, and NFStream counts it as IPv4 all the same.
func ExampleDecoder() {
	data := pktgen.Build(pktgen.Ethernet{}, ip4, pktgen.UDP{Src: 5353, Dst: 5353}, pktgen.Payload("hello"))
	data[12], data[13] = 0x08, 0x06
	var p nfpacket.Packet // reused for every frame
	status := nfpacket.New(nil).Decode(&packet.Frame{Data: data, Length: len(data), Link: packet.LinkEthernet}, &p)
	fmt.Println(status, p.Key.Dst().Port(), p.Sizes[nfpacket.IPSize], string(p.Payload()))
	// Output: ok 5353 33 hello
}
