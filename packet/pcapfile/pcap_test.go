package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func TestPcapFormats(t *testing.T) {
	const sec, day = 1_000_000_000, 86400
	tests := []struct {
		name   string
		magic  uint32
		order  byteOrder
		format pcapfile.Format
		mult   int64
		extra  int
	}{
		{"little endian, microseconds", 0xa1b2c3d4, binary.LittleEndian, pcapfile.FormatPcap, 1000, 0},
		{"big endian, microseconds", 0xa1b2c3d4, binary.BigEndian, pcapfile.FormatPcap, 1000, 0},
		{"little endian, nanoseconds", 0xa1b23c4d, binary.LittleEndian, pcapfile.FormatPcap, 1, 0},
		{"big endian, nanoseconds", 0xa1b23c4d, binary.BigEndian, pcapfile.FormatPcap, 1, 0},
		{"little endian, modified", 0xa1b2cd34, binary.LittleEndian, pcapfile.FormatModified, 1000, 8},
		{"big endian, modified", 0xa1b2cd34, binary.BigEndian, pcapfile.FormatModified, 1000, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := pcapHeader(tt.order, tt.magic, 113)
			for i, data := range []string{"one", "", "three"} {
				file = words(tt.order, file, uint32(sec+i*day), 999_999, uint32(len(data)), 1500)
				file = append(file, make([]byte, tt.extra)...)
				file = append(file, data...)
			}
			r, err := pcapfile.NewReader(bytes.NewReader(file), "x.pcap", nil)
			require.NoError(t, err)
			defer r.Close()
			frames, err := readAll(t, r)
			require.NoError(t, err)
			require.Equal(t, []packet.Frame{
				{Data: []byte("one"), Time: sec*1e9 + 999_999*tt.mult, Number: 1, Length: 1500, Link: 113},
				{Data: []byte(""), Time: (sec+day)*1e9 + 999_999*tt.mult, Number: 2, Length: 1500, Link: 113},
				{Data: []byte("three"), Time: (sec+2*day)*1e9 + 999_999*tt.mult, Number: 3, Length: 1500, Link: 113},
			}, frames)
			require.Equal(t, pcapfile.Info{
				Format: tt.format, Major: 2, Minor: 4, BigEndian: tt.order == binary.BigEndian,
				TicksPerSecond: uint64(1e9 / tt.mult), SnapLen: 65535, Link: 113,
			}, r.Info())
		})
	}
}

func TestPcapLengthsByVersion(t *testing.T) {
	tests := []struct {
		name         string
		major, minor uint16
		third        uint32
		fourth       uint32
	}{
		{"2.4 is in order", 2, 4, 3, 60},
		{"2.4 is in order even when that is odd", 2, 4, 3, 2},
		{"2.3 is in order", 2, 3, 3, 60},
		{"2.3 may be exchanged", 2, 3, 60, 3},
		{"2.2 is exchanged", 2, 2, 60, 3},
		{"2.0 is exchanged even when that is odd", 2, 0, 2, 3},
		{"DG/UX is exchanged", 543, 0, 60, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			le := binary.LittleEndian
			file := pcapHeaderV(le, 0xa1b2c3d4, tt.major, tt.minor, 1)
			file = append(words(le, file, 1, 0, tt.third, tt.fourth), "abc"...)
			frames, err := readBytes(t, file, nil)
			require.NoError(t, err)
			require.Len(t, frames, 1)
			require.Equal(t, "abc", string(frames[0].Data))
			require.Equal(t, int(tt.third+tt.fourth-3), frames[0].Length)
		})
	}
}

func TestPcapVersionsThatAreUnknown(t *testing.T) {
	for _, v := range [][2]uint16{{1, 2}, {2, 5}, {3, 0}, {543, 1}, {0, 0}} {
		_, err := readBytes(t, pcapHeaderV(binary.BigEndian, 0xa1b2c3d4, v[0], v[1], 1), nil)
		requireError(t, err, pcapfile.ErrNotCapture, 0, 0,
			fmt.Sprintf("x.pcap: not a capture file (pcap version %d.%d)", v[0], v[1]))
	}
}

func TestPcapLinkTypeField(t *testing.T) {
	tests := []struct {
		name  string
		field uint32
		link  packet.LinkType
		fcs   int
	}{
		{"plain", 1, 1, 0},
		{"FCS of 4 bytes", 0x24000001, 1, 4},
		{"FCS length without the flag", 0x20000001, 1, 0},
		{"reserved bits are ignored", 0x0bff0071, 113, 0},
		{"largest", 0xffff, 0xffff, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := pcapRecord(binary.LittleEndian, pcapHeader(binary.LittleEndian, 0xa1b2c3d4, tt.field), 1, 1, "x")
			r, err := pcapfile.NewReader(bytes.NewReader(file), "", nil)
			require.NoError(t, err)
			frames, err := readAll(t, r)
			require.NoError(t, err)
			require.Equal(t, tt.link, frames[0].Link)
			require.Equal(t, tt.link, r.Info().Link)
			require.Equal(t, tt.fcs, r.Info().FCS)
		})
	}
}

