// Command ident holds what tcpfollow ident finds against the columns that NFStream's dissection fills, flow by flow.
//
//	go run ./ident TCPFOLLOW SHARED [-v]
//
// It reads SHARED/golden/nfstream/*.dis20.csv.gz, runs the program on SHARED/pcaps/ndpi, and joins by 5-tuple: the first
// row of a flow that has a value counts; of UDP, what was found between the row's first and last packet. Names are in lower case and
// cut at 79 bytes, as NFStream cuts them, and bytes that no host name has are compared as nDPI writes them. JA4 says "i" of
// a server name that is an IPv4 address, as nDPI's does.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// finding is a line of ident -o json, as far as it is compared.
type finding struct {
	Transport, Dir, Client, Server        string
	SNI, Host, Query, HostName, JA4, JA3S string
	HASSH, HASSHServer, App               string
	UserAgent                             string `json:"user_agent"`
	ContentType                           string `json:"content_type"`
	Parameters                            string `json:"dhcp_parameters"`
	Time                                  time.Time
	Kind                                  string
}

// columns are compared by themselves.
var columns = []string{"server name", "client fingerprint", "server fingerprint", "user agent", "content type", "master protocol"}

type tally struct {
	flows, equal int
	misses       []string
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: ident TCPFOLLOW SHARED [-v]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], slices.Contains(os.Args[3:], "-v")); err != nil {
		fmt.Fprintln(os.Stderr, "ident:", err)
		os.Exit(1)
	}
}

func run(program, shared string, verbose bool) error {
	records, err := filepath.Glob(filepath.Join(shared, "golden", "nfstream", "*.dis20.csv.gz"))
	if err != nil || len(records) == 0 {
		return fmt.Errorf("no records below %s: %w", shared, err)
	}
	tallies := make([]tally, len(columns))
	for _, path := range records {
		capture := strings.TrimSuffix(filepath.Base(path), ".dis20.csv.gz")
		ours, err := findings(program, filepath.Join(shared, "pcaps", "ndpi", capture))
		if err != nil {
			return fmt.Errorf("%s: %w", capture, err)
		}
		if err := compare(capture, path, ours, tallies); err != nil {
			return fmt.Errorf("%s: %w", capture, err)
		}
	}
	for i, t := range tallies {
		fmt.Printf("%-18s %4d of %4d flows equal, %.1f %%\n", columns[i], t.equal, t.flows, 100*float64(t.equal)/float64(max(t.flows, 1)))
		for _, m := range t.misses {
			if verbose {
				fmt.Println("   ", m)
			}
		}
	}
	return nil
}

// flowKey joins the two sides of a flow in either order.
func flowKey(protocol, a, b string) string { return protocol + " " + min(a, b) + " " + max(a, b) }

// findings runs the program and returns what it finds in each flow.
func findings(program, capture string) (map[string][]finding, error) {
	out, err := exec.Command(program, "ident", "-q", "-o", "json", capture).Output()
	const partial = 3
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != partial) {
		return nil, err
	}
	flows := map[string][]finding{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var f finding
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return nil, err
		}
		key := flowKey(map[string]string{"tcp": "6", "udp": "17"}[f.Transport], f.Client, f.Server)
		flows[key] = append(flows[key], f)
	}
	return flows, nil
}

// values returns the columns of a row that lasts from one time to another, in milliseconds.
func values(found []finding, from, to int64) []string {
	row := make([]string, len(columns))
	for _, f := range found {
		if ms := f.Time.UnixMilli(); f.Transport == "udp" && (ms < from || ms > to) {
			continue
		}
		master, _, _ := strings.Cut(f.App, ".")
		name := first(f.SNI, f.Host, f.Query, f.HostName)
		kind, _, _ := strings.Cut(f.ContentType, ";")
		if f.Dir == "client" {
			kind = "" // NFStream's is that of the response
		}
		if a, err := netip.ParseAddr(f.SNI); err == nil && a.Is4() && len(f.JA4) > 3 {
			f.JA4 = f.JA4[:3] + "i" + f.JA4[4:]
		}
		for i, v := range []string{
			strings.ToLower(name[:min(len(name), 79)]), first(f.JA4, f.HASSH, f.Parameters), first(f.JA3S, f.HASSHServer), f.UserAgent, kind, master,
		} {
			// nDPI goes on to the end for the protocol, and takes the name of the last DNS message.
			last := i == len(columns)-1 || i == 0 && f.Kind == "dns"
			if row[i] == "" || v != "" && last {
				row[i] = v
			}
		}
	}
	return row
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func compare(capture, path string, ours map[string][]finding, tallies []tally) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		get := func(name string) string { return row[at[name]] }
		key := flowKey(get("protocol"), endpoint(get("src_ip"), get("src_port")), endpoint(get("dst_ip"), get("dst_port")))
		from, _ := strconv.ParseInt(get("bidirectional_first_seen_ms"), 10, 64)
		to, _ := strconv.ParseInt(get("bidirectional_last_seen_ms"), 10, 64)
		have := values(ours[key], from, to)
		master, _, _ := strings.Cut(get("application_name"), ".")
		if master == "Unknown" {
			master = ""
		}
		for i, want := range []string{
			strings.ToLower(get("requested_server_name")), get("client_fingerprint"), get("server_fingerprint"), get("user_agent"), get("content_type"), master,
		} {
			if want == "" || seen[fmt.Sprint(key, i)] {
				continue
			}
			seen[fmt.Sprint(key, i)] = true
			t := &tallies[i]
			t.flows++
			if strings.EqualFold(want, have[i]) || i == 0 && want == asNDPI(have[i]) {
				t.equal++
				continue
			}
			t.misses = append(t.misses, fmt.Sprintf("%s %s: %q, NFStream has %q (%s)", capture, key, have[i], want, get("application_name")))
		}
	}
	return nil
}

// escaped is a byte that JSON cannot hold, as tcpfollow prints it.
var escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// asNDPI returns a name as nDPI keeps it: without port, with "?" for what is not visible ASCII, and "_" for "%".
func asNDPI(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > 0 {
		name = name[:i]
	}
	b := []byte(escaped.ReplaceAllString(name, "?"))
	for i, c := range b {
		switch {
		case c < ' ' || c >= 0x7f:
			b[i] = '?'
		case c == '%':
			b[i] = '_'
		}
	}
	return string(b)
}

func endpoint(ip, port string) string {
	a, err := netip.ParseAddrPort(ip + ":" + port)
	if err != nil {
		a, _ = netip.ParseAddrPort("[" + ip + "]:" + port)
	}
	return a.String()
}
