package tcpfollow_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

const within = 2 * time.Millisecond

// mirrored returns a trace in which each packet comes again after a while, as change makes it.
func mirrored(trace pktgen.Trace, after time.Duration, change func(pktgen.Trace) pktgen.Trace) pktgen.Trace {
	copies := slices.Clone(trace)
	if change != nil {
		copies = change(copies)
	}
	for i := range copies {
		copies[i].Time += int64(after)
	}
	return pktgen.Merge(trace, copies)
}

// changeIP returns what changes all IPv4 headers of a trace.
func changeIP(change func(*pktgen.IPv4)) func(pktgen.Trace) pktgen.Trace {
	return func(trace pktgen.Trace) pktgen.Trace {
		for i := range trace {
			trace = trace.Edit(i, func(layers []pktgen.Layer) []pktgen.Layer {
				for k, l := range layers {
					if h, ok := l.(pktgen.IPv4); ok {
						change(&h)
						layers[k] = h
					}
				}
				return layers
			})
		}
		return trace
	}
}

func TestCapturedTwice(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for name, test := range map[string]struct {
		v6     bool
		after  time.Duration
		change func(pktgen.Trace) pktgen.Trace
		none   bool // they are no copies
	}{
		"at once":         {},
		"later":           {after: within},
		"too late":        {after: within + 1, none: true},
		"routed":          {change: changeIP(func(h *pktgen.IPv4) { h.TTL, h.TOS = 63, 8 })},
		"sent again":      {change: changeIP(func(h *pktgen.IPv4) { h.ID += 1000 }), none: true},
		"in a VLAN":       {change: func(tr pktgen.Trace) pktgen.Trace { return tr.Relink(pktgen.Ethernet{}, pktgen.VLAN{ID: 7}) }},
		"on another link": {change: func(tr pktgen.Trace) pktgen.Trace { return tr.Relink(pktgen.SLL{}) }},
		"in a tunnel": {change: func(tr pktgen.Trace) pktgen.Trace {
			return tr.Wrap(pktgen.Ethernet{}, pktgen.IP(a, b), pktgen.UDP{}, pktgen.VXLAN{VNI: 3})
		}},
		"padded": {change: func(tr pktgen.Trace) pktgen.Trace { return tr.Relink(pktgen.Ethernet{MinSize: 60}) }},
		"IPv6":   {v6: true},
		"other data": {none: true, change: func(tr pktgen.Trace) pktgen.Trace {
			for i := range tr {
				tr = tr.Edit(i, func(layers []pktgen.Layer) []pktgen.Layer {
					for k, l := range layers {
						if h, ok := l.(pktgen.TCP); ok {
							h.Options = pktgen.Timestamps(uint32(i), 1)
							layers[k] = h
						}
					}
					return layers
				})
			}
			return tr
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &pktgen.Conversation{MSS: 100, Step: 300 * time.Microsecond}
			if test.v6 {
				c.ClientAddr, c.ServerAddr = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8::2]:80")
			}
			trace := dialogue(c).Trace()
			frames := mirrored(trace, test.after, test.change).Frames()
			for _, batch := range []int{1, 3, 64} {
				r := record(t, tcpfollow.Config{Duplicates: within})
				verdicts := make([]tcpfollow.Verdict, 0, len(frames))
				for b := range slices.Chunk(frames, batch) {
					v := make([]tcpfollow.Verdict, len(b))
					r.follower.FeedBatch(&packet.Batch{Frames: b}, v)
					verdicts = append(verdicts, v...)
				}
				r.close()
				require.Equal(t, c.Payload(client), r.streams[0].payload[client])
				require.Equal(t, c.Payload(server), r.streams[0].payload[server])
				info, n := r.streams[0].info, uint64(len(trace))
				stats := r.follower.Stats()
				if test.none {
					require.Zero(t, info.Duplicates)
					require.Zero(t, stats.Verdicts[tcpfollow.CapturedTwice])
					continue
				}
				require.Equal(t, n, stats.Verdicts[tcpfollow.CapturedTwice])
				require.Equal(t, n-1, info.Packets, "all but the last acknowledgement, which comes after the end")
				require.InDelta(t, n, info.Duplicates, 8)
				require.Zero(t, stats.Verdicts[tcpfollow.Duplicate])
				require.NotContains(t, verdicts[:1], tcpfollow.CapturedTwice)
				require.Contains(t, verdicts, tcpfollow.CapturedTwice)
			}
		})
	}
}

