package tcpfollow

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// recordFlags are the flags that write frames to capture files.
type recordFlags struct {
	path string
	size string
	keep int
	max  int64 // size, in bytes
}

func (r *recordFlags) flags(cmd *cobra.Command, usage string) {
	fl := cmd.Flags()
	fl.StringVarP(&r.path, "write", "w", "", usage)
	fl.StringVarP(&r.size, "file-size", "C", "", "begin a new file, with a number in its name, after `size` million bytes; with k, M or G after that many KiB, MiB or GiB")
	fl.IntVarP(&r.keep, "file-count", "W", 0, "with -C, keep only the last `N` files")
}

// check refuses flags that do not go together.
func (r *recordFlags) check() error {
	switch {
	case r.keep < 0:
		return cli.Usage("-W: negative")
	case r.keep > 0 && r.size == "":
		return cli.Usage("-W goes with -C")
	case r.size == "":
		return nil
	case r.path == "" || r.path == "-":
		return cli.Usage("-C goes with -w FILE")
	}
	digits := strings.TrimRight(r.size, "kKmMgG")
	n, err := strconv.ParseInt(digits, 10, 64)
	units := map[string]int64{"": 1e6, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
	unit := units[strings.ToUpper(r.size[len(digits):])]
	if err != nil || n <= 0 || unit == 0 || n > 1<<62/unit {
		return cli.Usage("-C: %q is no size", r.size)
	}
	r.max = n * unit
	return nil
}

// recorder writes frames to a capture file, or to one after the other.
type recorder struct {
	fl    recordFlags
	cfg   pcapfile.WriterConfig
	w     *pcapfile.Writer
	size  int64 // of the file, about
	files []string
	made  int
}

// newRecorder creates the file that the flags name, "-" for stdout.
func newRecorder(fl recordFlags, s *session) (*recorder, error) {
	r := &recorder{fl: fl, cfg: pcapfile.WriterConfig{Format: formatOf(fl.path)}}
	if fl.path == "-" {
		var err error
		r.w, err = pcapfile.NewWriter(s.stdout, &r.cfg)
		return r, err
	}
	if to, err := os.Stat(fl.path); err == nil && isInput(s.files, to) {
		return nil, fmt.Errorf("%s: is being read, and cannot be written to", fl.path)
	}
	if fl.max > 0 {
		s.writesTo(filepath.Dir(fl.path))
	}
	if err := r.create(); err != nil {
		return nil, err
	}
	return r, nil
}

// formatOf returns the format that a file's name asks for.
func formatOf(path string) pcapfile.Format {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".pcap", ".cap", ".dmp":
		return pcapfile.FormatPcap
	}
	return pcapfile.FormatPcapNG
}

// create begins the next file, and removes the oldest if there are enough.
func (r *recorder) create() error {
	path := r.fl.path
	if r.fl.max > 0 {
		if r.fl.keep > 0 && len(r.files) == r.fl.keep {
			if err := os.Remove(r.files[0]); err != nil {
				return err
			}
			r.files = r.files[1:]
		}
		r.made++
		ext := filepath.Ext(path)
		path = fmt.Sprintf("%s-%06d%s", strings.TrimSuffix(path, ext), r.made, ext)
		r.files = append(r.files, path)
	}
	w, err := pcapfile.Create(path, &r.cfg)
	if err != nil {
		return err
	}
	r.w, r.size = w, 0
	return nil
}

// write writes a frame.
func (r *recorder) write(f *packet.Frame) error {
	const header, record = 60, 36 // of pcapng
	n := int64(len(f.Data)) + record
	if r.fl.max > 0 && r.size > 0 && r.size+n > r.fl.max {
		if err := r.w.Close(); err != nil {
			return err
		}
		if err := r.create(); err != nil {
			return err
		}
	}
	if r.size == 0 {
		r.size = header
	}
	r.size += n
	return r.w.Write(f)
}

func (r *recorder) flush() error { return r.w.Flush() }

func (r *recorder) close() error { return r.w.Close() }
