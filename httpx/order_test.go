package httpx_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// TestOrder: bytes that come later than what answers them, as behind a hole, make no difference.
func TestOrder(t *testing.T) {
	next := ">GET /n HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, tt := range []struct {
		name  string
		talk  talk
		order []int // of delivery
		want  []string
	}{
		{"response first", talk{get, ok2}, []int{1, 0}, []string{gotGet, gotOK2}},
		{"response to HEAD first", talk{head, "<HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", next, ok2}, []int{0, 1, 3, 2}, []string{
			gotHead, "#0 < HTTP/1.1 200 OK|Content-Length:9", "#1 > GET /n HTTP/1.1|Host:a", "#1" + gotOK2[2:],
		}},
		{"next request before the response", talk{get, ok2, next, ok2}, []int{0, 2, 1, 3}, []string{
			gotGet, gotOK2, "#1 > GET /n HTTP/1.1|Host:a", "#1" + gotOK2[2:],
		}},
		{"both ways", talk{get, ok2, next, ok2, ">GET /3 HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []int{0, 2, 4, 1, 3, 5}, []string{
			gotGet, gotOK2, "#1 > GET /n HTTP/1.1|Host:a", "#1" + gotOK2[2:], "#2 > GET /3 HTTP/1.1|Host:a", "#2" + gotOK2[2:],
		}},
		{"a lost response, reported late", talk{get, "<[100]", next, ok2, ">GET /3 HTTP/1.1\r\nHost: a\r\n\r\n", ok2}, []int{0, 2, 4, 1, 3, 5}, []string{
			gotGet, "#1 > GET /n HTTP/1.1|Host:a", "#1" + gotOK2[2:], "#2 > GET /3 HTTP/1.1|Host:a", "#2" + gotOK2[2:],
		}},
		{"a lost request, reported late", talk{">[30]", "<HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", next, ok2}, []int{1, 0, 2, 3}, []string{
			"#0 < HTTP/1.1 404 No|Content-Length:0", "#1 > GET /n HTTP/1.1|Host:a", "#1" + gotOK2[2:],
		}},
		{"old response first", talk{">GET /old\r\n", "<<html>"}, []int{1, 0}, []string{"#0 > GET /old |[http09]", "#0 <  0 |=<html>|[http09]"}},
		{"tunnelled bytes before the tunnel", talk{
			">CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", "<HTTP/1.1 200 OK\r\n\r\n", next, ok2,
		}, []int{0, 2, 1, 3}, []string{
			"#0 > CONNECT b:80 HTTP/1.1|Host:b:80", "#0 < HTTP/1.1 200 OK|[upgrade]", "#1 > GET /n HTTP/1.1|Host:a|[tunnel]", "#1" + gotOK2[2:] + "|[tunnel]",
		}},
		{"a server that starts", talk{"<220 hello\r\n", get, ok2}, []int{0, 1, 2}, []string{gotGet, gotOK2 + "|[skipped]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var steps []step
			for _, i := range tt.order {
				steps = append(steps, tt.talk.steps()[i])
			}
			d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, steps)
			require.Equal(t, tt.want, d.lines())
			bytes, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, cut(steps, 1, 1))
			require.Equal(t, d.lines(), bytes.lines())
			require.Equal(t, d.order, bytes.order)
		})
	}
}

// TestNoAcknowledgements: without them, bytes are taken as they come.
func TestNoAcknowledgements(t *testing.T) {
	steps := talk{get, ok2}.steps()
	for i := range steps {
		steps[i].o.Ack = 0
	}
	d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, []step{steps[1], steps[0]})
	require.Equal(t, []string{gotOK2, "#1" + gotGet[2:]}, d.lines())
}

// TestLateBytesThatNeverCome: a response is not held for ever, nor beyond the limits.
func TestLateBytesThatNeverCome(t *testing.T) {
	response := "<HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
	body := make([]byte, 1000)
	steps := talk{get, response + string(body), ">GET /n HTTP/1.1\r\nHost: a\r\n\r\n", response + string(body)}.steps()
	want := []string{"#0 > GET / HTTP/1.1|Host:a", "#0 < HTTP/1.1 200 OK|Content-Length:1000|=" + string(body), "#1 < HTTP/1.1 200 OK|Content-Length:1000|=" + string(body)}
	d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, []step{steps[0], steps[1], steps[3]})
	require.Equal(t, want, d.lines())
	require.Zero(t, p.Stats().LimitHeld)
	d, p = parse(t, httpx.Config{Limits: httpx.Limits{Held: 500}}, httpx.ConnInfo{}, []step{steps[0], steps[1], steps[3]})
	require.Equal(t, want, d.lines())
	require.Equal(t, uint64(1), p.Stats().LimitHeld)
	_, p = parse(t, httpx.Config{Limits: httpx.Limits{TotalHeld: 500}}, httpx.ConnInfo{}, []step{steps[0], steps[1], steps[3]})
	require.Equal(t, uint64(1), p.Stats().LimitHeld)
}

