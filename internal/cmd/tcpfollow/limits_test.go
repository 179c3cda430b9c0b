package tcpfollow_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// client returns the conversation of the client with a port, that many nanoseconds behind the first.
func client(port uint16) *pktgen.Conversation {
	return &pktgen.Conversation{
		ClientAddr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), Start: pktgen.Start + int64(port), AckEvery: -1,
	}
}

// brief returns what ls says of each stream that limits can change.
func brief(t *testing.T, args ...string) (string, result) {
	t.Helper()
	r := run(append([]string{"ls", "-o", "json"}, args...)...)
	var all []string
	for _, s := range jsonLines[row](t, r.stdout) {
		all = append(all, fmt.Sprintf("%s %s %d %d %v", s.Start, s.End, s.ClientBytes, s.ServerBytes, append(s.ClientGaps, s.ServerGaps...)))
	}
	return strings.Join(all, "; "), r
}

func ten(n int) []byte { return bytes.Repeat([]byte("0123456789"), n) }

// hole is a connection whose second of 20 segments of 10 bytes comes late by that many places, 0 for never, with so much
// time between packets.
func hole(late int, step time.Duration, acked bool) pktgen.Trace {
	c := client(5000)
	c.MSS, c.Step = 10, step
	c.Open().Client(ten(20))
	if acked {
		c.Ack(packet.ServerToClient)
	}
	trace := c.Trace()
	if acked { // right behind the third segment
		trace = trace.Move(len(trace)-1, 6)
	}
	if late == 0 {
		return trace.Drop(4)
	}
	return trace.Move(4, 4+late)
}

// fragmented is a connection of three datagrams of n bytes in fragments of size, that come mixed.
func fragmented(n, size int) pktgen.Trace {
	var parts, rest []pktgen.Trace
	for i := range 3 {
		c := client(5000)
		c.ClientAddr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 5000)
		c.MSS = n
		trace := c.Open().Client(bytes.Repeat([]byte("x"), n)).Trace()
		whole := trace.Fragment(3, size)
		parts = append(parts, whole[:4])
		rest = append(rest, whole[4:])
	}
	var trace pktgen.Trace
	for _, p := range append(parts, rest...) {
		trace = append(trace, p...)
	}
	for i := range trace {
		trace[i].Time = pktgen.Start + int64(i)
	}
	return trace
}

