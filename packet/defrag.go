package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// OverlapPolicy says what becomes of a datagram whose fragments overlap. Exact duplicates, same place and same bytes,
// are no overlap: they are ignored under every policy, as RFC 8200 §4.5 allows.
type OverlapPolicy uint8

// The policies.
const (
	OverlapDefault OverlapPolicy = iota // OverlapFirst for IPv4, OverlapDrop for IPv6
	OverlapFirst                        // the byte that came first counts
	OverlapLast                         // the byte that came last counts
	OverlapDrop                         // the datagram and its later fragments are dropped (RFC 5722, RFC 8200 §4.5)
)

// DefragmenterConfig limits a [Defragmenter]. A zero field is the default.
type DefragmenterConfig struct {
	// MaxDatagrams is the most incomplete datagrams held at once; the oldest one is evicted for a new one. Default 4096.
	MaxDatagrams int
	// MaxBytes is the most bytes of fragments held at once; the oldest datagrams are evicted. The memory in use may be
	// twice that. Default 16 MiB, least 128 KiB: a datagram always fits.
	MaxBytes int
	// MaxFragments is the most fragments of one datagram; it is dropped when there are more. Default 256.
	MaxFragments int
	// TimeoutIPv4 and TimeoutIPv6 are how long after its first fragment an incomplete datagram is dropped, by the packets'
	// clock. Default 30 s for IPv4, as Linux has it (RFC 1122 §3.3.2 wants 60 to 120 s of hosts, which see fewer
	// datagrams), and 60 s for IPv6 (RFC 8200 §4.5).
	TimeoutIPv4, TimeoutIPv6 time.Duration
	// Overlap says what becomes of overlapping fragments.
	Overlap OverlapPolicy
}

// DefragmenterStats counts what a [Defragmenter] has seen.
type DefragmenterStats struct {
	Fragments  uint64 // fragments added
	Datagrams  uint64 // datagrams completed
	Duplicates uint64 // fragments ignored because all their bytes were there already, and the same
	Overlaps   uint64 // fragments that overlapped others otherwise
	Tiny       uint64 // fragments that split the first 20 bytes of TCP, or 8 of UDP (RFC 1858); they are used
	Cut        uint64 // fragments that were not captured whole; they are used

	Malformed uint64 // fragments refused: empty, not a multiple of 8 bytes though not last (RFC 791), or beyond the end
	TooLong   uint64 // fragments refused, or datagrams dropped: they reach beyond 65,535 bytes ("ping of death")
	Late      uint64 // fragments refused: their datagram had been dropped

	Expired    uint64 // datagrams dropped: the timeout
	Evicted    uint64 // datagrams dropped: MaxDatagrams or MaxBytes
	Overfull   uint64 // datagrams dropped: MaxFragments
	Overlapped uint64 // datagrams dropped: the overlap policy

	Pending      uint64 // datagrams incomplete now
	PendingBytes uint64 // bytes of fragments held now
}

// maxDatagram is the largest IP datagram: total length, or payload length, is a 16-bit number.
const maxDatagram = 65535

// Defragmenter puts IP fragments together. It holds a bounded number of bytes, and its results depend on the packets
// alone. A Defragmenter is not safe for concurrent use.
type Defragmenter struct {
	cfg    DefragmenterConfig
	stats  DefragmenterStats
	index  map[fragmentKey]int32
	slots  []datagram
	ages   [2]ageList // IPv4, IPv6: their timeouts differ, so each is in order of expiry
	free   int32      // first of the unused slots, linked by newer; none if there are none
	bytes  int        // memory accounted for
	serial uint64     // datagrams opened
	spare  [][]byte   // buffers of finished datagrams
	frame  Frame      // the last completed datagram
	output []byte
}

