package tcpfollow

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"

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
	last       *rendering // as captured: whose text came last
	line       []byte
	err        error
}

// rendering is the text of a stream so far.
type rendering struct {
	text    bytes.Buffer
	started bool // some of it was shown
	midLine bool
	dir     packet.Direction
	offset  [2]uint64
}

func (v *textViewer) of(s *tf.TCPStream) *rendering {
	r, ok := s.User().(*rendering)
	if !ok {
		r = &rendering{}
		s.SetUser(r)
	}
	return r
}

func (v *textViewer) open(s *tf.TCPStream) {
	i := s.Info()
	how := map[tf.StartKind]string{tf.StartSYN: "", tf.StartSYNACK: ", SYN not captured", tf.StartMid: ", from mid-stream"}[i.Start]
	r := v.of(s)
	v.note(s, r, fmt.Sprintf("stream %d: client %v, server %v, from frame %d, %s%s", i.ID, i.Client, i.Server, i.Opened,
		i.First.Format("2006-01-02 15:04:05.000000 UTC"), how))
	v.show(s, r)
}

// note adds a line about the stream.
func (v *textViewer) note(_ *tf.TCPStream, r *rendering, text string) {
	r.endLine()
	fmt.Fprintf(&r.text, "%s--- %s%s\n", v.colors.Note, text, v.colors.Reset)
}

func (r *rendering) endLine() {
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

func (v *textViewer) data(s *tf.TCPStream) {
	c, r := s.Chunk(), v.of(s)
	before := r.text.Len()
	if r.midLine && r.dir != c.Direction {
		r.endLine()
	}
	r.dir = c.Direction
	if v.hex {
		v.dump(r, c)
	} else {
		v.lines(r, c)
	}
	v.waiting += r.text.Len() - before
	v.show(s, r)
}

// lines writes a chunk line by line, each with the sign of its direction.
func (v *textViewer) lines(r *rendering, c tf.Chunk) {
	sign, color := v.mark(c.Direction)
	for line := range bytes.Lines(c.Bytes) {
		if !r.midLine {
			r.text.WriteString(color)
			r.text.WriteString(sign)
		} else {
			r.text.WriteString(color)
		}
		body, whole := bytes.CutSuffix(line, []byte("\n"))
		if whole {
			body = bytes.TrimSuffix(body, []byte("\r"))
		}
		v.line = cli.AppendEscaped(v.line[:0], body, true)
		r.text.Write(v.line)
		r.text.WriteString(v.colors.Reset)
		if whole {
			r.text.WriteByte('\n')
		}
		r.midLine = !whole
	}
}

// dump writes a chunk in hexadecimal, 16 bytes a line, each with its offset in the stream.
func (v *textViewer) dump(r *rendering, c tf.Chunk) {
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

func (v *textViewer) gap(s *tf.TCPStream, g tf.Gap) {
	r := v.of(s)
	before := r.text.Len()
	r.endLine()
	sign, _ := v.mark(g.Direction)
	fmt.Fprintf(&r.text, "%s%s[%d bytes missing]%s\n", v.colors.Warn, sign, g.Length, v.colors.Reset)
	v.waiting += r.text.Len() - before
	v.show(s, r)
}

func (v *textViewer) conflict(s *tf.TCPStream, x tf.Conflict) {
	r := v.of(s)
	before := r.text.Len()
	r.endLine()
	sign, _ := v.mark(x.Direction)
	v.line = cli.AppendEscaped(v.line[:0], x.New[:min(len(x.New), 64)], false)
	fmt.Fprintf(&r.text, "%s%s[%d bytes at offset %d came again and differ, in frame %d: %s]%s\n", v.colors.Warn, sign, len(x.New), x.Offset,
		x.Origin.Packet, v.line, v.colors.Reset)
	v.waiting += r.text.Len() - before
	v.show(s, r)
}

func (v *textViewer) end(s *tf.TCPStream) {
	r := v.of(s)
	i := s.Info()
	v.note(s, r, fmt.Sprintf("stream %d: %v after %d packets; client sent %d bytes, server %d", i.ID, i.End, i.Packets,
		i.Halves[0].Bytes, i.Halves[1].Bytes))
	r.text.WriteByte('\n')
	v.flush(s, r)
}

// show writes text early when it is wanted so, or when too much waits.
func (v *textViewer) show(s *tf.TCPStream, r *rendering) {
	if v.asCaptured || v.waiting > v.max {
		v.flush(s, r)
	}
}

func (v *textViewer) flush(s *tf.TCPStream, r *rendering) {
	if r.started && v.last != r {
		v.write(fmt.Appendf(nil, "%s--- stream %d, continued%s\n", v.colors.Note, s.ID(), v.colors.Reset))
	}
	if v.last != nil && v.last != r && v.last.midLine {
		v.write([]byte("\n"))
		v.last.midLine = false
	}
	v.waiting -= min(r.text.Len(), v.waiting)
	v.write(r.text.Bytes())
	r.text.Reset()
	r.started, v.last = true, r
}

func (v *textViewer) write(b []byte) {
	if v.err == nil {
		_, v.err = v.w.Write(b)
	}
}

func (v *textViewer) close() error { return v.err }

func warn(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "tcpfollow: "+format+"\n", args...)
}
