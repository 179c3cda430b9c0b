package httpx_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/textproto"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// describe returns parts, a line each.
func describe(body, contentType string) []string {
	var list []string
	for p := range httpx.Parts([]byte(body), contentType) {
		line := fmt.Sprintf("%d %q", p.Offset, p.Body)
		for _, f := range p.Header {
			line += fmt.Sprintf(" %s=%s", f.Name, f.Value)
		}
		if p.Flags != 0 {
			line += fmt.Sprintf(" %v", p.Flags.Strings())
		}
		list = append(list, line)
	}
	return list
}

func TestParts(t *testing.T) {
	const form = "multipart/form-data; boundary=XX"
	for _, tt := range []struct {
		name, contentType, body string
		want                    []string
	}{
		{"two", form, "--XX\r\nA: b\r\n\r\none\r\n--XX\r\nC: d\r\nE: f\r\n\r\ntwo\r\nlines\r\n--XX--\r\n", []string{`14 "one" A=b`, `39 "two\r\nlines" C=d E=f`}},
		{"quoted boundary", `multipart/mixed; x="a;b\"c"; Boundary="XX"`, "--XX\r\n\r\none\r\n--XX--", []string{`8 "one"`}},
		{"text around", form, "before\r\n--XX\r\n\r\none\r\n--XX--\r\nafter --XX\r\n", []string{`16 "one"`}},
		{"blanks behind the boundary", form, "--XX \t\r\n\r\none\r\n--XX-- \r\n", []string{`10 "one"`}},
		{"bare LF", form, "--XX\nA: b\n\none\n--XX--\n", []string{`11 "one" A=b [bare_lf]`}},
		{"empty part", form, "--XX\r\n\r\n\r\n--XX\r\n--XX--\r\n", []string{`8 ""`, `16 ""`}},
		{"boundary within a line", form, "--XX\r\n\r\na --XX b\r\n--XXY\r\n--XX--", []string{`8 "a --XX b\r\n--XXY"`}},
		{"cut", form, "--XX\r\nA: b\r\n\r\none", []string{`14 "one" A=b [truncated]`}},
		{"cut in the header", form, "--XX\r\nA: b", []string{`10 "" A=b [truncated]`}},
		{"no parts", form, "nothing", nil},
		{"only the end", form, "--XX--\r\n", nil},
		{"no boundary", "multipart/form-data", "--XX\r\n\r\none\r\n--XX--", nil},
		{"blanks for a type", "         ; boundary=XX", "--XX\r\n\r\none\r\n--XX--", nil},
		{"another type", "text/plain; boundary=XX", "--XX\r\n\r\none\r\n--XX--", nil},
		{"odd header", form, "--XX\r\nA : b\r\nnothing\r\n c\r\n\r\none\r\n--XX--", []string{`28 "one" A=b =nothing c [fold blank_before_colon no_colon]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, describe(tt.body, tt.contentType))
			for range httpx.Parts([]byte(tt.body), tt.contentType) {
				break
			}
		})
	}
}

// TestPartsOfMimeMultipart: what the standard library writes is read.
func TestPartsOfMimeMultipart(t *testing.T) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	require.NoError(t, w.WriteField("user", "me"))
	f, err := w.CreateFormFile("file", `dir\a "b".txt`)
	require.NoError(t, err)
	f.Write([]byte("line\r\n--" + w.Boundary() + "x\r\nend"))
	p, err := w.CreatePart(textproto.MIMEHeader{"Content-Range": {"bytes 5-9/100"}})
	require.NoError(t, err)
	p.Write([]byte("56789"))
	require.NoError(t, w.Close())

	post := fmt.Sprintf(">POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", w.FormDataContentType(), body.Len(), body.String())
	d, _ := parse(t, httpx.Config{Collect: true}, httpx.ConnInfo{}, talk{post}.steps())
	var parts []httpx.Part
	for p := range d.list[0].Parts() {
		parts = append(parts, p)
		require.Equal(t, string(p.Body), body.String()[p.Offset:p.Offset+len(p.Body)])
	}
	require.Len(t, parts, 3)
	require.Equal(t, "user", parts[0].Name())
	require.Equal(t, "me", string(parts[0].Body))
	require.Equal(t, "file", parts[1].Name())
	require.Equal(t, `dir\a "b".txt`, parts[1].Filename())
	require.Equal(t, "application/octet-stream", parts[1].Get("content-type"))
	require.True(t, strings.HasSuffix(string(parts[1].Body), "x\r\nend"))
	r, ok := parts[2].Range()
	require.True(t, ok)
	require.Equal(t, httpx.ContentRange{First: 5, Last: 9, Total: 100}, r)
}

func TestRange(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  httpx.ContentRange
		ok    bool
	}{
		{"bytes 0-499/1234", httpx.ContentRange{First: 0, Last: 499, Total: 1234}, true},
		{"Bytes 5-5/*", httpx.ContentRange{First: 5, Last: 5, Total: -1}, true},
		{"bytes */1234", httpx.ContentRange{First: -1, Last: -1, Total: 1234}, true},
		{"bytes 9-5/10", httpx.ContentRange{First: 9, Last: 5, Total: 10}, false},
		{"bytes 1-/10", httpx.ContentRange{First: 1, Last: -1, Total: 10}, false},
		{"bytes */*", httpx.ContentRange{First: -1, Last: -1, Total: -1}, false},
		{"lines 1-2/3", httpx.ContentRange{First: -1, Last: -1, Total: -1}, false},
		{"bytes 1-2", httpx.ContentRange{First: -1, Last: -1, Total: -1}, false},
		{"bytes 99999999999999999999-2/3", httpx.ContentRange{First: -1, Last: 2, Total: 3}, false},
		{"", httpx.ContentRange{First: -1, Last: -1, Total: -1}, false},
	} {
		d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, talk{"<HTTP/1.1 206 Partial\r\nContent-Range: " + tt.value + "\r\nContent-Length: 0\r\n\r\n"}.steps())
		r, ok := d.list[0].Range()
		require.Equal(t, tt.ok, ok, "%s", tt.value)
		require.Equal(t, tt.want, r, "%s", tt.value)
	}
}

func TestFilename(t *testing.T) {
	for value, want := range map[string]string{
		`attachment; filename="a b.txt"`:                             "a b.txt",
		`attachment; filename=a.txt`:                                 "a.txt",
		`attachment; filename=a.txt; x=y`:                            "a.txt",
		`attachment; FileName = "../../etc/passwd"`:                  "../../etc/passwd",
		`attachment; filename="a\"b\\c\d"`:                           `a"b\c\d`,
		`attachment; filename="cut`:                                  "cut",
		`attachment; filename=x; filename*=UTF-8''%e2%82%ac%20rates`: "€ rates",
		`attachment; filename*=iso-8859-1'en'%A3%20rates`:            "£ rates",
		`attachment; filename=x; filename*=UTF-8''%zz`:               "x",
		`attachment; xfilename="no"; filename="yes"`:                 "yes",
		`attachment; x="; filename=no"; filename=yes`:                "yes",
		`attachment`:                  "",
		`attachment; filename`:        "",
		`attachment; a;b; filename=c`: "c",
	} {
		d, _ := parse(t, httpx.Config{}, httpx.ConnInfo{}, talk{get, response("Content-Disposition: "+value+"\r\n", nil)}.steps())
		require.Equal(t, want, d.list[1].Filename(), "%s", value)
	}
}
