package events

import (
	"encoding/json"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Writer writes events as JSON, an object a line.
type Writer struct {
	enc   *json.Encoder
	lean  reflect.Type // Event for kinds other than HTTP: what is not set is left out
	udp   reflect.Type // the same without a number of a stream
	texts []int        // fields that are as they were sent
	lists []int
}

// NewWriter returns a writer to w, which it does not buffer.
func NewWriter(w io.Writer) *Writer {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	v := &Writer{enc: enc}
	var lean, datagram []reflect.StructField
	common := true
	for i, f := range enumerate() {
		tag := f.Tag.Get("json")
		if common = common && tag != "method"; !common && tag != "-" && !strings.HasSuffix(tag, ",omitempty") {
			f.Tag = reflect.StructTag(`json:"` + tag + `,omitempty"`)
		}
		lean = append(lean, f)
		if tag == "stream" || tag == "exchange" {
			f.Tag = `json:"-"`
		}
		datagram = append(datagram, f)
		switch f.Type.Kind() {
		case reflect.String:
			v.texts = append(v.texts, i)
		case reflect.Slice:
			if f.Type.Elem().Kind() == reflect.String {
				v.lists = append(v.lists, i)
			}
		default:
		}
	}
	v.lean, v.udp = reflect.StructOf(lean), reflect.StructOf(datagram)
	return v
}

// enumerate returns the fields of an event, each with its index.
func enumerate() iter.Seq2[int, reflect.StructField] {
	return func(yield func(int, reflect.StructField) bool) {
		t := reflect.TypeFor[Event]()
		for i := range t.NumField() {
			if !yield(i, t.Field(i)) {
				return
			}
		}
	}
}

// Write writes an event.
func (w *Writer) Write(e *Event) error {
	v := *e
	r := reflect.ValueOf(&v).Elem()
	for _, i := range w.texts {
		if f := r.Field(i); !utf8.ValidString(f.String()) {
			f.SetString(Text(f.String()))
		}
	}
	for _, i := range w.lists {
		f := r.Field(i)
		if list, ok := reflect.TypeAssert[[]string](f); ok && slices.ContainsFunc(list, func(s string) bool { return !utf8.ValidString(s) }) {
			list = slices.Clone(list)
			for n, s := range list {
				list[n] = Text(s)
			}
			f.Set(reflect.ValueOf(list))
		}
	}
	switch {
	case v.Kind == KindHTTP:
		return w.enc.Encode(&v)
	case v.Transport == udp:
		return w.enc.Encode(r.Convert(w.udp).Interface())
	}
	return w.enc.Encode(r.Convert(w.lean).Interface())
}
