package tcpfollow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// pdu returns a frame as gopacket decodes it.
func pdu(fr packet.Frame) gopacket.Packet {
	var first gopacket.Decoder = layers.LayerTypeEthernet
	switch fr.Link {
	case packet.LinkSLL:
		first = layers.LayerTypeLinuxSLL
	case packet.LinkRaw:
		first = layers.LinkTypeRaw
	}
	p := gopacket.NewPacket(bytes.Clone(fr.Data), first, gopacket.Default)
	p.Metadata().CaptureInfo = gopacket.CaptureInfo{
		Timestamp: fr.Timestamp(), CaptureLength: len(fr.Data), Length: fr.Length,
	}
	return p
}

func pdus(frames []packet.Frame) []gopacket.Packet {
	var all []gopacket.Packet
	for _, fr := range frames {
		all = append(all, pdu(fr))
	}
	return all
}

func udp() packet.Frame {
	c, s := talk().Trace()[0], pktgen.UDP{Src: 1000, Dst: 53}
	return pktgen.Frame(c.Time, c.Layers[0], c.Layers[1], s, pktgen.Payload("question"))
}

func arp() packet.Frame {
	return pktgen.Frame(pktgen.Start, pktgen.Ethernet{Type: pktgen.Fixed(0x0806)}, pktgen.Payload(make([]byte, 28)))
}

func TestFeedWithoutTCP(t *testing.T) {
	for name, test := range map[string]struct {
		pdu    gopacket.Packet
		frames uint64
	}{
		"nil":               {nil, 0},
		"UDP":               {pdu(udp()), 1},
		"ARP":               {pdu(arp()), 1},
		"no layers":         {gopacket.NewPacket(nil, layers.LayerTypeEthernet, gopacket.Lazy), 1},
		"another beginning": {gopacket.NewPacket([]byte("question"), gopacket.LayerTypePayload, gopacket.Default), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, tcpfollow.Config{})
			frames := talk().Frames()
			r.feed(frames[:5]...)
			before, log := r.follower.Stats(), slices.Clone(r.log)
			require.Equal(t, tcpfollow.NotTCP, r.follower.Feed(test.pdu))
			after := r.follower.Stats()
			before.Frames += test.frames
			before.Verdicts[tcpfollow.NotTCP] += test.frames
			require.Equal(t, before, after)
			require.Equal(t, log, r.log)
			if test.pdu != nil {
				_, ok := r.follower.LastStream()
				require.False(t, ok)
			}
			r.feed(frames[5:]...)
			r.close()
			require.Equal(t, "GET / HTTP/1.1\r\n\r\n", string(r.streams[0].payload[client]))
		})
	}
}

// byChannel makes a sequence of a channel, as live captures have one.
func byChannel(all []gopacket.Packet) iter.Seq[gopacket.Packet] {
	ch := make(chan gopacket.Packet, len(all))
	for _, p := range all {
		ch <- p
	}
	close(ch)
	return func(yield func(gopacket.Packet) bool) {
		for p := range ch {
			if !yield(p) {
				return
			}
		}
	}
}

func TestFeedAll(t *testing.T) {
	all := pdus(capture(t, "http.pcap"))
	withNil := slices.Insert(slices.Clone(all), 3, nil, nil)
	one := record(t, tcpfollow.Config{})
	for _, p := range all {
		one.follower.Feed(p)
	}
	one.close()
	require.Len(t, one.streams, 1)
	for name, seq := range map[string]iter.Seq[gopacket.Packet]{
		"slice":    slices.Values(all),
		"with nil": slices.Values(withNil),
		"channel":  byChannel(all),
		"generator": func(yield func(gopacket.Packet) bool) {
			for _, fr := range capture(t, "http.pcap") {
				if !yield(pdu(fr)) {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, tcpfollow.Config{})
			r.follower.FeedAll(seq)
			r.close()
			require.Equal(t, one.log, r.log)
		})
	}
	t.Run("empty", func(t *testing.T) {
		r := record(t, tcpfollow.Config{})
		r.follower.FeedAll(slices.Values([]gopacket.Packet(nil)))
		r.close()
		require.Empty(t, r.log)
	})
}

// source is frames as a Source.
type source struct {
	frames []packet.Frame
	err    error
	buffer []byte // reused, so that what was kept of an earlier batch shows
}

