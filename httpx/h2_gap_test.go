package httpx_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// chat is a longer conversation in HTTP/2 with fields in the table, several streams and trailers.
func chat(t testing.TB) talk {
	t.Helper()
	c, s := newH2(t)
	said := opening(c, s)
	for i := range uint32(6) {
		id := 2*i + 1
		c.headers(id, false, h2get(fmt.Sprintf("/path/%d", i), "user-agent: tester", fmt.Sprintf("x-number: %d", i), "cookie: a=b")...).data(id, true, strings.Repeat("q", int(10*i)))
		if i%2 == 1 {
			said = append(said, c.line())
			for id := id - 2; id <= 2*i+1; id += 2 {
				s.headers(id, false, ":status: 200", "server: test", fmt.Sprintf("x-answer: %d", id)).data(id, false, strings.Repeat("body ", 10)).
					data(id, false, strings.Repeat("more ", int(id))).headers(id, true, "x-trailer: end", fmt.Sprintf("x-sum: %d", id))
			}
			said = append(said, s.line())
		}
	}
	return append(said, c.raw(http2.FramePing, 0, 0, "12345678").line(), s.raw(http2.FramePing, http2.FlagPingAck, 0, "12345678").line())
}

// isPart reports whether part is whole with some fields left out.
func isPart(part, whole []httpx.Field) bool {
	for _, f := range part {
		i := slices.Index(whole, f)
		if i < 0 {
			return false
		}
		whole = whole[i+1:]
	}
	return true
}

// bodyPart reports whether a body with holes, as a dump has it, consists of parts of another, in order.
func bodyPart(body, whole string) bool {
	for body != "" {
		part := body
		if i := strings.IndexByte(body, '['); i >= 0 {
			part = body[:i]
			body = body[i:]
			body = body[strings.IndexByte(body, ']')+1:]
		} else {
			body = ""
		}
		i := strings.Index(whole, part)
		if i < 0 {
			return false
		}
		whole = whole[i+len(part):]
	}
	return true
}

// With a gap of any size anywhere, nothing is invented: every message is one of those that were sent, with fields and
// bytes left out; and what is not whole says so.
func TestH2GapAnywhere(t *testing.T) {
	said := chat(t)
	steps := said.steps()
	whole, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, steps)
	type name struct {
		id   uint32
		kind httpx.Kind
	}
	sent := map[name]*httpx.Message{}
	for _, m := range whole.list {
		sent[name{m.StreamID, m.Kind}] = m
	}
	found, complete := 0, 0
	for i, st := range steps {
		for at := 0; at < len(st.text); at += 3 {
			for _, n := range []int{1, 7, 30, 200} {
				n = min(n, len(st.text)-at)
				before, gap, after := st, st, st
				before.text, after.text = st.text[:at], st.text[at+n:]
				gap.gap, gap.text = uint64(n), ""
				gap.off += uint64(at)
				after.off += uint64(at + n)
				after.o.Seq += uint32(at + n)
				list := append(slices.Clone(steps[:i]), before, gap, after)
				list = append(list, steps[i+1:]...)
				d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, list)
				for _, m := range d.list {
					if m.StreamID == 0 {
						continue // a preface that is torn makes it no HTTP/2
					}
					where := fmt.Sprintf("%d bytes missing at %d of packet %d: %s", n, at, i+1, d.line(m))
					want := sent[name{m.StreamID, m.Kind}]
					require.NotNil(t, want, where)
					require.True(t, isPart(m.Header, want.Header), where)
					require.True(t, isPart(m.Trailer, want.Trailer), where)
					require.True(t, bodyPart(d.bodies[m].String(), whole.bodies[want].String()), where)
					found++
					if slices.Equal(m.Header, want.Header) && slices.Equal(m.Trailer, want.Trailer) && d.bodies[m].String() == whole.bodies[want].String() {
						complete++
						continue
					}
					require.NotZero(t, m.Flags&(httpx.FlagGap|httpx.FlagStateLost|httpx.FlagTruncated), where)
				}
			}
		}
	}
	t.Logf("%d messages, %d of them complete", found, complete)
	require.Greater(t, complete, found*3/4)
}

