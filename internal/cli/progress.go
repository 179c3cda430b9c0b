package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Progress shows how far a long run has come, on a terminal only.
type Progress struct {
	w     io.Writer // nil draws nothing
	total int64     // bytes, not positive when unknown
	start time.Time
	next  time.Time
	drawn bool
}

const (
	interval = 200 * time.Millisecond // between two drawings
	barWidth = 20
	lineRoom = 79 // a longer line would wrap on narrow terminals, and could not be drawn over
)

// NewProgress returns a progress bar on w over total bytes, -1 or 0 when unknown. It draws nothing when w is no
// terminal or quiet is set.
func NewProgress(w io.Writer, total int64, quiet bool) *Progress {
	if quiet || !IsTerminal(w) {
		return &Progress{}
	}
	return &Progress{w: w, total: total}
}

// Update moves the bar to read bytes after so many packets. It is cheap enough to be called for every batch.
func (p *Progress) Update(read int64, packets uint64) {
	if p.w == nil {
		return
	}
	now := time.Now()
	if p.start.IsZero() {
		p.start, p.next = now, now.Add(interval)
	}
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(interval)
	p.draw(p.line(read, packets, now.Sub(p.start)))
}

// Done removes the bar.
func (p *Progress) Done() {
	if p.drawn {
		p.draw("")
		fmt.Fprint(p.w, "\r")
		p.drawn = false
	}
}

// draw draws over what was drawn before. A bar that cannot be drawn is no reason to stop.
func (p *Progress) draw(line string) {
	p.drawn = true
	fmt.Fprintf(p.w, "\r%-*.*s", lineRoom, lineRoom, line)
}

// line returns what there is to see.
func (p *Progress) line(read int64, packets uint64, took time.Duration) string {
	seconds := took.Seconds()
	speed := fmt.Sprintf("%.0f MB/s, %.0f packets/s", float64(read)/1e6/seconds, float64(packets)/seconds)
	if p.total <= 0 {
		return fmt.Sprintf("%d MB, %s", read/1e6, speed)
	}
	share := min(float64(read)/float64(p.total), 1)
	done := int(share * barWidth)
	line := fmt.Sprintf("%3.0f%% [%s%s] %s", share*100, strings.Repeat("=", done), strings.Repeat(" ", barWidth-done), speed)
	if share > 0 {
		left := time.Duration(float64(took) * (1/share - 1))
		line += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return line
}
