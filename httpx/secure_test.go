package httpx_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// The hellos of a layer for tests: TLS records by their look. All behind them is in capital letters the other way round.
const (
	helloC = "\x16\x03\x01\x00\x04\x01abc"
	helloS = "\x16\x03\x03\x00\x04\x02abc"
)

// swapped turns small letters into capital ones, and the other way round.
func swapped(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c|0x20 && c|0x20 <= 'z' {
			b[i] ^= 0x20
		}
	}
	return string(b)
}

// swapLayer undoes the layer for tests.
type swapLayer struct {
	inner *httpx.Conn
	http2 bool
	left  [2]int // of the hellos
	next  [2]uint64
}

func (l *swapLayer) Data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) {
	n := min(l.left[dir], len(b))
	l.left[dir] -= n
	if b = b[n:]; len(b) == 0 {
		return
	}
	if l.http2 {
		l.inner.HTTP2()
	}
	if off+uint64(n) != l.next[dir]+uint64(len(helloC)) {
		panic(fmt.Sprint("offset ", off))
	}
	l.inner.Data(dir, l.next[dir], []byte(swapped(string(b))), reassemble.Origin{Packet: o.Packet, Time: o.Time})
	l.next[dir] += uint64(len(b))
}

func (l *swapLayer) Gap(dir packet.Direction, _, n uint64) {
	if l.http2 {
		l.inner.HTTP2()
	}
	l.inner.Gap(dir, l.next[dir], n)
	l.next[dir] += n
}

func (l *swapLayer) End(dir packet.Direction) { l.inner.End(dir) }

// secureConfig undoes the layer for tests.
func secureConfig(http2 bool) httpx.Config {
	return httpx.Config{Secure: func(inner *httpx.Conn) httpx.Layer {
		return &swapLayer{inner: inner, http2: http2, left: [2]int{len(helloC), len(helloS)}}
	}}
}

// lay puts lines into the layer.
func lay(lines ...string) talk {
	said := talk{">" + helloC, "<" + helloS}
	for _, line := range lines {
		if line[1] == '[' {
			said = append(said, line)
		} else {
			said = append(said, line[:1]+swapped(line[1:]))
		}
	}
	return said
}

func secured(t *testing.T, cfg httpx.Config, said talk) []string {
	t.Helper()
	whole, p := parseSecured(t, cfg, said.steps())
	for _, n := range []int{1, 2, 3, 7} {
		d, q := parseSecured(t, cfg, cut(said.steps(), n, n))
		require.Equal(t, whole.lines(), d.lines(), "pieces of %d", n)
		require.Equal(t, whole.order, d.order)
		require.Equal(t, p.Stats(), q.Stats())
	}
	return whole.lines()
}

// parseSecured is parse for connections within connections: offsets and bytes are counted in both.
func parseSecured(t *testing.T, cfg httpx.Config, steps []step) (*dump, *httpx.Parser) {
	t.Helper()
	d := &dump{}
	p, err := httpx.New(d.config(cfg))
	require.NoError(t, err)
	feed(p.Open(httpx.ConnInfo{}), steps)
	st := p.Stats()
	require.Equal(t, st.Bytes, st.Consumed+st.Opaque+st.Secured+st.Skipped, "every byte is accounted for")
	for _, m := range d.list {
		require.True(t, d.ended[m])
	}
	return d, p
}