// TestLimits: every flag of a limit or timeout reaches what it is for. Those that cost something exit with 3 and are
// named.
func TestLimits(t *testing.T) {
	closed := func() pktgen.Trace { // three connections, one after the other, then a late segment of the first
		var trace pktgen.Trace
		for i := range 3 {
			c := client(uint16(5000 + i))
			c.Start += int64(i) * int64(time.Second)
			trace = append(trace, c.Open().Client([]byte("hello")).Close(packet.ClientToServer).Trace()...)
		}
		late := trace[3]
		late.Time = trace[len(trace)-1].Time + int64(10*time.Second)
		h := late.Layers[2].(pktgen.TCP)
		h.Seq += 100
		late.Layers = []pktgen.Layer{late.Layers[0], late.Layers[1], h, late.Layers[3]}
		return append(trace, late)
	}
	pause := func(before func(*pktgen.Conversation)) pktgen.Trace { // another connection comes a minute later
		c, other := client(5000), client(5001)
		before(c)
		other.Start += int64(time.Minute)
		return append(c.Trace(), other.Open().Trace()...)
	}
	again := func() pktgen.Trace { // bytes come twice
		c := client(5000)
		c.MSS = 10
		return c.Open().Client(ten(3)).Segment(packet.ClientToServer, packet.ACK, 10, ten(1)).Trace()
	}
	gaps := func() pktgen.Trace {
		c := client(5000)
		c.MSS = 10
		return c.Open().Client(ten(10)).Trace().Drop(4, 6)
	}
	interleaved := pktgen.Merge(client(5000).Open().Client(ten(1)).Trace(), client(5001).Open().Client(ten(1)).Trace())
	for _, tt := range []struct {
		flag, value   string
		trace         pktgen.Trace
		without, with string
		limit         string // that is reached, "" for none
	}{
		{"--max-connections", "1", interleaved, "syn eof 10 0 []; syn eof 10 0 []", "", "--max-connections"},
		{
			"--max-lingering", "1", closed(), "syn fin 5 0 []; syn fin 5 0 []; syn fin 5 0 []",
			"syn fin 5 0 []; syn fin 5 0 []; syn fin 5 0 []; mid eof 5 0 []", "",
		},
		{"--max-buffered", "200", hole(12, 0, false), "syn eof 200 0 []", "syn eof 190 0 [[10 10]]", "--max-buffered or --max-segments"},
		{"--max-segments", "5", hole(12, 0, false), "syn eof 200 0 []", "syn eof 190 0 [[10 10]]", "--max-buffered or --max-segments"},
		{"--max-total-buffered", "200", hole(12, 0, false), "syn eof 200 0 []", "syn eof 190 0 [[10 10]]", "--max-total-buffered"},
		{"--hole-timeout", "3s", hole(12, time.Second, false), "syn eof 200 0 []", "syn eof 190 0 [[10 10]]", "--hole-timeout"},
		{"--reorder-segments", "3", hole(12, 0, true), "syn eof 200 0 []", "syn eof 190 0 [[10 10]]", ""},
		{"--reorder-time", "3ms", hole(12, 0, true), "syn eof 200 0 []", "", ""},
		{"--max-payload", "5", again(), "syn eof 30 0 []", "syn eof 30 0 []", "--max-payload or --max-total-payload"},
		{"--max-total-payload", "5", again(), "syn eof 30 0 []", "syn eof 30 0 []", "--max-payload or --max-total-payload"},
		{"--max-gaps", "1", gaps(), "syn eof 80 0 [[10 10] [30 10]]", "syn eof 80 0 [[10 10]]", "--max-gaps"},
		{"--depth", "15", again(), "syn eof 30 0 []", "syn eof 15 0 [[15 15]]", "--depth"},
		{
			"--idle-timeout", "2s", pause(func(c *pktgen.Conversation) { c.Open().Client(ten(1)) }),
			"syn eof 10 0 []; syn eof 0 0 []", "syn timeout 10 0 []; syn eof 0 0 []", "",
		},
		{
			"--handshake-timeout", "2h", pause(func(c *pktgen.Conversation) { c.Segment(packet.ClientToServer, packet.SYN, -1, nil) }),
			"syn timeout 0 0 []; syn eof 0 0 []", "syn eof 0 0 []; syn eof 0 0 []", "",
		},
		{
			"--half-closed-timeout", "2s", pause(func(c *pktgen.Conversation) { c.Open().HalfClose(packet.ClientToServer) }),
			"syn eof 0 0 []; syn eof 0 0 []", "syn timeout 0 0 []; syn eof 0 0 []", "",
		},
		{
			"--linger", "2s", closed(), "syn fin 5 0 []; syn fin 5 0 []; syn fin 5 0 []",
			"syn fin 5 0 []; syn fin 5 0 []; syn fin 5 0 []; mid eof 5 0 []", "",
		},
		{
			"--max-datagrams", "1", fragmented(1000, 400), "syn eof 1000 0 []; syn eof 1000 0 []; syn eof 1000 0 []", "",
			"--max-datagrams or --max-fragment-bytes",
		},
		{
			"--max-fragment-bytes", "131072", fragmented(60000, 56000), "syn eof 60000 0 []; syn eof 60000 0 []; syn eof 60000 0 []", "",
			"--max-datagrams or --max-fragment-bytes",
		},
		{
			"--max-fragments", "2", fragmented(1000, 400), "syn eof 1000 0 []; syn eof 1000 0 []; syn eof 1000 0 []",
			"syn eof 0 0 []; syn eof 0 0 []; syn eof 0 0 []", "--max-fragments",
		},
	} {
		t.Run(tt.flag, func(t *testing.T) {
			path := saveTrace(t, tt.trace)
			got, r := brief(t, path)
			require.Equal(t, tt.without, got)
			require.Equal(t, cli.ExitOK, r.code, r.stderr)
			got, r = brief(t, tt.flag, tt.value, path)
			if tt.with != "" {
				require.Equal(t, tt.with, got)
			} else {
				require.NotEqual(t, tt.without, got)
			}
			if tt.limit == "" {
				require.Equal(t, cli.ExitOK, r.code)
				return
			}
			require.Equal(t, cli.ExitPartial, r.code)
			require.Regexp(t, `(?m)^tcpfollow: results are partial: limits reached: `+tt.limit+` \(\d+ times?\)$`, r.stderr)
			for _, command := range []string{"follow", "bench"} {
				if command == "bench" && strings.Contains(tt.flag, "payload") || strings.Contains(tt.flag, "gaps") {
					continue // bench accumulates nothing, and neither lists gaps
				}
				r := run(command, "-q", tt.flag, tt.value, path)
				require.Equal(t, cli.ExitPartial, r.code)
				require.Regexp(t, `^tcpfollow: results are partial: limits reached: `+tt.limit+` \(\d+ times?\)\n$`, r.stderr)
			}
		})
	}
}

