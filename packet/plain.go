package packet

import "encoding/binary"

// Plain is what following connections takes of a plain frame: an Ethernet header, an IPv4 header without options, and a TCP
// segment that was captured to its end. Most frames are plain. It is smaller than a [Packet], and faster made. The zero Plain
// is that of a frame that is not.
type Plain struct {
	// Hash is that of the connection's key.
	Hash uint64

	pair       uint64 // the addresses, in the order of the canonical key
	ports      uint32 // in that order
	start, end uint32 // where the payload lies in the frame

	// From is the side that sends, see [ConnKey].
	From uint8
	// Checksum is the verdict on the TCP checksum.
	Checksum ChecksumState
}

// Where the headers of a plain frame start.
const (
	plainIP  = 14
	plainTCP = plainIP + 20
)

// plainKind is that of a plain frame's key.
const plainKind = 4<<24 | ProtoTCP<<16

// plainHeaders are the headers of a plain frame, but for TCP options.
type plainHeaders [plainTCP + 20]byte

// isPlain reports whether an Ethernet frame is plain.
func isPlain(b []byte) bool {
	if len(b) < len(plainHeaders{}) {
		return false
	}
	h := (*plainHeaders)(b)
	start, end := h.payload()
	// Four bytes each, the first one lowest: the Ethernet type, the IP version and header length; and more fragments, the
	// offset, the protocol.
	return binary.LittleEndian.Uint32(h[12:16])&0x00ffffff == 0x450008 &&
		binary.LittleEndian.Uint32(h[plainIP+6:plainIP+10])&0xff00ff3f == ProtoTCP<<24 &&
		uint32(len(h)) <= start && start <= end && uint(end) <= uint(len(b))
}

// payload returns where the payload starts and ends in the frame, if it is plain.
func (h *plainHeaders) payload() (start, end uint32) {
	return plainTCP + uint32(h[plainTCP+12])>>4*4, plainIP + uint32(binary.BigEndian.Uint16(h[plainIP+2:plainIP+4]))
}

func (h *plainHeaders) pair() uint64  { return binary.BigEndian.Uint64(h[plainIP+12 : plainIP+20]) }
func (h *plainHeaders) ports() uint32 { return binary.BigEndian.Uint32(h[plainTCP : plainTCP+4]) }
func (h *plainHeaders) seq() uint32   { return binary.BigEndian.Uint32(h[plainTCP+4 : plainTCP+8]) }

func (h *plainHeaders) ack() uint32 { return binary.BigEndian.Uint32(h[plainTCP+8 : plainTCP+12]) }

func (h *plainHeaders) flags() TCPFlags {
	return TCPFlags(binary.BigEndian.Uint16(h[plainTCP+12:plainTCP+14]) & 0x1ff)
}

// Plain decodes the plain frames that frames starts with into out, which is as long, and returns how many they are. The
// frame behind them, if there is one, is not plain: Decode is for it, before Plain goes on. Both find the same. Hashes are
// those of [FlowKey.Hash] under seed.
func (d *Decoder) Plain(frames []Frame, seed uint64, out []Plain) int {
	n := min(len(frames), len(out))
	frames, out = frames[:n], out[:n]
	for i := range frames {
		f := &frames[i]
		if f.Link != LinkEthernet || !isPlain(f.Data) {
			n = i
			break
		}
		p, h := &out[i], (*plainHeaders)(f.Data)
		p.start, p.end = h.payload()
		p.pair, p.ports, p.From = order4(h.pair(), h.ports())
		p.Hash = mix(seed, p.pair, tail(plainKind, p.ports))
		p.Checksum = ChecksumUnchecked
		if d.checksum.mayWant(binary.LittleEndian.Uint16(h[plainTCP+12 : plainTCP+14])) {
			p.Checksum = d.verify(p.pair, f.Data[plainTCP:p.end], p.Empty())
		}
	}
	d.plains += uint64(n)
	return n
}

// Segment returns what of a plain frame tells whether it is the next of its connection.
func (p *Plain) Segment(f *Frame) (flags TCPFlags, seq, ack uint32) {
	h := (*plainHeaders)(f.Data)
	return h.flags(), h.seq(), h.ack()
}

// IsPlain reports whether p is that of a plain frame.
func (p *Plain) IsPlain() bool { return p.end != 0 }

// Empty reports whether the segment has no payload.
func (p *Plain) Empty() bool { return p.start == p.end }

// Payload returns the payload of f, that p was made of.
func (p *Plain) Payload(f *Frame) []byte { return f.Data[p.start:p.end:p.end] }

// Is reports whether k is the canonical key of p's connection.
func (p *Plain) Is(k *FlowKey) bool {
	return k.src[0] == p.pair && k.ports == p.ports && k.kind == plainKind
}

// Conn stores p's connection in c.
func (p *Plain) Conn(c *ConnKey) {
	c.Key = FlowKey{src: [2]uint64{p.pair}, kind: plainKind, ports: p.ports}
	c.Hash, c.From = p.Hash, p.From
}

// TCP stores the segment of f, that p was made of, in t.
func (p *Plain) TCP(f *Frame, t *TCP) { t.setPlain(f, (*plainHeaders)(f.Data), p.start, p.end) }

func (t *TCP) setPlain(f *Frame, h *plainHeaders, start, end uint32) {
	t.Payload = f.Data[start:end:end]
	t.Options = f.Data[plainTCP+20 : start : start]
	t.Time, t.Number = f.Time, f.Number
	t.Seq, t.Ack, t.Missing, t.Flags = h.seq(), h.ack(), 0, h.flags()
	t.Window = binary.BigEndian.Uint16(h[plainTCP+14 : plainTCP+16])
	t.Urgent = binary.BigEndian.Uint16(h[plainTCP+18 : plainTCP+20])
}

// plain decodes a plain frame in one step. It reports false, and has done nothing, for any other frame. The walk gives the
// same result, only slower; tests hold the two to it.
func (d *Decoder) plain(f *Frame, p *Packet) bool {
	if f.Link != LinkEthernet || !isPlain(f.Data) {
		return false
	}
	h := (*plainHeaders)(f.Data)
	start, end := h.payload()
	d.plains++
	p.Time, p.Number = f.Time, f.Number
	p.Status, p.Proto, p.Missing = OK, ProtoTCP, 0
	p.ips, p.nlayers = 1, 3
	p.layers[0] = Layer{Kind: LayerEthernet}
	p.layers[1] = Layer{Kind: LayerIPv4, Offset: plainIP}
	p.layers[2] = Layer{Kind: LayerTCP, Offset: plainTCP}
	p.Key = FlowKey{src: [2]uint64{h.pair()}, kind: plainKind, ports: h.ports()}
	p.TCP.setPlain(f, h, start, end)
	p.Payload = p.TCP.Payload
	p.Checksum = d.verify(h.pair(), f.Data[plainTCP:end], start == end)
	return true
}

// verify returns the verdict on the checksum of a plain frame between the addresses in pair; bare is that it has no payload.
// It stays out of line: few frames need it, and all would pay for its variables.
//
//go:noinline
func (d *Decoder) verify(pair uint64, segment []byte, bare bool) ChecksumState {
	if !d.checksum.wants(TCPFlags(binary.BigEndian.Uint16(segment[12:14])), bare) {
		return ChecksumUnchecked
	}
	c := d.checksum.verify(half(pair), segment)
	d.stats.Checksums[c]++
	d.verified++
	return c
}