// NewDefragmenter returns a defragmenter. A nil cfg is the default; the error is for a negative or too small limit, or
// an unknown policy.
func NewDefragmenter(cfg *DefragmenterConfig) (*Defragmenter, error) {
	var c DefragmenterConfig
	if cfg != nil {
		c = *cfg
	}
	if c.MaxDatagrams < 0 || c.MaxBytes < 0 || c.MaxFragments < 0 || c.TimeoutIPv4 < 0 || c.TimeoutIPv6 < 0 {
		return nil, errors.New("packet: negative defragmenter limit")
	}
	const least = 2 * (maxDatagram + 1)
	if c.MaxBytes != 0 && c.MaxBytes < least {
		return nil, fmt.Errorf("packet: MaxBytes is %d, at least %d are needed", c.MaxBytes, least)
	}
	if c.Overlap > OverlapDrop {
		return nil, fmt.Errorf("packet: no such overlap policy: %d", c.Overlap)
	}
	c.MaxDatagrams = orDefault(c.MaxDatagrams, 4096)
	c.MaxBytes = orDefault(c.MaxBytes, 16<<20)
	c.MaxFragments = orDefault(c.MaxFragments, 256)
	c.TimeoutIPv4 = orDefault(c.TimeoutIPv4, 30*time.Second)
	c.TimeoutIPv6 = orDefault(c.TimeoutIPv6, 60*time.Second)
	return &Defragmenter{
		cfg:   c,
		index: make(map[fragmentKey]int32),
		ages:  [2]ageList{{none, none}, {none, none}},
		free:  none,
	}, nil
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Stats returns the counters so far. What is Pending at the end of the input was never completed.
func (d *Defragmenter) Stats() DefragmenterStats {
	s := d.stats
	s.Pending = uint64(len(d.index))
	s.PendingBytes = uint64(d.bytes)
	return s
}

// Add takes a fragment: the frame f, which a [Decoder] decoded into p with p.Status Fragment; anything else is ignored.
// The bytes are copied. When the fragment completes its datagram, Add returns that as a frame that starts with the IP
// header, of link type [LinkIPv4] or [LinkIPv6], with time and number of f; decode it by [Decoder.DecodeDatagram], or
// by Decode. It may prove to be a fragment in turn, of a tunnel, and f may be a datagram that Add returned.
//
// The frame is borrowed: valid until the next Add. Datagrams are told apart by p.Key without the ports, so by VLAN and
// tunnel when those are part of it, by identification, and for IPv4 by protocol.
//
// A fragment that the snapshot length cut is used: the datagram then ends where the first such cut is, as captured, and
// the rest of it is missing. Add does not allocate once its buffers have grown.
func (d *Defragmenter) Add(f *Frame, p *Packet) (datagram *Frame, ok bool) {
	if p.Status != Fragment {
		return nil, false
	}
	d.stats.Fragments++
	d.expire(p.Time)
	fr, good := d.check(f, p)
	if !good {
		return nil, false
	}
	slot, known := d.index[keyOf(p)]
	if !known {
		slot = d.open(keyOf(p), p.Time)
	}
	g := &d.slots[slot]
	if g.dead {
		d.stats.Late++
		return nil, false
	}
	if !d.insert(g, &fr) {
		return nil, false
	}
	if !g.complete() {
		d.shrink(slot)
		return nil, false
	}
	ok = d.assemble(g, f)
	d.close(slot)
	if !ok {
		return nil, false
	}
	return &d.frame, true
}

// arrival is a fragment to be inserted.
type arrival struct {
	start, end int    // its place in the datagram, by the wire
	last       bool   // nothing comes behind it
	header     []byte // of a fragment at 0: the IP header and what else is not fragmented
	next       int    // where the byte is in header that names the protocol behind it
	data       []byte // as captured
	proto      uint8  // what the datagram holds, if it starts here
}

// check reports whether a fragment is sane by itself.
func (d *Defragmenter) check(f *Frame, p *Packet) (arrival, bool) {
	g := &p.frag
	end := min(int(g.end), len(f.Data))
	headerEnd, counted := g.payload, g.header // the length in the header starts to count at counted
	if p.Key.Version() == 6 {
		headerEnd -= fragmentHeader
		counted += ipv6Header
	}
	if g.header >= headerEnd || g.next < g.header || g.next >= headerEnd || int(g.payload) > end || g.end < g.payload {
		d.stats.Malformed++ // f is not the frame that was decoded into p
		return arrival{}, false
	}
	size := int(g.end - g.payload)
	a := arrival{
		start: int(g.offset), end: int(g.offset) + size, last: !g.more, proto: p.Proto,
		header: f.Data[g.header:headerEnd], next: int(g.next - g.header), data: f.Data[g.payload:end],
	}
	if size == 0 || g.more && size%8 != 0 {
		d.stats.Malformed++
		return arrival{}, false
	}
	if int(headerEnd-counted)+a.end > maxDatagram {
		d.stats.TooLong++
		return arrival{}, false
	}
	if len(a.data) < size {
		d.stats.Cut++
	}
	if tiny(p.Proto, &a) {
		d.stats.Tiny++
	}
	return a, true
}

const (
	ipv6Header     = 40
	fragmentHeader = 8
)

// tiny reports whether a fragment border lies in the fixed part of the transport header.
func tiny(proto uint8, a *arrival) bool {
	switch proto {
	case ProtoTCP:
		return a.start == 0 && a.end < 20 || a.start > 0 && a.start < 20
	case ProtoUDP:
		return a.start == 0 && a.end < 8
	}
	return false
}

// assemble makes the frame out of all fragments, unless the first one's header makes the datagram too long.
func (d *Defragmenter) assemble(g *datagram, f *Frame) bool {
	captured := g.end
	header := g.data[g.header : g.header+g.headerSize]
	need := len(header) + g.end
	if need > maxDatagram && (g.key.flow.Version() == 4 || need > maxDatagram+ipv6Header) {
		d.stats.TooLong++
		return false
	}
	d.stats.Datagrams++
	if cap(d.output) < need {
		d.output = make([]byte, need, max(need, 4096))
	}
	out := d.output[:need]
	copy(out, header)
	body := out[len(header):]
	last := d.policy(g) == OverlapLast
	for i := range g.pieces {
		p := &g.pieces[i]
		if !last {
			p = &g.pieces[len(g.pieces)-1-i] // so that the first one is written last
		}
		copy(body[p.start:], g.data[p.at:p.at+p.size])
		if p.size < p.end-p.start {
			captured = min(captured, int(p.start+p.size))
		}
	}
	d.frame = Frame{
		Data: out[:len(header)+captured], Length: need, Time: f.Time, Number: f.Number, Interface: f.Interface,
		Link: LinkIPv4,
	}
	if g.key.flow.Version() == 6 {
		d.frame.Link = LinkIPv6
		finishIPv6(out, g.next, g.proto)
		return true
	}
	finishIPv4(out, len(header))
	return true
}

// finishIPv4 makes the header that of a whole datagram: total length, no fragment, checksum.
func finishIPv4(datagram []byte, header int) {
	binary.BigEndian.PutUint16(datagram[2:], uint16(len(datagram)))
	datagram[6], datagram[7] = datagram[6]&0xc0, 0 // more fragments, offset
	datagram[10], datagram[11] = 0, 0
	binary.BigEndian.PutUint16(datagram[10:], ^fold(onesSum(datagram[:header])<<8))
}

// finishIPv6 sets the payload length, and names proto where the fragment header was announced.
func finishIPv6(datagram []byte, next int, proto uint8) {
	binary.BigEndian.PutUint16(datagram[4:], uint16(len(datagram)-ipv6Header))
	datagram[next] = proto
}
