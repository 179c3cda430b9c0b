package tcpfollow_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// urge appends a segment of the client with an urgent pointer, at the end of what it has sent. See also the scripts
// 094-*.
func urge(c *pktgen.Conversation, data string, pointer uint16) *pktgen.Conversation {
	return c.Urgent(client, c.Next(client), []byte(data), pointer)
}

func TestUrgentCounters(t *testing.T) {
	c := (&pktgen.Conversation{}).Open()
	urge(urge(urge(c, "ab!d", 3), "e", 9), "fgh", 0).Client([]byte("ijklmnopq")).Close(client)
	for policy, test := range map[tcpfollow.UrgentPolicy]struct {
		payload string
		octets  []tcpfollow.Urgent
		taken   uint64
	}{
		tcpfollow.UrgentInline: {"ab!defghijklmnopq", nil, 0},
		tcpfollow.UrgentDrop:   {"abdefghijklnopq", nil, 2},
		tcpfollow.UrgentOutOfBand: {"abdefghijklnopq", []tcpfollow.Urgent{
			{Direction: client, Offset: 2, Byte: '!', Origin: reassemble.Origin{Time: c.Frames()[3].Time, Packet: 4, Seq: 3, Ack: 1}},
			{Direction: client, Offset: 12, Byte: 'm', Origin: reassemble.Origin{Time: c.Frames()[6].Time, Packet: 7, Seq: 13, Ack: 1}},
		}, 2},
	} {
		var got []tcpfollow.Urgent
		f, err := tcpfollow.New(nil, func(s *tcpfollow.TCPStream) {
			require.Equal(t, test.payload, string(s.ClientPayload()))
			h := s.Info().Halves[client]
			require.Equal(t, uint64(len(test.payload)), h.Bytes)
			require.Equal(t, test.taken, h.Urgent)
			require.Zero(t, h.Missing)
			require.True(t, h.FIN)
		}, &tcpfollow.Config{Urgent: policy, OnUrgent: func(_ *tcpfollow.TCPStream, u tcpfollow.Urgent) { got = append(got, u) }})
		require.NoError(t, err)
		for _, fr := range c.Frames() {
			f.FeedFrame(fr)
		}
		stats := f.Stats()
		require.Equal(t, uint64(1), stats.Ends[tcpfollow.EndFIN])
		require.Equal(t, test.octets, got)
		require.Equal(t, test.taken, stats.Urgent)
		require.Equal(t, uint64(2), stats.UrgentSegments)
		require.Equal(t, uint64(len(test.payload)), stats.Bytes)
		require.NoError(t, f.Close())
	}
}

// Octets that were taken out do not confuse what late copies are compared with.
func TestUrgentAndConflicts(t *testing.T) {
	c := (&pktgen.Conversation{}).Open()
	urge(urge(urge(c, "ab!d", 3), "e!g", 2), "hi", 0)
	c.Segment(client, packet.ACK, 20, []byte("behind")).Ack(server).Wait(time.Second).Ack(client).Wait(time.Second)
	c.Segment(client, packet.ACK, 0, []byte("ab!Xe!gYi")).Segment(client, packet.ACK, 1, []byte("b?de!g")).Segment(client, packet.ACK, 20, []byte("beZind"))
	want := []string{
		`#0 conflict client 3 "d" "X" false`, `#0 conflict client 7 "h" "Y" false`, `#0 conflict client 2 "!" "?" false`,
		`#0 conflict client 22 "h" "Z" false`,
	}
	for name, test := range map[string]struct {
		cfg        tcpfollow.Config
		want       []string
		unverified bool
	}{
		"payload":           {tcpfollow.Config{}, want, false},
		"history":           {tcpfollow.Config{Incremental: true, History: 100}, want, false},
		"both":              {tcpfollow.Config{History: 100, Limits: tcpfollow.Limits{Payload: 5}}, want, false},
		"too many":          {tcpfollow.Config{Limits: tcpfollow.Limits{Gaps: 1}}, want[2:3], true},
		"too many, history": {tcpfollow.Config{Incremental: true, History: 100, Limits: tcpfollow.Limits{Gaps: 1}}, want[2:], true},
	} {
		t.Run(name, func(t *testing.T) {
			test.cfg.Urgent = tcpfollow.UrgentOutOfBand
			r := record(t, test.cfg)
			r.feed(c.Frames()...)
			r.close()
			require.Equal(t, "abdeghibehind", string(r.streams[0].payload[client]))
			require.Equal(t, test.want, slices.DeleteFunc(slices.Clone(r.log), func(s string) bool { return s[3:7] != "conf" }))
			require.Equal(t, test.unverified, r.follower.Stats().Unverified > 0)
		})
	}
}

