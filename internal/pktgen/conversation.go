package pktgen

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Start is the time of the first packet of a [Conversation] that sets none: 2024-01-01 UTC, in nanoseconds since the
// Unix epoch.
const Start = 1_704_067_200_000_000_000

// Conversation writes a TCP conversation packet by packet. Its methods append to the trace and return the conversation,
// so that calls chain. Set the fields before the first call; the zero Conversation is ready to use.
type Conversation struct {
	// ClientAddr and ServerAddr are the endpoints, 192.0.2.1:49152 and 198.51.100.2:80 when not valid.
	ClientAddr, ServerAddr netip.AddrPort
	// ClientISN and ServerISN are the initial sequence numbers.
	ClientISN, ServerISN uint32
	// MSS is the most payload bytes in a segment, 0 for 1460 in IPv4 and 1440 in IPv6. It may be more than a header can
	// announce.
	MSS int
	// AckEvery is after how many segments the receiver acknowledges, 0 for 2; negative for never, in which case the
	// conversation has no bare acknowledgements of data.
	AckEvery int
	// SYNOptions are the options of both SYNs, nil for the MSS alone; Options are those of every other segment.
	SYNOptions, Options []byte
	// Start is the time of the first packet in nanoseconds since the Unix epoch, 0 for [Start].
	Start int64
	// Step is the time between two packets, 0 for a millisecond.
	Step time.Duration
	// Outer are the layers around IP as the client sends them, nil for [Ethernet]; the server's are reversed.
	Outer []Layer

	sides   [2]side
	trace   Trace
	now     int64
	started bool
}

// side is what one end has sent.
type side struct {
	addr    netip.AddrPort
	isn     uint32
	next    int64 // offset behind all that was sent; the SYN is at -1
	payload []byte
	packets uint16
}

func (c *Conversation) begin() {
	if c.started {
		return
	}
	c.started = true
	if !c.ClientAddr.IsValid() {
		c.ClientAddr = netip.MustParseAddrPort("192.0.2.1:49152")
	}
	if !c.ServerAddr.IsValid() {
		c.ServerAddr = netip.MustParseAddrPort("198.51.100.2:80")
	}
	if c.MSS == 0 {
		c.MSS = 1460
		if c.ClientAddr.Addr().Is6() {
			c.MSS = 1440
		}
	}
	if c.AckEvery == 0 {
		c.AckEvery = 2
	}
	if c.SYNOptions == nil {
		c.SYNOptions = MSS(uint16(min(c.MSS, 0xffff)))
	}
	if c.Step == 0 {
		c.Step = time.Millisecond
	}
	if c.Outer == nil {
		c.Outer = []Layer{Ethernet{}}
	}
	c.now = c.Start
	if c.now == 0 {
		c.now = Start
	}
	c.sides[packet.ClientToServer] = side{addr: c.ClientAddr, isn: c.ClientISN}
	c.sides[packet.ServerToClient] = side{addr: c.ServerAddr, isn: c.ServerISN}
}

// Open appends the three-way handshake.
func (c *Conversation) Open() *Conversation {
	return c.Segment(packet.ClientToServer, packet.SYN, -1, nil).
		Segment(packet.ServerToClient, packet.SYN|packet.ACK, -1, nil).
		Ack(packet.ClientToServer)
}

// Client appends data as segments of the client, with the server's acknowledgements.
func (c *Conversation) Client(data []byte) *Conversation {
	return c.Send(packet.ClientToServer, data)
}

// Server appends data as segments of the server, with the client's acknowledgements.
func (c *Conversation) Server(data []byte) *Conversation {
	return c.Send(packet.ServerToClient, data)
}

// Send appends data as segments of at most MSS bytes, PSH on the last, with the receiver's acknowledgements.
func (c *Conversation) Send(dir packet.Direction, data []byte) *Conversation {
	c.begin()
	c.sides[dir].payload = append(c.sides[dir].payload, data...)
	for n := 1; len(data) > 0; n++ {
		part := data[:min(c.MSS, len(data))]
		data = data[len(part):]
		flags := packet.ACK
		if len(data) == 0 {
			flags |= packet.PSH
		}
		c.Segment(dir, flags, c.sides[dir].next, part)
		if c.AckEvery > 0 && (n%c.AckEvery == 0 || len(data) == 0) {
			c.Ack(dir.Reverse())
		}
	}
	return c
}

// Ack appends a segment without data.
func (c *Conversation) Ack(dir packet.Direction) *Conversation {
	c.begin()
	return c.Segment(dir, packet.ACK, c.sides[dir].next, nil)
}

// HalfClose appends the FIN of one side and its acknowledgement.
func (c *Conversation) HalfClose(dir packet.Direction) *Conversation {
	c.begin()
	return c.Segment(dir, packet.FIN|packet.ACK, c.sides[dir].next, nil).Ack(dir.Reverse())
}

