package tcpfollow

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/relational"
	"github.com/tcpfollow/tcpfollow/relational/flowfile"
)

// matchFlags are the flags of match beside the common ones.
type matchFlags struct {
	flows      []string
	output     string
	record     recordFlags
	events     string
	where      string
	state      string
	all        bool
	noRedact   bool
	http       httpFlags
	cfg        flowfile.Config[*observed, involved]
	reorder    time.Duration
	maxReorder int
}

func newMatch() *cobra.Command {
	in := input{noShort: true}
	var fl matchFlags
	m := &matchRun{in: &in, fl: &fl, ident: identView{shared: true}}
	cmd := &cobra.Command{
		Use:   "match -f FLOWS.yaml [flags] FILE...",
		Short: "Find sequences of related events, as a file describes them",
		Long: `match finds the flows that a file describes in the events of captures: HTTP
exchanges, DNS messages, hellos and other findings, connections that end. Each step
of a flow says what the fields of its event are, by literals, regular expressions
and variables that earlier steps have set; events that belong to no flow are passed
over. See docs/match.md for the files, docs/events.md for the fields.

A match is printed when its last event is complete: the flow's name and key, time,
duration, the frames and streams of its events, and the variables. With -o json it
is an object with flow, key, start, end, vars, frames, streams and reason. Variables
from credentials and cookies are not shown, but with --no-redact.

--events takes events that are not of captures: JSON, an object a line; what is in
deeper objects and lists has dots in its name. time is RFC 3339, or in seconds.`,
		Example: `  tcpfollow match -f login.yaml web.pcap
  tcpfollow match -f login.yaml -o json web.pcap | jq .vars
  tcpfollow match -f login.yaml --write logins.pcapng web.pcap
  sudo tcpfollow match -f login.yaml -i eth0
  journalctl -o json | tcpfollow match -f units.yaml --events -`,
		RunE: func(cmd *cobra.Command, args []string) error { return m.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&fl.flows, "flows", "f", nil, "`file` with flows, YAML or JSON; may be repeated")
	f.StringVarP(&fl.output, "output", "o", "text", "output format: text, json")
	f.StringVar(&fl.events, "events", "", "take events from a `file` of JSON, an object a line, - for standard input")
	f.StringVar(&fl.where, "where", "", "only events for which an `expression` is true")
	f.StringVar(&fl.state, "state", "", "go on with the open flows that a `file` holds, if it is there, and leave the open ones in it")
	f.BoolVar(&fl.all, "all", false, "show flows that ended without a match, too, and why")
	f.BoolVar(&fl.noRedact, "no-redact", false, "show credentials and cookies")
	f.DurationVar(&fl.reorder, "reorder", 0, "take events in the order of their starts, those that come later by up to a `time`; default is the order of their ends")
	fl.record.flags(cmd, "write the packets of the streams of matches to a capture `file`")
	f.IntVar(&fl.cfg.MaxOpen, "max-open", 0, "most open `flows` of each kind that says nothing else (default 65536)")
	f.IntVar(&fl.cfg.MaxValue, "max-value", 0, "most `bytes` of a variable (default 4096)")
	f.IntVar(&fl.cfg.MaxNotes, "max-events", 0, "most `events` of a flow whose frames are listed (default 1024)")
	f.IntVar(&fl.maxReorder, "max-reorder", 0, "most `events` that --reorder holds back (default 65536)")
	fl.http.tls.flags(cmd)
	in.flags(cmd)
	m.ident.flags(cmd)
	fl.http.limits(cmd)
	return cmd
}

// observed is an event, of a capture or of a file.
type observed struct {
	event  *events.Event
	fields map[string]any
	at     time.Time
	bodies map[string][]string // values of fields that look at bodies, which may be large
}

// involved is what is kept of an event of a flow.
type involved struct {
	Time      time.Time `json:"time"`
	End       time.Time `json:"end"`
	Frame     uint64    `json:"frame"`
	LastFrame uint64    `json:"last_frame,omitempty"`
	Stream    *uint64   `json:"stream,omitempty"`
	// Client and Server are the ends of a UDP flow.
	Client netip.AddrPort `json:"client,omitzero"`
	Server netip.AddrPort `json:"server,omitzero"`
}

// matchRun is one run of the command.
type matchRun struct {
	in      *input
	fl      *matchFlags
	ident   identView
	session *session
	matcher *flowfile.Matcher[*observed, involved]
	fields  map[string]bool // that flows look at
	bodies  bool
	print   func(m *flowfile.Match[involved]) error
	out     *bufio.Writer
	clock   time.Time
	streams map[uint64]bool // of matches
	flows   map[packet.FlowKey]bool
	broken  uint64 // lines that are no events
	err     error
}

func (m *matchRun) run(cmd *cobra.Command, args []string) error {
	cfg, err := m.in.config()
	if err != nil {
		return err
	}
	cfg.Incremental = true
	if err := m.prepare(cmd); err != nil {
		return err
	}
	if m.fl.events != "" {
		return m.runEvents(cmd, args)
	}
	m.ident.print = func(_ *appid.State, _ *appid.Finding, e *events.Event) { m.take(e) }
	if err := m.ident.prepare(); err != nil {
		return err
	}
	hc := m.fl.http.cfg
	hc.Collect, hc.Digest = m.bodies, m.fields["sha256"]
	hc.OnExchange = func(e *httpx.Exchange) { m.see(events.New(e)) }
	if err := m.fl.http.tls.attach(m.in, &hc); err != nil {
		return err
	}
	http, err := httpx.Follow(&hc)
	if err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	j := m.job(cmd, http)
	cfg.OnGap = func(s *tf.TCPStream, g tf.Gap) {
		m.ident.gap(s, g)
		http.Gap(s, g)
	}
	again := *m.in // before the input is read
	err = m.in.run(cmd, args, cfg, j)
	if m.fl.record.path == "" || j.session == nil || m.err != nil {
		return err
	}
	return firstError(err, m.write(cmd, args, &again))
}

// prepare reads the flows and makes what finds them.
func (m *matchRun) prepare(cmd *cobra.Command) (err error) {
	fl := m.fl
	if len(fl.flows) == 0 {
		return cli.Usage("no flows given: name a file with -f")
	}
	if err := fl.record.check(); err != nil {
		return err
	}
	if m.ident.filter, err = compileWhere(fl.where); err != nil {
		return err
	}
	if fl.record.path != "" {
		again := slices.Contains(append(slices.Clone(m.in.files), cmd.Flags().Args()...), "-") || len(m.in.live.cfg.Interfaces) > 0 || m.in.live.grow
		if again || fl.events != "" || fl.record.path == "-" {
			return cli.Usage("--write takes files, and writes one: its input is read a second time")
		}
	}
	m.out = bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	switch fl.output {
	case "text":
		m.print = m.text
	case "json":
		m.print = m.json
	default:
		return cli.Usage("-o: %q is none of text, json", fl.output)
	}
	m.fields, m.streams, m.flows = map[string]bool{}, map[uint64]bool{}, map[packet.FlowKey]bool{}
	var flows flowfile.Flows[*observed]
	for _, name := range fl.flows {
		if err := m.readFlows(name, &flows); err != nil {
			return err
		}
	}
	c := fl.cfg
	c.Note = m.note
	c.OnMatch = m.found
	if fl.all {
		c.OnEnd = m.show
	}
	c.Stream = relational.Config[*observed]{Time: func(o *observed) time.Time { return o.at }, Reorder: fl.reorder, MaxReorder: fl.maxReorder}
	if m.matcher, err = flowfile.New(&flows, &c); err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	return m.restore()
}

// readFlows adds the flows of a file.
func (m *matchRun) readFlows(name string, flows *flowfile.Flows[*observed]) error {
	f, err := os.Open(name)
	if err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	defer func() { _ = f.Close() }() // it was read from only
	some, err := flowfile.Read(f, name, m.field)
	if err == nil {
		err = flows.Add(some)
	}
	if err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err, Plain: true}
	}
	return nil
}

