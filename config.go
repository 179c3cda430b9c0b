package tcpfollow

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Config says how a follower works. A nil Config and every zero field mean the documented default.
// It is copied by [New].
type Config struct {
	// Engine orders the bytes of each direction. It belongs to one follower. Default reassemble.NewNative.
	Engine reassemble.Engine
	// Overlap says which copy of bytes that differ is kept, while neither is delivered. It is for the default engine;
	// another one has a policy of its own. Default reassemble.OverlapBSD.
	Overlap reassemble.Overlap
	// OverlapFor, when set, chooses the policy by the receiver of the bytes.
	OverlapFor func(receiver netip.Addr) reassemble.Overlap

	// OnOpen is called once a stream's client and server are known, before anything else of the stream.
	OnOpen StreamFunc
	// OnGap is called in place of bytes that are missing.
	OnGap func(*TCPStream, Gap)
	// OnConflict is called when bytes came twice and differ.
	OnConflict func(*TCPStream, Conflict)
	// OnUrgent is called for each urgent octet that UrgentOutOfBand takes out of a stream, at its place.
	OnUrgent func(*TCPStream, Urgent)
	// OnError is called for each frame that could not be decoded, with a *packet.DecodeError.
	OnError func(error)

	// Incremental turns the accumulation of payload off: ClientPayload and ServerPayload stay empty, and each
	// chunk is seen only during its data callback.
	Incremental bool
	// History is how many of the last bytes of a direction are kept to compare late copies with, when payload does not
	// accumulate, or no more. What cannot be compared counts as Stats.Unverified. Default 0.
	History int
	// Origins keeps, for every delivered byte, which packet carried it: see TCPStream.Segments, PacketAt and
	// SegmentsOf. It costs 32 bytes a segment, until the stream ends.
	Origins bool
	// Midstream says what becomes of connections whose opening was not captured.
	Midstream Midstream
	// Urgent says what becomes of urgent data. Default UrgentInline.
	Urgent UrgentPolicy
	// Duplicates, when set, makes the follower pass over and count frames that were captured twice, as mirror ports do: the
	// same segment to the byte, with the same IPv4 identification, again within this time and among at least the last
	// 32,768. Milliseconds are enough: a segment without timestamps that is sent again within that time looks the same
	// where the identification does not tell (IPv6, and senders that leave it 0). It costs a hash of each TCP segment fed
	// as a frame or packet; FeedSegment does not look for them. Default 0: none are looked for.
	Duplicates time.Duration
	// AnyReset makes every reset close its connection. By default only one that its receiver would have accepted
	// does: at the next expected or last acknowledged byte (RFC 5961 §3.2).
	AnyReset bool
	// CompatLibtins follows streams as the TCPStreamFollower of libtins 4 does, which cycapture wraps. A stream needs its
	// SYN, and a SYN+ACK without other flags before any data; the first FIN or RST of either side ends it, with what
	// waits; a hole is never given up; nothing ends by time, by the port's reuse or by Close. The data callback comes
	// once a packet, and also for segments that end at the next expected byte and bring nothing: Chunk is then empty.
	// No checks are made of acknowledgements, resets or windows. Limits hold, which libtins does not know: a segment
	// too many is Unwanted. IPv6 and IP fragments, too, are followed.
	CompatLibtins bool
	// Limits bound memory; Timeouts bound time, on the packet clock.
	Limits   Limits
	Timeouts Timeouts
	// Decode is handed to the packet decoder: checksums, tunnels, and what counts as a flow's key.
	Decode packet.DecoderConfig
	// Fragments is handed to the IP defragmenter.
	Fragments packet.DefragmenterConfig
}

// Midstream says what becomes of connections whose opening was not captured.
type Midstream uint8

// The choices for connections in mid-stream.
const (
	MidstreamFollow Midstream = iota // follow them from the first byte seen
	MidstreamIgnore                  // count their packets as NoStream
)

