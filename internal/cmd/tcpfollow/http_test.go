package tcpfollow_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// httpRow is a line of http -o json.
type httpRow struct {
	Kind          string      `json:"kind"`
	Stream        uint64      `json:"stream"`
	Frame         uint64      `json:"frame"`
	Exchange      uint64      `json:"exchange"`
	Version       *string     `json:"version"`
	Method        *string     `json:"method"`
	URI           *string     `json:"uri"`
	Host          *string     `json:"host"`
	UserAgent     *string     `json:"user_agent"`
	Status        *int        `json:"status"`
	Reason        *string     `json:"reason"`
	ContentType   string      `json:"content_type"`
	ContentLength *int        `json:"content_length"`
	Headers       [][2]string `json:"headers"`
	BodyBytes     int         `json:"body_bytes"`
	BodySHA256    string      `json:"body_sha256"`
	WireBodyBytes int         `json:"wire_body_bytes"`
	Flags         []string    `json:"flags"`
	File          string      `json:"file"`
	Opcode        string      `json:"opcode"`
	Text          *string     `json:"text"`
	Data          []byte      `json:"data"`
}

func httpRows(t *testing.T, args ...string) []httpRow {
	t.Helper()
	return jsonLines[httpRow](t, runOK(t, append([]string{"http", "-q", "-o", "json"}, args...)...).stdout)
}

func TestHTTPGolden(t *testing.T) {
	web, one := data+"web.pcap", data+"http.pcap"
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"http", []string{web, one}},
		{"http-headers", []string{"-v", web}},
		{"http-color", []string{"--color", "always", web}},
		{"http-json", []string{"-o", "json", web}},
		{"http-json-gap", []string{"-o", "json", one}},
		{"http-events", []string{"-o", "events", web}},
		{"http-har", []string{"-o", "har", web}},
		{"http-clf", []string{"-o", "clf", web}},
		{"http-combined", []string{"-o", "combined", web}},
		{"http-zeek", []string{"--zeek", web}},
		{"http-zeek-json", []string{"--zeek", "-o", "json", web}},
		{"http-format", []string{"--format", `{time}\t{client} {method} {{{uri}}} {status} {ttfb} {flags} {header:User-Agent} {resp_header:content-TYPE} {header:cookie}`, web}},
		{"http-where", []string{"--where", "status == 404 || tunnel", web}},
		{"http-grep", []string{"--grep", "HELLO|(?i)tcpfollow", web}},
		{"http-snaplen", []string{"-v", data + "snaplen.pcap"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runOK(t, append([]string{"http"}, tt.args...)...)
			var args []string
			for _, a := range tt.args {
				args = append(args, strings.TrimPrefix(a, data))
			}
			golden(t, tt.name, fmt.Sprintf("$ tcpfollow http %s\n%s== standard error\n%s", strings.Join(args, " "), r.stdout, strings.ReplaceAll(r.stderr, data, "")))
		})
	}
}

// TestHTTPFields: a line of http -o json has every field that scripts rely on, of the right type.
func TestHTTPFields(t *testing.T) {
	seen := 0
	for _, path := range captures(t) {
		for _, r := range jsonLines[httpRow](t, run("http", "-o", "json", path).stdout) {
			if r.Kind == "websocket" {
				continue
			}
			seen++
			require.Positive(t, r.Frame)
			require.NotNil(t, r.Version)
			require.NotNil(t, r.Headers)
			require.NotNil(t, r.Flags)
			require.Equal(t, r.BodyBytes > 0, r.BodySHA256 != "", "%s", path)
			switch r.Kind {
			case "request":
				require.NotNil(t, r.Method)
				require.NotNil(t, r.URI)
				require.NotNil(t, r.Host)
				require.NotNil(t, r.UserAgent)
				require.Nil(t, r.Status)
			case "response":
				require.NotNil(t, r.Status)
				require.NotNil(t, r.Reason)
				require.Nil(t, r.Method)
			default:
				require.Failf(t, "unknown kind", "%v", r)
			}
		}
	}
	require.Greater(t, seen, 150)
}

// TestHTTPPairs: in every capture that holds the small conversation, it is one exchange.
func TestHTTPPairs(t *testing.T) {
	sum := sha256.Sum256([]byte("Hello from tcpfollow.\n"))
	for _, path := range captures(t) {
		if !strings.Contains(path, "/links/") && !strings.Contains(path, "/tunnels/") {
			continue
		}
		rows := httpRows(t, path)
		require.Len(t, rows, 2, "%s", path)
		require.Equal(t, "GET", *rows[0].Method)
		require.Equal(t, 200, *rows[1].Status)
		require.Equal(t, rows[0].Exchange, rows[1].Exchange)
		require.Equal(t, hex.EncodeToString(sum[:]), rows[1].BodySHA256)
		require.Empty(t, rows[1].Flags)
	}
}

