package meter

import (
	"math"

	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// Packet is all that the meter needs to know of a packet.
type Packet = nfpacket.Packet

// Expiration says why a flow ended: NFStream's expiration_id.
type Expiration int8

// The reasons for which a flow ends.
const (
	ExpiredByPlugin Expiration = -1 // a plugin set it
	ExpiredIdle     Expiration = 0  // no packet for Config.IdleTimeout, or the input ended
	ExpiredActive   Expiration = 1  // cut after Config.ActiveTimeout
	ExpiredFIN      Expiration = 2  // Config.EndOnTCP: both sides finished
	ExpiredReset    Expiration = 3  // Config.EndOnTCP: one side sent an RST
	ExpiredEvicted  Expiration = 4  // made room: Config.MaxActive
)

// The TCP flags that are counted, in the order of NFStream's columns.
const (
	CountSYN = iota
	CountCWR
	CountECE
	CountURG
	CountACK
	CountPSH
	CountRST
	CountFIN
	numFlags
)

// Flow is a bidirectional flow. The source is who sent its first packet. In callbacks it is borrowed: valid during the
// call; use Clone to keep it.
type Flow struct {
	// ID numbers flows in the order in which they are emitted, from 0. A flow that goes on has none yet.
	ID uint64
	// Expiration is why the flow ended. A plugin ends a flow by setting ExpiredByPlugin.
	Expiration Expiration
	// Key is the 5-tuple as the source sends it, with the VLAN id and the kind of tunnel.
	Key packet.FlowKey
	// SrcMAC and DstMAC are those of the first packet.
	SrcMAC, DstMAC nfpacket.MAC
	// Bidirectional is both directions together, Src2Dst and Dst2Src are each alone.
	Bidirectional, Src2Dst, Dst2Src Side
	// SPLT is the sequence of the first packets, Config.SPLT at most.
	SPLT []Step
	// Application is what dissection found; zero without.
	Application Application
	// Rows are what plugins set, in the order of Config.Plugins.
	Rows []Row
}

// Side is what is known of one direction of a flow, or of both. Times are in Config.TimeUnit since the Unix epoch; times
// before it count down from 2^64, as in NFStream.
type Side struct {
	// FirstSeen and LastSeen are the times of the first and last packet, 0 without packets.
	FirstSeen, LastSeen uint64
	// Packets and Bytes count packets and what Config.Accounting says of them.
	Packets, Bytes uint64
	// Sizes are those of the packets, Gaps the times between them. Zero without Config.Statistics.
	Sizes, Gaps Distribution
	// Flags counts the packets with each TCP flag, by CountSYN and so on. Zero without Config.Statistics.
	Flags [numFlags]uint64
}

// Duration returns the time between the first and the last packet.
func (s *Side) Duration() uint64 { return s.LastSeen - s.FirstSeen }

// Distribution is what is kept of a series of numbers; all is 0 when there were none.
type Distribution struct {
	// Min and Max are the smallest and the largest.
	Min, Max uint64
	// Mean is the arithmetic mean.
	Mean float64

	squares float64 // sum of the squares of the differences from the mean
	count   uint64
}

// StdDev returns the standard deviation of the series as a sample, 0 for fewer than two numbers.
func (d *Distribution) StdDev() float64 {
	if d.count < 2 {
		return 0
	}
	return math.Sqrt(d.squares / float64(d.count-1))
}

// Step is one packet of a flow.
type Step struct {
	// Gap is the time since the packet before it in the flow, in Config.TimeUnit.
	Gap uint64
	// Size is the packet's size, as Config.Accounting says.
	Size uint32
	// Direction is 0 from the source, 1 to it.
	Direction uint8
}

// Clone returns a copy that is owned by the caller.
func (f *Flow) Clone() *Flow {
	c := new(Flow)
	f.copyTo(c)
	return c
}

// copyTo makes a copy in c, whose lists are used again.
func (f *Flow) copyTo(c *Flow) {
	steps, rows := c.SPLT[:0], c.Rows[:0]
	*c = *f
	c.SPLT, c.Rows = append(steps, f.SPLT...), rows
	for i := range f.Rows {
		c.Rows = append(c.Rows, f.Rows[i].clone())
	}
}
