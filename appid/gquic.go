package appid

import (
	"bytes"
	"encoding/binary"
)

// gquic is what a client of Google's QUIC says first: in the clear from Q024 to Q046, in an Initial packet in Q050.
type gquic struct {
	version           uint32
	name, agent, alpn string
}

// parseGQUIC reads the CHLO of a datagram (QUIC Crypto, revision of 2016): a table of tags behind the header of a packet
// that names a version, as the first of a connection does.
func parseGQUIC(b []byte) (g gquic, ok bool) {
	switch {
	case len(b) < 30:
		return g, false
	case b[0]&0x80 != 0: // Q046: a long header
		g.version = be32(b[1:])
	case b[0]&0x09 == 0x09: // a version and eight bytes of connection ID
		g.version = be32(b[9:])
	default:
		return g, false
	}
	if v := [4]byte{byte(g.version >> 24), byte(g.version >> 16), byte(g.version >> 8), byte(g.version)}; v[0] != 'Q' || !digits(v[1:]) {
		return g, false
	}
	const maxHeader = 64 // header, hash or nonce, and frame: their lengths depend on the version
	at := bytes.Index(b[:min(len(b), maxHeader)], []byte("CHLO"))
	if at < 0 {
		return g, false
	}
	version := g.version
	g, ok = parseCHLO(b[at:])
	g.version = version
	return g, ok
}

// parseCHLO reads a client's message of Google's handshake: a tag, a table of tags with where their values end, and the
// values. It is not ok before all of it is there.
func parseCHLO(m []byte) (g gquic, ok bool) {
	const header = 8 // CHLO, the number of tags, and two bytes of padding
	if len(m) < header || string(m[:4]) != "CHLO" {
		return g, false
	}
	n := int(binary.LittleEndian.Uint16(m[4:]))
	m = m[header:]
	if n == 0 || n > 128 || len(m) < 8*n {
		return g, false
	}
	table, values := m[:8*n], m[8*n:]
	from := 0
	for ; len(table) > 0; table = table[8:] {
		to := int(binary.LittleEndian.Uint32(table[4:]))
		if to < from || to > len(values) {
			return g, false
		}
		switch value := values[from:to]; string(table[:4]) {
		case "SNI\x00":
			g.name = hostName(value)
		case "UAID":
			g.agent = string(value)
		case "ALPN":
			g.alpn = string(value)
		}
		from = to
	}
	return g, true
}
