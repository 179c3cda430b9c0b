package tcpfollow_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// compatLog follows frames with CompatLibtins and returns the callbacks: what both sides have sent so far, and what is
// new.
func compatLog(t testing.TB, cfg tcpfollow.Config, frames []packet.Frame) (log []string, f *tcpfollow.TCPStreamFollower) {
	t.Helper()
	cfg.CompatLibtins = true
	line := func(what string, s *tcpfollow.TCPStream) {
		log = append(log, fmt.Sprintf("%d #%d %s %q %q", f.Frame(), s.ID(), what, s.ClientPayload(), s.ServerPayload()))
	}
	var err error
	f, err = tcpfollow.New(func(s *tcpfollow.TCPStream) {
		c := s.Chunk()
		all := [2][]byte{s.ClientPayload(), s.ServerPayload()}[c.Direction]
		require.Equal(t, string(all[c.Offset:]), string(c.Bytes), "the chunk is what is new")
		what := fmt.Sprintf("data %v+%d", c.Direction, len(c.Bytes))
		if s.Finished() {
			what += " finished"
		}
		line(what, s)
	}, func(s *tcpfollow.TCPStream) {
		require.True(t, s.Finished())
		line("end "+s.End().String(), s)
	}, &cfg)
	require.NoError(t, err)
	for _, fr := range frames {
		data := fr.Data
		fr.Data = append([]byte(nil), data...)
		f.FeedFrame(fr)
		for i := range fr.Data {
			fr.Data[i] = 0xAA
		}
	}
	n := len(log)
	require.NoError(t, f.Close())
	require.Len(t, log, n, "Close ends nothing")
	return log, f
}

