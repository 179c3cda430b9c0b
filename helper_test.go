package tcpfollow_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// recorder writes down what a follower calls back for, and checks what holds for every stream: one open, first; one
// end, last; offsets without a hole or an overlap; no empty data; payload so far that is all data so far.
type recorder struct {
	t        testing.TB
	follower *tcpfollow.TCPStreamFollower
	log      []string
	streams  []*recorded // by ID

	onData, onEnd tcpfollow.StreamFunc // called after the checks, may be nil
}

type recorded struct {
	handle  *tcpfollow.TCPStream
	opened  bool
	end     tcpfollow.EndReason
	info    tcpfollow.StreamInfo // at the end
	next    [2]uint64
	payload [2][]byte
	octets  [2][]uint64 // offsets of urgent octets
}

// record returns a follower with cfg and a recorder of it.
func record(t testing.TB, cfg tcpfollow.Config) *recorder {
	t.Helper()
	r := &recorder{t: t}
	open, gap, conflict, urgent := cfg.OnOpen, cfg.OnGap, cfg.OnConflict, cfg.OnUrgent
	cfg.OnUrgent = func(s *tcpfollow.TCPStream, u tcpfollow.Urgent) {
		st := r.of(s)
		require.Equal(t, st.next[u.Direction], u.Offset)
		st.next[u.Direction]++
		st.octets[u.Direction] = append(st.octets[u.Direction], u.Offset)
		r.logf("#%d urgent %v %d %q from %d", s.ID(), u.Direction, u.Offset, u.Byte, u.Origin.Packet)
		if urgent != nil {
			urgent(s, u)
		}
	}
	cfg.OnOpen = func(s *tcpfollow.TCPStream) {
		r.open(s)
		if open != nil {
			open(s)
		}
	}
	cfg.OnGap = func(s *tcpfollow.TCPStream, g tcpfollow.Gap) {
		r.gap(s, g)
		if gap != nil {
			gap(s, g)
		}
	}
	cfg.OnConflict = func(s *tcpfollow.TCPStream, x tcpfollow.Conflict) {
		r.logf("#%d conflict %v %d %q %q %v", s.ID(), x.Direction, x.Offset, x.Old, x.New, x.KeptNew)
		if conflict != nil {
			conflict(s, x)
		}
	}
	var err error
	r.follower, err = tcpfollow.New(r.data, r.end, &cfg)
	require.NoError(t, err)
	return r
}

