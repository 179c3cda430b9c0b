// Package scenario runs scripts of TCP segments against a follower and compares the log of its callbacks with the one
// that the script expects. Every reassembly engine is held to the same scripts.
//
// A script is text. '#' starts a comment, and what stands in front of the line "Output:" is done in order:
//
//	config depth=10 midstream=ignore    settings of the follower, see settings
//	isn c=1000 s=5000                   initial sequence numbers; these are the defaults
//	tuple 192.0.2.1:1000 192.0.2.2:80   client and server of the lines that follow; these are the defaults
//	open                                a three-way handshake
//	c> SYN                              a segment from the client: flags, joined by "|"
//	s> "abc" at 0                       data from the server at an offset of its stream; flags are ACK|PSH
//	c> "abc" at 3 FIN|ACK ack=7         with flags, and the offset that it acknowledges (0 if not said)
//	c> x100 at 3 missing=50             100 bytes of filler, and 50 more that the snapshot length cut off
//	c> "abc" ACK|URG urgent=3           with the urgent pointer, which names the octet behind the urgent data
//	c> ACK seq=77                       an absolute sequence number
//	wait 120s                           lets packet time pass: a packet of no interest after 120 seconds
//	close                               closes the follower; done at the end in any case
//	verdicts                            from here on the log has a line for every segment's verdict
//
// Without "at", a segment stands at the end of what its side has sent. A SYN stands one before offset 0.
//
// Behind "Output:" comes the log, a line an event; # is followed by the stream's number:
//
//	#0 open 192.0.2.1:1000 > 192.0.2.2:80 syn
//	#0 data c 0 "abc"
//	#0 gap c 3+5 lost
//	#0 urgent c 3 "!"
//	#0 conflict c 4 old "x" new "y" kept old
//	#0 end fin
package scenario

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Script is a parsed scenario.
type Script struct {
	// Name is the file's name without its ending.
	Name   string
	steps  []step
	config map[string]string
	want   []string
}

// step is a line of a script.
type step struct {
	line int
	kind stepKind

	client, server netip.AddrPort // stepTuple
	isn            [2]uint32      // stepISN
	wait           time.Duration  // stepWait
	seg            segment        // stepSegment
}

type stepKind uint8

const (
	stepSegment stepKind = iota
	stepTuple
	stepISN
	stepOpen
	stepWait
	stepClose
	stepVerdicts
)

// segment is a segment as a script says it; numbers are relative to the side's first byte.
type segment struct {
	server  bool
	flags   packet.TCPFlags
	data    []byte
	missing uint32
	at      int64
	hasAt   bool
	seq     uint32 // absolute
	hasSeq  bool
	ack     int64
	hasAck  bool // absolute acknowledgement number
	ackSeq  uint32
	window  uint16
	urgent  uint16
}

// Load parses every script of a directory.
func Load(dir fs.FS) ([]*Script, error) {
	names, err := fs.Glob(dir, "*.txt")
	if err != nil {
		return nil, err
	}
	var scripts []*Script
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(strings.TrimSuffix(name, ".txt"), string(text))
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, s)
	}
	return scripts, nil
}