// field returns a field of the events.
func (m *matchRun) field(name string) (flowfile.Field[*observed], error) {
	m.fields[name] = true
	if m.fl.events != "" {
		return flowfile.Field[*observed]{Values: func(o *observed, values []string) []string {
			return events.JSONValues(o.fields, name, values)
		}}, nil
	}
	f, err := events.NewField(name)
	if err != nil {
		return flowfile.Field[*observed]{}, fmt.Errorf("no field %q; docs/events.md has them", name)
	}
	m.bodies = m.bodies || f.Body
	return flowfile.Field[*observed]{Secret: f.Secret, Values: func(o *observed, values []string) []string {
		if !f.Body {
			return f.Values(o.event, values)
		}
		known, ok := o.bodies[name]
		if !ok {
			if o.bodies == nil {
				o.bodies = map[string][]string{}
			}
			known = f.Values(o.event, nil)
			o.bodies[name] = known
		}
		return append(values, known...)
	}}, nil
}

// job is what is done with a capture.
func (m *matchRun) job(cmd *cobra.Command, http *httpx.Follower) *job {
	j := &job{
		data: func(s *tf.TCPStream) {
			m.ident.data(s)
			http.Data(s)
		},
		end: func(s *tf.TCPStream) {
			http.End(s)
			i := s.Info()
			e := events.OfStream(&i)
			if f, ok := s.User().(*flowOf); ok {
				r := m.ident.engine.Finish(f.State)
				e.Is(&r)
			}
			m.see(e)
		},
	}
	j.started = func(s *session) error {
		m.session, m.ident.session = s, s
		if m.fl.state != "" {
			s.writesTo(filepath.Dir(m.fl.state))
		}
		return nil
	}
	j.each = func(*packet.Frame, tf.Verdict) error {
		p := m.session.follower.Packet()
		if p == nil {
			return m.failed()
		}
		m.ident.flows.Feed(p)
		m.matcher.Advance(m.ident.now())
		return m.failed()
	}
	j.batch = func(live bool) error {
		if live {
			return firstError(m.failed(), m.out.Flush())
		}
		return m.failed()
	}
	j.finish = func() error {
		if !m.in.quiet {
			m.fl.http.tls.report(cmd.ErrOrStderr())
		}
		return m.finish()
	}
	j.limits = func() []limit {
		list := append(httpLimits(http.Stats(), nil), m.fl.http.tls.limits()...)
		return append(append(list, m.limits()...), limit{m.ident.flows.Evicted(), "--max-flows"})
	}
	j.notes = m.notes
	return j
}

