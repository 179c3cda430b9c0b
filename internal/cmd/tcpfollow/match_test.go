package tcpfollow_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

const office = data + "flows/office.pcap.gz"

// matched is a line of match -o json.
type matched struct {
	Flow    string         `json:"flow"`
	Key     string         `json:"key"`
	Start   string         `json:"start"`
	End     string         `json:"end"`
	Vars    map[string]any `json:"vars"`
	Frames  []uint64       `json:"frames"`
	Streams []uint64       `json:"streams"`
	Events  int            `json:"events"`
	Reason  string         `json:"reason"`
}

func flows(name string) string { return data + "flows/" + name + ".yaml" }

// TestMatchExamples: each example finds what it is of among thousands of exchanges, and nothing that nearly is.
func TestMatchExamples(t *testing.T) {
	require.Contains(t, runOK(t, "http", "-o", "clf", office).stderr, "3240 requests")
	for name, want := range map[string][]matched{
		"login": {
			{
				Key: "192.0.2.101", Start: "2024-01-01T00:00:02.009Z", End: "2024-01-01T00:00:03.618Z", Events: 3,
				Vars: map[string]any{"csrf": "tok-7Q2aX9", "host": "shop.example", "path": "/login", "user": "user1", "page": "/account", "sid": "[redacted]"},
			},
			{
				Key: "2001:db8::105", Start: "2024-01-01T00:00:14.009Z", End: "2024-01-01T00:00:15.618Z", Events: 3,
				Vars: map[string]any{"csrf": "tok-V6ok77", "host": "shop.example", "path": "/login", "user": "user1", "page": "/account", "sid": "[redacted]"},
			},
		},
		"oauth": {{
			Start: "2024-01-01T00:00:03.009Z", End: "2024-01-01T00:00:03.332Z", Events: 5,
			Vars: map[string]any{"state": "st-4f81", "browser": "192.0.2.111", "app": "app.example", "issuer": "id.example", "code": "SplxlOBeZQ", "token": "2YotnFZFEj"},
		}},
		"download": {{
			Key: "192.0.2.121", Start: "2024-01-01T00:00:04.009Z", End: "2024-01-01T00:00:04.11Z", Events: 4,
			Vars: map[string]any{
				"name": "dl1.cdn.example", "from": "http://downloads.example/get/setup.iso", "to": "https://dl1.cdn.example/mirror/setup.iso?sig=1234", "address": "203.0.113.7",
				"bytes": "20005", "ja4": "t12d010100_0f2cb44170f4_000000000000",
			},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := runOK(t, "match", "-f", flows(name), "-o", "json", office)
			got := jsonLines[matched](t, r.stdout)
			require.Contains(t, r.stderr, fmt.Sprintf("%d sequence", len(want)))
			text := runOK(t, "match", "-q", "-f", flows(name), office).stdout
			require.Equal(t, len(want), strings.Count(text, "\n"))
			for i := range want {
				want[i].Flow, want[i].Reason = name, "matched"
				require.Len(t, got, len(want))
				require.NotEmpty(t, got[i].Frames)
				require.True(t, slices.IsSorted(got[i].Frames) && slices.IsSorted(got[i].Streams))
				want[i].Frames, want[i].Streams = got[i].Frames, got[i].Streams
				if name == "download" {
					want[i].Vars["stream"] = fmt.Sprint(got[i].Streams[1])
				}
				line := strings.Split(text, "\n")[i]
				require.Contains(t, line, "frames="+strings.ReplaceAll(strings.Trim(fmt.Sprint(got[i].Frames), "[]"), " ", ","))
				for name, v := range want[i].Vars {
					require.Contains(t, line, fmt.Sprint(" ", name, "=", v))
				}
			}
			require.Equal(t, want, got)
		})
	}
	shown := runOK(t, "match", "-q", "-f", flows("login"), "--no-redact", office).stdout
	require.Contains(t, shown, "sid=f00d1e5afe")
	require.NotContains(t, shown, "redacted")
}

// numbered returns the frames of a capture.
func numbered(t *testing.T, path string) []packet.Frame {
	t.Helper()
	f, err := pcapfile.Open(path, nil)
	require.NoError(t, err)
	defer f.Close()
	var all []packet.Frame
	for {
		var b packet.Batch
		err := f.ReadBatch(&b)
		for _, f := range b.Frames {
			f.Data = bytes.Clone(f.Data)
			all = append(all, f)
		}
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
	}
}

