package tlsx

// search looks for a record at the start of b, or finds where else one may begin.
func (c *Conn) search(h *half, b []byte) (n int, more bool) {
	for ; n+headerLen <= len(b); n++ {
		if _, ok := plausible(b[n:]); ok {
			break
		}
	}
	if n > 0 {
		return c.skip(n), true
	}
	if h.need = headerLen; len(b) < headerLen {
		return 0, false
	}
	total, _ := plausible(b)
	if h.need = total; len(b) < total {
		if h.ended {
			return c.skip(1), true
		}
		return 0, false
	}
	from, to := c.between(h)
	if c.session.version == version12 || c.protects(h, b[0]) {
		next := h.guard.place(c.info.KeyUpdates[h.dir])
		if content, kind, t := c.open(h, b[:total], from, to); t == NoTrouble {
			c.found(h, next)
			c.opened(h, b[:total], kind, content)
			return total, true
		}
		if c.keyed(h) && c.protects(h, b[0]) {
			return c.skip(1), true
		}
	}
	// Without a key the header of the next record must do.
	if after := b[total:]; len(after) >= headerLen {
		if _, ok := plausible(after); !ok {
			return c.skip(1), true
		}
	} else if !h.ended {
		h.need = total + headerLen
		return 0, false
	}
	c.stats.Resyncs++
	h.lost, h.holed, h.guard.slack = false, false, to
	return 0, true
}

// keyed reports whether there is a key for direction h.
func (c *Conn) keyed(h *half) bool {
	for _, keys := range h.guard.keys {
		if len(keys) > 0 {
			return true
		}
	}
	return false
}

// between returns how many records lie at least and at most between the last one and what is at h.at, as far as
// sequence numbers are tried.
func (c *Conn) between(h *half) (from, to uint64) {
	n := h.at - h.lostAt
	least := uint64(headerLen + c.overhead())
	if g := &h.guard; h.holed && g.epoch == epochTraffic && g.seq > 0 { // else records in clear text may be among them
		from = (n + headerLen + maxRecord - 1) / (headerLen + maxRecord)
	}
	return from, max(from, min(n/least+h.guard.slack, from+uint64(c.d.cfg.MaxSearch)))
}

// place is where a record stands in its direction.
type place struct {
	epoch   epoch
	changes int // of the key within the epoch
	seq     uint64
}

// place returns that of the next record.
func (g *guard) place(changes int) place { return place{g.epoch, changes, g.seq} }

// found notes what is missing in front of a record that was found by its sequence number, when next was expected.
func (c *Conn) found(h *half, next place) {
	c.stats.Resyncs++
	here := h.guard.place(c.info.KeyUpdates[h.dir])
	records := here.seq - 1
	if here.epoch == next.epoch && here.changes == next.changes {
		records -= next.seq
	}
	// The first record of TLS 1.2 is Finished; in TLS 1.3 application data comes after the handshake.
	nothing := records == 0 || !c.tls13(h) && next.seq == 0 && records == 1 || c.tls13(h) && here.epoch == epochHandshake
	if n, over := h.at-h.lostAt, records*uint64(headerLen+c.overhead()); !nothing && n > over {
		c.missing(h, n-over, h.lostWhy())
	}
	h.lost, h.holed = false, false
}

// lostWhy says why the bytes in front of the next record are of no use.
func (h *half) lostWhy() GapReason {
	if h.holed {
		return GapLost
	}
	return GapMalformed
}

// bound returns how much application data was lost between the last record and h.at, at most.
func (c *Conn) bound(h *half) uint64 {
	n := h.at - h.lostAt
	records := (n + headerLen + maxRecord - 1) / (headerLen + maxRecord)
	return max(n, records*uint64(headerLen+c.overhead())) - records*uint64(headerLen+c.overhead())
}
