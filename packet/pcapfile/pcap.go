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
	record  uint8 // record header length
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
		odd    = r.pcap.big || r.pcap.signed || r.pcap.lengths != lengthsInOrder
		rest   = r.buf[r.pos:r.end:r.end] // with the capacity of its length throughout: one number less to keep
		frames = b.Frames[:packet.BatchSize]
		number = r.before + r.frames + 1
		n      = 0
	)
	for n < len(frames) {
		if len(rest) < pcapRecordLen {
			r.need = int(r.pcap.record)
			break
		}
		rec := (*[pcapRecordLen]byte)(rest)
		t := int64(binary.LittleEndian.Uint32(rec[0:4]))*1e9 + int64(binary.LittleEndian.Uint32(rec[4:8]))*r.pcap.mult
		caplen, length := binary.LittleEndian.Uint32(rec[8:12]), binary.LittleEndian.Uint32(rec[12:16])
		if odd {
			t, caplen, length = r.pcap.fields(rec)
		}
		if caplen > uint32(r.cfg.MaxFrame) {
			if n == 0 {
				return r.tooLarge(uint64(caplen))
			}
			break
		}
		start := uint64(r.pcap.record)
		end := start + uint64(caplen)
		if end > uint64(len(rest)) {
			r.need = int(end)
			break
		}
		f := &frames[n]
		f.Data = rest[start:end:end]
		f.Time = t
		f.Number = number
		f.Length = wireLength(length)
		f.Link = r.info.Link
		f.Interface = 0
		rest = rest[end:len(rest):len(rest)]
		number++
		n++
	}
	b.Frames = b.Frames[:n]
	r.pos = r.end - len(rest)
	r.frames += uint64(n)
	return nil
}

// fields returns what the header of a record says: its time and the lengths of its frame, captured and on the wire.
func (h *pcapState) fields(rec *[pcapRecordLen]byte) (t int64, caplen, length uint32) {
	sec, frac := binary.LittleEndian.Uint32(rec[0:4]), binary.LittleEndian.Uint32(rec[4:8])
	caplen, length = binary.LittleEndian.Uint32(rec[8:12]), binary.LittleEndian.Uint32(rec[12:16])
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
	have, head := r.end-r.pos, int(r.pcap.record)
	if have < head {
		return cutText("record header", have, head)
	}
	return cutText("record", have-head, r.need-head)
}
