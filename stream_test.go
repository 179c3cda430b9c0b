package tcpfollow_test

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

func TestStreamAttributes(t *testing.T) {
	start := time.Unix(0, pktgen.Start).UTC()
	c := talk()
	c.Segment(client, packet.ACK, c.Next(client)+7, []byte("after a hole"))
	c.Close(client)
	frames := c.Frames()
	calls := map[string]int{}
	check := func(where string, s *tcpfollow.TCPStream, direction packet.Direction, hasChunk bool) {
		calls[where]++
		require.Zero(t, s.ID(), where)
		require.Equal(t, start, s.OpenedAt(), where)
		require.Equal(t, netip.MustParseAddr("192.0.2.1"), s.ClientAddr(), where)
		require.Equal(t, uint16(49152), s.ClientPort(), where)
		require.Equal(t, netip.MustParseAddr("198.51.100.2"), s.ServerAddr(), where)
		require.Equal(t, uint16(80), s.ServerPort(), where)
		require.Equal(t, netip.MustParseAddrPort("192.0.2.1:49152"), s.Client(), where)
		require.Equal(t, netip.MustParseAddrPort("198.51.100.2:80"), s.Server(), where)
		require.Equal(t, where == "end", s.Finished(), where)
		require.NotZero(t, s.Frame(), where)
		chunk := s.Chunk()
		if !hasChunk {
			require.Zero(t, chunk, where)
		} else {
			require.Equal(t, direction, chunk.Direction)
			payload := [2][]byte{s.ClientPayload(), s.ServerPayload()}[direction]
			require.Equal(t, string(chunk.Bytes), string(payload[len(payload)-len(chunk.Bytes):]))
			require.GreaterOrEqual(t, s.Frame(), chunk.Origin.Packet)
			require.NotZero(t, chunk.Origin.Time)
		}
		if where != "end" {
			require.Equal(t, tcpfollow.EndNone, s.End())
		}
		require.False(t, s.Truncated(client))
		require.False(t, s.Truncated(server))
	}
	var handle *tcpfollow.TCPStream
	var snapshot tcpfollow.Snapshot
	r := record(t, tcpfollow.Config{
		OnOpen: func(s *tcpfollow.TCPStream) {
			handle = s
			check("open", s, client, false)
			require.Nil(t, s.ClientPayload())
			require.Nil(t, s.ServerPayload())
			require.Equal(t, tcpfollow.StartSYN, s.Info().Start)
		},
		OnGap: func(s *tcpfollow.TCPStream, g tcpfollow.Gap) {
			check("gap", s, client, false)
			require.Equal(t, []tcpfollow.Gap{g}, s.Gaps(client))
		},
	})
	r.onData = func(s *tcpfollow.TCPStream) { check("data", s, s.Chunk().Direction, true) }
	r.onEnd = func(s *tcpfollow.TCPStream) {
		check("end", s, client, false)
		snapshot = s.Snapshot()
	}
	r.feed(frames...)
	require.Same(t, handle, r.streams[0].handle)
	r.close()
	require.Equal(t, map[string]int{"open": 1, "data": 3, "gap": 1, "end": 1}, calls)

	const request, response = "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhello"
	gaps := []tcpfollow.Gap{{Direction: client, Offset: 18, Length: 7, Reason: reassemble.GapLost}}
	want := tcpfollow.Snapshot{
		StreamInfo: tcpfollow.StreamInfo{
			Client: netip.MustParseAddrPort("192.0.2.1:49152"), Server: netip.MustParseAddrPort("198.51.100.2:80"),
			End: tcpfollow.EndFIN, Opened: 1, First: start, Last: start.Add(11 * time.Millisecond), Packets: 12,
			Halves: [2]tcpfollow.Half{
				{Bytes: 30, Gaps: gaps, Missing: 7, FIN: true},
				{Bytes: 24, FIN: true},
			},
		},
		ClientPayload: []byte(request + "after a hole"), ServerPayload: []byte(response),
	}
	want.Last = snapshot.Last // the hole is given up by a timer, or at the end
	require.Equal(t, want, snapshot)
	require.Equal(t, start.Add(11*time.Millisecond), snapshot.Last)

	// The handle is empty, and the snapshot is not.
	require.Zero(t, handle.ID())
	require.Zero(t, handle.OpenedAt())
	require.Zero(t, handle.Frame())
	require.Zero(t, handle.Client())
	require.Zero(t, handle.Server())
	require.Zero(t, handle.ClientAddr())
	require.Zero(t, handle.ClientPort())
	require.Zero(t, handle.ServerAddr())
	require.Zero(t, handle.ServerPort())
	require.False(t, handle.Finished())
	require.Equal(t, tcpfollow.EndNone, handle.End())
	require.Zero(t, handle.Chunk())
	require.Nil(t, handle.ClientPayload())
	require.Nil(t, handle.ServerPayload())
	require.Nil(t, handle.Gaps(client))
	require.False(t, handle.Truncated(client))
	require.Zero(t, handle.Info())
	require.Zero(t, handle.Snapshot())
	require.Nil(t, handle.User())
	handle.SetUser(1)
	require.Nil(t, handle.User())
	handle.Stop(client)
	handle.StopAll()
	c1, s1 := handle.Buffered()
	for _, rd := range []io.Reader{c1, s1} {
		n, err := rd.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
	}
	require.Equal(t, request+"after a hole", string(snapshot.ClientPayload))
}

