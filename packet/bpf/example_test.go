package bpf_test

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
)

// Frames of a capture are chosen by a filter.
func ExampleCompile() {
	program, err := bpf.Compile(packet.LinkEthernet, "tcp dst port 80 and not host 10.0.0.9")
	if err != nil {
		fmt.Println(err)
		return
	}
	vm, err := program.VM()
	if err != nil {
		fmt.Println(err)
		return
	}
	ip := pktgen.IPv4{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")}
	for _, port := range []uint16{80, 443} {
		frame := pktgen.Build(pktgen.Ethernet{}, ip, pktgen.TCP{Src: 50000, Dst: port})
		kept, err := vm.Run(frame)
		fmt.Println(port, kept > 0, err)
	}
	// Output:
	// 80 true <nil>
	// 443 false <nil>
}

// An error says where the expression is wrong.
func ExampleError() {
	_, err := bpf.Compile(packet.LinkEthernet, "tcp and prot 80")
	fmt.Println(err)
	var wrong *bpf.Error
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Offset)
	}
	// Output:
	// column 9: syntax error: "prot" without a qualifier such as host or port
	// 8
}

// A program as tcpdump -ddd prints it.
func ExampleProgram_String() {
	program, err := bpf.Compile(packet.LinkEthernet, "arp")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(program)
	// Output:
	// 4
	// 40 0 0 12
	// 21 0 1 2054
	// 6 0 0 262144
	// 6 0 0 0
}
