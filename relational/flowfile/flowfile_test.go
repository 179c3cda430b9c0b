package flowfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/relational"
	"github.com/tcpfollow/tcpfollow/relational/flowfile"
)

// record is an event: a second, and fields with one value or several, apart by commas.
type record struct {
	at     int
	fields map[string]string
}

func (r record) time() time.Time { return time.Unix(int64(r.at), 0).UTC() }

// schema knows the fields that start with a letter of a to h, or are one of some words; those with "secret" are secret.
func schema(name string) (flowfile.Field[record], error) {
	if name == "" || name[0] > 'h' && !slices.Contains([]string{"method", "path", "sid", "status", "user", "secret"}, name) {
		return flowfile.Field[record]{}, fmt.Errorf("no field %q", name)
	}
	return flowfile.Field[record]{Secret: name == "secret", Values: func(r record, values []string) []string {
		if v := r.fields[name]; v != "" {
			values = append(values, strings.Split(v, ",")...)
		}
		return values
	}}, nil
}

// records reads events: a line each, "at name=value name=value".
func records(t testing.TB, text string) []record {
	t.Helper()
	var list []record
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		r := record{fields: map[string]string{}}
		_, err := fmt.Sscan(words[0], &r.at)
		require.NoError(t, err)
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(w, "=")
			r.fields[name] = value
		}
		list = append(list, r)
	}
	return list
}

func read(t testing.TB, text string) *flowfile.Flows[record] {
	t.Helper()
	flows, err := flowfile.Read(strings.NewReader(text), "test.yaml", schema)
	require.NoError(t, err)
	return flows
}

// config returns a configuration that logs what becomes of flows: why, the key, variables, times of the events.
func config(log *[]string) *flowfile.Config[record, int] {
	note := func(m *flowfile.Match[int]) {
		text := fmt.Sprint(m.Flow, " ", m.Reason)
		if m.Key != "" {
			text += " key=" + m.Key
		}
		for _, v := range m.Vars {
			text += fmt.Sprintf(" %s=%s", v.Name, strings.Join(v.Values, ","))
			if v.Secret {
				text += "(secret)"
			}
		}
		*log = append(*log, fmt.Sprint(text, " ", m.Notes))
	}
	return &flowfile.Config[record, int]{
		Stream: relational.Config[record]{Time: record.time}, Note: func(r record) int { return r.at }, OnMatch: note, OnEnd: note,
	}
}

// run returns what a file finds in events.
func run(t testing.TB, text, events string) []string {
	t.Helper()
	var log []string
	m, err := flowfile.New(read(t, text), config(&log))
	require.NoError(t, err)
	for _, r := range records(t, events) {
		m.Ingest(r)
	}
	m.Flush()
	require.Zero(t, m.Open())
	return log
}

const login = `
flow: login
within: 30s
key: client
steps:
  - match: {method: GET, path: /login}
    set: {host: host}
  - name: the form
    match: {status: 200, host: $host, body: 'csrf=(?P<csrf>\w+)'}
  - match: {method: POST, path: ^/login$, host: $host, form: $csrf}
    set: {user: user, token: secret}
  - not: {path: ^/logout}
  - match: {status: [302, 303], host: $host, body: '^sid=(?P<sid>\w+)'}
  - match: {cookie: $sid}
    repeat: 2..
`

func TestLogin(t *testing.T) {
	const good = `
		1 client=c method=GET path=/login host=h
		2 client=d method=GET path=/login host=h
		2 client=c status=200 host=g body=csrf=no
		3 client=c status=200 host=h body=x,csrf=abc
		4 client=c method=POST path=/login host=h form=abc user=me secret=tk
		4 client=d method=POST path=/login host=h form=abc user=you
		5 client=c status=303 host=h body=sid=99
		6 client=c cookie=98
		7 client=c cookie=99
		8 client=x cookie=99
		9 client=c cookie=98,99
	`
	require.Equal(t, []string{
		"login matched key=c host=h csrf=abc user=me token=tk(secret) sid=99 [1 3 4 5 7 9]",
		"login flushed key=d host=h [2]",
	}, run(t, login, good))
	require.Equal(t, []string{"login aborted key=c host=h csrf=abc [1 3 4]"}, run(t, login, strings.Replace(strings.ReplaceAll(good, "user=me secret=tk", ""), "5 client=c status", "5 client=c path=/logout status", 1))[:1])
	late := strings.Replace(good, "9 client=c cookie=98,99", "32 client=c cookie=99", 1)
	require.Equal(t, []string{
		"login expired key=c host=h csrf=abc user=me token=tk(secret) sid=99 [1 3 4 5 7]", "login flushed key=d host=h [2]",
	}, run(t, login, late))
}

