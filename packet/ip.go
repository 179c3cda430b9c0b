package packet

import "encoding/binary"

// IP protocol numbers (IANA registry).
const (
	protoHopByHop    = 0
	protoIPv4        = 4
	protoIPv6        = 41
	protoRouting     = 43
	protoFragment    = 44
	protoGRE         = 47
	protoAH          = 51
	protoNoNext      = 59
	protoDestOptions = 60
	protoEtherIP     = 97
	protoL2TP        = 115
	protoMobility    = 135
	protoMPLS        = 137
	protoHIP         = 139
	protoShim6       = 140
	protoEthernet    = 143
)

// anyIP decodes IPv4 or IPv6, whichever the version number says.
func (w *walk) anyIP() {
	if len(w.data) > w.off && w.data[w.off]>>4 == 6 {
		w.ipv6()
		return
	}
	w.ipv4()
}

// accept notes that an IP header made sense. The key is then overwritten.
func (w *walk) accept() {
	if w.p.ips == 1 {
		w.p.outer = w.p.Key
	}
	w.p.ips++
	w.guess = false
	w.rerouted = false
}

// claim limits the contents to the length that a header claims, from off on. Where the wire had less, the wire is
// right; it reports false, and limits nothing, if that happens in a header that was found by guessing.
func (w *walk) claim(length int) bool {
	end := w.off + length
	if end > w.end {
		if w.guess && !w.cut {
			return false
		}
		if !w.cut {
			w.cut = true
			w.d.stats.LengthsCut++
		}
	}
	w.limit(end)
	return true
}

func (w *walk) ipv4() {
	if !w.push(LayerIPv4, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 20 {
		w.fail(TruncatedIP)
		return
	}
	if h[0]>>4 != 4 {
		w.fail(BadIPVersion)
		return
	}
	size := int(h[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(h[2:4]))
	if total == 0 { // segmentation offload: the card was to fill it in
		total = w.end - w.off
	}
	if size < 20 || total < size || !w.claim(total) {
		w.fail(BadIPHeader)
		return
	}
	if len(w.data)-w.off < size {
		w.fail(TruncatedIP)
		return
	}
	w.accept()
	p := w.p
	p.Key.setIPv4(binary.BigEndian.Uint64(h[12:20]), h[9])
	if size > 20 {
		w.rerouted = sourceRouted(h[20:size])
	}
	if frag := binary.BigEndian.Uint16(h[6:8]); frag&0x3fff != 0 {
		p.frag = fragment{
			id: uint32(binary.BigEndian.Uint16(h[4:6])), header: uint32(w.off), next: uint32(w.off + 9),
			offset: frag & 0x1fff * 8, more: frag&0x2000 != 0,
		}
		w.off += size
		w.fragment(h[9], p.nlayers-1)
		return
	}
	w.next = w.off + 9
	w.off += size
	w.transport(h[9])
}

// fragment ends the walk at the contents of an IP fragment; layers is the number of headers before its IP header.
func (w *walk) fragment(proto, layers uint8) {
	p := w.p
	p.Status = Fragment
	p.Proto = proto
	p.Key.setProto(proto)
	p.Payload, p.Missing = nil, 0 // that of a UDP tunnel
	p.frag.payload = uint32(w.off)
	p.frag.end = uint32(w.end)
	p.frag.layers = layers
}

// sourceRouted reports whether IPv4 options hold a loose or strict source route: the checksum then covers the last
// address of the route (RFC 1122 §4.1.3.2).
func sourceRouted(options []byte) bool {
	for len(options) >= 2 && options[0] != 0 {
		switch options[0] {
		case 1:
			options = options[1:]
			continue
		case 131, 137:
			return true
		}
		if n := int(options[1]); n >= 2 && n <= len(options) {
			options = options[n:]
			continue
		}
		return false
	}
	return false
}

func (w *walk) ipv6() {
	if !w.push(LayerIPv6, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 40 {
		w.fail(TruncatedIP)
		return
	}
	if h[0]>>4 != 6 {
		w.fail(BadIPVersion)
		return
	}
	total := 40 + int(binary.BigEndian.Uint16(h[4:6]))
	if total == 40 && h[6] != protoNoNext { // a jumbogram (RFC 2675), or segmentation offload
		total = w.end - w.off
	}
	if !w.claim(total) {
		w.fail(BadIPHeader)
		return
	}
	w.accept()
	w.p.Key.setIPv6(h[8:24], h[24:40], h[6])
	w.p.frag.header = uint32(w.off)
	w.p.frag.layers = w.p.nlayers - 1
	w.next = w.off + 6
	w.off += 40
	w.transport(h[6])
}

// extension decodes the IPv6 extension header proto, which names the next protocol in its first byte.
func (w *walk) extension(proto uint8) {
	kind, unit, fixed := LayerExtension, 8, 8
	switch proto {
	case protoAH:
		kind, unit = LayerAH, 4 // RFC 4302 §2.2
	case protoFragment:
		kind, unit = LayerFragment, 0
	}
	if !w.push(kind, uint32(proto)) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 8 {
		w.truncated(8, TruncatedIP, BadIPHeader)
		return
	}
	size := fixed + int(h[1])*unit
	if len(h) < size {
		w.truncated(size, TruncatedIP, BadIPHeader)
		return
	}
	switch proto {
	case protoAH, protoFragment:
		w.setID(binary.BigEndian.Uint32(h[4:8]))
	case protoRouting:
		w.rerouted = w.rerouted || h[3] != 0 // segments left: RFC 8200 §8.1
	case protoDestOptions:
		w.rerouted = w.rerouted || homeAddress(h[2:size])
	}
	if frag := binary.BigEndian.Uint16(h[2:4]); proto == protoFragment && frag&0xfff9 != 0 {
		// Offset 0 and no more to come is an atomic fragment, whole in itself: RFC 6946.
		f := &w.p.frag
		f.id, f.next, f.offset, f.more = binary.BigEndian.Uint32(h[4:8]), uint32(w.next), frag&0xfff8, frag&1 != 0
		w.off += size
		w.fragment(h[0], f.layers)
		return
	}
	w.next = w.off
	w.off += size
	w.transport(h[0])
}

// homeAddress reports whether destination options hold a home address, which the checksum covers in place of the
// source address (RFC 6275 §11.3.1).
func homeAddress(options []byte) bool {
	for len(options) >= 2 {
		switch {
		case options[0] == 0:
			options = options[1:]
		case options[0] == 201:
			return true
		case 2+int(options[1]) <= len(options):
			options = options[2+int(options[1]):]
		default:
			return false
		}
	}
	return false
}
