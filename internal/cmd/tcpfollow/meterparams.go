package tcpfollow

import (
	"math"

	"github.com/spf13/pflag"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// liveParameters are NFStream's parameters of live capture: of no effect on files, as there.
type liveParameters struct {
	promiscuous bool
	snapshot    int
	buffer      int
	report      int
	visibility  int
	poll        int
}

func (l *liveParameters) flags(fl *pflag.FlagSet) {
	fl.BoolVar(&l.promiscuous, "promiscuous-mode", true, "see frames for other hosts, too; of live capture, as all up to --system-visibility-mode")
	fl.IntVar(&l.snapshot, "snapshot-length", 1536, "most `bytes` captured of a frame")
	fl.IntVar(&l.buffer, "socket-buffer-size", 0, "`bytes` of the capture buffer; 0 is the default")
	fl.IntVar(&l.report, "performance-report", 0, "report counters every so many `seconds`; 0 does not")
	fl.IntVar(&l.visibility, "system-visibility-mode", 0, "only 0: the processes behind flows are not looked for")
	fl.IntVar(&l.poll, "system-visibility-poll-ms", 100, "of no effect")
}

func (l *liveParameters) check() error {
	switch {
	case l.snapshot <= 0:
		return cli.Usage("--snapshot-length: %d is not positive", l.snapshot)
	case l.buffer < 0 || l.buffer > math.MaxInt32:
		return cli.Usage("--socket-buffer-size: %d is none of 0 to 2147483647", l.buffer)
	case l.report != 0:
		return cli.Usage("--performance-report is for live capture")
	case l.visibility != 0:
		return cli.Usage("--system-visibility-mode: only 0: which process a flow belongs to is not in the packets")
	case l.poll < 0:
		return cli.Usage("--system-visibility-poll-ms: %d is negative", l.poll)
	}
	return nil
}
