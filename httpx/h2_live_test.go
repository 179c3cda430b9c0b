package httpx_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/tlsrec"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// lower returns header fields as HTTP/2 has them, sorted.
func lower(h http.Header) []string {
	var list []string
	for name, values := range h {
		for _, v := range values {
			list = append(list, strings.ToLower(name)+": "+v)
		}
	}
	return slices.Sorted(slices.Values(list))
}

// What a client and a server of x/net say to each other is what they believe they said.
func TestH2AgainstNet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) string {
		b := make([]byte, r.IntN(n))
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		return string(b)
	}
	type exchange struct {
		method, path, body string
		status             int
		fields, trailer    map[string]string
		answer             string
	}
	var sent []exchange
	for i := range 60 {
		e := exchange{
			method: []string{"GET", "POST", "PUT", "DELETE"}[r.IntN(4)], path: fmt.Sprintf("/%d/%s", i, random(30)),
			status: []int{200, 201, 206, 404, 500}[r.IntN(5)], answer: random(40_000), fields: map[string]string{}, trailer: map[string]string{},
		}
		if e.method != "GET" {
			e.body = random(40_000)
		}
		for range r.IntN(8) {
			e.fields["x-"+random(9)+"a"] = random(60)
		}
		if i%3 == 0 {
			e.trailer["x-trailer-"+random(5)+"b"] = random(10)
		}
		sent = append(sent, e)
	}
	byPath := map[string]*exchange{}
	for i := range sent {
		byPath[sent[i].path] = &sent[i]
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		e := byPath[q.URL.Path]
		for name, v := range e.fields {
			w.Header().Set(name, v)
		}
		w.WriteHeader(e.status)
		_, _ = io.WriteString(w, e.answer)
		for name, v := range e.trailer {
			w.Header().Set(http.TrailerPrefix+name, v)
		}
	})
	var got [][]string
	session, err := tlsrec.RecordPlain(func(c net.Conn) error {
		conn, err := (&http2.Transport{AllowHTTP: true, DisableCompression: true}).NewClientConn(c)
		if err != nil {
			return err
		}
		for i := range sent {
			e := &sent[i]
			q, err := http.NewRequest(e.method, "http://example.com"+e.path, strings.NewReader(e.body))
			if err != nil {
				return err
			}
			for name, v := range e.fields {
				q.Header.Set(name, v)
			}
			resp, err := conn.RoundTrip(q)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return err
			}
			got = append(got, append(lower(resp.Header), lower(resp.Trailer)...))
		}
		return conn.Close()
	}, func(c net.Conn) error {
		(&http2.Server{}).ServeConn(c, &http2.ServeConnOpts{Handler: handler})
		return nil
	})
	require.NoError(t, err)

	var list []*httpx.Exchange
	p, err := httpx.New(&httpx.Config{Digest: true, OnExchange: func(e *httpx.Exchange) { list = append(list, e) }})
	require.NoError(t, err)
	c := p.Open(httpx.ConnInfo{})
	var off [2]uint64
	for i, part := range session.Parts {
		for b := part.Data; len(b) > 0; {
			n := min(len(b), 1+r.IntN(3000))
			c.Data(part.Dir, off[part.Dir], b[:n], reassemble.Origin{Packet: uint64(i + 1)})
			off[part.Dir] += uint64(n)
			b = b[n:]
		}
	}
	c.Close()
	require.Len(t, list, len(sent))
	for i, e := range list {
		want := &sent[i]
		require.Equal(t, []string{want.method, want.path, "example.com"}, []string{e.Request.Method, e.Request.Target, e.Request.Host()})
		require.Equal(t, want.status, e.Response.Status)
		require.Zero(t, e.Request.Flags|e.Response.Flags)
		for m, body := range map[*httpx.Message]string{e.Request: want.body, e.Response: want.answer} {
			require.Equal(t, uint64(len(body)), m.Length)
			if body != "" {
				sum := sha256.Sum256([]byte(body))
				require.True(t, bytes.Equal(sum[:], m.SHA256))
			}
		}
		fields := map[string]string{}
		for _, f := range e.Request.Header {
			if strings.HasPrefix(f.Name, "x-") {
				fields[f.Name] = f.Value
			}
		}
		require.True(t, maps.Equal(want.fields, fields))
		var seen []string
		for _, f := range slices.Concat(e.Response.Header[1:], e.Response.Trailer) {
			seen = append(seen, f.Name+": "+f.Value)
		}
		slices.Sort(seen)
		slices.Sort(got[i])
		require.Equal(t, got[i], seen)
	}
	require.Zero(t, p.Stats().Skipped+p.Stats().BadFrames)
}
