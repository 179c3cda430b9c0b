package packet

import "encoding/binary"

// wifi decodes an IEEE 802.11 frame (IEEE 802.11-2020 §9.2, §9.3.2); padded means that the header is filled up to a
// multiple of 4 bytes. Management, control, encrypted and fragmented frames hold no readable IP.
func (w *walk) wifi(padded bool) {
	const (
		dataType   = 2
		noData     = 4    // subtype bit
		qos        = 8    // subtype bit
		bothDS     = 0x03 // to and from the distribution system: there is a fourth address
		moreFrags  = 0x04
		protected  = 0x40
		order      = 0x80
		aggregated = 0x80 // QoS control: the payload is an A-MSDU
	)
	if !w.push(LayerWiFi, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 2 {
		w.fail(TruncatedLink)
		return
	}
	control, flags := h[0], h[1]
	if w.guess && control&3 != 0 { // CAPWAP of Cisco swaps the two
		control, flags = flags, control
	}
	version, kind, subtype := control&3, control>>2&3, control>>4
	if version != 0 || kind != dataType || subtype&noData != 0 || flags&(protected|moreFrags) != 0 {
		w.fail(NotIP)
		return
	}
	size := 24
	if flags&bothDS == bothDS {
		size += 6
	}
	qosAt := size
	if subtype&qos != 0 {
		size += 2
		if flags&order != 0 { // high throughput control
			size += 4
		}
	}
	if len(h) < size {
		w.fail(TruncatedLink)
		return
	}
	if h[22]&0xf != 0 { // a later fragment
		w.fail(NotIP)
		return
	}
	amsdu := subtype&qos != 0 && h[qosAt]&aggregated != 0
	if padded {
		size = min((size+3)&^3, len(h))
	}
	w.off += size
	if amsdu {
		w.subframe()
		return
	}
	w.llc()
}

// subframe decodes the first frame of an A-MSDU (IEEE 802.11-2020 §9.3.2.2.2) and counts the others.
func (w *walk) subframe() {
	const head = 14
	h := w.data[w.off:]
	if len(h) < head {
		w.fail(TruncatedLink)
		return
	}
	length := int(binary.BigEndian.Uint16(h[12:14]))
	for at := (head + length + 3) &^ 3; at+head <= len(h); {
		w.d.stats.Subframes++
		at += (head + int(binary.BigEndian.Uint16(h[at+12:])) + 3) &^ 3
	}
	w.off += head
	w.limit(w.off + length)
	w.llc()
}

// radiotap decodes a radiotap header (radiotap.org), for the flags that tell what surrounds the 802.11 frame.
func (w *walk) radiotap() {
	const (
		hasTSFT  = 1 << 0
		hasFlags = 1 << 1
		hasMore  = 1 << 31
		flagFCS  = 0x10
		flagPad  = 0x20
	)
	h, size := w.versionAndLength(LayerRadiotap)
	if size == 0 {
		return
	}
	h = h[:size]
	present := binary.LittleEndian.Uint32(h[4:8])
	at := 8
	for more := present; more&hasMore != 0 && at+4 <= size; at += 4 {
		more = binary.LittleEndian.Uint32(h[at:])
	}
	if present&hasTSFT != 0 {
		at = (at+7)&^7 + 8
	}
	var flags byte
	if present&hasFlags != 0 && at < size {
		flags = h[at]
	}
	w.off += size
	if flags&flagFCS != 0 {
		w.trimFCS()
	}
	w.wifi(flags&flagPad != 0)
}

// versionAndLength reads the start that radiotap and PPI share: version 0, and the length of the whole header, which is
// there. It fails and returns size 0 when the header is no such one.
func (w *walk) versionAndLength(kind LayerKind) (h []byte, size int) {
	if !w.push(kind, 0) {
		return nil, 0
	}
	h = w.data[w.off:]
	if len(h) < 8 {
		w.fail(TruncatedLink)
		return nil, 0
	}
	size = int(binary.LittleEndian.Uint16(h[2:4]))
	if h[0] != 0 || size < 8 {
		w.fail(BadLink)
		return nil, 0
	}
	if len(h) < size {
		w.fail(TruncatedLink)
		return nil, 0
	}
	return h, size
}

// trimFCS takes the frame check sequence off the end.
func (w *walk) trimFCS() { w.limit(max(w.end-4, w.off)) }

// ppi decodes a per-packet information header, which names the link type of the rest.
func (w *walk) ppi() {
	const (
		common  = 2 // field type 802.11-Common: TSF, flags, …
		flagFCS = 1
	)
	h, size := w.versionAndLength(LayerPPI)
	if size == 0 {
		return
	}
	w.off += size
	for fields := h[8:size]; len(fields) >= 4; {
		n := 4 + int(binary.LittleEndian.Uint16(fields[2:4]))
		if n > len(fields) {
			break
		}
		if binary.LittleEndian.Uint16(fields) == common && n >= 14 && fields[12]&flagFCS != 0 {
			w.trimFCS()
		}
		fields = fields[n:]
	}
	w.link(LinkType(binary.LittleEndian.Uint32(h[4:8])))
}

// prism decodes a Prism header, whose length is in the capturing host's byte order; some drivers write AVS in its place.
func (w *walk) prism() {
	const avsMagic = 0x8021
	h := w.data[w.off:]
	if len(h) >= 2 && binary.BigEndian.Uint16(h) == avsMagic {
		w.avs()
		return
	}
	if !w.push(LayerPrism, 0) {
		return
	}
	if len(h) < 8 {
		w.fail(TruncatedLink)
		return
	}
	w.monitor(min(binary.LittleEndian.Uint32(h[4:8]), binary.BigEndian.Uint32(h[4:8])))
}

// avs decodes an AVS header: version and length, big endian.
func (w *walk) avs() {
	if !w.push(LayerAVS, 0) {
		return
	}
	h := w.data[w.off:]
	if len(h) < 8 {
		w.fail(TruncatedLink)
		return
	}
	w.monitor(binary.BigEndian.Uint32(h[4:8]))
}

// monitor skips a header of size bytes before an 802.11 frame.
func (w *walk) monitor(size uint32) {
	if size < 8 || size > 1<<16 {
		w.fail(BadLink)
		return
	}
	if len(w.data)-w.off < int(size) {
		w.fail(TruncatedLink)
		return
	}
	w.off += int(size)
	w.wifi(false)
}
