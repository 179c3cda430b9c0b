package appid

import (
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// errHello means that a hello does not keep to its own lengths, or ends early.
var errHello = errors.New("malformed hello")

// TLS extensions (IANA registry).
const (
	extServerName   = 0
	extGroups       = 10
	extPointFormats = 11
	extSignatures   = 13
	extALPN         = 16
	extTicket       = 35
	extPSK          = 41
	extVersions     = 43
	extECH          = 0xfe0d
)

// ClientHello is what a client opens a TLS or DTLS session with (RFC 8446 §4.1.2, RFC 9147 §5.3). Lists are as sent,
// GREASE values (RFC 8701) included.
type ClientHello struct {
	// Version is legacy_version; TLS 1.3 is in Versions.
	Version uint16
	// Versions is the supported_versions extension.
	Versions []uint16
	// Ciphers are the cipher suites.
	Ciphers []uint16
	// Extensions are the types of all extensions.
	Extensions []uint16
	// Groups is the supported_groups extension.
	Groups []uint16
	// PointFormats is the ec_point_formats extension.
	PointFormats []uint8
	// Signatures is the signature_algorithms extension.
	Signatures []uint16
	// ServerName is the host name asked for, in lower case; "" if there is none, or no single one made of visible ASCII.
	ServerName string
	// ALPN is the application_layer_protocol_negotiation extension (RFC 7301).
	ALPN []string
	// ECH tells that there is an encrypted hello (RFC 9849), or what looks like one: ServerName may be that of a front.
	ECH bool
	// Resumption tells that the client offers to resume a session: by a pre-shared key, or a session ticket.
	Resumption bool

	hasName bool
	v2      bool // in the format of SSL 2.0
}

// ServerHello is the answer to a [ClientHello] (RFC 8446 §4.1.3).
type ServerHello struct {
	// Version is legacy_version.
	Version uint16
	// Selected is the version chosen by supported_versions, 0 if there is none.
	Selected uint16
	// Cipher is the cipher suite chosen.
	Cipher uint16
	// Extensions are the types of all extensions, as sent.
	Extensions []uint16
	// ALPN is the protocol chosen; in TLS 1.3 it is encrypted.
	ALPN string
	// Retry tells that this is a HelloRetryRequest.
	Retry bool
}

// ParseClientHello parses the body of a ClientHello handshake message; datagram tells that it is one of DTLS, which has a
// cookie. Nothing is returned of a hello that is not whole.
func ParseClientHello(body []byte, datagram bool) (*ClientHello, error) {
	h := new(ClientHello)
	s := cryptobyte.String(body)
	var session, cookie, ciphers, compression cryptobyte.String
	if !s.ReadUint16(&h.Version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) ||
		datagram && !s.ReadUint8LengthPrefixed(&cookie) ||
		!s.ReadUint16LengthPrefixed(&ciphers) || !s.ReadUint8LengthPrefixed(&compression) || len(session) > 32 {
		return nil, errHello
	}
	var ok bool
	if h.Ciphers, ok = words(ciphers); !ok || len(h.Ciphers) == 0 || len(compression) == 0 {
		return nil, errHello
	}
	ok = extensions(s, func(kind uint16, b cryptobyte.String) bool {
		h.Extensions = append(h.Extensions, kind)
		return h.extension(kind, b)
	})
	if !ok {
		return nil, errHello
	}
	return h, nil
}

// extensions calls each with every extension of a hello, whose last part s is.
func extensions(s cryptobyte.String, each func(uint16, cryptobyte.String) bool) bool {
	if s.Empty() {
		return true // none at all (RFC 5246 §7.4.1.4)
	}
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return false
	}
	for !list.Empty() {
		var kind uint16
		var b cryptobyte.String
		if !list.ReadUint16(&kind) || !list.ReadUint16LengthPrefixed(&b) || !each(kind, b) {
			return false
		}
	}
	return true
}

func (h *ClientHello) extension(kind uint16, b cryptobyte.String) bool {
	var list cryptobyte.String
	var ok bool
	switch kind {
	case extServerName:
		return h.serverName(b)
	case extGroups:
		h.Groups, ok = wordList(&b)
	case extPointFormats:
		ok = b.ReadUint8LengthPrefixed(&list)
		h.PointFormats = slices.Clone([]byte(list))
	case extSignatures:
		h.Signatures, ok = wordList(&b)
	case extALPN:
		h.ALPN, ok = alpnNames(&b)
	case extTicket:
		h.Resumption = h.Resumption || !b.Empty()
		return true
	case extPSK:
		h.Resumption = true
		return true
	case extVersions:
		if ok = b.ReadUint8LengthPrefixed(&list); ok {
			h.Versions, ok = words(list)
		}
	case extECH:
		h.ECH = true
		return true
	default:
		return true
	}
	return ok && b.Empty()
}

