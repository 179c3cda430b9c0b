package appid_test

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("198.51.100.2:4433")
)

// extension is a TLS extension.
type extension struct {
	kind uint16
	body []byte
}

// helloOf returns a ClientHello handshake message.
func helloOf(version uint16, ciphers []uint16, extensions ...extension) []byte {
	var b cryptobyte.Builder
	b.AddUint8(1)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(version)
		b.AddBytes(make([]byte, 32))
		b.AddUint8LengthPrefixed(func(*cryptobyte.Builder) {})
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, c := range ciphers {
				b.AddUint16(c)
			}
		})
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint8(0) })
		if len(extensions) == 0 {
			return
		}
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, e := range extensions {
				b.AddUint16(e.kind)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.body) })
			}
		})
	})
	return b.BytesOrPanic()
}

// words returns 16-bit values behind a length of so many bytes.
func words(prefix int, values ...uint16) []byte {
	b := make([]byte, prefix, prefix+2*len(values))
	b[prefix-1] = byte(2 * len(values))
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

func sni(names ...string) extension {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, n := range names {
			b.AddUint8(0)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(n)) })
		}
	})
	return extension{0, b.BytesOrPanic()}
}

func alpn(names ...string) extension {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, n := range names {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(n)) })
		}
	})
	return extension{16, b.BytesOrPanic()}
}

// records returns a handshake message in records of at most size bytes.
func records(message []byte, size int) []byte {
	var b []byte
	for len(message) > 0 {
		n := min(size, len(message))
		b = append(b, 22, 3, 1, byte(n>>8), byte(n))
		b = append(b, message[:n]...)
		message = message[n:]
	}
	return b
}

// session returns what the two sides of a real TLS handshake send, and the bytes of application data behind it.
func session(t testing.TB, version uint16) (fromClient, fromServer []byte) {
	t.Helper()
	a, b := net.Pipe()
	cert := selfSigned(t, "server.example", "www.server.example")
	done := make(chan []byte)
	go func() {
		s := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}, MaxVersion: version})
		_, _ = io.ReadAll(s)
		_ = b.Close()
		done <- nil
	}()
	rec := &recorder{Conn: a}
	c := tls.Client(rec, &tls.Config{
		ServerName: "WWW.Server.Example", InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}, MaxVersion: version, //nolint:gosec // a test
	})
	_, err := c.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, a.Close())
	<-done
	return rec.wrote, rec.read
}

// recorder keeps what goes through a connection.
type recorder struct {
	net.Conn
	wrote, read []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = append(r.wrote, b...)
	return r.Conn.Write(b)
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.read = append(r.read, b[:n]...)
	return n, err
}

// applications is the table of the package, read once.
var applications = sync.OnceValues(appid.NewApplications)

// finder collects findings.
type finder struct {
	t        testing.TB
	engine   *appid.Engine
	findings []appid.Finding
}

func newFinder(t testing.TB, cfg *appid.Config) *finder {
	t.Helper()
	f := &finder{t: t}
	if cfg == nil {
		cfg = &appid.Config{}
	}
	shared, err := applications()
	require.NoError(t, err)
	cfg.Applications = shared
	f.engine, err = appid.New(func(_ *appid.State, found *appid.Finding) { f.findings = append(f.findings, *found) }, cfg)
	require.NoError(t, err)
	return f
}

// stream feeds both directions of a connection, in pieces of size bytes, and returns what was found.
func (f *finder) stream(fromClient, fromServer []byte, size int) []appid.Finding {
	f.findings = nil
	st := f.engine.Open(packet.ProtoTCP, client, server)
	for dir, b := range [2][]byte{fromClient, fromServer} {
		for len(b) > 0 {
			n := min(size, len(b))
			f.engine.Feed(st, appid.Input{Direction: packet.Direction(dir), Data: append([]byte(nil), b[:n]...)})
			b = b[n:]
		}
	}
	return f.findings
}

// datagrams feeds datagrams of one flow, those with a negative index of the list from the server.
func (f *finder) datagrams(port uint16, list ...datagram) []appid.Finding {
	f.findings = nil
	st := f.engine.Open(packet.ProtoUDP, client, netip.AddrPortFrom(server.Addr(), port))
	for i, d := range list {
		f.engine.Feed(st, appid.Input{Direction: d.dir, Data: d.data, Frame: uint64(i + 1)})
	}
	return f.findings
}

type datagram struct {
	dir  packet.Direction
	data []byte
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

var netip53 = netip.MustParseAddrPort("198.51.100.2:53")

func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }
