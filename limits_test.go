package tcpfollow_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

func TestConfigErrors(t *testing.T) {
	type limits = tcpfollow.Limits
	type timeouts = tcpfollow.Timeouts
	other := reassemble.NewNative(nil)
	for want, cfg := range map[string]tcpfollow.Config{
		"config: negative Limits.Connections":                            {Limits: limits{Connections: -1}},
		"config: negative Limits.Lingering":                              {Limits: limits{Lingering: -1}},
		"config: negative Limits.Buffered":                               {Limits: limits{Buffered: -1}},
		"config: negative Limits.Segments":                               {Limits: limits{Segments: -1}},
		"config: negative Limits.TotalBuffered":                          {Limits: limits{TotalBuffered: -1}},
		"config: negative Limits.Payload":                                {Limits: limits{Payload: -1}},
		"config: negative Limits.TotalPayload":                           {Limits: limits{TotalPayload: -1}},
		"config: negative History":                                       {History: -1},
		"config: negative Limits.TotalHistory":                           {Limits: limits{TotalHistory: -1}},
		"config: negative Limits.Origins":                                {Limits: limits{Origins: -1}},
		"config: negative Limits.TotalOrigins":                           {Limits: limits{TotalOrigins: -1}},
		"config: negative Limits.Gaps":                                   {Limits: limits{Gaps: -1}},
		"config: negative Limits.Reorder":                                {Limits: limits{Reorder: -1}},
		"config: negative Timeouts.Idle":                                 {Timeouts: timeouts{Idle: -1}},
		"config: negative Timeouts.Handshake":                            {Timeouts: timeouts{Handshake: -1}},
		"config: negative Timeouts.HalfClosed":                           {Timeouts: timeouts{HalfClosed: -1}},
		"config: negative Timeouts.Linger":                               {Timeouts: timeouts{Linger: -1}},
		"config: negative Timeouts.Hole":                                 {Timeouts: timeouts{Hole: -1}},
		"config: negative Timeouts.Reorder":                              {Timeouts: timeouts{Reorder: -1}},
		"config: negative Duplicates":                                    {Duplicates: -1},
		"config: unknown Urgent 3":                                       {Urgent: 3},
		"config: unknown Midstream 2":                                    {Midstream: 2},
		"config: Overlap and OverlapFor are for the default engine":      {Engine: other, Overlap: reassemble.OverlapLast},
		"config: Overlap and OverlapFor are for the default engine, too": {Engine: other, OverlapFor: func(netip.Addr) reassemble.Overlap { return 0 }},
	} {
		t.Run(want, func(t *testing.T) {
			f, err := tcpfollow.New(nil, nil, &cfg)
			require.Error(t, err)
			require.Contains(t, want, err.Error())
			require.Nil(t, f)
		})
	}
	for name, cfg := range map[string]tcpfollow.Config{
		"checksum":  {Decode: packet.DecoderConfig{Checksum: 99}},
		"fragments": {Fragments: packet.DefragmenterConfig{MaxBytes: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tcpfollow.New(nil, nil, &cfg)
			require.Error(t, err)
		})
	}
}

func TestConfigIsCopied(t *testing.T) {
	cfg := tcpfollow.Config{}
	f, err := tcpfollow.New(nil, nil, &cfg)
	require.NoError(t, err)
	require.Nil(t, cfg.Engine)
	require.Zero(t, cfg.Limits)
	cfg.Incremental = true
	cfg.OnOpen = func(*tcpfollow.TCPStream) { t.Error("not this one") }
	for _, fr := range talk().Frames() {
		f.FeedFrame(fr)
	}
	require.NoError(t, f.Close())
}

// holes returns a handshake and n segments of size bytes from the client, each with a hole of 10 bytes in front.
func holes(i, n, size int) *pktgen.Conversation {
	c := (&pktgen.Conversation{ClientAddr: addr(i)}).Open()
	for k := range n {
		c.Segment(client, packet.ACK, int64(10+k*(10+size)), text(size))
	}
	return c
}

func TestLimitConnections(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Connections: 3}})
	for i := range 5 {
		c := &pktgen.Conversation{ClientAddr: addr(i), Start: pktgen.Start + int64(i)*int64(time.Minute)}
		r.feed(c.Open().Client([]byte("x")).Frames()...)
	}
	require.Equal(t, tcpfollow.EndEvicted, r.streams[0].end, "idle for longest")
	require.Equal(t, tcpfollow.EndEvicted, r.streams[1].end)
	require.Equal(t, tcpfollow.EndNone, r.streams[2].end)
	stats := r.follower.Stats()
	require.Equal(t, uint64(2), stats.LimitConnections)
	require.True(t, stats.LimitsHit())
	r.close()
}

