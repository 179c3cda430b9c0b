package nfpacket

// The ports of the tunnels that are entered.
const (
	portGTP    = 2152
	portCAPWAP = 5247
	portTZSP   = 37008
)

// tunnels looks into the UDP packet whose header is at udp. It reports true when there is another IP header to look at.
func (w *walk) tunnels(udp int) (again bool, s Status) {
	if len(w.data) < udp+udpHeader {
		return false, TooShort
	}
	from, to := w.at16(udp), w.at16(udp+2)
	inner := udp + udpHeader
	switch {
	case from == portGTP || to == portGTP:
		return false, w.gtp(inner)
	case from == portCAPWAP || to == portCAPWAP:
		return w.capwap(inner), OK
	case from == portTZSP || to == portTZSP:
		return w.tzsp(inner)
	}
	return false, OK
}

// gtp enters a T-PDU of GTP version 1 (3GPP TS 29.281 §5). What is within it is not looked at for further tunnels.
func (w *walk) gtp(at int) Status {
	const (
		version    = 1
		tpdu       = 0xff
		optional   = 0x07 // one of the optional fields is there, and with it the room of all
		extensions = 0x04
	)
	flags := w.at(at)
	if flags>>5 != version || w.at(at+1) != tpdu {
		return OK
	}
	at += 8
	if flags&optional != 0 {
		at += 4
	}
	if flags&extensions != 0 {
		for more := true; more; more = w.at(at-1) != 0 { // whether there is a first one is not asked
			n := w.at(at) * 4
			if n == 0 || at+n >= len(w.data) {
				return OK
			}
			at += n
		}
	}
	if at >= len(w.data) {
		return OK
	}
	switch w.at(at) >> 4 {
	case 4:
	case 6:
		if len(w.data) < at+ipv6Header+w.at16(at+4) {
			return BadLength
		}
	default:
		return NotIP
	}
	w.ip, w.tunnel = at, TunnelGTP
	return OK
}

// capwap enters a data packet that carries a frame of 802.11 (RFC 5415 §4.4).
func (w *walk) capwap(at int) (entered bool) {
	if w.at(at)&0x0f != 0 {
		return false
	}
	at += w.at(at+1) & 0xf8 >> 1
	if at+32 >= len(w.data) {
		return false
	}
	// A frame to the distribution system: receiver, transmitter, destination.
	w.p.SrcMAC, w.p.DstMAC = MAC(w.data[at+10:at+16]), MAC(w.data[at+16:at+22])
	w.kind = w.at16(at + 24 + 6)
	w.ip, w.tunnel = at+32, TunnelCAPWAP
	return true
}

// tzsp enters a captured frame, which starts with a header of the file's own link type.
func (w *walk) tzsp(at int) (again bool, s Status) {
	w.tunnel = TunnelTZSP
	const header = 4
	if len(w.data) < at+header {
		return false, TooShort
	}
	if w.at(at) != 1 || w.at(at+1) != 0 || w.at16(at+2) != 1 {
		return false, OK
	}
	if at += header; at == len(w.data) {
		return false, OK
	}
	switch w.at(at) { // one tag, whatever follows
	case 0, 1:
		at++
	default:
		at += w.at(at + 1)
	}
	if len(w.data) < at+minCaptured {
		return false, TooShort
	}
	if s := w.linkLayer(at); s != OK {
		return false, s
	}
	return true, OK
}
