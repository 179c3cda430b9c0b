package main

import (
	"fmt"
	"strings"
)

// request returns an HTTP/1.1 request; lines are further header lines.
func request(method, target, host, body string, lines ...string) []byte {
	head := append([]string{method + " " + target + " HTTP/1.1", "Host: " + host, "User-Agent: tcpfollow-testdata/1.0", "Accept: */*"}, lines...)
	if body != "" {
		head = append(head, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	return []byte(strings.Join(head, "\r\n") + "\r\n\r\n" + body)
}

// response returns an HTTP/1.1 response with a counted body.
func response(status, kind, body string, lines ...string) []byte {
	head := append([]string{"HTTP/1.1 " + status, "Server: example", "Content-Type: " + kind, fmt.Sprintf("Content-Length: %d", len(body))}, lines...)
	return []byte(strings.Join(head, "\r\n") + "\r\n\r\n" + body)
}

// chunked returns an HTTP/1.1 response whose body comes in chunks.
func chunked(kind string, parts ...string) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nServer: example\r\nContent-Type: " + kind + "\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(p), p)
	}
	b.WriteString("0\r\n\r\n")
	return []byte(b.String())
}

func page(title string) string {
	return "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>" + title + "</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\n" +
		"<body><h1>" + title + "</h1>\n<p>Every byte of this page crossed a wire that never was.</p></body>\n</html>\n"
}

// story returns n numbered lines, so that a missing piece shows.
func story(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%04d  Hello from tcpfollow: one line follows another, in the order in which it was sent.\n", i+1)
	}
	return b.String()
}
