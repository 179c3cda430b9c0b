package packet_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

// FuzzDecode decodes anything as any link type, with the snapshot length cutting it anywhere.
func FuzzDecode(f *testing.F) {
	for _, fr := range allFrames() {
		f.Add(uint32(fr.Link), uint16(0), fr.Data)
		f.Add(uint32(fr.Link), uint16(9), fr.Data[:len(fr.Data)-9])
	}
	for _, fr := range append(split(false, 1, 6, segment(false, 64), 16, 48), split(true, 1, 6, segment(true, 64), 16, 48)...) {
		f.Add(uint32(fr.Link), uint16(0), fr.Data)
	}
	f.Fuzz(func(t *testing.T, link uint32, missing uint16, b []byte) {
		frame := &packet.Frame{Data: slices.Clip(b), Length: len(b) + int(missing), Link: packet.LinkType(link), Number: 1}
		before := bytes.Clone(b)
		d, err := packet.NewDecoder(&packet.DecoderConfig{KeyVLAN: true, KeyTunnel: true})
		require.NoError(t, err)
		g, err := packet.NewDefragmenter(nil)
		require.NoError(t, err)
		p, again := poisoned(), new(packet.Packet)
		d.Decode(frame, p)
		check(t, frame, p)
		d.Decode(frame, again) // what was in the packet before does not show
		require.Equal(t, again.Status, p.Status)
		require.Equal(t, again.Layers(), p.Layers())
		require.Equal(t, again.Payload, p.Payload)
		if p.Status == packet.OK {
			require.Equal(t, again.Key, p.Key)
			require.Equal(t, again.Proto, p.Proto)
		}
		checkInner(t, d, frame, p)
		checkPlain(t, frame)
		if p.Status == packet.Fragment {
			g.Add(frame, p)
			if whole, ok := g.Add(frame, p); ok {
				d.DecodeDatagram(whole, p)
			}
		}
		require.True(t, bytes.Equal(before, b), "input changed")
		s := d.Stats()
		var sum uint64
		for _, n := range s.Status {
			sum += n
		}
		require.LessOrEqual(t, s.Frames, sum)
	})
}

// checkInner checks that an IPv4 packet is the same without its Ethernet header: most frames are decoded in one step,
// see plain, but not when they start with an IP header.
func checkInner(t *testing.T, d *packet.Decoder, f *packet.Frame, p *packet.Packet) {
	t.Helper()
	if f.Link != packet.LinkEthernet || len(f.Data) < 14 || f.Data[12] != 8 || f.Data[13] != 0 {
		return
	}
	inner := poisoned()
	d.Decode(&packet.Frame{Data: f.Data[14:], Length: max(f.Length, len(f.Data)) - 14, Link: packet.LinkIPv4, Number: f.Number, Time: f.Time}, inner)
	layers := []packet.Layer{{Kind: packet.LayerEthernet}}
	for _, l := range inner.Layers() {
		l.Offset += 14
		layers = append(layers, l)
	}
	if len(layers) > packet.MaxLayers {
		return
	}
	require.Equal(t, layers, p.Layers())
	require.Equal(t, inner.Status, p.Status)
	require.Equal(t, inner.Payload, p.Payload)
	require.Equal(t, inner.Missing, p.Missing)
	require.Equal(t, inner.Number, p.Number)
	require.Equal(t, inner.Time, p.Time)
	if p.Status == packet.OK || p.Status == packet.Fragment {
		require.Equal(t, inner.Key, p.Key)
		require.Equal(t, inner.Proto, p.Proto)
	}
	if p.IsTCP() {
		require.Equal(t, inner.TCP, p.TCP)
		require.Equal(t, inner.Checksum, p.Checksum)
	}
}

// check holds for every decoded packet.
func check(t *testing.T, f *packet.Frame, p *packet.Packet) {
	t.Helper()
	wire := max(f.Length, len(f.Data))
	require.LessOrEqual(t, len(p.Layers()), packet.MaxLayers)
	require.LessOrEqual(t, len(p.Payload)+int(p.Missing), wire)
	for i, l := range p.Layers() {
		require.LessOrEqual(t, int(l.Offset), len(f.Data))
		if i > 0 {
			require.GreaterOrEqual(t, l.Offset, p.Layers()[i-1].Offset)
		}
	}
	require.Equal(t, p.Status.Undecodable(), p.Err() != nil)
	require.NotEmpty(t, p.Status.String())
	p.Tunnel()
	p.OuterKey()
	p.AppendVLANs(nil)
	switch p.Status {
	case packet.OK:
		require.Equal(t, p.Proto, p.Key.Proto())
		require.True(t, p.Key.Src().IsValid())
		require.NotNil(t, p.Payload)
		require.LessOrEqual(t, cap(p.Payload), len(p.Payload), "an append would write into the frame")
	default:
		require.Nil(t, p.Payload)
		require.Zero(t, p.Missing)
	}
	if p.IsTCP() {
		require.Equal(t, p.Payload, p.TCP.Payload)
		require.Equal(t, p.Missing, p.TCP.Missing)
		require.LessOrEqual(t, len(p.TCP.Options), 40)
		require.Equal(t, p.Number, p.TCP.Number)
	}
}

