package tcpfollow

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// httpFlags are the flags of http beside the common ones.
type httpFlags struct {
	output string
	tls    secrets
}

func newHTTP() *cobra.Command {
	var in input
	var fl httpFlags
	cmd := &cobra.Command{
		Use:   "http [flags] FILE...",
		Short: "Show the HTTP messages, whatever they look like",
		Long: `http finds HTTP messages in the TCP conversations of captures, at any port, and
prints a line for every exchange: time, client and server, method and URL, status,
content type, size of the decoded body, duration, and what is odd about it. With
-v the headers follow.

TLS is decrypted with --keylog, or with the key log that a pcapng file holds.

With -o json every message is an object on a line of its own, those of a stream in
the order in which they start; so is every message of a WebSocket connection.`,
		Example: `  tcpfollow http web.pcap
  tcpfollow http -v web.pcap
  tcpfollow http --keylog keys.txt https.pcap
  tcpfollow http -o json web.pcap | jq 'select(.flags != [])'`,
		RunE: func(cmd *cobra.Command, args []string) error { return runHTTP(cmd, args, &in, &fl) },
	}
	cmd.Flags().StringVarP(&fl.output, "output", "o", "text", "output format: text, json")
	fl.tls.flags(cmd)
	in.flags(cmd)
	return cmd
}

func runHTTP(cmd *cobra.Command, args []string, in *input, fl *httpFlags) error {
	cfg, err := in.config()
	if err != nil {
		return err
	}
	cfg.Incremental = true
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	var hc httpx.Config
	var failed func() error
	switch fl.output {
	case "json":
		v := newJSONMessages(out)
		hc.Digest = true
		hc.OnMessage, hc.OnMessageEnd, hc.OnWebSocket = v.begin, v.end, v.webSocket
		failed = func() error { return v.err }
	case "text":
		v := &textExchanges{w: out, headers: in.verbose}
		hc.OnExchange = v.exchange
		failed = func() error { return v.err }
	default:
		return cli.Usage("-o: %q is none of text, json", fl.output)
	}
	if err := fl.tls.attach(in, &hc); err != nil {
		return err
	}
	http, err := httpx.Follow(&hc)
	if err != nil {
		return &cli.CodedError{Code: cli.ExitUsage, Err: err}
	}
	cfg.OnGap = http.Gap
	j := &job{data: http.Data, end: http.End}
	j.batch = func(live bool) error {
		if live {
			return firstError(failed(), out.Flush())
		}
		return failed()
	}
	j.finish = func() error {
		if !in.quiet {
			fl.tls.report(cmd.ErrOrStderr())
		}
		return firstError(failed(), out.Flush(), fl.tls.partial())
	}
	return in.run(cmd, args, cfg, j)
}

// jsonMessage is a line of http -o json.
type jsonMessage struct {
	Kind          string      `json:"kind"`
	Stream        uint64      `json:"stream"`
	Frame         uint64      `json:"frame"`
	Time          time.Time   `json:"time"`
	Exchange      uint64      `json:"exchange"`
	Client        string      `json:"client"`
	Server        string      `json:"server"`
	Dir           string      `json:"dir"`
	Offset        uint64      `json:"offset"`
	Version       string      `json:"version"`
	Method        *string     `json:"method,omitempty"`
	URI           *string     `json:"uri,omitempty"`
	Host          *string     `json:"host,omitempty"`
	UserAgent     *string     `json:"user_agent,omitempty"`
	Status        *int        `json:"status,omitempty"`
	Reason        *string     `json:"reason,omitempty"`
	ContentType   string      `json:"content_type,omitempty"`
	ContentLength *int64      `json:"content_length,omitempty"`
	Headers       [][2]string `json:"headers"`
	Trailers      [][2]string `json:"trailers,omitempty"`
	BodyBytes     uint64      `json:"body_bytes"`
	BodySHA256    string      `json:"body_sha256,omitempty"`
	WireBodyBytes uint64      `json:"wire_body_bytes"`
	Missing       uint64      `json:"missing,omitempty"`
	Flags         []string    `json:"flags"`
	LastFrame     uint64      `json:"last_frame"`
	End           time.Time   `json:"end"`
	StreamID      uint32      `json:"stream_id,omitempty"`
	Secured       bool        `json:"secured,omitempty"`
}

// jsonMessages prints an object for every message, within a stream in the order in which they start.
type jsonMessages struct {
	enc  *json.Encoder
	open map[uint64][]*httpx.Message // by stream
	over map[*httpx.Message]bool
	err  error
}

func newJSONMessages(w io.Writer) *jsonMessages {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &jsonMessages{enc: enc, open: map[uint64][]*httpx.Message{}, over: map[*httpx.Message]bool{}}
}

func (v *jsonMessages) begin(m *httpx.Message) {
	v.open[m.Conn.Stream] = append(v.open[m.Conn.Stream], m)
}

func (v *jsonMessages) end(m *httpx.Message) {
	v.over[m] = true
	list := v.open[m.Conn.Stream]
	for len(list) > 0 && v.over[list[0]] {
		delete(v.over, list[0])
		if v.err == nil {
			v.err = v.enc.Encode(newJSONMessage(list[0]))
		}
		list = list[1:]
	}
	if v.open[m.Conn.Stream] = list; len(list) == 0 {
		delete(v.open, m.Conn.Stream)
	}
}

func newJSONMessage(m *httpx.Message) *jsonMessage {
	j := &jsonMessage{
		Kind: m.Kind.String(), Stream: m.Conn.Stream, Frame: m.Start.Packet, Time: m.Start.When(), Exchange: m.Exchange.Number,
		Client: m.Conn.Client.String(), Server: m.Conn.Server.String(), Dir: m.Direction.String(), Offset: m.Start.Offset,
		Version: text(m.Version), ContentType: text(m.Get("content-type")), Headers: textFields(m.Header), BodyBytes: m.Length,
		BodySHA256: hex.EncodeToString(m.SHA256), WireBodyBytes: m.WireLength, Missing: m.Missing, Flags: m.Flags.Strings(),
		LastFrame: m.End.Packet, End: m.End.When(), StreamID: m.StreamID, Secured: m.Conn.Secured,
	}
	if len(m.Trailer) > 0 {
		j.Trailers = textFields(m.Trailer)
	}
	if m.ContentLength >= 0 {
		j.ContentLength = &m.ContentLength
	}
	if m.Kind == httpx.Request {
		method, target, host, agent := text(m.Method), text(m.Target), text(m.Host()), text(m.Get("user-agent"))
		j.Method, j.URI, j.Host, j.UserAgent = &method, &target, &host, &agent
	} else {
		reason := text(m.Reason)
		j.Status, j.Reason = &m.Status, &reason
	}
	return j
}

func textFields(fields []httpx.Field) [][2]string {
	list := make([][2]string, 0, len(fields))
	for _, f := range fields {
		list = append(list, [2]string{text(f.Name), text(f.Value)})
	}
	return list
}

// text returns s as JSON can hold it: where it is not UTF-8, each byte that is none, and each backslash, is \xNN.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b []byte
	for i, r := range s {
		if _, n := utf8.DecodeRuneInString(s[i:]); r == '\\' || r == utf8.RuneError && n == 1 {
			b = fmt.Appendf(b, `\x%02x`, s[i])
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}
