package events_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// exchanges returns what two sides say to each other: the client first, then by turns, 10 ms apart.
func exchanges(t testing.TB, texts ...string) []*httpx.Exchange {
	t.Helper()
	var list []*httpx.Exchange
	p, err := httpx.New(&httpx.Config{Collect: true, Digest: true, OnExchange: func(e *httpx.Exchange) { list = append(list, e) }})
	require.NoError(t, err)
	c := p.Open(httpx.ConnInfo{Stream: 7, Client: netip.MustParseAddrPort("192.0.2.1:1234"), Server: netip.MustParseAddrPort("[2001:db8::1]:80")})
	var off [2]uint64
	for i, text := range texts {
		dir := packet.Direction(i % 2)
		c.Data(dir, off[dir], []byte(text), reassemble.Origin{Packet: uint64(i + 1), Time: 1e9 + int64(i)*1e7})
		off[dir] += uint64(len(text))
	}
	c.Close()
	return list
}

func TestNew(t *testing.T) {
	list := exchanges(
		t, "POST /a/b?x=1&y=a%20b&z HTTP/1.1\r\nHost: h:8080\r\nUser-Agent: ua\r\nReferer: r\r\nCookie: a=b; c=d=e\r\nContent-Type: q\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Fine\r\nContent-Type: t\r\nLocation: /l\r\nContent-Length: 3\r\n\r\nabc", "GET http://o/ HTTP/1.0\r\n\r\n",
	)
	require.Len(t, list, 2)
	e := events.New(list[0])
	require.Equal(t, "http", e.Kind)
	require.Equal(t, uint64(7), e.Stream)
	require.Equal(t, uint64(1), e.Frame)
	require.Equal(t, int64(1e9), e.Time.UnixNano())
	require.Equal(t, int64(1e9+1e7), e.End.UnixNano())
	require.Equal(t, []any{"192.0.2.1:1234", "192.0.2.1", 1234}, []any{e.Client, e.ClientIP, e.ClientPort})
	require.Equal(t, []any{"[2001:db8::1]:80", "2001:db8::1", 80}, []any{e.Server, e.ServerIP, e.ServerPort})
	require.Equal(t, []string{"POST", "http", "h:8080", "/a/b?x=1&y=a%20b&z", "http://h:8080/a/b?x=1&y=a%20b&z", "/a/b", "x=1&y=a%20b&z", "HTTP/1.1", "ua", "r", "q"},
		[]string{e.Method, e.Scheme, e.Host, e.URI, e.URL, e.Path, e.Query, e.Version, e.UserAgent, e.Referer, e.RequestType})
	require.Equal(t, []any{true, 200, "Fine", "HTTP/1.1", "t", "/l", []int{100}}, []any{e.Answered, e.Status, e.Reason, e.ResponseVersion, e.ContentType, e.Location, e.Informational})
	require.Equal(t, []uint64{2, 2, 0, 3, 3, 0}, []uint64{e.RequestBytes, e.RequestWire, e.RequestMissing, e.Bytes, e.WireBytes, e.Missing})
	require.InDelta(t, 0.01, e.TTFB, 1e-9)
	require.InDelta(t, 0.01, e.Duration, 1e-9)
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", e.SHA256)
	require.Empty(t, e.Flags)
	require.Equal(t, []string{"ua", "", "t", ""}, []string{e.Header("USER-agent"), e.Header("nope"), e.ResponseHeader("Content-type"), e.ResponseHeader("x")})
	require.Equal(t, []string{"b", "d=e", ""}, []string{e.Cookie("a"), e.Cookie("c"), e.Cookie("A")})
	require.Equal(t, []string{"1", "a b", "", ""}, []string{e.Param("x"), e.Param("y"), e.Param("z"), e.Param("w")})
	require.Equal(t, "hi", string(e.RequestBody()))
	require.Equal(t, "abc", string(e.Body()))

	e = events.New(list[1])
	require.Equal(t, []string{"http://o/", "http", "/", ""}, []string{e.URL, e.Scheme, e.Path, e.Query})
	require.False(t, e.Answered)
	require.Zero(t, e.Status)
	require.Empty(t, e.ResponseHeader("x"))
	require.Nil(t, e.Body())
	require.Equal(t, uint64(1), e.Exchange)
}

// TestNewOfHalf: an exchange without a request, or without anything, is an event as well.
func TestNewOfHalf(t *testing.T) {
	e := events.New(exchanges(t, "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")[0])
	require.Equal(t, 200, e.Status)
	require.Empty(t, e.Method+e.URL+e.Header("x")+e.Cookie("x")+e.Param("x"))
	require.Nil(t, e.RequestBody())
	require.Equal(t, uint64(2), e.Frame)
	e = events.New(&httpx.Exchange{Conn: &httpx.ConnInfo{}})
	require.True(t, e.Time.IsZero())
	require.Empty(t, e.ClientIP)
}

