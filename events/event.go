// Package events holds one flat schema for what is seen in captures: an HTTP exchange is one event, with the fields of
// its request and of its response side by side. So events are easily filtered, matched and written.
package events

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// Schema is the version of the fields of [Event]: it grows when one changes its meaning.
const Schema = 1

// The kinds of event.
const (
	KindHTTP = "http" // an HTTP exchange
)

// Event is one thing that was seen. Strings are as they were sent, and need not be UTF-8. The names in JSON are those by
// which filters know the fields as well.
type Event struct {
	Schema int    `json:"schema" expr:"schema"`
	Kind   string `json:"kind"   expr:"kind"`
	// Time is that of its first byte, End that of its last.
	Time time.Time `json:"time" expr:"time"`
	End  time.Time `json:"end"  expr:"end"`
	// Stream is the number of the connection, Frame that of the first packet, Exchange counts within the stream.
	Stream   uint64 `json:"stream"   expr:"stream"`
	Frame    uint64 `json:"frame"    expr:"frame"`
	Exchange uint64 `json:"exchange" expr:"exchange"`
	// The two ends of the connection, as address and port and apart.
	Client     string `json:"client"      expr:"client"`
	Server     string `json:"server"      expr:"server"`
	ClientIP   string `json:"client_ip"   expr:"client_ip"`
	ServerIP   string `json:"server_ip"   expr:"server_ip"`
	ClientPort int    `json:"client_port" expr:"client_port"`
	ServerPort int    `json:"server_port" expr:"server_port"`

	// What was asked for. URI is the target as sent, URL is all of it with scheme and host, Path and Query are its parts.
	Method         string `json:"method"                 expr:"method"`
	Scheme         string `json:"scheme"                 expr:"scheme"`
	Host           string `json:"host"                   expr:"host"`
	URI            string `json:"uri"                    expr:"uri"`
	URL            string `json:"url"                    expr:"url"`
	Path           string `json:"path"                   expr:"path"`
	Query          string `json:"query,omitempty"        expr:"query"`
	Version        string `json:"version"                expr:"version"`
	UserAgent      string `json:"user_agent,omitempty"   expr:"user_agent"`
	Referer        string `json:"referer,omitempty"      expr:"referer"`
	RequestType    string `json:"request_type,omitempty" expr:"request_type"`
	RequestBytes   uint64 `json:"request_bytes"          expr:"request_bytes"`
	RequestWire    uint64 `json:"request_wire_bytes"     expr:"request_wire_bytes"`
	RequestMissing uint64 `json:"request_missing"        expr:"request_missing"`

	// What it was answered with; Status is 0 without a response.
	Status          int    `json:"status"                     expr:"status"`
	Reason          string `json:"reason,omitempty"           expr:"reason"`
	ResponseVersion string `json:"response_version,omitempty" expr:"response_version"`
	Informational   []int  `json:"informational,omitempty"    expr:"informational"`
	ContentType     string `json:"content_type,omitempty"     expr:"content_type"`
	Location        string `json:"location,omitempty"         expr:"location"`
	Bytes           uint64 `json:"bytes"                      expr:"bytes"`
	WireBytes       uint64 `json:"wire_bytes"                 expr:"wire_bytes"`
	Missing         uint64 `json:"missing"                    expr:"missing"`

	// TTFB is the time from the end of the request to the start of the response, Duration that of it all, in seconds.
	TTFB     float64 `json:"ttfb"     expr:"ttfb"`
	Duration float64 `json:"duration" expr:"duration"`
	// Answered says that there is a response, Tunnel that it was inside of a CONNECT tunnel.
	Answered bool `json:"answered" expr:"answered"`
	Tunnel   bool `json:"tunnel"   expr:"tunnel"`
	// Flags say what is odd about the exchange and its messages.
	Flags []string `json:"flags" expr:"flags"`
	// SHA256 is the digest of the response's body in hexadecimal, if digests were asked for.
	SHA256 string `json:"sha256,omitempty" expr:"sha256"`

	request, response *httpx.Message
}

