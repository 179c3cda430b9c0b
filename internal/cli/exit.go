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

// CodedError is an error with an exit code.
type CodedError struct {
	Code int
	Err  error
	// Plain leaves out the hint at --help, which does not help.
	Plain bool
}

func (e *CodedError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *CodedError) Unwrap() error { return e.Err }

// Usage returns an error that makes the program exit with ExitUsage.
func Usage(format string, args ...any) error {
	return &CodedError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// Partial returns an error that makes the program exit with ExitPartial.
func Partial(err error) error { return &CodedError{Code: ExitPartial, Err: err} }

// Run executes a command tree and returns the exit code. What goes wrong before a command runs is wrong usage. Errors go
// to stderr, each in one line after the program's name. An interrupt cancels the command's context; a second one kills
// the program.
func Run(root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	started := false
	prepare(root, &started)
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return ExitOK // a reader that has seen enough is no error
	}
	code := ExitError
	var coded *CodedError
	if errors.As(err, &coded) {
		code = coded.Code
	} else if !started {
		code = ExitUsage
	}
	for _, text := range messages(err) {
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), EscapeLine(text))
	}
	if code == ExitUsage && (coded == nil || !coded.Plain) {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", root.Name())
	}
	return code
}

// prepare makes a command and those below it note when one of them starts to run, and makes those that hold others refuse
// what is none of these.
func prepare(cmd *cobra.Command, started *bool) {
	for _, c := range cmd.Commands() {
		prepare(c, started)
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return run(cmd, args)
		}
	}
	if cmd.HasSubCommands() {
		cmd.Args = unknownCommand
	}
	if !cmd.Runnable() {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
}

// unknownCommand accepts no argument.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// messages returns the text of an error, or of each of those that errors.Join put together.
func messages(err error) []string {
	if coded, ok := err.(*CodedError); ok { //nolint:errorlint // what it wraps is looked at next
		return messages(coded.Err)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []string{err.Error()}
	}
	var all []string
	for _, e := range joined.Unwrap() {
		all = append(all, messages(e)...)
	}
	return all
}