func (r *recorder) logf(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

// of returns what is known of an open stream.
func (r *recorder) of(s *tcpfollow.TCPStream) *recorded {
	id := s.ID()
	for uint64(len(r.streams)) <= id {
		r.streams = append(r.streams, &recorded{})
	}
	st := r.streams[id]
	require.True(r.t, st.opened, "#%d is not open", id)
	require.Equal(r.t, tcpfollow.EndNone, st.end, "#%d has ended", id)
	require.Same(r.t, st.handle, s)
	return st
}

func (r *recorder) open(s *tcpfollow.TCPStream) {
	r.t.Helper()
	id := s.ID()
	for uint64(len(r.streams)) <= id {
		r.streams = append(r.streams, &recorded{})
	}
	require.False(r.t, r.streams[id].opened, "#%d opened twice", id)
	r.streams[id].opened, r.streams[id].handle = true, s
	r.logf("#%d open %v > %v %v", id, s.Client(), s.Server(), s.Info().Start)
}

func (r *recorder) data(s *tcpfollow.TCPStream) {
	st, c := r.of(s), s.Chunk()
	require.NotEmpty(r.t, c.Bytes)
	require.Equal(r.t, st.next[c.Direction], c.Offset)
	st.next[c.Direction] += uint64(len(c.Bytes))
	st.payload[c.Direction] = append(st.payload[c.Direction], c.Bytes...)
	if got := [2][]byte{s.ClientPayload(), s.ServerPayload()}[c.Direction]; got != nil && !s.Truncated(c.Direction) {
		require.True(r.t, bytes.Equal(st.payload[c.Direction], got), "payload so far")
	}
	r.logf("#%d data %v %d+%d %08x from %d", s.ID(), c.Direction, c.Offset, len(c.Bytes), crc32.ChecksumIEEE(c.Bytes), c.Origin.Packet)
	if r.onData != nil {
		r.onData(s)
	}
}

func (r *recorder) gap(s *tcpfollow.TCPStream, g tcpfollow.Gap) {
	st := r.of(s)
	require.NotZero(r.t, g.Length)
	require.Equal(r.t, st.next[g.Direction], g.Offset)
	st.next[g.Direction] += g.Length
	r.logf("#%d gap %v %d+%d %v", s.ID(), g.Direction, g.Offset, g.Length, g.Reason)
}

func (r *recorder) end(s *tcpfollow.TCPStream) {
	r.t.Helper()
	st := r.of(s)
	require.True(r.t, s.Finished())
	st.end, st.info = s.End(), s.Info()
	for d, h := range st.info.Halves {
		require.Equal(r.t, uint64(len(st.payload[d])), h.Bytes, "bytes of %v", packet.Direction(d))
	}
	r.logf("#%d end %v", s.ID(), st.end)
	if r.onEnd != nil {
		r.onEnd(s)
	}
}

// close closes the follower, and checks that all streams are over and all counters add up.
func (r *recorder) close() {
	r.t.Helper()
	require.NoError(r.t, r.follower.Close())
	stats := r.follower.Stats()
	require.Equal(r.t, uint64(len(r.streams)), stats.Streams)
	var bytesSeen, ends uint64
	for id, st := range r.streams {
		require.NotEqual(r.t, tcpfollow.EndNone, st.end, "#%d never ended", id)
		bytesSeen += uint64(len(st.payload[0]) + len(st.payload[1]))
	}
	for _, n := range stats.Ends {
		ends += n
	}
	require.Equal(r.t, stats.Streams, ends)
	require.Equal(r.t, bytesSeen, stats.Bytes)
	var verdicts uint64
	for _, n := range stats.Verdicts {
		verdicts += n
	}
	require.Equal(r.t, stats.Frames, verdicts)
}

// feed feeds copies of frames, each overwritten afterwards, and returns the verdicts.
func (r *recorder) feed(frames ...packet.Frame) []tcpfollow.Verdict {
	r.t.Helper()
	verdicts := make([]tcpfollow.Verdict, 0, len(frames))
	for _, fr := range frames {
		before := fr.Data
		fr.Data = bytes.Clone(before)
		verdicts = append(verdicts, r.follower.FeedFrame(fr))
		require.True(r.t, bytes.Equal(before, fr.Data), "the follower changed a frame")
		for i := range fr.Data {
			fr.Data[i] = 0xAA
		}
	}
	return verdicts
}

// streamsOf follows frames to the end.
func streamsOf(t testing.TB, cfg tcpfollow.Config, frames []packet.Frame) []*recorded {
	t.Helper()
	r := record(t, cfg)
	r.feed(frames...)
	r.close()
	return r.streams
}

// capture returns the frames of a file in testdata, up to where it is cut off.
func capture(t testing.TB, name string) []packet.Frame {
	t.Helper()
	return framesOf(t, filepath.Join("testdata", name))
}

func framesOf(t testing.TB, path string) []packet.Frame {
	t.Helper()
	file, err := pcapfile.Open(path, nil)
	require.NoError(t, err)
	defer file.Close()
	var frames []packet.Frame
	var b packet.Batch
	for file.ReadBatch(&b) == nil {
		for _, fr := range b.Frames {
			fr.Data = bytes.Clone(fr.Data)
			frames = append(frames, fr)
		}
	}
	require.NotEmpty(t, frames)
	return frames
}

// captures are the files in testdata that hold whole conversations.
var captures = []string{
	"conflict.pcap", "http.pcap", "http.pcapng", "ipv6.pcap", "midstream.pcap", "mixed.pcap", "refused.pcap", "reset.pcap",
	"snaplen.pcap", "truncated.pcap", "vlan.pcap", "wrap.pcap",
}

// text returns n bytes that tell their place.
func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// talk returns a conversation in which both sides say something.
func talk() *pktgen.Conversation {
	c := &pktgen.Conversation{ClientISN: 1000, ServerISN: 5000}
	return c.Open().Client([]byte("GET / HTTP/1.1\r\n\r\n")).Server([]byte("HTTP/1.1 200 OK\r\n\r\nhello"))
}

// addr returns one of many client addresses.
func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i >> 8)}), uint16(20_000+i&0xff))
}

const (
	client = packet.ClientToServer
	server = packet.ServerToClient
)
