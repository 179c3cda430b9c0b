package packet_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

// nested returns the frame of the named link that carries the named tunnels, and in them a TCP segment in IPv4 or IPv6;
// nil if the innermost of them cannot carry that. It returns the last tunnel too.
func nested(six bool, link string, names ...string) (*packet.Frame, under) {
	h := []header{ip4(6), tcp(packet.ACK, 1, 1, 1, 0), data("payload")}
	if six {
		h[0] = ip6(6)
	}
	var last under
	for i, name := range slices.Backward(names) {
		u, ok := find(tunnels(six), name)
		if !ok {
			return nil, u
		}
		if i == len(names)-1 {
			last = u
		}
		h = append(append([]header(nil), u.headers...), h...)
		six = u.outer6
	}
	l, ok := find(links(six), link)
	if !ok {
		return nil, l
	}
	if len(names) == 0 {
		last = l
	}
	return frameOf(l.link, stack(append(append([]header(nil), l.headers...), h...)...)), last
}

func find(all []under, name string) (under, bool) {
	i := slices.IndexFunc(all, func(u under) bool { return u.name == name })
	if i < 0 {
		return under{}, false
	}
	return all[i], true
}

func requireInner(t *testing.T, p *packet.Packet) {
	t.Helper()
	require.Equal(t, packet.OK, p.Status, "%v %v", p.Err(), p.Layers())
	require.True(t, p.IsTCP(), "%v", p.Layers())
	want := packet.NewFlowKey(client4, server4, packet.ProtoTCP)
	if p.Key.Src().Addr().Is6() {
		want = packet.NewFlowKey(client6, server6, packet.ProtoTCP)
	}
	require.Equal(t, want, p.Key)
	require.Equal(t, "payload", string(p.TCP.Payload))
	require.Equal(t, "payload", string(p.Payload))
	require.Zero(t, p.Missing)
	require.Equal(t, []byte{1, 1, 1, 0}, p.TCP.Options)
	require.Equal(t, packet.ChecksumGood, p.Checksum)
}

// versions runs f for an innermost IPv4 and IPv6.
func versions(t *testing.T, f func(t *testing.T, six bool)) {
	t.Run("4", func(t *testing.T) { f(t, false) })
	t.Run("6", func(t *testing.T) { f(t, true) })
}

func TestLinks(t *testing.T) {
	versions(t, func(t *testing.T, six bool) {
		for _, l := range links(six) {
			t.Run(l.name, func(t *testing.T) {
				p := poisoned()
				d := newDecoder(t, nil)
				f, _ := nested(six, l.name)
				d.Decode(f, p)
				requireInner(t, p)
				require.Equal(t, six, p.Key.Src().Addr().Is6())
				require.Equal(t, packet.LayerNone, p.Tunnel())
				require.Zero(t, p.TunnelID())
				_, outer := p.OuterKey()
				require.False(t, outer)
				require.Zero(t, d.Stats().TunnelsRefused)
				require.Zero(t, d.Stats().LengthsCut)
				require.Zero(t, testing.AllocsPerRun(10, func() { d.Decode(f, p) }))
			})
		}
	})
}

func TestTunnels(t *testing.T) {
	versions(t, func(t *testing.T, six bool) {
		for _, u := range tunnels(six) {
			t.Run(u.name, func(t *testing.T) {
				p := poisoned()
				d := newDecoder(t, nil)
				f, _ := nested(six, "ethernet", u.name)
				d.Decode(f, p)
				requireInner(t, p)
				require.Equal(t, u.kind, p.Tunnel())
				require.Equal(t, u.id, p.TunnelID())
				outer, ok := p.OuterKey()
				require.True(t, ok)
				if u.outer6 {
					require.Equal(t, outerA6, outer.Src().Addr())
				} else {
					require.Equal(t, outerA4, outer.Src().Addr())
				}
				require.Equal(t, u.guessed, outer.Src().Port() != 0)
				require.Zero(t, testing.AllocsPerRun(10, func() { d.Decode(f, p) }))

				d = newDecoder(t, &packet.DecoderConfig{KeyTunnel: true, KeyVLAN: true})
				d.Decode(f, p)
				if u.keyed {
					require.Equal(t, u.id, p.Key.Tunnel())
				} else {
					require.Zero(t, p.Key.Tunnel())
				}

				d = newDecoder(t, &packet.DecoderConfig{Tunnels: packet.NoTunnels})
				d.Decode(f, p)
				require.Equal(t, packet.OK, p.Status)
				require.False(t, p.IsTCP())
				require.Zero(t, p.Missing)
				require.Equal(t, packet.LayerNone, p.Tunnel())
			})
		}
	})
}

func TestNestedPairs(t *testing.T) {
	d := newDecoder(t, nil)
	versions(t, func(t *testing.T, six bool) {
		for _, u := range tunnels(six) {
			for _, l := range links(u.outer6) {
				p := poisoned()
				f, _ := nested(six, l.name, u.name)
				d.Decode(f, p)
				requireInner(t, p)
				require.Equal(t, u.kind, p.Tunnel(), "%s in %s", u.name, l.name)
			}
			for _, v := range tunnels(u.outer6) {
				p := poisoned()
				f, _ := nested(six, "ethernet", v.name, u.name)
				d.Decode(f, p)
				requireInner(t, p)
				require.Equal(t, u.kind, p.Tunnel(), "%s in %s", u.name, v.name)
				require.Equal(t, u.id, p.TunnelID())
			}
		}
	})
}

