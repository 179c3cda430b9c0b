package http1_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/http1"
)

// FuzzChunk: a size line without faults means what strconv says it means.
func FuzzChunk(f *testing.F) {
	for _, line := range []string{"0\r\n", "1aF;x=y\r\n", "0x5\n", " 5 \r\n", "ffffffffffffffff\r\n", "5 ; a", "-1\r\n"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		size, faults, ok := http1.ParseChunk(line)
		text := string(line)
		if rest, ok := strings.CutSuffix(text, "\n"); ok {
			text = strings.TrimSuffix(rest, "\r")
		}
		digits, _, _ := strings.Cut(text, ";")
		want, err := strconv.ParseUint(strings.TrimRight(digits, " \t"), 16, 62)
		if ok && faults == 0 {
			require.NoError(t, err)
			require.Equal(t, want, size)
		}
		if err == nil && !bytes.ContainsAny(line, "_+-") {
			require.True(t, ok)
			require.Equal(t, want, size)
		}
	})
}

// FuzzStart: the parts of a start line lie within it, in order, and hold all of it but blanks.
func FuzzStart(f *testing.F) {
	for _, line := range []string{"GET / HTTP/1.1", "GET  /a b  HTTP/1.1 ", "HTTP/1.1 200 OK", "ICY 200", "OPTIONS HTTP/1.1", "GET"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		s := http1.ParseStart(line)
		spans := []http1.Span{s.Method, s.Target, s.Version}
		if s.Class == http1.Response {
			spans = []http1.Span{s.Version, s.Reason}
		}
		if s.Class == http1.NotStart {
			require.Equal(t, http1.Start{}, s)
			return
		}
		at, n := 0, 0
		for _, x := range spans {
			require.LessOrEqual(t, at, x.Off)
			require.LessOrEqual(t, x.Off, x.End)
			at = x.End
			n += x.Len()
		}
		require.LessOrEqual(t, at, len(line))
		if s.Class == http1.Request {
			require.Equal(t, string(bytes.Trim(line, " \t")), string(bytes.Trim(line[s.Method.Off:], " \t")))
			if s.Faults == 0 {
				require.Equal(t, len(line), n+2*min(1, s.Version.Len())+min(1, s.Target.Len())*(1-min(1, s.Version.Len())))
			}
		}
	})
}

// FuzzField: the parts of a header line lie within it, and without faults there is nothing else but a colon and blanks.
func FuzzField(f *testing.F) {
	for _, line := range []string{"Host: a", "Host : a", ": a", "nothing", " fold", "A:\x00"} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		x := http1.ParseField(line)
		require.LessOrEqual(t, x.Name.End, len(line))
		require.LessOrEqual(t, x.Value.Off, x.Value.End)
		require.LessOrEqual(t, x.Value.End, len(line))
		if x.Faults != 0 {
			return
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		require.True(t, ok)
		require.Equal(t, string(name), string(x.Name.Of(line)))
		require.Equal(t, string(bytes.Trim(value, " \t")), string(x.Value.Of(line)))
	})
}

// FuzzFind: what is found is a start line, nothing is passed over twice, and cutting the bytes makes no difference.
func FuzzFind(f *testing.F) {
	for _, text := range []string{
		"xHTTP/1.1 200 OK\r\nA: b\r\n", "junk\nPUT /x HTTP/1.1\r\n\r\n", "bodyGET / HTTP/1.0\nHost: a\n", "GET / HTTP/1.1 200\nHTTP/1.1 200 OK\n\n",
	} {
		f.Add([]byte(text), uint8(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, n uint8) {
		find := func(size int) int {
			var kept []byte
			passed := 0
			for at := 0; ; at += size {
				final := at+size >= len(text)
				kept = append(kept, text[min(at, len(text)):min(at+size, len(text))]...)
				i, ok := http1.Find(kept, true, true, final)
				require.LessOrEqual(t, i, len(kept))
				passed += i
				if ok {
					return passed
				}
				kept = kept[i:]
				if final {
					require.Empty(t, kept)
					return -1
				}
			}
		}
		whole := find(len(text) + 1)
		require.Equal(t, whole, find(int(n)+1))
		if whole >= 0 {
			line, _, _ := bytes.Cut(text[whole:], []byte("\n"))
			s := http1.ParseStart(bytes.TrimSuffix(line, []byte("\r")))
			require.True(t, s.Sure)
		}
	})
}
