// Package cli holds what the programs of this project share: exit codes, progress, colour, and the escaping of
// captured bytes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of all programs.
const (
	ExitOK         = 0
	ExitError      = 1 // a runtime error
	ExitUsage      = 2 // a wrong flag or argument
	ExitPartial    = 3 // results are there, but not all: a truncated file, a limit that was reached
	ExitPermission = 4 // not permitted to capture
)

// Coded is an error with an exit code.
type Coded struct {
	Code int
	Err  error
}

func (e *Coded) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *Coded) Unwrap() error { return e.Err }

// Usage returns an error that makes the program exit with ExitUsage.
func Usage(format string, args ...any) error {
	return &Coded{ExitUsage, fmt.Errorf(format, args...)}
}

// Partial returns an error that makes the program exit with ExitPartial.
func Partial(err error) error { return &Coded{ExitPartial, err} }

// Run executes a command tree and returns the exit code. Errors go to stderr in one line, after the program's name.
// An interrupt cancels the command's context; a second one kills the program.
func Run(root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &Coded{ExitUsage, err} })
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return ExitOK // a reader that has seen enough is no error
	}
	var coded *Coded
	code := ExitError
	if errors.As(err, &coded) {
		code = coded.Code
	} else if strings.HasPrefix(err.Error(), "unknown command") {
		code = ExitUsage
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), EscapeLine(strings.TrimSuffix(line, "\n")))
	}
	if code == ExitUsage {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", root.Name())
	}
	return code
}