// New returns the event of an exchange. It keeps the messages, and does not change them.
func New(e *httpx.Exchange) *Event {
	v := &Event{
		Schema: Schema, Kind: KindHTTP, Stream: e.Conn.Stream, Exchange: e.Number,
		Client: e.Conn.Client.String(), Server: e.Conn.Server.String(),
		TTFB: e.TTFB().Seconds(), Duration: e.Duration().Seconds(),
		request: e.Request, response: e.Response,
	}
	v.ClientIP, v.ClientPort = ends(e.Conn.Client)
	v.ServerIP, v.ServerPort = ends(e.Conn.Server)
	flags := e.Flags
	var first, last *httpx.Message
	for m := range e.Messages() {
		if flags |= m.Flags; first == nil {
			first = m
		}
		last = m
		if m != e.Request && m != e.Response {
			v.Informational = append(v.Informational, m.Status)
		}
	}
	if first == nil {
		return v
	}
	v.Time, v.Frame, v.End = first.Start.When(), first.Start.Packet, last.End.When()
	v.Flags, v.Tunnel = flags.Strings(), flags.Has(httpx.FlagTunnel)
	if e.Request != nil {
		v.ask(e.Request)
	}
	if e.Response != nil {
		v.answer(e.Response)
	}
	return v
}

func ends(a netip.AddrPort) (string, int) {
	if !a.IsValid() {
		return "", 0
	}
	return a.Addr().String(), int(a.Port())
}

func (v *Event) ask(m *httpx.Message) {
	v.Method, v.URI, v.URL, v.Version, v.Host = m.Method, m.Target, m.URL(), m.Version, m.Host()
	v.UserAgent, v.Referer, v.RequestType = m.Get("user-agent"), m.Get("referer"), m.Get("content-type")
	v.RequestBytes, v.RequestWire, v.RequestMissing = m.Length, m.WireLength, m.Missing
	rest := v.URL
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		v.Scheme, rest = scheme, after
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			rest = rest[i:]
		} else {
			rest = ""
		}
	}
	v.Path, v.Query, _ = strings.Cut(rest, "?")
}

func (v *Event) answer(m *httpx.Message) {
	v.Answered, v.Status, v.Reason, v.ResponseVersion = true, m.Status, m.Reason, m.Version
	v.ContentType, v.Location = m.Get("content-type"), m.Get("location")
	v.Bytes, v.WireBytes, v.Missing = m.Length, m.WireLength, m.Missing
	v.SHA256 = hexadecimal(m.SHA256)
}

// Header returns the first field of the request with that name, in whatever case, or "".
func (v *Event) Header(name string) string {
	if v.request == nil {
		return ""
	}
	return v.request.Get(name)
}

// ResponseHeader returns the first field of the response with that name, in whatever case, or "".
func (v *Event) ResponseHeader(name string) string {
	if v.response == nil {
		return ""
	}
	return v.response.Get(name)
}

// Cookie returns the value of a cookie that the request sends, or "".
func (v *Event) Cookie(name string) string {
	if v.request == nil {
		return ""
	}
	for i := range v.request.Header {
		f := &v.request.Header[i]
		if !strings.EqualFold(f.Name, "cookie") {
			continue
		}
		for pair := range strings.SplitSeq(f.Value, ";") {
			if key, value, _ := strings.Cut(strings.TrimSpace(pair), "="); key == name {
				return value
			}
		}
	}
	return ""
}

// Param returns the value of a parameter in the URL's query, unescaped where that is possible, or "".
func (v *Event) Param(name string) string {
	for pair := range strings.SplitSeq(v.Query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if unescape(key) == name {
			return unescape(value)
		}
	}
	return ""
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// RequestBody returns the body of the request as far as it was collected.
func (v *Event) RequestBody() []byte {
	if v.request == nil {
		return nil
	}
	return v.request.Body
}

// Body returns the body of the response as far as it was collected.
func (v *Event) Body() []byte {
	if v.response == nil {
		return nil
	}
	return v.response.Body
}
