package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// run runs a small program whose command do ends with err, and returns what it said.
func run(err error, args ...string) (code int, stdout, stderr string) {
	root := &cobra.Command{Use: "prog"}
	do := &cobra.Command{Use: "do", Args: cobra.MaximumNArgs(1), RunE: func(cmd *cobra.Command, _ []string) error {
		fmt.Fprintln(cmd.OutOrStdout(), "done")
		return err
	}}
	do.Flags().Bool("one", false, "")
	do.Flags().Bool("two", false, "")
	do.Flags().String("need", "x", "")
	do.MarkFlagsMutuallyExclusive("one", "two")
	group := &cobra.Command{Use: "group"}
	group.AddCommand(&cobra.Command{Use: "member", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return err }})
	root.AddCommand(do, group)
	var out, errs bytes.Buffer
	code = cli.Run(root, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestRunError(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("do it: %w", err) }
	for _, tt := range []struct {
		name   string
		err    error
		code   int
		stderr string
	}{
		{"none", nil, cli.ExitOK, ""},
		{"plain", errors.New("no luck"), cli.ExitError, "prog: no luck\n"},
		{"usage", cli.Usage("--n: %d is odd", 3), cli.ExitUsage, "prog: --n: 3 is odd\nTry 'prog --help'.\n"},
		{"partial", cli.Partial(errors.New("cut off")), cli.ExitPartial, "prog: cut off\n"},
		{"permission", &cli.CodedError{Code: cli.ExitPermission, Err: errors.New("may not")}, cli.ExitPermission, "prog: may not\n"},
		{"wrapped partial", wrapped(cli.Partial(errors.New("cut off"))), cli.ExitPartial, "prog: do it: cut off\n"},
		{"closed pipe", syscall.EPIPE, cli.ExitOK, ""},
		{"wrapped closed pipe", wrapped(syscall.EPIPE), cli.ExitOK, ""},
		{"end of file", io.EOF, cli.ExitError, "prog: EOF\n"},
		{"two", errors.Join(errors.New("one"), errors.New("two")), cli.ExitError, "prog: one\nprog: two\n"},
		{
			"two partial ones", cli.Partial(errors.Join(errors.New("one"), errors.Join(errors.New("two"), errors.New("three")))),
			cli.ExitPartial, "prog: one\nprog: two\nprog: three\n",
		},
		{"two in one sentence", fmt.Errorf("%w and %w", errors.New("one"), errors.New("two")), cli.ExitError, "prog: one and two\n"},
		{"hostile text", errors.New("open a\nb\x1b[2J: gone"), cli.ExitError, "prog: open a\\x0ab\\x1b[2J: gone\n"},
		{"said unknown command itself", errors.New("unknown command in file"), cli.ExitError, "prog: unknown command in file\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(tt.err, "do")
			require.Equal(t, tt.code, code)
			require.Equal(t, tt.stderr, stderr)
			require.Equal(t, "done\n", stdout)
		})
	}
}

// TestRunUsage: what is wrong with the arguments exits with 2 before anything runs, and says so in a line.
func TestRunUsage(t *testing.T) {
	for _, tt := range []struct {
		name, stderr string
		args         []string
	}{
		{"unknown command", `unknown command "nope"`, []string{"nope"}},
		{"nearly a command", `unknown command "grou": did you mean group?`, []string{"grou"}},
		{"unknown command of a group", `unknown command "nope"`, []string{"group", "nope"}},
		{"unknown shell", `unknown command "ksh": did you mean bash or fish or zsh?`, []string{"completion", "ksh"}},
		{"unknown flag", "unknown flag: --three", []string{"do", "--three"}},
		{"unknown flag of the program", "unknown flag: --three", []string{"--three"}},
		{"value missing", "flag needs an argument: --need", []string{"do", "--need"}},
		{"too many arguments", "accepts at most 1 arg(s), received 2", []string{"do", "a", "b"}},
		{
			"flags that exclude each other", "if any flags in the group [one two] are set none of the others can be; [one two] were all set",
			[]string{"do", "--one", "--two"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(nil, tt.args...)
			require.Equal(t, cli.ExitUsage, code)
			require.Equal(t, "prog: "+tt.stderr+"\nTry 'prog --help'.\n", stderr)
			require.Empty(t, stdout)
		})
	}
}

func TestRunHelp(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"group"}, {"do", "-h"}, {"completion"}} {
		code, stdout, stderr := run(errors.New("ran"), args...)
		require.Equal(t, cli.ExitOK, code, "%q", args)
		require.Contains(t, stdout, "Usage:", "%q", args)
		require.Empty(t, stderr, "%q", args)
	}
}

func TestRunContext(t *testing.T) {
	var ctx context.Context
	root := &cobra.Command{Use: "prog", RunE: func(cmd *cobra.Command, _ []string) error {
		ctx = cmd.Context()
		return ctx.Err()
	}}
	require.Equal(t, cli.ExitOK, cli.Run(root, nil, io.Discard, io.Discard))
	require.Error(t, ctx.Err(), "over with the run")
}
