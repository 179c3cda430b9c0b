package tcpfollow

import (
	"bytes"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// sink is the follower as the engine sees it.
type sink TCPStreamFollower

func (k *sink) where(h *reassemble.Half) (f *TCPStreamFollower, c *conn, side uint8) {
	f = (*TCPStreamFollower)(k)
	c = f.table.At(f.at)
	return f, c, c.sideOf(h)
}

// Data delivers bytes.
func (k *sink) Data(h *reassemble.Half, off uint64, b []byte, o reassemble.Origin) {
	f, c, side := k.where(h)
	f.deliver(f.at, c, side, off, b, o)
}

// Gap reports a hole, unless its bytes are known after all.
func (k *sink) Gap(h *reassemble.Half, off, n uint64, why reassemble.GapReason) {
	f, c, side := k.where(h)
	if more := f.extraOf(f.at); why == reassemble.GapLost && more != nil && more.refused != nil {
		f.fill(f.at, c, side, off, n, more.refused)
		return
	}
	f.gap(f.at, c, side, off, n, why)
}

// Old compares bytes that were delivered before with their first copy, as far as that is still there.
func (k *sink) Old(h *reassemble.Half, off uint64, b []byte, o reassemble.Origin) {
	f, c, side := k.where(h)
	d := c.direction(side)
	more := f.extraOf(f.at)
	if more == nil {
		f.stats.Unverified += uint64(len(b))
		return
	}
	for len(b) > 0 {
		old, n := f.firstCopy(more, d, off, len(b))
		if len(old) == 0 {
			f.stats.Unverified += uint64(n)
		} else if !bytes.Equal(old, b[:n]) {
			f.conflict(f.at, Conflict{Direction: d, Offset: off, Old: old, New: b[:n], Origin: o})
		}
		off, b = off+uint64(n), b[n:]
		o.Seq += uint32(n)
	}
}

// Conflict reports held bytes that came twice and differ.
func (k *sink) Conflict(h *reassemble.Half, off uint64, old, b []byte, keptNew bool, o reassemble.Origin) {
	f, c, side := k.where(h)
	f.conflict(f.at, Conflict{c.direction(side), off, old, b, keptNew, o})
}

func (f *TCPStreamFollower) conflict(ref flowtable.Ref, x Conflict) {
	// Only the part that differs is a conflict.
	for len(x.Old) > 0 && x.Old[0] == x.New[0] {
		x.Old, x.New, x.Offset = x.Old[1:], x.New[1:], x.Offset+1
		x.Origin.Seq++
	}
	for n := len(x.Old); n > 0 && x.Old[n-1] == x.New[n-1]; n-- {
		x.Old, x.New = x.Old[:n-1], x.New[:n-1]
	}
	f.stats.Conflicts += uint64(len(x.Old))
	st := f.stream(ref)
	st.needs().payload[x.Direction].conflicts++
	if f.cfg.OnConflict != nil {
		f.cfg.OnConflict(st, x)
	}
}
