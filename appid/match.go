package appid

import (
	"bytes"
	"encoding/binary"
)

// verdict is what a signature says of the bytes so far.
type verdict uint8

const (
	no    verdict = iota // it is not this protocol, whatever comes
	waits                // nothing that the client says matters; the server has said nothing yet
	more                 // it takes more bytes to say
	yes
)

// sample is what a signature looks at.
type sample struct {
	client, server []byte // streams: what each side sent first, as far as it is kept
	data           []byte // datagrams: the one at hand
	fromClient     bool   // and who sent it
	flow           *State
	rtp            *rtpState
}

// onPort reports whether one of the sides has one of these ports.
func (s *sample) onPort(ports ...uint16) bool {
	for _, p := range ports {
		if s.flow.Client.Port() == p || s.flow.Server.Port() == p {
			return true
		}
	}
	return false
}

// signature tells a protocol by its first bytes.
type signature func(s *sample) verdict

// starts compares the start of b with text.
func starts(b []byte, text string) verdict {
	n := min(len(b), len(text))
	switch {
	case string(b[:n]) != text[:n]:
		return no
	case n < len(text):
		return more
	}
	return yes
}

// startsFold is starts for text in capitals, with letters of either case.
func startsFold(b []byte, text string) verdict {
	n := min(len(b), len(text))
	for i, c := range b[:n] {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != text[i] {
			return no
		}
	}
	if n < len(text) {
		return more
	}
	return yes
}

// answer is a verdict on what the server says.
func (s *sample) answer(v verdict) verdict {
	if len(s.server) == 0 {
		return waits
	}
	return v
}

// clientText is a signature: the client starts with one of these texts.
func clientText(texts ...string) signature {
	return func(s *sample) verdict { return anyText(s.client, texts) }
}

// serverText is a signature: the server starts with one of these texts.
func serverText(texts ...string) signature {
	return func(s *sample) verdict { return s.answer(anyText(s.server, texts)) }
}

// eitherText is a signature: one of the sides starts with one of these texts.
func eitherText(texts ...string) signature {
	return func(s *sample) verdict { return max(anyText(s.client, texts), s.answer(anyText(s.server, texts))) }
}

// bothText is a signature: the client starts with one of these commands, in capitals here, and the server's greeting,
// where there is one, with one of those.
func bothText(commands, greetings []string) signature {
	return func(s *sample) verdict {
		v := no
		for _, t := range commands {
			v = max(v, startsFold(s.client, t))
		}
		if g := anyText(s.server, greetings); len(s.server) > 0 && v == yes {
			return g
		}
		return v
	}
}

// dataText is a signature: the datagram starts with one of these texts.
func dataText(texts ...string) signature {
	return func(s *sample) verdict { return whole(anyText(s.data, texts)) }
}

func anyText(b []byte, texts []string) verdict {
	v := no
	for _, t := range texts {
		v = max(v, starts(b, t))
	}
	return v
}

// whole is a verdict on a datagram: there is no more to come.
func whole(v verdict) verdict {
	if v == more {
		return no
	}
	return v
}

// fixed returns a signature of the client's first n bytes, which ok judges.
func fixed(n int, ok func(b []byte, s *sample) bool) signature {
	return func(s *sample) verdict { return judged(s.client, n, ok, s) }
}

// led is a signature of clients that start with a certain byte: for all others it need not be asked.
func led(first byte, of signature) signature {
	return func(s *sample) verdict {
		if len(s.client) > 0 && s.client[0] != first {
			return no
		}
		return of(s)
	}
}

func judged(b []byte, n int, ok func([]byte, *sample) bool, s *sample) verdict {
	switch {
	case len(b) < n:
		return more
	case ok(b, s):
		return yes
	}
	return no
}

// packetOf returns a signature of a datagram of at least n bytes, which ok judges.
func packetOf(n int, ok func(b []byte, s *sample) bool) signature {
	return func(s *sample) verdict {
		if len(s.data) >= n && ok(s.data, s) {
			return yes
		}
		return no
	}
}

// line returns the first line of b, without its end, and whether it is there.
func line(b []byte) ([]byte, bool) {
	first, _, ok := bytes.Cut(b, []byte{'\n'})
	if !ok {
		return nil, false
	}
	return bytes.TrimSuffix(first, []byte{'\r'}), true
}

// startLine is a signature of either side: its first line starts or ends with a version, as in RTSP and SIP.
func startLine(version string, of func(*sample) []byte) signature {
	return func(s *sample) verdict {
		b := of(s)
		if len(b) == 0 {
			return more
		}
		l, ok := line(b)
		switch {
		case !ok && len(b) < 1024 && b[0] >= 'A' && b[0] <= 'Z':
			return more
		case ok && (bytes.HasPrefix(l, []byte(version+" ")) || bytes.HasSuffix(l, []byte(" "+version))):
			return yes
		}
		return no
	}
}

func clientBytes(s *sample) []byte { return s.client }

func dataBytes(s *sample) []byte { return s.data }

// ber reads the length of the BER element at the start of b, and where its contents start.
func ber(b []byte) (contents, length int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	if b[1] < 0x80 {
		return 2, int(b[1]), true
	}
	n := int(b[1] & 0x7f)
	if n == 0 || n > 4 || len(b) < 2+n {
		return 0, 0, false
	}
	for _, c := range b[2 : 2+n] {
		length = length<<8 | int(c)
	}
	return 2 + n, length, true
}

func be16(b []byte) int { return int(binary.BigEndian.Uint16(b)) }

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
