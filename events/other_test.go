package events_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/names"
	"github.com/tcpfollow/tcpfollow/packet"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:1234")
	server = netip.MustParseAddrPort("198.51.100.2:443")
)

func written(t *testing.T, e *events.Event) map[string]any {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, events.NewWriter(&b).Write(e))
	var got map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &got))
	return got
}

func TestOfFinding(t *testing.T) {
	at := time.Unix(7, 0).UTC()
	st := &appid.State{Transport: packet.ProtoTCP, Client: client, Server: server}
	f := &appid.Finding{
		Kind: appid.KindClientHello, Proto: "quic", Frame: 4, ServerName: "www.example.com", ALPN: []string{"h3", "\xff"}, JA4: "ja4", QUICVersion: 1,
		Flow: appid.Result{Master: "QUIC", App: "Example", Category: "Web", Confidence: appid.ConfidenceDPI},
	}
	e := events.OfFinding(st, f, 3, at)
	require.Equal(t, map[string]any{
		"schema": 1.0, "kind": "ident", "time": "1970-01-01T00:00:07Z", "end": "1970-01-01T00:00:07Z", "stream": 3.0, "frame": 4.0, "last_frame": 4.0, "exchange": 0.0,
		"client": "192.0.2.1:1234", "client_ip": "192.0.2.1", "client_port": 1234.0, "server": "198.51.100.2:443", "server_ip": "198.51.100.2", "server_port": 443.0,
		"transport": "tcp", "finding": "client_hello", "proto": "quic", "dir": "client", "sni": "www.example.com", "alpn": []any{"h3", `\xff`}, "ja4": "ja4",
		"quic_version": "0x00000001", "app": "QUIC.Example", "category": "Web", "confidence": 6.0,
	}, written(t, e))
	require.Equal(t, "\xff", f.ALPN[1], "it is left as it was")
	require.Equal(t, f, e.Found)
	require.Empty(t, e.Header("x")+e.ResponseHeader("x")+e.Cookie("x")+e.SetCookie("x")+e.Form("x")+string(e.Body())+string(e.RequestBody()))

	st.Transport = packet.ProtoUDP
	e = events.OfFinding(st, &appid.Finding{Kind: appid.KindDNS, Proto: "dns", Frame: 5, Query: "a.example", Answers: []string{"198.51.100.2"}, Direction: packet.ServerToClient}, 3, at)
	got := written(t, e)
	require.NotContains(t, got, "stream")
	for name, want := range map[string]any{"kind": "dns", "transport": "udp", "query": "a.example", "answers": []any{"198.51.100.2"}, "dir": "server", "app": "Unknown"} {
		require.Equal(t, want, got[name], name)
	}
}

func TestOfStream(t *testing.T) {
	i := &tcpfollow.StreamInfo{
		ID: 9, Client: client, Server: server, Start: tcpfollow.StartMid, End: tcpfollow.EndFIN, Opened: 12, First: time.Unix(1, 0).UTC(), Last: time.Unix(3, 5e8).UTC(), Packets: 8,
		Halves: [2]tcpfollow.Half{{Bytes: 10, Missing: 2}, {Bytes: 20, Conflicts: 1}},
	}
	require.Equal(t, map[string]any{
		"schema": 1.0, "kind": "flow", "time": "1970-01-01T00:00:01Z", "end": "1970-01-01T00:00:03.5Z", "stream": 9.0, "frame": 12.0, "exchange": 0.0,
		"client": "192.0.2.1:1234", "client_ip": "192.0.2.1", "client_port": 1234.0, "server": "198.51.100.2:443", "server_ip": "198.51.100.2", "server_port": 443.0,
		"transport": "tcp", "duration": 2.5, "opening": "mid", "ending": "fin", "packets": 8.0, "client_bytes": 10.0, "server_bytes": 20.0, "client_missing": 2.0, "server_conflicts": 1.0,
	}, written(t, events.OfStream(i)))
}

func TestNaming(t *testing.T) {
	table, err := names.New(nil)
	require.NoError(t, err)
	resolver := netip.MustParseAddrPort("192.0.2.53:53")
	dns := func(proto string, at int64) *events.Event {
		return events.OfFinding(&appid.State{Transport: packet.ProtoUDP, Client: client, Server: resolver}, &appid.Finding{
			Kind: appid.KindDNS, Proto: proto, Query: proto + ".example", Records: []appid.Record{{Owner: proto + ".example", Alias: "b"}, {Owner: "b", Addr: server.Addr()}},
		}, 0, time.Unix(at, 0))
	}
	hello := func(ech bool, at int64) *events.Event {
		return events.OfFinding(&appid.State{Transport: packet.ProtoTCP, Client: client, Server: server}, &appid.Finding{
			Kind: appid.KindClientHello, Proto: "tls", ServerName: "sni.example", ECH: ech,
		}, 0, time.Unix(at, 0))
	}
	flow := events.OfStream(&tcpfollow.StreamInfo{Client: server, Server: client, Last: time.Unix(100, 0)})
	for _, step := range []struct {
		event        *events.Event
		name, source string
		note         string
	}{
		{hello(true, 1), "", "", "nothing is known"},
		{dns("dns", 2), "", "", "of the resolver, nothing"},
		{hello(true, 3), "dns.example", "dns", "the name in front of an encrypted hello counts for nothing"},
		{dns("mdns", 4), "", "", ""},
		{hello(false, 5), "mdns.example", "mdns", "what the event itself says comes later"},
		{hello(false, 6), "sni.example", "sni", ""},
	} {
		step.event.Naming(table)
		require.Equal(t, []string{step.name, step.source}, []string{step.event.ServerName, step.event.ServerNameSource}, step.note)
		require.Empty(t, step.event.ClientName)
	}
	flow.Naming(table)
	require.Equal(t, "sni.example", flow.ClientName)
	list := exchanges(t, "GET / HTTP/1.1\r\nHost: host.example\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n")
	for i, want := range []string{"", "host.example"} {
		e := events.New(list[0])
		e.Naming(table)
		require.Equal(t, want, e.ServerName, i)
	}
	(&events.Event{}).Naming(table) // has no ends
	require.Equal(t, 2, table.Len())
	events.Learn(table, &appid.Finding{Kind: appid.KindHTTP, Host: "h.example"}, resolver.Addr(), time.Unix(7, 0))
	require.Equal(t, 3, table.Len())
}

