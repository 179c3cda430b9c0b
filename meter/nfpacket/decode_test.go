package nfpacket_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// text is a packet as the records have it.
func text(p *nfpacket.Packet) string {
	addr := func(a netip.Addr) string {
		if h := a.As16(); a.Is6() && [12]byte(h[:12]) == [12]byte{} && h[12] != 0 { // as inet_ntop writes it
			return "::" + netip.AddrFrom4([4]byte(h[12:])).String()
		}
		return a.String()
	}
	src, dst := p.Key.Src(), p.Key.Dst()
	return fmt.Sprintf("%s %d %s %d %d %d %d %v %v %08b %d %d %d %d", addr(src.Addr()), src.Port(), addr(dst.Addr()), dst.Port(), p.Key.Proto(),
		p.Key.VLAN(), p.Key.Tunnel(), p.SrcMAC, p.DstMAC, order(p.Flags), p.Sizes[0], p.Sizes[1], p.Sizes[2], p.Sizes[3])
}

// order puts the flags into the order of the records: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
func order(f packet.TCPFlags) uint8 { return uint8(f) }

// TestRecorded: of frames of every link type, nested and broken in many ways, the same count as with NFStream 6.6.0, with
// the same numbers.
func TestRecorded(t *testing.T) {
	f, err := os.Open("testdata/nfstream-6.6.0.tsv")
	require.NoError(t, err)
	defer f.Close()
	d := nfpacket.New(nil)
	links, counted, tunnels := map[packet.LinkType]int{}, 0, map[uint32]int{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		field := strings.Split(lines.Text(), "\t")
		require.Len(t, field, 4, "line %d", n)
		link, err := strconv.Atoi(field[0])
		require.NoError(t, err)
		length, err := strconv.Atoi(field[1])
		require.NoError(t, err)
		data, err := hex.DecodeString(field[2])
		require.NoError(t, err)
		var p nfpacket.Packet
		got := "-"
		if d.Decode(&packet.Frame{Data: data, Length: length, Link: packet.LinkType(link)}, &p) == nfpacket.OK {
			got = text(&p)
			counted++
			tunnels[p.Key.Tunnel()]++
		}
		require.Equal(t, field[3], got, "line %d", n)
		links[packet.LinkType(link)]++
	}
	require.NoError(t, lines.Err())
	require.Len(t, links, 10)
	for link, n := range links {
		require.Greater(t, n, 20, "%v", link)
	}
	require.Greater(t, counted, 200)
	for _, kind := range []uint32{nfpacket.TunnelNone, nfpacket.TunnelGTP, nfpacket.TunnelCAPWAP, nfpacket.TunnelTZSP} {
		require.NotZero(t, tunnels[kind], "tunnel %d", kind)
	}
	var sum uint64
	for _, n := range d.Stats() {
		sum += n
	}
	require.Equal(t, uint64(counted), d.Stats()[nfpacket.OK])
	total := 0
	for _, n := range links {
		total += n
	}
	require.Equal(t, uint64(total), sum, "every frame is counted once")
}