// TestSilentClient: the responses of a capture of one direction are not held, but for the first bytes.
func TestSilentClient(t *testing.T) {
	var open int
	p, err := httpx.New(&httpx.Config{OnMessage: func(*httpx.Message) { open++ }})
	require.NoError(t, err)
	c := p.Open(httpx.ConnInfo{})
	talk := talk{}
	for range 1000 {
		talk = append(talk, "<HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	steps := talk.steps()
	for i, s := range steps {
		s.o.Ack = 77
		c.Data(s.dir, s.off, []byte(s.text), s.o)
		if i == 0 {
			require.Zero(t, open)
		}
		require.LessOrEqual(t, i-open, 400)
	}
	require.Equal(t, 1000, open)
	c.Close()
	require.Zero(t, p.Stats().LimitHeld)
	require.Equal(t, uint64(1000), p.Stats().Exchanges)
}

// TestPairing: which responses are lost is told from what requests acknowledge, and where it is not, said so.
func TestPairing(t *testing.T) {
	n := func(i int) string { return fmt.Sprintf(">GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i) }
	all := func(order []string, _ *httpx.Parser) []string { return order }
	order := func(tk talk) []string {
		d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, tk.steps())
		return all(d.order, p)
	}
	require.Equal(t, []string{"request 0", "request 28", "exchange 0 [gap]", "response 50", "exchange 1"}, order(talk{n(0), "<[50]", n(1), ok2}), "one lost")
	require.Equal(t, []string{"request 0", "request 28", "request 56", "exchange 0 [gap]", "exchange 1 [gap]", "response 50", "exchange 2"}[:1], order(talk{n(0), "<[50]", n(1), "<[50]", n(2), ok2})[:1])
	two := order(talk{n(0) + n(1)[1:], "<[50]", n(2), ok2})
	require.Contains(t, two, "exchange 0 [gap]")
	require.Contains(t, two, "exchange 1 [gap]")
	require.Contains(t, two, "exchange 2")
	guess := order(talk{n(0) + n(1)[1:], "<[50]", ok2})
	require.Contains(t, guess, "exchange 0 [pairing]")
	require.Contains(t, guess, "exchange 1")
	partly := order(talk{n(0) + n(1)[1:], ok2, n(2), "<[50]", ok2})
	require.Contains(t, partly, "exchange 0")
	require.Contains(t, partly, "exchange 1 [pairing]", "the second or the third")
}

func TestPendingLimit(t *testing.T) {
	tk := talk{}
	for i := range 10 {
		tk = append(tk, fmt.Sprintf(">GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
	}
	tk = append(tk, ok2)
	d, p := parse(t, httpx.Config{Limits: httpx.Limits{Pending: 4}}, httpx.ConnInfo{}, tk.steps())
	require.Equal(t, uint64(6), p.Stats().LimitPending)
	require.Equal(t, uint64(10), p.Stats().Exchanges)
	require.Contains(t, d.order, "exchange 5 [limit]")
	require.Equal(t, "#6"+gotOK2[2:], d.lines()[10])
	d, p = parse(t, httpx.Config{Limits: httpx.Limits{TotalPending: 3000}}, httpx.ConnInfo{}, tk.steps())
	require.Equal(t, uint64(5), p.Stats().LimitPending, "some 600 bytes each")
	require.Equal(t, "#5"+gotOK2[2:], d.lines()[10])
	d, p = parse(t, httpx.Config{Limits: httpx.Limits{TotalPending: 1}}, httpx.ConnInfo{}, talk{get, ok2, get, ok2}.steps())
	require.Zero(t, p.Stats().LimitPending, "one may wait")
	require.Len(t, d.list, 4)
}

// TestManyPending: requests wait by the thousand, and get their responses in order.
func TestManyPending(t *testing.T) {
	tk := talk{}
	for i := range 3000 {
		tk = append(tk, fmt.Sprintf(">GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
	}
	for range 2990 {
		tk = append(tk, "<HTTP/1.1 204 x\r\n\r\n")
	}
	d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, tk.steps())
	require.Equal(t, uint64(3000), p.Stats().Exchanges)
	for i, m := range d.list {
		require.Equal(t, uint64(i%3000), m.Exchange.Number)
		require.Equal(t, fmt.Sprintf("/%d", i%3000), m.Exchange.Request.Target)
	}
}

// TestTimes: an exchange knows when its first and last bytes came, and in which frames.
func TestTimes(t *testing.T) {
	tk := talk{">GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", ">ok", "<HTTP/1.1 100 x\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", "<cd"}
	for _, steps := range [][]step{tk.steps(), cut(tk.steps(), 1, 1)} {
		d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, steps)
		require.Len(t, d.list, 3)
		e := d.list[0].Exchange
		require.Equal(t, httpx.Place{Offset: 0, Packet: 1, Time: 1e6}, e.Request.Start)
		require.Equal(t, httpx.Place{Offset: 48, Packet: 2, Time: 2e6}, e.Request.End)
		require.Equal(t, httpx.Place{Offset: 18, Packet: 4, Time: 4e6}, e.Response.Start)
		require.Equal(t, httpx.Place{Offset: 60, Packet: 5, Time: 5e6}, e.Response.End)
		require.Equal(t, []*httpx.Message{d.list[1]}, e.Informational)
		require.Equal(t, int64(2e6), int64(e.TTFB()))
		require.Equal(t, int64(4e6), int64(e.Duration()))
		require.Equal(t, int64(1e6), e.Request.Start.When().UnixNano())
	}
	require.Zero(t, (&httpx.Exchange{}).Duration())
	require.Zero(t, (&httpx.Exchange{}).TTFB())
}
