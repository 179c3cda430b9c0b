package tlsx

import "encoding/binary"

// open decrypts a protected record. Its sequence number is one of those from the expected one plus from to that plus
// to; a later epoch may have begun as well. It returns the content, borrowed until the next call, and its type.
func (c *Conn) open(h *half, rec []byte, from, to uint64) ([]byte, uint8, Trouble) {
	c.choose(h)
	s := h.guard.session
	switch {
	case !s.hasClient:
		return nil, 0, NoClientHello
	case s.hasServer && s.version != version12 && s.version != version13:
		return nil, 0, UnsupportedVersion
	case s.hasServer && !s.supported:
		return nil, 0, UnsupportedSuite
	case s.version == version12:
		return c.open12(h, rec, from, to)
	}
	content, kind, t := c.open13(h, rec, from, to)
	if t == NoKey && s.version == 0 {
		t = NoServerHello
	}
	return content, kind, t
}

// choose makes the keys of the last handshake those of direction h, if it has none yet.
func (c *Conn) choose(h *half) {
	if h.guard.session == nil {
		h.guard.session = c.session
	}
}

// open12 opens a record of TLS 1.2 (RFC 5246 §6.2.3.3).
func (c *Conn) open12(h *half, rec []byte, from, to uint64) ([]byte, uint8, Trouble) {
	g := &h.guard
	keys := c.keysOf(h, epochTraffic)
	if len(keys) == 0 {
		return nil, 0, NoKey
	}
	k := keys[0]
	var nonce uint64
	if k.suite.explicit() > 0 && len(rec) >= headerLen+8 {
		nonce = binary.BigEndian.Uint64(rec[headerLen:])
	}
	try := func(seq uint64) []byte {
		content := c.try(k, seq, rec)
		if content != nil {
			g.on, g.seq, g.slack, g.nonce, g.epoch = true, seq+1, 0, nonce, epochTraffic
		}
		return content
	}
	if to > 0 && k.suite.explicit() > 0 {
		// Most senders count the nonce up with the sequence number: it says how many records are missing.
		guess := nonce
		if g.seq > 0 {
			guess = g.seq - 1 + nonce - g.nonce
		}
		if guess >= g.seq && c.spend(h, len(rec)) {
			if content := try(guess); content != nil {
				return content, rec[0], NoTrouble
			}
		}
	}
	for n := from; n <= to; n++ {
		if to > 0 && !c.spend(h, len(rec)) {
			break
		}
		if content := try(g.seq + n); content != nil {
			return content, rec[0], NoTrouble
		}
	}
	return nil, 0, BadRecord
}

// open13 opens a record of TLS 1.3 (RFC 8446 §5.2), with the key of the epoch or of a later one.
func (c *Conn) open13(h *half, rec []byte, from, to uint64) ([]byte, uint8, Trouble) {
	g := &h.guard
	t := BadRecord
	for e := g.epoch; e < numEpochs; e++ {
		keys := c.keysOf(h, e)
		if len(keys) == 0 {
			t = NoKey
		}
		first, last := uint64(0), to
		if e == g.epoch {
			first, last = g.seq+from, g.seq+to
		}
		for _, k := range keys {
			content, seq := c.tryRange(h, k, rec, first, last, to > 0)
			if content == nil {
				continue
			}
			if len(keys) > 1 {
				g.keys[e] = []*key{k}
			}
			g.epoch, g.seq, g.slack = e, seq+1, 0
			if e > epochEarly && c.session.version == 0 {
				c.foundSuite(k.suite)
			}
			content, kind := inner(content)
			return content, kind, NoTrouble
		}
	}
	if to > 0 && g.epoch == epochTraffic && len(g.keys[epochTraffic]) == 1 { // a KeyUpdate may be missing
		next := g.keys[epochTraffic][0].next()
		if content, seq := c.tryRange(h, next, rec, 0, to, true); content != nil {
			c.changeKey(h, next)
			g.seq = seq + 1
			content, kind := inner(content)
			return content, kind, NoTrouble
		}
	}
	return nil, 0, t
}

