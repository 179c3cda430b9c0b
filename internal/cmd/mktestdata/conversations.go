package main

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

const (
	client = packet.ClientToServer
	server = packet.ServerToClient
	html   = "text/html; charset=utf-8"
	plain  = "text/plain"
	web    = "example.com"
)

func addr(s string) netip.Addr         { return netip.MustParseAddr(s) }
func endpoint(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// pcap returns a little-endian pcap file of a trace.
func pcap(name, what string, trace pktgen.Trace) capture {
	return capture{name: name, what: what, data: pktgen.Pcap(pktgen.PcapFormat{}, trace.Frames()), frames: len(trace)}
}

// segment returns the index of the n-th segment of dir that carries data, from 0.
func segment(trace pktgen.Trace, dir packet.Direction, n int) int {
	for i, p := range trace {
		if _, data := p.Layers[len(p.Layers)-1].(pktgen.Payload); !data || p.Dir != dir {
			continue
		}
		if n--; n < 0 {
			return i
		}
	}
	panic("mktestdata: no such segment")
}

// conversations returns the captures of the top directory.
func conversations() []capture {
	web := pcap("http.pcap", "HTTP/1.1, five exchanges on one connection; a retransmission, a reordered segment, a gap of 1460 bytes in the body of /story.txt; closed by FIN both ways", browse())
	both := twoInterfaces()
	wrapped := wrap()
	whole := pktgen.Pcap(pktgen.PcapFormat{}, hello().Frames())
	return []capture{
		web,
		{name: "http.pcap.gz", what: "http.pcap in gzip", data: gzipped(web.data), frames: web.frames},
		{name: "http.pcap.zst", what: "http.pcap in Zstandard", data: zstandard(web.data), frames: web.frames},
		{
			name: "http.pcapng", what: "pcapng with nanoseconds: the trace of http.pcap on an Ethernet interface, another connection on a cooked one",
			data: pktgen.Pcapng(pktgen.PcapngFormat{Names: []string{"eth0", "any"}, Comment: "made by mktestdata"}, both.Frames()), frames: len(both),
		},
		pcap("web.pcap", "HTTP of many kinds: keep-alive with credentials and gzip, pipelined, 100 and a form, CONNECT, WebSocket, HTTP/0.9, a smuggled request, a lost response, HTTP/2", browsing()),
		pcap("ipv6.pcap", "IPv6: HTTP with a destination options header on one segment, and one segment in fragments that arrive in reverse", six()),
		pcap("vlan.pcap", "802.1Q on one connection, 802.1ad with 802.1Q inside on another, interleaved", vlans()),
		pcap("mixed.pcap", "TCP beside DNS over UDP, ARP, spanning tree, ICMP echo, and ICMP that quotes the TCP connection", mixed()),
		pcap("reset.pcap", "the server resets in the middle of its response; a retransmission comes after that", reset()),
		pcap("refused.pcap", "two connection attempts that a RST answers", refused()),
		pcap("midstream.pcap", "the capture starts inside a connection, without its handshake", hello().Trace().Drop(0, 1, 2)),
		pcap("wrap.pcap", "sequence numbers wrap 2^32 in both directions, with reordering at the server's wrap", wrapped),
		pcap("conflict.pcap", "a retransmission with other bytes than were delivered, and overlapping segments that disagree behind a hole", conflict()),
		{name: "truncated.pcap", what: "the last record is cut in its middle", data: whole[:len(whole)-30], frames: len(hello().Trace()) - 1},
		{
			name: "snaplen.pcap", what: "the trace of http.pcap with a snapshot length of 96",
			data: pktgen.Pcap(pktgen.PcapFormat{SnapLen: 96}, browse().Snap(96).Frames()), frames: web.frames,
		},
	}
}

// hello is the small conversation that all links and tunnels carry.
func hello() *pktgen.Conversation { return say(&pktgen.Conversation{}) }

// hello6 is hello in IPv6.
func hello6() *pktgen.Conversation {
	return say(&pktgen.Conversation{ClientAddr: endpoint("[2001:db8::1]:49152"), ServerAddr: endpoint("[2001:db8::2]:80")})
}

// say completes a conversation that has no packet yet.
func say(c *pktgen.Conversation) *pktgen.Conversation {
	c.ClientISN, c.ServerISN, c.Step = 1_000_000, 2_000_000, 5*time.Millisecond
	return c.Open().Client(request("GET", "/hello.txt", web, "")).
		Server(response("200 OK", plain, "Hello from tcpfollow.\n")).Close(client)
}

func browse() pktgen.Trace {
	options := pktgen.Timestamps(0x1000, 0x2000)
	c := &pktgen.Conversation{
		ClientISN: 305419896, ServerISN: 2596069104, MSS: 1460, Step: 1500 * time.Microsecond,
		SYNOptions: pktgen.Options(pktgen.MSS(1460), pktgen.SACKPermitted(), pktgen.WindowScale(7)), Options: options,
	}
	c.Open().
		Client(request("GET", "/", web, "")).Server(response("200 OK", html, page("Hello from tcpfollow"))).Wait(time.Second).
		Client(request("GET", "/style.css", web, "", `If-None-Match: "v1"`)).Server([]byte("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n")).Wait(time.Second).
		Client(request("GET", "/story.txt", web, "")).Server(response("200 OK", plain, story(100))).Wait(time.Second).
		Client(request("GET", "/news", web, "")).Server(chunked(plain, "Nothing ", "new ", "today.\n")).Wait(time.Second).
		Client(request("POST", "/guestbook", web, "name=tcpfollow&text=hello", "Content-Type: application/x-www-form-urlencoded")).
		Server(response("201 Created", plain, "Thank you.\n", "Location: /guestbook/1", "Connection: close")).
		Close(server)
	trace := c.Trace()
	trace = trace.Move(segment(trace, server, 4), segment(trace, server, 5))       // the story's third segment comes after the fourth
	trace = trace.Retransmit(segment(trace, client, 2), segment(trace, server, 2)) // the request for it is sent twice
	return trace.Drop(segment(trace, server, 6))                                   // its fifth segment is not in the capture
}

func twoInterfaces() pktgen.Trace {
	c := &pktgen.Conversation{ClientAddr: endpoint("192.0.2.7:50123"), Start: pktgen.Start + 1_000_000_007, Outer: []pktgen.Layer{pktgen.SLL{}}}
	other := c.Open().Client(request("HEAD", "/", "example.org", "")).
		Server([]byte("HTTP/1.1 204 No Content\r\nServer: example\r\n\r\n")).Close(client).Trace()
	for i := range other {
		other[i].Interface = 1
	}
	return pktgen.Merge(browse(), other)
}

func six() pktgen.Trace {
	c := &pktgen.Conversation{
		ClientAddr: endpoint("[2001:db8:1::10]:51000"), ServerAddr: endpoint("[2001:db8:2::80]:80"),
		ClientISN: 77, ServerISN: 99,
	}
	trace := c.Open().Client(request("GET", "/story.txt", "example.net", "")).
		Server(response("200 OK", plain, story(40))).Close(client).Trace()
	trace = trace.Edit(segment(trace, client, 0), func(l []pktgen.Layer) []pktgen.Layer {
		padN := []byte{1, 4, 0, 0, 0, 0}
		return slices.Insert(l, 2, pktgen.Layer(pktgen.Extension{Type: pktgen.DestinationOptions, Data: padN}))
	})
	return trace.Fragment(segment(trace, server, 1), 1000, 1, 0)
}

func vlans() pktgen.Trace {
	tagged := say(&pktgen.Conversation{Outer: []pktgen.Layer{pktgen.Ethernet{MinSize: 60}, pktgen.VLAN{ID: 100, Priority: 3}}})
	stacked := say(&pktgen.Conversation{
		ClientAddr: endpoint("203.0.113.5:49200"), Start: pktgen.Start + 2_000_000,
		Outer: []pktgen.Layer{pktgen.Ethernet{}, pktgen.VLAN{ID: 200, TPID: 0x88a8}, pktgen.VLAN{ID: 300}},
	})
	return pktgen.Merge(tagged.Trace(), stacked.Trace())
}

func reset() pktgen.Trace {
	c := &pktgen.Conversation{ClientISN: 10, ServerISN: 20}
	body := response("200 OK", plain, story(100))
	c.Open().Client(request("GET", "/story.txt", web, "")).Server(body[:3000]).Reset(server)
	return c.Segment(server, packet.ACK, 1460, body[1460:2920]).Trace()
}

func refused() pktgen.Trace {
	attempt := func(from string, at time.Duration) pktgen.Trace {
		c := &pktgen.Conversation{ClientAddr: endpoint(from), ServerAddr: endpoint("198.51.100.2:8080"), ClientISN: 4_000_000_000, Start: pktgen.Start + int64(at)}
		c.Segment(client, packet.SYN, -1, nil)
		return c.Append(server, pktgen.TCP{Src: 8080, Dst: c.ClientAddr.Port(), Ack: c.Seq(client, 0), Flags: packet.RST | packet.ACK}, nil).Trace()
	}
	return pktgen.Merge(attempt("192.0.2.1:49300", 0), attempt("192.0.2.1:49301", time.Second))
}

func wrap() pktgen.Trace {
	c := &pktgen.Conversation{ClientISN: 1<<32 - 60, ServerISN: 1<<32 - 1500, MSS: 536}
	trace := c.Open().Client(request("GET", "/story.txt", web, "")).Server(response("200 OK", plain, story(50))).Close(server).Trace()
	trace = trace.Move(segment(trace, server, 2), segment(trace, server, 3))
	return trace.Retransmit(segment(trace, server, 3), segment(trace, server, 5))
}

func conflict() pktgen.Trace {
	c := &pktgen.Conversation{ClientISN: 1000, ServerISN: 5000, MSS: 10, AckEvery: -1}
	c.Open().Client([]byte("GET /secret HTTP/1.0\r\n\r\n")).Server([]byte("one segment after another, in peace")).Close(client)
	trace := c.Trace()
	late, hole := segment(trace, client, 2), segment(trace, server, 0)
	trace = trace.Overlap(segment(trace, client, 0), late, 0, []byte("GET /other")) // delivered bytes, sent again as others
	trace = trace.Move(hole+1, hole+4)                                              // the server's first segment fills a hole late
	return trace.Overlap(hole+1, hole+2, 5, []byte("OVERLAPS"))
}
