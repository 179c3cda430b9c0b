package httpx_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// stream feeds one direction of a connection, piece by piece.
type stream struct {
	c   *httpx.Conn
	dir packet.Direction
	off uint64
	n   uint64
}

func (s *stream) Write(b []byte) (int, error) {
	s.n++
	s.c.Data(s.dir, s.off, b, reassemble.Origin{Packet: s.n, Seq: uint32(s.off)})
	s.off += uint64(len(b))
	return len(b), nil
}

// allocated returns how many bytes f allocates in all, and so holds at most.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestEndless: what has no end costs no more memory than the limits allow, and no byte is looked at more than a few
// times, or these tests would not end.
func TestEndless(t *testing.T) {
	const gigabyte = 1 << 30
	filler := bytes.Repeat([]byte("abcdefgh"), 8<<10)
	fill := func(s *stream, n int) {
		for ; n > 0; n -= len(filler) {
			s.Write(filler)
		}
	}
	for _, tt := range []struct {
		name  string
		most  uint64 // bytes of memory
		write func(s *stream)
		check func(t *testing.T, list []*httpx.Message, st httpx.Stats)
	}{
		{"header line", 2 << 20, func(s *stream) {
			fmt.Fprint(s, "GET / HTTP/1.1\r\nHost: a\r\nX: ")
			fill(s, gigabyte)
			fmt.Fprint(s, "\r\nY: z\r\n\r\n")
		}, func(t *testing.T, list []*httpx.Message, st httpx.Stats) {
			require.Len(t, list, 2)
			require.Equal(t, []string{"limit"}, list[0].Flags.Strings())
			require.Equal(t, "z", list[0].Get("y"))
			require.Len(t, list[0].Get("x"), 64<<10-len("X: "))
			require.Equal(t, uint64(1), st.LimitHeader)
		}},
		{"start line", 2 << 20, func(s *stream) {
			fmt.Fprint(s, "GET /")
			fill(s, gigabyte/4)
			fmt.Fprint(s, " HTTP/1.1\r\nHost: a\r\n\r\n")
		}, func(t *testing.T, list []*httpx.Message, st httpx.Stats) {
			require.Len(t, list, 2)
			require.Equal(t, "limit", list[0].Flags.Strings()[len(list[0].Flags.Strings())-1])
			require.Equal(t, "a", list[0].Host())
			require.Len(t, list[0].Target, 64<<10-len("GET "))
			require.Equal(t, uint64(1), st.LimitHeader)
		}},
		{"header lines", 8 << 20, func(s *stream) {
			fmt.Fprint(s, "POST / HTTP/1.1\r\nHost: a\r\n")
			lines := strings.Repeat("Name: value\r\n", 1000)
			for range 1000 {
				fmt.Fprint(s, lines)
			}
			fmt.Fprint(s, "Content-Length: 5\r\n\r\nhello")
		}, func(t *testing.T, list []*httpx.Message, st httpx.Stats) {
			require.Len(t, list, 2)
			require.Len(t, list[0].Header, 1001, "and the one that is needed")
			require.Equal(t, uint64(5), list[0].Length)
			require.Equal(t, uint64(1), st.LimitHeader)
		}},
		{"large header lines", 8 << 20, func(s *stream) {
			fmt.Fprint(s, "POST / HTTP/1.1\r\nHost: a\r\n")
			line := "Name: " + strings.Repeat("v", 1000) + "\r\n"
			for range 10_000 {
				fmt.Fprint(s, line)
			}
			fmt.Fprint(s, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
		}, func(t *testing.T, list []*httpx.Message, st httpx.Stats) {
			require.Len(t, list, 2)
			require.Len(t, list[0].Header, 260+2)
			require.LessOrEqual(t, len(list[0].Head), 256<<10+100)
			require.Equal(t, uint64(5), list[0].Length)
			require.Equal(t, uint64(1), st.LimitHeader)
		}},
		{"continued line", 8 << 20, func(s *stream) {
			fmt.Fprint(s, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n")
			lines := strings.Repeat(" more\r\n", 1000)
			for range 1000 {
				fmt.Fprint(s, lines)
			}
			fmt.Fprint(s, "\r\n")
		}, func(t *testing.T, list []*httpx.Message, st httpx.Stats) {
			require.Len(t, list, 2)
			require.Len(t, list[0].Header, 2)
			require.Equal(t, uint64(1), st.LimitHeader)
		}},
		{"chunk extension", 2 << 20, func(s *stream) {
			fmt.Fprint(s, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;")
			fill(s, gigabyte/4)
			fmt.Fprint(s, "\r\nhello\r\n0\r\n\r\n")
		}, func(t *testing.T, list []*httpx.Message, _ httpx.Stats) {
			require.Len(t, list, 2)
			require.Equal(t, uint64(5), list[0].Length)
			require.Equal(t, []string{"chunk_ext", "limit"}, list[0].Flags.Strings())
		}},
		{"trailer", 8 << 20, func(s *stream) {
			fmt.Fprint(s, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
			lines := strings.Repeat("Name: value\r\n", 1000)
			for range 1000 {
				fmt.Fprint(s, lines)
			}
			fmt.Fprint(s, "\r\n")
		}, func(t *testing.T, list []*httpx.Message, st httpx.Stats) {
			require.Len(t, list, 2)
			require.Len(t, list[0].Trailer, 1001)
			require.Equal(t, []string{"limit"}, list[0].Flags.Strings())
			require.Equal(t, uint64(1), st.LimitHeader)
		}},
		{"garbage behind a message", 4 << 20, func(s *stream) {
			fmt.Fprint(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			fill(s, gigabyte/16)
			fmt.Fprint(s, "\r\n")
		}, func(t *testing.T, list []*httpx.Message, st httpx.Stats) {
			require.Len(t, list, 2)
			require.Equal(t, uint64(gigabyte/16+2), st.Skipped)
		}},
		{"what is almost a message", 4 << 20, func(s *stream) {
			fmt.Fprint(s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n!")
			almost := bytes.Repeat([]byte("x HTTP/1.1 GET / HTTP/1.1 200\nHTTP/1.1 200 OK"), 1000)
			for range 1000 {
				s.Write(almost)
			}
			fmt.Fprint(s, "\r\n")
		}, func(t *testing.T, list []*httpx.Message, _ httpx.Stats) { require.Len(t, list, 2) }},
		{"no HTTP", 1 << 20, func(s *stream) { fill(s, gigabyte) }, func(t *testing.T, list []*httpx.Message, st httpx.Stats) {
			require.Len(t, list, 1, "what comes behind it in the other direction")
			require.Equal(t, uint64(1), st.NoHTTP)
			require.Equal(t, st.Bytes-st.Consumed, st.Skipped)
		}},
		{"body", 1 << 20, func(s *stream) {
			fmt.Fprintf(s, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", gigabyte)
			fill(s, gigabyte)
		}, func(t *testing.T, list []*httpx.Message, _ httpx.Stats) {
			require.Equal(t, uint64(gigabyte), list[0].Length)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var list []*httpx.Message
			p, err := httpx.New(&httpx.Config{OnMessage: func(m *httpx.Message) { list = append(list, m) }})
			require.NoError(t, err)
			c := p.Open(httpx.ConnInfo{})
			most := allocated(func() {
				tt.write(&stream{c: c, dir: c2s})
				fmt.Fprint(&stream{c: c, dir: s2c}, "HTTP/1.1 204 No Content\r\n\r\n")
				c.Close()
			})
			require.LessOrEqual(t, most, tt.most)
			tt.check(t, list, p.Stats())
			st := p.Stats()
			require.Equal(t, st.Bytes, st.Consumed+st.Skipped)
		})
	}
}

// drip writes byte by byte.
type drip struct{ s *stream }

func (d drip) Write(b []byte) (int, error) {
	for i := range b {
		d.s.Write(b[i : i+1])
	}
	return len(b), nil
}

// TestDripping: a byte a packet costs no more memory, and all is found the same.
func TestDripping(t *testing.T) {
	const n = 1 << 18
	for _, tt := range []struct{ name, before, unit, after string }{
		{"header lines", "GET / HTTP/1.1\r\nHost: a\r\n", "Name: value\r\n", "\r\n"},
		{"header line", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "xyz", "\r\n\r\n"},
		{"chunks", "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", "0\r\n\r\n"},
		{"chunk extension", "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", "xyz", "\r\nx\r\n0\r\n\r\n"},
		{"garbage", "GET / HTTP/1.1\r\nHost: a\r\n\r\n!", "what? ", "\r\n"},
		{"garbage in lines", "GET / HTTP/1.1\r\nHost: a\r\n\r\n!", "HTTP/1.1 \n", "\r\n"},
		{"line ends", "", "\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var list []*httpx.Message
			p, err := httpx.New(&httpx.Config{OnMessage: func(m *httpx.Message) { list = append(list, m) }})
			require.NoError(t, err)
			c := p.Open(httpx.ConnInfo{})
			text := tt.before + strings.Repeat(tt.unit, n/len(tt.unit)) + tt.after
			most := allocated(func() {
				drip{&stream{c: c, dir: c2s}}.Write([]byte(text))
				c.Close()
			})
			require.LessOrEqual(t, most, uint64(16<<20))
			require.Len(t, list, 1)
			st := p.Stats()
			require.Equal(t, uint64(len(text)), st.Consumed+st.Skipped)
		})
	}
}

func TestHeaderLimits(t *testing.T) {
	head := ">POST / HTTP/1.1\r\nHost: a\r\nAAAA: bbbb\r\nContent-Length: 2\r\nCC: dd\r\n\r\nok" + get[1:]
	for _, tt := range []struct {
		name   string
		limits httpx.Limits
		want   string
	}{
		{"none", httpx.Limits{}, "#0 > POST / HTTP/1.1|Host:a|AAAA:bbbb|Content-Length:2|CC:dd|=ok"},
		{"fields", httpx.Limits{Fields: 1}, "#0 > POST / HTTP/1.1|Host:a|Content-Length:2|=ok|[limit]"},
		{"header", httpx.Limits{Header: 30}, "#0 > POST / HTTP/1.1|Host:a|Content-Length:2|=ok|[limit]"},
		{"line", httpx.Limits{Line: 20}, "#0 > POST / HTTP/1.1|Host:a|AAAA:bbbb|Content-Length:2|CC:dd|=ok"},
		{"short line", httpx.Limits{Line: 17}, "#0 > POST / HTTP/1.1|Host:a|AAAA:bbbb|Content-Length:2|CC:dd|=ok|[limit]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			steps := talk{head}.steps()
			d, p := parse(t, httpx.Config{Limits: tt.limits}, httpx.ConnInfo{}, steps)
			require.Equal(t, []string{tt.want, "#1" + gotGet[2:]}, d.lines())
			require.Equal(t, strings.Contains(tt.want, "limit"), p.Stats().LimitHeader == 1)
			require.Equal(t, strings.Contains(tt.want, "limit"), limitsHit(p))
			bytes, _ := parse(t, httpx.Config{Limits: tt.limits}, httpx.ConnInfo{}, cut(steps, 1, 1))
			require.Equal(t, d.lines(), bytes.lines())
		})
	}
}

func limitsHit(p *httpx.Parser) bool {
	st := p.Stats()
	return st.LimitsHit()
}

// TestNoHTTP: once both directions are known to hold none, nothing is kept of them, and all is skipped.
func TestNoHTTP(t *testing.T) {
	junk := strings.Repeat("junk\r\n", 200)
	d, p := parse(t, httpx.Config{Limits: httpx.Limits{Scan: 500}}, httpx.ConnInfo{}, talk{">" + junk, "<" + junk, get, ">[5]", ok2, get}.steps())
	require.Empty(t, d.list)
	require.Equal(t, uint64(2), p.Stats().NoHTTP)
	require.Equal(t, p.Stats().Bytes, p.Stats().Skipped)
	d, p = parse(t, httpx.Config{Limits: httpx.Limits{Scan: 500}}, httpx.ConnInfo{}, talk{">" + junk, ok2, get, ok2}.steps())
	require.Equal(t, []string{"#0" + gotOK2[2:], "#1" + gotGet[2:] + "|[skipped]", "#1" + gotOK2[2:]}, d.lines(), "one direction wakes the other")
	require.Equal(t, uint64(1), p.Stats().NoHTTP)
}

// TestManyInterim: an exchange does not keep all of its 1xx responses.
func TestManyInterim(t *testing.T) {
	d, p := parse(t, httpx.Config{Limits: httpx.Limits{Interim: 3}}, httpx.ConnInfo{}, talk{get, "<" + strings.Repeat("HTTP/1.1 103 x\r\n\r\n", 10) + ok2[1:]}.steps())
	require.Len(t, d.list, 12)
	e := d.list[0].Exchange
	require.Len(t, e.Informational, 3)
	require.NotNil(t, e.Response)
	require.Equal(t, []string{"limit"}, e.Flags.Strings())
	require.Equal(t, uint64(1), p.Stats().LimitInterim)
	require.True(t, limitsHit(p))
}

// TestHeldLinear: bytes that wait cost no time while they do.
func TestHeldLinear(t *testing.T) {
	p, err := httpx.New(&httpx.Config{Limits: httpx.Limits{Held: 64 << 20}})
	require.NoError(t, err)
	c := p.Open(httpx.ConnInfo{})
	client, server := &stream{c: c, dir: c2s}, &stream{c: c, dir: s2c}
	fmt.Fprint(client, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")
	for range 100_000 {
		fmt.Fprint(client, "x")
	}
	fmt.Fprint(server, "HTTP/1.1 200 OK\r\n")
	for range 100_000 {
		fmt.Fprint(server, "X: y\r\n")
	}
	fmt.Fprint(server, "\r\n")
	c.Close()
	st := p.Stats()
	require.Equal(t, st.Bytes, st.Consumed+st.Skipped)
	require.Equal(t, uint64(100_000), st.Skipped)
}

// TestLongChunkLine: a chunk's size line is cut where any line is, whole or in pieces.
func TestLongChunkLine(t *testing.T) {
	steps := talk{get, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 100) + "\r\nok\r\n0\r\n\r\n"}.steps()
	cfg := httpx.Config{Limits: httpx.Limits{Line: 50}}
	for _, steps := range [][]step{steps, cut(steps, 70, 7)} {
		d, _ := parse(t, cfg, httpx.ConnInfo{}, steps)
		require.Equal(t, "#0 < HTTP/1.1 200 OK|Transfer-Encoding:chunked|=ok|[chunk_ext limit]", d.lines()[1])
	}
}

// TestNothingKept: a connection that goes on does not keep what is large of messages that are over.
func TestNothingKept(t *testing.T) {
	for name, cfg := range map[string]httpx.Config{"bodies": {Collect: true}, "heads": {}} {
		t.Run(name, func(t *testing.T) {
			var responses []weak.Pointer[httpx.Message]
			cfg.OnExchange = func(e *httpx.Exchange) { responses = append(responses, weak.Make(e.Response)) }
			p, err := httpx.New(&cfg)
			require.NoError(t, err)
			var open []*httpx.Conn
			header := ""
			if name == "heads" {
				header = "X: " + strings.Repeat("x", 50_000) + "\r\n"
			}
			steps := talk{get, response(header, words(200<<10))}.steps()
			for range 20 {
				c := p.Open(httpx.ConnInfo{})
				open = append(open, c)
				for _, s := range steps {
					c.Data(s.dir, s.off, []byte(s.text), s.o)
				}
			}
			runtime.GC()
			kept := 0
			for _, r := range responses {
				if r.Value() != nil {
					kept++
				}
			}
			require.Len(t, responses, 20)
			require.LessOrEqual(t, kept, 1)
			for _, c := range open { // which were there until here
				c.Close()
			}
		})
	}
}
