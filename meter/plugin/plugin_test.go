package plugin_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/meter/plugin"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// frame returns a frame from a to b, or back.
func frame(ms int64, back bool, a, b string, upper ...pktgen.Layer) packet.Frame {
	src, dst := netip.MustParseAddr(a), netip.MustParseAddr(b)
	if back {
		src, dst = dst, src
	}
	var ip pktgen.Layer = pktgen.IPv4{Src: src, Dst: dst}
	if src.Is6() {
		ip = pktgen.IPv6{Src: src, Dst: dst}
	}
	return pktgen.Frame(start+ms*1e6, append([]pktgen.Layer{pktgen.Ethernet{}, ip}, upper...)...)
}

func udp(ms int64, back bool, src, dst uint16, data string) packet.Frame {
	if back {
		src, dst = dst, src
	}
	return frame(ms, back, "192.0.2.1", "198.51.100.2", pktgen.UDP{Src: src, Dst: dst}, pktgen.Payload(data))
}

func segment(ms int64, back bool, flags packet.TCPFlags, seq uint32, window uint16, data string) packet.Frame {
	t := pktgen.TCP{Src: 1000, Dst: 80, Flags: flags, Seq: seq, Window: pktgen.Fixed(uint32(window))}
	if back {
		t.Src, t.Dst = t.Dst, t.Src
	}
	return frame(ms, back, "192.0.2.1", "198.51.100.2", t, pktgen.Payload(data))
}

// columns meters frames with a plugin, and returns what it says of each flow.
func columns(t *testing.T, p meter.Plugin, frames ...packet.Frame) []map[string]any {
	t.Helper()
	cfg := meter.DefaultConfig()
	cfg.Plugins, cfg.SPLT = []meter.Plugin{p}, 4
	all, err := meter.Columns(&cfg)
	require.NoError(t, err)
	var out strings.Builder
	w := meter.NewJSON(&out, all)
	m, err := meter.New(func(f *meter.Flow) { require.NoError(t, w.Write(f)) }, &cfg)
	require.NoError(t, err)
	m.FeedBatch(&packet.Batch{Frames: frames})
	require.NoError(t, m.Flush())
	require.NoError(t, w.Close())
	var rows []map[string]any
	for line := range strings.Lines(out.String()) {
		var row map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		rows = append(rows, row)
	}
	return rows
}

func TestSlicer(t *testing.T) {
	for limit, want := range map[int][]float64{1: {1, 1, 1, 1, 1}, 2: {2, 2, 1}, 5: {5}, 9: {5}} {
		p, err := plugin.Slicer(limit)
		require.NoError(t, err)
		var packets []float64
		for _, row := range columns(t, p, udp(0, false, 1, 2, "a"), udp(1, true, 1, 2, "b"), udp(2, false, 1, 2, "c"), udp(3, true, 1, 2, "d"), udp(4, false, 1, 2, "e")) {
			n, _ := row["bidirectional_packets"].(float64)
			packets = append(packets, n)
			require.Equal(t, limit == int(n), row["expiration_id"] == float64(meter.ExpiredByPlugin), "limit %d", limit)
		}
		require.Equal(t, want, packets, "limit %d", limit)
	}
	_, err := plugin.Slicer(0)
	require.Error(t, err)
}

// TestSPLT: the plugin says what Config.SPLT says, in the same mode.
func TestSPLT(t *testing.T) {
	p, err := plugin.SPLT(4, nfpacket.RawSize)
	require.NoError(t, err)
	row := columns(t, p, udp(0, false, 1, 2, "a"), udp(7, true, 1, 2, "bcd"), udp(9, false, 1, 2, ""))[0]
	for _, name := range []string{"splt_direction", "splt_ps", "splt_piat_ms"} {
		require.Equal(t, row[name], row["udps."+name])
	}
	require.Equal(t, []any{0.0, 7.0, 2.0, -1.0}, row["udps.splt_piat_ms"])
	p, err = plugin.SPLT(1, nfpacket.PayloadSize)
	require.NoError(t, err)
	require.Equal(t, []any{3.0}, columns(t, p, udp(0, false, 1, 2, "abc"))[0]["udps.splt_ps"])
	_, err = plugin.SPLT(0, 0)
	require.Error(t, err)
	_, err = plugin.SPLT(1, 4)
	require.Error(t, err)
}