// Without Config.Duplicates, the same frames are retransmissions and acknowledgements, and give the same streams.
func TestCapturedTwiceUnasked(t *testing.T) {
	c := dialogue(&pktgen.Conversation{MSS: 100})
	r := record(t, tcpfollow.Config{})
	r.feed(mirrored(c.Trace(), 0, nil).Frames()...)
	r.close()
	require.Equal(t, c.Payload(server), r.streams[0].payload[server])
	require.Zero(t, r.streams[0].info.Duplicates)
	require.NotZero(t, r.follower.Stats().Verdicts[tcpfollow.Duplicate])
	require.Equal(t, uint64(2*len(c.Trace())-3), r.streams[0].info.Packets, "all up to the second FIN")
}

// A copy of which the snapshot length cut off another part is looked at.
func TestCapturedTwiceInPart(t *testing.T) {
	trace := (&pktgen.Conversation{}).Open().Client(text(100)).Trace()[:4]
	for _, cut := range []int{3, 4} {
		trace := trace.Duplicate(3)
		trace[cut].Snap = 54 + 40
		r := record(t, tcpfollow.Config{Duplicates: time.Second})
		require.NotContains(t, r.feed(trace.Frames()...), tcpfollow.CapturedTwice)
		r.close()
		require.Equal(t, text(100)[:40], r.streams[0].payload[client][:40])
		require.Equal(t, uint64(100), r.streams[0].next[client])
	}
}

// Fragments that were captured twice give a datagram that was.
func TestFragmentsCapturedTwice(t *testing.T) {
	c := (&pktgen.Conversation{}).Open().Client(text(1000))
	whole := c.Trace().Fragment(3, 400)
	trace := append(slices.Clone(whole[:6]), whole[3:]...)
	for i := range trace {
		trace[i].Time = pktgen.Start + int64(i)*1000
	}
	r := record(t, tcpfollow.Config{Duplicates: time.Second})
	verdicts := r.feed(trace.Frames()...)
	r.close()
	require.Equal(t, tcpfollow.Data, verdicts[5])
	require.Equal(t, tcpfollow.CapturedTwice, verdicts[8])
	require.Equal(t, text(1000), r.streams[0].payload[client])
}

// Streams without a callback of their own so far, connections that are none, and those that have ended.
func TestCapturedTwiceWithoutStream(t *testing.T) {
	var infos []tcpfollow.StreamInfo
	f, err := tcpfollow.New(nil, func(s *tcpfollow.TCPStream) { infos = append(infos, s.Info()) }, &tcpfollow.Config{Duplicates: time.Second})
	require.NoError(t, err)
	ack := (&pktgen.Conversation{ClientAddr: addr(1)}).Ack(client).Trace()
	trace := append(mirrored((&pktgen.Conversation{}).Open().Trace(), 0, nil), mirrored(ack, 0, nil)...)
	var got []string
	for _, fr := range trace.Frames() {
		v := f.FeedFrame(fr)
		id, ok := f.LastStream()
		got = append(got, fmt.Sprint(v, id, ok))
	}
	require.NoError(t, f.Close())
	require.Equal(t, []string{
		"opened 0 true", "captured twice 0 true", "control 0 true", "captured twice 0 true", "control 0 true", "captured twice 0 true",
		"no stream 0 false", "captured twice 0 false",
	}, got)
	require.Equal(t, uint64(3), infos[0].Duplicates)
}

// Memory is bounded, however many packets come within the time; the latest are known again.
func TestSightingsAreBounded(t *testing.T) {
	f, err := tcpfollow.New(nil, nil, &tcpfollow.Config{Duplicates: time.Hour, Midstream: tcpfollow.MidstreamIgnore})
	require.NoError(t, err)
	feed := func(i int) tcpfollow.Verdict {
		k := keyOf(i)
		return f.FeedFrame(pktgen.Segment(pktgen.Start+int64(i), k.Src(), k.Dst(), pktgen.TCP{Flags: packet.ACK}, nil))
	}
	const n = 1 << 15
	for i := range 2 * n {
		feed(i)
	}
	before := heap()
	for i := 2 * n; i < 10*n; i++ {
		feed(i)
	}
	require.Less(t, heap()-before, int64(1<<20))
	require.Zero(t, f.Stats().Verdicts[tcpfollow.CapturedTwice])
	require.Equal(t, tcpfollow.CapturedTwice, feed(9*n))
	require.Equal(t, tcpfollow.NoStream, feed(0))
	require.NoError(t, f.Close())
}
