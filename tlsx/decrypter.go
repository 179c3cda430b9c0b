package tlsx

// Decrypter holds what connections have in common: the keys, the configuration, buffers, and the limit on all of them
// together. It is not safe for concurrent use, nor are its connections.
type Decrypter struct {
	keys    *KeyLog
	cfg     Config
	waiting int      // bytes that wait in all connections, with what they cost beside
	scratch [][]byte // for decrypted records; more than one when connections are carried in others
	spare   [][]byte // for bytes that wait
}

// New returns a decrypter with keys, which may be nil and may grow.
func New(keys *KeyLog, cfg *Config) (*Decrypter, error) {
	settled, err := cfg.settled()
	if err != nil {
		return nil, err
	}
	return &Decrypter{keys: keys, cfg: settled}, nil
}

// Open returns a new connection, whose contents are handed to to.
func (d *Decrypter) Open(to Handler) *Conn {
	c := &Conn{d: d, to: to, session: new(session)}
	c.half[ServerToClient].dir = ServerToClient
	return c
}

const (
	maxSpare     = 32 // buffers
	maxSpareSize = 1 << 16
)

// buffer returns an empty buffer for bytes that wait.
func (d *Decrypter) buffer() []byte {
	n := len(d.spare) - 1
	if n < 0 {
		return make([]byte, 0, 4<<10)
	}
	b := d.spare[n]
	d.spare = d.spare[:n]
	return b
}

// free takes a buffer back.
func (d *Decrypter) free(b []byte) {
	if n := cap(b); n > 0 && n <= maxSpareSize && len(d.spare) < maxSpare {
		d.spare = append(d.spare, b[:0])
	}
}

// borrow lets a connection have the room for a decrypted record, until the end of the call.
func (c *Conn) borrow() {
	if c.scratch != nil {
		return
	}
	if n := len(c.d.scratch) - 1; n >= 0 {
		c.scratch, c.d.scratch = c.d.scratch[n], c.d.scratch[:n]
		return
	}
	c.scratch = make([]byte, 0, maxRecord)
}

// settle counts what waits in direction h, and gives back what is not needed between two calls.
func (c *Conn) settle(h *half) {
	if h.waiting() == 0 && h.buf != nil {
		c.d.free(h.buf)
		h.buf, h.head = nil, 0
	}
	now := h.waiting()
	if now > 0 {
		now += markSize * len(h.marks)
	}
	c.d.waiting += now - h.counted
	h.counted = now
	if c.scratch != nil {
		c.d.scratch = append(c.d.scratch, c.scratch)
		c.scratch = nil
	}
}