func TestPayload(t *testing.T) {
	row := columns(t, plugin.Payload(), udp(0, false, 1, 2, "abc"), udp(1, true, 1, 2, "de"), udp(2, false, 1, 2, ""), udp(3, false, 1, 2, "x"))[0]
	require.Equal(t, []any{4.0, 2.0, 2.0, 1.0}, []any{
		row["udps.src2dst_payload_bytes"], row["udps.dst2src_payload_bytes"], row["udps.src2dst_payload_packets"], row["udps.dst2src_payload_packets"],
	})
}

func TestTCP(t *testing.T) {
	const syn, ack = packet.SYN, packet.ACK
	row := columns(t, plugin.TCP(),
		segment(0, false, syn, 100, 1000, ""), segment(30, true, syn|ack, 500, 1000, ""), segment(32, false, ack, 101, 1000, ""),
		segment(40, false, ack, 101, 1000, "hello"), segment(90, false, ack, 101, 1000, "hello"), // once more
		segment(95, false, ack, 105, 1000, "o"), // a keep-alive with its byte
		segment(100, true, ack, 501, 0, ""), segment(110, true, ack, 501, 1000, "x"), segment(120, true, packet.RST, 502, 0, ""),
	)[0]
	require.InDelta(t, 30.0, row["udps.tcp_syn_synack_ms"], 0)
	require.InDelta(t, 2.0, row["udps.tcp_synack_ack_ms"], 0)
	require.InDelta(t, 32.0, row["udps.tcp_rtt_ms"], 0)
	require.InDelta(t, 1.0, row["udps.src2dst_retransmissions"], 0)
	require.InDelta(t, 0.0, row["udps.dst2src_retransmissions"], 0)
	require.InDelta(t, 0.0, row["udps.src2dst_zero_windows"], 0)
	require.InDelta(t, 1.0, row["udps.dst2src_zero_windows"], 0)
	row = columns(t, plugin.TCP(), udp(0, false, 1, 2, ""))[0]
	require.Nil(t, row["udps.tcp_rtt_ms"])
	require.Nil(t, row["udps.src2dst_retransmissions"])
}

func TestActivity(t *testing.T) {
	p, err := plugin.Activity(5 * time.Second)
	require.NoError(t, err)
	row := columns(t, p, udp(0, false, 1, 2, ""), udp(1000, true, 1, 2, ""), udp(7000, false, 1, 2, ""), udp(10000, false, 1, 2, ""))[0]
	for name, want := range map[string]float64{
		"active_min_ms": 1000, "active_max_ms": 3000, "active_mean_ms": 2000, "active_stddev_ms": 1414.213562373095,
		"idle_min_ms": 6000, "idle_max_ms": 6000, "idle_mean_ms": 6000, "idle_stddev_ms": 0,
		"bidirectional_packets_per_s": 0.4, "src2dst_packets_per_s": 0.3, "dst2src_packets_per_s": 0.1, "bidirectional_bytes_per_s": 16.8,
		"down_up_ratio": 1.0 / 3,
	} {
		require.InDelta(t, want, row["udps."+name], 1e-9, name)
	}
	row = columns(t, p, udp(0, false, 1, 2, ""))[0]
	require.InDelta(t, 0.0, row["udps.bidirectional_bytes_per_s"], 0)
	_, err = plugin.Activity(0)
	require.Error(t, err)
}

// TestCommunityID: the values that the definition's own examples have.
func TestCommunityID(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame packet.Frame
		want  string
	}{
		{"TCP", frame(0, false, "128.232.110.120", "66.35.250.204", pktgen.TCP{Src: 34855, Dst: 80}), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"TCP back", frame(0, true, "128.232.110.120", "66.35.250.204", pktgen.TCP{Src: 80, Dst: 34855}), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"UDP", frame(0, false, "192.168.1.52", "8.8.8.8", pktgen.UDP{Src: 54585, Dst: 53}), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"ICMP", frame(0, false, "192.168.0.89", "192.168.0.1", pktgen.Header{Protocol: 1, Bytes: []byte{8, 0, 0, 0, 0, 0, 0, 0}}), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"ICMPv6", frame(0, false, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", pktgen.Header{Protocol: 58, Bytes: []byte{135, 0, 0, 0, 0, 0, 0, 0}}), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, columns(t, plugin.CommunityID(0), tt.frame)[0]["udps.community_id"])
			require.NotEqual(t, tt.want, columns(t, plugin.CommunityID(1), tt.frame)[0]["udps.community_id"])
		})
	}
}