// TestLimitsTogether: limits are named in one line, beside what else went wrong.
func TestLimitsTogether(t *testing.T) {
	whole := []byte(read(t, saveTrace(t, hole(12, 0, false))))
	path := save(t, "cut.pcap", whole[:len(whole)-1])
	r := run("ls", "-q", "--max-segments", "5", "--depth", "100", path)
	require.Equal(t, cli.ExitPartial, r.code)
	require.Regexp(t, `^tcpfollow: .*cut\.pcap: frame 23 at byte \d+: record cut off: 63 of 64 bytes\n`+
		`tcpfollow: results are partial: limits reached: --max-buffered or --max-segments \(1 time\), --depth \(1 time\)\n$`, r.stderr)
	bad := save(t, "bad.pcap", pktgen.Pcap(pktgen.PcapFormat{}, append(hole(12, 0, false).Frames(), oddTrace().Frames()...)))
	r = run("ls", "-q", "--strict", "--max-segments", "5", bad)
	require.Equal(t, cli.ExitError, r.code, "an error weighs more than a limit")
	require.Equal(t, 2, strings.Count(r.stderr, "\n"))
}

// TestHistory: without payload kept, late copies are compared with the last bytes, as far as those reach.
func TestHistory(t *testing.T) {
	conflicts := func(args ...string) int {
		var n int
		for _, s := range list(t, append(args, data+"conflict.pcap")...) {
			n += s.ClientConflicts + s.ServerConflicts
		}
		return n
	}
	want := conflicts()
	require.NotZero(t, want)
	none, all := conflicts("--compare=false"), conflicts("--compare=false", "--history", "1000")
	require.Equal(t, want, all)
	require.Less(t, none, all, "held copies are compared in any case")
	require.Equal(t, want, conflicts("--max-payload", "1", "--history", "1000"))
	r := run("ls", "-q", "--compare=false", "--history", "1000", "--max-total-history", "1", data+"conflict.pcap")
	require.Equal(t, cli.ExitPartial, r.code)
	require.Regexp(t, `^tcpfollow: results are partial: limits reached: --max-total-history \(\d+ times?\)\n$`, r.stderr)
}