// inner takes type and padding off the content of a record (RFC 8446 §5.4); the type is 0 when there is none.
func inner(content []byte) ([]byte, uint8) {
	n := len(content)
	for n > 0 && content[n-1] == 0 {
		n--
	}
	if n == 0 {
		return nil, 0
	}
	return content[:n-1], content[n-1]
}

// foundSuite notes that a trial found what the missing ServerHello said.
func (c *Conn) foundSuite(s suite) {
	c.session.version, c.session.suite, c.session.supported = version13, s, true
	c.info.Version = version13
	for i, known := range suites13() {
		if known == s {
			c.info.Suite = 0x1301 + uint16(i)
		}
	}
}

// tryRange tries the sequence numbers from first to last.
func (c *Conn) tryRange(h *half, k *key, rec []byte, first, last uint64, paid bool) (content []byte, seq uint64) {
	for seq := first; seq <= last; seq++ {
		if paid && !c.spend(h, len(rec)) {
			break
		}
		if content := c.try(k, seq, rec); content != nil {
			return content, seq
		}
	}
	return nil, 0
}

// Trials may decrypt trialsFree bytes, and trialsPerByte for each byte that came; each counts trialCost beside its bytes.
const (
	trialsFree    = 1 << 20
	trialsPerByte = 64
	trialCost     = 256
)

// spend reports whether a record of n bytes may be decrypted on trial.
func (c *Conn) spend(h *half, n int) bool {
	g := &h.guard
	n += trialCost
	if g.trials+uint64(n) > trialsFree+trialsPerByte*(h.at+uint64(n)) {
		if !g.limited {
			g.limited = true
			c.stats.LimitSearch++
		}
		return false
	}
	g.trials += uint64(n)
	return true
}

// try decrypts a record as the one with a sequence number. It returns nil when it does not authenticate; content that
// is empty is not nil.
func (c *Conn) try(k *key, seq uint64, rec []byte) []byte {
	body := rec[headerLen:]
	if len(body) < k.suite.explicit()+tagLen {
		return nil
	}
	aad := c.aad[:]
	copy(c.nonce[:], k.iv[:])
	if k.suite.tls13 {
		aad = aad[:copy(aad, rec[:headerLen])]
	} else {
		binary.BigEndian.PutUint64(aad, seq)
		copy(aad[8:], rec[:3])
		binary.BigEndian.PutUint16(aad[11:], uint16(len(body)-k.suite.overhead()))
	}
	if n := k.suite.explicit(); n > 0 {
		copy(c.nonce[nonceLen-n:], body[:n])
		body = body[n:]
	} else {
		low := c.nonce[nonceLen-8:]
		binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^seq)
	}
	c.borrow()
	content, err := k.aead.Open(c.scratch[:0], c.nonce[:], body, aad)
	if err != nil {
		return nil
	}
	return content
}

// keysOf returns the keys of direction h in an epoch, none when there is no secret for it.
func (c *Conn) keysOf(h *half, e epoch) []*key {
	g := &h.guard
	if asked := c.d.keys.version() + 1; len(g.keys[e]) == 0 && g.asked[e] != asked {
		g.asked[e] = asked
		g.keys[e] = c.derive(g.session, h.dir != c.info.Client, e)
	}
	return g.keys[e]
}

// derive makes the keys of one side in an epoch.
func (c *Conn) derive(s *session, fromServer bool, e epoch) []*key {
	if s.version == version12 {
		if master := c.d.keys.find(s.client, masterSecret); master != nil {
			return []*key{sessionKey(s.suite, master, s.client, s.server, fromServer)}
		}
		return nil
	}
	labels := [numEpochs]label{clientEarly, clientHandshake, clientTraffic}
	if fromServer {
		if e == epochEarly {
			return nil
		}
		labels = [numEpochs]label{0, serverHandshake, serverTraffic}
	}
	from := c.d.keys.find(s.client, labels[e])
	if from == nil {
		return nil
	}
	var keys []*key
	for _, suite := range suites13() {
		if known := s.hasServer || s.supported; known && e != epochEarly && (!s.supported || suite != s.suite) {
			continue
		}
		if k := trafficKey(suite, from); k != nil {
			keys = append(keys, k)
		}
	}
	return keys
}
