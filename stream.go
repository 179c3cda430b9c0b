package tcpfollow

import (
	"bytes"
	"io"
	"net/netip"
	"time"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// TCPStream is a connection that is being followed, as callbacks see it. It is comparable, and the same in all
// callbacks of one stream. After the end callback it is empty: every accessor returns zero.
//
// Its methods may be called only from callbacks and between calls of the follower, by the goroutine that feeds it.
type TCPStream struct {
	f    *TCPStreamFollower // nil after the end
	ref  flowtable.Ref
	more *attached // made by need
}

// attached is what hangs on a stream: often no more than what the user attached.
type attached struct {
	user  any
	extra *extra // made by need
}

// extra is what only some streams need.
type extra struct {
	payload [2]payload // by direction
	held    []heldSegment
	heldAt  int64
	cuts    []cut
	stalls  [2]stall // by side; valid for sides that are stalled
	syn     candidate
	refused []heldSegment  // resets that carry bytes, see keepRefused
	far     [2]*packet.TCP // by side: the last segment out of reach, see resync
	urgent  *[2]urgents    // by direction; nil unless octets are taken out
	origins *[2]origins    // by direction; nil without Config.Origins
	history *[2]ring       // by direction; nil without Config.History

	legacy     [2][]legacyRun // by side: with CompatLibtins, what waits
	duplicates uint64         // packets that were captured twice
}

// payload is what was sent in one direction, and what is missing of it.
type payload struct {
	bytes     []byte
	gaps      []Gap
	missing   uint64 // the sum of gaps
	unlisted  int    // gaps, and urgent octets taken out, beyond Limits.Gaps
	unwanted  uint64 // bytes passed over after Stop
	conflicts int
	truncated bool
}

// heldSegment is a segment that waits for the start of its stream to be known.
type heldSegment struct {
	seg  packet.TCP
	side uint8
}

// stall is the state of a side that waits for bytes.
type stall struct {
	since   int64  // since when Next stands still while bytes are held
	waiting int    // segments that had to wait since then
	lost    bool   // the peer is known to do without the hole at Next,
	lostAt  int64  // since this time,
	behind  int    // and so many segments that had to wait
	edge    uint32 // sequence number after the last byte seen
}

// cut is the part of a held segment that the snapshot length cut off.
type cut struct {
	side     uint8
	off, end uint64
}

// candidate is a SYN that may turn out to open a new connection in place of its stream; valid with connDoubt.
type candidate struct {
	seg  packet.TCP // without payload
	side uint8
}

// StartKind says how much of a connection's opening was captured.
type StartKind uint8

// The ways in which a stream starts.
const (
	StartSYN    StartKind = iota // with the client's SYN
	StartSYNACK                  // with the server's SYN+ACK; the SYN is missing or came late
	StartMid                     // in mid-stream: roles are those of the first packet seen, or before a forged reset
)

// String returns "syn", "synack" or "mid".
func (k StartKind) String() string {
	names := [...]string{"syn", "synack", "mid"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// EndReason says why a stream ended.
type EndReason uint8

// The reasons for an end.
const (
	EndNone       EndReason = iota // not ended
	EndFIN                         // both sides finished
	EndReset                       // a valid RST
	EndRefused                     // a RST in answer to the SYN
	EndTimeout                     // idle, or never answered
	EndSuperseded                  // a new connection between the same ports
	EndEvicted                     // Limits.Connections
	EndStopped                     // StopAll
	EndEOF                         // the follower was closed
	numEndReasons
)

// String returns the reason in one word, as the JSON output has it.
func (r EndReason) String() string {
	names := [numEndReasons]string{"", "fin", "reset", "refused", "timeout", "superseded", "evicted", "stopped", "eof"}
	if r >= numEndReasons {
		return "unknown"
	}
	return names[r]
}

// Chunk is the payload that a data callback is called for.
type Chunk struct {
	// Direction says who sent it.
	Direction packet.Direction
	// Offset is its place in the stream; the first byte after the SYN, or the first seen, has 0. Chunks follow each
	// other without a break, but for gaps and for urgent octets that were taken out.
	Offset uint64
	// Bytes is borrowed: valid during the callback. It is never empty there, but with Config.CompatLibtins.
	Bytes []byte
	// Origin is the packet that carried the first of the bytes, and with the default engine all of them.
	Origin reassemble.Origin
}

// Gap is a run of bytes that are missing from a stream.
type Gap struct {
	Direction packet.Direction
	// Offset and Length are in bytes of the stream.
	Offset, Length uint64
	Reason         reassemble.GapReason
}

// Conflict is a run of bytes that came twice and differ.
type Conflict struct {
	Direction packet.Direction
	Offset    uint64
	// Old and New are the first and the second copy, of equal length. Borrowed: valid during the callback.
	Old, New []byte
	// KeptNew says that New replaced Old, which is possible only for bytes that were not delivered yet.
	KeptNew bool
	// Origin is the packet that carried New.
	Origin reassemble.Origin
}

// Half is what a stream knows of one direction.
type Half struct {
	// Bytes is the number of payload bytes delivered; gaps are not counted.
	Bytes uint64
	// Gaps are the missing bytes, in order, adjacent ones merged, as many as Limits.Gaps allows.
	// Retained: the caller must not modify it.
	Gaps []Gap
	// Missing is the number of missing bytes, those of unlisted gaps included.
	Missing uint64
	// Urgent is the number of urgent octets that were taken out, see UrgentPolicy.
	Urgent uint64
	// Conflicts is the number of conflicts.
	Conflicts int
	// FIN says that the sender finished, and everything before was delivered or given up.
	FIN bool
	// Truncated says that the accumulated payload stops short of Bytes, because of a limit.
	Truncated bool
}

// StreamInfo holds the facts of a stream. It stays valid after the stream.
type StreamInfo struct {
	// ID counts the streams of a follower from 0, in the order of their first packets.
	ID uint64
	// Client opened the connection, as far as the capture tells; see Start.
	Client, Server netip.AddrPort
	Start          StartKind
	End            EndReason
	// Opened is the number of the stream's first frame.
	Opened uint64
	// First and Last are the times of its first and last packet, in UTC.
	First, Last time.Time
	// Packets is the number of its packets, in both directions.
	Packets uint64
	// Duplicates is the number of packets that were captured twice, see Config.Duplicates. Packets does not count them
	// again.
	Duplicates uint64
	// Halves is indexed by packet.Direction.
	Halves [2]Half
}

// Snapshot is a copy of a stream's facts and payload, owned by the caller.
type Snapshot struct {
	StreamInfo
	ClientPayload, ServerPayload []byte
}

func (s *TCPStream) conn() *conn {
	if s.f == nil {
		return nil
	}
	return s.f.table.At(s.ref)
}

// ID returns the stream's number: streams count from 0, in the order of their first packets.
func (s *TCPStream) ID() uint64 {
	if s.f == nil {
		return 0
	}
	return s.f.table.Rest(s.ref).id
}

// Frame returns the number of the frame that is being followed, in a callback: of the packet that caused it, or whose time
// did.
func (s *TCPStream) Frame() uint64 {
	if s.f == nil {
		return 0
	}
	return s.f.frame
}

// OpenedAt returns the time of the stream's first packet, in UTC.
func (s *TCPStream) OpenedAt() time.Time {
	if s.f == nil {
		return time.Time{}
	}
	return timestamp(s.f.table.Rest(s.ref).first)
}

// Client returns the address and port of the side that opened the connection.
func (s *TCPStream) Client() netip.AddrPort {
	if c := s.conn(); c != nil {
		return s.f.addrOf(s.ref, int(c.client))
	}
	return netip.AddrPort{}
}

// Server returns the address and port of the other side.
func (s *TCPStream) Server() netip.AddrPort {
	if c := s.conn(); c != nil {
		return s.f.addrOf(s.ref, int(c.client^1))
	}
	return netip.AddrPort{}
}

// ClientAddr returns the client's address.
func (s *TCPStream) ClientAddr() netip.Addr { return s.Client().Addr() }

// ClientPort returns the client's port.
func (s *TCPStream) ClientPort() uint16 { return s.Client().Port() }

// ServerAddr returns the server's address.
func (s *TCPStream) ServerAddr() netip.Addr { return s.Server().Addr() }

// ServerPort returns the server's port.
func (s *TCPStream) ServerPort() uint16 { return s.Server().Port() }

// Finished reports whether the stream has ended: it does so in the end callback.
func (s *TCPStream) Finished() bool { return s.End() != EndNone }

// End returns why the stream ended, EndNone before the end callback.
func (s *TCPStream) End() EndReason {
	if c := s.conn(); c != nil {
		return c.end
	}
	return EndNone
}

// Chunk returns the payload that the data callback is called for, and an empty chunk at other times.
func (s *TCPStream) Chunk() Chunk {
	if s.f == nil || s.f.chunkOf != s {
		return Chunk{}
	}
	return s.f.chunk
}

// ClientPayload returns what the client has sent so far, without what is missing. It is borrowed: valid until the
// follower is fed again. It is nil with Config.Incremental.
func (s *TCPStream) ClientPayload() []byte { return s.payloadOf(packet.ClientToServer) }

// ServerPayload returns what the server has sent so far, like ClientPayload.
func (s *TCPStream) ServerPayload() []byte { return s.payloadOf(packet.ServerToClient) }

func (s *TCPStream) payloadOf(d packet.Direction) []byte {
	if more := s.extra(); more != nil {
		return more.payload[d].bytes
	}
	return nil
}

// extra returns the stream's extra part, nil if it has none.
func (s *TCPStream) extra() *extra {
	if s.more == nil {
		return nil
	}
	return s.more.extra
}

// needs returns the stream's extra part, making it if there is none.
func (s *TCPStream) needs() *extra {
	if s.more == nil {
		s.more = new(attached)
	}
	if s.more.extra == nil {
		s.more.extra = new(extra)
	}
	return s.more.extra
}

// Truncated reports whether the accumulated payload of a direction stops short, because of Limits.Payload or
// Limits.TotalPayload.
func (s *TCPStream) Truncated(d packet.Direction) bool {
	more := s.extra()
	return more != nil && more.payload[d].truncated
}

// Buffered returns readers over ClientPayload and ServerPayload. They see what was there when they were made, and
// are valid until the follower is fed again.
func (s *TCPStream) Buffered() (client, server io.Reader) {
	return bytes.NewReader(s.ClientPayload()), bytes.NewReader(s.ServerPayload())
}

// Gaps returns what is missing of a direction so far, in order, adjacent gaps merged, as many as Limits.Gaps allows.
// Retained: the caller must not modify it.
func (s *TCPStream) Gaps(d packet.Direction) []Gap {
	if more := s.extra(); more != nil {
		return more.payload[d].gaps
	}
	return nil
}

// Info returns the stream's facts.
func (s *TCPStream) Info() StreamInfo {
	c := s.conn()
	if c == nil {
		return StreamInfo{}
	}
	rest := s.f.table.Rest(s.ref)
	info := StreamInfo{
		ID: rest.id, Client: s.Client(), Server: s.Server(), Start: c.start, End: c.end, Opened: rest.opened,
		First: timestamp(rest.first), Last: timestamp(c.last), Packets: uint64(c.packets),
	}
	more := s.extra()
	if more == nil {
		more = new(extra)
	}
	info.Duplicates = more.duplicates
	for d := range info.Halves {
		p, side := &more.payload[d], &c.side[uint8(d)^c.client]
		var urgent uint64
		if more.urgent != nil {
			urgent = more.urgent[d].count
		}
		info.Halves[d] = Half{
			Bytes: side.Next - p.missing - p.unwanted - urgent, Urgent: urgent, Gaps: p.gaps, Missing: p.missing, Conflicts: p.conflicts, FIN: side.done(),
			Truncated: p.truncated,
		}
	}
	return info
}

// Snapshot returns a copy of the stream's facts and payload that stays valid after the stream.
func (s *TCPStream) Snapshot() Snapshot {
	return Snapshot{s.Info(), bytes.Clone(s.ClientPayload()), bytes.Clone(s.ServerPayload())}
}

// SetUser attaches a value to the stream, until its end.
func (s *TCPStream) SetUser(v any) {
	if s.f == nil {
		return
	}
	if s.more == nil {
		s.more = new(attached)
	}
	s.more.user = v
}

// User returns the value attached with SetUser.
func (s *TCPStream) User() any {
	if s.more == nil {
		return nil
	}
	return s.more.user
}

// Stop ends the delivery of one direction, and forgets what of it is held. The stream goes on.
func (s *TCPStream) Stop(d packet.Direction) {
	if c := s.conn(); c != nil {
		c.side[uint8(d)^c.client].set(stopped)
		s.f.settleStops(s, c)
	}
}

// StopAll ends the stream with EndStopped: at once, or when the callback that it is called from returns.
func (s *TCPStream) StopAll() {
	if c := s.conn(); c != nil {
		c.side[0].set(stopped)
		c.side[1].set(stopped)
		c.set(connStopping)
		s.f.settleStops(s, c)
	}
}
