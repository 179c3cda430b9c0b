package packet

import (
	"errors"
	"fmt"
	"math"
)

// DecoderConfig says how a [Decoder] treats what it finds. The zero value is the default.
type DecoderConfig struct {
	// Checksum says what becomes of a wrong TCP checksum. Default ChecksumAuto.
	Checksum ChecksumMode
	// Tunnels are the tunnels that are entered. 0 is all of them, NoTunnels is none.
	Tunnels TunnelSet
	// KeyVLAN makes the id of the outermost VLAN tag part of Packet.Key. A connection that is tagged in one direction
	// only then has two keys.
	KeyVLAN bool
	// KeyTunnel makes the id of the innermost tunnel part of Packet.Key, for the tunnels that use one id in both
	// directions: the VNI of VXLAN and Geneve, the key of GRE, the session of ERSPAN. The ids of GTP, L2TP and PPTP
	// belong to one direction and never count.
	KeyTunnel bool
}

// DecoderStats counts what a [Decoder] has seen.
type DecoderStats struct {
	// Frames is the number of calls of Decode.
	Frames uint64
	// Status counts the outcomes, by Status; those of DecodeDatagram too.
	Status [numStatus]uint64
	// Layers counts the headers entered, by LayerKind.
	Layers [numLayerKinds]uint64
	// Checksums counts the verdicts on TCP segments, by ChecksumState.
	Checksums [numChecksums]uint64
	// TunnelsRefused counts packets that looked like a known tunnel, whose inside made no sense or held no IP: the
	// result is then the outer packet.
	TunnelsRefused uint64
	// LengthsCut counts packets with a header that claimed more bytes than there were on the wire.
	LengthsCut uint64
	// Subframes counts the frames of aggregated 802.11 frames (A-MSDU) behind the first one, which are not decoded.
	Subframes uint64
}

// Decoder decodes frames. It keeps counters, and what Auto checksums need to know of the frames before, and nothing else.
// A Decoder is not safe for concurrent use.
type Decoder struct {
	stats    DecoderStats
	plains   uint64 // plain frames, not in stats,
	verified uint64 // and those of them with a verdict on their checksum, which is
	checksum checksumJudge
	tunnels  TunnelSet
	keys     bool // KeyVLAN or KeyTunnel
	cfg      DecoderConfig
}

// NewDecoder returns a decoder. A nil cfg is the default; the error is for a mode or a tunnel that does not exist.
func NewDecoder(cfg *DecoderConfig) (*Decoder, error) {
	d := new(Decoder)
	if cfg != nil {
		d.cfg = *cfg
	}
	if d.cfg.Checksum > ChecksumStrict {
		return nil, fmt.Errorf("packet: no such checksum mode: %d", d.cfg.Checksum)
	}
	switch t := d.cfg.Tunnels; {
	case t == 0:
		d.tunnels = AllTunnels
	case t == NoTunnels:
	case t&^AllTunnels != 0:
		return nil, errors.New("packet: NoTunnels together with tunnels, or a tunnel that does not exist")
	default:
		d.tunnels = t
	}
	d.checksum = newChecksumJudge(d.cfg.Checksum)
	d.keys = d.cfg.KeyVLAN || d.cfg.KeyTunnel
	return d, nil
}

// Stats returns the counters so far.
func (d *Decoder) Stats() DecoderStats {
	s := d.stats
	s.Frames += d.plains
	s.Status[OK] += d.plains
	s.Checksums[ChecksumUnchecked] += d.plains - d.verified
	for _, kind := range [...]LayerKind{LayerEthernet, LayerIPv4, LayerTCP} {
		s.Layers[kind] += d.plains
	}
	return s
}

// Decode decodes f into p, which it overwrites. It never fails otherwise than by p.Status, reads nothing outside f.Data
// and does not allocate.
//
// Lengths are those of the innermost header that names one, cut to what the layers below it have: Ethernet padding is
// never payload. An IPv4 total length or IPv6 payload length of 0 (segmentation offload, jumbograms) means all that
// the frame had on the wire.
func (d *Decoder) Decode(f *Frame, p *Packet) {
	if d.plain(f, p) {
		return
	}
	d.stats.Frames++
	p.nlayers, p.ips = 0, 0
	var w walk
	w.start(d, f, p)
	w.link(f.Link)
	d.finish(p)
}

