package tcpfollow

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
)

// harView prints an HTTP archive, version 1.2: one object for all exchanges, which are written as they come.
type harView struct {
	w    io.Writer
	show fields
	n    int
}

type harEntry struct {
	Started    time.Time   `json:"startedDateTime"`
	Time       float64     `json:"time"`
	Request    harRequest  `json:"request"`
	Response   harResponse `json:"response"`
	Cache      struct{}    `json:"cache"`
	Timings    harTimings  `json:"timings"`
	ServerIP   string      `json:"serverIPAddress,omitempty"`
	Connection string      `json:"connection,omitempty"`
	Comment    string      `json:"comment,omitempty"`
}

type harRequest struct {
	Method      string    `json:"method"`
	URL         string    `json:"url"`
	HTTPVersion string    `json:"httpVersion"`
	Cookies     []harPair `json:"cookies"`
	Headers     []harPair `json:"headers"`
	QueryString []harPair `json:"queryString"`
	PostData    *harPost  `json:"postData,omitempty"`
	HeadersSize int       `json:"headersSize"`
	BodySize    int64     `json:"bodySize"`
}

type harPost struct {
	MimeType string    `json:"mimeType"`
	Params   []harPair `json:"params"`
	Text     string    `json:"text"`
	Comment  string    `json:"comment,omitempty"`
}

type harResponse struct {
	Status      int        `json:"status"`
	StatusText  string     `json:"statusText"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []harPair  `json:"cookies"`
	Headers     []harPair  `json:"headers"`
	Content     harContent `json:"content"`
	RedirectURL string     `json:"redirectURL"`
	HeadersSize int        `json:"headersSize"`
	BodySize    int64      `json:"bodySize"`
}

type harContent struct {
	Size        int64  `json:"size"`
	Compression int64  `json:"compression,omitempty"`
	MimeType    string `json:"mimeType"`
	Text        string `json:"text,omitempty"`
	Encoding    string `json:"encoding,omitempty"`
	Comment     string `json:"comment,omitempty"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harTimings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

func (v *harView) start() error {
	_, err := io.WriteString(v.w, `{"log":{"version":"1.2","creator":{"name":"tcpfollow","version":"1"},"entries":[`)
	return err
}

func (v *harView) exchange(e *httpx.Exchange, x *events.Event) error {
	sep := ",\n"
	if v.n == 0 {
		if err := v.start(); err != nil {
			return err
		}
		sep = "\n"
	}
	v.n++
	var b bytes.Buffer
	b.WriteString(sep)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v.entry(e, x)); err != nil {
		return err
	}
	_, err := v.w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return err
}

func (v *harView) close() error {
	if v.n == 0 {
		if err := v.start(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(v.w, "\n]}}\n")
	return err
}

func (v *harView) entry(e *httpx.Exchange, x *events.Event) *harEntry {
	h := &harEntry{Started: x.Time, Time: millis(e.Duration()), ServerIP: x.ServerIP, Connection: utoa(x.Stream)}
	if len(x.Flags) > 0 {
		h.Comment = strings.Join(x.Flags, " ")
	}
	h.Request = v.request(e.Request, x)
	h.Response = v.response(e.Response)
	if q := e.Request; q != nil {
		h.Timings.Send = millis(time.Duration(q.End.Time - q.Start.Time))
	}
	h.Timings.Wait = max(0, millis(e.TTFB()))
	if a := e.Response; a != nil {
		h.Timings.Receive = millis(time.Duration(a.End.Time - a.Start.Time))
	}
	return h
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func (v *harView) request(m *httpx.Message, x *events.Event) harRequest {
	r := harRequest{Method: text(x.Method), URL: text(x.URL), HTTPVersion: text(x.Version), HeadersSize: -1, BodySize: -1}
	r.Cookies, r.Headers, r.QueryString = []harPair{}, []harPair{}, []harPair{}
	if m == nil {
		return r
	}
	r.Headers = v.headers(m)
	r.HeadersSize, r.BodySize = headSize(m), int64(m.WireLength)
	for i := range m.Header {
		if f := &m.Header[i]; strings.EqualFold(f.Name, "cookie") {
			for pair := range strings.SplitSeq(v.show.value(f.Name, f.Value), ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
				r.Cookies = append(r.Cookies, harPair{text(name), text(value)})
			}
		}
	}
	if x.Query != "" {
		for pair := range strings.SplitSeq(x.Query, "&") {
			name, value, _ := strings.Cut(pair, "=")
			r.QueryString = append(r.QueryString, harPair{text(name), text(value)})
		}
	}
	if m.Length > 0 {
		r.PostData = &harPost{MimeType: text(m.Get("content-type")), Params: []harPair{}, Text: text(string(m.Body))}
		if uint64(len(m.Body)) < m.Length {
			r.PostData.Comment = "cut"
		}
	}
	return r
}

func (v *harView) response(m *httpx.Message) harResponse {
	r := harResponse{HeadersSize: -1, BodySize: -1, Cookies: []harPair{}, Headers: []harPair{}}
	if m == nil {
		return r
	}
	r.Status, r.StatusText, r.HTTPVersion = m.Status, text(m.Reason), text(m.Version)
	r.Headers = v.headers(m)
	r.HeadersSize, r.BodySize = headSize(m), int64(m.WireLength)
	r.RedirectURL = text(m.Get("location"))
	for i := range m.Header {
		if f := &m.Header[i]; strings.EqualFold(f.Name, "set-cookie") {
			pair, _, _ := strings.Cut(v.show.value(f.Name, f.Value), ";")
			name, value, _ := strings.Cut(pair, "=")
			r.Cookies = append(r.Cookies, harPair{text(name), text(value)})
		}
	}
	c := &r.Content
	c.Size, c.MimeType = int64(m.Length), text(m.Get("content-type"))
	if c.MimeType == "" {
		c.MimeType = m.Sniffed
	}
	if m.Length > m.WireLength {
		c.Compression = int64(m.Length - m.WireLength)
	}
	if utf8.Valid(m.Body) {
		c.Text = string(m.Body)
	} else {
		c.Text, c.Encoding = base64.StdEncoding.EncodeToString(m.Body), "base64"
	}
	if uint64(len(m.Body)) < m.Length {
		c.Comment = "cut"
	}
	return r
}

// headSize returns the bytes of a head, -1 where they are not known.
func headSize(m *httpx.Message) int {
	if m.Head == "" {
		return -1
	}
	return len(m.Head)
}

func (v *harView) headers(m *httpx.Message) []harPair {
	list := make([]harPair, 0, len(m.Header))
	for _, f := range m.Header {
		list = append(list, harPair{text(f.Name), text(v.show.value(f.Name, f.Value))})
	}
	return list
}
