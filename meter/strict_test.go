package meter_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func strictly(edit func(*meter.Config)) *meter.Config {
	return config(func(c *meter.Config) {
		c.Rules = meter.RulesStrict
		if edit != nil {
			edit(c)
		}
	})
}

// TestStrictEverywhere: in each of the project's captures, in every link type and tunnel, is the connection that was put
// there.
func TestStrictEverywhere(t *testing.T) {
	files, err := filepath.Glob("../testdata/*/*.pcap")
	require.NoError(t, err)
	found := 0
	for _, path := range files {
		if dir := filepath.Base(filepath.Dir(path)); dir != "links" && dir != "tunnels" {
			continue
		}
		src, err := pcapfile.Open(path, nil)
		require.NoError(t, err)
		tcp := 0
		for f, err := range meter.Flows(t.Context(), src, strictly(nil)) {
			require.NoError(t, err)
			if f.Key.Proto() == packet.ProtoTCP && f.Key.Dst().Port() != 0 && f.Src2Dst.Packets > 0 && f.Dst2Src.Packets > 0 {
				tcp++
			}
		}
		require.NoError(t, src.Close())
		require.NotZero(t, tcp, path)
		found++
	}
	require.Greater(t, found, 50)
}

// TestStrictAsNFStream: on plain frames both rules count the same.
func TestStrictAsNFStream(t *testing.T) {
	for mode := nfpacket.RawSize; mode <= nfpacket.PayloadSize; mode++ {
		edit := func(c *meter.Config) { c.Statistics, c.SPLT, c.Accounting = true, 20, mode }
		for _, trace := range []pktgen.Trace{web(1000), web(7)} {
			require.Equal(t, run(t, config(edit), trace.Frames()...), run(t, strictly(edit), trace.Frames()...))
		}
	}
}

// TestStrictSizes: what NFStream leaves out counts, and in whole.
func TestStrictSizes(t *testing.T) {
	frame := func(layers ...pktgen.Layer) packet.Frame {
		return pktgen.Frame(start, append([]pktgen.Layer{pktgen.Ethernet{}}, layers...)...)
	}
	six := pktgen.IPv6{Src: hostA6, Dst: hostB6}
	four := pktgen.IPv4{Src: hostA, Dst: hostB}
	cut := frame(six, pktgen.UDP{Src: 1, Dst: 2}, pktgen.Payload(make([]byte, 100)))
	cut.Data = cut.Data[:80]
	zero := frame(four, pktgen.TCP{Src: 1, Dst: 2}, pktgen.Payload(make([]byte, 100)))
	zero.Data[16], zero.Data[17] = 0, 0
	for _, tt := range []struct {
		name  string
		frame packet.Frame
		sizes [4]uint64
	}{
		{"UDP", frame(four, pktgen.UDP{Src: 1, Dst: 2}, pktgen.Payload("hello")), [4]uint64{47, 33, 13, 5}},
		{"IPv6 that was cut", cut, [4]uint64{162, 148, 108, 100}},
		{"total length 0", zero, [4]uint64{154, 140, 120, 100}},
		{"ICMP", frame(four, pktgen.Header{Protocol: 1, Bytes: make([]byte, 12)}), [4]uint64{46, 32, 12, 4}},
	} {
		for mode, want := range tt.sizes {
			flows := run(t, strictly(func(c *meter.Config) { c.Accounting = nfpacket.Accounting(mode) }), tt.frame)
			require.Len(t, flows, 1, tt.name)
			require.Equal(t, want, flows[0].Bidirectional.Bytes, "%s, mode %d", tt.name, mode)
		}
	}
}

