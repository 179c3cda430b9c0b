// Package events holds one flat schema for what is seen in captures: an HTTP exchange, a DNS message, what a flow says of
// itself, a connection that has ended is one event each, with all of its fields side by side. So events are easily
// filtered, matched and written. docs/events.md lists the fields.
package events

import (
	"net/netip"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/httpx"
)

// Schema is the version of the fields of [Event]: it grows when one changes its meaning.
const Schema = 1

// The kinds of event.
const (
	KindHTTP  = "http"  // an HTTP exchange
	KindIdent = "ident" // what a flow says of itself: a hello, a certificate, a banner, …; Finding says which
	KindDNS   = "dns"   // a DNS message, of multicast DNS and LLMNR too
	KindFlow  = "flow"  // a TCP connection that has ended
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
	// Transport is "tcp" or "udp"; with the latter, Stream means nothing. LastFrame is the number of the last packet.
	Transport string `json:"transport,omitempty"  expr:"transport"`
	LastFrame uint64 `json:"last_frame,omitempty" expr:"last_frame"`
	// What earlier events called the two ends, and how that was known of the server; see Naming.
	ClientName       string `json:"client_name,omitempty"        expr:"client_name"`
	ServerName       string `json:"server_name,omitempty"        expr:"server_name"`
	ServerNameSource string `json:"server_name_source,omitempty" expr:"server_name_source"`

	// What was asked for. URI is the target as sent, URL is all of it with scheme and host, Path and Query are its parts. Host
	// and UserAgent are set in findings of HTTP as well; the Query of a DNS message is the name that is asked for.
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

	// What a flow says of itself. Finding is an appid.Kind, Proto the protocol in lower case, Dir who said it.
	Finding     string   `json:"finding,omitempty"         expr:"finding"`
	Proto       string   `json:"proto,omitempty"           expr:"proto"`
	Dir         string   `json:"dir,omitempty"             expr:"dir"`
	SNI         string   `json:"sni,omitempty"             expr:"sni"`
	ALPN        []string `json:"alpn,omitempty"            expr:"alpn"`
	JA3         string   `json:"ja3,omitempty"             expr:"ja3"`
	JA4         string   `json:"ja4,omitempty"             expr:"ja4"`
	JA3S        string   `json:"ja3s,omitempty"            expr:"ja3s"`
	QUICVersion string   `json:"quic_version,omitempty"    expr:"quic_version"`
	ECH         bool     `json:"ech,omitempty"             expr:"ech"`
	Resumption  bool     `json:"resumption,omitempty"      expr:"resumption"`
	Subject     string   `json:"subject,omitempty"         expr:"subject"`
	Issuer      string   `json:"issuer,omitempty"          expr:"issuer"`
	Names       []string `json:"names,omitempty"           expr:"names"`
	Banner      string   `json:"banner,omitempty"          expr:"banner"`
	HASSH       string   `json:"hassh,omitempty"           expr:"hassh"`
	HASSHServer string   `json:"hasshserver,omitempty"     expr:"hasshserver"`
	HostName    string   `json:"hostname,omitempty"        expr:"hostname"`
	Parameters  string   `json:"dhcp_parameters,omitempty" expr:"dhcp_parameters"`
	// Answers are the addresses, names and texts of a DNS response, in order.
	Answers []string `json:"answers,omitempty" expr:"answers"`
	// Broken tells that the message breaks off or is damaged.
	Broken bool `json:"broken,omitempty" expr:"broken"`
	// What is known of the flow by then.
	App        string `json:"app,omitempty"        expr:"app"`
	Category   string `json:"category,omitempty"   expr:"category"`
	Confidence int    `json:"confidence,omitempty" expr:"confidence"`
	Guessed    bool   `json:"guessed,omitempty"    expr:"guessed"`

	// How a connection began and ended: tcpfollow.StartKind and tcpfollow.EndReason; what was sent, and what of it is missing.
	Opening         string `json:"opening,omitempty"          expr:"opening"`
	Ending          string `json:"ending,omitempty"           expr:"ending"`
	Packets         uint64 `json:"packets,omitempty"          expr:"packets"`
	ClientBytes     uint64 `json:"client_bytes,omitempty"     expr:"client_bytes"`
	ServerBytes     uint64 `json:"server_bytes,omitempty"     expr:"server_bytes"`
	ClientMissing   uint64 `json:"client_missing,omitempty"   expr:"client_missing"`
	ServerMissing   uint64 `json:"server_missing,omitempty"   expr:"server_missing"`
	ClientConflicts int    `json:"client_conflicts,omitempty" expr:"client_conflicts"`
	ServerConflicts int    `json:"server_conflicts,omitempty" expr:"server_conflicts"`
	Duplicates      uint64 `json:"duplicates,omitempty"       expr:"duplicates"`

	// HTTP is the exchange that the event is of, Found the finding; nil for events of other kinds. Retained: the caller
	// must not modify them.
	HTTP  *httpx.Exchange `json:"-" expr:"-"`
	Found *appid.Finding  `json:"-" expr:"-"`
}

// New returns the event of an exchange. It keeps the messages, and does not change them.
func New(e *httpx.Exchange) *Event {
	v := &Event{
		Schema: Schema, Kind: KindHTTP, Stream: e.Conn.Stream, Exchange: e.Number, Transport: tcp,
		TTFB: e.TTFB().Seconds(), Duration: e.Duration().Seconds(), HTTP: e,
	}
	v.between(e.Conn.Client, e.Conn.Server)
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
	v.Time, v.Frame = first.Start.When(), first.Start.Packet
	v.End, v.LastFrame = last.End.When(), last.End.Packet
	v.Flags, v.Tunnel = flags.Strings(), flags.Has(httpx.FlagTunnel)
	if e.Request != nil {
		v.ask(e.Request)
	}
	if e.Response != nil {
		v.answer(e.Response)
	}
	return v
}

// The transports.
const (
	tcp = "tcp"
	udp = "udp"
)

// between notes the two ends.
func (v *Event) between(client, server netip.AddrPort) {
	v.Client, v.Server = client.String(), server.String()
	v.ClientIP, v.ClientPort = ends(client)
	v.ServerIP, v.ServerPort = ends(server)
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

// requested returns the request, an empty one if there is none.
func (v *Event) requested() *httpx.Message {
	if v.HTTP == nil || v.HTTP.Request == nil {
		return &httpx.Message{}
	}
	return v.HTTP.Request
}

// answered returns the response, an empty one if there is none.
func (v *Event) answered() *httpx.Message {
	if v.HTTP == nil || v.HTTP.Response == nil {
		return &httpx.Message{}
	}
	return v.HTTP.Response
}

// Header returns the first field of the request with that name, in whatever case, or "".
func (v *Event) Header(name string) string {
	return v.requested().Get(name)
}

// ResponseHeader returns the first field of the response with that name, in whatever case, or "".
func (v *Event) ResponseHeader(name string) string {
	return v.answered().Get(name)
}

// Cookie returns the value of a cookie that the request sends, or "".
func (v *Event) Cookie(name string) string {
	header := v.requested().Header
	for i := range header {
		f := &header[i]
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
func (v *Event) Param(name string) string { return param(v.Query, name) }

// RequestBody returns the body of the request as far as it was collected.
func (v *Event) RequestBody() []byte {
	return v.requested().Body
}

// Body returns the body of the response as far as it was collected.
func (v *Event) Body() []byte {
	return v.answered().Body
}
