package live_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tcpfollow/tcpfollow/internal/nettest"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
	"github.com/tcpfollow/tcpfollow/packet/live"
)

// opened returns a source that is closed with the test.
func opened(t testing.TB, cfg live.Config) *live.Source {
	t.Helper()
	s, err := live.Open(&cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// rest stops a source and returns all frames that it still has.
func rest(t testing.TB, s *live.Source) []packet.Frame {
	t.Helper()
	s.Stop()
	var all []packet.Frame
	var b packet.Batch
	for {
		err := s.ReadBatch(&b)
		if errors.Is(err, io.EOF) {
			require.Empty(t, b.Frames)
			return all
		}
		require.NoError(t, err)
		require.LessOrEqual(t, len(b.Frames), packet.BatchSize)
		for _, f := range b.Frames {
			f.Data = bytes.Clone(f.Data)
			all = append(all, f)
		}
	}
}

// datas returns the bytes of frames.
func datas(frames []packet.Frame) [][]byte {
	all := make([][]byte, len(frames))
	for i := range frames {
		all[i] = frames[i].Data
	}
	return all
}

// conversation is a few frames of TCP, and one of UDP among them.
func conversation() []packet.Frame {
	c := (&pktgen.Conversation{}).Open().Client([]byte("hello")).Server(bytes.Repeat([]byte("world"), 500))
	frames := c.Close(packet.ClientToServer).Frames()
	return append(frames[:2:2], append([]packet.Frame{datagram()}, frames[2:]...)...)
}

// datagram is one of UDP, in layers behind the Ethernet header.
func datagram(layers ...pktgen.Layer) packet.Frame {
	all := append([]pktgen.Layer{pktgen.Ethernet{}}, layers...)
	return pktgen.Frame(pktgen.Start, append(all, pktgen.IP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")),
		pktgen.UDP{Src: 5353, Dst: 53}, pktgen.Payload("query"))...)
}

func TestCapture(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	for _, promiscuous := range []bool{true, false} {
		s := opened(t, live.Config{Interfaces: []string{"a0"}, NoPromiscuous: !promiscuous})
		sent := conversation()
		before := time.Now()
		nettest.NewSender(t, "a1").Send(t, sent...)
		got := rest(t, s)
		require.Equal(t, datas(sent), datas(got))
		for i, f := range got {
			require.EqualValues(t, i+1, f.Number)
			require.Equal(t, packet.LinkEthernet, f.Link)
			require.Equal(t, len(f.Data), f.Length)
			require.Zero(t, f.Interface)
			require.False(t, f.Timestamp().Before(before))
			require.False(t, f.Timestamp().After(time.Now()))
		}
		require.Equal(t, live.Stats{Frames: uint64(len(sent)), Received: uint64(len(sent))}, s.Stats())
		require.NoError(t, s.Close())
		require.Equal(t, uint64(len(sent)), s.Stats().Received, "known after Close")
	}
}

// TestNanoseconds: times are finer than microseconds.
func TestNanoseconds(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	s := opened(t, live.Config{Interfaces: []string{"a0"}})
	for range 100 {
		nettest.NewSender(t, "a1").Send(t, datagram())
	}
	fine := 0
	for _, f := range rest(t, s) {
		if f.Time%1000 != 0 {
			fine++
		}
	}
	require.Greater(t, fine, 50)
}

// TestFilter: a filter takes of an interface what it takes of a file, and the kernel carries it out.
func TestFilter(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	sent := append(conversation(), datagram(pktgen.VLAN{ID: 5}), datagram(pktgen.VLAN{ID: 6, Priority: 3}, pktgen.VLAN{ID: 5}))
	const tagged = 2
	for _, expr := range []string{
		"", "tcp", "udp", "udp port 53", "not tcp", "src host 192.0.2.1", "vlan", "vlan 5", "vlan 6 and vlan 5", "vlan and udp",
		"not vlan", "greater 100", "tcp[tcpflags] & tcp-syn != 0", "ether[12:2] = 0x8100", "ip6", "tcp and udp",
	} {
		t.Run(expr, func(t *testing.T) {
			var want [][]byte
			program, err := bpf.Compile(packet.LinkEthernet, expr)
			if !errors.Is(err, bpf.ErrRejectsAll) {
				require.NoError(t, err)
			}
			for _, f := range sent {
				if err == nil && program.Run(f.Data, f.Length) != 0 {
					want = append(want, f.Data)
				}
			}
			s := opened(t, live.Config{Interfaces: []string{"a0"}, Filter: expr})
			nettest.NewSender(t, "a1").Send(t, sent...)
			got := rest(t, s)
			require.Len(t, got, len(want))
			require.ElementsMatch(t, want, datas(got))
			st := s.Stats()
			require.Equal(t, st.Received, st.Frames+st.Filtered)
			require.LessOrEqual(t, st.Filtered, uint64(tagged), "the others do not leave the kernel")
		})
	}
}

// TestLongFilter: what the kernel does not take is carried out here.
func TestLongFilter(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	var expr strings.Builder
	expr.WriteString("udp port 53")
	for i := range 1300 {
		fmt.Fprintf(&expr, " or ether[%d:4] = %d", 60+i%7, 1_000_000+i)
	}
	program, err := bpf.Compile(packet.LinkEthernet, expr.String())
	require.NoError(t, err)
	require.Greater(t, len(program), 1000)
	s := opened(t, live.Config{Interfaces: []string{"a0"}, Filter: expr.String()})
	sent := conversation()
	nettest.NewSender(t, "a1").Send(t, sent...)
	require.Equal(t, datas(sent[2:3]), datas(rest(t, s)))
}

// TestVLAN: tags that the kernel took out are where they were, whatever they hold, and one within another.
func TestVLAN(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	sent := []packet.Frame{
		datagram(),
		datagram(pktgen.VLAN{ID: 1}),
		datagram(pktgen.VLAN{ID: 4095, Priority: 7}),
		datagram(pktgen.VLAN{ID: 0}),
		datagram(pktgen.VLAN{ID: 100}, pktgen.VLAN{ID: 200}),
		datagram(pktgen.VLAN{ID: 100, TPID: 0x88a8}, pktgen.VLAN{ID: 200}, pktgen.VLAN{ID: 300}),
	}
	for _, name := range []string{"a0", live.Any} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, live.Config{Interfaces: []string{name}})
			nettest.NewSender(t, "a1").Send(t, sent...)
			got := rest(t, s)
			if name == live.Any { // which also sees them being sent, with their tags in place
				got = slices.DeleteFunc(got, func(f packet.Frame) bool { return f.Data[10] == unix.PACKET_OUTGOING })
			}
			require.Len(t, got, len(sent))
			for i, f := range got {
				require.Equal(t, len(f.Data), f.Length)
				if name != live.Any {
					require.Equal(t, sent[i].Data, f.Data)
					continue
				}
				require.Equal(t, packet.LinkSLL2, f.Link)
				require.Equal(t, sent[i].Data[12:14], f.Data[:2], "protocol, or that of the tag")
				require.Equal(t, sent[i].Data[6:12], f.Data[12:18], "source address")
				require.Equal(t, sent[i].Data[14:], f.Data[20:])
			}
		})
	}
}