// TestMatchWrite: --write keeps the packets of the streams of matches, and no others, told by their numbers.
func TestMatchWrite(t *testing.T) {
	out := filepath.Join(t.TempDir(), "matches.pcapng")
	args := []string{"match", "-o", "json", "-f", flows("login"), "-f", flows("oauth"), "-f", flows("download"), "--write", out, office}
	r := runOK(t, args...)
	found := jsonLines[matched](t, r.stdout)
	require.Len(t, found, 4)
	require.Equal(t, 1, strings.Count(r.stderr, "frames,"), "one summary")
	type ends [2]netip.AddrPort
	wanted := map[ends]bool{}
	both := func(a, b string) {
		x, y := netip.MustParseAddrPort(a), netip.MustParseAddrPort(b)
		wanted[ends{x, y}], wanted[ends{y, x}] = true, true
	}
	rows := list(t, office)
	for _, m := range found {
		for _, s := range m.Streams {
			both(rows[s].Client, rows[s].Server)
		}
	}
	both("192.0.2.121:49153", "192.0.2.253:53") // the question of DNS, and its answer
	decoder, err := packet.NewDecoder(nil)
	require.NoError(t, err)
	numbers := map[string]uint64{}
	var want, got []uint64
	var p packet.Packet
	for _, f := range numbered(t, office) {
		id := fmt.Sprint(f.Time, string(f.Data))
		require.Zero(t, numbers[id], "two packets are the same")
		numbers[id] = f.Number
		if decoder.Decode(&f, &p); wanted[ends{p.Key.Src(), p.Key.Dst()}] {
			want = append(want, f.Number)
		}
	}
	for _, f := range numbered(t, out) {
		got = append(got, numbers[fmt.Sprint(f.Time, string(f.Data))])
	}
	require.Equal(t, want, got)
	require.Less(t, len(got), 200)
	for _, m := range found {
		for _, f := range m.Frames {
			require.Contains(t, got, f)
		}
	}
	// What was written holds the same sequences.
	again := jsonLines[matched](t, runOK(t, "match", "-q", "-o", "json", "-f", flows("login"), "-f", flows("oauth"), "-f", flows("download"), out).stdout)
	require.Len(t, again, len(found))
	for i := range again {
		require.Equal(t, found[i].Start, again[i].Start)
	}
	for _, bad := range [][]string{
		{"match", "-f", flows("login"), "--write", out, "-"},
		{"match", "-f", flows("login"), "--write", "-", office},
		{"match", "-f", flows("login"), "--write", out, "-i", "lo"},
		{"match", "-f", flows("login"), "--write", out, "--events", "-"},
		{"match", "-f", flows("login"), "--write", out, "-W", "3", office},
	} {
		require.Equal(t, cli.ExitUsage, run(bad...).code, "%q", bad)
	}
	require.Equal(t, cli.ExitError, run("match", "-q", "-f", flows("login"), "--write", out, out).code, "it is being read")
}

func TestMatchFlags(t *testing.T) {
	text := func(args ...string) string { return runOK(t, append([]string{"match", "-q"}, args...)...).stdout }
	login := []string{"-f", flows("login"), office}
	require.Equal(t, 1, strings.Count(text(append(login, "--where", `client_ip == "192.0.2.101"`)...), "\n"))
	require.Empty(t, text(append(login, "--where", `kind != "http"`)...))
	all := text(append(login, "--all")...)
	require.Contains(t, all, "login 192.0.2.104 flushed frames=")
	require.Equal(t, 2, strings.Count(all, "\n")-strings.Count(all, "flushed")-strings.Count(all, "expired"))
	require.Equal(t, text(login...), text(append(login, "--reorder", "2s")...), "an exchange after the other: by their starts, it is the same")
	require.Empty(t, text("-f", flows("oauth"), "--reorder", "2s", office), "the token comes while the callback waits")

	limited := run("match", "-f", flows("login"), "--max-open", "3", office)
	require.Equal(t, cli.ExitPartial, limited.code)
	require.Contains(t, limited.stderr, "limits reached: --max-open (")
	values := save(t, "v.yaml", []byte("flow: f\nsteps: [{match: {kind: http, status: 404}, set: {v: url}}, {match: {kind: flow}}]"))
	short := run("match", "-f", values, "--max-value", "5", "--max-events", "1", data+"web.pcap")
	require.Equal(t, cli.ExitPartial, short.code)
	require.Contains(t, short.stderr, "--max-value (1 time), --max-events (1 time)")
	require.NotContains(t, short.stdout, "v=")
	require.Contains(t, text("-f", values, data+"web.pcap"), "v=http://example.com/missing")

	for want, args := range map[string][]string{
		"no flows given":            {"match", office},
		"no such file":              {"match", "-f", "nope.yaml", office},
		`-o: "xml" is none of`:      {"match", "-f", flows("login"), "-o", "xml", office},
		"there are two flows login": {"match", "-f", flows("login"), "-f", flows("login"), office},
		"--where: filter: unknown":  {"match", "-f", flows("login"), "--where", "nope", office},
		"negative limit":            {"match", "-f", flows("login"), "--max-open", "-1", office},
		`f.yaml:1: flow f: step 1: no field "nope"; docs/events.md has them`: {"match", "-f", save(t, "f.yaml", []byte("{flow: f, steps: [{match: {nope: 1}}]}")), office},
		"no capture given":      {"match", "-f", flows("login")},
		"--state goes without":  {"match", "-f", flows("login"), "--state", "x", "--reorder", "1s", office},
		"negative limit of UDP": {"match", "-f", flows("login"), "--max-flows", "-1", office},
		"negative Limits.Body":  {"match", "-f", flows("login"), "--max-body", "-1", office},
	} {
		r := run(args...)
		require.Equal(t, cli.ExitUsage, r.code, "%q", args)
		require.Contains(t, r.stderr, want)
	}
}

