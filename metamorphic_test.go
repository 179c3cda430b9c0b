package tcpfollow_test

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// dialogue returns a conversation of a few messages each way.
func dialogue(c *pktgen.Conversation) *pktgen.Conversation {
	c.Open()
	for i := range 3 {
		c.Client(text(100 + 50*i)).Server(text(300 + 70*i))
	}
	return c.Close(client)
}

// requireDialogue checks that frames hold the conversation c and nothing else.
func requireDialogue(t *testing.T, c *pktgen.Conversation, cfg tcpfollow.Config, frames []packet.Frame) {
	t.Helper()
	r := record(t, cfg)
	r.feed(frames...)
	r.close()
	require.Len(t, r.streams, 1, "%v", r.log)
	require.Equal(t, c.Payload(client), r.streams[0].payload[client])
	require.Equal(t, c.Payload(server), r.streams[0].payload[server])
	require.Equal(t, tcpfollow.EndFIN, r.streams[0].end)
	stats := r.follower.Stats()
	require.Zero(t, stats.Gaps)
	require.Zero(t, stats.Conflicts)
}

func TestAnyOrderOfSegments(t *testing.T) {
	for seed := range uint64(1000) {
		c := (&pktgen.Conversation{ClientISN: uint32(-seed), ServerISN: uint32(seed * 77), MSS: 10, AckEvery: -1}).Open()
		c.Client(text(100)).Server(text(150))
		trace := c.Trace()
		order := []int{0, 1, 2}
		for _, i := range rand.New(rand.NewPCG(seed, 2)).Perm(len(trace) - 3) {
			order = append(order, 3+i)
		}
		frames := trace.Pick(order...).Frames()
		closing := len(trace)
		c.Close(server)
		requireDialogue(t, c, tcpfollow.Config{}, append(frames, c.Frames()[closing:]...))
	}
}

// The handshake and the close, too, may come out of order.
func TestAnyOrderWithinTheWindow(t *testing.T) {
	for seed := range uint64(150) {
		c := dialogue(&pktgen.Conversation{MSS: 100, ClientISN: uint32(seed)})
		for _, window := range []int{1, 3} {
			trace := c.Trace().Reorder(seed, window)
			streams := streamsOf(t, tcpfollow.Config{}, trace.Frames())
			require.Equal(t, c.Payload(client), streams[0].payload[client], "seed %d, window %d", seed, window)
			require.Equal(t, c.Payload(server), streams[0].payload[server], "seed %d, window %d", seed, window)
		}
	}
}

func TestDuplicatesChangeNothing(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 4))
		c := dialogue(&pktgen.Conversation{MSS: 60})
		trace := c.Trace()
		var again []int
		for i := range trace {
			if r.IntN(3) == 0 {
				again = append(again, i)
			}
		}
		trace = trace.Duplicate(again...)
		for range 5 { // and late ones
			i := r.IntN(len(trace) - 6)
			trace = trace.Retransmit(i, i+1+r.IntN(4))
		}
		requireDialogue(t, c, tcpfollow.Config{}, trace.Frames())
	}
}

func TestSegmentSizeChangesNothing(t *testing.T) {
	for _, mss := range []int{1, 2, 3, 7, 100, 536, 1460, 9000, 32_768, 65_495} {
		t.Run(strconv.Itoa(mss), func(t *testing.T) {
			size := min(70_000, 3000*mss)
			c := (&pktgen.Conversation{MSS: mss, ClientISN: 1<<32 - 100}).Open()
			c.Client(text(size)).Server(text(size / 2)).Close(server)
			requireDialogue(t, c, tcpfollow.Config{}, c.Frames())
			frames := c.Trace().Reorder(uint64(mss), 1).Frames()
			streams := streamsOf(t, tcpfollow.Config{}, frames)
			require.Equal(t, c.Payload(client), streams[0].payload[client])
		})
	}
}

func TestSequenceNumbersChangeNothing(t *testing.T) {
	for _, isn := range []uint32{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<32 - 2, 1<<32 - 60, 1<<32 - 101, 1<<32 - 300} {
		for _, client := range []bool{true, false} {
			c := &pktgen.Conversation{MSS: 50}
			if client {
				c.ClientISN = isn
			} else {
				c.ServerISN = isn
			}
			dialogue(c)
			requireDialogue(t, c, tcpfollow.Config{}, c.Frames())
			for i := 4; i < 14; i++ {
				requireDialogue(t, c, tcpfollow.Config{}, c.Trace().Move(i, i+3).Frames())
			}
		}
	}
}

