package packet

import "encoding/binary"

// nflog decodes a Linux netfilter log record: family, version, resource id, then attributes of length, type and value,
// padded to 4 bytes, in the capturing host's byte order. The packet is one of them.
func (w *walk) nflog() {
	const (
		payload  = 9
		typeMask = 0x7fff
	)
	if !w.push(LayerNFLog, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 4 {
		w.fail(TruncatedLink)
		return
	}
	if h[1] != 0 {
		w.fail(BadLink)
		return
	}
	family := uint32(h[0])
	w.off += 4
	for w.off < w.end {
		h := w.data[w.off:]
		if len(h) < 4 {
			w.fail(TruncatedLink)
			return
		}
		// Types are small numbers: that tells the byte order.
		size, kind := binary.LittleEndian.Uint16(h), binary.LittleEndian.Uint16(h[2:])&typeMask
		if kind > 0xff {
			size, kind = binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])&typeMask
		}
		if size < 4 {
			w.fail(BadLink)
			return
		}
		if kind == payload {
			w.off += 4
			w.limit(w.off + int(size) - 4)
			w.family(family)
			return
		}
		n := (int(size) + 3) &^ 3
		if len(h) < n {
			w.fail(TruncatedLink)
			return
		}
		w.off += n
	}
	w.fail(NotIP)
}

// pflog decodes an OpenBSD packet filter log header: its length without padding, and the address family.
func (w *walk) pflog() {
	const least = 45
	if !w.push(LayerPFLog, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 2 {
		w.fail(TruncatedLink)
		return
	}
	size := (int(h[0]) + 3) &^ 3
	if h[0] < least {
		w.fail(BadLink)
		return
	}
	if len(h) < size {
		w.fail(TruncatedLink)
		return
	}
	w.off += size
	w.family(uint32(h[1]))
}

// pktap decodes a macOS packet tap header: length, type of record, link type, …, little endian.
func (w *walk) pktap() {
	const (
		least    = 12
		isPacket = 1 // type of record
	)
	if !w.push(LayerPktap, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < least {
		w.fail(TruncatedLink)
		return
	}
	size := binary.LittleEndian.Uint32(h)
	if size < least || size > 1<<16 {
		w.fail(BadLink)
		return
	}
	if len(h) < int(size) {
		w.fail(TruncatedLink)
		return
	}
	w.off += int(size)
	if binary.LittleEndian.Uint32(h[4:8]) != isPacket {
		w.fail(NotIP)
		return
	}
	w.link(LinkType(binary.LittleEndian.Uint32(h[8:12])))
}
