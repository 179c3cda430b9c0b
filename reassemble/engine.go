// Package reassemble orders the bytes of one direction of a TCP stream.
//
// An [Engine] knows nothing of connections, handshakes or timers: those are the follower's. It is given segments at
// 64-bit stream offsets and hands the bytes to a [Sink] in order, each once. A hole is given up only when the caller
// says so, with Skip. Offset 0 is the byte after the SYN.
//
// Engines are interchangeable and not safe for concurrent use.
package reassemble

import "math"

// Half is one direction of a connection. The caller embeds it in its own record; it holds no pointer.
type Half struct {
	// Next is the offset of the next byte to deliver. The caller may advance it itself, by the length of a segment
	// that starts there and that it delivered, while Ref is 0.
	Next uint64
	// Ref belongs to the engine. 0 means that nothing is held for this direction.
	Ref uint32
	// Buffered is what the engine holds that waits for an earlier byte: the bytes, and Overhead for each run of them.
	Buffered uint32
}

// Overhead is what a held run of bytes counts beside its length, so that many short ones are no cheaper than they are.
const Overhead = 64

// Origin says where bytes came from.
type Origin struct {
	// Time is the capture time of the packet, in nanoseconds since the Unix epoch.
	Time int64
	// Packet is the frame number, from 1.
	Packet uint64
	// Seq is the sequence number of the first byte that the origin is given with, Ack the acknowledgement number of
	// its packet.
	Seq, Ack uint32
}

// Segment is a run of bytes at its place in the stream.
type Segment struct {
	// Off is the offset of the first byte, unwrapped.
	Off uint64
	// Data is borrowed: an engine that keeps it past the call copies it. It is never empty.
	Data []byte
	// Origin is that of Data's first byte.
	Origin Origin
}

// Result says what became of a segment: a set of bits.
type Result uint8

// The parts of a Result.
const (
	Delivered Result = 1 << iota // bytes of it were handed to the sink
	Held                         // bytes of it wait for earlier ones
	Known                        // bytes of it were delivered or held before
)

// Has reports whether all of want are set.
func (r Result) Has(want Result) bool { return r&want == want }

// GapReason says why bytes of a stream are missing.
type GapReason uint8

// The reasons for a gap.
const (
	GapLost      GapReason = iota // the receiver acknowledged bytes that were not captured
	GapLimit                      // too much waited behind the hole: bytes, segments or time
	GapFIN                        // both sides finished, and the bytes never came
	GapReset                      // the connection was reset first
	GapEnd                        // the capture, or the connection, ended first
	GapTruncated                  // the snapshot length cut the bytes off
	GapDepth                      // the stream was not followed deeper
)

// String returns the reason in one word, as the JSON output has it.
func (r GapReason) String() string {
	names := [...]string{"lost", "limit", "fin", "reset", "end", "truncated", "depth"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// ToHeld is a bound for Skip that only held bytes set.
const ToHeld uint64 = math.MaxUint64

// Engine orders segments. All of it is called from one goroutine.
type Engine interface {
	// Open starts a direction at offset h.Next. id is unique among the directions of this engine.
	Open(h *Half, id uint64)
	// Segment takes a segment: what is next goes to out.Data, what was delivered before to out.Old, the rest is held.
	Segment(h *Half, s Segment, out Sink) Result
	// Skip gives up the hole at Next, up to the offset to or to the first byte that is held, whichever comes first. It
	// goes to out.Gap, and what is held behind it to out.Data. Later holes stay. Skip does nothing when to is not
	// beyond Next, or is ToHeld and nothing is held.
	Skip(h *Half, to uint64, why GapReason, out Sink)
	// Close forgets the direction and all it holds, without delivering anything. h.Ref is 0 afterwards.
	Close(h *Half)
}

// Sink receives what an engine has put in order. Bytes are borrowed: valid during the call.
// h.Next is already past the bytes or the gap when Data or Gap is called.
type Sink interface {
	// Data is called with the next bytes, never none; o is the origin of the first.
	Data(h *Half, off uint64, b []byte, o Origin)
	// Gap is called in place of the n bytes at off.
	Gap(h *Half, off, n uint64, why GapReason)
	// Old is called with bytes below Next, which were delivered or given up before.
	Old(h *Half, off uint64, b []byte, o Origin)
	// Conflict is called when b differs from bytes that are still held: old was there, b came, keptNew tells which
	// of them will be delivered.
	Conflict(h *Half, off uint64, old, b []byte, keptNew bool, o Origin)
}
