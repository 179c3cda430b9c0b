package appid

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// Version numbers: that of RFC 9369, and those with which Google's QUIC went over to the packets of the IETF's. Q050 still
// has Google's handshake in them, T050 and T051 have TLS.
const (
	quicVersion2 = 0x6b3343cf
	quicQ050     = 0x51303530
	quicT050     = 0x54303530
	quicT051     = 0x54303531
)

// maxConnID is the longest connection ID (RFC 9000 §17.2).
const maxConnID = 20

// quicSalt returns the salt that Initial packets of a version are protected with, in hexadecimal, "" for a version that
// is not known: RFC 9001 §5.2, RFC 9369 §3.3.1, the drafts of RFC 9001, 22 to 34, and Google's as in QUICHE.
func quicSalt(version uint32) string {
	switch draft := version &^ 0xff; {
	case version == 1:
		return "38762cf7f55934b34d179ae6a4c80cadccbb7f0a"
	case version == quicVersion2:
		return "0dede3def700a6db819381be6e269dcbf9bd2ed9"
	case version == quicQ050:
		return "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45"
	case version == quicT050:
		return "7ff579e5acd072915580304c43a2367c60488310"
	case version == quicT051:
		return "7a4edef4e7ccee5fa4506c19124fc8ccda6e033d"
	case draft != 0xff000000:
		return ""
	}
	switch draft := version & 0xff; {
	case draft == 22:
		return "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a"
	case draft >= 23 && draft <= 28:
		return "c3eef712c72ebb5a11a7d2432bb46365bef9f502"
	case draft >= 29 && draft <= 32:
		return "afbfec289993d24c9e9786f19c6111e04390a899"
	case draft == 33, draft == 34:
		return "38762cf7f55934b34d179ae6a4c80cadccbb7f0a"
	}
	return ""
}

// looksLikeQUIC reports whether a datagram starts with a long header of a known version.
func looksLikeQUIC(b []byte) bool {
	h, ok := parseLong(b)
	return ok && (h.kind == quicInitial || h.kind == quicRetry)
}

// Long header packets (RFC 9000 §17.2).
const (
	quicInitial = iota
	quicZeroRTT
	quicHandshake
	quicRetry
)

// longHeader is a QUIC packet with a long header.
type longHeader struct {
	version  uint32
	kind     int
	dst, src []byte
	payload  []byte // from the packet number on, of packets that have a length
	numberAt int    // where the packet number starts
	packet   []byte // the whole of it
	rest     []byte // the datagram behind it
}

// parseLong parses a packet at the start of b whose version is known.
func parseLong(b []byte) (h longHeader, ok bool) {
	s := cryptobyte.String(b)
	var first uint8
	var dst, src cryptobyte.String
	if !s.ReadUint8(&first) || first&0xc0 != 0xc0 || !s.ReadUint32(&h.version) || quicSalt(h.version) == "" ||
		!s.ReadUint8LengthPrefixed(&dst) || !s.ReadUint8LengthPrefixed(&src) || len(dst) > maxConnID || len(src) > maxConnID {
		return h, false
	}
	h.dst, h.src = dst, src
	h.kind = int(first >> 4 & 3)
	if h.version == quicVersion2 { // RFC 9369 §3.2
		h.kind = (h.kind + 3) & 3
	}
	if h.kind == quicRetry {
		return h, len(s) > 16 // it has an integrity tag, and takes the rest of the datagram
	}
	if h.kind == quicInitial {
		n, ok := varint(&s)
		if !ok || !s.Skip(n) {
			return h, false
		}
	}
	n, ok := varint(&s)
	if !ok || n > len(s) {
		return h, false
	}
	h.numberAt = len(b) - len(s)
	h.payload, h.rest = s[:n], s[n:]
	h.packet = b[:h.numberAt+n]
	return h, true
}

