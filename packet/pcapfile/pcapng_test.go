package pcapfile_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func resolution(order byteOrder, v byte) []byte { return option(order, 9, []byte{v}) }

func offset(order byteOrder, seconds int64) []byte {
	return option(order, 14, order.AppendUint64(nil, uint64(seconds)))
}

func TestPcapngTimes(t *testing.T) {
	const minute = 60_000_000_000
	tests := []struct {
		name   string
		resol  int // -1: no option
		offset int64
		stamp  uint64
		want   int64
		stats  pcapfile.Stats
	}{
		{"microseconds by default", -1, 0, 60_000_001, minute + 1000, pcapfile.Stats{}},
		{"seconds", 0, 0, 60, minute, pcapfile.Stats{}},
		{"milliseconds", 3, 0, 60_001, minute + 1e6, pcapfile.Stats{}},
		{"nanoseconds", 9, 0, minute + 1, minute + 1, pcapfile.Stats{}},
		{"picoseconds", 12, 0, minute*1000 + 1999, minute + 1, pcapfile.Stats{}},
		{"10^-18", 18, 0, 2_000_000_001_999_999_999, 2_000_000_001, pcapfile.Stats{}},
		{"10^-19", 19, 0, 10_000_000_019_999_999_999, 1_000_000_001, pcapfile.Stats{}},
		{"10^-20", 20, 0, 10_000_000_000_000_000_000, 100_000_000, pcapfile.Stats{}},
		{"10^-28", 28, 0, math.MaxUint64, 1, pcapfile.Stats{}},
		{"10^-29", 29, 0, math.MaxUint64, 0, pcapfile.Stats{}},
		{"10^-127", 127, 0, math.MaxUint64, 0, pcapfile.Stats{}},
		{"2^0", 0x80, 0, 60, minute, pcapfile.Stats{}},
		{"2^-1", 0x81, 0, 121, minute + 500_000_000, pcapfile.Stats{}},
		{"2^-32 as in NTP", 0xa0, 0, 60<<32 | 1<<31, minute + 500_000_000, pcapfile.Stats{}},
		{"2^-63", 0x80 | 63, 0, 3 << 62, 1_500_000_000, pcapfile.Stats{}},
		{"2^-64", 0x80 | 64, 0, 1 << 63, 500_000_000, pcapfile.Stats{}},
		{"2^-65", 0x80 | 65, 0, 1 << 63, 250_000_000, pcapfile.Stats{}},
		{"2^-127", 0xff, 0, math.MaxUint64, 0, pcapfile.Stats{}},
		{"later by an offset", -1, 60, 1, minute + 1000, pcapfile.Stats{}},
		{"earlier by an offset", 9, -1, 1, -999_999_999, pcapfile.Stats{}},
		{"stamp 0 with an offset", 9, 60, 0, minute, pcapfile.Stats{}},
		{"stamp 0 with an offset, picoseconds", 12, 60, 0, minute, pcapfile.Stats{}},
		{"last nanosecond", 9, 0, math.MaxInt64, math.MaxInt64, pcapfile.Stats{}},
		{"first nanosecond", 9, -9223372037, 145_224_192, math.MinInt64, pcapfile.Stats{}},
		{"one before it", 9, -9223372037, 145_224_191, math.MinInt64, pcapfile.Stats{Saturated: 1}},
		{"beyond the end", 6, 0, math.MaxInt64, math.MaxInt64, pcapfile.Stats{Saturated: 1}},
		{"beyond the end by an offset", 0, math.MaxInt64, math.MaxInt64, math.MaxInt64, pcapfile.Stats{Saturated: 1}},
		{"beyond the start by an offset", 0, math.MinInt64, 0, math.MinInt64, pcapfile.Stats{Saturated: 1}},
		{"a large offset that cancels out", 0, math.MinInt64, 1<<63 + 60, minute, pcapfile.Stats{}},
		{"negative microseconds", 6, 0, math.MaxUint64 - 999_999, -1e9, pcapfile.Stats{Negative: 1}},
		{"negative nanoseconds", 9, 0, math.MaxUint64, -1, pcapfile.Stats{Negative: 1}},
		{"negative with an offset", 9, 60, math.MaxUint64, minute - 1, pcapfile.Stats{Negative: 1}},
		{"negative beyond the start", 0, 0, 1 << 63, math.MaxInt64, pcapfile.Stats{Saturated: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
				var opts [][]byte
				if tt.resol >= 0 {
					opts = append(opts, option(order, 2, []byte("wlan0")), resolution(order, byte(tt.resol)))
				}
				if tt.offset != 0 {
					opts = append(opts, offset(order, tt.offset))
				}
				file := enhanced(order, interfaceBlock(order, section(order, nil), 1, 0, opts...), 0, tt.stamp, "x")
				r, err := pcapfile.NewReader(bytes.NewReader(file), "x", nil)
				require.NoError(t, err)
				frames, err := readAll(t, r)
				require.NoError(t, err)
				require.Equal(t, tt.want, frames[0].Time)
				tt.stats.Files, tt.stats.Frames = 1, 1
				require.Equal(t, tt.stats, r.Stats())
			}
		})
	}
}

