package tcpfollow_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// question is a DNS message that asks for the address of a.example.
func question() []byte {
	return append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x01a\x07example\x00\x00\x01\x00\x01"...)
}

// clientHello is a TLS record with a hello that asks for www.example.com.
func clientHello() []byte {
	const name = "www.example.com"
	ext := append([]byte{0, 0, 0, byte(len(name) + 5), 0, byte(len(name) + 3), 0, 0, byte(len(name))}, name...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 0x01, 1, 0, 0, byte(len(ext)))
	body = append(body, ext...)
	message := append([]byte{1, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 3, 1, 0, byte(len(message))}, message...)
}

// identCapture has a connection with a hello in several segments, and a datagram of each of so many clients.
func identCapture(t *testing.T, clients int) string {
	t.Helper()
	c := &pktgen.Conversation{MSS: 40}
	c.Open().Client(clientHello()).Server([]byte("not TLS")).Close(packet.ClientToServer)
	path := filepath.Join(t.TempDir(), "ident.pcap")
	out, err := os.Create(path)
	require.NoError(t, err)
	w, err := pcapfile.NewWriter(out, nil)
	require.NoError(t, err)
	frames := c.Frames()
	for i := range clients {
		key := packet.NewFlowKey(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), uint16(2000+i)), netip.MustParseAddrPort("192.0.2.53:53"), packet.ProtoUDP)
		frames = append(frames, pktgen.Frame(frames[len(frames)-1].Time+1, pktgen.Ethernet{}, pktgen.IPv4{Src: key.Src().Addr(), Dst: key.Dst().Addr()},
			pktgen.UDP{Src: key.Src().Port(), Dst: key.Dst().Port()}, pktgen.Payload(question())))
	}
	for i := range frames {
		frames[i].Number = uint64(i + 1)
		require.NoError(t, w.Write(&frames[i]))
	}
	require.NoError(t, w.Close())
	require.NoError(t, out.Close())
	return path
}

func TestIdent(t *testing.T) {
	path := identCapture(t, 2)
	rows := jsonLines[map[string]any](t, runOK(t, "ident", "-q", "-o", "json", path).stdout)
	require.Len(t, rows, 3)
	require.Equal(t, "client_hello", rows[0]["kind"])
	require.Equal(t, "www.example.com", rows[0]["sni"])
	require.Equal(t, "tcp", rows[0]["transport"])
	require.Equal(t, "192.0.2.1:49152", rows[0]["client"])
	require.Equal(t, "t12d0101", rows[0]["ja4"].(string)[:8])
	require.Equal(t, "TLS", rows[0]["app"])
	require.Equal(t, "Web", rows[0]["category"])
	require.EqualValues(t, 6, rows[0]["confidence"])
	require.Equal(t, false, rows[0]["guessed"])
	require.Equal(t, "dns", rows[1]["kind"])
	require.Equal(t, "a.example", rows[2]["query"])
	require.Equal(t, "udp", rows[2]["transport"])
	text := strings.Split(runOK(t, "ident", "-q", path).stdout, "\n")
	require.Contains(t, text[0], "tcp 192.0.2.1:49152 > 198.51.100.2:80 tls client_hello www.example.com ja4=t12d0101")

	apps := filepath.Join(t.TempDir(), "apps.tsv")
	require.NoError(t, os.WriteFile(apps, []byte("example.com\tExample\tCloud\n"), 0o600))
	rows = jsonLines[map[string]any](t, runOK(t, "ident", "-q", "-o", "json", "--apps", apps, path).stdout)
	require.Equal(t, "TLS.Example", rows[0]["app"])
	require.NoError(t, os.WriteFile(apps, []byte("example.com Example\n"), 0o600))
	require.Contains(t, run("ident", "--apps", apps, path).stderr, "line 1")

	http := jsonLines[map[string]any](t, runOK(t, "ident", "-q", "-o", "json", data+"http.pcap").stdout)
	require.Equal(t, "http", http[0]["kind"])
	require.NotEmpty(t, http[0]["host"])
}