func TestField(t *testing.T) {
	list := exchanges(
		t, "POST /a?x=1&y=a%20b HTTP/1.1\r\nHost: h\r\nCookie: s=1; t=2\r\nAuthorization: Basic x\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: 19\r\n\r\ncsrf=a%2Bb&user=me ",
		"HTTP/1.1 200 OK\r\nSet-Cookie: s=9; Path=/\r\nSet-Cookie: u=8\r\nContent-Length: 38\r\n\r\n"+`{"a":{"b":[1,"x",null,[2]]},"c.d":true}`[:38],
		"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 44\r\n\r\n"+`{"a":{"b":[1.50,"x",null,[2]]},"c.d":true}  `, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]",
	)
	require.Len(t, list, 2)
	form, doc := events.New(list[0]), events.New(list[1])
	dns := &events.Event{Answers: []string{"a", "b"}, Informational: []int{100, 103}, ECH: true, Time: time.Unix(1, 0).UTC()}
	for _, tc := range []struct {
		name         string
		event        *events.Event
		want         []string
		body, secret bool
	}{
		{"method", form, []string{"POST"}, false, false},
		{"status", form, []string{"200"}, false, false},
		{"stream", form, []string{"7"}, false, false},
		{"sni", form, nil, false, false},
		{"ech", dns, []string{"true"}, false, false},
		{"ttfb", form, []string{"0.01"}, false, false},
		{"answers", dns, []string{"a", "b"}, false, false},
		{"informational", dns, []string{"100", "103"}, false, false},
		{"time", dns, []string{"1970-01-01T00:00:01Z"}, false, false},
		{"query.y", form, []string{"a b"}, false, false},
		{"query.z", form, nil, false, false},
		{"form.csrf", form, []string{"a+b"}, true, false},
		{"form.user", form, []string{"me "}, true, false},
		{"form.a", doc, nil, true, false},
		{"header.HOST", form, []string{"h"}, false, false},
		{"header.authorization", form, []string{"Basic x"}, false, true},
		{"resp.header.set-cookie", form, []string{"s=9; Path=/", "u=8"}, false, true},
		{"cookie.t", form, []string{"2"}, false, true},
		{"set-cookie.u", form, []string{"8"}, false, true},
		{"set-cookie.v", form, nil, false, true},
		{"request_body", form, []string{"csrf=a%2Bb&user=me "}, true, false},
		{"body", doc, []string{"[1]"}, true, false},
		{"resp.json.0", doc, []string{"1"}, true, false},
		{"resp.json.1", doc, nil, true, false},
		{"json.a.b", doc, []string{"1.50", "x"}, true, false},
		{"json.a.b.3.0", doc, []string{"2"}, true, false},
		{"json.a", doc, nil, true, false},
		{"json.a.b.x", doc, nil, true, false},
		{"json.c.d", doc, []string{"true"}, true, false},
		{"json.c.d.e", doc, nil, true, false},
		{"resp.json.a", form, nil, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := events.NewField(tc.name)
			require.NoError(t, err)
			require.Equal(t, tc.want, f.Values(tc.event, nil))
			require.Equal(t, []string{"kept"}, f.Values(&events.Event{}, []string{"kept"})[:1])
			require.Equal(t, []bool{tc.body, tc.secret}, []bool{f.Body, f.Secret})
		})
	}
	for _, name := range []string{"", "nope", "-", "header.", "cookie", "Method"} {
		_, err := events.NewField(name)
		require.ErrorContains(t, err, "no field", name)
	}
	require.Equal(t, []string{"2.5"}, events.JSONValues(2.5, "", nil))
}

// FuzzField: whatever a body holds, a path finds the same in it each time, and the event is left as it was.
func FuzzField(f *testing.F) {
	f.Add(`{"a":{"b":[1,"x"]}}`, "a.b.0")
	f.Add(`a=1&b=%zz`, "a")
	f.Fuzz(func(t *testing.T, body, path string) {
		var v any
		if json.Unmarshal([]byte(body), &v) == nil {
			once := events.JSONValues(v, path, nil)
			require.Equal(t, once, events.JSONValues(v, path, nil))
			require.Equal(t, append([]string{"kept"}, once...), events.JSONValues(v, path, []string{"kept"}))
		}
		e := &events.Event{Query: body}
		if got := e.Param(path); got != "" {
			require.Contains(t, body, "=")
		}
		require.Equal(t, body, e.Query)
	})
}

// TestDocumented: the documentation has every field, and no other.
func TestDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/events.md")
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(b), "## Fields")
	list, _, _ = strings.Cut(list, "\n## ")
	documented := map[string]bool{}
	for row := range strings.Lines(list) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 {
			continue
		}
		for i, word := range strings.Split(cells[1], "`") {
			if i%2 == 1 {
				documented[word] = true
			}
		}
	}
	require.Greater(t, len(documented), 80)
	for name := range documented {
		_, err := events.NewField(name)
		require.NoError(t, err, name)
	}
	for _, name := range fieldNames() {
		require.True(t, documented[name], "%s is not in docs/events.md", name)
	}
}
