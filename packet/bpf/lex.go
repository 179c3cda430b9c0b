package bpf

import (
	"fmt"
	"net/netip"
	"strings"
)

// token is a kind of token. Operators of one character are their character; words stand for themselves.
type token int

const (
	tokenEnd    token = iota
	tokenNumber token = 256 + iota
	tokenWord         // a keyword: see keyword
	tokenName         // an identifier, or one behind a backslash
	tokenIPv4         // two to four numbers with dots
	tokenIPv6
	tokenMAC
	tokenGE
	tokenLE
	tokenNE
	tokenLeft
	tokenRight
	tokenAnd
	tokenOr
)

// lexer cuts an expression into tokens, the longest first, as the scanner of libpcap does: "5-3" is a name, "5 - 3" is
// arithmetic.
type lexer struct {
	src    string
	at     int // start of the current token
	next   int // end of the current token
	token  token
	text   string
	number uint32
	addr   netip.Addr
	mac    [6]byte
}

func (l *lexer) errorf(format string, a ...any) error {
	return &Error{l.at, fmt.Errorf(format, a...)}
}

// shown is the current token for messages.
func (l *lexer) shown() string {
	if l.token == tokenEnd {
		return "end of expression"
	}
	if len(l.text) > 40 {
		return fmt.Sprintf("%q...", l.text[:40])
	}
	return fmt.Sprintf("%q", l.text)
}

// advance reads the next token.
func (l *lexer) advance() error {
	l.at = l.next
	for l.at < len(l.src) && strings.IndexByte(" \r\n\t", l.src[l.at]) >= 0 {
		l.at++
	}
	l.next = l.at
	rest := l.src[l.at:]
	if rest == "" {
		l.token, l.text = tokenEnd, ""
		return nil
	}
	if isAlnum(rest[0]) || strings.HasPrefix(rest, "::") {
		return l.word(rest)
	}
	if rest[0] == '\\' {
		n := strings.IndexAny(rest, " !()\n\t")
		if n < 0 {
			n = len(rest)
		}
		if n > 1 {
			l.take(tokenName, n)
			l.text = l.text[1:]
			return nil
		}
	}
	if len(rest) > 1 {
		if t := double(rest[:2]); t != tokenEnd {
			l.take(t, 2)
			return nil
		}
	}
	if strings.IndexByte("+-*/%:[]!<>()&|^=", rest[0]) < 0 {
		l.take(tokenName, 1)
		return l.errorf("unexpected character %q", rest[0])
	}
	l.take(token(rest[0]), 1)
	return nil
}

func double(s string) token {
	switch s {
	case "&&":
		return tokenAnd
	case "||":
		return tokenOr
	case ">=":
		return tokenGE
	case "<=":
		return tokenLE
	case "!=":
		return tokenNE
	case "==":
		return '='
	case "<<":
		return tokenLeft
	case ">>":
		return tokenRight
	}
	return tokenEnd
}

func (l *lexer) take(t token, n int) {
	l.token, l.text, l.next = t, l.src[l.at:l.at+n], l.at+n
}

// word reads what starts with a letter, a digit or two colons.
func (l *lexer) word(rest string) error {
	name := identifier(rest)
	number := numberLength(rest)
	dotted := dottedLength(rest)
	mac := macLength(rest)
	v6 := ipv6Length(rest)
	longest := max(name, number, dotted, mac, v6)
	switch longest {
	case mac:
		l.take(tokenMAC, mac)
		l.mac = parseMAC(l.text)
	case number:
		l.take(tokenNumber, number)
		return l.parseNumber()
	case dotted:
		l.take(tokenIPv4, dotted)
	case v6:
		l.take(tokenIPv6, v6)
		addr, err := netip.ParseAddr(l.text)
		if err != nil {
			return l.errorf("%q is no IPv6 address", l.text)
		}
		l.addr = addr
	default:
		l.take(tokenName, name)
		return l.keyword()
	}
	return nil
}