// Behind a gap, fields that were in the table before are missing, and those that come in behind it are there again.
func TestH2StateLost(t *testing.T) {
	c, s := newH2(t)
	said := append(opening(c, s), c.headers(1, true, h2get("/1", "x-old: 1")...).line(), s.headers(1, true, ":status: 200").line())
	lost := c.headers(3, true, h2get("/3", "x-lost: 3")...).line()
	said = append(said, fmt.Sprintf(">[%d]", len(lost)-1),
		c.headers(5, true, h2get("/5", "x-old: 1", "x-new: 5")...).line(), s.headers(5, true, ":status: 200").line(),
		c.headers(7, true, h2get("/7", "x-old: 1", "x-new: 5", "x-lost: 3")...).line(), s.headers(7, true, ":status: 204").line())
	require.Equal(t, []string{
		"#0 > GET /1 HTTP/2|:method:GET|:scheme:http|:path:/1|:authority:example.com|x-old:1",
		"#0 < HTTP/2 200 |:status:200",
		"#1 < HTTP/2 200 |:status:200", // a frame behind a gap counts when another one follows
		"#1 > GET /5 HTTP/2|:method:GET|:scheme:http|:path:/5|x-new:5|[state_lost]",
		"#2 > GET /7 HTTP/2|:method:GET|:scheme:http|:path:/7|x-new:5|[state_lost]",
		"#2 < HTTP/2 204 |:status:204",
	}, everyCut(t, httpx.Config{}, said))
	d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
	require.NotEmpty(t, d.list)
	require.Equal(t, uint64(2), p.Stats().LostFields)
}

// A larger table, as browsers announce.
func TestH2LargeTable(t *testing.T) {
	c, s := newH2(t)
	said := talk{c.preface().settings().line(), s.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 65536}).line()}
	c.enc.SetMaxDynamicTableSizeLimit(65536)
	c.enc.SetMaxDynamicTableSize(65536)
	var fields []string
	for i := range 400 {
		fields = append(fields, fmt.Sprintf("x-field-%d: %s", i, strings.Repeat("v", 90)))
	}
	for _, id := range []uint32{1, 3, 5} {
		if id == 5 {
			lost := c.headers(99, true, h2get("/")...).line()
			said = append(said, fmt.Sprintf(">[%d]", len(lost)-1))
		}
		said = append(said, c.spread(id, true, 16000, h2get("/", fields...)...).line())
	}
	d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
	require.Len(t, d.list, 3)
	require.Len(t, d.list[0].Header, 404)
	require.Equal(t, d.list[0].Header, d.list[1].Header)
	require.Equal(t, httpx.FlagStateLost, d.list[2].Flags&httpx.FlagStateLost)
	require.True(t, isPart(d.list[2].Header, d.list[0].Header))
	require.Equal(t, "/", d.list[2].Target)
}

// A gap in the body of a message whose length is known by its frame.
func TestH2Hole(t *testing.T) {
	c, s := newH2(t)
	said := append(opening(c, s), c.headers(1, true, h2get("/")...).line(), s.headers(1, false, ":status: 200").line(),
		s.raw(http2.FrameData, 0, 1, "0123456789").line()[:9+1+4], "<[3]", "<789", s.data(1, true, "end").line())
	lines := everyCut(t, httpx.Config{}, said)
	require.Equal(t, "#0 < HTTP/2 200 |:status:200|=0123[3]789end|[gap]", lines[1])
}

// Garbage in place of frames is skipped, up to the next frame.
func TestH2Garbage(t *testing.T) {
	for _, garbage := range []string{"\xff", "\x00\x00\x05\x00\x00\x80\x00\x00", strings.Repeat("\xff\xff\xff", 3000), strings.Repeat("HTTP/1.1 200 OK\r\n", 100)} {
		c, s := newH2(t)
		said := append(opening(c, s), c.headers(1, true, h2get("/")...).line(), "<"+"\xff\xff\xff"+garbage,
			s.headers(1, false, ":status: 200").data(1, true, "body").raw(http2.FramePing, 0, 0, "12345678").line())
		d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
		require.Len(t, d.list, 2, "%.9q", garbage)
		require.Equal(t, "#0 < HTTP/2 200 |:status:200|=body", d.line(d.list[1]))
		require.NotZero(t, p.Stats().BadFrames)
	}
}

