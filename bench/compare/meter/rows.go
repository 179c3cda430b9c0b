package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const modes = "0123"

// rows compares the rows of every capture.
func rows(program, python, shared string, verbose bool) error {
	captures, err := captures(filepath.Join(shared, "pcaps"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "meter")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := writeScript(dir)
	if err != nil {
		return err
	}
	said, err := exec.Command(python, append([]string{path, dir, "0", "1", "10", modes}, captures...)...).Output()
	if err != nil {
		return fmt.Errorf("run NFStream: %w", err)
	}
	equal, flows := 0, 0
	differ := map[string]int{} // captures by what differs
	for i, capture := range captures {
		reason := ""
		for _, mode := range modes {
			run := fmt.Sprintf("%d.%c", i, mode)
			want, err := os.ReadFile(filepath.Join(dir, run+".csv"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			got, err := ours(program, "--n-dissections", "0", "--statistical-analysis", "--splt-analysis", "10", "--accounting-mode", string(mode), capture)
			if err != nil {
				return fmt.Errorf("%s: %w", capture, err)
			}
			if bytes.Equal(want, got) {
				equal++
				flows += max(0, bytes.Count(want, []byte("\r\n"))-1)
				continue
			}
			reason = why(want, got)
			if _, after, ok := bytes.Cut(said, []byte(run+": ")); ok {
				line, _, _ := strings.Cut(string(after), "\n")
				reason = "NFStream: " + line
			}
		}
		if reason != "" {
			differ[reason]++
			if verbose {
				fmt.Println(" ", capture, reason)
			}
		}
	}
	fmt.Printf("%d of %d runs equal byte for byte, %d rows; %d captures, 4 accounting modes\n", equal, len(modes)*len(captures), flows, len(captures))
	for _, reason := range sortedKeys(differ) {
		fmt.Printf("  %d captures differ: %s\n", differ[reason], reason)
	}
	return nil
}

// captures returns what may be a capture below a directory.
func captures(dir string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !slices.Contains([]string{".md", ".txt"}, filepath.Ext(path)) {
			all = append(all, path)
		}
		return err
	})
	return all, err
}

// ours runs the program and returns what it prints; a partial result is one.
func ours(program string, args ...string) ([]byte, error) {
	out, err := exec.Command(program, append([]string{"meter", "-q", "-o", "csv"}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() != 2 {
		return out, nil
	}
	return out, err
}

// why says how rows differ.
func why(want, got []byte) string {
	if len(want) == 0 {
		return "NFStream has no rows: libpcap refuses the file"
	}
	w, werr := csv.NewReader(bytes.NewReader(want)).ReadAll()
	g, gerr := csv.NewReader(bytes.NewReader(got)).ReadAll()
	if werr != nil || gerr != nil || len(g) == 0 {
		return "no table"
	}
	if len(w) < len(g) {
		return "NFStream has fewer rows: libpcap stops at a second link type or section"
	}
	columns := map[string]int{}
	for i := range w {
		for c := range w[i] {
			if i < len(g) && w[i][c] != g[i][c] {
				columns[w[0][c]]++
			}
		}
	}
	names := sortedKeys(columns)
	if len(names) > 6 {
		names = append(names[:6], "…")
	}
	return fmt.Sprintf("%d rows, ours %d; columns %s", len(w)-1, len(g)-1, strings.Join(names, " "))
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
