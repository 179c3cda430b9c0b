package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func TestSnoopLinkTypes(t *testing.T) {
	tests := []struct {
		name     string
		datalink uint32
		link     packet.LinkType
	}{
		{"IEEE 802.3", 0, 1},
		{"token ring", 2, 6},
		{"Ethernet", 4, 1},
		{"HDLC has no number", 5, 1<<16 + 5},
		{"FDDI", 8, 10},
		{"beyond RFC 1761", 26, 1<<16 + 26},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := pcapfile.NewReader(bytes.NewReader(snoopRecord(snoopHeader(2, tt.datalink), 1, 1, "x")), "x", nil)
			require.NoError(t, err)
			frames, err := readAll(t, r)
			require.NoError(t, err)
			require.Equal(t, tt.link, frames[0].Link)
			require.Equal(t, pcapfile.Info{
				Format: pcapfile.FormatSnoop, Major: 2, BigEndian: true, TicksPerSecond: 1e6, Link: tt.link,
			}, r.Info())
		})
	}
}

func TestSnoopRecords(t *testing.T) {
	be := binary.BigEndian
	good := snoopRecord(snoopHeader(2, 4), math.MaxUint32, 999_999, "good") // 16 + 28 bytes
	padded := words(be, bytes.Clone(good), 9, 2, 40, 7, 5, 6)
	padded = append(padded, "ab and much padding"[:16]...)
	frames, err := readBytes(t, padded, nil)
	require.NoError(t, err)
	require.Equal(t, []packet.Frame{
		{Data: []byte("good"), Time: math.MaxUint32*1e9 + 999_999_000, Number: 1, Length: 14, Link: 1},
		{Data: []byte("ab"), Time: 5_000_006_000, Number: 2, Length: 9, Link: 1},
	}, frames)

	tests := []struct {
		name          string
		caplen, total uint32
		kind          error
		text          string
	}{
		{"no room for itself", 0, 23, pcapfile.ErrCorrupt, "packet of 0 bytes in a record of 23"},
		{"no room for the packet", 5, 28, pcapfile.ErrCorrupt, "packet of 5 bytes in a record of 28"},
		{"nothing", 0, 0, pcapfile.ErrCorrupt, "packet of 0 bytes in a record of 0"},
		{"large packet", 16<<20 + 1, 17 << 20, pcapfile.ErrTooLarge, "record claims 16777217 bytes, the limit is 16777216"},
		{"large record", 0, math.MaxUint32, pcapfile.ErrTooLarge, "record claims 4294967295 bytes, the limit is 16777216"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := words(be, bytes.Clone(good), 9, tt.caplen, tt.total, 0, 0, 0, 0, 0)
			frames, err := readBytes(t, file, nil)
			require.Len(t, frames, 1)
			requireError(t, err, tt.kind, 2, 44, "x.pcap: frame 2 at byte 44: "+tt.text)
		})
	}
}