// TestPcapngTimesAgainstBigNumbers checks random stamps, resolutions and offsets against exact arithmetic.
func TestPcapngTimesAgainstBigNumbers(t *testing.T) {
	le := binary.LittleEndian
	rnd := rand.New(rand.NewPCG(3, 4))
	lo, hi := big.NewInt(math.MinInt64), big.NewInt(math.MaxInt64)
	exact := func(stamp *big.Int, resol byte, offset int64) *big.Int {
		base := int64(10)
		if resol&0x80 != 0 {
			base = 2
		}
		per := new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(resol&0x7f)), nil)
		ns := new(big.Int).Mul(stamp, big.NewInt(1e9))
		ns.Quo(ns, per)
		return ns.Add(ns, new(big.Int).Mul(big.NewInt(offset), big.NewInt(1e9)))
	}
	for range 3000 {
		stamp := rnd.Uint64() >> rnd.IntN(64)
		resol := byte(rnd.Uint32())
		off := int64(rnd.Uint64()) >> rnd.IntN(64)
		file := interfaceBlock(le, section(le, nil), 1, 0, resolution(le, resol), offset(le, off))
		r, err := pcapfile.NewReader(bytes.NewReader(enhanced(le, file, 0, stamp, "")), "x", nil)
		require.NoError(t, err)
		frames, err := readAll(t, r)
		require.NoError(t, err)

		want := exact(new(big.Int).SetUint64(stamp), resol, off)
		var how pcapfile.Stats
		if want.Cmp(lo) < 0 || want.Cmp(hi) > 0 {
			negative := exact(big.NewInt(int64(stamp)), resol, off)
			switch {
			case stamp>>63 != 0 && negative.Cmp(lo) >= 0 && negative.Cmp(hi) <= 0:
				want, how.Negative = negative, 1
			case want.Sign() < 0:
				want, how.Saturated = lo, 1
			default:
				want, how.Saturated = hi, 1
			}
		}
		require.Equal(t, want.Int64(), frames[0].Time, "stamp %d resolution %d offset %d", stamp, resol, off)
		require.Equal(t, how.Negative, r.Stats().Negative)
		require.Equal(t, how.Saturated, r.Stats().Saturated)
	}
}

