package tcpfollow

import (
	"fmt"
	"io"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// structFields returns the exported fields of a struct.
func structFields(s any) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		t := reflect.TypeOf(s)
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

// structValues returns the values of a struct's exported fields.
func structValues(p any) []any {
	v := reflect.ValueOf(p).Elem()
	var list []any
	for f := range structFields(v.Interface()) {
		list = append(list, v.FieldByIndex(f.Index).Interface())
	}
	return list
}

// templateView prints a line for every exchange, by a template.
type templateView struct {
	w     io.Writer
	show  fields
	parts []templatePart
}

// templatePart is text, or what stands for a value.
type templatePart struct {
	text  string
	value func(*events.Event) string
}

// newTemplateView reads a template: {name} is a field of an event, {header:NAME} and {resp_header:NAME} are header fields,
// {{ and }} are braces, and \t, \n and \\ what they are elsewhere.
func newTemplateView(text string, w io.Writer, show fields) (*templateView, error) {
	v := &templateView{w: w, show: show}
	var plain strings.Builder
	for len(text) > 0 {
		switch {
		case strings.HasPrefix(text, "{{"), strings.HasPrefix(text, "}}"):
			plain.WriteByte(text[0])
			text = text[2:]
		case strings.HasPrefix(text, `\t`), strings.HasPrefix(text, `\n`), strings.HasPrefix(text, `\\`):
			plain.WriteByte(map[byte]byte{'t': '\t', 'n': '\n', '\\': '\\'}[text[1]])
			text = text[2:]
		case text[0] == '{':
			name, rest, ok := strings.Cut(text[1:], "}")
			if !ok {
				return nil, fmt.Errorf("no } behind %q", text)
			}
			value, err := v.field(name)
			if err != nil {
				return nil, err
			}
			v.parts = append(v.parts, templatePart{text: plain.String()}, templatePart{value: value})
			plain.Reset()
			text = rest
		case text[0] == '}':
			return nil, fmt.Errorf("no { in front of %q; }} is a brace", text)
		default:
			plain.WriteByte(text[0])
			text = text[1:]
		}
	}
	v.parts = append(v.parts, templatePart{text: plain.String() + "\n"})
	return v, nil
}

// field returns what gives the value of a field.
func (v *templateView) field(name string) (func(*events.Event) string, error) {
	if kind, header, ok := strings.Cut(name, ":"); ok {
		switch kind {
		case "header":
			return func(e *events.Event) string { return v.show.value(header, e.Header(header)) }, nil
		case "resp_header":
			return func(e *events.Event) string { return v.show.value(header, e.ResponseHeader(header)) }, nil
		}
	}
	var names []string
	for f := range structFields(events.Event{}) {
		tag := f.Tag.Get("expr")
		if tag == name {
			return func(e *events.Event) string {
				return plainText(reflect.ValueOf(e).Elem().FieldByIndex(f.Index).Interface())
			}, nil
		}
		names = append(names, tag)
	}
	return nil, fmt.Errorf("%q is no field; there are %s, header:NAME and resp_header:NAME", name, strings.Join(names, ", "))
}

// plainText returns a value as text.
func plainText(value any) string {
	switch x := value.(type) {
	case string:
		return x
	case time.Time:
		return x.Format("2006-01-02T15:04:05.000000Z")
	case float64:
		return strconv.FormatFloat(x, 'f', 6, 64)
	case []string:
		return strings.Join(x, ",")
	case []int:
		words := make([]string, 0, len(x))
		for _, n := range x {
			words = append(words, strconv.Itoa(n))
		}
		return strings.Join(words, ",")
	}
	return fmt.Sprint(value)
}

func (v *templateView) exchange(_ *httpx.Exchange, e *events.Event) error {
	var b []byte
	for _, p := range v.parts {
		if p.value == nil {
			b = append(b, p.text...)
		} else {
			b = cli.AppendEscaped(b, []byte(dash(p.value(e))), false)
		}
	}
	_, err := v.w.Write(b)
	return err
}

func (v *templateView) close() error { return nil }