func TestFiles(t *testing.T) {
	for name, tc := range map[string]struct {
		text, events string
		want         []string
	}{
		"literals": {
			"flow: f\nsteps: [{match: {a: 1, b: true, c: '', d: '\\$x', e: '\\^'}}]", "1 a=1 b=true d=$x e=^\n2 a=1 b=true c=2 d=$x e=^\n3 a=1 b=true d=$x", []string{"f matched [1]"},
		},
		"one of several": {"flow: f\nsteps: [{match: {a: [1, 2, '']}}]", "1 a=1\n2 a=2,9\n3 a=3\n4 b=1", []string{"f matched [1]", "f matched [2]", "f matched [4]"}},
		"not": {
			"flow: f\nsteps: [{match: {a: {not: 1}, b: {not: [2, 3]}, c: {not: ^x}}}]", "1\n2 a=1\n3 b=3\n4 c=xy\n5 a=2 b=1 c=yx", []string{"f matched [1]", "f matched [5]"},
		},
		"not a variable":              {"flow: f\nsteps: [{match: {a: '^(?P<v>.)'}}, {match: {a: {not: $v}, b: 1}}]", "1 a=x\n2 a=x b=1\n3 a=y b=1", []string{"f matched v=x [1 3]", "f matched v=x [2 3]", "f flushed v=y [3]"}},
		"the same event":              {"flow: f\nsteps: [{match: {a: '^(?P<v>.)', b: $v}}]", "1 a=x b=y\n2 a=x b=x", []string{"f matched v=x [2]"}},
		"a repeated word is no index": {"flow: f\nsteps: [{match: {d: 1}}, {match: {a: '^(?P<v>.)', b: $v}}]", "1 d=1\n2 a=x b=y\n3 a=x b=x", []string{"f matched v=x [1 3]"}},
		"json":                        {`{"flow": "f", "steps": [{"match": {"a": "1"}}, {"match": {"b": 2}}]}`, "1 a=1\n2 b=2", []string{"f matched [1 2]"}},
		"several flows":               {"- flow: f\n  steps: [{match: {a: 1}}]\n- flow: g\n  steps: [{match: {a: 1}}]\n---\nflow: h\nsteps: [{match: {a: 1}}]", "1 a=1", []string{"f matched [1]", "g matched [1]", "h matched [1]"}},
		"any": {
			"flow: f\nsteps: [{match: {a: '^(?P<v>.)'}}, {any: [{b: $v}, {c: $v, d: 1}], set: {w: d}}]", "1 a=x\n2 c=x\n3 b=y\n4 c=x d=1", []string{"f matched v=x w=1 [1 4]"},
		},
		"all": {
			"flow: f\nsteps: [{match: {a: '^(?P<v>.)'}}, {all: [{b: $v}, {c: $v, d: '(?P<w>.)'}]}]", "1 a=x\n2 c=x d=9\n3 c=x d=8\n4 b=x", []string{"f matched v=x w=9 [1 2 4]"},
		},
		"several values": {"flow: f\nsteps: [{match: {a: 1}, set: {v: b}}, {match: {c: $v}}]", "1 a=1 b=x,y\n2 c=z\n3 c=q,y", []string{"f matched v=x,y [1 3]"}},
		"a variable that is not set": {
			"flow: f\nsteps: [{match: {a: 1}}, {match: {a: 2}, set: {v: b}, optional: true}, {match: {c: $v}}]", "1 a=1\n2 c=x\n3 c=\n4 a=2 b=x\n5 c=x", []string{"f matched v=x [1 4 5]"},
		},
		"set anew":    {"flow: f\nsteps: [{match: {a: '^(?P<v>.)'}}, {match: {b: $v}, set: {v: c}}, {match: {b: $v}}]", "1 a=x\n2 b=x c=y\n3 b=x\n4 b=y", []string{"f matched v=y [1 2 4]"}},
		"greedy":      {"flow: f\nsteps: [{match: {a: 1}}, {match: {b: 1}, repeat: 1.., greedy: true}]", "1 a=1\n2 b=1\n3 b=1", []string{"f matched [1 2 3]"}},
		"repeat":      {"flow: f\nsteps: [{match: {a: 1}}, {match: {b: 1}, repeat: 2}, {match: {b: 2}, repeat: 0..1}, {match: {c: 1}}]", "1 a=1\n2 b=1\n3 c=1\n4 b=1\n5 b=2\n6 c=1", []string{"f matched [1 2 4 5 6]"}},
		"until":       {"flow: f\nuntil: [{e: 1}]\nsteps: [{match: {a: 1}}, {match: {b: 1}}]", "1 a=1\n2 e=1\n3 b=1", []string{"f aborted [1]"}},
		"no answer":   {"flow: f\nwithin: 5s\nkey: c\nsteps: [{match: {a: 1}}, {not: {b: 1}}]", "1 a=1 c=x\n2 a=1 c=y\n3 b=1 c=y\n9 d=1", []string{"f aborted key=y [2]", "f matched key=x [1]"}},
		"gap":         {"flow: f\ngap: 3s\nsteps: [{match: {a: 1}}, {match: {a: 2}}, {match: {a: 3}}]", "1 a=1\n4 a=2\n8 a=3", []string{"f expired [1 4]"}},
		"newest":      {"flow: f\nkey: c\nskip: newest\nsteps: [{match: {a: 1}}, {match: {b: 1}}]", "1 a=1 c=x\n2 a=1 c=y\n3 a=1 c=x\n4 b=1 c=x\n5 b=1 c=y", []string{"f dropped key=x [1]", "f matched key=x [3 4]", "f matched key=y [2 5]"}},
		"one per key": {"flow: f\nskip: one-per-key\nsteps: [{match: {a: 1}}, {match: {b: 1}}]", "1 a=1\n2 a=1\n4 b=1", []string{"f matched [1 4]"}},
		"past last":   {"flow: f\nskip: past-last\nsteps: [{match: {a: 1}}, {match: {b: 1}}]", "1 a=1\n2 a=1\n4 b=1", []string{"f matched [1 4]", "f dropped [2 4]"}},
		"max open":    {"flow: f\nmax_open: 1\npolicy: reject-new\nsteps: [{match: {a: 1}}, {match: {b: 1}}]", "1 a=1\n2 a=1\n4 b=1", []string{"f matched [1 4]"}},
		"no key":      {"flow: f\nkey: c\nsteps: [{match: {a: 1}}, {match: {b: 1}}]", "1 a=1\n2 b=1\n3 a=1 c=x\n4 b=1", []string{"f flushed key=x [3]"}},
		"secret key":  {"flow: f\nkey: secret\nsteps: [{match: {a: 1}}]", "1 a=1 secret=x", []string{"f matched key=x [1]"}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, run(t, tc.text, tc.events)) })
	}
}