// Whatever the order of segments, data and urgent octets together are the stream.
func TestUrgentInAnyOrder(t *testing.T) {
	all := text(300)
	taken := 0
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 10))
		c := (&pktgen.Conversation{ClientISN: uint32(-150 + int(seed))}).Open()
		want := []uint64{}
		for at := 0; at < len(all); {
			n := min(1+rnd.IntN(30), len(all)-at)
			if i := rnd.IntN(60); i < n {
				c.Urgent(client, int64(at), all[at:at+n], uint16(i+1))
				want = append(want, uint64(at+i))
			} else {
				c.Segment(client, packet.ACK, int64(at), all[at:at+n])
			}
			at += n
		}
		trace := c.Trace()
		order := append([]int{0, 1, 2}, rnd.Perm(len(trace)-3)...)
		for i := range order[3:] {
			order[3+i] += 3
		}
		for range 3 { // some come twice
			order = append(order, 3+rnd.IntN(len(trace)-3))
		}
		frames := trace.Pick(order...).Frames()
		for _, cfg := range []tcpfollow.Config{{}, {Origins: true}, {Incremental: true, History: 1000, Origins: true}} {
			cfg.Urgent = tcpfollow.UrgentOutOfBand
			r := record(t, cfg)
			r.onEnd = func(s *tcpfollow.TCPStream) {
				if cfg.Origins {
					sourcesOf(t, frames).check(t, s, client, r.streams[0].payload[client], r.streams[0].octets[client]...)
				}
			}
			r.feed(frames...)
			r.close()
			var data []byte
			for i, b := range all {
				if !slices.Contains(want, uint64(i)) {
					data = append(data, b)
				}
			}
			require.Equal(t, data, r.streams[0].payload[client], "seed %d", seed)
			require.Equal(t, want, append([]uint64{}, r.streams[0].octets[client]...))
			require.Zero(t, r.follower.Stats().Conflicts)
			require.Zero(t, r.follower.Stats().Unverified)
			taken += len(want)
		}
	}
	require.Greater(t, taken, 1000)
}

// A callback that panics in front of an urgent octet, or at it, costs what lies behind in the same segment: it is
// counted.
func TestUrgentPanics(t *testing.T) {
	for name, test := range map[string]struct {
		data, urgent int // at which call of each to panic
		want         string
		unwanted     uint64
	}{
		"no panic":    {9, 9, "abdeghi", 0},
		"before":      {1, 9, "abi", 6},
		"at it":       {9, 1, "abi", 5},
		"behind":      {2, 9, "abdei", 3},
		"at the next": {9, 2, "abdei", 2},
	} {
		t.Run(name, func(t *testing.T) {
			data, urgent, panics := 0, 0, 0
			f, err := tcpfollow.New(func(*tcpfollow.TCPStream) {
				if data++; data == test.data {
					panic("data")
				}
			}, func(s *tcpfollow.TCPStream) {
				h := s.Info().Halves[client]
				require.Equal(t, uint64(9), h.Bytes+h.Urgent+test.unwanted)
				require.Equal(t, test.want, string(s.ClientPayload()))
				require.Equal(t, tcpfollow.EndFIN, s.End())
			}, &tcpfollow.Config{Urgent: tcpfollow.UrgentOutOfBand, OnUrgent: func(*tcpfollow.TCPStream, tcpfollow.Urgent) {
				if urgent++; urgent == test.urgent {
					panic("urgent")
				}
			}})
			require.NoError(t, err)
			c := (&pktgen.Conversation{}).Open()
			urge(c.Urgent(client, 0, nil, 6), "ab!de!gh", 3).Client([]byte("i")).Close(client)
			for _, fr := range c.Frames() {
				func() {
					defer func() {
						if recover() != nil {
							panics++
						}
					}()
					f.FeedFrame(fr)
				}()
			}
			require.Equal(t, name != "no panic", panics == 1)
			require.Equal(t, test.unwanted, f.Stats().Unwanted)
			require.Equal(t, uint64(1), f.Stats().Ends[tcpfollow.EndFIN])
		})
	}
}

// Stop from the callback for what lies in front of an octet covers the octet, too.
func TestUrgentStop(t *testing.T) {
	r := record(t, tcpfollow.Config{Urgent: tcpfollow.UrgentOutOfBand})
	r.onData = func(s *tcpfollow.TCPStream) { s.Stop(client) }
	c := (&pktgen.Conversation{}).Open()
	r.feed(urge(urge(c, "ab!d", 3), "e!", 2).Frames()...)
	r.close()
	require.Equal(t, "ab", string(r.streams[0].payload[client]))
	require.Empty(t, r.streams[0].octets[client])
	require.Equal(t, uint64(4), r.follower.Stats().Unwanted)
	require.Zero(t, r.follower.Stats().Urgent)
}
