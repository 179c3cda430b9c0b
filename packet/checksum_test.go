package packet_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Every length and content, against the sum of RFC 1071 as the text has it; and any one bit changed is found.
func TestChecksum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	versions(t, func(t *testing.T, six bool) {
		d := newDecoder(t, &packet.DecoderConfig{Checksum: packet.ChecksumStrict})
		var p packet.Packet
		for n := range 400 {
			payload := make([]byte, n)
			for i := range payload {
				payload[i] = byte(rng.Uint32())
				if n%3 == 0 {
					payload[i] = 0xff // as many carries as there can be
				}
			}
			h := []header{ip4(6), tcp(packet.ACK), data(string(payload))}
			if six {
				h[0] = ip6(6)
			}
			f := frameOf(packet.LinkRaw, stack(h...))
			d.Decode(f, &p)
			require.Equal(t, packet.ChecksumGood, p.Checksum, n)
			at := len(f.Data) - 1 - rng.IntN(n+20)
			f.Data[at] ^= 1 << rng.IntN(8)
			d.Decode(f, &p)
			if p.Status == packet.OK {
				require.Equal(t, packet.ChecksumBad, p.Checksum, "%d: byte %d", n, at)
			}
		}
	})
}

// segmentFrame returns a segment whose checksum field is set to v.
func segmentFrame(six bool, v uint16) *packet.Frame {
	h := []header{ip4(6), tcp(packet.RST), data("payload")}
	at := 20
	if six {
		h[0], at = ip6(6), 40
	}
	f := frameOf(packet.LinkRaw, stack(h...))
	binary.BigEndian.PutUint16(f.Data[at+16:], v)
	return f
}

func TestChecksumOffload(t *testing.T) {
	versions(t, func(t *testing.T, six bool) {
		src, dst := client4.Addr().AsSlice(), server4.Addr().AsSlice()
		if six {
			src, dst = client6.Addr().AsSlice(), server6.Addr().AsSlice()
		}
		full := refSum(join(src, dst, u32(27), u32(6)))
		short := refSum(join(src, dst, u32(0), u32(6)))
		for name, field := range map[string]uint16{
			"zero": 0, "pseudo-header": full, "complemented": ^full, "without length": short, "without length, complemented": ^short,
		} {
			t.Run(name, func(t *testing.T) {
				var p packet.Packet
				d := newDecoder(t, &packet.DecoderConfig{})
				for range 100 { // the capture looks good
					d.Decode(frameOf(packet.LinkRaw, stack(ip4(6), tcp(packet.SYN))), &p)
				}
				d.Decode(segmentFrame(six, field), &p)
				require.Equal(t, packet.ChecksumOffloaded, p.Checksum)
				d.Decode(segmentFrame(six, field+1), &p)
				require.Equal(t, packet.ChecksumBad, p.Checksum)

				d = newDecoder(t, &packet.DecoderConfig{Checksum: packet.ChecksumStrict})
				d.Decode(segmentFrame(six, field), &p)
				require.Equal(t, packet.ChecksumBad, p.Checksum)

				d = newDecoder(t, &packet.DecoderConfig{Checksum: packet.ChecksumOff})
				d.Decode(segmentFrame(six, field+1), &p)
				require.Equal(t, packet.ChecksumUnchecked, p.Checksum)
				require.True(t, p.IsTCP())
			})
		}
	})
}

// TestChecksumAuto pins the rule: a wrong one is accepted while more than one in eight is wrong.
func TestChecksumAuto(t *testing.T) {
	good := frameOf(packet.LinkRaw, stack(ip4(6), tcp(packet.FIN|packet.ACK)))
	bad := segmentFrame(false, 0x1234)
	for _, tc := range []struct {
		name      string
		good, bad int // before the segment
		want      packet.ChecksumState
	}{
		{"the first", 0, 0, packet.ChecksumOffloaded},
		{"after six", 6, 0, packet.ChecksumOffloaded},
		{"after seven", 7, 0, packet.ChecksumBad},
		{"after many", 1000, 0, packet.ChecksumBad},
		{"all wrong", 0, 1000, packet.ChecksumOffloaded},
		{"an eighth", 14, 1, packet.ChecksumBad},
		{"more than an eighth", 13, 1, packet.ChecksumOffloaded},
		{"after the counts were halved", 1<<16 - 7000, 7000, packet.ChecksumBad},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p packet.Packet
			d := newDecoder(t, &packet.DecoderConfig{})
			for range tc.bad {
				d.Decode(bad, &p)
			}
			for range tc.good {
				d.Decode(good, &p)
				require.Equal(t, packet.ChecksumGood, p.Checksum)
			}
			d.Decode(bad, &p)
			require.Equal(t, tc.want, p.Checksum)
			require.True(t, p.IsTCP())
		})
	}
}

// Data is believed unless it is verified on request.
func TestChecksumOfData(t *testing.T) {
	for _, flags := range []packet.TCPFlags{packet.ACK, packet.PSH | packet.ACK, packet.FIN | packet.ACK, 0} {
		f := frameOf(packet.LinkRaw, stack(ip4(6), tcp(flags), data("payload")))
		f.Data[len(f.Data)-1] ^= 1
		var p packet.Packet
		d := newDecoder(t, &packet.DecoderConfig{})
		d.Decode(f, &p)
		require.Equal(t, packet.ChecksumUnchecked, p.Checksum, "%v", flags)
		d = newDecoder(t, &packet.DecoderConfig{Checksum: packet.ChecksumStrict})
		d.Decode(f, &p)
		require.Equal(t, packet.ChecksumBad, p.Checksum, "%v", flags)
	}
}

// Only a segment that is there in full can be verified.
func TestChecksumUnchecked(t *testing.T) {
	whole := stack(ip4(6), tcp(packet.ACK), data("payload"))
	var p packet.Packet
	d := newDecoder(t, &packet.DecoderConfig{Checksum: packet.ChecksumStrict})
	d.Decode(&packet.Frame{Data: whole[:len(whole)-1], Length: len(whole), Link: packet.LinkRaw}, &p)
	require.Equal(t, packet.ChecksumUnchecked, p.Checksum)
	d.Decode(&packet.Frame{Data: whole[:len(whole)-1], Length: len(whole) - 1, Link: packet.LinkRaw}, &p)
	require.Equal(t, packet.ChecksumUnchecked, p.Checksum, "cut by the link")
	require.Equal(t, "payloa", string(p.Payload))
	require.Zero(t, p.Missing)
	s := d.Stats()
	require.EqualValues(t, 2, s.Checksums[packet.ChecksumUnchecked])
	require.EqualValues(t, 1, s.LengthsCut)
}
