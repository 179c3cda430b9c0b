package bpf_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xbpf "golang.org/x/net/bpf"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
)

// generator makes frames and expressions over the same few addresses, ports and numbers, so that expressions match some
// frames and not others.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 8))} }

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

func (g generator) addr4() string {
	return pick(g, "10.0.0.1", "10.0.0.2", "10.1.2.3", "192.168.0.1", "224.0.0.251", "255.255.255.255")
}

func (g generator) addr6() string {
	return pick(g, "2001:db8::1", "2001:db8::2", "fe80::1", "ff02::fb", "::1")
}

func (g generator) mac() string {
	return pick(g, "00:11:22:33:44:55", "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb")
}
func (g generator) port() uint16 { return pick[uint16](g, 22, 53, 80, 443, 1024, 6081, 8080) }

func parseMAC(s string) (m pktgen.MAC) {
	for i, b := range strings.Split(s, ":") {
		v, _ := strconv.ParseUint(b, 16, 8)
		m[i] = byte(v)
	}
	return m
}

// upper returns what is above IP.
func (g generator) upper() []pktgen.Layer {
	data := pktgen.Payload(bytes.Repeat([]byte{byte(g.IntN(256))}, g.IntN(40)))
	switch g.IntN(9) {
	case 0, 1, 2:
		return []pktgen.Layer{pktgen.TCP{Src: g.port(), Dst: g.port(), Flags: packet.TCPFlags(g.IntN(256)), Seq: g.Uint32()}, data}
	case 3, 4:
		return []pktgen.Layer{pktgen.UDP{Src: g.port(), Dst: g.port()}, data}
	case 5:
		return []pktgen.Layer{pktgen.UDP{Src: g.port(), Dst: 6081}, pktgen.Geneve{VNI: uint32(g.IntN(3))}, pktgen.Ethernet{}, data}
	case 6:
		return []pktgen.Layer{pktgen.ICMP{Type: pick[uint8](g, 0, 3, 8), Code: uint8(g.IntN(3))}, data}
	default:
		sctp := append([]byte{byte(g.port() >> 8), 80, 0, 53}, data...)
		return []pktgen.Layer{pktgen.Header{Bytes: sctp, Protocol: pick[uint8](g, 2, 50, 51, 58, 103, 112, 132)}}
	}
}

func (g generator) network() []pktgen.Layer {
	switch g.IntN(12) {
	case 0:
		arp := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, make([]byte, 20)...)
		copy(arp[14:], netip.MustParseAddr(g.addr4()).AsSlice())
		copy(arp[24:], netip.MustParseAddr(g.addr4()).AsSlice())
		return []pktgen.Layer{pktgen.Header{Bytes: arp, Ether: pick[uint16](g, 0x806, 0x8035)}}
	case 1:
		return []pktgen.Layer{pktgen.Header{Bytes: make([]byte, 40), Ether: pick[uint16](g, 0x809b, 0x80f3, 0x8137, 0x6003, 0x8863, 0x9000)}}
	case 2, 3, 4, 5:
		l := []pktgen.Layer{pktgen.IPv6{Src: netip.MustParseAddr(g.addr6()), Dst: netip.MustParseAddr(g.addr6())}}
		switch g.IntN(4) {
		case 0:
			l = append(l, pktgen.IPv6Fragment{Offset: 8 * g.IntN(2), More: true})
		case 1:
			l = append(l, pktgen.Extension{Type: pktgen.HopByHop})
		}
		return append(l, g.upper()...)
	default:
		ip := pktgen.IPv4{Src: netip.MustParseAddr(g.addr4()), Dst: netip.MustParseAddr(g.addr4()), TTL: uint8(g.IntN(256)), TOS: uint8(g.IntN(3))}
		if g.IntN(4) == 0 {
			ip.Options = make([]byte, 4*g.IntN(4))
		}
		if g.IntN(5) == 0 {
			ip.Offset, ip.MoreFragments = 8*g.IntN(3), true
		}
		return append([]pktgen.Layer{ip}, g.upper()...)
	}
}

