package tcpfollow_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// sharedCapture returns the frames of a real capture, or skips the test.
func sharedCapture(t *testing.T, name string) []packet.Frame {
	t.Helper()
	shared := os.Getenv("TCPFOLLOW_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "shared")
	}
	path := filepath.Join(shared, "pcaps", name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("needs the captures in ../shared/pcaps, or where TCPFOLLOW_SHARED says")
	}
	return framesOf(t, path)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// What follows is where streams of the recorded captures differ from the record, with the frames that show why: see
// docs/follow.md.

// The record keeps the bytes of the fragment with the lower offset. The checksum of the TCP segment is right with the
// fragment that came first, and wrong with those.
func TestRecordedFragments(t *testing.T) {
	frames := sharedCapture(t, "zeek/ipv4__fragmented-4.pcap")
	follow := func(overlap packet.OverlapPolicy, checksum packet.ChecksumMode) (string, uint64) {
		r := record(t, tcpfollow.Config{
			Decode: packet.DecoderConfig{Checksum: checksum}, Fragments: packet.DefragmenterConfig{Overlap: overlap},
		})
		r.feed(frames...)
		r.close()
		return string(r.streams[len(r.streams)-1].payload[client]), r.follower.Stats().Verdicts[tcpfollow.BadChecksum]
	}
	const sent = "GET /msadc/..%2f../..%2f../..%2f../winnt/system32/cmd.exe?/c+dir+c:\\\n"
	got, bad := follow(packet.OverlapDefault, packet.ChecksumStrict)
	require.Equal(t, sent, got)
	require.Zero(t, bad)
	_, bad = follow(packet.OverlapLast, packet.ChecksumStrict)
	require.Equal(t, uint64(1), bad)
	got, _ = follow(packet.OverlapLast, packet.ChecksumAuto)
	require.Equal(t, "197647f9057f08730a451adb76cf596771e85ac2a5a6a2093fbf96232915e006", digest([]byte(got)), "the record")
}

// The record counts the 150 bytes of frame 8. The server had closed the connection in frame 7, and says so in frame 9,
// with a reset as RFC 9293 §3.10.7.1 has it for connections that do not exist: numbered as frame 8 acknowledges.
func TestRecordedReset(t *testing.T) {
	frames := sharedCapture(t, "zeek/tcp__rst-inject-rae.pcap")
	r := record(t, tcpfollow.Config{})
	var at [10]packet.TCP
	var verdicts []tcpfollow.Verdict
	for i, fr := range frames {
		verdicts = append(verdicts, r.feed(fr)...)
		p := r.follower.Packet()
		at[i+1] = p.TCP
		if p.TCP.Flags.Has(packet.RST) {
			require.Equal(t, packet.ChecksumGood, p.Checksum)
		}
	}
	const control, late = tcpfollow.Control, tcpfollow.AfterEnd
	require.Equal(t, []tcpfollow.Verdict{
		tcpfollow.Opened, tcpfollow.BadReset, control, control, tcpfollow.Data, control, tcpfollow.Closed, late, late,
	}, verdicts)
	r.close()
	require.Equal(t, at[6].Seq, at[7].Seq, "next")
	require.Equal(t, at[5].Seq+25, at[7].Ack, "all that was sent")
	require.Equal(t, packet.RST, at[9].Flags)
	require.Equal(t, at[8].Ack, at[9].Seq)
	require.Len(t, r.streams[0].payload[client], 25)
	require.Equal(t, uint64(150), r.follower.Stats().AfterEnd)
}

// A fuzzed capture. The record numbers the server's bytes from frame 96, a segment whose flags were changed into all but
// FIN, and so has none of them, and no holes. Before it 13 segments of the server were captured, all of which the client
// acknowledges, with the holes that tshark's follow reports, too.
func TestRecordedServerBytes(t *testing.T) {
	frames := sharedCapture(t, "gopacket/layers__testdata__linux_sll_oversized_addr.pcapng")
	r := record(t, tcpfollow.Config{})
	var gaps []tcpfollow.Gap
	r.onEnd = func(s *tcpfollow.TCPStream) { gaps = append(gaps, s.Gaps(server)...) }
	fed, acked := 0, uint32(0)
	for _, fr := range frames[:95] {
		r.feed(fr)
		p := r.follower.Packet()
		if p.IsTCP() && p.Key.Src().Port() == 21999 {
			require.NotEmpty(t, p.TCP.Payload)
			fed++
		} else if p.TCP.Ack == 3717329842 {
			acked = p.TCP.Ack
		}
	}
	require.Equal(t, 13, fed)
	require.NotZero(t, acked, "frame 44 acknowledges frame 43")
	require.NoError(t, r.follower.Close())
	streams := r.streams
	require.Len(t, streams, 2)
	require.Equal(t, []tcpfollow.Gap{
		{Direction: server, Offset: 1546, Length: 12}, {Direction: server, Offset: 1612, Length: 779},
	}, gaps[:2])
	require.Equal(t, tcpfollow.EndReset, streams[0].end, "frame 34")
	require.Len(t, streams[0].payload[server], 3883)
	require.Len(t, streams[1].payload[server], 833, "frame 36 acknowledges what frame 35 sent after the reset")
}

// Frame 21 is a segment whose flags were changed into RST|PSH|ECE. Frame 25 acknowledges its 1,391 bytes.
func TestRecordedRefusedReset(t *testing.T) {
	r := record(t, tcpfollow.Config{})
	var holes []tcpfollow.Gap
	r.onEnd = func(s *tcpfollow.TCPStream) {
		if s.ID() == 1 {
			holes = append(holes, s.Gaps(server)...)
		}
	}
	r.feed(sharedCapture(t, "suricata-verify/bug-76__input.pcap")...)
	r.close()
	var got [][2]uint64
	for _, g := range holes {
		got = append(got, [2]uint64{g.Offset, g.Length})
	}
	require.Equal(t, [][2]uint64{{0, 1391}, {2782, 1391}, {5564, 4173}}, got)
	require.Equal(t, "ef13b2dac17bf929d95545ac7bbf9ee62e8f06ebb7977f377cd5c85969584df0", digest(r.streams[1].payload[server]))
}

// Copies that differ, before they are delivered: the record keeps the first, tshark's follow what BSD would.
func TestRecordedOverlap(t *testing.T) {
	frames := sharedCapture(t, "zeek/tcp__reassembly.pcap")
	for policy, want := range map[reassemble.Overlap]string{
		reassemble.OverlapFirst: "dd9885920986910148a1479d9ae2c9d545ca02a7cde906b667ac3d8b58937c46",
		reassemble.OverlapBSD:   "0e4326f7384c166eb39860b0df2e6f606d195b75d013bfcb9aad27206a061669",
	} {
		streams := streamsOf(t, tcpfollow.Config{Overlap: policy}, frames)
		require.Equal(t, want, digest(streams[0].payload[client]), policy)
	}
}

// A stream of the record is no packet: frame 66 is a report of a switch (sFlow) with samples of others' headers.
func TestRecordedSample(t *testing.T) {
	frames := sharedCapture(t, "pcapplusplus/examples__tcp-reassembly.pcap")
	r := record(t, tcpfollow.Config{})
	require.Equal(t, tcpfollow.NotTCP, r.feed(frames[:66]...)[65])
	p := r.follower.Packet()
	require.Equal(t, uint64(66), p.Number)
	require.Equal(t, uint16(6343), p.Key.Dst().Port())
	r.close()
}
