package tcpfollow_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/nettest"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// capturing is the program while it captures.
type capturing struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr *bufio.Reader
}

// captureOn starts the program and waits until it captures.
func captureOn(t *testing.T, args ...string) *capturing {
	t.Helper()
	c := &capturing{cmd: program(t, args...)}
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := c.cmd.StderrPipe()
	require.NoError(t, err)
	c.stdout, c.stderr = bufio.NewReader(stdout), bufio.NewReader(stderr)
	require.NoError(t, c.cmd.Start())
	line, err := c.stderr.ReadString('\n')
	require.NoError(t, err, "%s", line)
	require.Contains(t, line, "capturing on ")
	return c
}

// interrupt ends the program and returns what it printed since.
func (c *capturing) interrupt(t *testing.T) result {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(os.Interrupt))
	return c.wait(t)
}

// wait waits for the program's end and returns what it printed since.
func (c *capturing) wait(t *testing.T) result {
	t.Helper()
	errs := make(chan string)
	go func() {
		text, _ := io.ReadAll(c.stderr)
		errs <- string(text)
	}()
	out, err := io.ReadAll(c.stdout)
	require.NoError(t, err)
	stderr := <-errs
	_ = c.cmd.Wait() // the code says it
	return result{c.cmd.ProcessState.ExitCode(), string(out), stderr}
}

// pair makes two interfaces with room for the frames of the tests.
func pair(t *testing.T) {
	t.Helper()
	nettest.Pair(t, "a0", "a1")
	nettest.IP(t, "link", "set", "a0", "mtu", "9000")
	nettest.IP(t, "link", "set", "a1", "mtu", "9000")
}

