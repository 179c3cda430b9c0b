package httpx_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/packet"
)

// wsFrame returns a frame; bits are the first byte.
func wsFrame(bits byte, masked bool, payload string) string {
	b := []byte{bits, 0}
	switch n := len(payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if !masked {
		return string(b) + payload
	}
	b[1] |= 0x80
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i&3])
	}
	return string(b)
}

// First bytes of frames.
const (
	more     = 0x00
	text     = 0x81
	textOpen = 0x01
	binMsg   = 0x82
	binOpen  = 0x02
	last     = 0x80
	closing  = 0x88
	ping     = 0x89
	pong     = 0x8a
	deflated = 0x40
)

func fromClient(bits byte, payload string) string { return wsFrame(bits, true, payload) }
func fromServer(bits byte, payload string) string { return wsFrame(bits, false, payload) }

// deflater compresses messages (RFC 7692 §7.2.1).
type deflater struct {
	fresh bool
	out   bytes.Buffer
	w     *flate.Writer
}

func (d *deflater) message(t testing.TB, s string) string {
	t.Helper()
	d.out.Reset()
	if d.w == nil || d.fresh {
		w, err := flate.NewWriter(&d.out, 9)
		require.NoError(t, err)
		d.w = w
	}
	_, err := d.w.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, d.w.Flush())
	return strings.TrimSuffix(d.out.String(), "\x00\x00\xff\xff")
}

// wsOpening is the handshake of a connection with extensions, "" for none.
func wsOpening(extensions string) talk {
	if extensions != "" {
		extensions = "Sec-WebSocket-Extensions: " + extensions + "\r\n"
	}
	return talk{
		">GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
		"<HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" + extensions + "\r\n",
	}
}

// wsLine describes a message.
func wsLine(m *httpx.WebSocketMessage) string {
	sign := '>'
	if m.Direction == packet.ServerToClient {
		sign = '<'
	}
	s := fmt.Sprintf("%c %v %q", sign, m.Opcode, m.Data)
	if m.Frames != 1 {
		s += fmt.Sprintf(" in %d frames", m.Frames)
	}
	if m.Compressed {
		s += " compressed"
	}
	if m.Missing > 0 {
		s += fmt.Sprintf(" without %d", m.Missing)
	}
	if m.CloseCode != 0 {
		s += fmt.Sprintf(" code %d", m.CloseCode)
	}
	if m.Flags != 0 {
		s += fmt.Sprintf(" %v", m.Flags.Strings())
	}
	return s
}

// parseWS parses packets and returns the WebSocket messages.
func parseWS(t *testing.T, cfg httpx.Config, steps []step) ([]*httpx.WebSocketMessage, *httpx.Parser) {
	t.Helper()
	var list []*httpx.WebSocketMessage
	cfg.OnWebSocket = func(m *httpx.WebSocketMessage) { list = append(list, m) }
	_, p := parse(t, cfg, httpx.ConnInfo{}, steps)
	require.Equal(t, uint64(len(list)), p.Stats().WebSocketMessages)
	for _, m := range list {
		require.NotNil(t, m.Exchange.Response)
		require.LessOrEqual(t, m.Start.Offset, m.End.Offset)
	}
	return list, p
}

func wsLines(list []*httpx.WebSocketMessage) []string {
	var lines []string
	for _, m := range list {
		lines = append(lines, wsLine(m))
	}
	return lines
}

// wsEveryCut requires that a talk gives the same however it is cut.
func wsEveryCut(t *testing.T, cfg httpx.Config, said talk) []string {
	t.Helper()
	all := func(steps []step) []string {
		list, p := parseWS(t, cfg, steps)
		lines := wsLines(list)
		for _, m := range list {
			lines = append(lines, fmt.Sprint(m.Start, m.End, m.Length, m.WireLength))
		}
		return append(lines, fmt.Sprintf("%+v", p.Stats()))
	}
	want := all(said.steps())
	for _, n := range []int{1, 2, 3, 5, 50} {
		for first := 1; first <= n; first++ {
			require.Equal(t, want, all(cut(said.steps(), first, n)), "pieces of %d, the first of %d", n, first)
		}
	}
	list, _ := parseWS(t, cfg, said.steps())
	return wsLines(list)
}

