package tcpfollow

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"unicode/utf8"

	tf "github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
)

// textViewer shows streams to a person: each as a whole when it is over, or all mixed as they come.
type textViewer struct {
	w          io.Writer
	colors     cli.Palette
	hex        bool
	asCaptured bool
	max        int // bytes of text that may wait
	waiting    int
	streams    map[uint64]*rendering
	last       *rendering // as captured: whose text came last
	line       []byte
	err        error
}

// rendering is the text of a stream so far.
type rendering struct {
	stream  uint64
	text    bytes.Buffer
	started bool             // some of it was shown
	midLine bool             // it ends within a line of payload
	dir     packet.Direction // of that line
	tail    []byte           // the end of a chunk that says something only with what follows, not rendered yet

	shownMid bool // what was shown ends within a line,
	shownDir packet.Direction
}

func (v *textViewer) show(h *happening) {
	r := v.streams[h.stream]
	if r == nil {
		r = &rendering{stream: h.stream}
		v.streams[h.stream] = r
	}
	switch h.kind {
	case opened:
		i := &h.info
		how := map[tf.StartKind]string{tf.StartSYN: "", tf.StartSYNACK: ", SYN not captured", tf.StartMid: ", from mid-stream"}[i.Start]
		v.note(r, v.colors.Note, fmt.Sprintf("stream %d: client %v, server %v, from frame %d, %s%s", h.stream, i.Client, i.Server, i.Opened,
			i.First.Format("2006-01-02 15:04:05.000000 UTC"), how))
	case said:
		v.data(r, &h.chunk)
	case missed:
		sign, _ := v.mark(h.gap.Direction)
		v.note(r, v.colors.Warn, fmt.Sprintf("%s[%d bytes missing]", sign, h.gap.Length))
	case contradicted:
		x := &h.conflict
		sign, _ := v.mark(x.Direction)
		v.line = cli.AppendEscaped(v.line[:0], x.New[:min(len(x.New), 64)], false)
		v.note(r, v.colors.Warn, fmt.Sprintf("%s[%d bytes at offset %d came again and differ, in frame %d: %s]", sign, len(x.New), x.Offset,
			x.Origin.Packet, v.line))
	case urged:
		u := &h.urgent
		sign, _ := v.mark(u.Direction)
		v.line = cli.AppendEscaped(v.line[:0], []byte{u.Byte}, false)
		v.note(r, v.colors.Note, fmt.Sprintf("%s[urgent byte at offset %d, in frame %d: %s]", sign, u.Offset, u.Origin.Packet, v.line))
	case ended:
		v.end(r, &h.info)
	}
}

// note adds a line that is no payload.
func (v *textViewer) note(r *rendering, color, text string) {
	v.render(r, func() {
		v.endLine(r)
		fmt.Fprintf(&r.text, "%s--- %s%s\n", color, text, v.colors.Reset)
	})
}

// endLine ends a line of payload.
func (v *textViewer) endLine(r *rendering) {
	if len(r.tail) > 0 {
		v.payload(r, r.tail)
		r.tail = r.tail[:0]
	}
	if r.midLine {
		r.text.WriteByte('\n')
		r.midLine = false
	}
}

// mark returns the sign and the colour of a direction.
func (v *textViewer) mark(d packet.Direction) (sign, color string) {
	if d == packet.ClientToServer {
		return "> ", v.colors.Client
	}
	return "< ", v.colors.Server
}

func (v *textViewer) data(r *rendering, c *tf.Chunk) {
	v.render(r, func() {
		if v.hex {
			v.dump(r, c)
			return
		}
		if r.dir != c.Direction {
			v.endLine(r)
			r.dir = c.Direction
		}
		v.lines(r, c.Bytes)
	})
}

// lines writes payload line by line, each with the sign of its direction. What shows depends on the bytes, not on how
// they were cut into chunks.
func (v *textViewer) lines(r *rendering, b []byte) {
	if len(r.tail) > 0 {
		b = append(r.tail, b...)
		r.tail = nil
	}
	n := len(b) - unfinished(b)
	r.tail = append(r.tail, b[n:]...)
	for line := range bytes.Lines(b[:n]) {
		body, whole := bytes.CutSuffix(line, []byte("\n"))
		if whole {
			body = bytes.TrimSuffix(body, []byte("\r"))
		}
		v.payload(r, body)
		if whole {
			r.text.WriteByte('\n')
			r.midLine = false
		}
	}
}

