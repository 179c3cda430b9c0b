package pktgen_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

const (
	client = packet.ClientToServer
	server = packet.ServerToClient
)

// bytesOf returns n bytes that differ from place to place.
func bytesOf(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// assemble orders the segments of frames by nothing but their sequence numbers, relative to the SYN, and returns what
// each side sent. The bytes of a hole are zero.
func assemble(t *testing.T, frames []packet.Frame) [2][]byte {
	t.Helper()
	var out [2][]byte
	var isn [2]uint32
	segments := make([]*layers.TCP, 0, len(frames))
	for _, f := range frames {
		h, ok := decode(t, f).TransportLayer().(*layers.TCP)
		require.True(t, ok)
		if h.SYN {
			isn[sideOf(h)] = h.Seq
		}
		segments = append(segments, h)
	}
	for _, h := range segments {
		dir := sideOf(h)
		off := int(h.Seq - isn[dir] - 1)
		if h.SYN || len(h.Payload) == 0 {
			continue
		}
		if need := off + len(h.Payload); need > len(out[dir]) {
			out[dir] = append(out[dir], make([]byte, need-len(out[dir]))...)
		}
		copy(out[dir][off:], h.Payload)
	}
	return out
}

func sideOf(h *layers.TCP) packet.Direction {
	if h.DstPort == 80 {
		return client
	}
	return server
}

// TestReorderedConversation is the property that everything rests on: sequence numbers alone give the payload back.
func TestReorderedConversation(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			c := &pktgen.Conversation{
				ClientISN: -r.Uint32N(4000), ServerISN: -r.Uint32N(4000),
				MSS: 1 + r.IntN(200), AckEvery: r.IntN(4) - 1,
			}
			if seed%2 == 1 {
				c.ClientAddr, c.ServerAddr = netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:80")
			}
			c.Open()
			for range 1 + r.IntN(4) {
				c.Client(bytesOf(seed, r.IntN(900))).Server(bytesOf(seed+1, r.IntN(900)))
			}
			c.Close(packet.Direction(seed / 2 % 2))
			trace := c.Trace()
			i := r.IntN(len(trace))
			trace = trace.Retransmit(i, r.IntN(len(trace)+1)).Duplicate(i).Reorder(seed, int(seed%3)*5)
			got := assemble(t, trace.Frames())
			require.True(t, bytes.Equal(c.Payload(client), got[client]))
			require.True(t, bytes.Equal(c.Payload(server), got[server]))
		})
	}
}

// log writes a frame down the way a capture tool would, sequence numbers as they are.
func log(t *testing.T, frames []packet.Frame) []string {
	t.Helper()
	var out []string
	for _, f := range frames {
		p := decode(t, f)
		checkSums(t, p)
		h := p.TransportLayer().(*layers.TCP)
		flags := ""
		for _, x := range []struct {
			set  bool
			name string
		}{{h.SYN, "S"}, {h.FIN, "F"}, {h.RST, "R"}, {h.PSH, "P"}, {h.ACK, "."}} {
			if x.set {
				flags += x.name
			}
		}
		out = append(out, fmt.Sprintf("%v %s %d %d %q", sideOf(h), flags, h.Seq, h.Ack, h.Payload))
	}
	return out
}

func TestConversation(t *testing.T) {
	c := &pktgen.Conversation{ClientISN: 1000, ServerISN: 5000, MSS: 3, AckEvery: 1}
	c.Open().Client([]byte("abcd")).Server([]byte("xy")).Close(client)
	require.Equal(t, []string{
		`client S 1000 0 ""`, `server S. 5000 1001 ""`, `client . 1001 5001 ""`,
		`client . 1001 5001 "abc"`, `server . 5001 1004 ""`, `client P. 1004 5001 "d"`, `server . 5001 1005 ""`,
		`server P. 5001 1005 "xy"`, `client . 1005 5003 ""`,
		`client F. 1005 5003 ""`, `server . 5003 1006 ""`, `server F. 5003 1006 ""`, `client . 1006 5004 ""`,
	}, log(t, c.Frames()))
	require.Equal(t, int64(5), c.Next(client))
	require.Equal(t, uint32(1001), c.Seq(client, 0))
	require.Equal(t, "abcd", string(c.Payload(client)))
}

