package packet

import "encoding/binary"

// plain decodes in one step what most frames are: an Ethernet header, an IPv4 header without options, and a TCP segment
// that is there to its end. It reports false, and has done nothing, for any other frame. The walk gives the same
// result, only slower; tests hold the two to it.
func (d *Decoder) plain(f *Frame, p *Packet) bool {
	b := f.Data
	const ip, tcp = 14, 34
	if f.Link != LinkEthernet || len(b) < tcp+20 {
		return false
	}
	h := (*[tcp + 20]byte)(b)
	const fragment = 0x3fff // more fragments, and the offset
	if binary.BigEndian.Uint16(h[12:14]) != etherIPv4 || h[ip] != 0x45 || h[ip+9] != ProtoTCP ||
		binary.BigEndian.Uint16(h[ip+6:ip+8])&fragment != 0 {
		return false
	}
	end := ip + int(binary.BigEndian.Uint16(h[ip+2:ip+4]))
	start := tcp + int(h[tcp+12]>>4)*4
	if start < tcp+20 || start > end || end > len(b) {
		return false
	}
	d.plains++
	p.Time, p.Number = f.Time, f.Number
	p.Status, p.Proto, p.Missing = OK, ProtoTCP, 0
	p.ips, p.nlayers = 1, 3
	p.layers[0] = Layer{Kind: LayerEthernet}
	p.layers[1] = Layer{Kind: LayerIPv4, Offset: ip}
	p.layers[2] = Layer{Kind: LayerTCP, Offset: tcp}
	p.Key.setIPv4(h[ip+12:ip+16], h[ip+16:ip+20])
	p.Key.ports, p.Key.tunnel, p.Key.vlan, p.Key.proto = binary.BigEndian.Uint32(h[tcp:tcp+4]), 0, 0, ProtoTCP
	p.Payload = b[start:end:end]
	t := &p.TCP
	t.Payload = p.Payload
	t.Options = b[tcp+20 : start : start]
	t.Time, t.Number = f.Time, f.Number
	t.Seq = binary.BigEndian.Uint32(h[tcp+4 : tcp+8])
	t.Ack = binary.BigEndian.Uint32(h[tcp+8 : tcp+12])
	t.Missing = 0
	t.Flags = TCPFlags(binary.BigEndian.Uint16(h[tcp+12:tcp+14]) & 0x1ff)
	t.Window = binary.BigEndian.Uint16(h[tcp+14 : tcp+16])
	t.Urgent = binary.BigEndian.Uint16(h[tcp+18 : tcp+20])
	p.Checksum = ChecksumUnchecked
	if d.checksum.wants(t.Flags, end-start) {
		p.Checksum = d.checksum.verify(&p.Key, b[tcp:end])
	}
	d.stats.Checksums[p.Checksum]++
	return true
}
