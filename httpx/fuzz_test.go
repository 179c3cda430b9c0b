package httpx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// fuzzed turns a script into a talk: each line is a packet, as in talk, and "|" in it is a CRLF.
func fuzzed(script string) talk {
	var t talk
	for line := range strings.SplitSeq(script, "\n") {
		if line != "" && (line[0] == '>' || line[0] == '<') {
			t = append(t, strings.ReplaceAll(line, "|", "\r\n"))
		}
	}
	return t
}

// script is what fuzzed turns back, as far as it can.
func (t talk) script() string {
	return strings.ReplaceAll(strings.Join(t, "\n"), "\r\n", "|")
}

// FuzzHTTP1: whatever two sides say, nothing panics, every byte is accounted for, and what is found does not depend on
// how the bytes were cut into packets.
func FuzzHTTP1(f *testing.F) {
	for _, tt := range slices.Concat(plain(), odd(), smuggled(), torn(), turned()) {
		f.Add(tt.talk.script(), uint8(3))
	}
	f.Fuzz(func(t *testing.T, script string, n uint8) {
		if len(script) > 1<<12 {
			return
		}
		steps := fuzzed(script).steps()
		for _, s := range steps {
			if s.gap > 1<<40 {
				return
			}
		}
		cfg := httpx.Config{Limits: httpx.Limits{Line: 100, Header: 500, Fields: 8, Scan: 300, Pending: 4}}
		whole, p := parse(t, cfg, httpx.ConnInfo{}, steps)
		some, q := parse(t, cfg, httpx.ConnInfo{}, cut(steps, int(n)+1, int(n)/16+1))
		require.Equal(t, whole.lines(), some.lines())
		require.Equal(t, whole.order, some.order)
		require.Equal(t, whole.skipped, some.skipped)
		require.Equal(t, p.Stats(), q.Stats())
	})
}

// FuzzMultipart: parts lie within their body, in order, and do not overlap.
func FuzzMultipart(f *testing.F) {
	f.Add([]byte("--XX\r\nA: b\r\n\r\none\r\n--XX\r\n\r\ntwo\r\n--XX--\r\n"), "multipart/form-data; boundary=XX")
	f.Add([]byte("--a\n\n--a\n--a--"), `Multipart/x; boundary="a"`)
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		at := 0
		for p := range httpx.Parts(body, contentType) {
			require.GreaterOrEqual(t, p.Offset, at)
			at = p.Offset + len(p.Body)
			require.LessOrEqual(t, at, len(body))
			require.Equal(t, string(body[p.Offset:at]), string(p.Body))
			_, _ = p.Name(), p.Filename()
			p.Range()
		}
	})
}
