package httpx

import (
	"iter"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Kind tells requests and responses apart.
type Kind uint8

// The kinds of message.
const (
	Request Kind = iota
	Response
)

// String returns "request" or "response".
func (k Kind) String() string {
	if k == Request {
		return "request"
	}
	return "response"
}

// Framing says how the end of a body is found.
type Framing uint8

// The ways in which a body ends.
const (
	FramingNone    Framing = iota // there is none
	FramingLength                 // after Content-Length bytes
	FramingChunked                // with the last chunk
	FramingClose                  // with the connection
	FramingStream                 // with its HTTP/2 stream
)

// String returns the framing in one word.
func (f Framing) String() string {
	names := [...]string{"none", "length", "chunked", "close", "stream"}
	if int(f) < len(names) {
		return names[f]
	}
	return "unknown"
}

// Place is a point in a direction of a connection.
type Place struct {
	// Offset is in bytes of the direction.
	Offset uint64
	// Packet is the number of the frame that carried the byte there, or the last one before it.
	Packet uint64
	// Time is the capture time of that frame, in nanoseconds since the Unix epoch.
	Time int64
}

// When returns the time in UTC.
func (p Place) When() time.Time { return time.Unix(0, p.Time).UTC() }

// Field is a header field as it was sent: name and value keep their case and bytes, without the blanks around the value.
// Where a value was continued on further lines, these are joined by blanks.
type Field struct {
	Name, Value string
}

// Message is a request or a response. The strings in it are the bytes that were sent, which need not be UTF-8.
type Message struct {
	// Conn is where it was found.
	Conn *ConnInfo
	// Exchange is what it belongs to; nil until OnMessageEnd for a response that waits for its request.
	Exchange *Exchange
	// Direction is who sent it. Requests are the client's, unless roles could not be told or were reversed.
	Direction packet.Direction
	Kind      Kind
	// Start is the place of its first byte. End is behind its last byte, and names the frame that carried that.
	Start, End Place
	// StreamID is the HTTP/2 stream, 0 in HTTP/1.
	StreamID uint32

	// Version is what was sent, "HTTP/1.1" for instance, "" in HTTP/0.9, and "HTTP/2" in HTTP/2, which sends none.
	Version string
	// Method and Target are those of a request.
	Method, Target string
	// Status and Reason are those of a response. Status is 0 in HTTP/0.9.
	Status int
	Reason string
	// Head is the start line and the header as sent, byte for byte, in HTTP/1. Bytes that are missing or were dropped are
	// left out.
	Head string
	// Header holds the fields in the order in which they were sent, those of HTTP/2 with their pseudo-header fields.
	Header []Field
	// Trailer holds the fields behind the body.
	Trailer []Field
	Flags   Flags

	// Framing says how the body's end is found; ContentLength is the length that was announced, -1 for none.
	Framing       Framing
	ContentLength int64
	// Length is the number of bytes of the body, decoded; Missing is how many more are known to be missing before
	// decoding.
	Length, Missing uint64
	// WireLength is the number of bytes that the body took up on the wire, with its framing.
	WireLength uint64
	// Body is the body, decoded, with Config.Collect. It may be cut short: see FlagLimit. Holes are left out.
	Body []byte
	// SHA256 is the digest of the whole decoded body, with Config.Digest; nil without a body.
	SHA256 []byte
	// Sniffed is the content type that the body looks like, with Config.Sniff.
	Sniffed string

	started, stopped bool     // there were bytes of the body; the rest of them is not decoded
	content          *content // what only some bodies need
}

// Get returns the value of the first header field with that name, in whatever case, or "".
func (m *Message) Get(name string) string {
	v, _ := m.Lookup(name)
	return v
}

// Lookup returns the value of the first header field with that name, in whatever case, and whether there is one.
func (m *Message) Lookup(name string) (value string, ok bool) { return lookup(m.Header, name) }

func lookup(fields []Field, name string) (value string, ok bool) {
	for i := range fields {
		if f := &fields[i]; f.named(name) {
			return f.Value, true
		}
	}
	return "", false
}

// Host returns the host that a request names: that of Host, or of :authority in HTTP/2.
func (m *Message) Host() string {
	if h, ok := m.Lookup("host"); ok {
		return h
	}
	return m.Get(":authority")
}

// URL returns what a request asks for, as sent: its target if that names a host, else with the host in front, which is
// the server's address if the request names none.
func (m *Message) URL() string {
	if m.Method == "CONNECT" || strings.Contains(m.Target, "://") && m.Target[0] != '/' {
		return m.Target
	}
	host, scheme := m.Host(), m.Get(":scheme")
	if host == "" {
		host = m.Conn.Server.String()
	}
	if scheme == "" {
		scheme = "http"
		if m.Conn.Secured {
			scheme = "https"
		}
	}
	sep := ""
	if m.Target == "" || m.Target[0] != '/' {
		sep = "/"
	}
	return scheme + "://" + host + sep + m.Target
}

// Exchange is a request and what it was answered with.
type Exchange struct {
	// Conn is where it was found.
	Conn *ConnInfo
	// Number counts the exchanges of a connection, from 0, by their first message.
	Number uint64
	// Request is nil if it was not captured.
	Request *Message
	// Informational are the responses with a status of 1xx, in order, but for one that ended the exchange.
	Informational []*Message
	// Response is nil if there was none.
	Response *Message
	// Flags are those that concern both messages.
	Flags Flags

	open int  // messages of it that are not over
	over bool // no other comes
}

// Messages returns the messages that there are, in order.
func (e *Exchange) Messages() iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		if e.Request != nil && !yield(e.Request) {
			return
		}
		for _, m := range e.Informational {
			if !yield(m) {
				return
			}
		}
		if e.Response != nil {
			yield(e.Response)
		}
	}
}

// TTFB returns the time from the last byte of the request to the first byte of the final response, 0 if either is
// missing.
func (e *Exchange) TTFB() time.Duration {
	if e.Request == nil || e.Response == nil {
		return 0
	}
	return time.Duration(e.Response.Start.Time - e.Request.End.Time)
}

// Duration returns the time from the first byte to the last.
func (e *Exchange) Duration() time.Duration {
	first, last := e.Request, e.Response
	if first == nil {
		first = last
	}
	if last == nil {
		last = first
	}
	if first == nil {
		return 0
	}
	return time.Duration(max(last.End.Time, first.End.Time) - first.Start.Time)
}

// Skipped is a run of bytes that belong to no message.
type Skipped struct {
	Conn      *ConnInfo
	Direction packet.Direction
	// Start is the place of the first of the bytes.
	Start Place
	// Length is how many there are.
	Length uint64
}