// TestAny: the headers made for frames of all interfaces are those that the decoder and filters know.
func TestAny(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	decoder, err := packet.NewDecoder(nil)
	require.NoError(t, err)
	a0, err := net.InterfaceByName("a0")
	require.NoError(t, err)
	s := opened(t, live.Config{Interfaces: []string{live.Any}, Filter: "udp port 53 and inbound"})
	nettest.NewSender(t, "a1").Send(t, append(conversation(), datagram(pktgen.VLAN{ID: 7}))...)
	got := rest(t, s)
	require.Len(t, got, 1)
	require.EqualValues(t, a0.Index, binary.BigEndian.Uint32(got[0].Data[4:]))
	var p packet.Packet
	decoder.Decode(&got[0], &p)
	require.Equal(t, packet.OK, p.Status)
	require.Equal(t, "query", string(p.Payload))
	require.Positive(t, s.Stats().Filtered)
}

func TestSeveral(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	nettest.Pair(t, "b0", "b1")
	s := opened(t, live.Config{Interfaces: []string{"a0", "b0"}, Ring: 1})
	a, b := nettest.NewSender(t, "a1"), nettest.NewSender(t, "b1")
	var want []packet.Frame
	for i := range 300 {
		f := datagram(pktgen.VLAN{ID: uint16(i)})
		want = append(want, f)
		if i%3 == 0 {
			a.Send(t, f)
		} else {
			b.Send(t, f)
		}
	}
	got := rest(t, s)
	require.ElementsMatch(t, datas(want), datas(got))
	var of [2][][]byte
	for i, f := range got {
		require.EqualValues(t, i+1, f.Number)
		of[f.Interface] = append(of[f.Interface], f.Data)
	}
	for i, f := range want {
		own := &of[min(i%3, 1)]
		require.Equal(t, f.Data, (*own)[0], "those of an interface are in order")
		*own = (*own)[1:]
	}
	require.EqualValues(t, 300, s.Stats().Received)
}

