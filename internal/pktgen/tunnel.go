package pktgen

import (
	"encoding/binary"
	"net/netip"
)

// GRE is a GRE header (RFC 2784, RFC 2890). Around [Ethernet] with a key it is NVGRE; around [Ethernet] with Type
// 0x88be it is ERSPAN type I.
type GRE struct {
	// Key and Seq are the optional fields, absent unless fixed.
	Key, Seq Override
	// Checksum adds the right checksum of header and payload.
	Checksum bool
	// Type is the EtherType of what follows.
	Type Override
}

func (h GRE) wrap(p []byte, s stack) []byte {
	flags := bit(h.Checksum, 0x8000) | bit(h.Key.set, 0x2000) | bit(h.Seq.set, 0x1000)
	b := put16(nil, uint16(flags), etherType(h.Type, p, s))
	if h.Checksum {
		b = put32(b, 0)
	}
	if h.Key.set {
		b = put32(b, h.Key.value)
	}
	if h.Seq.set {
		b = put32(b, h.Seq.value)
	}
	b = append(b, p...)
	if h.Checksum {
		binary.BigEndian.PutUint16(b[4:], Checksum(b))
	}
	return b
}

func (h GRE) ids() ids { return ids{ether: etherExperimental, ip: 47, link: linkUser0} }

// PPTP is the enhanced GRE header of PPTP (RFC 2637); [PPP] belongs behind it.
type PPTP struct {
	// Call is the call identifier.
	Call uint16
	// Seq and Ack are the optional fields, absent unless fixed.
	Seq, Ack Override
}

func (h PPTP) wrap(p []byte, _ stack) []byte {
	flags := 0x2001 | bit(h.Seq.set, 0x1000) | bit(h.Ack.set, 0x80)
	b := put16(nil, uint16(flags), 0x880b, uint16(len(p)), h.Call)
	if h.Seq.set {
		b = put32(b, h.Seq.value)
	}
	if h.Ack.set {
		b = put32(b, h.Ack.value)
	}
	return append(b, p...)
}

func (h PPTP) ids() ids { return ids{ether: etherExperimental, ip: 47, link: linkUser0} }

// ERSPAN is the header of type II or III between [GRE] and [Ethernet]; type II needs a sequence number in GRE.
type ERSPAN struct {
	// Session is the session identifier, 10 bits.
	Session uint16
	// VLAN is the original VLAN.
	VLAN uint16
	// TypeIII selects the 12-byte header.
	TypeIII bool
	// Platform, of 8 bytes, is the optional subheader of type III, absent when nil.
	Platform []byte
}

func (h ERSPAN) wrap(p []byte, _ stack) []byte {
	if !h.TypeIII {
		return append(put32(put16(nil, 0x1000|h.VLAN&0xfff, h.Session&0x3ff), 0), p...)
	}
	b := put32(put16(nil, 0x2000|h.VLAN&0xfff, h.Session&0x3ff), 0)
	b = append(put16(b, 0, uint16(bit(h.Platform != nil, 1))), h.Platform...)
	return append(b, p...)
}

func (h ERSPAN) ids() ids {
	if h.TypeIII {
		return ids{ether: 0x22eb, ip: ipExperimental, link: linkUser0}
	}
	return ids{ether: 0x88be, ip: ipExperimental, link: linkUser0}
}

// VXLAN is a VXLAN header; around anything but [Ethernet] it is VXLAN-GPE.
type VXLAN struct {
	// VNI is the network identifier, 24 bits.
	VNI uint32
}

func (h VXLAN) wrap(p []byte, s stack) []byte {
	flags := uint32(0x08000000)
	switch s.inner.(type) {
	case IPv4:
		flags |= 0x04000001
	case IPv6:
		flags |= 0x04000002
	}
	return append(put32(nil, flags, h.VNI<<8), p...)
}

func (h VXLAN) ids() ids { return ids{udp: 4789, ip: ipExperimental, link: linkUser0} }

// Geneve is a Geneve header (RFC 8926).
type Geneve struct {
	// VNI is the network identifier, 24 bits.
	VNI uint32
	// Options are padded with zeros to a multiple of 4 bytes.
	Options []byte
	// Type is the EtherType of what follows.
	Type Override
}

func (h Geneve) wrap(p []byte, s stack) []byte {
	opt := padded(append([]byte(nil), h.Options...), 4)
	b := put16([]byte{byte(len(opt) / 4), 0}, etherType(h.Type, p, s))
	return append(append(put32(b, h.VNI<<8), opt...), p...)
}

