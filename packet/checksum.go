package packet

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// ChecksumMode says what becomes of TCP checksums. They are verified when the segment was captured whole.
type ChecksumMode uint8

// The modes.
//
// ChecksumAuto verifies the segments that open or close a connection: SYN, RST, and FIN without data. Data is believed: a
// forged copy of it shows as a conflict when the real one comes, while a wrong checksum on data that the receiver went
// on to acknowledge, as captures have it, would only lose bytes. A wrong checksum is taken for one that the sending
// network card had yet to compute, ChecksumOffloaded, in two cases. Either the field holds what a host leaves there for
// its card: 0, or the sum of the pseudo-header, plain or complemented, with or without the length. Or the whole capture
// looks that way: of the segments verified so far, this one included and the first case left out, more than one in
// eight was wrong; both counts are halved whenever 65,536 are reached. So one wrong checksum among good ones is
// ChecksumBad, and the first few segments are trusted.
const (
	ChecksumAuto   ChecksumMode = iota // SYN, RST and bare FIN: wrong ones are ChecksumBad, unless they look offloaded
	ChecksumOff                        // nothing is verified
	ChecksumStrict                     // everything: wrong ones are ChecksumBad
)

// String returns "auto", "off" or "strict".
func (m ChecksumMode) String() string {
	switch m {
	case ChecksumAuto:
		return "auto"
	case ChecksumOff:
		return "off"
	case ChecksumStrict:
		return "strict"
	}
	return "checksum mode " + strconv.Itoa(int(m))
}

// checksumJudge verifies TCP checksums, and remembers how many were wrong.
type checksumJudge struct {
	mode           ChecksumMode
	checked, wrong uint32
}

// wants reports whether a segment is to be verified.
func (c *checksumJudge) wants(flags TCPFlags, data int) bool {
	switch c.mode {
	case ChecksumAuto:
		return flags&(SYN|RST) != 0 || flags&FIN != 0 && data == 0
	case ChecksumStrict:
		return true
	case ChecksumOff:
	}
	return false
}

// verify returns the verdict on the TCP segment (or its whole datagram) that was sent between addresses of a sum.
func (c *checksumJudge) verify(addrs uint64, segment []byte) ChecksumState {
	pseudo := ProtoTCP + uint64(len(segment))
	if fold(onesSum(segment)+addrs+pseudo) == 0xffff {
		c.count(false)
		return ChecksumGood
	}
	if c.mode == ChecksumStrict {
		return ChecksumBad
	}
	field := binary.BigEndian.Uint16(segment[16:])
	full, short := fold(addrs+pseudo), fold(addrs+ProtoTCP)
	if field == 0 || field == full || field == ^full || field == short || field == ^short {
		return ChecksumOffloaded
	}
	c.count(true)
	if c.wrong*8 > c.checked {
		return ChecksumOffloaded
	}
	return ChecksumBad
}

func (c *checksumJudge) count(wrong bool) {
	if c.checked++; c.checked == 1<<16 {
		c.checked /= 2
		c.wrong /= 2
	}
	if wrong {
		c.wrong++
	}
}

// addressSum returns the sum of both addresses' 16-bit words, in so few steps that it does not overflow.
func addressSum(k *FlowKey) uint64 {
	sum := half(k.src[1]) + half(k.dst[1])
	if k.version == 6 {
		sum += half(k.src[0]) + half(k.dst[0])
	}
	return sum
}

func half(w uint64) uint64 { return w>>32 + w&0xffffffff }

// fold reduces a sum to 16 bits with end-around carry (RFC 1071).
func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// onesSum returns a number congruent, modulo 2^16-1, to the sum of the 16-bit big-endian words of b, an odd last byte
// padded with a zero. The words are added little-endian, 8 bytes at a time, and swapped once: RFC 1071 §2(B).
func onesSum(b []byte) uint64 {
	var sum, carry uint64
	for len(b) >= 64 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[0:8]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:16]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:24]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:32]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[32:40]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[40:48]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[48:56]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[56:64]), carry)
		b = b[64:]
	}
	sum = half(sum) + carry // from here on there are too few words to overflow
	for len(b) >= 16 {
		sum += uint64(binary.LittleEndian.Uint32(b[0:4])) + uint64(binary.LittleEndian.Uint32(b[4:8])) +
			uint64(binary.LittleEndian.Uint32(b[8:12])) + uint64(binary.LittleEndian.Uint32(b[12:16]))
		b = b[16:]
	}
	if len(b) >= 8 {
		sum += uint64(binary.LittleEndian.Uint32(b[0:4])) + uint64(binary.LittleEndian.Uint32(b[4:8]))
		b = b[8:]
	}
	if len(b) >= 4 {
		sum += uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		sum += uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		sum += uint64(b[0])
	}
	return uint64(bits.ReverseBytes16(fold(sum)))
}
