package tcpfollow_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
)

// payloadLines returns the lines of follow's text that are payload, and those that are not, and requires that every line
// is one or the other.
func payloadLines(t *testing.T, text string) (payload, notes []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		require.True(t, strings.HasSuffix(line, "\n"), "%q", line)
		for _, c := range strings.TrimSuffix(line, "\n") {
			if c != '\t' && !unicode.IsPrint(c) {
				require.Failf(t, "control character", "%q", line)
			}
		}
		switch {
		case strings.HasPrefix(line, "> "), strings.HasPrefix(line, "< "):
			payload = append(payload, line)
		case strings.HasPrefix(line, "--- "):
			notes = append(notes, line)
		default:
			require.Equal(t, "\n", line)
		}
	}
	return payload, notes
}

// TestTextForm: what payload looks like.
func TestTextForm(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		texts      []string
	}{
		{"lines", "> a\n> b\n", []string{"a\nb\n"}},
		{"no newline at the end", "> a\n< b\n> c\n", []string{"a", "b", "c"}},
		{"carriage returns at ends", "> a\n> \n", []string{"a\r\n\r\n"}},
		{"carriage return inside", "> a\\x0db\n", []string{"a\rb\n"}},
		{"carriage return last", "> a\\x0d\n< b\n", []string{"a\r", "b"}},
		{"tab", "> a\tb\n", []string{"a\tb\n"}},
		{"character cut off", "> \\xe4\\xb8\n< ok\n", []string{"\xe4\xb8", "ok"}},
		{"escape sequences", "> \\x1b[2J\\x1b]0;title\\x07\n", []string{"\x1b[2J\x1b]0;title\a"}},
		{"what looks like an escape", "> \\x5cx1b \\\n", []string{`\x1b \`}},
		{"fake note", "> --- stream 1: client 1.1.1.1:1\n< --- stream 0, continued\n", []string{"--- stream 1: client 1.1.1.1:1\n", "--- stream 0, continued"}},
		{"fake gap", "> [1460 bytes missing]\n", []string{"[1460 bytes missing]\n"}},
		{"fake direction", "> a\n> < b\n", []string{"a\n< b\n"}},
		{"fake lines by other ends", "> a\\x0d--- b\\x0b--- c\\x0c--- d\\xc2\\x85--- e\\xe2\\x80\\xa8--- f\n", []string{"a\r--- b\v--- c\f--- d\u0085--- e\u2028--- f"}},
		{"long line", "> " + strings.Repeat("x", 300000) + "\n", []string{strings.Repeat("x", 300000)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := says(t, tt.texts...)
			for _, mode := range []string{"--as-captured=false", "--as-captured", "--max-rendered=0", "--max-rendered=100"} {
				payload, notes := payloadLines(t, runOK(t, "follow", mode, path).stdout)
				require.Equal(t, tt.want, strings.Join(payload, ""), mode)
				require.Len(t, notes, 2, mode)
			}
		})
	}
}

// TestTextSegmentation: what shows depends on the bytes, not on how they were cut into segments.
func TestTextSegmentation(t *testing.T) {
	const said = "grüße\r\n世界\r\n\\x41 \\\\x \r\r\n\xff\xfe\xe4\xb8\x1b[31m🙂\r\nend\\"
	var want string
	for mss := 40; mss > 0; mss-- {
		c := &pktgen.Conversation{MSS: mss}
		path := saveTrace(t, c.Open().Client([]byte(said)).Server([]byte(said)).Close(packet.ClientToServer).Trace())
		payload, _ := payloadLines(t, runOK(t, "follow", "-q", path).stdout)
		captured, _ := payloadLines(t, runOK(t, "follow", "-q", "--as-captured", path).stdout)
		got := strings.Join(payload, "")
		require.Equal(t, got, strings.Join(captured, ""))
		if want == "" {
			want = got
			require.Equal(t, "> grüße\n> 世界\n> \\x5cx41 \\\\x5cx \\x0d\n> \\xff\\xfe\\xe4\\xb8\\x1b[31m🙂\n> end\\\n", want[:len(want)/2])
		}
		require.Equal(t, want, got, "segments of %d bytes", mss)
	}
}

// crowd returns a capture of streams that talk at the same time, in parts of lines, each saying what could be another's
// header; and what each one's client says in lines.
func crowd(t *testing.T, streams, turns int) (path string, said []string) {
	t.Helper()
	said = make([]string, streams)
	parts := make([]pktgen.Trace, streams)
	for i := range streams {
		c := &pktgen.Conversation{
			ClientAddr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(5000+i)), Start: pktgen.Start + int64(i), AckEvery: -1,
		}
		c.Open()
		for turn := range turns {
			text := fmt.Sprintf("--- stream %d: part %d, ", i, turn)
			if turn%3 == 2 {
				text += "end of line\n"
			}
			c.Client([]byte(text))
			said[i] += text
		}
		parts[i] = c.Close(packet.ClientToServer).Trace()
	}
	return saveTrace(t, pktgen.Merge(parts...)), said
}

// TestTextGroups: each stream is shown as a whole, in the order in which they end.
func TestTextGroups(t *testing.T) {
	path, said := crowd(t, 5, 9)
	text := runOK(t, "follow", path).stdout
	blocks := strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n")
	require.Len(t, blocks, len(said))
	for i, block := range blocks {
		lines := strings.Split(block, "\n")
		require.True(t, strings.HasPrefix(lines[0], fmt.Sprintf("--- stream %d: client ", i)))
		require.True(t, strings.HasPrefix(lines[len(lines)-1], fmt.Sprintf("--- stream %d: fin ", i)))
		require.Equal(t, said[i], strings.ReplaceAll(strings.Join(lines[1:len(lines)-1], "\n")[2:], "\n> ", "\n")+"\n")
	}
}

// TestTextEarly: what is shown early, because it was asked for or because too much waits, has its marks, and says whose it
// is whenever that changes.
func TestTextEarly(t *testing.T) {
	path, said := crowd(t, 5, 30)
	header := regexp.MustCompile(`^--- stream (\d+)(, continued|: client .*|: fin .*)\n$`)
	for _, args := range [][]string{{"--as-captured"}, {"--max-rendered", "0"}, {"--max-rendered", "500"}, {"--max-rendered", "3000"}, {}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			text := runOK(t, append([]string{"follow", path}, args...)...).stdout
			got := make([]string, len(said))
			current, continued := -1, 0
			for line := range strings.Lines(text) {
				if m := header.FindStringSubmatch(line); m != nil {
					_, err := fmt.Sscan(m[1], &current)
					require.NoError(t, err)
					if m[2] == ", continued" {
						continued++
					}
					continue
				}
				if line == "\n" {
					current = -1
					continue
				}
				require.True(t, strings.HasPrefix(line, "> --- stream "), "%q", line)
				require.True(t, strings.HasPrefix(line[2:], fmt.Sprintf("--- stream %d:", current)), "%q under stream %d", line, current)
				got[current] += strings.TrimSuffix(line[2:], "\n")
			}
			for i := range said {
				require.Equal(t, strings.ReplaceAll(said[i], "\n", ""), got[i])
			}
			require.Equal(t, len(args) > 0, continued > 0)
			payloadLines(t, text)
		})
	}
}

// TestTextGap: a gap stands on a line that no payload can look like, and its bytes are in no line.
func TestTextGap(t *testing.T) {
	c := &pktgen.Conversation{MSS: 10}
	path := saveTrace(t, c.Open().Client([]byte("line one  [10 bytes missing]\n")).Close(packet.ClientToServer).Trace().Drop(3))
	for _, mode := range []string{"--as-captured=false", "--as-captured", "--max-rendered=0"} {
		payload, notes := payloadLines(t, runOK(t, "follow", mode, path).stdout)
		require.Equal(t, []string{"> [10 bytes missing]\n"}, payload)
		require.Len(t, notes, 3)
		require.Equal(t, "--- > [10 bytes missing]\n", notes[1])
	}
	text := runOK(t, "follow", "--hex", path).stdout
	require.Contains(t, text, "--- > [10 bytes missing]\n> 0000000a  5b3130206279746573206d697373696e  [10 bytes missin\n"[:50])
}

// TestTextConflict: the bytes of a conflict are escaped like any others.
func TestTextConflict(t *testing.T) {
	c := &pktgen.Conversation{MSS: 100}
	c.Open().Client([]byte("harmless bytes\n"))
	c.Segment(packet.ClientToServer, packet.ACK, 0, []byte("\x1b[2J\n--- strea\n"))
	text := runOK(t, "follow", saveTrace(t, c.Close(packet.ClientToServer).Trace())).stdout
	payload, notes := payloadLines(t, text)
	require.Equal(t, []string{"> harmless bytes\n"}, payload)
	require.Len(t, notes, 3)
	require.Contains(t, notes[1], `\x1b[2J\x0a--- strea`)
}

// TestColor: with colour, a line is the same but for the colours, which end where it does.
func TestColor(t *testing.T) {
	sequence := regexp.MustCompile(`\x1b\[\d+m`)
	for _, name := range []string{"http.pcap", "conflict.pcap", "vlan.pcap", "snaplen.pcap"} {
		for _, mode := range []string{"--hex=false", "--hex", "--as-captured", "--max-rendered=0"} {
			plain := runOK(t, "follow", mode, data+name)
			colored := runOK(t, "follow", "--color", "always", mode, data+name)
			require.NotContains(t, plain.stdout, "\x1b")
			require.NotContains(t, colored.stderr, "\x1b")
			require.Equal(t, plain.stdout, sequence.ReplaceAllString(colored.stdout, ""))
			for line := range strings.Lines(colored.stdout) {
				if line != "\n" {
					require.True(t, strings.HasSuffix(line, "\x1b[0m\n"), "%q", line)
				}
			}
			require.Equal(t, plain, run("follow", "--color", "never", mode, data+name))
		}
	}
}