// A flood of connections that are never answered does not drive out those that are in use.
func TestFloodEvictsUnanswered(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Connections: 100}})
	var established []*pktgen.Conversation
	for i := range 50 {
		c := &pktgen.Conversation{ClientAddr: addr(i)}
		established = append(established, c)
		r.feed(c.Open().Client([]byte("a")).Frames()...)
	}
	for i := range 1000 {
		c := &pktgen.Conversation{ClientAddr: addr(1000 + i), Start: pktgen.Start + int64(i)*int64(10*time.Millisecond)}
		r.feed(c.Segment(client, packet.SYN, -1, nil).Frames()...)
	}
	for _, c := range established {
		before := len(c.Frames())
		r.feed(c.Wait(time.Minute).Server([]byte("b")).Frames()[before:]...)
	}
	r.close()
	for id := range 50 {
		require.Equal(t, "b", string(r.streams[id].payload[server]), "#%d", id)
	}
	require.Equal(t, uint64(950), r.follower.Stats().LimitConnections)
}

func TestLimitBuffered(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Buffered: 3 * (100 + reassemble.Overhead)}})
	c := holes(0, 5, 100)
	verdicts := r.feed(c.Frames()...)[3:]
	const held = tcpfollow.Held
	require.Equal(t, []tcpfollow.Verdict{held, held, held, held, held}, verdicts)
	require.Equal(t, []string{
		"#0 gap client 0+10 limit", "#0 data client 10+100", "#0 gap client 110+10 limit", "#0 data client 120+100",
	}, short(r.log[1:]))
	stats := r.follower.Stats()
	require.Equal(t, uint64(2), stats.LimitBuffered)
	require.Equal(t, uint64(2), stats.Gaps)
	require.Equal(t, uint64(20), stats.GapBytes)
	require.True(t, stats.LimitsHit())
	r.close()
	require.Equal(t, uint64(50), r.follower.Stats().GapBytes)
}

// short cuts the log lines of data behind the length.
func short(log []string) []string {
	var out []string
	for _, line := range log {
		words, n := line, 0
		for i, b := range []byte(line) {
			if b == ' ' {
				if n++; n == 4 && line[3:7] == "data" {
					words = line[:i]
				}
			}
		}
		out = append(out, words)
	}
	return out
}

func TestLimitSegments(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Segments: 2}})
	r.feed(holes(0, 4, 100).Frames()...)
	require.NotZero(t, r.follower.Stats().LimitBuffered)
	require.Contains(t, short(r.log), "#0 gap client 0+10 limit")
	require.NotContains(t, short(r.log), "#0 gap client 330+10 limit")
	r.close()
}

func TestLimitTotalBuffered(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{TotalBuffered: 4 * (100 + reassemble.Overhead)}})
	for i := range 4 {
		r.feed(holes(i, 1, 100).Frames()...)
	}
	require.Zero(t, r.follower.Stats().LimitTotal)
	r.feed(holes(4, 1, 100).Frames()...)
	require.Equal(t, uint64(1), r.follower.Stats().LimitTotal)
	require.Contains(t, short(r.log), "#4 data client 10+100")
	// Nothing is left behind in the account once streams have ended.
	for i := range 4 {
		r.streams[i].handle.StopAll()
	}
	for i := range 4 {
		r.feed(holes(10+i, 1, 100).Frames()...)
	}
	require.Equal(t, uint64(1), r.follower.Stats().LimitTotal)
	r.close()
}

func TestLimitPayload(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Payload: 2500}})
	r.onData = func(s *tcpfollow.TCPStream) {
		if s.Chunk().Direction == server {
			return
		}
		require.Equal(t, s.Chunk().Offset+uint64(len(s.Chunk().Bytes)) > 2500, s.Truncated(client))
		require.LessOrEqual(t, len(s.ClientPayload()), 2500)
	}
	r.onEnd = func(s *tcpfollow.TCPStream) {
		require.Equal(t, text(2500), s.ClientPayload())
		require.True(t, s.Info().Halves[client].Truncated)
		require.False(t, s.Info().Halves[server].Truncated)
	}
	c := &pktgen.Conversation{MSS: 1000}
	r.feed(c.Open().Client(text(6000)).Server(text(100)).Frames()...)
	r.close()
	require.Equal(t, text(6000), r.streams[0].payload[client], "callbacks see all")
	stats := r.follower.Stats()
	require.Equal(t, uint64(1), stats.LimitPayload)
	require.False(t, stats.LimitsHit(), "no byte was lost")
}

