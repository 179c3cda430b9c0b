package packet

import "encoding/binary"

// ppp decodes a PPP header (RFC 1661 §2), after the address and control bytes of HDLC framing if they are there. The
// protocol may be compressed to its lower byte, which is odd.
func (w *walk) ppp() {
	if !w.push(LayerPPP, 0) {
		return
	}
	if h := w.data[w.off:]; len(h) >= 2 && h[0] == 0xff && h[1] == 3 {
		w.off += 2
	}
	h := w.data[w.off:]
	size := 2
	if len(h) > 0 && h[0]&1 == 1 && h[0] != 0xff {
		size = 1
	}
	if len(h) < size {
		w.truncated(size, TruncatedLink, BadLink)
		return
	}
	proto := uint16(h[0])
	if size == 2 {
		proto = binary.BigEndian.Uint16(h)
	}
	w.setID(uint32(proto))
	w.off += size
	switch proto {
	case 0x0021:
		w.ipv4()
	case 0x0057:
		w.ipv6()
	case 0x0281, 0x0283:
		w.mpls()
	default: // LCP, IPCP, compressed, encrypted, …
		w.fail(NotIP)
	}
}

// pppDirection decodes PPP behind a byte that says who sent it; that of pppd stands in the place of the address.
func (w *walk) pppDirection(control bool) {
	h := w.data[w.off:]
	if len(h) < 2 {
		w.push(LayerPPP, 0)
		w.fail(TruncatedLink)
		return
	}
	w.off++
	if control && h[1] == 3 {
		w.off++
	}
	w.ppp()
}

// hdlc decodes Cisco HDLC: address, control, and an Ethernet type (RFC 1547 §4.3.1).
func (w *walk) hdlc() {
	if h := w.data[w.off:]; len(h) > 0 && h[0] == 0xff {
		w.ppp()
		return
	}
	if !w.push(LayerHDLC, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 4 {
		w.fail(TruncatedLink)
		return
	}
	t := binary.BigEndian.Uint16(h[2:4])
	w.off += 4
	if t <= etherMaxLength {
		w.fail(NotIP)
		return
	}
	w.etherType(t)
}

// pppSerial decodes what serial lines carry: PPP, or Cisco HDLC by its unicast or multicast address.
func (w *walk) pppSerial() {
	if h := w.data[w.off:]; len(h) > 0 && (h[0] == 0x0f || h[0] == 0x8f) {
		w.hdlc()
		return
	}
	w.ppp()
}

// pppoe decodes a PPPoE session header (RFC 2516 §4); its length is that of all that follows.
func (w *walk) pppoe() {
	if !w.push(LayerPPPoE, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 6 {
		w.fail(TruncatedLink)
		return
	}
	if h[0] != 0x11 {
		w.fail(BadLink)
		return
	}
	w.setID(uint32(binary.BigEndian.Uint16(h[2:4])))
	if h[1] != 0 { // discovery
		w.fail(NotIP)
		return
	}
	w.off += 6
	w.claim(int(binary.BigEndian.Uint16(h[4:6])))
	w.ppp()
}

// mpls decodes a whole MPLS label stack (RFC 3032). Nothing says what it holds: the first four bits tell IP, and are 0
// in a control word before Ethernet (RFC 4448 §4.6) or in most Ethernet addresses. Ethernet must prove to hold IP.
func (w *walk) mpls() {
	if !w.push(LayerMPLS, 0) {
		return
	}
	for bottom := false; !bottom; w.off += 4 {
		h := w.data[w.off:]
		if len(h) < 4 {
			w.fail(TruncatedLink)
			return
		}
		w.setID(binary.BigEndian.Uint32(h) >> 12)
		bottom = h[2]&1 != 0
	}
	h := w.data[w.off:]
	if len(h) == 0 {
		w.fail(TruncatedLink)
		return
	}
	switch h[0] >> 4 {
	case 4:
		w.ipv4()
	case 6:
		w.ipv6()
	case 0:
		w.pseudowire()
	default:
		w.fail(NotIP)
	}
}

// pseudowire tries Ethernet behind a control word, and without one.
func (w *walk) pseudowire() {
	const controlWord = 4
	for _, skip := range [...]int{controlWord, 0} {
		if len(w.data)-w.off < skip+14 {
			continue
		}
		m := w.mark()
		w.guess = true
		w.off += skip
		w.ethernet()
		if w.p.ips > m.ips || w.p.Status == TooDeep {
			return
		}
		w.restore(&m)
		if w.guess { // one guess at a time, or the work would double with every level
			break
		}
	}
	w.fail(NotIP)
}