var (
	ip4 = pktgen.IPv4{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("198.51.100.2")}
	ip6 = pktgen.IPv6{Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2")}
)

func ethernet(layers ...pktgen.Layer) []byte {
	return pktgen.Build(append([]pktgen.Layer{pktgen.Ethernet{}}, layers...)...)
}

// TestRules: the rules by which NFStream differs from what is right, one by one.
func TestRules(t *testing.T) {
	tcp := []pktgen.Layer{ip4, pktgen.TCP{Src: 1000, Dst: 80, Flags: packet.SYN}, pktgen.Payload("hello")}
	stack := func(first ...pktgen.Layer) []byte { return ethernet(append(first, tcp...)...) }
	plain := stack()
	for _, tt := range []struct {
		name   string
		cfg    nfpacket.Config
		link   packet.LinkType
		data   []byte
		length int
		want   nfpacket.Status
		sizes  [4]uint32
		vlan   uint16
	}{
		{name: "TCP", data: plain, sizes: [4]uint32{59, 45, 25, 5}},
		{name: "cut by the snapshot length", data: plain[:54], length: 59, sizes: [4]uint32{59, 45, 25, 5}},
		{name: "a length of 65,536 and more", data: plain, length: 65536 + 7, sizes: [4]uint32{7, 45, 25, 5}},
		{name: "a length below what was captured", data: plain, length: 10, sizes: [4]uint32{10, 45, 25, 5}},
		{name: "27 bytes", data: plain[:27], want: nfpacket.TooShort},
		{name: "unknown link type", link: packet.LinkSLL2, data: plain, want: nfpacket.UnknownLink},
		{name: "the innermost of two VLAN tags", data: stack(pktgen.VLAN{ID: 3}, pktgen.VLAN{ID: 7}), sizes: [4]uint32{67, 45, 25, 5}, vlan: 7},
		{name: "EtherType of ARP around IP", data: func() []byte {
			b := append([]byte(nil), plain...)
			b[12], b[13] = 8, 6
			return b
		}(), sizes: [4]uint32{59, 45, 25, 5}},
		{name: "total length 0", data: func() []byte {
			b := append([]byte(nil), plain...)
			b[16], b[17] = 0, 0
			return b
		}(), want: nfpacket.BadLength},
		{name: "total length 0 of a packet of more than 65,535 bytes", data: func() []byte {
			b := append(append([]byte(nil), plain...), make([]byte, 1<<16)...)
			b[16], b[17] = 0, 0
			return b
		}(), want: nfpacket.BadLength},
		{name: "first fragment", data: fragment(plain, 0x2000), sizes: [4]uint32{59, 45, 25, 5}},
		{name: "later fragment", data: fragment(plain, 0x2001), want: nfpacket.Fragment},
		{name: "later fragment behind another EtherType", data: func() []byte {
			b := fragment(plain, 1)
			b[12], b[13] = 0x86, 0xdd
			return b
		}(), sizes: [4]uint32{59, 45, 25, 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.link == 0 {
				tt.link = packet.LinkEthernet
			}
			if tt.length == 0 {
				tt.length = len(tt.data)
			}
			var p nfpacket.Packet
			got := nfpacket.New(&tt.cfg).Decode(&packet.Frame{Data: tt.data, Length: tt.length, Link: tt.link, Time: 7, Number: 9}, &p)
			require.Equal(t, tt.want, got, "%v", got)
			if tt.want != nfpacket.OK {
				return
			}
			require.Equal(t, tt.sizes, p.Sizes)
			require.Equal(t, tt.vlan, p.Key.VLAN())
			require.Equal(t, int64(7), p.Time)
			require.Equal(t, uint64(9), p.Number)
			require.Equal(t, uint16(80), p.Key.Dst().Port())
			require.Equal(t, packet.SYN, p.Flags)
			if tt.length >= 59 && len(tt.data) >= 59 {
				require.Equal(t, "hello", string(p.Payload()))
			}
		})
	}
}

// fragment sets the fragment field of an IPv4 packet over Ethernet.
func fragment(frame []byte, field uint16) []byte {
	b := append([]byte(nil), frame...)
	b[20], b[21] = byte(field>>8), byte(field)
	return b
}

// TestIPv6: sizes with and without the header, and what was not captured to its end.
func TestIPv6(t *testing.T) {
	data := ethernet(ip6, pktgen.UDP{Src: 5, Dst: 6}, pktgen.Payload("four"))
	f := packet.Frame{Data: data, Length: len(data), Link: packet.LinkEthernet}
	var p nfpacket.Packet
	require.Equal(t, nfpacket.OK, nfpacket.New(nil).Decode(&f, &p))
	require.Equal(t, [4]uint32{66, 52, 12, 4}, p.Sizes)
	require.Equal(t, nfpacket.OK, nfpacket.New(&nfpacket.Config{Sizes65: true}).Decode(&f, &p))
	require.Equal(t, [4]uint32{66, 12, 12, 4}, p.Sizes)
	f.Data = data[:len(data)-1]
	require.Equal(t, nfpacket.BadLength, nfpacket.New(nil).Decode(&f, &p))
}

// TestTunnels: GTP-U is entered or left as it is; IP in IP is entered anyway.
func TestTunnels(t *testing.T) {
	inner := []pktgen.Layer{ip4, pktgen.UDP{Src: 1, Dst: 2}, pktgen.Payload("x")}
	gtp := ethernet(append([]pktgen.Layer{ip4, pktgen.UDP{Dst: 2152}, pktgen.GTPU{TEID: 7}}, inner...)...)
	ipip := ethernet(append([]pktgen.Layer{ip4}, inner...)...)
	for _, tt := range []struct {
		name   string
		data   []byte
		leave  bool
		tunnel uint32
		port   uint16
	}{
		{"GTP-U", gtp, false, nfpacket.TunnelGTP, 2},
		{"GTP-U left", gtp, true, 0, 2152},
		{"IP in IP", ipip, false, 0, 2},
		{"IP in IP left", ipip, true, 0, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p nfpacket.Packet
			f := packet.Frame{Data: tt.data, Length: len(tt.data), Link: packet.LinkEthernet}
			require.Equal(t, nfpacket.OK, nfpacket.New(&nfpacket.Config{NoTunnels: tt.leave}).Decode(&f, &p))
			require.Equal(t, tt.tunnel, p.Key.Tunnel())
			require.Equal(t, tt.port, p.Key.Dst().Port())
		})
	}
}

