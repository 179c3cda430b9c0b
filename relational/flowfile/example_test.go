package flowfile_test

import (
	"fmt"
	"strings"

	"github.com/tcpfollow/tcpfollow/relational/flowfile"
)

// A job that starts, and what it does by the number that it was given.
func Example() {
	type event map[string]string
	field := func(name string) (flowfile.Field[event], error) {
		return flowfile.Field[event]{Values: func(e event, values []string) []string {
			if v, ok := e[name]; ok {
				values = append(values, v)
			}
			return values
		}}, nil
	}
	flows, err := flowfile.Read(strings.NewReader(`
flow: job
steps:
  - match: {message: '^started as (?P<id>\d+)$'}
    set: {name: unit}
  - match: {id: $id, message: failed}
`), "job.yaml", field)
	if err != nil {
		fmt.Println(err)
		return
	}
	matcher, err := flowfile.New(flows, &flowfile.Config[event, string]{
		Note: func(e event) string { return e["message"] },
		OnMatch: func(m *flowfile.Match[string]) {
			for _, v := range m.Vars {
				fmt.Println(v.Name, v.Values)
			}
			fmt.Println(m.Notes)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range []event{
		{"unit": "backup", "message": "started as 7"}, {"id": "8", "message": "failed"}, {"id": "7", "message": "warning"}, {"id": "7", "message": "failed"},
	} {
		matcher.Ingest(e)
	}
	// Output:
	// id [7]
	// name [backup]
	// [started as 7 failed]
}
