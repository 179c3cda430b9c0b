package pcapfile

import (
	"encoding/binary"
	"math/bits"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Block types (draft-ietf-opsawg-pcapng, section 11.1).
const (
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
	blockSecrets   = 10
	blockSection   = 0x0a0d0d0a
)

const (
	byteOrderMagic = 0x1a2b3c4d
	minBlock       = 12 // type, length, length again
	minSection     = 28
	sectionFixed   = 24 // up to the options
)

// Options of an interface description (section 4.2).
const (
	optEnd      = 0
	optTSResol  = 9
	optFCSLen   = 13
	optTSOffset = 14
)

// ngState is where a pcapng file stands.
type ngState struct {
	big    bool
	ifs    []ngInterface // of this section
	ifBase uint32        // interfaces of the sections before

	// A block that is skipped instead of buffered: body bytes still to come, its length (0: none), where it started.
	skip  int64
	total uint32
	start int64

	quiet int64 // offset from which on there was no frame
}

type ngInterface struct {
	clock ngClock
	link  packet.LinkType
	snap  uint32
}

func (g *ngState) u16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if g.big {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (g *ngState) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if g.big {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (g *ngState) order() binary.ByteOrder {
	if g.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// startNG looks at the first section header and leaves it to readNG.
func (r *Reader) startNG() error {
	h, err := r.sniff(sectionFixed)
	if err != nil {
		return err
	}
	if len(h) < minBlock {
		return headerCut(len(h), sectionFixed)
	}
	order, ok := sectionOrder(h)
	if !ok {
		return notCapture(h, r.info.Compression)
	}
	if len(h) < sectionFixed {
		return headerCut(len(h), sectionFixed)
	}
	r.info.Format, r.info.BigEndian = FormatPcapNG, order == binary.BigEndian
	r.info.Major, r.info.Minor = order.Uint16(h[12:]), order.Uint16(h[14:])
	if !sectionVersion(r.info.Major, r.info.Minor) {
		return faultf(ErrNotCapture, "not a capture file (pcapng version %d.%d)", r.info.Major, r.info.Minor)
	}
	return nil
}

func sectionOrder(b []byte) (binary.ByteOrder, bool) {
	switch binary.LittleEndian.Uint32(b[8:]) {
	case byteOrderMagic:
		return binary.LittleEndian, true
	case 0x4d3c2b1a:
		return binary.BigEndian, true
	default:
		return nil, false
	}
}

// sectionVersion accepts 1.0, and 1.2 which is the same (section 4.1).
func sectionVersion(major, minor uint16) bool {
	return major == 1 && (minor == 0 || minor == 2)
}

// readNG parses the blocks that lie in the buffer, up to the end of the batch or the first that needs more bytes.
// As in readPcap, a bad block is only reported once no frame is in front of it.
func (r *Reader) readNG(b *packet.Batch) error {
	for len(b.Frames) < packet.BatchSize {
		ready, err := r.skipped()
		if err == nil && ready {
			if r.readRun(b); len(b.Frames) == packet.BatchSize {
				break
			}
			ready, err = r.readBlock(b)
		}
		if err != nil && len(b.Frames) == 0 {
			return err
		}
		if err != nil || !ready {
			return nil
		}
	}
	return nil
}

// skipped takes the rest of a block that is skipped off the buffer; false means that more must be read.
func (r *Reader) skipped() (bool, error) {
	g := &r.ng
	if g.total == 0 {
		return true, nil
	}
	n := min(g.skip, int64(r.end-r.pos))
	r.pos += int(n)
	g.skip -= n
	if r.need = 4; g.skip > 0 || r.end-r.pos < 4 {
		return false, nil
	}
	if end := g.u32(r.buf[r.pos:]); end != g.total {
		return false, badTrailer(g.total, end)
	}
	r.pos += 4
	g.total = 0
	return true, nil
}

// skipBlock starts to skip a block of which the first n bytes need not be looked at again.
func (r *Reader) skipBlock(total uint32, n int) {
	r.ng.start = r.offset()
	r.ng.skip = int64(total) - int64(n) - 4
	r.ng.total = total
	r.pos += n
}

// readBlock parses the block at pos; false means that more must be read.
func (r *Reader) readBlock(b *packet.Batch) (bool, error) {
	if r.need = minBlock; r.end-r.pos < minBlock {
		return false, nil
	}
	g := &r.ng
	buf := r.buf[r.pos:r.end]
	kind := g.u32(buf)
	if kind == blockSection {
		return r.readSection(buf)
	}
	total := g.u32(buf[4:])
	if total < minBlock || total%4 != 0 {
		return false, faultf(ErrCorrupt, "block of impossible length %d", total)
	}
	used := kind == blockEnhanced || kind == blockInterface || kind == blockPacket || kind == blockSimple
	if uint64(total) > uint64(r.cfg.MaxFrame)+blockRoom {
		if used {
			return false, r.tooLarge(uint64(total))
		}
		return true, r.passBlock(total, nil)
	}
	if !used && r.cfg.OnBlock == nil {
		return true, r.passBlock(total, nil)
	}
	if r.need = int(total); len(buf) < r.need {
		return false, nil
	}
	buf = buf[:total]
	if end := g.u32(buf[total-4:]); end != total {
		return false, badTrailer(total, end)
	}
	body := buf[8 : total-4]
	var err error
	switch kind {
	case blockEnhanced:
		err = r.readEnhanced(b, body)
	case blockPacket:
		err = r.readObsolete(b, body)
	case blockSimple:
		err = r.readSimple(b, body)
	case blockInterface:
		err = r.readInterface(body)
	default:
		return true, r.passBlock(total, body)
	}
	if err == nil {
		r.pos += int(total)
	}
	return true, err
}

// passBlock counts a block that is not for the reader and skips it.
func (r *Reader) passBlock(total uint32, body []byte) error {
	if err := r.quietUntil(int64(total)); err != nil {
		return err
	}
	r.stats.Blocks++
	if body != nil {
		r.cfg.OnBlock(Block{Type: r.ng.u32(r.buf[r.pos:]), Body: body, Order: r.ng.order()})
	}
	r.skipBlock(total, 8)
	return nil
}

// quietUntil checks that not too much goes by without a frame, when n more bytes are passed.
func (r *Reader) quietUntil(n int64) error {
	if r.info.Compression != "" && r.offset()+n-r.ng.quiet > r.cfg.MaxSkip {
		return faultf(ErrTooLarge, "more than %d bytes without a frame", r.cfg.MaxSkip)
	}
	return nil
}

// readSection starts a new section (section 4.1), which may be of the other byte order. Its length is of no use here.
func (r *Reader) readSection(buf []byte) (bool, error) {
	if r.need = sectionFixed; len(buf) < r.need {
		return false, nil
	}
	order, ok := sectionOrder(buf)
	if !ok {
		return false, faultf(ErrCorrupt, "section with byte-order magic % x", buf[8:12])
	}
	total := order.Uint32(buf[4:])
	if total < minSection || total%4 != 0 {
		return false, faultf(ErrCorrupt, "section header of impossible length %d", total)
	}
	if major, minor := order.Uint16(buf[12:]), order.Uint16(buf[14:]); !sectionVersion(major, minor) {
		return false, faultf(ErrCorrupt, "section of version %d.%d", major, minor)
	}
	if err := r.quietUntil(int64(total)); err != nil {
		return false, err
	}
	g := &r.ng
	g.big = order == binary.BigEndian
	g.ifBase += uint32(len(g.ifs))
	g.ifs = g.ifs[:0]
	r.skipBlock(total, sectionFixed)
	return true, nil
}

// readInterface adds an interface (section 4.2).
func (r *Reader) readInterface(body []byte) error {
	g := &r.ng
	if len(body) < 8 {
		return faultf(ErrCorrupt, "interface description of %d bytes", len(body))
	}
	if len(g.ifs) >= r.cfg.MaxInterfaces {
		return faultf(ErrTooLarge, "more than %d interfaces", r.cfg.MaxInterfaces)
	}
	if err := r.quietUntil(int64(len(body)) + minBlock); err != nil {
		return err
	}
	resol, offset, fcs := uint8(6), int64(0), 0
	for opts := body[8:]; len(opts) >= 4; {
		code, n := g.u16(opts), int(g.u16(opts[2:]))
		if code == optEnd {
			break
		}
		if opts = opts[4:]; n > len(opts) {
			return faultf(ErrCorrupt, "interface option %d of %d bytes, %d left", code, n, len(opts))
		}
		switch v := opts[:n]; {
		case code == optTSResol && n == 1:
			resol = v[0]
		case code == optFCSLen && n == 1:
			fcs = int(v[0])
		case code == optTSOffset && n == 8:
			offset = int64(g.order().Uint64(v))
		case code == optTSResol, code == optTSOffset:
			return faultf(ErrCorrupt, "interface option %d of %d bytes", code, n)
		}
		opts = opts[min(len(opts), (n+3)&^3):]
	}
	i := ngInterface{clock: newClock(resol, offset), link: packet.LinkType(g.u16(body)), snap: g.u32(body[4:])}
	if g.ifBase == 0 && len(g.ifs) == 0 {
		r.info.Link, r.info.SnapLen, r.info.FCS, r.info.TicksPerSecond = i.link, i.snap, fcs, i.clock.ticks()
	}
	g.ifs = append(g.ifs, i)
	return nil
}

// readRun takes the usual case off the buffer fast: enhanced packet blocks in a row, whole and without anything odd.
// All else, and all errors, are left to readBlock.
func (r *Reader) readRun(b *packet.Batch) {
	const fixed = 28 // up to the data
	var (
		g      = &r.ng
		rest   = r.buf[r.pos:r.end:r.end] // with the capacity of its length throughout: one number less to keep
		frames = b.Frames[:packet.BatchSize]
		first  = len(b.Frames)
		n      = first
		number = r.before + r.frames
	)
	for n < len(frames) && len(rest) >= fixed+4 {
		h := (*[fixed]byte)(rest)
		kind, size, id := binary.LittleEndian.Uint32(h[0:4]), binary.LittleEndian.Uint32(h[4:8]), binary.LittleEndian.Uint32(h[8:12])
		high, low := binary.LittleEndian.Uint32(h[12:16]), binary.LittleEndian.Uint32(h[16:20])
		caplen, length := binary.LittleEndian.Uint32(h[20:24]), binary.LittleEndian.Uint32(h[24:28])
		total := uint64(size)
		if g.big {
			kind, total, id = bits.ReverseBytes32(kind), uint64(bits.ReverseBytes32(size)), bits.ReverseBytes32(id)
			high, low = bits.ReverseBytes32(high), bits.ReverseBytes32(low)
			caplen, length = bits.ReverseBytes32(caplen), bits.ReverseBytes32(length)
		}
		end := fixed + uint64(caplen)
		if kind != blockEnhanced || uint64(id) >= uint64(len(g.ifs)) || caplen > uint32(r.cfg.MaxFrame) ||
			total%4 != 0 || total < end+4 || total > uint64(len(rest)) || total > uint64(r.cfg.MaxFrame)+blockRoom {
			break
		}
		i := &g.ifs[id]
		t := uint64(high)<<32 | uint64(low)
		if t >= i.clock.fast || binary.LittleEndian.Uint32(rest[total-4:total]) != size {
			break
		}
		f := &frames[n]
		number++
		n++
		f.Data = rest[fixed:end:end]
		f.Time = int64(t * i.clock.mult)
		f.Number = number
		f.Length = wireLength(length)
		f.Link = i.link
		f.Interface = g.ifBase + id
		rest = rest[total:len(rest):len(rest)]
	}
	if n == first {
		return
	}
	b.Frames = b.Frames[:n]
	r.pos = r.end - len(rest)
	r.frames += uint64(n - first)
	g.quiet = r.offset()
}

// readEnhanced parses an enhanced packet block (section 4.3).
func (r *Reader) readEnhanced(b *packet.Batch, body []byte) error {
	if len(body) < 20 {
		return faultf(ErrCorrupt, "packet block of %d bytes", len(body))
	}
	return r.addFrame(b, r.ng.u32(body), body)
}

// readObsolete parses a packet block (appendix A), which is an enhanced one with a drop count in half of the
// interface number.
func (r *Reader) readObsolete(b *packet.Batch, body []byte) error {
	if len(body) < 20 {
		return faultf(ErrCorrupt, "packet block of %d bytes", len(body))
	}
	return r.addFrame(b, uint32(r.ng.u16(body)), body)
}

// addFrame adds the frame of a packet block on interface id.
func (r *Reader) addFrame(b *packet.Batch, id uint32, body []byte) error {
	g := &r.ng
	if uint64(id) >= uint64(len(g.ifs)) {
		return faultf(ErrCorrupt, "packet of interface %d, where %d are described", id, len(g.ifs))
	}
	caplen := g.u32(body[12:])
	data := body[20:]
	if uint64(caplen) > uint64(len(data)) {
		return faultf(ErrCorrupt, "packet of %d bytes in a block with room for %d", caplen, len(data))
	}
	if caplen > uint32(r.cfg.MaxFrame) {
		return r.tooLarge(uint64(caplen))
	}
	i := &g.ifs[id]
	t, how := i.clock.nanos(uint64(g.u32(body[4:]))<<32 | uint64(g.u32(body[8:])))
	switch how {
	case stampExact:
	case stampNegative:
		r.stats.Negative++
	case stampSaturated:
		r.stats.Saturated++
	}
	r.frames++
	b.Frames = append(b.Frames, packet.Frame{
		Data: data[:caplen:caplen], Time: t, Number: r.before + r.frames,
		Length: wireLength(g.u32(body[16:])), Link: i.link, Interface: g.ifBase + id,
	})
	g.quiet = r.base + int64(r.pos+len(body)+minBlock)
	return nil
}

// readSimple parses a simple packet block (section 4.4), which has no time and is of the first interface.
func (r *Reader) readSimple(b *packet.Batch, body []byte) error {
	g := &r.ng
	switch {
	case len(body) < 4:
		return faultf(ErrCorrupt, "simple packet block of %d bytes", len(body))
	case len(g.ifs) == 0:
		return faultf(ErrCorrupt, "simple packet block before any interface")
	}
	length := g.u32(body)
	caplen := length
	if snap := g.ifs[0].snap; snap != 0 {
		caplen = min(caplen, snap)
	}
	data := body[4:]
	if uint64(caplen) > uint64(len(data)) {
		return faultf(ErrCorrupt, "packet of %d bytes in a block with room for %d", caplen, len(data))
	}
	if caplen > uint32(r.cfg.MaxFrame) {
		return r.tooLarge(uint64(caplen))
	}
	r.frames++
	b.Frames = append(b.Frames, packet.Frame{
		Data: data[:caplen:caplen], Number: r.before + r.frames,
		Length: wireLength(length), Link: g.ifs[0].link, Interface: g.ifBase,
	})
	g.quiet = r.base + int64(r.pos+len(body)+minBlock)
	return nil
}

// cutNG describes the block that the input ends in.
func (r *Reader) cutNG() string {
	if g := &r.ng; g.total != 0 {
		return cutText("block", r.base+int64(r.end)-g.start, int64(g.total))
	}
	return cutText("block", r.end-r.pos, r.need)
}

func badTrailer(start, end uint32) error {
	return faultf(ErrCorrupt, "block of length %d ends with length %d", start, end)
}
