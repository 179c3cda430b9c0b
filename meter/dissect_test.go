package meter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet"
)

const request = "GET /index.html HTTP/1.1\r\nHost: WWW.Example.com:8080\r\nUser-Agent: agent/1.0\r\n\r\n"

const response = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 2\r\n\r\nok"

// web is a connection with one exchange, the request in segments of so many bytes.
func web(mss int) pktgen.Trace {
	c := (&pktgen.Conversation{MSS: mss}).Open()
	c.Send(packet.ClientToServer, []byte(request)).Send(packet.ServerToClient, []byte(response))
	return c.Close(packet.ClientToServer).Trace()
}

func dissecting(n int) *meter.Config {
	return config(func(c *meter.Config) { c.Dissections = n })
}

// TestDissection: the columns of one connection, however its bytes were cut, reordered or sent again, and whatever of it
// was captured.
func TestDissection(t *testing.T) {
	found := meter.Application{
		Name: "HTTP", Category: "Web", ServerName: "www.example.com", UserAgent: "agent/1.0", ContentType: "text/html", Confidence: 6,
	}
	trace := web(1000)
	for _, tt := range []struct {
		name   string
		frames []packet.Frame
		most   int
		want   meter.Application
	}{
		{"whole", trace.Frames(), 20, found},
		{"in small segments", web(10).Frames(), 60, found},
		{"reordered", web(20).Reorder(3, 4).Frames(), 60, found},
		{"without its opening", trace[3:].Frames(), 20, found},
		{"sent twice", append(trace.Frames(), trace.Frames()...), 40, found},
		{"the handshake alone counts", trace.Frames(), 3, meter.Application{Name: "HTTP", Category: "Web", Guessed: true, Confidence: 1}},
		{"the request alone counts", trace.Frames(), 4, meter.Application{
			Name: "HTTP", Category: "Web", ServerName: "www.example.com", UserAgent: "agent/1.0", Confidence: 6,
		}},
		{"switched off", trace.Frames(), 0, meter.Application{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flows := run(t, dissecting(tt.most), tt.frames...)
			require.Len(t, flows, 1)
			require.Equal(t, tt.want, flows[0].Application)
		})
	}
}

// TestDissectionAcrossHoles: what is behind a hole is looked at when no more is to come.
func TestDissectionAcrossHoles(t *testing.T) {
	c := (&pktgen.Conversation{MSS: 2000}).Open()
	c.Send(packet.ClientToServer, []byte("nonsense that is lost"))
	c.Send(packet.ClientToServer, []byte(request))
	trace := c.Trace()
	lost := -1
	for i, p := range trace {
		if len(p.Layers) > 0 && strings.Contains(fmt.Sprint(p.Layers), "110 111 110 115") { // "nons"
			lost = i
		}
	}
	require.GreaterOrEqual(t, lost, 0)
	frames := append(trace[:lost:lost], trace[lost+1:]...).Frames()
	flows := run(t, dissecting(20), frames...)
	require.Len(t, flows, 1)
	require.Equal(t, "HTTP", flows[0].Application.Name)
}

// TestDissectionLimits: names are cut to the room that NFStream has, and hold nothing that a terminal would obey.
func TestDissectionLimits(t *testing.T) {
	long := strings.Repeat("a", 300)
	text := "GET / HTTP/1.1\r\nHost: " + long + "\r\nUser-Agent: \x1b[31m" + long + "\r\n\r\n"
	c := (&pktgen.Conversation{MSS: 1400}).Open().Send(packet.ClientToServer, []byte(text)).
		Send(packet.ServerToClient, []byte("HTTP/1.1 200 OK\r\nContent-Type: \xff"+long+"\r\n\r\n"))
	f := run(t, dissecting(20), c.Trace().Frames()...)[0]
	require.Len(t, f.Application.ServerName, 79)
	require.Len(t, f.Application.UserAgent, 255)
	require.Len(t, f.Application.ContentType, 63)
	require.Equal(t, "?[31maaa", f.Application.UserAgent[:8])
	require.Equal(t, "?aaa", f.Application.ContentType[:4])
}

// TestDissectionByPort: what says nothing of itself is guessed, by port or by the number of the IP protocol.
func TestDissectionByPort(t *testing.T) {
	frame := func(upper ...pktgen.Layer) packet.Frame {
		return pktgen.Frame(start, append([]pktgen.Layer{pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}}, upper...)...)
	}
	for _, tt := range []struct {
		frame packet.Frame
		name  string
	}{
		{frame(pktgen.UDP{Src: 40000, Dst: 123}, pktgen.Payload("x")), "NTP"},
		{frame(pktgen.UDP{Src: 40000, Dst: 40001}, pktgen.Payload("x")), "Unknown"},
		{frame(pktgen.Header{Protocol: 1, Bytes: make([]byte, 8)}), "ICMP"},
		{frame(pktgen.Header{Protocol: 132, Bytes: make([]byte, 12)}), "SCTP"},
	} {
		f := run(t, dissecting(20), tt.frame)[0]
		require.Equal(t, tt.name, f.Application.Name)
		require.Equal(t, tt.name == "NTP", f.Application.Guessed, tt.name)
	}
}

// TestDissectionMemory: a flood of bytes that wait for an earlier one is bounded by flow, and ends.
func TestDissectionMemory(t *testing.T) {
	var frames []packet.Frame
	ip := pktgen.IPv4{Src: hostA, Dst: hostB}
	frames = append(frames, pktgen.Frame(start, pktgen.Ethernet{}, ip, pktgen.TCP{Src: 1, Dst: 2, Flags: packet.SYN, Seq: 100}))
	for i := range 200 {
		seq := 200 + 3000*uint32(i)
		frames = append(frames, pktgen.Frame(start, pktgen.Ethernet{}, ip, pktgen.TCP{Src: 1, Dst: 2, Flags: packet.ACK, Seq: seq}, pktgen.Payload(make([]byte, 1400))))
	}
	require.Len(t, run(t, dissecting(255), frames...), 1)
}

// TestMaxDissecting: when too much is being looked into, a flow gets its verdict on what there is, and that is counted.
func TestMaxDissecting(t *testing.T) {
	hold := func(port uint16, at int64) packet.Frame { // says nothing that could be told
		return pktgen.Frame(at, pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.TCP{Src: port, Dst: 9999, Flags: packet.ACK}, pktgen.Payload("zzzzzzzzzz"))
	}
	frames := []packet.Frame{hold(1, at(0)), hold(2, at(1)), hold(3, at(2))}
	frames = append(frames, web(1000).Frames()...)
	for most, limited := range map[int]uint64{1 << 20: 0, 25: 2} {
		found := ""
		m, err := meter.New(func(f *meter.Flow) { found += f.Application.Name + " " }, config(func(c *meter.Config) { c.Dissections, c.MaxDissecting = 20, most }))
		require.NoError(t, err)
		m.FeedBatch(&packet.Batch{Frames: frames})
		require.NoError(t, m.Flush())
		require.Equal(t, limited, m.Stats().Undissected)
		require.Equal(t, "Unknown Unknown Unknown HTTP ", found, "a request that comes in one piece is still told")
		s, err := meter.NewSharded(2, func(*meter.Flow) {}, config(func(c *meter.Config) { c.Dissections, c.MaxDissecting = 20, 1 }), nil)
		require.NoError(t, err)
		s.FeedBatch(&packet.Batch{Frames: frames})
		require.NoError(t, s.Flush())
		require.NotZero(t, s.Stats().Undissected)
	}
}
