package packet

import "encoding/binary"

// settle ends the attempt to decode what a tunnel holds, begun at m. If that was no IP, or if a port number was all
// that promised a tunnel and the contents make no sense, the outer packet is the result.
func (w *walk) settle(m *mark) {
	p := w.p
	if p.ips > m.ips || p.Status == TooDeep {
		return
	}
	if p.Status == NotIP || w.guess {
		w.restore(m)
		w.d.stats.TunnelsRefused++
		w.ok()
	}
}

// ipTunnel enters the tunnel that an IP protocol number announces, if it may, and reports whether it did.
func (w *walk) ipTunnel(proto uint8) bool {
	var kind TunnelSet
	switch proto {
	case protoIPv4, protoIPv6:
		kind = TunnelIP
	case protoGRE:
		kind = TunnelGRE | TunnelERSPAN
	case protoL2TP:
		kind = TunnelL2TP
	case protoMPLS:
		kind = TunnelMPLS
	case protoEtherIP, protoEthernet:
		kind = TunnelEther
	}
	if w.d.tunnels&kind == 0 {
		return false
	}
	m := w.mark()
	switch proto {
	case protoIPv4:
		w.ipv4()
	case protoIPv6:
		w.ipv6()
	case protoGRE:
		w.gre()
	case protoL2TP:
		w.l2tpSession()
	case protoMPLS:
		w.mpls()
	case protoEtherIP:
		w.etherIP()
	case protoEthernet:
		w.ethernet()
	}
	w.settle(&m)
	return true
}

// gre decodes a GRE header: version 0 (RFC 2784, 2890; with routing, RFC 1701) and the version 1 of PPTP (RFC 2637 §4.1).
func (w *walk) gre() {
	const (
		hasChecksum = 0x8000
		hasRouting  = 0x4000
		hasKey      = 0x2000
		hasSequence = 0x1000
		hasAck      = 0x0080 // version 1
		versionMask = 0x0007
	)
	if !w.push(LayerGRE, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 4 {
		w.truncated(4, TruncatedTunnel, BadTunnel)
		return
	}
	flags, proto := binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:4])
	version := flags & versionMask
	size, key := 4, 0
	if version == 0 && flags&(hasChecksum|hasRouting) != 0 {
		size += 4
	}
	if flags&hasKey != 0 {
		key = size
		size += 4
	}
	if flags&hasSequence != 0 {
		size += 4
	}
	if version == 1 && flags&hasAck != 0 {
		size += 4
	}
	if version > 1 {
		w.fail(BadTunnel)
		return
	}
	if version == 1 {
		w.p.layers[(w.p.nlayers-1)%MaxLayers].Kind = LayerPPTP
	}
	if len(h) < size {
		w.truncated(size, TruncatedTunnel, BadTunnel)
		return
	}
	w.off += size
	switch {
	case key == 0:
	case version == 0:
		w.setID(binary.BigEndian.Uint32(h[key:]))
	default:
		w.setID(uint32(binary.BigEndian.Uint16(h[key+2:])))
		w.limit(w.off + int(binary.BigEndian.Uint16(h[key:])))
	}
	if version == 1 && w.off == w.end { // an acknowledgement only
		w.fail(NotIP)
		return
	}
	if version == 0 && flags&hasRouting != 0 && !w.greRouting() {
		return
	}
	w.grePayload(proto, flags&hasSequence != 0)
}

// greRouting skips source route entries: address family, offset, length, data; the last one is empty (RFC 1701).
func (w *walk) greRouting() bool {
	for {
		h := w.data[w.off:]
		if len(h) < 4 || len(h) < 4+int(h[3]) {
			w.truncated(4, TruncatedTunnel, BadTunnel)
			return false
		}
		w.off += 4 + int(h[3])
		if h[0]|h[1]|h[3] == 0 {
			return true
		}
	}
}

