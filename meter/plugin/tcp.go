package plugin

import (
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

type tcp struct{ base }

// connection is what TCP keeps of a flow.
type connection struct {
	syn, synAck, ack int64 // capture times of the handshake, 0 until it is there
	next             [2]uint32
	known            [2]bool
	again, zero      [2]uint64
}

// TCP returns a plugin with the times of the handshake in milliseconds, and by direction how many segments bring nothing
// beyond what was seen before, sent again or late, and how many close the window. Columns are missing for what was not seen.
func TCP() meter.Plugin { return tcp{} }

// Columns implements [meter.Plugin].
func (tcp) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{
		{Name: "tcp_syn_synack_ms", Type: meter.Float64},
		{Name: "tcp_synack_ack_ms", Type: meter.Float64},
		{Name: "tcp_rtt_ms", Type: meter.Float64},
		{Name: "src2dst_retransmissions"},
		{Name: "dst2src_retransmissions"},
		{Name: "src2dst_zero_windows"},
		{Name: "dst2src_zero_windows"},
	}
}

// OnInit implements [meter.Plugin].
func (t tcp) OnInit(e *meter.Event, f *meter.Flow, r *meter.Row) { t.OnUpdate(e, f, r) }

// OnUpdate implements [meter.Plugin].
func (tcp) OnUpdate(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	at := int(e.Transport)
	if e.Key.Proto() != packet.ProtoTCP || e.Fragment || len(e.IP) < at+16 {
		return
	}
	c, i := state[connection](r), e.Direction
	handshake := e.Flags & (packet.SYN | packet.ACK)
	switch {
	case handshake == packet.SYN && c.syn == 0:
		c.syn = e.Time
	case handshake == packet.SYN|packet.ACK && c.syn != 0 && c.synAck == 0:
		c.synAck = e.Time
	case handshake == packet.ACK && c.synAck != 0 && c.ack == 0:
		c.ack = e.Time
	}
	seq := binary.BigEndian.Uint32(e.IP[at+4:])
	length := e.Sizes[nfpacket.PayloadSize]
	if e.Flags.Has(packet.SYN) || e.Flags.Has(packet.FIN) {
		length++
	}
	if end := seq + length; length > 0 {
		switch {
		case !c.known[i] || int32(end-c.next[i]) > 0:
			c.known[i], c.next[i] = true, end
		case length > 1 || !e.Flags.Has(packet.ACK) || e.Flags&(packet.SYN|packet.FIN) != 0 || seq+1 != c.next[i]: // no keep-alive (RFC 9293 §3.8.4)
			c.again[i]++
		}
	}
	if binary.BigEndian.Uint16(e.IP[at+14:]) == 0 && !e.Flags.Has(packet.RST) {
		c.zero[i]++
	}
}

// OnExpire implements [meter.Plugin].
func (tcp) OnExpire(f *meter.Flow, r *meter.Row) {
	if f.Key.Proto() != packet.ProtoTCP {
		return
	}
	c := state[connection](r)
	const millisecond = 1e6
	if c.synAck != 0 {
		r.SetFloat(0, float64(c.synAck-c.syn)/millisecond)
	}
	if c.ack != 0 {
		r.SetFloat(1, float64(c.ack-c.synAck)/millisecond)
		r.SetFloat(2, float64(c.ack-c.syn)/millisecond)
	}
	for i := range 2 {
		r.SetUint(3+i, c.again[i])
		r.SetUint(5+i, c.zero[i])
	}
}
