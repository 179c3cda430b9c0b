package meter

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Flows meters a whole source. Flows are borrowed: valid until the next one; use [Flow.Clone] to keep them. The error comes
// at most once and last, after the flows of what could be read. Single-use. A nil cfg means [DefaultConfig].
func Flows(ctx context.Context, src packet.Source, cfg *Config) iter.Seq2[*Flow, error] {
	return func(yield func(*Flow, error) bool) {
		stopped := false
		m, err := New(func(f *Flow) { stopped = stopped || !yield(f, nil) }, cfg)
		if err != nil {
			yield(nil, err)
			return
		}
		var b packet.Batch
		for !stopped && !m.Done() {
			if err = ctx.Err(); err != nil {
				break
			}
			if err = src.ReadBatch(&b); err != nil {
				break
			}
			m.FeedBatch(&b)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if err = errors.Join(err, m.Flush()); err != nil && !stopped {
			yield(nil, err)
		}
	}
}
