package httpx_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// encode returns b in a content coding.
func encode(t testing.TB, coding string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "raw deflate":
		f, err := flate.NewWriter(&out, 6)
		require.NoError(t, err)
		w = f
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		require.NoError(t, err)
		w = z
	default:
		return b
	}
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// words returns n bytes of text.
func words(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b []byte
	for len(b) < n {
		b = fmt.Appendf(b, "%d %c ", r.IntN(1000), 'a'+rune(r.IntN(26)))
	}
	return b[:n]
}

// response is a message with a body whose length is announced.
func response(header string, body []byte) string {
	return fmt.Sprintf("<HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", header, len(body), body)
}

func TestCodings(t *testing.T) {
	plain := words(20_000)
	for _, tt := range []struct {
		name, header string
		body         []byte
		flags        httpx.Flags
		want         []byte
	}{
		{"none", "", plain, 0, plain},
		{"identity", "Content-Encoding: identity\r\n", plain, 0, plain},
		{"gzip", "Content-Encoding: gzip\r\n", encode(t, "gzip", plain), 0, plain},
		{"GZip", "content-encoding: GZip\r\n", encode(t, "gzip", plain), 0, plain},
		{"x-gzip", "Content-Encoding: x-gzip\r\n", encode(t, "x-gzip", plain), 0, plain},
		{"gzip, several members", "Content-Encoding: gzip\r\n", append(encode(t, "gzip", plain[:100]), encode(t, "gzip", plain[100:])...), 0, plain},
		{"deflate", "Content-Encoding: deflate\r\n", encode(t, "deflate", plain), 0, plain},
		{"deflate without its frame", "Content-Encoding: deflate\r\n", encode(t, "raw deflate", plain), 0, plain},
		{"br", "Content-Encoding: br\r\n", encode(t, "br", plain), 0, plain},
		{"zstd", "Content-Encoding: zstd\r\n", encode(t, "zstd", plain), 0, plain},
		{"two in one field", "Content-Encoding: gzip, br\r\n", encode(t, "br", encode(t, "gzip", plain)), 0, plain},
		{"two fields", "Content-Encoding: gzip\r\nContent-Encoding: zstd\r\n", encode(t, "zstd", encode(t, "gzip", plain)), 0, plain},
		{"five", "Content-Encoding: gzip, gzip, deflate, br, zstd\r\n", encode(t, "zstd", encode(t, "br", encode(t, "deflate", encode(t, "gzip", encode(t, "gzip", plain))))), 0, plain},
		{"six", "Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip\r\n", plain, httpx.FlagLimit, plain},
		{"unknown", "Content-Encoding: sdch\r\n", plain, httpx.FlagUnknownCoding, plain},
		{"known on top of unknown", "Content-Encoding: sdch, gzip\r\n", encode(t, "gzip", plain), httpx.FlagUnknownCoding, plain},
		{"unknown on top of known", "Content-Encoding: gzip, sdch\r\n", plain, httpx.FlagUnknownCoding, plain},
		{"not what it says", "Content-Encoding: gzip\r\n", plain, httpx.FlagBadCoding, nil},
		{"not what it says, br", "Content-Encoding: br\r\n", []byte("this is no brotli at all"), httpx.FlagBadCoding, nil},
		{"not what it says, zstd", "Content-Encoding: zstd\r\n", plain, httpx.FlagBadCoding, nil},
		{"bytes behind the end", "Content-Encoding: gzip\r\n", append(encode(t, "gzip", plain), "more"...), httpx.FlagBadCoding, plain},
		{"bytes behind the end, deflate", "Content-Encoding: deflate\r\n", append(encode(t, "deflate", plain), strings.Repeat("more", 100)...), httpx.FlagBadCoding, plain},
		{"bytes behind the end, br", "Content-Encoding: br\r\n", append(encode(t, "br", plain), "more"...), httpx.FlagBadCoding, plain},
		{"empty, though coded", "Content-Encoding: gzip\r\n", nil, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sum := sha256.Sum256(tt.want)
			for _, text := range []string{response(tt.header, tt.body), chunked(tt.header, tt.body)} {
				steps := talk{get, text}.steps()
				for _, steps := range [][]step{steps, cut(steps, 1000, 1460), cut(steps, 1, 1)} {
					d, _ := parse(t, httpx.Config{Collect: true, Digest: true}, httpx.ConnInfo{}, steps)
					m := d.list[1]
					require.Equal(t, tt.flags.Strings(), m.Flags.Strings())
					require.Equal(t, uint64(len(tt.want)), m.Length)
					require.Equal(t, string(tt.want), string(m.Body))
					require.Equal(t, string(tt.want), d.bodies[m].String())
					require.GreaterOrEqual(t, m.WireLength, uint64(len(tt.body)))
					if len(tt.body) > 0 {
						require.Equal(t, sum[:], m.SHA256)
					}
				}
			}
		})
	}
}