// Limits bound what a follower holds. Reaching one is counted in [Stats] and shows in the gap or end reason.
type Limits struct {
	// Connections is the most connections that are known at a time, those that linger included.
	// Default 1,048,576. When it is reached, the one whose timeout is nearest is evicted.
	Connections int
	// Lingering is the most ended connections that are kept for their late packets; the oldest make room.
	// Default 2,048: a second or so of a busy link, and they stay in the cache.
	Lingering int
	// Buffered is the most bytes of one direction that wait for an earlier one, with 64 for each run of them; in memory
	// they may take twice as much. Default 1 MiB.
	Buffered int
	// Segments is the most segments of one direction that come while the same earlier byte is missing, and the most
	// urgent octets of one that are waited for. Default 512.
	Segments int
	// TotalBuffered is the most bytes that wait in all directions together, counted like Buffered. Default 256 MiB.
	TotalBuffered int
	// Payload is the most bytes of one direction that accumulate. Default 64 MiB.
	Payload int
	// TotalPayload is the most bytes that accumulate in all open streams together. Default 256 MiB.
	TotalPayload int
	// TotalHistory is the most bytes that Config.History takes for all open streams together. Default 64 MiB.
	TotalHistory int
	// Origins is the most segments of one direction whose origin is kept. Default 1,048,576.
	Origins int
	// TotalOrigins is the most segments of which it is kept in all open streams together. Default 4,194,304.
	TotalOrigins int
	// Depth is the most bytes of one direction that are followed; 0 is no limit. What lies deeper is one gap.
	Depth uint64
	// Gaps is the most gaps of one direction that are listed by TCPStream.Gaps; OnGap is called for all. It is also the
	// most urgent octets taken out of one that late copies are compared with.
	// Default 4096.
	Gaps int
	// Reorder is how many segments of a connection a packet may be late by: that many are held at a start in
	// mid-stream, and wait behind a hole that the receiver says it has no part in, before the hole is given up. It is also
	// how many are kept of a connection after a reset, and of resets with payload that were refused, for the case that
	// the receiver acknowledges them. Default 32.
	Reorder int
}

// Timeouts bound how long a follower waits, on the packet clock, with a resolution of a second.
type Timeouts struct {
	// Idle ends an open connection without packets. Default 2 hours and 4 minutes, the least that RFC 5382 REQ-5 asks
	// of address translators; Limits.Connections bounds memory.
	Idle time.Duration
	// Handshake ends a connection that was never answered. Default 30 seconds.
	Handshake time.Duration
	// HalfClosed ends a connection of which one side has finished. Default 5 minutes.
	HalfClosed time.Duration
	// Linger is how long an ended connection takes up its late packets. Default 30 seconds.
	Linger time.Duration
	// Hole is how long bytes wait for an earlier one. Default 30 seconds.
	Hole time.Duration
	// Reorder is how late a packet may be, see Limits.Reorder. Default 200 milliseconds.
	Reorder time.Duration
}

// complete returns the config with its defaults filled in.
func (c Config) complete() (Config, error) {
	if err := c.completeCompat(); err != nil {
		return c, err
	}
	switch {
	case c.Engine == nil:
		c.Engine = reassemble.NewNative(&reassemble.NativeConfig{Overlap: c.Overlap})
	case c.Overlap != reassemble.OverlapBSD || c.OverlapFor != nil:
		return c, errors.New("config: Overlap and OverlapFor are for the default engine")
	}
	if c.History < 0 {
		return c, errors.New("config: negative History")
	}
	if c.Duplicates < 0 {
		return c, errors.New("config: negative Duplicates")
	}
	if c.Urgent > UrgentOutOfBand {
		return c, fmt.Errorf("config: unknown Urgent %d", c.Urgent)
	}
	if c.Midstream > MidstreamIgnore {
		return c, fmt.Errorf("config: unknown Midstream %d", c.Midstream)
	}
	for _, l := range []struct {
		name string
		v    *int
		def  int
	}{
		{"Limits.Connections", &c.Limits.Connections, 1 << 20},
		{"Limits.Lingering", &c.Limits.Lingering, 2048},
		{"Limits.Buffered", &c.Limits.Buffered, 1 << 20},
		{"Limits.Segments", &c.Limits.Segments, 512},
		{"Limits.TotalBuffered", &c.Limits.TotalBuffered, 256 << 20},
		{"Limits.Payload", &c.Limits.Payload, 64 << 20},
		{"Limits.TotalPayload", &c.Limits.TotalPayload, 256 << 20},
		{"Limits.TotalHistory", &c.Limits.TotalHistory, 64 << 20},
		{"Limits.Origins", &c.Limits.Origins, 1 << 20},
		{"Limits.TotalOrigins", &c.Limits.TotalOrigins, 1 << 22},
		{"Limits.Gaps", &c.Limits.Gaps, 4096},
		{"Limits.Reorder", &c.Limits.Reorder, 32},
	} {
		if *l.v < 0 {
			return c, fmt.Errorf("config: negative %s", l.name)
		}
		if *l.v == 0 {
			*l.v = l.def
		}
	}
	for _, t := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"Timeouts.Idle", &c.Timeouts.Idle, 124 * time.Minute},
		{"Timeouts.Handshake", &c.Timeouts.Handshake, 30 * time.Second},
		{"Timeouts.HalfClosed", &c.Timeouts.HalfClosed, 5 * time.Minute},
		{"Timeouts.Linger", &c.Timeouts.Linger, 30 * time.Second},
		{"Timeouts.Hole", &c.Timeouts.Hole, 30 * time.Second},
		{"Timeouts.Reorder", &c.Timeouts.Reorder, 200 * time.Millisecond},
	} {
		if *t.v < 0 {
			return c, fmt.Errorf("config: negative %s", t.name)
		}
		if *t.v == 0 {
			*t.v = t.def
		}
	}
	return c, nil
}
