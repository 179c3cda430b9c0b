package tcpfollow

import (
	"fmt"
	"hash/crc32"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
)

func newBench() *cobra.Command {
	var in input
	var crc bool
	cmd := &cobra.Command{
		Use:   "bench [flags] FILE...",
		Short: "Follow captures at full speed, count payload bytes, and print one line",
		Long: `bench follows captures with default limits and prints what was delivered:

  RESULT bytes=N streams=N

With --crc the line also has crc=N: the CRC-32C of what each side of each stream
sent, added up modulo 2^64.`,
		Example: "  tcpfollow bench --crc big.pcap",
		RunE: func(cmd *cobra.Command, args []string) error {
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
	in.workersFlag(cmd)
	in.flags(cmd)
	return cmd
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