func TestPcapngInfo(t *testing.T) {
	be := binary.BigEndian
	file := interfaceBlock(be, section(be, nil), 105, 2048, resolution(be, 9), option(be, 13, []byte{4}))
	file = interfaceBlock(be, file, 1, 99)
	file = enhanced(be, file, 1, 1, "x")
	r, err := pcapfile.NewReader(bytes.NewReader(file), "x", nil)
	require.NoError(t, err)
	want := pcapfile.Info{Format: pcapfile.FormatPcapNG, Major: 1, BigEndian: true}
	require.Equal(t, want, r.Info(), "before any interface")
	_, err = readAll(t, r)
	require.NoError(t, err)
	want.Link, want.SnapLen, want.FCS, want.TicksPerSecond = 105, 2048, 4, 1e9
	require.Equal(t, want, r.Info())

	for resol, ticks := range map[byte]uint64{6: 1e6, 0: 1, 19: 1e19, 20: 0, 0x80: 1, 0x8a: 1024, 0x80 | 63: 1 << 63, 0x80 | 64: 0} {
		file := interfaceBlock(be, section(be, nil), 1, 0, resolution(be, resol))
		r, err := pcapfile.NewReader(bytes.NewReader(file), "x", nil)
		require.NoError(t, err)
		_, err = readAll(t, r)
		require.NoError(t, err)
		require.Equal(t, ticks, r.Info().TicksPerSecond, "resolution %d", resol)
	}
}

// TestPcapngInterfaces: numbers count over sections, and ids only mean those of their own section.
func TestPcapngInterfaces(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	file := section(le, nil)
	for _, link := range []uint16{1, 113, 276} {
		file = interfaceBlock(le, file, link, 0)
	}
	file = enhanced(le, file, 2, 1, "c")
	file = enhanced(le, file, 0, 1, "a")
	file = section(be, file)
	file = interfaceBlock(be, file, 101, 0)
	file = enhanced(be, file, 0, 1, "d")
	file = interfaceBlock(be, file, 12, 0)
	file = enhanced(be, file, 1, 1, "e")
	frames, err := readBytes(t, section(le, file), nil)
	require.NoError(t, err)
	type seen struct {
		data string
		link packet.LinkType
		id   uint32
	}
	var got []seen
	for _, f := range frames {
		got = append(got, seen{string(f.Data), f.Link, f.Interface})
	}
	require.Equal(t, []seen{{"c", 276, 2}, {"a", 1, 0}, {"d", 101, 3}, {"e", 12, 4}}, got)

	bad := len(file)
	_, err = readBytes(t, enhanced(be, file, 2, 1, "of the section before"), nil)
	requireError(t, err, pcapfile.ErrCorrupt, 5, int64(bad),
		"x.pcap: frame 5 at byte "+big.NewInt(int64(bad)).String()+": packet of interface 2, where 2 are described")
}

