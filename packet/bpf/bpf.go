// Package bpf compiles filter expressions, the language of pcap-filter(7), to classic BPF programs.
//
// A program runs in the VM of golang.org/x/net/bpf on frames of a file, or in the kernel on a socket. It accepts the
// frames that libpcap's program for the same expression and link type accepts; the instructions may differ. A load
// beyond the end of a frame rejects the frame, so programs judge truncated frames as libpcap's do, too.
//
// Arithmetic is computed where the protocol of its leftmost operand is present; what is right of an operator is loaded
// whether or not its protocol is, as libpcap does. Write "tcp and ip[2:2] - tcp[12] > 9" to be sure. "%" and "^" take all
// that follows as their right operand, as in libpcap's grammar.
//
// Nothing is looked up outside the program: host, network and Ethernet names are refused; services and protocols have
// names of a built-in table. Also refused, each with its position: protochain, gateway, names and hosts of DECnet, byte
// with & or |, primitives of 802.11, LLC, ATM, MTP and the OpenBSD packet filter, inbound and outbound but for
// LINUX_SLL, LINUX_SLL2 and PPP_PPPD, ifindex but for LINUX_SLL2, and whatever looks inside of Geneve after the primitive geneve.
// The netmask of ip broadcast is taken as unknown: it accepts 255.255.255.255 and 0.0.0.0 alone. An expression that no
// frame can match is refused, too; that is sometimes seen where libpcap does not see it, and the other way round.
package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/bpf"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Limits of what is compiled. The largest program is the largest that Linux takes.
const (
	MaxExpression   = 64 << 10 // bytes of an expression
	MaxNesting      = 250      // parentheses, negations and signs within each other
	MaxInstructions = 4096     // instructions of a program
)

// Snap is what a program returns for a frame it accepts: the bytes to keep. It returns 0 for all other frames.
const Snap = 262144

// ErrRejectsAll says that no frame can match, as libpcap says of such expressions.
var ErrRejectsAll = errors.New("expression rejects all packets")

// Error says where an expression is wrong, or is not supported, and why.
type Error struct {
	Offset int // in bytes from the start of the expression
	Err    error
}

// Error returns the column, counted from 1, and the reason, on one line.
func (e *Error) Error() string { return fmt.Sprintf("column %d: %v", e.Offset+1, e.Err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

func errTooLong() error {
	return &Error{0, fmt.Errorf("program is longer than %d instructions", MaxInstructions)}
}

// Program is a compiled expression: instructions for a VM or a kernel, owned by the caller.
type Program []bpf.RawInstruction

// Compile compiles an expression for frames of a link type, as tcpdump does for an interface of a little-endian Linux
// machine; for those of a file, see [CompileFile]. The empty expression accepts every frame. The link types are Ethernet,
// raw IP, LINUX_SLL, LINUX_SLL2, NULL, LOOP, PPP, PPP_SERIAL (PPP_HDLC), PPP_PPPD, PPP_ETHER, C_HDLC, IPV4 and IPV6.
// Errors in the expression are of type *[Error].
func Compile(link packet.LinkType, expr string) (Program, error) { return CompileFile(link, nil, expr) }

// CompileFile compiles an expression for frames of a capture file in a byte order, as tcpdump -r does. It differs from
// [Compile] for NULL and LOOP alone: IPv6 is then the address family 24 (NetBSD, OpenBSD), 28 (FreeBSD) or 30 (macOS)
// instead of the 10 of Linux, and NULL has the families in the byte order of the file. With a nil order it is Compile.
func CompileFile(link packet.LinkType, order binary.ByteOrder, expr string) (Program, error) {
	layout, ok := layoutOf(link)
	if !ok {
		return nil, fmt.Errorf("no filters for %v", link)
	}
	if len(expr) > MaxExpression {
		return nil, &Error{MaxExpression, fmt.Errorf("expression is longer than %d bytes", MaxExpression)}
	}
	c := &compiler{layout: layout, file: order}
	p := parser{lexer: lexer{src: expr}, c: c}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	g := newGraph(c)
	g.root = g.build(root, accept, reject)
	if len(g.blocks) > 2*MaxInstructions { // more than the optimizer makes good, and its memory grows with the square
		return nil, errTooLong()
	}
	g.optimize()
	if g.root == reject {
		return nil, &Error{0, ErrRejectsAll}
	}
	return g.emit()
}

// VM returns a machine that runs the program on frames.
func (p Program) VM() (*bpf.VM, error) {
	instructions, ok := bpf.Disassemble(p)
	if !ok {
		return nil, errors.New("disassemble filter: unknown instruction")
	}
	return bpf.NewVM(instructions)
}

// String returns the program as tcpdump -ddd prints it: the number of instructions, then one a line, in decimal: code,
// jump if true, jump if false, operand.
func (p Program) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, len(p))
	for _, i := range p {
		fmt.Fprintln(&b, i.Op, i.Jt, i.Jf, i.K)
	}
	return b.String()
}

// ParseLinkType returns the link type of a name that tcpdump -y takes, in any case, for those that [Compile] knows.
// PPP_HDLC, the registry's name of PPP_SERIAL, is taken as well.
func ParseLinkType(name string) (packet.LinkType, error) {
	switch strings.ToUpper(name) {
	case "EN10MB", "ETHERNET":
		return packet.LinkEthernet, nil
	case "RAW":
		return packet.LinkRaw, nil
	case "LINUX_SLL":
		return packet.LinkSLL, nil
	case "LINUX_SLL2":
		return packet.LinkSLL2, nil
	case "NULL":
		return packet.LinkNull, nil
	case "LOOP":
		return packet.LinkLoop, nil
	case "PPP":
		return packet.LinkPPP, nil
	case "PPP_SERIAL", "PPP_HDLC":
		return packet.LinkPPPSerial, nil
	case "PPP_PPPD":
		return packet.LinkPPPD, nil
	case "PPP_ETHER":
		return packet.LinkPPPoE, nil
	case "C_HDLC":
		return packet.LinkCiscoHDLC, nil
	case "IPV4":
		return packet.LinkIPv4, nil
	case "IPV6":
		return packet.LinkIPv6, nil
	}
	return 0, fmt.Errorf("no filters for link type %q: EN10MB, RAW, LINUX_SLL, LINUX_SLL2, NULL, LOOP, PPP, PPP_SERIAL, PPP_PPPD, PPP_ETHER, C_HDLC, IPV4, IPV6 are known", name)
}
