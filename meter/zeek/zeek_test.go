package zeek_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/zeek"
	"github.com/tcpfollow/tcpfollow/packet"
)

var start = time.Date(2024, 1, 1, 0, 0, 0, 250_000_000, time.UTC).UnixNano()

var (
	hostA = netip.MustParseAddr("192.168.0.1")
	hostB = netip.MustParseAddr("198.51.100.2")
)

// segments returns a packet of TCP for each word: the sender's side, then flags, then a number of bytes of payload.
func segments(words ...string) []packet.Frame {
	var frames []packet.Frame
	for i, w := range words {
		ip, tcp := pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.TCP{Src: 1000, Dst: 80}
		if w[0] == 'b' {
			ip.Src, ip.Dst, tcp.Src, tcp.Dst = hostB, hostA, 80, 1000
		}
		size := 0
		for _, c := range w[1:] {
			switch c {
			case 'S':
				tcp.Flags |= packet.SYN
			case 'A':
				tcp.Flags |= packet.ACK
			case 'F':
				tcp.Flags |= packet.FIN
			case 'R':
				tcp.Flags |= packet.RST
			default:
				size = 10*size + int(c-'0')
			}
		}
		frames = append(frames, pktgen.Frame(start+int64(i)*1e6, pktgen.Ethernet{}, ip, tcp, pktgen.Payload(make([]byte, size))))
	}
	return frames
}

// entries returns the lines of the log without its header.
func entries(t *testing.T, frames []packet.Frame) []string {
	t.Helper()
	var out bytes.Buffer
	log := zeek.New(&out)
	cfg := meter.DefaultConfig()
	cfg.Plugins, cfg.Order = []meter.Plugin{zeek.Plugin()}, meter.OrderFirst
	m, err := meter.New(func(f *meter.Flow) { require.NoError(t, log.Write(f)) }, &cfg)
	require.NoError(t, err)
	m.FeedBatch(&packet.Batch{Frames: frames})
	require.NoError(t, m.Flush())
	require.NoError(t, log.Close())
	var lines []string
	for line := range strings.Lines(out.String()) {
		if line[0] != '#' {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// TestStates: Zeek's states of connections, and their histories.
func TestStates(t *testing.T) {
	for _, tt := range []struct{ words, state, history string }{
		{"aS", "S0", "S"},
		{"aS bAR", "REJ", "Sr"},
		{"aS bSA aA", "S1", "ShA"},
		{"aS bSA aA a5A b7A aFA bFA aA", "SF", "ShADdFfA"},
		{"aS bSA aA aFA bA", "S2", "ShAFa"},
		{"aS bSA aA bFA aA", "S3", "ShAf"},
		{"aS bSA aA aR", "RSTO", "ShAR"},
		{"aS bSA aA bR", "RSTR", "ShAr"},
		{"aS aR", "RSTOS0", "SR"},
		{"aS aFA", "SH", "SF"},
		{"a5A b5A", "OTH", "Dd"},
	} {
		t.Run(tt.state, func(t *testing.T) {
			lines := entries(t, segments(strings.Fields(tt.words)...))
			require.Len(t, lines, 1)
			fields := strings.Split(lines[0], "\t")
			require.Len(t, fields, 21)
			require.Equal(t, tt.state, fields[11])
			want := tt.history
			if tt.state == "SF" {
				want = "ShADdFf" // the last A was there before
			}
			require.Equal(t, want, fields[15])
		})
	}
}

// TestEntry: all fields of one connection.
func TestEntry(t *testing.T) {
	line := entries(t, segments("aS", "bSA", "aA", "a5A", "b70A", "aFA", "bFA"))[0]
	fields := strings.Split(line, "\t")
	require.Regexp(t, "^C[0-9A-Za-z]{17}$", fields[1])
	fields[1] = "UID"
	require.Equal(t, "1704067200.250000 UID 192.168.0.1 1000 198.51.100.2 80 tcp - 0.006000 5 70 SF T F 0 ShADdFf 4 165 3 190 -", strings.Join(fields, " "))
}

func TestOtherProtocols(t *testing.T) {
	u := pktgen.Frame(start, pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.UDP{Src: 1, Dst: 2}, pktgen.Payload("abc"))
	back := pktgen.Frame(start, pktgen.Ethernet{}, pktgen.IPv4{Src: hostB, Dst: hostA}, pktgen.UDP{Src: 2, Dst: 1}, pktgen.Payload("d"))
	icmp := pktgen.Frame(start, pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.Header{Protocol: 1, Bytes: make([]byte, 8)})
	gre := pktgen.Frame(start, pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.Header{Protocol: 47, Bytes: make([]byte, 8)})
	lines := entries(t, []packet.Frame{u, back, icmp, gre})
	require.Len(t, lines, 3)
	for i, want := range []string{"udp SF Dd", "icmp S0 -", "unknown_transport S0 -"} {
		fields := strings.Split(lines[i], "\t")
		require.Equal(t, want, fields[6]+" "+fields[11]+" "+fields[15])
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestErrors(t *testing.T) {
	require.ErrorContains(t, zeek.New(full{}).Close(), "disk is full")
	require.ErrorContains(t, zeek.New(&bytes.Buffer{}).Write(&meter.Flow{}), "not seen")
}

func ExampleLog() {
	var out bytes.Buffer
	log := zeek.New(&out)
	cfg := meter.DefaultConfig()
	cfg.Plugins = []meter.Plugin{zeek.Plugin()}
	m, err := meter.New(func(f *meter.Flow) {
		if err := log.Write(f); err != nil {
			fmt.Println(err)
		}
	}, &cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	m.FeedBatch(&packet.Batch{Frames: segments("aS", "bSA", "aA", "a5A")})
	if err := errors.Join(m.Flush(), log.Close()); err != nil {
		fmt.Println(err)
	}
	fields := strings.Split(strings.TrimSpace(out.String()[strings.LastIndex(strings.TrimSpace(out.String()), "\n"):]), "\t")
	fmt.Println(fields[2:7], fields[9:12], fields[15])
	// Output: [192.168.0.1 1000 198.51.100.2 80 tcp] [5 0 S1] ShAD
}