func TestIDsCount(t *testing.T) {
	r := record(t, tcpfollow.Config{})
	for i := range 5 {
		c := &pktgen.Conversation{ClientAddr: addr(i)}
		r.feed(c.Open().Frames()...)
		id, ok := r.follower.LastStream()
		require.True(t, ok)
		require.Equal(t, uint64(i), id)
	}
	r.close()
	require.Len(t, r.streams, 5)
}

func TestUser(t *testing.T) {
	r := record(t, tcpfollow.Config{OnOpen: func(s *tcpfollow.TCPStream) {
		require.Nil(t, s.User())
		s.SetUser(s.Client().String())
	}})
	ends := 0
	r.onEnd = func(s *tcpfollow.TCPStream) {
		ends++
		require.Equal(t, s.Client().String(), s.User())
	}
	for i := range 3 {
		c := &pktgen.Conversation{ClientAddr: addr(i)}
		r.feed(c.Open().Close(client).Frames()...)
	}
	r.close()
	require.Equal(t, 3, ends)
}

func TestBufferedReaders(t *testing.T) {
	r := record(t, tcpfollow.Config{})
	r.onEnd = func(s *tcpfollow.TCPStream) {
		c, v := s.Buffered()
		request, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, string(s.ClientPayload()), string(request))
		response, err := io.ReadAll(v)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(string(response), "hello"))
	}
	r.feed(talk().Close(client).Frames()...)
	r.close()
	require.NotEmpty(t, r.streams)
}

func TestSnapshotIsOwned(t *testing.T) {
	var first tcpfollow.Snapshot
	r := record(t, tcpfollow.Config{})
	r.onData = func(s *tcpfollow.TCPStream) {
		if s.Chunk().Offset == 0 {
			first = s.Snapshot()
		}
	}
	c := &pktgen.Conversation{MSS: 100}
	r.feed(c.Open().Client(text(1000)).Frames()...)
	require.Equal(t, text(100), first.ClientPayload)
	first.ClientPayload[0] = 99
	r.close()
	require.Equal(t, text(1000), r.streams[0].payload[client])
}

func TestIncremental(t *testing.T) {
	r := record(t, tcpfollow.Config{Incremental: true})
	r.onData = func(s *tcpfollow.TCPStream) {
		require.Nil(t, s.ClientPayload())
		require.Nil(t, s.ServerPayload())
		require.False(t, s.Truncated(client))
	}
	r.feed(talk().Close(client).Frames()...)
	r.close()
	require.Equal(t, uint64(18), r.streams[0].info.Halves[client].Bytes)
}

func TestStop(t *testing.T) {
	for _, name := range callbacks[:5] { // open, data, gap, conflict, urgent
		for _, direction := range []packet.Direction{client, server} {
			t.Run(name+"/"+direction.String(), func(t *testing.T) {
				var next [2]uint64
				stopped := false
				r, frames := inCallback(t, name, func(r *recorder, s *tcpfollow.TCPStream) {
					if !stopped {
						s.Stop(direction)
						next[0], next[1] = r.streams[0].next[0], r.streams[0].next[1]
						stopped = true
					}
				})
				r.feed(frames...)
				r.close()
				require.True(t, stopped)
				require.Len(t, r.streams, 1)
				require.Equal(t, next[direction], r.streams[0].next[direction], "nothing comes any more")
				other, frames := inCallback(t, "", nil)
				other.feed(frames...)
				other.close()
				require.Equal(t, other.streams[0].payload[direction.Reverse()], r.streams[0].payload[direction.Reverse()])
				require.Equal(t, other.streams[0].end, r.streams[0].end)
			})
		}
	}
}

