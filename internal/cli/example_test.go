package cli_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// Captured bytes cannot move the cursor or fake an escape.
func ExampleEscapeLine() {
	fmt.Println(cli.EscapeLine("grüße\x1b[2J\u202e\r\n"))
	fmt.Println(cli.EscapeLine(`C:\dir is itself, \x1b is not`))
	// Output:
	// grüße\x1b[2J\xe2\x80\xae\x0d\x0a
	// C:\dir is itself, \x5cx1b is not
}

// A command's error decides about the exit code.
func ExampleRun() {
	root := &cobra.Command{Use: "count", RunE: func(cmd *cobra.Command, args []string) error {
		fmt.Fprintln(cmd.OutOrStdout(), cli.Count(uint64(len(args)), "argument"))
		return cli.Partial(errors.New("two more were lost"))
	}}
	fmt.Println("exit", cli.Run(root, []string{"a", "b"}, os.Stdout, os.Stdout))
	// Output:
	// 2 arguments
	// count: two more were lost
	// exit 3
}
