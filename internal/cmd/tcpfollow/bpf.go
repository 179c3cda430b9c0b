package tcpfollow

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
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
				return badFilter("compile filter: %w", err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), program)
			return err
		},
	}
	cmd.Flags().SetInterspersed(false) // "-" is subtraction
	cmd.Flags().StringVarP(&link, "linktype", "y", "EN10MB", "link type of the frames: EN10MB, RAW, LINUX_SLL, LINUX_SLL2, NULL, LOOP, PPP, IPV4, IPV6")
	return cmd
}

// badFilter is wrong usage, in one line that says where.
func badFilter(format string, args ...any) error {
	return &cli.CodedError{Code: cli.ExitUsage, Err: fmt.Errorf(format, args...), Plain: true}
}

// filter chooses frames by an expression, which is compiled for each link type that comes.
type filter struct {
	expr     string
	programs map[packet.LinkType]bpf.Program
	rejected uint64 // frames that were not accepted
}

// filter takes the words after "--" from the arguments and returns the filter that they or --filter are, nil for none.
func (in *input) filter(cmd *cobra.Command, args []string) ([]string, *filter, error) {
	expr := in.expr
	if n := cmd.ArgsLenAtDash(); n >= 0 {
		if expr != "" && n < len(args) {
			return nil, nil, cli.Usage("a filter is given twice: --filter %q, and the words after --", expr)
		}
		expr += strings.Join(args[n:], " ")
		args = args[:n]
	}
	if expr == "" {
		return args, nil, nil
	}
	// What is wrong for Ethernet may be right for another link type, but not if it is wrong for all.
	_, err := bpf.Compile(packet.LinkEthernet, expr)
	for _, l := range packet.LinkTypes() {
		if err == nil {
			break
		}
		if _, other := bpf.Compile(l, expr); other == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, nil, badFilter("compile filter: %w", err)
	}
	return args, &filter{expr: expr, programs: map[packet.LinkType]bpf.Program{}}, nil
}

func (f *filter) compile(l packet.LinkType) error {
	program, err := bpf.Compile(l, f.expr)
	if errors.Is(err, bpf.ErrRejectsAll) {
		program, err = bpf.Program{}, nil
	}
	if err != nil {
		return badFilter("compile filter for %v: %w", l, err)
	}
	f.programs[l] = program
	return nil
}

// choose leaves the frames that are accepted.
func (f *filter) choose(b *packet.Batch) error {
	kept := b.Frames[:0]
	for _, frame := range b.Frames {
		program, ok := f.programs[frame.Link]
		if !ok {
			if err := f.compile(frame.Link); err != nil {
				return err
			}
			program = f.programs[frame.Link]
		}
		if program.Run(frame.Data, frame.Length) == 0 {
			f.rejected++
			continue
		}
		kept = append(kept, frame)
	}
	b.Frames = kept
	return nil
}
