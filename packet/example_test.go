package packet_test

import (
	"fmt"

	"github.com/tcpfollow/tcpfollow/packet"
)

func ExampleDecoder() {
	// Ethernet, VLAN 7, VXLAN 42 over IPv4, and in that a TCP segment over IPv4.
	frame := packet.Frame{Link: packet.LinkEthernet, Number: 1, Data: stack(
		eth(0x8100), vlan(7, 0x0800), ip4To(outerA4, outerB4, 17), udp(50000, 4789), vxlan(42),
		eth(0x0800), ip4(6), tcp(packet.PSH|packet.ACK), data("GET / HTTP/1.1\r\n"),
	)}

	d, err := packet.NewDecoder(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var p packet.Packet // reused for every frame
	d.Decode(&frame, &p)
	if err := p.Err(); err != nil {
		fmt.Println(err)
		return
	}
	if p.IsTCP() {
		fmt.Println(p.Key)
		fmt.Printf("%v seq %d %q checksum %v\n", p.TCP.Flags, p.TCP.Seq, p.TCP.Payload, p.Checksum)
	}
	outer, _ := p.OuterKey()
	fmt.Println("VLAN", p.AppendVLANs(nil), "in", p.Tunnel(), p.TunnelID(), "from", outer.Src().Addr(), "to", outer.Dst())
	for _, l := range p.Layers() {
		fmt.Print(l.Kind, "@", l.Offset, " ")
	}
	fmt.Println()
	// Output:
	// 192.0.2.1:40000 > 198.51.100.2:80 proto 6
	// PSH|ACK seq 1000 "GET / HTTP/1.1\r\n" checksum unchecked
	// VLAN [7] in VXLAN 42 from 10.0.0.1 to 10.0.0.2:4789
	// Ethernet@0 VLAN@14 IPv4@18 UDP@38 VXLAN@46 Ethernet@54 IPv4@68 TCP@88
}

func ExampleDefragmenter() {
	d, _ := packet.NewDecoder(nil)
	g, err := packet.NewDefragmenter(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var p packet.Packet
	for _, f := range split(false, 1, packet.ProtoTCP, segment(false, 2000), 1000) {
		d.Decode(f, &p)
		for p.Status == packet.Fragment { // a datagram may hold a fragment in turn
			whole, ok := g.Add(f, &p)
			if !ok {
				break
			}
			f = whole
			d.DecodeDatagram(f, &p)
		}
		fmt.Println(p.Status, len(p.Payload))
	}
	// Output:
	// IP fragment 0
	// ok 2000
}
