package cli_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// file returns a file, which is no terminal.
func file(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestNewPalette(t *testing.T) {
	none := cli.Palette{}
	colors, err := cli.NewPalette("always", io.Discard)
	require.NoError(t, err)
	for _, c := range []string{colors.Client, colors.Server, colors.Note, colors.Warn, colors.Reset} {
		require.Regexp(t, `^\x1b\[\d+m$`, c)
	}
	require.NotEqual(t, colors.Client, colors.Server)
	for _, tt := range []struct {
		name, mode, noColor string
		w                   io.Writer
		want                cli.Palette
	}{
		{"never", "never", "", io.Discard, none},
		{"auto on no file", "auto", "", io.Discard, none},
		{"auto on a file", "auto", "", file(t), none},
		{"auto with NO_COLOR", "auto", "1", file(t), none},
		{"always with NO_COLOR: the flag is nearer", "always", "1", file(t), colors},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", tt.noColor)
			got, err := cli.NewPalette(tt.mode, tt.w)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
	for _, mode := range []string{"", "yes", "ALWAYS"} {
		_, err := cli.NewPalette(mode, io.Discard)
		var coded *cli.CodedError
		require.ErrorAs(t, err, &coded, "%q", mode)
		require.Equal(t, cli.ExitUsage, coded.Code)
	}
}

func TestIsTerminal(t *testing.T) {
	require.False(t, cli.IsTerminal(io.Discard))
	require.False(t, cli.IsTerminal(file(t)))
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	require.False(t, cli.IsTerminal(null))
}

// TestProgressWithoutTerminal: nothing is drawn, however it is used.
func TestProgressWithoutTerminal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		total int64
		quiet bool
	}{{"size known", 1 << 20, false}, {"size unknown", 0, false}, {"quiet", 1 << 20, true}} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			f := file(t)
			for _, w := range []io.Writer{&out, f} {
				p := cli.NewProgress(w, tt.total, tt.quiet)
				for i := range 1000 {
					p.Update(int64(i)<<10, uint64(i))
				}
				p.Done()
				p.Done()
			}
			require.Empty(t, out.String())
			fi, err := f.Stat()
			require.NoError(t, err)
			require.Zero(t, fi.Size())
		})
	}
}
