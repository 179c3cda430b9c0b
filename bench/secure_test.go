package bench

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/tlsx"
)

// plaintext counts what is decrypted.
type plaintext struct{ n int }

func (c *plaintext) Data(_ tlsx.Direction, x tlsx.Chunk) { c.n += len(x.Bytes) }
func (*plaintext) Gap(tlsx.Direction, tlsx.Gap)          {}
func (*plaintext) End(tlsx.Direction, tlsx.End)          {}

// BenchmarkTLS decrypts a download of 4 MiB, a segment at a time.
func BenchmarkTLS(b *testing.B) {
	const size = 4 << 20
	cert, err := tlsrec.Certificate(tlsrec.Ed25519())
	require.NoError(b, err)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		b.Run(tls.VersionName(version), func(b *testing.B) {
			s, err := tlsrec.Record(&tls.Config{InsecureSkipVerify: true, MaxVersion: version}, &tls.Config{Certificates: []tls.Certificate{cert}},
				func(c *tls.Conn) error {
					_, err := io.CopyN(io.Discard, c, size)
					return err
				}, func(c *tls.Conn) error {
					_, err := c.Write(make([]byte, size))
					return err
				})
			require.NoError(b, err)
			keys, err := tlsx.ReadKeyLog(bytes.NewReader(s.KeyLog))
			require.NoError(b, err)
			total := 0
			for _, p := range s.Parts {
				total += len(p.Data)
			}
			b.SetBytes(int64(total))
			b.ReportAllocs()
			for b.Loop() {
				var got plaintext
				d, err := tlsx.New(keys, nil)
				require.NoError(b, err)
				c := d.Open(&got)
				var off [2]uint64
				for _, p := range s.Parts {
					for data := p.Data; len(data) > 0; {
						n := min(len(data), 1460)
						c.Data(tlsx.Direction(p.Dir), off[p.Dir], data[:n], tlsx.Origin{})
						off[p.Dir] += uint64(n)
						data = data[n:]
					}
				}
				c.Close()
				require.Equal(b, size, got.n)
			}
		})
	}
}

// BenchmarkH2 parses exchanges with a small answer, and with a large one.
func BenchmarkH2(b *testing.B) {
	for _, size := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			var client, server bytes.Buffer
			client.WriteString(http2.ClientPreface)
			const exchanges = 200
			body := strings.Repeat("x", size)
			for _, side := range []struct {
				out    *bytes.Buffer
				fields []string
			}{
				{&client, []string{":method", "GET", ":scheme", "http", ":path", "/story.txt", ":authority", "example.com", "user-agent", "bench", "accept", "*/*"}},
				{&server, []string{":status", "200", "content-type", "text/plain", "server", "bench", "date", "Mon, 01 Jan 2024 00:00:00 GMT"}},
			} {
				w := http2.NewFramer(side.out, nil)
				var block bytes.Buffer
				enc := hpack.NewEncoder(&block)
				require.NoError(b, w.WriteSettings())
				for i := range uint32(exchanges) {
					block.Reset()
					for k := 0; k < len(side.fields); k += 2 {
						require.NoError(b, enc.WriteField(hpack.HeaderField{Name: side.fields[k], Value: side.fields[k+1]}))
					}
					answer := side.out == &server
					require.NoError(b, w.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: !answer}))
					for rest := body; answer && len(rest) > 0; {
						n := min(len(rest), 1<<14)
						require.NoError(b, w.WriteData(2*i+1, n == len(rest), []byte(rest[:n])))
						rest = rest[n:]
					}
				}
			}
			b.SetBytes(int64(client.Len() + server.Len()))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				p, err := httpx.New(&httpx.Config{OnExchange: func(e *httpx.Exchange) { n += int(e.Response.Length) }})
				require.NoError(b, err)
				c := p.Open(httpx.ConnInfo{})
				for dir, all := range [][]byte{client.Bytes(), server.Bytes()} {
					for off := 0; off < len(all); off += 1460 {
						c.Data(packet.Direction(dir), uint64(off), all[off:min(off+1460, len(all))], reassemble.Origin{})
					}
				}
				c.Close()
				require.Equal(b, exchanges*size, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*exchanges), "ns/exchange")
		})
	}
}
