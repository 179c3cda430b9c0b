// Command tcpfollow follows TCP streams out of capture files.
package main

import (
	"os"
	"runtime/debug"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/cmd/tcpfollow"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // little is kept of large captures: memory matters more than an early collection
	}
	os.Exit(cli.Run(tcpfollow.New(os.Args[1:]...), os.Args[1:], os.Stdout, os.Stderr))
}
