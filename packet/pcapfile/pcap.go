package pcapfile

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Magic numbers of the pcap family, as a file of the reader's byte order has them.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34
)

const (
	pcapHeaderLen     = 24
	pcapRecordLen     = 16
	modifiedRecordLen = 24 // + interface index, protocol, packet type
)

// The third and fourth fields of a record were exchanged before version 2.3, and 2.3 files have them either way.
const (
	lengthsInOrder = iota
	lengthsSwapped
	lengthsMaybe
)

// pcapState is what the header of a pcap file says about its records.
type pcapState struct {
	big     bool
	signed  bool
	lengths uint8
	record  int   // record header length
	mult    int64 // nanoseconds per unit of the fraction
}

// pcapMagic tells whether b starts a file of the pcap family, and its byte order.
func pcapMagic(b []byte) (magic uint32, big, ok bool) {
	magic = binary.LittleEndian.Uint32(b)
	for range 2 {
		switch magic {
		case magicMicro, magicNano, magicModified:
			return magic, big, true
		}
		magic, big = bits.ReverseBytes32(magic), true
	}
	return 0, false, false
}

// startPcap parses the file header (draft-ietf-opsawg-pcap, section 4).
func (r *Reader) startPcap() error {
	h, err := r.sniff(pcapHeaderLen)
	if err != nil {
		return err
	}
	if len(h) < pcapHeaderLen {
		return headerCut(len(h), pcapHeaderLen)
	}
	magic, big, _ := pcapMagic(h)
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	link := order.Uint32(h[20:])
	r.info.Format, r.info.BigEndian, r.info.TicksPerSecond = FormatPcap, big, 1e6
	r.info.Major, r.info.Minor = order.Uint16(h[4:]), order.Uint16(h[6:])
	r.info.SnapLen = order.Uint32(h[16:])
	r.info.Link = packet.LinkType(link & 0xffff)
	if link&(1<<26) != 0 {
		r.info.FCS = int(link>>28) * 2
	}
	p := pcapState{big: big, signed: r.cfg.SignedSeconds, record: pcapRecordLen, mult: 1000}
	switch magic {
	case magicNano:
		p.mult, r.info.TicksPerSecond = 1, 1e9
	case magicModified:
		p.record, r.info.Format = modifiedRecordLen, FormatModified
	}
	switch v := r.info; {
	case v.Major == 543 && v.Minor == 0, v.Major == 2 && v.Minor < 3: // 543.0 is DG/UX tcpdump
		p.lengths = lengthsSwapped
	case v.Major == 2 && v.Minor == 3:
		p.lengths = lengthsMaybe
	case v.Major != 2 || v.Minor > 4:
		return faultf(ErrNotCapture, "not a capture file (pcap version %d.%d)", v.Major, v.Minor)
	}
	r.pcap = p
	r.pos += pcapHeaderLen
	return nil
}

// readPcap parses the records that lie in the buffer. A record that is bad is only reported once it is the first,
// so that the frames before it get out.
func (r *Reader) readPcap(b *packet.Batch) error {
	var (
		h         = &r.pcap
		odd       = h.big || h.signed || h.lengths != lengthsInOrder
		buf       = r.buf[:r.end]
		frames    = b.Frames[:packet.BatchSize]
		pos, n    = r.pos, 0
		maxFrame  = uint32(r.cfg.MaxFrame)
		recordLen = h.record
		number    = r.before + r.frames + 1
		link      = r.info.Link
		mult      = h.mult
	)
	for n < len(frames) {
		if len(buf)-pos < recordLen {
			r.need = recordLen
			break
		}
		rec := buf[pos : pos+pcapRecordLen]
		t := int64(binary.LittleEndian.Uint32(rec))*1e9 + int64(binary.LittleEndian.Uint32(rec[4:]))*mult
		caplen, length := binary.LittleEndian.Uint32(rec[8:]), binary.LittleEndian.Uint32(rec[12:])
		if odd {
			t, caplen, length = h.fields(rec)
		}
		if caplen > maxFrame {
			if n == 0 {
				return r.tooLarge(uint64(caplen))
			}
			break
		}
		start := pos + recordLen
		next := start + int(caplen)
		if next > len(buf) {
			r.need = next - pos
			break
		}
		f := &frames[n]
		f.Data = buf[start:next:next]
		f.Time = t
		f.Number = number + uint64(n)
		f.Length = wireLength(length)
		f.Link = link
		f.Interface = 0
		pos = next
		n++
	}
	b.Frames = frames[:n]
	r.pos = pos
	r.frames += uint64(n)
	return nil
}

// fields returns what the header of a record says: its time and the lengths of its frame, captured and on the wire.
func (h *pcapState) fields(rec []byte) (t int64, caplen, length uint32) {
	sec, frac := binary.LittleEndian.Uint32(rec), binary.LittleEndian.Uint32(rec[4:])
	caplen, length = binary.LittleEndian.Uint32(rec[8:]), binary.LittleEndian.Uint32(rec[12:])
	if h.big {
		sec, frac = bits.ReverseBytes32(sec), bits.ReverseBytes32(frac)
		caplen, length = bits.ReverseBytes32(caplen), bits.ReverseBytes32(length)
	}
	if h.lengths == lengthsSwapped || h.lengths == lengthsMaybe && caplen > length {
		caplen, length = length, caplen
	}
	if h.signed {
		return signedTime(int32(sec), int32(frac), h.mult), caplen, length
	}
	return int64(sec)*1e9 + int64(frac)*h.mult, caplen, length
}

// signedTime is the time of a record read as libpcap reads it on its way to NFStream: see Config.SignedSeconds.
func signedTime(sec, frac int32, mult int64) int64 {
	f := int64(frac) * mult
	if f < 0 {
		f -= f % 1e6
	}
	return int64(sec)*1e9 + f
}

// wireLength keeps a length beyond int, on 32-bit systems, from becoming negative.
func wireLength(n uint32) int {
	if i := int(n); i >= 0 {
		return i
	}
	return math.MaxInt32
}

// cutPcap describes the record that the input ends in.
func (r *Reader) cutPcap() string {
	have, head := r.end-r.pos, r.pcap.record
	if have < head {
		return cutText("record header", have, head)
	}
	return cutText("record", have-head, r.need-head)
}