// Frames that are malformed, or out of place, are counted, and do no harm to those around them.
func TestH2BadFrames(t *testing.T) {
	block := func(c *h2side, lines ...string) string { return string(c.fields(lines...)) }
	for _, x := range []struct {
		name string
		bad  func(c *h2side)
		want []string // between the first request and the last
	}{
		{"HEADERS that are all padding", func(c *h2side) { c.raw(http2.FrameHeaders, 0xd, 3, "\x09abc") }, []string{"#1 >   HTTP/2|[state_lost bad_frame]"}},
		{"HEADERS without padding length", func(c *h2side) { c.raw(http2.FrameHeaders, 0xd, 3, "") }, []string{"#1 >   HTTP/2|[state_lost bad_frame]"}},
		{"HEADERS on stream 0", func(c *h2side) { c.raw(http2.FrameHeaders, 5, 0, block(c, h2get("/")...)) }, nil},
		{"CONTINUATION of nothing", func(c *h2side) { c.raw(http2.FrameContinuation, 4, 3, "") }, nil},
		{"a block that goes on in another stream", func(c *h2side) {
			b := block(c, h2get("/3")...)
			c.raw(http2.FrameHeaders, 1, 3, b[:5]).raw(http2.FrameContinuation, 4, 5, b[5:])
		}, []string{"#1 > GET  HTTP/2|:method:GET|:scheme:http|[truncated state_lost]"}},
		{"a block that another frame breaks off", func(c *h2side) {
			c.raw(http2.FrameHeaders, 1, 3, block(c, h2get("/3")...)[:5]).raw(http2.FramePing, 0, 0, "12345678")
		}, []string{"#1 > GET  HTTP/2|:method:GET|:scheme:http|[truncated state_lost]"}},
		{"a block that breaks off a block", func(c *h2side) {
			c.raw(http2.FrameHeaders, 1, 3, block(c, h2get("/3")...)[:5]).headers(5, true, h2get("/5")...)
		}, []string{"#1 > GET  HTTP/2|:method:GET|:scheme:http|[truncated state_lost]", "#2 > GET /5 HTTP/2|:method:GET|:scheme:http|:path:/5|[state_lost]"}},
		{"a number that is not in the table", func(c *h2side) { c.raw(http2.FrameHeaders, 5, 3, "\x82\xff\x7f\x84") }, []string{"#1 > GET  HTTP/2|:method:GET|[state_lost]"}},
		{"a block that ends in the midst of a field", func(c *h2side) { c.raw(http2.FrameHeaders, 5, 3, "\x82\x41\x05ab") }, []string{"#1 > GET  HTTP/2|:method:GET|[state_lost]"}},
		{"a Huffman code that is none", func(c *h2side) { c.raw(http2.FrameHeaders, 5, 3, "\x82\x41\x84\xff\xff\xff\xff") }, []string{"#1 > GET  HTTP/2|:method:GET|[state_lost]"}},
		{"a table that is too large", func(c *h2side) { c.raw(http2.FrameHeaders, 5, 3, "\x3f\xff\xff\xff\x7f\x82") }, []string{"#1 >   HTTP/2|[state_lost]"}},
		{"RST_STREAM of three bytes", func(c *h2side) { c.raw(http2.FrameRSTStream, 0, 9, "abc") }, nil},
		{"SETTINGS of five bytes", func(c *h2side) { c.raw(http2.FrameSettings, 0, 0, "abcde") }, nil},
		{"PUSH_PROMISE without a stream", func(c *h2side) { c.raw(http2.FramePushPromise, 4, 1, "ab") }, nil},
		{"DATA that is all padding", func(c *h2side) { c.raw(http2.FrameData, 8, 1, "\x09abc") }, nil},
		{"DATA without padding length", func(c *h2side) { c.raw(http2.FrameData, 8, 1, "") }, nil},
		{"DATA of no stream", func(c *h2side) { c.raw(http2.FrameData, 1, 77, "abc") }, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			c, s := newH2(t)
			said := append(opening(c, s), c.headers(1, true, h2get("/1")...).line())
			x.bad(c)
			said = append(said, c.line(), c.headers(11, true, ":method: PUT", ":scheme: http", ":path: /last").line())
			lines := everyCut(t, httpx.Config{}, said)
			require.Equal(t, "#0 > GET /1 HTTP/2|:method:GET|:scheme:http|:path:/1|:authority:example.com", lines[0])
			require.Equal(t, x.want, append([]string(nil), lines[1:len(lines)-1]...))
			require.Contains(t, lines[len(lines)-1], "PUT /last HTTP/2")
			_, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
			require.NotZero(t, p.Stats().BadFrames+p.Stats().LostFields+p.Stats().Skipped)
		})
	}
}