func TestWebSocket(t *testing.T) {
	var d, fresh deflater
	fresh.fresh = true
	long := strings.Repeat("0123456789", 30)
	for _, c := range []struct {
		name, extensions string
		said             talk
		want             []string
	}{
		{"the examples of RFC 6455", "", talk{
			"<\x81\x05Hello", ">\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "<\x01\x03Hel\x80\x02lo", "<\x89\x05Hello", ">\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
		}, []string{`< text "Hello"`, `> text "Hello"`, `< text "Hello" in 2 frames`, `< ping "Hello"`, `> pong "Hello"`}},
		{"the examples of RFC 7692", "permessage-deflate", talk{
			"<\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", "<\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", "<\xc1\x05\xf2\x00\x11\x00\x00",
			"<\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "<\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "<\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
		}, []string{
			`< text "Hello" compressed`, `< text "Hello" in 2 frames compressed`, `< text "Hello" compressed`,
			`< text "Hello" compressed`, `< text "Hello" compressed`, `< text "Hello" compressed`,
		}},
		{"control frames between fragments", "", talk{
			"<" + fromServer(binOpen, "a") + fromServer(ping, "p") + fromServer(more, "b") + fromServer(closing, "\x03\xe8bye") + fromServer(last, "c"),
			">" + fromClient(pong, "p") + fromClient(closing, ""),
		}, []string{`< ping "p"`, `< close "\x03\xe8bye" code 1000`, `< binary "abc" in 3 frames`, `> pong "p"`, `> close ""`}},
		{"long frames", "", talk{"<" + fromServer(text, long), ">" + fromClient(text, long+long)}, []string{`< text "` + long + `"`, `> text "` + long + long + `"`}},
		{"compressed, the window kept and not", " permessage-deflate ; client_no_context_takeover; server_max_window_bits=\"10\"", talk{
			"<" + fromServer(text|deflated, d.message(t, long)), "<" + fromServer(text|deflated, d.message(t, long)), "<" + fromServer(text, "plain"),
			">" + fromClient(text|deflated, fresh.message(t, long)), ">" + fromClient(text|deflated, fresh.message(t, long)),
			"<" + fromServer(text|deflated, d.message(t, "")),
		}, []string{
			`< text "` + long + `" compressed`, `< text "` + long + `" compressed`, `< text "plain"`,
			`> text "` + long + `" compressed`, `> text "` + long + `" compressed`, `< text "" compressed`,
		}},
		{"another extension", "x-webkit-deflate-frame", talk{"<" + fromServer(text|deflated, "abc")}, []string{`< text "abc" [bad_frame]`}},
		{"odd frames", "permessage-deflate; server_no_context_takeover", talk{
			"<" + fromServer(last, "nothing to go on with"), "<" + fromServer(textOpen, "cut off") + fromServer(binMsg, "new"), "<" + fromServer(0x83, "reserved"),
			"<" + fromServer(0x09, "open ping"), "<" + fromServer(ping, long), "<" + fromServer(ping|deflated, "x"), "<" + fromServer(0x91, "rsv3"), "<\x81\x7e\x00\x01x",
			"<" + fromServer(closing, "\x01"), "<" + wsFrame(text, true, "masked"), ">" + wsFrame(text, false, "bare"),
			"<" + fromServer(text, "\xff\xfe"), "<" + fromServer(text|deflated, "\xff\xff\xff"), "<" + fromServer(text|deflated, fresh.message(t, "fine")),
		}, []string{
			`< continuation "" [bad_frame]`, `< text "cut off" [truncated]`, `< binary "new" [bad_frame]`, `< reserved "reserved" [bad_frame]`,
			`< ping "open ping" [bad_frame]`, `< ping "` + long + `" [bad_frame]`, `< ping "x" [bad_frame]`, `< text "rsv3" [bad_frame]`, `< text "x" [bad_frame]`,
			`< close "\x01" [bad_frame]`, `< text "masked" [bad_mask]`, `> text "bare" [bad_mask]`,
			`< text "\xff\xfe" [bad_text]`, `< text "" compressed [bad_coding]`, `< text "fine" compressed`,
		}},
		{"the end in the midst", "", talk{"<" + fromServer(textOpen, "one") + fromServer(last, "two")[:3], ">" + fromClient(text, "three")[:3]}, []string{
			`< text "onet" in 2 frames [truncated]`,
		}},
		{"a length that is none", "", talk{"<" + fromServer(text, "one"), "<\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xffxxx", "<" + fromServer(text, "two")}, []string{`< text "one"`, `< text "two"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, wsEveryCut(t, httpx.Config{}, append(wsOpening(c.extensions), c.said...)))
		})
	}
}

// A WebSocket connection within HTTP/2 (RFC 8441).
func TestWebSocketInH2(t *testing.T) {
	c, s := newH2(t)
	said := append(opening(c, s),
		c.headers(1, false, ":method: CONNECT", ":protocol: websocket", ":scheme: https", ":path: /chat", ":authority: example.com").line(),
		s.headers(1, false, ":status: 200").data(1, false, fromServer(text, "hello")[:4]).line(),
		c.data(1, false, fromClient(binMsg, "there")).line(), s.data(1, false, fromServer(text, "hello")[4:]).data(1, true, fromServer(closing, "")).line(), c.data(1, true, "").line())
	require.Equal(t, []string{`> binary "there"`, `< text "hello"`, `< close ""`}, wsEveryCut(t, httpx.Config{}, said))
}

// A gap within a frame is a hole; beyond it, frames go on with a packet that consists of them.
func TestWebSocketGap(t *testing.T) {
	var d deflater
	first, second, third := d.message(t, "hello hello"), d.message(t, "hello again, hello"), d.message(t, "no word of before")
	for _, c := range []struct {
		name, extensions string
		said             talk
		want             []string
	}{
		{"within a frame", "", talk{">" + fromClient(text, "abcdefghij")[:9], ">[4]", ">" + fromClient(text, "abcdefghij")[13:]}, []string{`> text "abchij" without 4 [gap]`}},
		{"at the end of a frame", "", talk{"<" + fromServer(text, "abcd")[:3], "<[3]", "<" + fromServer(text, "next")}, []string{`< text "a" without 3 [gap]`, `< text "next"`}},
		{"between frames", "", talk{"<" + fromServer(textOpen, "abcd"), "<[9]", "<" + fromServer(last, "cont") + fromServer(text, "odd"), "<" + fromServer(text, "next"), "<" + fromServer(last, "alone")}, []string{
			`< text "abcd" [gap truncated]`, `< text "next"`, `< continuation "alone" [gap]`,
		}},
		{"in a header", "", talk{"<" + fromServer(text, "abcd") + "\x81", "<[3]", "<garbage", "<" + fromServer(text, "next")}, []string{`< text "abcd"`, `< text "next"`}},
		{"twice", "", talk{"<[3]", "<x", "<[3]", "<" + fromServer(text, "a"), "<[3]", "<" + fromServer(text, "b")}, []string{`< text "a"`, `< text "b"`}},
		{"in compressed data", "permessage-deflate", talk{
			"<" + fromServer(text|deflated, first), "<" + fromServer(text|deflated, first)[:4], fmt.Sprintf("<[%d]", len(first)-2),
			"<" + fromServer(text|deflated, second), "<" + fromServer(text|deflated, third),
		}, []string{
			`< text "hello hello" compressed`, fmt.Sprintf(`< text "h" compressed without %d [gap]`, len(first)-2),
			`< text "" compressed [state_lost]`, `< text "no word of before" compressed`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := wsEveryCut(t, httpx.Config{}, append(wsOpening(c.extensions), c.said...))
			require.Equal(t, c.want, lines)
		})
	}
}

// With a gap of any size anywhere no message is invented.
func TestWebSocketGapAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, extensions := range []string{"", "permessage-deflate"} {
		var d deflater
		said := wsOpening(extensions)
		sent := map[string]bool{}
		for i := range 30 {
			s := strings.Repeat(fmt.Sprintf("message %d ", i), 1+i%7)
			sent[s] = true
			if extensions == "" {
				said = append(said, "<"+fromServer(text, s))
			} else {
				said = append(said, "<"+fromServer(text|deflated, d.message(t, s)))
			}
		}
		steps := said.steps()
		whole := 0
		for range 500 {
			i := 2 + r.IntN(len(steps)-2)
			at := r.IntN(len(steps[i].text))
			n := 1 + r.IntN(len(steps[i].text)-at)
			before, gap, after := steps[i], steps[i], steps[i]
			before.text, after.text = steps[i].text[:at], steps[i].text[at+n:]
			gap.gap, gap.text = uint64(n), ""
			gap.off += uint64(at)
			after.off += uint64(at + n)
			list, _ := parseWS(t, httpx.Config{}, append(append(slices.Clone(steps[:i]), before, gap, after), steps[i+1:]...))
			for _, m := range list {
				if m.Flags == 0 {
					require.True(t, sent[string(m.Data)], wsLine(m))
					whole++
				}
			}
		}
		require.Greater(t, whole, 500*13)
	}
}

func TestWebSocketLimits(t *testing.T) {
	var d deflater
	bomb := d.message(t, strings.Repeat("\x00", 20<<20))
	said := append(wsOpening("permessage-deflate"), "<"+fromServer(binMsg|deflated, bomb), "<"+fromServer(binMsg, strings.Repeat("x", 5000)), "<"+fromServer(text|deflated, d.message(t, "behind")))
	list, p := parseWS(t, httpx.Config{Limits: httpx.Limits{Body: 1000}}, said.steps())
	require.Equal(t, httpx.FlagBodyCut, list[0].Flags&httpx.FlagBodyCut)
	require.Len(t, list[1].Data, 1000)
	require.Equal(t, uint64(5000), list[1].Length)
	require.Equal(t, uint64(2), p.Stats().LimitBody)

	list, p = parseWS(t, httpx.Config{}, said.steps())
	require.Equal(t, httpx.FlagBomb, list[0].Flags&httpx.FlagBomb)
	require.Less(t, list[0].Length, uint64(4<<20))
	require.Equal(t, uint64(1), p.Stats().LimitRatio)
	require.True(t, list[2].Flags == 0 || list[2].Flags == httpx.FlagStateLost)

	list, p = parseWS(t, httpx.Config{Limits: httpx.Limits{Decoders: 1000}}, said.steps())
	require.Equal(t, httpx.FlagLimit, list[0].Flags)
	require.Equal(t, uint64(2), p.Stats().LimitDecoders)
	require.Empty(t, list[0].Data)

	// Without a callback nothing is kept.
	_, p = parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
	require.Equal(t, uint64(3), p.Stats().WebSocketMessages)
}

func TestOpcodes(t *testing.T) {
	var got []string
	for o := range httpx.Opcode(16) {
		got = append(got, o.String())
	}
	require.Equal(t, "continuation text binary reserved reserved reserved reserved reserved close ping pong reserved reserved reserved reserved reserved", strings.Join(got, " "))
}
