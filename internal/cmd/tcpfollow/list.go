package tcpfollow

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
)

// streamRow is a line of ls.
type streamRow struct {
	Stream          uint64      `json:"stream"`
	Client          string      `json:"client"`
	Server          string      `json:"server"`
	Start           string      `json:"start"`
	End             string      `json:"end"`
	First           time.Time   `json:"first"`
	Last            time.Time   `json:"last"`
	Frame           uint64      `json:"frame"`
	Packets         uint64      `json:"packets"`
	ClientBytes     uint64      `json:"client_bytes"`
	ServerBytes     uint64      `json:"server_bytes"`
	ClientGaps      [][2]uint64 `json:"client_gaps"`
	ServerGaps      [][2]uint64 `json:"server_gaps"`
	ClientMissing   uint64      `json:"client_missing"`
	ServerMissing   uint64      `json:"server_missing"`
	ClientConflicts int         `json:"client_conflicts"`
	ServerConflicts int         `json:"server_conflicts"`
	Duplicates      uint64      `json:"duplicates,omitempty"`
	ClientUrgent    uint64      `json:"client_urgent,omitempty"`
	ServerUrgent    uint64      `json:"server_urgent,omitempty"`
	ClientSHA256    string      `json:"client_sha256,omitempty"`
	ServerSHA256    string      `json:"server_sha256,omitempty"`
	Layers          string      `json:"layers,omitempty"`

	info tf.StreamInfo
}

// lister collects the rows of ls and prints them in the order of opening, each as soon as all before it are there.
type lister struct {
	session *session
	print   func(*streamRow) error
	next    uint64
	waiting map[uint64]*streamRow
	digests bool
	tunnels bool
	filter  eventFilter
	layers  map[uint64]string // of the streams that are open, by the first packet of each
	err     error
}

// digests are the running digests of a stream, by direction.
type digests [2]hash.Hash

func newList() *cobra.Command {
	var in input
	var output, filter string
	var compare bool
	l := &lister{waiting: map[uint64]*streamRow{}, layers: map[uint64]string{}}
	cmd := &cobra.Command{
		Use:   "ls [flags] FILE...",
		Short: "List the TCP streams of captures, one line each",
		Long: `ls prints one line a stream, in the order in which they were opened.

Bytes are those delivered; what is missing is listed apart, as [offset, length].
start says whether the SYN was seen (syn), only the SYN+ACK (synack), or neither
(mid). end is one of fin, reset, refused, timeout, superseded, evicted, eof.`,
		Example: `  tcpfollow ls http.pcap
  tcpfollow ls -o json --digests day1/ | jq 'select(.server_gaps != [])'
  tcpfollow ls --where 'server_port == 443 && ending == "reset"' day1/
  sudo tcpfollow ls -i eth0 -w day.pcapng -C 100 -W 10`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json", "csv", "events"}, output) {
				return cli.Usage("-o: %q is none of text, json, csv, events", output)
			}
			var err error
			if l.filter, err = compileWhere(filter); err != nil {
				return err
			}
			cfg, err := in.config()
			if err != nil {
				return err
			}
			cfg.Incremental = !compare
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			flush := func() error { return nil }
			shown := uint64(0)
			j := &job{}
			f := follows[*streamRow]{handlers: l.handlers, sink: func(stream uint64, row *streamRow) error {
				l.add(stream, row)
				return l.err
			}}
			if l.tunnels {
				j.each = func(*packet.Frame, tf.Verdict) error { l.note(); return nil }
			}
			j.started = func(s *session) (err error) {
				l.session = s
				flush, err = l.output(output, out)
				return err
			}
			j.batch = func(bool) error {
				if l.session.source == nil || l.next == shown {
					return l.err
				}
				shown = l.next
				return firstError(l.err, flush(), out.Flush())
			}
			j.finish = func() error { return firstError(l.err, flush(), out.Flush()) }
			return f.run(&in, cmd, args, cfg, j)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "output format: text, json, csv, events")
	cmd.Flags().StringVar(&filter, "where", "", "only streams for which an `expression` over the fields of -o events is true")
	cmd.Flags().BoolVar(&l.digests, "digests", false, "add the SHA-256 of what each side sent")
	cmd.Flags().BoolVar(&l.tunnels, "tunnels", false, "add the headers around each stream's first packet")
	cmd.Flags().BoolVar(&compare, "compare", true, "keep payload in memory, to compare late copies of bytes with it")
	in.workersFlag(cmd)
	in.payloadFlags(cmd)
	in.flags(cmd)
	in.recordFlags(cmd)
	return cmd
}

// note keeps the headers of the first packet of the stream that was fed last.
func (l *lister) note() {
	f := l.session.follower
	id, ok := f.LastStream()
	if !ok || id < l.next || l.layers[id] != "" || l.waiting[id] != nil {
		return
	}
	l.layers[id] = layerNames(f.Packet())
}

// hashChunk adds a chunk to its stream's digest.
func hashChunk(s *tf.TCPStream) {
	d, ok := s.User().(*digests)
	if !ok {
		d = &digests{sha256.New(), sha256.New()}
		s.SetUser(d)
	}
	c := s.Chunk()
	d[c.Direction].Write(c.Bytes)
}

