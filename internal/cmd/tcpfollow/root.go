// Package tcpfollow is the tcpfollow program.
package tcpfollow

import (
	"github.com/spf13/cobra"
)

// New returns the program's command tree. Where args start with the name of a command, it has that one alone: the flags of
// all the others would take longer to make than a short capture takes to read. Without args it is complete.
func New(args ...string) *cobra.Command {
	var list bool
	root := &cobra.Command{
		Use:   "tcpfollow",
		Short: "Follow TCP streams out of captures: what client and server said",
		Long: `tcpfollow reads captured packets and shows the TCP conversations among them.

Client and server are told apart, bytes come in order, and whatever is missing,
comes twice or makes no sense is shown or counted, never dropped in silence.

Input is pcap, pcapng or snoop, plain or compressed with gzip or zstd; "-" is
standard input, a directory stands for the captures in it. With -i, packets are
captured on a network interface, and -D lists those there are.

Exit status: 0 all went well, 1 an error, 2 wrong usage, 3 results are partial
(a truncated file, a limit that was reached), 4 not permitted to capture.`,
		Example: `  tcpfollow follow http.pcap              show every conversation
  tcpfollow ls http.pcap                  one line a stream
  tcpfollow follow --stream 3 --hex a.pcapng.gz
  sudo tcpfollow http -i eth0
  tcpdump -w - | tcpfollow follow -`,
		Args:              cobra.NoArgs,
		DisableAutoGenTag: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				return listInterfaces(cmd.OutOrStdout())
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVarP(&list, "list-interfaces", "D", false, "list the network interfaces")
	commands := map[string]func() *cobra.Command{
		"follow": newFollow, "ls": newList, "http": newHTTP, "ident": newIdent, "match": newMatch, "meter": newMeter,
		"bench": newBench, "links": newLinks, "bpf": newBPF,
	}
	if len(args) > 0 && commands[args[0]] != nil {
		root.AddCommand(commands[args[0]]())
		return root
	}
	for _, newCommand := range commands {
		root.AddCommand(newCommand())
	}
	root.AddCommand(newMan(root))
	return root
}
