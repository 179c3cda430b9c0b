package flowfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tcpfollow/tcpfollow/relational"
)

// reader reads the flows of a file.
type reader[T any] struct {
	file   string
	schema Schema[T]
	flow   *flow[T]
	step   int // that is read, from 1; 0 for none
	fields map[string]Field[T]
	known  int // variables that an earlier step has set
}

// parse reads a file: documents, each a flow or a list of them.
func parse[T any](b []byte, name string, schema Schema[T]) (*Flows[T], error) {
	r := &reader[T]{file: name, schema: schema, fields: map[string]Field[T]{}}
	all := &Flows[T]{}
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var doc yaml.Node
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, r.broken(err)
		}
		flows := doc.Content
		if len(flows) == 1 && flows[0].Kind == yaml.SequenceNode {
			flows = flows[0].Content
		}
		for _, n := range flows {
			f, err := r.read(n)
			if err != nil {
				return nil, err
			}
			if i := slices.IndexFunc(all.list, func(x *flow[T]) bool { return x.name == f.name }); i >= 0 {
				return nil, r.wrong(n, "there are two flows of that name")
			}
			all.list = append(all.list, f)
		}
	}
	if len(all.list) == 0 {
		return nil, &Error{File: name, Line: 1, Err: errors.New("no flow")}
	}
	return all, nil
}

// broken returns what is wrong with the syntax.
func (r *reader[T]) broken(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if n, what, ok := strings.Cut(rest, ": "); ok {
			if at, err := strconv.Atoi(n); err == nil {
				line, text = at, what
			}
		}
	}
	return &Error{File: r.file, Line: line, Err: errors.New(text)}
}

// wrong returns what is wrong at a place.
func (r *reader[T]) wrong(n *yaml.Node, format string, args ...any) error {
	e := &Error{File: r.file, Line: max(n.Line, 1), Step: r.step, Err: fmt.Errorf(format, args...)}
	if r.flow != nil {
		e.Flow = r.flow.name
	}
	return e
}

// each calls f with each key of a mapping, and its value.
func (r *reader[T]) each(n *yaml.Node, f func(key string, k, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return r.wrong(n, "want names and values, not %s", kind(n))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		for j := 0; j < i; j += 2 {
			if n.Content[j].Value == k.Value {
				return r.wrong(k, "%q is there twice", k.Value)
			}
		}
		if k.Kind != yaml.ScalarNode || v.Kind == yaml.AliasNode {
			return r.wrong(k, "want a name and a value, not %s", kind(v))
		}
		if err := f(k.Value, k, v); err != nil {
			return err
		}
	}
	return nil
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.ScalarNode:
		return fmt.Sprintf("%q", n.Value)
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "names and values"
	case yaml.AliasNode:
		return "an alias"
	default:
	}
	return "nothing"
}

// text returns the text of a scalar.
func (r *reader[T]) text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", r.wrong(n, "want a text, not %s", kind(n))
	}
	return n.Value, nil
}

// list returns what is in a list.
func (r *reader[T]) list(n *yaml.Node) ([]*yaml.Node, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, r.wrong(n, "want a list, not %s", kind(n))
	}
	return n.Content, nil
}

