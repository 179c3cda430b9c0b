package tlsx

// epoch is a step of the key schedule of TLS 1.3 (RFC 8446 §7.1); in TLS 1.2 there is only the last one.
type epoch uint8

const (
	epochEarly epoch = iota
	epochHandshake
	epochTraffic
	numEpochs
)

// guard is how the records of a direction are protected.
type guard struct {
	on      bool     // by ChangeCipherSpec, in TLS 1.2
	session *session // whose keys count
	epoch   epoch
	keys    [numEpochs][]*key // those known; several when a suite has to be found by trial
	asked   [numEpochs]uint64 // the state of the key log, plus one, in which there were none
	seq     uint64            // of the next record
	slack   uint64            // seq may be too low by so much
	nonce   uint64            // the explicit nonce of the last record, in TLS 1.2
	trials  uint64            // bytes decrypted on trial
	limited bool              // the limit of trials was reached, and counted
}

// advance goes on to an epoch.
func (g *guard) advance(e epoch) { g.epoch, g.seq, g.slack = e, 0, 0 }

// record takes a whole record. It returns false when the record must wait for a hello.
func (c *Conn) record(h *half, rec []byte) bool {
	if !c.protects(h, rec[0]) {
		c.clear(h, rec)
		return true
	}
	h.past = true
	if !c.undecided() || h.forced {
		c.protected(h, rec)
		return true
	}
	if s := c.session; s.hasClient && s.early && rec[0] == recordData && h.dir == c.info.Client {
		if content, kind, t := c.open(h, rec, 0, 0); t == NoTrouble {
			c.opened(h, rec, kind, content)
			return true
		}
	}
	return false
}

// protects reports whether a record of a type is protected in direction h.
func (c *Conn) protects(h *half, kind uint8) bool {
	return kind == recordData || h.guard.on && c.session.version != version13
}

// clear takes a record in clear text.
func (c *Conn) clear(h *half, rec []byte) {
	c.stats.Records++
	c.stats.Consumed += uint64(len(rec))
	switch kind, body := rec[0], rec[headerLen:]; kind {
	case recordCCS:
		h.guard.on = true
	case recordAlert:
		c.alert(h, body)
	case recordHandshake:
		c.messages(h, body)
	}
}

// protected takes a protected record.
func (c *Conn) protected(h *half, rec []byte) {
	g := &h.guard
	if c.session.version == version12 && !g.on { // ChangeCipherSpec is missing
		g.on, g.slack = true, uint64(c.d.cfg.MaxSearch)
		h.handshake.reset()
	}
	content, kind, t := c.open(h, rec, 0, g.slack)
	if t == NoTrouble {
		c.opened(h, rec, kind, content)
		return
	}
	c.failed(h, rec, t)
}

// opened takes the content of a record that authenticated.
func (c *Conn) opened(h *half, rec []byte, kind uint8, content []byte) {
	c.stats.Records++
	c.stats.Opened++
	c.stats.Consumed += uint64(len(rec))
	switch kind {
	case recordData:
		if len(content) > 0 {
			c.flush(h)
			chunk := Chunk{Offset: h.plain, Bytes: content, Origin: h.origin(h.at), Early: h.guard.epoch == epochEarly && c.tls13(h)}
			h.plain += uint64(len(content))
			c.stats.Plain += uint64(len(content))
			c.to.Data(h.dir, chunk)
		}
	case recordHandshake:
		c.messages(h, content)
	case recordAlert:
		c.alert(h, content)
	case recordCCS: // the end of a renegotiation
		h.guard = guard{on: true, trials: h.guard.trials}
	case recordHeartbeat:
	default:
		c.stats.Malformed++
	}
}

// tls13 reports whether records of h are opened by the rules of TLS 1.3.
func (c *Conn) tls13(h *half) bool {
	return h.guard.session != nil && h.guard.session.version != version12
}