// failed returns the first error.
func (m *matchRun) failed() error { return firstError(m.err, m.ident.err) }

// see takes an event that has no names yet, if it was asked for.
func (m *matchRun) see(e *events.Event) {
	e.Naming(m.ident.names)
	if wanted(m.ident.filter, e, &m.err) {
		m.take(e)
	}
}

// take gives an event to the flows. Its time is that of the packet at hand, so that no event comes late; with --reorder it
// is that of its start.
func (m *matchRun) take(e *events.Event) {
	o := &observed{event: e, at: m.ident.now()}
	if m.fl.reorder > 0 {
		o.at = e.Time
	}
	m.matcher.Ingest(o)
}

// note returns what is kept of an event.
func (m *matchRun) note(o *observed) involved {
	e := o.event
	if e == nil {
		return noteOf(o)
	}
	n := involved{Time: e.Time, End: e.End, Frame: e.Frame, LastFrame: e.LastFrame}
	if e.Transport == "udp" && e.Found != nil {
		n.Client, _ = netip.ParseAddrPort(e.Client)
		n.Server, _ = netip.ParseAddrPort(e.Server)
	} else {
		n.Stream = &e.Stream
	}
	return n
}

// found shows a match, and remembers what --write is to write.
func (m *matchRun) found(x *flowfile.Match[involved]) {
	if m.fl.record.path != "" {
		for _, n := range x.Notes {
			if n.Stream != nil {
				m.streams[*n.Stream] = true
			} else if n.Client.IsValid() && n.Server.IsValid() {
				key, _ := packet.NewFlowKey(n.Client, n.Server, packet.ProtoUDP).Canonical()
				m.flows[key] = true
			}
		}
	}
	m.show(x)
}

