package pcapfile

import (
	"math"
	"math/bits"
)

// ngClock turns the time stamps of one pcapng interface into nanoseconds (if_tsresol and if_tsoffset,
// draft-ietf-opsawg-pcapng, section 4.2).
type ngClock struct {
	// mult and fast serve the usual case: up to fast, a time stamp times mult is the result.
	mult   uint64
	fast   uint64
	offset int64 // seconds
	resol  uint8 // as in the file
}

func newClock(resol uint8, offset int64) ngClock {
	c := ngClock{offset: offset, resol: resol}
	if resol <= 9 {
		c.mult = power10(9 - resol)
		if offset == 0 {
			c.fast = math.MaxInt64 / c.mult
		}
	}
	return c
}

func power10(n uint8) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

// ticks returns the units per second, 0 when they exceed 64 bits.
func (c *ngClock) ticks() uint64 {
	switch n := c.resol & 0x7f; {
	case c.resol&0x80 != 0 && n < 64:
		return 1 << n
	case c.resol&0x80 == 0 && n < 20:
		return power10(n)
	default:
		return 0
	}
}

// nanos returns the time of stamp t, and false when that is out of range and was replaced by the nearest end.
func (c *ngClock) nanos(t uint64) (int64, bool) {
	if t <= c.fast {
		return int64(t * c.mult), true
	}
	sec, nsec := c.split(t)
	// sec + offset, which may take 65 bits.
	if c.offset >= 0 {
		sum, carry := bits.Add64(sec, uint64(c.offset), 0)
		if carry != 0 {
			sum = math.MaxUint64
		}
		return nanosAfter(sum, nsec)
	}
	back := -uint64(c.offset)
	if sec >= back {
		return nanosAfter(sec-back, nsec)
	}
	return nanosBefore(back-sec, nsec)
}

// split returns the whole seconds and the nanoseconds of stamp t, without the offset.
func (c *ngClock) split(t uint64) (sec, nsec uint64) {
	n := c.resol & 0x7f
	if c.resol&0x80 != 0 {
		mask := uint64(1)<<n - 1 // all ones from 64 on
		hi, lo := bits.Mul64(t&mask, 1e9)
		if n < 64 {
			return t >> n, hi<<(64-n) | lo>>n
		}
		return 0, hi >> (n - 64)
	}
	if n < 20 {
		p := power10(n)
		sec, t = t/p, t%p
	}
	switch {
	case n <= 9:
		nsec = t * power10(9-n)
	case n-9 < 20:
		nsec = t / power10(n-9)
	}
	return sec, nsec
}

func nanosAfter(sec, nsec uint64) (int64, bool) {
	hi, lo := bits.Mul64(sec, 1e9)
	lo, carry := bits.Add64(lo, nsec, 0)
	if hi+carry != 0 || lo > math.MaxInt64 {
		return math.MaxInt64, false
	}
	return int64(lo), true
}

// nanosBefore is nsec after the second that is sec before the epoch.
func nanosBefore(sec, nsec uint64) (int64, bool) {
	hi, lo := bits.Mul64(sec, 1e9)
	lo, borrow := bits.Sub64(lo, nsec, 0)
	if hi != borrow || lo > 1<<63 {
		return math.MinInt64, false
	}
	return int64(-lo), true
}
