package bench

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/plugin"
	"github.com/tcpfollow/tcpfollow/packet"
)

// exchanges is so many connections with a request and an answer of HTTP each.
func exchanges(n int) []packet.Frame {
	traces := make([]pktgen.Trace, n)
	for i := range traces {
		c := &pktgen.Conversation{Start: pktgen.Start + int64(i)*1e5, ClientISN: uint32(i) << 20, ServerISN: uint32(i) << 12}
		c.ClientAddr = clientAddr(i)
		c.Open()
		c.Send(packet.ClientToServer, fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: h%d.example\r\nUser-Agent: bench/1\r\n\r\n", i, i%100))
		c.Send(packet.ServerToClient, []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"))
		traces[i] = c.Close(packet.ClientToServer).Trace()
	}
	return pktgen.Merge(traces...).Frames()
}

// BenchmarkMeter meters short connections and writes rows, in each configuration.
func BenchmarkMeter(b *testing.B) {
	const flows = 2000
	batches := batchesOf(exchanges(flows))
	for _, kind := range []struct {
		name string
		edit func(*meter.Config)
	}{
		{"core", func(*meter.Config) {}},
		{"statistics", func(c *meter.Config) { c.Statistics = true }},
		{"statistics and SPLT", func(c *meter.Config) { c.Statistics, c.SPLT = true, 10 }},
		{"dissection", func(c *meter.Config) { c.Dissections = 20 }},
		{"strict", func(c *meter.Config) { c.Rules, c.Statistics = meter.RulesStrict, true }},
		{"plugin", func(c *meter.Config) { c.Plugins = []meter.Plugin{plugin.TCP()} }},
	} {
		b.Run(kind.name, func(b *testing.B) {
			cfg := meter.DefaultConfig()
			cfg.Dissections = 0
			kind.edit(&cfg)
			columns, err := meter.Columns(&cfg)
			require.NoError(b, err)
			for b.Loop() {
				rows := 0
				w := meter.NewCSV(io.Discard, columns, nil)
				m, err := meter.New(func(f *meter.Flow) {
					require.NoError(b, w.Write(f))
					rows++
				}, &cfg)
				require.NoError(b, err)
				for i := range batches {
					m.FeedBatch(&batches[i])
				}
				require.NoError(b, m.Flush())
				require.NoError(b, w.Close())
				require.Equal(b, flows, rows)
			}
			report(b, batches)
		})
	}
}