// fieldNames returns the names of the fields in JSON.
func fieldNames() []string {
	var list []string
	typ := reflect.TypeFor[events.Event]()
	for i := range typ.NumField() {
		if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); name != "-" {
			list = append(list, name)
		}
	}
	return list
}

// TestNames: a field has the same name in JSON and in filters.
func TestNames(t *testing.T) {
	typ := reflect.TypeFor[events.Event]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		require.Equal(t, f.Tag.Get("expr"), name, f.Name)
		require.NotEmpty(t, name, f.Name)
	}
	require.Greater(t, len(fieldNames()), 80)
}

func TestWriter(t *testing.T) {
	list := exchanges(t, "GET /\xe9\\<&> HTTP/1.1\r\nHost: \u00fc\r\n\r\n", "HTTP/1.1 204 \xff\r\n\r\n")
	var b bytes.Buffer
	w := events.NewWriter(&b)
	e := events.New(list[0])
	require.NoError(t, w.Write(e))
	require.Equal(t, "/\xe9\\<&>", e.URI, "it is left as it was")
	require.Equal(t, 1, strings.Count(b.String(), "\n"))
	var got map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	require.Equal(t, `/\xe9\x5c<&>`, got["uri"])
	require.Equal(t, "ü", got["host"])
	require.Equal(t, `\xff`, got["reason"])
	require.EqualValues(t, events.Schema, got["schema"])
	require.Equal(t, "1970-01-01T00:00:01Z", got["time"])
	require.NotContains(t, got, "sha256")
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", `C:\x`: `C:\x`, "grüße": "grüße", "\xff": `\xff`, "a\\\xff": `a\x5c\xff`, "\ufffd": "\ufffd", "\ufffd\xff": "\ufffd" + `\xff`, "\x00": "\x00",
	} {
		require.Equal(t, want, events.Text(in), "%q", in)
	}
}

func TestRedact(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"Authorization", "Basic dXNlcjpw", "Basic [redacted]"},
		{"authorization", "Bearer abc.def", "Bearer [redacted]"},
		{"Proxy-Authorization", `Digest username="u", response="r"`, "Digest [redacted]"},
		{"AUTHORIZATION", "token", "[redacted]"},
		{"Authorization", "", "[redacted]"},
		{"Authorization", "abc123 def", "[redacted]"},
		{"Authorization", "Basic ", "[redacted]"},
		{"Authorization", " secret", "[redacted]"},
		{"Authorization", strings.Repeat("a", 30) + " b", "[redacted]"},
		{"Cookie", "a=b; c=d=e", "a=[redacted]; c=[redacted]"},
		{"cookie", "secret", "[redacted]"},
		{"Cookie", "a=b;;c", "a=[redacted]; ; [redacted]"},
		{"Set-Cookie", "a=b; Path=/; Domain=x.example; Max-Age=5; HttpOnly; secure; SameSite=Lax", "a=[redacted]; Path=/; Domain=x.example; Max-Age=5; HttpOnly; secure; SameSite=Lax"},
		{"set-cookie", "a=b; Expires=Wed, 21 Oct 2015 07:28:00 GMT", "a=[redacted]; Expires=Wed, 21 Oct 2015 07:28:00 GMT"},
		{"Set-Cookie", "a=b; expires=Wed, 21-Oct-15 07:28:00 GMT, c=secret", "a=[redacted]; expires=[redacted]"},
		{"Set-Cookie", "a=b; Path=/, c=secret", "a=[redacted]; Path=[redacted]"},
		{"Set-Cookie", "Path=secret; Path=/", "Path=[redacted]; Path=/"},
		{"Set-Cookie", "a=b; other=secret; Secure=secret", "a=[redacted]; other=[redacted]; Secure=[redacted]"},
		{"Set-Cookie2", "a=secret; Version=1", "a=[redacted]; Version=1"},
		{"Content-Type", "text/plain; a=b", "text/plain; a=b"},
		{"X-Authorized-by", "someone", "someone"},
		{"", "x", "x"},
	} {
		require.Equal(t, tt.want, events.Redact(tt.name, tt.value), "%s: %s", tt.name, tt.value)
	}
}

// FuzzRedact: of credentials and cookies, nothing is left but schemes, names and attributes.
func FuzzRedact(f *testing.F) {
	for _, v := range []string{"Basic x", "a=b; c=d", "a=b; Path=/; Expires=Wed, 21 Oct 2015 07:28:00 GMT", "x;y=;=z"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		const secret = "0123456789abcdef"
		for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie"} {
			require.NotContains(t, events.Redact(name, "Basic "+secret+value), secret)
			require.NotContains(t, events.Redact(name, "a="+secret+value), secret)
			require.NotContains(t, events.Redact(name, secret), secret)
			once := events.Redact(name, value)
			if name != "Authorization" && name != "Proxy-Authorization" {
				require.Equal(t, once, events.Redact(name, once))
			}
		}
	})
}
