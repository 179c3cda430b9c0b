package tcpfollow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// forged returns a conversation with a reset that nobody received.
func forged() *pktgen.Conversation {
	return talk().Reset(server).Client([]byte("and on")).Server([]byte("it goes"))
}

// Bytes after a reset count as that until they turn out to be of a stream, which keeps the roles.
func TestForgedReset(t *testing.T) {
	r := record(t, tcpfollow.Config{Origins: true})
	frames := forged().Frames()
	reset := len(talk().Frames())
	r.feed(frames[:reset+2]...)
	require.Equal(t, uint64(6), r.follower.Stats().AfterEnd)
	require.Equal(t, tcpfollow.EndReset, r.streams[0].end)
	verdicts := r.feed(frames[reset+2:]...)
	require.Equal(t, []tcpfollow.Verdict{tcpfollow.Opened, tcpfollow.Data, tcpfollow.Control}, verdicts)
	stats := r.follower.Stats()
	require.Zero(t, stats.AfterEnd)
	require.Equal(t, uint64(2), stats.Streams)
	id, ok := r.follower.LastStream()
	require.True(t, ok)
	require.Equal(t, uint64(1), id)
	s := r.streams[1].handle
	require.Equal(t, pktgen.Start+int64(reset+1)*int64(time.Millisecond), s.OpenedAt().UnixNano())
	at, ok := s.PacketAt(client, 0)
	require.True(t, ok)
	require.Equal(t, uint64(reset+2), at.Packet)
	r.close()
	require.Equal(t, "and on", string(r.streams[1].payload[client]))
	require.Equal(t, "it goes", string(r.streams[1].payload[server]))
	require.Equal(t, tcpfollow.StartMid, r.streams[1].info.Start)
	require.Equal(t, r.streams[0].info.Client, r.streams[1].info.Client)
	require.Equal(t, uint64(4), r.streams[1].info.Packets, "the one that proves it included")
}

// What does not show that a connection goes on.
func TestResetStands(t *testing.T) {
	on := packet.ACK | packet.PSH
	for name, after := range map[string]func(c *pktgen.Conversation){
		"not acknowledged": func(c *pktgen.Conversation) {
			c.Segment(client, on, 18, []byte("more")).Segment(client, on, 22, []byte("!"))
		},
		"an acknowledgement in a reset": func(c *pktgen.Conversation) {
			c.Segment(client, on, 18, []byte("more")).Reset(server).Ack(server)
		},
		"of what was there before": func(c *pktgen.Conversation) { c.Segment(client, on, 0, text(18)).Ack(server) },
		"of too much": func(c *pktgen.Conversation) {
			c.Segment(client, on, 18, []byte("more")).Append(server, pktgen.TCP{
				Src: 80, Dst: c.ClientAddr.Port(), Seq: c.Seq(server, c.Next(server)), Ack: c.Seq(client, 1<<29), Flags: packet.ACK,
			}, nil)
		},
		"its own": func(c *pktgen.Conversation) { c.Segment(client, on, 18, []byte("more")).Ack(client) },
		"no bytes": func(c *pktgen.Conversation) {
			c.Segment(client, packet.ACK|packet.FIN, 22, nil).Ack(server)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := talk().Reset(server)
			after(c)
			streams := streamsOf(t, tcpfollow.Config{}, c.Frames())
			require.Len(t, streams, 1)
			require.Equal(t, tcpfollow.EndReset, streams[0].end)
		})
	}
}

// What waits to be acknowledged counts against Limits.TotalBuffered, and goes with the connection's record or another
// reset.
func TestAfterResetIsBounded(t *testing.T) {
	const n = 50
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{TotalBuffered: n * 1000}})
	flood := func(from int, start int64, last func(c *pktgen.Conversation)) uint64 {
		for i := range n {
			c := &pktgen.Conversation{ClientAddr: addr(from + i), Start: start}
			c.Open().Reset(server).Segment(client, packet.ACK, 0, text(1000))
			last(c)
			r.feed(c.Frames()...)
		}
		return r.follower.Stats().LimitTotal
	}
	require.Zero(t, flood(0, pktgen.Start, func(*pktgen.Conversation) {}))
	require.Equal(t, uint64(n), flood(n, pktgen.Start, func(*pktgen.Conversation) {}))
	later := pktgen.Start + int64(time.Minute)
	require.Equal(t, uint64(n), flood(2*n, later, func(c *pktgen.Conversation) { c.Reset(server) }), "the first are forgotten")
	require.Equal(t, uint64(n), flood(3*n, later, func(*pktgen.Conversation) {}), "and those were answered")
	require.True(t, func() bool { s := r.follower.Stats(); return s.LimitsHit() }())
	r.close()
	require.Equal(t, uint64(4*n*1000), r.follower.Stats().AfterEnd)
}

