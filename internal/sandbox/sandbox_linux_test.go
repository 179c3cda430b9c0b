package sandbox_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/sandbox"
)

// asInmate is the variable that makes the test binary enter the sandbox, keeping the directories that it names.
const asInmate = "TCPFOLLOW_TEST_INMATE"

func TestMain(m *testing.M) {
	if keep := os.Getenv(asInmate); keep != "" {
		if err := inmate(keep); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// inmate enters the sandbox and prints a line for each thing that it tries there.
func inmate(keep string) error {
	for range 5 {
		go func() { // a thread of its own, so that there are some
			runtime.LockOSThread()
			select {}
		}()
	}
	kept, err := os.Create(filepath.Join(keep, "open"))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(keep)
	if err != nil {
		return err
	}
	report, err := sandbox.Enter(sandbox.Config{Directories: []string{keep}, User: os.Getenv("TCPFOLLOW_TEST_USER")})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "landlock", report.Landlock > 0)
	fmt.Fprintln(os.Stdout, "landlock net", report.Landlock >= 4)
	try := func(what string, err error) {
		switch {
		case err == nil:
			fmt.Fprintln(os.Stdout, what, "yes")
		case errors.Is(err, fs.ErrPermission):
			fmt.Fprintln(os.Stdout, what, "refused")
		default:
			fmt.Fprintln(os.Stdout, what, err)
		}
	}
	_, err = kept.WriteString("still")
	try("write open file", err)
	try("make file", os.WriteFile(filepath.Join(keep, "new"), []byte("x"), 0o600))
	f, err := root.OpenFile("rooted", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	try("make file in root", errors.Join(err, f.Close()))
	try("remove file", os.Remove(filepath.Join(keep, "new")))
	_, err = os.ReadFile(filepath.Join(keep, "open"))
	try("read kept", err)
	_, err = os.ReadFile("/etc/passwd")
	try("read", err)
	_, err = os.ReadDir("/")
	try("list", err)
	try("make elsewhere", os.WriteFile(filepath.Join(filepath.Dir(keep), "elsewhere"), nil, 0o600))
	try("run", exec.Command(os.Args[0]).Run())
	_, err = net.Dial("tcp", "127.0.0.1:9")
	try("connect", err)
	fmt.Fprintln(os.Stdout, "that is all")
	_, err = io.Copy(io.Discard, os.Stdin) // the parent looks at the process
	return err
}

// enter runs an inmate, and returns what it found, and what the system says of each of its threads.
func enter(t *testing.T, user string) (found map[string]string, threads []map[string]string) {
	t.Helper()
	dir := t.TempDir()
	keep := filepath.Join(dir, "keep")
	require.NoError(t, os.Mkdir(keep, 0o777))
	for _, open := range []string{filepath.Dir(dir), dir, keep} { // to the user
		require.NoError(t, os.Chmod(open, 0o777))
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asInmate+"="+keep, "TCPFOLLOW_TEST_USER="+user)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	found = map[string]string{}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "that is all" {
		i := strings.LastIndexByte(lines.Text(), ' ')
		found[lines.Text()[:i]] = lines.Text()[i+1:]
	}
	status, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	require.NoError(t, err)
	for _, path := range status {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		thread := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			thread[name] = strings.TrimSpace(value)
		}
		threads = append(threads, thread)
	}
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait())
	return found, threads
}

// TestEnter: from the sandbox, nothing is reached but what was open and what is kept, and no thread has a capability.
func TestEnter(t *testing.T) {
	root := os.Geteuid() == 0
	for _, user := range []string{"", "nobody", "65534"} {
		t.Run(user, func(t *testing.T) {
			if user != "" && !root {
				t.Skip("becoming another user takes root")
			}
			found, threads := enter(t, user)
			require.Greater(t, len(threads), 5)
			for _, th := range threads {
				for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
					require.Equal(t, "0000000000000000", th[set], set)
				}
				if root {
					require.Equal(t, "0000000000000000", th["CapBnd"])
				}
				require.Equal(t, "1", th["NoNewPrivs"])
				if user != "" {
					require.Equal(t, "65534\t65534\t65534\t65534", th["Uid"])
					require.Equal(t, "65534\t65534\t65534\t65534", th["Gid"])
					require.Equal(t, "65534", th["Groups"])
				}
			}
			require.Equal(t, "yes", found["write open file"])
			require.Equal(t, "yes", found["make file"])
			require.Equal(t, "yes", found["make file in root"])
			require.Equal(t, "yes", found["remove file"])
			if found["landlock"] == "false" {
				t.Skip("this kernel has no Landlock: what is closed cannot be looked at")
			}
			for _, what := range []string{"read kept", "read", "list", "make elsewhere", "run"} {
				require.Equal(t, "refused", found[what], what)
			}
			if found["landlock net"] == "true" {
				require.Equal(t, "refused", found["connect"])
			}
		})
	}
}

func TestEnterNoSuchUser(t *testing.T) {
	_, err := sandbox.Enter(sandbox.Config{User: "no such user"})
	require.ErrorContains(t, err, `look user "no such user" up`)
}
