package tlsrec_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
	"github.com/tcpfollow/tcpfollow/packet"
)

func configs(t testing.TB) (client, server *tls.Config) {
	t.Helper()
	cert, err := tlsrec.Certificate(tlsrec.Ed25519())
	require.NoError(t, err)
	return &tls.Config{ServerName: "example.com", InsecureSkipVerify: true}, &tls.Config{Certificates: []tls.Certificate{cert}}
}

func TestRecord(t *testing.T) {
	client, server := configs(t)
	s, err := tlsrec.Record(client, server, func(c *tls.Conn) error {
		_, err := io.WriteString(c, "hello")
		return err
	}, func(c *tls.Conn) error {
		_, err := io.ReadFull(c, make([]byte, 5))
		return err
	})
	require.NoError(t, err)
	require.Equal(t, packet.ClientToServer, s.Parts[0].Dir)
	for i, p := range s.Parts {
		require.NotEmpty(t, p.Data)
		require.True(t, i == 0 || s.Parts[i-1].Dir != p.Dir, "directions alternate")
	}
	require.Equal(t, 4, strings.Count(string(s.KeyLog), "\n"))
	require.Equal(t, byte(22), s.Bytes(packet.ServerToClient)[0])

	again, err := tlsrec.Parse(string(s.Text()))
	require.NoError(t, err)
	require.Equal(t, s, again)
	_, err = tlsrec.Parse("> !")
	require.Error(t, err)
}

func TestRecordFails(t *testing.T) {
	client, server := configs(t)
	client.InsecureSkipVerify = false
	broken := errors.New("broken")
	_, err := tlsrec.Record(client, server, (*tls.Conn).Handshake, func(*tls.Conn) error { return broken })
	require.ErrorIs(t, err, broken)
}

// A server of net/http works over the connection in memory, deadlines included.
func TestListener(t *testing.T) {
	client, server := configs(t)
	_, err := tlsrec.Record(client, server, func(c *tls.Conn) error {
		for range 2 {
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"); err != nil {
				return err
			}
			want := "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n"
			if _, err := io.ReadFull(c, make([]byte, len(want))); err != nil {
				return err
			}
		}
		return nil
	}, func(c *tls.Conn) error {
		l := tlsrec.Listener(c)
		s := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", "x")
				w.WriteHeader(http.StatusNoContent)
			}),
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					l.Close()
				}
			},
			ReadHeaderTimeout: time.Minute,
		}
		err := s.Serve(l)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		return err
	})
	require.NoError(t, err)
}
