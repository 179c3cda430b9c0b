package appid

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
)

// Handshake messages (RFC 8446 §4).
const (
	msgClientHello = 1
	msgServerHello = 2
	msgCertificate = 11
)

// maxRecord is the longest record that an unencrypted handshake may come in (RFC 8446 §5.1).
const maxRecord = 1 << 14

// findTLS returns where in b a handshake message in the clear may start: a ClientHello, or a ServerHello if client is
// false, at the start of a record. What is shorter than tlsSign is not looked at. -1 means nowhere.
func findTLS(b []byte, from int, client bool) int {
	kind := byte(msgServerHello)
	if client {
		kind = msgClientHello
	}
	for i := from; i+tlsSign <= len(b); i++ {
		n := bytes.IndexByte(b[i:len(b)-tlsSign+1], recordHandshake)
		if n < 0 {
			return -1
		}
		i += n
		h := b[i:]
		if size := int(h[3])<<8 | int(h[4]); h[1] == 3 && h[2] <= 4 && size > 0 && size <= maxRecord && h[5] == kind &&
			(size < 4 || h[6] == 0 && (size < 6 || h[9] == 3 || h[9] == 0x7f)) {
			return i
		}
	}
	return -1
}

// tlsSign is how many bytes findTLS looks at: a record's header, a message's header, and the version's first byte.
const tlsSign = 10

// isHelloV2 reports whether b starts with an SSL 2.0 hello; more tells that it takes more bytes to say.
func isHelloV2(b []byte) (yes, more bool) {
	if b[0]&0x80 == 0 {
		return false, false
	}
	if len(b) < 5 {
		return false, len(b) < 3 || b[2] == msgClientHello
	}
	n := int(b[0]&0x7f)<<8 | int(b[1])
	return b[2] == msgClientHello && (b[3] == 3 && b[4] <= 3 || b[3] == 0 && b[4] == 2) && n >= 9+3+16, false
}

// recordReader takes the handshake messages in the clear out of one direction of TLS, over any number of records and
// pieces.
type recordReader struct {
	header  []byte // of the record that comes, as far as it is here
	left    int    // bytes of the current record that are still to come
	kind    uint8  // its type
	message []byte // the message that comes, with its header, as far as it is here
	skip    int    // bytes to come of a message that is too long
	ciphers bool   // the cipher was changed: what follows is encrypted, but for the hello after a retry
	ended   bool
}

// Record types (RFC 8446 §5.1).
const (
	recordCipher    = 20
	recordAlert     = 21
	recordHandshake = 22
	recordV2        = 0xff // a hello of SSL 2.0, which is in no record
)

// feed takes the next bytes and calls each with every message that is whole: its type and its body, borrowed. limit is
// the longest message that is kept.
func (r *recordReader) feed(b []byte, limit int, each func(kind uint8, body []byte)) {
	for len(b) > 0 && !r.ended {
		if r.left == 0 {
			n := min(5-len(r.header), len(b))
			r.header = append(r.header, b[:n]...)
			b = b[n:]
			if len(r.header) == 5 {
				r.begin()
			}
			continue
		}
		n := min(r.left, len(b))
		r.left -= n
		switch r.kind {
		case recordHandshake:
			r.messages(b[:n], limit, each)
		case recordV2:
			r.message = append(r.message, b[:n]...)
			if r.ended = r.left == 0; r.ended {
				each(helloV2, r.message)
			}
		}
		b = b[n:]
	}
}

// begin looks at the header of a record.
func (r *recordReader) begin() {
	h := r.header
	r.header = nil
	if r.kind == 0 && h[0]&0x80 != 0 && h[2] == msgClientHello {
		r.kind = recordV2
		r.left = int(h[0]&0x7f)<<8 | int(h[1]) - 3
		r.message = append(r.message, h[3:]...)
		return
	}
	r.kind, r.left = h[0], int(h[3])<<8|int(h[4])
	switch {
	case h[1] != 3 || r.left > maxRecord || r.left == 0:
		r.ended = true
	case r.kind == recordCipher:
		r.ciphers = true
	case r.kind != recordHandshake && r.kind != recordAlert:
		r.ended = true
	}
}

func (r *recordReader) messages(b []byte, limit int, each func(uint8, []byte)) {
	for len(b) > 0 && !r.ended {
		if r.skip > 0 {
			n := min(r.skip, len(b))
			r.skip -= n
			b = b[n:]
			continue
		}
		if len(r.message) == 0 && r.ciphers && b[0] != msgClientHello && b[0] != msgServerHello {
			r.ended = true
			return
		}
		n := min(max(4-len(r.message), 0), len(b))
		r.message = append(r.message, b[:n]...)
		b = b[n:]
		if len(r.message) < 4 {
			return
		}
		size := int24(r.message[1:])
		if size > limit {
			r.skip, r.message = size, r.message[:0]
			continue
		}
		n = min(4+size-len(r.message), len(b))
		r.message = append(r.message, b[:n]...)
		b = b[n:]
		if len(r.message) == 4+size {
			each(r.message[0], r.message[4:])
			r.message = r.message[:0]
		}
	}
}

// helloV2 is the message type under which an SSL 2.0 hello is passed on.
const helloV2 = 0xff

// certificates returns the certificates of a TLS 1.2 Certificate message, DER each (RFC 5246 §7.4.2).
func certificates(body []byte) [][]byte {
	s := cryptobyte.String(body)
	var list, der cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&list) || !s.Empty() {
		return nil
	}
	var all [][]byte
	for !list.Empty() {
		if !list.ReadUint24LengthPrefixed(&der) {
			return nil
		}
		all = append(all, der)
	}
	return all
}
