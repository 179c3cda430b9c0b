// Mktestdata writes the captures under testdata, the same bytes each time:
//
//	go run ./internal/cmd/mktestdata testdata
//
// Those of TLS are made of transcripts, which are a part of the program. To record other ones, of crypto/tls and
// net/http as they are then:
//
//	go run ./internal/cmd/mktestdata -record internal/cmd/mktestdata/transcripts
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// capture is one file to write.
type capture struct {
	name   string
	what   string
	data   []byte
	frames int
}

func main() {
	run, args := write, os.Args[1:]
	if len(args) > 0 && args[0] == "-record" {
		run, args = record, args[1:]
	}
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: mktestdata [-record] DIR")
		os.Exit(2)
	}
	if err := run(args[0]); err != nil {
		fmt.Fprintln(os.Stderr, "mktestdata:", err)
		os.Exit(1)
	}
}

// write puts all captures and their manifest into dir.
func write(dir string) error {
	all := captures()
	for _, c := range append(all, capture{name: "MANIFEST", data: manifest(all)}) {
		path := filepath.Join(dir, filepath.FromSlash(c.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// captures returns every file, in the order of the manifest.
func captures() []capture {
	return slices.Concat(conversations(), secure(), links(), tunnels(), related())
}

func manifest(all []capture) []byte {
	var b bytes.Buffer
	b.WriteString("# name, SHA-256, frames, what it exercises; all made by: go run ./internal/cmd/mktestdata testdata\n")
	for _, c := range all {
		fmt.Fprintf(&b, "%-28s %x %3d  %s\n", c.name, sha256.Sum256(c.data), c.frames, c.what)
	}
	return b.Bytes()
}
