// Package pcapfile reads and writes capture files: pcap, modified pcap, pcapng and snoop, plain or compressed with
// gzip or zstd, from files, directories, pipes and standard input.
//
// A [Reader] streams one file through one reusable buffer and parses records in place; a [Set] reads several files
// one after the other. Both are a [packet.Source]. The format is found by content, never by name.
//
// Nothing a file says is trusted: a length costs memory only as far as bytes for it arrive, every limit is a field
// of [Config], and a damaged file yields all frames before the damage and then one [*Error].
//
// The formats are those of draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng and RFC 1761.
package pcapfile

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Defaults of [Config].
const (
	// DefaultBuffer is the size of the read buffer, in bytes. Larger ones are no faster, smaller ones are from 64 KiB down.
	DefaultBuffer = 128 << 10
	// DefaultMaxFrame is the most captured bytes of one frame. libpcap allows 256 KiB, which is too little for
	// BIG TCP (512 KiB) and for USB; memory is only used for bytes that are there.
	DefaultMaxFrame = 16 << 20
	// DefaultMaxInterfaces is the most interfaces that one pcapng file may describe.
	DefaultMaxInterfaces = 1 << 16
	// DefaultMaxSkip is the most decompressed bytes, 1 GiB, that may follow each other without a frame.
	DefaultMaxSkip = 1 << 30
	// DefaultMaxWindow is the largest zstd window, in bytes: that of the zstd command without --long.
	DefaultMaxWindow = 128 << 20
)

// blockRoom is what a pcapng block may hold beside its captured bytes: header, padding, options.
const blockRoom = 1 << 20

// Config adjusts a [Reader] or a [Set]. Nil and zero fields mean the defaults; negative limits are an error.
type Config struct {
	// Buffer is the size of the read buffer in bytes; 0 means [DefaultBuffer]. One larger record makes it grow.
	Buffer int
	// MaxFrame is the most captured bytes of one frame; 0 means [DefaultMaxFrame], and 1 GiB is the most allowed.
	// A larger frame is [ErrTooLarge]. A pcapng block may take 1 MiB more, for its options.
	MaxFrame int
	// MaxInterfaces is the most interfaces of one pcapng file; 0 means [DefaultMaxInterfaces].
	MaxInterfaces int
	// MaxSkip is the most bytes of compressed input, counted after decompression, that may follow each other
	// without a frame; 0 means [DefaultMaxSkip]. Input that is not compressed is its own limit.
	MaxSkip int64
	// MaxDecompressed is the most bytes that a compressed file, or one within it, may decompress to; 0 means no limit.
	// Decompression streams, so this limits time, not memory.
	MaxDecompressed int64
	// MaxWindow is the largest zstd window in bytes, at least 1 KiB; 0 means [DefaultMaxWindow]. It is what zstd
	// input can make a Reader allocate, with a few bytes; the system provides the memory as it is written to.
	MaxWindow int
	// SignedSeconds reads the seconds and the fraction of a pcap record as signed 32-bit numbers, as libpcap does
	// where NFStream 6.6.0 uses it: dates from 2038-01-19 on become negative. A negative fraction is rounded towards
	// zero to milliseconds, so that Time/1e6 rounded down is sec·1000 + µs/1000. It is without effect on other formats.
	SignedSeconds bool
	// AtEnd, when set, makes files readable that are still being written. It is called, each time, when the last file of
	// the input has been read to its end, in the middle of a record or not, even before its header is there. It waits as
	// it likes and returns nil to look for more; its error ends the reading, io.EOF as if the file
	// were whole. Pipes end by themselves: it is not called for them. A file that became shorter is [ErrTruncated].
	AtEnd func() error
	// OnBlock, when set, is called for every pcapng block that is neither a section header, an interface
	// description nor a packet: name resolution, statistics, decryption secrets, custom blocks. Blocks that exceed
	// MaxFrame by more than 1 MiB are skipped without a call. It runs within ReadBatch, so it may see a block up to a
	// batch before the caller sees the frames in front of it.
	OnBlock func(Block)
}

// Block is a pcapng block other than a section header, an interface description or a packet.
type Block struct {
	// Type is the block type code: 4 name resolution, 5 interface statistics, 10 decryption secrets.
	Type uint32
	// Body is what lies between the block's two length fields. Borrowed: valid during the call.
	Body []byte
	// Order is the byte order of the section.
	Order binary.ByteOrder
}