// withoutLine removes the lines that hold text.
func withoutLine(s, text string) string {
	var b bytes.Buffer
	for line := range strings.Lines(s) {
		if !strings.Contains(line, text) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestLive: every command prints of an interface what it prints of a file with the same frames.
func TestLive(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	send := nettest.NewSender(t, "a1")
	frames, _ := framesOf(t, data+"http.pcap", data+"ipv6.pcap", data+"web.pcap")
	for _, args := range [][]string{
		{"follow"},
		{"follow", "--as-captured", "--hex"},
		{"follow", "-o", "json"},
		{"follow", "--workers", "3"},
		{"follow", "--raw", "client"},
		{"ls", "-o", "json", "--digests"},
		{"ls", "-o", "csv", "--tunnels"},
		{"ls", "-o", "json", "--workers", "2"},
		{"http", "-v"},
		{"http", "-o", "json"},
		{"ident", "-o", "json"},
		{"ls", "-o", "json", "--strict"},
		{"ls", "-o", "json", "-f", "port 80"},
		{"ls", "-o", "json", "--", "tcp", "and", "ip6"},
		{"ls", "-o", "json", "-s", "100"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			recorded := filepath.Join(t.TempDir(), "recorded.pcapng")
			file := append([]string{args[0], recorded}, args[1:]...)
			records := args[0] == "ls" || args[0] == "http" || args[0] == "ident"
			if records {
				c := captureOn(t, append([]string{args[0], "-i", "a0", "-w", recorded}, args[1:]...)...)
				send.Send(t, frames...)
				got := c.interrupt(t)
				compareLive(t, run(file...), got)
				return
			}
			// A second program writes the file. Its times are not quite the same.
			other := captureOn(t, "ls", "-i", "a0", "-w", recorded)
			c := captureOn(t, append([]string{args[0], "-i", "a0"}, args[1:]...)...)
			send.Send(t, frames...)
			got := c.interrupt(t)
			require.Equal(t, 0, other.interrupt(t).code)
			want := run(file...)
			times := regexp.MustCompile(`20\d\d-[0-9:. TZ-]+`)
			want.stdout, got.stdout = times.ReplaceAllString(want.stdout, "TIME"), times.ReplaceAllString(got.stdout, "TIME")
			compareLive(t, want, got)
		})
	}
}

// compareLive checks that an interface gave what a file gives.
func compareLive(t *testing.T, want, got result) {
	t.Helper()
	require.Equal(t, want.code, got.code, got.stderr)
	require.NotEmpty(t, got.stdout)
	require.Equal(t, want.stdout, got.stdout)
	require.Contains(t, got.stderr, ", 0 dropped by the kernel\n")
	filtered := func(s string) string { // which is not known of the kernel
		before, rest, ok := strings.Cut(s, " filtered out")
		if ok {
			before = before[:strings.LastIndex(before, ", ")]
		}
		return before + rest
	}
	require.Equal(t, filtered(want.stderr), withoutLine(got.stderr, "captured on "))
}

// TestLiveReplay: 200,000 packets come as fast as they can be sent, none is dropped, and what was said is what the file
// says. The ring has room for all: how fast they are read is only logged, and what a ring of the default size drops.
func TestLiveReplay(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	const packets = 200_000
	frames := throng(packets)
	path := save(t, "throng.pcap", pktgen.Pcap(pktgen.PcapFormat{Nanoseconds: true}, frames))
	want := list(t, path)
	require.Greater(t, len(want), 1000)
	send := nettest.NewSender(t, "a1")
	replay := func(args ...string) result {
		c := captureOn(t, append([]string{"ls", "-i", "a0", "-o", "json", "--digests"}, args...)...)
		start := time.Now()
		send.Send(t, frames...)
		sent := time.Since(start)
		got := c.interrupt(t)
		t.Logf("%v: sent %.0f packets/s, all read in %v; %s", args, packets/sent.Seconds(), time.Since(start), got.stderr)
		return got
	}
	got := replay("--ring", fmt.Sprint(256<<20))
	require.Equal(t, cli.ExitOK, got.code, got.stderr)
	require.Contains(t, got.stderr, "captured on a0: 200000 frames received, 0 dropped by the kernel\n")
	require.Equal(t, want, jsonLines[row](t, got.stdout))
	got = replay()
	require.Contains(t, got.stderr, "captured on a0: 200000 frames received, ")
	if got.code == cli.ExitOK {
		require.Equal(t, want, jsonLines[row](t, got.stdout))
	}
}

// throng is so many frames of conversations that run side by side.
func throng(packets int) []packet.Frame {
	random := rand.NewChaCha8([32]byte{1})
	rnd := rand.New(random)
	var traces []pktgen.Trace
	n := 0
	for i := 0; n < packets; i++ {
		c := &pktgen.Conversation{
			ClientAddr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 40000), MSS: 600,
			Start: pktgen.Start + int64(i%100)*int64(time.Millisecond), ClientISN: rnd.Uint32(), ServerISN: rnd.Uint32(),
		}
		c.Open()
		for range 10 {
			said := make([]byte, 100+rnd.IntN(1000))
			_, _ = random.Read(said) // it does not fail
			c.Send(packet.Direction(rnd.IntN(2)), said)
		}
		trace := c.Close(packet.ClientToServer).Trace()
		n += len(trace)
		traces = append(traces, trace)
	}
	return pktgen.Merge(traces...).Frames()[:packets]
}

// TestLiveTimeouts: time passes while no packet comes, and with several workers.
func TestLiveTimeouts(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	frames := (&pktgen.Conversation{}).Open().Frames()
	for _, args := range [][]string{{"--workers", "1"}, {"--workers", "2"}, {"--strict"}} {
		c := captureOn(t, append([]string{"follow", "-i", "a0", "-o", "json", "--handshake-timeout", "1s"}, args...)...)
		nettest.NewSender(t, "a1").Send(t, frames[0]) // a SYN that nothing follows
		line, err := c.stdout.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, `"event":"open"`)
		line, err = c.stdout.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, `"reason":"timeout"`)
		got := c.interrupt(t)
		require.Equal(t, cli.ExitOK, got.code)
		require.Empty(t, got.stdout)
	}
}

