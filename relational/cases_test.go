package relational_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/relational"
)

// recorded is what was recorded of relational_stream 0.6.0, and what is recommended in its place.
type recorded struct {
	Cases []struct {
		Name             string
		Flows            []script
		Events           []string
		Trace            [][][2]int         `json:"trace_incomplete_completed"`
		RecommendedTrace [][][2]int         `json:"recommended_trace"`
		Unordered        bool               `json:"completion_order_unspecified"`
		Compat           map[string]outcome `json:"expect_v0_6_0"`
		Recommended      map[string]outcome
	}
}

type outcome struct{ Completed, Incomplete []kept }

type kept struct {
	Events []string
	Vars   map[string]any
}

// script is a flow over lines of text.
type script struct {
	Name     string
	Steps    []step
	ExactLen int `json:"exact_len"`
}

type step struct {
	RE     string
	Repeat bool
	Where  []struct {
		Group int
		Op    string
		Var   string
	}
	Set     map[string]int
	SetMany map[string][]int `json:"set_many"`
	re      *regexp.Regexp
}

// scripted is a flow that a script tells what to do.
type scripted struct {
	script *script
	at     int // steps matched
	events int
	vars   map[string]any
}

func (f *scripted) Accept(line string) bool {
	if f.at < len(f.script.Steps) && f.take(&f.script.Steps[f.at], line) {
		f.at++
	} else if f.at == 0 || !f.script.Steps[f.at-1].Repeat || !f.take(&f.script.Steps[f.at-1], line) {
		return false
	}
	f.events++
	return true
}

func (f *scripted) take(s *step, line string) bool {
	m := s.re.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	for _, w := range s.Where {
		have := f.vars[w.Var]
		switch w.Op {
		case "eq":
			if have != m[w.Group] {
				return false
			}
		case "ne":
			if have == m[w.Group] {
				return false
			}
		case "in":
			if list, _ := have.([]any); !slices.Contains(list, any(m[w.Group])) {
				return false
			}
		}
	}
	for name, group := range s.Set {
		f.vars[name] = m[group]
	}
	for name, groups := range s.SetMany {
		var list []any
		for _, g := range groups {
			list = append(list, m[g])
		}
		f.vars[name] = list
	}
	return true
}

func (f *scripted) Complete() bool {
	return f.at == len(f.script.Steps) && (f.script.ExactLen == 0 || f.events == f.script.ExactLen)
}

func cases(t *testing.T) recorded {
	t.Helper()
	path := os.Getenv("TCPFOLLOW_RELATIONAL_CASES")
	if path == "" {
		shared := os.Getenv("TCPFOLLOW_SHARED")
		if shared == "" {
			shared = "../../shared"
		}
		path = shared + "/golden/relational/cases.json"
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("no recorded cases: %v; TCPFOLLOW_RELATIONAL_CASES or TCPFOLLOW_SHARED may name them", err)
	}
	var r recorded
	require.NoError(t, json.Unmarshal(b, &r))
	require.NotEmpty(t, r.Cases)
	return r
}

func outcomeOf(typ *relational.Type[string, *scripted]) outcome {
	var o outcome
	for m := range typ.Completed() {
		o.Completed = append(o.Completed, kept{m.Events, m.Flow.vars})
	}
	for m := range typ.Incomplete() {
		o.Incomplete = append(o.Incomplete, kept{m.Events, m.Flow.vars})
	}
	return o
}

// TestCases runs the recorded cases in both modes; counts are checked after every event.
func TestCases(t *testing.T) {
	for _, c := range cases(t).Cases {
		t.Run(c.Name, func(t *testing.T) {
			for _, compat := range []bool{true, false} {
				want, trace := c.Recommended, c.Trace
				if compat {
					want = c.Compat
				} else if c.RecommendedTrace != nil {
					trace = c.RecommendedTrace
				}
				var types []*relational.Type[string, *scripted]
				s, err := relational.New(&relational.Config[string]{Compat060: compat})
				require.NoError(t, err)
				for i := range c.Flows {
					f := &c.Flows[i]
					for j := range f.Steps {
						f.Steps[j].re = regexp.MustCompile("^(?:" + f.Steps[j].RE + ")")
					}
					typ, err := relational.Define(f.Name, func() *scripted { return &scripted{script: f, vars: map[string]any{}} }, nil)
					require.NoError(t, err)
					require.NoError(t, s.Add(typ))
					types = append(types, typ)
				}
				for n, ev := range c.Events {
					s.Ingest(ev)
					for i, typ := range types {
						o := outcomeOf(typ)
						counts := [2]int{len(o.Incomplete), len(o.Completed)}
						require.Equal(t, trace[n][i], counts, "compat %v, %s after event %d", compat, typ.Name(), n)
					}
				}
				for _, typ := range types {
					got, want := outcomeOf(typ), want[typ.Name()]
					if c.Unordered && compat {
						require.ElementsMatch(t, want.Completed, got.Completed)
					} else if len(want.Completed)+len(got.Completed) > 0 {
						require.Equal(t, want.Completed, got.Completed, "compat %v", compat)
					}
					if len(want.Incomplete)+len(got.Incomplete) > 0 {
						require.Equal(t, want.Incomplete, got.Incomplete, "compat %v", compat)
					}
				}
			}
		})
	}
}