func TestLimitTotalPayload(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{TotalPayload: 2500}})
	say := func(i int) {
		c := &pktgen.Conversation{ClientAddr: addr(i), MSS: 1000}
		r.feed(c.Open().Client(text(1000)).Frames()...)
	}
	for i := range 3 {
		say(i)
	}
	require.Len(t, r.streams[1].handle.ClientPayload(), 1000)
	require.Len(t, r.streams[2].handle.ClientPayload(), 500)
	require.True(t, r.streams[2].handle.Truncated(client))
	r.streams[0].handle.StopAll() // makes room
	say(3)
	require.Len(t, r.streams[3].handle.ClientPayload(), 1000)
	require.Equal(t, uint64(1), r.follower.Stats().LimitPayload)
	r.close()
}

func TestLimitDepth(t *testing.T) {
	for name, test := range map[string]struct {
		feed func(c *pktgen.Conversation)
		want []string
		snap int
	}{
		"short of it": {
			feed: func(c *pktgen.Conversation) { c.Client(text(99)) },
			want: []string{"#0 data client 0+99"},
		},
		"exactly": {
			feed: func(c *pktgen.Conversation) { c.Client(text(60)).Client(text(40)) },
			want: []string{"#0 data client 0+60", "#0 data client 60+40"},
		},
		"inside a segment": {
			feed: func(c *pktgen.Conversation) { c.Client(text(60)).Client(text(60)).Client(text(60)) },
			want: []string{"#0 data client 0+60", "#0 data client 60+40", "#0 gap client 100+80 depth"},
		},
		"between segments": {
			feed: func(c *pktgen.Conversation) { c.Client(text(100)).Client(text(60)) },
			want: []string{"#0 data client 0+100", "#0 gap client 100+60 depth"},
		},
		"in a hole": {
			feed: func(c *pktgen.Conversation) {
				c.Client(text(60)).Segment(client, packet.ACK, 150, text(50)).Ack(server).Wait(5 * time.Second)
				c.Segment(client, packet.ACK, 200, text(50)).Segment(client, packet.ACK, 250, text(50))
			},
			want: []string{"#0 data client 0+60", "#0 gap client 60+90 lost", "#0 gap client 150+150 depth"},
		},
		"holes beyond": {
			feed: func(c *pktgen.Conversation) {
				c.Client(text(120)).Segment(client, packet.ACK, 150, text(50)).Segment(client, packet.ACK, 130, text(5))
			},
			want: []string{"#0 data client 0+100", "#0 gap client 100+100 depth"},
		},
		"cut off by the snapshot length": {
			feed: func(c *pktgen.Conversation) { c.Client(text(60)).Client(text(300)).Client(text(60)) },
			want: []string{"#0 data client 0+60", "#0 data client 60+40", "#0 gap client 100+320 depth"},
			snap: 54 + 120,
		},
		"other direction": {
			feed: func(c *pktgen.Conversation) { c.Client(text(120)).Server(text(50)) },
			want: []string{"#0 data client 0+100", "#0 data server 0+50", "#0 gap client 100+20 depth"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := (&pktgen.Conversation{}).Open()
			test.feed(c)
			trace := c.Trace()
			if test.snap > 0 {
				trace = trace.Snap(test.snap)
			}
			r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Depth: 100}})
			r.feed(trace.Frames()...)
			r.close()
			require.Equal(t, append(append([]string{"#0 open 192.0.2.1:49152 > 198.51.100.2:80 syn"}, test.want...), "#0 end eof"), short(r.log))
			want := uint64(0)
			if len(r.streams[0].info.Halves[client].Gaps) > 0 {
				want = 1
			}
			require.Equal(t, want, r.follower.Stats().LimitDepth)
		})
	}
}

func TestLimitGaps(t *testing.T) {
	gaps := 0
	r := record(t, tcpfollow.Config{
		Limits: tcpfollow.Limits{Gaps: 3}, OnGap: func(*tcpfollow.TCPStream, tcpfollow.Gap) { gaps++ },
	})
	r.feed(holes(0, 10, 5).Frames()...)
	r.close()
	require.Equal(t, 10, gaps)
	half := r.streams[0].info.Halves[client]
	require.Len(t, half.Gaps, 3)
	require.Equal(t, uint64(100), half.Missing)
	require.Equal(t, uint64(50), half.Bytes)
}