// TestLiveMeter: flows of an interface are those of the file, but for their times; one ends when its time is over, without
// another packet; and counters are told.
func TestLiveMeter(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	files := []string{data + "http.pcap", data + "ipv6.pcap", data + "web.pcap"}
	frames, _ := framesOf(t, files...)
	columns := "--columns=id,expiration_id,src_ip,src_mac,src_port,dst_ip,dst_port,protocol,bidirectional_packets,src2dst_bytes,dst2src_bytes," +
		"bidirectional_stddev_ps,bidirectional_syn_packets,splt_ps,application_name,requested_server_name,user_agent,udps.src2dst_payload_bytes"
	more := []string{"--statistical-analysis", "--splt-analysis", "4", "--plugin", "payload", columns}
	for _, args := range [][]string{{"-o", "csv"}, {"-o", "json", "--workers", "2"}, {"-o", "text", "--order", "expiry"}} {
		args = append(args, more...)
		want := run(append(append([]string{"meter"}, files...), args...)...)
		require.Equal(t, cli.ExitOK, want.code, want.stderr)
		c := captureOn(t, append([]string{"meter", "-i", "a0", "-s", "9000"}, args...)...)
		nettest.NewSender(t, "a1").Send(t, frames...)
		got := c.interrupt(t)
		require.Equal(t, cli.ExitOK, got.code, got.stderr)
		require.Equal(t, want.stdout, got.stdout)
		require.Contains(t, got.stderr, ", 0 dropped by the kernel\n")
	}
	rows := filepath.Join(t.TempDir(), "rows.csv")
	c := captureOn(t, "meter", "-i", "a0", "-w", rows)
	nettest.NewSender(t, "a1").Send(t, frames...)
	got := c.interrupt(t)
	require.Equal(t, cli.ExitOK, got.code, got.stderr)
	text, err := os.ReadFile(rows)
	require.NoError(t, err)
	require.Greater(t, strings.Count(string(text), "\n"), 2)
	for _, workers := range []string{"1", "2"} {
		c := captureOn(t, "meter", "-i", "a0", "-o", "json", "--idle-timeout", "1", "--performance-report", "1", "--workers", workers)
		nettest.NewSender(t, "a1").Send(t, frames[0])
		line, err := c.stdout.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, `"bidirectional_packets":1,`)
		line, err = c.stderr.ReadString('\n')
		require.NoError(t, err)
		require.Regexp(t, `^\{"flows_expired":\d+,"packets_processed":1,"packets_ignored":0,"packets_dropped_filtered_by_kernel":0,"meters_packets_processing_balance":\[1\]\}`, line)
		require.Equal(t, cli.ExitOK, c.interrupt(t).code)
	}
}

// TestLiveSandbox: while it captures, no thread of the program has privileges, and it makes files where it was told to,
// and nowhere else, though it still belongs to root.
func TestLiveSandbox(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	frames := (&pktgen.Conversation{}).Open().Client([]byte("hello")).Frames()
	for _, open := range []bool{false, true} {
		dir := t.TempDir()
		out, link, elsewhere := filepath.Join(dir, "out"), filepath.Join(dir, "link"), filepath.Join(dir, "elsewhere")
		require.NoError(t, os.Mkdir(out, 0o700))
		require.NoError(t, os.Mkdir(elsewhere, 0o700))
		args := []string{"ls", "-i", "a0", "-w", filepath.Join(out, "x.pcapng"), "-C", "1k"}
		if open {
			args = append(args, "--no-sandbox")
		}
		c := captureOn(t, args...)
		status, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.cmd.Process.Pid))
		require.NoError(t, err)
		require.Greater(t, len(status), 1)
		for _, path := range status {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, want := range []string{"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n"} {
				require.Equal(t, !open, strings.Contains(string(text), want), "%s in %s", want, text)
			}
		}
		send := nettest.NewSender(t, "a1")
		for range 20 {
			send.Send(t, frames...)
		}
		// Then the directory is another one.
		for {
			if _, err := os.Stat(filepath.Join(out, "x-000002.pcapng")); err == nil {
				break
			}
			send.Send(t, frames...)
		}
		require.NoError(t, os.Symlink(elsewhere, link))
		require.NoError(t, unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, out, unix.RENAME_EXCHANGE))
		for range 20 {
			send.Send(t, frames...)
		}
		got := c.interrupt(t)
		files, err := os.ReadDir(elsewhere)
		require.NoError(t, err)
		if open {
			require.Equal(t, cli.ExitOK, got.code)
			require.NotEmpty(t, files)
			continue
		}
		if strings.Contains(got.stderr, "no Landlock") {
			t.Skip("this kernel has no Landlock")
		}
		require.Equal(t, cli.ExitError, got.code)
		require.Contains(t, got.stderr, "permission denied")
		require.Empty(t, files)
	}
}