func (s *source) ReadBatch(b *packet.Batch) error {
	b.Frames = b.Frames[:0]
	if len(s.frames) == 0 {
		if s.err != nil {
			return s.err
		}
		return io.EOF
	}
	s.buffer = s.buffer[:0]
	for _, fr := range s.frames[:min(len(s.frames), packet.BatchSize)] {
		s.buffer = append(s.buffer, fr.Data...)
	}
	rest := s.buffer
	for _, fr := range s.frames[:min(len(s.frames), packet.BatchSize)] {
		n := len(fr.Data)
		fr.Data, rest = rest[:n:n], rest[n:]
		b.Frames = append(b.Frames, fr)
	}
	s.frames = s.frames[len(b.Frames):]
	return nil
}

func TestWaysToFeed(t *testing.T) {
	for _, name := range captures {
		t.Run(name, func(t *testing.T) {
			frames := capture(t, name)
			want := record(t, tcpfollow.Config{})
			verdicts := want.feed(frames...)
			want.close()
			require.NotEmpty(t, want.log)
			check := func(t *testing.T, r *recorder) {
				t.Helper()
				r.close()
				require.Equal(t, want.log, r.log)
				require.Equal(t, want.follower.Stats(), r.follower.Stats())
			}
			t.Run("packets", func(t *testing.T) {
				r := record(t, tcpfollow.Config{})
				for i, fr := range frames {
					p := pdu(fr)
					before := bytes.Clone(p.Data())
					require.Equal(t, verdicts[i], r.follower.Feed(p), "frame %d", i+1)
					require.Equal(t, before, p.Data())
				}
				check(t, r)
			})
			t.Run("unnumbered", func(t *testing.T) {
				r := record(t, tcpfollow.Config{})
				for _, fr := range frames {
					fr.Number = 0
					r.feed(fr)
				}
				check(t, r)
			})
			t.Run("batches", func(t *testing.T) {
				for n := 1; n <= packet.BatchSize; n++ {
					for _, numbered := range []bool{true, false} {
						r := record(t, tcpfollow.Config{})
						var got []tcpfollow.Verdict
						for part := range slices.Chunk(frames, n) {
							part = slices.Clone(part)
							if !numbered {
								for i := range part {
									part[i].Number = 0
								}
							}
							v := make([]tcpfollow.Verdict, len(part))
							r.follower.FeedBatch(&packet.Batch{Frames: part}, v)
							got = append(got, v...)
						}
						require.Equal(t, verdicts, got, "batches of %d, numbered %v", n, numbered)
						check(t, r)
					}
				}
			})
			t.Run("source", func(t *testing.T) {
				r := record(t, tcpfollow.Config{})
				require.NoError(t, r.follower.Follow(context.Background(), &source{frames: frames}))
				check(t, r)
			})
			t.Run("segments", func(t *testing.T) {
				if name == "ipv6.pcap" {
					t.Skip("has fragments")
				}
				decoder, err := packet.NewDecoder(nil)
				require.NoError(t, err)
				r := record(t, tcpfollow.Config{})
				var p packet.Packet
				for i, fr := range frames {
					if decoder.Decode(&fr, &p); p.IsTCP() {
						require.Equal(t, verdicts[i], r.follower.FeedSegment(p.Key, p.TCP), "frame %d", i+1)
						id, ok := r.follower.LastStream()
						require.Equal(t, p.Number, r.follower.Frame())
						require.True(t, !ok || id < uint64(len(want.streams)))
					}
				}
				r.close()
				require.Equal(t, want.log, r.log)
			})
		})
	}
}

func TestFollowErrors(t *testing.T) {
	broken := errors.New("broken")
	r := record(t, tcpfollow.Config{})
	require.ErrorIs(t, r.follower.Follow(context.Background(), &source{frames: talk().Frames(), err: broken}), broken)
	require.Len(t, r.streams, 1)
	require.Equal(t, tcpfollow.EndEOF, r.streams[0].end, "closed all the same")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r = record(t, tcpfollow.Config{})
	require.ErrorIs(t, r.follower.Follow(ctx, &source{frames: talk().Frames()}), context.Canceled)
	require.Empty(t, r.log)
	require.Equal(t, tcpfollow.Reentrant, r.follower.FeedFrame(talk().Frames()[0]), "closed all the same")
}

