// Package tlsx decrypts TLS 1.2 and 1.3 with a key log: bytes and keys in, bytes out.
//
// A [Decrypter] makes a [Conn] for every connection. That is fed the ordered bytes of both directions, with their gaps,
// cut in any way, and hands the application data to a [Handler]. It needs the secrets of a [KeyLog] and what the hellos say in clear text; it does
// not take part in key exchange, and certificates are of no interest to it. The authenticated suites are decrypted:
// AES-GCM and ChaCha20-Poly1305. Others are reported as unsupported.
//
// No byte is handed out that did not authenticate. What cannot be decrypted is a gap, with its reason, and counted.
// After a gap in the input the next record is found by trying sequence numbers.
//
// The package knows neither followers nor files.
package tlsx

import "errors"

// Direction says who sent bytes, by the roles of the connection below. Should a ClientHello come from its server, then
// that one is the client of TLS, and the directions stay as they are.
type Direction uint8

// The directions.
const (
	ClientToServer Direction = iota
	ServerToClient
)

// Origin says where bytes came from: the packet of the first of them.
type Origin struct {
	// Time is the capture time, in nanoseconds since the Unix epoch.
	Time int64
	// Packet is the frame number, from 1.
	Packet uint64
	// Seq and Ack are the numbers of the packet's TCP header.
	Seq, Ack uint32
}

// Chunk is application data that was decrypted.
type Chunk struct {
	// Offset is its place in the stream of application data of its direction.
	Offset uint64
	// Bytes is borrowed: valid during the call. It is never empty.
	Bytes []byte
	// Origin is that of the first byte of the record.
	Origin Origin
	// Early says that it was sent in the first flight of a resumed session (RFC 8446 §2.3). The server may have
	// rejected it, and then it is sent again: see Info.EarlyData.
	Early bool
}

// Gap is application data that is missing.
type Gap struct {
	// Offset is its place in the stream of application data.
	Offset uint64
	// Length is how much is missing, at most: padding, and records that are no application data, count as well when
	// they cannot be told apart.
	Length uint64
	// Reason says why.
	Reason GapReason
}

// GapReason says why application data is missing.
type GapReason uint8

// The reasons for a gap.
const (
	GapLost        GapReason = iota // not in the input
	GapKey                          // no key for it
	GapUnsupported                  // a version or a cipher suite that is not decrypted
	GapRecord                       // the record does not authenticate
	GapMalformed                    // bytes that are no record
	GapLimit                        // too much waited, in all connections together
)

