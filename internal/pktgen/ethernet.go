package pktgen

// MAC is a 48-bit hardware address.
type MAC [6]byte

func (m MAC) or(last byte) MAC {
	if m == (MAC{}) {
		return MAC{2, 0, 0, 0, 0, last}
	}
	return m
}

// Ethernet is an Ethernet II header, or 802.3 around [LLC] or [SNAP].
type Ethernet struct {
	// Dst and Src are the addresses; zero stands for a fixed local one.
	Dst, Src MAC
	// Type is the EtherType, or the length in front of LLC.
	Type Override
	// MinSize is the size in bytes up to which the frame is padded with zeros, 0 for none; real cards use 60.
	MinSize int
	// Trailer is put behind the padding, as a frame check sequence would be.
	Trailer []byte
}

func (e Ethernet) wrap(p []byte, s stack) []byte {
	dst, src := e.Dst.or(2), e.Src.or(1)
	b := append(append(make([]byte, 0, 14+len(p)), dst[:]...), src[:]...)
	b = append(put16(b, etherType(e.Type, p, s)), p...)
	for len(b) < e.MinSize {
		b = append(b, 0)
	}
	return append(b, e.Trailer...)
}

func (e Ethernet) ids() ids { return ids{ether: etherBridged, ip: 143, ppp: 0x0031, link: 1} }

func etherType(o Override, p []byte, s stack) uint16 {
	switch s.inner.(type) {
	case LLC, SNAP:
		return o.or16(len(p))
	}
	return o.or16(int(s.ids().ether))
}

// VLAN is an 802.1Q or 802.1ad tag.
type VLAN struct {
	// ID is the VLAN identifier, 12 bits.
	ID uint16
	// Priority is the priority code point, 3 bits.
	Priority uint8
	// TPID is the EtherType that announces the tag, 0 for 0x8100.
	TPID uint16
	// Type is the EtherType of what follows, or the length in front of LLC.
	Type Override
}

func (v VLAN) wrap(p []byte, s stack) []byte {
	return append(put16(nil, uint16(v.Priority)<<13|v.ID&0xfff, etherType(v.Type, p, s)), p...)
}

func (v VLAN) ids() ids {
	if v.TPID == 0 {
		v.TPID = 0x8100
	}
	return ids{ether: v.TPID, ip: ipExperimental, link: linkUser0}
}

// VNTag is a Cisco VN-Tag.
type VNTag struct {
	// Tag is the direction, interfaces and version, 0 for a tag from virtual interface 1.
	Tag uint32
	// Type is the EtherType of what follows.
	Type Override
}

func (v VNTag) wrap(p []byte, s stack) []byte {
	if v.Tag == 0 {
		v.Tag = 1
	}
	return append(put16(put32(nil, v.Tag), etherType(v.Type, p, s)), p...)
}

func (v VNTag) ids() ids { return ids{ether: 0x8926, ip: ipExperimental, link: linkUser0} }

// LLC is an 802.2 header with a one-byte control field.
type LLC struct {
	// DSAP and SSAP are the service access points.
	DSAP, SSAP uint8
	// Control is the control field, 0 for an unnumbered information frame.
	Control uint8
}

func (l LLC) wrap(p []byte, _ stack) []byte {
	if l.Control == 0 {
		l.Control = 3
	}
	return append([]byte{l.DSAP, l.SSAP, l.Control}, p...)
}

func (l LLC) ids() ids { return noIDs() }

// SNAP is an 802.2 header with the sub-network access protocol behind it (RFC 1042).
type SNAP struct {
	// OUI is the organization, 0 for encapsulated Ethernet.
	OUI [3]byte
	// Type is the EtherType of what follows.
	Type Override
}

func (l SNAP) wrap(p []byte, s stack) []byte {
	b := append([]byte{0xaa, 0xaa, 3}, l.OUI[:]...)
	return append(put16(b, etherType(l.Type, p, s)), p...)
}

func (l SNAP) ids() ids { return ids{ether: etherExperimental, ip: ipExperimental, link: 100} }

// MPLS is one label stack entry; the last one before another layer ends the stack.
type MPLS struct {
	// Label is the label, 20 bits.
	Label uint32
	// TTL is the time to live, 0 for 64.
	TTL uint8
	// ControlWord puts the zero word of a pseudowire behind the stack (RFC 4385).
	ControlWord bool
}

func (m MPLS) wrap(p []byte, s stack) []byte {
	if m.TTL == 0 {
		m.TTL = 64
	}
	_, more := s.inner.(MPLS)
	b := put32(nil, m.Label<<12|bit(!more, 0x100)|uint32(m.TTL))
	if m.ControlWord {
		b = put32(b, 0)
	}
	return append(b, p...)
}

func (m MPLS) ids() ids { return ids{ether: 0x8847, ppp: 0x0281, ip: 137, udp: 6635, link: 219} }

// PPPoE is a PPPoE session header; [PPP] belongs behind it.
type PPPoE struct {
	// Session is the session identifier.
	Session uint16
	// Length is the payload length.
	Length Override
}

func (h PPPoE) wrap(p []byte, _ stack) []byte {
	return append(put16([]byte{0x11, 0}, h.Session, h.Length.or16(len(p))), p...)
}

func (h PPPoE) ids() ids { return ids{ether: 0x8864, ip: ipExperimental, link: 51} }

// PPP is a PPP header.
type PPP struct {
	// HDLC puts the address and control bytes ff 03 before it.
	HDLC bool
	// Short compresses the protocol field to one byte.
	Short bool
	// Protocol is the PPP protocol number.
	Protocol Override
}

func (h PPP) wrap(p []byte, s stack) []byte {
	var b []byte
	if h.HDLC {
		b = append(b, 0xff, 3)
	}
	proto := h.Protocol.or16(int(s.ids().ppp))
	if h.Short {
		return append(append(b, byte(proto)), p...)
	}
	return append(put16(b, proto), p...)
}

func (h PPP) ids() ids { return ids{ether: 0x880b, ip: ipExperimental, link: 9} }

// CiscoHDLC is a Cisco HDLC header.
type CiscoHDLC struct {
	// Type is the EtherType of what follows.
	Type Override
}

func (h CiscoHDLC) wrap(p []byte, s stack) []byte {
	return append(put16([]byte{0x0f, 0}, etherType(h.Type, p, s)), p...)
}

func (h CiscoHDLC) ids() ids { return ids{ether: etherExperimental, ip: ipExperimental, link: 104} }
