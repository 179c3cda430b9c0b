package packet

import "encoding/binary"

// Plain is what following connections takes of a plain frame: an Ethernet header, an IPv4 header without options, and a TCP
// segment that was captured to its end. Most frames are plain. It is smaller than a [Packet], and faster made. The zero Plain
// is that of a frame that is not.
type Plain struct {
	// Hash is that of the connection's key.
	Hash uint64
	// From is the side that sends, see [ConnKey].
	From uint8
	// Checksum is the verdict on the TCP checksum.
	Checksum ChecksumState

	low, high  uint32 // the addresses, in the order of the canonical key
	ports      uint32 // in that order
	start, end uint32 // where the payload lies in the frame
}

// Where the headers of a plain frame start.
const (
	plainIP  = 14
	plainTCP = plainIP + 20
)

// plainHeaders are the headers of a plain frame, but for TCP options.
type plainHeaders [plainTCP + 20]byte

// isPlain returns the headers of a frame and where its payload starts and ends if it is plain, else nil.
func isPlain(f *Frame) (h *plainHeaders, start, end uint32) {
	b := f.Data
	if len(b) < len(plainHeaders{}) || f.Link != LinkEthernet {
		return nil, 0, 0
	}
	h = (*plainHeaders)(b)
	const fragment = 0x3fff // more fragments, and the offset
	if binary.BigEndian.Uint16(h[12:14]) != etherIPv4 || h[plainIP] != 0x45 || h[plainIP+9] != ProtoTCP ||
		binary.BigEndian.Uint16(h[plainIP+6:plainIP+8])&fragment != 0 {
		return nil, 0, 0
	}
	end = plainIP + uint32(binary.BigEndian.Uint16(h[plainIP+2:plainIP+4]))
	start = plainTCP + uint32(h[plainTCP+12]>>4)*4
	if uint(end) > uint(len(b)) || start > end || start < uint32(len(plainHeaders{})) {
		return nil, 0, 0
	}
	return h, start, end
}

func (h *plainHeaders) src() []byte   { return h[plainIP+12 : plainIP+16] }
func (h *plainHeaders) dst() []byte   { return h[plainIP+16 : plainIP+20] }
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
		h, start, end := isPlain(&frames[i])
		if h == nil {
			n = i
			break
		}
		low, high, ports, larger := order4(uint64(binary.BigEndian.Uint32(h.src())), uint64(binary.BigEndian.Uint32(h.dst())), h.ports())
		p := &out[i]
		p.Hash = hashTail(seed, hashPair(seed, low, high), tail(ports, 0, ProtoTCP, 4))
		p.low, p.high, p.ports, p.From = uint32(low), uint32(high), ports, uint8(larger)
		p.start, p.end = start, end
		p.Checksum = ChecksumUnchecked
		if d.checksum.wants(h.flags(), int(end-start)) {
			d.verifyPlain(&frames[i], p)
		}
	}
	d.plains += uint64(n)
	return n
}

// verifyPlain stays out of line: few frames need it, and all would pay for its variables.
//
//go:noinline
func (d *Decoder) verifyPlain(f *Frame, p *Plain) {
	p.Checksum = d.verify(uint64(p.low)+uint64(p.high), f.Data[plainTCP:p.end])
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
	return k.src[1] == uint64(p.low) && k.dst[1] == uint64(p.high) && k.ports == p.ports &&
		k.tunnel == 0 && k.vlan == 0 && k.proto == ProtoTCP && k.version == 4
}

// Conn stores p's connection in c.
func (p *Plain) Conn(c *ConnKey) {
	k := &c.Key
	k.src[0], k.src[1] = 0, uint64(p.low)
	k.dst[0], k.dst[1] = 0, uint64(p.high)
	k.ports, k.tunnel, k.vlan, k.proto, k.version = p.ports, 0, 0, ProtoTCP, 4
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
	h, start, end := isPlain(f)
	if h == nil {
		return false
	}
	d.plains++
	p.Time, p.Number = f.Time, f.Number
	p.Status, p.Proto, p.Missing = OK, ProtoTCP, 0
	p.ips, p.nlayers = 1, 3
	p.layers[0] = Layer{Kind: LayerEthernet}
	p.layers[1] = Layer{Kind: LayerIPv4, Offset: plainIP}
	p.layers[2] = Layer{Kind: LayerTCP, Offset: plainTCP}
	p.Key.setIPv4(h.src(), h.dst())
	p.Key.ports, p.Key.tunnel, p.Key.vlan, p.Key.proto = h.ports(), 0, 0, ProtoTCP
	p.TCP.setPlain(f, h, start, end)
	p.Payload = p.TCP.Payload
	p.Checksum = ChecksumUnchecked
	if d.checksum.wants(p.TCP.Flags, int(end-start)) {
		p.Checksum = d.verify(addressSum(&p.Key), f.Data[plainTCP:end])
	}
	return true
}

// verify verifies the checksum of a plain frame.
func (d *Decoder) verify(addrs uint64, segment []byte) ChecksumState {
	c := d.checksum.verify(addrs, segment)
	d.stats.Checksums[c]++
	d.verified++
	return c
}
