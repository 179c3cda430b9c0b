package nfpacket

import "github.com/tcpfollow/tcpfollow/packet"

// transport checks the lengths of the IP packet at w.ip and fills in what is known of it.
func (w *walk) transport() Status {
	p := w.p
	if w.ip > len(w.data) {
		return NotIP
	}
	p.IP = w.data[w.ip:]
	captured := int(uint16(len(p.IP))) // as NFStream counts: 65,536 are none
	var header, l4 int
	var proto uint8
	var total int
	var src, dst []byte
	switch w.at(w.ip) >> 4 {
	case 4:
		if captured < ipv4Header {
			return TooShort
		}
		total = w.at16(w.ip + 2)
		header = w.at(w.ip) & 0xf * 4
		l4 = int(uint16(total - header))
		if header > captured || max(total, captured) < header+l4 {
			return BadLength
		}
		proto = p.IP[9]
		src, dst = p.IP[12:16], p.IP[16:20]
	case 6:
		if captured < ipv6Header {
			return TooShort
		}
		total = w.at16(w.ip + 4)
		e, s := w.extensions()
		if s != OK {
			return s
		}
		header, l4, proto = e.start-w.ip, e.length, e.proto
		src, dst = p.IP[8:24], p.IP[24:40]
		if !w.d.cfg.Sizes65 {
			total += ipv6Header
		}
	default:
		return NotIP
	}
	p.Transport = uint32(header)
	p.Flags = 0
	var from, to uint16
	payload := 0
	at := w.ip + header
	switch {
	case proto == packet.ProtoTCP && l4 >= tcpHeader:
		from, to = uint16(w.at16(at)), uint16(w.at16(at+2))
		p.Flags = packet.TCPFlags(w.at(at + 13))
		payload = max(0, l4-w.at(at+12)>>4*4)
	case proto == packet.ProtoUDP && l4 >= udpHeader:
		from, to = uint16(w.at16(at)), uint16(w.at16(at+2))
		payload = l4 - udpHeader
	case proto == packet.ProtoICMP, proto == packet.ProtoICMPv6:
		payload = max(0, l4-icmpHeader)
	default:
		l4 = 0
	}
	p.Sizes[IPSize], p.Sizes[TransportSize], p.Sizes[PayloadSize] = uint32(uint16(total)), uint32(l4), uint32(payload)
	p.Key.Set(src, dst, from, to, proto)
	if w.vlan != 0 || w.tunnel != 0 {
		p.Key = p.Key.WithVLAN(w.vlan).WithTunnel(w.tunnel)
	}
	return OK
}