// Close appends the FINs of both sides, dir's first, each acknowledged.
func (c *Conversation) Close(dir packet.Direction) *Conversation {
	return c.HalfClose(dir).HalfClose(dir.Reverse())
}

// Reset appends a RST at the next sequence number.
func (c *Conversation) Reset(dir packet.Direction) *Conversation {
	c.begin()
	return c.Segment(dir, packet.RST|packet.ACK, c.sides[dir].next, nil)
}

// Segment appends one segment. Its sequence number is offset bytes into dir's stream, of which -1 is the SYN; what lies
// below the next offset is sent again, what ends above it moves it. The acknowledgement number, 0 without ACK, covers
// all that the other side has sent. The data does not count for [Conversation.Payload]. Retained.
func (c *Conversation) Segment(dir packet.Direction, flags packet.TCPFlags, offset int64, data []byte) *Conversation {
	return c.segment(dir, flags, offset, data, 0)
}

// Urgent appends one segment like [Conversation.Segment], with URG and the urgent pointer. Retained.
func (c *Conversation) Urgent(dir packet.Direction, offset int64, data []byte, pointer uint16) *Conversation {
	return c.segment(dir, packet.ACK|packet.URG, offset, data, pointer)
}

func (c *Conversation) segment(dir packet.Direction, flags packet.TCPFlags, offset int64, data []byte, urgent uint16) *Conversation {
	c.begin()
	from, to := &c.sides[dir], &c.sides[dir.Reverse()]
	t := TCP{
		Src: from.addr.Port(), Dst: to.addr.Port(),
		Seq: from.seq(offset), Flags: flags, Options: c.Options, Urgent: urgent,
	}
	if flags.Has(packet.ACK) {
		t.Ack = to.seq(to.next)
	}
	end := offset + int64(len(data))
	if flags.Has(packet.SYN) {
		t.Options = c.SYNOptions
		end++
	}
	if flags.Has(packet.FIN) {
		end++
	}
	from.next = max(from.next, end)
	return c.Append(dir, t, data)
}

func (s *side) seq(offset int64) uint32 { return s.isn + 1 + uint32(offset) }

// Append appends one segment with the header t as it is. Retained.
func (c *Conversation) Append(dir packet.Direction, t TCP, data []byte) *Conversation {
	c.begin()
	from, to := &c.sides[dir], &c.sides[dir.Reverse()]
	from.packets++
	ip := IP(from.addr.Addr(), to.addr.Addr())
	if v4, ok := ip.(IPv4); ok {
		v4.ID, v4.DontFragment = from.packets, true
		ip = v4
	}
	layers := append(directed(c.Outer, dir), ip, t)
	if len(data) > 0 {
		layers = append(layers, Payload(data))
	}
	c.trace = append(c.trace, Packet{Time: c.now, Dir: dir, Layers: layers})
	c.now += int64(c.Step)
	return c
}

// Wait lets d pass before the next packet.
func (c *Conversation) Wait(d time.Duration) *Conversation {
	c.begin()
	c.now += int64(d)
	return c
}

// Next returns the offset behind all that dir has sent.
func (c *Conversation) Next(dir packet.Direction) int64 { return c.sides[dir].next }

// Seq returns the sequence number of the byte at offset in dir's stream.
func (c *Conversation) Seq(dir packet.Direction, offset int64) uint32 {
	c.begin()
	return c.sides[dir].seq(offset)
}

// Payload returns what dir has sent by [Conversation.Send], [Conversation.Client] and [Conversation.Server]: what a
// follower should find. Owned by the caller.
func (c *Conversation) Payload(dir packet.Direction) []byte { return bytes.Clone(c.sides[dir].payload) }

// Trace returns the packets so far.
func (c *Conversation) Trace() Trace { return append(Trace(nil), c.trace...) }

// Frames returns the packets so far as frames, numbered from 1.
func (c *Conversation) Frames() []packet.Frame { return c.trace.Frames() }

// directed returns layers as dir sends them; they are given as the client does.
func directed(layers []Layer, dir packet.Direction) []Layer {
	out := make([]Layer, 0, len(layers)+3)
	for _, l := range layers {
		if dir == packet.ServerToClient {
			l = reversed(l)
		}
		out = append(out, l)
	}
	return out
}

// reversed swaps source and destination.
func reversed(l Layer) Layer {
	switch h := l.(type) {
	case Ethernet:
		h.Src, h.Dst = h.Dst.or(2), h.Src.or(1)
		return h
	case Dot11:
		h.Src, h.Dst, h.ToDS, h.FromDS = h.Dst.or(2), h.Src.or(1), h.FromDS, h.ToDS
		return h
	case IPv4:
		h.Src, h.Dst = h.Dst, h.Src
		return h
	case IPv6:
		h.Src, h.Dst = h.Dst, h.Src
		return h
	case UDP:
		h.Src, h.Dst = h.Dst, h.Src
		return h
	}
	return l
}