// TestLiveOutputs: whatever is written while capturing can be written from within the sandbox.
func TestLiveOutputs(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	frames, _ := framesOf(t, data+"http.pcap")
	dir := t.TempDir()
	for _, args := range [][]string{
		{"follow", "--extract", filepath.Join(dir, "streams"), "--index"},
		{"http", "--extract", filepath.Join(dir, "bodies")},
		{"follow", "-w", filepath.Join(dir, "streams.pcap")},
		{"ls", "-w", filepath.Join(dir, "files", "x.pcap"), "-C", "2k", "-W", "2"},
		{"match", "-f", data + "flows/login.yaml", "--state", filepath.Join(dir, "states", "state")},
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "files"), 0o700))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "states"), 0o700))
		c := captureOn(t, append(args, "-i", "a0")...)
		nettest.NewSender(t, "a1").Send(t, frames...)
		got := c.interrupt(t)
		require.Equal(t, cli.ExitOK, got.code, "%v: %s", args, got.stderr)
	}
	for name, want := range map[string]int{"streams": 4, "files": 2, "states": 1} {
		files, err := os.ReadDir(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Len(t, files, want, name)
	}
	bodies, err := os.ReadDir(filepath.Join(dir, "bodies"))
	require.NoError(t, err)
	require.NotEmpty(t, bodies)
	got, _ := framesOf(t, filepath.Join(dir, "streams.pcap"))
	require.Len(t, got, len(frames))
}

// TestLiveUser: the program becomes who it is told to.
func TestLiveUser(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	users, err := os.ReadFile("/proc/self/uid_map")
	require.NoError(t, err)
	if f := strings.Fields(string(users)); f[len(f)-1] == "1" {
		t.Skip("the namespace has no other user")
	}
	c := captureOn(t, "ls", "-i", "a0", "-Z", "nobody")
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	require.NoError(t, err)
	require.Contains(t, string(text), "Uid:\t65534\t65534\t65534\t65534\n")
	require.Equal(t, cli.ExitOK, c.interrupt(t).code)
}

// TestLiveEnds: what ends a capture, and what is said of it.
func TestLiveEnds(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	send := nettest.NewSender(t, "a1")
	frames := (&pktgen.Conversation{}).Open().Client([]byte("hello")).Close(packet.ClientToServer).Frames()
	t.Run("count", func(t *testing.T) {
		c := captureOn(t, "ls", "-i", "a0", "-c", "5")
		send.Send(t, frames...)
		got := c.wait(t)
		require.Equal(t, cli.ExitOK, got.code)
		require.Contains(t, got.stderr, "5 frames, 1 stream, ")
	})
	t.Run("duration", func(t *testing.T) {
		require.Equal(t, cli.ExitOK, captureOn(t, "ls", "-i", "a0", "--duration", "1ms").wait(t).code)
	})
	t.Run("nobody reads", func(t *testing.T) { // the second interrupt is not needed
		c := captureOn(t, "follow", "-i", "a0", "--as-captured")
		send.Send(t, frames...)
		got := c.interrupt(t)
		require.Equal(t, cli.ExitOK, got.code)
		require.Contains(t, got.stdout, "> hello")
		require.Contains(t, got.stdout, ": fin after ")
	})
	t.Run("drops", func(t *testing.T) {
		c := captureOn(t, "ls", "-i", "a0", "--ring", "1")
		require.NoError(t, c.cmd.Process.Signal(syscall.SIGSTOP))
		big := throng(3000)
		send.Send(t, big...)
		require.NoError(t, c.cmd.Process.Signal(syscall.SIGCONT))
		got := c.interrupt(t)
		require.Equal(t, cli.ExitPartial, got.code)
		require.Contains(t, got.stderr, "captured on a0: 3000 frames received, ")
		require.Contains(t, got.stderr, "results are partial: limits reached: --ring (")
	})
	t.Run("down", func(t *testing.T) {
		c := captureOn(t, "ls", "-i", "a0", "-o", "json")
		send.Send(t, frames...)
		nettest.IP(t, "link", "set", "a0", "down")
		got := c.wait(t)
		require.Equal(t, cli.ExitError, got.code)
		require.Contains(t, got.stderr, "tcpfollow: a0: interface is down\n")
		require.Len(t, jsonLines[row](t, got.stdout), 1)
	})
}

