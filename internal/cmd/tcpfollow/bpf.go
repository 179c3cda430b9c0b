package tcpfollow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func newBPF() *cobra.Command {
	var link, file string
	cmd := &cobra.Command{
		Use:   "bpf [flags] [EXPRESSION]...",
		Short: "Compile a filter expression to a classic BPF program",
		Long: `bpf compiles an expression in the language of pcap-filter(7) and prints the
program as "tcpdump -ddd" does: the number of instructions, then one a line:
code, jump if true, jump if false, operand. Several arguments are one expression.

With -r the program is for the frames of a file: its link type, and for NULL and
LOOP the address families of IPv6 on BSD and macOS in its byte order.

Names of hosts and networks are not looked up. What is not supported, such as
protochain, is refused with its place in the expression.`,
		Example: `  tcpfollow bpf tcp port 443
  tcpfollow bpf -y LINUX_SLL 'host 10.0.0.1 and not port 22'
  tcpfollow bpf -r lo0.pcap ip6`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" && cmd.Flags().Changed("linktype") {
				return cli.Usage("--read has a link type: --linktype cannot go with it")
			}
			l, order, err := framesOf(link, file)
			if err != nil {
				return err
			}
			program, err := bpf.CompileFile(l, order, strings.Join(args, " "))
			if err != nil {
				return badFilter("compile filter: %w", err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), program)
			return err
		},
	}
	cmd.Flags().SetInterspersed(false) // "-" is subtraction
	cmd.Flags().StringVarP(&file, "read", "r", "", "capture `file` that has the frames, instead of a link type")
	cmd.Flags().StringVarP(&link, "linktype", "y", "EN10MB", "link type of the frames: EN10MB, RAW, LINUX_SLL, LINUX_SLL2, NULL, LOOP, PPP, PPP_SERIAL, PPP_PPPD, PPP_ETHER, C_HDLC, IPV4, IPV6")
	return cmd
}

// framesOf returns the link type of the frames of a file, and its byte order; without a file, the link type by its name.
func framesOf(link, file string) (packet.LinkType, binary.ByteOrder, error) {
	if file == "" {
		l, err := bpf.ParseLinkType(link)
		if err != nil {
			return 0, nil, cli.Usage("%w", err)
		}
		return l, nil, nil
	}
	info, err := headerOf(file)
	return info.Link, byteOrder(info.BigEndian), err
}

// headerOf reads what a file says before its frames; in pcapng, that takes reading up to the first of them.
func headerOf(file string) (pcapfile.Info, error) {
	r, err := pcapfile.Open(file, nil)
	if err != nil {
		return pcapfile.Info{}, err
	}
	defer func() { _ = r.Close() }() // it was read from only
	if r.Info().Format == pcapfile.FormatPcapNG {
		var b packet.Batch
		if err := r.ReadBatch(&b); errors.Is(err, io.EOF) && r.Info().TicksPerSecond == 0 {
			return pcapfile.Info{}, fmt.Errorf("read %s: no interface in it, so no link type", cli.EscapeLine(file))
		} else if err != nil && !errors.Is(err, io.EOF) {
			return pcapfile.Info{}, err
		}
	}
	return r.Info(), nil
}

func byteOrder(big bool) binary.ByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// badFilter is wrong usage, in one line that says where.
func badFilter(format string, args ...any) error {
	return &cli.CodedError{Code: cli.ExitUsage, Err: fmt.Errorf(format, args...), Plain: true}
}

// filter chooses frames of files by an expression, which is compiled for each link type and byte order that comes.
type filter struct {
	expr     string
	files    *pcapfile.Set
	programs map[frameKind]bpf.Program
	rejected uint64 // frames that were not accepted
}

// frameKind is what a program is for.
type frameKind struct {
	link packet.LinkType
	big  bool // of a big-endian file
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
	return args, &filter{expr: expr, programs: map[frameKind]bpf.Program{}}, nil
}

func (f *filter) compile(k frameKind) error {
	program, err := bpf.CompileFile(k.link, byteOrder(k.big), f.expr)
	if errors.Is(err, bpf.ErrRejectsAll) {
		program, err = bpf.Program{}, nil
	}
	if err != nil {
		return badFilter("compile filter for %v: %w", k.link, err)
	}
	f.programs[k] = program
	return nil
}

// choose leaves the frames that are accepted.
func (f *filter) choose(b *packet.Batch) error {
	kept := b.Frames[:0]
	big := f.files.Info().BigEndian // of all frames: a batch is of one file
	for _, frame := range b.Frames {
		kind := frameKind{frame.Link, big}
		program, ok := f.programs[kind]
		if !ok {
			if err := f.compile(kind); err != nil {
				return err
			}
			program = f.programs[kind]
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
