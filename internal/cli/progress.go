package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how far a long run has come, on a terminal only.
type Progress struct {
	bar     *progressbar.ProgressBar
	start   time.Time
	next    time.Time
	started bool
}

// interval is how often the bar is drawn.
const interval = 200 * time.Millisecond

// NewProgress returns a progress bar on w over total bytes, -1 or 0 when unknown. It draws nothing when w is no
// terminal or quiet is set.
func NewProgress(w io.Writer, total int64, quiet bool) *Progress {
	p := &Progress{}
	if quiet || !IsTerminal(w) {
		return p
	}
	if total <= 0 {
		total = -1
	}
	p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth())
	return p
}

// Update moves the bar to read bytes after so many packets. It is cheap enough to be called for every batch.
func (p *Progress) Update(read int64, packets uint64) {
	if p.bar == nil {
		return
	}
	now := time.Now()
	if !p.started {
		p.start, p.next, p.started = now, now.Add(interval), true
	}
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(interval)
	p.bar.Describe(fmt.Sprintf("%.0f packets/s", float64(packets)/max(now.Sub(p.start).Seconds(), 1e-3)))
	_ = p.bar.Set64(read) // a bar that cannot be drawn is no reason to stop
}

// Done removes the bar.
func (p *Progress) Done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