// TestStrictFragments: fragments count for the flow of their datagram once its first one was there; without it, they are a
// flow without ports.
func TestStrictFragments(t *testing.T) {
	for _, ip := range []func(payload []byte, offset int, more bool) []byte{fragment4, fragment6} {
		var frames []packet.Frame
		datagram := pktgen.Build(pktgen.UDP{Src: 7, Dst: 9}, pktgen.Payload(make([]byte, 3000)))
		for at := 0; at < len(datagram); at += 1000 {
			end := min(at+1000, len(datagram))
			data := ip(datagram[at:end], at, end < len(datagram))
			frames = append(frames, packet.Frame{Time: start, Link: packet.LinkRaw, Data: data, Length: len(data)})
		}
		require.Len(t, frames, 4)
		flows := run(t, strictly(func(c *meter.Config) { c.Accounting, c.Dissections = nfpacket.PayloadSize, 20 }), frames...)
		require.Len(t, flows, 1)
		require.Equal(t, uint16(9), flows[0].Key.Dst().Port())
		require.Equal(t, uint64(4), flows[0].Bidirectional.Packets)
		require.Equal(t, uint64(3000), flows[0].Bidirectional.Bytes)
		flows = run(t, strictly(nil), frames[1:]...)
		require.Len(t, flows, 1)
		require.Zero(t, flows[0].Key.Dst().Port())
	}
}

func fragment4(payload []byte, offset int, more bool) []byte {
	b := pktgen.Build(pktgen.IPv4{Src: hostA, Dst: hostB, ID: 77}, pktgen.Header{Protocol: 17, Bytes: payload})
	field := offset / 8
	if more {
		field |= 0x2000
	}
	b[6], b[7] = byte(field>>8), byte(field)
	return b
}

func fragment6(payload []byte, offset int, more bool) []byte {
	field := offset
	if more {
		field |= 1
	}
	header := []byte{17, 0, byte(field >> 8), byte(field), 0, 0, 0, 77}
	return pktgen.Build(pktgen.IPv6{Src: hostA6, Dst: hostB6}, pktgen.Header{Protocol: 44, Bytes: append(header, payload...)})
}

// TestStrictTunnels: the id of a tunnel that both directions share tells flows apart; the column has the kind alone.
func TestStrictTunnels(t *testing.T) {
	inner := []pktgen.Layer{pktgen.Ethernet{}, pktgen.IPv4{Src: hostA, Dst: hostB}, pktgen.UDP{Src: 1, Dst: 2}}
	in := func(vni uint32) packet.Frame {
		return pktgen.Frame(start, append([]pktgen.Layer{pktgen.Ethernet{}, pktgen.IPv4{Src: hostB, Dst: hostA}, pktgen.UDP{Src: 5, Dst: 4789}, pktgen.VXLAN{VNI: vni}}, inner...)...)
	}
	flows := run(t, strictly(nil), in(1), in(2), in(1))
	require.Len(t, flows, 2)
	require.Equal(t, uint64(2), flows[0].Bidirectional.Packets)
	columns, err := meter.Columns(nil)
	require.NoError(t, err)
	tunnel, err := meter.Select(columns, []string{"tunnel_id"})
	require.NoError(t, err)
	require.Equal(t, int64(5), tunnel[0].Int(flows[0]))
	flows = run(t, strictly(func(c *meter.Config) { c.DecodeTunnels = false }), in(1), in(2))
	require.Len(t, flows, 1)
	require.Equal(t, uint16(4789), flows[0].Key.Dst().Port())
}

// TestStrictStats: what is no packet is counted by why.
func TestStrictStats(t *testing.T) {
	m, err := meter.New(func(*meter.Flow) {}, strictly(nil))
	require.NoError(t, err)
	for _, f := range []packet.Frame{{Link: 999, Data: make([]byte, 60)}, {Link: packet.LinkEthernet, Data: make([]byte, 5)}, {Link: packet.LinkRaw, Data: []byte{0x45, 0}}} {
		require.False(t, m.Feed(&f))
	}
	st := m.Stats()
	require.Equal(t, uint64(3), st.Frames)
	require.Zero(t, st.Packets)
	require.Equal(t, uint64(1), st.Ignored[nfpacket.UnknownLink])
	require.Equal(t, uint64(2), st.Ignored[nfpacket.TooShort])
}
