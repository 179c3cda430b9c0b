package packet

import "encoding/binary"

// transport decodes what IP protocol proto announces.
func (w *walk) transport(proto uint8) {
	if proto == ProtoTCP {
		w.tcp()
		return
	}
	w.p.Proto = proto
	w.p.Key.setProto(proto)
	switch proto {
	case ProtoUDP:
		w.udp()
		return
	case ProtoICMP, ProtoICMPv6: // what ICMP quotes is not data
		if w.push(LayerICMP, 0) {
			w.ok()
		}
		return
	case protoAH:
		w.extension(proto)
		return
	}
	if w.p.Key.Version() == 6 {
		switch proto {
		case protoHopByHop, protoRouting, protoFragment, protoDestOptions, protoMobility, protoHIP, protoShim6:
			w.extension(proto)
			return
		}
	}
	if !w.ipTunnel(proto) {
		w.ok()
	}
}

// tcp decodes a TCP header (RFC 9293 §3.1). Options that the snapshot length cut off do not make the segment
// undecodable: many captures were taken with 68 bytes, and a SYN is worth having without its last option.
func (w *walk) tcp() {
	if !w.push(LayerTCP, 0) {
		return
	}
	h := w.data[w.off:]
	wire := w.end - w.off
	if len(h) < 20 {
		w.truncated(20, TruncatedTransport, BadTCPHeader)
		return
	}
	size := int(h[12]>>4) * 4
	if size < 20 {
		w.fail(BadTCPHeader)
		return
	}
	if size > wire {
		w.truncated(size, TruncatedTransport, BadTCPHeader)
		return
	}
	p := w.p
	p.Proto = ProtoTCP
	p.Key.setProto(ProtoTCP)
	p.Key.ports = binary.BigEndian.Uint32(h[0:4])
	flags := TCPFlags(binary.BigEndian.Uint16(h[12:14]) & 0x1ff)
	if len(h) == wire && !w.cut && !w.rerouted && w.d.checksum.wants(flags, len(h) == size) {
		p.Checksum = w.d.checksum.verify(addressSum(&p.Key), h)
	}
	w.d.stats.Checksums[p.Checksum]++
	captured := min(size, len(h))
	p.Status = OK
	p.Payload = h[captured:len(h):len(h)]
	p.Missing = uint32(wire - size - len(p.Payload))
	t := &p.TCP
	t.Payload = p.Payload
	t.Options = h[20:captured:captured]
	t.Time, t.Number = p.Time, p.Number
	t.Seq = binary.BigEndian.Uint32(h[4:8])
	t.Ack = binary.BigEndian.Uint32(h[8:12])
	t.Missing = p.Missing
	t.Flags = flags
	t.Window = binary.BigEndian.Uint16(h[14:16])
	t.Urgent = binary.BigEndian.Uint16(h[18:20])
}

// udp decodes a UDP header (RFC 768), and the tunnel that its ports announce.
func (w *walk) udp() {
	if !w.push(LayerUDP, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 8 {
		w.truncated(8, TruncatedTransport, BadUDPHeader)
		return
	}
	if length := int(binary.BigEndian.Uint16(h[4:6])); length >= 8 {
		w.claim(length)
	} else if length != 0 { // 0: a jumbogram (RFC 2675 §4), or segmentation offload
		w.fail(BadUDPHeader)
		return
	}
	w.p.Key.ports = binary.BigEndian.Uint32(h[0:4])
	w.off += 8
	w.ok()
	w.udpTunnel()
}
