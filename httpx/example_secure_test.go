package httpx_test

import (
	"context"
	"fmt"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/tlsx"
)

// layer feeds a connection to its decryption.
type layer struct{ conn *tlsx.Conn }

func (l layer) Data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) {
	l.conn.Data(tlsx.Direction(dir), off, b, tlsx.Origin(o))
}
func (l layer) Gap(dir packet.Direction, off, n uint64) { l.conn.Gap(tlsx.Direction(dir), off, n) }
func (l layer) End(dir packet.Direction)                { l.conn.End(tlsx.Direction(dir)) }

// inside feeds what was decrypted to HTTP.
type inside struct{ to *httpx.Conn }

func (h inside) Data(d tlsx.Direction, c tlsx.Chunk) {
	h.to.Data(packet.Direction(d), c.Offset, c.Bytes, reassemble.Origin{Time: c.Origin.Time, Packet: c.Origin.Packet})
}

func (h inside) Gap(d tlsx.Direction, g tlsx.Gap) { h.to.Gap(packet.Direction(d), g.Offset, g.Length) }
func (h inside) End(d tlsx.Direction, _ tlsx.End) { h.to.End(packet.Direction(d)) }

// HTTP within TLS, with the keys that the capture holds.
func Example_tls() {
	var keys tlsx.KeyLog
	decrypter, err := tlsx.New(&keys, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	follower, err := httpx.Follow(&httpx.Config{
		OnExchange: func(e *httpx.Exchange) {
			fmt.Println(e.Request.Method, e.Request.URL(), e.Response.Version, e.Response.Status, e.Response.Length)
		},
		Secure: func(inner *httpx.Conn) httpx.Layer {
			return layer{decrypter.Open(inside{inner})}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	streams, err := tcpfollow.New(follower.Data, follower.End, &tcpfollow.Config{OnGap: follower.Gap, Incremental: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := pcapfile.Open("../testdata/tls/h2.pcapng", &pcapfile.Config{OnBlock: func(b pcapfile.Block) {
		if kind, data, ok := b.Secrets(); ok && kind == pcapfile.SecretsTLS {
			keys.Write(data)
		}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	if err := streams.Follow(context.Background(), file); err != nil {
		fmt.Println(err)
	}
	// Output:
	// GET https://example.com/ HTTP/2 200 236
	// GET https://example.com/story.txt HTTP/2 200 8900
	// POST https://example.com/guestbook HTTP/2 201 11
}

// The messages of a WebSocket connection.
func Example_webSocket() {
	p, err := httpx.New(&httpx.Config{OnWebSocket: func(m *httpx.WebSocketMessage) {
		fmt.Printf("%v says %v %q\n", m.Direction, m.Opcode, m.Data)
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c := p.Open(httpx.ConnInfo{})
	var off [2]uint64
	say := func(dir packet.Direction, s string) {
		c.Data(dir, off[dir], []byte(s), reassemble.Origin{})
		off[dir] += uint64(len(s))
	}
	say(packet.ClientToServer, "GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	say(packet.ServerToClient, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	say(packet.ServerToClient, "\x01\x03Hel")
	say(packet.ServerToClient, "\x89\x00\x80\x02lo")
	say(packet.ClientToServer, "\x81\x82\x01\x02\x03\x04Ik")
	c.Close()
	// Output:
	// server says ping ""
	// server says text "Hello"
	// client says text "Hi"
}
