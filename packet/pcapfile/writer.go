package pcapfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/tcpfollow/tcpfollow/packet"
)

// DefaultSnapLen is the snapshot length in the header of pcap files, the most that libpcap reads of one frame.
const DefaultSnapLen = 256 << 10

const (
	writerBuffer = 64 << 10
	maxWritten   = 1 << 30 // the most that a Reader can be told to read
)

// WriterConfig adjusts a [Writer]. Nil and zero fields mean the defaults.
type WriterConfig struct {
	// Format is FormatPcap, the default, or FormatPcapNG.
	Format Format
	// Micro makes a pcap file with microseconds, for readers that know nothing else; times are rounded down.
	// The default is nanoseconds.
	Micro bool
	// SnapLen is the snapshot length in the header, in bytes; 0 means [DefaultSnapLen] in pcap and none in pcapng.
	// Frames are not cut to it.
	SnapLen uint32
	// Link is the link type of a pcap file without frames; 0 means Ethernet. Otherwise the first frame decides.
	Link packet.LinkType
}

// Writer writes a capture file, in little-endian byte order. It is not safe for concurrent use.
type Writer struct {
	cfg    WriterConfig
	name   string
	out    *bufio.Writer
	close  func() error
	err    error
	begun  bool
	link   packet.LinkType // of all frames of a pcap file
	frames uint64

	last  ngTarget // interface of the last frame, and its number
	id    uint32
	ids   map[ngTarget]uint32
	block [pcapHeaderLen + pcapRecordLen + 24]byte
}

// ngTarget is what frames must share to be of one interface of a pcapng file.
type ngTarget struct {
	link   packet.LinkType
	number uint32
	early  bool // before 1970: its clock is set back by earlySeconds
}

// earlySeconds is how far the clock of early frames is set back, so that every negative Frame.Time becomes an
// unsigned time stamp.
const earlySeconds = math.MaxInt64/1_000_000_000 + 1

// NewWriter writes a capture to w, which stays the caller's to close. The header goes out with the first frame, or
// with Flush or Close.
func NewWriter(w io.Writer, cfg *WriterConfig) (*Writer, error) {
	var c WriterConfig
	if cfg != nil {
		c = *cfg
	}
	switch c.Format {
	case FormatUnknown:
		c.Format = FormatPcap
	case FormatPcap, FormatPcapNG:
	default:
		return nil, fmt.Errorf("pcapfile: %v files are not written", c.Format)
	}
	if c.Micro && c.Format == FormatPcapNG {
		return nil, errors.New("pcapfile: pcapng files are written with nanoseconds only")
	}
	if c.Link == 0 {
		c.Link = linkEthernet
	}
	if c.SnapLen == 0 && c.Format == FormatPcap {
		c.SnapLen = DefaultSnapLen
	}
	return &Writer{cfg: c, name: "write capture", out: bufio.NewWriterSize(w, writerBuffer), ids: map[ngTarget]uint32{}}, nil
}

// Create is [NewWriter] for the file at path, which it creates with mode 0600 or empties; "-" is standard output.
// Close closes the file.
func Create(path string, cfg *WriterConfig) (*Writer, error) {
	w, err := NewWriter(os.Stdout, cfg)
	if err != nil {
		return nil, err
	}
	w.name = "standard output"
	if path == "-" {
		return w, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, &Error{File: path, Err: osError(err)}
	}
	w.name, w.close = path, f.Close
	w.out.Reset(f)
	return w, nil
}

// Write adds a frame, of which it keeps Data, Time, Length and Link; pcapng keeps apart what has different Interface
// numbers, but counts interfaces in the order of their first frames. It does not allocate in steady state.
//
// A pcap file has one link type, and times from 1970 to 2106: any other frame is an error. After an error, every
// call returns that error again.
func (w *Writer) Write(f *packet.Frame) error {
	if w.err != nil {
		return w.err
	}
	w.frames++
	if len(f.Data) > maxWritten {
		return w.fail(faultf(ErrTooLarge, "frame %d of %d bytes", w.frames, len(f.Data)))
	}
	if w.cfg.Format == FormatPcapNG {
		return w.fail(w.writeNG(f))
	}
	return w.fail(w.writePcap(f))
}

func (w *Writer) fail(err error) error {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("%s: %w", w.name, osError(err))
	}
	return w.err
}

// length is the wire length of f as a file can hold it.
func length(f *packet.Frame) uint32 {
	return uint32(min(uint64(max(f.Length, len(f.Data))), math.MaxUint32))
}