// varint reads a variable-length integer (RFC 9000 §16), not ok when it is more than any datagram or offset here holds.
func varint(s *cryptobyte.String) (int, bool) {
	if s.Empty() {
		return 0, false
	}
	n := 1 << ((*s)[0] >> 6)
	var b []byte
	if !s.ReadBytes(&b, n) {
		return 0, false
	}
	v := uint64(b[0] & 0x3f)
	for _, c := range b[1:] {
		v = v<<8 | uint64(c)
	}
	return int(v), v < 1<<31
}

// quicKeys open the Initial packets of one side.
type quicKeys struct {
	aead   cipher.AEAD
	iv     []byte
	header cipher.Block
}

// initialKeys derives the keys of both sides from the connection ID that the client chose for the server (RFC 9001 §5.2).
func initialKeys(version uint32, id []byte) (keys [2]quicKeys, err error) {
	salt, err := hex.DecodeString(quicSalt(version))
	if err != nil || len(salt) == 0 {
		return keys, errQUIC
	}
	secret, err := hkdf.Extract(sha256.New, id, salt)
	if err != nil {
		return keys, err
	}
	prefix := "quic "
	if version == quicVersion2 {
		prefix = "quicv2 "
	}
	for i, label := range [2]string{"client in", "server in"} {
		own, err := expandLabel(secret, label, sha256.Size)
		if err != nil {
			return keys, err
		}
		key, err1 := expandLabel(own, prefix+"key", 16)
		iv, err2 := expandLabel(own, prefix+"iv", 12)
		hp, err3 := expandLabel(own, prefix+"hp", 16)
		block, err4 := aes.NewCipher(key)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return keys, err
		}
		aead, err5 := cipher.NewGCM(block)
		header, err6 := aes.NewCipher(hp)
		if err := errors.Join(err5, err6); err != nil {
			return keys, err
		}
		keys[i] = quicKeys{aead: aead, iv: iv, header: header}
	}
	return keys, nil
}

var errQUIC = errors.New("no Initial packet")

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
func expandLabel(secret []byte, label string, n int) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(uint16(n))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("tls13 " + label)) })
	b.AddUint8(0)
	info, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return hkdf.Expand(sha256.New, secret, string(info), n)
}

// open removes header and payload protection of an Initial packet (RFC 9001 §5.4) and returns its frames.
func (k *quicKeys) open(h *longHeader) ([]byte, error) {
	const sample = 16
	if len(h.payload) < 4+sample {
		return nil, errQUIC
	}
	var mask [aes.BlockSize]byte
	k.header.Encrypt(mask[:], h.payload[4:4+sample])
	first := h.packet[0] ^ mask[0]&0x0f
	n := int(first&3) + 1
	// The header is part of what is authenticated, as it was before it was protected.
	header := append([]byte(nil), h.packet[:h.numberAt+n]...)
	header[0] = first
	var number uint32
	for i := range n {
		header[h.numberAt+i] ^= mask[1+i]
		number = number<<8 | uint32(header[h.numberAt+i])
	}
	nonce := append([]byte(nil), k.iv...)
	var full [4]byte
	binary.BigEndian.PutUint32(full[:], number) // the first packets have small numbers, which are whole
	for i, c := range full {
		nonce[len(nonce)-4+i] ^= c
	}
	return k.aead.Open(nil, nonce, h.payload[n:], header)
}

// quicSide puts the CRYPTO stream of one side together, as far as the first message.
type quicSide struct {
	data []byte
	have []span
	done bool
}

// quicReader reads the hellos out of the Initial packets of a connection.
type quicReader struct {
	version uint32
	keys    [2]quicKeys
	known   bool // there are keys
	sides   [2]quicSide
	tries   int // connection IDs that keys were made for
}

// maxQUICKeys is how many connection IDs of a flow keys are made for: one, another after a Retry, and some for luck.
const maxQUICKeys = 4

