// Package packet turns captured frames into decoded TCP and UDP packets.
//
// A [Source] fills a [Batch] of frames, a [Decoder] decodes one [Frame] at a time into a [Packet] that the
// caller reuses. Nothing here allocates per packet, starts a goroutine, or trusts a length that the wire claims.
//
// Bytes are borrowed throughout: a Packet points into its Frame, a Frame into the buffer of its Source, and all of
// them are valid until the source is read again.
package packet

import "time"

// LinkType is a link-layer header type, by its LINKTYPE_ number from the pcap registry (1 is Ethernet).
type LinkType uint32

// Frame is one captured frame, starting with its link-layer header.
type Frame struct {
	// Data holds the captured bytes. Borrowed: valid until the source is read again.
	Data []byte
	// Time is the capture time, in nanoseconds since the Unix epoch; it may be negative.
	Time int64
	// Number is the frame's position in the input, from 1, as capture tools print it.
	Number uint64
	// Length is the frame's length on the wire, in bytes. Data is shorter when the snapshot length cut it.
	// A Length below len(Data) is taken as len(Data).
	Length int
	// Link says what Data starts with.
	Link LinkType
	// Interface is the index of the capturing interface within its file, 0 where the format knows none.
	Interface uint32
}

// Timestamp returns the capture time in UTC.
func (f *Frame) Timestamp() time.Time { return time.Unix(0, f.Time).UTC() }

// BatchSize is the most frames that a [Source] puts into a [Batch] in one read.
const BatchSize = 64

// Batch is a group of frames that are read and followed together.
// The zero Batch is ready to use; a source reuses the capacity of Frames.
type Batch struct {
	// Frames are the frames of the last read, in input order. Borrowed: valid until the source is read again.
	Frames []Frame
	// Clock, unless 0, is a time in nanoseconds since the Unix epoch up to which the source has given out all frames:
	// timeouts may count on it. Sources that wait for frames set it while none come; others leave it 0.
	Clock int64
}

// Source yields frames in order.
type Source interface {
	// ReadBatch replaces the frames of b by the next ones, at least one and at most [BatchSize]; or there are none, and
	// b has a Clock. The error io.EOF, or whatever ended the input early, comes alone: b is then empty.
	ReadBatch(b *Batch) error
}
