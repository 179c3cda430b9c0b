package tcpfollow_test

import (
	"fmt"
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

// loopback writes a capture of BSD loopback with a frame of IPv6 from port 1000, as macOS has it, and one of IPv4.
func loopback(t *testing.T, name string, big bool) string {
	t.Helper()
	four, six := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()
	frames := []packet.Frame{
		pktgen.Frame(pktgen.Start, pktgen.Null{BigEndian: big}, pktgen.IPv6{Src: six, Dst: six}, pktgen.TCP{Src: 1000, Dst: 80, Flags: packet.SYN}),
		pktgen.Frame(pktgen.Start, pktgen.Null{BigEndian: big}, pktgen.IPv4{Src: four, Dst: four}, pktgen.TCP{Src: 1001, Dst: 80, Flags: packet.SYN}),
	}
	if strings.HasSuffix(name, "ng") {
		return save(t, name, pktgen.Pcapng(pktgen.PcapngFormat{BigEndian: big}, frames))
	}
	return save(t, name, pktgen.Pcap(pktgen.PcapFormat{BigEndian: big}, frames))
}

// TestFilterLoopback: the address families of files are those of the machines that captured, in their byte order.
func TestFilterLoopback(t *testing.T) {
	little, big, ng := loopback(t, "little.pcap", false), loopback(t, "big.pcap", true), loopback(t, "big.pcapng", true)
	for _, files := range [][]string{{little}, {big}, {ng}, {little, big, ng, little}} {
		for expr, server := range map[string]string{"ip6": "[::1]:80", "ip": "127.0.0.1:80"} {
			r := runOK(t, append([]string{"ls", "-o", "json", "-f", expr}, files...)...)
			rows := jsonLines[row](t, r.stdout)
			require.NotEmpty(t, rows, expr)
			for _, r := range rows {
				require.Equal(t, server, r.Server)
			}
			require.Regexp(t, fmt.Sprintf(`, %d frames? filtered out`, len(files)), r.stderr)
		}
	}

	families := func(args ...string) (list []string) {
		for l := range strings.Lines(runOK(t, append([]string{"bpf"}, append(args, "ip6")...)...).stdout) {
			if f := strings.Fields(l); f[0] == "21" {
				list = append(list, f[3])
			}
		}
		return list
	}
	require.Equal(t, []string{"167772160"}, families("-y", "NULL"), "10, little-endian")
	require.ElementsMatch(t, []string{"24", "28", "30"}, families("-r", big))
	require.ElementsMatch(t, []string{"24", "28", "30"}, families("-r", ng))
	require.ElementsMatch(t, []string{"402653184", "469762048", "503316480"}, families("-r", little))

	empty := pktgen.Pcapng(pktgen.PcapngFormat{}, nil)
	for _, test := range []struct {
		code   int
		args   []string
		reason string
	}{
		{cli.ExitUsage, []string{"-r", big, "-y", "NULL", "ip"}, "--linktype cannot go with it"},
		{cli.ExitUsage, []string{"-r", big, "arp"}, "rejects all packets"},
		{cli.ExitError, []string{"-r", big + ".none", "ip"}, "no such file"},
		{cli.ExitError, []string{"-r", save(t, "empty.pcapng", empty), "ip"}, "no interface in it"},
	} {
		r := run(append([]string{"bpf"}, test.args...)...)
		require.Equal(t, test.code, r.code, r.stderr)
		require.Contains(t, r.stderr, test.reason)
		require.Empty(t, r.stdout)
	}
}
