package cli

import "io"

// ProgressOn returns a progress bar that takes w for a terminal.
func ProgressOn(w io.Writer, total int64) *Progress { return &Progress{w: w, total: total} }
