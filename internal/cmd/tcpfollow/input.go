package tcpfollow

import (
	"time"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// input is what all commands that follow streams have in common: where frames come from, and how they are followed.
type input struct {
	files    []string
	engine   string
	checksum string
	expr     string
	tunnels  string
	overlap  string
	urgent   string
	fragment string
	count    uint64
	workers  int
	quiet    bool
	verbose  bool
	strict   bool
	noShort  bool // --filter has no short form
	noMid    bool
	keyVLAN  bool
	keyTun   bool
	cfg      tf.Config
	file     pcapfile.Config
	live     liveFlags
	record   recordFlags // of all frames
}

// filterShort is the short form of --filter, where a command does not use the letter itself.
func (in *input) filterShort() string {
	if in.noShort {
		return ""
	}
	return "f"
}

// flags adds the common flags to a command.
func (in *input) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVarP(&in.files, "read", "r", nil, "capture `file` or directory to read, besides the arguments; may be repeated")
	in.live.flags(cmd)
	fl.Uint64VarP(&in.count, "count", "c", 0, "stop after so many frames")
	fl.StringVarP(&in.expr, "filter", in.filterShort(), "", "follow only frames that an `expression` accepts, see pcap-filter(7); words after -- are one, too")
	fl.StringVar(&in.engine, "engine", "native", "reassembly engine: native, gopacket")
	fl.StringVar(&in.checksum, "checksum", "auto", "TCP checksums: auto (believe captures that look offloaded), off, strict")
	fl.StringVar(&in.tunnels, "enter-tunnels", "all", "tunnels to enter: all, none, or a `list` of names; -name leaves one out; see 'tcpfollow links'")
	fl.StringVar(&in.overlap, "overlap", "bsd", "which copy of differing bytes counts: bsd, first, last, linux, old-linux, solaris, or a system's name")
	fl.StringVar(&in.fragment, "fragment-overlap", "default", "the same for IP fragments: first, last, drop; default is first for IPv4, drop for IPv6")
	fl.StringVar(&in.urgent, "urgent", "inline", "the last byte of urgent data: inline, drop (leave it out), oob (show it apart)")
	fl.BoolVar(&in.noMid, "no-midstream", false, "ignore connections whose opening was not captured")
	fl.BoolVar(&in.cfg.AnyReset, "any-reset", false, "let every RST close its connection, not only those that RFC 5961 accepts")
	fl.BoolVar(&in.keyVLAN, "key-vlan", false, "tell equal connections in different VLANs apart")
	fl.BoolVar(&in.keyTun, "key-tunnel", false, "tell equal connections in different tunnels apart")
	fl.BoolVar(&in.strict, "strict", false, "stop at the first undecodable frame, with exit status 1")
	fl.BoolVarP(&in.quiet, "quiet", "q", false, "no summary and no progress on standard error")
	fl.BoolVarP(&in.verbose, "verbose", "v", false, "name every undecodable frame on standard error")

	l := &in.cfg.Limits
	for _, f := range []struct {
		name, usage string
		v           *int
	}{
		{"max-connections", "most `connections` known at a time (default 1048576)", &l.Connections},
		{"max-lingering", "most ended `connections` kept for their late packets (default 2048)", &l.Lingering},
		{"max-buffered", "most `bytes` of a direction that wait for an earlier one (default 1 MiB)", &l.Buffered},
		{"max-segments", "most `segments` of a direction that wait for an earlier one (default 512)", &l.Segments},
		{"max-total-buffered", "most `bytes` that wait in all directions together (default 256 MiB)", &l.TotalBuffered},
		{"max-total-history", "most `bytes` that --history takes for all open streams together (default 64 MiB)", &l.TotalHistory},
		{"max-gaps", "most `gaps` of a direction that are listed (default 4096)", &l.Gaps},
		{"reorder-segments", "how many `segments` late a packet may be before a hole counts as lost (default 32)", &l.Reorder},
	} {
		fl.IntVar(f.v, f.name, 0, f.usage)
	}
	fl.IntVar(&in.cfg.History, "history", 0, "compare late copies with the last `bytes` of a direction, where payload is not kept (default none)")
	fl.Uint64Var(&l.Depth, "depth", 0, "follow only so many `bytes` of each direction (default no limit)")
	t := &in.cfg.Timeouts
	for _, f := range []struct {
		name, usage string
		v           *time.Duration
	}{
		{"idle-timeout", "end a connection without packets after `time` (default 2h4m)", &t.Idle},
		{"handshake-timeout", "end a connection that was never answered after `time` (default 30s)", &t.Handshake},
		{"half-closed-timeout", "end a connection that one side has finished after `time` (default 5m)", &t.HalfClosed},
		{"linger", "take late packets of an ended connection for `time` (default 30s)", &t.Linger},
		{"hole-timeout", "give up a hole after `time` (default 30s)", &t.Hole},
		{"duplicates", "pass over and count frames that were captured twice within `time`, a few milliseconds (default off)", &in.cfg.Duplicates},
		{"reorder-time", "how late a packet may be before a hole counts as lost, a `time` (default 200ms)", &t.Reorder},
	} {
		fl.DurationVar(f.v, f.name, 0, f.usage)
	}
	d := &in.cfg.Fragments
	fl.IntVar(&d.MaxDatagrams, "max-datagrams", 0, "most incomplete IP `datagrams` held at a time (default 4096)")
	fl.IntVar(&d.MaxBytes, "max-fragment-bytes", 0, "most `bytes` of IP fragments held (default 16 MiB)")
	fl.IntVar(&d.MaxFragments, "max-fragments", 0, "most `fragments` of an IP datagram (default 256)")
	fl.IntVar(&in.file.MaxFrame, "max-frame", 0, "most captured `bytes` of one frame (default 16 MiB)")
	fl.Int64Var(&in.file.MaxSkip, "max-skip", 0, "most decompressed `bytes` without a frame among them (default 1 GiB)")
	fl.Int64Var(&in.file.MaxDecompressed, "max-decompressed", 0, "most `bytes` that a compressed file may hold (default no limit)")
}

