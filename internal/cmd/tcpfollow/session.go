package tcpfollow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/live"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// job is what a command does with its input; every part but the first two may be nil.
type job struct {
	data, end tf.StreamFunc
	// started is called before the first frame, when the input is known to be there.
	started func(*session) error
	// each is called with every frame, once it has been followed.
	each func(*packet.Frame, tf.Verdict) error
	// finish is called when the last stream has ended, before the summary. It completes the output.
	finish func() error
	// batch is called after every few frames; live says that more are waited for.
	batch func(live bool) error
	// sharded, when set, is called instead of feeding a follower.
	sharded func(context.Context, packet.Source) (tf.Totals, error)
	session *session // once it has started
	// notes and limits are what the summary says beside what it says of streams.
	notes  func() []note
	limits func() []limit
}

// note is a count in the summary, left out if it is 0.
type note struct {
	count      uint64
	what, rest string
}

// limit is how often one was reached, by the flag that sets it.
type limit struct {
	n    uint64
	name string
}

// session is one run over the input.
type session struct {
	in       *input
	job      *job
	files    []string
	follower *tf.TCPStreamFollower
	set      capture
	source   *live.Source // of set, if that captures
	recorder *recorder    // of all frames, or nil
	writes   []string     // directories in which files will be made
	until    int64        // when --duration ends
	over     bool         // it has
	stdout   io.Writer
	stderr   io.Writer
	filter   *filter                    // of frames, or nil
	totals   *tf.Totals                 // of shards
	frames   []packet.Frame             // being followed
	seen     uint64                     // frames read
	output   sync.Mutex                 // held while workers' values are shown
	waits    bool                       // for frames, while workers go on
	left     bool                       // an interrupt left a read behind
	strict   error                      // with --strict, the first undecodable frame
	cut      []error                    // files that could not be read to their end
	unknown  map[packet.LinkType]uint64 // frames of link types that are not understood
	unlisted bool                       // gaps were left out of a list
}

// run follows all of the input, prints the summary, and returns what the command is to end with.
func (in *input) run(cmd *cobra.Command, args []string, cfg *tf.Config, j *job) error {
	if in.live.list {
		return listInterfaces(cmd.OutOrStdout())
	}
	args, chosen, err := in.filter(cmd, args)
	if err != nil {
		return err
	}
	if err := in.record.check(); err != nil {
		return err
	}
	if in.record.path == "-" {
		return cli.Usage("-w -: standard output is the command's own")
	}
	s := &session{
		in: in, job: j, files: append(slices.Clip(in.files), args...), filter: chosen,
		stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), unknown: map[packet.LinkType]uint64{},
	}
	cfg.OnError = s.undecodable
	if s.follower, err = tf.New(j.data, j.end, cfg); err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	if s.set, s.source, err = in.open(cmd.Context(), s.files, &s.filter); err != nil {
		return err
	}
	defer func() {
		if !s.left {
			_ = s.set.Close() // it was read from only
		}
	}()
	j.session = s
	if err := s.start(); err != nil {
		return err
	}
	progress := cli.NewProgress(s.stderr, s.set.Size(), s.in.quiet)
	if j.sharded != nil {
		err = s.followSharded(cmd.Context(), progress)
	} else {
		err = s.follow(cmd.Context(), progress)
	}
	progress.Done()
	err = firstError(err, s.follower.Close())
	if s.recorder != nil {
		err = firstError(err, s.recorder.close())
	}
	return s.summary(firstError(j.finish(), err))
}

// start opens the outputs, and then gives up what it takes to open things.
func (s *session) start() (err error) {
	if s.in.record.path != "" {
		if s.recorder, err = newRecorder(s.in.record, s); err != nil {
			return err
		}
	}
	if s.job.started != nil {
		if err := s.job.started(s); err != nil {
			return err
		}
	}
	if s.source == nil {
		return nil
	}
	return s.in.live.confine(s.set, s.writes, s.stderr, s.in.quiet)
}

// follow feeds the follower to the end of the input.
func (s *session) follow(ctx context.Context, progress *cli.Progress) error {
	var b packet.Batch
	for {
		if err := s.next(ctx, &b); errors.Is(err, io.EOF) {
			return nil // or interrupted: what was read is shown, and the summary follows
		} else if err != nil {
			return err
		}
		if err := s.feed(&b); err != nil {
			return err
		}
		progress.Update(s.set.BytesRead(), s.seen)
	}
}