func TestPcapngCorruption(t *testing.T) {
	le := binary.LittleEndian
	head := interfaceBlock(le, section(le, nil), 1, 0) // 28 + 20 bytes
	good := enhanced(le, bytes.Clone(head), 0, 1, "good")
	at := int64(len(good))
	wrongEnd := enhanced(le, nil, 0, 1, "bad!")
	wrongEnd[len(wrongEnd)-4]++
	skippedEnd := block(le, nil, 5, make([]byte, 40))
	skippedEnd[len(skippedEnd)-4]++
	sectionEnd := section(le, nil)
	sectionEnd[len(sectionEnd)-4]++
	tests := []struct {
		name  string
		block []byte
		kind  error
		text  string
	}{
		{"length 0", words(le, nil, 6, 0, 0), pcapfile.ErrCorrupt, "block of impossible length 0"},
		{"length 8", words(le, nil, 6, 8, 8), pcapfile.ErrCorrupt, "block of impossible length 8"},
		{"odd length", words(le, nil, 9, 30, 0, 0, 0, 0, 0, 30), pcapfile.ErrCorrupt, "block of impossible length 30"},
		{
			"giant packet", words(le, nil, 6, 0xfffffffc, 0), pcapfile.ErrTooLarge,
			"record claims 4294967292 bytes, the limit is 16777216",
		},
		{
			"giant interface", words(le, nil, 1, 0xfffffffc, 0), pcapfile.ErrTooLarge,
			"record claims 4294967292 bytes, the limit is 16777216",
		},
		{"lengths differ", wrongEnd, pcapfile.ErrCorrupt, "block of length 36 ends with length 37"},
		{"lengths of a skipped block differ", skippedEnd, pcapfile.ErrCorrupt, "block of length 52 ends with length 53"},
		{"lengths of a section differ", sectionEnd, pcapfile.ErrCorrupt, "block of length 28 ends with length 29"},
		{"short packet block", block(le, nil, 6, make([]byte, 16)), pcapfile.ErrCorrupt, "packet block of 16 bytes"},
		{"short obsolete block", block(le, nil, 2, make([]byte, 16)), pcapfile.ErrCorrupt, "packet block of 16 bytes"},
		{"short simple block", block(le, nil, 3, nil), pcapfile.ErrCorrupt, "simple packet block of 0 bytes"},
		{"short interface block", block(le, nil, 1, make([]byte, 4)), pcapfile.ErrCorrupt, "interface description of 4 bytes"},
		{
			"packet beyond its block", block(le, nil, 6, words(le, nil, 0, 0, 0, 9, 9, 0, 0)), pcapfile.ErrCorrupt,
			"packet of 9 bytes in a block with room for 8",
		},
		{
			"simple packet beyond its block", block(le, nil, 3, words(le, nil, 9, 0, 0)), pcapfile.ErrCorrupt,
			"packet of 9 bytes in a block with room for 8",
		},
		{
			"most bytes", block(le, nil, 6, words(le, nil, 0, 0, 0, math.MaxUint32, 9)), pcapfile.ErrCorrupt,
			"packet of 4294967295 bytes in a block with room for 0",
		},
		{
			"unknown interface", enhanced(le, nil, math.MaxUint32, 0, ""), pcapfile.ErrCorrupt,
			"packet of interface 4294967295, where 1 are described",
		},
		{
			"unknown interface, obsolete", block(le, nil, 2, words(le, nil, 0xffff, 0, 0, 0, 0)), pcapfile.ErrCorrupt,
			"packet of interface 65535, where 1 are described",
		},
		{
			"byte order", block(le, nil, 0x0a0d0d0a, words(le, nil, 1, 2, 3, 4)), pcapfile.ErrCorrupt,
			"section with byte-order magic 01 00 00 00",
		},
		{
			"section length", words(le, nil, 0x0a0d0d0a, 24, 0x1a2b3c4d, 1, 0, 24), pcapfile.ErrCorrupt,
			"section header of impossible length 24",
		},
		{
			"section version", block(le, nil, 0x0a0d0d0a, words(le, nil, 0x1a2b3c4d, 9, 0, 0)), pcapfile.ErrCorrupt,
			"section of version 9.0",
		},
		{
			"option beyond its block", block(le, nil, 1, words(le, nil, 1, 0, 9|100<<16)), pcapfile.ErrCorrupt,
			"interface option 9 of 100 bytes, 0 left",
		},
		{
			"resolution of 2 bytes", interfaceBlock(le, nil, 1, 0, option(le, 9, []byte{1, 2})), pcapfile.ErrCorrupt,
			"interface option 9 of 2 bytes",
		},
		{
			"offset of 4 bytes", interfaceBlock(le, nil, 1, 0, option(le, 14, []byte{1, 2, 3, 4})), pcapfile.ErrCorrupt,
			"interface option 14 of 4 bytes",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := append(bytes.Clone(good), tt.block...)
			file = append(file, make([]byte, 100)...)
			text := "x.pcap: frame 2 at byte 84: " + tt.text
			frames, err := readBytes(t, file, nil)
			require.Len(t, frames, 1)
			requireError(t, err, tt.kind, 2, at, text)
			frames, err = readFrom(t, iotest.OneByteReader(bytes.NewReader(file)), &pcapfile.Config{Buffer: 3})
			require.Len(t, frames, 1)
			requireError(t, err, tt.kind, 2, at, text)
		})
	}
	_, err := readBytes(t, block(le, section(le, nil), 3, words(le, nil, 0)), nil)
	requireError(t, err, pcapfile.ErrCorrupt, 1, 28, "x.pcap: frame 1 at byte 28: simple packet block before any interface")
}