// TestFileLimits: the limits on files reach the reader.
func TestFileLimits(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write(pktgen.Pcapng(pktgen.PcapngFormat{Comment: strings.Repeat("x", 5000)}, hole(0, 0, false).Frames()))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	long := save(t, "long.pcapng.gz", zipped.Bytes())
	for _, tt := range []struct{ flag, value, path string }{
		{"--max-frame", "500", data + "http.pcap"},
		{"--max-decompressed", "5000", data + "http.pcap.gz"},
		{"--max-decompressed", "5000", data + "http.pcap.zst"},
		{"--max-skip", "1000", long},
	} {
		t.Run(tt.flag, func(t *testing.T) {
			require.Equal(t, cli.ExitOK, run("ls", tt.path).code)
			r := run("ls", "-q", tt.flag, tt.value, tt.path)
			require.Equal(t, cli.ExitPartial, r.code, r.stderr)
			require.Contains(t, r.stderr, "tcpfollow: "+tt.path+": ")
			require.Equal(t, 1, strings.Count(r.stderr, "\n"), r.stderr)
		})
	}
	r := run("ls", "--max-frame", "500", data+"http.pcap")
	require.Contains(t, r.stderr, "14 frames, 1 stream", "what comes before is there")
}

// TestChoices: flags that choose how to follow make the difference that they are for.
func TestChoices(t *testing.T) {
	vlans := func() pktgen.Trace {
		a, b := client(5000), client(5000)
		b.Start++
		at := func(c *pktgen.Conversation, id uint16) pktgen.Trace {
			return c.Open().Client(ten(1)).Trace().Relink(pktgen.Ethernet{}, pktgen.VLAN{ID: id})
		}
		b.ClientISN = 1 << 30
		return pktgen.Merge(at(a, 1), at(b, 2))
	}
	vxlans := func() pktgen.Trace {
		a, b := client(5000), client(5000)
		b.Start++
		b.ClientISN = 1 << 30
		at := func(c *pktgen.Conversation, id uint32) pktgen.Trace {
			outer := pktgen.IP(netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2"))
			return c.Open().Client(ten(1)).Trace().Wrap(pktgen.Ethernet{}, outer, pktgen.UDP{}, pktgen.VXLAN{VNI: id})
		}
		return pktgen.Merge(at(a, 1), at(b, 2))
	}
	reset := client(5000)
	reset.Open().Client(ten(1)).Append(packet.ServerToClient, pktgen.TCP{Src: 80, Dst: 5000, Seq: 1 << 20, Flags: packet.RST}, nil)
	sum := client(5000)
	sum.Open().Append(packet.ClientToServer, pktgen.TCP{
		Src: 5000, Dst: 80, Seq: 1, Flags: packet.ACK, Checksum: pktgen.Fixed(1),
	}, ten(1))
	for _, tt := range []struct {
		args          []string
		path          string
		without, with string
	}{
		{[]string{"--no-midstream"}, data + "midstream.pcap", "mid fin 95 104 []", ""},
		{[]string{"--any-reset"}, saveTrace(t, reset.Trace()), "syn eof 10 0 []", "syn reset 10 0 []"},
		{[]string{"--checksum", "strict"}, saveTrace(t, sum.Trace()), "syn eof 10 0 []", "syn eof 0 0 []"},
		{[]string{"--enter-tunnels", "none"}, data + "tunnels/vxlan.pcap", "syn fin 95 104 []", ""},
		{[]string{"--enter-tunnels", "all,-vxlan"}, data + "tunnels/vxlan.pcap", "syn fin 95 104 []", ""},
		{[]string{"--key-vlan"}, saveTrace(t, vlans()), "", "syn eof 10 0 []; syn eof 10 0 []"},
		{[]string{"--key-tunnel"}, saveTrace(t, vxlans()), "", "syn eof 10 0 []; syn eof 10 0 []"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			without, _ := brief(t, tt.path)
			with, _ := brief(t, append(tt.args, tt.path)...)
			require.NotEqual(t, without, with)
			if tt.without != "" {
				require.Equal(t, tt.without, without)
			}
			if tt.with != "" {
				require.Equal(t, tt.with, with)
			}
		})
	}
	require.Equal(t, list(t, data+"http.pcap"), list(t, "--engine", "gopacket", data+"http.pcap"))
	require.Equal(t, list(t, data+"http.pcap"), list(t, "--compare=false", data+"http.pcap"))
	conflicts, _ := brief(t, "--compare=false", data+"conflict.pcap")
	require.Equal(t, "syn fin 24 35 []", conflicts)
}
