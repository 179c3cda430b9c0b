package httpx_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// traffic makes well-formed exchanges.
type traffic struct {
	r              *rand.Rand
	client, server bytes.Buffer
	methods        []string // of all requests
}

func (g *traffic) word(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
	b := make([]byte, 1+g.r.IntN(n))
	for i := range b {
		b[i] = letters[g.r.IntN(len(letters))]
	}
	return string(b)
}

// header returns header lines without meaning, in odd cases and spacings that are allowed.
func (g *traffic) header() string {
	var b strings.Builder
	for range g.r.IntN(8) {
		fmt.Fprintf(&b, "X-%s:%s%s%s\r\n", g.word(10), strings.Repeat(" ", g.r.IntN(3)), strings.Join([]string{g.word(20), g.word(5), g.word(30)}, ", "), strings.Repeat(" \t", g.r.IntN(2)))
	}
	return b.String()
}

// body returns header lines that announce a body, and the body in that framing.
func (g *traffic) body() (header, framed string) {
	plain := strings.Repeat(g.word(50), g.r.IntN(40))
	if g.r.IntN(2) == 0 {
		return fmt.Sprintf("Content-Length: %d\r\n", len(plain)), plain
	}
	var b strings.Builder
	for rest := plain; rest != ""; {
		n := 1 + g.r.IntN(len(rest))
		ext := ""
		if g.r.IntN(4) == 0 {
			ext = ";" + g.word(5) + "=" + g.word(5)
		}
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", n, ext, rest[:n])
		rest = rest[n:]
	}
	b.WriteString("0\r\n")
	header = "Transfer-Encoding: chunked\r\n"
	if g.r.IntN(3) == 0 {
		header += "Trailer: X-Trail\r\n"
		b.WriteString("X-Trail: " + g.word(10) + "\r\n")
	}
	return header, b.String() + "\r\n"
}

// exchange makes a request, and the responses to it.
func (g *traffic) exchange() (request, answer string) {
	method := []string{"GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}[g.r.IntN(9)]
	g.methods = append(g.methods, method)
	target := "/" + g.word(20) + "?" + g.word(10) + "=" + g.word(10)
	request = fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, target, g.word(12), g.header())
	if method == "POST" || method == "PUT" || method == "PATCH" {
		header, body := g.body()
		request += header + "\r\n" + body
	} else {
		request += "\r\n"
	}
	for range g.r.IntN(6) / 4 {
		answer += "HTTP/1.1 100 Continue\r\n" + g.header() + "\r\n"
	}
	status := []int{200, 200, 200, 204, 206, 301, 304, 404, 500}[g.r.IntN(9)]
	answer += fmt.Sprintf("HTTP/1.1 %d %s\r\n%s", status, g.word(10), g.header())
	switch {
	case status == 204, status == 304:
		answer += "\r\n"
	case method == "HEAD":
		header, _ := g.body()
		answer += header + "\r\n"
	default:
		header, body := g.body()
		answer += header + "\r\n" + body
	}
	return request, answer
}

// oracle reads what one side said with net/http, message by message.
func oracle(t *testing.T, text string, responses bool, methods []string) []string {
	t.Helper()
	var list []string
	r := bufio.NewReader(strings.NewReader(text))
	for i := 0; ; {
		if _, err := r.Peek(1); err == io.EOF {
			return list
		}
		var header http.Header
		var body io.ReadCloser
		var trailer *http.Header
		var line string
		if responses {
			m, err := http.ReadResponse(r, &http.Request{Method: methods[i]})
			require.NoError(t, err)
			if m.StatusCode != 100 {
				i++
			}
			line, header, body, trailer = fmt.Sprintf("%s %s", m.Proto, m.Status), m.Header, m.Body, &m.Trailer
		} else {
			m, err := http.ReadRequest(r)
			require.NoError(t, err)
			m.Header.Set("Host", m.Host)
			line, header, body, trailer = fmt.Sprintf("%s %s %s", m.Method, m.RequestURI, m.Proto), m.Header, m.Body, &m.Trailer
		}
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		list = append(list, gist(line, header, *trailer, b))
	}
}

// gist describes a message as net/http has it, which forgets the order and the case of names, and what framed it.
func gist(line string, header, trailer http.Header, body []byte) string {
	var fields []string
	for _, h := range []http.Header{header, trailer} {
		for name, values := range h {
			if name != "Content-Length" && name != "Transfer-Encoding" && name != "Trailer" && len(values) > 0 { // none: announced only
				fields = append(fields, name+": "+strings.Join(values, "|"))
			}
		}
	}
	slices.Sort(fields)
	return fmt.Sprintf("%s %v %q", line, fields, body)
}

// TestAgainstNetHTTP: of what is well-formed, net/http finds the same.
func TestAgainstNetHTTP(t *testing.T) {
	for seed := range uint64(60) {
		g := &traffic{r: rand.New(rand.NewPCG(seed, 1))}
		var tk talk
		for range 20 {
			q, a := g.exchange()
			for g.r.IntN(4) == 0 { // pipelined
				q2, a2 := g.exchange()
				q, a = q+q2, a+a2
			}
			g.client.WriteString(q)
			g.server.WriteString(a)
			tk = append(tk, ">"+q, "<"+a)
		}
		want := append(oracle(t, g.client.String(), false, nil), oracle(t, g.server.String(), true, g.methods)...)
		for _, steps := range [][]step{tk.steps(), cut(tk.steps(), 7, 13)} {
			d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, steps)
			var requests, responses []string
			for _, m := range d.list {
				require.Empty(t, withoutExt(m.Flags).Strings(), d.line(m))
				header, trailer := http.Header{}, http.Header{}
				for _, f := range m.Header {
					header.Add(textproto.CanonicalMIMEHeaderKey(f.Name), f.Value)
				}
				for _, f := range m.Trailer {
					trailer.Add(f.Name, f.Value)
				}
				if m.Kind == httpx.Request {
					requests = append(requests, gist(m.Method+" "+m.Target+" "+m.Version, header, trailer, []byte(d.bodies[m].String())))
				} else {
					responses = append(responses, gist(fmt.Sprintf("%s %d %s", m.Version, m.Status, m.Reason), header, trailer, []byte(d.bodies[m].String())))
				}
			}
			require.Equal(t, want, append(requests, responses...), "seed %d", seed)
			require.Zero(t, p.Stats().Skipped)
			require.Equal(t, uint64(len(g.methods)), p.Stats().Exchanges)
		}
	}
}

func withoutExt(f httpx.Flags) httpx.Flags { return f &^ httpx.FlagChunkExt }