func TestSecure(t *testing.T) {
	exchange := []string{">GET / HTTP/1.1\r\nHost: a\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"}
	inside := []string{"#0 > GET / HTTP/1.1|Host:a", "#0 < HTTP/1.1 200 OK|Content-Length:2|=hi"}

	t.Run("a connection", func(t *testing.T) {
		require.Equal(t, inside, secured(t, secureConfig(false), lay(exchange...)))
		d, p := parseSecured(t, secureConfig(false), lay(exchange...).steps())
		m := d.list[1]
		require.True(t, m.Conn.Secured)
		require.Equal(t, "https://a/", d.list[0].URL())
		require.Equal(t, uint64(4), m.Start.Packet)
		require.Zero(t, m.Start.Offset, "offsets are those of what was decrypted")
		require.Equal(t, uint64(1), p.Stats().Conns)
	})
	t.Run("plain, beside it", func(t *testing.T) {
		require.Equal(t, inside, secured(t, secureConfig(false), exchange))
		d, _ := parseSecured(t, secureConfig(false), talk(exchange).steps())
		require.False(t, d.list[0].Conn.Secured)
	})
	t.Run("in a tunnel", func(t *testing.T) {
		said := talk{">CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "<HTTP/1.1 200 OK\r\n\r\n"}
		lines := secured(t, secureConfig(false), append(said, lay(exchange...)...))
		require.Equal(t, []string{
			"#0 > CONNECT a:443 HTTP/1.1|Host:a:443", "#0 < HTTP/1.1 200 OK|[upgrade]",
			"#1 > GET / HTTP/1.1|Host:a|[tunnel]", "#1 < HTTP/1.1 200 OK|Content-Length:2|=hi|[tunnel]",
		}, lines)
	})
	t.Run("in a tunnel within HTTP/2", func(t *testing.T) {
		c, s := newH2(t)
		said := append(opening(c, s), c.headers(1, false, ":method: CONNECT", ":authority: a:443").line(), s.headers(1, false, ":status: 200").line())
		for _, line := range lay(exchange...) {
			if line[0] == '>' {
				said = append(said, c.data(1, false, line[1:]).line())
			} else {
				said = append(said, s.data(1, false, line[1:]).line())
			}
		}
		require.Equal(t, []string{"#1 > GET / HTTP/1.1|Host:a|[tunnel]", "#1 < HTTP/1.1 200 OK|Content-Length:2|=hi|[tunnel]"}, secured(t, secureConfig(false), said)[2:])
	})
	t.Run("left alone", func(t *testing.T) {
		cfg := httpx.Config{Secure: func(*httpx.Conn) httpx.Layer { return nil }}
		d, p := parseSecured(t, cfg, lay(exchange...).steps())
		require.Empty(t, d.list)
		require.Zero(t, p.Stats().Secured)
	})
	t.Run("almost", func(t *testing.T) {
		for _, start := range []string{"\x16", "\x16\x03\x01\x00\x04\x0b", "\x16\x03\x05", "\x16\x03\x01\xff", "\x16\x02"} {
			d, p := parseSecured(t, secureConfig(false), append(talk{">" + start}, exchange...).steps())
			require.NotEmpty(t, d.list, "%q", start)
			require.Zero(t, p.Stats().Secured)
		}
	})
	t.Run("a gap first", func(t *testing.T) {
		d, p := parseSecured(t, secureConfig(false), append(talk{">[3]"}, exchange...).steps())
		require.NotEmpty(t, d.list)
		require.Zero(t, p.Stats().Secured)
	})
	t.Run("nothing", func(t *testing.T) {
		d, _ := parseSecured(t, secureConfig(false), nil)
		require.Empty(t, d.list)
	})
	t.Run("a gap inside", func(t *testing.T) {
		lines := secured(t, secureConfig(false), lay(exchange[0], exchange[1][:len(exchange[1])-2], "<[1]", "<i"))
		require.Equal(t, "#0 < HTTP/1.1 200 OK|Content-Length:2|=[1]i|[gap]", lines[1])
	})
}

// With ALPN it is known that a connection speaks HTTP/2, even if its preface is missing.
func TestSecureHTTP2(t *testing.T) {
	c, s := newH2(t)
	start := c.preface().settings().line()
	said := lay(start, s.settings().line(), c.headers(1, true, h2get("/a")...).line(), s.headers(1, false, ":status: 200").data(1, true, "a").line())
	want := []string{"#0 > GET /a HTTP/2|:method:GET|:scheme:http|:path:/a|:authority:example.com", "#0 < HTTP/2 200 |:status:200|=a"}
	require.Equal(t, want, secured(t, secureConfig(true), said))
	require.Equal(t, want, secured(t, secureConfig(false), said))

	c, s = newH2(t)
	lost := c.preface().settings().headers(1, true, h2get("/a")...).line()
	said = lay(fmt.Sprintf(">[%d]", len(lost)-1), s.settings().line(), c.headers(3, true, h2get("/b")...).line(),
		s.headers(3, false, ":status: 200").data(3, true, "b").line(), c.raw(6, 0, 0, "12345678").line())
	lines := secured(t, secureConfig(true), said)
	require.Equal(t, []string{"#0 < HTTP/2 200 |:status:200|=b", "#0 > GET /b HTTP/2|:method:GET|:scheme:http|:path:/b|[state_lost]"}, lines)
}
