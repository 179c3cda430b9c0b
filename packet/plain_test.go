package packet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

const seed = 0x5eed

// checkPlain checks that a frame which is plain is the same to Plain as it is to Decode.
func checkPlain(t *testing.T, f *packet.Frame) (plain bool) {
	t.Helper()
	d, ref := newDecoder(t, nil), newDecoder(t, nil)
	out := make([]packet.Plain, 1)
	if d.Plain([]packet.Frame{*f}, seed, out) == 0 {
		require.Zero(t, d.Stats())
		require.Zero(t, out[0])
		require.False(t, out[0].IsPlain())
		return false
	}
	p := poisoned()
	ref.Decode(f, p)
	require.True(t, p.IsTCP())
	require.Equal(t, ref.Stats(), d.Stats())
	requireSame(t, p, f, &out[0])
	return true
}

// requireSame checks that two decoders made the same of a frame.
func requireSame(t *testing.T, want *packet.Packet, f *packet.Frame, got *packet.Plain) {
	t.Helper()
	var conn, gotConn packet.ConnKey
	conn.Set(&want.Key, seed)
	got.Conn(&gotConn)
	require.Equal(t, conn, gotConn)
	require.Equal(t, conn.Hash, got.Hash)
	require.True(t, got.Is(&conn.Key))
	var tcp packet.TCP
	got.TCP(f, &tcp)
	require.Equal(t, want.TCP, tcp)
	flags, seq, ack := got.Segment(f)
	require.Equal(t, want.TCP.Flags, flags)
	require.Equal(t, want.TCP.Seq, seq)
	require.Equal(t, want.TCP.Ack, ack)
	require.Equal(t, want.Payload, got.Payload(f))
	require.Equal(t, len(want.Payload) == 0, got.Empty())
	require.Equal(t, want.Checksum, got.Checksum)
	require.True(t, got.IsPlain())
}

func TestPlain(t *testing.T) {
	segment := func(headers ...header) []byte {
		return stack(append([]header{eth(0x0800), ip4(6)}, headers...)...)
	}
	for name, tc := range map[string]struct {
		frame []byte
		link  packet.LinkType
		plain bool
	}{
		"data":           {segment(tcp(packet.ACK), data("payload")), packet.LinkEthernet, true},
		"options":        {segment(tcp(packet.ACK, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2), data("x")), packet.LinkEthernet, true},
		"SYN":            {segment(tcp(packet.SYN, 2, 4, 5, 0xb4)), packet.LinkEthernet, true},
		"padding":        {append(segment(tcp(packet.FIN|packet.ACK)), 0, 0, 0, 0, 0, 0), packet.LinkEthernet, true},
		"cut off":        {segment(tcp(packet.ACK), data("payload"))[:14+20+20+3], packet.LinkEthernet, false},
		"short":          {segment(tcp(packet.ACK))[:53], packet.LinkEthernet, false},
		"UDP":            {stack(eth(0x0800), ip4(17), udp(1, 2), data("payload")), packet.LinkEthernet, false},
		"IPv6":           {stack(eth(0x86dd), ip6(6), tcp(packet.ACK), data("payload")), packet.LinkEthernet, false},
		"VLAN":           {stack(eth(0x8100), raw(0, 5, 8, 0), ip4(6), tcp(packet.ACK), data("payload")), packet.LinkEthernet, false},
		"not Ethernet":   {segment(tcp(packet.ACK), data("payload")), packet.LinkRaw, false},
		"no frame":       {nil, packet.LinkEthernet, false},
		"short TCP":      {edited(segment(tcp(packet.ACK), data("payload")), 14+20+12, 0x40), packet.LinkEthernet, false},
		"long TCP":       {edited(segment(tcp(packet.ACK), data("payload")), 14+20+12, 0xf0), packet.LinkEthernet, false},
		"IP options":     {edited(segment(tcp(packet.ACK), data("payload")), 14, 0x46), packet.LinkEthernet, false},
		"more fragments": {edited(segment(tcp(packet.ACK), data("payload")), 14+6, 0x20), packet.LinkEthernet, false},
		"offset":         {edited(segment(tcp(packet.ACK), data("payload")), 14+7, 1), packet.LinkEthernet, false},
		"not fragmented": {edited(segment(tcp(packet.ACK), data("payload")), 14+6, 0x40), packet.LinkEthernet, true},
		"short total":    {edited(segment(tcp(packet.ACK), data("payload")), 14+3, 39), packet.LinkEthernet, false},
		"no total":       {edited(segment(tcp(packet.ACK), data("payload")), 14+3, 0), packet.LinkEthernet, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.plain, checkPlain(t, frameOf(tc.link, tc.frame)))
		})
	}
}

// edited returns b with another byte at an offset.
func edited(b []byte, at int, v byte) []byte {
	b[at] = v
	return b
}

// Plain and Decode in turns make the same of frames of all kinds, in order, as Decode alone: the verdicts on checksums
// depend on those before.
func TestPlainInTurns(t *testing.T) {
	var frames []packet.Frame
	for i := range 64 {
		frame := stack(eth(0x0800), ip4(6), tcp(packet.SYN), data("payload"))
		if i%3 == 0 {
			frame = stack(eth(0x8100), raw(0, 5, 8, 0), ip4(6), tcp(packet.SYN), data("payload"))
		}
		if i%13 == 4 {
			frame[len(frame)-1] ^= 1 // a wrong checksum
		}
		f := *frameOf(packet.LinkEthernet, frame)
		f.Number = uint64(i + 1)
		frames = append(frames, f)
	}
	d, ref := newDecoder(t, &packet.DecoderConfig{}), newDecoder(t, &packet.DecoderConfig{})
	out := make([]packet.Plain, len(frames))
	plains := 0
	for i := 0; i < len(frames); {
		n := d.Plain(frames[i:], seed, out[i:])
		plains += n
		for ; n > 0; n-- {
			p := poisoned()
			ref.Decode(&frames[i], p)
			requireSame(t, p, &frames[i], &out[i])
			i++
		}
		if i < len(frames) {
			p, want := poisoned(), poisoned()
			d.Decode(&frames[i], p)
			ref.Decode(&frames[i], want)
			require.Equal(t, want.Checksum, p.Checksum)
			i++
		}
	}
	require.Equal(t, 42, plains)
	require.Equal(t, ref.Stats(), d.Stats())
	require.Positive(t, d.Stats().Checksums[packet.ChecksumBad])
	require.Positive(t, d.Stats().Checksums[packet.ChecksumOffloaded])
}

func TestPlainDoesNotAllocate(t *testing.T) {
	d := newDecoder(t, nil)
	out := make([]packet.Plain, 2)
	f := *frameOf(packet.LinkEthernet, stack(eth(0x0800), ip4(6), tcp(packet.SYN), data("payload")))
	require.Zero(t, testing.AllocsPerRun(100, func() { require.Equal(t, 2, d.Plain([]packet.Frame{f, f, f}, seed, out)) }))
}