// handlers are the callbacks that make a row of each stream.
func (l *lister) handlers(_ *tf.Config, _ bool, emit func(*tf.TCPStream, *streamRow)) (data, end tf.StreamFunc) {
	if l.digests {
		data = hashChunk
	}
	return data, func(s *tf.TCPStream) { emit(s, l.row(s)) }
}

// row returns the row of a stream that has ended, but for its number.
func (l *lister) row(s *tf.TCPStream) *streamRow {
	info := s.Info()
	c, v := &info.Halves[packet.ClientToServer], &info.Halves[packet.ServerToClient]
	row := &streamRow{
		Client: info.Client.String(), Server: info.Server.String(),
		Start: info.Start.String(), End: info.End.String(), First: info.First, Last: info.Last,
		Frame: info.Opened, Packets: info.Packets, ClientBytes: c.Bytes, ServerBytes: v.Bytes,
		Duplicates: info.Duplicates, ClientMissing: c.Missing, ServerMissing: v.Missing,
		ClientConflicts: c.Conflicts, ServerConflicts: v.Conflicts, ClientUrgent: c.Urgent, ServerUrgent: v.Urgent,
		info: info,
	}
	if l.digests {
		d, ok := s.User().(*digests)
		if !ok {
			d = &digests{sha256.New(), sha256.New()}
		}
		row.ClientSHA256, row.ServerSHA256 = hex.EncodeToString(d[0].Sum(nil)), hex.EncodeToString(d[1].Sum(nil))
	}
	return row
}

// add takes a row when its stream has ended.
func (l *lister) add(stream uint64, row *streamRow) {
	row.Stream = stream
	row.ClientGaps, row.ServerGaps = l.session.gapList(&row.info.Halves[0]), l.session.gapList(&row.info.Halves[1])
	row.Layers = l.layers[row.Stream]
	delete(l.layers, row.Stream)
	l.waiting[row.Stream] = row
	for {
		row, ok := l.waiting[l.next]
		if !ok {
			return
		}
		delete(l.waiting, l.next)
		l.next++
		if l.err == nil && (l.filter == nil || wanted(l.filter, row.event(), &l.err)) {
			l.err = l.print(row)
		}
	}
}

// event returns the row as an event.
func (r *streamRow) event() *events.Event {
	e := events.OfStream(&r.info)
	e.Stream = r.Stream
	return e
}

// output sets l.print for a format, and returns what finishes it.
func (l *lister) output(format string, w io.Writer) (flush func() error, err error) {
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		l.print = func(r *streamRow) error { return enc.Encode(r) }
		return func() error { return nil }, nil
	case "events":
		ew := events.NewWriter(w)
		l.print = func(r *streamRow) error { return ew.Write(r.event()) }
		return func() error { return nil }, nil
	case "csv":
		cw := csv.NewWriter(w)
		header := []string{
			"stream", "client", "server", "start", "end", "first", "last", "frame", "packets", "client_bytes", "server_bytes",
			"client_missing", "server_missing", "client_conflicts", "server_conflicts",
		}
		if l.digests {
			header = append(header, "client_sha256", "server_sha256")
		}
		if l.tunnels {
			header = append(header, "layers")
		}
		err := cw.Write(header)
		l.print = func(r *streamRow) error {
			row := []string{
				utoa(r.Stream), r.Client, r.Server, r.Start, r.End, r.First.Format(time.RFC3339Nano), r.Last.Format(time.RFC3339Nano),
				utoa(r.Frame), utoa(r.Packets), utoa(r.ClientBytes), utoa(r.ServerBytes), utoa(r.ClientMissing), utoa(r.ServerMissing),
				strconv.Itoa(r.ClientConflicts), strconv.Itoa(r.ServerConflicts),
			}
			if l.digests {
				row = append(row, r.ClientSHA256, r.ServerSHA256)
			}
			if l.tunnels {
				row = append(row, r.Layers)
			}
			return cw.Write(row)
		}
		return func() error { cw.Flush(); return cw.Error() }, err
	default:
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		head := "STREAM\tCLIENT\tSERVER\tSTART\tEND\tFIRST\tSECONDS\tPACKETS\tCLIENT BYTES\tSERVER BYTES\tMISSING\tCONFLICTS"
		if l.tunnels {
			head += "\tLAYERS"
		}
		_, err := fmt.Fprintln(tw, head)
		rows := 0
		l.print = func(r *streamRow) error {
			layers := r.Layers
			if l.tunnels {
				layers = "\t" + layers
			}
			_, err := fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%s\t%s\t%.3f\t%d\t%d\t%d\t%d\t%d%s\n", r.Stream, r.Client, r.Server, r.Start, r.End,
				r.First.Format("2006-01-02 15:04:05"), r.Last.Sub(r.First).Seconds(), r.Packets, r.ClientBytes, r.ServerBytes,
				r.ClientMissing+r.ServerMissing, r.ClientConflicts+r.ServerConflicts, layers)
			if rows++; rows%1000 == 0 {
				err = firstError(err, tw.Flush()) // a page at a time, so that memory stays flat
			}
			return err
		}
		return tw.Flush, err
	}
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// firstError returns the first error that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
