package packet

import "encoding/binary"

// UDP ports (IANA registry).
const (
	portL2TP         = 1701
	portGTP          = 2152
	portTeredo       = 3544
	portVXLAN        = 4789
	portVXLANGPE     = 4790
	portCAPWAP       = 5247
	portGeneve       = 6081
	portMPLS         = 6635
	portVXLANOld     = 8472 // Linux before the registration
	portTZSP         = 37008
	ethernetProtocol = 3 // VXLAN-GPE next protocol
)

// udpTunnelPort returns the port that announces a tunnel, and the tunnel; 0 if there is none.
func udpTunnelPort(ports uint32) (uint16, TunnelSet) {
	switch dst := uint16(ports); dst {
	case portVXLAN, portVXLANOld, portVXLANGPE:
		return dst, TunnelVXLAN
	case portGeneve:
		return dst, TunnelGeneve
	case portTZSP:
		return dst, TunnelTZSP
	case portMPLS:
		return dst, TunnelMPLS
	case portGTP, portL2TP, portTeredo, portCAPWAP:
		return dst, udpTunnelBothWays(dst)
	}
	src := uint16(ports >> 16)
	return src, udpTunnelBothWays(src)
}

// udpTunnelBothWays returns the tunnel whose port is that of one end, and is the source port of half of its packets.
func udpTunnelBothWays(port uint16) TunnelSet {
	switch port {
	case portGTP:
		return TunnelGTP
	case portL2TP:
		return TunnelL2TP
	case portTeredo:
		return TunnelTeredo
	case portCAPWAP:
		return TunnelCAPWAP
	}
	return 0
}

// udpTunnel decodes what the ports announce, which is a guess: see settle.
func (w *walk) udpTunnel() {
	port, kind := udpTunnelPort(w.p.Key.ports)
	if w.d.tunnels&kind == 0 {
		return
	}
	m := w.mark()
	w.guess = true
	switch port {
	case portVXLAN, portVXLANOld:
		w.vxlan(false)
	case portVXLANGPE:
		w.vxlan(true)
	case portGeneve:
		w.geneve()
	case portGTP:
		w.gtp()
	case portL2TP:
		w.l2tp()
	case portTeredo:
		w.teredo()
	case portCAPWAP:
		w.capwap()
	case portTZSP:
		w.tzsp()
	case portMPLS:
		w.mpls()
	}
	w.settle(&m)
}

