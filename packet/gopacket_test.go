package packet_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// peer is what gopacket finds in a frame: its innermost TCP segment and the IP header just before it.
type peer struct {
	src, dst string
	seq, ack uint32
	flags    packet.TCPFlags
	window   uint16
	payload  string
}

func gopacketTCP(f *packet.Frame) (found *peer, err error) {
	defer func() {
		if r := recover(); r != nil { // it panics on hostile frames
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	var ip gopacket.Flow
	p := gopacket.NewPacket(f.Data, layers.LinkType(f.Link), gopacket.DecodeOptions{Lazy: false, NoCopy: true})
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			ip = l.NetworkFlow()
		case *layers.IPv6:
			ip = l.NetworkFlow()
		case *layers.TCP:
			found = &peer{
				fmt.Sprintf("%v:%d", ip.Src(), l.SrcPort), fmt.Sprintf("%v:%d", ip.Dst(), l.DstPort), l.Seq, l.Ack,
				packet.TCPFlags(binary.BigEndian.Uint16(l.Contents[12:]) & 0x1ff), l.Window, string(l.Payload),
			}
		}
	}
	if e := p.ErrorLayer(); e != nil {
		err = e.Error()
	}
	return found, err
}

func ours(p *packet.Packet) *peer {
	src, dst := p.Key.Src(), p.Key.Dst()
	return &peer{
		fmt.Sprintf("%v:%d", src.Addr(), src.Port()), fmt.Sprintf("%v:%d", dst.Addr(), dst.Port()), p.TCP.Seq, p.TCP.Ack,
		p.TCP.Flags, p.TCP.Window, string(p.TCP.Payload),
	}
}

// TestCapturesAgainstGopacket decodes every frame of the real captures by both. Wherever gopacket finds a whole TCP
// segment, it must be found here, and the same one.
func TestCapturesAgainstGopacket(t *testing.T) {
	segments := 0
	var differ []string
	for _, path := range captures(t) {
		r, err := pcapfile.Open(path, nil)
		require.NoError(t, err)
		d := newDecoder(t, nil)
		var b packet.Batch
		var p packet.Packet
		for {
			err := r.ReadBatch(&b)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			for i := range b.Frames {
				f := &b.Frames[i]
				want, err := gopacketTCP(f)
				if want == nil || err != nil {
					continue
				}
				d.Decode(f, &p)
				if !p.IsTCP() && p.Status != packet.OK && explained[filepath.Base(path)][f.Number] == p.Status {
					continue
				}
				require.True(t, p.IsTCP(), "%s frame %d: %v %v", filepath.Base(path), f.Number, p.Status, p.Layers())
				got := ours(&p)
				if p.Tunnel() != packet.LayerNone && got.src != want.src {
					continue // a tunnel that gopacket does not enter
				}
				if want.payload != got.payload {
					differ = append(differ, fmt.Sprintf("%s %d: %d, not %d", filepath.Base(path), f.Number, len(want.payload), len(got.payload)))
					want.payload = got.payload
				}
				require.Equal(t, want, got, "%s frame %d", filepath.Base(path), f.Number)
				segments++
			}
		}
		require.NoError(t, r.Close())
	}
	require.Greater(t, segments, 15_000)
	// A datagram beyond 64 KiB: its UDP length is 0, which gopacket takes for the lower 16 bits.
	require.Equal(t, []string{"bigtcp-ipv4-vxlan-ipv4.pcap 1: 14464, not 80000"}, differ)
}

// TestBuiltAgainstGopacket does the same with the frames of these tests, so that a builder that is wrong in the same way
// as the decoder is found out. Not all of them are known to gopacket.
func TestBuiltAgainstGopacket(t *testing.T) {
	d := newDecoder(t, nil)
	var p packet.Packet
	same := map[string]bool{}
	try := func(name string, f *packet.Frame) {
		want, err := gopacketTCP(f)
		if want == nil || err != nil {
			return
		}
		d.Decode(f, &p)
		got := ours(&p)
		if f.Link == packet.LinkWiFi || f.Link == packet.LinkPrism || p.Tunnel() == packet.LayerCAPWAP {
			want.payload = got.payload // gopacket takes the last four bytes for a check sequence that is not there
		}
		require.Equal(t, want, got, name)
		same[name] = true
	}
	for _, six := range []bool{false, true} {
		for _, l := range links(six) {
			f, _ := nested(six, l.name)
			try(l.name, f)
		}
		for _, u := range tunnels(six) {
			f, _ := nested(six, "ethernet", u.name)
			try(u.name, f)
		}
	}
	for _, name := range []string{
		"ethernet", "vlan", "qinq 88a8", "qinq pppoe", "mpls stack", "raw", "null", "sll", "ppp", "wifi", "wifi qos", "radiotap", "prism",
		"in 4", "in 6", "gre", "gre all fields", "nvgre", "pptp", "vxlan", "geneve", "gtp", "gtp sequence", "gtp extensions", "erspan 2",
	} {
		require.True(t, same[name], "%s: gopacket no longer confirms this frame; it confirms %v", name, same)
	}
}
