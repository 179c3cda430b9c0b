package pcapfile

import (
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/packet"
)

const (
	snoopMagic     = "snoop\x00\x00\x00"
	snoopHeaderLen = 16
	snoopRecordLen = 24
)

// Link types that snoop numbers in its own way.
const (
	linkEthernet  packet.LinkType = 1
	linkTokenRing packet.LinkType = 6
	linkFDDI      packet.LinkType = 10
	// snoopUnknown is added to datalink types without a LINKTYPE_ number, so that nothing decodes them as another.
	snoopUnknown packet.LinkType = 1 << 16
)

// snoopLink translates a datalink type (RFC 1761, section 3).
func snoopLink(n uint32) packet.LinkType {
	switch n {
	case 0, 4: // IEEE 802.3, Ethernet
		return linkEthernet
	case 2:
		return linkTokenRing
	case 8:
		return linkFDDI
	default:
		return snoopUnknown + packet.LinkType(n)
	}
}

// startSnoop parses the file header (RFC 1761, section 3).
func (r *Reader) startSnoop() error {
	h, err := r.sniff(snoopHeaderLen)
	if err != nil {
		return err
	}
	if n := min(len(h), len(snoopMagic)); string(h[:n]) != snoopMagic[:n] {
		return notCapture(h, r.info.Compression)
	}
	if len(h) < snoopHeaderLen {
		return headerCut(len(h), snoopHeaderLen)
	}
	version := binary.BigEndian.Uint32(h[8:])
	if version != 2 {
		return faultf(ErrNotCapture, "not a capture file (snoop version %d)", version)
	}
	r.info.Format, r.info.Major, r.info.BigEndian, r.info.TicksPerSecond = FormatSnoop, 2, true, 1e6
	r.info.Link = snoopLink(binary.BigEndian.Uint32(h[12:]))
	r.pos += snoopHeaderLen
	return nil
}

// readSnoop parses the records that lie in the buffer (RFC 1761, section 4), as readPcap does.
func (r *Reader) readSnoop(b *packet.Batch) error {
	for len(b.Frames) < packet.BatchSize {
		buf := r.buf[r.pos:r.end]
		if len(buf) < snoopRecordLen {
			r.need = snoopRecordLen
			return nil
		}
		length, caplen := binary.BigEndian.Uint32(buf), binary.BigEndian.Uint32(buf[4:])
		total := binary.BigEndian.Uint32(buf[8:])
		if err := r.checkSnoop(caplen, total); err != nil {
			if len(b.Frames) > 0 {
				return nil
			}
			return err
		}
		if uint64(total) > uint64(len(buf)) {
			r.need = int(total)
			return nil
		}
		r.frames++
		end := snoopRecordLen + caplen
		b.Frames = append(b.Frames, packet.Frame{
			Data:   buf[snoopRecordLen:end:end],
			Time:   int64(binary.BigEndian.Uint32(buf[16:]))*1e9 + int64(binary.BigEndian.Uint32(buf[20:]))*1e3,
			Number: r.before + r.frames,
			Length: wireLength(length),
			Link:   r.info.Link,
		})
		r.pos += int(total)
	}
	return nil
}

func (r *Reader) checkSnoop(caplen, total uint32) error {
	switch {
	case caplen > uint32(r.cfg.MaxFrame):
		return r.tooLarge(uint64(caplen))
	case uint64(total) < snoopRecordLen+uint64(caplen):
		return faultf(ErrCorrupt, "packet of %d bytes in a record of %d", caplen, total)
	case uint64(total) > uint64(r.cfg.MaxFrame)+blockRoom:
		return r.tooLarge(uint64(total))
	}
	return nil
}