// read reads a flow.
func (r *reader[T]) read(n *yaml.Node) (*flow[T], error) {
	r.flow, r.step, r.known = &flow[T]{digest: digest(n)}, 0, 0
	f := r.flow
	var steps, until *yaml.Node
	err := r.each(n, func(key string, k, v *yaml.Node) error {
		switch key {
		case "steps":
			steps = v
			return nil
		case "until":
			until = v
			return nil
		}
		s, err := r.text(v)
		if err != nil {
			return err
		}
		return r.setting(key, s, k, v)
	})
	switch {
	case err != nil:
		return nil, err
	case f.name == "":
		return nil, r.wrong(n, "no flow: a name is missing")
	case steps == nil:
		return nil, r.wrong(n, "no steps")
	}
	list, err := r.list(steps)
	if err != nil {
		return nil, err
	}
	for i, n := range list {
		r.step = i + 1
		s, err := r.readStep(n)
		if err != nil {
			return nil, err
		}
		f.steps = append(f.steps, s)
		r.known = len(f.vars)
	}
	r.step = 0
	if until != nil {
		if list, err = r.list(until); err != nil {
			return nil, err
		}
		for _, n := range list {
			x, err := r.readMatch(n)
			if err != nil {
				return nil, err
			}
			f.until = append(f.until, step[T]{any: []match[T]{x}, not: true})
		}
	}
	m := &Matcher[T, struct{}]{cfg: Config[T, struct{}]{MaxOpen: 1}}
	if _, err := m.find(f); err != nil {
		return nil, r.wrong(steps, "%s", strings.TrimPrefix(err.Error(), "relational: "))
	}
	return f, nil
}

// digest tells flows apart by what is said of them, comments and layout left out.
func digest(n *yaml.Node) string {
	h := sha256.New()
	var write func(n *yaml.Node)
	write = func(n *yaml.Node) {
		fmt.Fprintf(h, "%d %q %d\n", n.Kind, n.Value, len(n.Content))
		for _, c := range n.Content {
			write(c)
		}
	}
	write(n)
	return hex.EncodeToString(h.Sum(nil))
}

// setting reads what holds for all of a flow.
func (r *reader[T]) setting(key, s string, k, v *yaml.Node) error {
	f := r.flow
	var err error
	switch key {
	case "flow":
		f.name = s
	case "within":
		f.within, err = positive(s)
	case "gap":
		f.gap, err = positive(s)
	case "max_open":
		if f.maxOpen, err = strconv.Atoi(s); err == nil && f.maxOpen < 1 {
			err = fmt.Errorf("%d is less than 1", f.maxOpen)
		}
	case "key":
		var field Field[T]
		if field, err = r.field(s, v); err != nil {
			return err
		}
		f.key, f.keySpace = &field, r.index(s, field)
	case "policy":
		i := slices.Index([]string{"drop-oldest", "reject-new"}, s)
		if f.policy = relational.Policy(max(i, 0)); i < 0 {
			err = fmt.Errorf("%q is none of drop-oldest, reject-new", s)
		}
	case "skip":
		i := slices.Index([]string{"none", "past-last", "one-per-key", "newest"}, s)
		if f.skip = relational.Skip(max(i, 0)); i < 0 {
			err = fmt.Errorf("%q is none of none, past-last, one-per-key, newest", s)
		}
	default:
		return r.wrong(k, "%q is none of flow, within, gap, key, max_open, policy, skip, until, steps", key)
	}
	if err != nil {
		return r.wrong(v, "%s: %w", key, err)
	}
	return nil
}

func positive(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is not positive", s)
	}
	return d, err
}

// readStep reads a step.
func (r *reader[T]) readStep(n *yaml.Node) (step[T], error) {
	var s step[T]
	var set *yaml.Node
	kinds := 0
	err := r.each(n, func(key string, k, v *yaml.Node) (err error) {
		switch key {
		case "match", "not":
			kinds++
			s.not = key == "not"
			s.any = make([]match[T], 1)
			s.any[0], err = r.readMatch(v)
		case "any":
			kinds++
			s.any, err = r.readMatches(v)
		case "all":
			kinds++
			s.all, err = r.readMatches(v)
		case "set":
			set = v
		case "name":
			s.name, err = r.text(v)
		case "repeat":
			err = r.repeat(&s, v)
		case "optional":
			s.optional, err = r.flag(v, s.optional)
		case "greedy":
			s.greedy, err = r.flag(v, false)
		default:
			err = r.wrong(k, "%q is none of match, not, any, all, set, name, repeat, optional, greedy", key)
		}
		return err
	})
	if err == nil && kinds != 1 {
		err = r.wrong(n, "want one of match, not, any, all")
	}
	if err != nil || set == nil {
		return s, err
	}
	if s.not || s.all != nil {
		return s, r.wrong(set, "set goes with match and any")
	}
	return s, r.each(set, func(key string, k, v *yaml.Node) error {
		name, err := r.text(v)
		if err != nil {
			return err
		}
		field, err := r.field(name, v)
		if err != nil {
			return err
		}
		if !isName(key) {
			return r.wrong(k, "%q cannot be a variable's name", key)
		}
		s.set = append(s.set, capture[T]{r.variable(key, field.Secret), field})
		return nil
	})
}