// SecretsTLS is the kind of secrets that are a TLS key log, as SSLKEYLOGFILE names one.
const SecretsTLS = 0x544c534b

// Secrets returns what a decryption secrets block holds (draft-ietf-opsawg-pcapng, section 4.7), and of which kind that
// is. ok is false for other blocks, and when the block ends before its contents do. Borrowed: valid during the call of
// OnBlock.
func (b *Block) Secrets() (kind uint32, data []byte, ok bool) {
	const fixed = 8
	if b.Type != blockSecrets || len(b.Body) < fixed {
		return 0, nil, false
	}
	kind, data = b.Order.Uint32(b.Body), b.Body[fixed:]
	n := b.Order.Uint32(b.Body[4:])
	if uint64(n) > uint64(len(data)) {
		return kind, nil, false
	}
	return kind, data[:n:n], true
}

// Format is a capture file format.
type Format uint8

// The formats that are read. FormatPcap and FormatPcapNG are also written.
const (
	FormatUnknown  Format = iota // nothing read yet; in a WriterConfig, pcap
	FormatPcap                   // draft-ietf-opsawg-pcap
	FormatModified               // pcap with the 24-byte record headers of patched Linux tools ("Kuznetzov")
	FormatPcapNG                 // draft-ietf-opsawg-pcapng
	FormatSnoop                  // RFC 1761
)

// String returns the format's usual name.
func (f Format) String() string {
	switch f {
	case FormatPcap:
		return "pcap"
	case FormatModified:
		return "modified pcap"
	case FormatPcapNG:
		return "pcapng"
	case FormatSnoop:
		return "snoop"
	default:
		return "unknown"
	}
}

// Info is what a file's header says. For pcapng it is about the first section, and what an interface says about
// the first interface: zero until its block has been read.
type Info struct {
	// Format is the file format.
	Format Format
	// Compression names what was undone, outermost first: "", "gzip", "zstd" or both joined by "+".
	Compression string
	// Major and Minor are the version of the format as the file gives it.
	Major, Minor uint16
	// BigEndian tells the byte order of the file.
	BigEndian bool
	// TicksPerSecond is the resolution of time stamps: 1e6, 1e9 or another power of ten or two;
	// 0 for a resolution beyond 64 bits.
	TicksPerSecond uint64
	// SnapLen is the snapshot length in bytes, as the file gives it; 0 means none.
	SnapLen uint32
	// Link is the link type of the frames (in pcapng of the first interface, see [packet.Frame]).
	Link packet.LinkType
	// FCS is the length in bytes of the frame check sequence at the end of each frame, 0 when none is declared.
	FCS int
}

// Stats counts what a reader met. Nothing is dropped without being counted here.
type Stats struct {
	// Files is the number of files opened as captures.
	Files int
	// Skipped is the number of files in directories that are no captures.
	Skipped int
	// Frames is the number of frames returned.
	Frames uint64
	// Blocks is the number of pcapng blocks that are no frames, section headers or interfaces.
	Blocks uint64
	// Negative is the number of pcapng time stamps that were read as negative numbers, because they would be
	// beyond the range of Frame.Time otherwise.
	Negative uint64
	// Saturated is the number of time stamps beyond the range of Frame.Time, set to its nearest end.
	Saturated uint64
}

// settled returns a copy with the defaults filled in.
func (c *Config) settled() (Config, error) {
	var s Config
	if c != nil {
		s = *c
	}
	switch {
	case s.Buffer < 0, s.MaxFrame < 0, s.MaxInterfaces < 0, s.MaxSkip < 0, s.MaxDecompressed < 0, s.MaxWindow < 0:
		return s, errors.New("pcapfile: negative limit in configuration")
	case s.MaxFrame > 1<<30:
		return s, fmt.Errorf("pcapfile: MaxFrame %d is above 1 GiB", s.MaxFrame)
	case s.MaxWindow > 0 && s.MaxWindow < 1<<10:
		return s, fmt.Errorf("pcapfile: MaxWindow %d is below 1 KiB", s.MaxWindow)
	}
	s.Buffer = or(s.Buffer, DefaultBuffer)
	s.MaxFrame = or(s.MaxFrame, DefaultMaxFrame)
	s.MaxInterfaces = or(s.MaxInterfaces, DefaultMaxInterfaces)
	s.MaxSkip = or(s.MaxSkip, DefaultMaxSkip)
	s.MaxWindow = or(s.MaxWindow, DefaultMaxWindow)
	return s, nil
}

func or[T int | int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
