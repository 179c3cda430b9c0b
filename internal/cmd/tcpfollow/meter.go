package tcpfollow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/meter/zeek"
	"github.com/tcpfollow/tcpfollow/packet"
)

// flowMeter is a meter, on one goroutine or several.
type flowMeter interface {
	FeedBatch(b *packet.Batch)
	Advance(ns int64)
	Flush() error
	Done() bool
	Stats() meter.Stats
}

// metering is the command meter: its flags, and one run.
type metering struct {
	in      input // where frames come from; of its flags, those that make sense here
	workers int
	cfg     meter.Config
	out     meterOutput
	bpf     string
	idle    string
	active  string
	acct    uint8
	order   string
	rules   string
	unit    string
	plugs   []string
	live    liveParameters

	stderr  io.Writer
	files   []string
	session *session // of which it is the input alone
	meter   flowMeter
}

func newMeter() *cobra.Command {
	m := &metering{cfg: meter.DefaultConfig()}
	cmd := &cobra.Command{
		Use:   "meter [flags] FILE...",
		Short: "Print bidirectional flows with NFStream's features",
		Long: `meter prints a row for each bidirectional flow, with the features of NFStream
6.6.0: the same rows, numbers and order, byte for byte, where dissection is off.
Its flags are NFStream's parameters. docs/from-nfstream.md says what differs.

Rows are in NFStream's order by default, in which a long flow keeps back all that
began after it; --order expiry does better. --rules strict decodes frames as the
other commands do: all tunnels, fragments, captures cut by a snapshot length.

With -i flows are those of a network interface, printed as they end; an idle flow
ends when its time is over, also when no packet comes.`,
		Example: `  tcpfollow meter --statistical-analysis -w flows.csv capture.pcap
  tcpfollow meter -o json --columns src_ip,dst_ip,bidirectional_bytes capture.pcap
  tcpfollow meter --order expiry --idle-timeout 15 day1/ -- udp
  sudo tcpfollow meter -i eth0 --performance-report 10 -w flows.csv`,
		RunE: m.run,
	}
	m.flags(cmd)
	return cmd
}

// flags adds the flags, NFStream's parameters first.
func (m *metering) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVarP(&m.in.files, "read", "r", nil, "capture `file` or directory to read, besides the arguments; may be repeated")
	fl.BoolVar(&m.cfg.DecodeTunnels, "decode-tunnels", true, "enter GTP-U, CAPWAP and TZSP")
	fl.StringVar(&m.bpf, "bpf-filter", "", "meter only frames that an `expression` accepts; words after -- are one, too")
	fl.StringVar(&m.idle, "idle-timeout", "120", "end a flow after so many `seconds` without a packet; off never does")
	fl.StringVar(&m.active, "active-timeout", "1800", "cut a flow after so many `seconds`; off never does")
	fl.Uint8Var(&m.acct, "accounting-mode", 0, "what sizes are of: 0 frame, 1 IP packet, 2 transport, 3 payload")
	fl.IntVar(&m.cfg.Dissections, "n-dissections", 20, "look into so many `packets` of a flow for its application, 0 to 255")
	fl.BoolVar(&m.cfg.Statistics, "statistical-analysis", false, "add distributions of sizes and gaps, and counts of TCP flags")
	fl.IntVar(&m.cfg.SPLT, "splt-analysis", 0, "add directions, sizes and gaps of the first `packets`, 0 to 65535")
	fl.Uint64Var(&m.cfg.MaxFlows, "max-nflows", 0, "stop after so many `flows`")
	m.in.live.flags(cmd)
	m.live.flags(fl, &m.in.live)
	m.out.flags(fl)
	fl.StringVar(&m.order, "order", "nfstream", "order of rows: nfstream, first (packet), expiry")
	fl.StringVar(&m.rules, "rules", "nfstream", "how frames are decoded: nfstream, strict")
	fl.StringVar(&m.unit, "time-unit", "ms", "unit of times: ms, us, ns")
	fl.BoolVar(&m.cfg.EndOnTCP, "tcp-end", false, "end flows at FIN and RST, too (expiration_id 2 and 3)")
	fl.BoolVar(&m.cfg.KeepDirection, "keep-direction", false, "keep source and destination when the active timeout cuts a flow")
	fl.StringArrayVar(&m.plugs, "plugin", nil, "add columns: `name` or name=argument; may be repeated: "+strings.Join(pluginNames(), ", "))
	fl.IntVar(&m.cfg.MaxActive, "max-active", meter.DefaultMaxActive, "most `flows` known at a time")
	fl.IntVar(&m.cfg.MaxDissecting, "max-dissecting", meter.DefaultMaxDissecting, "most `bytes` of all flows together that are being looked into")
	fl.IntVar(&m.cfg.MaxWaiting, "max-waiting", meter.DefaultMaxWaiting, "most `flows` that wait for an earlier one, with --order first")
	fl.IntVar(&m.workers, "workers", 1, "goroutines that gather flows, with the rows and ids of one; 0 is one for each processor; n-meters is another name")
	fl.Uint64VarP(&m.in.count, "count", "c", 0, "stop after so many frames")
	fl.BoolVarP(&m.in.quiet, "quiet", "q", false, "no summary and no progress on standard error")
	fl.IntVar(&m.in.file.MaxFrame, "max-frame", 0, "most captured `bytes` of one frame (default 16 MiB)")
	fl.Int64Var(&m.in.file.MaxSkip, "max-skip", 0, "most decompressed `bytes` without a frame among them (default 1 GiB)")
	fl.Int64Var(&m.in.file.MaxDecompressed, "max-decompressed", 0, "most `bytes` that a compressed file may hold (default no limit)")
	fl.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "filter":
			name = "bpf-filter"
		case "n-meters":
			name = "workers"
		}
		return pflag.NormalizedName(name)
	})
	cmd.SetFlagErrorFunc(m.out.bare(cmd))
}

