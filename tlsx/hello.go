package tlsx

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Handshake message types (RFC 8446 §4).
const (
	helloClient         = 1
	helloServer         = 2
	endOfEarlyData      = 5
	encryptedExtensions = 8
	finished            = 20
	keyUpdate           = 24
)

// Extensions (RFC 8446 §4.2).
const (
	extServerName = 0
	extALPN       = 16
	extPreShared  = 41
	extEarlyData  = 42
	extVersions   = 43
)

// Versions.
const (
	version12 = 0x0303
	version13 = 0x0304
)

// messages puts the handshake messages of a direction together from its records.
type messages struct {
	head [4]byte
	n    int    // bytes of head that are there
	left int    // bytes of the body that are still to come
	body []byte // what is there of it, if it is kept
	keep bool
}

// reset forgets an incomplete message.
func (m *messages) reset() { *m = messages{body: m.body[:0]} }

// feed calls take with every message that b completes; the body is nil for types that are not kept, and for those
// beyond limit, which over counts.
func (m *messages) feed(b []byte, limit int, over *uint64, take func(kind uint8, body []byte)) {
	for len(b) > 0 {
		if m.n < len(m.head) {
			n := copy(m.head[m.n:], b)
			m.n += n
			b = b[n:]
			if m.n < len(m.head) {
				return
			}
			m.left = int(m.head[1])<<16 | int(m.head[2])<<8 | int(m.head[3])
			switch m.head[0] {
			case helloClient, helloServer, encryptedExtensions, keyUpdate:
				if m.keep = m.left <= limit; !m.keep {
					*over++
				}
			default:
				m.keep = false
			}
			m.body = m.body[:0]
		}
		part := b[:min(len(b), m.left)]
		if m.keep {
			m.body = append(m.body, part...)
		}
		b = b[len(part):]
		if m.left -= len(part); m.left > 0 {
			return
		}
		var body []byte
		if m.keep {
			body = append(m.body, 0)[:len(m.body)] // not nil
		}
		kind := m.head[0]
		m.n = 0
		take(kind, body)
	}
}

// clientHello is what a ClientHello says.
type clientHello struct {
	random    Random
	sessionID []byte
	name      string
	protocols []string
	early     bool
}

// extensions calls take for every extension of a block with its length in front, and reports whether the block is
// well formed; none at all is.
func extensions(s cryptobyte.String, take func(kind uint16, v cryptobyte.String) bool) bool {
	if s.Empty() {
		return true
	}
	var all cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&all) || !s.Empty() {
		return false
	}
	for !all.Empty() {
		var kind uint16
		var v cryptobyte.String
		if !all.ReadUint16(&kind) || !all.ReadUint16LengthPrefixed(&v) || !take(kind, v) {
			return false
		}
	}
	return true
}

// parseClientHello parses the body of a ClientHello (RFC 8446 §4.1.2).
func parseClientHello(body []byte) (clientHello, bool) {
	var h clientHello
	var id, list cryptobyte.String
	s := cryptobyte.String(body)
	if !s.Skip(2) || !s.CopyBytes(h.random[:]) || !s.ReadUint8LengthPrefixed(&id) || len(id) > 32 ||
		!s.ReadUint16LengthPrefixed(&list) || !s.ReadUint8LengthPrefixed(&list) {
		return h, false
	}
	h.sessionID = bytes.Clone(id)
	ok := extensions(s, func(kind uint16, v cryptobyte.String) bool {
		switch kind {
		case extServerName:
			return h.serverName(v)
		case extALPN:
			list, ok := parseALPN(v)
			h.protocols = list
			return ok
		case extEarlyData:
			h.early = true
		}
		return true
	})
	return h, ok
}

// serverName takes the first name of the server_name extension that is a host's (RFC 6066 §3).
func (h *clientHello) serverName(v cryptobyte.String) bool {
	var list cryptobyte.String
	if !v.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) {
			return false
		}
		if kind == 0 && h.name == "" {
			h.name = string(name)
		}
	}
	return true
}

// parseALPN parses a list of protocols (RFC 7301 §3.1).
func parseALPN(v cryptobyte.String) ([]string, bool) {
	var list cryptobyte.String
	var out []string
	if !v.ReadUint16LengthPrefixed(&list) {
		return nil, false
	}
	for !list.Empty() {
		var p cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&p) {
			return nil, false
		}
		out = append(out, string(p))
	}
	return out, true
}

// serverHello is what a ServerHello or EncryptedExtensions say.
type serverHello struct {
	random    Random
	sessionID []byte
	suite     uint16
	version   uint16
	retry     bool // it is a HelloRetryRequest
	preShared bool
	early     bool
	protocol  string
}