// expected says what a frame cut to n bytes is to be decoded as, given the layers of the whole.
func expected(layers []packet.Layer, guessed []int, n int) packet.Status {
	at := 0 // the header in which the frame ends
	for i, l := range layers {
		if int(l.Offset) <= n {
			at = i
		}
	}
	kind, into := layers[at].Kind, n-int(layers[at].Offset)
	for _, g := range guessed { // index of the UDP header
		ip := g + 1
		for layers[ip].Kind != packet.LayerIPv4 && layers[ip].Kind != packet.LayerIPv6 {
			ip++
		}
		size := 20
		if layers[ip].Kind == packet.LayerIPv6 {
			size = 40
		}
		if n >= int(layers[g].Offset)+8 && n < int(layers[ip].Offset)+size {
			return packet.OK
		}
	}
	if into == 0 && at > 0 && layers[at-1].Kind == packet.LayerMPLS {
		return packet.TruncatedLink // the first bits of what follows belong to it
	}
	switch {
	case kind == packet.LayerTCP:
		if into >= 20 {
			return packet.OK
		}
		return packet.TruncatedTransport
	case kind == packet.LayerUDP:
		return packet.TruncatedTransport
	case kind == packet.LayerIPv4 || kind == packet.LayerIPv6:
		return packet.TruncatedIP
	case kind >= packet.LayerGRE:
		return packet.TruncatedTunnel
	}
	return packet.TruncatedLink
}

func TestTruncated(t *testing.T) {
	check := func(t *testing.T, whole *packet.Frame, loose bool) {
		t.Helper()
		d := newDecoder(t, nil)
		var p packet.Packet
		d.Decode(whole, &p)
		requireInner(t, &p)
		layers := append([]packet.Layer(nil), p.Layers()...)
		var guessed []int
		for i, l := range layers {
			if l.Kind == packet.LayerUDP {
				guessed = append(guessed, i)
			}
		}
		for n := range whole.Data {
			f := *whole
			f.Data = append([]byte(nil), whole.Data[:n]...) // so that a byte too far is a panic
			d.Decode(&f, &p)
			if loose && p.Status != packet.OK {
				require.NotEqual(t, packet.Fragment, p.Status)
				continue
			}
			if loose {
				continue
			}
			require.Equal(t, expected(layers, guessed, n), p.Status, "%d bytes of %v: %v", n, layers, p.Err())
			if p.Status.Undecodable() {
				var e *packet.DecodeError
				require.ErrorAs(t, p.Err(), &e)
				require.LessOrEqual(t, e.Offset, n)
				require.EqualValues(t, 7, e.Frame)
			}
			if p.IsTCP() {
				tcpAt := int(layers[len(layers)-1].Offset)
				require.Equal(t, 7, len(p.Payload)+int(p.Missing))
				require.Len(t, p.TCP.Options, min(n-tcpAt-20, 4))
			} else if p.Status == packet.OK {
				require.EqualValues(t, packet.ProtoUDP, p.Proto)
				require.NotZero(t, p.Missing)
			}
		}
	}
	versions(t, func(t *testing.T, six bool) {
		for _, l := range links(six) {
			t.Run(l.name, func(t *testing.T) {
				f, _ := nested(six, l.name)
				check(t, f, l.loose)
			})
		}
		for _, u := range tunnels(six) {
			t.Run(u.name, func(t *testing.T) {
				f, _ := nested(six, "ethernet", u.name)
				check(t, f, u.loose)
			})
		}
	})
}

// allFrames returns a frame of every link and of every tunnel.
func allFrames() []*packet.Frame {
	var frames []*packet.Frame
	for _, six := range []bool{false, true} {
		for _, l := range links(six) {
			f, _ := nested(six, l.name)
			frames = append(frames, f)
		}
		for _, u := range tunnels(six) {
			f, _ := nested(six, "ethernet", u.name)
			frames = append(frames, f)
		}
	}
	return frames
}

// Every frame cut short on the wire too, and every byte of it changed: no panic, and never a payload beyond the frame.
func TestDamaged(t *testing.T) {
	d := newDecoder(t, nil)
	g, err := packet.NewDefragmenter(nil)
	require.NoError(t, err)
	var p packet.Packet
	for _, f := range allFrames() {
		for i := range f.Data {
			short := packet.Frame{Data: f.Data[:i:i], Length: i, Link: f.Link}
			d.Decode(&short, &p)
			bad := packet.Frame{Data: append([]byte(nil), f.Data...), Link: f.Link}
			for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff} {
				bad.Data[i] = v
				d.Decode(&bad, &p)
				require.LessOrEqual(t, len(p.Payload), len(bad.Data))
				g.Add(&bad, &p)
			}
		}
	}
}
