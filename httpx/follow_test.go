package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// describeExchange returns an exchange in a line.
func describeExchange(e *httpx.Exchange) string {
	line := fmt.Sprintf("%d.%d", e.Conn.Stream, e.Number)
	if q := e.Request; q != nil {
		line += fmt.Sprintf(" %s %s", q.Method, q.Target)
	}
	for _, m := range e.Informational {
		line += fmt.Sprint(" ", m.Status)
	}
	if a := e.Response; a != nil {
		line += fmt.Sprintf(" %d %d", a.Status, len(a.Body))
	}
	return line
}

// open opens a capture of the project's own.
func openCapture(t testing.TB, name string) *pcapfile.Reader {
	t.Helper()
	f, err := pcapfile.Open("../testdata/"+name, nil)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestExchanges(t *testing.T) {
	var got []string
	for e, err := range httpx.Exchanges(t.Context(), openCapture(t, "web.pcap")) {
		require.NoError(t, err)
		got = append(got, describeExchange(e))
	}
	require.Equal(t, []string{
		"0.0 GET /private/?q=a%20b&lang=en 200 210", "0.1 HEAD /missing 404 0", "1.0 GET /a.txt 200 6", "1.1 GET /b.txt 200 7", "2.0 POST /upload 100 201 8",
		"3.0 CONNECT example.org:80 200 0", "3.1 GET /inside 200 7", "4.0 GET /chat 101 0", "5.0 GET /old.html 0 19", "6.0 POST /front 200 6", "6.1 GET /hidden 200 7",
		"7.0 GET /1.txt 200 9", "7.1 GET /2.txt", "7.2 GET /3.txt 200 9", "7.3 GET /4.txt", "8.0 GET /two 200 4",
	}, got)
}

// TestExchangesBreak: whoever has seen enough stops, and the source is his again.
func TestExchangesBreak(t *testing.T) {
	f := openCapture(t, "web.pcap")
	n := 0
	for range httpx.Exchanges(t.Context(), f) {
		if n++; n == 3 {
			break
		}
	}
	require.Equal(t, 3, n)
	require.NoError(t, f.Close())
}

func TestExchangesErrors(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	collect := func(seq func(func(*httpx.Exchange, error) bool)) (n int, err error) {
		for e, err := range seq {
			if err != nil {
				require.Nil(t, e)
				return n, err
			}
			n++
		}
		return n, nil
	}
	n, err := collect(httpx.Exchanges(ctx, openCapture(t, "web.pcap")))
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, n)
	n, err = collect(httpx.Exchanges(t.Context(), openCapture(t, "truncated.pcap")))
	require.ErrorIs(t, err, pcapfile.ErrTruncated)
	require.Equal(t, 1, n, "what was read is there")
	_, err = collect(httpx.ExchangesWith(t.Context(), nil, &httpx.Config{Limits: httpx.Limits{Body: -1}}, nil))
	require.ErrorContains(t, err, "negative Limits.Body")
	_, err = collect(httpx.ExchangesWith(t.Context(), nil, nil, &tcpfollow.Config{Midstream: 9}))
	require.ErrorContains(t, err, "unknown Midstream")
}

// TestExchangesWith: other callbacks are called as well.
func TestExchangesWith(t *testing.T) {
	var exchanges, gaps int
	cfg := &httpx.Config{OnExchange: func(*httpx.Exchange) { exchanges++ }}
	fc := &tcpfollow.Config{Incremental: true, OnGap: func(*tcpfollow.TCPStream, tcpfollow.Gap) { gaps++ }}
	n := 0
	for e, err := range httpx.ExchangesWith(t.Context(), openCapture(t, "http.pcap"), cfg, fc) {
		require.NoError(t, err)
		require.Nil(t, e.Response.Body, "it was not asked for")
		n++
	}
	require.Equal(t, 5, n)
	require.Equal(t, 5, exchanges)
	require.Equal(t, 1, gaps)
}

// TestFollowTwice: two users of one follower do not get into each other's way.
func TestFollowTwice(t *testing.T) {
	var a, b int
	one, err := httpx.Follow(&httpx.Config{OnExchange: func(*httpx.Exchange) { a++ }})
	require.NoError(t, err)
	two, err := httpx.Follow(&httpx.Config{OnMessage: func(*httpx.Message) { b++ }})
	require.NoError(t, err)
	both := func(f, g tcpfollow.StreamFunc) tcpfollow.StreamFunc {
		return func(s *tcpfollow.TCPStream) { f(s); g(s) }
	}
	cfg := &tcpfollow.Config{OnGap: func(s *tcpfollow.TCPStream, g tcpfollow.Gap) { one.Gap(s, g); two.Gap(s, g) }}
	f, err := tcpfollow.New(both(one.Data, two.Data), both(one.End, two.End), cfg)
	require.NoError(t, err)
	require.NoError(t, f.Follow(t.Context(), openCapture(t, "web.pcap")))
	require.Equal(t, 16, a)
	require.Equal(t, 32-1, b)
	_, err = httpx.Follow(&httpx.Config{Limits: httpx.Limits{Held: -1}})
	require.Error(t, err)
}

// frames is a source of frames in memory.
type frames struct{ list []packet.Frame }

func (f *frames) ReadBatch(b *packet.Batch) error {
	if len(f.list) == 0 {
		return io.EOF
	}
	n := min(len(f.list), 64)
	b.Frames = append(b.Frames[:0], f.list[:n]...)
	f.list = f.list[n:]
	return nil
}

func (f *frames) Close() error { return errors.ErrUnsupported }

// TestFollowFIN: a response to a client that has finished does not wait for more of it.
func TestFollowFIN(t *testing.T) {
	c := (&pktgen.Conversation{}).Open()
	c.Client([]byte("GET / HTTP/1.0\r\n\r\n")).HalfClose(c2s).Server([]byte("HTTP/1.0 200 OK\r\n\r\nbody"))
	var got []string
	http, err := httpx.Follow(&httpx.Config{OnBody: func(_ *httpx.Message, b []byte) { got = append(got, string(b)) }})
	require.NoError(t, err)
	f, err := tcpfollow.New(http.Data, http.End, &tcpfollow.Config{OnGap: http.Gap})
	require.NoError(t, err)
	for _, fr := range c.Trace().Frames() {
		f.FeedFrame(fr)
	}
	require.Equal(t, []string{"body"}, got, "before the end of the connection")
}

// TestFollowShuffled: the exchanges of a capture whose packets were reordered are those of the capture.
func TestFollowShuffled(t *testing.T) {
	c := (&pktgen.Conversation{MSS: 100}).Open()
	for i := range 30 {
		c.Client(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
		c.Server(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 40*i, words(40*i)))
	}
	trace := c.Close(c2s).Trace()
	all := func(trace pktgen.Trace) []string {
		var list []string
		for e, err := range httpx.Exchanges(t.Context(), &frames{trace.Frames()}) {
			require.NoError(t, err)
			list = append(list, describeExchange(e), string(e.Response.Body))
			require.Empty(t, (e.Flags | e.Request.Flags | e.Response.Flags).Strings())
		}
		return list
	}
	want := all(trace)
	require.Len(t, want, 60)
	for seed := range uint64(20) {
		require.Equal(t, want, all(trace.Reorder(seed, 6)), "seed %d", seed)
	}
}
