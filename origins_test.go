package tcpfollow_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// sources are the TCP segments of a capture, by frame number.
type sources map[uint64]packet.TCP

func sourcesOf(t testing.TB, frames []packet.Frame) sources {
	t.Helper()
	d, err := packet.NewDecoder(nil)
	require.NoError(t, err)
	s := sources{}
	for i := range frames {
		var p packet.Packet
		if d.Decode(&frames[i], &p); p.IsTCP() {
			s[p.Number] = p.TCP
		}
	}
	return s
}

// check holds the origins of a stream against the packets that they name: all that was delivered of a direction, and
// nothing else, is in its segments, and each byte is in its packet at the place that its sequence number says. octets
// are the offsets of those that were taken out.
func (src sources) check(t testing.TB, s *tcpfollow.TCPStream, d packet.Direction, payload []byte, octets ...uint64) {
	t.Helper()
	gaps := slices.Clone(s.Gaps(d))
	for _, off := range octets {
		gaps = append(gaps, tcpfollow.Gap{Offset: off, Length: 1})
	}
	slices.SortFunc(gaps, func(a, b tcpfollow.Gap) int { return cmp.Compare(a.Offset, b.Offset) })
	var at uint64
	for seg := range s.Segments(d) {
		for len(gaps) > 0 && gaps[0].Offset == at {
			_, ok := s.PacketAt(d, at)
			require.False(t, ok, "an origin of byte %d of %v, which is missing", at, d)
			at += gaps[0].Length
			gaps = gaps[1:]
		}
		require.Equal(t, d, seg.Direction)
		require.Equal(t, at, seg.Offset)
		require.NotZero(t, seg.Length)
		at += seg.Length
		from, ok := src[seg.Origin.Packet]
		require.True(t, ok, "frame %d does not exist", seg.Origin.Packet)
		start := seg.Origin.Seq - from.Seq
		if from.Flags.Has(packet.SYN) {
			start--
		}
		require.LessOrEqual(t, uint64(start)+seg.Length, uint64(len(from.Payload)), "frame %d", seg.Origin.Packet)
		require.Equal(t, string(from.Payload[start:][:seg.Length]), string(payload[:seg.Length]), "frame %d", seg.Origin.Packet)
		payload = payload[seg.Length:]
		require.Equal(t, reassemble.Origin{Time: from.Time, Packet: from.Number, Seq: seg.Origin.Seq, Ack: from.Ack}, seg.Origin)
		for _, i := range []uint64{0, seg.Length / 2, seg.Length - 1} {
			o, ok := s.PacketAt(d, seg.Offset+i)
			require.True(t, ok)
			o.Seq -= uint32(i)
			require.Equal(t, seg.Origin, o)
		}
	}
	require.Empty(t, payload, "bytes without an origin")
	_, ok := s.PacketAt(d, at)
	require.False(t, ok)
}

// lines returns the segments of a direction as text.
func lines(s *tcpfollow.TCPStream, d packet.Direction) (out []string) {
	for seg := range s.Segments(d) {
		out = append(out, fmt.Sprintf("%d+%d frame %d seq %d ack %d", seg.Offset, seg.Length, seg.Origin.Packet, seg.Origin.Seq, seg.Origin.Ack))
	}
	return out
}