// failed counts a protected record that could not be opened.
func (c *Conn) failed(h *half, rec []byte, t Trouble) {
	g := &h.guard
	c.stats.Records++
	c.skip(len(rec))
	c.info.Trouble = t
	why := GapKey
	switch t {
	case NoKey:
		c.stats.NoKey++
	case UnsupportedSuite, UnsupportedVersion:
		c.stats.Unsupported++
		why = GapUnsupported
	case BadRecord:
		c.stats.BadRecords++
		why = GapRecord
	default:
		c.stats.Undecided++
	}
	if c.mayBeData(h, rec[0], epochTraffic) {
		c.missing(h, uint64(max(0, len(rec)-headerLen-c.overhead())), why)
	}
	if len(rec) >= headerLen+c.overhead() { // else it cannot have been one
		g.seq++
	}
}

// mayBeData reports whether a protected record that was not opened may have held application data. In TLS 1.3 it did
// not, if it came before the first one that the keys of application data open; to know that takes the keys of e: those of
// application data for a record that is whole, those of the handshake otherwise.
func (c *Conn) mayBeData(h *half, kind uint8, e epoch) bool {
	s := h.guard.session
	early := s.early && h.dir == c.info.Client && h.guard.epoch == epochEarly
	return kind == recordData &&
		(s.version != version13 || h.guard.epoch == epochTraffic || early || len(c.keysOf(h, e)) == 0)
}

// miss passes over a protected record of which bytes are missing.
func (c *Conn) miss(h *half, kind uint8, total int, why GapReason) {
	g := &h.guard
	if !c.protects(h, kind) {
		g.on = g.on || kind == recordCCS
		return
	}
	c.choose(h)
	if c.mayBeData(h, kind, epochHandshake) {
		c.missing(h, uint64(max(0, total-headerLen-c.overhead())), why)
	}
	g.seq++
}

// overhead is the least that protection adds to a record.
func (c *Conn) overhead() int {
	switch s := c.session; {
	case s.supported:
		return s.suite.overhead()
	case s.hasServer:
		return 0
	}
	return tagLen
}

// missing notes application data that is not there.
func (c *Conn) missing(h *half, n uint64, why GapReason) {
	if n == 0 {
		return
	}
	if h.gap.Length > 0 && h.gap.Reason != why {
		c.flush(h)
	}
	if h.gap.Length == 0 {
		h.gap = Gap{Offset: h.plain, Reason: why}
	}
	h.gap.Length += n
	h.plain += n
	c.stats.PlainMissing += n
}

// flush reports the gap in front of what comes next.
func (c *Conn) flush(h *half) {
	if h.gap.Length > 0 {
		c.to.Gap(h.dir, h.gap)
		h.gap = Gap{}
	}
}

// alert notes an alert.
func (c *Conn) alert(h *half, b []byte) {
	if len(b) != 2 {
		c.stats.Malformed++
		return
	}
	c.info.Alerts[h.dir] = Alert{b[0], b[1]}
	h.close = h.close || b[1] == 0
}

// messages takes the content of a handshake record.
func (c *Conn) messages(h *half, b []byte) {
	h.handshake.feed(b, c.d.cfg.MaxHandshake, &c.stats.LimitHandshake, func(kind uint8, body []byte) {
		c.message(h, kind, body)
	})
}

// message takes a handshake message. The body is nil when it is of no interest, or too large.
func (c *Conn) message(h *half, kind uint8, body []byte) {
	g := &h.guard
	switch kind {
	case helloClient:
		if body != nil {
			c.takeClientHello(h.dir, body)
		}
	case helloServer:
		if body != nil {
			c.takeServerHello(h.dir, body)
		}
	case encryptedExtensions:
		if body != nil && c.tls13(h) {
			c.takeEncryptedExtensions(body)
		}
	case endOfEarlyData:
		if g.epoch == epochEarly {
			g.advance(epochHandshake)
		}
	case finished:
		if c.tls13(h) && g.epoch == epochHandshake {
			g.advance(epochTraffic)
		}
	case keyUpdate:
		if c.tls13(h) && g.epoch == epochTraffic && len(g.keys[epochTraffic]) == 1 {
			c.changeKey(h, g.keys[epochTraffic][0].next())
		}
	}
}

// changeKey goes on with the key behind a KeyUpdate.
func (c *Conn) changeKey(h *half, k *key) {
	h.guard.keys[epochTraffic] = []*key{k}
	h.guard.advance(epochTraffic)
	c.info.KeyUpdates[h.dir]++
}
