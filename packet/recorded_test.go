package packet_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

// recorded are frames of real captures: the test traces of Zeek and tcpdump (BSD-3-Clause) and of PcapPlusPlus (public
// domain), named by file and frame.
var recorded = []struct {
	name    string
	link    packet.LinkType
	key     string
	layers  string
	payload int
	tunnel  packet.LayerKind
	id      uint32
	frame   string
}{
	{
		"GrePackets.cap 26", packet.LinkEthernet,
		"17.1.1.122:0 > 40.0.0.2:0 proto 1",
		"Ethernet@0 IPv4@14 PPTP@34 PPP@46 IPv4@50 ICMP@70",
		64, packet.LayerPPTP, 24,
		`0009e955c01c00140000020008004500007818d80000402f397d14000002140000013001880b0058001800000007ff03
		0021450000541101000040012f2c1101017a2800000208004500182b00010000000053c6838000000000000304b71011
		12131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637`,
	},
	{
		"null_loopback.pcap 2", packet.LinkNull,
		"172.16.1.117:55369 > 172.16.1.255:8612 proto 17",
		"loopback@0 IPv4@4 UDP@24",
		16, packet.LayerNone, 0,
		`020000004500002cc169000040115dc3ac100175ac1001ffd84921a4001817ae424a4e42020100000000000000000000`,
	},
	{
		"sll2.pcap 2", packet.LinkSLL2,
		"116.63.66.108:443 > 7.249.151.114:57292 proto 6",
		"SLL2@0 IPv4@20 TCP@40",
		0, packet.LayerNone, 0,
		`080000000000001400010006f03f958f8263000045000028872d40002c06718c743f426c07f9977201bbdfccaaceb5e9
		a7ab9fbf5011003fcfd20000`,
	},
	{
		"HDLC.pcap 7", packet.LinkCiscoHDLC,
		"10.0.0.1:0 > 10.0.0.2:0 proto 1",
		"HDLC@0 IPv4@4 ICMP@24",
		80, packet.LayerNone, 0,
		`0f0008004500006400000000ff01a7960a0000010a0000020800320b000000000000000000034c3cabcdabcdabcdabcd
		abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd
		abcdabcdabcdabcd`,
	},
	{
		"geneve.pcap 5", packet.LinkEthernet,
		"30.0.0.2:51225 > 30.0.0.1:22 proto 6",
		"Ethernet@0 IPv4@14 UDP@34 Geneve@42 Ethernet@50 IPv4@64 TCP@84",
		0, packet.LayerGeneve, 11,
		`001b213cab64001b213cac300800450000668807400040118a7d1400000214000001a9b317c100520000000065580000
		0b00b69ed2495148fe71d883724f0800450000345a1240004006a4af1e0000021e000001c819001617b30cb0ad805fe3
		80100073af9600000101080aab6d56be05058989`,
	},
	{
		"erspanII.pcap 1", packet.LinkEthernet,
		"23.0.0.2:0 > 23.0.0.3:0 proto 1",
		"Ethernet@0 IPv4@14 GRE@34 ERSPAN@42 Ethernet@50 IPv4@64 ICMP@84",
		80, packet.LayerERSPAN, 100,
		`6400f1e201126400f1e2010108004500009600004000fe2f76330202020201010101100088be00000704101708640000
		00006400f1e103036400f1e1020208004500006408940000ff0185001700000217000003080057b50016000000000000
		00a825d7abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd
		abcdabcdabcdabcdabcdabcdabcdabcdabcdabcd`,
	},
	{
		"ipv6-http-atomic-frag.pcap 8", packet.LinkEthernet,
		"[2001:db8:1::2]:36951 > [2001:db8:1::1]:80 proto 6",
		"Ethernet@0 IPv6@14 IPv6 extension@54 TCP@62",
		15, packet.LayerNone, 0,
		`aa0004000a0400101895316a86dd60000000002b3c4020010db800010000000000000000000220010db8000100000000
		000000000001060001040000000090570050e31ebd4fbddbf8155018200008300000474554202f6261642e68746d6c0d
		0a`,
	},
	{
		"mixed-vlan-mpls.pcap 9", packet.LinkEthernet,
		"10.1.2.1:11001 > 10.34.0.1:23 proto 6",
		"Ethernet@0 MPLS@14 IPv4@18 TCP@38",
		2, packet.LayerNone, 0,
		`003096e6fc3900309605283888470001ddff45c0002a00080000ff06a4e10a0102010a2200012af90017983210148dd5
		8ed650180fef8caa00000d0a`,
	},
	{
		"nflog-http.pcap 13", packet.LinkNFLog,
		"10.0.2.15:49762 > 93.184.216.34:80 proto 6",
		"NFLOG@0 IPv4@32 TCP@52",
		0, packet.LayerNone, 0,
		`0200002a080001000000030005000a000000000008000500000000022c00090045000028247f40004006d4670a00020f
		5db8d822c26200503f32bb224377824650107d786dad0000`,
	},
	{
		"pppoe-over-qinq.pcap 3", packet.LinkEthernet,
		"1.1.1.1:20394 > 2.2.2.2:443 proto 6",
		"Ethernet@0 VLAN@14 VLAN@18 PPPoE@22 PPP@28 IPv4@30 TCP@50",
		0, packet.LayerNone, 0,
		`00000000000100000000000081000e78810009aa886411000f07002a002145000028000040003f0635cb010101010202
		02024faa01bbd7a84156fc90a2ff501010008fda0000`,
	},
	{
		"q-in-q.pcap 1", packet.LinkEthernet,
		"172.19.51.37:47808 > 172.19.51.63:47808 proto 17",
		"Ethernet@0 VLAN@14 VLAN@18 IPv4@22 UDP@42",
		18, packet.LayerNone, 0,
		`ffffffffffff00c0e4012ced8100000d8100000a08004500002e479600004011749eac133325ac13333fbac0bac0001a
		b9da810b00120120ffff00ff10080a1b591a1b59`,
	},
	{
		"radiotap.pcap 1", packet.LinkRadiotap,
		"172.17.156.76:61738 > 208.67.220.220:53 proto 17",
		"radiotap@0 802.11@48 LLC@74 IPv4@82 UDP@102",
		35, packet.LayerNone, 0,
		`000030006b081c00e1615656000000001000a4154001b6a3014e349740010100a4156c221f0107000100000000000000
		88012c008a15149b5ae090724097b6f5442b03aaab8d10000600aaaa0300000008004500003fd68d00004011aea2ac11
		9c4cd043dcdcf12a0035002bc5dfa72f010000010000000000000763617074697665056170706c6503636f6d00000100
		010312c6a7`,
	},
	{
		"snap-tcp.pcap 1", packet.LinkEthernet,
		"192.168.1.1:12345 > 192.168.1.2:80 proto 6",
		"Ethernet@0 LLC@14 IPv4@22 TCP@42",
		0, packet.LayerNone, 0,
		`66778899aabb0011223344550030aaaa03000000080045000028000100004006f77bc0a80101c0a80102303900500000
		00640000000050022000dba10000`,
	},
	{
		"tunnels__6in6in6.pcap 1", packet.LinkEthernet,
		"[dead::beef]:30000 > [cafe::babe]:13000 proto 17",
		"Ethernet@0 IPv6@14 IPv6@54 IPv6@94 UDP@134",
		4, packet.LayerIPv6, 0,
		`ffffffffffff00000000000086dd60000000005c2940feed000000000000000000000000beeffeed0000000000000000
		00000000cafe6000000000342940babe000000000000000000000000beefdead000000000000000000000000babe6000
		0000000c1140dead000000000000000000000000beefcafe000000000000000000000000babe753032c8000c83d25858
		5858`,
	},
	{
		"tunnels__Teredo.pcap 31", packet.LinkEthernet,
		"[fe80::708d:fe83:4114:a512]:0 > [2001:0:4137:9e50:8000:f12a:b9c8:2815]:0 proto 59",
		"Ethernet@0 IPv4@14 UDP@34 Teredo@42 IPv6@50",
		0, packet.LayerTeredo, 0,
		`0016cf419c20001d5adccff108004500004c12c500007011959c41379e50c0a802100dd80ed50038d49900007f7bac55
		fed96000000000003b00fe80000000000000708dfe834114a5122001000041379e508000f12ab9c82815`,
	},
	{
		"tunnels__gre-sample.pcap 13", packet.LinkEthernet,
		"66.59.111.190:40264 > 172.28.2.3:22 proto 6",
		"Ethernet@0 IPv4@14 GRE@34 IPv4@38 TCP@58",
		0, packet.LayerGRE, 0,
		`00c0ca14b05200022d564afd08004500004c00004000ff2f1e61ac1b0142423b6d89000008004500003455d740004006
		84d4423b6fbeac1c02039d480016307f70e8f9565d9980101670399000000101080a06b1255f003d04a1`,
	},
	{
		"tunnels__gtp__gtp6_gtp_0x32.pcap 4", packet.LinkEthernet,
		"10.222.10.10:44960 > 173.194.69.188:5228 proto 6",
		"Ethernet@0 IPv4@14 UDP@34 GTP-U@42 IPv4@50 TCP@70",
		0, packet.LayerGTP, 1980578736,
		`00000c07ace888e0f3c8bff0080045680058d8f900003c1119c04fbc9a5bf395adc608680868004488be30ff0034760d
		3bb045000034a14340004006911a0ade0a0aadc245bcafa0146c44262ba23d045c1e80107d78c45000000101080a000c
		8cd1c51c0d9c`,
	},
}

func TestRecorded(t *testing.T) {
	for _, tc := range recorded {
		t.Run(tc.name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.Join(strings.Fields(tc.frame), ""))
			require.NoError(t, err)
			p := poisoned()
			d := newDecoder(t, &packet.DecoderConfig{Checksum: packet.ChecksumStrict})
			d.Decode(frameOf(tc.link, b), p)
			require.Equal(t, packet.OK, p.Status, "%v", p.Err())
			require.Equal(t, tc.key, p.Key.String())
			var names []string
			for _, l := range p.Layers() {
				names = append(names, fmt.Sprintf("%v@%d", l.Kind, l.Offset))
			}
			require.Equal(t, tc.layers, strings.Join(names, " "))
			require.Len(t, p.Payload, tc.payload)
			require.Equal(t, tc.tunnel, p.Tunnel())
			require.Equal(t, tc.id, p.TunnelID())
			if p.IsTCP() { // which says that addresses, lengths and payload are right
				require.Equal(t, packet.ChecksumGood, p.Checksum)
			}
		})
	}
}