func (r *reader[T]) flag(n *yaml.Node, or bool) (bool, error) {
	s, err := r.text(n)
	if err == nil && s != "true" && s != "false" {
		err = r.wrong(n, "want true or false, not %q", s)
	}
	return or || s == "true", err
}

// repeat reads how often a step comes: N, N.., N..M.
func (r *reader[T]) repeat(s *step[T], n *yaml.Node) error {
	text, err := r.text(n)
	if err != nil {
		return err
	}
	low, high, isRange := strings.Cut(text, "..")
	s.least, err = strconv.Atoi(low)
	s.most = s.least
	if isRange && high == "" {
		s.most = -1
	} else if isRange && err == nil {
		s.most, err = strconv.Atoi(high)
	}
	if err != nil || s.least < 0 || s.most == 0 || s.most > 0 && s.most < s.least {
		return r.wrong(n, "repeat: %q is no number, and no range such as 2..3 or 1..", text)
	}
	s.optional = s.optional || s.least == 0
	return nil
}

func (r *reader[T]) readMatches(n *yaml.Node) ([]match[T], error) {
	list, err := r.list(n)
	if err != nil {
		return nil, err
	}
	var all []match[T]
	for _, n := range list {
		x, err := r.readMatch(n)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

// readMatch reads what the fields of an event are to be.
func (r *reader[T]) readMatch(n *yaml.Node) (match[T], error) {
	x := match[T]{index: -1, by: -1}
	if r.flow.key != nil {
		x.index = r.flow.keySpace
	}
	found := false
	err := r.each(n, func(name string, k, v *yaml.Node) error {
		field, err := r.field(name, k)
		if err != nil {
			return err
		}
		t, err := r.readTest(field, v)
		if err != nil {
			return err
		}
		earlier := t.is != nil && !slices.ContainsFunc(t.is, func(p part) bool { return p.v >= r.known })
		if earlier && !t.not && !found {
			found = true
			x.index, x.by = r.index(name, field), len(x.tests)
		}
		x.tests = append(x.tests, t)
		return nil
	})
	if err == nil && len(x.tests) == 0 {
		err = r.wrong(n, "nothing is said of the event")
	}
	return x, err
}

// readTest reads what a field is to be: a text, one of several, not one, a regular expression, a variable.
func (r *reader[T]) readTest(field Field[T], n *yaml.Node) (test[T], error) {
	t := test[T]{field: field}
	switch n.Kind {
	case yaml.MappingNode:
		return r.readCondition(field, n)
	case yaml.SequenceNode:
		for _, one := range n.Content {
			s, err := r.text(one)
			if err != nil {
				return t, err
			}
			t.values = append(t.values, unescape(s))
		}
		if len(t.values) == 0 {
			return t, r.wrong(n, "want a value, not an empty list")
		}
		return t, nil
	default:
	}
	s, err := r.text(n)
	if err != nil {
		return t, err
	}
	switch {
	case isVariable(s):
		t.is, err = r.parts("${"+s[1:]+"}", n)
		return t, err
	case strings.Contains(s, "${") && !isPattern(s):
		t.is, err = r.parts(s, n)
		return t, err
	case isPattern(s):
		if t.re, err = regexp.Compile(s); err != nil {
			return t, r.wrong(n, "%w", err)
		}
		t.groups = r.groups(t.re, field)
	default:
		t.values = []string{unescape(s)}
	}
	return t, nil
}

// readCondition reads what a field is not to be, or the numbers that it is to lie between.
func (r *reader[T]) readCondition(field Field[T], n *yaml.Node) (test[T], error) {
	t := test[T]{field: field}
	err := r.each(n, func(key string, k, v *yaml.Node) error {
		switch {
		case key == "not" && len(n.Content) == 2 && v.Kind != yaml.MappingNode:
			var err error
			if t, err = r.readTest(field, v); err == nil && t.groups != nil {
				err = r.wrong(v, "what does not match sets no variable")
			}
			t.not = true
			return err
		case key == "min" || key == "max":
			s, err := r.text(v)
			if err != nil {
				return err
			}
			number, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return r.wrong(v, "%s: %q is no number", key, s)
			}
			if key == "min" {
				t.least = &number
			} else {
				t.most = &number
			}
			return nil
		}
		return r.wrong(k, "want a value, a list of them, not: and one of these, or min: and max:")
	})
	if err == nil && !t.not && t.least == nil && t.most == nil {
		err = r.wrong(n, "want a value, not nothing")
	}
	return t, err
}

// parts reads a text with variables in it, as ${name}.
func (r *reader[T]) parts(s string, n *yaml.Node) ([]part, error) {
	var parts []part
	for s != "" {
		text, rest, found := strings.Cut(s, "${")
		if text != "" {
			parts = append(parts, part{unescape(text), -1})
		}
		if !found {
			break
		}
		name, rest, found := strings.Cut(rest, "}")
		if !found || !isName(name) {
			return nil, r.wrong(n, "%q has no variable behind ${", s)
		}
		v := r.number(name)
		if v < 0 {
			return nil, r.wrong(n, "$%s is set by nothing before", name)
		}
		parts = append(parts, part{"", v})
		s = rest
	}
	return parts, nil
}

// groups returns the variables that the named groups of a regular expression set, nil if there are none.
func (r *reader[T]) groups(re *regexp.Regexp, field Field[T]) []int {
	var groups []int
	for i, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if groups == nil {
			groups = slices.Repeat([]int{-1}, re.NumSubexp()+1)
		}
		groups[i] = r.variable(name, field.Secret)
	}
	return groups
}