// chunked is a message with a body in chunks.
func chunked(header string, body []byte) string {
	var b strings.Builder
	b.WriteString("<HTTP/1.1 200 OK\r\n" + header + "Transfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		n := min(len(body), 700)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	b.WriteString("0\r\n\r\n")
	return b.String()
}

// TestTransferCodings: they are undone like content codings, after those.
func TestTransferCodings(t *testing.T) {
	plain := words(5000)
	both := encode(t, "gzip", encode(t, "br", plain))
	text := strings.Replace(chunked("Content-Encoding: br\r\n", both), "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", 1)
	d, _ := parse(t, httpx.Config{Collect: true}, httpx.ConnInfo{}, talk{get, text}.steps())
	require.Equal(t, string(plain), string(d.list[1].Body))
	require.Empty(t, d.list[1].Flags.Strings())
	d, _ = parse(t, httpx.Config{Collect: true, KeepEncoded: true}, httpx.ConnInfo{}, talk{get, text}.steps())
	require.Equal(t, string(encode(t, "br", plain)), string(d.list[1].Body))
}

// TestCutCodings: what is there of a body is decoded, as far as that goes.
func TestCutCodings(t *testing.T) {
	plain := words(20_000)
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		t.Run(coding, func(t *testing.T) {
			coded := encode(t, coding, plain)
			text := response("Content-Encoding: "+coding+"\r\n", coded)
			steps := talk{get, text[:len(text)-len(coded)/2]}.steps()
			d, _ := parse(t, httpx.Config{Collect: true}, httpx.ConnInfo{}, steps)
			m := d.list[1]
			require.Equal(t, []string{"truncated", "bad_coding"}, m.Flags.Strings())
			require.True(t, bytes.HasPrefix(plain, m.Body))
			if coding != "zstd" { // its blocks are larger
				require.Greater(t, len(m.Body), 4_000)
			}
		})
	}
}

// TestBomb: a body that grows too much is cut, and the next message is found.
func TestBomb(t *testing.T) {
	zeros := make([]byte, 8<<20)
	for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, gzip"} {
		t.Run(coding, func(t *testing.T) {
			coded := zeros
			for name := range strings.SplitSeq(coding, ", ") {
				coded = encode(t, name, coded)
			}
			steps := talk{get, response("Content-Encoding: "+coding+"\r\n", coded), get, ok2}.steps()
			var p *httpx.Parser
			var n int
			most := allocated(func() {
				var err error
				p, err = httpx.New(&httpx.Config{OnBody: func(_ *httpx.Message, b []byte) { n += len(b) }})
				require.NoError(t, err)
				feed(p.Open(httpx.ConnInfo{}), cut(steps, 1460, 1460))
			})
			st := p.Stats()
			require.Equal(t, uint64(1), st.LimitRatio)
			require.Equal(t, uint64(2), st.Exchanges)
			require.LessOrEqual(t, n, max(1<<20, 100*len(coded))+64<<10)
			require.LessOrEqual(t, most, uint64(40<<20), "memory is flat")
			d, _ := parse(t, httpx.Config{Limits: httpx.Limits{Ratio: 1 << 30}}, httpx.ConnInfo{}, steps)
			require.Equal(t, uint64(len(zeros)), d.list[1].Length)
			d, _ = parse(t, httpx.Config{Limits: httpx.Limits{Ratio: 1 << 30, Decoded: 4 << 20}}, httpx.ConnInfo{}, steps)
			require.Equal(t, []string{"bomb"}, d.list[1].Flags.Strings())
		})
	}
}

// TestDecoders: many bodies at once share the memory for decoding; what does not find any is left coded.
func TestDecoders(t *testing.T) {
	p, err := httpx.New(&httpx.Config{Limits: httpx.Limits{Decoders: 1 << 20}})
	require.NoError(t, err)
	before := runtime.NumGoroutine()
	text := response("Content-Encoding: gzip\r\n", encode(t, "gzip", words(1000)))
	var conns []*httpx.Conn
	for range 100 {
		c := p.Open(httpx.ConnInfo{Midstream: true})
		conns = append(conns, c)
		steps := talk{text[:len(text)-100]}.steps()
		c.Data(s2c, 0, []byte(steps[0].text), steps[0].o)
	}
	require.Equal(t, uint64(100-16), p.Stats().LimitDecoders)
	for _, c := range conns {
		c.Close()
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before) // those of other tests may end meanwhile
}

