package tlsx

// Record types (RFC 8446 §5.1) and sizes.
const (
	recordCCS       = 20
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
	recordHeartbeat = 24

	headerLen = 5
	// maxRecord is the most bytes of a protected record: 2^14 and what protection may add (RFC 5246 §6.2.3).
	maxRecord = 1<<14 + 2048
)

// Conn decrypts one connection.
type Conn struct {
	d       *Decrypter
	to      Handler
	half    [2]half
	session *session // of the last handshake
	info    Info
	stats   Stats

	scratch []byte // a decrypted record; nil between calls
	nonce   [nonceLen]byte
	aad     [13]byte
}

// half is one direction.
type half struct {
	dir   Direction
	ended bool
	dead  bool // no TLS: all is skipped

	// The bytes that wait are buf[head:]; at is the offset of the first, or of the next to come, end that behind all
	// that came. need is how many must be there for another look at them.
	buf     []byte
	head    int
	need    int
	at, end uint64
	marks   []mark
	counted int  // what they count towards Config.MaxTotalHeld
	held    bool // they wait for the other direction's hello
	forced  bool // they waited enough

	past   bool   // no hello can come any more
	skipTo uint64 // the record that ends here has a gap
	lost   bool   // where the next record begins is not known: see search
	lostAt uint64 // offset behind the last record that is known
	holed  bool   // bytes between there and the next record are missing

	handshake messages
	guard     guard

	plain uint64 // length of the application data
	gap   Gap    // pending, Length 0 for none
	close bool   // close_notify came
}

// mark says where the bytes from an offset on came from.
type mark struct {
	off uint64
	o   Origin
}

// markSize is what a mark counts when bytes wait.
const markSize = 40

// Info returns what is known so far.
func (c *Conn) Info() Info { return c.info }

// Stats returns what was counted so far.
func (c *Conn) Stats() Stats { return c.stats }

// Data takes the bytes of direction d at offset off, which are borrowed; o is the origin of the first. Offsets ascend:
// what lies below the end of the bytes that came is ignored, what lies above leaves a gap. Bytes after End are
// ignored as well.
func (c *Conn) Data(d Direction, off uint64, b []byte, o Origin) {
	h := &c.half[d&1]
	if h.ended {
		return
	}
	if off > h.end {
		c.Gap(d, h.end, off-h.end)
	}
	if known := min(h.end-off, uint64(len(b))); known > 0 {
		b, o.Seq = b[known:], o.Seq+uint32(known)
	}
	if len(b) == 0 {
		return
	}
	h.end += uint64(len(b))
	c.stats.Bytes += uint64(len(b))
	c.take(h, b, o)
	c.settle(h)
	c.release()
}

// take processes b as far as it goes, and keeps the rest.
func (c *Conn) take(h *half, b []byte, o Origin) {
	start := h.end - uint64(len(b))
	if h.waiting() == 0 {
		h.marks = append(h.marks[:0], mark{start, o})
		if n := c.process(h, b); n < len(b) {
			h.buf, h.head = append(c.d.buffer(), b[n:]...), 0
		}
	} else {
		if h.held || h.lost || h.waiting()+len(b) > h.need { // a record may begin in b
			h.marks = append(h.marks, mark{start, o})
		}
		h.buf = append(h.buf, b...)
		if !h.held && h.waiting() >= h.need {
			c.again(h)
		}
	}
	size := h.waiting() + markSize*len(h.marks)
	full := c.d.waiting-h.counted+size > c.d.cfg.MaxTotalHeld
	if h.held && (full || size > c.d.cfg.MaxHeld) {
		c.stats.LimitHeld++
		c.force(h)
	}
	if full && h.waiting() > 0 {
		c.giveUp(h)
	}
}

// giveUp passes over the bytes that wait for the rest of their record.
func (c *Conn) giveUp(h *half) {
	c.stats.LimitHeld++
	c.hole(h, GapLimit)
	h.forget()
	h.at = h.end
}

// forget drops the bytes that wait.
func (h *half) forget() { h.buf, h.head, h.marks = h.buf[:0], 0, h.marks[:0] }

// waiting is the number of bytes that wait.
func (h *half) waiting() int { return len(h.buf) - h.head }

// again processes the bytes that wait.
func (c *Conn) again(h *half) {
	h.held = false
	h.head += c.process(h, h.buf[h.head:])
	if h.head > len(h.buf)/2 {
		h.buf = h.buf[:copy(h.buf, h.buf[h.head:])]
		h.head = 0
	}
}

// force processes bytes that wait for a hello without it.
func (c *Conn) force(h *half) {
	h.forced = true
	if h.held {
		c.again(h)
	}
}

// origin returns where the byte at offset off came from.
func (h *half) origin(off uint64) Origin {
	n := 0
	for n+1 < len(h.marks) && h.marks[n+1].off <= off {
		n++
	}
	h.marks = h.marks[:copy(h.marks, h.marks[n:])]
	m := h.marks[0]
	m.o.Seq += uint32(off - m.off)
	return m.o
}