func TestLimitReorder(t *testing.T) {
	// In mid-stream, so many segments are held before the first one is taken for the start.
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Reorder: 3}})
	c := &pktgen.Conversation{}
	for i := range 3 {
		c.Segment(client, packet.ACK, int64(1000+i*10), text(10))
	}
	require.Equal(t, tcpfollow.Held, r.feed(c.Frames()[:2]...)[1])
	require.Empty(t, r.log)
	r.feed(c.Frames()[2:]...)
	require.Len(t, r.log, 4)
	require.Equal(t, tcpfollow.BeforeStart, r.feed(c.Segment(client, packet.ACK, 0, text(10)).Frames()[3:]...)[0])
	require.Equal(t, uint64(10), r.follower.Stats().BeforeStart)
	r.close()
}

func TestLimitLingering(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Lingering: 2}})
	var last []packet.Frame
	for i := range 4 {
		c := (&pktgen.Conversation{ClientAddr: addr(i)}).Open().Client([]byte("x")).Close(client)
		r.feed(c.Frames()...)
		n := len(c.Frames())
		last = append(last, c.Segment(client, packet.ACK|packet.PSH, 0, []byte("x")).Frames()[n])
	}
	require.Equal(t, []tcpfollow.Verdict{tcpfollow.AfterEnd, tcpfollow.AfterEnd}, r.feed(last[2:]...))
	require.NotContains(t, r.feed(last[:2]...), tcpfollow.AfterEnd, "the oldest made room")
	r.close()
}

// Records that linger are looked up later, when their memory may have been given back.
func TestLingeringRecordsThatAreGone(t *testing.T) {
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Lingering: 6000}, Incremental: true})
	key := func(i int) packet.FlowKey {
		return packet.NewFlowKey(addr(i), netip.MustParseAddrPort("198.51.100.2:80"), packet.ProtoTCP)
	}
	refuse := func(from, to int, now int64) {
		for i := from; i < to; i++ {
			r.follower.FeedSegment(key(i), packet.TCP{Time: now, Seq: 1, Flags: packet.SYN})
		}
		for i := from; i < to; i++ {
			r.follower.FeedSegment(key(i).Reverse(), packet.TCP{Time: now, Ack: 2, Flags: packet.RST | packet.ACK})
		}
	}
	refuse(0, 9000, pktgen.Start)
	for s := range int64(60) {
		r.follower.FeedSegment(key(60_000), packet.TCP{Time: pktgen.Start + s*int64(time.Second), Flags: packet.ACK})
	}
	refuse(9000, 9100, pktgen.Start+int64(61*time.Second))
	r.close()
	require.Equal(t, uint64(9100), r.follower.Stats().Ends[tcpfollow.EndRefused])
}

// tick lets time pass: packets of no interest, one each second.
func (r *recorder) tick(from int64, d time.Duration) {
	r.t.Helper()
	for s := time.Duration(0); s <= d; s += time.Second {
		fr := udp()
		fr.Time = from + int64(s)
		r.feed(fr)
	}
}

func TestTimeouts(t *testing.T) {
	const after = int64(20 * time.Millisecond)
	for name, test := range map[string]struct {
		timeouts tcpfollow.Timeouts
		talk     func(c *pktgen.Conversation)
		wait     time.Duration // nothing has happened then, but has a tick later
		event    string
	}{
		"idle": {
			tcpfollow.Timeouts{Idle: 20 * time.Second},
			func(c *pktgen.Conversation) { c.Open() },
			20 * time.Second, "#0 end timeout",
		},
		"idle by default": {
			tcpfollow.Timeouts{}, func(c *pktgen.Conversation) { c.Open() }, 124 * time.Minute, "#0 end timeout",
		},
		"handshake": {
			tcpfollow.Timeouts{Handshake: 7 * time.Second},
			func(c *pktgen.Conversation) { c.Segment(client, packet.SYN, -1, nil) },
			7 * time.Second, "#0 end timeout",
		},
		"half-closed": {
			tcpfollow.Timeouts{HalfClosed: 9 * time.Second},
			func(c *pktgen.Conversation) { c.Open().HalfClose(server) },
			9 * time.Second, "#0 end timeout",
		},
		"hole": {
			tcpfollow.Timeouts{Hole: 5 * time.Second},
			func(c *pktgen.Conversation) { c.Open().Segment(client, packet.ACK, 3, []byte("abc")) },
			5 * time.Second, "#0 gap client 0+3 limit",
		},
		"reorder, acknowledged hole": {
			tcpfollow.Timeouts{Reorder: 4 * time.Second},
			func(c *pktgen.Conversation) { c.Open().Segment(client, packet.ACK, 3, []byte("abc")).Ack(server) },
			4 * time.Second, "#0 gap client 0+3 lost",
		},
		"reorder, mid-stream": {
			tcpfollow.Timeouts{Reorder: 4 * time.Second},
			func(c *pktgen.Conversation) { c.Segment(client, packet.ACK, 100, []byte("abc")) },
			4 * time.Second, "#0 open 192.0.2.1:49152 > 198.51.100.2:80 mid",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &pktgen.Conversation{}
			test.talk(c)
			r := record(t, tcpfollow.Config{Timeouts: test.timeouts})
			r.feed(c.Frames()...)
			require.NotContains(t, r.log, test.event)
			r.tick(pktgen.Start+after, test.wait-2*time.Second)
			require.NotContains(t, r.log, test.event)
			r.tick(pktgen.Start+after+int64(test.wait), 2*time.Second)
			require.Contains(t, r.log, test.event)
			hole := uint64(0)
			if name == "hole" {
				hole = 1
			}
			require.Equal(t, hole, r.follower.Stats().LimitHole)
			r.close()
		})
	}
}