func TestSnapLen(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	for _, filter := range []string{"", "udp"} {
		s := opened(t, live.Config{Interfaces: []string{"a0"}, SnapLen: 40, Filter: filter})
		f := datagram()
		nettest.NewSender(t, "a1").Send(t, f)
		got := rest(t, s)
		require.Len(t, got, 1)
		require.Equal(t, f.Data[:40], got[0].Data)
		require.Equal(t, len(f.Data), got[0].Length)
	}
}

// TestLoopback: a frame that a host sends to itself is there once.
func TestLoopback(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.IP(t, "link", "set", "lo", "up")
	for _, name := range []string{"lo", live.Any} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, live.Config{Interfaces: []string{name}, Filter: "udp port 9999"})
			c, err := net.Dial("udp", "127.0.0.1:9999")
			require.NoError(t, err)
			for range 3 {
				_, _ = c.Write([]byte("hello")) // which is refused from the second on
			}
			require.NoError(t, c.Close())
			got := rest(t, s)
			require.NotEmpty(t, got)
			require.LessOrEqual(t, len(got), 3)
			if name == live.Any {
				require.Positive(t, s.Stats().Looped)
			}
		})
	}
}

// TestRing: the ring is used over and over, and what it has no room for is counted.
func TestRing(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	big := pktgen.Frame(pktgen.Start, pktgen.Ethernet{}, pktgen.IP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")),
		pktgen.UDP{Src: 1, Dst: 2}, pktgen.Payload(bytes.Repeat([]byte("x"), 1400)))
	s := opened(t, live.Config{Interfaces: []string{"a0"}, Ring: 1 << 20})
	send := nettest.NewSender(t, "a1")
	var b packet.Batch
	n := 0
	for n < 5000 { // seven times the ring
		for range 500 {
			send.Send(t, big)
		}
		for want := n + 500; n < want; {
			require.NoError(t, s.ReadBatch(&b))
			for i := range b.Frames {
				n++
				require.EqualValues(t, n, b.Frames[i].Number)
				require.Equal(t, big.Data, b.Frames[i].Data)
			}
		}
	}
	require.Equal(t, live.Stats{Frames: 5000, Received: 5000}, s.Stats())
	for range 3000 {
		send.Send(t, big)
	}
	rest(t, s)
	st := s.Stats()
	require.Positive(t, st.Dropped)
	require.Positive(t, st.Freezes)
	require.EqualValues(t, 8000, st.Received)
	require.Equal(t, st.Received, st.Frames+st.Dropped)
}

func TestReadBatchDoesNotAllocate(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	s := opened(t, live.Config{Interfaces: []string{"a0"}, Filter: "udp"})
	send := nettest.NewSender(t, "a1")
	frames := []packet.Frame{datagram(), datagram(pktgen.VLAN{ID: 9}), conversation()[0]}
	var b packet.Batch
	require.Zero(t, testing.AllocsPerRun(10, func() {
		send.Send(t, frames...)
		for n := 0; n < 1; {
			if err := s.ReadBatch(&b); err != nil {
				t.Fatal(err)
			}
			n += len(b.Frames)
		}
	}))
}

