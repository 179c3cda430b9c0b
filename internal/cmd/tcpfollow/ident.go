package tcpfollow

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/names"
	"github.com/tcpfollow/tcpfollow/packet"
)

func newIdent() *cobra.Command {
	var in input
	var output, filter string
	v := &identView{}
	cmd := &cobra.Command{
		Use:   "ident [flags] FILE...",
		Short: "Show what flows say of themselves: names, fingerprints, banners",
		Long: `ident prints what is found in the clear at the start of TCP connections and UDP
flows, at any port: hellos of TLS, DTLS and QUIC with the name asked for and the
fingerprints JA3, JA3S and JA4; certificates; banners and key exchanges of SSH with
HASSH; the first request and response of HTTP; every DNS message; names of DHCP and
NetBIOS; and, of some seventy other protocols, which one it is. Host names are
mapped to applications by a table, to which --apps adds. With -o json, server_name
is what earlier packets called the server, where the finding itself names none.
-o events prints the flat events of docs/events.md; --where takes an expression over
their fields.

The frame is the one that completed the finding.`,
		Example: `  tcpfollow ident web.pcap
  tcpfollow ident -o json web.pcap | jq -r 'select(.sni) | [.client, .sni, .ja4] | @tsv'
  tcpfollow ident --where 'finding == "client_hello" && sni endsWith ".example"' web.pcap
  sudo tcpfollow ident -i eth0 -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := in.config()
			if err != nil {
				return err
			}
			cfg.Incremental = true
			v.out = bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			switch output {
			case "json":
				v.print = v.json
			case "text":
				v.print = v.text
			case "events":
				w := events.NewWriter(v.out)
				v.print = func(_ *appid.State, _ *appid.Finding, e *events.Event) { v.err = firstError(v.err, w.Write(e)) }
			default:
				return cli.Usage("-o: %q is none of text, json, events", output)
			}
			if v.filter, err = compileWhere(filter); err != nil {
				return err
			}
			if err := v.prepare(); err != nil {
				return err
			}
			cfg.OnGap = v.gap
			j := &job{data: v.data}
			j.started = func(s *session) error { v.session = s; return nil }
			j.each = func(*packet.Frame, tf.Verdict) error {
				if p := v.session.follower.Packet(); p != nil {
					v.flows.Feed(p)
				}
				return v.err
			}
			j.batch = func(live bool) error {
				if live {
					return firstError(v.err, v.out.Flush())
				}
				return v.err
			}
			j.finish = func() error {
				if n := v.flows.Evicted(); n > 0 && v.err == nil {
					v.err = cli.Partial(fmt.Errorf("results are partial: %d UDP flows made room for others (--max-flows)", n))
				}
				return firstError(v.out.Flush(), v.err)
			}
			return in.run(cmd, args, cfg, j)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&output, "output", "o", "text", "output format: text, json, events")
	fl.StringVar(&filter, "where", "", "only findings for which an `expression` is true")
	v.flags(cmd)
	in.flags(cmd)
	in.recordFlags(cmd)
	return cmd
}

// flags adds the flags of the identification to a command.
func (v *identView) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&v.apps, "apps", "", "`file` of more applications: host suffix, name and category a line, apart by tabs")
	fl.IntVar(&v.cfg.MaxBytes, "max-bytes", 0, "most `bytes` of each side that are looked at (default 16384)")
	fl.IntVar(&v.cfg.MaxPackets, "max-packets", 0, "most datagrams of a flow looked at without a finding (default 20)")
	fl.IntVar(&v.flowLimits.MaxFlows, "max-flows", 0, "most UDP `flows` known at a time (default 65536)")
}

// prepare makes what identifies.
func (v *identView) prepare() (err error) {
	if v.cfg.Applications, err = readApplications(v.apps); err != nil {
		return err
	}
	if v.names, err = names.New(nil); err != nil {
		return err
	}
	if v.engine, err = appid.New(v.found, &v.cfg); err == nil {
		v.flows, err = appid.NewDatagrams(v.engine, &v.flowLimits)
	}
	if err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	return nil
}

// readApplications returns the table of applications, with the rules of a file before its own.
func readApplications(path string) (*appid.Applications, error) {
	table, err := appid.NewApplications()
	if err != nil || path == "" {
		return table, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was read from only
	if err := table.Read(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return table, nil
}

// identView feeds the identification and prints what it finds.
type identView struct {
	apps       string // file of applications
	cfg        appid.Config
	flowLimits appid.DatagramConfig
	session    *session
	engine     *appid.Engine
	flows      *appid.Datagrams
	names      *names.Table
	out        *bufio.Writer
	filter     eventFilter
	stream     uint64 // that is being fed
	shared     bool   // others look at the streams, too
	print      func(*appid.State, *appid.Finding, *events.Event)
	err        error
}

// flowOf is what a stream's user value holds.
type flowOf struct {
	*appid.State
	gap [2]bool // bytes are missing before the next ones
}

func (v *identView) flow(s *tf.TCPStream) *flowOf {
	f, ok := s.User().(*flowOf)
	if !ok {
		f = &flowOf{State: v.engine.Open(packet.ProtoTCP, s.Client(), s.Server())}
		s.SetUser(f)
	}
	return f
}

func (v *identView) data(s *tf.TCPStream) {
	c, f := s.Chunk(), v.flow(s)
	gap := f.gap[c.Direction]
	f.gap[c.Direction] = false
	v.stream = s.ID()
	if v.engine.Feed(f.State, appid.Input{Direction: c.Direction, Data: c.Bytes, Gap: gap, Frame: v.session.follower.Frame()}) && !v.shared {
		s.StopAll()
	}
}

func (v *identView) gap(s *tf.TCPStream, g tf.Gap) { v.flow(s).gap[g.Direction] = true }

// found shows a finding, if it was asked for.
func (v *identView) found(st *appid.State, f *appid.Finding) {
	e := events.OfFinding(st, f, v.stream, v.now())
	e.Naming(v.names)
	if wanted(v.filter, e, &v.err) {
		v.print(st, f, e)
	}
}

// jsonFinding is a line of ident -o json.
type jsonFinding struct {
	Kind        appid.Kind     `json:"kind"`
	Transport   string         `json:"transport"`
	Proto       string         `json:"proto"`
	Client      netip.AddrPort `json:"client"`
	Server      netip.AddrPort `json:"server"`
	Dir         string         `json:"dir"`
	Frame       uint64         `json:"frame"`
	Time        time.Time      `json:"time"`
	SNI         string         `json:"sni,omitempty"`
	ALPN        []string       `json:"alpn,omitempty"`
	JA3         string         `json:"ja3,omitempty"`
	JA4         string         `json:"ja4,omitempty"`
	JA3S        string         `json:"ja3s,omitempty"`
	QUICVersion string         `json:"quic_version,omitempty"`
	ECH         bool           `json:"ech,omitempty"`
	Resumption  bool           `json:"resumption,omitempty"`
	Subject     string         `json:"subject,omitempty"`
	Issuer      string         `json:"issuer,omitempty"`
	Names       []string       `json:"names,omitempty"`
	Banner      string         `json:"banner,omitempty"`
	HASSH       string         `json:"hassh,omitempty"`
	HASSHServer string         `json:"hasshserver,omitempty"`
	Host        string         `json:"host,omitempty"`
	UserAgent   string         `json:"user_agent,omitempty"`
	ContentType string         `json:"content_type,omitempty"`
	Query       string         `json:"query,omitempty"`
	Answers     []string       `json:"answers,omitempty"`
	HostName    string         `json:"hostname,omitempty"`
	Parameters  string         `json:"dhcp_parameters,omitempty"`
	ServerName  string         `json:"server_name,omitempty"`
	Broken      bool           `json:"broken,omitempty"`
	App         string         `json:"app"`
	Category    string         `json:"category"`
	Confidence  uint8          `json:"confidence"`
	Guessed     bool           `json:"guessed"`
}

func (v *identView) json(st *appid.State, f *appid.Finding, e *events.Event) {
	row := jsonFinding{
		Kind: f.Kind, Transport: e.Transport, Proto: f.Proto, Client: st.Client, Server: st.Server, Dir: f.Direction.String(),
		Frame: f.Frame, Time: e.Time, SNI: text(f.ServerName), ALPN: texts(f.ALPN), JA3: f.JA3, JA4: text(f.JA4), JA3S: f.JA3S, QUICVersion: e.QUICVersion,
		ECH: f.ECH, Resumption: f.Resumption, Subject: text(f.Subject), Issuer: text(f.Issuer), Names: texts(f.Names),
		Banner: text(f.Banner), HASSH: f.HASSH, HASSHServer: f.HASSHServer, Host: text(f.Host), UserAgent: text(f.UserAgent),
		ContentType: text(f.ContentType), Query: text(f.Query), Answers: texts(f.Answers), HostName: text(f.HostName),
		Parameters: f.Parameters, Broken: f.Broken, App: e.App, Category: e.Category, Confidence: uint8(f.Flow.Confidence), Guessed: e.Guessed,
	}
	if f.ServerName == "" && f.Host == "" {
		row.ServerName = e.ServerName
	}
	enc := json.NewEncoder(v.out)
	enc.SetEscapeHTML(false)
	v.err = firstError(v.err, enc.Encode(&row))
}

// now is the time of the frame that is being followed.
func (v *identView) now() time.Time {
	if p := v.session.follower.Packet(); p != nil {
		return time.Unix(0, p.Time).UTC()
	}
	return time.Time{}
}

func texts(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = text(s)
	}
	return out
}

func (v *identView) text(st *appid.State, f *appid.Finding, e *events.Event) {
	parts := []string{f.Proto, string(f.Kind)}
	for _, p := range []struct{ name, value string }{
		{"", f.ServerName},
		{"", f.Host},
		{"", f.Query},
		{"", f.Banner},
		{"", f.Subject},
		{"", f.HostName},
		{"", strings.Join(f.Answers, " ")},
		{"alpn", strings.Join(f.ALPN, ",")},
		{"ja4", f.JA4},
		{"ja3", f.JA3},
		{"ja3s", f.JA3S},
		{"hassh", f.HASSH},
		{"hasshserver", f.HASSHServer},
		{"issuer", f.Issuer},
		{"agent", f.UserAgent},
		{"type", f.ContentType},
	} {
		switch {
		case p.value == "":
		case p.name == "":
			parts = append(parts, cli.EscapeLine(p.value))
		default:
			parts = append(parts, p.name+"="+cli.EscapeLine(p.value))
		}
	}
	if f.ECH {
		parts = append(parts, "ech")
	}
	if f.Broken {
		parts = append(parts, "broken")
	}
	if f.Flow.App != "" {
		parts = append(parts, "app="+f.Flow.Name())
	}
	_, err := fmt.Fprintf(v.out, "%d %s %s > %s %s\n", f.Frame, e.Transport, st.Client, st.Server, strings.Join(parts, " "))
	v.err = firstError(v.err, err)
}
