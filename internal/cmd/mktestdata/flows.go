package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
)

// related returns a capture with sequences of related events, and thousands of exchanges that have nothing to do with
// them, or nearly belong to them.
func related() []capture {
	g := &office{random: rand.New(rand.NewPCG(1, 2)), ports: map[netip.Addr]uint16{}}
	for range 400 {
		g.browse()
	}
	for range 150 {
		g.look()
	}
	g.login(2*time.Second, "192.0.2.101", "tok-7Q2aX9", "tok-7Q2aX9", "f00d1e5afe", "f00d1e5afe", 302)
	g.login(5*time.Second, "192.0.2.102", "tok-Zk31bB", "tok-stale0", "0badc0ffee", "0badc0ffee", 302)
	g.login(9*time.Second, "192.0.2.103", "tok-p0Lm4c", "tok-p0Lm4c", "", "", 403)
	g.login(11*time.Second, "192.0.2.104", "tok-11aa22", "tok-11aa22", "5ca1ab1e00", "c0de00c0de", 302)
	g.login(14*time.Second, "2001:db8::105", "tok-V6ok77", "tok-V6ok77", "decade2024", "decade2024", 303)
	g.authorize(3*time.Second, "192.0.2.111", "st-4f81", "st-4f81", "SplxlOBeZQ", "SplxlOBeZQ", "2YotnFZFEj")
	g.authorize(8*time.Second, "192.0.2.112", "st-99c0", "st-0000", "mZ83hsK1Qa", "mZ83hsK1Qa", "tGzv3JOkF0")
	g.authorize(12*time.Second, "192.0.2.113", "st-77d1", "st-77d1", "a1B2c3D4e5", "zzzzzzzzzz", "")
	g.download(4*time.Second, "192.0.2.121", "dl1.cdn.example", "203.0.113.7", "203.0.113.7", 20000)
	g.download(10*time.Second, "192.0.2.122", "dl2.cdn.example", "203.0.113.8", "203.0.113.99", 20000)
	g.download(13*time.Second, "192.0.2.123", "dl3.cdn.example", "203.0.113.9", "203.0.113.9", 300)
	trace := pktgen.Merge(g.traces...)
	return []capture{{
		name:   "flows/office.pcap.gz",
		what:   "two logins, an OAuth code flow, a download over DNS, TLS and HTTP, and such that nearly are, among thousands of unrelated exchanges",
		data:   squeezed(pktgen.Pcap(pktgen.PcapFormat{}, trace.Frames())),
		frames: len(trace),
	}}
}

// office is many clients at work.
type office struct {
	random *rand.Rand
	traces []pktgen.Trace
	ports  map[netip.Addr]uint16
}

// open returns a connection of a client.
func (g *office) open(at time.Duration, client, server string) *pktgen.Conversation {
	from := addr(client)
	to := endpoint(server)
	if from.Is6() {
		to = netip.AddrPortFrom(addr("2001:db8:ffff::1"), to.Port())
	}
	g.ports[from]++
	c := &pktgen.Conversation{
		ClientAddr: netip.AddrPortFrom(from, 49151+g.ports[from]), ServerAddr: to, AckEvery: -1, SYNOptions: []byte{},
		Start: pktgen.Start + int64(at), Step: 3 * time.Millisecond, ClientISN: g.random.Uint32(), ServerISN: g.random.Uint32(),
	}
	return c.Open()
}

func (g *office) add(c *pktgen.Conversation) { g.traces = append(g.traces, c.Close(client).Trace()) }

func ask(method, target, host, body string, lines ...string) []byte {
	text := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if body != "" {
		text += fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(body))
	}
	return []byte(text + strings.Join(append(lines, "", body), "\r\n"))
}

func answer(status, body string, lines ...string) []byte {
	lines = append([]string{"HTTP/1.1 " + status}, lines...)
	return []byte(strings.Join(append(lines, fmt.Sprintf("Content-Length: %d", len(body)), "", body), "\r\n"))
}