// TestPcapngOptionsThatAreOdd: what does no harm is no error.
func TestPcapngOptionsThatAreOdd(t *testing.T) {
	le := binary.LittleEndian
	for name, opts := range map[string][]byte{
		"no end":                 option(le, 2, []byte("eth0")),
		"padding only":           {0, 0},
		"after the end":          append(option(le, 0, nil), option(le, 9, []byte{0})...),
		"value without padding":  {2, 0, 1, 0, 'x'},
		"unknown and empty ones": append(option(le, 200, nil), option(le, 65535, make([]byte, 7))...),
		"FCS length of 2 bytes":  option(le, 13, []byte{1, 2}),
	} {
		t.Run(name, func(t *testing.T) {
			file := interfaceBlock(le, section(le, nil), 1, 0, opts)
			frames, err := readBytes(t, enhanced(le, file, 0, 1, "x"), nil)
			require.NoError(t, err)
			require.Equal(t, int64(1000), frames[0].Time)
		})
	}
}

func TestPcapngLimits(t *testing.T) {
	le := binary.LittleEndian
	file := section(le, nil)
	for range 3 {
		file = interfaceBlock(le, file, 1, 0)
	}
	_, err := readBytes(t, file, &pcapfile.Config{MaxInterfaces: 3})
	require.NoError(t, err)
	_, err = readBytes(t, file, &pcapfile.Config{MaxInterfaces: 2})
	requireError(t, err, pcapfile.ErrTooLarge, 1, 68, "x.pcap: frame 1 at byte 68: more than 2 interfaces")
	_, err = readBytes(t, interfaceBlock(le, section(le, file), 1, 0), &pcapfile.Config{MaxInterfaces: 3})
	require.NoError(t, err, "each section has its own")

	for name, packet := range map[string][]byte{
		"enhanced": enhanced(le, nil, 0, 0, "12345"),
		"simple":   block(le, nil, 3, append(words(le, nil, 5), "12345"...)),
		"obsolete": block(le, nil, 2, append(words(le, nil, 0, 0, 0, 5, 5), "12345"...)),
	} {
		_, err = readBytes(t, append(bytes.Clone(file), packet...), &pcapfile.Config{MaxFrame: 5})
		require.NoError(t, err, name)
		_, err = readBytes(t, append(bytes.Clone(file), packet...), &pcapfile.Config{MaxFrame: 4})
		requireError(t, err, pcapfile.ErrTooLarge, 1, 88, "x.pcap: frame 1 at byte 88: record claims 5 bytes, the limit is 4")
	}
}

// TestPcapngSkipsWithoutBuffering has a block far larger than any buffer.
func TestPcapngSkipsWithoutBuffering(t *testing.T) {
	le := binary.LittleEndian
	const size = 40 << 20
	file := interfaceBlock(le, section(le, nil), 1, 0)
	file = block(le, file, 0xbad, make([]byte, size))
	file = enhanced(le, file, 0, 1, "behind it")
	called := 0
	require.Less(t, allocated(func() {
		r, err := pcapfile.NewReader(bytes.NewReader(file), "x", &pcapfile.Config{OnBlock: func(pcapfile.Block) { called++ }})
		require.NoError(t, err)
		frames, err := readAll(t, r)
		require.NoError(t, err)
		require.Len(t, frames, 1)
		require.Equal(t, uint64(1), r.Stats().Blocks)
	}), uint64(1<<20))
	require.Zero(t, called)
}