// retryRandom is the random that makes a ServerHello a HelloRetryRequest (RFC 8446 §4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// parseServerHello parses the body of a ServerHello (RFC 8446 §4.1.3).
func parseServerHello(body []byte) (serverHello, bool) {
	var h serverHello
	var id cryptobyte.String
	s := cryptobyte.String(body)
	if !s.ReadUint16(&h.version) || !s.CopyBytes(h.random[:]) || !s.ReadUint8LengthPrefixed(&id) || len(id) > 32 ||
		!s.ReadUint16(&h.suite) || !s.Skip(1) {
		return h, false
	}
	h.sessionID = bytes.Clone(id)
	h.retry = string(h.random[:]) == retryRandom
	return h, h.extensions(s)
}

// parseEncryptedExtensions parses the body of EncryptedExtensions (RFC 8446 §4.3.1).
func parseEncryptedExtensions(body []byte) (serverHello, bool) {
	var h serverHello
	return h, h.extensions(body)
}

func (h *serverHello) extensions(s cryptobyte.String) bool {
	return extensions(s, func(kind uint16, v cryptobyte.String) bool {
		switch kind {
		case extVersions:
			return v.ReadUint16(&h.version)
		case extPreShared:
			h.preShared = true
		case extEarlyData:
			h.early = true
		case extALPN:
			list, ok := parseALPN(v)
			if ok && len(list) > 0 {
				h.protocol = list[0]
			}
			return ok
		}
		return true
	})
}

// session is what the hellos of one handshake agree on.
type session struct {
	client, server Random
	clientID       []byte // the session id that the client sent
	hasClient      bool
	hasServer      bool
	early          bool   // the client offered early data
	version        uint16 // 0 until the ServerHello, or a HelloRetryRequest
	suite          suite
	supported      bool // the suite is
}

// takeClientHello notes a ClientHello that came in direction d.
func (c *Conn) takeClientHello(d Direction, body []byte) {
	hello, ok := parseClientHello(body)
	if !ok {
		c.stats.Malformed++
		return
	}
	s := c.session
	again := s.hasClient && s.hasServer
	if c.knowsRoles() && d != c.info.Client || again && s.version != version12 {
		c.stats.Malformed++ // TLS 1.3 knows no second handshake
		return
	}
	if again {
		c.info.Renegotiations++
		next := *s // the server's part is replaced by its next hello
		s = &next
		c.session = s
	} else {
		c.info.Client = d
	}
	s.client, s.clientID, s.hasClient = hello.random, hello.sessionID, true
	c.info.ClientRandom, c.info.ServerName, c.info.Offered = hello.random, hello.name, slices.Clip(hello.protocols)
	if !c.info.Retried {
		s.early = hello.early
		if hello.early {
			c.info.EarlyData = EarlyOffered
		}
	}
}

// knowsRoles reports whether a hello told client from server.
func (c *Conn) knowsRoles() bool { return c.session.hasClient || c.session.hasServer }

// takeServerHello notes a ServerHello, or a HelloRetryRequest, that came in direction d.
func (c *Conn) takeServerHello(d Direction, body []byte) {
	hello, ok := parseServerHello(body)
	if !ok || c.knowsRoles() && d == c.info.Client {
		c.stats.Malformed++
		return
	}
	s := c.session
	s.version, c.info.Client = hello.version, d^1
	c.info.Version, c.info.Suite = hello.version, hello.suite
	if hello.retry {
		c.info.Retried = true
		c.rejectEarly()
		return
	}
	s.server, s.hasServer = hello.random, true
	s.suite, s.supported = findSuite(hello.suite)
	if s.version != version12 && s.version != version13 || s.suite.tls13 != (s.version == version13) {
		s.supported = false
	}
	c.info.ServerRandom, c.info.Protocol = hello.random, hello.protocol
	if s.version == version13 {
		c.info.Resumed = hello.preShared
		if !hello.preShared {
			c.rejectEarly()
		}
		return
	}
	c.info.Resumed = len(hello.sessionID) > 0 && bytes.Equal(hello.sessionID, s.clientID)
}

func (c *Conn) rejectEarly() {
	if c.info.EarlyData != EarlyNone {
		c.info.EarlyData = EarlyRejected
	}
}

// takeEncryptedExtensions notes what the server chose in TLS 1.3.
func (c *Conn) takeEncryptedExtensions(body []byte) {
	hello, ok := parseEncryptedExtensions(body)
	if !ok {
		c.stats.Malformed++
		return
	}
	c.info.Protocol = hello.protocol
	if hello.early {
		c.info.EarlyData = EarlyAccepted
	} else {
		c.rejectEarly()
	}
}
