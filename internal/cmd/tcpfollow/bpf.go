package tcpfollow

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
)

func newBPF() *cobra.Command {
	var link string
	cmd := &cobra.Command{
		Use:   "bpf [flags] [EXPRESSION]...",
		Short: "Compile a filter expression to a classic BPF program",
		Long: `bpf compiles an expression in the language of pcap-filter(7) and prints the
program as "tcpdump -ddd" does: the number of instructions, then one a line:
code, jump if true, jump if false, operand. Several arguments are one expression.

Names of hosts and networks are not looked up. What is not supported, such as
protochain, is refused with its place in the expression.`,
		Example: `  tcpfollow bpf tcp port 443
  tcpfollow bpf -y LINUX_SLL 'host 10.0.0.1 and not port 22'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := bpf.ParseLinkType(link)
			if err != nil {
				return cli.Usage("%w", err)
			}
			program, err := bpf.Compile(l, strings.Join(args, " "))
			if err != nil {
				return cli.Usage("compile filter: %w", err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), program)
			return err
		},
	}
	cmd.Flags().StringVarP(&link, "linktype", "y", "EN10MB", "link type of the frames: EN10MB, RAW, LINUX_SLL, LINUX_SLL2, NULL, LOOP, PPP, IPV4, IPV6")
	return cmd
}