func TestOnBlock(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	secrets := append(words(be, nil, 0x544c534b, 5), "key 1\x00\x00\x00"...)
	file := section(be, nil)
	file = block(be, file, 10, secrets)
	file = interfaceBlock(be, file, 1, 0)
	file = enhanced(be, file, 0, 1, "x")
	file = block(be, file, 4, make([]byte, 5000))
	file = block(le, section(le, file), 99, nil)
	type seen struct {
		kind  uint32
		body  string
		order binary.ByteOrder
	}
	want := []seen{
		{10, string(secrets), be},
		{4, string(make([]byte, 5000)), be},
		{99, "", le},
	}
	for _, size := range []int{1, 100, 1 << 20} {
		var got []seen
		cfg := pcapfile.Config{Buffer: size, OnBlock: func(b pcapfile.Block) {
			got = append(got, seen{b.Type, string(b.Body), b.Order})
		}}
		r, err := pcapfile.NewReader(bytes.NewReader(file), "x", &cfg)
		require.NoError(t, err)
		frames, err := readAll(t, r)
		require.NoError(t, err)
		require.Len(t, frames, 1)
		require.Equal(t, want, got)
		require.Equal(t, uint64(3), r.Stats().Blocks)
	}
}

func TestSecrets(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	long := bytes.Repeat([]byte("CLIENT_RANDOM x y\n"), 20_000) // beyond a buffer
	for _, c := range []struct {
		name string
		b    pcapfile.Block
		kind uint32
		want string
		ok   bool
	}{
		{"little endian", pcapfile.Block{Type: 10, Body: append(words(le, nil, pcapfile.SecretsTLS, 5), "key 1\x00\x00\x00"...), Order: le}, pcapfile.SecretsTLS, "key 1", true},
		{"big endian", pcapfile.Block{Type: 10, Body: append(words(be, nil, 0x57474b4c, 4), "key1"...), Order: be}, 0x57474b4c, "key1", true},
		{"empty", pcapfile.Block{Type: 10, Body: words(le, nil, pcapfile.SecretsTLS, 0), Order: le}, pcapfile.SecretsTLS, "", true},
		{"too long", pcapfile.Block{Type: 10, Body: append(words(le, nil, pcapfile.SecretsTLS, 9), "key 1\x00\x00\x00"...), Order: le}, pcapfile.SecretsTLS, "", false},
		{"longest length", pcapfile.Block{Type: 10, Body: words(le, nil, 1, 0xffffffff), Order: le}, 1, "", false},
		{"short", pcapfile.Block{Type: 10, Body: words(le, nil, 1)[:7-3], Order: le}, 0, "", false},
		{"another block", pcapfile.Block{Type: 4, Body: words(le, nil, pcapfile.SecretsTLS, 0), Order: le}, 0, "", false},
	} {
		kind, data, ok := c.b.Secrets()
		require.Equal(t, c.kind, kind, c.name)
		require.Equal(t, c.want, string(data), c.name)
		require.Equal(t, c.ok, ok, c.name)
	}

	file := block(le, section(le, nil), 10, append(words(le, nil, pcapfile.SecretsTLS, uint32(len(long))), long...))
	file = enhanced(le, interfaceBlock(le, file, 1, 0), 0, 1, "x")
	var got []byte
	r, err := pcapfile.NewReader(bytes.NewReader(file), "x", &pcapfile.Config{Buffer: 1000, OnBlock: func(b pcapfile.Block) {
		_, data, ok := b.Secrets()
		require.True(t, ok)
		got = append(got, data...)
	}})
	require.NoError(t, err)
	_, err = readAll(t, r)
	require.NoError(t, err)
	require.Equal(t, string(long), string(got))
}

func TestFormatString(t *testing.T) {
	var got []string
	for f := pcapfile.FormatUnknown; f <= pcapfile.FormatSnoop; f++ {
		got = append(got, f.String())
	}
	require.Equal(t, []string{"unknown", "pcap", "modified pcap", "pcapng", "snoop"}, got)
}
