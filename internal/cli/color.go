package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Palette holds the escape sequences of the colours in use; all are empty when there is no colour.
type Palette struct {
	Client, Server, Note, Warn, Reset string
}

// NewPalette returns the colours for w: mode is "always", "never", or "auto" for colour on a terminal when NO_COLOR
// is not set (no-color.org).
func NewPalette(mode string, w io.Writer) (Palette, error) {
	on := false
	switch mode {
	case "always":
		on = true
	case "auto":
		on = IsTerminal(w) && os.Getenv("NO_COLOR") == ""
	case "never":
	default:
		return Palette{}, Usage("--color: %q is none of auto, always, never", mode)
	}
	if !on {
		return Palette{}, nil
	}
	return Palette{Client: "\x1b[31m", Server: "\x1b[34m", Note: "\x1b[2m", Warn: "\x1b[33m", Reset: "\x1b[0m"}, nil
}