// TestErrors: what is wrong with a file is told with its line, the flow, and the step.
func TestErrors(t *testing.T) {
	const one = "flow: f\nsteps:\n  - match: {a: '^(?P<v>.)'}\n"
	for text, want := range map[string]string{
		"":                                   "test.yaml:1: no flow",
		"# nothing":                          "test.yaml:1: no flow",
		"flow: f\n\tsteps: x":                "test.yaml:2: found a tab character that violates indentation",
		"a: [":                               "test.yaml:1: did not find expected node content",
		"text":                               `test.yaml:1: want names and values, not "text"`,
		"- [a]":                              "test.yaml:1: want names and values, not a list",
		"flow: f":                            "test.yaml:1: flow f: no steps",
		"steps: [{match: {a: 1}}]":           "test.yaml:1: no flow: a name is missing",
		"flow: f\nflow: g":                   `test.yaml:2: flow f: "flow" is there twice`,
		"flow: f\nsteps: {}":                 "test.yaml:2: flow f: want a list, not names and values",
		"flow: f\nsteps: []":                 "test.yaml:2: flow f: want a list, not a list",
		"flow: f\nstep: x":                   `test.yaml:2: flow f: "step" is none of flow, within, gap, key, max_open, policy, skip, until, steps`,
		"flow: f\nwithin: 3":                 `test.yaml:2: flow f: within: time: missing unit in duration "3"`,
		"flow: f\ngap: -3s":                  `test.yaml:2: flow f: gap: "-3s" is not positive`,
		"flow: f\nmax_open: 0":               "test.yaml:2: flow f: max_open: 0 is less than 1",
		"flow: f\nmax_open: x":               `test.yaml:2: flow f: max_open: strconv.Atoi: parsing "x": invalid syntax`,
		"flow: f\nkey: zz":                   `test.yaml:2: flow f: no field "zz"`,
		"flow: f\nskip: all":                 `test.yaml:2: flow f: skip: "all" is none of none, past-last, one-per-key, newest`,
		"flow: f\npolicy: all":               `test.yaml:2: flow f: policy: "all" is none of drop-oldest, reject-new`,
		"flow: [f]":                          "test.yaml:1: want a text, not a list",
		"flow: f\nkey:":                      `test.yaml:2: flow f: want a text, not ""`,
		one + "  - x: 1":                     `test.yaml:4: flow f: step 2: "x" is none of match, not, any, all, set, name, repeat, optional, greedy`,
		one + "  - set: {w: a}":              "test.yaml:4: flow f: step 2: want one of match, not, any, all",
		one + "  - {match: {a: 1}, not: {}}": "test.yaml:4: flow f: step 2: nothing is said of the event",
		one + "  - {match: {a: 1}, any: [{a: 1}]}":             "test.yaml:4: flow f: step 2: want one of match, not, any, all",
		one + "  - match: {a: 1,\n     zz: 2}":                 `test.yaml:5: flow f: step 2: no field "zz"`,
		one + "  - match: {a: $w}":                             "test.yaml:4: flow f: step 2: $w is set by nothing before",
		one + "  - match: {a: '^('}":                           "test.yaml:4: flow f: step 2: error parsing regexp: missing closing ): `^(`",
		one + "  - match: {a: {is: 1}}":                        "test.yaml:4: flow f: step 2: want a value, a list of them, not: and one of these, or min: and max:",
		one + "  - match: {a: {min: x}}":                       `test.yaml:4: flow f: step 2: min: "x" is no number`,
		one + "  - match: {a: {max: []}}":                      "test.yaml:4: flow f: step 2: want a text, not a list",
		one + "  - match: {a: {not: 1, min: 2}}":               "test.yaml:4: flow f: step 2: want a value, a list of them, not: and one of these, or min: and max:",
		one + "  - match: {a: 'x${w}'}":                        "test.yaml:4: flow f: step 2: $w is set by nothing before",
		one + "  - match: {a: 'x${v'}":                         `test.yaml:4: flow f: step 2: "x${v" has no variable behind ${`,
		one + "  - match: {a: {not: {not: 1}}}":                "test.yaml:4: flow f: step 2: want a value, a list of them, not: and one of these, or min: and max:",
		one + "  - match: {a: {}}":                             "test.yaml:4: flow f: step 2: want a value, not nothing",
		one + "  - match: {a: []}":                             "test.yaml:4: flow f: step 2: want a value, not an empty list",
		one + "  - match: {a: [[1]]}":                          "test.yaml:4: flow f: step 2: want a text, not a list",
		one + "  - match: {a: {not: '^(?P<w>.)'}}":             "test.yaml:4: flow f: step 2: what does not match sets no variable",
		one + "  - match: {a: null}":                           `test.yaml:4: flow f: step 2: want a text, not "null"`,
		one + "  - match: [a]":                                 "test.yaml:4: flow f: step 2: want names and values, not a list",
		one + "  - any: []":                                    "test.yaml:4: flow f: step 2: want a list, not a list",
		one + "  - all: [{a: 1}, {}]":                          "test.yaml:4: flow f: step 2: nothing is said of the event",
		one + "  - {not: {a: 1}, set: {w: a}}":                 "test.yaml:4: flow f: step 2: set goes with match and any",
		one + "  - {match: {a: 1}, set: {1w: a}}":              `test.yaml:4: flow f: step 2: "1w" cannot be a variable's name`,
		one + "  - {match: {a: 1}, set: {w: zz}}":              `test.yaml:4: flow f: step 2: no field "zz"`,
		one + "  - {match: {a: 1}, set: {w: [a]}}":             "test.yaml:4: flow f: step 2: want a text, not a list",
		one + "  - {match: {a: 1}, repeat: x}":                 `test.yaml:4: flow f: step 2: repeat: "x" is no number, and no range such as 2..3 or 1..`,
		one + "  - {match: {a: 1}, repeat: 3..2}":              `test.yaml:4: flow f: step 2: repeat: "3..2" is no number, and no range such as 2..3 or 1..`,
		one + "  - {match: {a: 1}, repeat: 0}":                 `test.yaml:4: flow f: step 2: repeat: "0" is no number, and no range such as 2..3 or 1..`,
		one + "  - {match: {a: 1}, optional: yes}":             `test.yaml:4: flow f: step 2: want true or false, not "yes"`,
		one + "  - {match: {a: 1}, greedy: []}":                "test.yaml:4: flow f: step 2: want a text, not a list",
		one + "  - &x {match: {a: 1}}\n  - *x":                 "test.yaml:5: flow f: step 3: want names and values, not an alias",
		one + "  - match: &x {a: 1}\n  - match: *x":            "test.yaml:5: flow f: step 3: want a name and a value, not an alias",
		one + "until: [{a: $w}]":                               "test.yaml:4: flow f: $w is set by nothing before",
		one + "until: x":                                       `test.yaml:4: flow f: want a list, not "x"`,
		"flow: f\nsteps:\n  - not: {a: 1}\n  - match: {a: 1}":  "test.yaml:3: flow f: step 1: Not before a flow has begun",
		"flow: f\nsteps:\n  - {match: {a: 1}, optional: true}": "test.yaml:3: flow f: a pattern needs a step that takes an event",
		one + "---\n" + one:                                    "test.yaml:5: flow f: there are two flows of that name",
	} {
		_, err := flowfile.Read(strings.NewReader(text), "test.yaml", schema)
		require.EqualError(t, err, want, "%s", text)
		var e *flowfile.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "test.yaml", e.File)
		require.Error(t, errors.Unwrap(e))
	}
	_, err := flowfile.Read(io.LimitReader(endless{}, 1<<21), "x", schema)
	require.EqualError(t, err, "x:1: more than 1048576 bytes")
	_, err = flowfile.Read(iotest.ErrReader(io.ErrUnexpectedEOF), "x", schema)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '#'
	}
	return len(b), nil
}

