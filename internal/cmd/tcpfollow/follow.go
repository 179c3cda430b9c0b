package tcpfollow

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
)

// viewer shows what happens in streams. Its methods are called only for streams that were asked for.
type viewer interface {
	open(*tf.TCPStream)
	data(*tf.TCPStream)
	gap(*tf.TCPStream, tf.Gap)
	conflict(*tf.TCPStream, tf.Conflict)
	urgent(*tf.TCPStream, tf.Urgent)
	end(*tf.TCPStream)
	// failed returns the first error of the output so far.
	failed() error
	// close finishes the output and returns its first error.
	close() error
}

// followFlags are the flags of follow beside the common ones.
type followFlags struct {
	output      string
	hex         bool
	raw         string
	streams     []uint
	extract     string
	index       bool
	write       string
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
  tcpfollow follow -o json http.pcap | jq 'select(.event == "gap")'`,
		RunE: func(cmd *cobra.Command, args []string) error { return runFollow(cmd, args, &in, &fl) },
	}
	f := cmd.Flags()
	f.StringVarP(&fl.output, "output", "o", "text", "output format: text, json")
	f.UintSliceVar(&fl.streams, "stream", nil, "only the stream with this `number`; may be repeated, or a list")
	f.BoolVar(&fl.hex, "hex", false, "show bytes in hexadecimal")
	f.StringVar(&fl.raw, "raw", "", "write the bytes of one side, `client|server`, and nothing else")
	f.StringVar(&fl.extract, "extract", "", "write what each side sent to a file of its own in `dir`")
	f.BoolVar(&fl.index, "index", false, "with --extract, add to each file one that says which packet its bytes came from")
	f.StringVarP(&fl.write, "write", "w", "", "write the packets of the streams to a capture `file`")
	f.BoolVar(&fl.asCaptured, "as-captured", false, "show bytes as they come, instead of stream by stream")
	f.StringVar(&fl.color, "color", "auto", "colour: auto, always, never")
	f.IntVar(&fl.maxRendered, "max-rendered", 256<<20, "most `bytes` of text kept for streams that are not over; beyond it, text is shown early")
	in.payloadFlags(cmd)
	in.flags(cmd)
	return cmd
}

func runFollow(cmd *cobra.Command, args []string, in *input, fl *followFlags) error {
	if err := fl.check(); err != nil {
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
	if fl.write == "-" {
		stdout = io.Discard // the packets go there
	}
	out := bufio.NewWriterSize(stdout, 1<<16)
	var v viewer
	var w *streamWriter
	wanted := func(s *tf.TCPStream) bool { return len(fl.streams) == 0 || slices.Contains(fl.streams, uint(s.ID())) }
	only := func(f func(*tf.TCPStream)) tf.StreamFunc {
		return func(s *tf.TCPStream) {
			if wanted(s) {
				f(s)
			}
		}
	}
	cfg.OnOpen = only(func(s *tf.TCPStream) { v.open(s) })
	cfg.OnGap = func(s *tf.TCPStream, g tf.Gap) {
		if wanted(s) {
			v.gap(s, g)
		}
	}
	cfg.OnConflict = func(s *tf.TCPStream, x tf.Conflict) {
		if wanted(s) {
			v.conflict(s, x)
		}
	}
	cfg.OnUrgent = func(s *tf.TCPStream, u tf.Urgent) {
		if wanted(s) {
			v.urgent(s, u)
		}
	}
	j := &job{data: only(func(s *tf.TCPStream) { v.data(s) }), end: only(func(s *tf.TCPStream) { v.end(s) })}
	if fl.write != "" {
		j.each = func(f *packet.Frame, verdict tf.Verdict) error { return w.frame(f, verdict) }
	}
	j.started = func(s *session) (err error) {
		if fl.write != "" {
			if w, err = newStreamWriter(fl, s, cmd.OutOrStdout(), cfg); err != nil {
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
	return in.run(cmd, args, cfg, j)
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
	case fl.write == "-" && (shape > 0 && fl.extract == "" || fl.output == "json"):
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
		return newJSONViewer(s.follower, out), nil
	}
	return &textViewer{w: out, colors: colors, hex: fl.hex, asCaptured: fl.asCaptured, max: fl.maxRendered}, nil
}

// jsonEvent is a line of follow -o json.
type jsonEvent struct {
	Event  string     `json:"event"`
	Stream uint64     `json:"stream"`
	Frame  uint64     `json:"frame"`
	Time   *time.Time `json:"time,omitempty"`
	Client string     `json:"client,omitempty"`
	Server string     `json:"server,omitempty"`
	Start  string     `json:"start,omitempty"`
	Dir    string     `json:"dir,omitempty"`
	Offset *uint64    `json:"offset,omitempty"`
	Length *uint64    `json:"length,omitempty"`
	Data   []byte     `json:"data,omitempty"`
	Old    []byte     `json:"old,omitempty"`
	New    []byte     `json:"new,omitempty"`
	Kept   string     `json:"kept,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// jsonViewer prints an object for every event.
type jsonViewer struct {
	follower *tf.TCPStreamFollower
	enc      *json.Encoder
	err      error
}

func newJSONViewer(f *tf.TCPStreamFollower, w io.Writer) *jsonViewer {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &jsonViewer{follower: f, enc: enc}
}

func (j *jsonViewer) print(e jsonEvent) {
	if j.err == nil {
		j.err = j.enc.Encode(e)
	}
}

func (j *jsonViewer) open(s *tf.TCPStream) {
	i := s.Info()
	j.print(jsonEvent{Event: "open", Stream: i.ID, Frame: i.Opened, Time: &i.First, Client: i.Client.String(), Server: i.Server.String(), Start: i.Start.String()})
}

func (j *jsonViewer) data(s *tf.TCPStream) {
	c := s.Chunk()
	n, t := uint64(len(c.Bytes)), time.Unix(0, c.Origin.Time).UTC()
	j.print(jsonEvent{
		Event: "data", Stream: s.ID(), Frame: c.Origin.Packet, Time: &t, Dir: c.Direction.String(),
		Offset: &c.Offset, Length: &n, Data: c.Bytes,
	})
}

func (j *jsonViewer) gap(s *tf.TCPStream, g tf.Gap) {
	j.print(jsonEvent{
		Event: "gap", Stream: s.ID(), Frame: j.follower.Frame(), Dir: g.Direction.String(), Offset: &g.Offset, Length: &g.Length,
		Reason: g.Reason.String(),
	})
}

func (j *jsonViewer) conflict(s *tf.TCPStream, x tf.Conflict) {
	n := uint64(len(x.New))
	kept := "old"
	if x.KeptNew {
		kept = "new"
	}
	j.print(jsonEvent{
		Event: "conflict", Stream: s.ID(), Frame: x.Origin.Packet, Dir: x.Direction.String(), Offset: &x.Offset, Length: &n,
		Old: x.Old, New: x.New, Kept: kept,
	})
}

func (j *jsonViewer) urgent(s *tf.TCPStream, u tf.Urgent) {
	n, t := uint64(1), time.Unix(0, u.Origin.Time).UTC()
	j.print(jsonEvent{
		Event: "urgent", Stream: s.ID(), Frame: u.Origin.Packet, Time: &t, Dir: u.Direction.String(),
		Offset: &u.Offset, Length: &n, Data: []byte{u.Byte},
	})
}

func (j *jsonViewer) end(s *tf.TCPStream) {
	j.print(jsonEvent{Event: "end", Stream: s.ID(), Frame: j.follower.Frame(), Reason: s.End().String()})
}

func (j *jsonViewer) failed() error { return j.err }

func (j *jsonViewer) close() error { return j.err }

// rawViewer writes the bytes of one direction. Gaps go to standard error.
type rawViewer struct {
	dir    packet.Direction
	w      io.Writer
	stderr io.Writer
	err    error
}

func (r *rawViewer) open(*tf.TCPStream) {}

func (r *rawViewer) data(s *tf.TCPStream) {
	if c := s.Chunk(); c.Direction == r.dir && r.err == nil {
		_, r.err = r.w.Write(c.Bytes)
	}
}

func (r *rawViewer) gap(s *tf.TCPStream, g tf.Gap) {
	if g.Direction == r.dir {
		warn(r.stderr, "stream %d: %d bytes missing at offset %d (%v)", s.ID(), g.Length, g.Offset, g.Reason)
	}
}

func (r *rawViewer) conflict(s *tf.TCPStream, x tf.Conflict) {
	if x.Direction == r.dir {
		warn(r.stderr, "stream %d: bytes at offset %d came twice and differ, in frame %d", s.ID(), x.Offset, x.Origin.Packet)
	}
}

func (r *rawViewer) urgent(s *tf.TCPStream, u tf.Urgent) {
	if u.Direction == r.dir {
		warn(r.stderr, "stream %d: urgent byte at offset %d: %s", s.ID(), u.Offset, cli.AppendEscaped(nil, []byte{u.Byte}, false))
	}
}

func (r *rawViewer) end(*tf.TCPStream) {}

func (r *rawViewer) failed() error { return r.err }

func (r *rawViewer) close() error { return r.err }
