package appid_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

func benchEngine(b *testing.B) *appid.Engine {
	b.Helper()
	table, err := applications()
	require.NoError(b, err)
	e, err := appid.New(nil, &appid.Config{Applications: table})
	require.NoError(b, err)
	return e
}

// BenchmarkFlow measures a flow from its opening to the first finding.
func BenchmarkFlow(b *testing.B) {
	id := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	for _, bc := range []struct {
		name      string
		transport uint8
		data      []byte
	}{
		{"ClientHello", packet.ProtoTCP, records(firefox(), 1<<14)},
		{"Initial", packet.ProtoUDP, appid.SealInitial(1, 0, id, 0, crypto(0, firefox()))},
		{"DNS", packet.ProtoUDP, message(b)},
		{"HTTP", packet.ProtoTCP, []byte("GET / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: tester/1\r\n\r\n")},
	} {
		b.Run(bc.name, func(b *testing.B) {
			e := benchEngine(b)
			to := server
			if bc.name == "DNS" {
				to = netip53
			}
			b.ReportAllocs()
			for b.Loop() {
				e.Feed(e.Open(bc.transport, client, to), appid.Input{Data: bc.data})
			}
			require.Positive(b, e.Stats().Findings)
		})
	}
}

// BenchmarkPacket measures a packet of a flow that is decided, and one of a flow that is not.
func BenchmarkPacket(b *testing.B) {
	in := appid.Input{Data: make([]byte, 1000)}
	b.Run("decided", func(b *testing.B) {
		e := benchEngine(b)
		st := e.Open(packet.ProtoUDP, client, server)
		for !e.Feed(st, in) {
		}
		b.ReportAllocs()
		for b.Loop() {
			e.Feed(st, in)
		}
	})
	b.Run("undecided", func(b *testing.B) {
		e := benchEngine(b)
		b.ReportAllocs()
		for b.Loop() {
			st := e.Open(packet.ProtoUDP, client, server)
			for range 10 {
				e.Feed(st, in)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10, "ns/packet")
	})
}