func (m *matchRun) show(x *flowfile.Match[involved]) { m.err = firstError(m.err, m.print(x)) }

// finish ends the open flows, or leaves them to the next run.
func (m *matchRun) finish() error {
	if m.fl.state == "" {
		m.matcher.Flush()
		return firstError(m.failed(), m.out.Flush())
	}
	return firstError(m.failed(), m.out.Flush(), m.save())
}

// restore goes on with the flows that the last run left open.
func (m *matchRun) restore() error {
	if m.fl.state == "" {
		return nil
	}
	if m.fl.reorder > 0 {
		return cli.Usage("--state goes without --reorder")
	}
	f, err := os.Open(m.fl.state)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read from only
	if err := m.matcher.Restore(f); err != nil {
		return fmt.Errorf("%s: %w", m.fl.state, err)
	}
	return nil
}

// save leaves the open flows to the next run.
func (m *matchRun) save() error {
	f, err := os.OpenFile(m.fl.state+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // a sandbox lets nothing be read
	if err != nil {
		return err
	}
	err = firstError(m.matcher.Snapshot(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), m.fl.state)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is of no use
	}
	return err
}

// write reads the input once more, and copies the packets of the streams of matches.
func (m *matchRun) write(cmd *cobra.Command, args []string, in *input) error {
	in.quiet = true
	cfg, err := in.config()
	if err != nil {
		return err
	}
	cfg.Incremental = true
	var w *streamWriter
	j := &job{
		each: func(f *packet.Frame, v tf.Verdict) error { return w.frame(f, v) },
		finish: func() error {
			if w == nil {
				return nil
			}
			return w.close()
		},
	}
	j.started = func(s *session) (err error) {
		if w, err = newStreamWriter(m.fl.record, s, cfg, func(stream uint64) bool { return m.streams[stream] }); err != nil {
			return err
		}
		w.also = func(p *packet.Packet) bool {
			key, _ := p.Key.Canonical()
			return p.Status == packet.OK && p.Proto == packet.ProtoUDP && m.flows[key]
		}
		return nil
	}
	err = in.run(cmd, args, cfg, j)
	var coded *cli.CodedError
	if errors.As(err, &coded) && coded.Code == cli.ExitPartial { // the first reading has said so
		return nil
	}
	return err
}

// limits names the flags whose limits cost something.
func (m *matchRun) limits() []limit {
	st := m.matcher.Stats()
	var open uint64
	for _, f := range st.Flows {
		open += f.LimitOpen
	}
	return []limit{{open, "--max-open"}, {st.LimitValue, "--max-value"}, {st.LimitNotes, "--max-events"}, {st.LimitReorder, "--max-reorder"}}
}

// notes are what the summary says of flows.
func (m *matchRun) notes() []note {
	st := m.matcher.Stats()
	var matches, others uint64
	for _, f := range st.Flows {
		for why, n := range f.Ended {
			if relational.Reason(why) == relational.Matched {
				matches += n
			} else {
				others += n
			}
		}
	}
	return []note{
		{st.Events, "event", ""},
		{matches, "sequence", " found"},
		{others, "flow", " without a match"},
		{uint64(m.matcher.Open()), "flow", " open"},
		{st.Late, "event", " late"},
		{st.Panics, "flow", " broken"},
	}
}