// TestIndexed: events are found by what they have in common with a flow, without asking the others.
func TestIndexed(t *testing.T) {
	asked := 0
	flows, err := flowfile.Read(strings.NewReader(`
flow: f
steps:
  - match: {a: '^(?P<v>\w+)'}
  - match: {d: {not: x}, b: $v}
`), "f", func(name string) (flowfile.Field[record], error) {
		f, err := schema(name)
		if name == "d" {
			values := f.Values
			f.Values = func(r record, list []string) []string { asked++; return values(r, list) }
		}
		return f, err
	})
	require.NoError(t, err)
	require.Equal(t, []string{"f"}, flows.Names())
	m, err := flowfile.New[record, int](flows, nil)
	require.NoError(t, err)
	for i := range 10000 {
		m.Ingest(record{fields: map[string]string{"a": fmt.Sprint("v", i)}})
	}
	require.Zero(t, asked)
	require.Equal(t, 10000, m.Open())
	m.Ingest(record{fields: map[string]string{"b": "v77,v99,none"}})
	require.Equal(t, 2, asked)
	require.Equal(t, 9998, m.Open())
	st := m.Stats()
	require.EqualValues(t, 10001, st.Events)
	require.EqualValues(t, 2, st.Flows["f"].Ended[relational.Matched])
	none := record{fields: map[string]string{"b": "nobody", "c": "x"}}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { m.Ingest(none) }), 1.0, "strings.Split of the schema")
}