// Parse parses one script. Errors name the script and the line.
func Parse(name, text string) (*Script, error) {
	s := &Script{Name: name, config: map[string]string{}}
	sc := bufio.NewScanner(strings.NewReader(text))
	output := false
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		switch {
		case output:
			if line != "" && !strings.HasPrefix(line, "//") {
				s.want = append(s.want, line)
			}
			continue
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case line == "Output:":
			output = true
			continue
		}
		if err := s.parseLine(n, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if !output {
		return nil, fmt.Errorf("%s: no line %q", name, "Output:")
	}
	return s, sc.Err()
}

func (s *Script) parseLine(n int, line string) error {
	words, err := fields(line)
	if err != nil {
		return err
	}
	st := step{line: n}
	switch words[0] {
	case "config":
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			s.config[k] = v
		}
		return nil
	case "tuple":
		st.kind = stepTuple
		if len(words) != 3 {
			return errors.New("tuple takes a client and a server")
		}
		if st.client, err = netip.ParseAddrPort(words[1]); err != nil {
			return err
		}
		if st.server, err = netip.ParseAddrPort(words[2]); err != nil {
			return err
		}
	case "isn":
		st.kind = stepISN
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			side, ok := map[string]int{"c": 0, "s": 1}[k]
			if !ok {
				return fmt.Errorf("no such side: %s", k)
			}
			x, err := strconv.ParseUint(v, 0, 32)
			if err != nil {
				return err
			}
			st.isn[side] = uint32(x)
		}
	case "wait":
		st.kind = stepWait
		if len(words) != 2 {
			return errors.New("wait takes a duration")
		}
		if st.wait, err = time.ParseDuration(words[1]); err != nil {
			return err
		}
	case "open":
		st.kind = stepOpen
	case "close":
		st.kind = stepClose
	case "verdicts":
		st.kind = stepVerdicts
	case "c>", "s>":
		st.seg.server = words[0] == "s>"
		if err := st.seg.parse(words[1:]); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown word %q", words[0])
	}
	s.steps = append(s.steps, st)
	return nil
}

func (g *segment) parse(words []string) error {
	g.window = 65535
	flags := false
	for i := 0; i < len(words); i++ {
		w := words[i]
		k, v, isPair := strings.Cut(w, "=")
		var err error
		var x uint64
		switch {
		case strings.HasPrefix(w, `"`):
			var s string
			s, err = strconv.Unquote(w)
			g.data = []byte(s)
		case w == "at" && i+1 < len(words):
			i++
			g.hasAt = true
			g.at, err = strconv.ParseInt(words[i], 0, 64)
		case k == "ack" && isPair:
			g.ack, err = strconv.ParseInt(v, 0, 64)
		case k == "ackseq" && isPair:
			x, err = strconv.ParseUint(v, 0, 32)
			g.ackSeq, g.hasAck = uint32(x), true
		case k == "seq" && isPair:
			x, err = strconv.ParseUint(v, 0, 32)
			g.seq, g.hasSeq = uint32(x), true
		case k == "missing" && isPair:
			x, err = strconv.ParseUint(v, 0, 32)
			g.missing = uint32(x)
		case k == "window" && isPair:
			x, err = strconv.ParseUint(v, 0, 16)
			g.window = uint16(x)
		case k == "urgent" && isPair:
			x, err = strconv.ParseUint(v, 0, 16)
			g.urgent = uint16(x)
		case w[0] == 'x' && len(w) > 1 && w[1] >= '0' && w[1] <= '9':
			x, err = strconv.ParseUint(w[1:], 0, 24)
			g.data = filler(int(x))
		default:
			flags = true
			g.flags, err = parseFlags(w)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", w, err)
		}
	}
	if !flags {
		g.flags = packet.ACK | packet.PSH
	}
	return nil
}

// filler returns bytes that tell their own place.
func filler(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz"[i%26]
	}
	return b
}

func parseFlags(w string) (packet.TCPFlags, error) {
	var flags packet.TCPFlags
next:
	for name := range strings.SplitSeq(w, "|") {
		for bit := packet.FIN; bit <= packet.AE; bit <<= 1 {
			if bit.String() == name {
				flags |= bit
				continue next
			}
		}
		if name != "none" {
			return 0, fmt.Errorf("no such flag: %s", name)
		}
	}
	return flags, nil
}

// fields splits a line at white space, but keeps quoted strings whole; a comment ends it.
func fields(line string) ([]string, error) {
	var words []string
	for line = strings.TrimSpace(line); line != "" && line[0] != '#'; line = strings.TrimSpace(line) {
		if line[0] == '"' {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("bad string: %s", line)
			}
			words, line = append(words, q), line[len(q):]
			continue
		}
		i := strings.IndexAny(line, " \t")
		if i < 0 {
			i = len(line)
		}
		words, line = append(words, line[:i]), line[i:]
	}
	return words, nil
}
