package appid

import (
	"encoding/binary"
	"slices"
)

// dtlsReader puts the handshake messages of one direction of DTLS together (RFC 6347 §4.2, RFC 9147 §5).
type dtlsReader struct {
	parts [4]dtlsMessage // those that are not whole
	next  int            // the one that makes room
}

// dtlsMessage is a message of which fragments have come.
type dtlsMessage struct {
	body  []byte
	have  []span // sorted, apart from each other
	seq   uint16
	kind  uint8
	inUse bool
}

type span struct{ from, to int }

// looksLikeDTLS reports whether a datagram starts with a handshake record in the clear.
func looksLikeDTLS(b []byte) bool {
	if len(b) < 13+12 || b[0] != recordHandshake || b[1] != 0xfe && (b[1] != 1 || b[2] != 0) || b[3] != 0 || b[4] != 0 {
		return false
	}
	size := int(binary.BigEndian.Uint16(b[11:]))
	fragment, total := int24(b[13+9:]), int24(b[13+1:])
	return size >= 12 && fragment <= total && 12+fragment <= size
}

func int24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

// feed takes a datagram and calls each with every message that is whole.
func (r *dtlsReader) feed(b []byte, limit int, each func(kind uint8, body []byte)) {
	for len(b) >= 13 && b[1] == 0xfe || len(b) >= 13 && b[1] == 1 {
		size := int(binary.BigEndian.Uint16(b[11:]))
		if 13+size > len(b) {
			return
		}
		if b[0] == recordHandshake && b[3] == 0 && b[4] == 0 { // epoch 0: in the clear
			r.fragments(b[13:13+size], limit, each)
		}
		b = b[13+size:]
	}
}

func (r *dtlsReader) fragments(b []byte, limit int, each func(uint8, []byte)) {
	for len(b) >= 12 {
		total, from, n := int24(b[1:]), int24(b[6:]), int24(b[9:])
		if 12+n > len(b) || from+n > total {
			return
		}
		if total <= limit {
			r.fragment(b[0], binary.BigEndian.Uint16(b[4:]), total, from, b[12:12+n], each)
		}
		b = b[12+n:]
	}
}

func (r *dtlsReader) fragment(kind uint8, seq uint16, total, from int, b []byte, each func(uint8, []byte)) {
	if from == 0 && len(b) == total {
		each(kind, b)
		return
	}
	i := slices.IndexFunc(r.parts[:], func(m dtlsMessage) bool {
		return m.inUse && m.seq == seq && m.kind == kind && len(m.body) == total
	})
	if i < 0 {
		i = r.next
		r.next = (r.next + 1) % len(r.parts)
		r.parts[i] = dtlsMessage{body: make([]byte, total), seq: seq, kind: kind, inUse: true}
	}
	m := &r.parts[i]
	m.have = fill(m.have, m.body, from, b)
	if len(m.have) == 1 && m.have[0] == (span{0, total}) {
		m.inUse = false
		each(kind, m.body)
	}
}

// fill copies b to its place in whole, where nothing came before, and returns what is there then.
func fill(have []span, whole []byte, from int, b []byte) []span {
	to := from + len(b)
	at := from
	for _, h := range have {
		if h.from > at && at < to {
			copy(whole[at:min(h.from, to)], b[at-from:])
		}
		at = max(at, h.to)
	}
	if at < to {
		copy(whole[at:to], b[at-from:])
	}
	have = append(have, span{from, to})
	slices.SortFunc(have, func(a, b span) int { return a.from - b.from })
	merged := have[:1]
	for _, h := range have[1:] {
		if last := &merged[len(merged)-1]; h.from <= last.to {
			last.to = max(last.to, h.to)
		} else {
			merged = append(merged, h)
		}
	}
	return merged
}