func TestOrigins(t *testing.T) {
	type conversation = pktgen.Conversation
	seg := func(c *conversation, at int, data string) { c.Segment(client, packet.ACK, int64(at), []byte(data)) }
	for name, test := range map[string]struct {
		isn    uint32
		feed   func(c *conversation)
		cfg    tcpfollow.Config
		snap   int
		want   []string // of the client
		frames []string // what some frames contributed
	}{
		"in order": {
			feed: func(c *conversation) { c.Client([]byte("abc")).Client([]byte("de")) },
			want: []string{"0+3 frame 4 seq 1 ack 1", "3+2 frame 6 seq 4 ack 1"},
		},
		"out of order": {
			feed: func(c *conversation) { seg(c, 3, "de"); seg(c, 0, "abc") },
			want: []string{"0+3 frame 5 seq 1 ack 1", "3+2 frame 4 seq 4 ack 1"},
		},
		"a gap": {
			feed: func(c *conversation) { seg(c, 0, "abc"); seg(c, 7, "hi") },
			want: []string{"0+3 frame 4 seq 1 ack 1", "7+2 frame 5 seq 8 ack 1"},
		},
		"numbers wrap": {
			isn:  1<<32 - 3,
			feed: func(c *conversation) { seg(c, 0, "abc"); seg(c, 3, "de") },
			want: []string{"0+3 frame 4 seq 4294967294 ack 1", "3+2 frame 5 seq 1 ack 1"},
		},
		"only what is new of a retransmission": {
			feed: func(c *conversation) { seg(c, 0, "abc"); seg(c, 0, "abcde") },
			want: []string{"0+3 frame 4 seq 1 ack 1", "3+2 frame 5 seq 4 ack 1"},
		},
		"the first copy counts": {
			cfg:  tcpfollow.Config{Overlap: reassemble.OverlapFirst},
			feed: func(c *conversation) { seg(c, 3, "de"); seg(c, 1, "BCDEF"); seg(c, 0, "a") },
			want: []string{"0+1 frame 6 seq 1 ack 1", "1+2 frame 5 seq 2 ack 1", "3+2 frame 4 seq 4 ack 1", "5+1 frame 5 seq 6 ack 1"},
		},
		"the last copy counts": {
			cfg:  tcpfollow.Config{Overlap: reassemble.OverlapLast},
			feed: func(c *conversation) { seg(c, 1, "bcdef"); seg(c, 3, "DE"); seg(c, 0, "a") },
			want: []string{"0+1 frame 6 seq 1 ack 1", "1+2 frame 4 seq 2 ack 1", "3+2 frame 5 seq 4 ack 1", "5+1 frame 4 seq 6 ack 1"},
		},
		"pieces of one packet that meet are one": {
			feed: func(c *conversation) {
				seg(c, 5, string(text(40)))
				seg(c, 0, string(text(8)))
				seg(c, 0, string(text(50)))
			},
			want: []string{"0+8 frame 5 seq 1 ack 1", "8+37 frame 4 seq 9 ack 1", "45+5 frame 6 seq 46 ack 1"},
		},
		"from mid-stream": {
			feed: func(c *conversation) {
				*c = conversation{}
				seg(c, 13, "de")
				seg(c, 10, "abc")
			},
			want: []string{"0+3 frame 2 seq 11 ack 1", "3+2 frame 1 seq 14 ack 1"},
		},
		"data in the SYN": {
			feed: func(c *conversation) {
				*c = conversation{}
				c.Segment(client, packet.SYN, -1, []byte("fast"))
				c.Segment(server, packet.SYN|packet.ACK, -1, nil)
				seg(c, 4, "er")
			},
			want: []string{"0+4 frame 1 seq 1 ack 0", "4+2 frame 3 seq 5 ack 1"},
		},
		"cut off": {
			feed: func(c *conversation) { seg(c, 0, string(text(80))); seg(c, 80, "next") },
			snap: 54 + 50,
			want: []string{"0+50 frame 4 seq 1 ack 1", "80+4 frame 5 seq 81 ack 1"},
		},
		"after a leap": {
			feed: func(c *conversation) { seg(c, 0, "abc"); seg(c, 1<<27, "de"); seg(c, 1<<27+2, "f") },
			want: []string{"0+3 frame 4 seq 1 ack 1", "134217728+2 frame 5 seq 134217729 ack 1", "134217730+1 frame 6 seq 134217731 ack 1"},
		},
		"what was not wanted has none": {
			cfg:  tcpfollow.Config{Limits: tcpfollow.Limits{Depth: 4}},
			feed: func(c *conversation) { seg(c, 0, "abc"); seg(c, 3, "def"); seg(c, 6, "ghi") },
			want: []string{"0+3 frame 4 seq 1 ack 1", "3+1 frame 5 seq 4 ack 1"},
		},
		"limit of a direction": {
			cfg:  tcpfollow.Config{Limits: tcpfollow.Limits{Origins: 2}},
			feed: func(c *conversation) { seg(c, 0, "abc"); seg(c, 3, "def"); seg(c, 6, "ghi"); seg(c, 9, "jk") },
			want: []string{"0+3 frame 4 seq 1 ack 1", "3+3 frame 5 seq 4 ack 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, incremental := range []bool{false, true} {
				c := (&conversation{ClientISN: test.isn}).Open()
				test.feed(c)
				trace := c.Trace()
				if test.snap > 0 {
					trace = trace.Snap(test.snap)
				}
				test.cfg.Origins, test.cfg.Incremental = true, incremental
				r := record(t, test.cfg)
				ends := 0
				r.onEnd = func(s *tcpfollow.TCPStream) {
					ends++
					require.Equal(t, test.want, lines(s, client))
					require.Empty(t, lines(s, server))
				}
				r.feed(trace.Frames()...)
				r.close()
				require.Equal(t, 1, ends)
			}
		})
	}
}

