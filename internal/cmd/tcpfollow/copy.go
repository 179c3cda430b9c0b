package tcpfollow

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
)

// maxHeld is the most bytes of IP fragments that a streamWriter holds.
const maxHeld = 16 << 20

// streamWriter copies the packets of streams to a capture file. Which stream an IP fragment belongs to is known once its
// datagram is complete: until then it is held.
type streamWriter struct {
	w        *recorder
	follower *tf.TCPStreamFollower
	wants    func(stream uint64) bool
	also     func(*packet.Packet) bool // wants packets of no stream; may be nil
	decoder  *packet.Decoder
	p        packet.Packet
	held     []heldFragment // oldest first
	size     int            // bytes held
}

// heldFragment is an IP fragment, owned.
type heldFragment struct {
	datagram datagram
	frame    packet.Frame
}

// datagram is what the fragments of a datagram have in common.
type datagram struct {
	key packet.FlowKey
	id  uint32
}

// newStreamWriter creates the file that the flags name, for the streams that are wanted.
func newStreamWriter(fl recordFlags, s *session, cfg *tf.Config, wants func(uint64) bool) (*streamWriter, error) {
	decoder, err := packet.NewDecoder(&cfg.Decode)
	if err != nil {
		return nil, err
	}
	r, err := newRecorder(fl, s)
	if err != nil {
		return nil, err
	}
	return &streamWriter{w: r, follower: s.follower, wants: wants, decoder: decoder}, nil
}

// isInput reports whether a file is one of the paths, or in a directory that is.
func isInput(paths []string, file fs.FileInfo) bool {
	found := false
	for _, path := range paths {
		if path == "-" {
			fi, err := os.Stdin.Stat()
			found = found || err == nil && os.SameFile(fi, file)
			continue
		}
		_ = filepath.WalkDir(path, func(path string, _ fs.DirEntry, _ error) error { // what cannot be read is not input
			fi, err := os.Stat(path)
			found = found || err == nil && os.SameFile(fi, file)
			return nil
		})
	}
	return found
}

func (w *streamWriter) frame(f *packet.Frame, v tf.Verdict) error {
	w.decoder.Decode(f, &w.p)
	fragment := w.p.Status == packet.Fragment
	var of datagram
	if fragment {
		of = datagramOf(&w.p, f)
	}
	if v == tf.Fragment {
		w.hold(of, f)
		return nil
	}
	id, ok := w.follower.LastStream()
	if ok {
		ok = w.wants(id)
	} else if p := w.follower.Packet(); w.also != nil && p != nil {
		ok = w.also(p)
	}
	if fragment {
		if err := w.release(of, ok); err != nil {
			return err
		}
	}
	if !ok {
		return nil
	}
	return w.w.write(f)
}

// datagramOf tells which datagram the fragment p, in f, belongs to.
func datagramOf(p *packet.Packet, f *packet.Frame) datagram {
	d := datagram{key: p.Key}
	for _, l := range p.Layers() {
		switch {
		case l.Kind == packet.LayerFragment:
			d.id = l.ID
		case l.Kind == packet.LayerIPv4 && len(f.Data) >= int(l.Offset)+6:
			d.id = uint32(binary.BigEndian.Uint16(f.Data[l.Offset+4:]))
		}
	}
	return d
}

// hold keeps a fragment, at the cost of the oldest ones.
func (w *streamWriter) hold(of datagram, f *packet.Frame) {
	kept := *f
	kept.Data = bytes.Clone(f.Data)
	w.held = append(w.held, heldFragment{of, kept})
	w.size += len(kept.Data)
	n := 0
	for ; w.size > maxHeld; n++ {
		w.size -= len(w.held[n].frame.Data)
	}
	w.held = slices.Delete(w.held, 0, n)
}

// release forgets the fragments of a datagram, after writing them if they are wanted.
func (w *streamWriter) release(of datagram, wanted bool) error {
	var err error
	w.held = slices.DeleteFunc(w.held, func(h heldFragment) bool {
		if h.datagram != of {
			return false
		}
		if wanted && err == nil {
			err = w.w.write(&h.frame)
		}
		w.size -= len(h.frame.Data)
		return true
	})
	return err
}

func (w *streamWriter) close() error { return w.w.close() }
