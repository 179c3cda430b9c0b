// Package tlsrec records what crypto/tls says on the wire, with the key log.
package tlsrec

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Part is a run of bytes in one direction.
type Part struct {
	Dir  packet.Direction
	Data []byte
}

// Session is a recorded connection.
type Session struct {
	// Parts are what both sides sent, in order; directions alternate.
	Parts []Part
	// KeyLog is the text of the key log.
	KeyLog []byte
}

// Bytes returns all that a direction sent.
func (s *Session) Bytes(dir packet.Direction) []byte {
	var b []byte
	for _, p := range s.Parts {
		if p.Dir == dir {
			b = append(b, p.Data...)
		}
	}
	return b
}

// keyLog collects lines from both goroutines.
type keyLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (k *keyLog) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.Write(b)
}

// Record runs a client and a server over a connection in memory and returns what they said. The configurations are
// used as they are, but for the client's KeyLogWriter; both functions get the connection before its handshake, and it
// is closed after them.
func Record(client, server *tls.Config, talk, serve func(*tls.Conn) error) (*Session, error) {
	var keys keyLog
	client = client.Clone()
	client.KeyLogWriter = &keys
	s, err := RecordPlain(func(c net.Conn) error {
		t := tls.Client(c, client)
		return finish(t, talk(t))
	}, func(c net.Conn) error {
		t := tls.Server(c, server)
		return finish(t, serve(t))
	})
	s.KeyLog = keys.b.Bytes()
	return s, err
}

// RecordPlain is Record without TLS.
func RecordPlain(talk, serve func(net.Conn) error) (*Session, error) {
	w := newWire()
	done := make(chan error, 2)
	run := func(dir packet.Direction, f func(net.Conn) error) {
		c := &end{wire: w, dir: dir}
		done <- finish(c, f(c))
	}
	go run(packet.ClientToServer, talk)
	go run(packet.ServerToClient, serve)
	err := errors.Join(<-done, <-done)
	w.mu.Lock()
	defer w.mu.Unlock()
	return &Session{Parts: w.parts}, err
}

// finish closes a connection after err, which is its last.
func finish(c net.Conn, err error) error {
	if closeErr := c.Close(); !errors.Is(closeErr, net.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

// Certificate returns a self-signed certificate for example.com.
func Certificate(key crypto.Signer) (tls.Certificate, error) {
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.com"}, DNSNames: []string{"example.com"},
		NotBefore: start, NotAfter: start.AddDate(100, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Ed25519 returns a key that is always the same.
func Ed25519() crypto.Signer { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// Listener returns a listener that accepts one connection, the one given, and then waits until it is closed.
func Listener(c net.Conn) net.Listener {
	l := &once{conn: make(chan net.Conn, 1), done: make(chan struct{}), addr: c.LocalAddr()}
	l.conn <- c
	return l
}

type once struct {
	conn  chan net.Conn
	done  chan struct{}
	close sync.Once
	addr  net.Addr
}

// Accept implements net.Listener.
func (l *once) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *once) Close() error {
	l.close.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *once) Addr() net.Addr { return l.addr }

// Text returns the session as text: the key log, then a line of base64 a part, marked ">" from the client and "<" from
// the server.
func (s *Session) Text() []byte {
	out := bytes.Clone(s.KeyLog)
	for _, p := range s.Parts {
		mark := "> "
		if p.Dir == packet.ServerToClient {
			mark = "< "
		}
		out = append(out, mark...)
		out = append(base64.StdEncoding.AppendEncode(out, p.Data), '\n')
	}
	return out
}

// Parse reads what Text wrote.
func Parse(text string) (*Session, error) {
	s := new(Session)
	for line := range strings.Lines(text) {
		mark, data, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if mark != ">" && mark != "<" {
			s.KeyLog = append(s.KeyLog, line...)
			continue
		}
		dir := packet.ClientToServer
		if mark == "<" {
			dir = packet.ServerToClient
		}
		b, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", len(s.Parts)+1, err)
		}
		s.Parts = append(s.Parts, Part{dir, b})
	}
	return s, nil
}