func TestLimits(t *testing.T) {
	var log []string
	cfg := config(&log)
	cfg.MaxValue, cfg.MaxNotes, cfg.MaxOpen = 5, 2, 2
	m, err := flowfile.New(read(t, "flow: f\nsteps: [{match: {a: 1}, set: {v: b}}, {match: {c: 1}, repeat: 3}, {match: {d: 1}}]"), cfg)
	require.NoError(t, err)
	for _, r := range records(t, "1 a=1 b=xxx,yyy\n2 a=1 b=xx,yyy\n3 a=1\n4 c=1\n5 c=1\n6 c=1\n7 d=1") {
		m.Ingest(r)
	}
	require.Equal(t, []string{"f dropped [1]", "f matched v=xx,yyy [2 4]", "f matched [3 4]"}, log)
	st := m.Stats()
	require.EqualValues(t, 1, st.LimitValue)
	require.EqualValues(t, 6, st.LimitNotes)
	require.EqualValues(t, 1, st.Flows["f"].Ended[relational.Dropped])
	for _, bad := range []flowfile.Config[record, int]{{MaxOpen: -1}, {MaxValue: -1}, {MaxNotes: -1}, {Stream: relational.Config[record]{Reorder: -1}}} {
		_, err := flowfile.New(read(t, login), &bad)
		require.Error(t, err)
	}
	m, err = flowfile.New(read(t, "flow: f\nwithin: 5s\nsteps: [{match: {a: 1}}, {match: {b: 1}}]"), config(&log))
	require.NoError(t, err)
	m.Ingest(records(t, "1 a=1")[0])
	m.Advance(time.Unix(9, 0))
	require.Zero(t, m.Open())
}