func TestCompatLibtins(t *testing.T) {
	const ack = packet.ACK
	type conversation = pktgen.Conversation
	seg := func(c *conversation, at int, data string) { c.Segment(client, ack, int64(at), []byte(data)) }
	for name, test := range map[string]struct {
		isn  uint32
		feed func(c *conversation)
		want []string
	}{
		"in order": {
			feed: func(c *conversation) {
				c.AckEvery = -1
				c.Open().Client([]byte("ab")).Server([]byte("cd")).Client([]byte("e"))
			},
			want: []string{`4 #0 data client+2 "ab" ""`, `5 #0 data server+2 "ab" "cd"`, `6 #0 data client+1 "abe" "cd"`},
		},
		"the first FIN ends it": {
			feed: func(c *conversation) {
				c.Open()
				c.Segment(client, packet.FIN|ack, 0, []byte("bye"))
				c.Server([]byte("wait")).Close(server)
			},
			want: []string{`4 #0 data client+3 finished "bye" ""`, `4 #0 end fin "bye" ""`},
		},
		"a FIN before its data": {
			feed: func(c *conversation) { c.Open(); c.Segment(client, packet.FIN|ack, 3, nil); seg(c, 0, "abc") },
			want: []string{`4 #0 end fin "" ""`},
		},
		"any RST ends it": {
			feed: func(c *conversation) {
				c.Open()
				seg(c, 5, "late")
				c.Append(server, pktgen.TCP{Src: 80, Dst: 49152, Seq: 77777, Flags: packet.RST}, nil)
				seg(c, 0, "early")
			},
			want: []string{`5 #0 end reset "" ""`},
		},
		"nothing before the SYN+ACK": {
			feed: func(c *conversation) {
				c.Segment(client, packet.SYN, -1, []byte("fast"))
				seg(c, 0, "fast")
				c.Segment(client, packet.FIN|ack, 9, nil)
				c.Append(server, pktgen.TCP{Src: 80, Dst: 49152, Seq: 0, Ack: 1, Flags: packet.SYN | ack}, []byte("hi"))
				seg(c, 0, "fast")
			},
			want: []string{`5 #0 data client+4 "fast" ""`},
		},
		"a SYN+ACK with other flags is none": {
			feed: func(c *conversation) {
				c.Segment(client, packet.SYN, -1, nil).Segment(server, packet.SYN|ack|packet.ECE, -1, nil)
				seg(c, 0, "abc")
			},
		},
		"a SYN+ACK of the client counts": {
			feed: func(c *conversation) {
				c.Segment(client, packet.SYN, -1, nil)
				c.Append(client, pktgen.TCP{Src: 49152, Dst: 80, Seq: 99, Ack: 501, Flags: packet.SYN | ack}, nil)
				c.Append(client, pktgen.TCP{Src: 49152, Dst: 80, Seq: 501, Flags: ack}, []byte("odd"))
				c.Append(server, pktgen.TCP{Src: 80, Dst: 49152, Seq: 100, Flags: ack}, []byte("even"))
			},
			want: []string{`3 #0 data client+3 "odd" ""`, `4 #0 data server+4 "odd" "even"`},
		},
		"the acknowledgement says where the client starts": {
			feed: func(c *conversation) {
				c.Segment(client, packet.SYN, -1, nil)
				c.Append(server, pktgen.TCP{Src: 80, Dst: 49152, Seq: 0, Ack: 3, Flags: packet.SYN | ack}, nil)
				seg(c, 0, "abcd")
			},
			want: []string{`3 #0 data client+2 "cd" ""`},
		},
		"no SYN": {
			feed: func(c *conversation) { seg(c, 0, "abc"); c.Segment(server, packet.SYN|ack, -1, nil) },
		},
		"callbacks that bring nothing": {
			feed: func(c *conversation) {
				c.AckEvery = -1
				c.Open()
				seg(c, 0, "abc")
				seg(c, 2, "c")
				seg(c, 1, "b")
				seg(c, 0, "abc")
			},
			want: []string{`4 #0 data client+3 "abc" ""`, `5 #0 data client+0 "abc" ""`, `7 #0 data client+0 "abc" ""`},
		},
		"out of order": {
			isn:  1<<32 - 4,
			feed: func(c *conversation) { c.Open(); seg(c, 4, "ef"); seg(c, 2, "cd"); seg(c, 6, "g"); seg(c, 0, "ab") },
			want: []string{`7 #0 data client+7 "abcdefg" ""`},
		},
		"a hole stays": {
			feed: func(c *conversation) {
				c.Open()
				seg(c, 0, "ab")
				seg(c, 3, "d")
				c.Segment(server, ack, 0, nil).Wait(time.Hour).Segment(server, ack, 0, nil).Wait(5 * time.Hour)
				seg(c, 2, "c")
			},
			want: []string{`4 #0 data client+2 "ab" ""`, `8 #0 data client+2 "abcd" ""`},
		},
		"the same start: the longer one, or the later": {
			feed: func(c *conversation) { c.Open(); seg(c, 2, "ccc"); seg(c, 2, "dd"); seg(c, 2, "eee"); seg(c, 0, "ab") },
			want: []string{`7 #0 data client+5 "abeee" ""`},
		},
		"overlapping: the lower start": {
			feed: func(c *conversation) { c.Open(); seg(c, 4, "EEE"); seg(c, 2, "cccc"); seg(c, 0, "ab") },
			want: []string{`6 #0 data client+7 "abccccE" ""`},
		},
		"overlapping: what is left competes anew": {
			feed: func(c *conversation) { c.Open(); seg(c, 2, "ccc"); seg(c, 4, "EEE"); seg(c, 0, "abCD") },
			want: []string{`6 #0 data client+7 "abCDEEE" ""`},
		},
		"far away": {
			feed: func(c *conversation) { c.Open(); seg(c, 1<<31+5, "x"); seg(c, -3, "y"); seg(c, 0, "a") },
			want: []string{`6 #0 data client+1 "a" ""`},
		},
		"the port in use again": {
			feed: func(c *conversation) {
				c.Open()
				seg(c, 0, "ab")
				c.Segment(client, packet.SYN, 1_000_000, nil)
				seg(c, 2, "c")
			},
			want: []string{`4 #0 data client+2 "ab" ""`, `6 #0 data client+1 "abc" ""`},
		},
		"the port in use again after the end": {
			feed: func(c *conversation) {
				c.Open().Client([]byte("ab")).HalfClose(client)
				d := (&conversation{ClientISN: 77}).Open().Client([]byte("cd"))
				c.Append(client, pktgen.TCP{Src: 49152, Dst: 80, Seq: 77, Flags: packet.SYN}, nil)
				c.Append(server, pktgen.TCP{Src: 80, Dst: 49152, Seq: 1, Ack: 78, Flags: packet.SYN | ack}, nil)
				c.Append(client, pktgen.TCP{Src: 49152, Dst: 80, Seq: 78, Flags: ack}, []byte("cd"))
				_ = d
			},
			want: []string{`4 #0 data client+2 "ab" ""`, `6 #0 end fin "ab" ""`, `10 #1 data client+2 "cd" ""`},
		},
		"refused": {
			feed: func(c *conversation) { c.Segment(client, packet.SYN, -1, nil).Reset(server) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v6 := range []bool{false, true} {
				c := &conversation{ClientISN: test.isn}
				if v6 {
					c.ClientAddr, c.ServerAddr = netip.MustParseAddrPort("[2001:db8::1]:49152"), netip.MustParseAddrPort("[2001:db8::2]:80")
				}
				test.feed(c)
				got, _ := compatLog(t, tcpfollow.Config{}, c.Frames())
				require.Equal(t, test.want, got)
			}
		})
	}
}

