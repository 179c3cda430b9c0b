package tcpfollow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/sandbox"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
	"github.com/tcpfollow/tcpfollow/packet/live"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// capture is where frames come from: files, or interfaces.
type capture interface {
	packet.Source
	// Name names what is being read.
	Name() string
	// Size is how many bytes there are to read, 0 when that is not known: frames may be waited for.
	Size() int64
	// BytesRead is how many of them were read.
	BytesRead() int64
	// SkipFile leaves out the rest of a file.
	SkipFile()
	Close() error
}

var _ capture = (*pcapfile.Set)(nil)

// interfaces are interfaces as a capture.
type interfaces struct {
	*live.Source
	name  string
	bytes int64
}

var _ capture = (*interfaces)(nil)

// ReadBatch counts the bytes of the frames.
func (i *interfaces) ReadBatch(b *packet.Batch) error {
	err := i.Source.ReadBatch(b)
	for _, f := range b.Frames {
		i.bytes += int64(len(f.Data))
	}
	return err
}

// Name returns the interfaces' names.
func (i *interfaces) Name() string { return i.name }

// Size returns 0.
func (i *interfaces) Size() int64 { return 0 }

// BytesRead returns how many bytes were captured.
func (i *interfaces) BytesRead() int64 { return i.bytes }

// SkipFile does nothing.
func (i *interfaces) SkipFile() {}

// liveFlags are the flags of commands that capture.
type liveFlags struct {
	cfg       live.Config
	list      bool
	duration  time.Duration
	grow      bool
	noSandbox bool
	user      string
}

func (l *liveFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVarP(&l.cfg.Interfaces, "interface", "i", nil, "capture on the network `interface`, \"any\" for all; may be repeated")
	fl.BoolVarP(&l.list, "list-interfaces", "D", false, "list the network interfaces, and do nothing else")
	fl.BoolVar(&l.grow, "follow", false, "wait for more at the end of the last file, which is still being written")
	fl.DurationVar(&l.duration, "duration", 0, "stop after so much `time`: of the clock with -i, of the packets of files")
	fl.IntVarP(&l.cfg.SnapLen, "snapshot-length", "s", 0, "most `bytes` that -i keeps of a frame (default 262144)")
	fl.IntVar(&l.cfg.Ring, "ring", 0, "`bytes` of memory for the frames of each interface that wait to be read (default 64 MiB)")
	fl.BoolVarP(&l.cfg.NoPromiscuous, "no-promiscuous", "p", false, "leave out what others on the network say to each other")
	fl.Uint16Var(&l.cfg.Fanout, "fanout", 0, "share the connections on the interface with the other programs of the group with this `number`")
	fl.BoolVar(&l.noSandbox, "no-sandbox", false, "keep privileges and the file system while capturing")
	fl.StringVarP(&l.user, "user", "Z", "", "become this `user` once the interface is open")
	_ = cmd.RegisterFlagCompletionFunc("interface", completeInterfaces) // there is such a flag
}

func completeInterfaces(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, _ := live.Interfaces() // none, then
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// listInterfaces prints a line for each interface.
func listInterfaces(w io.Writer) error {
	all, err := live.Interfaces()
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, i := range all {
		state := []string{"down"}
		if i.Up {
			state[0] = "up"
		}
		if i.Loopback {
			state = append(state, "loopback")
		}
		var addresses []string
		for _, a := range i.Addresses {
			addresses = append(addresses, a.String())
		}
		fmt.Fprintf(tw, "%s\t%s\t%v\t%s\n", cli.EscapeLine(i.Name), strings.Join(state, ","), i.Link, strings.Join(addresses, " "))
	}
	return tw.Flush()
}

// open opens the files, or what -i names instead; the filter for that runs in the kernel, and the caller's is nil then.
// source is the capture, if it is of interfaces. ctx is the command's.
func (in *input) open(ctx context.Context, files []string, chosen **filter) (from capture, source *live.Source, err error) {
	l := &in.live
	switch {
	case l.duration < 0:
		return nil, nil, cli.Usage("--duration: negative")
	case len(l.cfg.Interfaces) > 0:
		return in.openInterfaces(ctx, files, chosen)
	case len(files) == 0:
		return nil, nil, cli.Usage("no capture given: name a file, a directory, - for standard input, or an interface with -i")
	case l.user != "":
		return nil, nil, cli.Usage("--user goes with -i")
	}
	if l.grow {
		in.file.AtEnd = func() error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(growth):
				return nil
			}
		}
	}
	set, err := pcapfile.OpenAll(files, &in.file)
	if err != nil {
		return nil, nil, err
	}
	if *chosen != nil {
		(*chosen).files = set
	}
	return set, nil, nil
}

