package gopacketreassembly_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/reassemble/gopacketreassembly"
)

// follow returns what a follower with an engine calls back for; data that one segment brings is one event.
func follow(t *testing.T, e reassemble.Engine, fed []enginetest.Fed) []string {
	t.Helper()
	var log []string
	var data [2][]byte
	var id uint64
	flush := func() {
		for d, b := range data {
			if len(b) > 0 {
				log = append(log, fmt.Sprintf("#%d data %d %x", id, d, b))
			}
		}
		data = [2][]byte{}
	}
	event := func(s *tcpfollow.TCPStream, format string, args ...any) {
		flush()
		log = append(log, fmt.Sprintf("#%d ", s.ID())+fmt.Sprintf(format, args...))
	}
	f, err := tcpfollow.New(
		func(s *tcpfollow.TCPStream) {
			c := s.Chunk()
			if id != s.ID() || len(data[c.Direction.Reverse()]) > 0 {
				flush()
			}
			id = s.ID()
			data[c.Direction] = append(data[c.Direction], c.Bytes...)
		},
		func(s *tcpfollow.TCPStream) { event(s, "end %v", s.End()) },
		&tcpfollow.Config{
			Engine: e,
			OnOpen: func(s *tcpfollow.TCPStream) { event(s, "open %v %v", s.Client(), s.Info().Start) },
			OnGap: func(s *tcpfollow.TCPStream, g tcpfollow.Gap) {
				event(s, "gap %v %d+%d %v", g.Direction, g.Offset, g.Length, g.Reason)
			},
		})
	require.NoError(t, err)
	for _, x := range fed {
		x.TCP.Payload = bytes.Clone(x.TCP.Payload)
		f.FeedSegment(x.Key, x.TCP)
		flush()
		for i := range x.TCP.Payload {
			x.TCP.Payload[i] = 0xAA
		}
	}
	require.NoError(t, f.Close())
	flush()
	return log
}

func operations(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	ops := []byte{9, 0, 0, 0, 41, 0, 0, 0, 73, 0, 0, 0, 105, 0, 0, 0}
	for range 4 * n {
		ops = append(ops, byte(r.Uint32()))
	}
	return ops
}

// requireSame checks that a follower does the same with both engines.
func requireSame(t *testing.T, ops []byte) {
	t.Helper()
	// Segments that contradict each other are for the policies of each engine. The text of a connection repeats itself
	// when its ports are used again, and it may be found in a stream that starts elsewhere.
	for i := 0; i+4 <= len(ops); i += 4 {
		switch ops[i] & 31 {
		case 17, 19, 22:
			ops[i] &^= 31
		case 9, 10: // but for the handshakes
			if i >= 16 {
				ops[i] &^= 31
			}
		}
	}
	fed := enginetest.Segments(ops, false)
	require.Equal(t, follow(t, reassemble.NewNative(nil), fed), follow(t, gopacketreassembly.New(), fed))
}

func TestSameAsNative(t *testing.T) {
	for seed := range uint64(300) {
		requireSame(t, operations(seed, 10+int(seed%90)))
	}
}

func FuzzFollower(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(operations(seed, 30))
	}
	f.Fuzz(func(t *testing.T, ops []byte) { requireSame(t, bytes.Clone(ops[:min(len(ops), 800)])) })
}
