package meter_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet"
)

// start is when captures of tests start.
var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

var (
	hostA = netip.MustParseAddr("192.0.2.1")
	hostB = netip.MustParseAddr("198.51.100.2")

	hostA6 = netip.MustParseAddr("2001:db8::1")
	hostB6 = netip.MustParseAddr("2001:db8::2")
)

// at is a time in milliseconds since start.
func at(ms int64) int64 { return start + ms*1e6 }

// udp returns a datagram from A to B, or back.
func udp(ms int64, port uint16, back bool, size int) packet.Frame {
	ip, u := pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.UDP{Src: port, Dst: 9}
	if back {
		ip.Src, ip.Dst, u.Src, u.Dst = ip.Dst, ip.Src, u.Dst, u.Src
	}
	return pktgen.Frame(at(ms), pktgen.Ethernet{}, ip, u, pktgen.Payload(make([]byte, size)))
}

// config returns a configuration without dissection, changed by edit.
func config(edit func(*meter.Config)) *meter.Config {
	c := meter.DefaultConfig()
	c.Dissections = 0
	if edit != nil {
		edit(&c)
	}
	return &c
}

// run meters frames and returns all flows, in the order of emission.
func run(t testing.TB, cfg *meter.Config, frames ...packet.Frame) []*meter.Flow {
	t.Helper()
	var flows []*meter.Flow
	m, err := meter.New(func(f *meter.Flow) { flows = append(flows, f.Clone()) }, cfg)
	require.NoError(t, err)
	m.FeedBatch(&packet.Batch{Frames: frames})
	require.NoError(t, m.Flush())
	require.Equal(t, uint64(len(flows)), m.Stats().Flows)
	return flows
}

// ipv6From returns a packet of IPv6 with this source.
func ipv6From(t *testing.T, src string) []byte {
	t.Helper()
	return pktgen.Build(pktgen.IPv6{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr("2001:db8::9")}, pktgen.UDP{Src: 1, Dst: 2})
}