// The four overlap captures of libtins' own tests, as they are described, give the same text.
func TestCompatLibtinsOverlaps(t *testing.T) {
	const want = "TEST1234567890"
	type piece struct {
		at   int
		data string
	}
	for name, test := range map[string]struct {
		isn    uint32
		pieces []piece
	}{
		"a covering segment fills the first byte": {0, []piece{{1, "EST"}, {3, "T1234"}, {0, "TEST12345678"}, {12, "90"}}},
		"growing segments":                        {5, []piece{{4, "1"}, {4, "123"}, {4, "123456"}, {4, "1234567890"}, {0, "TEST"}}},
		"across 2^32":                             {1<<32 - 8, []piece{{4, "12345"}, {6, "34567890"}, {0, "TE"}, {0, "TEST1"}}},
		"a longer retransmission":                 {9, []piece{{0, "TEST"}, {0, "TEST123"}, {0, "TEST1234567890"}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := (&pktgen.Conversation{ClientISN: test.isn}).Open()
			for _, p := range test.pieces {
				c.Segment(client, packet.ACK, int64(p.at), []byte(p.data))
			}
			log, _ := compatLog(t, tcpfollow.Config{}, c.HalfClose(client).Frames())
			require.Contains(t, log[len(log)-1], fmt.Sprintf("end fin %q", want))
		})
	}
}

// Without loss, in any order, the payload is whole.
func TestCompatLibtinsAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		c := (&pktgen.Conversation{MSS: 10, AckEvery: -1, ClientISN: uint32(-60 + int(seed))}).Open()
		c.Client(text(130)).Server(text(90))
		order := []int{0, 1, 2}
		for _, i := range rand.New(rand.NewPCG(seed, 6)).Perm(len(c.Trace()) - 3) {
			order = append(order, i+3)
		}
		trace := c.Trace().Pick(order...)
		frames := append(trace.Frames(), c.HalfClose(server).Frames()[len(trace):]...)
		log, f := compatLog(t, tcpfollow.Config{}, frames)
		require.Contains(t, log[len(log)-1], fmt.Sprintf("end fin %q %q", text(130), text(90)))
		require.Equal(t, uint64(220), f.Stats().Bytes)
	}
}

func TestCompatLibtinsLimits(t *testing.T) {
	held := func(i int) []packet.Frame { return holes(i, 4, 100).Frames() }
	for name, test := range map[string]struct {
		limits          tcpfollow.Limits
		buffered, total uint64
	}{
		"bytes":    {tcpfollow.Limits{Buffered: 2 * (100 + reassemble.Overhead)}, 2, 0},
		"segments": {tcpfollow.Limits{Segments: 3}, 1, 0},
		"in all":   {tcpfollow.Limits{TotalBuffered: 100 + reassemble.Overhead}, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			log, f := compatLog(t, tcpfollow.Config{Limits: test.limits}, held(0))
			require.Empty(t, log)
			stats := f.Stats()
			require.Equal(t, test.buffered, stats.LimitBuffered)
			require.Equal(t, test.total, stats.LimitTotal)
			require.Equal(t, (test.buffered+test.total)*100, stats.Unwanted)
			require.Equal(t, test.buffered+test.total, stats.Verdicts[tcpfollow.Unwanted])
		})
	}
	t.Run("room comes back", func(t *testing.T) {
		f, err := tcpfollow.New(nil, nil, &tcpfollow.Config{CompatLibtins: true, Limits: tcpfollow.Limits{TotalBuffered: 500}})
		require.NoError(t, err)
		for i := range 20 {
			c := holes(i, 2, 50)
			for _, fr := range c.Reset(client).Frames() {
				f.FeedFrame(fr)
			}
		}
		require.Equal(t, uint64(20), f.Stats().Ends[tcpfollow.EndReset])
		require.Zero(t, f.Stats().LimitTotal)
		require.NoError(t, f.Close())
	})
	t.Run("connections", func(t *testing.T) {
		var ends []string
		f, err := tcpfollow.New(nil, func(s *tcpfollow.TCPStream) { ends = append(ends, fmt.Sprint(s.ID(), s.End())) }, &tcpfollow.Config{
			CompatLibtins: true, Limits: tcpfollow.Limits{Connections: 2},
		})
		require.NoError(t, err)
		for i := range 4 {
			c := &pktgen.Conversation{ClientAddr: addr(i), Start: pktgen.Start + int64(i)*int64(time.Hour)}
			for _, fr := range c.Open().Frames() {
				f.FeedFrame(fr)
			}
		}
		require.Equal(t, []string{"0 evicted", "1 evicted"}, ends)
		require.Equal(t, uint64(2), f.Stats().LimitConnections)
		require.NoError(t, f.Close())
	})
}