// frame returns a frame of a link type: some are cut, some have bytes changed.
func (g generator) frame(link packet.LinkType) []byte {
	var b []byte
	switch link {
	case packet.LinkEthernet:
		layers := []pktgen.Layer{pktgen.Ethernet{Src: parseMAC(g.mac()), Dst: parseMAC(g.mac())}}
		network := g.network()
		switch g.IntN(12) {
		case 0, 1:
			layers = append(layers, pktgen.VLAN{ID: uint16(g.IntN(4)), TPID: pick[uint16](g, 0x8100, 0x88a8, 0x9100)})
		case 2:
			layers = append(layers, pktgen.VLAN{ID: uint16(g.IntN(4))}, pktgen.VLAN{ID: uint16(g.IntN(4))})
		case 3:
			layers = append(layers, pktgen.MPLS{Label: uint32(g.IntN(4))})
		case 4:
			layers = append(layers, pktgen.MPLS{Label: uint32(g.IntN(4))}, pktgen.MPLS{Label: uint32(g.IntN(4))})
		case 5:
			layers = append(layers, pktgen.PPPoE{Session: uint16(g.IntN(4))}, pktgen.PPP{})
		case 6:
			layers = append(layers, pktgen.LLC{DSAP: 0xaa, SSAP: 0xaa, Control: 3}, pktgen.SNAP{})
		case 7:
			sap := pick[uint8](g, 0x42, 0xe0, 0xf0, 0xfe, 0x06)
			pdu := []byte{pick[byte](g, 0x81, 0x82, 0x83), 0, 0, 0, byte(15 + g.IntN(13)), 0, 0}
			layers, network = append(layers, pktgen.LLC{DSAP: sap, SSAP: sap, Control: 3}), []pktgen.Layer{pktgen.Payload(pdu)}
		}
		b = pktgen.Build(append(layers, network...)...)
	default:
		ethernet := pktgen.Build(append([]pktgen.Layer{pktgen.Ethernet{}}, g.network()...)...)
		b = append(g.header(link, ethernet[12:14]), ethernet[14:]...)
	}
	switch g.IntN(6) {
	case 0:
		b = b[:g.IntN(len(b)+1)]
	case 1:
		for range 1 + g.IntN(4) {
			b[g.IntN(min(len(b), 60))] = byte(g.IntN(256))
		}
	}
	return b
}

