package nfpacket

import (
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Status says what became of a frame.
type Status uint8

// The outcomes of decoding.
const (
	OK           Status = iota
	UnknownLink         // a link type that NFStream does not know
	TooShort            // fewer than 28 bytes captured, or cut in a header that must be there
	NotIP               // no IP header where one would be
	Fragment            // a fragment other than the first
	BadLength           // lengths that contradict each other, or IPv6 that was not captured to its end
	numStatuses         // how many there are
	minCaptured  = 28   // of a frame
	ipv4Header   = 20   // bytes, without options
	ipv6Header   = 40   // bytes
	udpHeader    = 8    // bytes
	icmpHeader   = 8    // bytes
	tcpHeader    = 20   // bytes, without options
	maxNesting   = 1024 // IP headers within each other; NFStream knows no limit
	fragmentMask = 0x1fff
)

// String returns the outcome in words.
func (s Status) String() string {
	names := [...]string{"ok", "unknown link type", "too short", "not IP", "IP fragment", "bad length"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown status"
}

// Config says how a [Decoder] decodes. The zero value is NFStream's default.
type Config struct {
	// NoTunnels leaves GTP-U, CAPWAP and TZSP as the UDP packets they are: decode_tunnels=False. IP in IP is entered anyway.
	NoTunnels bool
	// Sizes65 counts IPv6 packets without their header, as NFStream 6.5.4 does.
	Sizes65 bool
}

// Stats counts what a [Decoder] has seen, by outcome.
type Stats [numStatuses]uint64

// Decoder decodes frames. It keeps nothing of one frame for the next but counters. It is not safe for concurrent use.
type Decoder struct {
	cfg   Config
	stats Stats
}

// New returns a decoder. A nil cfg is the default.
func New(cfg *Config) *Decoder {
	d := new(Decoder)
	if cfg != nil {
		d.cfg = *cfg
	}
	return d
}

// Stats returns the counters so far.
func (d *Decoder) Stats() Stats { return d.stats }

// Decode decodes f into p, and says whether it counts as a packet: else p means nothing. It reads nothing outside f.Data
// and does not allocate.
func (d *Decoder) Decode(f *packet.Frame, p *Packet) Status {
	w := walk{d: d, p: p, data: f.Data, link: f.Link}
	s := w.frame()
	d.stats[s]++
	if s == OK {
		p.Time, p.Number = f.Time, f.Number
		p.Sizes[RawSize] = uint32(uint16(f.Length))
	}
	return s
}

// walk is the way through one frame. What lies beyond the captured bytes reads as zero, where NFStream reads whatever is
// there.
type walk struct {
	d      *Decoder
	p      *Packet
	data   []byte
	link   packet.LinkType
	ip     int // where the IP header is
	kind   int // EtherType, as NFStream takes it
	vlan   uint16
	tunnel uint32
	proto  uint8 // as far as a header told it
	frag   int   // the fragment field of the last IPv4 header, where the link tells that it is one
	wifi   int   // bytes of the last header of 802.11 that was measured
}

func (w *walk) at(i int) int {
	if uint(i) < uint(len(w.data)) {
		return int(w.data[i])
	}
	return 0
}

func (w *walk) at16(i int) int {
	if uint(i+1) < uint(len(w.data)) {
		return int(binary.BigEndian.Uint16(w.data[i:]))
	}
	return w.at(i)<<8 | w.at(i+1)
}

// frame decodes all of it.
func (w *walk) frame() Status {
	if len(w.data) < minCaptured {
		return TooShort
	}
	w.p.SrcMAC, w.p.DstMAC = MAC{}, MAC{}
	if s := w.linkLayer(0); s != OK {
		return s
	}
	for range maxNesting {
		again, s := w.internet()
		if s != OK {
			return s
		}
		if !again {
			return w.transport()
		}
	}
	return NotIP
}

// internet passes over the IP header at w.ip. It reports true when there is another one to look at, further in.
func (w *walk) internet() (again bool, s Status) {
	if w.kind == etherIPv4 && len(w.data) >= w.ip {
		w.frag, w.proto = w.at16(w.ip+6), uint8(w.at(w.ip+9))
	}
	var length int // of the header; of IPv6, the payload: NFStream adds that to find UDP
	switch w.at(w.ip) >> 4 {
	case 4:
		length = w.at(w.ip) & 0xf * 4
		if next := w.at(w.ip + 9); (next == protoIPv6 || next == protoIPv4) && length > 0 {
			w.ip += length
			return true, OK
		}
		if w.frag&fragmentMask != 0 {
			return false, Fragment
		}
	case 6:
		length = w.at16(w.ip + 4)
		if len(w.data) < w.ip+ipv6Header+length {
			return false, BadLength
		}
		e, s := w.extensions()
		if s != OK {
			return false, s
		}
		w.proto = e.proto
		if e.proto == protoIPv6 || e.proto == protoIPv4 {
			w.ip = e.start
			return true, OK
		}
		length = e.length
	default:
		return false, NotIP
	}
	if w.proto == packet.ProtoUDP && !w.d.cfg.NoTunnels {
		return w.tunnels(w.ip + length)
	}
	return false, OK
}

const (
	protoIPv4 = 4
	protoIPv6 = 41
)

// extended is what follows the extension headers of IPv6.
type extended struct {
	proto  uint8
	start  int // in the frame
	length int // bytes
}

// extensions passes over the extension headers of the IPv6 header at w.ip (RFC 8200 §4).
func (w *walk) extensions() (extended, Status) {
	e := extended{proto: uint8(w.at(w.ip + 6)), start: w.ip + ipv6Header, length: w.at16(w.ip + 4)}
	left := len(w.data) - e.start
	for left > 1 {
		var n int
		switch e.proto {
		case 0, 43, 60, 135:
			if e.length < 2 {
				return e, BadLength
			}
			n = w.at(e.start+1)*8 + 8
			left -= n
		case 44:
			n = 8
			if left < 5 {
				return e, BadLength
			}
			left -= 5 // not 8
			if w.at16(e.start+2)>>3 != 0 {
				return e, Fragment
			}
		case 59:
			return e, NotIP
		default:
			return e, OK
		}
		if n > e.length || left < 0 {
			return e, BadLength
		}
		e.proto = uint8(w.at(e.start))
		e.start += n
		e.length -= n
	}
	return e, OK
}
