package where_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/events/where"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// event returns the event of a small exchange.
func event(t testing.TB) *events.Event {
	t.Helper()
	var got *events.Event
	p, err := httpx.New(&httpx.Config{Collect: true, OnExchange: func(e *httpx.Exchange) { got = events.New(e) }})
	require.NoError(t, err)
	c := p.Open(httpx.ConnInfo{})
	c.Data(packet.ClientToServer, 0, []byte("POST /a?q=%31 HTTP/1.1\r\nHost: www.example.com\r\nCookie: s=1\r\nContent-Length: 2\r\n\r\nhi"), reassemble.Origin{})
	c.Data(packet.ServerToClient, 0, []byte("HTTP/1.1 404 No\r\nServer: x\r\nContent-Length: 3\r\n\r\nabc"), reassemble.Origin{})
	c.Close()
	require.NotNil(t, got)
	return got
}

func TestMatch(t *testing.T) {
	e := event(t)
	for _, tt := range []struct {
		text   string
		want   bool
		bodies bool
	}{
		{`status >= 400 && host contains "example"`, true, false},
		{`status >= 500 || method == "GET"`, false, false},
		{`path == "/a" and param("q") == "1"`, true, false},
		{`host matches "^www[.]"`, true, false},
		{`header("HOST") startsWith "www" && resp_header("server") == "x"`, true, false},
		{`cookie("s") == "1"`, true, false},
		{`"gap" in flags`, false, false},
		{`len(flags) == 0 && not tunnel && answered`, true, false},
		{`body == "abc" && request_body == "hi"`, true, true},
		{`upper(body) == "ABC"`, true, true},
		{`true`, true, false},
	} {
		t.Run(tt.text, func(t *testing.T) {
			f, err := where.Compile(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.bodies, f.Bodies())
			for range 2 {
				got, err := f.Match(e)
				require.NoError(t, err)
				require.Equal(t, tt.want, got)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	for text, want := range map[string]string{
		`nope == 1`:       "filter: unknown name nope (1:1)",
		`status`:          "filter: expected bool, but got int",
		`status == "x"`:   "filter: invalid operation: == (mismatched types int and string) (1:8)",
		`status ==`:       "filter: unexpected token EOF (1:9)",
		`header(1) == ""`: "filter: cannot use int as argument (type string) to call header  (1:8)",
		``:                "filter: unexpected token EOF",
	} {
		_, err := where.Compile(text)
		require.EqualError(t, err, want, "%s", text)
	}
}

// TestMatchErrors: what fails for an event says so, and the filter goes on to work.
func TestMatchErrors(t *testing.T) {
	f, err := where.Compile(`flags[3] == "x"`)
	require.NoError(t, err)
	for range 2 {
		_, err = f.Match(event(t))
		require.ErrorContains(t, err, "filter: index out of range")
	}
}

func BenchmarkMatch(b *testing.B) {
	f, err := where.Compile(`status >= 400 && host contains "example"`)
	require.NoError(b, err)
	e := event(b)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = f.Match(e)
	}
}

func ExampleFilter() {
	f, err := where.Compile(`status >= 400 && host contains "example"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range []*events.Event{{Status: 404, Host: "www.example.com"}, {Status: 200, Host: "www.example.com"}, {Status: 500, Host: "other"}} {
		yes, err := f.Match(e)
		fmt.Println(yes, err)
	}
	// Output:
	// true <nil>
	// false <nil>
	// false <nil>
}