// TestMatchKinds: flows are told by what connections end with, too, and by what identification says of them.
func TestMatchKinds(t *testing.T) {
	file := save(t, "f.yaml", []byte(`
flow: nothing came of it
within: 5s
steps:
  - match: {kind: http, status: 404}
    set: {stream: stream}
  - not: {kind: http, status: 200, stream: $stream}
---
flow: http
skip: one-per-key
steps:
  - match: {kind: ident, finding: http, host: '^(?P<host>.+)'}
  - match: {kind: flow, app: HTTP, ending: fin, server_name: $host}
`))
	got := jsonLines[matched](t, runOK(t, "match", "-q", "-o", "json", "-f", file, data+"web.pcap").stdout)
	names := map[string]int{}
	for _, m := range got {
		names[m.Flow]++
	}
	require.Equal(t, 1, names["nothing came of it"])
	require.Positive(t, names["http"])
}

// TestMatchDecrypted: what a key log opens is found like what is in the clear; frames out of order change nothing.
func TestMatchDecrypted(t *testing.T) {
	file := save(t, "f.yaml", []byte(`
flow: guest
key: client
steps:
  - match: {kind: ident, finding: client_hello, sni: '^(?P<name>.+)'}
  - match: {kind: http, host: $name, path: /story.txt, body: '^0001  (?P<first>\S+)'}
  - match: {path: /guestbook, form.name: '^(?P<who>.+)', request_type: '^application/x-www-form-urlencoded'}
    optional: true
  - match: {path: /guestbook, request_body: 'text=(?P<text>\w+)', body: '^Thank'}
`))
	args := []string{"match", "-q", "-o", "json", "-f", file}
	require.Empty(t, runOK(t, append(args, data+"tls/http11.pcap")...).stdout)
	got := jsonLines[matched](t, runOK(t, append(args, "--keylog", data+"tls/http11.keys", data+"tls/http11.pcap")...).stdout)
	require.Len(t, got, 1)
	require.Equal(t, map[string]any{"name": "example.com", "first": "Hello", "text": "hello"}, got[0].Vars)
}

// TestMatchShuffled: packets out of order, and captured twice, give the same sequences.
func TestMatchShuffled(t *testing.T) {
	frames := numbered(t, office)
	var trace []packet.Frame
	decoder, err := packet.NewDecoder(nil)
	require.NoError(t, err)
	data := func(f *packet.Frame) bool { // the first UDP packet, or the SYN, says who is the client
		var p packet.Packet
		decoder.Decode(f, &p)
		return p.Proto == packet.ProtoTCP && p.TCP.Flags&packet.SYN == 0
	}
	for i := 0; i+1 < len(frames); i += 2 { // neighbours change places, and every tenth comes again
		if a, b := frames[i], frames[i+1]; data(&a) && data(&b) {
			frames[i], frames[i+1] = b, a
		}
		trace = append(trace, frames[i], frames[i+1])
		if i%10 == 0 {
			trace = append(trace, frames[i])
		}
	}
	path := filepath.Join(t.TempDir(), "shuffled.pcap")
	w, err := pcapfile.Create(path, nil)
	require.NoError(t, err)
	for _, f := range trace {
		require.NoError(t, w.Write(&f))
	}
	require.NoError(t, w.Close())
	for _, name := range []string{"login", "oauth", "download"} {
		want := jsonLines[matched](t, runOK(t, "match", "-q", "-o", "json", "-f", flows(name), office).stdout)
		got := jsonLines[matched](t, runOK(t, "match", "-q", "-o", "json", "-f", flows(name), path).stdout)
		require.Len(t, got, len(want))
		for i := range got {
			delete(got[i].Vars, "stream")
			delete(want[i].Vars, "stream")
			require.Equal(t, want[i].Vars, got[i].Vars)
		}
	}
}