func TestWrappingChangesNothing(t *testing.T) {
	outerIP := pktgen.IP(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	outerIP6 := pktgen.IP(netip.MustParseAddr("2001:db8::a"), netip.MustParseAddr("2001:db8::b"))
	ether := pktgen.Ethernet{}
	relink := map[string][]pktgen.Layer{
		"padded":  {pktgen.Ethernet{MinSize: 60}},
		"trailer": {pktgen.Ethernet{MinSize: 60, Trailer: []byte{1, 2, 3, 4}}},
		"VLAN":    {ether, pktgen.VLAN{ID: 5}},
		"QinQ":    {ether, pktgen.VLAN{ID: 5}, pktgen.VLAN{ID: 6}},
		"PPPoE":   {ether, pktgen.PPPoE{Session: 1}, pktgen.PPP{}},
		"MPLS":    {ether, pktgen.MPLS{Label: 77}},
		"SLL":     {pktgen.SLL{}},
		"SLL2":    {pktgen.SLL2{}},
		"null":    {pktgen.Null{}},
		"raw":     {},
		"GRE":     {ether, outerIP, pktgen.GRE{}},
		"IP":      {ether, outerIP},
		"IPv6":    {ether, outerIP6},
		"GTP":     {ether, outerIP, pktgen.UDP{Src: 2152, Dst: 2152}, pktgen.GTPU{TEID: 9}},
	}
	wrap := map[string][]pktgen.Layer{
		"VXLAN":  {ether, outerIP, pktgen.UDP{Src: 4789, Dst: 4789}, pktgen.VXLAN{VNI: 3}},
		"Geneve": {ether, outerIP6, pktgen.UDP{Src: 6081, Dst: 6081}, pktgen.Geneve{VNI: 3}},
	}
	for _, v6 := range []bool{false, true} {
		c := &pktgen.Conversation{MSS: 200}
		if v6 {
			c.ClientAddr, c.ServerAddr = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8::2]:80")
		}
		plain := dialogue(c).Trace().Move(5, 6)
		want := record(t, tcpfollow.Config{})
		want.feed(plain.Frames()...)
		want.close()
		require.NotEmpty(t, want.log)
		check := func(name string, trace pktgen.Trace) {
			t.Run(name+"/IPv6 "+strconv.FormatBool(v6), func(t *testing.T) {
				r := record(t, tcpfollow.Config{})
				r.feed(trace.Frames()...)
				r.close()
				require.Equal(t, want.log, r.log)
			})
		}
		for name, layers := range relink {
			check(name, plain.Relink(layers...))
		}
		for name, layers := range wrap {
			check(name, plain.Wrap(layers...))
		}
		fragmented := plain.Fragment(6, 64, 2, 0, 3, 1)
		t.Run("fragments", func(t *testing.T) { requireDialogue(t, c, tcpfollow.Config{}, fragmented.Frames()) })
	}
}

// Connections do not touch each other: each is followed as if it were alone.
func TestInterleavingChangesNothing(t *testing.T) {
	var traces []pktgen.Trace
	var conversations []*pktgen.Conversation
	for i := range 60 {
		c := &pktgen.Conversation{ClientAddr: addr(i), MSS: 40, Start: pktgen.Start + int64(i*137)*1000, ClientISN: uint32(i) * 1 << 26}
		conversations = append(conversations, c)
		dialogue(c)
		traces = append(traces, c.Trace().Reorder(uint64(i), 1))
	}
	streams := streamsOf(t, tcpfollow.Config{}, pktgen.Merge(traces...).Frames())
	require.Len(t, streams, len(conversations))
	for i, c := range conversations {
		var found bool
		for _, st := range streams {
			if st.info.Client == addr(i) {
				require.Equal(t, c.Payload(client), st.payload[client])
				require.Equal(t, c.Payload(server), st.payload[server])
				found = true
			}
		}
		require.True(t, found)
	}
}

// A lost segment costs its own bytes and no others.
func TestLossCostsNoMore(t *testing.T) {
	c := (&pktgen.Conversation{MSS: 100}).Open().Client(text(1000)).Server(text(1000)).Wait(time.Second).Close(client)
	trace := c.Trace()
	for i, p := range trace {
		var size int
		for _, l := range p.Layers {
			if b, ok := l.(pktgen.Payload); ok {
				size = len(b)
			}
		}
		streams := streamsOf(t, tcpfollow.Config{}, trace.Drop(i).Frames())
		st := streams[0]
		require.Equal(t, uint64(2000-size), st.info.Halves[0].Bytes+st.info.Halves[1].Bytes, "without packet %d", i)
		require.Equal(t, uint64(size), st.info.Halves[0].Missing+st.info.Halves[1].Missing, "without packet %d", i)
	}
}
