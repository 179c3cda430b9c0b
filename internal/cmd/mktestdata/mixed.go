package main

import (
	"encoding/binary"
	"time"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// mixed is TCP among all that is not TCP.
func mixed() pktgen.Trace {
	at := func(d time.Duration, dir packet.Direction, layers ...pktgen.Layer) pktgen.Trace {
		return pktgen.Trace{{Time: pktgen.Start + int64(d), Dir: dir, Layers: layers}}.Wrap(pktgen.Ethernet{MinSize: 60})
	}
	ask, answer := dns("example.com", nil), dns("example.com", []byte{198, 51, 100, 2})
	there := pktgen.IPv4{Src: addr("192.0.2.1"), Dst: addr("192.0.2.53")}
	back := pktgen.IPv4{Src: there.Dst, Dst: there.Src}
	ping := pktgen.Payload("Hello from tcpfollow")
	web := say(&pktgen.Conversation{Start: pktgen.Start + int64(100*time.Millisecond)}).Trace()
	quoted := web[segment(web, client, 0)].Layers[1:]
	unreachable := append([]pktgen.Layer{
		pktgen.IPv4{Src: addr("192.0.2.254"), Dst: addr("192.0.2.1")}, pktgen.ICMP{Type: 3, Code: 1, Quote: 60},
	}, quoted...)
	return pktgen.Merge(
		at(0, client, arp(1)), at(time.Millisecond, server, arp(2)),
		at(2*time.Millisecond, client, there, pktgen.UDP{Src: 53000, Dst: 53}, ask),
		at(9*time.Millisecond, server, back, pktgen.UDP{Src: 53, Dst: 53000}, answer),
		at(20*time.Millisecond, client, there, pktgen.ICMP{Type: 8, Rest: 0x00010001}, ping),
		at(21*time.Millisecond, server, back, pktgen.ICMP{Rest: 0x00010001}, ping),
		at(30*time.Millisecond, client, pktgen.LLC{DSAP: 0x42, SSAP: 0x42}, pktgen.Payload(make([]byte, 35))),
		web,
		at(118*time.Millisecond, server, unreachable...),
		at(300*time.Millisecond, client, pktgen.IPv6{Src: addr("2001:db8::1"), Dst: addr("2001:db8::2")}, pktgen.ICMPv6{Type: 128, Rest: 0x00010001}, ping),
	)
}

// arp returns a request (operation 1) or the reply (2) for the server's neighbour.
func arp(operation byte) pktgen.Layer {
	b := []byte{0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, operation, 192, 0, 2, operation}
	b = append(b, 2, 0, 0, 0, 0, 3-operation, 192, 0, 2, 3-operation)
	return pktgen.Header{Bytes: b, Ether: 0x0806}
}

// dns returns a query for the address of name, or the response when there is an address.
func dns(name string, address []byte) pktgen.Payload {
	flags, answers := uint16(0x0100), uint16(0)
	if address != nil {
		flags, answers = 0x8180, 1
	}
	var b []byte
	for _, v := range []uint16{0x1234, flags, 1, answers, 0, 0} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	start := len(b)
	b = append(append(append(b, 0), name...), 0)
	for i, length := len(b)-2, 0; i >= start; i-- {
		if b[i] == '.' || i == start {
			b[i], length = byte(length), 0
			continue
		}
		length++
	}
	b = append(b, 0, 1, 0, 1)
	if address != nil {
		b = append(append(b, 0xc0, byte(start), 0, 1, 0, 1, 0, 0, 0, 60, 0, 4), address...)
	}
	return b
}