func (h Geneve) ids() ids { return ids{udp: 6081, ip: ipExperimental, link: linkUser0} }

// GTPU is a GTP-U header of version 1 with a user packet in it.
type GTPU struct {
	// TEID is the tunnel endpoint identifier.
	TEID uint32
	// Seq is the optional sequence number, absent unless fixed.
	Seq Override
	// Container adds a PDU session container extension, as 5G has it.
	Container bool
	// MessageType is 255, a user packet, unless fixed.
	MessageType Override
	// Length is the length of all behind the first 8 bytes.
	Length Override
}

func (h GTPU) wrap(p []byte, _ stack) []byte {
	var opt []byte
	if h.Seq.set || h.Container {
		opt = append(put16(nil, h.Seq.or16(0)), 0, byte(bit(h.Container, 0x85)))
	}
	if h.Container {
		opt = append(opt, 1, 0, 1, 0)
	}
	flags := 0x30 | bit(h.Seq.set, 2) | bit(h.Container, 4)
	b := put16([]byte{byte(flags), h.MessageType.or8(0xff)}, h.Length.or16(len(opt)+len(p)))
	return append(append(put32(b, h.TEID), opt...), p...)
}

func (h GTPU) ids() ids { return ids{udp: 2152, ip: ipExperimental, link: linkUser0} }

// L2TP is an L2TP data header of version 2 (RFC 2661); [PPP] belongs behind it.
type L2TP struct {
	// Tunnel and Session are the identifiers.
	Tunnel, Session uint16
	// Sized adds the length field.
	Sized bool
	// Sequenced adds the sequence fields.
	Sequenced bool
	// Padding is the size of the offset padding, 0 for no offset field.
	Padding int
}

func (h L2TP) wrap(p []byte, _ stack) []byte {
	flags := 2 | bit(h.Sized, 0x4000) | bit(h.Sequenced, 0x0800) | bit(h.Padding > 0, 0x0200)
	b := put16(nil, uint16(flags))
	if h.Sized {
		b = put16(b, 0)
	}
	b = put16(b, h.Tunnel, h.Session)
	if h.Sequenced {
		b = put16(b, 1, 0)
	}
	if h.Padding > 0 {
		b = append(put16(b, uint16(h.Padding)), make([]byte, h.Padding)...)
	}
	b = append(b, p...)
	if h.Sized {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	}
	return b
}

func (h L2TP) ids() ids { return ids{udp: 1701, ip: ipExperimental, link: linkUser0} }

// Teredo stands between UDP and IPv6 (RFC 4380); with no indication it adds no byte.
type Teredo struct {
	// Origin adds an origin indication when valid; its address must be IPv4.
	Origin netip.AddrPort
	// Authenticated adds an empty authentication header.
	Authenticated bool
}

func (h Teredo) wrap(p []byte, _ stack) []byte {
	var b []byte
	if h.Authenticated {
		b = append(b, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	if h.Origin.IsValid() { // both are obfuscated by inverting them
		a := h.Origin.Addr().As4()
		b = put16(b, 0, ^h.Origin.Port())
		b = append(b, ^a[0], ^a[1], ^a[2], ^a[3])
	}
	return append(b, p...)
}

func (h Teredo) ids() ids { return ids{udp: 3544, ip: ipExperimental, link: linkUser0} }

// CAPWAP is the header of the CAPWAP data channel (RFC 5415) around [Ethernet] or [Dot11].
type CAPWAP struct {
	// Radio is the radio identifier, 5 bits.
	Radio uint8
}

func (h CAPWAP) wrap(p []byte, s stack) []byte {
	_, native := s.inner.(Dot11)
	const words, binding80211 = 2, 1
	b := put32(nil, words<<19|uint32(h.Radio&31)<<14|binding80211<<9|bit(native, 0x100), 0)
	return append(b, p...)
}

func (h CAPWAP) ids() ids { return ids{udp: 5247, ip: ipExperimental, link: linkUser0} }

// TZSP is a TaZmen Sniffer Protocol header around [Ethernet] or [Dot11].
type TZSP struct {
	// Tags are put before the end tag as they are.
	Tags []byte
}

func (h TZSP) wrap(p []byte, s stack) []byte {
	encapsulated := uint16(1)
	if _, wireless := s.inner.(Dot11); wireless {
		encapsulated = 0x12
	}
	b := append(put16([]byte{1, 0}, encapsulated), h.Tags...)
	return append(append(b, 1), p...)
}

func (h TZSP) ids() ids { return ids{udp: 37008, ip: ipExperimental, link: linkUser0} }
