package httpx_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// h2side writes the frames of one side of an HTTP/2 connection, as text for a talk.
type h2side struct {
	t      testing.TB
	sign   string
	out    bytes.Buffer
	framer *http2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
}

func newH2(t testing.TB) (client, server *h2side) {
	t.Helper()
	side := func(sign string) *h2side {
		s := &h2side{t: t, sign: sign}
		s.framer = http2.NewFramer(&s.out, nil)
		s.framer.AllowIllegalWrites = true
		s.enc = hpack.NewEncoder(&s.block)
		return s
	}
	return side(">"), side("<")
}

// line returns what was written since as a line of a talk.
func (s *h2side) line() string {
	defer s.out.Reset()
	return s.sign + s.out.String()
}

// fields returns a header block of lines "name: value".
func (s *h2side) fields(lines ...string) []byte {
	s.block.Reset()
	for _, line := range lines {
		name, value, ok := strings.Cut(line[1:], ": ")
		require.True(s.t, ok, line)
		require.NoError(s.t, s.enc.WriteField(hpack.HeaderField{Name: line[:1] + name, Value: value}))
	}
	return bytes.Clone(s.block.Bytes())
}

func (s *h2side) preface() *h2side {
	s.out.WriteString(http2.ClientPreface)
	return s
}

func (s *h2side) settings(list ...http2.Setting) *h2side {
	require.NoError(s.t, s.framer.WriteSettings(list...))
	return s
}

func (s *h2side) headers(id uint32, end bool, lines ...string) *h2side {
	require.NoError(s.t, s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.fields(lines...), EndStream: end, EndHeaders: true}))
	return s
}

// spread writes a header block over a HEADERS frame with padding and priority, and CONTINUATION frames of n bytes.
func (s *h2side) spread(id uint32, end bool, n int, lines ...string) *h2side {
	b := s.fields(lines...)
	first := b[:min(n, len(b))]
	b = b[len(first):]
	require.NoError(s.t, s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(b) == 0, PadLength: 3, Priority: http2.PriorityParam{Weight: 9, StreamDep: 7},
	}))
	for len(b) > 0 {
		part := b[:min(n, len(b))]
		b = b[len(part):]
		require.NoError(s.t, s.framer.WriteContinuation(id, len(b) == 0, part))
	}
	return s
}

func (s *h2side) data(id uint32, end bool, text string) *h2side {
	require.NoError(s.t, s.framer.WriteData(id, end, []byte(text)))
	return s
}

func (s *h2side) padded(id uint32, end bool, text string, n int) *h2side {
	require.NoError(s.t, s.framer.WriteDataPadded(id, end, []byte(text), make([]byte, n)))
	return s
}

func (s *h2side) push(id, promise uint32, lines ...string) *h2side {
	require.NoError(s.t, s.framer.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: promise, BlockFragment: s.fields(lines...), EndHeaders: true}))
	return s
}

func (s *h2side) rst(id uint32, code http2.ErrCode) *h2side {
	require.NoError(s.t, s.framer.WriteRSTStream(id, code))
	return s
}

// raw writes a frame of any kind.
func (s *h2side) raw(kind http2.FrameType, flags http2.Flags, id uint32, payload string) *h2side {
	require.NoError(s.t, s.framer.WriteRawFrame(kind, flags, id, []byte(payload)))
	return s
}

// h2get are the fields of a simple request.
func h2get(path string, more ...string) []string {
	return append([]string{":method: GET", ":scheme: http", ":path: " + path, ":authority: example.com"}, more...)
}

// opening are the first frames of both sides.
func opening(c, s *h2side) talk {
	return talk{c.preface().settings().line(), s.settings().line(), c.raw(http2.FrameSettings, http2.FlagSettingsAck, 0, "").line()}
}

// everyCut requires that a talk gives the same however it is cut.
func everyCut(t *testing.T, cfg httpx.Config, said talk) []string {
	t.Helper()
	whole, p := parse(t, cfg, httpx.ConnInfo{}, said.steps())
	want, stats := summary(whole), p.Stats()
	for _, n := range []int{1, 2, 3, 7, 8, 9, 10, 100} {
		for first := 1; first <= n; first++ {
			d, p := parse(t, cfg, httpx.ConnInfo{}, cut(said.steps(), first, n))
			require.Equal(t, want, summary(d), "pieces of %d, the first of %d", n, first)
			require.Equal(t, stats, p.Stats())
		}
	}
	for at := 1; at < 200; at++ {
		d, _ := parse(t, cfg, httpx.ConnInfo{}, cut(said.steps(), at, 1<<30))
		require.Equal(t, want, summary(d), "cut at %d", at)
	}
	return whole.lines()
}

// summary is all that matters of a dump.
func summary(d *dump) []string {
	list := d.lines()
	for _, m := range d.list {
		list = append(list, fmt.Sprintf("%d %v %v %d %d %d %x", m.StreamID, m.Start, m.End.Offset, m.Length, m.WireLength, m.Missing, m.SHA256))
	}
	return append(list, fmt.Sprint(d.skipped, d.order))
}
