package pcapfile

import (
	"math"
	"math/bits"
)

// ngClock turns the time stamps of one pcapng interface into nanoseconds (if_tsresol and if_tsoffset,
// draft-ietf-opsawg-pcapng, section 4.2).
type ngClock struct {
	// mult and fast serve the usual case: below fast, a time stamp times mult is the result.
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
			c.fast = math.MaxInt64/c.mult + 1
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

// stamped says how a time stamp came to its time.
type stamped uint8

const (
	stampExact     stamped = iota
	stampNegative          // it was read as a negative number
	stampSaturated         // it is out of range and was replaced by the nearest end
)

// nanos returns the time of stamp t. Stamps are unsigned (section 4.3), but clocks that were set back do write
// negative ones: those are what a stamp beyond the year 2262 with its highest bit set is taken for, which
// keeps the distances between frames.
func (c *ngClock) nanos(t uint64) (int64, stamped) {
	if t < c.fast {
		return int64(t * c.mult), stampExact
	}
	offset := seconds(uint64(c.offset), 0)
	if c.offset < 0 {
		offset = seconds(-uint64(c.offset), 0).neg()
	}
	ns, ok := offset.add(seconds(c.split(t))).int64()
	if ok {
		return ns, stampExact
	}
	if t>>63 != 0 {
		if ns, ok := offset.add(seconds(c.split(-t)).neg()).int64(); ok {
			return ns, stampNegative
		}
	}
	return ns, stampSaturated
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

// int128 is a number of nanoseconds, in two's complement.
type int128 struct{ hi, lo uint64 }

func seconds(sec, nsec uint64) int128 {
	hi, lo := bits.Mul64(sec, 1e9)
	lo, carry := bits.Add64(lo, nsec, 0)
	return int128{hi + carry, lo}
}

func (a int128) neg() int128 {
	lo, borrow := bits.Sub64(0, a.lo, 0)
	hi, _ := bits.Sub64(0, a.hi, borrow)
	return int128{hi, lo}
}

func (a int128) add(b int128) int128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return int128{hi, lo}
}

// int64 returns a, or the end of the range on its side and false.
func (a int128) int64() (int64, bool) {
	switch {
	case a.hi == uint64(int64(a.lo)>>63):
		return int64(a.lo), true
	case int64(a.hi) < 0:
		return math.MinInt64, false
	default:
		return math.MaxInt64, false
	}
}
