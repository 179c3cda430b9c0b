package tcpfollow

import (
	"bufio"
	"io"
	"slices"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
)

// followFlags are the flags of follow beside the common ones.
type followFlags struct {
	output      string
	hex         bool
	raw         string
	streams     []uint
	extract     string
	index       bool
	record      recordFlags
	color       string
	asCaptured  bool
	maxRendered int
}

func newFollow() *cobra.Command {
	var in input
	var fl followFlags
	cmd := &cobra.Command{
		Use:   "follow [flags] FILE...",
		Short: "Show what client and server said",
		Long: `follow shows the TCP conversations of captures, one after the other, each when it
is over. What the client sent is marked with ">", what the server sent with "<".
Control characters are shown as \xNN. Lines that start with "---" are no part of
the data: there what is missing is shown, as [N bytes missing].

With -o json every event is an object on a line of its own, in the order in which
it happened: open, data (in base64), gap, conflict, end, and with --urgent oob
urgent.`,
		Example: `  tcpfollow follow http.pcap
  tcpfollow follow --stream 0 --raw server http.pcap > response
  tcpfollow follow --extract out/ http.pcap     one file a direction
  tcpfollow follow --stream 2 -w two.pcap http.pcap
  tcpfollow follow -o json http.pcap | jq 'select(.event == "gap")'
  sudo tcpfollow follow -i eth0 --as-captured -- tcp port 80`,
		RunE: func(cmd *cobra.Command, args []string) error { return runFollow(cmd, args, &in, &fl) },
	}
	f := cmd.Flags()
	f.StringVarP(&fl.output, "output", "o", "text", "output format: text, json")
	f.UintSliceVar(&fl.streams, "stream", nil, "only the stream with this `number`; may be repeated, or a list")
	f.BoolVar(&fl.hex, "hex", false, "show bytes in hexadecimal")
	f.StringVar(&fl.raw, "raw", "", "write the bytes of one side, `client|server`, and nothing else")
	f.StringVar(&fl.extract, "extract", "", "write what each side sent to a file of its own in `dir`")
	f.BoolVar(&fl.index, "index", false, "with --extract, add to each file one that says which packet its bytes came from")
	fl.record.flags(cmd, "write the packets of the streams to a capture `file`: pcapng, or pcap if its name ends so")
	f.BoolVar(&fl.asCaptured, "as-captured", false, "show bytes as they come, instead of stream by stream")
	f.StringVar(&fl.color, "color", "auto", "colour: auto, always, never")
	f.IntVar(&fl.maxRendered, "max-rendered", 256<<20, "most `bytes` of text kept for streams that are not over; beyond it, text is shown early")
	in.workersFlag(cmd)
	in.payloadFlags(cmd)
	in.flags(cmd)
	return cmd
}

func runFollow(cmd *cobra.Command, args []string, in *input, fl *followFlags) error {
	if err := firstError(fl.check(), fl.record.check()); err != nil {
		return err
	}
	colors, err := cli.NewPalette(fl.color, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	cfg, err := in.config()
	if err != nil {
		return err
	}
	stdout := cmd.OutOrStdout()
	if fl.record.path == "-" {
		stdout = io.Discard // the packets go there
	}
	out := bufio.NewWriterSize(stdout, 1<<16)
	var v viewer
	var w *streamWriter
	j := &job{}
	wanted := func(stream uint64) bool { return len(fl.streams) == 0 || slices.Contains(fl.streams, uint(stream)) }
	f := follows[*happening]{handlers: happenings, sink: func(stream uint64, h *happening) error {
		if wanted(stream) {
			h.stream = stream
			v.show(h)
		}
		return v.failed()
	}}
	if fl.record.path != "" {
		j.each = func(f *packet.Frame, verdict tf.Verdict) error { return w.frame(f, verdict) }
	}
	j.started = func(s *session) (err error) {
		if fl.record.path != "" {
			if w, err = newStreamWriter(fl.record, s, cfg, wanted); err != nil {
				return err
			}
		}
		if v, err = newViewer(fl, s, out, colors); err != nil && w != nil {
			_ = w.close() // nothing was written
		}
		return err
	}
	j.batch = func(live bool) error {
		if live {
			return firstError(v.failed(), out.Flush())
		}
		return v.failed()
	}
	j.finish = func() error {
		errs := []error{v.close(), out.Flush()}
		if w != nil {
			errs = append(errs, w.close())
		}
		return firstError(errs...)
	}
	return f.run(in, cmd, args, cfg, j)
}

// check refuses flags that do not go together.
func (fl *followFlags) check() error {
	shape := 0
	for _, on := range []bool{fl.hex, fl.raw != "", fl.extract != "", fl.output == "json" && fl.extract == ""} {
		if on {
			shape++
		}
	}
	switch {
	case fl.output != "text" && fl.output != "json":
		return cli.Usage("-o: %q is none of text, json", fl.output)
	case fl.raw != "" && fl.raw != "client" && fl.raw != "server":
		return cli.Usage("--raw: %q is none of client, server", fl.raw)
	case shape > 1:
		return cli.Usage("only one of --hex, --raw, --extract and -o json can be had at a time")
	case fl.index && fl.extract == "":
		return cli.Usage("--index goes with --extract")
	case fl.record.path == "-" && (shape > 0 && fl.extract == "" || fl.output == "json"):
		return cli.Usage("-w - leaves standard output to the packets")
	case fl.maxRendered < 0:
		return cli.Usage("--max-rendered: negative")
	}
	return nil
}

func newViewer(fl *followFlags, s *session, out io.Writer, colors cli.Palette) (viewer, error) {
	switch {
	case fl.extract != "":
		x, err := newExtractor(fl, s, out)
		if err != nil {
			return nil, err
		}
		return x, nil
	case fl.raw == "client":
		return &rawViewer{dir: packet.ClientToServer, w: out, stderr: s.stderr}, nil
	case fl.raw == "server":
		return &rawViewer{dir: packet.ServerToClient, w: out, stderr: s.stderr}, nil
	case fl.output == "json":
		return newJSONViewer(out), nil
	}
	return &textViewer{w: out, colors: colors, hex: fl.hex, asCaptured: fl.asCaptured, max: fl.maxRendered, streams: map[uint64]*rendering{}}, nil
}
