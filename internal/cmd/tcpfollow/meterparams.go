package tcpfollow

import (
	"encoding/json"
	"math"
	"time"

	"github.com/spf13/pflag"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// liveParameters are NFStream's parameters of live capture: of no effect on files, as there.
type liveParameters struct {
	promiscuous bool
	buffer      int
	report      int
	visibility  int
	poll        int
}

// defaultSnapshot is NFStream's.
const defaultSnapshot = 1536

// flags adds the parameters that the flags of live capture do not have, and gives those NFStream's defaults.
func (l *liveParameters) flags(fl *pflag.FlagSet, live *liveFlags) {
	if f := fl.Lookup("snapshot-length"); f != nil {
		live.cfg.SnapLen = defaultSnapshot
		f.DefValue, f.Usage = "1536", "most `bytes` that -i keeps of a frame"
	}
	fl.BoolVar(&l.promiscuous, "promiscuous-mode", true, "see frames for other hosts, too; of live capture, as all up to --system-visibility-mode")
	fl.IntVar(&l.buffer, "socket-buffer-size", 0, "another name of --ring")
	fl.IntVar(&l.report, "performance-report", 0, "report counters on standard error every so many `seconds`, as JSON Lines; 0 does not")
	fl.IntVar(&l.visibility, "system-visibility-mode", 0, "only 0: the processes behind flows are not looked for")
	fl.IntVar(&l.poll, "system-visibility-poll-ms", 100, "of no effect")
}

// check checks the parameters, and tells the capture of them.
func (l *liveParameters) check(live *liveFlags) error {
	switch {
	case live.cfg.SnapLen <= 0:
		return cli.Usage("--snapshot-length: %d is not positive", live.cfg.SnapLen)
	case l.buffer < 0 || l.buffer > math.MaxInt32:
		return cli.Usage("--socket-buffer-size: %d is none of 0 to 2147483647", l.buffer)
	case l.report < 0:
		return cli.Usage("--performance-report: %d is negative", l.report)
	case l.report > 0 && len(live.cfg.Interfaces) == 0:
		return cli.Usage("--performance-report is for live capture")
	case l.visibility != 0:
		return cli.Usage("--system-visibility-mode: only 0: which process a flow belongs to is not in the packets")
	case l.poll < 0:
		return cli.Usage("--system-visibility-poll-ms: %d is negative", l.poll)
	}
	if !l.promiscuous {
		live.cfg.NoPromiscuous = true
	}
	if l.buffer > 0 {
		live.cfg.Ring = l.buffer
	}
	return nil
}

// performance is a line of --performance-report, with the names of NFStream's. All is counted from the start.
type performance struct {
	Expired   uint64   `json:"flows_expired"`
	Processed uint64   `json:"packets_processed"`
	Ignored   uint64   `json:"packets_ignored"`
	Dropped   uint64   `json:"packets_dropped_filtered_by_kernel"`
	Balance   []uint64 `json:"meters_packets_processing_balance"`
}

// reporter returns what is called whenever time has passed, and prints a line when one is due.
func (l *liveParameters) reporter(m *metering) func() error {
	if l.report == 0 {
		return func() error { return nil }
	}
	every := time.Duration(l.report) * time.Second
	due := time.Now().Add(every)
	return func() error {
		if time.Now().Before(due) {
			return nil
		}
		due = due.Add(every)
		st := m.meter.Stats()
		line := performance{Expired: st.Flows, Processed: st.Packets, Dropped: m.session.dropped(), Balance: []uint64{st.Packets}}
		for _, n := range st.Ignored {
			line.Ignored += n
		}
		return json.NewEncoder(m.stderr).Encode(&line)
	}
}
