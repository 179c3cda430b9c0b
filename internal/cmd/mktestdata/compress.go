package main

import (
	"encoding/binary"
	"hash/crc32"
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