// next reads the next frames that are wanted, or the time. io.EOF is the end of the input, or an interrupt.
func (s *session) next(ctx context.Context, b *packet.Batch) error {
	// An interrupt stops a source, which then has the frames that were captured before.
	for (ctx.Err() == nil || s.source != nil) && (s.in.count == 0 || s.seen < s.in.count) && !s.over {
		if err := s.read(ctx, b); err != nil {
			switch {
			case s.left, ctx.Err() != nil && errors.Is(err, ctx.Err()):
				return io.EOF
			case errors.Is(err, io.EOF), !isPartial(err):
				return err
			}
			s.cut = append(s.cut, err)
			s.set.SkipFile()
			continue
		}
		if s.filter != nil {
			if err := s.filter.choose(b); err != nil {
				return err
			}
		}
		s.over = s.expired(b)
		if len(b.Frames) == 0 && b.Clock == 0 {
			continue
		}
		if left := s.in.count - s.seen; s.in.count > 0 && uint64(len(b.Frames)) > left {
			b.Frames = b.Frames[:left]
		}
		s.seen += uint64(len(b.Frames))
		return s.record(b)
	}
	return io.EOF
}

// record writes frames to a file. Those that wait for more are written while there are none.
func (s *session) record(b *packet.Batch) error {
	if s.recorder == nil {
		return nil
	}
	for i := range b.Frames {
		if err := s.recorder.write(&b.Frames[i]); err != nil {
			return err
		}
	}
	if len(b.Frames) == 0 {
		return s.recorder.flush()
	}
	return nil
}

// read reads the next frames. An interrupt does not wait for a pipe: the read is left behind.
func (s *session) read(ctx context.Context, b *packet.Batch) error {
	if s.set.Size() > 0 || s.source != nil {
		return s.set.ReadBatch(b)
	}
	done := make(chan error, 1)
	go func() { done <- s.set.ReadBatch(b) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		s.left = true
		return ctx.Err()
	}
}

func (s *session) feed(b *packet.Batch) error {
	s.frames = b.Frames
	if s.job.each == nil && !s.in.strict {
		s.follower.FeedBatch(b, nil)
	} else {
		for i := range b.Frames {
			v := s.follower.FeedFrame(b.Frames[i])
			if s.job.each != nil {
				if err := s.job.each(&b.Frames[i], v); err != nil {
					return err
				}
			}
			if s.strict != nil {
				return s.strict
			}
		}
		s.follower.FeedBatch(&packet.Batch{Clock: b.Clock}, nil)
	}
	if s.job.batch != nil {
		return s.job.batch(s.set.Size() == 0)
	}
	return nil
}

// undecodable notes a frame that could not be decoded.
func (s *session) undecodable(err error) {
	if errors.Is(err, packet.UnknownLink) {
		var bad *packet.DecodeError
		if errors.As(err, &bad) {
			link := s.link(bad.Frame)
			s.unknown[link]++
			err = fmt.Errorf("frame %d: %s", bad.Frame, unknownLink(link))
		}
	}
	if s.in.strict && s.strict == nil {
		s.strict = fmt.Errorf("%s: %w", s.set.Name(), err)
		return
	}
	if s.in.verbose {
		fmt.Fprintf(s.stderr, "tcpfollow: %s: %s\n", cli.EscapeLine(s.set.Name()), cli.EscapeLine(err.Error()))
	}
}

// link returns the link type of a frame that is being followed.
func (s *session) link(frame uint64) packet.LinkType {
	for i := range s.frames {
		if s.frames[i].Number == frame {
			return s.frames[i].Link
		}
	}
	return 0
}

func unknownLink(l packet.LinkType) string {
	return fmt.Sprintf("%v %d", packet.UnknownLink, uint32(l))
}

// summary says on standard error what was seen and lost, and turns err into the command's.
func (s *session) summary(err error) error {
	if !s.in.quiet {
		s.printSummary()
	}
	partial := s.cut
	if limits := s.limits(); len(limits) > 0 {
		partial = append(partial, fmt.Errorf("results are partial: limits reached: %s", strings.Join(limits, ", ")))
	}
	switch {
	case len(partial) == 0:
		return err
	case err != nil:
		return &cli.CodedError{Code: cli.ExitError, Err: errors.Join(append(partial, err)...)}
	}
	return cli.Partial(errors.Join(partial...))
}