// TestHTTPOrder: the messages of a stream come in the order in which they start.
func TestHTTPOrder(t *testing.T) {
	for _, path := range []string{data + "web.pcap", data + "http.pcap"} {
		last := map[uint64]uint64{}
		for _, r := range httpRows(t, path) {
			require.LessOrEqual(t, last[r.Stream], r.Frame, "%s stream %d", path, r.Stream)
			last[r.Stream] = r.Frame
		}
	}
	path := says(t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n", "defghi")
	rows := httpRows(t, path)
	require.Equal(t, "request", rows[0].Kind, "though it ends later")
	require.Equal(t, 9, rows[0].BodyBytes)
}

// TestHTTPText: whatever bytes there are, the lines are JSON and say which.
func TestHTTPText(t *testing.T) {
	path := says(t, "GET /\xe9\\x HTTP/1.1\r\nHost: gr\u00fc\u00dfe\r\nX: \x1b\xff\r\n\r\n", "")
	rows := httpRows(t, path)
	require.Equal(t, `/\xe9\x5cx`, *rows[0].URI)
	require.Equal(t, "grüße", *rows[0].Host)
	require.Equal(t, [2]string{"X", "\x1b\\xff"}, rows[0].Headers[1])
	text := runOK(t, "http", "-q", "-v", path).stdout
	require.NotContains(t, text, "\x1b")
	require.Contains(t, text, `> X: \x1b\xff`)
	for _, output := range []string{"clf", "combined", "zeek", "har", "events"} {
		require.NotContains(t, runOK(t, "http", "-q", "-o", output, path).stdout, "\x1b", output)
	}
	require.NotContains(t, runOK(t, "http", "-q", "--format", "{header:x}", path).stdout, "\x1b")
}

func TestHTTPWhere(t *testing.T) {
	web := data + "web.pcap"
	for _, tt := range []struct {
		where string
		want  []string
	}{
		{`status >= 400 && host contains "example"`, []string{"/missing"}},
		{`method == "HEAD"`, []string{"/missing"}},
		{`not answered`, []string{"/2.txt", "/4.txt"}},
		{`"cl_te" in flags`, []string{"/front"}},
		{`any(flags, # startsWith "http0")`, []string{"/old.html"}},
		{`param("q") == "a b"`, []string{"/private/?q=a%20b&lang=en"}},
		{`cookie("theme") == "dark"`, []string{"/private/?q=a%20b&lang=en"}},
		{`header("upgrade") == "websocket"`, []string{"/chat"}},
		{`resp_header("location") != ""`, []string{"/upload"}},
		{`body matches "^two"`, []string{"/two"}},
		{`request_body contains "notes.txt"`, []string{"/upload"}},
		{`version == "HTTP/2"`, []string{"/two"}},
		{`informational == [100]`, []string{"/upload"}},
		{`ttfb > 0.003 && stream == 0`, []string{"/private/?q=a%20b&lang=en", "/missing"}},
		{`time < date("2024-01-01T00:00:01.010Z")`, []string{"/private/?q=a%20b&lang=en"}},
		{`client_port in 49502..49503 and method == "GET"`, []string{"/a.txt", "/b.txt"}},
		{`false`, []string{}},
	} {
		t.Run(tt.where, func(t *testing.T) {
			got := []string{}
			for _, r := range httpRows(t, "--where", tt.where, web) {
				if r.Kind == "request" {
					got = append(got, *r.URI)
				}
			}
			require.Equal(t, tt.want, got)
			for _, output := range []string{"text", "events", "clf", "zeek"} { // it holds for every form
				n := 0
				for line := range strings.Lines(runOK(t, "http", "-q", "-o", output, "--where", tt.where, web).stdout) {
					if !strings.HasPrefix(line, "#") && !strings.Contains(line, "WEBSOCKET") {
						n++
					}
				}
				require.Equal(t, len(tt.want), n, output)
			}
		})
	}
}

func TestHTTPGrep(t *testing.T) {
	web := data + "web.pcap"
	rows := httpRows(t, "--grep", "Private", web)
	require.Len(t, rows, 2, "though the body is coded")
	require.Equal(t, "/private/?q=a%20b&lang=en", *rows[0].URI)
	require.Len(t, httpRows(t, "--grep", `filename="\.\./notes`, web), 3, "request bodies count, and the 100 belongs to it")
	require.Empty(t, httpRows(t, "--grep", "nowhere", web))
	require.Empty(t, httpRows(t, "--grep", "Private", "--where", "status == 404", web), "both hold")
	many := says(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"+strings.Repeat("needle \x1b[2J in a line\r\n", 30))
	text := runOK(t, "http", "-q", "--grep", "needle", many).stdout
	require.Equal(t, 10, strings.Count(text, `< needle \x1b[2J in a line`))
	require.True(t, strings.HasSuffix(text, "< ...\n"))
	long := says(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n"+strings.Repeat("x", 5000)+"needle"+strings.Repeat("y", 5000))
	require.Less(t, len(runOK(t, "http", "-q", "--grep", "needle", long).stdout), 400)
}

// TestHTTPRedact: no form of output shows a secret, unless it is asked for.
func TestHTTPRedact(t *testing.T) {
	secrets := []string{"dXNlcjpzZWNyZXQ=", "secret", "0123456789", "9876543210"}
	for _, args := range [][]string{
		{"-v"},
		{"-o", "json"},
		{"-o", "events"},
		{"-o", "har"},
		{"-o", "clf"},
		{"-o", "combined"},
		{"--zeek"},
		{"--zeek", "-o", "json"},
		{"--format", "{header:authorization} {header:Cookie} {resp_header:set-cookie}"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			out := runOK(t, append(append([]string{"http", "-q"}, args...), data+"web.pcap")...).stdout
			for _, s := range secrets {
				require.NotContains(t, out, s)
			}
		})
	}
	web := data + "web.pcap"
	all := runOK(t, "http", "-q", "-v", "--no-redact", web).stdout
	require.Contains(t, all, "> Authorization: Basic dXNlcjpzZWNyZXQ=\n> Cookie: sid=0123456789; theme=dark\n")
	require.Contains(t, all, "< Set-Cookie: sid=9876543210; Path=/; HttpOnly\n")
	require.Contains(t, runOK(t, "http", "-q", "--zeek", "--no-redact", web).stdout, "\tuser\tsecret\t")
	require.Contains(t, runOK(t, "http", "-q", "-o", "clf", "--no-redact", web).stdout, "192.0.2.9 - user [")
	require.Contains(t, runOK(t, "http", "-q", "-v", web).stdout, "> Authorization: Basic [redacted]\n> Cookie: sid=[redacted]; theme=[redacted]\n")
	require.Len(t, httpRows(t, "--where", `cookie("sid") == "0123456789"`, web), 2, "filters see them")
}

func TestHTTPExtract(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	rows := httpRows(t, "--extract", dir, data+"web.pcap", data+"http.pcap")
	names := map[string]bool{}
	for _, r := range rows {
		require.Equal(t, r.BodyBytes > 0, r.File != "", "%v", r)
		if r.File == "" {
			continue
		}
		names[r.File] = true
		b, err := os.ReadFile(filepath.Join(dir, r.File))
		require.NoError(t, err)
		sum := sha256.Sum256(b)
		require.Equal(t, r.BodySHA256, hex.EncodeToString(sum[:]))
		fi, err := os.Stat(filepath.Join(dir, r.File))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	}
	for _, want := range []string{"private", "a.txt", "b.txt", "request-upload", "upload", "inside", "old.html", "story.txt", "request-guestbook"} {
		require.True(t, names[want], "%s in %v", want, names)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, len(names))

	again := httpRows(t, "--extract", dir, data+"web.pcap")
	require.Equal(t, "private-2", again[1].File, "what is there stays")
	text := runOK(t, "http", "-q", "--extract", t.TempDir(), data+"web.pcap").stdout
	require.Contains(t, text, "\n> request-upload  652 bytes\n< upload  8 bytes\n")

	some := t.TempDir()
	httpRows(t, "--extract", some, "--where", "status == 201", data+"web.pcap")
	entries, err = os.ReadDir(some)
	require.NoError(t, err)
	require.Len(t, entries, 2, "filters hold for files")

	few := t.TempDir()
	r := run("http", "--extract", few, "--max-files", "3", data+"web.pcap")
	require.Equal(t, cli.ExitPartial, r.code)
	require.Contains(t, r.stderr, "--max-files (")
	entries, err = os.ReadDir(few)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	require.Equal(t, cli.ExitError, run("http", "--extract", save(t, "file", nil), data+"web.pcap").code)
}

// TestHTTPHostileNames: whatever a thousand messages call their bodies, each gets a file of its own in the directory,
// and nothing else is touched.
func TestHTTPHostileNames(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "out")
	require.NoError(t, os.Mkdir(dir, 0o700))
	outside := filepath.Join(parent, "outside")
	require.NoError(t, os.WriteFile(outside, []byte("untouched"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(parent, filepath.Join(dir, "up")))

	odd := []string{
		"../../outside", `..\..\outside`, "/etc/passwd", "link", "up", "up/outside", "up%2foutside", "%2e%2e%2foutside", ".", "..", "...", "", " ", "~", "~root",
		".bashrc", "-rf", "--help", "a\x00b", "a\nb", "a\x1b[2Jb", "CON", "con.txt", "nul", "LPT1.png", "COM9", "aux.h", "C:\\x", "c:", "a:b", "a|b", "a?b*", "<a>",
		"'; rm -rf '", "$(touch x)", "`x`", "%s%n", "a%zz", "%00", "\xff\xfe", "\u202egpj.exe", "\u2215etc", "e\u0301", "é", "Case", "case", "CASE",
		strings.Repeat("x", 5000), strings.Repeat("../", 1000) + "outside", strings.Repeat("a.", 200), "a.", "a..", "a ", "_", "__", "a__b", "tab\tb", "x.tar.gz", "index.html", "out", "private",
	}
	c := (&pktgen.Conversation{MSS: 60_000}).Open()
	for i := range 1000 {
		name := odd[i%len(odd)]
		if i/len(odd)%2 == 1 {
			c.Client(fmt.Appendf(nil, "GET /d HTTP/1.1\r\nHost: a\r\n\r\n"))
			c.Server(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"%s\"\r\nContent-Length: 4\r\n\r\n%04d", strings.NewReplacer("\n", "", `"`, "").Replace(name), i))
			continue
		}
		target := strings.NewReplacer("\n", "%0a", " ", "%20").Replace(name)
		c.Client(fmt.Appendf(nil, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", target))
		c.Server(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04d", i))
	}
	rows := httpRows(t, "--extract", dir, saveTrace(t, c.Close(packet.ClientToServer).Trace()))
	require.Len(t, rows, 2000)
	seen := map[string]bool{}
	for _, r := range rows {
		if r.Kind == "request" {
			continue
		}
		require.Regexp(t, `^[0-9A-Za-z][0-9A-Za-z._-]{0,110}$`, r.File)
		require.False(t, seen[strings.ToLower(r.File)], "%s is another one's", r.File)
		seen[strings.ToLower(r.File)] = true
		fi, err := os.Lstat(filepath.Join(dir, r.File))
		require.NoError(t, err)
		require.True(t, fi.Mode().IsRegular())
		require.Equal(t, int64(4), fi.Size())
	}
	require.Len(t, seen, 1000)
	b, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "untouched", string(b))
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestHTTPUsage(t *testing.T) {
	for _, tt := range []struct {
		stderr string
		args   []string
	}{
		{`-o: "xml" is none of text, json, events, har, clf, combined, zeek`, []string{"-o", "xml"}},
		{"--where: filter: unknown name foo", []string{"--where", "foo == 1"}},
		{"--where: filter: expected bool", []string{"--where", "status"}},
		{"--where: filter: unexpected token", []string{"--where", "status =="}},
		{"--grep: error parsing regexp", []string{"--grep", "("}},
		{`--format: "nope" is no field; there are schema, kind, time,`, []string{"--format", "{nope}"}},
		{"--format: no } behind", []string{"--format", "{time"}},
		{"--format: no { in front of", []string{"--format", "time}"}},
		{"--format goes with neither -o nor --zeek", []string{"--format", "{time}", "-o", "json"}},
		{"--format goes with neither -o nor --zeek", []string{"--format", "{time}", "--zeek"}},
		{"--zeek goes with -o json only", []string{"--zeek", "-o", "har"}},
		{"--color:", []string{"--color", "blue"}},
		{"--max-files: must be positive", []string{"--max-files", "0"}},
		{"config: negative Limits.Line", []string{"--max-header-line", "-1"}},
		{"no capture given", nil},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			args := append([]string{"http"}, tt.args...)
			if tt.args != nil {
				args = append(args, data+"web.pcap")
			}
			r := run(args...)
			require.Equal(t, cli.ExitUsage, r.code, r.stderr)
			require.Contains(t, r.stderr, tt.stderr)
			require.Empty(t, r.stdout)
		})
	}
}

// TestHTTPLimits: every limit has a flag, and reaching it is said and ends with 3.
func TestHTTPLimits(t *testing.T) {
	get := "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
	ok := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + strings.Repeat("x", 100)
	bomb := "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + string(gzipOf(noise(3<<19)))
	two := says(t, get, ok)
	for _, tt := range []struct{ path, flag, value, also string }{
		{two, "--max-header", "20", ""},
		{two, "--max-header-line", "15", ""},
		{two, "--max-header-fields", "1", ""},
		{two, "--max-body", "10", "--grep=x"},
		{two, "--max-total-body", "10", "-o=har"},
		{says(t, get, bomb), "--max-ratio", "1", ""},
		{says(t, get, bomb), "--max-decoded", "1000000", ""},
		{says(t, get, bomb), "--max-decoders", "1000", ""},
		{says(t, get, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, br\r\nContent-Length: 3\r\n\r\nabc"), "--max-codings", "1", ""},
		{says(t, get+get+get), "--max-pending", "1", ""},
		{says(t, get+get+get), "--max-total-pending", "1", ""},
		{says(t, get, "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 100 x\r\n\r\n"+ok), "--max-interim", "1", "-o=json"},
		{data + "web.pcap", "--max-header-table", "1", ""},
		{data + "web.pcap", "--max-http2-frame", "1", ""},
	} {
		t.Run(tt.flag, func(t *testing.T) {
			args := []string{"http"}
			if tt.also != "" {
				args = append(args, tt.also)
			}
			runOK(t, append(args, tt.path)...)
			r := run(append(args, tt.flag, tt.value, tt.path)...)
			if tt.flag == "--max-header-table" { // it is what the sender may use, and costs nothing by itself
				require.Equal(t, cli.ExitOK, r.code)
				return
			}
			require.Equal(t, cli.ExitPartial, r.code, r.stderr)
			require.Contains(t, r.stderr, tt.flag)
		})
	}
	tunnel := says(t, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"+strings.Repeat("x", 5000))
	for _, flag := range []string{"--max-held", "--max-total-held"} {
		runOK(t, "http", tunnel)
		r := run("http", flag, "1000", tunnel)
		require.Equal(t, cli.ExitPartial, r.code)
		require.Contains(t, r.stderr, flag)
	}
	late := says(t, strings.Repeat("junk\r\n", 500)+get)
	require.Contains(t, runOK(t, "http", "-q", late).stdout, "GET http://a/")
	require.Empty(t, runOK(t, "http", "-q", "--max-scan", "1000", late).stdout)
}

// noise returns n bytes that are compressed to about half.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(r.IntN(16))
	}
	return b
}

// TestHTTPWebSocket: messages are shown with their exchange, or not at all.
func TestHTTPWebSocket(t *testing.T) {
	path := data + "web.pcap"
	text := runOK(t, "http", "-q", "--where", "status == 101", path).stdout
	require.Equal(t, 5, strings.Count(text, "\n"))
	require.Contains(t, text, "192.0.2.9:49505 > 198.51.100.2:80 WEBSOCKET text 6 Hello?\n")
	require.Contains(t, text, "198.51.100.2:80 > 192.0.2.9:49505 WEBSOCKET close 2 1000\n")
	rows := httpRows(t, "--where", "status == 101", path)
	require.Len(t, rows, 6)
	require.Equal(t, "Hello!", *rows[3].Text)
	require.Equal(t, "close", rows[4].Opcode)
	rows = httpRows(t, "--grep", "Hello!", path)
	require.Len(t, rows, 1, "of a WebSocket connection, the messages that match")
	require.Zero(t, rows[0].Exchange)
	require.NotContains(t, runOK(t, "http", "-q", "--where", "status == 200", path).stdout, "WEBSOCKET")
}

// TestHTTPEmpty: of what holds no HTTP, nothing is printed but what the form needs.
func TestHTTPEmpty(t *testing.T) {
	path := data + "refused.pcap"
	for _, output := range []string{"text", "json", "events", "clf", "combined"} {
		require.Empty(t, runOK(t, "http", "-q", "-o", output, path).stdout)
	}
	require.True(t, json.Valid([]byte(runOK(t, "http", "-q", "-o", "har", path).stdout)))
	require.True(t, strings.HasSuffix(runOK(t, "http", "-q", "--zeek", path).stdout, "\n#close\t1970-01-01-00-00-00\n"))
}

// TestHTTPOpen: messages do not wait without end for one that is not over.
func TestHTTPOpen(t *testing.T) {
	c := (&pktgen.Conversation{MSS: 60_000}).Open()
	c.Client([]byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1500)))
	c.Server([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	rows := httpRows(t, saveTrace(t, c.Close(packet.ServerToClient).Trace()))
	require.Len(t, rows, 1501)
	seen := map[uint64]int{}
	for _, r := range rows {
		seen[r.Exchange]++
	}
	require.Len(t, seen, 1500)
}