// browse is a connection with eight exchanges that mean nothing, some of which look like parts of what is looked for.
func (g *office) browse() {
	host := []string{"shop.example", "news.example", "wiki.example", "id.example"}[g.random.IntN(4)]
	c := g.open(time.Duration(g.random.IntN(18000))*time.Millisecond, fmt.Sprintf("192.0.2.%d", 1+g.random.IntN(120)), fmt.Sprintf("198.51.100.%d:80", 1+g.random.IntN(6)))
	for range 8 {
		c.Wait(time.Duration(1+g.random.IntN(40)) * time.Millisecond)
		n := g.random.IntN(10000)
		switch g.random.IntN(8) {
		case 0:
			c.Client(ask("GET", fmt.Sprintf("/old/%d", n), host, "")).Server(answer("302 Found", "", fmt.Sprintf("Location: http://%s/new/%d?state=st-%04x&code=%d", host, n, n, n)))
		case 1:
			c.Client(ask("GET", fmt.Sprintf("/me/%d", n), host, "", fmt.Sprintf("Cookie: sid=%010x", n))).Server(answer("200 OK", "me"))
		case 2:
			c.Client(ask("POST", "/search", host, fmt.Sprintf("q=%d&csrf=tok-%d", n, n))).Server(answer("200 OK", "<p>nothing</p>"))
		case 3:
			c.Client(ask("GET", "/form", host, "")).Server(answer("200 OK", fmt.Sprintf(`<input name="csrf" value="tok-%d">`, n)))
		default:
			c.Client(ask("GET", fmt.Sprintf("/item/%d", n), host, "")).Server(answer("200 OK", fmt.Sprintf("<h1>Item %d</h1>", n)))
		}
	}
	g.add(c)
}

// look is a question of DNS with its answer, and half of the time a hello to what it says.
func (g *office) look() {
	at := time.Duration(g.random.IntN(18000)) * time.Millisecond
	from := fmt.Sprintf("192.0.2.%d", 1+g.random.IntN(120))
	name, to := fmt.Sprintf("host%d.cdn.example", g.random.IntN(1000)), fmt.Sprintf("203.0.113.%d", 10+g.random.IntN(80))
	g.resolve(at, from, name, to)
	if g.random.IntN(2) == 0 {
		g.add(g.open(at+20*time.Millisecond, from, to+":443").Client(greeting(name)).Server([]byte{21, 3, 3, 0, 2, 2, 40}))
	}
}

// resolve is a question of DNS and its answer.
func (g *office) resolve(at time.Duration, from, name, address string) {
	g.ports[addr(from)]++
	port := 49151 + g.ports[addr(from)]
	there := pktgen.IPv4{Src: addr(from), Dst: addr("192.0.2.253")}
	back := pktgen.IPv4{Src: there.Dst, Dst: there.Src}
	ip := addr(address).As4()
	g.traces = append(g.traces, pktgen.Trace{
		{Time: pktgen.Start + int64(at), Dir: client, Layers: []pktgen.Layer{there, pktgen.UDP{Src: port, Dst: 53}, dns(name, nil)}},
		{Time: pktgen.Start + int64(at+5*time.Millisecond), Dir: server, Layers: []pktgen.Layer{back, pktgen.UDP{Src: 53, Dst: port}, dns(name, ip[:])}},
	}.Wrap(pktgen.Ethernet{}))
}

// login asks for a form, sends it with a token, and shows a cookie. It is one when the form's token is sent, and the cookie
// that was set is shown.
func (g *office) login(at time.Duration, from, token, sent, set, shown string, status int) {
	const host = "shop.example"
	g.add(g.open(at, from, "198.51.100.1:80").
		Client(ask("GET", "/login", host, "")).
		Server(answer("200 OK", `<form method="post"><input name="user"><input type="hidden" name="csrf" value="`+token+`"></form>`, "Content-Type: text/html")).
		Wait(700 * time.Millisecond).Client(ask("GET", "/style.css", host, "")).Server(answer("304 Not Modified", "")))
	c := g.open(at+1500*time.Millisecond, from, "198.51.100.1:80").Client(ask("POST", "/login", host, "user=user1&password=secret&csrf="+sent))
	if status == 403 {
		g.add(c.Server(answer("403 Forbidden", "no")))
		return
	}
	c.Server(answer(fmt.Sprintf("%d See", status), "", "Location: /account", "Set-Cookie: sid="+set+"; Path=/; HttpOnly"))
	for _, path := range []string{"/account", "/account/orders"} {
		c.Wait(100 * time.Millisecond).Client(ask("GET", path, host, "", "Cookie: theme=dark; sid="+shown)).Server(answer("200 OK", "<h1>Account</h1>"))
	}
	g.add(c)
}