func (s *session) printSummary() {
	st, ds, frags := s.counters()
	fmt.Fprintf(s.stderr, "%s, %s, %s of payload", cli.Count(st.Frames, "frame"), cli.Count(st.Streams, "stream"), cli.Count(st.Bytes, "byte"))
	var filtered uint64
	if s.filter != nil {
		filtered = s.filter.rejected
	}
	notes := []note{
		{filtered, "frame", " filtered out"},
		{st.GapBytes, "byte", " missing"},
		{st.Conflicts, "byte", " in conflict"},
		{st.Verdicts[tf.Undecodable], "frame", " undecodable"},
		{st.Verdicts[tf.CapturedTwice], "frame", " captured twice"},
		{st.Urgent, "urgent byte", " taken out"},
		{frags.Pending + frags.Expired + frags.Evicted + frags.Overfull + frags.Overlapped, "IP datagram", " incomplete or dropped"},
		{st.Verdicts[tf.BadChecksum], "segment", " with a wrong checksum"},
		{st.Verdicts[tf.OutOfWindow], "segment", " out of window"},
		{st.BeforeStart, "byte", " before a start"},
		{st.AfterFIN + st.AfterEnd, "byte", " after an end"},
		{st.Verdicts[tf.BadReset], "reset", " ignored"},
		{st.Verdicts[tf.BadSYN], "SYN", " ignored"},
	}
	if s.job.notes != nil {
		notes = append(notes, s.job.notes()...)
	}
	for _, n := range notes {
		if n.count > 0 {
			fmt.Fprintf(s.stderr, ", %s%s", cli.Count(n.count, n.what), n.rest)
		}
	}
	fmt.Fprintln(s.stderr)
	s.printCaptured()
	for _, link := range slices.Sorted(maps.Keys(s.unknown)) {
		fmt.Fprintf(s.stderr, "  %s undecodable: %s\n", cli.Count(s.unknown[link], "frame"), unknownLink(link))
	}
	for i, n := range ds.Status {
		if status := packet.Status(i); n > 0 && status.Undecodable() && status != packet.UnknownLink {
			fmt.Fprintf(s.stderr, "  %s undecodable: %v\n", cli.Count(n, "frame"), status)
		}
	}
}

// printCaptured says what the kernel counted.
func (s *session) printCaptured() {
	if s.source != nil {
		kernel := s.source.Stats()
		fmt.Fprintf(s.stderr, "captured on %s: %s received, %d dropped by the kernel\n", cli.EscapeLine(s.set.Name()), cli.Count(kernel.Received, "frame"), kernel.Dropped)
	}
}

// dropped returns how many frames the kernel had no room for.
func (s *session) dropped() uint64 {
	if s.source == nil {
		return 0
	}
	return s.source.Stats().Dropped
}

// limits names the flags whose limits cost something, and how often they did.
func (s *session) limits() []string {
	st, _, frags := s.counters()
	var payload, history, gaps uint64
	if st.Unverified > 0 { // a copy had nothing left to be compared with
		payload, history = st.LimitPayload, st.LimitHistory
	}
	if s.unlisted {
		gaps = 1
	}
	var names []string
	limits := []limit{
		{st.LimitBuffered, "--max-buffered or --max-segments"},
		{st.LimitTotal, "--max-total-buffered"},
		{st.LimitHole, "--hole-timeout"},
		{st.LimitUrgent, "--max-segments"},
		{st.LimitConnections, "--max-connections"},
		{st.LimitDepth, "--depth"},
		{payload, "--max-payload or --max-total-payload"},
		{history, "--max-total-history"},
		{gaps, "--max-gaps"},
		{frags.Evicted, "--max-datagrams or --max-fragment-bytes"},
		{frags.Overfull, "--max-fragments"},
		{s.dropped(), "--ring"},
	}
	if s.job.limits != nil {
		limits = append(limits, s.job.limits()...)
	}
	for _, l := range limits {
		if l.n > 0 {
			names = append(names, fmt.Sprintf("%s (%s)", l.name, cli.Count(l.n, "time")))
		}
	}
	return names
}

// isPartial reports whether an error leaves the rest of a file unread, and no more.
func isPartial(err error) bool {
	return errors.Is(err, pcapfile.ErrTruncated) || errors.Is(err, pcapfile.ErrCorrupt) || errors.Is(err, pcapfile.ErrTooLarge)
}

// counters returns what was counted, by whoever followed.
func (s *session) counters() (tf.Stats, packet.DecoderStats, packet.DefragmenterStats) {
	if s.totals != nil {
		return s.totals.Stats, s.totals.Decoder, s.totals.Defragmenter
	}
	return s.follower.Stats(), s.follower.DecoderStats(), s.follower.DefragmenterStats()
}

// gapList returns gaps as [offset, length], and notes when the list is not complete.
func (s *session) gapList(h *tf.Half) [][2]uint64 {
	list := make([][2]uint64, 0, len(h.Gaps))
	var listed uint64
	for _, g := range h.Gaps {
		list = append(list, [2]uint64{g.Offset, g.Length})
		listed += g.Length
	}
	s.unlisted = s.unlisted || listed < h.Missing
	return list
}