func TestStopAll(t *testing.T) {
	for _, name := range callbacks[:5] {
		t.Run(name, func(t *testing.T) {
			events := 0
			r, frames := inCallback(t, name, func(r *recorder, s *tcpfollow.TCPStream) {
				s.StopAll()
				s.StopAll()
				events = len(r.log)
			})
			r.feed(frames...)
			require.Equal(t, tcpfollow.EndStopped, r.streams[0].end)
			require.Equal(t, []string{"#0 end stopped"}, r.log[events:], "the end, and nothing else")
			r.close()
			require.Len(t, r.streams, 1)
			require.Equal(t, uint64(1), r.follower.Stats().Ends[tcpfollow.EndStopped])
		})
	}
	t.Run("end", func(t *testing.T) {
		r, frames := inCallback(t, "end", func(_ *recorder, s *tcpfollow.TCPStream) { s.StopAll() })
		r.feed(frames...)
		r.close()
		require.NotEqual(t, tcpfollow.EndStopped, r.streams[0].end, "it is ending already")
	})
}

func TestStopFromOutside(t *testing.T) {
	r := record(t, tcpfollow.Config{})
	frames := talk().Close(client).Frames()
	r.feed(frames[:4]...)
	r.streams[0].handle.Stop(server)
	r.feed(frames[4:8]...)
	require.Empty(t, r.streams[0].payload[server])
	require.NotEmpty(t, r.streams[0].payload[client])
	require.Equal(t, uint64(24), r.follower.Stats().Unwanted)
	r.streams[0].handle.StopAll()
	require.Equal(t, tcpfollow.EndStopped, r.streams[0].end, "at once")
	require.Equal(t, tcpfollow.Unwanted, r.feed(frames[8])[0])
	r.close()
}

func TestStopDropsWhatIsHeld(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{TotalBuffered: 2000}})
	c := (&pktgen.Conversation{}).Open()
	c.Segment(client, packet.ACK, 100, text(1000))
	r.feed(c.Frames()...)
	r.streams[0].handle.Stop(client)
	d := (&pktgen.Conversation{ClientAddr: addr(1)}).Open()
	d.Segment(client, packet.ACK, 100, text(1500))
	r.feed(d.Frames()...)
	require.Zero(t, r.follower.Stats().LimitTotal, "the first one's bytes are gone")
	r.close()
	require.Empty(t, r.streams[0].payload[client])
}

func TestStopAnotherStream(t *testing.T) {
	for _, all := range []bool{true, false} {
		var first *tcpfollow.TCPStream
		r := record(t, tcpfollow.Config{})
		r.onData = func(s *tcpfollow.TCPStream) {
			if first != nil && s != first {
				if all {
					first.StopAll()
				} else {
					first.Stop(client)
				}
				require.False(t, first.Finished(), "not before the callback returns")
			}
		}
		r.feed(talk().Frames()...)
		first = r.streams[0].handle
		d := (&pktgen.Conversation{ClientAddr: addr(1)}).Open()
		r.feed(d.Client([]byte("x")).Frames()...)
		if all {
			require.Equal(t, tcpfollow.EndStopped, r.streams[0].end)
		} else {
			require.Equal(t, tcpfollow.EndNone, r.streams[0].end)
			c := talk()
			r.feed(c.Client([]byte("more")).Frames()[7:]...)
			require.Len(t, r.streams[0].payload[client], 18)
		}
		r.close()
	}
}

func TestStrings(t *testing.T) {
	require.Equal(t, "syn", tcpfollow.StartSYN.String())
	require.Equal(t, "synack", tcpfollow.StartSYNACK.String())
	require.Equal(t, "mid", tcpfollow.StartMid.String())
	require.Equal(t, "unknown", tcpfollow.StartKind(9).String())
	for r, want := range []string{"", "fin", "reset", "refused", "timeout", "superseded", "evicted", "stopped", "eof", "unknown"} {
		require.Equal(t, want, tcpfollow.EndReason(r).String())
	}
}
