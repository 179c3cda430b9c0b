package tcpfollow

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
)

// commonLog prints lines of the Common Log Format, or of the Combined one, as web servers do.
type commonLog struct {
	w        io.Writer
	combined bool
	show     fields
}

func (v *commonLog) exchange(_ *httpx.Exchange, x *events.Event) error {
	user := "-"
	if name, _, ok := basic(x.Header("authorization")); ok && !v.show.redact && name != "" {
		user = strings.ReplaceAll(logQuoted(name), " ", `\x20`)
	}
	status, size := "-", "-"
	if x.Status > 0 {
		status = fmt.Sprintf("%03d", x.Status)
	}
	if x.WireBytes > 0 {
		size = strconv.FormatUint(x.WireBytes, 10)
	}
	request := "-"
	if x.Method != "" {
		request = strings.TrimSpace(x.Method + " " + x.URI + " " + x.Version)
	}
	line := fmt.Sprintf(`%s - %s [%s] "%s" %s %s`, x.ClientIP, user, x.Time.Format("02/Jan/2006:15:04:05 -0700"), logQuoted(request), status, size)
	if v.combined {
		line += fmt.Sprintf(` "%s" "%s"`, logQuoted(dash(x.Referer)), logQuoted(dash(x.UserAgent)))
	}
	_, err := fmt.Fprintln(v.w, line)
	return err
}

func (v *commonLog) close() error { return nil }

// logQuoted escapes what stands between quotes in a log, as Apache does.
func logQuoted(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > 0x7e:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// basic returns the name and the password in an Authorization of the Basic scheme (RFC 7617).
func basic(value string) (name, password string, ok bool) {
	scheme, coded, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "basic") {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(coded))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(text), ":")
}
