package packet_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

// newDecoder returns a decoder; without a configuration one that verifies every checksum.
func newDecoder(t testing.TB, cfg *packet.DecoderConfig) *packet.Decoder {
	if cfg == nil {
		cfg = &packet.DecoderConfig{Checksum: packet.ChecksumStrict}
	}
	t.Helper()
	d, err := packet.NewDecoder(cfg)
	require.NoError(t, err)
	return d
}

// poisoned returns a packet that a decoder has to overwrite.
func poisoned() *packet.Packet {
	d, _ := packet.NewDecoder(nil)
	p := new(packet.Packet)
	deep := make([]header, 0, 24)
	deep = append(deep, eth(0x8100))
	for range 14 {
		deep = append(deep, vlan(99, 0x8100))
	}
	d.Decode(frameOf(packet.LinkEthernet, stack(deep...)), p)
	d.Decode(frameOf(packet.LinkEthernet, stack(eth(0x0800), ip4(4), ip4(6), tcp(packet.AE|packet.SYN, 1, 1, 1, 1), data("poison"))), p)
	p.Missing, p.TCP.Missing = 99, 99
	p.Checksum = packet.ChecksumBad
	return p
}

func TestDecodeTCP(t *testing.T) {
	nop := []byte{1, 1, 1, 0}
	for _, tc := range []struct {
		name  string
		link  packet.LinkType
		frame []byte
	}{
		{"ethernet", packet.LinkEthernet, stack(eth(0x0800), ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
		{"ethernet padding", packet.LinkEthernet, stack(eth(0x0800), pad(9), ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
		{"raw 101", packet.LinkRaw, stack(ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
		{"null little endian", packet.LinkNull, stack(raw(2, 0, 0, 0), ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
		{"loop big endian", packet.LinkLoop, stack(raw(0, 0, 0, 2), ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
		{"sll", packet.LinkSLL, stack(sll(0x0800), ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
		{"sll2", packet.LinkSLL2, stack(sll2(0x0800), ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
		{"qinq", packet.LinkEthernet, stack(eth(0x88a8), vlan(5, 0x8100), vlan(6, 0x0800), ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
		{"IPv4 fragment bits that mean nothing", packet.LinkRaw, func() []byte {
			b := stack(ip4(6), tcp(packet.ACK|packet.PSH, nop...), data("payload"))
			b[6] |= 0xc0 // reserved, do not fragment
			return b
		}()},
		{"IPv4 options", packet.LinkEthernet, stack(eth(0x0800), ip4(6, 1, 1, 1, 0), tcp(packet.ACK|packet.PSH, nop...), data("payload"))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := poisoned()
			d := newDecoder(t, nil)
			d.Decode(frameOf(tc.link, tc.frame), p)
			require.Equal(t, packet.OK, p.Status, p.Err())
			require.True(t, p.IsTCP())
			require.Equal(t, packet.NewFlowKey(client4, server4, 6), p.Key)
			require.Equal(t, packet.TCP{
				Payload: []byte("payload"), Options: nop, Time: 1e18, Number: 7, Seq: 1000, Ack: 5000,
				Flags: packet.ACK | packet.PSH, Window: 512, Urgent: 7,
			}, p.TCP)
			require.Equal(t, "payload", string(p.Payload))
			require.Equal(t, int64(1e18), p.Time)
			require.EqualValues(t, 7, p.Number)
			require.Zero(t, p.Missing)
			require.Equal(t, packet.ChecksumGood, p.Checksum)
			require.NoError(t, p.Err())
		})
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	d := newDecoder(t, nil)
	var p packet.Packet
	f := frameOf(packet.LinkEthernet, stack(eth(0x0800), ip4(6), tcp(packet.ACK), data("payload")))
	require.Zero(t, testing.AllocsPerRun(100, func() { d.Decode(f, &p) }))
	require.Equal(t, packet.OK, p.Status)
}

func TestDecodeSnaplen(t *testing.T) {
	d := newDecoder(t, nil)
	frame := stack(eth(0x0800), ip4(6), tcp(packet.SYN, 2, 4, 5, 0xb4, 1, 1, 1, 0), data("payload"))
	f := frameOf(packet.LinkEthernet, frame)
	var p packet.Packet
	for n := range frame {
		f.Data = frame[:n]
		d.Decode(f, &p)
		switch {
		case n < 14:
			require.Equal(t, packet.TruncatedLink, p.Status, n)
		case n < 34:
			require.Equal(t, packet.TruncatedIP, p.Status, n)
		case n < 54:
			require.Equal(t, packet.TruncatedTransport, p.Status, n)
		default:
			require.Equal(t, packet.OK, p.Status, n)
			require.Len(t, p.TCP.Options, min(n-54, 8))
			require.Len(t, p.Payload, max(n-62, 0))
			require.EqualValues(t, len(frame)-62-len(p.Payload), p.Missing)
			require.Equal(t, p.Missing, p.TCP.Missing)
			require.Equal(t, packet.ChecksumUnchecked, p.Checksum)
		}
	}
}

func TestDecodeLengths(t *testing.T) {
	frame := func(edit func(ip []byte)) []byte {
		b := stack(eth(0x0800), ip4(6), tcp(packet.ACK), data("payload"))
		edit(b[14:])
		return b
	}
	for _, tc := range []struct {
		name    string
		frame   []byte
		want    packet.Status
		payload string
	}{
		{"total length 0", frame(func(ip []byte) { binary.BigEndian.PutUint16(ip[2:], 0) }), packet.OK, "payload"},
		{"total length too large", frame(func(ip []byte) { binary.BigEndian.PutUint16(ip[2:], 999) }), packet.OK, "payload"},
		{"total length smaller", frame(func(ip []byte) { binary.BigEndian.PutUint16(ip[2:], 43) }), packet.OK, "pay"},
		{"total length without TCP header", frame(func(ip []byte) { binary.BigEndian.PutUint16(ip[2:], 39) }), packet.BadTCPHeader, ""},
		{"total length below header", frame(func(ip []byte) { binary.BigEndian.PutUint16(ip[2:], 19) }), packet.BadIPHeader, ""},
		{"header length 4", frame(func(ip []byte) { ip[0] = 0x44 }), packet.BadIPHeader, ""},
		{"header length beyond total", frame(func(ip []byte) { ip[0] = 0x4f }), packet.BadIPHeader, ""},
		{"version 5", frame(func(ip []byte) { ip[0] = 0x55 }), packet.BadIPVersion, ""},
		{"data offset 4", frame(func(ip []byte) { ip[32] = 0x40 }), packet.BadTCPHeader, ""},
		{"data offset beyond segment", frame(func(ip []byte) { ip[32] = 0x70 }), packet.BadTCPHeader, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := poisoned()
			newDecoder(t, nil).Decode(frameOf(packet.LinkEthernet, tc.frame), p)
			require.Equal(t, tc.want, p.Status)
			require.Equal(t, tc.payload, string(p.Payload))
			require.Zero(t, p.Missing)
			if tc.want == packet.OK {
				require.NoError(t, p.Err())
				return
			}
			require.ErrorIs(t, p.Err(), tc.want)
			require.Nil(t, p.Payload)
		})
	}
}
