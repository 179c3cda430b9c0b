package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

func talk() *pktgen.Conversation {
	c := &pktgen.Conversation{AckEvery: -1}
	return c.Open().Client([]byte("ab")).Server([]byte("c")).HalfClose(packet.ClientToServer)
}

// sameTalk is what the harness prints for talk.
const sameTalk = `V 1 192.0.2.1 49152 198.51.100.2 80 2 0 0 0
O 1 0
V 2 198.51.100.2 80 192.0.2.1 49152 18 0 1 0
V 3 192.0.2.1 49152 198.51.100.2 80 16 1 1 0
V 4 192.0.2.1 49152 198.51.100.2 80 24 1 1 2
D 4 0 2 0 9f797dcebd01de21
V 5 198.51.100.2 80 192.0.2.1 49152 24 1 3 1
D 5 0 2 1 565bf89eb946478f
V 6 192.0.2.1 49152 198.51.100.2 80 17 3 2 0
E 6 0 2 1 565bf89eb946478f
V 7 198.51.100.2 80 192.0.2.1 49152 16 2 4 0
`

func compare(t *testing.T, frames []packet.Frame, output string) *report {
	t.Helper()
	theirs, err := parse([]byte(output))
	require.NoError(t, err)
	ours, err := followCompat(frames)
	require.NoError(t, err)
	var r report
	r.add("talk", ours, theirs)
	return &r
}

func TestSame(t *testing.T) {
	r := compare(t, talk().Frames(), sameTalk)
	require.Empty(t, r.differences)
	require.Equal(t, 1, r.streams)
	require.Equal(t, 3, r.events)
	var b strings.Builder
	require.NoError(t, r.write(&b))
	require.Equal(t, "1 captures, 7 frames, 7 of them with TCP. The same: 1 streams with 3 callbacks.\n"+
		"Different: 0 streams, 0 of them without a known cause.\n", b.String())
}

// Any change of what the other side did shows.
func TestDifferencesShow(t *testing.T) {
	for change, want := range map[string]string{
		"D 4 0 2 0->D 4 0 1 0":                             "ours: data in frame 4 with 2 and 0 bytes; libtins: data in frame 4 with 1 and 0 bytes",
		"9f797dcebd01de21->1":                              "ours: data in frame 4 with 2 and 0 bytes; libtins: data in frame 4 with 2 and 0 bytes",
		"D 5 0 2 1 565bf89eb946478f\n->":                   "ours: data in frame 5 with 2 and 1 bytes; libtins: end in frame 6 with 2 and 1 bytes",
		"E 6 0 2 1 565bf89eb946478f\n->":                   "ours: end in frame 6 with 2 and 1 bytes; libtins: nothing",
		"E 6->D 6 0 2 1 0\nE 6":                            "ours: end in frame 6 with 2 and 1 bytes; libtins: data in frame 6 with 2 and 1 bytes",
		"V 7->V 8 1.1.1.1 1 2.2.2.2 2 2 0 0 0\nO 8 1\nV 7": "only libtins has the stream",
	} {
		t.Run(want, func(t *testing.T) {
			from, to, _ := strings.Cut(change, "->")
			require.Contains(t, sameTalk, from)
			r := compare(t, talk().Frames(), strings.Replace(sameTalk, from, to, 1))
			require.Len(t, r.differences, 1)
			require.Equal(t, want, r.differences[0].what)
			if !strings.Contains(change, "1.1.1.1") {
				require.Equal(t, unknown, r.differences[0].cause)
				require.Equal(t, 1, r.unexplained)
			}
			var b strings.Builder
			require.NoError(t, r.write(&b))
			require.Contains(t, b.String(), want)
		})
	}
	r := compare(t, talk().Frames(), "")
	require.Equal(t, []difference{{"talk", 1, "only ours has the stream", "libtins finds no TCP in Ethernet/IPv4/TCP"}}, r.differences)
}

