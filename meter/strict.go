package meter

import (
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// strict decodes by the rules of package packet: RulesStrict.
type strict struct {
	decoder *packet.Decoder
	parts   *[fragmentSlots]fragmented
	p       packet.Packet
	ignored nfpacket.Stats
}

// fragmentSlots is how many datagrams are remembered whose first fragment was seen. A later one may take the place.
const fragmentSlots = 1 << 12

// fragmented is a datagram of which fragments come.
type fragmented struct {
	key   packet.FlowKey // without ports
	id    uint32
	ports [2]uint16
}

func newStrict(cfg *Config) (*strict, error) {
	dc := packet.DecoderConfig{Checksum: packet.ChecksumOff}
	if !cfg.DecodeTunnels {
		dc.Tunnels = packet.NoTunnels
	}
	d, err := packet.NewDecoder(&dc)
	return &strict{decoder: d, parts: new([fragmentSlots]fragmented)}, err
}

// Kinds of tunnels beyond those of package nfpacket, in nDPI's numbers as far as it has some.
const (
	tunnelL2TP = iota + 4
	tunnelVXLAN
	tunnelGRE
	tunnelGeneve
	tunnelERSPAN
	tunnelTeredo
	tunnelOther
)

const (
	kindBits = 8 // of a key's tunnel; the rest is the id of a tunnel that has the same in both directions
	kindMask = 1<<kindBits - 1
)

func tunnelOf(p *packet.Packet) uint32 {
	var kind uint32
	switch p.Tunnel() {
	case packet.LayerNone:
		return 0
	case packet.LayerGTP:
		return nfpacket.TunnelGTP
	case packet.LayerCAPWAP:
		return nfpacket.TunnelCAPWAP
	case packet.LayerTZSP:
		return nfpacket.TunnelTZSP
	case packet.LayerL2TP, packet.LayerPPTP:
		return tunnelL2TP
	case packet.LayerTeredo:
		return tunnelTeredo
	case packet.LayerVXLAN:
		kind = tunnelVXLAN
	case packet.LayerGRE:
		kind = tunnelGRE
	case packet.LayerGeneve:
		kind = tunnelGeneve
	case packet.LayerERSPAN:
		kind = tunnelERSPAN
	default:
		return tunnelOther
	}
	return kind | p.TunnelID()<<kindBits
}

// decode fills in to, and reports whether the frame holds an IP packet.
func (s *strict) decode(f *packet.Frame, to *Packet) bool {
	p := &s.p
	s.decoder.Decode(f, p)
	if p.Status != packet.OK && p.Status != packet.Fragment {
		s.ignored[ignoredAs(p.Status)]++
		return false
	}
	*to = Packet{Time: f.Time, Number: f.Number, Key: p.Key}
	at, id := s.headers(f, to)
	length := max(f.Length, len(f.Data))
	ip, fragment := ipLength(f.Data[at:], length-at)
	to.IP = f.Data[at:]
	to.Sizes[nfpacket.RawSize], to.Sizes[nfpacket.IPSize] = uint32(length), uint32(ip)
	payload := len(p.Payload) + int(p.Missing)
	if p.Status == packet.Fragment {
		to.Fragment = s.fragment(to, id, fragment)
		payload = max(0, ip-int(to.Transport))
		to.Sizes[nfpacket.TransportSize] = uint32(payload)
		if !to.Fragment {
			payload = max(0, payload-headerLength(to))
		}
	} else {
		to.Sizes[nfpacket.TransportSize] = uint32(max(0, ip-int(to.Transport)))
		if p.IsTCP() {
			to.Flags = p.TCP.Flags & 0xff
		}
		if p.Proto == packet.ProtoICMP || p.Proto == packet.ProtoICMPv6 {
			payload = max(0, payload-8)
		}
	}
	to.Sizes[nfpacket.PayloadSize] = uint32(payload)
	to.Key = to.Key.WithVLAN(p.VLAN()).WithTunnel(tunnelOf(p))
	return true
}

// headers finds the innermost IP header in the frame, and fills in where the transport header is and the hardware addresses.
// id is that of a fragmented datagram.
func (s *strict) headers(f *packet.Frame, to *Packet) (ip int, id uint32) {
	end := 0
	for i, l := range s.p.Layers() {
		at := int(l.Offset)
		switch l.Kind {
		case packet.LayerEthernet:
			if i == 0 && len(f.Data) >= at+12 {
				to.DstMAC, to.SrcMAC = nfpacket.MAC(f.Data[at:at+6]), nfpacket.MAC(f.Data[at+6:at+12])
			}
		case packet.LayerIPv4:
			ip, end = at, at+int(f.Data[at]&0xf)*4
			id = uint32(binary.BigEndian.Uint16(f.Data[at+4:]))
		case packet.LayerIPv6:
			ip, end = at, at+40
		case packet.LayerFragment:
			id, end = l.ID, at+8
		case packet.LayerExtension:
			end = at + 8 + int(f.Data[at+1])*8
		case packet.LayerAH:
			end = at + 8 + int(f.Data[at+1])*4
		default:
		}
	}
	to.Transport = uint32(end - ip)
	return ip, id
}

// ipLength returns the length of the IP packet at the start of b, of which so many bytes were on the wire, and for IPv4 where
// in its datagram a fragment belongs.
func ipLength(b []byte, wire int) (length, fragment int) {
	if b[0]>>4 == 4 {
		length = int(binary.BigEndian.Uint16(b[2:]))
		fragment = int(binary.BigEndian.Uint16(b[6:]) & 0x1fff)
	} else if length = int(binary.BigEndian.Uint16(b[4:])); length > 0 {
		length += 40
	}
	if length == 0 { // segmentation offload, jumbograms
		length = wire
	}
	return length, fragment
}

// fragment attributes a fragment to the flow of its datagram, as far as its first fragment was seen. It reports whether it is
// another one than the first.
func (s *strict) fragment(p *Packet, id uint32, offset int) (later bool) {
	at := int(p.Transport)
	if p.IP[0]>>4 == 6 && at >= 48 {
		offset = int(binary.BigEndian.Uint16(p.IP[at-6:]) >> 3)
	}
	slot := &s.parts[p.Key.Hash(uint64(id))%fragmentSlots]
	if offset == 0 {
		*slot = fragmented{key: p.Key, id: id}
		if proto := p.Key.Proto(); (proto == packet.ProtoTCP || proto == packet.ProtoUDP) && len(p.IP) >= at+4 {
			slot.ports = [2]uint16{binary.BigEndian.Uint16(p.IP[at:]), binary.BigEndian.Uint16(p.IP[at+2:])}
		}
	}
	if slot.key == p.Key && slot.id == id {
		p.Key = p.Key.WithPorts(slot.ports[0], slot.ports[1])
	}
	return offset != 0
}

// headerLength returns the length of the transport header of a first fragment.
func headerLength(p *Packet) int {
	switch at := int(p.Transport); p.Key.Proto() {
	case packet.ProtoTCP:
		if len(p.IP) > at+12 {
			return int(p.IP[at+12]>>4) * 4
		}
		return 20
	case packet.ProtoUDP, packet.ProtoICMP, packet.ProtoICMPv6:
		return 8
	}
	return 0
}

// ignoredAs returns the word of package nfpacket for what is wrong with a frame.
func ignoredAs(s packet.Status) nfpacket.Status {
	switch s {
	case packet.UnknownLink:
		return nfpacket.UnknownLink
	case packet.TruncatedLink, packet.TruncatedIP, packet.TruncatedTransport, packet.TruncatedTunnel:
		return nfpacket.TooShort
	case packet.BadIPHeader, packet.BadTCPHeader, packet.BadUDPHeader, packet.BadTunnel, packet.TooDeep:
		return nfpacket.BadLength
	default:
		return nfpacket.NotIP
	}
}
