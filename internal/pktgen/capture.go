package pktgen

import (
	"encoding/binary"
	"hash/crc32"
)

// SLL is the header of a Linux "any" capture, version 1.
type SLL struct {
	// PacketType is 0 for a packet to us up to 4 for one from us.
	PacketType uint16
	// Hardware is the ARPHRD type, 0 for Ethernet.
	Hardware uint16
	// Type is the EtherType of what follows.
	Type Override
}

func (h SLL) wrap(p []byte, s stack) []byte {
	if h.Hardware == 0 {
		h.Hardware = 1
	}
	src := MAC{}.or(1)
	b := append(put16(nil, h.PacketType, h.Hardware, uint16(len(src))), src[:]...)
	return append(put16(padded(b, 14), etherType(h.Type, nil, s)), p...)
}

func (h SLL) ids() ids { return ids{link: 113} }

// SLL2 is the header of a Linux "any" capture, version 2.
type SLL2 struct {
	// PacketType is 0 for a packet to us up to 4 for one from us.
	PacketType uint8
	// Hardware is the ARPHRD type, 0 for Ethernet.
	Hardware uint16
	// Type is the EtherType of what follows.
	Type Override
}

func (h SLL2) wrap(p []byte, s stack) []byte {
	if h.Hardware == 0 {
		h.Hardware = 1
	}
	src := MAC{}.or(1)
	b := put32(put16(nil, etherType(h.Type, nil, s), 0), 2)
	b = append(put16(b, h.Hardware), h.PacketType, byte(len(src)))
	return append(padded(append(b, src[:]...), 20), p...)
}

func (h SLL2) ids() ids { return ids{link: 276} }

// Null is the BSD loopback header, in the byte order of the machine that captured.
type Null struct {
	// BigEndian is the byte order.
	BigEndian bool
	// Family is the address family; IPv6 is 30 by default, as on macOS.
	Family Override
}

func (h Null) wrap(p []byte, s stack) []byte {
	f := family(h.Family, s)
	if h.BigEndian {
		return append(put32(nil, f), p...)
	}
	return append(binary.LittleEndian.AppendUint32(nil, f), p...)
}

func (h Null) ids() ids { return ids{link: 0} }

// Loop is the OpenBSD loopback header, always big endian.
type Loop struct {
	// Family is the address family; IPv6 is 24 by default, as on OpenBSD.
	Family Override
}

func (h Loop) wrap(p []byte, s stack) []byte {
	if _, six := s.inner.(IPv6); six && !h.Family.set {
		h.Family = Fixed(24)
	}
	return append(put32(nil, family(h.Family, s)), p...)
}

func (h Loop) ids() ids { return ids{link: 108} }

func family(o Override, s stack) uint32 {
	if _, six := s.inner.(IPv6); six {
		return o.or(30)
	}
	return o.or(2)
}

// Dot11 is the header of an IEEE 802.11 data frame; [SNAP] belongs behind it.
type Dot11 struct {
	// Dst, Src and BSSID are the addresses; zero stands for a fixed local one.
	Dst, Src, BSSID MAC
	// ToDS and FromDS say which way it crosses the access point; both use four addresses.
	ToDS, FromDS bool
	// QoS adds the QoS control field.
	QoS bool
	// Protected marks the body as encrypted.
	Protected bool
	// FCS puts the right frame check sequence behind the body.
	FCS bool
}

func (h Dot11) wrap(p []byte, _ stack) []byte {
	dst, src, ap := h.Dst.or(2), h.Src.or(1), h.BSSID.or(3)
	addr := [3]MAC{dst, src, ap}
	switch {
	case h.ToDS && h.FromDS:
		addr = [3]MAC{ap, ap, dst}
	case h.ToDS:
		addr = [3]MAC{ap, src, dst}
	case h.FromDS:
		addr = [3]MAC{dst, ap, src}
	}
	flags := bit(h.ToDS, 1) | bit(h.FromDS, 2) | bit(h.Protected, 0x40)
	b := []byte{byte(8 | bit(h.QoS, 0x80)), byte(flags), 0, 0}
	for _, a := range addr {
		b = append(b, a[:]...)
	}
	b = append(b, 0, 0)
	if h.ToDS && h.FromDS {
		b = append(b, src[:]...)
	}
	if h.QoS {
		b = append(b, 0, 0)
	}
	b = append(b, p...)
	if h.FCS {
		b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	return b
}

func (h Dot11) ids() ids { return ids{ether: etherExperimental, ip: ipExperimental, link: 105} }

// Radiotap is a radiotap header with a timestamp and flags, before [Dot11]; it says whether that has its FCS.
type Radiotap struct {
	// Length is the header length.
	Length Override
}

func (h Radiotap) wrap(p []byte, s stack) []byte {
	wireless, _ := s.inner.(Dot11)
	b := binary.LittleEndian.AppendUint16([]byte{0, 0}, h.Length.or16(17))
	b = binary.LittleEndian.AppendUint32(b, 1<<0|1<<1) // present: TSFT, flags
	b = append(binary.LittleEndian.AppendUint64(b, 0), byte(bit(wireless.FCS, 0x10)))
	return append(b, p...)
}

func (h Radiotap) ids() ids { return ids{link: 127} }

// PPI is a per-packet information header, before a layer that has a link type.
type PPI struct {
	// Fields are the type-length-value fields as they are.
	Fields []byte
	// Link is the link type of what follows.
	Link Override
}

func (h PPI) wrap(p []byte, s stack) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{0, 0}, uint16(8+len(h.Fields)))
	b = binary.LittleEndian.AppendUint32(b, h.Link.or(int(s.ids().link)))
	return append(append(b, h.Fields...), p...)
}

func (h PPI) ids() ids { return ids{link: 192} }

// NFLOG is the header of a Linux netfilter log capture, little endian, before IP.
type NFLOG struct {
	// Prefix is the log prefix, "" for none.
	Prefix string
}

func (h NFLOG) wrap(p []byte, s stack) []byte {
	b := []byte{byte(family(Override{}, s)), 0, 0, 0}
	if b[0] == 30 {
		b[0] = 10 // AF_INET6 on Linux
	}
	b = attribute(b, 1, append(put16(nil, s.ids().ether), 1, 0))
	if h.Prefix != "" {
		b = attribute(b, 10, append([]byte(h.Prefix), 0))
	}
	return attribute(b, 9, p)
}

// attribute appends a netlink attribute: its length counts the header and not the padding.
func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(4+len(value)))
	b = binary.LittleEndian.AppendUint16(b, kind)
	return padded(append(b, value...), 4)
}

func (h NFLOG) ids() ids { return ids{link: 239} }
