package tcpfollow

import (
	"fmt"
	"hash/crc32"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet"
)

func newBench() *cobra.Command {
	var in input
	var crc, metered bool
	cmd := &cobra.Command{
		Use:   "bench [flags] FILE...",
		Short: "Follow captures at full speed, count payload bytes, and print one line",
		Long: `bench follows captures with default limits and prints what was delivered:

  RESULT bytes=N streams=N

With --crc the line also has crc=N: the CRC-32C of what each side of each stream
sent, added up modulo 2^64. With --meter flows are metered instead, with all
statistics and without dissection, and the line is

  RESULT packets=N bytes=N flows=N`,
		Example: `  tcpfollow bench --crc big.pcap
  tcpfollow bench --meter big.pcap`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if metered {
				return benchMeter(cmd, args, &in)
			}
			cfg, err := in.config()
			if err != nil {
				return err
			}
			cfg.Incremental = true
			in.quiet = true
			var all []*counts // one for each goroutine
			f := follows[struct{}]{handlers: func(*tf.Config, bool, func(*tf.TCPStream, struct{})) (data, end tf.StreamFunc) {
				n := &counts{}
				all = append(all, n)
				return n.handlers(crc)
			}}
			return f.run(&in, cmd, args, cfg, &job{finish: func() error {
				var sum counts
				for _, n := range all {
					sum.bytes, sum.streams, sum.crc = sum.bytes+n.bytes, sum.streams+n.streams, sum.crc+n.crc
				}
				line := fmt.Sprintf("RESULT bytes=%d streams=%d", sum.bytes, sum.streams)
				if crc {
					line += fmt.Sprintf(" crc=%d", sum.crc)
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), line)
				return err
			}})
		},
	}
	cmd.Flags().BoolVar(&crc, "crc", false, "add a checksum over all that was delivered")
	cmd.Flags().BoolVar(&metered, "meter", false, "meter flows instead of following streams")
	in.workersFlag(cmd)
	in.flags(cmd)
	return cmd
}

// benchMeter meters the input and prints what was counted.
func benchMeter(cmd *cobra.Command, args []string, in *input) error {
	m := &metering{in: *in, workers: in.workers, cfg: meter.DefaultConfig(), bpf: in.expr, stderr: cmd.ErrOrStderr()}
	m.in.quiet = true
	m.cfg.Dissections, m.cfg.Statistics = 0, true
	if err := m.open(cmd, args); err != nil {
		return err
	}
	defer m.close()
	if err := m.confine(&meterRows{}); err != nil {
		return err
	}
	var bytes uint64
	var err error
	if m.meter, err = m.start(func(f *meter.Flow) { bytes += f.Bidirectional.Bytes }); err != nil {
		return err
	}
	err = m.follow(cmd.Context(), func(b *packet.Batch) error {
		m.meter.FeedBatch(b)
		return nil
	})
	err = firstError(err, m.meter.Flush())
	st := m.meter.Stats()
	_, printErr := fmt.Fprintf(cmd.OutOrStdout(), "RESULT packets=%d bytes=%d flows=%d\n", st.Packets, bytes, st.Flows)
	return m.summary(firstError(err, printErr), nil)
}

// counts are what bench counts.
type counts struct {
	bytes, streams, crc uint64
	_                   [13]uint64 // the counts of another goroutine lie in another cache line
}

// handlers are the callbacks that count.
func (n *counts) handlers(crc bool) (data, end tf.StreamFunc) {
	if !crc {
		return func(s *tf.TCPStream) { n.bytes += uint64(len(s.Chunk().Bytes)) }, func(*tf.TCPStream) { n.streams++ }
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	data = func(s *tf.TCPStream) {
		sums, ok := s.User().(*[2]uint32)
		if !ok {
			sums = new([2]uint32)
			s.SetUser(sums)
		}
		c := s.Chunk()
		n.bytes += uint64(len(c.Bytes))
		sums[c.Direction] = crc32.Update(sums[c.Direction], table, c.Bytes)
	}
	return data, func(s *tf.TCPStream) {
		n.streams++
		if sums, ok := s.User().(*[2]uint32); ok {
			n.crc += uint64(sums[0]) + uint64(sums[1])
		}
	}
}