func TestTimeoutLinger(t *testing.T) {
	c := talk().Close(client)
	late := c.Segment(client, packet.ACK|packet.PSH, 0, []byte("GET")).Frames()
	n := len(late) - 1
	r := record(t, tcpfollow.Config{Timeouts: tcpfollow.Timeouts{Linger: 10 * time.Second}, Midstream: tcpfollow.MidstreamIgnore})
	r.feed(late[:n]...)
	require.Equal(t, tcpfollow.AfterEnd, r.feed(late[n])[0])
	r.tick(pktgen.Start, 9*time.Second)
	require.Equal(t, tcpfollow.AfterEnd, r.feed(late[n])[0])
	r.tick(pktgen.Start+int64(9*time.Second), 4*time.Second)
	require.Equal(t, tcpfollow.NoStream, r.feed(late[n])[0])
	r.close()
	require.Len(t, r.streams, 1)
}

// Without times, packets count.
func TestNoTimes(t *testing.T) {
	key := packet.NewFlowKey(addr(0), netip.MustParseAddrPort("198.51.100.2:80"), packet.ProtoTCP)
	r := record(t, tcpfollow.Config{Limits: tcpfollow.Limits{Reorder: 4}})
	feed := func(k packet.FlowKey, seq, ack uint32, flags packet.TCPFlags, data string) {
		r.follower.FeedSegment(k, packet.TCP{Seq: seq, Ack: ack, Flags: flags, Payload: []byte(data)})
	}
	feed(key, 0, 0, packet.SYN, "")
	feed(key.Reverse(), 0, 1, packet.SYN|packet.ACK, "")
	feed(key, 4, 1, packet.ACK, "abc")
	feed(key.Reverse(), 1, 7, packet.ACK, "")
	for i := range uint32(6) {
		feed(key, 7+i, 1, packet.ACK, "x")
	}
	require.Contains(t, r.log, "#0 gap client 0+3 lost")
	r.close()
}

func TestTimesGoingBack(t *testing.T) {
	c := talk()
	c.Wait(-5 * time.Second).Client([]byte("later")).Wait(-time.Hour).Server([]byte("much later"))
	c.Wait(2 * time.Hour).Client([]byte("again"))
	r := record(t, tcpfollow.Config{Timeouts: tcpfollow.Timeouts{Idle: 62 * time.Minute}})
	r.feed(c.Frames()...)
	r.close()
	require.Len(t, r.streams, 1)
	require.Equal(t, c.Payload(client), r.streams[0].payload[client])
	require.Equal(t, c.Payload(server), r.streams[0].payload[server])
	require.Equal(t, tcpfollow.EndEOF, r.streams[0].end)
}

func TestTimesBeforeTheEpoch(t *testing.T) {
	c := &pktgen.Conversation{Start: -int64(100 * 365 * 24 * time.Hour)}
	c.Open().Segment(client, packet.ACK, 3, []byte("abc")).Wait(time.Hour)
	c.Ack(server).Wait(24 * time.Hour)
	c.Ack(server)
	r := record(t, tcpfollow.Config{})
	r.feed(c.Frames()...)
	require.Contains(t, r.log, "#0 gap client 0+3 limit")
	require.Contains(t, r.log, "#0 end timeout")
	r.close()
}
