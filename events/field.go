package events

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Field is a field of events by its name.
type Field struct {
	// Values appends the values that an event has in the field to a list: as text, and none for what is not set.
	Values func(e *Event, values []string) []string
	// Body says that it looks at bodies, so that they have to be collected.
	Body bool
	// Secret says that it holds credentials, or values of cookies.
	Secret bool
}

// NewField returns the field of that name: one of those in JSON, or, of HTTP exchanges,
//
//	query.NAME, form.NAME, json.PATH      a parameter of the URL, of a form, a value in a JSON body that was sent
//	header.NAME, resp.header.NAME         a field of the header, by its name in whatever case
//	cookie.NAME, set-cookie.NAME          a cookie that was sent, or set
//	request_body, body, resp.json.PATH    bodies; a value in a JSON body of the response
//
// A path is keys and indices with dots between them.
func NewField(name string) (*Field, error) {
	for i, f := range enumerate() {
		if f.Tag.Get("json") != "-" && f.Tag.Get("expr") == name {
			return &Field{Values: plain(i, f.Type)}, nil
		}
	}
	one := func(get func(e *Event) string) func(*Event, []string) []string {
		return func(e *Event, values []string) []string { return add(values, get(e)) }
	}
	switch name {
	case "body":
		return &Field{Body: true, Values: one(func(e *Event) string { return string(e.Body()) })}, nil
	case "request_body":
		return &Field{Body: true, Values: one(func(e *Event) string { return string(e.RequestBody()) })}, nil
	}
	for _, x := range []struct {
		prefix string
		field  func(rest string) *Field
	}{
		{"query.", func(n string) *Field { return &Field{Values: one(func(e *Event) string { return e.Param(n) })} }},
		{"form.", func(n string) *Field {
			return &Field{Body: true, Values: one(func(e *Event) string { return e.Form(n) })}
		}},
		{"header.", func(n string) *Field {
			return &Field{Values: one(func(e *Event) string { return e.Header(n) }), Secret: redacts(n)}
		}},
		{"resp.header.", func(n string) *Field {
			return &Field{Values: func(e *Event, values []string) []string {
				for _, f := range e.answered().Header {
					if strings.EqualFold(f.Name, n) {
						values = add(values, f.Value)
					}
				}
				return values
			}, Secret: redacts(n)}
		}},
		{"cookie.", func(n string) *Field {
			return &Field{Values: one(func(e *Event) string { return e.Cookie(n) }), Secret: true}
		}},
		{"set-cookie.", func(n string) *Field {
			return &Field{Values: one(func(e *Event) string { return e.SetCookie(n) }), Secret: true}
		}},
		{"json.", func(path string) *Field {
			return &Field{Body: true, Values: func(e *Event, values []string) []string { return inJSON(e.RequestBody(), path, values) }}
		}},
		{"resp.json.", func(path string) *Field {
			return &Field{Body: true, Values: func(e *Event, values []string) []string { return inJSON(e.Body(), path, values) }}
		}},
	} {
		if rest, ok := strings.CutPrefix(name, x.prefix); ok && rest != "" {
			return x.field(rest), nil
		}
	}
	return nil, fmt.Errorf("events: no field %q", name)
}

// redacts reports whether fields of that name are redacted.
func redacts(name string) bool { return Redact(name, "x") != "x" }

func add(values []string, s string) []string {
	if s == "" {
		return values
	}
	return append(values, s)
}

// plain returns what gives the values of a field of the struct.
func plain(i int, t reflect.Type) func(*Event, []string) []string {
	of := func(e *Event) reflect.Value { return reflect.ValueOf(e).Elem().Field(i) }
	switch t.Kind() {
	case reflect.String:
		return func(e *Event, values []string) []string { return add(values, of(e).String()) }
	case reflect.Int:
		return func(e *Event, values []string) []string { return append(values, strconv.FormatInt(of(e).Int(), 10)) }
	case reflect.Uint64:
		return func(e *Event, values []string) []string { return append(values, strconv.FormatUint(of(e).Uint(), 10)) }
	case reflect.Bool:
		return func(e *Event, values []string) []string { return append(values, strconv.FormatBool(of(e).Bool())) }
	case reflect.Float64:
		return func(e *Event, values []string) []string {
			return append(values, strconv.FormatFloat(of(e).Float(), 'f', -1, 64))
		}
	default:
	}
	return func(e *Event, values []string) []string {
		switch x := of(e).Interface().(type) {
		case []string:
			return append(values, x...)
		case []int:
			for _, n := range x {
				values = append(values, strconv.Itoa(n))
			}
		case time.Time:
			return append(values, x.Format(time.RFC3339Nano))
		}
		return values
	}
}

// Form returns the value of a parameter in the form that the request sends (application/x-www-form-urlencoded), or "".
func (v *Event) Form(name string) string {
	kind, _, _ := strings.Cut(v.RequestType, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		return ""
	}
	return param(string(v.RequestBody()), name)
}

// SetCookie returns the value of a cookie that the response sets, or "".
func (v *Event) SetCookie(name string) string {
	for _, f := range v.answered().Header {
		if !strings.EqualFold(f.Name, "set-cookie") {
			continue
		}
		pair, _, _ := strings.Cut(f.Value, ";")
		if key, value, _ := strings.Cut(strings.TrimSpace(pair), "="); key == name {
			return value
		}
	}
	return ""
}

func param(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if unescape(key) == name {
			return unescape(value)
		}
	}
	return ""
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// inJSON appends the value at a path of a JSON document, or all those of a list there.
func inJSON(b []byte, path string, values []string) []string {
	var v any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return values
	}
	return JSONValues(v, path, values)
}

// JSONValues appends the value at a path of decoded JSON to a list, or all those of a list there: as text, and none for
// null, for objects, and for what is not there. A key that has dots in it goes before a path.
func JSONValues(v any, path string, values []string) []string {
	for path != "" {
		switch x := v.(type) {
		case map[string]any:
			if whole, ok := x[path]; ok {
				v, path = whole, ""
				continue
			}
			key, rest, _ := strings.Cut(path, ".")
			v, path = x[key], rest
		case []any:
			key, rest, _ := strings.Cut(path, ".")
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(x) {
				return values
			}
			v, path = x[i], rest
		default:
			return values
		}
	}
	switch x := v.(type) {
	case string:
		return append(values, x)
	case json.Number:
		return append(values, x.String())
	case float64:
		return append(values, strconv.FormatFloat(x, 'f', -1, 64))
	case bool:
		return append(values, strconv.FormatBool(x))
	case []any:
		for _, one := range x {
			if _, deeper := one.([]any); !deeper {
				values = JSONValues(one, "", values)
			}
		}
	}
	return values
}
