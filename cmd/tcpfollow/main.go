// Command tcpfollow follows TCP streams out of capture files.
package main

import (
	"os"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/cmd/tcpfollow"
)

func main() {
	os.Exit(cli.Run(tcpfollow.New(), os.Args[1:], os.Stdout, os.Stderr))
}