// Thousands of connections that are reset with bytes in flight leave nothing behind.
func TestAfterResetMemoryReturns(t *testing.T) {
	const n = 2000
	f, feed := feeder(t, tcpfollow.Config{Incremental: true})
	data := text(10_000)
	before := heap()
	for i := range n {
		feed(keyOf(i), 0, packet.SYN, nil)
		feed(keyOf(i), 1, packet.ACK, data[:1])
		feed(keyOf(i), 2, packet.RST, nil)
		feed(keyOf(i), 2, packet.ACK, data)
	}
	require.Greater(t, heap()-before, int64(n*len(data)))
	require.NoError(t, f.Close())
	require.Less(t, heap()-before, int64(n*len(data)/8))
	require.Equal(t, uint64(n*len(data)), f.Stats().AfterEnd)
}

// refused returns a conversation with a hole, part of which a refused reset has, and bytes behind it; all acknowledged.
func refused() *pktgen.Conversation {
	return talk().Segment(client, packet.RST|packet.ACK, 20, []byte("REFUSED")).
		Segment(client, packet.ACK, 30, []byte("end")).Ack(server).Wait(time.Second).Ack(client)
}

// The bytes of a refused reset know where they come from, and a later copy that differs is a conflict.
func TestRefusedReset(t *testing.T) {
	r := record(t, tcpfollow.Config{Origins: true})
	c := refused()
	at := uint64(len(talk().Frames()) + 1)
	r.feed(c.Segment(client, packet.ACK, 20, []byte("refused")).Frames()...)
	stats := r.follower.Stats()
	require.Equal(t, uint64(1), stats.Verdicts[tcpfollow.BadReset])
	require.Equal(t, uint64(5), stats.GapBytes)
	require.Equal(t, uint64(7), stats.Conflicts)
	origin, ok := r.streams[0].handle.PacketAt(client, 26)
	require.True(t, ok)
	require.Equal(t, at, origin.Packet)
	require.Equal(t, []tcpfollow.Gap{{Direction: client, Offset: 18, Length: 2}, {Direction: client, Offset: 27, Length: 3}}, r.streams[0].handle.Gaps(client))
	r.close()
	require.Equal(t, "GET / HTTP/1.1\r\n\r\nREFUSEDend", string(r.streams[0].payload[client]))
}

// Stops that come while a hole is filled.
func TestStopWhileFilling(t *testing.T) {
	for name, test := range map[string]struct {
		stop     func(s *tcpfollow.TCPStream)
		inGap    bool
		want     string
		unwanted uint64
	}{
		"direction, at the gap":    {func(s *tcpfollow.TCPStream) { s.Stop(client) }, true, "", 7 + 3 + 3},
		"direction, at the bytes":  {func(s *tcpfollow.TCPStream) { s.Stop(client) }, false, "REFUSED", 3 + 3},
		"everything, at the gap":   {(*tcpfollow.TCPStream).StopAll, true, "", 7 + 3 + 3},
		"everything, at the bytes": {(*tcpfollow.TCPStream).StopAll, false, "REFUSED", 3 + 3},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tcpfollow.Config{}
			if test.inGap {
				cfg.OnGap = func(s *tcpfollow.TCPStream, _ tcpfollow.Gap) { test.stop(s) }
			}
			r := record(t, cfg)
			r.onData = func(s *tcpfollow.TCPStream) {
				if c := s.Chunk(); !test.inGap && c.Direction == client && c.Offset == 20 {
					test.stop(s)
				}
			}
			r.feed(refused().Frames()...)
			require.Equal(t, test.unwanted, r.follower.Stats().Unwanted)
			r.close()
			require.Equal(t, "GET / HTTP/1.1\r\n\r\n"+test.want, string(r.streams[0].payload[client]))
		})
	}
}

// Resets that carry bytes are kept as long as those may be missing, and no more of them than Limits.Reorder.
func TestRefusedResetsAreBounded(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Reorder: 3, TotalBuffered: 3000}})
	c := talk()
	for range 10 { // each past before the next comes
		c.Segment(client, packet.RST|packet.ACK, c.Next(client)+1, text(1000))
		c.Segment(client, packet.ACK, c.Next(client)-1001, text(1001))
	}
	r.feed(c.Frames()...)
	require.Zero(t, r.follower.Stats().LimitTotal)
	c = talk()
	for i := range int64(10) {
		c.Segment(client, packet.RST|packet.ACK, 20+i, []byte{byte(i)})
	}
	r = record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Reorder: 3}})
	r.feed(c.Segment(client, packet.ACK, 30, []byte("end")).Ack(server).Wait(time.Second).Ack(client).Frames()...)
	r.close()
	require.Equal(t, "GET / HTTP/1.1\r\n\r\n\x00\x01\x02end", string(r.streams[0].payload[client]))
}
