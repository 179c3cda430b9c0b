package tcpfollow_test

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// followAll follows a source and returns its streams, payload and all.
func followAll(t *testing.T, src packet.Source) []tcpfollow.Snapshot {
	t.Helper()
	var all []tcpfollow.Snapshot
	f, err := tcpfollow.New(nil, func(s *tcpfollow.TCPStream) { all = append(all, s.Snapshot()) }, nil)
	require.NoError(t, err)
	require.NoError(t, f.Follow(context.Background(), src))
	require.Zero(t, f.Stats().Verdicts[tcpfollow.Undecodable])
	return all
}

// Every link type and every tunnel carries the same conversation, and gives the same payload as plain Ethernet.
func TestLinksAndTunnels(t *testing.T) {
	plain := followFile(t, "testdata/links/ethernet.pcap")
	for _, pattern := range []string{"testdata/links/*.pcap", "testdata/tunnels/*.pcap"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.Greater(t, len(files), 25, pattern)
		for _, file := range files {
			t.Run(file, func(t *testing.T) {
				got := followFile(t, file)
				require.Equal(t, string(plain.ClientPayload), string(got.ClientPayload))
				require.Equal(t, string(plain.ServerPayload), string(got.ServerPayload))
				require.Equal(t, tcpfollow.EndFIN, got.End)
				require.Equal(t, tcpfollow.StartSYN, got.Start)
				require.Empty(t, got.Halves[0].Gaps)
				require.Empty(t, got.Halves[1].Gaps)
			})
		}
	}
}

func followFile(t *testing.T, path string) tcpfollow.Snapshot {
	t.Helper()
	file, err := pcapfile.Open(path, nil)
	require.NoError(t, err)
	defer file.Close()
	all := followAll(t, file)
	require.Len(t, all, 1, path)
	return all[0]
}

// tunnel is what stands in front of the IP header that it carries.
type tunnel struct {
	name  string
	outer []pktgen.Layer
}

// everyTunnel returns one of each kind, between hosts that differ from level to level.
func everyTunnel(level byte) []tunnel {
	four := pktgen.IPv4{Src: netip.AddrFrom4([4]byte{203, 0, 113, level}), Dst: netip.AddrFrom4([4]byte{203, 0, 113, 100 + level})}
	six := pktgen.IPv6{Src: netip.MustParseAddr("2001:db8:ffff::1"), Dst: netip.MustParseAddr("2001:db8:ffff::2")}
	ether := pktgen.Ethernet{Src: pktgen.MAC{2, 0, 0, 0, 1, level}, Dst: pktgen.MAC{2, 0, 0, 0, 2, level}}
	udp := pktgen.UDP{}
	ppp := pktgen.PPP{HDLC: true}
	of := func(layers ...pktgen.Layer) []pktgen.Layer { return layers }
	return []tunnel{
		{"ipip", of(four)},
		{"4in6", of(six)},
		{"gre", of(four, pktgen.GRE{Key: pktgen.Fixed(42)})},
		{"nvgre", of(six, pktgen.GRE{Key: pktgen.Fixed(0x00123405)}, ether)},
		{"pptp", of(four, pktgen.PPTP{Call: 5, Seq: pktgen.Fixed(1)}, ppp)},
		{"erspan1", of(four, pktgen.GRE{Type: pktgen.Fixed(0x88be)}, ether)},
		{"erspan2", of(four, pktgen.GRE{Seq: pktgen.Fixed(1)}, pktgen.ERSPAN{Session: 9}, ether)},
		{"erspan3", of(four, pktgen.GRE{Seq: pktgen.Fixed(1)}, pktgen.ERSPAN{Session: 9, TypeIII: true}, ether)},
		{"vxlan", of(four, udp, pktgen.VXLAN{VNI: 5001}, ether, pktgen.VLAN{ID: 8})},
		{"geneve", of(six, udp, pktgen.Geneve{VNI: 5002}, ether)},
		{"gtp", of(four, pktgen.UDP{Src: 2152, Dst: 2152}, pktgen.GTPU{TEID: 77})},
		{"l2tp", of(four, pktgen.UDP{Src: 1701, Dst: 1701}, pktgen.L2TP{Tunnel: 3, Session: 4}, ppp)},
		{"capwap", of(four, udp, pktgen.CAPWAP{Radio: 1}, ether)},
		{"tzsp", of(four, udp, pktgen.TZSP{}, ether)},
		{"etherip", of(four, pktgen.Header{Bytes: []byte{0x30, 0}, Protocol: 97}, ether)},
		{"mpls", of(ether, pktgen.MPLS{Label: 16})},
		{"pppoe", of(ether, pktgen.PPPoE{Session: 17}, pktgen.PPP{})},
	}
}

// Any tunnel in any other still gives the payload.
func TestTunnelPairs(t *testing.T) {
	for _, outer := range everyTunnel(1) {
		for _, inner := range everyTunnel(2) {
			t.Run(outer.name+"/"+inner.name, func(t *testing.T) {
				layers := append([]pktgen.Layer{}, outer.outer...)
				if _, linked := outer.outer[0].(pktgen.Ethernet); !linked {
					layers = append([]pktgen.Layer{pktgen.Ethernet{}}, layers...)
				}
				if _, bridged := inner.outer[0].(pktgen.Ethernet); bridged {
					if _, ends := layers[len(layers)-1].(pktgen.Ethernet); ends {
						layers = layers[:len(layers)-1] // the inner one brings its own Ethernet header
					} else {
						layers = append(layers, pktgen.IPv4{Src: netip.MustParseAddr("203.0.113.201"), Dst: netip.MustParseAddr("203.0.113.202")}, pktgen.GRE{})
					}
				}
				c := pktgen.Conversation{Outer: append(layers, inner.outer...)}
				c.Open().Client([]byte("GET / HTTP/1.1\r\n\r\n")).Server([]byte("HTTP/1.1 200 OK\r\n\r\nhello")).Close(packet.ClientToServer)
				all := followAll(t, &source{frames: c.Frames()})
				require.Len(t, all, 1)
				require.Equal(t, "GET / HTTP/1.1\r\n\r\n", string(all[0].ClientPayload))
				require.Equal(t, "HTTP/1.1 200 OK\r\n\r\nhello", string(all[0].ServerPayload))
				require.Equal(t, tcpfollow.EndFIN, all[0].End)
			})
		}
	}
}