// authorize is an OAuth code flow (RFC 6749 §4.1): the browser is sent to the authorization server and back with a code,
// which the application exchanges for a token behind its back.
func (g *office) authorize(at time.Duration, from, state, returned, code, exchanged, token string) {
	const app, id, api = "app.example", "id.example", "api.example"
	g.add(g.open(at, from, "198.51.100.2:80").Client(ask("GET", "/connect", app, "")).
		Server(answer("302 Found", "", "Location: http://"+id+"/authorize?response_type=code&client_id=app&state="+state+"&redirect_uri=http%3A%2F%2F"+app+"%2Fcallback")))
	g.add(g.open(at+50*time.Millisecond, from, "198.51.100.3:80").
		Client(ask("GET", "/authorize?response_type=code&client_id=app&state="+state+"&redirect_uri=http%3A%2F%2F"+app+"%2Fcallback", id, "")).
		Server(answer("302 Found", "", "Location: http://"+app+"/callback?code="+code+"&state="+returned)))
	back := g.open(at+120*time.Millisecond, from, "198.51.100.2:80").Client(ask("GET", "/callback?code="+code+"&state="+returned, app, ""))
	exchange := g.open(at+140*time.Millisecond, "198.51.100.2", "198.51.100.3:80").
		Client(ask("POST", "/token", id, "grant_type=authorization_code&code="+exchanged+"&client_id=app"))
	if token == "" {
		g.add(exchange.Server(answer("400 Bad Request", `{"error":"invalid_grant"}`)))
		g.add(back.Wait(100 * time.Millisecond).Server(answer("500 Error", "")))
		return
	}
	g.add(exchange.Server(answer("200 OK", `{"access_token":"`+token+`","token_type":"Bearer","expires_in":3600}`, "Content-Type: application/json")))
	g.add(g.open(at+170*time.Millisecond, "198.51.100.2", "198.51.100.4:80").Client(ask("GET", "/me", api, "", "Authorization: Bearer "+token)).Server(answer("200 OK", `{"name":"user1"}`)))
	g.add(back.Wait(200 * time.Millisecond).Server(answer("302 Found", "", "Location: /")))
}

// download is sent from HTTP to a host at a distributor, looks it up, and fetches from it over TLS. It is one when the
// connection goes where DNS said, and enough comes back.
func (g *office) download(at time.Duration, from, name, resolved, used string, size int) {
	g.add(g.open(at, from, "198.51.100.5:80").Client(ask("GET", "/get/setup.iso", "downloads.example", "")).
		Server(answer("302 Found", "", "Location: https://"+name+"/mirror/setup.iso?sig=1234")))
	g.resolve(at+30*time.Millisecond, from, name, resolved)
	record := append([]byte{23, 3, 3}, binary.BigEndian.AppendUint16(nil, uint16(size))...)
	g.add(g.open(at+50*time.Millisecond, from, used+":443").Client(greeting(name)).Server(append(record, make([]byte, size)...)))
}

// greeting is a TLS ClientHello that asks for a name.
func greeting(name string) []byte {
	ext := append([]byte{0, 0, 0, byte(len(name) + 5), 0, byte(len(name) + 3), 0, 0, byte(len(name))}, name...)
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 0x01, 1, 0, 0, byte(len(ext)))
	body = append(body, ext...)
	message := append([]byte{1, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 3, 1, 0, byte(len(message))}, message...)
}
