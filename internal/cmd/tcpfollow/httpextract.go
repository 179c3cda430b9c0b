package tcpfollow

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// bodyExtractor writes bodies to files as they come. Nothing outside its directory can be reached: the directory is an
// os.Root, names are made of few characters and have no directory in them, and a file is never written that was there
// before.
type bodyExtractor struct {
	root    *os.Root
	most    int
	made    int    // files so far
	refused uint64 // bodies beyond most
	files   map[*httpx.Message]*bodyFile
	open    []*bodyFile    // in order of use, the latest last
	taken   map[string]int // names, in lower case, and how often they were wanted
}

// bodyFile is the file of a message's body.
type bodyFile struct {
	name string // "" for one that was refused
	f    *os.File
}

func newBodyExtractor(dir string, most int) (*bodyExtractor, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &bodyExtractor{root: root, most: most, files: map[*httpx.Message]*bodyFile{}, taken: map[string]int{}}, nil
}

// name returns the name of the file that holds a message's body, "" if there is none.
func (x *bodyExtractor) name(m *httpx.Message) string {
	if f := x.files[m]; f != nil {
		return f.name
	}
	return ""
}

// write adds bytes to the file of a message's body.
func (x *bodyExtractor) write(m *httpx.Message, b []byte) error {
	f := x.files[m]
	if f == nil {
		f = &bodyFile{}
		x.files[m] = f
		if x.made++; x.made > x.most {
			x.refused++
		} else if err := x.create(f, bodyName(m)); err != nil {
			return err
		}
	}
	if f.name == "" {
		return nil
	}
	if f.f == nil {
		if err := x.reopen(f); err != nil {
			return err
		}
	}
	_, err := f.f.Write(b)
	return err
}

// create makes the file under the name, or with a number where there is one of that name.
func (x *bodyExtractor) create(f *bodyFile, name string) error {
	stem, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		stem, ext = name[:i], name[i:]
	}
	key := strings.ToLower(name) // of two that differ in case only, some systems have but one
	for {
		x.taken[key]++
		try := name
		if n := x.taken[key]; n > 1 {
			try = fmt.Sprintf("%s-%d%s", stem, n, ext)
			if x.taken[strings.ToLower(try)] > 0 {
				continue
			}
			x.taken[strings.ToLower(try)]++
		}
		file, err := x.root.OpenFile(try, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		f.name = try
		return x.use(f, file)
	}
}

// use notes that a file is open, and closes another when there are too many.
func (x *bodyExtractor) use(f *bodyFile, file *os.File) error {
	f.f = file
	x.open = append(x.open, f)
	if len(x.open) <= maxOpenFiles {
		return nil
	}
	oldest := x.open[0]
	x.open = x.open[1:]
	err := oldest.f.Close()
	oldest.f = nil
	return err
}

func (x *bodyExtractor) reopen(f *bodyFile) error {
	file, err := x.root.OpenFile(f.name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	return x.use(f, file)
}

// end closes the file of a message that is over.
func (x *bodyExtractor) end(m *httpx.Message) error {
	f := x.files[m]
	if f == nil || f.f == nil {
		return nil
	}
	for i := range x.open {
		if x.open[i] == f {
			x.open = append(x.open[:i], x.open[i+1:]...)
			break
		}
	}
	err := f.f.Close()
	f.f = nil
	return err
}

// settle forgets the files of an exchange, which are kept or removed.
func (x *bodyExtractor) settle(e *httpx.Exchange, keep bool) error {
	var err error
	for m := range e.Messages() {
		if f := x.files[m]; f != nil && f.name != "" && !keep {
			err = firstError(err, x.root.Remove(f.name))
		}
		delete(x.files, m)
	}
	return err
}

func (x *bodyExtractor) close() error {
	var errs []error
	for _, f := range x.open {
		errs = append(errs, f.f.Close())
	}
	return errors.Join(append(errs, x.root.Close())...)
}

// bodyName returns a file name for a message's body: the one that it proposes, or the end of the URL's path.
func bodyName(m *httpx.Message) string {
	name := m.Filename()
	if name == "" && m.Exchange != nil && m.Exchange.Request != nil {
		name, _, _ = strings.Cut(m.Exchange.Request.Target, "?")
		if _, rest, ok := strings.Cut(name, "://"); ok {
			_, name, _ = strings.Cut(rest, "/")
		}
		name = strings.TrimRight(name, "/")
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
	}
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = safeName(name)
	if m.Kind == httpx.Request {
		name = "request-" + name
	}
	return name
}

// maxName is the most bytes of a name, without the number.
const maxName = 100

// safeName makes a file name that is one everywhere: letters, digits, dots, dashes and underscores, none of which start
// it but letters and digits.
func safeName(name string) string {
	b := make([]byte, 0, maxName)
	for _, c := range []byte(name) {
		good := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		switch {
		case good, len(b) > 0 && (c == '.' || c == '-' || c == '_'):
			b = append(b, c)
		case len(b) > 0 && b[len(b)-1] != '_':
			b = append(b, '_')
		}
	}
	if n := len(b); n > maxName { // the end tells what it is
		b = append(b[:maxName/2], b[n-maxName/2:]...)
	}
	name = strings.TrimRight(string(b), "._-")
	if name == "" {
		return "body"
	}
	stem, _, _ := strings.Cut(name, ".")
	switch strings.ToLower(stem) { // are devices elsewhere
	case "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
		"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "conin", "conout", "clock":
		return "x" + name
	}
	return name
}