// dhcpMessage is a message of a client, with its options.
func dhcpMessage(options ...byte) string {
	b := make([]byte, 240)
	b[0], b[1], b[2] = 1, 1, 6
	copy(b[12:], []byte{192, 0, 2, 9})
	copy(b[28:], []byte{0x70, 0x3e, 0xac})
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63})
	return string(append(append(b, options...), 255))
}

func TestDHCP(t *testing.T) {
	row := columns(t, plugin.DHCP(), udp(0, false, 68, 67, dhcpMessage(
		53, 1, 3, 55, 3, 1, 121, 3, 57, 2, 5, 220, 0, 50, 4, 192, 168, 3, 237, 12, 4, 'S', 'h', 'e', 'n', 60, 2, 'v', 1, 77, 1, 'u')))[0]
	for name, want := range map[string]any{
		"12": "Shen", "50": "192.168.3.237", "55": "1,121,3", "57": 1500.0, "60": "v?", "77": "u", "msg_type": "REQUEST",
		"addr": "192.0.2.9", "oui": "70:3e:ac", "options": []any{53.0, 55.0, 57.0, 50.0, 12.0, 60.0, 77.0},
	} {
		require.Equal(t, want, row["udps.dhcp_"+name], name)
	}
	for name, data := range map[string]string{"cut": dhcpMessage(12, 9, 'x'), "short": "abc", "none": dhcpMessage()[:200]} {
		row = columns(t, plugin.DHCP(), udp(0, false, 68, 67, data))[0]
		require.Nil(t, row["udps.dhcp_12"], name)
	}
	row = columns(t, plugin.DHCP(), udp(0, false, 1, 2, dhcpMessage(12, 1, 'x')))[0]
	require.Nil(t, row["udps.dhcp_12"], "another port")
}

func TestMDNS(t *testing.T) {
	answer := "\x00\x00\x84\x00\x00\x00\x00\x02\x00\x00\x00\x00" +
		"\x05_http\x04_tcp\x05local\x00\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x08\x05My\tTV\xc0\x0c" +
		"\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x07\x04Desk\xc0\x0c"
	row := columns(t, plugin.MDNS(), udp(0, false, 5353, 5353, answer))[0]
	require.Equal(t, "My?TV._http._tcp.local,Desk._http._tcp.local", row["udps.mdns_ptr"])
	require.Nil(t, columns(t, plugin.MDNS(), udp(0, false, 5353, 5353, "\x00"))[0]["udps.mdns_ptr"])
}

func TestJA4(t *testing.T) {
	files, err := pcapfile.OpenAll([]string{"../../testdata/tls"}, nil)
	require.NoError(t, err)
	defer files.Close()
	var frames []packet.Frame
	var b packet.Batch
	for files.ReadBatch(&b) == nil {
		for _, f := range b.Frames {
			f.Data = append([]byte(nil), f.Data...)
			frames = append(frames, f)
		}
	}
	found := 0
	for _, row := range columns(t, plugin.JA4(), frames...) {
		if row["client_fingerprint"] != "" {
			require.Equal(t, row["client_fingerprint"], row["udps.ja4"])
			require.Len(t, row["udps.ja3"], 32)
			found++
		}
	}
	require.NotZero(t, found)
}

// TestAnyPackets: plugins take whatever comes.
func TestAnyPackets(t *testing.T) {
	slicer, err := plugin.Slicer(3)
	require.NoError(t, err)
	splt, err := plugin.SPLT(3, 3)
	require.NoError(t, err)
	activity, err := plugin.Activity(time.Second)
	require.NoError(t, err)
	files, err := pcapfile.OpenAll([]string{"../../testdata/links", "../../testdata/tunnels"}, nil)
	require.NoError(t, err)
	defer files.Close()
	for _, rules := range []meter.Rules{meter.RulesNFStream, meter.RulesStrict} {
		cfg := meter.DefaultConfig()
		cfg.Rules = rules
		cfg.Plugins = []meter.Plugin{plugin.DHCP(), plugin.MDNS(), plugin.JA4(), plugin.TCP(), plugin.Payload(), plugin.CommunityID(0), slicer, splt, activity}
		m, err := meter.New(func(*meter.Flow) {}, &cfg)
		require.NoError(t, err)
		var b packet.Batch
		for files.ReadBatch(&b) == nil {
			for i := range b.Frames {
				f := b.Frames[i]
				for n := 28; n <= len(f.Data); n++ {
					f.Data = b.Frames[i].Data[:n]
					m.Feed(&f)
				}
			}
		}
		require.NoError(t, m.Flush())
	}
}
