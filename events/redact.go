package events

import (
	"regexp"
	"strings"
)

// Redacted stands in the place of what is kept secret.
const Redacted = "[redacted]"

// Redact returns the value of a header field, without what should not be shown: credentials in Authorization and
// Proxy-Authorization, but for their scheme, and cookies, but for their names and attributes. Other fields are left as
// they are.
func Redact(name, value string) string {
	switch len(name) {
	case len("authorization"), len("proxy-authorization"):
		if strings.EqualFold(name, "authorization") || strings.EqualFold(name, "proxy-authorization") {
			return redactCredentials(value)
		}
	case len("cookie"):
		if strings.EqualFold(name, "cookie") {
			return redactPairs(value, nil)
		}
	case len("set-cookie"):
		if strings.EqualFold(name, "set-cookie") || strings.EqualFold(name, "set-cookie2") {
			return redactPairs(value, attribute)
		}
	case len("set-cookie2"):
		if strings.EqualFold(name, "set-cookie2") {
			return redactPairs(value, attribute)
		}
	}
	return value
}

// redactCredentials leaves the scheme (RFC 9110 §11.4).
func redactCredentials(value string) string {
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok || rest == "" || scheme == "" || len(scheme) > 20 {
		return Redacted
	}
	for _, c := range []byte(scheme) {
		if (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' {
			return Redacted
		}
	}
	return scheme + " " + Redacted
}

// redactPairs leaves names, and those pairs behind the first that keep says hold no secret.
func redactPairs(value string, keep func(name, value string) bool) string {
	parts := strings.Split(value, ";")
	for i, part := range parts {
		trimmed := strings.TrimSpace(part)
		name, v, ok := strings.Cut(trimmed, "=")
		switch {
		case trimmed == "", i > 0 && keep != nil && keep(name, v):
			parts[i] = trimmed
		case ok && isName(name):
			parts[i] = name + "=" + Redacted
		default:
			parts[i] = Redacted
		}
	}
	return strings.Join(parts, "; ")
}

// isName reports whether s can be the name of a cookie, and not a secret that is written without one.
func isName(s string) bool {
	return s != "" && len(s) <= 64 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == ',' }) < 0
}

// attribute reports whether a pair is an attribute of a cookie (RFC 6265 §4.1) with a value that an attribute has.
func attribute(name, value string) bool {
	switch strings.ToLower(name) {
	case "secure", "httponly", "partitioned":
		return value == ""
	case "path", "domain", "max-age", "samesite", "priority", "version":
		return !strings.ContainsAny(value, ",=")
	case "expires":
		date, _ := regexp.MatchString(`^[A-Za-z]+, \d\d[ -][A-Za-z]+[ -]\d+ \d\d:\d\d:\d\d GMT$`, value)
		return date
	}
	return false
}
