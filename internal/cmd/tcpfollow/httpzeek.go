package tcpfollow

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
)

// zeekEntry is an entry of Zeek's http.log, in the order of its columns.
type zeekEntry struct {
	TS              float64  `json:"ts" type:"time"`
	UID             string   `json:"uid" type:"string"`
	OrigH           string   `json:"id.orig_h" type:"addr"`
	OrigP           int      `json:"id.orig_p" type:"port"`
	RespH           string   `json:"id.resp_h" type:"addr"`
	RespP           int      `json:"id.resp_p" type:"port"`
	TransDepth      uint64   `json:"trans_depth" type:"count"`
	Method          string   `json:"method,omitempty" type:"string"`
	Host            string   `json:"host,omitempty" type:"string"`
	URI             string   `json:"uri,omitempty" type:"string"`
	Referrer        string   `json:"referrer,omitempty" type:"string"`
	Version         string   `json:"version,omitempty" type:"string"`
	UserAgent       string   `json:"user_agent,omitempty" type:"string"`
	Origin          string   `json:"origin,omitempty" type:"string"`
	RequestBodyLen  uint64   `json:"request_body_len" type:"count"`
	ResponseBodyLen uint64   `json:"response_body_len" type:"count"`
	StatusCode      *int     `json:"status_code,omitempty" type:"count"`
	StatusMsg       string   `json:"status_msg,omitempty" type:"string"`
	InfoCode        *int     `json:"info_code,omitempty" type:"count"`
	InfoMsg         string   `json:"info_msg,omitempty" type:"string"`
	Tags            []string `json:"tags" type:"set[enum]"`
	Username        string   `json:"username,omitempty" type:"string"`
	Password        string   `json:"password,omitempty" type:"string"`
	Proxied         []string `json:"proxied,omitempty" type:"set[string]"`
	OrigFUIDs       []string `json:"orig_fuids,omitempty" type:"vector[string]"`
	OrigFilenames   []string `json:"orig_filenames,omitempty" type:"vector[string]"`
	OrigMimeTypes   []string `json:"orig_mime_types,omitempty" type:"vector[string]"`
	RespFUIDs       []string `json:"resp_fuids,omitempty" type:"vector[string]"`
	RespFilenames   []string `json:"resp_filenames,omitempty" type:"vector[string]"`
	RespMimeTypes   []string `json:"resp_mime_types,omitempty" type:"vector[string]"`
}

func newZeekEntry(e *httpx.Exchange, x *events.Event, show fields) *zeekEntry {
	z := &zeekEntry{
		TS: float64(x.Time.UnixMicro()) / 1e6, UID: zeekUID(e.Conn), OrigH: x.ClientIP, OrigP: x.ClientPort, RespH: x.ServerIP, RespP: x.ServerPort,
		TransDepth: x.Exchange + 1, Method: x.Method, Host: x.Host, URI: x.URI, Referrer: x.Referer, Version: strings.TrimPrefix(x.Version, "HTTP/"),
		UserAgent: x.UserAgent, Origin: x.Header("origin"), RequestBodyLen: x.RequestBytes, ResponseBodyLen: x.Bytes, StatusMsg: x.Reason,
		Tags: []string{},
	}
	if x.Status > 0 {
		z.StatusCode = &x.Status
	}
	if n := len(e.Informational); n > 0 {
		z.InfoCode, z.InfoMsg = &e.Informational[n-1].Status, e.Informational[n-1].Reason
	}
	if !show.redact {
		z.Username, z.Password, _ = basic(x.Header("authorization"))
	}
	if m := e.Request; m != nil {
		for _, f := range m.Header {
			switch name := strings.ToUpper(f.Name); name {
			case "FORWARDED", "X-FORWARDED-FOR", "X-FORWARDED-FROM", "CLIENT-IP", "VIA", "XROXY-CONNECTION", "PROXY-CONNECTION":
				z.Proxied = append(z.Proxied, name+" -> "+f.Value)
			}
		}
		z.OrigFilenames, z.OrigMimeTypes = one(m.Filename()), zeekTypes(m)
	}
	if m := e.Response; m != nil {
		z.RespFilenames, z.RespMimeTypes = one(m.Filename()), zeekTypes(m)
	}
	return z
}

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func zeekTypes(m *httpx.Message) []string {
	kind, _, _ := strings.Cut(m.Sniffed, ";")
	return one(kind)
}