// TestMatchState: open flows go on in the next run.
func TestMatchState(t *testing.T) {
	whole := numbered(t, office)
	dir := t.TempDir()
	var halves [2]string
	for i, part := range [][]packet.Frame{whole[:1500], whole[1500:]} {
		halves[i] = filepath.Join(dir, fmt.Sprint(i, ".pcap"))
		w, err := pcapfile.Create(halves[i], nil)
		require.NoError(t, err)
		for _, f := range part {
			require.NoError(t, w.Write(&f))
		}
		require.NoError(t, w.Close())
	}
	state := filepath.Join(dir, "state.json")
	require.Empty(t, runOK(t, "match", "-q", "-f", flows("login"), "--state", state, halves[0]).stdout)
	first, err := os.ReadFile(state)
	require.NoError(t, err)
	require.Contains(t, string(first), "tok-7Q2aX9")
	got := jsonLines[matched](t, runOK(t, "match", "-q", "-o", "json", "-f", flows("login"), "--state", state, halves[1]).stdout)
	require.Len(t, got, 2)
	require.Equal(t, "2024-01-01T00:00:02.009Z", got[0].Start)
	require.Equal(t, 3, got[0].Events)
	require.NoError(t, os.WriteFile(state, first, 0o600))
	require.Contains(t, run("match", "-q", "-f", flows("oauth"), "--state", state, halves[1]).stderr, "a flow login that is another one now")
	require.Equal(t, cli.ExitError, run("match", "-q", "-f", flows("login"), "--state", filepath.Join(dir, "nope", "x"), office).code)
}

func TestMatchEvents(t *testing.T) {
	file := save(t, "units.yaml", []byte("flow: restart\nwithin: 60s\nkey: unit.name\nsteps:\n  - match: {state: failed}\n    set: {code: unit.exit.0}\n  - match: {state: active}\n"))
	lines := save(t, "events.jsonl", []byte(`
{"time":"2024-01-01T00:00:01Z","state":"failed","unit":{"name":"a","exit":[7]},"frame":3,"stream":1,"end":"2024-01-01T00:00:02Z"}
{"time":1704067202.5,"state":"failed","unit":{"name":"b","exit":[8]}}
not JSON
[1]
{"time":"2024-01-01T00:00:09Z","state":"active","unit":{"name":"a"},"frame":9,"last_frame":12,"stream":-1}
{"state":"active","unit":{"name":"c"}}
{"time":"soon"}
{"time":1e30}
{} {}
{"time":"2024-01-01T00:02:00Z"}
`))
	r := run("match", "-f", file, "--events", lines, "-o", "json", "--all", "-v")
	require.Equal(t, cli.ExitPartial, r.code)
	require.Contains(t, r.stderr, "line 4: ")
	require.Contains(t, r.stderr, "5 lines could not be read as events")
	require.Contains(t, r.stderr, "5 events, 1 sequence found, 1 flow without a match, 5 lines that is no object")
	got := jsonLines[matched](t, r.stdout)
	require.Equal(t, []matched{
		{Flow: "restart", Key: "a", Start: "2024-01-01T00:00:01Z", End: "2024-01-01T00:00:09Z", Vars: map[string]any{"code": "7"}, Frames: []uint64{3, 9, 12}, Streams: []uint64{1}, Events: 2, Reason: "matched"},
		{Flow: "restart", Key: "b", Start: "2024-01-01T00:00:02.5Z", End: "2024-01-01T00:00:02.5Z", Vars: map[string]any{"code": "8"}, Frames: []uint64{}, Streams: []uint64{}, Events: 1, Reason: "expired"},
	}, got)
	require.Contains(t, run("match", "-q", "-f", file, "--events", lines, "--strict").stderr, "line 4: ")
	require.Equal(t, cli.ExitError, run("match", "-f", file, "--events", "nope").code)
	for _, more := range [][]string{{office}, {"--where", "true"}, {"-i", "lo"}} {
		require.Equal(t, cli.ExitUsage, run(append([]string{"match", "-f", file, "--events", lines}, more...)...).code)
	}
	long := save(t, "long.jsonl", []byte(`{"a":"`+strings.Repeat("x", 17<<20)+`"}`))
	require.Contains(t, run("match", "-q", "-f", file, "--events", long).stderr, "has more than 16777216 bytes")

	// What http -o events prints is found as what is in the capture.
	events := save(t, "office.jsonl", []byte(runOK(t, "http", "-q", "-o", "events", "--no-redact", office).stdout))
	redirects := save(t, "r.yaml", []byte("flow: r\nwithin: 1m\nsteps:\n  - match: {status: 302, location: 'state=(?P<s>st-[^&]+)'}\n    set: {c: client_ip}\n  - match: {client_ip: $c, uri: '^/callback', status: 302}\n"))
	want := jsonLines[matched](t, runOK(t, "match", "-q", "-o", "json", "-f", redirects, office).stdout)
	require.NotEmpty(t, want)
	require.Equal(t, want, jsonLines[matched](t, runOK(t, "match", "-q", "-o", "json", "-f", redirects, "--events", events).stdout))
}
