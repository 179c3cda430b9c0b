//go:build unix

package tcpfollow_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/cmd/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// asProgram is the variable that makes the test binary the program.
const asProgram = "TCPFOLLOW_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Run(tcpfollow.New(os.Args[1:]...), os.Args[1:], os.Stdout, os.Stderr))
	}
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// binary is the path of a copy of the program that every user may run.
var binary = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "tcpfollow")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tcpfollow")
	return path, errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, program, 0o755))
})

// program returns a command that is killed when it hangs.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// TestProgram: as a process, the program does what the package does, and writes no escape sequences where there is no terminal.
func TestProgram(t *testing.T) {
	for _, tt := range []struct {
		code int
		args []string
	}{
		{cli.ExitOK, []string{"follow", data + "http.pcap"}},
		{cli.ExitOK, []string{"ls", "-o", "json", "--digests", data + "http.pcapng"}},
		{cli.ExitPartial, []string{"ls", data + "truncated.pcap"}},
		{cli.ExitError, []string{"ls", data + "MANIFEST"}},
		{cli.ExitUsage, []string{"ls", "--nope"}},
		{cli.ExitOK, nil},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := program(t, tt.args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			cmd.Env = append(cmd.Env, "TERM=xterm-256color", "COLORTERM=truecolor", "NO_COLOR=")
			_ = cmd.Run()
			require.Equal(t, tt.code, cmd.ProcessState.ExitCode())
			got := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
			require.Equal(t, run(tt.args...), got)
			require.NotContains(t, stdout.String()+stderr.String(), "\x1b")
			require.NotContains(t, stderr.String(), "\r")
		})
	}
}

// TestClosedPipe: a reader that has seen enough ends the program without a word.
func TestClosedPipe(t *testing.T) {
	c := &pktgen.Conversation{MSS: 1000}
	path := saveTrace(t, c.Open().Client(bytes.Repeat([]byte("0123456789abcde\n"), 1<<17)).Close(packet.ClientToServer).Trace())
	for _, args := range [][]string{{"follow", path}, {"follow", "-o", "json", path}, {"follow", "--raw", "client", path}, {"follow", "--workers", "2", path}} {
		t.Run(strings.Join(args[:len(args)-1], " "), func(t *testing.T) {
			var stderr bytes.Buffer
			cmd := program(t, append(args, "-q")...)
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			_, err = bufio.NewReaderSize(stdout, 16).ReadByte()
			require.NoError(t, err)
			require.NoError(t, stdout.Close())
			_ = cmd.Wait()
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			require.True(t, status.Signaled() && status.Signal() == syscall.SIGPIPE || status.ExitStatus() == 0, "%v", cmd.ProcessState)
			require.Empty(t, stderr.String())
		})
	}
}

// TestInterrupt: on a pipe that stays open, what was captured so far is shown at once; an interrupt prints the rest and the
// summary.
func TestInterrupt(t *testing.T) {
	c := &pktgen.Conversation{}
	file := pktgen.Pcap(pktgen.PcapFormat{}, c.Open().Client([]byte("hello\n")).Frames())
	for i, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String(), func(t *testing.T) {
			var stderr bytes.Buffer
			cmd := program(t, "follow", "--as-captured", "--workers", strconv.Itoa(1+i), "-")
			cmd.Stderr = &stderr
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			defer stdin.Close()
			pipe, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			_, err = stdin.Write(file)
			require.NoError(t, err)
			stdout := bufio.NewReader(pipe)
			line, err := stdout.ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, "--- stream 0: client")
			line, err = stdout.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, "> hello\n", line)
			require.NoError(t, cmd.Process.Signal(sig))
			rest, err := io.ReadAll(stdout)
			require.NoError(t, err)
			require.NoError(t, cmd.Wait(), stderr.String())
			require.Equal(t, "--- stream 0: eof after 5 packets; client sent 6 bytes, server 0\n\n", string(rest))
			require.Equal(t, "5 frames, 1 stream, 6 bytes of payload\n", stderr.String())
		})
	}
}

// TestPermission: a file and a directory that may not be read are errors in a line.
func TestPermission(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	path, closed := filepath.Join(dir, "a.pcap"), filepath.Join(dir, "closed")
	require.NoError(t, os.WriteFile(path, []byte(read(t, data+"http.pcap")), 0))
	require.NoError(t, os.Mkdir(closed, 0))
	for _, name := range []string{path, closed, filepath.Join(closed, "a.pcap")} {
		var stdout, stderr bytes.Buffer
		cmd := program(t, "ls", name)
		cmd.Dir, cmd.Stdout, cmd.Stderr = "/", &stdout, &stderr
		if os.Geteuid() == 0 { // root may read anything
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		if err := cmd.Start(); err != nil {
			t.Skipf("cannot give up root: %v", err)
		}
		require.Error(t, cmd.Wait())
		require.Equal(t, result{cli.ExitError, "", "tcpfollow: " + name + ": permission denied\n"},
			result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()})
	}
}
