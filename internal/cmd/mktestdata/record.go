package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
)

// record writes what crypto/tls and net/http say to each other into dir: transcripts, of which captures are made. They
// are other ones each time, since they are encrypted under random keys.
func record(dir string) error {
	cert, err := tlsrec.Certificate(tlsrec.Ed25519())
	if err != nil {
		return err
	}
	for _, r := range []struct {
		name    string
		version uint16
		suites  []uint16
		next    []string
	}{
		{"h2", tls.VersionTLS13, nil, []string{"h2"}},
		{"http11", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}, []string{"http/1.1"}},
		{"cbc", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, []string{"http/1.1"}},
	} {
		client := &tls.Config{
			ServerName: web, InsecureSkipVerify: true, NextProtos: r.next, MaxVersion: r.version, CipherSuites: r.suites,
			CurvePreferences: []tls.CurveID{tls.X25519}, // small hellos
		}
		server := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: r.next}
		s, err := tlsrec.Record(client, server, visit, serve)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, r.name+".txt"), s.Text(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// visit is what the client does.
func visit(c *tls.Conn) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	t := &http.Transport{
		DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return c, nil },
		ForceAttemptHTTP2: true, DisableCompression: true,
	}
	defer t.CloseIdleConnections()
	for _, q := range []struct{ method, path, body string }{
		{http.MethodGet, "/", ""}, {http.MethodGet, "/story.txt", ""}, {http.MethodPost, "/guestbook", "name=tcpfollow&text=hello"},
	} {
		q, err := http.NewRequest(q.method, "https://"+web+q.path, strings.NewReader(q.body))
		if err != nil {
			return err
		}
		q.Header.Set("User-Agent", "tcpfollow-testdata/1.0")
		resp, err := t.RoundTrip(q)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
	}
	return nil
}

// serve is what the server does.
func serve(c *tls.Conn) error {
	l := tlsrec.Listener(c)
	answer := func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Date", "Mon, 01 Jan 2024 00:00:00 GMT")
		w.Header().Set("Server", "example")
		switch q.URL.Path {
		case "/":
			w.Header().Set("Content-Type", html)
			_, _ = io.WriteString(w, page("Hello from tcpfollow"))
		case "/story.txt":
			w.Header().Set("Content-Type", plain)
			_, _ = io.WriteString(w, story(100))
			w.Header().Set(http.TrailerPrefix+"X-Lines", "100")
		default:
			w.Header().Set("Content-Type", plain)
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "Thank you.\n")
		}
	}
	s := &http.Server{
		Handler: http.HandlerFunc(answer),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				_ = l.Close()
			}
		},
	}
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