// zeekUID returns a connection's identifier, the same in every run: a letter and 17 others.
func zeekUID(c *httpx.ConnInfo) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %v %v", c.Stream, c.Client, c.Server))
	return "C" + fmt.Sprintf("%017s", new(big.Int).SetBytes(sum[:12]).Text(62))[:17]
}

// zeekColumns returns the names and types of the columns.
func zeekColumns() (names, types []string) {
	for f := range structFields(zeekEntry{}) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names, types = append(names, name), append(types, f.Tag.Get("type"))
	}
	return names, types
}

// zeekLog prints Zeek's http.log as a table.
type zeekLog struct {
	w       io.Writer
	show    fields
	started bool
	last    time.Time
}

const zeekTime = "2006-01-02-15-04-05"

func (v *zeekLog) start(t time.Time) error {
	v.started = true
	names, types := zeekColumns()
	_, err := fmt.Fprintf(v.w, "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\thttp\n#open\t%s\n#fields\t%s\n#types\t%s\n",
		t.Format(zeekTime), strings.Join(names, "\t"), strings.Join(types, "\t"))
	return err
}

func (v *zeekLog) exchange(e *httpx.Exchange, x *events.Event) error {
	if !v.started {
		if err := v.start(x.Time); err != nil {
			return err
		}
	}
	if x.End.After(v.last) {
		v.last = x.End
	}
	var b []byte
	z := newZeekEntry(e, x, v.show)
	for _, value := range structValues(z) {
		if len(b) > 0 {
			b = append(b, '\t')
		}
		b = zeekValue(b, value)
	}
	_, err := v.w.Write(append(b, '\n'))
	return err
}

// close prints the last line; a log of nothing has none but the head.
func (v *zeekLog) close() error {
	if !v.started {
		if err := v.start(time.Unix(0, 0).UTC()); err != nil {
			return err
		}
		v.last = time.Unix(0, 0).UTC()
	}
	_, err := fmt.Fprintf(v.w, "#close\t%s\n", v.last.Format(zeekTime))
	return err
}

// zeekValue adds a value as Zeek writes it.
func zeekValue(b []byte, value any) []byte {
	switch x := value.(type) {
	case float64:
		return strconv.AppendFloat(b, x, 'f', 6, 64)
	case int:
		return strconv.AppendInt(b, int64(x), 10)
	case uint64:
		return strconv.AppendUint(b, x, 10)
	case *int:
		if x != nil {
			return strconv.AppendInt(b, int64(*x), 10)
		}
	case string:
		if x != "" {
			return zeekText(b, x, false)
		}
	case []string:
		if x != nil && len(x) == 0 {
			return append(b, "(empty)"...)
		}
		for i, s := range x {
			if i > 0 {
				b = append(b, ',')
			}
			b = zeekText(b, s, true)
		}
		if len(x) > 0 {
			return b
		}
	}
	return append(b, '-')
}

// zeekText adds text: what would be taken for something else, and what is no printable ASCII, is escaped.
func zeekText(b []byte, s string, inSet bool) []byte {
	if s == "-" || s == "(empty)" {
		return append(fmt.Appendf(b, `\x%02x`, s[0]), s[1:]...)
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > 0x7e || c == '\\' || inSet && c == ',' {
			b = fmt.Appendf(b, `\x%02x`, c)
		} else {
			b = append(b, c)
		}
	}
	return b
}

// zeekJSON prints the same entries as JSON.
type zeekJSON struct {
	w    io.Writer
	show fields
}

func (v *zeekJSON) exchange(e *httpx.Exchange, x *events.Event) error {
	z := newZeekEntry(e, x, v.show)
	for _, s := range []*string{
		&z.Method, &z.Host, &z.URI, &z.Referrer, &z.Version, &z.UserAgent, &z.Origin, &z.StatusMsg, &z.InfoMsg, &z.Username, &z.Password,
	} {
		*s = text(*s)
	}
	enc := json.NewEncoder(v.w)
	enc.SetEscapeHTML(false)
	return enc.Encode(z)
}

func (v *zeekJSON) close() error { return nil }
