// Command meter holds tcpfollow meter against NFStream.
//
//	go run ./meter rows TCPFOLLOW PYTHON SHARED [-v]
//	go run ./meter dissection TCPFOLLOW SHARED [-v]
//	go run ./meter speed TCPFOLLOW PYTHON CAPTURES
//
// rows compares the rows without dissection, in the four accounting modes, of every capture below SHARED/pcaps; PYTHON is an
// interpreter that has NFStream 6.6.0. dissection compares the columns of dissection with the rows recorded in
// SHARED/golden/nfstream, of 6.6.0 and 6.5.4. speed prints processor time, memory and packet rates of both, and of softflowd
// where it is installed, on the captures A_bulk.pcap and B_mice.pcap in a directory.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

//go:embed nfstream.py
var script []byte

func main() {
	args := os.Args[1:]
	verbose := slices.Contains(args, "-v")
	args = slices.DeleteFunc(args, func(a string) bool { return a == "-v" })
	var err error
	switch {
	case len(args) == 4 && args[0] == "rows":
		err = rows(args[1], args[2], args[3], verbose)
	case len(args) == 3 && args[0] == "dissection":
		err = dissection(args[1], args[2], verbose)
	case len(args) == 4 && args[0] == "speed":
		err = speed(args[1], args[2], args[3])
	default:
		fmt.Fprintln(os.Stderr, "usage: meter rows|dissection|speed ARGUMENTS: see its documentation")
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "meter:", err)
		os.Exit(1)
	}
}

// writeScript writes the script that runs NFStream into a directory.
func writeScript(dir string) (string, error) {
	path := filepath.Join(dir, "run_nfstream.py")
	return path, os.WriteFile(path, script, 0o600)
}
