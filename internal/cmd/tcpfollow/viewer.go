package tcpfollow

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
)

// viewer shows what happens in streams.
type viewer interface {
	// show is called only for streams that were asked for. What happens is borrowed.
	show(h *happening)
	// failed returns the first error of the output so far.
	failed() error
	// close finishes the output and returns its first error.
	close() error
}

// happening is something that a follower calls back for.
type happening struct {
	kind     happeningKind
	stream   uint64
	frame    uint64
	info     tf.StreamInfo // of open and end
	chunk    tf.Chunk
	gap      tf.Gap
	conflict tf.Conflict
	urgent   tf.Urgent
}

type happeningKind uint8

const (
	opened happeningKind = iota
	said
	missed
	contradicted
	urged
	ended
)

// happenings sets callbacks that hand on what happens.
func happenings(cfg *tf.Config, owned bool, emit func(*tf.TCPStream, *happening)) (data, end tf.StreamFunc) {
	h := new(happening)
	on := func(s *tf.TCPStream, kind happeningKind, fill func(*happening)) {
		if owned {
			h = new(happening)
		}
		*h = happening{kind: kind, frame: s.Frame()}
		fill(h)
		emit(s, h)
	}
	keep := func(b []byte) []byte {
		if owned {
			return bytes.Clone(b)
		}
		return b
	}
	cfg.OnOpen = func(s *tf.TCPStream) { on(s, opened, func(h *happening) { h.info = s.Info() }) }
	cfg.OnGap = func(s *tf.TCPStream, g tf.Gap) { on(s, missed, func(h *happening) { h.gap = g }) }
	cfg.OnUrgent = func(s *tf.TCPStream, u tf.Urgent) { on(s, urged, func(h *happening) { h.urgent = u }) }
	cfg.OnConflict = func(s *tf.TCPStream, x tf.Conflict) {
		x.Old, x.New = keep(x.Old), keep(x.New)
		on(s, contradicted, func(h *happening) { h.conflict = x })
	}
	data = func(s *tf.TCPStream) {
		c := s.Chunk()
		c.Bytes = keep(c.Bytes)
		on(s, said, func(h *happening) { h.chunk = c })
	}
	return data, func(s *tf.TCPStream) { on(s, ended, func(h *happening) { h.info = s.Info() }) }
}

// jsonEvent is a line of follow -o json.
type jsonEvent struct {
	Event  string     `json:"event"`
	Stream uint64     `json:"stream"`
	Frame  uint64     `json:"frame"`
	Time   *time.Time `json:"time,omitempty"`
	Client string     `json:"client,omitempty"`
	Server string     `json:"server,omitempty"`
	Start  string     `json:"start,omitempty"`
	Dir    string     `json:"dir,omitempty"`
	Offset *uint64    `json:"offset,omitempty"`
	Length *uint64    `json:"length,omitempty"`
	Data   []byte     `json:"data,omitempty"`
	Old    []byte     `json:"old,omitempty"`
	New    []byte     `json:"new,omitempty"`
	Kept   string     `json:"kept,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// jsonViewer prints an object for every event.
type jsonViewer struct {
	enc *json.Encoder
	err error
}

func newJSONViewer(w io.Writer) *jsonViewer {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &jsonViewer{enc: enc}
}

func (j *jsonViewer) show(h *happening) {
	e := jsonEvent{Stream: h.stream, Frame: h.frame}
	place := func(what string, d packet.Direction, offset, length uint64) {
		e.Event, e.Dir, e.Offset, e.Length = what, d.String(), &offset, &length
	}
	carried := func(frame uint64, at int64) {
		t := time.Unix(0, at).UTC()
		e.Frame, e.Time = frame, &t
	}
	switch h.kind {
	case opened:
		i := &h.info
		e.Event, e.Frame, e.Time, e.Client, e.Server, e.Start = "open", i.Opened, &i.First, i.Client.String(), i.Server.String(), i.Start.String()
	case said:
		c := &h.chunk
		place("data", c.Direction, c.Offset, uint64(len(c.Bytes)))
		carried(c.Origin.Packet, c.Origin.Time)
		e.Data = c.Bytes
	case missed:
		place("gap", h.gap.Direction, h.gap.Offset, h.gap.Length)
		e.Reason = h.gap.Reason.String()
	case contradicted:
		x := &h.conflict
		place("conflict", x.Direction, x.Offset, uint64(len(x.New)))
		e.Frame, e.Old, e.New, e.Kept = x.Origin.Packet, x.Old, x.New, "old"
		if x.KeptNew {
			e.Kept = "new"
		}
	case urged:
		u := &h.urgent
		place("urgent", u.Direction, u.Offset, 1)
		carried(u.Origin.Packet, u.Origin.Time)
		e.Data = []byte{u.Byte}
	case ended:
		e.Event, e.Reason = "end", h.info.End.String()
	}
	if j.err == nil {
		j.err = j.enc.Encode(e)
	}
}

func (j *jsonViewer) failed() error { return j.err }

func (j *jsonViewer) close() error { return j.err }

// rawViewer writes the bytes of one direction. Gaps go to standard error.
type rawViewer struct {
	dir    packet.Direction
	w      io.Writer
	stderr io.Writer
	err    error
}

func (r *rawViewer) show(h *happening) {
	switch {
	case h.kind == said && h.chunk.Direction == r.dir && r.err == nil:
		_, r.err = r.w.Write(h.chunk.Bytes)
	case h.kind == missed && h.gap.Direction == r.dir:
		warn(r.stderr, "stream %d: %d bytes missing at offset %d (%v)", h.stream, h.gap.Length, h.gap.Offset, h.gap.Reason)
	case h.kind == contradicted && h.conflict.Direction == r.dir:
		warn(r.stderr, "stream %d: bytes at offset %d came twice and differ, in frame %d", h.stream, h.conflict.Offset, h.conflict.Origin.Packet)
	case h.kind == urged && h.urgent.Direction == r.dir:
		b := cli.AppendEscaped(nil, []byte{h.urgent.Byte}, false)
		warn(r.stderr, "stream %d: urgent byte at offset %d: %s", h.stream, h.urgent.Offset, b)
	}
}

func (r *rawViewer) failed() error { return r.err }

func (r *rawViewer) close() error { return r.err }