func TestCauses(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	v6 := &pktgen.Conversation{ClientAddr: netip.MustParseAddrPort("[2001:db8::1]:1000"), ServerAddr: netip.MustParseAddrPort("[2001:db8::2]:80")}
	whole := talk().Trace()
	for want, test := range map[string]struct {
		frames []packet.Frame
		output string
	}{
		"libtins does not look into IPv6":          {v6.Open().Frames(), ""},
		"libtins does not look into tunnel: VXLAN": {whole.Wrap(pktgen.Ethernet{}, pktgen.IP(a, b), pktgen.UDP{}, pktgen.VXLAN{}).Frames(), ""},
		"libtins takes the outer addresses and the inner ports, tunnel: IPv4": {
			whole.Relink(pktgen.Ethernet{}, pktgen.IP(a, b)).Frames(), "V 1 10.0.0.1 49152 10.0.0.2 80 2 0 0 0\n",
		},
		"libtins cannot take the frame apart: Malformed packet": {whole.Frames(), "X 1 Malformed packet\n"},
		"payload of another length":                             {whole.Frames(), strings.Replace(sameTalk, "80 24 1 1 2\nD 4 0 2 0 9f797dcebd01de21", "80 24 1 1 3\nD 4 0 3 0 1", 1)},
		"another header":                                        {whole.Frames(), strings.Replace(sameTalk, "80 24 1 1 2\nD 4", "80 24 7 1 2\nD 6", 1)},
	} {
		t.Run(want, func(t *testing.T) {
			r := compare(t, test.frames, test.output)
			require.NotEmpty(t, r.differences)
			require.Equal(t, want, r.differences[0].cause)
			require.Zero(t, r.unexplained)
		})
	}
	t.Run("fragments", func(t *testing.T) {
		big := (&pktgen.Conversation{}).Open().Client(make([]byte, 1000))
		frames := big.Trace().Fragment(3, 400).Frames()
		output := strings.Join(strings.SplitAfter(sameTalk, "\n")[:4], "")
		r := compare(t, frames, output)
		require.Equal(t, "libtins does not look into IP fragments", r.differences[0].cause)
	})
	t.Run("not TCP to us", func(t *testing.T) {
		frames := talk().Frames()
		frames[3].Data[14] = 0x55 // the IP version
		r := compare(t, frames, sameTalk)
		require.Contains(t, r.differences[0].cause, "not TCP to us: ")
	})
}

func TestParseErrors(t *testing.T) {
	for _, line := range []string{
		"Z 1", "V", "V x", "V 1 nobody 1 1.1.1.1 1 1 1 1 1", "V 1 1.1.1.1 1 nobody 1 1 1 1 1", "V 1 1.1.1.1 1 1.1.1.1", "O 1 x", "D 1 0 1 1",
		"D 1 7 1 1 0",
	} {
		_, err := parse([]byte(line + "\n"))
		require.Error(t, err, line)
	}
}

// TestHarness runs the real thing, where libtins is installed.
func TestHarness(t *testing.T) {
	if _, err := os.Stat("/usr/include/tins/tcp_stream.h"); err != nil {
		t.Skip("needs libtins-dev")
	}
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("needs g++")
	}
	harness := filepath.Join(t.TempDir(), "follow")
	require.NoError(t, build(harness))
	theirs, err := follow(harness, talk().Frames())
	require.NoError(t, err)
	want, err := parse([]byte(sameTalk))
	require.NoError(t, err)
	require.Equal(t, want, theirs)
	var b strings.Builder
	unexplained, err := run(harness, []string{"../../../testdata"}, 50, &b)
	require.NoError(t, err)
	require.Zero(t, unexplained, b.String())
	require.Contains(t, b.String(), "testdata/ipv6.pcap: 1")
	_, err = run(harness, []string{"missing"}, 0, &b)
	require.Error(t, err)
	_, err = run(filepath.Join(t.TempDir(), "none"), []string{"../../../testdata/http.pcap"}, 0, &b)
	require.Error(t, err)
}
