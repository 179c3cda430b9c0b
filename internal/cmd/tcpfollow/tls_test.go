package tcpfollow_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// httpMessage is a line of http -o json.
type httpMessage struct {
	Kind       string   `json:"kind"`
	Stream     uint64   `json:"stream"`
	StreamID   uint32   `json:"stream_id"`
	Frame      uint64   `json:"frame"`
	Exchange   uint64   `json:"exchange"`
	Version    string   `json:"version"`
	Method     string   `json:"method"`
	URI        string   `json:"uri"`
	Host       string   `json:"host"`
	Status     int      `json:"status"`
	BodyBytes  uint64   `json:"body_bytes"`
	BodySHA256 string   `json:"body_sha256"`
	Missing    uint64   `json:"missing"`
	Flags      []string `json:"flags"`
	Secured    bool     `json:"secured"`

	Dir        string `json:"dir"`
	Opcode     string `json:"opcode"`
	Text       string `json:"text"`
	Data       []byte `json:"data"`
	CloseCode  int    `json:"close_code"`
	Compressed bool   `json:"compressed"`
	Frames     int    `json:"frames"`
}

// String is what is compared: a line a message.
func (m httpMessage) String() string {
	s := fmt.Sprintf("%d.%d ", m.Stream, m.Exchange)
	switch m.Kind {
	case "request":
		s += fmt.Sprintf("> %s %s %s %s", m.Method, m.Host, m.URI, m.Version)
	case "response":
		s += fmt.Sprintf("< %d %s", m.Status, m.Version)
	default:
		return s + fmt.Sprintf("%s %s %q %d %v", m.Dir, m.Opcode, m.Text, m.CloseCode, m.Flags)
	}
	if m.BodyBytes > 0 {
		s += fmt.Sprintf(" %d", m.BodyBytes)
	}
	if flags := slices.DeleteFunc(slices.Clone(m.Flags), func(f string) bool { return f == "upgrade" }); len(flags) > 0 {
		s += fmt.Sprintf(" %v", flags)
	}
	return s
}

// messages runs http and returns the messages, as they are and in lines.
func messages(t *testing.T, args ...string) (list []httpMessage, lines []string) {
	t.Helper()
	list = jsonLines[httpMessage](t, runOK(t, append([]string{"http", "-o", "json"}, args...)...).stdout)
	for _, m := range list {
		lines = append(lines, m.String())
	}
	return list, lines
}