// header returns the link header for an EtherType.
func (g generator) header(link packet.LinkType, ether []byte) []byte {
	v6 := ether[0] == 0x86
	switch link {
	case packet.LinkSLL:
		if g.IntN(10) == 0 {
			ether = []byte{0, pick[byte](g, 1, 4)}
		}
		return append([]byte{0, byte(g.IntN(5)), 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, ether...)
	case packet.LinkSLL2:
		return append(append([]byte(nil), ether...), 0, 0, 0, 0, 0, byte(g.IntN(3)), 0, 1, byte(g.IntN(5)), 6, 2, 0, 0, 0, 0, 1, 0, 0)
	case packet.LinkNull:
		family := []byte{2, 0, 0, 0}
		if v6 {
			family[0] = pick[byte](g, 10, 10, 23, 24, 28, 30)
		}
		if g.IntN(3) == 0 {
			slices.Reverse(family)
		}
		return family
	case packet.LinkLoop:
		if v6 {
			return []byte{0, 0, 0, pick[byte](g, 10, 10, 23, 24, 28, 30)}
		}
		return []byte{0, 0, 0, 2}
	case packet.LinkPPP, packet.LinkPPPSerial:
		return []byte{0xff, 3, 0, ppp(v6)}
	case packet.LinkPPPD:
		return []byte{byte(g.IntN(3)), 3, 0, ppp(v6)}
	case packet.LinkPPPoE:
		return []byte{0x11, 0, 0, byte(g.IntN(4)), 0, 0, 0, ppp(v6)}
	case packet.LinkCiscoHDLC:
		if g.IntN(10) == 0 {
			sap := pick[byte](g, 0x42, 0xe0, 0xf0, 0xfe)
			return []byte{0x0f, 0, sap, sap, 0, pick[byte](g, 0x81, 0x82, 0x83), 0, 0, byte(15 + g.IntN(13))}
		}
		return append([]byte{0x0f, 0}, ether...)
	}
	return nil
}

func ppp(v6 bool) byte {
	if v6 {
		return 0x57
	}
	return 0x21
}

func (g generator) expression(depth int) string {
	if depth > 0 {
		switch g.IntN(6) {
		case 0, 1:
			return g.expression(depth-1) + pick(g, " and ", " && ") + g.expression(depth-1)
		case 2, 3:
			return g.expression(depth-1) + pick(g, " or ", " || ") + g.expression(depth-1)
		case 4:
			return pick(g, "not ", "!", "not not ") + g.expression(depth-1)
		default:
			return "(" + g.expression(depth-1) + ")"
		}
	}
	dir := pick(g, "", "", "src ", "dst ", "src or dst ", "src and dst ", "dst or src ")
	transport := pick(g, "", "", "tcp ", "udp ", "sctp ")
	switch g.IntN(17) {
	case 0:
		return pick(g, "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp", "pim", "vrrp", "carp",
			"ah", "esp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "iso", "esis", "isis", "clnp", "l1", "l2",
			"iih", "lsp", "snp", "csnp", "psnp", "stp", "ipx", "netbeui")
	case 1:
		return pick(g, "", "ip ", "arp ", "rarp ") + pick(g, "src ", "dst ", "host ", "src host ", "dst host ", "src and dst host ") + g.addr4()
	case 2:
		return dir + "host " + g.addr6()
	case 3:
		return pick(g, "", "ip ") + dir + "net " + pick(g, "10.0.0.0/8", "10", "192.168", "10.0.0.0/30", "10.1.2", "10.0.0.0 mask 255.255.0.0", "0.0.0.0/0", "224.0.0.0/4")
	case 4:
		return dir + "net " + pick(g, "2001:db8::/32", "2001:db8::/127", "fe80::/10", "::/0", "2001:db8::/33", "::1")
	case 5, 6, 7:
		return transport + dir + "port " + pick(g, fmt.Sprint(g.port()), "http", "domain", "https", "0x50", "(80 or 443)", "80 or 53", "(22 or not 80)")
	case 8:
		return transport + dir + "portrange " + pick(g, "20-25", "1-1024", "443-80", "80", "ftp-data-ssh", "1024-65535")
	case 9:
		return pick(g, "ip proto ", "ip6 proto ", "proto ") + pick(g, "6", "17", "\\tcp", "\\icmp", "gre", "132", "58", "44")
	case 10:
		return "ether proto " + pick(g, "0x800", "0x86dd", "\\arp", "0x42", "0xe0", "1500", "1501", "\\iso", "0xf0", "6", "34525")
	case 11:
		return pick(g, "less ", "greater ") + pick(g, "60", "80", "0", "54")
	case 12, 13:
		return g.arithmetic(2) + pick(g, " = ", " != ", " > ", " < ", " >= ", " <= ", " == ") + g.arithmetic(g.IntN(3))
	case 14:
		return pick(g, "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "icmp[icmptype] = icmp-echo", "tcp[13] & 2 != 0", "ip[6:2] & 0x1fff = 0",
			"udp[4:2] > 20", "icmp6[icmp6type] = icmp6-echo", "(((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
			"ip[0] & 0xf != 5", "tcp[ip[0] & 3] > 10", "byte 9 = 6", "byte 0 > 64", "byte 1 < 5", "len > 60", "length <= 80")
	case 15:
		return pick(g, "ether host ", "ether src ", "ether dst ", "ether src or dst ") + g.mac()
	default:
		return pick(g, "broadcast", "multicast", "ether broadcast", "ether multicast", "ip broadcast", "ip multicast", "ip6 multicast", "inbound",
			"outbound", "ifindex 1", "pppoed", "vlan", "vlan 1", "vlan and ip", "vlan 2 and vlan", "mpls", "mpls 1", "mpls and ip", "mpls 1 and mpls 2 and tcp", "pppoes", "pppoes 1",
			"pppoes and tcp port 80", "pppoes and ip6", "geneve", "geneve 1", "mpls and host 10.0.0.1")
	}
}

func (g generator) arithmetic(depth int) string {
	if depth > 0 && g.IntN(3) > 0 {
		right := fmt.Sprint(1 + g.IntN(20))
		op := pick(g, "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>")
		if strings.Contains("+-*&|^", op) {
			right = g.arithmetic(depth - 1)
		}
		e := g.arithmetic(depth-1) + " " + op + " " + right
		if g.IntN(2) == 0 {
			return "(" + e + ")"
		}
		return e
	}
	switch g.IntN(4) {
	case 0:
		return pick(g, "1", "0", "5", "6", "0x10", "64", "80", "len", "255", "2048", "0xffffffff")
	default:
		proto := pick(g, "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "ether", "link")
		offset := fmt.Sprint(g.IntN(24))
		if depth > 0 && g.IntN(5) == 0 {
			offset = g.arithmetic(depth-1) + " & 15"
		}
		return proto + "[" + offset + pick(g, "", " : 1", ":2", ":4") + "]"
	}
}

// tcpdump compiles an expression with libpcap; the instructions are nil when it refuses.
func tcpdump(t *testing.T, path, expr string, flags ...string) []xbpf.RawInstruction {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append(flags, "-ddd", expr)...).Output()
	if err != nil {
		return nil
	}
	return program(t, string(out))
}

func program(t *testing.T, text string) []xbpf.RawInstruction {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	list := make([]xbpf.RawInstruction, 0, len(lines))
	for _, l := range lines[1:] {
		var i xbpf.RawInstruction
		_, err := fmt.Sscan(l, &i.Op, &i.Jt, &i.Jf, &i.K)
		require.NoError(t, err)
		list = append(list, i)
	}
	require.Equal(t, lines[0], strconv.Itoa(len(list)))
	return list
}

func accepts(t *testing.T, raw []xbpf.RawInstruction, frames [][]byte) []bool {
	t.Helper()
	vm, err := bpf.Program(raw).VM()
	require.NoError(t, err)
	set := make([]bool, len(frames))
	for i, f := range frames {
		n, err := vm.Run(f)
		if err != nil || n != bpf.Program(raw).Run(f, len(f)) {
			t.Fatalf("frame %x: the VM gives %d, %v; Run gives %d", f, n, err, bpf.Program(raw).Run(f, len(f)))
		}
		set[i] = n != 0
	}
	return set
}

// emptyFile writes a capture without frames.
func emptyFile(t *testing.T, link packet.LinkType, order binary.ByteOrder) string {
	t.Helper()
	data := pktgen.Pcap(pktgen.PcapFormat{BigEndian: order == binary.BigEndian}, []packet.Frame{{Link: link}})
	path := filepath.Join(t.TempDir(), "empty.pcap")
	require.NoError(t, os.WriteFile(path, data[:24], 0o600))
	return path
}

// TestAgainstLibpcap compares the frames that programs accept with those that libpcap's programs for the same
// expressions accept. libpcap's optimizer drops loads, and so changes what a program means on frames that are too short
// for them: a difference is what neither of its two programs does.
func TestAgainstLibpcap(t *testing.T) {
	path, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed: there is nothing to compare with")
	}
	const expressions, count = 250, 4000
	for _, test := range []struct {
		name string
		link packet.LinkType
		file binary.ByteOrder // nil for none
	}{
		{"EN10MB", packet.LinkEthernet, nil},
		{"RAW", packet.LinkRaw, nil},
		{"LINUX_SLL", packet.LinkSLL, nil},
		{"LINUX_SLL2", packet.LinkSLL2, nil},
		{"NULL", packet.LinkNull, nil},
		{"LOOP", packet.LinkLoop, nil},
		{"PPP", packet.LinkPPP, nil},
		{"PPP_SERIAL", packet.LinkPPPSerial, nil},
		{"PPP_PPPD", packet.LinkPPPD, nil},
		{"PPP_ETHER", packet.LinkPPPoE, nil},
		{"C_HDLC", packet.LinkCiscoHDLC, nil},
		{"NULL of a little-endian file", packet.LinkNull, binary.LittleEndian},
		{"NULL of a big-endian file", packet.LinkNull, binary.BigEndian},
		{"LOOP of a file", packet.LinkLoop, binary.LittleEndian},
	} {
		t.Run(test.name, func(t *testing.T) {
			link, flags := test.link, []string{"-y", test.name}
			if test.file != nil {
				flags = []string{"-r", emptyFile(t, link, test.file)}
			}
			g := newGenerator(uint64(link))
			frames := make([][]byte, count)
			for i := range frames {
				frames[i] = g.frame(link)
			}
			var compared, refusedBoth, refusedHere, refusedThere, matched, unoptimized int
			for i := 0; compared < expressions; i++ {
				expr := g.expression(i % 4)
				want := tcpdump(t, path, expr, flags...)
				got, err := bpf.CompileFile(link, test.file, expr)
				switch {
				case err != nil && want == nil:
					refusedBoth++
					continue
				case err != nil:
					refusedHere++
					t.Logf("refused here alone: %s: %v", expr, err)
					continue
				case want == nil:
					refusedThere++
					t.Logf("refused by libpcap alone: %s", expr)
					continue
				}
				compared++
				set := accepts(t, got, frames)
				theirs := accepts(t, want, frames)
				plain := theirs
				if !slices.Equal(set, theirs) {
					unoptimized++
					plain = accepts(t, tcpdump(t, path, expr, append([]string{"-O"}, flags...)...), frames)
				}
				for f := range frames {
					if set[f] {
						matched++
					}
					if set[f] != theirs[f] && set[f] != plain[f] {
						t.Errorf("%s: frame %x: accepted %v, libpcap %v", expr, frames[f], set[f], theirs[f])
						break
					}
				}
			}
			require.Positive(t, matched)
			require.Less(t, refusedHere, expressions/5)
			t.Logf("%d expressions compared (%d also without libpcap's optimizer) on %d frames, %d matches; refused: %d by both, %d here alone, %d there alone",
				compared, unoptimized, count, matched, refusedBoth, refusedHere, refusedThere)
		})
	}
}
