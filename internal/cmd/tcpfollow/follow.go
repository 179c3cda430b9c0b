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
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// viewer shows what happens in streams. Its methods are called only for streams that were asked for.
type viewer interface {
	open(*tf.TCPStream)
	data(*tf.TCPStream)
	gap(*tf.TCPStream, tf.Gap)
	conflict(*tf.TCPStream, tf.Conflict)
	end(*tf.TCPStream)
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
Control characters are shown as \xNN; what is missing is shown as
[N bytes missing], which is no part of the data.

With -o json every event is an object on a line of its own, in the order in which
it happened: open, data (in base64), gap, conflict, end.`,
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
	f.StringVarP(&fl.write, "write", "w", "", "write the packets of the streams to a capture `file`")
	f.BoolVar(&fl.asCaptured, "as-captured", false, "show bytes as they come, instead of stream by stream")
	f.StringVar(&fl.color, "color", "auto", "colour: auto, always, never")
	f.IntVar(&fl.maxRendered, "max-rendered", 256<<20, "most `bytes` of text kept for streams that are not over; beyond it, text is shown early")
	in.payloadFlags(cmd)
	in.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive("hex", "raw", "extract")
	return cmd
}

func runFollow(cmd *cobra.Command, args []string, in *input, fl *followFlags) error {
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	v, err := newViewer(cmd, fl, out)
	if err != nil {
		return err
	}
	cfg, err := in.config()
	if err != nil {
		return err
	}
	wanted := func(s *tf.TCPStream) bool { return len(fl.streams) == 0 || slices.Contains(fl.streams, uint(s.ID())) }
	only := func(f tf.StreamFunc) tf.StreamFunc {
		return func(s *tf.TCPStream) {
			if wanted(s) {
				f(s)
			}
		}
	}
	cfg.OnOpen = only(v.open)
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
	var each func(*packet.Frame, tf.Verdict) error
	var w *streamWriter
	if fl.write != "" {
		if w, err = newStreamWriter(fl.write, fl.streams); err != nil {
			return err
		}
		each = w.frame
	}
	err = in.run(cmd, args, only(v.data), only(v.end), cfg, each, func(s *session) {
		if w != nil {
			w.follower = s.follower
		}
		if b, ok := v.(interface{ bind(*tf.TCPStreamFollower) }); ok {
			b.bind(s.follower)
		}
	})
	errs := []error{v.close(), out.Flush()}
	if w != nil {
		errs = append(errs, w.close())
	}
	return firstError(append(errs, err)...)
}

func newViewer(cmd *cobra.Command, fl *followFlags, out *bufio.Writer) (viewer, error) {
	if fl.output != "text" && fl.output != "json" {
		return nil, cli.Usage("-o: %q is none of text, json", fl.output)
	}
	if fl.output == "json" && (fl.hex || fl.raw != "") {
		return nil, cli.Usage("-o json does not go with --hex or --raw")
	}
	switch {
	case fl.extract != "":
		return newExtractor(fl.extract, out, fl.output == "json")
	case fl.raw == "client":
		return &rawViewer{dir: packet.ClientToServer, w: out, stderr: cmd.ErrOrStderr()}, nil
	case fl.raw == "server":
		return &rawViewer{dir: packet.ServerToClient, w: out, stderr: cmd.ErrOrStderr()}, nil
	case fl.raw != "":
		return nil, cli.Usage("--raw: %q is none of client, server", fl.raw)
	case fl.output == "json":
		return newJSONViewer(out), nil
	}
	colors, err := cli.NewPalette(fl.color, cmd.OutOrStdout())
	if err != nil {
		return nil, err
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

func newJSONViewer(w io.Writer) *jsonViewer {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &jsonViewer{enc: enc}
}

func (j *jsonViewer) bind(f *tf.TCPStreamFollower) { j.follower = f }

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

func (j *jsonViewer) end(s *tf.TCPStream) {
	j.print(jsonEvent{Event: "end", Stream: s.ID(), Frame: j.follower.Frame(), Reason: s.End().String()})
}

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

func (r *rawViewer) end(*tf.TCPStream) {}

func (r *rawViewer) close() error { return r.err }

// streamWriter copies the packets of streams to a capture file.
type streamWriter struct {
	w        *pcapfile.Writer
	follower *tf.TCPStreamFollower
	streams  []uint
}

// newStreamWriter creates the file; an empty list of streams means all.
func newStreamWriter(path string, streams []uint) (*streamWriter, error) {
	w, err := pcapfile.Create(path, &pcapfile.WriterConfig{Format: pcapfile.FormatPcapNG})
	if err != nil {
		return nil, err
	}
	return &streamWriter{w: w, streams: streams}, nil
}

func (w *streamWriter) frame(f *packet.Frame, _ tf.Verdict) error {
	id, ok := w.follower.LastStream()
	if !ok || len(w.streams) > 0 && !slices.Contains(w.streams, uint(id)) {
		return nil
	}
	return w.w.Write(f)
}

func (w *streamWriter) close() error { return w.w.Close() }
