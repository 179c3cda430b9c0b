package httpx

import "fmt"

// Config says what a parser calls back with, and how far it goes. A nil Config and every zero field mean the documented
// default. It is copied by [New].
//
// Callbacks run during the calls that feed the connection. The messages and exchanges that they are given are the
// caller's to keep, but not to modify; they are complete when OnMessageEnd and OnExchange are called.
type Config struct {
	// OnMessage is called when the head of a message is complete.
	OnMessage func(*Message)
	// OnBody is called with the bytes of a body, decoded, in order. Borrowed: valid during the call.
	OnBody func(*Message, []byte)
	// OnHole is called in place of n bytes of a body that are missing.
	OnHole func(m *Message, n uint64)
	// OnMessageEnd is called when a message is over.
	OnMessageEnd func(*Message)
	// OnExchange is called when an exchange is over: the final response, or what there is of one, has ended.
	OnExchange func(*Exchange)
	// OnWebSocket is called with every message of a WebSocket connection when it is over. Without it messages are counted,
	// and not decompressed.
	OnWebSocket func(*WebSocketMessage)
	// OnSkip is called for bytes that belong to no message.
	OnSkip func(Skipped)

	// Secure is called for a connection, or a tunnel, that begins as TLS does, and returns what decrypts it into inner; nil
	// leaves it alone. Without it TLS is not looked for.
	Secure func(inner *Conn) Layer

	// Collect keeps decoded bodies in Message.Body, as far as the limits allow.
	Collect bool
	// Digest adds the SHA-256 of decoded bodies.
	Digest bool
	// Sniff guesses the content type of bodies from their first bytes.
	Sniff bool
	// KeepEncoded leaves content codings as they are: bodies are taken out of their framing only.
	KeepEncoded bool

	// Limits bound memory.
	Limits Limits
}

// Limits bound what a parser holds. Reaching one is counted in [Stats] and flagged in the message.
type Limits struct {
	// Header is the most bytes of a header block that are kept; the rest is passed over. Default 256 KiB.
	Header int
	// Line is the most bytes of one header line that are kept. Default 64 KiB.
	Line int
	// Fields is the most header fields of a message. Default 1,000.
	Fields int
	// Body is the most decoded bytes of a body that are collected. Default 10 MiB.
	Body int
	// TotalBody is the most decoded bytes that are collected for all messages that are not over. Default 256 MiB.
	TotalBody int
	// Ratio is how many times larger a body may get in decoding, once it is beyond 1 MiB. Default 100.
	Ratio int
	// Decoded is the most bytes that a body may decode to, where it is coded. Default 1 GiB.
	Decoded uint64
	// Codings is how many codings of a body may lie on top of each other. Default 5.
	Codings int
	// Decoders is the most bytes of memory of all content decoders at work. Default 256 MiB.
	Decoders int
	// Held is the most bytes of a direction that wait for the other one. Default 256 KiB.
	Held int
	// TotalHeld is the same for all connections together. Default 64 MiB.
	TotalHeld int
	// Pending is the most requests of a connection that wait for their response. Default 4,096.
	Pending int
	// TotalPending is the most bytes, in memory, of the heads of requests that wait, in all connections. Each connection may
	// have one in any case. Default 256 MiB.
	TotalPending int
	// Interim is the most responses with a status of 1xx that an exchange keeps; others are called back with only. Default 100.
	Interim int
	// Streams is the most streams of an HTTP/2 connection that are open at a time. Default 1,024.
	Streams int
	// Frame is the most payload of an HTTP/2 frame with header fields or settings. Default 1 MiB.
	Frame int
	// HeaderTable is the most bytes of the table with which each direction of an HTTP/2 connection compresses its header
	// fields. Default 1 MiB.
	HeaderTable int
	// Scan is the most bytes of each direction in which a first message is looked for, before the connection counts as
	// no HTTP. Default 16 KiB.
	Scan int
}

// complete returns the config with its defaults filled in.
func (c Config) complete() (Config, error) {
	for _, l := range []struct {
		name string
		v    *int
		def  int
	}{
		{"Header", &c.Limits.Header, 256 << 10},
		{"Line", &c.Limits.Line, 64 << 10},
		{"Fields", &c.Limits.Fields, 1000},
		{"Body", &c.Limits.Body, 10 << 20},
		{"TotalBody", &c.Limits.TotalBody, 256 << 20},
		{"Ratio", &c.Limits.Ratio, 100},
		{"Codings", &c.Limits.Codings, 5},
		{"Decoders", &c.Limits.Decoders, 256 << 20},
		{"Held", &c.Limits.Held, 256 << 10},
		{"TotalHeld", &c.Limits.TotalHeld, 64 << 20},
		{"Pending", &c.Limits.Pending, 4096},
		{"TotalPending", &c.Limits.TotalPending, 256 << 20},
		{"Interim", &c.Limits.Interim, 100},
		{"Streams", &c.Limits.Streams, 1024},
		{"Frame", &c.Limits.Frame, 1 << 20},
		{"HeaderTable", &c.Limits.HeaderTable, 1 << 20},
		{"Scan", &c.Limits.Scan, 16 << 10},
	} {
		if *l.v < 0 {
			return c, fmt.Errorf("config: negative Limits.%s", l.name)
		}
		if *l.v == 0 {
			*l.v = l.def
		}
	}
	if c.Limits.Decoded == 0 {
		c.Limits.Decoded = 1 << 30
	}
	return c, nil
}
