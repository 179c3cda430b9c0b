package tcpfollow_test

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

func TestOverlapForReceiver(t *testing.T) {
	const word = "last"
	server2 := netip.MustParseAddrPort("198.51.100.3:80")
	asked := map[netip.Addr]bool{}
	cfg := tcpfollow.Config{OverlapFor: func(receiver netip.Addr) reassemble.Overlap {
		asked[receiver] = true
		if receiver == server2.Addr() {
			return reassemble.OverlapLast
		}
		return reassemble.OverlapFirst
	}}
	var frames []packet.Frame
	for _, to := range []netip.AddrPort{{}, server2} {
		c := (&pktgen.Conversation{ServerAddr: to}).Open()
		for _, dir := range []packet.Direction{client, server} {
			c.Segment(dir, packet.ACK, 1, []byte("irst")).Segment(dir, packet.ACK, 1, []byte(word)).Segment(dir, packet.ACK, 0, []byte("f"))
		}
		frames = append(frames, c.Frames()...)
	}
	streams := streamsOf(t, cfg, frames)
	require.Equal(t, "first", string(streams[0].payload[client]))
	require.Equal(t, "f"+word, string(streams[1].payload[client]))
	require.Equal(t, "first", string(streams[1].payload[server]), "the client receives that")
	require.Len(t, asked, 3)
}

func TestConflictKeepsDelivered(t *testing.T) {
	var got []tcpfollow.Conflict
	r := record(t, tcpfollow.Config{OnConflict: func(_ *tcpfollow.TCPStream, x tcpfollow.Conflict) {
		x.Old, x.New = slices.Clone(x.Old), slices.Clone(x.New)
		got = append(got, x)
	}})
	c := (&pktgen.Conversation{}).Open().Client([]byte("abcd good"))
	c.Segment(client, packet.ACK, 5, []byte("EVIL!!"))
	frames := c.Frames()
	r.feed(frames...)
	r.close()
	require.Equal(t, "abcd good!!", string(r.streams[0].payload[client]))
	require.Len(t, got, 1)
	last := frames[len(frames)-1]
	require.Equal(t, tcpfollow.Conflict{
		Direction: client, Offset: 5, Old: []byte("good"), New: []byte("EVIL"),
		Origin: reassemble.Origin{Time: last.Time, Packet: last.Number, Seq: 6, Ack: 1},
	}, got[0])
	require.Equal(t, uint64(4), r.follower.Stats().Conflicts)
	require.Equal(t, 1, r.streams[0].info.Halves[client].Conflicts)
}

func TestUnverified(t *testing.T) {
	c := (&pktgen.Conversation{}).Open().Client([]byte("abcd"))
	c.Segment(client, packet.ACK, 0, []byte("abXd"))
	for name, cfg := range map[string]tcpfollow.Config{
		"incremental":             {Incremental: true},
		"beyond what accumulates": {Limits: tcpfollow.Limits{Payload: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, cfg)
			r.feed(c.Frames()...)
			r.close()
			want := uint64(4 - cfg.Limits.Payload)
			require.Equal(t, want, r.follower.Stats().Unverified)
			require.Zero(t, r.follower.Stats().Conflicts)
		})
	}
}

func TestFragments(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, order := range map[string][]int{
			"in order": nil, "reversed": {4, 3, 2, 1, 0}, "any": {2, 0, 4, 1, 3}, "one twice": {0, 1, 1, 2, 3, 4},
		} {
			t.Run(name+"/"+strconv.FormatBool(v6), func(t *testing.T) {
				c := &pktgen.Conversation{}
				if v6 {
					c.ClientAddr, c.ServerAddr = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8::2]:80")
				}
				c.Open().Client(text(1000))
				frames := c.Trace().Fragment(3, 216, order...).Frames()
				r := record(t, tcpfollow.Config{})
				verdicts := r.feed(frames...)
				r.close()
				require.Equal(t, text(1000), r.streams[0].payload[client])
				n := slices.Index(verdicts, tcpfollow.Data)
				require.Equal(t, tcpfollow.Fragment, verdicts[n-1])
				require.Contains(t, strings.Join(r.log, "\n"), " from "+strconv.Itoa(n+1), "the frame that completed it")
				require.Equal(t, uint64(1), r.follower.DefragmenterStats().Datagrams)
			})
		}
	}
	t.Run("one missing", func(t *testing.T) {
		r := record(t, tcpfollow.Config{})
		c := (&pktgen.Conversation{}).Open().Client(text(1000)).Client(text(10))
		r.feed(c.Trace().Fragment(3, 216, 0, 1, 3, 4).Frames()...)
		r.close()
		require.Equal(t, uint64(1000), r.streams[0].info.Halves[client].Missing)
	})
}

