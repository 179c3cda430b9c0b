package relational_test

import (
	"fmt"
	"regexp"

	"github.com/tcpfollow/tcpfollow/relational"
)

// choice is a flow over lines: "start X", then "X -> Y or Z", then one of the two.
type choice struct {
	step    int
	first   string
	options []string
	chosen  string
}

var (
	start   = regexp.MustCompile(`^start (\w)$`)
	options = regexp.MustCompile(`^(\w) -> (\w) or (\w)$`)
)

func (c *choice) Accept(line string) bool {
	switch c.step {
	case 0:
		m := start.FindStringSubmatch(line)
		if m == nil {
			return false
		}
		c.first = m[1]
	case 1:
		m := options.FindStringSubmatch(line)
		if m == nil || m[1] != c.first {
			return false
		}
		c.options = m[2:]
	case 2:
		if line != c.options[0] && line != c.options[1] {
			return false
		}
		c.chosen = line
	default:
		return false
	}
	c.step++
	return true
}

func (c *choice) Complete() bool { return c.step == 3 }

func Example() {
	choices, err := relational.Define("choice", func() *choice { return new(choice) }, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	stream, err := relational.New(nil, choices)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, line := range []string{"start A", "B", "A -> B or C", "A -> D or E", "B"} {
		stream.Ingest(line)
	}
	fmt.Println("incomplete:", choices.Open())
	for m := range choices.Completed() {
		fmt.Println("completed:", m.Flow.first, m.Flow.options, m.Flow.chosen)
	}
	// Output:
	// incomplete: 0
	// completed: A [B C] B
}