// feed takes a datagram of a side, 0 for the client, and calls each with the first handshake message of that side once it
// is whole. It reports whether the datagram was of QUIC.
func (r *quicReader) feed(side int, b []byte, limit int, each func(version uint32, kind uint8, body []byte)) bool {
	seen := false
	for len(b) > 0 {
		h, ok := parseLong(b)
		if !ok {
			break
		}
		seen = true
		b = h.rest
		if h.kind != quicInitial || side != 0 && r.sides[side].done {
			continue
		}
		frames, ok := r.open(side, &h)
		if !ok || r.sides[side].done || !r.crypto(side, frames, limit) {
			continue
		}
		s := &r.sides[side]
		if kind, body, ok := s.message(h.version); ok {
			s.done = true
			each(h.version, kind, body)
			s.data, s.have = nil, nil
		}
	}
	return seen
}

// open decrypts an Initial packet with the keys of the connection, or, if it is a client's, with those of its own
// connection ID: the first of all, or the first after a Retry or a change of version.
func (r *quicReader) open(side int, h *longHeader) ([]byte, bool) {
	if r.known && r.version == h.version {
		if frames, err := r.keys[side].open(h); err == nil {
			return frames, true
		}
	}
	if side != 0 || r.tries >= maxQUICKeys {
		return nil, false
	}
	r.tries++
	keys, err := initialKeys(h.version, h.dst)
	if err != nil {
		return nil, false
	}
	frames, err := keys[0].open(h)
	if err != nil {
		return nil, false
	}
	r.keys, r.version, r.known = keys, h.version, true
	r.sides = [2]quicSide{}
	return frames, true
}

// crypto takes the CRYPTO frames of an Initial packet (RFC 9000 §12.4). It reports false when the frames make no sense.
func (r *quicReader) crypto(side int, frames []byte, limit int) bool {
	q := &r.sides[side]
	s := cryptobyte.String(frames)
	for !s.Empty() {
		var kind uint8
		s.ReadUint8(&kind)
		switch kind {
		case 0, 1: // PADDING, PING
		case 2, 3: // ACK
			if !skipACK(&s, kind == 3) {
				return false
			}
		case 6, 8: // CRYPTO, in Q050 the latter
			if (kind == 8) != (r.version == quicQ050) {
				return true
			}
			at, ok1 := varint(&s)
			n, ok2 := varint(&s)
			var b []byte
			if !ok1 || !ok2 || !s.ReadBytes(&b, n) {
				return false
			}
			if at+n > limit+4 {
				continue
			}
			if grow := at + n - len(q.data); grow > 0 {
				q.data = append(q.data, make([]byte, grow)...)
			}
			q.have = fill(q.have, q.data, at, b)
		default: // CONNECTION_CLOSE, or not allowed here
			return true
		}
	}
	return true
}

func skipACK(s *cryptobyte.String, ecn bool) bool {
	_, ok1 := varint(s) // largest
	_, ok2 := varint(s) // delay
	ranges, ok3 := varint(s)
	_, ok4 := varint(s) // first range
	n := 2 * ranges
	if ecn {
		n += 3
	}
	if !ok1 || !ok2 || !ok3 || !ok4 || n > len(*s) {
		return false
	}
	for range n {
		if _, ok := varint(s); !ok {
			return false
		}
	}
	return true
}

// message returns the first handshake message of a side, if it is whole. That of Q050 is a table of tags, of no kind.
func (q *quicSide) message(version uint32) (kind uint8, body []byte, ok bool) {
	if len(q.have) == 0 || q.have[0].from != 0 || q.have[0].to < 4 {
		return 0, nil, false
	}
	if version == quicQ050 {
		body = q.data[:q.have[0].to]
		_, ok = parseCHLO(body)
		return 0, body, ok
	}
	end := 4 + int24(q.data[1:])
	if q.have[0].to < end {
		return 0, nil, false
	}
	return q.data[0], q.data[4:end], true
}
