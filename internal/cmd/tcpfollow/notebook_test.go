package tcpfollow_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
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

// notebookKinds are what the traffic is of: the category that dissection gives it, its port, and how much each side says.
var notebookKinds = []struct {
	category     string
	port         uint16
	hello, reply string
	more         int
}{
	{"RemoteAccess", 22, "SSH-2.0-client\r\n", "SSH-2.0-server\r\n", 400},
	{"Web", 80, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 20000},
	{"Email", 25, "EHLO client\r\n", "220 ready\r\n", 3000},
}

// notebookCapture has flows of all kinds, and says what each client's address does.
func notebookCapture(seed uint64, flows int) (data []byte, category map[string]string) {
	random := rand.New(rand.NewPCG(seed, 0))
	category = map[string]string{}
	var traces []pktgen.Trace
	for i := range flows {
		k := notebookKinds[i%len(notebookKinds)]
		client := netip.AddrFrom4([4]byte{10, byte(seed), byte(i / 250), byte(i%250 + 1)})
		category[client.String()] = k.category
		c := &pktgen.Conversation{
			ClientAddr: netip.AddrPortFrom(client, 40000), ServerAddr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), k.port),
			Start: pktgen.Start + int64(i)*1e6,
		}
		c.Open().Client([]byte(k.hello)).Server([]byte(k.reply)).Server(bytes.Repeat([]byte("x"), k.more+random.IntN(k.more)))
		traces = append(traces, c.Close(packet.ClientToServer).Trace())
	}
	return pktgen.Pcap(pktgen.PcapFormat{}, pktgen.Merge(traces...).Frames()), category
}

// TestNotebook runs docs/notebook.py, the recipe for notebooks, on flows of the meter.
func TestNotebook(t *testing.T) {
	python := os.Getenv("TCPFOLLOW_PYTHON")
	if python == "" {
		t.Skip("TCPFOLLOW_PYTHON names no Python with pandas, pyarrow and scikit-learn; .ci/run notebook makes one")
	}
	dir := t.TempDir()
	known, _ := notebookCapture(1, 120)
	unseen, category := notebookCapture(2, 60)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "known.pcap"), known, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new.pcap"), unseen, 0o600))
	for _, format := range []string{"csv", "parquet"} {
		t.Run(format, func(t *testing.T) {
			before, after := filepath.Join(dir, "known."+format), filepath.Join(dir, "new."+format)
			runOK(t, "meter", "-q", "-o", format, "-w", before, filepath.Join(dir, "known.pcap"))
			runOK(t, "meter", "-q", "-o", format, "-w", after, "--n-dissections", "0", filepath.Join(dir, "new.pcap"))
			out, err := exec.Command(python, "../../../docs/notebook.py", before, after).CombinedOutput()
			require.NoError(t, err, string(out))
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			require.Len(t, lines, len(category))
			for _, line := range lines {
				var src, dst, found string
				var sport, dport int
				_, err := fmt.Sscan(line, &src, &sport, &dst, &dport, &found)
				require.NoError(t, err, line)
				require.Equal(t, category[src], found, line)
			}
		})
	}
}