// TestTick: without frames a read returns with the time; it passes, and lies behind that of all frames to come.
func TestTick(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	s := opened(t, live.Config{Interfaces: []string{"a0"}, Tick: time.Millisecond})
	var b packet.Batch
	last := int64(0)
	for range 3 {
		require.NoError(t, s.ReadBatch(&b))
		require.Empty(t, b.Frames)
		require.Greater(t, b.Clock, last)
		last = b.Clock
	}
	nettest.NewSender(t, "a1").Send(t, datagram())
	for len(b.Frames) == 0 {
		require.Less(t, b.Clock, time.Now().UnixNano())
		last = b.Clock
		require.NoError(t, s.ReadBatch(&b))
	}
	require.Greater(t, b.Frames[0].Time, last)
	require.Zero(t, b.Clock)
}

// TestTickWhileFiltering: frames that are all left out do not keep the time from passing.
func TestTickWhileFiltering(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	s := opened(t, live.Config{Interfaces: []string{live.Any}, Filter: "tcp", Tick: time.Nanosecond})
	send := nettest.NewSender(t, "a1")
	var b packet.Batch
	for s.Stats().Filtered == 0 {
		send.Send(t, datagram())
		require.NoError(t, s.ReadBatch(&b))
		require.Empty(t, b.Frames)
		require.NotZero(t, b.Clock)
	}
}

// TestEnds: a read that waits returns when the source is stopped or closed, by others.
func TestEnds(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	for _, tt := range []struct {
		name string
		end  func(*live.Source)
		want error
	}{
		{"stop", (*live.Source).Stop, io.EOF},
		{"close", func(s *live.Source) { _ = s.Close() }, os.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := opened(t, live.Config{Interfaces: []string{"a0"}, Tick: time.Hour})
			reading := make(chan struct{})
			done := make(chan error)
			go func() {
				var b packet.Batch
				close(reading)
				done <- s.ReadBatch(&b)
			}()
			<-reading
			var several sync.WaitGroup
			for range 3 {
				several.Go(func() { tt.end(s); s.Stats() })
			}
			require.ErrorIs(t, <-done, tt.want)
			several.Wait()
			var b packet.Batch
			require.ErrorIs(t, s.ReadBatch(&b), tt.want, "again")
			require.NoError(t, s.Close())
			require.NoError(t, s.Close())
			s.Stop()
			require.Error(t, s.ReadBatch(&b))
		})
	}
}

// TestDown: an interface that goes away ends the capture with a reason, behind all of its frames.
func TestDown(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	for _, tt := range []struct {
		name string
		args []string
		want error
		text string
	}{
		{"down", []string{"link", "set", "a0", "down"}, live.ErrDown, "a0: interface is down"},
		{"gone", []string{"link", "del", "a0"}, live.ErrGone, "a0: interface is gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nettest.Pair(t, "a0", "a1")
			s := opened(t, live.Config{Interfaces: []string{"a0"}, Tick: time.Hour})
			sent := conversation()
			nettest.NewSender(t, "a1").Send(t, sent...)
			nettest.IP(t, tt.args...)
			var b packet.Batch
			var got [][]byte
			var err error
			for err == nil {
				err = s.ReadBatch(&b)
				for _, f := range b.Frames {
					got = append(got, bytes.Clone(f.Data))
				}
			}
			require.ErrorIs(t, err, tt.want)
			require.EqualError(t, err, tt.text)
			require.Equal(t, datas(sent), got)
			require.Equal(t, err, s.ReadBatch(&b))
			_, err = live.Open(&live.Config{Interfaces: []string{"a0"}})
			if tt.name == "down" {
				require.ErrorIs(t, err, live.ErrDown)
				nettest.IP(t, "link", "del", "a0")
			} else {
				require.ErrorIs(t, err, live.ErrNoInterface)
			}
		})
	}
}

