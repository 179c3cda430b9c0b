package nfpacket

import (
	"math/bits"

	"github.com/tcpfollow/tcpfollow/packet"
)

// EtherTypes.
const (
	etherIPv4     = 0x0800
	etherVLAN     = 0x8100
	etherIPv6     = 0x86dd
	etherMPLS     = 0x8847
	etherMPLSCast = 0x8848
	etherPPPoE    = 0x8864
)

// Service access points of IEEE 802.2.
const (
	sapSNAP = 0xaa
	sapSTP  = 0x42
)

// linkLayer passes over the link-layer header that starts at a place in the frame.
func (w *walk) linkLayer(start int) Status {
	switch w.link {
	case packet.LinkEthernet:
		if s := w.ethernet(start); s != OK {
			return s
		}
	case packet.LinkNull:
		w.ip, w.kind = start+4, etherIPv6
		if w.at16(start) == 0 && w.at16(start+2) == 2 { // in network byte order alone
			w.kind = etherIPv4
		}
	case packet.LinkPPP, packet.LinkCiscoHDLC:
		w.ip, w.kind = start+2, w.at16(start)
		if first := w.at(0); first == 0x0f || first == 0x8f { // of the frame, even within a tunnel
			w.ip, w.kind = start+4, w.at16(start+2)
		}
	case packet.LinkPPPSerial:
		w.ip, w.kind = start+4, w.at16(start+2)
	case packet.LinkIPv4:
		w.ip, w.kind = start, etherIPv4
	case packet.LinkIPv6:
		w.ip, w.kind = start, etherIPv6
	case packet.LinkRaw, packet.LinkRawBSD:
		w.ip, w.kind = start, etherIPv4
		if w.at(start)>>4 == 6 {
			w.kind = etherIPv6
		}
	case packet.LinkSLL:
		w.ip, w.kind = start+16, w.at16(start+14)
	case packet.LinkRadiotap:
		if s := w.radiotap(start); s != OK {
			return s
		}
	default:
		return UnknownLink
	}
	w.tags()
	return OK
}

func (w *walk) ethernet(start int) Status {
	if uint(start+14) > uint(len(w.data)) {
		return TooShort
	}
	h := w.data[start : start+14]
	w.p.DstMAC, w.p.SrcMAC = MAC(h[0:6]), MAC(h[6:12])
	w.ip = start + 14
	switch kind := w.at16(start + 12); {
	case kind >= 1536:
		w.kind = kind
	case kind > 0 && kind <= 1500: // a length (IEEE 802.3); the type stays that of the frame outside, if there is one
		dsap, ssap := w.at(w.ip), w.at(w.ip+1)
		if dsap == sapSNAP || ssap == sapSNAP {
			w.kind = int(bits.ReverseBytes16(uint16(w.at16(w.ip + 6))))
			w.ip += 8
		} else if dsap == sapSTP || ssap == sapSTP {
			return NotIP
		}
	}
	return OK
}

// radiotap passes over a radiotap header, that of 802.11, and that of LLC.
func (w *walk) radiotap(start int) Status {
	const badFCS = 0x50
	if w.at(start+16)&badFCS == badFCS {
		return NotIP
	}
	wifi := start + w.at(start+2) + w.at(start+3)<<8
	if len(w.data) < wifi+24 {
		return TooShort
	}
	const (
		typeMask  = 0x0c
		typeData  = 0x08
		direction = 0x03 // to or from the distribution system
	)
	if w.at(wifi)&typeMask != typeData {
		return NotIP
	}
	if ds := w.at(wifi+1) & direction; ds == 1 || ds == 2 {
		w.wifi = 26
	}
	llc := wifi + w.wifi
	if len(w.data) < llc+8 {
		return TooShort
	}
	if w.at(llc) == sapSNAP {
		w.kind = w.at16(llc + 6)
	}
	w.ip = llc + 8
	w.p.SrcMAC, w.p.DstMAC = MAC(w.data[wifi+10:wifi+16]), MAC(w.data[wifi+16:wifi+22])
	return OK
}

// tags passes over VLAN tags, MPLS labels and the header of a PPPoE session.
func (w *walk) tags() {
	for w.kind == etherVLAN {
		w.vlan = uint16(w.at16(w.ip)) & 0xfff
		w.kind = w.at16(w.ip + 2)
		w.ip += 4
	}
	switch w.kind {
	case etherMPLS, etherMPLSCast:
		w.kind = etherIPv4
		for bottom := false; !bottom && w.ip < len(w.data); w.ip += 4 {
			bottom = w.at(w.ip+2)&1 != 0
		}
	case etherPPPoE:
		w.kind = etherIPv4
		w.ip += 8
	}
}