func (w *Writer) writePcap(f *packet.Frame) error {
	if !w.begun {
		if err := w.beginPcap(f.Link); err != nil {
			return err
		}
	}
	if f.Link != w.link {
		return fmt.Errorf("frame %d has link type %d in a file of link type %d", w.frames, f.Link, w.link)
	}
	if f.Time < 0 || f.Time/1e9 > math.MaxUint32 {
		return fmt.Errorf("frame %d is of %v, which pcap cannot hold", w.frames, f.Timestamp())
	}
	frac := f.Time % 1e9
	if w.cfg.Micro {
		frac /= 1000
	}
	b := binary.LittleEndian.AppendUint32(w.block[:0], uint32(f.Time/1e9))
	b = binary.LittleEndian.AppendUint32(b, uint32(frac))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Data)))
	b = binary.LittleEndian.AppendUint32(b, length(f))
	if _, err := w.out.Write(b); err != nil {
		return err
	}
	_, err := w.out.Write(f.Data)
	return err
}

func (w *Writer) beginPcap(link packet.LinkType) error {
	if link > math.MaxUint16 {
		return fmt.Errorf("link type %d does not fit into pcap", link)
	}
	magic := uint32(magicNano)
	if w.cfg.Micro {
		magic = magicMicro
	}
	b := binary.LittleEndian.AppendUint32(w.block[:0], magic)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, w.cfg.SnapLen)
	b = binary.LittleEndian.AppendUint32(b, uint32(link))
	w.begun, w.link = true, link
	_, err := w.out.Write(b)
	return err
}

func (w *Writer) writeNG(f *packet.Frame) error {
	if err := w.beginNG(); err != nil {
		return err
	}
	to := ngTarget{link: f.Link, number: f.Interface, early: f.Time < 0}
	if to != w.last || len(w.ids) == 0 {
		if err := w.selectInterface(to); err != nil {
			return err
		}
	}
	stamp := uint64(f.Time)
	if to.early {
		stamp += earlySeconds * 1e9
	}
	pad := -len(f.Data) & 3
	total := uint32(32 + len(f.Data) + pad)
	b := appendWords(w.block[:0], blockEnhanced, total, w.id, uint32(stamp>>32), uint32(stamp), uint32(len(f.Data)), length(f))
	if _, err := w.out.Write(b); err != nil {
		return err
	}
	if _, err := w.out.Write(f.Data); err != nil {
		return err
	}
	b = append(w.block[:0], 0, 0, 0)[:pad]
	_, err := w.out.Write(appendWords(b, total))
	return err
}

// beginNG writes the section header once, of unknown length.
func (w *Writer) beginNG() error {
	if w.begun {
		return nil
	}
	w.begun = true
	_, err := w.out.Write(appendWords(w.block[:0],
		blockSection, minSection, byteOrderMagic, 1, math.MaxUint32, math.MaxUint32, minSection))
	return err
}

// selectInterface finds the interface for frames like to, and describes it when it is new.
func (w *Writer) selectInterface(to ngTarget) error {
	id, known := w.ids[to]
	if !known {
		if to.link > math.MaxUint16 {
			return fmt.Errorf("link type %d does not fit into pcapng", to.link)
		}
		id = uint32(len(w.ids))
		w.ids[to] = id
		const resol, end = optTSResol | 1<<16, optEnd
		b := appendWords(w.block[:0], blockInterface, 32, uint32(to.link), w.cfg.SnapLen, resol, 9, end, 32)
		if to.early {
			const offset, back = optTSOffset | 8<<16, 1<<64 - earlySeconds
			b = appendWords(w.block[:0], blockInterface, 44, uint32(to.link), w.cfg.SnapLen, resol, 9,
				offset, back&math.MaxUint32, back>>32, end, 44)
		}
		if _, err := w.out.Write(b); err != nil {
			return err
		}
	}
	w.last, w.id = to, id
	return nil
}

func appendWords(b []byte, words ...uint32) []byte {
	for _, v := range words {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// Flush writes what is buffered, and the header if there was no frame yet.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	var err error
	if w.cfg.Format == FormatPcapNG {
		err = w.beginNG()
	} else if !w.begun {
		err = w.beginPcap(w.cfg.Link)
	}
	if err == nil {
		err = w.out.Flush()
	}
	return w.fail(err)
}

// Close is Flush, and closes the file of a Writer made by Create. Only its first call does anything.
func (w *Writer) Close() error {
	err := w.Flush()
	if w.close != nil {
		if cerr := w.close(); err == nil {
			err = w.fail(cerr)
		}
		w.close = nil
	}
	if w.err == nil {
		w.err = fmt.Errorf("%s: %w", w.name, os.ErrClosed)
	}
	return err
}