// payload writes a part of a line.
func (v *textViewer) payload(r *rendering, b []byte) {
	sign, color := v.mark(r.dir)
	r.text.WriteString(color)
	if !r.midLine {
		r.text.WriteString(sign)
	}
	v.line = cli.AppendEscaped(v.line[:0], b, true)
	r.text.Write(v.line)
	r.text.WriteString(v.colors.Reset)
	r.midLine = true
}

// unfinished returns how many bytes at the end of b are the start of something: of a character, of a line's end, or of
// what looks like an escape.
func unfinished(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	if last := b[len(b)-1]; last == '\r' || last == '\\' {
		return 1
	}
	for n := 1; n <= min(utf8.UTFMax-1, len(b)); n++ {
		if end := b[len(b)-n:]; utf8.RuneStart(end[0]) {
			if utf8.FullRune(end) {
				return 0
			}
			return n
		}
	}
	return 0
}

// dump writes a chunk in hexadecimal, 16 bytes a line, each with its offset in the stream.
func (v *textViewer) dump(r *rendering, c *tf.Chunk) {
	sign, color := v.mark(c.Direction)
	for off, rest := c.Offset, c.Bytes; len(rest) > 0; off += 16 {
		row := rest[:min(16, len(rest))]
		rest = rest[len(row):]
		printable := bytes.Map(func(b rune) rune {
			if b < 0x20 || b > 0x7e {
				return '.'
			}
			return b
		}, latin1(row))
		fmt.Fprintf(&r.text, "%s%s%08x  %-32s  %s%s\n", color, sign, off, hex.EncodeToString(row), printable, v.colors.Reset)
	}
}

// latin1 turns bytes into runes of the same number.
func latin1(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c > 0x7e {
			c = 0
		}
		out = append(out, c)
	}
	return out
}

func (v *textViewer) end(r *rendering, i *tf.StreamInfo) {
	v.note(r, v.colors.Note, fmt.Sprintf("stream %d: %v after %d packets; client sent %d bytes, server %d", r.stream, i.End, i.Packets,
		i.Halves[0].Bytes, i.Halves[1].Bytes))
	v.flush(r)
	v.write([]byte("\n"))
	if v.last == r {
		v.last = nil
	}
	delete(v.streams, r.stream)
}

// render adds to a stream's text, and shows it early when it is wanted so, or when too much waits.
func (v *textViewer) render(r *rendering, add func()) {
	before := r.text.Len()
	add()
	v.waiting += r.text.Len() - before
	if r.text.Len() > 0 && (v.asCaptured || v.waiting > v.max) {
		v.flush(r)
	}
}

// maxKept is the most bytes of memory that a stream keeps once its text is shown.
const maxKept = 4 << 10

// flush shows the text of a stream that waits.
func (v *textViewer) flush(r *rendering) {
	text := r.text.Bytes()
	if v.last != r {
		if v.last != nil && v.last.shownMid {
			v.write([]byte("\n"))
		}
		if r.started {
			v.write(fmt.Appendf(nil, "%s--- stream %d, continued%s\n", v.colors.Note, r.stream, v.colors.Reset))
		}
		if r.shownMid && len(text) > 0 && text[0] == '\n' { // the line was ended by another stream
			v.write(text[1:])
		} else if r.shownMid {
			sign, color := v.mark(r.shownDir)
			v.write([]byte(color + sign + v.colors.Reset))
			v.write(text)
		} else {
			v.write(text)
		}
	} else {
		v.write(text)
	}
	v.waiting -= len(text)
	r.started, r.shownMid, r.shownDir, v.last = true, r.midLine, r.dir, r
	if r.text.Reset(); r.text.Cap() > maxKept {
		r.text = bytes.Buffer{}
	}
}

func (v *textViewer) write(b []byte) {
	if v.err == nil {
		_, v.err = v.w.Write(b)
	}
}

func (v *textViewer) failed() error { return v.err }

func (v *textViewer) close() error { return v.err }

func warn(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "tcpfollow: "+format+"\n", args...)
}
