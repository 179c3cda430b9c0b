package tcpfollow_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func gzipOf(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// schema says what an object of an HTTP archive has, by the HAR 1.2 specification: the fields that it must have and those
// that it may have, each with a check.
type schema struct {
	must, may map[string]func(*testing.T, any)
}

func (s schema) check(t *testing.T, v any) {
	t.Helper()
	o, ok := v.(map[string]any)
	require.True(t, ok, "%v is an object", v)
	for name, check := range s.must {
		require.Contains(t, o, name)
		check(t, o[name])
	}
	for name, value := range o {
		if check := s.may[name]; check != nil {
			check(t, value)
		} else {
			require.NotNil(t, s.must[name], "%s is no field", name)
		}
	}
}

type checks = map[string]func(*testing.T, any)

func isText(t *testing.T, v any) { require.IsType(t, "", v) }

func isNumber(t *testing.T, v any) { require.IsType(t, 0.0, v) }

func isInteger(t *testing.T, v any) { require.Zero(t, v.(float64)-float64(int(v.(float64)))) }

func notNegative(t *testing.T, v any) { require.GreaterOrEqual(t, v, 0.0) }

func isTime(t *testing.T, v any) {
	_, err := time.Parse(time.RFC3339, v.(string))
	require.NoError(t, err)
}

func listOf(s schema) func(*testing.T, any) {
	return func(t *testing.T, v any) {
		require.IsType(t, []any{}, v)
		for _, x := range v.([]any) {
			s.check(t, x)
		}
	}
}

// har is the schema of an HTTP archive.
func har() schema {
	pair := schema{must: checks{"name": isText, "value": isText}, may: checks{"comment": isText}}
	cookie := schema{must: pair.must, may: checks{"path": isText, "domain": isText, "expires": isTime, "comment": isText}}
	post := schema{must: checks{"mimeType": isText}, may: checks{"params": listOf(pair), "text": isText, "comment": isText}}
	content := schema{
		must: checks{"size": isInteger, "mimeType": isText},
		may:  checks{"compression": isInteger, "text": isText, "encoding": isText, "comment": isText},
	}
	request := schema{
		must: checks{
			"method": isText, "url": isText, "httpVersion": isText, "cookies": listOf(cookie), "headers": listOf(pair), "queryString": listOf(pair),
			"headersSize": isInteger, "bodySize": isInteger,
		},
		may: checks{"postData": post.check, "comment": isText},
	}
	response := schema{
		must: checks{
			"status": isInteger, "statusText": isText, "httpVersion": isText, "cookies": listOf(cookie), "headers": listOf(pair),
			"content": content.check, "redirectURL": isText, "headersSize": isInteger, "bodySize": isInteger,
		},
		may: checks{"comment": isText},
	}
	timings := schema{
		must: checks{"send": notNegative, "wait": notNegative, "receive": notNegative},
		may:  checks{"blocked": isNumber, "dns": isNumber, "connect": isNumber, "ssl": isNumber, "comment": isText},
	}
	entry := schema{
		must: checks{
			"startedDateTime": isTime, "time": notNegative, "request": request.check, "response": response.check,
			"cache": schema{}.check, "timings": timings.check,
		},
		may: checks{"pageref": isText, "serverIPAddress": isText, "connection": isText, "comment": isText},
	}
	creator := schema{must: checks{"name": isText, "version": isText}, may: checks{"comment": isText}}
	log := schema{
		must: checks{"version": isText, "creator": creator.check, "entries": listOf(entry)},
		may:  checks{"browser": creator.check, "pages": isText, "comment": isText},
	}
	return schema{must: checks{"log": log.check}}
}

// TestHAR: an archive is valid, and holds what was said.
func TestHAR(t *testing.T) {
	for _, path := range captures(t) {
		var v any
		require.NoError(t, json.Unmarshal([]byte(run("http", "-q", "-o", "har", path).stdout), &v), "%s", path)
		har().check(t, v)
	}
	binary := says(t, "POST /b?x=1&y HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nLocation: /z\r\nSet-Cookie: a=b; Path=/\r\n\r\n\xff\x00\x01")
	var archive struct {
		Log struct {
			Entries []struct {
				Request struct {
					URL         string
					QueryString []struct{ Name, Value string }
					PostData    struct{ Text string }
				}
				Response struct {
					Status      int
					RedirectURL string
					Content     struct {
						Size           int
						Text, Encoding string
						MimeType       string
					}
					Cookies []struct{ Name, Value string }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(runOK(t, "http", "-q", "-o", "har", "--no-redact", binary).stdout), &archive))
	require.Len(t, archive.Log.Entries, 1)
	e := archive.Log.Entries[0]
	u, err := url.Parse(e.Request.URL)
	require.NoError(t, err)
	require.Equal(t, "a", u.Host)
	require.Equal(t, "hi", e.Request.PostData.Text)
	require.Equal(t, "[{x 1} {y }]", fmt.Sprint(e.Request.QueryString))
	require.Equal(t, "/z", e.Response.RedirectURL)
	require.Equal(t, "[{a b}]", fmt.Sprint(e.Response.Cookies))
	require.Equal(t, 3, e.Response.Content.Size)
	require.Equal(t, "base64", e.Response.Content.Encoding)
	require.NotEmpty(t, e.Response.Content.MimeType)
	body, err := base64.StdEncoding.DecodeString(e.Response.Content.Text)
	require.NoError(t, err)
	require.True(t, slices.Equal([]byte{0xff, 0, 1}, body))
}