// In a data callback the origins of its bytes are known, and after the end none are.
func TestOriginsInCallbacks(t *testing.T) {
	r := record(t, tcpfollow.Config{Origins: true})
	calls := 0
	r.onData = func(s *tcpfollow.TCPStream) {
		calls++
		c := s.Chunk()
		o, ok := s.PacketAt(c.Direction, c.Offset)
		require.True(t, ok)
		require.Equal(t, c.Origin, o)
		all := slices.Collect(s.Segments(c.Direction))
		require.Equal(t, tcpfollow.Segment{Direction: c.Direction, Offset: c.Offset, Length: uint64(len(c.Bytes)), Origin: o}, all[len(all)-1])
		require.Equal(t, all[len(all)-1:], slices.Collect(s.SegmentsOf(o.Packet)))
		for range s.Segments(c.Direction) {
			break // allowed
		}
		for range s.SegmentsOf(o.Packet) {
			break
		}
	}
	r.feed(talk().Close(client).Frames()...)
	require.Equal(t, 2, calls)
	handle := r.streams[0].handle
	require.Empty(t, slices.Collect(handle.Segments(client)))
	require.Empty(t, slices.Collect(handle.SegmentsOf(4)))
	_, ok := handle.PacketAt(client, 0)
	require.False(t, ok)
	r.close()
}

func TestOriginsAreOptional(t *testing.T) {
	r := record(t, tcpfollow.Config{})
	r.onEnd = func(s *tcpfollow.TCPStream) {
		require.Empty(t, lines(s, client))
		_, ok := s.PacketAt(client, 0)
		require.False(t, ok)
	}
	r.feed(talk().Close(client).Frames()...)
	r.close()
	require.Zero(t, r.follower.Stats().Untraced)
}

// A packet whose middle was taken from another one contributed twice.
func TestSegmentsOf(t *testing.T) {
	r := record(t, tcpfollow.Config{Origins: true, Overlap: reassemble.OverlapLast})
	r.onEnd = func(s *tcpfollow.TCPStream) {
		var got []string
		for frame := range uint64(9) {
			for seg := range s.SegmentsOf(frame) {
				got = append(got, fmt.Sprintf("%d: %v %d+%d", frame, seg.Direction, seg.Offset, seg.Length))
			}
		}
		require.Equal(t, []string{"4: client 1+2", "4: client 5+1", "5: client 3+2", "6: client 0+1", "7: server 0+2"}, got)
	}
	c := (&pktgen.Conversation{AckEvery: -1}).Open()
	c.Segment(client, packet.ACK, 1, []byte("bcdef")).Segment(client, packet.ACK, 3, []byte("DE")).Segment(client, packet.ACK, 0, []byte("a"))
	c.Server([]byte("ok"))
	r.feed(c.Frames()...)
	r.close()
}

func TestLimitOrigins(t *testing.T) {
	r := record(t, tcpfollow.Config{Origins: true, Limits: tcpfollow.Limits{TotalOrigins: 5}})
	say := func(i int) *tcpfollow.TCPStream {
		c := &pktgen.Conversation{ClientAddr: addr(i), MSS: 10}
		r.feed(c.Open().Client(text(30)).Frames()...)
		return r.streams[len(r.streams)-1].handle
	}
	first, second := say(0), say(1)
	require.Len(t, lines(first, client), 3)
	require.Len(t, lines(second, client), 2)
	stats := r.follower.Stats()
	require.Equal(t, uint64(1), stats.LimitOrigins)
	require.Equal(t, uint64(10), stats.Untraced)
	require.False(t, stats.LimitsHit(), "no byte was lost")
	first.StopAll() // makes room
	require.Len(t, lines(say(2), client), 3)
	require.Equal(t, uint64(1), r.follower.Stats().LimitOrigins)
	r.close()
}

// Whatever becomes of segments on the way, and whichever copies count, origins are true.
func TestOriginsAreTrue(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		c := dialogue(&pktgen.Conversation{MSS: 40, ClientISN: uint32(-200 + int(seed)), ServerISN: uint32(seed << 24)})
		trace := c.Trace().Reorder(seed, 4)
		for range 6 {
			i := 3 + rnd.IntN(len(trace)-6)
			switch rnd.IntN(3) {
			case 0:
				trace = trace.Retransmit(i, i+1+rnd.IntN(3))
			case 1:
				trace = trace.Drop(i)
			default:
				trace = trace.Overlap(i, i+1, rnd.IntN(30), text(rnd.IntN(60)))
			}
		}
		if seed%4 == 0 {
			trace = trace[3:] // from mid-stream
		}
		frames := trace.Frames()
		src := sourcesOf(t, frames)
		for policy := reassemble.OverlapBSD; policy <= reassemble.OverlapSolaris; policy++ {
			r := record(t, tcpfollow.Config{Origins: true, Overlap: policy, Incremental: seed%2 == 0})
			r.onEnd = func(s *tcpfollow.TCPStream) {
				for d, payload := range r.streams[s.ID()].payload {
					src.check(t, s, packet.Direction(d), payload)
				}
			}
			r.feed(frames...)
			r.close()
		}
	}
}