// TestReuse: what decoded one body decodes the next, whatever was wrong with the first.
func TestReuse(t *testing.T) {
	plain := words(3000)
	var tk talk
	var want []string
	for i := range 60 {
		coding := []string{"gzip", "deflate", "br", "zstd"}[i%4]
		name := coding
		if i%8 == 1 {
			name = "raw deflate"
		}
		coded := encode(t, name, plain[i:])
		body := string(plain[i:])
		switch i / 4 % 3 {
		case 1: // not coded at all
			coded, body = []byte("plain text"), "?"
		case 2: // cut
			coded, body = coded[:len(coded)-9], "?"
		}
		tk = append(tk, get, response("Content-Encoding: "+coding+"\r\n", coded))
		want = append(want, body)
	}
	before := runtime.NumGoroutine()
	d, _ := parse(t, httpx.Config{Collect: true}, httpx.ConnInfo{}, tk.steps())
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	for i, m := range d.list {
		if m.Kind == httpx.Response && want[i/2] != "?" {
			require.Equal(t, want[i/2], string(m.Body), "%d", i/2)
			require.Empty(t, m.Flags.Strings())
		} else if m.Kind == httpx.Response {
			require.Equal(t, []string{"bad_coding"}, m.Flags.Strings())
		}
	}
}

func TestCollectLimits(t *testing.T) {
	body := response("", words(1000))
	d, p := parse(t, httpx.Config{Collect: true, Digest: true, Limits: httpx.Limits{Body: 100}}, httpx.ConnInfo{}, talk{get, body}.steps())
	m := d.list[1]
	require.Len(t, m.Body, 100)
	require.Equal(t, uint64(1000), m.Length)
	sum := sha256.Sum256(words(1000))
	require.Equal(t, sum[:], m.SHA256, "of all of it")
	require.Equal(t, []string{"body_cut"}, m.Flags.Strings())
	require.Equal(t, uint64(1), p.Stats().LimitBody)

	// All bodies of exchanges that are open count together; those of the others are the caller's.
	post := fmt.Sprintf(">POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n%s", words(1000))
	cfg := httpx.Config{Collect: true, Limits: httpx.Limits{TotalBody: 1500}}
	d, p = parse(t, cfg, httpx.ConnInfo{}, talk{post, post, ok2, ok2, post}.steps())
	require.Equal(t, uint64(2), p.Stats().LimitBody)
	require.Len(t, d.list[0].Body, 1000)
	require.Len(t, d.list[1].Body, 500)
	require.Empty(t, d.list[2].Body)
	require.Len(t, d.list[3].Body, 2)
	require.Len(t, d.list[4].Body, 1000)
}

func TestSniff(t *testing.T) {
	for body, want := range map[string]string{
		"<!DOCTYPE html><p>": "text/html; charset=utf-8", "\x89PNG\r\n\x1a\n....": "image/png", "just text": "text/plain; charset=utf-8", "": "",
	} {
		for _, text := range []string{response("", []byte(body)), response("Content-Encoding: gzip\r\n", encode(t, "gzip", []byte(body)))} {
			d, _ := parse(t, httpx.Config{Sniff: true}, httpx.ConnInfo{}, cut(talk{get, text}.steps(), 1, 1))
			require.Equal(t, want, d.list[1].Sniffed)
		}
	}
	d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, talk{get, ok2}.steps())
	require.Empty(t, d.list[1].Sniffed)
}

func TestDecode(t *testing.T) {
	plain := words(100_000)
	coded := encode(t, "br", encode(t, "gzip", plain))
	r, err := httpx.Decode(bytes.NewReader(coded), []string{"gzip", " identity", "BR"}, nil)
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, plain, got)
	require.NoError(t, r.Close())

	_, err = httpx.Decode(nil, []string{"gzip", "compress"}, nil)
	require.ErrorIs(t, err, httpx.ErrCoding)
	_, err = httpx.Decode(nil, []string{"gzip", "gzip", "gzip"}, &httpx.Limits{Codings: 2})
	require.ErrorIs(t, err, httpx.ErrCodings)
	_, err = httpx.Decode(nil, nil, &httpx.Limits{Ratio: -1})
	require.Error(t, err)

	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		r, err = httpx.Decode(bytes.NewReader(encode(t, coding, make([]byte, 8<<20))), []string{coding}, nil)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, r)
		require.ErrorIs(t, err, httpx.ErrBomb)
		require.LessOrEqual(t, n, int64(2<<20))
		require.NoError(t, r.Close())
	}
	broken := errors.New("broken")
	r, err = httpx.Decode(io.MultiReader(bytes.NewReader(coded[:100]), errReader{broken}), []string{"gzip", "br"}, nil)
	require.NoError(t, err)
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, broken)
	require.NoError(t, r.Close())
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
