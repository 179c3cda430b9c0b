package packet

import (
	"encoding/binary"
	"math/bits"
	"slices"
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
	mask           uint16 // see mayWant
	checked, wrong uint32
}

func newChecksumJudge(mode ChecksumMode) checksumJudge {
	c := checksumJudge{mode: mode}
	switch mode {
	case ChecksumAuto:
		c.mask = uint16(SYN|RST|FIN) << 8
	case ChecksumStrict:
		c.mask = 0xffff // the length of the header is never 0
	case ChecksumOff:
	}
	return c
}

// mayWant reports false for most segments that are not to be verified. word is that of the header's length and flags, the
// first byte lowest.
func (c *checksumJudge) mayWant(word uint16) bool { return word&c.mask != 0 }

// wants reports whether a segment is to be verified; bare is that it has no data.
func (c *checksumJudge) wants(flags TCPFlags, bare bool) bool {
	switch c.mode {
	case ChecksumAuto:
		return flags&(SYN|RST) != 0 || flags&FIN != 0 && bare
	case ChecksumStrict:
		return true
	case ChecksumOff:
	}
	return false
}

// verify returns the verdict on the TCP segment (or its whole datagram) that was sent between addresses of a sum.
func (c *checksumJudge) verify(addrs uint64, segment []byte) ChecksumState {
	pseudo := ProtoTCP + uint64(len(segment))
	if (onesSum(segment)+(addrs+pseudo)<<8)%0xffff == 0 {
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
	return half(k.src[0]) + half(k.src[1]) + half(k.dst[0]) + half(k.dst[1])
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

// onesSum returns a number below 2^40 that is congruent, modulo 2^16-1, to the sum of the 16-bit little-endian words of b,
// an odd last byte padded with a zero. That sum is 256 times the one of the big-endian words, and the other way round, since
// to multiply by 256 is to exchange two bytes there: RFC 1071 §2(B).
func onesSum(b []byte) uint64 {
	var sum, carries, c uint64
	b = slices.Clip(b)
	for len(b) > 32 { // not >=, here and below: to go on to a byte that is there is cheaper
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[0:8]), 0)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:16]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:24]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:32]), c)
		carries += c
		b = b[32:len(b):len(b)]
	}
	for len(b) > 8 {
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b[0:8]), 0)
		carries += c
		b = b[8:len(b):len(b)]
	}
	sum = half(sum) + carries // from here on there are too few words to overflow
	if len(b) > 4 {
		sum += uint64(binary.LittleEndian.Uint32(b[0:4]))
		b = b[4:]
	}
	switch len(b) {
	case 4:
		sum += uint64(binary.LittleEndian.Uint32(b[0:4]))
	case 3:
		sum += uint64(binary.LittleEndian.Uint16(b[0:2])) + uint64(b[2])
	case 2:
		sum += uint64(binary.LittleEndian.Uint16(b[0:2]))
	case 1:
		sum += uint64(b[0])
	}
	return sum
}
