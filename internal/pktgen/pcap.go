package pktgen

import (
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/packet"
)

// PcapFormat is a variant of the pcap file format; the zero one is little endian with microseconds.
type PcapFormat struct {
	// BigEndian is the byte order.
	BigEndian bool
	// Nanoseconds is the unit of the time stamps.
	Nanoseconds bool
	// SnapLen is the snapshot length in the file header, 0 for 262144.
	SnapLen uint32
}

type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func words(o order, b []byte, v ...uint32) []byte {
	for _, x := range v {
		b = o.AppendUint32(b, x)
	}
	return b
}

func byteOrder(bigEndian bool) order {
	if bigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Pcap returns frames as a pcap file of the link type of the first one. Times must not be negative.
func Pcap(format PcapFormat, frames []packet.Frame) []byte {
	o, magic, unit := byteOrder(format.BigEndian), uint32(0xa1b2c3d4), int64(1000)
	if format.Nanoseconds {
		magic, unit = 0xa1b23c4d, 1
	}
	if format.SnapLen == 0 {
		format.SnapLen = 262144
	}
	var link packet.LinkType
	if len(frames) > 0 {
		link = frames[0].Link
	}
	b := words(o, nil, magic)
	b = o.AppendUint16(o.AppendUint16(b, 2), 4)
	b = words(o, b, 0, 0, format.SnapLen, uint32(link))
	for _, f := range frames {
		b = words(o, b, uint32(f.Time/1e9), uint32(f.Time%1e9/unit), uint32(len(f.Data)), uint32(max(f.Length, len(f.Data))))
		b = append(b, f.Data...)
	}
	return b
}

// PcapngFormat is a variant of the pcapng file format; the zero one is little endian and has unnamed interfaces.
type PcapngFormat struct {
	// BigEndian is the byte order.
	BigEndian bool
	// Names are the names of the interfaces; those that no frame came from, but have a name, are Ethernet.
	Names []string
	// Comment is put into the section header, "" for none.
	Comment string
	// KeyLog is put into a decryption secrets block in front of the interfaces, nil for none.
	KeyLog []byte
}

// Pcapng returns frames as a pcapng file with nanoseconds: one section, the interfaces that the frames name, then an
// enhanced packet block a frame. Times must not be negative.
func Pcapng(format PcapngFormat, frames []packet.Frame) []byte {
	o := byteOrder(format.BigEndian)
	links := make([]packet.LinkType, len(format.Names))
	for i := range links {
		links[i] = 1
	}
	for _, f := range frames {
		for int(f.Interface) >= len(links) {
			links = append(links, f.Link)
		}
		links[f.Interface] = f.Link
	}
	head := o.AppendUint16(o.AppendUint16(words(o, nil, 0x1a2b3c4d), 1), 0)
	head = words(o, head, 0xffffffff, 0xffffffff) // section length: not given
	b := block(o, nil, 0x0a0d0d0a, options(o, head, 1, format.Comment))
	if format.KeyLog != nil {
		const secrets, tlsKeyLog = 10, 0x544c534b
		b = block(o, b, secrets, append(words(o, nil, tlsKeyLog, uint32(len(format.KeyLog))), format.KeyLog...))
	}
	for i, link := range links {
		body := words(o, o.AppendUint16(o.AppendUint16(nil, uint16(link)), 0), 262144)
		name := ""
		if i < len(format.Names) {
			name = format.Names[i]
		}
		const ifName, ifTsresol = 2, 9
		if name != "" {
			body = option(o, body, ifName, []byte(name))
		}
		b = block(o, b, 1, endOptions(option(o, body, ifTsresol, []byte{9})))
	}
	for _, f := range frames {
		body := words(o, nil, f.Interface, uint32(uint64(f.Time)>>32), uint32(f.Time), uint32(len(f.Data)), uint32(max(f.Length, len(f.Data))))
		b = block(o, b, 6, append(body, f.Data...))
	}
	return b
}

func block(o order, b []byte, kind uint32, body []byte) []byte {
	body = padded(body, 4)
	b = words(o, b, kind, uint32(12+len(body)))
	return words(o, append(b, body...), uint32(12+len(body)))
}

// options appends one text option and the end of options, or nothing for no text.
func options(o order, b []byte, kind uint16, text string) []byte {
	if text == "" {
		return b
	}
	return endOptions(option(o, b, kind, []byte(text)))
}

func option(o order, b []byte, kind uint16, value []byte) []byte {
	b = o.AppendUint16(o.AppendUint16(b, kind), uint16(len(value)))
	return padded(append(b, value...), 4)
}

func endOptions(b []byte) []byte { return append(b, 0, 0, 0, 0) }