// recordFlags adds the flags of commands that write all frames to files.
func (in *input) recordFlags(cmd *cobra.Command) {
	in.record.flags(cmd, "write all frames that are read to a capture `file`: pcapng, or pcap if its name ends so")
}

// workersFlag adds the flag of commands that can follow on several goroutines.
func (in *input) workersFlag(cmd *cobra.Command) {
	cmd.Flags().IntVar(&in.workers, "workers", 1, "follow on `N` processors; what is shown is the same")
}

// payloadFlags adds the limits on accumulated payload, for commands that accumulate.
func (in *input) payloadFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntVar(&in.cfg.Limits.Payload, "max-payload", 0, "most `bytes` of a direction to compare late copies with (default 64 MiB)")
	fl.IntVar(&in.cfg.Limits.TotalPayload, "max-total-payload", 0, "the same for all open streams together (default 256 MiB)")
}

// config returns the follower's configuration.
func (in *input) config() (*tf.Config, error) {
	cfg := in.cfg
	switch in.engine {
	case "gopacket":
		if cfg.Engine = gopacketEngine(); cfg.Engine == nil {
			return nil, cli.Usage("--engine gopacket: left out of this program by the build tag nogopacket")
		}
	case "native":
	default:
		return nil, cli.Usage("--engine: %q is none of native, gopacket", in.engine)
	}
	switch in.checksum {
	case "auto":
		cfg.Decode.Checksum = packet.ChecksumAuto
	case "off":
		cfg.Decode.Checksum = packet.ChecksumOff
	case "strict":
		cfg.Decode.Checksum = packet.ChecksumStrict
	default:
		return nil, cli.Usage("--checksum: %q is none of auto, off, strict", in.checksum)
	}
	var err error
	if cfg.Decode.Tunnels, err = packet.ParseTunnels(in.tunnels); err != nil {
		return nil, cli.Usage("--enter-tunnels: %w", err)
	}
	if cfg.Overlap, err = reassemble.ParseOverlap(in.overlap); err != nil {
		return nil, cli.Usage("--overlap: %w", err)
	}
	switch in.urgent {
	case "inline":
		cfg.Urgent = tf.UrgentInline
	case "drop":
		cfg.Urgent = tf.UrgentDrop
	case "oob":
		cfg.Urgent = tf.UrgentOutOfBand
	default:
		return nil, cli.Usage("--urgent: %q is none of inline, drop, oob", in.urgent)
	}
	switch in.fragment {
	case "default":
	case "first":
		cfg.Fragments.Overlap = packet.OverlapFirst
	case "last":
		cfg.Fragments.Overlap = packet.OverlapLast
	case "drop":
		cfg.Fragments.Overlap = packet.OverlapDrop
	default:
		return nil, cli.Usage("--fragment-overlap: %q is none of default, first, last, drop", in.fragment)
	}
	if in.noMid {
		cfg.Midstream = tf.MidstreamIgnore
	}
	cfg.Decode.KeyVLAN, cfg.Decode.KeyTunnel = in.keyVLAN, in.keyTun
	return &cfg, nil
}