func TestConversationBySegments(t *testing.T) {
	c := &pktgen.Conversation{ClientISN: 0xffffffff, Step: time.Second, Start: 7}
	c.Segment(client, packet.SYN, -1, []byte("tfo")).Wait(time.Minute).Segment(server, packet.SYN|packet.ACK, -1, nil)
	c.Segment(client, packet.ACK, 10, []byte("later")).Segment(client, packet.ACK, 3, []byte("now")).Reset(server)
	c.Append(client, pktgen.TCP{Src: 1, Dst: 80, Seq: 9}, nil)
	require.Empty(t, c.Payload(client))
	urgent := (&pktgen.Conversation{}).Urgent(client, 5, []byte("ab!"), 3)
	require.Equal(t, int64(8), urgent.Next(client))
	h, ok := decode(t, urgent.Frames()[0]).TransportLayer().(*layers.TCP)
	require.True(t, ok)
	require.True(t, h.URG)
	require.Equal(t, uint16(3), h.Urgent)
	require.Equal(t, uint32(6), h.Seq)
	frames := c.Frames()
	require.Equal(t, []string{
		`client S 4294967295 0 "tfo"`, `server S. 0 3 ""`, `client . 10 1 "later"`, `client . 3 1 "now"`, `server R. 1 15 ""`,
		`client  9 0 ""`,
	}, log(t, frames))
	require.Equal(t, int64(15), c.Next(client))
	require.Equal(t, int64(7), frames[0].Time)
	require.Equal(t, int64(7+61e9), frames[1].Time)
	require.Equal(t, uint64(2), frames[1].Number)
	require.Empty(t, c.Payload(client))
}

func TestConversationThroughLayers(t *testing.T) {
	c := &pktgen.Conversation{Outer: []pktgen.Layer{pktgen.Ethernet{Src: pktgen.MAC{2, 1}, Dst: pktgen.MAC{2, 2}}, v4(), pktgen.UDP{}, pktgen.VXLAN{VNI: 1}, pktgen.Ethernet{}}}
	c.Open().Client([]byte("hello")).HalfClose(server)
	for _, f := range c.Frames() {
		p := decode(t, f)
		checkSums(t, p)
		outer, inner := p.Layers()[1].(*layers.IPv4), p.Layers()[5].(*layers.IPv4)
		same := inner.SrcIP.String() == "192.0.2.1"
		require.Equal(t, same, outer.SrcIP.String() == "192.0.2.1")
		require.Equal(t, same, p.Layers()[0].(*layers.Ethernet).SrcMAC[1] == 1)
	}
	wrapped := c.Trace().Wrap(pktgen.SLL{}, v6(), pktgen.UDP{}, pktgen.Geneve{})
	require.Equal(t, "2001:db8::2", decode(t, wrapped.Frames()[1]).NetworkLayer().NetworkFlow().Src().String())
	relinked := (&pktgen.Conversation{}).Open().Trace().Relink(pktgen.Radiotap{}, pktgen.Dot11{ToDS: true, FCS: true}, pktgen.SNAP{})
	require.Equal(t, []string{`client S 0 0 ""`, `server S. 0 1 ""`, `client . 1 1 ""`}, log(t, relinked.Frames()))
	require.True(t, decode(t, relinked.Frames()[1]).Layer(layers.LayerTypeDot11).(*layers.Dot11).Flags.FromDS())
}

// names renders a trace of one-letter segments.
func letters(t *testing.T, trace pktgen.Trace) string {
	t.Helper()
	var s string
	var last int64
	for _, f := range trace.Frames() {
		require.GreaterOrEqual(t, f.Time, last)
		last = f.Time
		s += string(decode(t, f).ApplicationLayer().Payload())
	}
	return s
}