// growth is how often a file is looked at that is being written.
const growth = 100 * time.Millisecond

func (in *input) openInterfaces(ctx context.Context, files []string, chosen **filter) (capture, *live.Source, error) {
	l := &in.live
	switch {
	case len(files) > 0:
		return nil, nil, cli.Usage("-i captures, and %q is read: only one of both can be had at a time", files[0])
	case l.grow:
		return nil, nil, cli.Usage("--follow goes with files")
	case l.noSandbox && l.user != "":
		return nil, nil, cli.Usage("--user and --no-sandbox exclude each other")
	}
	cfg := l.cfg
	if *chosen != nil {
		cfg.Filter, *chosen = (*chosen).expr, nil
	}
	source, err := live.Open(&cfg)
	if err != nil {
		return nil, nil, notOpened(err)
	}
	context.AfterFunc(ctx, source.Stop)
	if l.duration > 0 {
		time.AfterFunc(l.duration, source.Stop)
	}
	return &interfaces{Source: source, name: strings.Join(cfg.Interfaces, ", ")}, source, nil
}

// notOpened turns the error of an interface into the command's.
func notOpened(err error) error {
	var bad *bpf.Error
	var about *live.Error
	switch {
	case errors.Is(err, fs.ErrPermission):
		program, pathErr := os.Executable()
		if pathErr != nil {
			program = os.Args[0]
		}
		return &cli.CodedError{Code: cli.ExitPermission, Err: fmt.Errorf(
			"%w: capturing takes the capability CAP_NET_RAW; run as root, or permit it for good: sudo setcap cap_net_raw,cap_net_admin+ep %s",
			err, shellWord(program))}
	case errors.As(err, &bad):
		return badFilter("compile filter: %w", err)
	case errors.As(err, &about) && errors.Is(err, live.ErrNoInterface):
		return fmt.Errorf("%w; -D lists those there are", err)
	case errors.As(err, &about):
		return err
	}
	return &cli.CodedError{Code: cli.ExitUsage, Err: err}
}

// shellWord returns s as a shell takes it for one word.
func shellWord(s string) string {
	plain := func(c rune) bool {
		return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.ContainsRune("/._-+,:@%", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// confine gives up what is needed no more, once interfaces and all outputs are open. In the directories, which are there,
// files may still be made.
func (l *liveFlags) confine(from capture, directories []string, stderr io.Writer, quiet bool) error {
	if !l.noSandbox {
		report, err := sandbox.Enter(sandbox.Config{Directories: directories, User: l.user})
		if err != nil {
			return fmt.Errorf("enter sandbox: %w; --no-sandbox does without", err)
		}
		if report.Landlock == 0 {
			fmt.Fprintln(stderr, "tcpfollow: the kernel has no Landlock: the file system stays open to the program")
		}
	}
	if !quiet {
		fmt.Fprintf(stderr, "capturing on %s\n", cli.EscapeLine(from.Name()))
	}
	return nil
}

// writesTo says that files will be made in a directory, which is there.
func (s *session) writesTo(directory string) { s.writes = append(s.writes, directory) }

// expired reports whether frames come too late for --duration, of which files are the measure, and leaves out those.
func (s *session) expired(b *packet.Batch) bool {
	if s.in.live.duration == 0 || s.source != nil || len(b.Frames) == 0 {
		return false
	}
	if s.until == 0 {
		s.until = b.Frames[0].Time + int64(s.in.live.duration)
	}
	for i := range b.Frames {
		if b.Frames[i].Time > s.until {
			b.Frames = b.Frames[:i]
			return true
		}
	}
	return false
}