// TestSnapshot: what is written down and read back goes on as if nothing had happened, wherever that is.
func TestSnapshot(t *testing.T) {
	events := records(t, `
		1 client=c method=GET path=/login host=h
		2 client=d method=GET path=/login host=`+"\xff"+`
		3 client=c status=200 host=h body=x,csrf=abc
		3 client=d status=200 host=`+"\xff"+` body=x,csrf=def
		4 client=c method=POST path=/login host=h form=abc user=me secret=tk
		5 client=c status=303 host=h body=sid=99
		6 client=d method=POST path=/login host=`+"\xff"+` form=def user=me
		7 client=c cookie=99
		9 client=c cookie=98,99
	`)
	var want []string
	m, err := flowfile.New(read(t, login), config(&want))
	require.NoError(t, err)
	for _, r := range events {
		m.Ingest(r)
	}
	m.Flush()
	require.Len(t, want, 2)
	for cut := range events {
		var log []string
		m, err := flowfile.New(read(t, login), config(&log))
		require.NoError(t, err)
		var b bytes.Buffer
		for i, r := range events {
			if i == cut {
				require.NoError(t, m.Snapshot(&b))
				text := b.String()
				open := m.Open()
				m, err = flowfile.New(read(t, "# commented\n"+login), config(&log))
				require.NoError(t, err)
				require.NoError(t, m.Restore(&b))
				require.Equal(t, open, m.Open())
				require.NoError(t, m.Snapshot(&b))
				require.Equal(t, text, b.String())
			}
			m.Ingest(r)
		}
		m.Flush()
		require.Equal(t, want, log, "cut before event %d", cut)
		require.EqualValues(t, len(events), m.Stats().Events)
	}
}

