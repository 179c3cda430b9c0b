package tcpfollow

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/relational"
	"github.com/tcpfollow/tcpfollow/relational/flowfile"
)

// jsonMatch is a line of match -o json.
type jsonMatch struct {
	Flow    string         `json:"flow"`
	Key     string         `json:"key"`
	Start   time.Time      `json:"start"`
	End     time.Time      `json:"end"`
	Vars    map[string]any `json:"vars"`
	Frames  []uint64       `json:"frames"`
	Streams []uint64       `json:"streams"`
	Events  int            `json:"events"`
	Reason  string         `json:"reason"`
}

// span returns when the events of a flow began and ended, and their frames and streams, each once, in order.
func span(x *flowfile.Match[involved]) (start, end time.Time, frames, streams []uint64) {
	start, end, frames, streams = x.Start, x.End, []uint64{}, []uint64{}
	for i, n := range x.Notes {
		if i == 0 || n.Time.Before(start) {
			start = n.Time
		}
		if i == 0 || n.End.After(end) {
			end = n.End
		}
		for _, f := range []uint64{n.Frame, n.LastFrame} {
			if f > 0 {
				frames = append(frames, f)
			}
		}
		if n.Stream != nil {
			streams = append(streams, *n.Stream)
		}
	}
	for _, list := range []*[]uint64{&frames, &streams} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return start, end, frames, streams
}

// shown returns a value as it may be shown.
func (m *matchRun) shown(value string, secret bool) string {
	if secret && !m.fl.noRedact && value != "" {
		return events.Redacted
	}
	return value
}

func (m *matchRun) json(x *flowfile.Match[involved]) error {
	row := jsonMatch{Flow: x.Flow, Key: text(m.shown(x.Key, x.KeySecret)), Vars: map[string]any{}, Events: len(x.Notes), Reason: x.Reason.String()}
	row.Start, row.End, row.Frames, row.Streams = span(x)
	for _, v := range x.Vars {
		var values []string
		for _, s := range v.Values {
			values = append(values, text(m.shown(s, v.Secret)))
		}
		if row.Vars[v.Name] = values; len(values) == 1 {
			row.Vars[v.Name] = values[0]
		}
	}
	enc := json.NewEncoder(m.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(&row)
}

// text prints a match for a person.
func (m *matchRun) text(x *flowfile.Match[involved]) error {
	start, end, frames, streams := span(x)
	parts := []string{start.UTC().Format("2006-01-02 15:04:05.000000"), fmt.Sprintf("%.3fs", end.Sub(start).Seconds()), cli.EscapeLine(x.Flow)}
	if x.Key != "" {
		parts = append(parts, cli.EscapeLine(m.shown(x.Key, x.KeySecret)))
	}
	if x.Reason != relational.Matched {
		parts = append(parts, x.Reason.String())
	}
	for _, list := range []struct {
		name    string
		numbers []uint64
	}{{"frames", frames}, {"streams", streams}} {
		if len(list.numbers) > 0 {
			parts = append(parts, list.name+"="+strings.ReplaceAll(strings.Trim(fmt.Sprint(list.numbers), "[]"), " ", ","))
		}
	}
	for _, v := range x.Vars {
		var values []string
		for _, s := range v.Values {
			values = append(values, cli.EscapeLine(m.shown(s, v.Secret)))
		}
		parts = append(parts, v.Name+"="+strings.Join(values, ","))
	}
	_, err := fmt.Fprintln(m.out, strings.Join(parts, " "))
	return err
}

// maxEventLine is the most bytes of a line of --events.
const maxEventLine = 16 << 20

// runEvents finds flows in events that are JSON.
func (m *matchRun) runEvents(cmd *cobra.Command, args []string) error {
	if len(args)+len(m.in.files)+len(m.in.live.cfg.Interfaces) > 0 {
		return cli.Usage("--events takes the place of captures")
	}
	if m.ident.filter != nil {
		return cli.Usage("--where goes with captures")
	}
	r := cmd.InOrStdin()
	if m.fl.events != "-" {
		f, err := os.Open(m.fl.events)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it was read from only
		r = f
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEventLine)
	for number := 1; lines.Scan() && m.err == nil && cmd.Context().Err() == nil; number++ {
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		o, err := m.decode(lines.Bytes())
		if err != nil {
			m.broken++
			if m.in.strict {
				return firstError(fmt.Errorf("line %d: %w", number, err), m.out.Flush())
			}
			if m.in.verbose {
				warn(cmd.ErrOrStderr(), "line %d: %s", number, cli.EscapeLine(err.Error()))
			}
			continue
		}
		m.matcher.Ingest(o)
		if err := m.out.Flush(); err != nil { // others may wait for what is found
			return err
		}
	}
	return m.endEvents(cmd, lines.Err())
}

// endEvents prints the summary of --events, and returns what the command is to end with.
func (m *matchRun) endEvents(cmd *cobra.Command, err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("a line of events has more than %d bytes", maxEventLine)
	}
	err = firstError(err, m.finish())
	if !m.in.quiet {
		var parts []string
		for _, n := range append(m.notes(), note{m.broken, "line", " that is no object"}) {
			if n.count > 0 {
				parts = append(parts, cli.Count(n.count, n.what)+n.rest)
			}
		}
		fmt.Fprintln(cmd.ErrOrStderr(), strings.Join(parts, ", "))
	}
	if err != nil {
		return err
	}
	var partial []error
	if m.broken > 0 {
		partial = append(partial, fmt.Errorf("%s could not be read as events", cli.Count(m.broken, "line")))
	}
	for _, l := range m.limits() {
		if l.n > 0 {
			partial = append(partial, fmt.Errorf("results are partial: limit reached: %s (%s)", l.name, cli.Count(l.n, "time")))
		}
	}
	if len(partial) > 0 {
		return cli.Partial(errors.Join(partial...))
	}
	return nil
}

// decode reads an event.
func (m *matchRun) decode(line []byte) (*observed, error) {
	o := &observed{}
	d := json.NewDecoder(strings.NewReader(string(line)))
	d.UseNumber()
	if err := d.Decode(&o.fields); err != nil {
		return nil, err
	}
	if o.fields == nil || d.More() {
		return nil, errors.New("not an object")
	}
	switch t := o.fields["time"].(type) {
	case string:
		at, err := time.Parse(time.RFC3339Nano, t)
		if err != nil {
			return nil, errors.New("time is not RFC 3339")
		}
		o.at = at
	case json.Number:
		s, err := t.Float64()
		if err != nil || math.Abs(s) > 1<<33 {
			return nil, errors.New("time is no number of seconds")
		}
		o.at = time.Unix(0, int64(s*1e9)).UTC()
	default:
		o.at = m.clock
	}
	if o.at.Before(time.Unix(-1<<33, 0)) || o.at.After(time.Unix(1<<33, 0)) {
		o.at = m.clock // it is out of what the clock can show
	}
	if o.at.After(m.clock) {
		m.clock = o.at
	}
	return o, nil
}

// noteOf returns what is kept of an event of --events.
func noteOf(o *observed) involved {
	n := involved{Time: o.at, End: o.at}
	number := func(name string) *uint64 {
		x, _ := o.fields[name].(json.Number)
		v, err := x.Int64()
		if err != nil || v < 0 {
			return nil
		}
		u := uint64(v)
		return &u
	}
	if f := number("frame"); f != nil {
		n.Frame = *f
	}
	if f := number("last_frame"); f != nil {
		n.LastFrame = *f
	}
	n.Stream = number("stream")
	if end, ok := o.fields["end"].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, end); err == nil {
			n.End = at
		}
	}
	return n
}
