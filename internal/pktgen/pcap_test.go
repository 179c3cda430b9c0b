package pktgen_test

import (
	"bytes"
	"testing"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
)

func TestPcap(t *testing.T) {
	frames := (&pktgen.Conversation{Start: pktgen.Start + 123456789}).Open().Client(bytesOf(1, 99)).Trace().Snap(70).Frames()
	for name, format := range map[string]pktgen.PcapFormat{
		"default":     {},
		"big endian":  {BigEndian: true, SnapLen: 70},
		"nanoseconds": {Nanoseconds: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := pcapgo.NewReader(bytes.NewReader(pktgen.Pcap(format, frames)))
			require.NoError(t, err)
			require.Equal(t, layers.LinkTypeEthernet, r.LinkType())
			for _, f := range frames {
				data, ci, err := r.ReadPacketData()
				require.NoError(t, err)
				require.Equal(t, f.Data, data)
				require.Equal(t, f.Length, ci.Length)
				want := f.Time
				if !format.Nanoseconds {
					want = f.Time / 1000 * 1000
				}
				require.Equal(t, want, ci.Timestamp.UnixNano())
			}
		})
	}
	require.Len(t, pktgen.Pcap(pktgen.PcapFormat{}, nil), 24)
}

func TestPcapng(t *testing.T) {
	trace := (&pktgen.Conversation{Start: pktgen.Start + 123456789}).Open().Client(bytesOf(1, 99)).Trace().Snap(70)
	trace[1].Interface = 1
	frames := trace.Frames()
	for name, format := range map[string]pktgen.PcapngFormat{
		"default":    {},
		"big endian": {BigEndian: true, Names: []string{"lan0", "wan0", "idle0"}, Comment: "made for tests", KeyLog: []byte("no keys")},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := pcapgo.NewNgReader(bytes.NewReader(pktgen.Pcapng(format, frames)), pcapgo.NgReaderOptions{WantMixedLinkType: true})
			require.NoError(t, err)
			require.Equal(t, format.Comment, r.SectionInfo().Comment)
			for _, f := range frames {
				data, ci, err := r.ReadPacketData()
				require.NoError(t, err)
				require.Equal(t, f.Data, data)
				require.Equal(t, f.Length, ci.Length)
				require.Equal(t, f.Time, ci.Timestamp.UnixNano())
				require.Equal(t, int(f.Interface), ci.InterfaceIndex)
			}
			require.Equal(t, max(2, len(format.Names)), r.NInterfaces())
			for i, want := range format.Names {
				iface, err := r.Interface(i)
				require.NoError(t, err)
				require.Equal(t, want, iface.Name)
				require.Equal(t, layers.LinkTypeEthernet, iface.LinkType)
			}
		})
	}
}
