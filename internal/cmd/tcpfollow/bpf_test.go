package tcpfollow_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

func TestBPF(t *testing.T) {
	require.Equal(t, "4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0\n", runOK(t, "bpf", "arp").stdout)
	require.Equal(t, runOK(t, "bpf", "tcp port 80").stdout, runOK(t, "bpf", "-y", "EN10MB", "tcp", "port", "80").stdout)
	require.Equal(t, "1\n6 0 0 262144\n", runOK(t, "bpf").stdout)
	require.True(t, strings.HasPrefix(runOK(t, "bpf", "-y", "linux_sll", "ip").stdout, "4\n40 0 0 14\n"))
	for _, test := range []struct {
		args   []string
		reason string
	}{
		{[]string{"bpf", "tcp", "prot", "80"}, "compile filter: column 5: "},
		{[]string{"bpf", "-y", "RAW", "arp"}, "rejects all packets"},
		{[]string{"bpf", "-y", "FDDI", "tcp"}, `no filters for link type "FDDI"`},
		{[]string{"ls", "--filter", "tcp and", data + "http.pcap"}, "end of expression"},
		{[]string{"ls", "-f", "tcp", data + "http.pcap", "--", "udp"}, "given twice"},
		{[]string{"ls", data + "http.pcap", "--", "ip", "and", "arp"}, "rejects all packets"},
		{[]string{"ls", "--", "tcp"}, "no capture given"},
	} {
		r := run(test.args...)
		require.Equal(t, cli.ExitUsage, r.code, test.args)
		require.Contains(t, r.stderr, test.reason)
		if !strings.Contains(r.stderr, "--help") {
			require.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
		}
		require.Empty(t, r.stdout)
	}
}

// twoServers writes a capture with a conversation of 10.0.0.1 with port 80 and one with port 8080.
func twoServers(t *testing.T) string {
	t.Helper()
	var traces []pktgen.Trace
	for _, port := range []string{"10.0.0.2:80", "10.0.0.2:8080"} {
		c := &pktgen.Conversation{ServerAddr: netip.MustParseAddrPort(port)}
		c.Open().Client([]byte("hello")).Server([]byte("world")).Close(packet.ClientToServer)
		traces = append(traces, c.Trace())
	}
	return saveTrace(t, pktgen.Merge(traces...))
}

func TestFilter(t *testing.T) {
	path := twoServers(t)
	all := jsonLines[row](t, runOK(t, "ls", "-o", "json", path).stdout)
	require.Len(t, all, 2)
	for _, args := range [][]string{
		{"-f", "tcp port 8080", path},
		{path, "--", "tcp", "port", "8080"},
		{"--workers", "2", path, "--", "not port 80"},
	} {
		r := runOK(t, append([]string{"ls", "-o", "json"}, args...)...)
		rows := jsonLines[row](t, r.stdout)
		require.Len(t, rows, 1)
		require.Equal(t, "10.0.0.2:8080", rows[0].Server)
		require.Equal(t, all[1].ClientBytes, rows[0].ClientBytes)
		require.Regexp(t, `\d+ frames filtered out`, r.stderr)
	}
	require.Contains(t, runOK(t, "bench", path, "--", "port 80").stdout, "bytes=10 streams=1")
	require.Empty(t, runOK(t, "follow", path, "--", "udp").stdout)
	require.Empty(t, runOK(t, "http", "-f", "udp", path).stdout)
	require.Empty(t, runOK(t, "ident", "-f", "udp", path).stdout)

	// The count is of frames that the filter leaves.
	r := runOK(t, "bench", "-c", "4", path, "--", "port 8080")
	require.Contains(t, r.stdout, "streams=1")

	// No filter is passed over for a link type that has none for it.
	frame := pktgen.Frame(pktgen.Start, pktgen.IPv4{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")}, pktgen.UDP{})
	raw := save(t, "raw.pcap", pktgen.Pcap(pktgen.PcapFormat{}, []packet.Frame{frame}))
	r = run("ls", raw, "--", "vlan")
	require.Equal(t, cli.ExitUsage, r.code)
	require.Contains(t, r.stderr, "no VLAN support for Raw IP")
	runOK(t, "ls", raw, "--", "arp")
}