func storyDigest(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%04d  Hello from tcpfollow: one line follows another, in the order in which it was sent.\n", i+1)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// visit is what the recorded client and server say, in HTTP of a version.
func visit(stream, first int, version, flags string) []string {
	lines := []string{
		"%d.%d > GET example.com / %s", "%d.%d < 200 %s 236",
		"%d.%d > GET example.com /story.txt %s", "%d.%d < 200 %s 8900",
		"%d.%d > POST example.com /guestbook %s 25", "%d.%d < 201 %s 11",
	}
	for i := range lines {
		lines[i] = fmt.Sprintf(lines[i], stream, first+i/2, version) + flags
	}
	return lines
}

// A pcapng file with its own key log needs no other.
func TestHTTPInTLS(t *testing.T) {
	list, lines := messages(t, data+"tls/h2.pcapng")
	require.Equal(t, visit(0, 0, "HTTP/2", ""), lines)
	require.Equal(t, storyDigest(100), list[3].BodySHA256)
	for i, m := range list {
		require.True(t, m.Secured)
		require.Equal(t, uint32(2*(i/2)+1), m.StreamID)
	}
	require.Equal(t, uint64(8), list[0].Frame, "the packet with the first byte of the record")
	require.Contains(t, runOK(t, "http", data+"tls/h2.pcapng").stderr, "1 TLS connection, 1 decrypted\n")
	require.Contains(t, runOK(t, "http", data+"tls/h2.pcapng").stdout, "GET https://example.com/story.txt 200 text/plain 8900")
}

// With a key log beside the capture; what cannot be decrypted is said.
func TestKeyLogFlag(t *testing.T) {
	keys := data + "tls/http11.keys"
	list, lines := messages(t, "--keylog", keys, data+"tls/http11.pcap")
	require.Equal(t, visit(0, 0, "HTTP/1.1", ""), lines)
	require.Equal(t, storyDigest(100), list[3].BodySHA256)
	require.Contains(t, run("http", "--keylog", keys, data+"tls/http11.pcap").stderr, "2 TLS connections, 1 decrypted, 1 with trouble: unsupported cipher suite\n")

	// Without keys there is nothing to see, and nothing is invented.
	_, lines = messages(t, data+"tls/http11.pcap")
	require.Empty(t, lines)
	// With other keys as well.
	other := save(t, "other.keys", []byte(strings.ReplaceAll(read(t, keys), "CLIENT_RANDOM ", "CLIENT_RANDOM 00")))
	r := run("http", "--keylog", other, data+"tls/http11.pcap")
	require.Equal(t, cli.ExitError, r.code)
	require.Contains(t, r.stderr, "not a key log")
	r = run("http", "--keylog", save(t, "unrelated.keys", []byte("CLIENT_RANDOM "+strings.Repeat("0a", 32)+" "+strings.Repeat("0b", 48)+"\nnonsense\n")), data+"tls/http11.pcap")
	require.Equal(t, cli.ExitOK, r.code)
	require.Empty(t, r.stdout)
	require.Contains(t, r.stderr, "key logs: 1 line of another form\n")
	require.Contains(t, r.stderr, "2 TLS connections, 0 decrypted, 1 with trouble: unsupported cipher suite, 1 with trouble: no key\n")

	require.Equal(t, cli.ExitError, run("http", "--keylog", "nowhere.keys", data+"tls/http11.pcap").code)
	require.Equal(t, cli.ExitUsage, run("http", "--max-tls-held", "-1", data+"tls/http11.pcap").code)
	require.Equal(t, cli.ExitUsage, run("http", "--max-secrets", "-1", data+"tls/http11.pcap").code)
	r = run("http", "--keylog", keys, "--max-secrets", "1", data+"tls/http11.pcap")
	require.Equal(t, cli.ExitPartial, r.code)
	require.Contains(t, r.stderr, "--max-secrets (1 time)")
}

// A segment of the server is missing: its records are, and messages go on behind them.
func TestGapInTLS(t *testing.T) {
	list, lines := messages(t, data+"tls/h2-gap.pcapng")
	require.Len(t, lines, 6)
	want := visit(0, 0, "HTTP/2", "")
	require.Equal(t, want[:3], lines[:3])
	require.Contains(t, list[3].Flags, "gap")
	require.Less(t, list[3].BodyBytes, uint64(8900))
	require.Equal(t, want[4], lines[4])
	require.Equal(t, 201, list[5].Status)
	require.Equal(t, []string{"state_lost"}, list[5].Flags)
}

// TLS in a CONNECT tunnel, within one connection.
func TestTLSInTunnel(t *testing.T) {
	list, lines := messages(t, data+"tls/connect.pcapng")
	require.Equal(t, []string{"0.0 > CONNECT example.com:443 example.com:443 HTTP/1.1", "0.0 < 200 HTTP/1.1"}, lines[:2])
	require.Equal(t, visit(0, 1, "HTTP/2", ""), lines[2:])
	require.False(t, list[0].Secured)
	require.True(t, list[2].Secured)
}

func TestPlainHTTP2(t *testing.T) {
	list, lines := messages(t, data+"h2.pcap")
	require.Equal(t, []string{
		"0.0 > GET example.com / HTTP/2", "0.1 > GET example.com /story.txt HTTP/2", "0.2 > GET example.com /style.css HTTP/2 [pushed]",
		"0.0 < 200 HTTP/2 230", "0.1 < 200 HTTP/2 2670", "0.2 < 200 HTTP/2 20 [pushed]",
	}, lines)
	require.Equal(t, []uint32{1, 3, 2, 1, 3, 2}, []uint32{list[0].StreamID, list[1].StreamID, list[2].StreamID, list[3].StreamID, list[4].StreamID, list[5].StreamID})

	_, lines = messages(t, data+"h2c.pcap")
	require.Equal(t, []string{
		"0.0 > GET example.com / HTTP/1.1", "0.0 < 101 HTTP/1.1",
		"0.1 > GET example.com /hello.txt HTTP/2", "0.0 < 200 HTTP/2 230", "0.1 < 200 HTTP/2 22",
	}, lines)
}

func TestWebSocketMessages(t *testing.T) {
	list, lines := messages(t, data+"websocket.pcap")
	require.Equal(t, []string{
		"0.0 > GET example.com /chat HTTP/1.1", "0.0 < 101 HTTP/1.1",
		`0.0 server text "Hello" 0 []`, `0.0 server text "Hello" 0 []`, `0.0 server ping "ping" 0 []`, `0.0 client pong "ping" 0 []`,
		`0.0 client text "Hello" 0 []`, `0.0 server close "bye" 1000 []`, `0.0 client close "" 1000 []`,
	}, lines)
	require.True(t, list[2].Compressed)
	require.Equal(t, 2, list[6].Frames)
}
