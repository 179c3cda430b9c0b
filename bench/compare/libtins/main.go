// Command libtins follows captures with libtins' TCPStreamFollower and with this module's CompatLibtins, and lists every
// difference with its cause.
//
//	go run ./libtins [-harness PROGRAM] [-random N] FILE|DIRECTORY...
//
// With -random it also makes captures of its own, of random segments that overlap, wrap, contradict and end each other.
//
// The harness, harness/follow.cpp, is built with g++ unless one is given: Debian's libtins-dev, libpcap-dev and g++. The exit
// status is 1 when a difference has no known cause.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func main() {
	harness := flag.String("harness", "", "the built harness; empty builds it from libtins/harness/follow.cpp")
	random := flag.Int("random", 0, "how many random captures to compare")
	flag.Parse()
	unexplained, err := run(*harness, flag.Args(), *random, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "libtins:", err)
		os.Exit(2)
	}
	if unexplained > 0 {
		os.Exit(1)
	}
}

// run compares all captures and writes the report. It returns how many streams differ without a known cause.
func run(harness string, paths []string, random int, w io.Writer) (unexplained int, err error) {
	if harness == "" {
		dir, err := os.MkdirTemp("", "libtins")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		harness = filepath.Join(dir, "follow")
		if err := build(harness); err != nil {
			return 0, err
		}
	}
	var r report
	for _, path := range paths {
		files, err := captures(path)
		if err != nil {
			return 0, err
		}
		for _, file := range files {
			frames, err := read(file)
			name, _ := filepath.Rel(filepath.Dir(path), file)
			if err != nil {
				r.unread = append(r.unread, err.Error())
			}
			if err := r.compare(harness, name, frames); err != nil {
				return 0, err
			}
		}
	}
	for seed := range random {
		if err := r.compare(harness, fmt.Sprintf("random %d", seed), segments(uint64(seed))); err != nil {
			return 0, err
		}
	}
	return r.unexplained, r.write(w)
}

// compare follows frames on both sides.
func (r *report) compare(harness, name string, frames []packet.Frame) error {
	theirs, err := follow(harness, frames)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	ours, err := followCompat(frames)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.add(name, ours, theirs)
	return nil
}

// segments makes a capture of three connections whose segments come in any order, overlap and contradict each other,
// with sequence numbers around 2^32 and 2^31.
func segments(seed uint64) []packet.Frame {
	rnd := rand.New(rand.NewPCG(seed, 0))
	var ops []byte
	for n := range byte(3) {
		for _, side := range []byte{0, 32} {
			ops = append(ops, n<<6|side|9, 0, 0, 0) // SYN, SYN+ACK
		}
	}
	for range 400 {
		op := byte(rnd.Uint32())
		if end := op & 31; end >= 13 && end <= 17 && rnd.IntN(8) > 0 {
			op &^= 31 // fewer ends
		}
		ops = append(ops, op, byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32()))
	}
	var frames []packet.Frame
	for _, fed := range enginetest.Segments(ops, true) {
		t := fed.TCP
		fr := pktgen.Segment(t.Time, fed.Key.Src(), fed.Key.Dst(), pktgen.TCP{Seq: t.Seq, Ack: t.Ack, Flags: t.Flags, Urgent: t.Urgent}, t.Payload)
		fr.Number = uint64(len(frames) + 1)
		frames = append(frames, fr)
	}
	return frames
}

// build compiles the harness.
func build(to string) error {
	source := "libtins/harness/follow.cpp"
	if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
		source = "harness/follow.cpp"
	}
	out, err := exec.Command("g++", "-O2", "-std=c++11", "-o", to, source, "-ltins", "-lpcap").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the harness: %w\n%s", err, out)
	}
	return nil
}

// captures lists the captures below a path, or at it.
func captures(path string) (files []string, err error) {
	err = filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if name := filepath.Base(path); err == nil && d.Type().IsRegular() && (strings.Contains(name, "cap") || strings.HasSuffix(name, ".snoop")) {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// read returns the frames of a capture, and why there are no more of them.
func read(path string) (frames []packet.Frame, err error) {
	file, err := pcapfile.Open(path, nil)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var b packet.Batch
	for {
		if err := file.ReadBatch(&b); errors.Is(err, io.EOF) {
			return frames, nil
		} else if err != nil {
			return frames, err
		}
		for _, fr := range b.Frames {
			fr.Data = slices.Clone(fr.Data)
			fr.Number = uint64(len(frames) + 1)
			frames = append(frames, fr)
		}
	}
}