// TestIdentHello: the segments of a hello in any order, and twice, give its name; without one of them they give none.
func TestIdentHello(t *testing.T) {
	c := &pktgen.Conversation{MSS: 20, AckEvery: -1}
	c.Open().Client(clientHello()).Close(packet.ClientToServer)
	const first, segments = 3, 4 // of the hello, behind the handshake
	require.Equal(t, segments, (len(clientHello())+19)/20)
	show := func(order ...int) []string {
		path := filepath.Join(t.TempDir(), "hello.pcap")
		frames := c.Trace().Pick(append([]int{0, 1, 2}, order...)...).Frames()
		require.NoError(t, os.WriteFile(path, pktgen.Pcap(pktgen.PcapFormat{}, frames), 0o600))
		var names []string
		for _, row := range jsonLines[map[string]any](t, runOK(t, "ident", "-q", "-o", "json", path).stdout) {
			if name, ok := row["sni"].(string); ok {
				names = append(names, name)
			}
		}
		return names
	}
	for a := range segments {
		var without []int
		for i := range segments {
			if i != a {
				without = append(without, first+i)
			}
		}
		require.Empty(t, show(without...), "without segment %d", a)
		for b := range without {
			order := append(append(append([]int(nil), without[:b]...), first+a), without[b:]...)
			require.Equal(t, []string{"www.example.com"}, show(order...), "%v", order)
			require.Equal(t, []string{"www.example.com"}, show(append(append([]int(nil), order...), order...)...), "%v twice", order)
		}
	}
}

func TestIdentEvents(t *testing.T) {
	path := identCapture(t, 2)
	rows := jsonLines[map[string]any](t, runOK(t, "ident", "-q", "-o", "events", path).stdout)
	require.Len(t, rows, 3)
	require.Equal(t, []any{"ident", "client_hello", "www.example.com", "tcp", 0.0}, []any{rows[0]["kind"], rows[0]["finding"], rows[0]["sni"], rows[0]["transport"], rows[0]["stream"]})
	require.Equal(t, []any{"dns", "a.example", "udp"}, []any{rows[1]["kind"], rows[1]["query"], rows[1]["transport"]})
	require.NotContains(t, rows[1], "stream")
	require.NotContains(t, rows[1], "method")
	for _, output := range []string{"text", "json", "events"} {
		got := runOK(t, "ident", "-q", "-o", output, "--where", `kind == "ident" && sni endsWith "example.com"`, path).stdout
		require.Equal(t, 1, strings.Count(got, "\n"), output)
		require.Contains(t, got, "www.example.com")
	}
	require.Empty(t, runOK(t, "ident", "-q", "--where", `"192.0.2.1" in answers`, path).stdout)
	require.Equal(t, cli.ExitUsage, run("ident", "--where", "nope", path).code)
	require.Equal(t, cli.ExitError, run("ident", "--where", `answers[3] == ""`, path).code)
}

func TestListEvents(t *testing.T) {
	all := jsonLines[map[string]any](t, runOK(t, "ls", "-q", "-o", "events", data+"web.pcap").stdout)
	require.Greater(t, len(all), 5)
	for i, row := range all {
		require.Equal(t, []any{"flow", float64(i), "syn", "fin"}, []any{row["kind"], row["stream"], row["opening"], row["ending"]})
	}
	for _, workers := range []string{"1", "2"} {
		rows := jsonLines[row](t, runOK(t, "ls", "-q", "-o", "json", "--workers", workers, "--where", "client_port == 49503 || server_missing > 0", data+"web.pcap").stdout)
		require.Len(t, rows, 2)
		require.Equal(t, []uint64{2, 7}, []uint64{rows[0].Stream, rows[1].Stream})
	}
	require.Equal(t, cli.ExitUsage, run("ls", "--where", "1", data+"web.pcap").code)
	require.Equal(t, cli.ExitError, run("ls", "--where", `flags[0] == ""`, data+"web.pcap").code)
}

func TestIdentLimits(t *testing.T) {
	path := identCapture(t, 3)
	r := run("ident", "-q", "--max-flows", "2", path)
	require.Equal(t, cli.ExitPartial, r.code)
	require.Contains(t, r.stderr, "1 UDP flows made room for others (--max-flows)")
	require.NotContains(t, runOK(t, "ident", "-q", "--max-bytes", "50", path).stdout, "client_hello")
	require.Equal(t, cli.ExitUsage, run("ident", "--max-bytes", "-1", path).code)
	require.Equal(t, cli.ExitUsage, run("ident", "-o", "xml", path).code)
}