// process takes records off b, whose first byte is at h.at, and returns how many bytes it took.
func (c *Conn) process(h *half, b []byte) int {
	taken := 0
	for {
		var n int
		var more bool
		rest := b[taken:]
		switch {
		case h.dead:
			n = c.skip(len(rest))
			c.missing(h, uint64(n), GapMalformed)
		case h.skipTo > h.at:
			if more = len(rest) > 0; more {
				n = c.skip(int(min(uint64(len(rest)), h.skipTo-h.at)))
			}
			h.need = 1
		case h.lost:
			n, more = c.search(h, rest)
		default:
			n, more = c.next(h, rest)
		}
		taken += n
		h.at += uint64(n)
		if !more {
			return taken
		}
	}
}

// skip counts n bytes that are not understood.
func (c *Conn) skip(n int) int {
	c.stats.Skipped += uint64(n)
	return n
}

// plausible reports whether a record can start with the header b, and how long it is with the header.
func plausible(b []byte) (total int, ok bool) {
	n := int(b[3])<<8 | int(b[4])
	return headerLen + n, b[0] >= recordCCS && b[0] <= recordHeartbeat && b[1] == 3 && b[2] <= 4 && n <= maxRecord &&
		(n > 0 || b[0] == recordData)
}

// next takes the record that begins with b; more is false when it must wait for more bytes.
func (c *Conn) next(h *half, b []byte) (n int, more bool) {
	if h.need = headerLen; len(b) < headerLen {
		return 0, false
	}
	total, ok := plausible(b)
	if !ok {
		c.stats.Malformed++
		h.past = true
		if h.dead = h.at == 0; h.dead {
			c.info.Trouble = NotTLS
		}
		h.lose(h.at)
		return 0, true
	}
	if h.need = total; len(b) < total {
		return 0, false
	}
	if !c.record(h, b[:total]) {
		h.held = true
		return 0, false
	}
	return total, true
}

// lose starts the search for the next record; from is the offset behind the last one.
func (h *half) lose(from uint64) {
	if !h.lost {
		h.lost, h.lostAt = true, from
	}
	h.handshake.reset()
}

// Gap says that n bytes of direction d at offset off are missing. What lies below the end of the bytes that came is
// ignored.
func (c *Conn) Gap(d Direction, off, n uint64) {
	h := &c.half[d&1]
	end := off + n
	if end < off || h.ended || end <= h.end {
		return
	}
	c.force(h)
	c.stats.Missing += end - h.end
	h.end, h.past = end, true
	c.hole(h, GapLost)
	h.holed = h.lost
	h.forget()
	h.at = end
	c.settle(h)
	c.release()
}

// hole passes over what waits and what is missing, up to h.end.
func (c *Conn) hole(h *half, why GapReason) {
	b := h.buf[h.head:]
	c.skip(len(b))
	h.handshake.reset()
	switch {
	case h.dead:
		c.missing(h, h.end-h.at, GapMalformed)
		return
	case h.lost:
		return
	case h.skipTo > h.at:
		if h.end > h.skipTo {
			h.lose(h.skipTo)
		}
		return
	case len(b) >= headerLen:
		// The rest of the record is known by its length (a header that is not plausible would have been found out).
		total, _ := plausible(b)
		if after := h.at + uint64(total); h.end <= after {
			c.miss(h, b[0], total, why)
			h.skipTo = after
			return
		}
	}
	h.lose(h.at)
}

// End says that direction d is over. Its handler's End is called before it returns.
func (c *Conn) End(d Direction) {
	h := &c.half[d&1]
	if h.ended {
		return
	}
	h.ended, h.past, h.forced = true, true, true
	c.again(h)
	rest := h.waiting()
	if c.skip(rest); !h.dead && (h.lost || rest > 0) {
		h.lose(h.at)
		h.at = h.end
		if h.guard.on || h.guard.session != nil {
			c.missing(h, c.bound(h), h.lostWhy())
		}
	}
	h.forget()
	c.settle(h)
	c.flush(h)
	c.to.End(h.dir, End{Closed: h.close, Length: h.plain})
	c.release()
}

// Close ends both directions, the client's first.
func (c *Conn) Close() {
	c.End(ClientToServer)
	c.End(ServerToClient)
}

// release goes on with what waited for a hello that came, or that cannot come any more.
func (c *Conn) release() {
	for range 2 { // what is released may release the other direction
		for d := range c.half {
			if h := &c.half[d]; h.held && !c.undecided() {
				c.again(h)
				c.settle(h)
			}
		}
	}
}

// undecided reports whether a hello that is still to come may say how records are protected.
func (c *Conn) undecided() bool {
	s := c.session
	if !s.hasClient {
		return !c.half[0].past || !c.half[1].past
	}
	return !s.hasServer && !c.half[c.info.Client^1].past
}