func TestH2Limits(t *testing.T) {
	t.Run("streams", func(t *testing.T) {
		c, s := newH2(t)
		said := opening(c, s)
		for id := uint32(1); id < 20; id += 2 {
			said = append(said, c.headers(id, false, h2get("/")...).line())
		}
		said = append(said, s.headers(1, true, ":status: 200").headers(19, true, ":status: 200").line())
		d, p := parse(t, httpx.Config{Limits: httpx.Limits{Streams: 4}}, httpx.ConnInfo{}, said.steps())
		require.Equal(t, uint64(6), p.Stats().LimitStreams)
		require.Len(t, d.list, 11, "what comes of a stream that was given up is passed over")
		require.True(t, d.list[0].Flags.Has(httpx.FlagLimit))
		st := p.Stats()
		require.True(t, st.LimitsHit())
	})
	t.Run("frame", func(t *testing.T) {
		c, s := newH2(t)
		said := append(opening(c, s), c.headers(1, true, h2get("/", "x: "+strings.Repeat("v", 5000))...).line(), c.headers(3, true, h2get("/3")...).line())
		d, p := parse(t, httpx.Config{Limits: httpx.Limits{Frame: 1000}}, httpx.ConnInfo{}, said.steps())
		require.Equal(t, uint64(1), p.Stats().LimitFrame)
		require.Equal(t, "#0 >   HTTP/2|[state_lost limit]", d.line(d.list[0]))
		require.Equal(t, "/3", d.list[1].Target)
	})
	t.Run("fields", func(t *testing.T) {
		c, s := newH2(t)
		var many []string
		for i := range 2000 {
			many = append(many, fmt.Sprintf("x: %d", i))
		}
		said := append(opening(c, s), c.headers(1, true, h2get("/", many...)...).line())
		d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
		require.Len(t, d.list[0].Header, 1000)
		require.True(t, d.list[0].Flags.Has(httpx.FlagLimit))
		require.Equal(t, uint64(1), p.Stats().LimitHeader)
	})
	t.Run("a bomb of fields", func(t *testing.T) {
		// One field of 4000 bytes in the table, named again and again with a byte each.
		c, s := newH2(t)
		said := append(opening(c, s), c.headers(1, true, h2get("/", "x: "+strings.Repeat("v", 3900))...).line())
		said = append(said, c.raw(http2.FrameHeaders, 5, 3, "\x82\x84"+strings.Repeat("\xbe", 16000)).line())
		d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
		require.True(t, d.list[1].Flags.Has(httpx.FlagLimit))
		require.LessOrEqual(t, len(d.list[1].Header), 70)
		require.Equal(t, uint64(1), p.Stats().LimitHeader)
	})
	t.Run("a flood of CONTINUATION", func(t *testing.T) {
		c, s := newH2(t)
		said := append(opening(c, s), c.raw(http2.FrameHeaders, 1, 1, "\x82\x84").line())
		for range 2000 {
			c.raw(http2.FrameContinuation, 0, 1, strings.Repeat("\x00\x01x\x02yz", 100))
		}
		said = append(said, c.line(), c.raw(http2.FrameContinuation, 4, 1, "").line(), c.headers(3, true, h2get("/3")...).line())
		d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
		require.Len(t, d.list[0].Header, 1000)
		require.True(t, d.list[0].Flags.Has(httpx.FlagLimit))
		require.Equal(t, "/3", d.list[1].Target)
		require.Zero(t, p.Stats().LostFields)
	})
	t.Run("a string without end", func(t *testing.T) {
		c, s := newH2(t)
		said := append(opening(c, s), c.raw(http2.FrameHeaders, 1, 1, "\x82\x84\x00\x01x\x7f\xff\xff\xff\x07").line())
		for range 200 {
			c.raw(http2.FrameContinuation, 0, 1, strings.Repeat("v", 16000))
		}
		said = append(said, c.line(), c.raw(http2.FrameContinuation, 4, 1, "").line(), c.headers(3, true, h2get("/3")...).line())
		d, p := parse(t, httpx.Config{}, httpx.ConnInfo{}, said.steps())
		require.Equal(t, "#0 > GET / HTTP/2|:method:GET|:path:/|[state_lost]", d.line(d.list[0]))
		require.Equal(t, "/3", d.list[1].Target)
		require.Equal(t, uint64(1), p.Stats().LostFields)
	})
	t.Run("defaults", func(t *testing.T) {
		_, err := httpx.New(&httpx.Config{Limits: httpx.Limits{Streams: -1}})
		require.Error(t, err)
	})
}
