package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// job is one line of the table.
type job struct {
	name, capture string
	dissections   string
	statistics    bool
	must          float64 // times NFStream's speed, 0 for no bar
}

// speed prints the table. Processor time is that of all processes, user and system; rows are written to a file.
func speed(program, python, dir string) error {
	scratch, err := os.MkdirTemp("", "meter")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	path, err := writeScript(scratch)
	if err != nil {
		return err
	}
	fmt.Println("| | NFStream 6.6.0 | tcpfollow meter | times | bar |")
	fmt.Println("|---|---|---|---|---|")
	for _, j := range []job{
		{"mice, statistics, no dissection", "B_mice.pcap", "0", true, 25},
		{"bulk, statistics, no dissection", "A_bulk.pcap", "0", true, 15},
		{"mice, dissection of 20 packets", "B_mice.pcap", "20", false, 10},
		{"bulk, dissection of 20 packets", "A_bulk.pcap", "20", false, 10},
	} {
		capture := filepath.Join(dir, j.capture)
		statistics := "0"
		args := []string{"meter", "-q", "--n-dissections", j.dissections, "-w", filepath.Join(scratch, "ours.csv")}
		if j.statistics {
			statistics, args = "1", append(args, "--statistical-analysis")
		}
		theirs, err := measure(python, path, scratch, j.dissections, statistics, "0", "0", capture)
		if err != nil {
			return err
		}
		ours, err := best(3, program, append(args, capture)...)
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %v | %v | %.1f | %.0f |\n", j.name, theirs, ours, theirs.cpu.Seconds()/ours.cpu.Seconds(), j.must)
	}
	mice := filepath.Join(dir, "B_mice.pcap")
	args := []string{"meter", "-q", "--n-dissections", "0", "--statistical-analysis", "-w", filepath.Join(scratch, "ours.csv")}
	first, err := best(3, program, append(args, "-c", "1000000", mice)...)
	if err != nil {
		return err
	}
	fmt.Printf("\nfirst 1,000,000 packets of the mice, statistics: %v; the bar is 80 MB\n", first)
	return softflowd(program, append(args, mice), mice)
}

// softflowd compares packet rates with those of softflowd, which computes no statistics.
func softflowd(program string, args []string, capture string) error {
	path, err := exec.LookPath("softflowd")
	if errors.Is(err, exec.ErrNotFound) {
		fmt.Println("softflowd is not installed")
		return nil
	}
	theirs, err := best(3, path, "-r", capture, "-d", "-m", "1000000")
	if err != nil {
		return err
	}
	ours, err := best(3, program, args...)
	if err != nil {
		return err
	}
	fmt.Printf("softflowd on the mice: %v; tcpfollow meter with all statistics: %v, %.1f times its speed\n", theirs, ours, theirs.cpu.Seconds()/ours.cpu.Seconds())
	return nil
}

// cost is what a run took.
type cost struct {
	cpu time.Duration
	rss int64 // KB, of the largest process
}

func (c cost) String() string { return fmt.Sprintf("%.2f s, %d MB", c.cpu.Seconds(), c.rss/1000) }

// best returns the cheapest of some runs.
func best(n int, program string, args ...string) (cost, error) {
	var least cost
	for i := range n {
		c, err := measure(program, args...)
		if err != nil {
			return cost{}, err
		}
		if i == 0 || c.cpu < least.cpu {
			least = c
		}
	}
	return least, nil
}

// measure runs a program to its end.
func measure(program string, args ...string) (cost, error) {
	cmd := exec.Command(program, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return cost{}, fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, errors.New("this system does not tell what a process took")
	}
	return cost{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Maxrss}, nil
}
