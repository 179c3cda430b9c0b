// Package nettest gives tests a network of their own: a namespace with pairs of virtual interfaces, and a way to send
// frames through them.
package nettest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcpfollow/tcpfollow/packet"
)

// inside is the variable that tells a test that it has its namespace.
const inside = "TCPFOLLOW_TEST_NAMESPACE"

// Isolated reports whether the test runs in a network namespace of its own, as root there. Where it does not, Isolated
// runs it as another process that does, and the test must return; it is skipped where namespaces are refused.
func Isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip command, from iproute2")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Skipf("network namespaces are refused: %v", err)
	}
	err := cmd.Wait()
	text := out.String()
	switch {
	case err != nil:
		t.Errorf("in its namespace: %v\n%s", err, text)
	case strings.Contains(text, "--- SKIP"):
		t.Skip(text)
	case !strings.Contains(text, "--- PASS: "+t.Name()):
		t.Errorf("did not run in its namespace:\n%s", text)
	default:
		t.Log(text)
	}
	return false
}

// Pair makes two interfaces connected with each other, both up and silent.
func Pair(t testing.TB, a, b string) {
	t.Helper()
	IP(t, "link", "add", a, "type", "veth", "peer", "name", b)
	for _, name := range []string{a, b} {
		quiet := filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
		_ = os.WriteFile(quiet, []byte("1"), 0) // where there is no IPv6, nothing is to be turned off
		IP(t, "link", "set", name, "up")
	}
}

// IP runs the ip command.
func IP(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Sender sends frames through an interface.
type Sender struct {
	fd int
}

// NewSender returns a sender for the interface of that name.
func NewSender(t testing.TB, name string) *Sender {
	t.Helper()
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatalf("find %s: %v", name, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open packet socket: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
		t.Fatalf("bind to %s: %v", name, err)
	}
	return &Sender{fd: fd}
}

// Send sends frames, each with its link-layer header.
func (s *Sender) Send(t testing.TB, frames ...packet.Frame) {
	t.Helper()
	for i := range frames {
		for {
			_, err := unix.Write(s.fd, frames[i].Data)
			if err == nil {
				break
			}
			if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				t.Fatalf("send frame %d of %d bytes: %v", i+1, len(frames[i].Data), err)
			}
		}
	}
}