func (w *walk) grePayload(proto uint16, sequence bool) {
	const (
		etherERSPAN3 = 0x22eb
		etherPPP     = 0x880b
		etherWCCP    = 0x883e
		etherERSPAN  = 0x88be
	)
	kind := TunnelGRE
	if proto == etherERSPAN || proto == etherERSPAN3 {
		kind = TunnelERSPAN
	}
	if !w.d.tunnels.Has(kind) {
		w.fail(NotIP)
		return
	}
	switch proto {
	case etherERSPAN:
		w.erspan(sequence)
	case etherERSPAN3:
		w.erspan3()
	case etherPPP:
		w.ppp()
	case etherWCCP: // version 2 has a redirect header of 4 bytes before the packet
		if h := w.data[w.off:]; len(h) > 4 && h[0]>>4 != 4 {
			w.off += 4
		}
		w.ipv4()
	default:
		if proto <= etherMaxLength { // keepalives have 0
			w.fail(NotIP)
			return
		}
		w.etherType(proto)
	}
}

// erspan decodes ERSPAN type II, or type I, which has no header of its own and no GRE sequence number
// (draft-foschiano-erspan).
func (w *walk) erspan(sequence bool) {
	if !w.push(LayerERSPAN, 0) {
		return
	}
	if sequence {
		h := w.data[w.off:]
		if len(h) < 8 {
			w.truncated(8, TruncatedTunnel, BadTunnel)
			return
		}
		if h[0]>>4 != 1 {
			w.fail(BadTunnel)
			return
		}
		w.setID(uint32(binary.BigEndian.Uint16(h[2:4]) & 0x3ff))
		w.off += 8
	}
	w.ethernet()
}

// erspan3 decodes ERSPAN type III: a header of 12 bytes, the last bit of which announces a platform subheader of 8.
func (w *walk) erspan3() {
	const (
		frameEthernet = 0
		frameIP       = 2
	)
	if !w.push(LayerERSPAN, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 12 {
		w.truncated(12, TruncatedTunnel, BadTunnel)
		return
	}
	size := 12 + int(h[11]&1)*8
	if h[0]>>4 != 2 {
		w.fail(BadTunnel)
		return
	}
	if len(h) < size {
		w.truncated(size, TruncatedTunnel, BadTunnel)
		return
	}
	w.setID(uint32(binary.BigEndian.Uint16(h[2:4]) & 0x3ff))
	w.off += size
	switch h[10] >> 2 & 0x1f {
	case frameEthernet:
		w.ethernet()
	case frameIP:
		w.anyIP()
	default:
		w.fail(NotIP)
	}
}

// etherIP decodes an EtherIP header (RFC 3378 §2): version 3 and 12 zero bits.
func (w *walk) etherIP() {
	if !w.push(LayerEtherIP, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 2 {
		w.truncated(2, TruncatedTunnel, BadTunnel)
		return
	}
	if h[0]>>4 != 3 {
		w.fail(BadTunnel)
		return
	}
	w.off += 2
	w.ethernet()
}

// l2tpSession decodes an L2TPv3 data message from its session id on (RFC 3931 §4.1). Cookie and sublayer were agreed on
// out of band: 0 to 12 bytes, behind which Ethernet with IP must be found.
func (w *walk) l2tpSession() {
	if !w.push(LayerL2TP, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 4 {
		w.truncated(4, TruncatedTunnel, BadTunnel)
		return
	}
	session := binary.BigEndian.Uint32(h)
	w.setID(session)
	w.off += 4
	for skip := 4; session != 0 && skip <= 16 && len(h) > skip+14; skip += 4 {
		t, version := binary.BigEndian.Uint16(h[skip+12:]), h[skip+14]>>4
		if t == etherIPv4 && version == 4 || t == etherIPv6 && version == 6 || t == etherVLAN {
			w.off += skip - 4
			w.ethernet()
			return
		}
	}
	w.fail(NotIP) // a control message, or another kind of pseudowire
}
