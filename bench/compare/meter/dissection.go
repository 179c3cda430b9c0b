package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// compared are the columns that count by themselves; the last is of application_name the part before the dot.
var compared = []string{"requested_server_name", "client_fingerprint", "server_fingerprint", "user_agent", "content_type", "application_name"}

// dissection compares the columns of dissection, flow by flow: those that NFStream has a value for.
func dissection(program, shared string, verbose bool) error {
	for _, version := range []struct {
		name, suffix string
		args         []string
	}{
		{"NFStream 6.6.0", ".dis20.csv.gz", nil},
		{"NFStream 6.5.4", ".dis20-v654.csv.gz", []string{"--dialect", "nfstream-6.5"}},
	} {
		fmt.Println(version.name)
		records, err := filepath.Glob(filepath.Join(shared, "golden", "nfstream", "*"+version.suffix))
		if err != nil || len(records) == 0 {
			return fmt.Errorf("no records below %s: %w", shared, err)
		}
		flows, equal := make([]int, len(compared)), make([]int, len(compared))
		for _, path := range records {
			capture := strings.TrimSuffix(filepath.Base(path), version.suffix)
			out, err := ours(program, append(version.args, filepath.Join(shared, "pcaps", "ndpi", capture))...)
			if err != nil {
				return fmt.Errorf("%s: %w", capture, err)
			}
			recorded, err := unzip(path)
			if err != nil {
				return err
			}
			got, err := byFlow(out)
			if err != nil {
				return fmt.Errorf("%s: %w", capture, err)
			}
			want, err := byFlow(recorded)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			for key, row := range want {
				for i, column := range compared {
					w, g := row[column], got[key][column]
					if column == "application_name" {
						w, _, _ = strings.Cut(w, ".")
						g, _, _ = strings.Cut(g, ".")
					}
					if w == "" || w == "Unknown" {
						continue
					}
					flows[i]++
					if w == g {
						equal[i]++
					} else if verbose {
						fmt.Printf("    %s %s: %s %q, NFStream has %q\n", capture, key, column, g, w)
					}
				}
			}
		}
		for i, column := range compared {
			fmt.Printf("  %-22s %4d of %4d flows equal, %.1f %%\n", column, equal[i], flows[i], 100*float64(equal[i])/float64(max(flows[i], 1)))
		}
	}
	return nil
}

func unzip(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// byFlow returns the rows by 5-tuple and time.
func byFlow(table []byte) (map[string]map[string]string, error) {
	r := csv.NewReader(bytes.NewReader(bytes.ReplaceAll(table, []byte(`\"`), []byte(`""`)))) // as 6.5.4 escapes
	all, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	flows := map[string]map[string]string{}
	for _, row := range all[1:] {
		m := map[string]string{}
		for i, name := range all[0] {
			m[name] = row[i]
		}
		key := make([]string, 0, 8)
		for _, name := range []string{"src_ip", "src_port", "dst_ip", "dst_port", "protocol", "vlan_id", "tunnel_id", "bidirectional_first_seen_ms"} {
			key = append(key, m[name])
		}
		flows[strings.Join(key, " ")] = m
	}
	return flows, nil
}
