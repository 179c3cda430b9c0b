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
			var total, streams, sum uint64
			data := func(s *tf.TCPStream) { total += uint64(len(s.Chunk().Bytes)) }
			end := func(*tf.TCPStream) { streams++ }
			if crc {
				table := crc32.MakeTable(crc32.Castagnoli)
				data = func(s *tf.TCPStream) {
					sums, ok := s.User().(*[2]uint32)
					if !ok {
						sums = new([2]uint32)
						s.SetUser(sums)
					}
					c := s.Chunk()
					total += uint64(len(c.Bytes))
					sums[c.Direction] = crc32.Update(sums[c.Direction], table, c.Bytes)
				}
				end = func(s *tf.TCPStream) {
					streams++
					if sums, ok := s.User().(*[2]uint32); ok {
						sum += uint64(sums[0]) + uint64(sums[1])
					}
				}
			}
			return in.run(cmd, args, cfg, &job{data: data, end: end, finish: func() error {
				line := fmt.Sprintf("RESULT bytes=%d streams=%d", total, streams)
				if crc {
					line += fmt.Sprintf(" crc=%d", sum)
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), line)
				return err
			}})
		},
	}
	cmd.Flags().BoolVar(&crc, "crc", false, "add a checksum over all that was delivered")
	in.flags(cmd)
	return cmd
}
