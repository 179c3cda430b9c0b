package tcpfollow

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
)

// follows is what a command does with streams, on one goroutine or on several: handlers turn what happens into values,
// and sink is given them in order, each with the number of its stream.
type follows[T any] struct {
	// handlers is called for each goroutine. emit must be given nothing that is borrowed when owned is set.
	handlers func(cfg *tf.Config, owned bool, emit func(*tf.TCPStream, T)) (data, end tf.StreamFunc)
	// sink may be nil, when nothing is emitted.
	sink func(stream uint64, v T) error
}

// run follows the input as --workers says.
func (f *follows[T]) run(in *input, cmd *cobra.Command, args []string, cfg *tf.Config, j *job) error {
	switch {
	case in.workers < 1:
		return cli.Usage("--workers: %d is less than 1", in.workers)
	case in.workers == 1:
		var failed error
		j.data, j.end = f.handlers(cfg, false, func(s *tf.TCPStream, v T) {
			if failed == nil {
				failed = f.sink(s.ID(), v)
			}
		})
		return in.run(cmd, args, cfg, j)
	case cfg.Engine != nil:
		return cli.Usage("--workers goes with --engine native only")
	case j.each != nil:
		return cli.Usage("--workers goes neither with -w nor with --tunnels")
	}
	j.sharded = func(ctx context.Context, src packet.Source) (tf.Totals, error) {
		handlers := func(cfg *tf.Config, emit func(T)) (data, end tf.StreamFunc) {
			return f.handlers(cfg, true, func(_ *tf.TCPStream, v T) { emit(v) })
		}
		return tf.FollowSharded(ctx, src, in.workers, handlers, func(stream uint64, v T) error {
			j.session.output.Lock()
			defer j.session.output.Unlock()
			if err := f.sink(stream, v); err != nil || j.batch == nil {
				return err
			}
			return j.batch(j.session.waits)
		}, cfg)
	}
	return in.run(cmd, args, cfg, j)
}

// source is a source made of a function.
type source func(*packet.Batch) error

// ReadBatch calls the function.
func (f source) ReadBatch(b *packet.Batch) error { return f(b) }

// followSharded follows the input on several goroutines.
func (s *session) followSharded(ctx context.Context, progress *cli.Progress) error {
	var read packet.Batch
	var rest []packet.Frame // of it; --strict follows one by one
	var clock int64         // behind it
	src := source(func(b *packet.Batch) error {
		if s.strict != nil {
			return io.EOF
		}
		if len(rest) == 0 {
			progress.Update(s.set.BytesRead(), s.seen)
			s.waitFor(true)
			err := s.next(ctx, &read)
			s.waitFor(false)
			if err != nil {
				return err
			}
			s.frames, rest, clock = read.Frames, read.Frames, read.Clock
		}
		n := len(rest)
		if s.in.strict {
			n = min(n, 1)
		}
		b.Frames, rest = rest[:n], rest[n:]
		if b.Clock = 0; len(rest) == 0 {
			b.Clock = clock
		}
		return nil
	})
	// An interrupt ends the source, not the context: what was read is shown.
	totals, err := s.job.sharded(context.WithoutCancel(ctx), src)
	s.totals = &totals
	return firstError(s.strict, err)
}

// waitFor notes whether the next read may take long. While it does, what there is is shown at once, be it there already or
// still to come from the workers.
func (s *session) waitFor(frames bool) {
	if s.set.Size() > 0 || s.job.batch == nil {
		return
	}
	s.output.Lock()
	defer s.output.Unlock()
	if s.waits = frames; frames {
		_ = s.job.batch(true) // an error stays, and ends the run with the next value
	}
}
