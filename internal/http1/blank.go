package http1

import "bytes"

// BlankLine finds the empty line that ends a header, over any number of pieces. The zero value is at the start of a line.
type BlankLine struct {
	// Lines is the number of lines that were ended, the empty one included.
	Lines int
	n     int  // bytes of the current line
	cr    bool // of which the only one is a CR
}

// Next looks through the next piece and returns how many bytes of it lie before the end of the empty line, that included;
// -1 means that it is not there. Each byte is looked at once.
func (s *BlankLine) Next(b []byte) int {
	at := 0
	for {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			s.add(b[at:])
			return -1
		}
		s.add(b[at : at+i])
		at += i + 1
		blank := s.n == 0 || s.n == 1 && s.cr
		s.n, s.cr = 0, false
		s.Lines++
		if blank {
			return at
		}
	}
}

func (s *BlankLine) add(b []byte) {
	if len(b) > 0 {
		s.cr = s.n == 0 && len(b) == 1 && b[0] == '\r'
		s.n += len(b)
	}
}
