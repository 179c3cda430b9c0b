package bpf_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	xbpf "golang.org/x/net/bpf"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
)

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		expr   string
		offset int
		reason string
	}{
		{"10.0.0.1", 0, "without a qualifier"},
		{"tcp and", 7, "end of expression"},
		{"tcp port", 8, "no identifier"},
		{"tcp port 80 and and udp", 16, `syntax error at "and"`},
		{"tcp port 80)", 11, `syntax error at ")"`},
		{"(tcp", 4, `')' is missing`},
		{"ip proto tcp", 9, "no identifier"},
		{"host 10.0.0.1 or tcp or 10.0.0.2", 24, "without a qualifier"},
		{"host (10.0.0.1 or tcp)", 18, `no operand of "or"`},
		{"host 10.0.0.256", 5, "invalid IPv4 address"},
		{"net 10.0.0.1/8", 4, "non-network bits"},
		{"net 10.0.0.0 mask 8", 18, "no mask"},
		{"net 10.0.0.0/33", 13, "mask length must be <= 32"},
		{"host 10.0.0.0/8", 5, "networks only"},
		{"net 2001:db8::1/32", 4, "non-network bits"},
		{"tcp host 10.0.0.1", 9, "is applied to an IPv4 address"},
		{"ip host ::1", 8, "applied to an IPv6 address"},
		{"host www.example.org", 5, "names are not looked up"},
		{"net loopback", 4, "names are not looked up"},
		{"port nosuch", 5, "unknown port"},
		{"udp port http", 9, "another protocol"},
		{"port 65536", 5, "65535"},
		{"portrange 1-70000", 10, "65535"},
		{"icmp port 80", 10, "illegal qualifier"},
		{"ip proto \\nosuch", 9, "unknown protocol"},
		{"ip protochain 6", 3, "not supported"},
		{"gateway 10.0.0.1", 8, "requires a name"},
		{"wlan type mgt", 5, "not supported"},
		{"llc", 0, "not supported"},
		{"inbound", 0, "not supported for Ethernet"},
		{"ifindex 1", 0, "not supported for Ethernet"},
		{"byte 5 & 3", 7, "not supported"},
		{"byte 4294967295 = 3", 5, "beyond every frame"},
		{"tcp[0:3] = 1", 6, "1, 2, or 4"},
		{"tcp[0", 5, "']' is missing"},
		{"tcp[0] + 1", 0, "what is compared"},
		{"ah[0] = 1", 0, "index operation"},
		{"ether[-1] = 1", 0, "beyond every frame"},
		{"ip[0] / 0 = 1", 8, "division by zero"},
		{"ip[0] % (1 - 1) = 1", 8, "division by zero"},
		{"ip[0] << 32 = 1", 9, "31 bits"},
		{"len > 08", 6, "octal"},
		{"len > 4294967296", 6, "32 bits"},
		{"tcp # 1", 4, "unexpected character"},
		{"vlan 4096", 0, "greater than maximum"},
		{"mpls 1048576", 0, "greater than maximum"},
		{"mpls and vlan", 9, "no VLAN match"},
		{"mpls and arp", 9, "over mpls"},
		{"geneve and tcp", 11, "inside of Geneve"},
		{"ether host 10.0.0.1", 11, "link-layer"},
		{"host 00:11:22:33:44:55", 5, "non-ether"},
		{"link", 0, "wrong context"},
		{"ip and arp", 0, "rejects all packets"},
		{"1 = 2", 0, "rejects all packets"},
		{strings.Repeat("(", 300), 250, "nested deeper"},
		{strings.Repeat("not ", 300) + "tcp", 1000, "nested deeper"},
		{strings.Repeat(" ", bpf.MaxExpression+1), bpf.MaxExpression, "longer than"},
	} {
		t.Run(test.expr[:min(len(test.expr), 40)], func(t *testing.T) {
			_, err := bpf.Compile(packet.LinkEthernet, test.expr)
			var wrong *bpf.Error
			require.ErrorAs(t, err, &wrong)
			require.ErrorContains(t, err, test.reason)
			require.Equal(t, test.offset, wrong.Offset)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestLinkTypes(t *testing.T) {
	_, err := bpf.Compile(packet.LinkWiFi, "tcp")
	require.ErrorContains(t, err, "IEEE802_11")
	_, err = bpf.ParseLinkType("nonsense")
	require.ErrorContains(t, err, "EN10MB")
	for _, name := range []string{"EN10MB", "RAW", "LINUX_SLL", "LINUX_SLL2", "NULL", "LOOP", "PPP", "PPP_SERIAL", "PPP_HDLC", "PPP_PPPD", "PPP_ETHER", "C_HDLC", "IPV4", "IPV6"} {
		link, err := bpf.ParseLinkType(strings.ToLower(name))
		require.NoError(t, err)
		_, err = bpf.Compile(link, "udp")
		require.NoError(t, err, name)
	}
	for _, test := range []struct {
		link packet.LinkType
		expr string
	}{
		{packet.LinkRaw, "arp"}, {packet.LinkNull, "arp"}, {packet.LinkIPv4, "ip6"}, {packet.LinkIPv6, "ip"},
	} {
		_, err := bpf.Compile(test.link, test.expr)
		require.ErrorIs(t, err, bpf.ErrRejectsAll)
	}
}

// TestFamilies: which frames of BSD loopback are of IPv6 depends on whether they are of a file, and on its byte order.
func TestFamilies(t *testing.T) {
	big, little, none := binary.ByteOrder(binary.BigEndian), binary.ByteOrder(binary.LittleEndian), binary.ByteOrder(nil)
	for _, test := range []struct {
		name   string
		link   packet.LinkType
		file   binary.ByteOrder
		expr   string
		header string // with what is accepted
	}{
		{"interface", packet.LinkNull, none, "ip6", "0a000000"},
		{"interface", packet.LinkNull, none, "ip", "02000000"},
		{"interface", packet.LinkLoop, none, "ip6", "0000000a"},
		{"little", packet.LinkNull, little, "ip6", "18000000 1c000000 1e000000"},
		{"little", packet.LinkNull, little, "ip", "02000000"},
		{"big", packet.LinkNull, big, "ip6", "00000018 0000001c 0000001e"},
		{"big", packet.LinkNull, big, "ip", "00000002"},
		{"little", packet.LinkLoop, little, "ip6", "00000018 0000001c 0000001e"},
		{"big", packet.LinkLoop, big, "ip6", "00000018 0000001c 0000001e"},
		{"big", packet.LinkLoop, big, "ip", "00000002"},
		{"little", packet.LinkNull, little, "tcp dst port 80", "18000000 1c000000 1e000000"},
		{"big", packet.LinkNull, big, "not ip6", "00000002 0000000a 00000017 02000000 0a000000 17000000 18000000 1c000000 1e000000"},
	} {
		t.Run(fmt.Sprint(test.name, " ", test.link, " ", test.expr), func(t *testing.T) {
			program, err := bpf.CompileFile(test.link, test.file, test.expr)
			require.NoError(t, err)
			if test.file == nil {
				same, err := bpf.Compile(test.link, test.expr)
				require.NoError(t, err)
				require.Equal(t, same, program)
			}
			var accepted []string
			for _, order := range []binary.ByteOrder{big, little} {
				for _, family := range []uint32{2, 10, 23, 24, 28, 30} {
					header := make([]byte, 4)
					order.PutUint32(header, family)
					frame := append(header, pktgen.Build(pktgen.IPv6{}, pktgen.TCP{Dst: 80})...)
					if program.Run(frame, 0) > 0 {
						accepted = append(accepted, fmt.Sprintf("%x", header))
					}
				}
			}
			slices.Sort(accepted)
			require.Equal(t, test.header, strings.Join(accepted, " "))
		})
	}
}

// TestPointToPoint: where the link types of serial lines differ.
func TestPointToPoint(t *testing.T) {
	ip := []pktgen.Layer{pktgen.IPv4{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")}, pktgen.TCP{Dst: 80}}
	build := func(l ...pktgen.Layer) []byte { return pktgen.Build(append(l, ip...)...) }
	ppp := build(pktgen.PPP{HDLC: true})
	hdlc, session := build(pktgen.CiscoHDLC{}), build(pktgen.PPPoE{}, pktgen.PPP{})
	out := append([]byte{1}, ppp[1:]...)
	iso := []byte{0x0f, 0, 0xfe, 0xfe, 0, 0x83, 0, 0, 20, 0}
	for _, test := range []struct {
		link     packet.LinkType
		expr     string
		frame    []byte
		accepted bool
	}{
		{packet.LinkPPPSerial, "tcp port 80", ppp, true},
		{packet.LinkPPPSerial, "ip6", ppp, false},
		{packet.LinkPPPSerial, "tcp port 80", hdlc, false},
		{packet.LinkPPPD, "outbound and tcp port 80", out, true},
		{packet.LinkPPPD, "inbound", out, false},
		{packet.LinkPPPD, "inbound or outbound", ppp, false},
		{packet.LinkPPPoE, "tcp port 80", session, true},
		{packet.LinkPPPoE, "tcp port 80", ppp, false},
		{packet.LinkCiscoHDLC, "tcp port 80", hdlc, true},
		{packet.LinkCiscoHDLC, "tcp port 80", ppp, false},
		{packet.LinkCiscoHDLC, "iso", iso, true},
		{packet.LinkCiscoHDLC, "isis", iso, true},
		{packet.LinkCiscoHDLC, "l2", iso, true},
		{packet.LinkCiscoHDLC, "l1", iso, false},
		{packet.LinkCiscoHDLC, "mpls 1 and host 10.0.0.1", build(pktgen.CiscoHDLC{}, pktgen.MPLS{Label: 1}), true},
	} {
		t.Run(fmt.Sprint(test.link, " ", test.expr), func(t *testing.T) {
			program, err := bpf.Compile(test.link, test.expr)
			require.NoError(t, err)
			require.Equal(t, test.accepted, program.Run(test.frame, 0) > 0)
		})
	}
	for link, name := range map[packet.LinkType]string{
		packet.LinkPPPSerial: "PPP over serial", packet.LinkPPPD: "PPP for pppd", packet.LinkPPPoE: "PPPoE",
	} {
		_, err := bpf.Compile(link, "mpls")
		require.ErrorContains(t, err, "no MPLS support for "+name)
	}
	_, err := bpf.Compile(packet.LinkCiscoHDLC, "inbound")
	require.ErrorContains(t, err, "not supported for Cisco HDLC")
}

// frames by name for TestMeaning.
func named() map[string][]byte {
	a4, b4 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	ip, ip6 := pktgen.IPv4{Src: a4, Dst: b4}, pktgen.IPv6{Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2")}
	tcp := pktgen.TCP{Src: 50000, Dst: 80, Flags: packet.SYN}
	return map[string][]byte{
		"tcp":      pktgen.Build(pktgen.Ethernet{}, ip, tcp),
		"tcp6":     pktgen.Build(pktgen.Ethernet{}, ip6, tcp),
		"fragment": pktgen.Build(pktgen.Ethernet{}, pktgen.IPv4{Src: a4, Dst: b4, Offset: 8}, tcp),
		"vlan":     pktgen.Build(pktgen.Ethernet{}, pktgen.VLAN{ID: 7}, ip, tcp),
		"pppoe":    pktgen.Build(pktgen.Ethernet{}, pktgen.PPPoE{Session: 3}, pktgen.PPP{}, ip, tcp),
		"mpls":     pktgen.Build(pktgen.Ethernet{}, pktgen.MPLS{Label: 5}, ip, tcp),
		"dns":      pktgen.Build(pktgen.Ethernet{}, ip, pktgen.UDP{Src: 53, Dst: 50000}, pktgen.Payload("query")),
		"geneve":   pktgen.Build(pktgen.Ethernet{}, ip, pktgen.UDP{Src: 1, Dst: 6081}, pktgen.Geneve{VNI: 9}, pktgen.Ethernet{}),
		"short":    make([]byte, 5),
	}
}

func TestMeaning(t *testing.T) {
	frames := named()
	for _, test := range []struct{ expr, accepted string }{
		{"", "dns fragment geneve mpls pppoe short tcp tcp6 vlan"},
		{"tcp", "fragment tcp tcp6"},
		{"not tcp", "dns geneve mpls pppoe vlan"},
		{"port 80", "tcp tcp6"},
		{"tcp dst port http", "tcp tcp6"},
		{"src port 80", ""},
		{"portrange 50-60", "dns"},
		{"ip6", "tcp6"},
		{"tcp[tcpflags] = tcp-syn", "tcp"},
		{"ip[6:2] & 0x1fff != 0", "fragment"},
		{"vlan and tcp", "vlan"},
		{"vlan 8", ""},
		{"vlan (7) and port 80", "vlan"},
		{"pppoes 3 and ip and tcp port 80", "pppoe"},
		{"mpls 5 and host 10.0.0.9", ""},
		{"net 10.0.0.0/30", "dns fragment geneve tcp"},
		{"ip6 net 2001:db8::/32 and dst 2001:db8::2", "tcp6"},
		{"mpls 5 and tcp", "mpls"},
		{"geneve", "geneve"},
		{"geneve 9 and len > 1", "geneve"},
		{"geneve 8", ""},
		{"udp port 53 or vlan", "dns vlan"},
		{"tcp and (port 80 or 443) and ip", "tcp"},
		{"port (80 or 53) and not tcp", "dns"},
		{"-ip[0] = -69 and udp", "dns geneve"},
		{"less 5", "short"},
		{"ip[0] + ip[1] * 2 = 69 and port 53", "dns"},
	} {
		t.Run(test.expr, func(t *testing.T) {
			program, err := bpf.Compile(packet.LinkEthernet, test.expr)
			require.NoError(t, err)
			vm, err := program.VM()
			require.NoError(t, err)
			for name, f := range frames {
				n, err := vm.Run(f)
				require.NoError(t, err)
				want := 0
				if strings.Contains(" "+test.accepted+" ", " "+name+" ") {
					want = bpf.Snap
				}
				require.Equal(t, want, n, name)
			}
		})
	}
}

// TestLongJumps compiles a program whose ends are too far for the jumps of most of its tests.
func TestLongJumps(t *testing.T) {
	var expr strings.Builder
	for i := range 600 {
		fmt.Fprintf(&expr, "ether[%d:4] = %d or ", i%10, 7_000_000+i)
	}
	program, err := bpf.Compile(packet.LinkEthernet, expr.String()+"tcp dst port 80")
	require.NoError(t, err)
	require.Greater(t, len(program), 300)
	vm, err := program.VM()
	require.NoError(t, err)
	for name, f := range named() {
		n, err := vm.Run(f)
		require.NoError(t, err)
		require.Equal(t, name == "tcp" || name == "tcp6", n > 0, name)
	}
}

// TestTooLong: the longest expressions end in an error, not in much time or memory.
func TestTooLong(t *testing.T) {
	for name, part := range map[string]string{
		"loads": "ip[%d:4] = %d or ", "one value": "ip[0:4] = %[2]d or ", "ports": "port %[2]d or ", "negated": "not port %[2]d and ",
		"nets": "net 10.0.0.0/8 or host %[2]d or ", "sums": "ip[%d] + tcp[%d] = 1 or ",
	} {
		t.Run(name, func(t *testing.T) {
			var expr strings.Builder
			for i := 0; expr.Len() < bpf.MaxExpression-100; i++ {
				fmt.Fprintf(&expr, part, i%10, i)
			}
			_, err := bpf.Compile(packet.LinkEthernet, expr.String()+"tcp")
			require.ErrorContains(t, err, "instructions")
		})
	}
}

func TestDeepArithmetic(t *testing.T) {
	sum := strings.Repeat("ip[0] + ", 100) + "ip[1] = 6900 and udp port 53"
	program, err := bpf.Compile(packet.LinkEthernet, sum)
	require.NoError(t, err)
	vm, err := program.VM()
	require.NoError(t, err)
	n, err := vm.Run(named()["dns"])
	require.NoError(t, err)
	require.Equal(t, bpf.Snap, n)

	tree := "ip[0]"
	for range 17 {
		tree = "(" + tree + "-" + strings.ReplaceAll(tree, "ip[0]", "ip[1]") + ")"
		if len(tree) > bpf.MaxExpression/3 {
			break
		}
	}
	_, err = bpf.Compile(packet.LinkEthernet, tree+" = 1")
	if err != nil {
		var wrong *bpf.Error
		require.ErrorAs(t, err, &wrong)
	}
}

func TestRun(t *testing.T) {
	frame := named()["tcp"]
	compile := func(expr string) bpf.Program {
		program, err := bpf.Compile(packet.LinkEthernet, expr)
		require.NoError(t, err)
		return program
	}
	require.Equal(t, bpf.Snap, compile("greater 1500 and tcp").Run(frame, 1500), "the length on the wire")
	require.Zero(t, compile("greater 1501 and tcp").Run(frame, 1500))
	require.Zero(t, compile("less 20").Run(frame, 0), "never shorter than what was captured")
	program := compile("tcp port 80 and ip[2:2] - tcp[12] > 3")
	require.Zero(t, testing.AllocsPerRun(10, func() { program.Run(frame, len(frame)) }))

	for _, bad := range []bpf.Program{
		nil,
		{{Op: 0x15, Jt: 9, K: 0}},
		{{Op: 0x05, K: 1 << 31}},
		{{Op: 0x02, K: 16}, {Op: 0x06, K: 1}},
		{{Op: 0x60, K: 99}, {Op: 0x06, K: 1}},
		{{Op: 0x34, K: 0}, {Op: 0x06, K: 1}},
		{{Op: 0xffff, K: 0}, {Op: 0x06, K: 0}},
	} {
		require.Zero(t, bad.Run(frame, len(frame)), bad)
	}
	negated := bpf.Program{{Op: 0x00, K: 5}, {Op: 0x84}, {Op: 0x15, K: 1<<32 - 5, Jf: 1}, {Op: 0x06, K: 7}, {Op: 0x16}}
	require.Equal(t, 7, negated.Run(nil, 0))
	length := bpf.Program{{Op: 0x81}, {Op: 0x87}, {Op: 0x16}} // X = length, A = X
	require.Equal(t, 1500, length.Run(frame, 1500))
}

// loadsWrongly reports whether an instruction is a load of X that x/net takes for one of A: of the length, which kernels
// load into X, and of bytes of the packet, which none has.
func loadsWrongly(i xbpf.RawInstruction) bool {
	const class, ldx, mode, abs, ind, length = 0x07, 0x01, 0xe0, 0x20, 0x40, 0x80
	m := i.Op & mode
	return i.Op&class == ldx && (m == abs || m == ind || m == length)
}

// FuzzRun holds Run to ending, without a fault, on any program, and to what the VM of x/net/bpf does where that takes the
// program.
func FuzzRun(f *testing.F) {
	g := newGenerator(4)
	for i := range 40 {
		program, err := bpf.Compile(packet.LinkEthernet, g.expression(i%3))
		if err != nil {
			continue
		}
		var b []byte
		for _, i := range program {
			b = append(binary.BigEndian.AppendUint16(b, i.Op), i.Jt, i.Jf)
			b = binary.BigEndian.AppendUint32(b, i.K)
		}
		f.Add(b, g.frame(packet.LinkEthernet))
	}
	f.Fuzz(func(t *testing.T, code, frame []byte) {
		var program bpf.Program
		for ; len(code) >= 8; code = code[8:] {
			program = append(program, xbpf.RawInstruction{Op: binary.BigEndian.Uint16(code), Jt: code[2], Jf: code[3], K: binary.BigEndian.Uint32(code[4:])})
		}
		got := program.Run(frame, len(frame))
		vm, err := program.VM()
		if err != nil || slices.ContainsFunc(program, loadsWrongly) {
			return
		}
		want, err := vm.Run(frame)
		if err != nil { // such as a negation
			return
		}
		require.Equal(t, want, got)
	})
}

// FuzzCompile holds every program to what a kernel asks of it, and to ending on every frame.
func FuzzCompile(f *testing.F) {
	g := newGenerator(3)
	for i := range 60 {
		f.Add(g.expression(i%4), uint32(packet.LinkEthernet), []byte("0123456789abcdef"))
	}
	f.Add("port 80 or (((", uint32(packet.LinkSLL), []byte{})
	f.Fuzz(func(t *testing.T, expr string, link uint32, frame []byte) {
		program, err := bpf.Compile(packet.LinkType(link), expr)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			var wrong *bpf.Error
			if errors.As(err, &wrong) {
				require.LessOrEqual(t, wrong.Offset, len(expr))
			}
			return
		}
		require.LessOrEqual(t, len(program), bpf.MaxInstructions)
		instructions, ok := xbpf.Disassemble(program)
		require.True(t, ok)
		raw, err := xbpf.Assemble(instructions)
		require.NoError(t, err)
		require.Equal(t, []xbpf.RawInstruction(program), raw)
		vm, err := program.VM()
		require.NoError(t, err)
		n, err := vm.Run(frame)
		require.NoError(t, err)
		require.Contains(t, []int{0, bpf.Snap}, n)
		require.Equal(t, n, program.Run(frame, 0))
		inverse, err := bpf.Compile(packet.LinkType(link), "not ("+expr+")")
		if err != nil || strings.TrimSpace(expr) == "" {
			return
		}
		// A frame is accepted by the expression or by its negation, or is too short for both.
		vm, err = inverse.VM()
		require.NoError(t, err)
		m, err := vm.Run(frame)
		require.NoError(t, err)
		require.False(t, n > 0 && m > 0, "accepted by an expression and by its negation")
	})
}

func BenchmarkCompile(b *testing.B) {
	for _, expr := range []string{"tcp and port 80", "host 10.0.0.1 and (port 80 or port 443)"} {
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bpf.Compile(packet.LinkEthernet, expr); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
