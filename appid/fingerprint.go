package appid

import (
	"crypto/md5" //nolint:gosec // JA3 and HASSH are defined by it
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Transport is what a hello came over, as JA4 writes it.
type Transport byte

// The transports.
const (
	TCP  Transport = 't'
	QUIC Transport = 'q'
	DTLS Transport = 'd'
)

// JA3Text returns the fields that [ClientHello.JA3] hashes: version, ciphers, extensions, groups and point formats in
// decimal, GREASE left out (Salesforce's JA3).
func (h *ClientHello) JA3Text() string {
	points := make([]uint16, len(h.PointFormats))
	for i, p := range h.PointFormats {
		points[i] = uint16(p)
	}
	return strings.Join([]string{
		strconv.Itoa(int(h.Version)), decimals(h.Ciphers), decimals(h.Extensions), decimals(h.Groups), decimals(points),
	}, ",")
}

// JA3 returns the MD5 of JA3Text in hexadecimal.
func (h *ClientHello) JA3() string { return md5Hex(h.JA3Text()) }

// JA3SText returns the fields that [ServerHello.JA3S] hashes: version, cipher and extensions in decimal.
func (h *ServerHello) JA3SText() string {
	return fmt.Sprintf("%d,%d,%s", h.Version, h.Cipher, decimals(h.Extensions))
}

// JA3S returns the MD5 of JA3SText in hexadecimal.
func (h *ServerHello) JA3S() string { return md5Hex(h.JA3SText()) }

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // see import
	return hex.EncodeToString(sum[:])
}

func decimals(list []uint16) string {
	var b []byte
	for _, v := range list {
		if isGREASE(v) {
			continue
		}
		if len(b) > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return string(b)
}

// JA4 returns FoxIO's JA4 fingerprint of a hello that came over t (JA4 technical details, version of 2024; BSD licence).
func (h *ClientHello) JA4(t Transport) string {
	ciphers, kinds := withoutGREASE(h.Ciphers), withoutGREASE(h.Extensions)
	name := byte('i')
	if slices.Contains(kinds, extServerName) {
		name = 'd'
	}
	first := fmt.Sprintf("%c%s%c%02d%02d%s", t, h.ja4Version(), name, min(len(ciphers), 99), min(len(kinds), 99), h.ja4ALPN())
	kinds = slices.DeleteFunc(kinds, func(v uint16) bool { return v == extServerName || v == extALPN })
	slices.Sort(ciphers)
	slices.Sort(kinds)
	third := hexes(kinds)
	if sigs := hexes(withoutGREASE(h.Signatures)); sigs != "" {
		third += "_" + sigs
	}
	return first + "_" + sha12(hexes(ciphers), len(ciphers)) + "_" + sha12(third, len(kinds))
}

// sha12 returns the start of the SHA-256 of s in hexadecimal, zeros if it is one of n = 0 values.
func sha12(s string, n int) string {
	if n == 0 {
		return "000000000000"
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:6])
}

func hexes(list []uint16) string {
	b := make([]byte, 0, 5*len(list))
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = hex.AppendEncode(b, []byte{byte(v >> 8), byte(v)})
	}
	return string(b)
}

func withoutGREASE(list []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), isGREASE)
}

// ja4Version names the highest version on offer.
func (h *ClientHello) ja4Version() string {
	v := h.Version
	if offers := withoutGREASE(h.Versions); len(offers) > 0 {
		v = slices.Max(offers)
		if v >= 0xfe00 { // DTLS counts downwards
			v = slices.Min(slices.DeleteFunc(offers, func(o uint16) bool { return o < 0xfe00 }))
		}
	}
	switch v {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	case 0x0300:
		return "s3"
	case 0x0002:
		return "s2"
	case 0xfeff:
		return "d1"
	case 0xfefd:
		return "d2"
	case 0xfefc:
		return "d3"
	}
	return "00"
}

// ja4ALPN returns the first and the last character of the first protocol, in hexadecimal where they are neither letters
// nor digits.
func (h *ClientHello) ja4ALPN() string {
	if len(h.ALPN) == 0 || h.ALPN[0] == "" {
		return "00"
	}
	p := h.ALPN[0]
	first, last := p[0], p[len(p)-1]
	if alphanumeric(first) && alphanumeric(last) {
		return string([]byte{first, last})
	}
	text := hex.EncodeToString([]byte(p))
	return text[:1] + text[len(text)-1:]
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
