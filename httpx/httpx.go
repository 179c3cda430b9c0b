// Package httpx finds HTTP messages in the ordered bytes of connections: HTTP/1.x and what looks like it, HTTP/2 and
// WebSocket, at any port, recognised by content.
//
// It is made for looking at what crossed the wire, not for serving it. Nothing is normalised: header fields keep their
// order, case and duplicates, and what is ambiguous or wrong is kept and flagged. Bytes that are missing leave holes, and
// parsing goes on behind them; bytes that belong to no message are skipped and counted.
//
// A [Parser] makes a [Conn] for every connection; a Conn is given bytes, gaps and ends, and calls back with messages and
// with exchanges, which are a request and its responses. [Follow] feeds one from a [tcpfollow.TCPStreamFollower].
package httpx

import (
	"net/netip"

	"github.com/tcpfollow/tcpfollow/internal/http1"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Parser holds what connections have in common: the configuration, the counters, and the limits on all of them
// together. It is not safe for concurrent use, nor are its connections.
type Parser struct {
	cfg       Config
	stats     Stats
	held      int             // bytes that wait, in all connections
	collected int             // bytes of bodies, in all open exchanges
	pending   int             // bytes of heads of requests that wait, in all connections
	readers   readers         // of codings
	decoding  int             // bytes of memory of decoders
	fields    []Field         // scratch
	spans     [][2]http1.Span // scratch
}

// New returns a parser.
func New(cfg *Config) (*Parser, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	full, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	return &Parser{cfg: full}, nil
}

// Stats returns the counters of all connections so far.
func (p *Parser) Stats() Stats { return p.stats }

// ConnInfo says which connection messages were found in.
type ConnInfo struct {
	// Stream is the number of the connection, as the caller counts.
	Stream uint64
	// Client and Server are the two ends. Roles in HTTP are told by content, and may be reversed: see Message.Direction.
	Client, Server netip.AddrPort
	// Midstream says that the connection may have begun before the first byte, so that the first message is looked for.
	Midstream bool
	// Secured says that what messages were found in was decrypted by Config.Secure: offsets are those in there.
	Secured bool
}

// Stats count what a parser has seen. Bytes is the sum of Consumed, Opaque, Secured, Skipped, and of what connections that are
// not closed still hold.
type Stats struct {
	// Conns is the number of connections.
	Conns uint64
	// Bytes is the number of bytes given; Missing is the sum of the gaps.
	Bytes, Missing uint64
	// Consumed counts bytes that belong to messages: heads, bodies with their framing, and frames.
	Consumed uint64
	// Opaque counts bytes of what HTTP connections were turned into and that is not looked into.
	Opaque uint64
	// Secured counts bytes that were handed to a layer of Config.Secure. What is in them counts in Bytes once more.
	Secured uint64
	// Skipped counts bytes that belong to no message.
	Skipped uint64
	// NoHTTP counts directions in which no message was found: Limits.Scan.
	NoHTTP uint64
	// Requests, Responses and Exchanges count what was called back with, or would have been.
	Requests, Responses, Exchanges uint64
	// WebSocketMessages counts messages and control frames of WebSocket connections.
	WebSocketMessages uint64
	// LimitHeader counts messages of which header lines were dropped: Limits.Header, Limits.Fields or Limits.Line.
	LimitHeader uint64
	// LimitBody counts messages whose body was cut in memory: Limits.Body or Limits.TotalBody.
	LimitBody uint64
	// LimitRatio counts messages whose body was cut because it grew too much in decoding: Limits.Ratio or Limits.Decoded.
	LimitRatio uint64
	// LimitDecoders counts messages whose body was left coded: Limits.Decoders or Limits.Codings.
	LimitDecoders uint64
	// LimitHeld counts times that bytes could wait no longer for the other direction: Limits.Held or Limits.TotalHeld.
	LimitHeld uint64
	// LimitPending counts requests that were given up because too many waited for their response: Limits.Pending or Limits.TotalPending.
	LimitPending uint64
	// LimitInterim counts exchanges that do not keep all of their responses: Limits.Interim.
	LimitInterim uint64
	// LimitStreams counts HTTP/2 streams that were given up because too many were open: Limits.Streams.
	LimitStreams uint64
	// LimitFrame counts HTTP/2 frames that were too large to look at: Limits.Frame.
	LimitFrame uint64
	// BadFrames counts frames of HTTP/2 and WebSocket that are malformed, or out of place.
	BadFrames uint64
	// LostFields counts header blocks of HTTP/2 that could not be decoded, or not wholly.
	LostFields uint64
}

// LimitsHit reports whether a limit cost bytes or messages.
func (s *Stats) LimitsHit() bool {
	return s.LimitHeader+s.LimitBody+s.LimitRatio+s.LimitDecoders+s.LimitHeld+s.LimitPending+s.LimitInterim+s.LimitStreams+s.LimitFrame > 0
}

// protocol is what a connection speaks at the moment. It belongs to one [Conn], which calls it and which it calls back.
type protocol interface {
	// data takes the next bytes of a direction, borrowed and never none, and returns how many of them it is done with. The rest is for
	// the protocol that it switched the connection to. If it switched to none, the rest waits until the other direction
	// has more, or has ended, or Conn.hurried says that it can wait no longer.
	data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) int
	// gap takes the place of n bytes that are missing.
	gap(dir packet.Direction, off, n uint64)
	// end says that a direction is over. It comes once, last, also when the connection was switched meanwhile.
	end(dir packet.Direction)
}