func TestChecksums(t *testing.T) {
	good := talk().Trace()
	wrong := good.Edit(3, func(l []pktgen.Layer) []pktgen.Layer {
		h := l[2].(pktgen.TCP)
		h.Checksum = pktgen.Fixed(0x1234)
		l[2] = h
		return l
	})
	for mode, want := range map[packet.ChecksumMode]tcpfollow.Verdict{
		packet.ChecksumStrict: tcpfollow.BadChecksum, packet.ChecksumOff: tcpfollow.Data,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			r := record(t, tcpfollow.Config{Decode: packet.DecoderConfig{Checksum: mode}})
			require.Equal(t, want, r.feed(wrong.Frames()...)[3])
			r.close()
			other := record(t, tcpfollow.Config{Decode: packet.DecoderConfig{Checksum: mode}})
			require.NotContains(t, other.feed(good.Frames()...), tcpfollow.BadChecksum)
			other.close()
		})
	}
}

func TestKeys(t *testing.T) {
	plain := talk().Close(client).Trace()
	vlan := func(id uint16) pktgen.Trace { return plain.Relink(pktgen.Ethernet{}, pktgen.VLAN{ID: id}) }
	vxlan := func(vni uint32) pktgen.Trace {
		ip := pktgen.IP(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
		return plain.Wrap(pktgen.Ethernet{}, ip, pktgen.UDP{Src: 4789, Dst: 4789}, pktgen.VXLAN{VNI: vni})
	}
	var oneWay pktgen.Trace // tagged in one direction only
	for i, p := range plain {
		if p.Dir == client {
			p = vlan(7)[i]
		}
		oneWay = append(oneWay, p)
	}
	for name, test := range map[string]struct {
		trace   pktgen.Trace
		cfg     packet.DecoderConfig
		streams int
	}{
		"two VLANs":               {pktgen.Merge(vlan(1), vlan(2)), packet.DecoderConfig{}, 1},
		"two VLANs that count":    {pktgen.Merge(vlan(1), vlan(2)), packet.DecoderConfig{KeyVLAN: true}, 2},
		"tagged one way":          {oneWay, packet.DecoderConfig{}, 1},
		"two tunnels":             {pktgen.Merge(vxlan(1), vxlan(2)), packet.DecoderConfig{}, 1},
		"two tunnels that count":  {pktgen.Merge(vxlan(1), vxlan(2)), packet.DecoderConfig{KeyTunnel: true}, 2},
		"tunnels are not entered": {vxlan(1), packet.DecoderConfig{Tunnels: packet.NoTunnels}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			streams := streamsOf(t, tcpfollow.Config{Decode: test.cfg}, test.trace.Frames())
			require.Len(t, streams, test.streams)
			for _, st := range streams {
				require.Equal(t, "GET / HTTP/1.1\r\n\r\n", string(st.payload[client]))
				require.Equal(t, "HTTP/1.1 200 OK\r\n\r\nhello", string(st.payload[server]))
				require.Equal(t, tcpfollow.EndFIN, st.end)
			}
		})
	}
}

func TestMidstreamIgnore(t *testing.T) {
	frames := capture(t, "midstream.pcap")
	require.Len(t, streamsOf(t, tcpfollow.Config{}, frames), 1)
	require.Empty(t, streamsOf(t, tcpfollow.Config{Midstream: tcpfollow.MidstreamIgnore}, frames))
}

func TestAnyReset(t *testing.T) {
	c := talk()
	c.Append(client, pktgen.TCP{Src: 49152, Dst: 80, Seq: 1_000_000, Flags: packet.RST}, nil)
	r := record(t, tcpfollow.Config{})
	require.Equal(t, tcpfollow.BadReset, r.feed(c.Frames()...)[len(c.Frames())-1])
	r.close()
	require.Equal(t, tcpfollow.EndEOF, r.streams[0].end)
	streams := streamsOf(t, tcpfollow.Config{AnyReset: true}, c.Frames())
	require.Equal(t, tcpfollow.EndReset, streams[0].end)
}

// engine is a way to see what a follower asks of an engine.
type engine struct {
	*reassemble.Native
	open int
}

func (e *engine) Open(h *reassemble.Half, id uint64) { e.open++; e.Native.Open(h, id) }

func TestOwnEngine(t *testing.T) {
	e := &engine{Native: reassemble.NewNative(nil)}
	c := talk().Trace()
	streams := streamsOf(t, tcpfollow.Config{Engine: e}, c.Move(3, 5).Frames())
	require.Equal(t, "GET / HTTP/1.1\r\n\r\n", string(streams[0].payload[client]))
	require.NotZero(t, e.open)
}

func TestDecodeErrorIsWrapped(t *testing.T) {
	var got error
	r := record(t, tcpfollow.Config{OnError: func(err error) { got = err }})
	fr := talk().Frames()[0]
	fr.Data = fr.Data[:30]
	r.feed(fr)
	r.close()
	require.ErrorAs(t, got, new(*packet.DecodeError))
	require.Contains(t, got.Error(), "frame 1: ")
}