// TestNesting: IP headers within each other end.
func TestNesting(t *testing.T) {
	header := []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 4, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	var data []byte
	for range 3000 {
		data = append(data, header...)
	}
	var p nfpacket.Packet
	f := packet.Frame{Data: data, Length: len(data), Link: packet.LinkRaw}
	require.Equal(t, nfpacket.NotIP, nfpacket.New(nil).Decode(&f, &p))
}

func TestMAC(t *testing.T) {
	require.Equal(t, "00:0c:29:3e:a1:7b", nfpacket.MAC{0, 0x0c, 0x29, 0x3e, 0xa1, 0x7b}.String())
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	data := ethernet(ip4, pktgen.TCP{Src: 1000, Dst: 80}, pktgen.Payload("hello"))
	f := packet.Frame{Data: data, Length: len(data), Link: packet.LinkEthernet}
	d := nfpacket.New(nil)
	p := new(nfpacket.Packet)
	require.Zero(t, testing.AllocsPerRun(100, func() { d.Decode(&f, p) }))
}

func TestStatus(t *testing.T) {
	require.Equal(t, "ok", nfpacket.OK.String())
	require.Equal(t, "bad length", nfpacket.BadLength.String())
	require.Equal(t, "unknown status", nfpacket.Status(99).String())
}

// FuzzDecode: whatever comes, Decode ends within the frame: the same frame with other bytes behind it decodes alike, sizes
// are those of headers that lie within each other, and the outcome is counted.
func FuzzDecode(f *testing.F) {
	file, err := os.ReadFile("testdata/nfstream-6.6.0.tsv")
	require.NoError(f, err)
	for i, line := range strings.Split(string(file), "\n") {
		if field := strings.Split(line, "\t"); len(field) == 4 && i%8 == 0 {
			link, _ := strconv.Atoi(field[0])
			data, _ := hex.DecodeString(field[2])
			f.Add(uint8(link), len(data), data)
		}
	}
	f.Fuzz(func(t *testing.T, link uint8, length int, data []byte) {
		d := nfpacket.New(nil)
		frame := packet.Frame{Data: data, Length: length, Link: packet.LinkType(link)}
		var p, again nfpacket.Packet
		status := d.Decode(&frame, &p)
		require.Equal(t, uint64(1), d.Stats()[status])
		longer := append(append([]byte(nil), data...), "something else"...)
		frame.Data = longer[:len(data)]
		require.Equal(t, status, nfpacket.New(nil).Decode(&frame, &again))
		if status != nfpacket.OK {
			return
		}
		require.Equal(t, p, again)
		require.Contains(t, []uint8{4, 6}, p.Key.Version())
		require.GreaterOrEqual(t, p.Sizes[nfpacket.TransportSize], p.Sizes[nfpacket.PayloadSize])
		require.Less(t, p.Sizes[nfpacket.RawSize], uint32(1<<16))
		require.LessOrEqual(t, len(p.Payload()), int(p.Sizes[nfpacket.PayloadSize]))
		require.LessOrEqual(t, len(p.IP), len(data))
		require.LessOrEqual(t, p.Key.VLAN(), uint16(0xfff))
		off := nfpacket.New(&nfpacket.Config{NoTunnels: true})
		if off.Decode(&frame, &again) == nfpacket.OK {
			require.Zero(t, again.Key.Tunnel())
		}
	})
}
