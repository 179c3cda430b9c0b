package cli_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

func TestAppendEscaped(t *testing.T) {
	for _, tt := range []struct {
		name, in, lines, line string
	}{
		{"nothing", "", "", ""},
		{"text", "GET / HTTP/1.1", "GET / HTTP/1.1", "GET / HTTP/1.1"},
		{"newline and tab", "a\n\tb", "a\n\tb", `a\x0a\x09b`},
		{"carriage return", "a\r\n", "a\\x0d\n", `a\x0d\x0a`},
		{"zero and delete", "\x00\x7f", `\x00\x7f`, `\x00\x7f`},
		{"colour", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`, `\x1b[31mred\x1b[0m`},
		{"window title", "\x1b]0;x\a", `\x1b]0;x\x07`, `\x1b]0;x\x07`},
		{"C1 introducer as a byte", "\x9b31m", `\x9b31m`, `\x9b31m`},
		{"C1 introducer in UTF-8", "\u009b31m", `\xc2\x9b31m`, `\xc2\x9b31m`},
		{"next line", "\u0085", `\xc2\x85`, `\xc2\x85`},
		{"line separator", "\u2028", `\xe2\x80\xa8`, `\xe2\x80\xa8`},
		{"right-to-left override", "a\u202eb", `a\xe2\x80\xaeb`, `a\xe2\x80\xaeb`},
		{"isolate", "\u2066", `\xe2\x81\xa6`, `\xe2\x81\xa6`},
		{"right-to-left mark", "\u200f", `\xe2\x80\x8f`, `\xe2\x80\x8f`},
		{"zero-width space", "\u200b", `\xe2\x80\x8b`, `\xe2\x80\x8b`},
		{"byte order mark", "\ufeff", `\xef\xbb\xbf`, `\xef\xbb\xbf`},
		{"tag character", "\U000e0041", `\xf3\xa0\x81\x81`, `\xf3\xa0\x81\x81`},
		{"private use", "\ue000", `\xee\x80\x80`, `\xee\x80\x80`},
		{"other scripts", "grüße 世界 🙂", "grüße 世界 🙂", "grüße 世界 🙂"},
		{"replacement character", "\ufffd", "\ufffd", "\ufffd"},
		{"invalid byte", "a\xffb", `a\xffb`, `a\xffb`},
		{"cut character", "\xe4\xb8", `\xe4\xb8`, `\xe4\xb8`},
		{"overlong slash", "\xc0\xaf", `\xc0\xaf`, `\xc0\xaf`},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`, `\xed\xa0\x80`},
		{"backslash", `C:\dir\`, `C:\dir\`, `C:\dir\`},
		{"what looks like an escape", `\x1b`, `\x5cx1b`, `\x5cx1b`},
		{"backslashes before an x", `\\x`, `\\x5cx`, `\\x5cx`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.lines, string(cli.AppendEscaped(nil, []byte(tt.in), true)))
			require.Equal(t, tt.line, cli.EscapeLine(tt.in))
			require.Equal(t, "before"+tt.lines, string(cli.AppendEscaped([]byte("before"), []byte(tt.in), true)))
		})
	}
}

// TestEscapeEveryByte: alone, a byte is itself when it is printable ASCII, and its number else.
func TestEscapeEveryByte(t *testing.T) {
	for b := range 256 {
		want := fmt.Sprintf(`\x%02x`, b)
		if b >= ' ' && b < 0x7f {
			want = string(rune(b))
		}
		require.Equal(t, want, cli.EscapeLine(string([]byte{byte(b)})), "byte %#x", b)
	}
}

// TestEscapeEveryRune: of whatever character, the output is printable.
func TestEscapeEveryRune(t *testing.T) {
	var out []byte
	for r := range rune(unicode.MaxRune + 1) {
		out = cli.AppendEscaped(out[:0], utf8.AppendRune(nil, r), false)
		require.NotEmpty(t, out)
		for _, got := range string(out) {
			if !unicode.IsPrint(got) {
				require.Failf(t, "not printable", "%U became %q", r, out)
			}
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a\r\n\tb", "\x1b[2J", `\x1b \\x5c \`, "\xe4\xb8\x96\xe4", "\u202e\u0085\ufffd"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		lines, line := cli.AppendEscaped(nil, b, true), cli.AppendEscaped(nil, b, false)
		require.Equal(t, before, b, "the input is only read")
		requirePrintable(t, string(line))
		require.True(t, utf8.Valid(line))
		require.True(t, utf8.Valid(lines))
		kept := strings.NewReplacer("\n", "", "\t", "").Replace(string(lines))
		requirePrintable(t, kept)
		require.Equal(t, string(b), unescape(t, line))
		require.Equal(t, string(b), unescape(t, lines))
	})
}

func requirePrintable(t *testing.T, s string) {
	t.Helper()
	for _, r := range s {
		if !unicode.IsPrint(r) {
			require.Failf(t, "not printable", "%q", s)
		}
	}
}

// unescape is what AppendEscaped is not: it turns every \xNN back into a byte.
func unescape(t *testing.T, b []byte) string {
	t.Helper()
	var out []byte
	for len(b) > 0 {
		if rest, ok := bytes.CutPrefix(b, []byte(`\x`)); ok && len(rest) >= 2 {
			n, err := hex.DecodeString(string(rest[:2]))
			require.NoError(t, err)
			out, b = append(out, n...), rest[2:]
			continue
		}
		out, b = append(out, b[0]), b[1:]
	}
	return string(out)
}

func TestCount(t *testing.T) {
	require.Equal(t, "0 frames", cli.Count(0, "frame"))
	require.Equal(t, "1 frame", cli.Count(1, "frame"))
	require.Equal(t, "2 frames", cli.Count(2, "frame"))
	require.Equal(t, "18446744073709551615 bytes", cli.Count(1<<64-1, "byte"))
}
