package pcapfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Set reads several capture files one after the other, as if they were one. It implements [packet.Source].
//
// It is not safe for concurrent use, except for Name, BytesRead and Size.
type Set struct {
	files []setFile
	next  int
	open  bool // files[next-1] is being read, or was when it failed
	r     *Reader
	err   error
	size  int64
	read  atomic.Int64
	name  atomic.Pointer[string]
}

type setFile struct {
	path string
	size int64
	end  int64 // sum of the sizes up to and with this file
}

var _ packet.Source = (*Set)(nil)

// OpenAll prepares to read the files at paths, in that order; "-" is standard input. Directories stand for the
// capture files in them and below, in lexical order of their names; other files in them are skipped and counted, and
// symbolic links to directories are not followed.
//
// Every regular file is looked at here, so that a missing file, a file that is no capture, or a directory without
// captures is an [*Error] before anything is read. One file is open at a time.
func OpenAll(paths []string, cfg *Config) (*Set, error) {
	if len(paths) == 0 {
		return nil, errors.New("pcapfile: no file given")
	}
	r, err := newReader(cfg)
	if err != nil {
		return nil, err
	}
	l := lister{probe: &Reader{cfg: r.cfg, buf: make([]byte, sniffLen)}, known: true}
	for i, p := range paths {
		l.grows = i == len(paths)-1 && r.cfg.AtEnd != nil
		if err := l.add(p); err != nil {
			return nil, err
		}
	}
	s := &Set{files: l.files, r: r}
	r.stats.Skipped = l.skipped
	if l.known {
		s.size = l.sum
	}
	s.name.Store(new(string))
	return s, nil
}

// lister collects the files of a set.
type lister struct {
	probe   *Reader
	files   []setFile
	skipped int
	sum     int64
	known   bool // all files have a size
	grows   bool // the path that is added names a file that is still being written
}

// add adds the file or directory that a caller named.
func (l *lister) add(path string) error {
	if path == "-" {
		l.append(path, 0, false)
		return nil
	}
	fi, err := os.Stat(path)
	if err != nil {
		return &Error{File: path, Err: osError(err)}
	}
	switch {
	case fi.IsDir():
		n := len(l.files)
		if err := l.walk(path); err != nil {
			return err
		}
		if len(l.files) == n {
			return &Error{File: path, Err: faultf(ErrNotCapture, "no capture file in it")}
		}
		return nil
	case !fi.Mode().IsRegular(), l.grows: // of a pipe what was read here would be lost; the other may be empty yet
		l.append(path, 0, false)
		return nil
	}
	if err := l.look(path); err != nil {
		return err
	}
	l.append(path, fi.Size(), true)
	return nil
}

// walk adds the captures in and below dir.
func (l *lister) walk(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return &Error{File: dir, Err: osError(err)}
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			if err := l.walk(path); err != nil {
				return err
			}
			continue
		}
		fi, err := os.Stat(path)
		if err != nil || !fi.Mode().IsRegular() { // sockets, links to nowhere
			l.skipped++
			continue
		}
		switch err := l.look(path); {
		case errors.Is(err, ErrNotCapture):
			l.skipped++
		case err != nil:
			return err
		default:
			l.append(path, fi.Size(), true)
		}
	}
	return nil
}

// look tells whether path is a capture. A damaged one is: its error is for ReadBatch.
func (l *lister) look(path string) error {
	err := l.probe.open(path, new(atomic.Int64))
	_ = l.probe.Close()
	if errors.Is(err, ErrTruncated) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge) {
		return nil
	}
	return err
}

func (l *lister) append(path string, size int64, known bool) {
	l.sum += size
	l.known = l.known && known
	l.files = append(l.files, setFile{path: path, size: size, end: l.sum})
}

// ReadBatch is [Reader.ReadBatch] over all files. A batch never spans two files; Frame.Number continues over them.
// After an [*Error], SkipFile goes on with the next file.
func (s *Set) ReadBatch(b *packet.Batch) error {
	for s.err == nil {
		if !s.open {
			if s.next == len(s.files) {
				s.err = io.EOF
				break
			}
			if s.err = s.openNext(); s.err != nil {
				break
			}
		}
		err := s.r.ReadBatch(b)
		if err == nil {
			return nil
		}
		if errors.Is(err, io.EOF) {
			s.closeFile()
		} else {
			s.err = err
		}
	}
	b.Frames, b.Clock = b.Frames[:0], 0
	return s.err
}

func (s *Set) openNext() error {
	f := s.files[s.next]
	s.next++
	s.open = true
	s.r.last = s.next == len(s.files)
	s.name.Store(&f.path)
	return s.r.open(f.path, &s.read)
}

func (s *Set) closeFile() {
	_ = s.r.Close()
	s.open = false
	if s.size > 0 { // a file that was not read to its end, or grew
		s.read.Store(s.files[s.next-1].end)
	}
}

// SkipFile leaves out the rest of the file that is being read or that ended with an error.
// It does nothing between files, after the last one and after Close.
func (s *Set) SkipFile() {
	if s.open {
		s.closeFile()
		s.err = nil
	}
}

// Close closes the file that is open. Frames are no longer valid.
func (s *Set) Close() error {
	_ = s.r.Close()
	s.open = false
	s.err = os.ErrClosed
	return nil
}

// Name returns the path of the file that is being read, "" before the first. Safe for concurrent use.
func (s *Set) Name() string { return *s.name.Load() }

// Files returns how many files the set has.
func (s *Set) Files() int { return len(s.files) }

// Info returns what the header of the file says that is being read.
func (s *Set) Info() Info { return s.r.Info() }

// Stats returns what was counted so far, over all files.
func (s *Set) Stats() Stats { return s.r.Stats() }

// BytesRead returns how many bytes of all files were read, before decompression. Safe for concurrent use.
func (s *Set) BytesRead() int64 { return s.read.Load() }

// Size returns the sum of the files' sizes in bytes, 0 when one is unknown (pipes). Safe for concurrent use.
func (s *Set) Size() int64 { return s.size }