// String returns the reason in one word.
func (r GapReason) String() string {
	names := [...]string{"lost", "key", "unsupported", "record", "malformed", "limit"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// End is how a direction ended.
type End struct {
	// Closed says that the sender announced its end with close_notify. Without it the data may have been cut off.
	Closed bool
	// Length is the length of the stream of application data, gaps included.
	Length uint64
}

// Handler takes what a [Conn] decrypts. Per direction the calls come in the order of the data, with one End, last.
type Handler interface {
	// Data is called with application data.
	Data(d Direction, c Chunk)
	// Gap is called in place of application data that is missing.
	Gap(d Direction, g Gap)
	// End is called once for each direction that ended.
	End(d Direction, e End)
}

// Defaults of [Config].
const (
	// DefaultMaxHandshake is the most bytes of a hello, in bytes; other handshake messages are not kept.
	DefaultMaxHandshake = 64 << 10
	// DefaultMaxHeld is the most bytes of a direction that wait for the other one's hello.
	DefaultMaxHeld = 256 << 10
	// DefaultMaxTotalHeld is the most bytes that wait in all connections together.
	DefaultMaxTotalHeld = 64 << 20
	// DefaultMaxSearch is the most sequence numbers that are tried on a record behind a gap.
	DefaultMaxSearch = 1024
)

// Config adjusts a [Decrypter]. Nil and zero fields mean the defaults; negative limits are an error.
type Config struct {
	// MaxHandshake is the most bytes of a hello; a larger one is not understood. 0 means [DefaultMaxHandshake].
	MaxHandshake int
	// MaxHeld is the most bytes of a direction that wait for the other one's hello, as they must when packets were
	// captured in another order than they were sent. 0 means [DefaultMaxHeld].
	MaxHeld int
	// MaxTotalHeld is the most bytes that wait in all connections together, for a hello or for the rest of their record.
	// 0 means [DefaultMaxTotalHeld].
	MaxTotalHeld int
	// MaxSearch is the most sequence numbers that are tried on a record behind a gap, beyond those that the size of
	// the gap rules out. 0 means [DefaultMaxSearch]. All trials of a direction together decrypt at most 64 times as
	// much as came of it, and 1 MiB.
	MaxSearch int
}

func (c *Config) settled() (Config, error) {
	var s Config
	if c != nil {
		s = *c
	}
	for _, f := range []struct {
		v   *int
		def int
	}{
		{&s.MaxHandshake, DefaultMaxHandshake},
		{&s.MaxHeld, DefaultMaxHeld},
		{&s.MaxTotalHeld, DefaultMaxTotalHeld},
		{&s.MaxSearch, DefaultMaxSearch},
	} {
		if *f.v < 0 {
			return s, errors.New("tlsx: negative limit in configuration")
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	return s, nil
}

// Trouble says why application data of a connection could not be decrypted.
type Trouble uint8

// The troubles, from the first that stands in the way to the last.
const (
	NoTrouble          Trouble = iota
	NotTLS                     // the bytes are no TLS records
	NoClientHello              // the ClientHello is missing, and with it the name of the keys
	NoServerHello              // the ServerHello is missing
	UnsupportedVersion         // a version other than TLS 1.2 and 1.3
	UnsupportedSuite           // a cipher suite without authenticated encryption, or an unusual one
	NoKey                      // the key log has no secret for it
	BadRecord                  // a record does not authenticate: damaged, or the key is another's
)

// String says in plain words what the trouble is.
func (t Trouble) String() string {
	names := [...]string{
		"none", "not TLS", "no client hello", "no server hello", "unsupported version", "unsupported cipher suite",
		"no key", "record does not authenticate",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown"
}

// Alert is an alert message (RFC 8446 §6).
type Alert struct {
	// Level is 1 for a warning, 2 for a fatal one, 0 where there was no alert.
	Level uint8
	// Description is the number of the alert; 0 is close_notify.
	Description uint8
}

// Info is what is known of a connection. Numbers of versions and suites are those of the protocol.
type Info struct {
	// Client is the direction of the ClientHello.
	Client Direction
	// ClientRandom and ServerRandom are those of the last hellos.
	ClientRandom, ServerRandom Random
	// Version is the one the server chose: 0x0303 is TLS 1.2, 0x0304 is TLS 1.3. 0 when the ServerHello is missing.
	Version uint16
	// Suite is the cipher suite that the server chose, see [SuiteName]. In place of a missing ServerHello trials may
	// have found it.
	Suite uint16
	// ServerName is the name that the client asked for (RFC 6066 §3), "" for none. It may be any bytes.
	ServerName string
	// Offered are the client's application protocols (RFC 7301), Protocol is the one that the server chose, "" for
	// none or unknown. In TLS 1.3 it is encrypted too.
	Offered  []string
	Protocol string
	// Retried says that the server asked for another ClientHello.
	Retried bool
	// Resumed says that a former session was resumed.
	Resumed bool
	// EarlyData says whether the client offered early data, and what became of it.
	EarlyData EarlyData
	// Renegotiations is the number of further handshakes within TLS 1.2.
	Renegotiations int
	// KeyUpdates is how often each direction changed its key in TLS 1.3.
	KeyUpdates [2]int
	// Alerts are the last alerts of each direction.
	Alerts [2]Alert
	// Trouble says why something could not be decrypted: the last trouble met.
	Trouble Trouble
}

// EarlyData says what became of early data.
type EarlyData uint8

// The states of early data.
const (
	EarlyNone     EarlyData = iota // not offered
	EarlyOffered                   // offered; the answer is not known
	EarlyAccepted                  // accepted by the server
	EarlyRejected                  // rejected by the server: what was sent early is void
)

// Stats counts what a connection met. Consumed + Skipped + waiting bytes are the bytes that came; none wait after the
// ends.
type Stats struct {
	// Bytes is the number of bytes that came, Missing of those in gaps.
	Bytes, Missing uint64
	// Consumed is the number of bytes in records that were understood, Skipped of all others.
	Consumed, Skipped uint64
	// Records is the number of whole records, Opened of those that were decrypted.
	Records, Opened uint64
	// Plain is the number of bytes of application data that were handed out, PlainMissing of those in gaps.
	Plain, PlainMissing uint64
	// NoKey, Unsupported, BadRecords and Undecided count protected records that could not be opened: without a key,
	// of unsupported suites or versions, that did not authenticate, for lack of a hello.
	NoKey, Unsupported, BadRecords, Undecided uint64
	// Malformed counts places where a record should begin and does not, and records whose content is malformed.
	Malformed uint64
	// Resyncs counts the records that were found behind a gap.
	Resyncs uint64
	// LimitHandshake, LimitHeld and LimitSearch count how often limits were reached.
	LimitHandshake, LimitHeld, LimitSearch uint64
}

// Add adds the counts of o.
func (s *Stats) Add(o Stats) {
	for _, p := range []struct {
		to   *uint64
		from uint64
	}{
		{&s.Bytes, o.Bytes},
		{&s.Missing, o.Missing},
		{&s.Consumed, o.Consumed},
		{&s.Skipped, o.Skipped},
		{&s.Records, o.Records},
		{&s.Opened, o.Opened},
		{&s.Plain, o.Plain},
		{&s.PlainMissing, o.PlainMissing},
		{&s.NoKey, o.NoKey},
		{&s.Unsupported, o.Unsupported},
		{&s.BadRecords, o.BadRecords},
		{&s.Undecided, o.Undecided},
		{&s.Malformed, o.Malformed},
		{&s.Resyncs, o.Resyncs},
		{&s.LimitHandshake, o.LimitHandshake},
		{&s.LimitHeld, o.LimitHeld},
		{&s.LimitSearch, o.LimitSearch},
	} {
		*p.to += p.from
	}
}

// Verdict is an answer of [Detect].
type Verdict uint8

// The answers.
const (
	More Verdict = iota // too few bytes to tell
	Yes
	No
)

// Detect tells whether b, the first bytes of a direction, are the start of a TLS connection: a handshake record that
// begins with a ClientHello or a ServerHello.
func Detect(b []byte) Verdict {
	for i, c := range b[:min(len(b), 6)] {
		ok := true
		switch i {
		case 0:
			ok = c == recordHandshake
		case 1:
			ok = c == 3
		case 2:
			ok = c <= 4
		case 3:
			ok = c <= maxRecord>>8
		case 5:
			ok = c == helloClient || c == helloServer
		}
		if !ok {
			return No
		}
	}
	if len(b) < 6 {
		return More
	}
	return Yes
}