func TestNilCallbacks(t *testing.T) {
	for _, name := range captures {
		f, err := tcpfollow.New(nil, nil, nil)
		require.NoError(t, err)
		want := record(t, tcpfollow.Config{})
		frames := capture(t, name)
		want.feed(frames...)
		want.close()
		require.NoError(t, f.Follow(context.Background(), &source{frames: frames}))
		require.Equal(t, want.follower.Stats(), f.Stats(), name)
	}
}

func TestCloseEndsInOrder(t *testing.T) {
	r := record(t, tcpfollow.Config{})
	for i := range 50 {
		c := &pktgen.Conversation{ClientISN: uint32(i), Start: pktgen.Start + int64(i)*int64(time.Second)}
		c.ClientAddr = addr(i * 37 % 50)
		r.feed(c.Open().Client([]byte("x")).Frames()...)
	}
	r.log = nil
	r.close()
	var want []string
	for i := range 50 {
		want = append(want, "#"+strconv.Itoa(i)+" end eof")
	}
	require.Equal(t, want, r.log)
	require.NoError(t, r.follower.Close())
	require.Equal(t, want, r.log, "closing again does nothing")
}

func TestFeedAfterClose(t *testing.T) {
	r := record(t, tcpfollow.Config{})
	frames := talk().Frames()
	r.feed(frames[:4]...)
	r.close()
	stats, log := r.follower.Stats(), slices.Clone(r.log)
	require.Equal(t, tcpfollow.Reentrant, r.follower.FeedFrame(frames[4]))
	require.Equal(t, tcpfollow.Reentrant, r.follower.Feed(pdu(frames[4])))
	require.Equal(t, tcpfollow.Reentrant, r.follower.Feed(pdu(arp())))
	require.Equal(t, tcpfollow.Reentrant, r.follower.FeedSegment(packet.FlowKey{}, packet.TCP{}))
	v := []tcpfollow.Verdict{0, 0}
	r.follower.FeedBatch(&packet.Batch{Frames: frames[:2]}, v)
	require.Equal(t, []tcpfollow.Verdict{tcpfollow.Reentrant, tcpfollow.Reentrant}, v)
	require.Equal(t, stats, r.follower.Stats())
	require.Equal(t, log, r.log)
}

// callbacks are the places from which a user can call back into the follower.
var callbacks = []string{"open", "data", "gap", "conflict", "urgent", "end", "error"}

// inCallback returns a follower that calls f from inside the callback named, and frames that bring each of them about.
func inCallback(t *testing.T, name string, f func(r *recorder, s *tcpfollow.TCPStream)) (*recorder, []packet.Frame) {
	t.Helper()
	var r *recorder
	call := func(where string, s *tcpfollow.TCPStream) {
		if name == where {
			f(r, s)
		}
	}
	r = record(t, tcpfollow.Config{
		OnOpen:     func(s *tcpfollow.TCPStream) { call("open", s) },
		OnGap:      func(s *tcpfollow.TCPStream, _ tcpfollow.Gap) { call("gap", s) },
		OnConflict: func(s *tcpfollow.TCPStream, _ tcpfollow.Conflict) { call("conflict", s) },
		OnUrgent:   func(s *tcpfollow.TCPStream, _ tcpfollow.Urgent) { call("urgent", s) },
		OnError:    func(error) { call("error", nil) },
		Urgent:     tcpfollow.UrgentOutOfBand,
	})
	r.onData = func(s *tcpfollow.TCPStream) { call("data", s) }
	r.onEnd = func(s *tcpfollow.TCPStream) { call("end", s) }
	c := urge(talk(), "!", 1)
	at := c.Next(client)
	c.Segment(client, packet.ACK, at-5, []byte("other")) // a conflict
	c.Segment(client, packet.ACK, at+10, []byte("behind a hole"))
	c.Segment(client, packet.ACK, at+40, []byte("behind another"))
	frames := c.Close(server).Frames()
	cut := frames[0]
	cut.Data = cut.Data[:20]
	frames = append(frames, cut)
	for i := range 5 { // time for timers
		later := udp()
		later.Time += int64(i+1) * int64(time.Second)
		frames = append(frames, later)
	}
	return r, frames
}

