package tcpfollow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
)

// maxOpenFiles is how many files the extractor keeps open.
const maxOpenFiles = 128

// extractor writes what each side of each stream sent to a file of its own. Nothing outside its directory can be
// reached: names hold no captured bytes, and the directory is an os.Root.
type extractor struct {
	session *session
	root    *os.Root
	w       io.Writer
	json    bool
	index   bool // a second file says which packet each byte came from
	streams map[uint64]*extracting
	files   map[string]*os.File
	order   []string // of opening
	err     error
}

// extracting is what is known of a stream whose files are being written.
type extracting struct {
	client, server netip.AddrPort
	started        [2]bool // by direction: there is a file
}

// extracted is a line about one file.
type extracted struct {
	Stream  uint64      `json:"stream"`
	Dir     string      `json:"dir"`
	File    string      `json:"file"`
	Index   string      `json:"index,omitempty"`
	Bytes   uint64      `json:"bytes"`
	Missing uint64      `json:"missing"`
	Gaps    [][2]uint64 `json:"gaps"`
}

func newExtractor(fl *followFlags, s *session, w io.Writer) (*extractor, error) {
	if err := os.MkdirAll(fl.extract, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(fl.extract)
	if err != nil {
		return nil, err
	}
	s.writesTo(fl.extract)
	return &extractor{session: s, root: root, w: w, json: fl.output == "json", index: fl.index, streams: map[uint64]*extracting{}, files: map[string]*os.File{}}, nil
}

func (x *extractor) name(stream uint64, s *extracting, d packet.Direction) string {
	part := func(a netip.AddrPort) string {
		return strings.NewReplacer(":", "-", "%", "-").Replace(a.Addr().String()) + "." + strconv.Itoa(int(a.Port()))
	}
	return fmt.Sprintf("%06d_%s_%s_%v", stream, part(s.client), part(s.server), d)
}

// file returns an open file, positioned at its end. A fresh one takes the place of what has its name, be it a link.
func (x *extractor) file(name string, fresh bool) (*os.File, error) {
	if f := x.files[name]; f != nil {
		return f, nil
	}
	if len(x.files) >= maxOpenFiles {
		oldest := x.order[0]
		if err := x.closeFile(oldest); err != nil {
			return nil, err
		}
	}
	flags := os.O_WRONLY | os.O_APPEND
	if fresh {
		flags |= os.O_CREATE | os.O_EXCL
		if fi, err := x.root.Lstat(name); err == nil && !fi.IsDir() {
			if err := x.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	f, err := x.root.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	x.files[name] = f
	x.order = append(x.order, name)
	return f, nil
}

func (x *extractor) closeFile(name string) error {
	f := x.files[name]
	if f == nil {
		return nil
	}
	delete(x.files, name)
	for i, n := range x.order {
		if n == name {
			x.order = append(x.order[:i], x.order[i+1:]...)
			break
		}
	}
	return f.Close()
}

func (x *extractor) show(h *happening) {
	switch h.kind {
	case opened:
		x.streams[h.stream] = &extracting{client: h.info.Client, server: h.info.Server}
	case said:
		x.data(h.stream, &h.chunk)
	case ended:
		x.end(h.stream, &h.info)
	default:
	}
}

func (x *extractor) data(stream uint64, c *tf.Chunk) {
	if x.err != nil {
		return
	}
	s := x.streams[stream]
	name, fresh := x.name(stream, s, c.Direction), !s.started[c.Direction]
	s.started[c.Direction] = true
	if x.err = x.write(name, fresh, c.Bytes); x.err == nil && x.index {
		x.err = x.write(name+indexSuffix, fresh, indexLines(c, fresh))
	}
}

// write appends to a file.
func (x *extractor) write(name string, fresh bool, b []byte) error {
	f, err := x.file(name, fresh)
	if err == nil {
		_, err = f.Write(b)
	}
	return err
}

// indexSuffix is added to the name of a file for that of its index.
const indexSuffix = ".index.csv"

// indexLines returns the line of an index for a chunk, and the header in front of the first.
func indexLines(c *tf.Chunk, first bool) (b []byte) {
	if first {
		b = append(b, "offset,length,frame,time,seq,ack\n"...)
	}
	o := &c.Origin
	return fmt.Appendf(b, "%d,%d,%d,%s,%d,%d\n", c.Offset, len(c.Bytes), o.Packet, time.Unix(0, o.Time).UTC().Format(time.RFC3339Nano), o.Seq, o.Ack)
}

// end closes a stream's files and prints a line about each.
func (x *extractor) end(stream uint64, info *tf.StreamInfo) {
	s := x.streams[stream]
	delete(x.streams, stream)
	for d := packet.ClientToServer; d <= packet.ServerToClient; d++ {
		h := &info.Halves[d]
		if h.Bytes == 0 {
			continue
		}
		name := x.name(stream, s, d)
		index := ""
		if x.index {
			index = name + indexSuffix
		}
		x.err = firstError(x.err, x.closeFile(name), x.closeFile(index))
		if x.err != nil {
			continue
		}
		if x.json {
			x.err = json.NewEncoder(x.w).Encode(extracted{stream, d.String(), name, index, h.Bytes, h.Missing, x.session.gapList(h)})
		} else {
			_, x.err = fmt.Fprintf(x.w, "%s  %d bytes, %d missing\n", name, h.Bytes, h.Missing)
		}
	}
}

func (x *extractor) failed() error { return x.err }

func (x *extractor) close() error {
	errs := []error{x.err}
	for _, f := range x.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(append(errs, x.root.Close())...)
}
