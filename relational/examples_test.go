package relational_test

import (
	"fmt"
	"time"

	"github.com/tcpfollow/tcpfollow/relational"
)

// A request that no answer follows within three seconds.
func ExamplePattern() {
	type message struct {
		id, text string
		second   int64
	}
	is := func(text string) func(message, *string) bool {
		return func(m message, id *string) bool {
			if m.text != text {
				return false
			}
			*id = m.id
			return true
		}
	}
	p, err := relational.NewPattern(
		&relational.PatternConfig[message, string]{Key: func(m message) relational.Key { return relational.Key{Value: m.id} }},
		relational.Step[message, string]{Match: is("request")},
		relational.Step[message, string]{Match: is("answer"), Not: true},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	lost, err := relational.Define("lost", p.New, &relational.TypeConfig[message, *relational.Run[message, string]]{
		Key: func(m message) (string, bool) { return m.id, true }, Within: 3 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	stream, err := relational.New(&relational.Config[message]{Time: func(m message) time.Time { return time.Unix(m.second, 0) }}, lost)
	if err != nil {
		fmt.Println(err)
		return
	}
	stream.IngestAll([]message{{"a", "request", 1}, {"b", "request", 2}, {"b", "answer", 4}, {"c", "request", 5}})
	for m := range lost.Completed() {
		fmt.Println(m.Flow.State)
	}
	// Output:
	// a
}