func TestTraceOperations(t *testing.T) {
	trace := (&pktgen.Conversation{MSS: 1, AckEvery: -1}).Client([]byte("abcdef")).Trace()
	require.Equal(t, "abcdef", letters(t, trace))
	require.Equal(t, "bdef", letters(t, trace.Drop(0, 2)))
	require.Equal(t, "abbcdeff", letters(t, trace.Duplicate(1, 5)))
	require.Equal(t, "acdebf", letters(t, trace.Move(1, 4)))
	require.Equal(t, "aebcdf", letters(t, trace.Move(4, 1)))
	require.Equal(t, "fab", letters(t, trace.Pick(5, 0, 1)))
	require.Equal(t, "abcdefa", letters(t, trace.Retransmit(0, 6)))
	require.Equal(t, "cabcdef", letters(t, trace.Retransmit(2, 0)))
	require.Equal(t, "abXYcdef", letters(t, trace.Overlap(0, 2, 1, []byte("XY"))))
	require.Equal(t, "a", letters(t, pktgen.Trace(nil).Insert(0, trace[0])))
	require.Equal(t, "abcdef", letters(t, trace), "the trace itself must not change")

	later := (&pktgen.Conversation{MSS: 1, AckEvery: -1, Start: pktgen.Start + 1}).Client([]byte("XYZ")).Trace()
	require.Equal(t, "aXbYcZdef", letters(t, pktgen.Merge(trace, later)))

	overlap := decode(t, trace.Overlap(1, 2, -1, []byte("X")).Frames()[2]).TransportLayer().(*layers.TCP)
	require.Equal(t, uint32(1), overlap.Seq)

	edited := trace.Edit(0, func(l []pktgen.Layer) []pktgen.Layer {
		l[len(l)-1] = pktgen.Payload("A")
		return l
	})
	require.Equal(t, "Abcdef", letters(t, edited))
}

func TestReorderWindow(t *testing.T) {
	trace := (&pktgen.Conversation{MSS: 1, AckEvery: -1}).Client([]byte("abcdefghijklmnopqrstuvwxyz")).Trace()
	for seed := range uint64(50) {
		s := letters(t, trace.Reorder(seed, 3))
		require.Len(t, s, 26)
		for i, c := range s {
			require.InDelta(t, i, int(c-'a'), 3)
		}
	}
	one, again := letters(t, trace.Reorder(1, 0)), letters(t, trace.Reorder(1, 0))
	require.Equal(t, one, again)
	require.NotEqual(t, one, letters(t, trace.Reorder(2, 0)))
}

func TestSnap(t *testing.T) {
	f := (&pktgen.Conversation{}).Client(bytesOf(1, 100)).Trace().Snap(60).Frames()
	require.Len(t, f[0].Data, 60)
	require.Equal(t, 154, f[0].Length)
	require.Len(t, f[1].Data, 54, "a short frame stays whole")
}

func TestFragment(t *testing.T) {
	data := bytesOf(1, 100)
	for _, addr := range [][2]string{{"192.0.2.1:1", "192.0.2.2:80"}, {"[2001:db8::1]:1", "[2001:db8::2]:80"}} {
		c := &pktgen.Conversation{ClientAddr: netip.MustParseAddrPort(addr[0]), ServerAddr: netip.MustParseAddrPort(addr[1]), AckEvery: -1}
		trace := c.Client(data).Server(data).Trace()
		fragments := trace.Fragment(0, 48)
		require.Len(t, fragments, 4)
		whole := trace.Frames()[0].Data
		var body []byte
		for i, f := range fragments[:3].Frames() {
			p := decode(t, f)
			checkSums(t, p)
			offset, more, next, part := fragmentOf(t, p)
			require.Equal(t, len(body), offset)
			require.Equal(t, i < 2, more)
			require.Equal(t, layers.IPProtocolTCP, next)
			body = append(body, part...)
		}
		require.Equal(t, whole[len(whole)-len(body):], body)
		require.Equal(t, fragments[2:3].Frames()[0].Data, trace.Fragment(0, 48, 2, 0)[:1].Frames()[0].Data)
		require.Len(t, trace.Fragment(1, 64, 1), 2)
	}
}

func fragmentOf(t *testing.T, p gopacket.Packet) (offset int, more bool, next layers.IPProtocol, part []byte) {
	t.Helper()
	if h, ok := p.Layer(layers.LayerTypeIPv6Fragment).(*layers.IPv6Fragment); ok {
		return int(h.FragmentOffset) * 8, h.MoreFragments, h.NextHeader, h.Payload
	}
	h := p.NetworkLayer().(*layers.IPv4)
	return int(h.FragOffset) * 8, h.Flags&layers.IPv4MoreFragments != 0, h.Protocol, h.Payload
}