// seconds reads a timeout.
func seconds(flag, text string) (time.Duration, error) {
	if text == "off" {
		return meter.Never, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxUint64/1000 {
		return 0, cli.Usage("--%s: %q is no number of whole seconds, nor off", flag, text)
	}
	if n > uint64(math.MaxInt64/time.Second) {
		return meter.Never, nil // 292 years
	}
	return time.Duration(n) * time.Second, nil
}

// config completes the configuration.
func (m *metering) config() (err error) {
	if err := m.live.check(&m.in.live); err != nil {
		return err
	}
	if m.cfg.IdleTimeout, err = seconds("idle-timeout", m.idle); err != nil {
		return err
	}
	if m.cfg.ActiveTimeout, err = seconds("active-timeout", m.active); err != nil {
		return err
	}
	if m.acct > uint8(nfpacket.PayloadSize) {
		return cli.Usage("--accounting-mode: %d is none of 0, 1, 2, 3", m.acct)
	}
	m.cfg.Accounting = nfpacket.Accounting(m.acct)
	m.cfg.Compat65 = m.out.dialect == "nfstream-6.5"
	if m.cfg.Order, err = choice("order", m.order, map[string]meter.Order{
		"nfstream": meter.OrderNFStream, "first": meter.OrderFirst, "expiry": meter.OrderExpiry,
	}); err != nil {
		return err
	}
	if m.cfg.Rules, err = choice("rules", m.rules, map[string]meter.Rules{"nfstream": meter.RulesNFStream, "strict": meter.RulesStrict}); err != nil {
		return err
	}
	if m.cfg.TimeUnit, err = choice("time-unit", m.unit, map[string]time.Duration{
		"ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond,
	}); err != nil {
		return err
	}
	m.out.unit = m.cfg.TimeUnit
	m.cfg.Plugins, err = m.plugins()
	return err
}

// plugins returns the plugins that the flags ask for.
func (m *metering) plugins() ([]meter.Plugin, error) {
	list, err := newPlugins(m.plugs)
	if m.out.output == "zeek" {
		list = append(list, zeek.Plugin())
	}
	return list, err
}

// choice returns what a word stands for.
func choice[T any](flag, word string, of map[string]T) (T, error) {
	v, ok := of[word]
	if !ok {
		return v, cli.Usage("--%s: %q is none of %s", flag, word, strings.Join(slices.Sorted(maps.Keys(of)), ", "))
	}
	return v, nil
}

// open opens the input, of which words behind "--" are no part.
func (m *metering) open(cmd *cobra.Command, args []string) error {
	m.in.expr = m.bpf
	args, chosen, err := m.in.filter(cmd, args)
	if err != nil {
		return err
	}
	m.files = append(slices.Clip(m.in.files), args...)
	m.in.file.SignedSeconds = m.cfg.Rules == meter.RulesNFStream
	s := &session{in: &m.in, filter: chosen, stderr: m.stderr}
	if s.set, s.source, err = m.in.open(cmd.Context(), m.files, &s.filter); err != nil {
		return err
	}
	if s.source != nil {
		m.files = m.in.live.cfg.Interfaces
	}
	m.session = s
	return nil
}

// close closes the input, unless an interrupt left it behind.
func (m *metering) close() {
	if !m.session.left {
		_ = m.session.set.Close() // it was read from only
	}
}

func (m *metering) run(cmd *cobra.Command, args []string) error {
	if m.in.live.list {
		return listInterfaces(cmd.OutOrStdout())
	}
	m.stderr = cmd.ErrOrStderr()
	if err := m.config(); err != nil {
		return err
	}
	columns, err := meter.Columns(&m.cfg)
	if err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	if err := m.open(cmd, args); err != nil {
		return err
	}
	defer m.close()
	rows, err := m.out.open(cmd.OutOrStdout(), m.stderr, columns, m.files)
	if err != nil {
		return err
	}
	var failed error
	if m.meter, err = m.start(func(f *meter.Flow) {
		if failed == nil {
			failed = rows.Write(f)
		}
	}); err != nil {
		rows.abort()
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	if err := m.confine(rows); err != nil {
		rows.abort()
		return err
	}
	report := m.live.reporter(m)
	progress := cli.NewProgress(m.stderr, m.session.set.Size(), m.in.quiet)
	err = m.follow(cmd.Context(), func(b *packet.Batch) error {
		m.meter.FeedBatch(b)
		if b.Clock != 0 {
			m.meter.Advance(b.Clock)
			failed = firstError(failed, rows.flush(), report())
		}
		progress.Update(m.session.set.BytesRead(), m.session.seen)
		return failed
	})
	progress.Done()
	err = firstError(err, m.meter.Flush(), failed)
	if err != nil {
		rows.abort()
	} else {
		err = rows.Close()
	}
	return m.summary(err, rows)
}

// start makes the meter.
func (m *metering) start(emit func(*meter.Flow)) (flowMeter, error) {
	switch m.workers {
	case 1:
		return meter.New(emit, &m.cfg)
	case 0:
		m.workers = runtime.GOMAXPROCS(0)
	}
	return meter.NewSharded(m.workers, emit, &m.cfg, m.plugins)
}

// confine gives up what it takes to capture, once the output is open.
func (m *metering) confine(rows *meterRows) error {
	if m.session.source == nil {
		return nil
	}
	if rows.path != "" {
		m.session.writesTo(filepath.Dir(rows.path))
	}
	return m.in.live.confine(m.session.set, m.session.writes, m.stderr, m.in.quiet)
}

// follow reads the input to its end, or until no more is wanted.
func (m *metering) follow(ctx context.Context, feed func(*packet.Batch) error) error {
	var b packet.Batch
	for !m.meter.Done() {
		if err := m.session.next(ctx, &b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := feed(&b); err != nil {
			return err
		}
	}
	return nil
}

// summary says on standard error what was seen, and turns err into the command's.
func (m *metering) summary(err error, rows *meterRows) error {
	st := m.meter.Stats()
	if !m.in.quiet {
		fmt.Fprintf(m.stderr, "%s, %s, %s", cli.Count(st.Frames, "frame"), cli.Count(st.Packets, "packet"), cli.Count(st.Flows, "flow"))
		if m.session.filter != nil {
			fmt.Fprintf(m.stderr, ", %s filtered out", cli.Count(m.session.filter.rejected, "frame"))
		}
		for i, n := range st.Ignored {
			if n > 0 {
				fmt.Fprintf(m.stderr, ", %s ignored: %v", cli.Count(n, "frame"), nfpacket.Status(i))
			}
		}
		if st.Backwards > 0 {
			fmt.Fprintf(m.stderr, ", %s with a time before that of an earlier one", cli.Count(st.Backwards, "packet"))
		}
		fmt.Fprintln(m.stderr)
		m.session.printCaptured()
		rows.report(m.stderr)
	}
	partial := m.session.cut
	for _, l := range []limit{{st.Evicted, "--max-active"}, {st.Unsorted, "--max-waiting"}, {st.Undissected, "--max-dissecting"}, {m.session.dropped(), "--ring"}} {
		if l.n > 0 {
			partial = append(partial, fmt.Errorf("results are partial: limit reached: %s (%s)", l.name, cli.Count(l.n, "time")))
		}
	}
	switch {
	case len(partial) == 0:
		return err
	case err != nil:
		return &cli.CodedError{Code: cli.ExitError, Err: errors.Join(append(partial, err)...)}
	}
	return cli.Partial(errors.Join(partial...))
}
