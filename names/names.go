// Package names remembers what addresses are called, and how that became known: from answers of DNS, from names that
// clients asked servers for, from hosts files.
//
// A [Table] is fed in the order of packets and asked afterwards, or in between; it is no part of what classifies a
// flow, so that one flow's outcome does not depend on others.
package names

import (
	"bufio"
	"container/list"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Source says how a name became known.
type Source uint8

// The sources, the one that says most of what an address is used for last.
const (
	Hosts   Source = iota // a hosts file
	DNS                   // an answer
	MDNS                  // an announcement of multicast DNS, LLMNR or NetBIOS
	Host                  // the Host field of a request
	SNI                   // the name in a ClientHello
	sources = iota
)

// String returns the source in one word.
func (s Source) String() string {
	names := [sources]string{"hosts", "dns", "mdns", "host", "sni"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// Name is one name of an address.
type Name struct {
	// Name is in lower case, without a dot at its end.
	Name   string
	Source Source
	// Seen is when it was last heard of; zero for a hosts file.
	Seen time.Time
}

// Config bounds a [Table]. The zero value is the default.
type Config struct {
	// MaxAddresses is the most addresses that are known; the one heard of longest ago makes room. Default 65,536.
	MaxAddresses int
	// MaxNames is the most names of an address; the one heard of longest ago makes room. Default 8.
	MaxNames int
	// MaxAge is how long a name holds after it was heard of. Default 0: for ever.
	MaxAge time.Duration
}

// Stats counts what a [Table] has taken in, and what it had to let go of.
type Stats struct {
	Added                      uint64 // names, those heard of again too
	LimitAddresses, LimitNames uint64 // dropped because of Config.MaxAddresses and Config.MaxNames
	Loops                      uint64 // answers whose aliases lead round in a circle
}

// Table maps addresses to names. It is not safe for concurrent use.
type Table struct {
	cfg    Config
	byAddr map[netip.Addr]*list.Element
	recent *list.List // of *entry, the latest first
	stats  Stats
}

type entry struct {
	addr  netip.Addr
	names []Name // the latest last
}

// New returns an empty table. A nil cfg is the default; the error is for negative limits.
func New(cfg *Config) (*Table, error) {
	t := &Table{byAddr: map[netip.Addr]*list.Element{}, recent: list.New()}
	if cfg != nil {
		t.cfg = *cfg
	}
	if t.cfg.MaxAddresses < 0 || t.cfg.MaxNames < 0 || t.cfg.MaxAge < 0 {
		return nil, errors.New("names: negative limit")
	}
	if t.cfg.MaxAddresses == 0 {
		t.cfg.MaxAddresses = 1 << 16
	}
	if t.cfg.MaxNames == 0 {
		t.cfg.MaxNames = 8
	}
	return t, nil
}

// Stats returns the counters so far.
func (t *Table) Stats() Stats { return t.stats }

// Len returns how many addresses have a name.
func (t *Table) Len() int { return len(t.byAddr) }

// Add notes a name of an address, heard of at a time. Names that hold anything but visible ASCII, and addresses that are
// not valid, are passed over.
func (t *Table) Add(addr netip.Addr, name string, source Source, seen time.Time) {
	name = canonical(name)
	if name == "" || !addr.IsValid() {
		return
	}
	t.stats.Added++
	addr = addr.Unmap().WithZone("")
	at := t.byAddr[addr]
	if at == nil {
		if len(t.byAddr) >= t.cfg.MaxAddresses {
			oldest := t.recent.Back()
			delete(t.byAddr, t.entry(oldest).addr)
			t.recent.Remove(oldest)
			t.stats.LimitAddresses++
		}
		at = t.recent.PushFront(&entry{addr: addr})
		t.byAddr[addr] = at
	}
	t.recent.MoveToFront(at)
	e := t.entry(at)
	if i := slices.IndexFunc(e.names, func(n Name) bool { return n.Name == name && n.Source == source }); i >= 0 {
		e.names = slices.Delete(e.names, i, i+1)
	} else if len(e.names) >= t.cfg.MaxNames {
		e.names = slices.Delete(e.names, 0, 1)
		t.stats.LimitNames++
	}
	e.names = append(e.names, Name{name, source, seen})
}

func (t *Table) entry(at *list.Element) *entry {
	e, _ := at.Value.(*entry)
	return e
}

// Lookup returns the name that says most of what an address is used for at a time: of the best source, the one heard of
// last. Names heard of later do not count, nor those that are too old.
func (t *Table) Lookup(addr netip.Addr, at time.Time) (Name, bool) {
	var best Name
	found := false
	for _, n := range t.All(addr) {
		if n.Source != Hosts && (n.Seen.After(at) || t.cfg.MaxAge > 0 && at.Sub(n.Seen) > t.cfg.MaxAge) {
			continue
		}
		if !found || n.Source > best.Source || n.Source == best.Source && !n.Seen.Before(best.Seen) {
			best, found = n, true
		}
	}
	return best, found
}

// All returns the names of an address, the one heard of last at the end. Retained: the caller must not modify it.
func (t *Table) All(addr netip.Addr) []Name {
	if at := t.byAddr[addr.Unmap().WithZone("")]; at != nil {
		return t.entry(at).names
	}
	return nil
}

// Record is a resource record of an answer: an address, or an alias.
type Record struct {
	Owner string
	Addr  netip.Addr // of an A or AAAA record
	Alias string     // of a CNAME record: what Owner stands for
}

// maxAliases is the longest chain of aliases that is walked.
const maxAliases = 16

// Answer notes the addresses of a DNS response under the name that was asked for: aliases are walked from it, so that
// records of other names in the same response count for nothing.
func (t *Table) Answer(query string, records []Record, source Source, seen time.Time) {
	name := canonical(query)
	for range maxAliases {
		alias := ""
		for _, r := range records {
			if canonical(r.Owner) != name {
				continue
			}
			if r.Addr.IsValid() {
				t.Add(r.Addr, query, source, seen)
			} else if alias == "" {
				alias = canonical(r.Alias)
			}
		}
		if alias == "" {
			return
		}
		name = alias
	}
	t.stats.Loops++
}

// ReadHosts adds the names of a hosts file: an address and its names a line, the first of them counting; # starts a
// comment.
func (t *Table) ReadHosts(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || len(fields) < 2 {
			return fmt.Errorf("names: hosts file: line %d: want an address and a name", n)
		}
		t.Add(addr, fields[1], Hosts, time.Time{})
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("names: read hosts file: %w", err)
	}
	return nil
}

// canonical returns a name in lower case, without port and final dot, "" if it is none.
func canonical(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > 0 && !strings.ContainsAny(name[:i], ":]") {
		name = name[:i]
	}
	name = strings.TrimSuffix(name, ".")
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f {
			return ""
		}
	}
	return strings.ToLower(name)
}