func (l *lexer) keyword() error {
	switch l.text {
	case "and":
		l.token = tokenAnd
	case "or":
		l.token = tokenOr
	case "not":
		l.token = '!'
	default:
		if n, ok := namedNumber(l.text); ok {
			l.token, l.number = tokenNumber, n
		} else if isKeyword(l.text) {
			l.token = tokenWord
		}
	}
	return nil
}

// parseNumber reads a number as C does: 0x is hexadecimal, a leading 0 octal.
func (l *lexer) parseNumber() error {
	digits, base := l.text, uint64(10)
	if len(digits) > 1 && digits[0] == '0' {
		digits, base = digits[1:], 8
		if digits[0] == 'x' || digits[0] == 'X' {
			digits, base = digits[1:], 16
		}
	}
	n := uint64(0)
	for i := range len(digits) {
		d := uint64(hexValue(digits[i]))
		if d >= base {
			return l.errorf("%q is no octal number", l.text)
		}
		if n = n*base + d; n > 1<<32-1 {
			return l.errorf("number %s is larger than 32 bits", l.text)
		}
	}
	l.number = uint32(n)
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
func isAlnum(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

func hexValue(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// identifier returns the length of the name s starts with: letters, digits and "-_.", the last no "-" or "_".
func identifier(s string) int {
	n, end := 0, 0
	for n < len(s) && (isAlnum(s[n]) || n > 0 && strings.IndexByte("-_.", s[n]) >= 0) {
		if n++; isAlnum(s[n-1]) || s[n-1] == '.' {
			end = n
		}
	}
	return end
}

func numberLength(s string) int {
	n := 0
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' && isHex(s[2]) {
		for n = 3; n < len(s) && isHex(s[n]); n++ {
		}
		return n
	}
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// dottedLength returns the length of the two to four numbers with dots between that s starts with, or 0.
func dottedLength(s string) int {
	end := 0
	for i, at := 0, 0; i < 4; i++ {
		n := numberLength(s[at:])
		if n == 0 {
			break
		}
		if at += n; i > 0 {
			end = at
		}
		if at >= len(s) || s[at] != '.' {
			break
		}
		at++
	}
	return end
}

func hexLength(s string, most int) int {
	n := 0
	for n < len(s) && n < most && isHex(s[n]) {
		n++
	}
	return n
}

// macLength returns the length of the Ethernet address s starts with, or 0: six bytes with colons, dashes or dots, three
// groups of four digits with dots, or twelve digits.
func macLength(s string) int {
	for _, separator := range [3]byte{':', '-', '.'} {
		at := 0
		for i := range 6 {
			n := hexLength(s[at:], 2)
			if n == 0 {
				break
			}
			if at += n; i == 5 {
				return at
			}
			if at >= len(s) || s[at] != separator {
				break
			}
			at++
		}
	}
	if len(s) >= 14 && hexLength(s, 4) == 4 && s[4] == '.' && hexLength(s[5:], 4) == 4 && s[9] == '.' && hexLength(s[10:], 4) == 4 {
		return 14
	}
	if hexLength(s, 12) == 12 {
		return 12
	}
	return 0
}

func parseMAC(s string) (mac [6]byte) {
	if len(s) == 12 && hexLength(s, 12) == 12 || len(s) == 14 && s[4] == '.' && s[9] == '.' {
		s = strings.ReplaceAll(s, ".", "")
		for i := range mac {
			mac[i] = hexValue(s[2*i])<<4 | hexValue(s[2*i+1])
		}
		return mac
	}
	i := 0
	for at := range len(s) {
		if isHex(s[at]) {
			mac[i] = mac[i]<<4 | hexValue(s[at])
		} else {
			i++
		}
	}
	return mac
}

// ipv6Length returns the length of the longest IPv6 address s starts with, or 0.
func ipv6Length(s string) int {
	n := 0
	for n < len(s) && n < 64 && (isHex(s[n]) || s[n] == ':' || s[n] == '.') {
		n++
	}
	for ; n > 1; n-- {
		if strings.IndexByte(s[:n], ':') < 0 {
			return 0
		}
		if _, err := netip.ParseAddr(s[:n]); err == nil {
			return n
		}
	}
	return 0
}