// serverName reads a list of names (RFC 6066 §3). Two host names make none: nobody can tell which one counts.
func (h *ClientHello) serverName(b cryptobyte.String) bool {
	if b.Empty() {
		h.hasName = true
		return true
	}
	var list cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&list) || !b.Empty() {
		return false
	}
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) {
			return false
		}
		if kind != 0 {
			continue
		}
		if h.hasName {
			h.ServerName = ""
			continue
		}
		h.hasName = true
		h.ServerName = hostName(name)
	}
	return true
}

// hostName returns a name in lower case, "" if it holds anything but visible ASCII.
func hostName(b []byte) string {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return ""
		}
	}
	return lower(string(b))
}

// lower returns s with ASCII letters in lower case; all other bytes stay, also where they are not UTF-8.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// ParseServerHello parses the body of a ServerHello handshake message.
func ParseServerHello(body []byte) (*ServerHello, error) {
	h := new(ServerHello)
	s := cryptobyte.String(body)
	var session cryptobyte.String
	var random []byte
	if !s.ReadUint16(&h.Version) || !s.ReadBytes(&random, 32) {
		return nil, errHello
	}
	if h.Version>>8 == 0x7f { // drafts of TLS 1.3 before 22 have neither session nor compression here
		if !s.ReadUint16(&h.Cipher) {
			return nil, errHello
		}
	} else if !s.ReadUint8LengthPrefixed(&session) || !s.ReadUint16(&h.Cipher) || !s.Skip(1) || len(session) > 32 {
		return nil, errHello
	}
	h.Retry = string(random) == retryRandom
	ok := extensions(s, func(kind uint16, b cryptobyte.String) bool {
		h.Extensions = append(h.Extensions, kind)
		switch kind {
		case extVersions:
			return b.ReadUint16(&h.Selected) && b.Empty()
		case extALPN:
			list, ok := alpnNames(&b)
			if ok && len(list) == 1 {
				h.ALPN = list[0]
			}
			return ok
		}
		return true
	})
	if !ok {
		return nil, errHello
	}
	return h, nil
}

// retryRandom marks a HelloRetryRequest: the SHA-256 of "HelloRetryRequest" (RFC 8446 §4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// parseHelloV2 parses the body of a CLIENT-HELLO in the format of SSL 2.0 (RFC 5246 appendix E.2), from the version on.
// Three bytes name a cipher; those of SSL 3.0 and later start with 0.
func parseHelloV2(body []byte) (*ClientHello, error) {
	h := &ClientHello{v2: true}
	s := cryptobyte.String(body)
	var ciphers, session, challenge uint16
	var list []byte
	if !s.ReadUint16(&h.Version) || !s.ReadUint16(&ciphers) || !s.ReadUint16(&session) || !s.ReadUint16(&challenge) ||
		!s.ReadBytes(&list, int(ciphers)) || !s.Skip(int(session)+int(challenge)) || !s.Empty() ||
		ciphers == 0 || ciphers%3 != 0 || challenge < 16 || challenge > 32 || h.Version != 2 && h.Version>>8 != 3 {
		return nil, errHello
	}
	for i := 0; i < len(list); i += 3 {
		if list[i] == 0 {
			h.Ciphers = append(h.Ciphers, uint16(list[i+1])<<8|uint16(list[i+2]))
		}
	}
	return h, nil
}

func words(s cryptobyte.String) ([]uint16, bool) {
	list := make([]uint16, 0, len(s)/2)
	for !s.Empty() {
		var w uint16
		if !s.ReadUint16(&w) {
			return nil, false
		}
		list = append(list, w)
	}
	return list, true
}

func wordList(s *cryptobyte.String) ([]uint16, bool) {
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return nil, false
	}
	return words(list)
}

func alpnNames(s *cryptobyte.String) ([]string, bool) {
	var list, name cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return nil, false
	}
	var names []string
	for !list.Empty() {
		if !list.ReadUint8LengthPrefixed(&name) {
			return nil, false
		}
		names = append(names, string(name))
	}
	return names, s.Empty()
}

// isGREASE reports whether a value is one of those that mean nothing (RFC 8701).
func isGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }
