package tcpfollow_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommonLog(t *testing.T) {
	for _, tt := range []struct{ request, response, common, combined string }{
		{
			"GET /a?b HTTP/1.1\r\nHost: h\r\nReferer: http://r/\r\nUser-Agent: ua 1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
			`192.0.2.1 - - [01/Jan/2024:00:00:00 +0000] "GET /a?b HTTP/1.1" 200 2`, ` "http://r/" "ua 1.0"`,
		},
		{
			"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 304 Not Modified\r\n\r\n",
			`192.0.2.1 - - [01/Jan/2024:00:00:00 +0000] "GET / HTTP/1.0" 304 -`, ` "-" "-"`,
		},
		{
			"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: a\"b\\c\x1b\xff\r\n\r\n", "",
			`192.0.2.1 - - [01/Jan/2024:00:00:00 +0000] "GET / HTTP/1.1" - -`, ` "-" "a\"b\\c\x1b\xff"`,
		},
		{
			"GET /\" HTTP/1.1\r\nHost: h\r\nAuthorization: Basic dSBzZXI6cHc=\r\n\r\n", "HTTP/1.1 20 x\r\nContent-Length: 0\r\n\r\n",
			`192.0.2.1 - - [01/Jan/2024:00:00:00 +0000] "GET /\" HTTP/1.1" 020 -`, ` "-" "-"`,
		},
		{"GET /old\r\n", "text", `192.0.2.1 - - [01/Jan/2024:00:00:00 +0000] "GET /old" - 4`, ` "-" "-"`},
	} {
		path := says(t, tt.request, tt.response)
		require.Equal(t, tt.common+"\n", runOK(t, "http", "-q", "-o", "clf", path).stdout)
		require.Equal(t, tt.common+tt.combined+"\n", runOK(t, "http", "-q", "-o", "combined", path).stdout)
	}
	path := says(t, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic dSBzZXI6cHc=\r\n\r\n", "")
	require.Contains(t, runOK(t, "http", "-q", "-o", "clf", "--no-redact", path).stdout, `192.0.2.1 - u\x20ser [`)
	for _, value := range []string{"Basic", "Basic !", "Bearer dTpw", ""} {
		path := says(t, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: "+value+"\r\n\r\n", "")
		require.Contains(t, runOK(t, "http", "-q", "-o", "clf", "--no-redact", path).stdout, `192.0.2.1 - - [`, "%q", value)
	}
	path = says(t, "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	require.Contains(t, runOK(t, "http", "-q", "-o", "clf", path).stdout, `] "-" 200 -`)
}

// zeekRow returns the only entry of a log, by column.
func zeekRow(t *testing.T, path string, args ...string) map[string]string {
	t.Helper()
	var names, values []string
	for line := range strings.Lines(runOK(t, append(append([]string{"http", "-q", "--zeek"}, args...), path)...).stdout) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case columns[0] == "#fields":
			names = columns[1:]
		case !strings.HasPrefix(line, "#"):
			require.Nil(t, values, "one entry")
			values = columns
		}
	}
	require.Len(t, values, len(names))
	row := map[string]string{}
	for i, name := range names {
		row[name] = values[i]
	}
	return row
}

func TestZeek(t *testing.T) {
	path := says(
		t, "POST /a\tb HTTP/1.1\r\nHost: -\r\nOrigin: o\\x\r\nReferer: (empty)\r\nUser-Agent: \xff\r\nVia: 1.1 p, 1.1 q\r\nX-Forwarded-For: f\r\nContent-Length: 2\r\n\r\nhi",
		"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 O,K\r\nContent-Disposition: attachment; filename=\"a,b.txt\"\r\nContent-Length: 6\r\n\r\n<html>",
	)
	row := zeekRow(t, path)
	for name, want := range map[string]string{
		"id.orig_h": "192.0.2.1", "id.orig_p": "49152", "id.resp_h": "198.51.100.2", "id.resp_p": "80", "trans_depth": "1", "method": "POST",
		"host": `\x2d`, "uri": `/a\x09b`, "referrer": `\x28empty)`, "version": "1.1", "user_agent": `\xff`, "origin": `o\x5cx`,
		"request_body_len": "2", "response_body_len": "6", "status_code": "200", "status_msg": "O,K", "info_code": "100", "info_msg": "Go on",
		"tags": "(empty)", "username": "-", "password": "-", "proxied": `VIA -> 1.1 p\x2c 1.1 q,X-FORWARDED-FOR -> f`,
		"orig_fuids": "-", "orig_filenames": "-", "orig_mime_types": "text/plain", "resp_filenames": `a\x2cb.txt`, "resp_mime_types": "text/html",
	} {
		require.Equal(t, want, row[name], name)
	}
	require.Regexp(t, `^C[0-9A-Za-z]{17}$`, row["uid"])
	require.Regexp(t, `^1704067200\.\d{6}$`, row["ts"])

	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(runOK(t, "http", "-q", "--zeek", "-o", "json", path).stdout), &object))
	require.Equal(t, "/a\tb", object["uri"])
	require.Equal(t, row["uid"], object["uid"])
	require.EqualValues(t, 80, object["id.resp_p"])
	require.Equal(t, []any{}, object["tags"])
	require.Equal(t, `\xff`, object["user_agent"])
	require.NotContains(t, object, "username")

	row = zeekRow(t, says(t, "", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
	require.Equal(t, []string{"-", "-", "-", "500"}, []string{row["method"], row["uri"], row["version"], row["status_code"]})
	row = zeekRow(t, says(t, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: basic dTpwOnc=\r\n\r\n", ""), "--no-redact")
	require.Equal(t, []string{"u", "p:w", "-"}, []string{row["username"], row["password"], row["status_code"]})
}

// TestZeekUID: entries of one connection have the same identifier, those of others another.
func TestZeekUID(t *testing.T) {
	ids := map[string]map[string]bool{}
	for line := range strings.Lines(runOK(t, "http", "-q", "--zeek", data+"web.pcap").stdout) {
		if columns := strings.Split(line, "\t"); !strings.HasPrefix(line, "#") {
			if ids[columns[1]] == nil {
				ids[columns[1]] = map[string]bool{}
			}
			ids[columns[1]][columns[3]] = true
		}
	}
	require.Len(t, ids, 9)
	for id, ports := range ids {
		require.Len(t, ports, 1, "%s", id)
	}
}

// TestTemplate: every field of an event can be had, and braces, tabs and line ends as well.
func TestTemplate(t *testing.T) {
	path := says(t, "GET /a HTTP/1.1\r\nHost: h\r\nX: \x1b\r\n\r\n", "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\n\r\nok")
	for template, want := range map[string]string{
		"{method} {url}":              "GET http://h/a",
		`{{{method}}}\t\\{status}\n-`: "{GET}\t\\200\n-",
		"{header:x}|{header:nope}":    `\x1b|-`,
		"{resp_header:SERVER}":        "s",
		"{flags}{answered}{bytes}":    "controltrue2",
		"{informational}":             "-",
		"{ttfb}":                      "0.002000",
		"{time}":                      "2024-01-01T00:00:00.003000Z",
		"plain":                       "plain",
	} {
		require.Equal(t, want+"\n", runOK(t, "http", "-q", "--format", template, path).stdout, "%s", template)
	}
	var event map[string]any
	require.NoError(t, json.Unmarshal([]byte(runOK(t, "http", "-q", "-o", "events", path).stdout), &event))
	for name := range event {
		require.NotEmpty(t, runOK(t, "http", "-q", "--format", "{"+name+"}", path).stdout, name)
	}
	two := says(t, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 200\nContent-Length: 0\r\n\r\n")
	require.Equal(t, "100,103 bare_lf\n", runOK(t, "http", "-q", "--format", "{informational} {flags}", two).stdout)
}

// TestHTTPLine: a line an exchange, whatever there is of it.
func TestHTTPLine(t *testing.T) {
	for _, tt := range []struct{ request, response, want string }{
		{"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/html ; x=y\r\nContent-Length: 2\r\n\r\nok", "GET http://h/a 200 text/html 2 0.002000s"},
		{"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "", "GET http://h/a - - - -"},
		{"", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "- - 200 - 0 0.000000s"},
		{"GET /\x1b HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: \x07\r\nContent-Length: 0\r\n\r\n", `GET http://h/\x1b 200 \x07 0 0.002000s [bad_target control]`},
	} {
		line := runOK(t, "http", "-q", says(t, tt.request, tt.response)).stdout
		require.True(t, strings.HasSuffix(line, fmt.Sprintf(" 192.0.2.1:49152 > 198.51.100.2:80 %s\n", tt.want)), "%s", line)
	}
}