// TestLiveRefused: without the privilege, it is said what it takes, with an exit status of its own; nothing else is
// touched.
func TestLiveRefused(t *testing.T) {
	name := "lo"
	out := filepath.Join(t.TempDir(), "x.pcap")
	cmd := program(t, "ls", "-w", out)
	if os.Geteuid() == 0 {
		if !nettest.Isolated(t) {
			return
		}
		pair(t)
		name = "a0"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Args = append(cmd.Args, "-i", name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Dir = "/"
	require.Error(t, cmd.Run())
	require.Equal(t, cli.ExitPermission, cmd.ProcessState.ExitCode(), stderr.String())
	require.Equal(t, "tcpfollow: "+name+": open packet socket: operation not permitted: capturing takes the capability CAP_NET_RAW; "+
		"run as root, or permit it for good: sudo setcap cap_net_raw,cap_net_admin+ep "+cmd.Path+"\n", stderr.String())
	require.NoFileExists(t, out)
}

// TestLiveUsage: what cannot be captured, or not so.
func TestLiveUsage(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{cli.ExitError, "nosuch0: no such interface; -D lists those there are", []string{"-i", "nosuch0"}},
		{cli.ExitUsage, `interface "a0" would be captured twice`, []string{"-i", "a0", "-i", "a0"}},
		{cli.ExitUsage, "-i captures, and \"x.pcap\" is read: only one of both can be had at a time", []string{"-i", "a0", "x.pcap"}},
		{cli.ExitUsage, "--follow goes with files", []string{"-i", "a0", "--follow"}},
		{cli.ExitUsage, "--user and --no-sandbox exclude each other", []string{"-i", "a0", "-Z", "nobody", "--no-sandbox"}},
		{cli.ExitUsage, "--user goes with -i", []string{"-Z", "nobody", "x.pcap"}},
		{cli.ExitError, `enter sandbox: look user "nosuch" up`, []string{"-i", "a0", "-Z", "nosuch"}},
		{cli.ExitUsage, "compile filter: column 1: ", []string{"-i", "a0", "--", "nonsense"}},
		{cli.ExitUsage, "compile filter: ", []string{"-i", "a0", "--", "inbound"}},
		{cli.ExitUsage, "live: negative value in configuration", []string{"-i", "a0", "--ring", "-1"}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var stderr bytes.Buffer
			cmd := program(t, append([]string{"ls"}, tt.args...)...)
			cmd.Stderr = &stderr
			require.Error(t, cmd.Run())
			require.Contains(t, stderr.String(), tt.want)
			require.Equal(t, tt.code, cmd.ProcessState.ExitCode())
		})
	}
}

func TestListInterfaces(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	pair(t)
	nettest.IP(t, "addr", "add", "192.0.2.7/24", "dev", "a0")
	nettest.IP(t, "link", "set", "a1", "down")
	for _, args := range [][]string{{"-D"}, {"ls", "-D"}, {"follow", "--list-interfaces"}} {
		got := runOK(t, args...).stdout
		require.Regexp(t, `(?m)^a0 +up +ETHERNET +192\.0\.2\.7/24$`, got)
		require.Regexp(t, `(?m)^a1 +down +ETHERNET *$`, got)
		require.Regexp(t, `(?m)^any +up +LINUX_SLL2 *$`, got)
	}
	for _, name := range []string{"a0", "a1", "any"} {
		require.Contains(t, run("__complete", "ls", "-i", "").stdout, name+"\n")
	}
}