func TestReentrantCallsAreRefused(t *testing.T) {
	for _, name := range callbacks {
		t.Run(name, func(t *testing.T) {
			calls := 0
			again := talk().Frames()
			r, frames := inCallback(t, name, func(r *recorder, _ *tcpfollow.TCPStream) {
				calls++
				before := r.follower.Stats()
				require.Equal(t, tcpfollow.Reentrant, r.follower.FeedFrame(again[0]))
				require.Equal(t, tcpfollow.Reentrant, r.follower.Feed(pdu(again[0])))
				require.Equal(t, tcpfollow.Reentrant, r.follower.Feed(pdu(arp())))
				require.Equal(t, tcpfollow.Reentrant, r.follower.FeedSegment(packet.FlowKey{}, packet.TCP{}))
				v := make([]tcpfollow.Verdict, len(again))
				r.follower.FeedBatch(&packet.Batch{Frames: again}, v)
				require.Equal(t, slices.Repeat([]tcpfollow.Verdict{tcpfollow.Reentrant}, len(again)), v)
				require.ErrorIs(t, r.follower.Close(), tcpfollow.ErrReentrant)
				require.ErrorIs(t, r.follower.Follow(context.Background(), &source{frames: again}), tcpfollow.ErrReentrant)
				require.Equal(t, before, r.follower.Stats())
			})
			r.feed(frames...)
			r.close()
			plain, frames := inCallback(t, "", nil)
			plain.feed(frames...)
			plain.close()
			require.Equal(t, plain.log, r.log)
			require.NotZero(t, calls)
		})
	}
}

func TestPanickingCallback(t *testing.T) {
	for _, name := range callbacks {
		t.Run(name, func(t *testing.T) {
			calls := 0
			r, frames := inCallback(t, name, func(*recorder, *tcpfollow.TCPStream) {
				if calls++; calls == 1 {
					panic("bad callback")
				}
			})
			panics := 0
			try := func(f func()) {
				defer func() {
					if v := recover(); v != nil {
						require.Equal(t, "bad callback", v)
						panics++
					}
				}()
				f()
			}
			for _, fr := range frames {
				try(func() { r.feed(fr) })
			}
			// The follower goes on: another connection is followed as if nothing had been.
			other := &pktgen.Conversation{ClientAddr: addr(7), Start: pktgen.Start + int64(10*time.Second)}
			r.feed(other.Open().Client([]byte("abc")).Close(client).Frames()...)
			try(func() { _ = r.follower.Close() })
			require.NoError(t, r.follower.Close())
			require.Equal(t, 1, panics)
			for id, st := range r.streams {
				require.NotEqual(t, tcpfollow.EndNone, st.end, "#%d never ended", id)
			}
			require.Equal(t, "abc", string(r.streams[1].payload[client]))
			require.Equal(t, tcpfollow.EndFIN, r.streams[1].end)
		})
	}
}

func TestPanicWhileClosing(t *testing.T) {
	ends := 0
	f, err := tcpfollow.New(nil, func(*tcpfollow.TCPStream) {
		if ends++; ends == 2 {
			panic("bad callback")
		}
	}, nil)
	require.NoError(t, err)
	for i := range 5 {
		c := &pktgen.Conversation{ClientAddr: addr(i)}
		for _, fr := range c.Open().Client([]byte("abc")).Frames() {
			f.FeedFrame(fr)
		}
	}
	require.Panics(t, func() { _ = f.Close() })
	require.NoError(t, f.Close())
	require.Equal(t, 5, ends)
	require.Equal(t, uint64(5), f.Stats().Ends[tcpfollow.EndEOF])
}

func TestOnError(t *testing.T) {
	var got []error
	r := record(t, tcpfollow.Config{OnError: func(err error) { got = append(got, err) }})
	frames := talk().Frames()
	bad := frames[3]
	bad.Data, bad.Number = bad.Data[:20], 77
	require.Equal(t, []tcpfollow.Verdict{tcpfollow.Undecodable}, r.feed(bad))
	require.Len(t, got, 1)
	var de *packet.DecodeError
	require.ErrorAs(t, got[0], &de)
	require.Equal(t, uint64(77), de.Frame)
	require.ErrorIs(t, got[0], de.Err)
	r.feed(frames...)
	require.Equal(t, []tcpfollow.Verdict{tcpfollow.NotTCP, tcpfollow.NotTCP}, r.feed(udp(), arp()))
	require.Len(t, got, 1, "what is no TCP is no error")
	r.close()
	var status packet.Status
	require.ErrorAs(t, de, &status)
	require.Equal(t, uint64(1), r.follower.DecoderStats().Status[status])
}

