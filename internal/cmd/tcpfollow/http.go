package tcpfollow

import (
	"bufio"
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// httpFlags are the flags of http beside the common ones.
type httpFlags struct {
	output   string
	zeek     bool
	format   string
	where    string
	grep     string
	extract  string
	noRedact bool
	color    string
	files    int
	cfg      httpx.Config
	tls      secrets
}

func newHTTP() *cobra.Command {
	var in input
	var fl httpFlags
	cmd := &cobra.Command{
		Use:   "http [flags] FILE...",
		Short: "Show the HTTP messages, whatever they look like",
		Long: `http finds HTTP messages in the TCP conversations of captures, at any port, and
prints a line for every exchange: time, client and server, method and URL, status,
content type, size of the decoded body, duration, and what is odd about it; and a
line for every WebSocket message. With -v the headers follow. HTTP/1, HTTP/2,
WebSocket, and HTTP in a CONNECT tunnel are understood. TLS is decrypted with
--keylog, or with the key log that a pcapng file holds.

  -o json      an object for every message, those of a stream in order
  -o events    an object for every exchange, flat; the fields of --where
  -o har       an HTTP archive, with bodies
  -o clf       lines of the Common Log Format; -o combined with referer and agent
  -o zeek      Zeek's http.log; --zeek -o json is the same in JSON
  --format     a template: {field} stands for a field of -o events, {header:NAME}
               and {resp_header:NAME} for header fields, \t and \n for themselves

--where takes an expression over the fields of -o events, and header(NAME),
resp_header(NAME), cookie(NAME), param(NAME), body, request_body. --grep takes a
regular expression, and shows exchanges with a body that matches. Both hold for
every form of output, and for --extract, which writes bodies to files.

Credentials and the values of cookies are not shown, but with --no-redact.`,
		Example: `  tcpfollow http web.pcap
  tcpfollow http --keylog keys.txt https.pcap
  tcpfollow http --where 'status >= 400 && host contains "example"' web.pcap
  tcpfollow http --grep '(?i)password' -v web.pcap
  tcpfollow http --extract out/ --where 'content_type startsWith "image/"' web.pcap
  tcpfollow http --format '{time} {client_ip} {method} {url} {status} {header:Accept}' web.pcap
  tcpfollow http -o json web.pcap | jq 'select(.flags != [])'
  tcpfollow http -o har web.pcap > web.har
  sudo tcpfollow http -i eth0 -v`,
		RunE: func(cmd *cobra.Command, args []string) error { return runHTTP(cmd, args, &in, &fl) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&fl.output, "output", "o", "text", "output format: text, json, events, har, clf, combined, zeek")
	f.BoolVar(&fl.zeek, "zeek", false, "the fields of Zeek's http.log, as a log or with -o json")
	f.StringVar(&fl.format, "format", "", "a line for every exchange, by a `template`")
	f.StringVar(&fl.where, "where", "", "only exchanges for which an `expression` is true")
	f.StringVar(&fl.grep, "grep", "", "only exchanges with a body that matches a regular `expression`")
	f.StringVar(&fl.extract, "extract", "", "write bodies to files in `dir`")
	f.BoolVar(&fl.noRedact, "no-redact", false, "show credentials and cookies")
	f.StringVar(&fl.color, "color", "auto", "colour: auto, always, never")
	fl.tls.flags(cmd)
	in.flags(cmd)
	in.recordFlags(cmd)
	fl.limits(cmd)
	f.IntVar(&fl.files, "max-files", 100_000, "most `files` that are extracted")
	return cmd
}

// limits adds the flags for the limits of the HTTP parser.
func (fl *httpFlags) limits(cmd *cobra.Command) {
	f, l := cmd.Flags(), &fl.cfg.Limits
	for _, x := range []struct {
		name, usage string
		v           *int
	}{
		{"max-header", "most `bytes` of a header that are kept (default 256 KiB)", &l.Header},
		{"max-header-line", "most `bytes` of a header line that are kept (default 64 KiB)", &l.Line},
		{"max-header-fields", "most header `fields` of a message (default 1000)", &l.Fields},
		{"max-body", "most `bytes` of a body that are searched, or put into an archive (default 10 MiB)", &l.Body},
		{"max-total-body", "the same for all exchanges that are not over (default 256 MiB)", &l.TotalBody},
		{"max-ratio", "how many `times` larger a body may get in decoding (default 100)", &l.Ratio},
		{"max-codings", "most `codings` of a body on top of each other (default 5)", &l.Codings},
		{"max-decoders", "most `bytes` of memory for decoding (default 256 MiB)", &l.Decoders},
		{"max-held", "most `bytes` of a direction that wait for the other one (default 256 KiB)", &l.Held},
		{"max-total-held", "the same for all connections together (default 64 MiB)", &l.TotalHeld},
		{"max-pending", "most `requests` of a connection that wait for a response (default 4096)", &l.Pending},
		{"max-total-pending", "most `bytes` of memory for requests that wait in all connections (default 256 MiB)", &l.TotalPending},
		{"max-interim", "most `responses` with a status of 1xx that an exchange keeps (default 100)", &l.Interim},
		{"max-streams", "most open `streams` of an HTTP/2 connection (default 1024)", &l.Streams},
		{"max-http2-frame", "most `bytes` of an HTTP/2 frame with header fields (default 1 MiB)", &l.Frame},
		{"max-header-table", "most `bytes` of a table of compressed header fields (default 1 MiB)", &l.HeaderTable},
		{"max-scan", "in how many `bytes` the first message is looked for (default 16 KiB)", &l.Scan},
	} {
		f.IntVar(x.v, x.name, 0, x.usage)
	}
	f.Uint64Var(&l.Decoded, "max-decoded", 0, "most `bytes` that a body may decode to (default 1 GiB)")
}

// httpView prints exchanges that were asked for.
type httpView interface {
	exchange(e *httpx.Exchange, v *events.Event) error
	// close completes the output.
	close() error
}

// httpMessageView is a view that shows messages, and not exchanges.
type httpMessageView interface {
	httpView
	begin(m *httpx.Message)
	// drop is called in place of exchange for what was not asked for.
	drop(e *httpx.Exchange) error
}

// webSocketView is a view that shows WebSocket messages as well.
type webSocketView interface {
	webSocket(m *httpx.WebSocketMessage) error
}

// httpRun is one run of the command.
type httpRun struct {
	filter   eventFilter
	grep     *regexp.Regexp
	view     httpView
	messages httpMessageView // the view, if it is one
	sockets  webSocketView   // the view, if it is one
	socket   *httpx.Exchange // that was looked at last,
	wants    bool            // whether it was asked for
	extract  *bodyExtractor
	err      error
}

func runHTTP(cmd *cobra.Command, args []string, in *input, fl *httpFlags) error {
	cfg, err := in.config()
	if err != nil {
		return err
	}
	cfg.Incremental = true
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	r := &httpRun{}
	if err := r.prepare(cmd, in, fl, out); err != nil {
		return err
	}
	hc := fl.cfg
	r.callbacks(&hc, fl)
	if err := fl.tls.attach(in, &hc); err != nil {
		return err
	}
	http, err := httpx.Follow(&hc)
	if err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	cfg.OnGap = http.Gap
	j := &job{data: http.Data, end: http.End}
	j.started = func(s *session) (err error) {
		if fl.extract != "" {
			s.writesTo(fl.extract)
			r.extract, err = newBodyExtractor(fl.extract, fl.files)
		}
		return err
	}
	j.batch = func(live bool) error {
		if live {
			return firstError(r.err, out.Flush())
		}
		return r.err
	}
	j.finish = func() error {
		if !in.quiet {
			fl.tls.report(cmd.ErrOrStderr())
		}
		errs := []error{r.err, r.view.close(), out.Flush()}
		if r.extract != nil {
			errs = append(errs, r.extract.close())
		}
		return firstError(errs...)
	}
	j.limits = func() []limit { return append(httpLimits(http.Stats(), r.extract), fl.tls.limits()...) }
	j.notes = func() []note {
		st := http.Stats()
		return []note{
			{st.Requests, "request", ""},
			{st.Responses, "response", ""},
			{st.WebSocketMessages, "WebSocket message", ""},
			{st.BadFrames, "HTTP frame", " malformed"},
			{st.LostFields, "header", " undecodable"},
		}
	}
	return in.run(cmd, args, cfg, j)
}

// prepare checks the flags and makes what prints.
func (r *httpRun) prepare(cmd *cobra.Command, in *input, fl *httpFlags, out io.Writer) (err error) {
	colors, err := cli.NewPalette(fl.color, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	show := fields{redact: !fl.noRedact}
	if r.filter, err = compileWhere(fl.where); err != nil {
		return err
	}
	if fl.grep != "" {
		if r.grep, err = regexp.Compile(fl.grep); err != nil {
			return cli.Usage("--grep: %w", err)
		}
	}
	switch {
	case fl.files <= 0:
		return cli.Usage("--max-files: must be positive")
	case fl.format != "" && (fl.zeek || cmd.Flags().Changed("output")):
		return cli.Usage("--format goes with neither -o nor --zeek")
	case fl.zeek && fl.output != "text" && fl.output != "json" && fl.output != "zeek":
		return cli.Usage("--zeek goes with -o json only")
	case fl.format != "":
		r.view, err = newTemplateView(fl.format, out, show)
		if err != nil {
			return cli.Usage("--format: %w", err)
		}
	case fl.zeek && fl.output == "json":
		r.view = &zeekJSON{w: out, show: show}
	case fl.zeek || fl.output == "zeek":
		r.view = &zeekLog{w: out, show: show}
	case fl.output == "text":
		r.view = &textExchanges{w: out, headers: in.verbose, show: show, colors: colors, extract: &r.extract, grep: r.grep}
	case fl.output == "json":
		r.view = newJSONMessages(out, show, &r.extract)
	case fl.output == "events":
		r.view = &eventLines{w: events.NewWriter(out)}
	case fl.output == "har":
		r.view = &harView{w: out, show: show}
	case fl.output == "clf", fl.output == "combined":
		r.view = &commonLog{w: out, combined: fl.output == "combined", show: show}
	default:
		return cli.Usage("-o: %q is none of text, json, events, har, clf, combined, zeek", fl.output)
	}
	r.messages, _ = r.view.(httpMessageView)
	r.sockets, _ = r.view.(webSocketView)
	return nil
}

// callbacks sets what the parser calls back with, and how far it goes.
func (r *httpRun) callbacks(hc *httpx.Config, fl *httpFlags) {
	hc.Digest = fl.output == "json" || fl.output == "events"
	hc.Sniff = fl.zeek || fl.output == "zeek" || fl.output == "har"
	hc.Collect = fl.output == "har" || r.grep != nil || r.filter != nil && r.filter.Bodies()
	hc.OnExchange = r.exchange
	if r.messages != nil {
		hc.OnMessage = r.messages.begin
	}
	if r.sockets != nil {
		hc.OnWebSocket = r.webSocket
	}
	if fl.extract != "" {
		hc.OnBody = func(m *httpx.Message, b []byte) { r.err = firstError(r.err, r.extract.write(m, b)) }
		hc.OnMessageEnd = func(m *httpx.Message) { r.err = firstError(r.err, r.extract.end(m)) }
	}
}

// exchange shows an exchange, if it was asked for.
func (r *httpRun) exchange(e *httpx.Exchange) {
	if r.err != nil {
		return
	}
	v := events.New(e)
	yes, err := r.wanted(v)
	if err != nil {
		r.err = err
		return
	}
	switch {
	case yes:
		r.err = r.view.exchange(e, v)
	case r.messages != nil:
		r.err = r.messages.drop(e)
	}
	if r.extract != nil {
		r.err = firstError(r.err, r.extract.settle(e, yes))
	}
}

// webSocket shows a WebSocket message, if its exchange was asked for.
func (r *httpRun) webSocket(m *httpx.WebSocketMessage) {
	if r.socket != m.Exchange {
		yes, err := r.matches(events.New(m.Exchange))
		r.socket, r.wants, r.err = m.Exchange, yes, firstError(r.err, err)
	}
	if r.err == nil && r.wants && (r.grep == nil || r.grep.Match(m.Data)) {
		r.err = r.sockets.webSocket(m)
	}
}

// matches reports whether the filter lets an event through.
func (r *httpRun) matches(v *events.Event) (bool, error) {
	if r.filter == nil {
		return true, nil
	}
	return r.filter.Match(v)
}

// eventFilter is a compiled expression.
type eventFilter interface {
	Bodies() bool // it looks at them
	Match(e *events.Event) (bool, error)
}

// compileWhere compiles the expression of --where, nil for none.
func compileWhere(text string) (eventFilter, error) {
	if text == "" {
		return nil, nil
	}
	f, err := newEventFilter(text)
	if err != nil {
		return nil, cli.Usage("--where: %w", err)
	}
	return f, nil
}

// wanted reports whether a filter, which may be nil, lets an event through. What goes wrong is noted in failed.
func wanted(f eventFilter, e *events.Event, failed *error) bool {
	if f == nil {
		return true
	}
	yes, err := f.Match(e)
	*failed = firstError(*failed, err)
	return yes
}

// wanted reports whether an event was asked for.
func (r *httpRun) wanted(v *events.Event) (bool, error) {
	if yes, err := r.matches(v); !yes || err != nil {
		return false, err
	}
	return r.grep == nil || r.grep.Match(v.RequestBody()) || r.grep.Match(v.Body()), nil
}

// httpLimits names the flags whose limits cost something.
func httpLimits(st httpx.Stats, x *bodyExtractor) []limit {
	var files uint64
	if x != nil {
		files = x.refused
	}
	return []limit{
		{st.LimitHeader, "--max-header, --max-header-line or --max-header-fields"},
		{st.LimitBody, "--max-body or --max-total-body"},
		{st.LimitRatio, "--max-ratio or --max-decoded"},
		{st.LimitDecoders, "--max-codings or --max-decoders"},
		{st.LimitHeld, "--max-held or --max-total-held"},
		{st.LimitPending, "--max-pending or --max-total-pending"},
		{st.LimitInterim, "--max-interim"},
		{st.LimitStreams, "--max-streams"},
		{st.LimitFrame, "--max-http2-frame"},
		{files, "--max-files"},
	}
}

// fields says how header fields are shown.
type fields struct{ redact bool }

// value returns the value of a header field as it may be shown.
func (f fields) value(name, value string) string {
	if f.redact {
		return events.Redact(name, value)
	}
	return value
}

// eventLines prints events as they are.
type eventLines struct{ w *events.Writer }

func (v *eventLines) exchange(_ *httpx.Exchange, e *events.Event) error { return v.w.Write(e) }

func (v *eventLines) close() error { return nil }

// dash returns s, or "-" for nothing.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