// model is a defragmenter made of a map for every datagram, with neither limits nor clock.
type model map[byte]*modelDatagram

type modelDatagram struct {
	bytes map[int]byte
	end   int // -1 if not known
	dead  bool
}

// add returns the datagram that the fragment completes.
func (m model) add(id byte, offset int, more bool, b []byte, policy packet.OverlapPolicy) []byte {
	if len(b) == 0 || more && len(b)%8 != 0 {
		return nil
	}
	d := m[id]
	if d == nil {
		d = &modelDatagram{bytes: map[int]byte{}, end: -1}
		m[id] = d
	}
	if d.dead {
		return nil
	}
	end, reach, overlap, differs := offset+len(b), 0, 0, false
	for at := range d.bytes {
		reach = max(reach, at+1)
	}
	for i, c := range b {
		if old, ok := d.bytes[offset+i]; ok {
			overlap++
			differs = differs || old != c
		}
	}
	if !more && (d.end >= 0 && d.end != end || end < reach) || more && d.end >= 0 && end > d.end {
		return nil
	}
	duplicate := overlap == len(b) && !differs
	if duplicate && (more || d.end >= 0) {
		return nil
	}
	if overlap > 0 && !duplicate && policy == packet.OverlapDrop {
		d.dead = true
		return nil
	}
	for i, c := range b {
		if _, ok := d.bytes[offset+i]; !ok || policy == packet.OverlapLast {
			d.bytes[offset+i] = c
		}
	}
	if !more {
		d.end = end
	}
	if d.end < 0 || len(d.bytes) < d.end {
		return nil
	}
	delete(m, id)
	whole := make([]byte, d.end)
	for at := range whole {
		whole[at] = d.bytes[at]
	}
	return whole
}

// FuzzDefragment reads operations: fragment id, offset in units of 8 and whether more follow, length, fill.
func FuzzDefragment(f *testing.F) {
	f.Add(byte(0), []byte{0, 0x80, 16, 'a', 0, 2, 8, 'b'})
	f.Add(byte(1), []byte{0, 2, 8, 'b', 0, 0x80, 16, 'a'})
	f.Add(byte(2), []byte{0, 0x80, 24, 'a', 0, 0x81, 8, 'b', 0, 3, 3, 'c'})
	f.Add(byte(3), []byte{0, 0x80, 24, 'a', 0, 0x81, 8, 'b', 0, 3, 3, 'c'})
	f.Add(byte(4), []byte{0, 0x81, 8, 'a', 1, 0x80, 8, 'x', 0, 0x80, 24, 'b', 1, 1, 1, 'y', 0, 3, 1, 'c'})
	f.Add(byte(7), []byte{0, 0x81, 8, 'a', 1, 0x80, 8, 'x', 0, 0x80, 24, 'b', 1, 1, 1, 'y', 0, 3, 1, 'c'})
	f.Fuzz(func(t *testing.T, mode byte, ops []byte) {
		policy, six := packet.OverlapPolicy(mode&3), mode&4 != 0
		effective := policy
		if policy == packet.OverlapDefault {
			effective = packet.OverlapFirst
			if six {
				effective = packet.OverlapDrop
			}
		}
		if len(ops) > 4*200 { // below the limit of fragments of a datagram
			ops = ops[:4*200]
		}
		g := newDefrag(t, &packet.DefragmenterConfig{Overlap: policy}, nil)
		m := model{}
		for ; len(ops) >= 4; ops = ops[4:] {
			id, offset, more, fill := ops[0]&3, int(ops[1]&0x1f)*8, ops[1]&0x80 != 0, ops[3]
			b := bytes.Repeat([]byte{fill}, int(ops[2]))
			for i := range b {
				b[i] += byte(i / 5 * int(mode>>3&1)) // some content that repeats, some that does not
			}
			if offset == 0 && !more {
				continue // no fragment
			}
			fr := frameOf(packet.LinkRaw, stack(frag4(int(id), offset, more, 253), data(string(b))))
			if six {
				fr = frameOf(packet.LinkRaw, stack(ip6(44), frag6(int(id), offset, more, 253), data(string(b))))
			}
			g.dec.Decode(fr, &g.p)
			require.Equal(t, packet.Fragment, g.p.Status, g.p.Err())
			want := m.add(id, offset, more, b, effective)
			whole, ok := g.Add(fr, &g.p)
			require.Equal(t, want != nil, ok)
			if !ok {
				continue
			}
			require.Equal(t, len(whole.Data), whole.Length)
			g.dec.DecodeDatagram(whole, &g.p)
			require.Equal(t, packet.OK, g.p.Status, g.p.Err())
			require.Equal(t, want, g.p.Payload)
		}
		require.EqualValues(t, len(m), g.Stats().Pending)
	})
}