// vxlan decodes a VXLAN header (RFC 7348 §5), or that of VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe).
func (w *walk) vxlan(gpe bool) {
	const (
		hasVNI      = 0x08
		hasProtocol = 0x04
	)
	if !w.push(LayerVXLAN, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 8 {
		w.fail(TruncatedTunnel)
		return
	}
	if h[0]&hasVNI == 0 {
		w.fail(BadTunnel)
		return
	}
	w.setID(binary.BigEndian.Uint32(h[4:8]) >> 8)
	w.off += 8
	protocol := byte(ethernetProtocol)
	if gpe && h[0]&hasProtocol != 0 {
		protocol = h[3]
	}
	switch protocol {
	case 1:
		w.ipv4()
	case 2:
		w.ipv6()
	case ethernetProtocol:
		w.ethernet()
	case 5:
		w.mpls()
	default:
		w.fail(NotIP)
	}
}

// geneve decodes a Geneve header and skips its options (RFC 8926 §3.4).
func (w *walk) geneve() {
	if !w.push(LayerGeneve, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 8 {
		w.fail(TruncatedTunnel)
		return
	}
	size := 8 + int(h[0]&0x3f)*4
	protocol := binary.BigEndian.Uint16(h[2:4])
	if h[0]>>6 != 0 || protocol <= etherMaxLength {
		w.fail(BadTunnel)
		return
	}
	if len(h) < size {
		w.fail(TruncatedTunnel)
		return
	}
	w.setID(binary.BigEndian.Uint32(h[4:8]) >> 8)
	w.off += size
	w.etherType(protocol)
}

// gtp decodes a GTP-U header with its extension headers (3GPP TS 29.281 §5).
func (w *walk) gtp() {
	const (
		versionMask  = 0xf0
		version1     = 0x30 // and protocol type 1: not GTP'
		hasExtension = 0x04
		hasOptional  = 0x07 // any of extension, sequence number, N-PDU number: all three are there
		gPDU         = 255
	)
	if !w.push(LayerGTP, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 12 {
		w.fail(TruncatedTunnel)
		return
	}
	end := w.off + 8 + int(binary.BigEndian.Uint16(h[2:4]))
	if h[0]&versionMask != version1 || h[1] != gPDU || end > w.end && !w.cut {
		w.fail(BadTunnel)
		return
	}
	w.setID(binary.BigEndian.Uint32(h[4:8]))
	w.limit(end)
	next, size := byte(0), 8
	if h[0]&hasOptional != 0 {
		size = 12
	}
	if h[0]&hasExtension != 0 {
		next = h[11]
	}
	for {
		if len(w.data)-w.off < size {
			w.fail(TruncatedTunnel)
			return
		}
		w.off += size
		if next == 0 {
			break
		}
		h := w.data[w.off:]
		if len(h) == 0 || h[0] == 0 || len(h) < int(h[0])*4 {
			w.fail(TruncatedTunnel)
			return
		}
		size = int(h[0]) * 4
		next = h[size-1]
	}
	w.anyIP()
}

// l2tp decodes an L2TP header over UDP: version 2 (RFC 2661 §3.1), or version 3 (RFC 3931 §4.1.2).
func (w *walk) l2tp() {
	const (
		isControl   = 0x8000
		hasLength   = 0x4000
		hasSequence = 0x0800
		hasOffset   = 0x0200
		reserved    = 0x34f0
		versionMask = 0x000f
	)
	h := w.data[w.off:]
	if len(h) < 8 {
		w.fail(TruncatedTunnel)
		return
	}
	flags := binary.BigEndian.Uint16(h)
	if flags == 3 {
		w.off += 4
		w.l2tpSession()
		return
	}
	if flags&(isControl|reserved) != 0 || flags&versionMask != 2 {
		w.fail(BadTunnel)
		return
	}
	if !w.push(LayerL2TP, 0) {
		return
	}
	size := 2
	if flags&hasLength != 0 {
		w.limit(w.off + int(binary.BigEndian.Uint16(h[2:4])))
		h = w.data[w.off:]
		size += 2
	}
	ids := size
	size += 4
	if flags&hasSequence != 0 {
		size += 4
	}
	if flags&hasOffset != 0 && len(h) >= size+2 {
		size += 2 + int(binary.BigEndian.Uint16(h[size:]))
	}
	if len(h) < size {
		w.fail(TruncatedTunnel)
		return
	}
	w.setID(binary.BigEndian.Uint32(h[ids:]))
	w.off += size
	w.ppp()
}

// teredo decodes what Teredo may put before its IPv6 packets: authentication and origin indication (RFC 4380 §5.1.1).
func (w *walk) teredo() {
	const (
		originSize = 8
		authFixed  = 13
	)
	if !w.push(LayerTeredo, 0) {
		return
	}
	if h := w.data[w.off:]; len(h) >= 4 && h[0] == 0 && h[1] == 1 {
		w.off += min(authFixed+int(h[2])+int(h[3]), len(h))
	}
	if h := w.data[w.off:]; len(h) >= originSize && h[0] == 0 && h[1] == 0 {
		w.off += originSize
	}
	w.ipv6()
}

// capwap decodes a CAPWAP data header (RFC 5415 §4.3).
func (w *walk) capwap() {
	const (
		isNative   = 1 << 8 // the frame is of the binding's kind, not 802.3
		isFragment = 1 << 7
		keepAlive  = 1 << 3
		bindWiFi   = 1
	)
	if !w.push(LayerCAPWAP, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 8 {
		w.fail(TruncatedTunnel)
		return
	}
	v := binary.BigEndian.Uint32(h)
	size, binding := int(v>>19&0x1f)*4, v>>9&0x1f
	// A preamble other than 0 is another version, or DTLS.
	if h[0] != 0 || size < 8 || v&(isFragment|keepAlive) != 0 {
		w.fail(BadTunnel)
		return
	}
	if len(h) < size {
		w.fail(TruncatedTunnel)
		return
	}
	w.off += size
	switch {
	case v&isNative == 0:
		w.ethernet()
	case binding == bindWiFi:
		w.wifi(false)
	default:
		w.fail(NotIP)
	}
}

// tzsp decodes a TZSP header and skips its tags.
func (w *walk) tzsp() {
	const (
		tagPad = 0
		tagEnd = 1
	)
	if !w.push(LayerTZSP, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 5 {
		w.fail(TruncatedTunnel)
		return
	}
	if h[0] != 1 || h[1] > 1 { // version; received packet, or packet to transmit
		w.fail(BadTunnel)
		return
	}
	w.off += 4
	for tag := byte(tagPad); tag != tagEnd; {
		t := w.data[w.off:]
		if len(t) == 0 {
			w.fail(TruncatedTunnel)
			return
		}
		tag = t[0]
		size := 1
		if tag > tagEnd {
			if len(t) < 2 || len(t) < 2+int(t[1]) {
				w.fail(TruncatedTunnel)
				return
			}
			size = 2 + int(t[1])
		}
		w.off += size
	}
	switch binary.BigEndian.Uint16(h[2:4]) {
	case 1:
		w.ethernet()
	case 18:
		w.wifi(false)
	case 119:
		w.prism()
	case 127:
		w.avs()
	default:
		w.fail(NotIP)
	}
}
