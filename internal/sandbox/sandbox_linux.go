package sandbox

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	capability "kernel.org/pub/linux/libs/security/libcap/cap"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Enter gives up all but what cfg keeps, for all threads and for good. Files that are open stay so. What the kernel
// cannot do is left out, and told; any other failure is an error, after which the program should not go on.
func Enter(cfg Config) (Report, error) {
	var become *user.User
	if cfg.User != "" {
		var err error
		if become, err = find(cfg.User); err != nil {
			return Report{}, err
		}
	}
	if _, _, err := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); err != 0 {
		return Report{}, fmt.Errorf("forgo new privileges: %w", err)
	}
	report, err := restrict(cfg.Directories)
	if err != nil {
		return report, err
	}
	// Dropped from the bounding set as well, which takes a capability itself: whoever has it not has little to drop.
	for c := capability.Value(0); c < capability.MaxBits(); c++ {
		if err := capability.DropBound(c); err != nil {
			break
		}
	}
	if become != nil {
		if err := setUser(become); err != nil {
			return report, fmt.Errorf("become user %s: %w", cfg.User, err)
		}
	}
	if err := capability.NewSet().SetProc(); err != nil {
		return report, fmt.Errorf("drop capabilities: %w", err)
	}
	return report, nil
}

// restrict closes the file system.
func restrict(directories []string) (Report, error) {
	version, err := ll.LandlockGetABIVersion()
	if err != nil || version < 1 {
		return Report{}, nil //nolint:nilerr // a kernel without Landlock, or one where it is turned off
	}
	report := Report{Landlock: version}
	const rights = ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSMakeReg | ll.AccessFSRemoveFile
	var rules []landlock.Rule
	if len(directories) > 0 {
		rules = append(rules, landlock.PathAccess(rights, directories...))
	}
	if err := landlock.V10.BestEffort().Restrict(rules...); err != nil {
		return report, fmt.Errorf("close the file system: %w", err)
	}
	return report, nil
}

// find looks a user up, by name or number.
func find(name string) (*user.User, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		if byID, idErr := user.LookupId(name); idErr == nil {
			return byID, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look user %q up: %w", name, err)
	}
	return u, nil
}

// setUser becomes a user; package syscall does so in all threads.
func setUser(u *user.User) error {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}