func TestVerdictString(t *testing.T) {
	seen := map[string]bool{}
	for v := tcpfollow.NotTCP; v <= tcpfollow.CapturedTwice; v++ {
		require.NotEmpty(t, v.String())
		require.NotEqual(t, "unknown", v.String())
		require.False(t, seen[v.String()])
		seen[v.String()] = true
	}
	require.Equal(t, "unknown", (tcpfollow.CapturedTwice + 1).String())
}

func TestDeterminism(t *testing.T) {
	var frames []packet.Frame
	var traces []pktgen.Trace
	for i := range 30 {
		c := &pktgen.Conversation{
			ClientAddr: addr(i), ClientISN: uint32(i) << 27, Start: pktgen.Start + int64(i)*int64(700*time.Millisecond),
		}
		c.Open().Client(text(5000)).Server(text(9000)).Wait(time.Duration(i) * 10 * time.Second).Client(text(100))
		tr := c.Trace().Reorder(uint64(i), 4)
		if i%3 == 0 {
			tr = tr.Drop(5, 7)
		}
		traces = append(traces, tr)
	}
	frames = pktgen.Merge(traces...).Frames()
	var first []string
	for range 100 {
		r := record(t, tcpfollow.Config{Timeouts: tcpfollow.Timeouts{Idle: time.Minute}})
		for _, fr := range frames {
			r.follower.FeedFrame(fr)
		}
		r.close()
		if first == nil {
			first = r.log
		}
		require.True(t, slices.Equal(first, r.log))
	}
	require.Contains(t, first, "#29 end timeout")
}

// Packet returns the same in a callback whether frames come one by one or in batches, and after the call the last one. In
// the callback for a timeout it is the packet whose time brought that about.
func TestPacketOfBatch(t *testing.T) {
	alone := pktgen.Segment(pktgen.Start, netip.MustParseAddrPort("192.0.2.9:9"), netip.MustParseAddrPort("198.51.100.2:80"), pktgen.TCP{Flags: packet.SYN}, nil)
	for name, tc := range map[string]struct{ numbered, tagged bool }{
		"numbered": {true, false}, "unnumbered": {false, false}, "tagged": {true, true}, "unnumbered and tagged": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			frames := append([]packet.Frame{alone}, talk().Frames()...)
			frames = append(frames, arp())
			if tc.tagged {
				b := frames[4].Data
				frames[4].Data = slices.Concat(b[:12], []byte{0x81, 0, 0, 5}, b[12:])
				frames[4].Length = len(frames[4].Data)
			}
			for i := range frames {
				frames[i].Number = 0
				if tc.numbered {
					frames[i].Number = uint64(i + 1)
				}
				if i >= 4 {
					frames[i].Time += int64(time.Hour)
				}
			}
			follow := func(n int) (packets []string) {
				var f *tcpfollow.TCPStreamFollower
				show := func(*tcpfollow.TCPStream) {
					p := f.Packet()
					of := fmt.Sprint(p.Number, p.Time, p.Status, p.Layers())
					if p.IsTCP() {
						of += fmt.Sprintf("%v %v %q %v", p.Key, p.Checksum, p.Payload, p.TCP)
					}
					packets = append(packets, of)
					require.Same(t, p, f.Packet())
					require.Equal(t, f.Frame(), p.Number)
				}
				f, err := tcpfollow.New(show, show, nil)
				require.NoError(t, err)
				for part := range slices.Chunk(frames, n) {
					if n == 1 {
						f.FeedFrame(part[0])
					} else {
						f.FeedBatch(&packet.Batch{Frames: part}, nil)
					}
				}
				require.Equal(t, uint64(1), f.Stats().Ends[tcpfollow.EndTimeout])
				show(nil)
				return packets
			}
			want := follow(1)
			require.Len(t, want, 4, "a timeout, data of both sides, and the last")
			require.Contains(t, want[0], fmt.Sprint(5, frames[4].Time))
			for _, n := range []int{2, 3, 7, len(frames)} {
				require.Equal(t, want, follow(n), "batches of %d", n)
			}
		})
	}
}