// TestFanout: the members of a group share the frames by connection.
func TestFanout(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	var sources [2]*live.Source
	for i := range sources {
		sources[i] = opened(t, live.Config{Interfaces: []string{"a0"}, Fanout: 77, Filter: "tcp"})
	}
	send := nettest.NewSender(t, "a1")
	sent := 0
	for i := range 40 {
		c := &pktgen.Conversation{ClientAddr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(40000+i))}
		frames := c.Open().Client([]byte("hello")).Close(packet.ClientToServer).Frames()
		send.Send(t, frames...)
		send.Send(t, datagram())
		sent += len(frames)
	}
	owner := map[packet.FlowKey]int{}
	decoder, err := packet.NewDecoder(nil)
	require.NoError(t, err)
	got := 0
	for i, s := range sources {
		own := rest(t, s)
		require.NotEmpty(t, own)
		got += len(own)
		for j := range own {
			var p packet.Packet
			decoder.Decode(&own[j], &p)
			var key packet.FlowKey
			p.Key.CanonicalTo(&key)
			was, seen := owner[key]
			require.True(t, !seen || was == i, "both directions come to one")
			owner[key] = i
		}
	}
	require.Equal(t, sent, got)
	require.Len(t, owner, 40)
}

// TestPermission: without the capability it is said what was refused.
func TestPermission(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	done := make(chan error)
	go func() { // on a thread that has no capabilities, and ends with its goroutine
		runtime.LockOSThread()
		var none [2]unix.CapUserData
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			done <- err
			return
		}
		_, err := live.Open(&live.Config{Interfaces: []string{"a0"}})
		done <- err
	}()
	err := <-done
	require.ErrorIs(t, err, fs.ErrPermission)
	require.EqualError(t, err, "a0: open packet socket: operation not permitted")
	var where *live.Error
	require.ErrorAs(t, err, &where)
	require.Equal(t, "a0", where.Interface)
}

func TestInterfaces(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	nettest.Pair(t, "a0", "a1")
	nettest.IP(t, "addr", "add", "192.0.2.7/24", "dev", "a0")
	nettest.IP(t, "link", "set", "a1", "down")
	all, err := live.Interfaces()
	require.NoError(t, err)
	found := map[string]live.Interface{}
	for i, x := range all {
		found[x.Name] = x
		require.True(t, i == 0 || x.Name == live.Any || all[i-1].Index < x.Index)
	}
	require.Equal(t, live.Any, all[len(all)-1].Name)
	lo, a0, a1 := found["lo"], found["a0"], found["a1"]
	require.True(t, lo.Loopback)
	require.False(t, lo.Up)
	require.Equal(t, packet.LinkEthernet, lo.Link)
	require.True(t, a0.Up)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}, a0.Addresses)
	require.False(t, a1.Up)
}

// TestRaw: an interface without link headers gives bare IP, and its filters know that.
func TestRaw(t *testing.T) {
	if !nettest.Isolated(t) {
		return
	}
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no tunnels here: %v", err)
	}
	defer tun.Close()
	request, err := unix.NewIfreq("t0")
	require.NoError(t, err)
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	require.NoError(t, unix.IoctlIfreq(int(tun.Fd()), unix.TUNSETIFF, request))
	nettest.IP(t, "link", "set", "t0", "up")
	query := datagram().Data[14:]
	other := pktgen.Build(pktgen.IP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")), pktgen.UDP{Src: 1, Dst: 2})
	for _, name := range []string{"t0", live.Any} {
		s := opened(t, live.Config{Interfaces: []string{name}, Filter: "udp port 53"})
		for _, b := range [][]byte{other, query} {
			_, err := tun.Write(b)
			require.NoError(t, err)
		}
		got := rest(t, s)
		require.Len(t, got, 1)
		if name == "t0" {
			require.Equal(t, packet.LinkRaw, got[0].Link)
			require.Equal(t, query, got[0].Data)
			require.EqualValues(t, 1, s.Stats().Received)
		} else {
			require.Equal(t, packet.LinkSLL2, got[0].Link)
			require.Equal(t, query, got[0].Data[20:])
		}
	}
}