func TestSnapshotErrors(t *testing.T) {
	fresh := func() *flowfile.Matcher[record, int] {
		m, err := flowfile.New[record, int](read(t, "flow: f\nsteps: [{match: {a: 1}, set: {v: b}}, {match: {c: 1}}]"), nil)
		require.NoError(t, err)
		return m
	}
	m := fresh()
	m.Ingest(records(t, "1 a=1 b=x")[0])
	var b strings.Builder
	require.NoError(t, m.Snapshot(&b))
	require.NoError(t, fresh().Restore(strings.NewReader(b.String())))
	require.ErrorContains(t, m.Restore(strings.NewReader(b.String())), "has taken events")
	for _, x := range [][3]string{
		{`"schema":1`, `"schema":2`, "schema 2, not 1"},
		{`"flow":"f"`, `"flow":"g"`, "a flow g that is another one now"},
		{`"digest":"`, `"digest":"0`, "another one now"},
		{`"step":1`, `"step":7`, "no position"},
		{`[["x"]]`, `[]`, "0 variables, not 1"},
		{`["x"]`, `[["eA==","eA=="]]`, "want a text"},
		{`["x"]`, `[7]`, "cannot unmarshal"},
		{`"seq":0`, `"seq":-1`, "cannot unmarshal"},
		{`{`, ``, "read snapshot"},
	} {
		require.Contains(t, b.String(), x[0])
		require.ErrorContains(t, fresh().Restore(strings.NewReader(strings.Replace(b.String(), x[0], x[1], 1))), x[2])
	}
	require.ErrorContains(t, m.Snapshot(broken{}), "write snapshot")
	held, err := flowfile.New(read(t, login), &flowfile.Config[record, int]{Stream: relational.Config[record]{Time: record.time, Reorder: time.Hour}})
	require.NoError(t, err)
	held.Ingest(record{at: 1})
	require.ErrorContains(t, held.Snapshot(&b), "held back")
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// FuzzRead: a file is read, or there is a line that is wrong. What was read finds the same in two halves, with a snapshot
// between them, as in one.
func FuzzRead(f *testing.F) {
	f.Add(login, uint8(3))
	f.Add("flow: f\nwithin: 5s\nkey: c\nskip: newest\nsteps: [{match: {a: 1}}, {any: [{b: 1}, {c: '^(?P<x>.)'}]}, {all: [{a: $x}, {b: {not: 2}}], optional: true}, {not: {d: [1, 2]}}]", uint8(9))
	f.Add("- flow: f\n  until: [{a: 9}]\n  gap: 2s\n  steps:\n  - {match: {a: '(?P<v>.)'}, set: {w: b}}\n  - {match: {b: $v, c: $w}, repeat: 1..3, greedy: true}\n", uint8(4))
	f.Add("{a: &x [*x]}", uint8(0))
	f.Fuzz(func(t *testing.T, text string, cut uint8) {
		flows, err := flowfile.Read(strings.NewReader(text), "x", schema)
		if err != nil {
			var e *flowfile.Error
			require.ErrorAs(t, err, &e)
			require.Positive(t, e.Line)
			require.NotEmpty(t, e.Err.Error())
			return
		}
		require.NotEmpty(t, flows.Names())
		var whole, halves []string
		a, err := flowfile.New(flows, config(&whole))
		require.NoError(t, err)
		b, err := flowfile.New(flows, config(&halves))
		require.NoError(t, err)
		for i := range 24 {
			if i == int(cut%24) {
				var s bytes.Buffer
				require.NoError(t, b.Snapshot(&s))
				b, err = flowfile.New(flows, config(&halves))
				require.NoError(t, err)
				require.NoError(t, b.Restore(&s))
			}
			r := record{at: i, fields: map[string]string{
				"a": fmt.Sprint(i % 3), "b": fmt.Sprint(i%2, ",", i%5), "c": "x", "method": "GET", "path": "/login", "client": fmt.Sprint(i % 2), "host": "h", "body": "csrf=1",
			}}
			a.Ingest(r)
			b.Ingest(r)
		}
		a.Flush()
		b.Flush()
		require.Equal(t, whole, halves)
	})
}