// Stop and StopAll, origins and empty handles work as without.
func TestCompatLibtinsStreams(t *testing.T) {
	var handle *tcpfollow.TCPStream
	var log []string
	f, err := tcpfollow.New(func(s *tcpfollow.TCPStream) {
		handle = s
		log = append(log, fmt.Sprintf("%v %q", s.Chunk().Direction, s.Chunk().Bytes))
		switch string(s.Chunk().Bytes) {
		case "stopgo":
			s.Stop(server)
		case "all":
			s.StopAll()
		}
	}, func(s *tcpfollow.TCPStream) { log = append(log, "end "+s.End().String()) }, &tcpfollow.Config{CompatLibtins: true, Origins: true})
	require.NoError(t, err)
	c := (&pktgen.Conversation{AckEvery: -1}).Open()
	c.Segment(client, packet.ACK, 4, []byte("go")).Segment(client, packet.ACK, 0, []byte("stop")).Server([]byte("unheard"))
	c.Segment(client, packet.ACK, 6, []byte("all")).Segment(client, packet.ACK, 9, []byte("after"))
	c.Append(client, pktgen.TCP{Src: 49152, Dst: 80, Seq: 900, Flags: packet.SYN}, nil)
	frames := c.Frames()
	var verdicts []tcpfollow.Verdict
	for _, fr := range frames {
		verdicts = append(verdicts, f.FeedFrame(fr))
		if len(verdicts) == 5 {
			require.Equal(t, []string{"0+4 frame 5 seq 1 ack 1", "4+2 frame 4 seq 5 ack 1"}, lines(handle, client))
			info := handle.Info()
			require.Equal(t, uint64(6), info.Halves[client].Bytes)
			require.Equal(t, uint64(5), info.Packets)
		}
	}
	require.Equal(t, []string{`client "stopgo"`, `client "all"`, "end stopped"}, log)
	require.Equal(t, []tcpfollow.Verdict{
		tcpfollow.Opened, tcpfollow.Control, tcpfollow.Control, tcpfollow.Held, tcpfollow.Data, tcpfollow.Unwanted, tcpfollow.Data,
		tcpfollow.NoStream, tcpfollow.Opened,
	}, verdicts)
	require.Zero(t, handle.ID())
	require.Nil(t, handle.ClientPayload())
	require.NoError(t, f.Close())
	require.Equal(t, uint64(2), f.Stats().Streams)
}

func TestCompatLibtinsLeavesNoChoice(t *testing.T) {
	for name, cfg := range map[string]tcpfollow.Config{
		"engine": {Engine: reassemble.NewNative(nil)}, "overlap": {Overlap: reassemble.OverlapLast}, "incremental": {Incremental: true},
		"mid-stream": {Midstream: tcpfollow.MidstreamIgnore}, "urgent": {Urgent: tcpfollow.UrgentDrop}, "any reset": {AnyReset: true},
		"depth": {Limits: tcpfollow.Limits{Depth: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.CompatLibtins = true
			_, err := tcpfollow.New(nil, nil, &cfg)
			require.ErrorContains(t, err, "config: CompatLibtins leaves no choice")
		})
	}
}
