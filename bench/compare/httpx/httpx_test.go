// Package httpx holds the HTTP parser against a program of gopacket's tcpreader and net/http, on the same keep-alive
// capture.
package httpx

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/google/gopacket/tcpassembly"
	"github.com/google/gopacket/tcpassembly/tcpreader"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	ours "github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

const (
	connections = 100
	requests    = 100 // of each connection
)

// capture returns connections with requests as a browser sends them, and bodies of 2 KiB.
func capture() []byte {
	body := strings.Repeat("All work and no play makes Jack a dull boy. ", 48)[:2048]
	var traces []pktgen.Trace
	for i := range connections {
		c := &pktgen.Conversation{
			ClientAddr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(20000+i)), Start: pktgen.Start + int64(i)*1000, Step: time.Millisecond,
		}
		c.Open()
		for n := range requests {
			c.Client(fmt.Appendf(nil, "GET /pages/%d/%d.html HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n"+
				"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n"+
				"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate\r\n"+
				"Accept-Language: en-US,en;q=0.9\r\nReferer: http://www.example.com/\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n", i, n))
			c.Server(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: Apache/2.4.58 (Unix)\r\n"+
				"Last-Modified: Sun, 31 Dec 2023 00:00:00 GMT\r\nETag: \"800-60dc0d0e5f2c0\"\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\n"+
				"Cache-Control: max-age=60\r\nVary: Accept-Encoding\r\nKeep-Alive: timeout=5, max=%d\r\nConnection: Keep-Alive\r\nContent-Type: text/html\r\n\r\n%s",
				len(body), 100-n, body))
		}
		traces = append(traces, c.Close(0).Trace())
	}
	return pktgen.Pcap(pktgen.PcapFormat{}, pktgen.Merge(traces...).Frames())
}

// counts are what both find.
type counts struct{ requests, responses, bytes atomic.Int64 }

func (c *counts) check(t testing.TB) {
	t.Helper()
	require.Equal(t, int64(connections*requests), c.requests.Load())
	require.Equal(t, int64(connections*requests), c.responses.Load())
	require.Equal(t, int64(connections*requests*2048), c.bytes.Load())
}

// withHTTPX reads a capture with this module.
func withHTTPX(t testing.TB, data []byte) *counts {
	c := &counts{}
	p, err := ours.Follow(&ours.Config{
		OnBody: func(_ *ours.Message, b []byte) { c.bytes.Add(int64(len(b))) },
		OnExchange: func(e *ours.Exchange) {
			if e.Request.Method == "GET" {
				c.requests.Add(1)
			}
			if e.Response.Status == 200 {
				c.responses.Add(1)
			}
		},
	})
	require.NoError(t, err)
	f, err := tcpfollow.New(p.Data, p.End, &tcpfollow.Config{OnGap: p.Gap, Incremental: true})
	require.NoError(t, err)
	r, err := pcapfile.NewReader(bytes.NewReader(data), "capture", nil)
	require.NoError(t, err)
	require.NoError(t, f.Follow(context.Background(), r))
	return c
}

// factory makes a goroutine for each direction of a connection, as the example of tcpreader does.
type factory struct {
	c    *counts
	wait sync.WaitGroup
}

func (f *factory) New(_, transport gopacket.Flow) tcpassembly.Stream {
	r := tcpreader.NewReaderStream()
	f.wait.Add(1)
	go f.read(&r, transport.Dst().String() == "80")
	return &r
}

func (f *factory) read(r io.Reader, client bool) {
	defer f.wait.Done()
	buf := bufio.NewReader(r)
	for {
		var body io.ReadCloser
		if client {
			q, err := http.ReadRequest(buf)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if err != nil {
				continue
			}
			f.c.requests.Add(1)
			body = q.Body
		} else {
			a, err := http.ReadResponse(buf, nil)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if err != nil {
				continue
			}
			f.c.responses.Add(1)
			body = a.Body
		}
		f.c.bytes.Add(int64(tcpreader.DiscardBytesToEOF(body)))
		_ = body.Close()
	}
}

// withTCPReader reads a capture with gopacket, tcpreader and net/http; the layers are decoded in place, which is the
// fastest that gopacket has.
func withTCPReader(t testing.TB, data []byte) *counts {
	c := &counts{}
	f := &factory{c: c}
	assembler := tcpassembly.NewAssembler(tcpassembly.NewStreamPool(f))
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	var eth layers.Ethernet
	var ip layers.IPv4
	var tcp layers.TCP
	var payload gopacket.Payload
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &eth, &ip, &tcp, &payload)
	var decoded []gopacket.LayerType
	for {
		b, ci, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.NoError(t, parser.DecodeLayers(b, &decoded))
		assembler.AssembleWithTimestamp(ip.NetworkFlow(), &tcp, ci.Timestamp)
	}
	assembler.FlushAll()
	f.wait.Wait()
	return c
}

func TestSame(t *testing.T) {
	data := capture()
	withHTTPX(t, data).check(t)
	withTCPReader(t, data).check(t)
}

// cpu returns the processor time that the process has used.
func cpu(t testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchmark(b *testing.B, read func(testing.TB, []byte) *counts) {
	data := capture()
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	start := cpu(b)
	for b.Loop() {
		read(b, data).check(b)
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N)/(connections*requests), "cpu-ns/exchange")
}

func BenchmarkHTTPX(b *testing.B) { benchmark(b, withHTTPX) }

func BenchmarkTCPReader(b *testing.B) { benchmark(b, withTCPReader) }
