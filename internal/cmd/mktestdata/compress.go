package main

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Both formats are written with stored blocks: a compressor's output may change from one release to the next, and the
// files must not.

// gzipped returns b as a gzip file (RFC 1952) without name or time.
func gzipped(b []byte) []byte {
	out := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}
	for rest := b; ; {
		part := rest[:min(len(rest), 0xffff)]
		rest = rest[len(part):]
		final := byte(0)
		if len(rest) == 0 {
			final = 1
		}
		out = binary.LittleEndian.AppendUint16(append(out, final), uint16(len(part)))
		out = binary.LittleEndian.AppendUint16(out, ^uint16(len(part)))
		out = append(out, part...)
		if final == 1 {
			break
		}
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(b))
	return binary.LittleEndian.AppendUint32(out, uint32(len(b)))
}

// zstandard returns b as one Zstandard frame (RFC 8878) with its size and without a checksum.
func zstandard(b []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, 0xfd2fb528)
	out = binary.LittleEndian.AppendUint32(append(out, 0xa0), uint32(len(b))) // single segment, size of 4 bytes
	for rest := b; ; {
		part := rest[:min(len(rest), 1<<16)]
		rest = rest[len(part):]
		head := uint32(len(part)) << 3
		if len(rest) == 0 {
			head |= 1
		}
		out = append(append(out, byte(head), byte(head>>8), byte(head>>16)), part...)
		if len(rest) == 0 {
			return out
		}
	}
}

// squeezed returns b as a gzip file that is smaller than b: with matches of up to 32 KiB behind, in fixed Huffman codes (RFC
// 1951 §3.2.6), found by a compressor that stays as it is.
func squeezed(b []byte) []byte {
	w := bitWriter{out: []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}}
	w.bits(1, 1) // the final block,
	w.bits(1, 2) // of fixed codes
	const window, least, most = 1 << 15, 4, 258
	latest := map[uint32]int{}
	for at := 0; at < len(b); {
		length, from := 0, 0
		if at+least <= len(b) {
			key := binary.LittleEndian.Uint32(b[at:])
			if i, ok := latest[key]; ok && at-i <= window {
				for from = i; length < most && at+length < len(b) && b[from+length] == b[at+length]; {
					length++
				}
			}
			latest[key] = at
		}
		if length < least {
			w.literal(uint32(b[at]))
			at++
			continue
		}
		w.match(length, at-from)
		for i := at + 1; i < at+length && i+least <= len(b); i++ {
			latest[binary.LittleEndian.Uint32(b[i:])] = i
		}
		at += length
	}
	w.literal(256)
	w.bits(0, 7) // fills the last byte
	out := binary.LittleEndian.AppendUint32(w.out, crc32.ChecksumIEEE(b))
	return binary.LittleEndian.AppendUint32(out, uint32(len(b)))
}

// bitWriter writes bits, the lowest first.
type bitWriter struct {
	out  []byte
	last uint32
	n    int
}

func (w *bitWriter) bits(v uint32, n int) {
	w.last |= v << w.n
	for w.n += n; w.n >= 8; w.n -= 8 {
		w.out = append(w.out, byte(w.last))
		w.last >>= 8
	}
}

// code writes a Huffman code, whose highest bit comes first.
func (w *bitWriter) code(v uint32, n int) { w.bits(bits.Reverse32(v)>>(32-n), n) }

func (w *bitWriter) literal(v uint32) {
	switch {
	case v < 144:
		w.code(0x30+v, 8)
	case v < 256:
		w.code(0x190+v-144, 9)
	case v < 280:
		w.code(v-256, 7)
	default:
		w.code(0xc0+v-280, 8)
	}
}

// match writes a length and a distance (RFC 1951 §3.2.5).
func (w *bitWriter) match(length, distance int) {
	if length == 258 {
		w.literal(285)
	} else {
		symbol, extra, n := scaled(length-3, 4)
		w.literal(257 + symbol)
		w.bits(extra, n)
	}
	symbol, extra, n := scaled(distance-1, 2)
	w.code(symbol, 5)
	w.bits(extra, n)
}

// scaled returns the code of a value, where so many codes share a number of extra bits, and these.
func scaled(v, share int) (symbol, extra uint32, n int) {
	for v>>n >= 2*share {
		n++
	}
	return uint32(n*share + v>>n), uint32(v & (1<<n - 1)), n
}
