package meter

import (
	"math/bits"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// record is what each packet of a flow needs. It lies beside the canonical key.
type record struct {
	sides    [2]totals
	reversed bool  // the source is not that of the canonical key
	fins     uint8 // by direction; only with EndOnTCP
	packets  uint8 // that were dissected
}

// totals are those of one direction.
type totals struct {
	first, last, packets, bytes uint64
}

// rare is the rest of a record.
type rare struct {
	before, after  flowtable.Ref // in the order of the list
	steps          steps
	created        uint64 // its place among all flows, from 0
	srcMAC, dstMAC nfpacket.MAC
}

// last returns the time of the flow's last packet.
func (r *record) last() uint64 {
	if r.sides[1].packets == 0 || r.sides[0].packets > 0 && r.sides[0].last > r.sides[1].last {
		return r.sides[0].last
	}
	return r.sides[1].last
}

// first returns the time of the flow's first packet, which is one of the source but with KeepDirection.
func (r *record) first() uint64 {
	if r.sides[0].packets == 0 || r.sides[1].packets > 0 && r.sides[1].first < r.sides[0].first {
		return r.sides[1].first
	}
	return r.sides[0].first
}

// statistics are what Config.Statistics adds to a flow.
type statistics struct {
	sides [3]spread // Bidirectional, Src2Dst, Dst2Src
	flags [2][numFlags]uint64
}

type spread struct{ sizes, gaps moments }

// moments are a Distribution without its number of values, which the totals tell.
type moments struct {
	min, max      uint64
	mean, squares float64
}

// add takes the nth value (Welford's recurrence). The conversion keeps compilers from fusing the product with the sum, which
// would make rows depend on the machine.
func (m *moments) add(v, n uint64) {
	x := float64(v)
	if n == 1 {
		*m = moments{min: v, max: v, mean: x}
		return
	}
	m.min, m.max = min(m.min, v), max(m.max, v)
	old := m.mean
	m.mean += (x - old) / float64(n)
	m.squares += float64((x - old) * (x - m.mean))
}

func (m *moments) distribution(n uint64) Distribution {
	if n == 0 || n > 1<<63 {
		return Distribution{}
	}
	return Distribution{Min: m.min, Max: m.max, Mean: m.mean, squares: m.squares, count: n}
}

// add takes a packet of a direction: packets and lastly are those of the direction, or of both, before it.
func (s *spread) add(size, now uint64, packets, last uint64) {
	s.sizes.add(size, packets+1)
	if packets > 0 {
		s.gaps.add(now-last, packets)
	}
}

// count adds the flags of a packet.
func (s *statistics) count(direction uint8, flags packet.TCPFlags) {
	for f := uint8(flags); f != 0; f &= f - 1 {
		s.flags[direction][flagPlace(bits.TrailingZeros8(f))]++
	}
}

// flagPlace returns the place of a flag in the columns, by its bit in the header.
func flagPlace(bit int) int {
	const places = CountFIN | CountSYN<<4 | CountRST<<8 | CountPSH<<12 | CountACK<<16 | CountURG<<20 | CountECE<<24 | CountCWR<<28
	return places >> (4 * bit) & 7
}

// side returns the totals of a direction.
func (t *totals) side() Side {
	return Side{FirstSeen: t.first, LastSeen: t.last, Packets: t.packets, Bytes: t.bytes}
}

// spreadOver adds distributions to a side.
func (s *Side) spreadOver(sp *spread) {
	s.Sizes = sp.sizes.distribution(s.Packets)
	s.Gaps = sp.gaps.distribution(s.Packets - 1)
}