// isVariable reports whether a value is $name.
func isVariable(s string) bool { return len(s) > 1 && s[0] == '$' && isName(s[1:]) }

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// isPattern reports whether a value is a regular expression: it starts with ^, or has a named group.
func isPattern(s string) bool {
	return strings.HasPrefix(s, "^") || strings.Contains(s, "(?P<") || strings.Contains(s, "(?<")
}

// unescape returns a literal: \$ and \^ at its start stand for the signs themselves.
func unescape(s string) string {
	if strings.HasPrefix(s, `\$`) || strings.HasPrefix(s, `\^`) {
		return s[1:]
	}
	return s
}

// field returns a field by its name.
func (r *reader[T]) field(name string, n *yaml.Node) (Field[T], error) {
	if f, ok := r.fields[name]; ok {
		return f, nil
	}
	f, err := r.schema(name)
	if err != nil {
		return f, r.wrong(n, "%w", err)
	}
	r.fields[name] = f
	return f, nil
}

// index returns the space of the keys that a field makes.
func (r *reader[T]) index(name string, field Field[T]) int {
	i := slices.Index(r.flow.indexNames, name)
	if i < 0 {
		i = len(r.flow.indices)
		r.flow.indices, r.flow.indexNames = append(r.flow.indices, field), append(r.flow.indexNames, name)
	}
	return i
}

// number returns the number of a variable, -1 for one that is not set so far.
func (r *reader[T]) number(name string) int {
	return slices.IndexFunc(r.flow.vars, func(v variable) bool { return v.name == name })
}

// variable returns the number of a variable that is set.
func (r *reader[T]) variable(name string, secret bool) int {
	i := r.number(name)
	if i < 0 {
		i = len(r.flow.vars)
		r.flow.vars = append(r.flow.vars, variable{name: name})
	}
	r.flow.vars[i].secret = r.flow.vars[i].secret || secret
	return i
}
