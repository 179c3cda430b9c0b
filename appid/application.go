package appid

import (
	"bufio"
	_ "embed" // the table of applications
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/idna"
)

//go:embed applications.tsv
var applicationTable string

// application is what a host name belongs to.
type application struct{ name, category string }

// Applications maps host names to applications: the longest suffix of whole labels counts. It is safe for concurrent use
// once it is filled.
type Applications struct {
	suffixes map[string]application
	custom   map[string]application
}

// NewApplications returns the table that comes with the package.
func NewApplications() (*Applications, error) {
	a := &Applications{suffixes: map[string]application{}, custom: map[string]application{}}
	if err := read(strings.NewReader(applicationTable), a.suffixes); err != nil {
		return nil, err
	}
	return a, nil
}

// Read adds the rules of a table: a line each, with suffix, application and category apart by tabs; lines that start with
// # count for nothing. They go before those of the package.
func (a *Applications) Read(r io.Reader) error { return read(r, a.custom) }

func read(r io.Reader, into map[string]application) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		fields := strings.Split(text, "\t")
		if len(fields) != 3 || fields[1] == "" || fields[2] == "" {
			return fmt.Errorf("appid: line %d: want suffix, application and category, apart by tabs", n)
		}
		suffix, err := canonicalHost(fields[0])
		if err != nil {
			return fmt.Errorf("appid: line %d: %w", n, err)
		}
		into[suffix] = application{fields[1], fields[2]}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("appid: read applications: %w", err)
	}
	return nil
}

// canonicalHost returns a name in lower case, its labels in ASCII (RFC 5891), without a dot at its end.
func canonicalHost(name string) (string, error) {
	name = strings.TrimPrefix(strings.TrimSuffix(name, "."), ".")
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil || ascii == "" {
		return "", errors.Join(fmt.Errorf("no host name: %q", name), err)
	}
	return strings.ToLower(ascii), nil
}

// Lookup returns the application of a host name in lower case, with its category; custom tells that a rule added by Read
// says so. A port is passed over. It does not allocate.
func (a *Applications) Lookup(host string) (name, category string, custom, ok bool) {
	if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.Contains(host[:i], ":") {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	for i, table := range [2]map[string]application{a.custom, a.suffixes} {
		for suffix := host; suffix != ""; {
			if app, ok := table[suffix]; ok {
				return app.name, app.category, i == 0, true
			}
			_, rest, more := strings.Cut(suffix, ".")
			if !more {
				break
			}
			suffix = rest
		}
	}
	return "", "", false, false
}