func TestPcapTimes(t *testing.T) {
	const micro, nano = 0xa1b2c3d4, 0xa1b23c4d
	tests := []struct {
		name      string
		magic     uint32
		sec, frac uint32
		unsigned  int64
		signed    int64
	}{
		{"ordinary", micro, 1_700_000_000, 123_456, 1_700_000_000_123_456_000, 1_700_000_000_123_456_000},
		{"ordinary, nanoseconds", nano, 1_700_000_000, 123_456, 1_700_000_000_000_123_456, 1_700_000_000_000_123_456},
		{"last second before 2038-01-19 03:14:08", micro, math.MaxInt32, 999_999, 2147483647_999_999_000, 2147483647_999_999_000},
		{"first second after it", micro, 1 << 31, 1, 2147483648_000_001_000, -2147483648_000_000_000 + 1000},
		{"last second", micro, math.MaxUint32, 0, 4294967295_000_000_000, -1_000_000_000},
		{"more than a second of microseconds", micro, 10, 1_500_000, 11_500_000_000, 11_500_000_000},
		{"most microseconds", micro, 10, math.MaxUint32, 10e9 + math.MaxUint32*1000, 10e9},
		{"negative microseconds, cut to milliseconds", micro, 10, math.MaxUint32 - 1_998, 10e9 + (math.MaxUint32-1998)*1000, 10e9 - 1e6},
		{"negative nanoseconds, cut to milliseconds", nano, 10, math.MaxUint32 - 2_500_000, 10e9 + math.MaxUint32 - 2_500_000, 10e9 - 2e6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
				file := pcapRecord(order, pcapHeader(order, tt.magic, 1), tt.sec, tt.frac, "x")
				frames, err := readBytes(t, file, nil)
				require.NoError(t, err)
				require.Equal(t, tt.unsigned, frames[0].Time)
				frames, err = readBytes(t, file, &pcapfile.Config{SignedSeconds: true})
				require.NoError(t, err)
				require.Equal(t, tt.signed, frames[0].Time)
			}
		})
	}
}

// TestSignedSecondsGiveMilliseconds compares with the arithmetic of NFStream 6.6.0 on what libpcap hands it.
func TestSignedSecondsGiveMilliseconds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		sec, frac := rnd.Uint32(), rnd.Uint32()
		magic, micro := uint32(0xa1b2c3d4), int64(int32(frac))
		if rnd.IntN(2) == 0 {
			magic, micro = 0xa1b23c4d, int64(int32(frac))/1000
		}
		want := int64(int32(sec))*1000 + micro/1000
		file := pcapRecord(binary.LittleEndian, pcapHeader(binary.LittleEndian, magic, 1), sec, frac, "")
		frames, err := readBytes(t, file, &pcapfile.Config{SignedSeconds: true})
		require.NoError(t, err)
		got := frames[0].Time / 1e6
		if frames[0].Time%1e6 < 0 {
			got--
		}
		require.Equal(t, want, got, "magic %x sec %d frac %d", magic, sec, frac)
	}
}

func TestPcapRecordsThatAreTooLarge(t *testing.T) {
	le := binary.LittleEndian
	head := pcapRecord(le, pcapHeader(le, 0xa1b2c3d4, 1), 1, 1, "good")
	tests := []struct {
		name   string
		cfg    *pcapfile.Config
		caplen uint32
		text   string
	}{
		{"default", nil, 16<<20 + 1, "x.pcap: frame 2 at byte 44: record claims 16777217 bytes, the limit is 16777216"},
		{"most", nil, math.MaxUint32, "x.pcap: frame 2 at byte 44: record claims 4294967295 bytes, the limit is 16777216"},
		{"own limit", &pcapfile.Config{MaxFrame: 4}, 5, "x.pcap: frame 2 at byte 44: record claims 5 bytes, the limit is 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frames, err := readBytes(t, words(le, bytes.Clone(head), 1, 1, tt.caplen, tt.caplen), tt.cfg)
			require.Len(t, frames, 1)
			requireError(t, err, pcapfile.ErrTooLarge, 2, 44, tt.text)
		})
	}
	frames, err := readBytes(t, head, &pcapfile.Config{MaxFrame: 4})
	require.NoError(t, err, "the limit itself is allowed")
	require.Len(t, frames, 1)
}