// DecodeDatagram decodes into p the datagram that [Defragmenter.Add] returned for p, and keeps the headers that were
// found before the fragment, so that VLAN and tunnel of the last fragment are those of the whole. Decode works too, but
// knows of the datagram alone. It does not allocate.
func (d *Decoder) DecodeDatagram(datagram *Frame, p *Packet) {
	p.nlayers = p.frag.layers
	if p.ips > 0 {
		p.ips--
	}
	if p.ips == 1 {
		p.Key = p.outer // becomes the outer key again when the second IP header is found
	}
	var w walk
	w.start(d, datagram, p)
	w.link(datagram.Link)
	d.finish(p)
}

func (d *Decoder) finish(p *Packet) {
	if d.keys {
		d.extendKey(p)
	}
	d.stats.Status[p.Status]++
	for i := range p.layers[:p.nlayers] {
		d.stats.Layers[p.layers[i].Kind]++
	}
}

func (d *Decoder) extendKey(p *Packet) {
	if d.cfg.KeyVLAN {
		p.Key = p.Key.WithVLAN(p.VLAN())
	}
	if !d.cfg.KeyTunnel {
		return
	}
	switch t := p.tunnel(); t.Kind {
	case LayerVXLAN, LayerGeneve, LayerERSPAN, LayerGRE:
		p.Key = p.Key.WithTunnel(t.ID)
	default:
	}
}

// walk is the way through one frame. Every method decodes one header, at off, and calls the next one's; each pushes a
// layer, which bounds the depth. len(data) <= end holds throughout, and 0 <= off <= len(data).
type walk struct {
	d        *Decoder
	p        *Packet
	data     []byte // what was captured of the frame, up to end
	off      int    // the next byte
	end      int    // where the current header's contents ended on the wire; beyond len(data) if that was not captured
	next     int    // where the byte is that named the current IP protocol
	guess    bool   // inside what may be a tunnel, and no IP header accepted yet
	cut      bool   // a header claimed more than the wire had
	rerouted bool   // an address is not the one that the checksum covers
}

func (w *walk) start(d *Decoder, f *Frame, p *Packet) {
	p.Time, p.Number = f.Time, f.Number
	p.Checksum = ChecksumUnchecked
	w.d, w.p = d, p
	w.data = f.Data
	w.end = min(max(f.Length, len(f.Data)), math.MaxInt32)
}

func (w *walk) push(kind LayerKind, id uint32) bool {
	p := w.p
	n := p.nlayers
	if n >= MaxLayers {
		w.fail(TooDeep)
		return false
	}
	l := &p.layers[n]
	l.ID, l.Offset, l.Kind = id, uint32(w.off), kind
	p.nlayers = n + 1
	return true
}

// setID sets what the header pushed last identifies.
func (w *walk) setID(id uint32) { w.p.layers[(w.p.nlayers-1)%MaxLayers].ID = id }

func (w *walk) fail(s Status) {
	w.p.Status = s
	w.p.Offset = uint32(w.off)
	w.p.Payload = nil
	w.p.Missing = 0
}

// ok ends the walk with all that is left as payload.
func (w *walk) ok() {
	p := w.p
	p.Status = OK
	p.Payload = w.data[w.off:len(w.data):len(w.data)]
	p.Missing = uint32(w.end - len(w.data))
}

// mark is a place to come back to when what looked like a header proves to be none.
type mark struct {
	walk    walk
	key     FlowKey
	proto   uint8
	ips     uint8
	nlayers uint8
}

func (w *walk) mark() mark {
	return mark{walk: *w, key: w.p.Key, proto: w.p.Proto, ips: w.p.ips, nlayers: w.p.nlayers}
}

func (w *walk) restore(m *mark) {
	*w = m.walk
	p := w.p
	p.Key, p.Proto, p.ips, p.nlayers = m.key, m.proto, m.ips, m.nlayers
}

// limit ends the current header's contents at end, on the wire, if they do not end earlier.
func (w *walk) limit(end int) {
	if end < w.end {
		w.end = end
		if end < len(w.data) {
			w.data = w.data[:end]
		}
	}
}

// truncated fails because fewer than n bytes are left: as short if the snapshot length is the reason, else as bad.
func (w *walk) truncated(n int, short, bad Status) {
	if w.off+n > w.end && !w.cut {
		short = bad
	}
	w.fail(short)
}
