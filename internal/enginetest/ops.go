package enginetest

import (
	"testing"

	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Byte returns the byte at an offset of the string that [Run] cuts into segments.
func Byte(off uint64) byte { return byte(off*167 + off>>8*13 + 1) }

// Text returns n bytes of that string.
func Text(off uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = Byte(off + uint64(i))
	}
	return b
}

// Run does what ops say, three bytes each, with three directions of one engine: segments in order, early, late,
// overlapping and far away, holes given up, directions closed and opened again. With lies, some segments contradict
// others.
func Run(t testing.TB, e reassemble.Engine, rules Rules, ops []byte, lies bool) {
	t.Helper()
	var streams [3]*Stream
	for i := range streams {
		streams[i] = Open(t, e, rules)
	}
	for n := 0; len(ops) >= 3; ops, n = ops[3:], n+1 {
		s := streams[ops[0]>>6%3]
		s.Fast = ops[0]&32 != 0
		length := 1 + int(ops[1]&63)
		at := s.Half.Next
		shift := uint64(ops[2])
		switch op := ops[0] & 15; op {
		case 0, 1, 2: // in order
		case 3, 4, 5: // early
			at += shift & 127
		case 6, 7: // early by whole segments, which leaves holes of their size
			at += shift & 7 * 64
			length = 64
		case 8: // late
			at -= min(at, shift&63)
		case 9: // large
			at += shift & 3 * 500
			length *= 60
		case 10: // far away
			at += shift << 14
		case 11:
			s.Skip(reassemble.ToHeld, reassemble.GapLimit)
			continue
		case 12:
			s.Skip(at+shift, reassemble.GapLost)
			continue
		case 13:
			s.SkipAll(reassemble.GapEnd)
			continue
		case 14:
			s.Skip(at+shift<<14, reassemble.GapFIN)
			continue
		case 15:
			s.Close()
			streams[ops[0]>>6%3] = OpenAt(t, e, rules, shift<<24)
			continue
		}
		data := Text(at, length)
		if lies {
			for i := range data {
				if ops[1]&64 != 0 || i%5 == int(shift%7) {
					data[i] ^= byte(n)
				}
			}
		}
		s.Segment(at, data)
	}
	for _, s := range streams {
		s.SkipAll(reassemble.GapEnd)
		s.Close()
	}
}
