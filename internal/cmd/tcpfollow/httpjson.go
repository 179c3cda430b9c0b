package tcpfollow

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/tcpfollow/tcpfollow/events"
	"github.com/tcpfollow/tcpfollow/httpx"
)

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
	StreamID      uint32      `json:"stream_id,omitempty"`
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
	File          string      `json:"file,omitempty"`
	Flags         []string    `json:"flags"`
	LastFrame     uint64      `json:"last_frame"`
	End           time.Time   `json:"end"`
	Secured       bool        `json:"secured,omitempty"`
}

// jsonMessages prints an object for every message, those of a stream in the order in which they start.
type jsonMessages struct {
	enc     *json.Encoder
	show    fields
	extract **bodyExtractor
	streams map[uint64][]*openMessage
}

// maxOpen is how many messages of a stream wait at most for an earlier one that is not over.
const maxOpen = 1000

// openMessage is a message that waits to be printed.
type openMessage struct {
	m       *httpx.Message
	file    string // that holds its body
	decided bool
	wanted  bool
}

func newJSONMessages(w io.Writer, show fields, extract **bodyExtractor) *jsonMessages {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &jsonMessages{enc: enc, show: show, extract: extract, streams: map[uint64][]*openMessage{}}
}

func (v *jsonMessages) begin(m *httpx.Message) {
	v.streams[m.Conn.Stream] = append(v.streams[m.Conn.Stream], &openMessage{m: m})
}

func (v *jsonMessages) exchange(e *httpx.Exchange, _ *events.Event) error { return v.decide(e, true) }

func (v *jsonMessages) drop(e *httpx.Exchange) error { return v.decide(e, false) }

// decide prints the messages of a stream that have no undecided one before them.
func (v *jsonMessages) decide(e *httpx.Exchange, wanted bool) error {
	list := v.streams[e.Conn.Stream]
	for _, x := range list {
		if x.m.Exchange == e {
			x.decided, x.wanted = true, wanted
			if *v.extract != nil {
				x.file = (*v.extract).name(x.m)
			}
		}
	}
	for i := 0; len(list) > i && (list[i].decided || len(list) > maxOpen); {
		if !list[i].decided {
			i++ // it comes when it is over
			continue
		}
		x := list[i]
		list = slices.Delete(list, i, i+1)
		if x.wanted {
			if err := v.enc.Encode(v.message(x.m, x.file)); err != nil {
				return err
			}
		}
	}
	if v.streams[e.Conn.Stream] = list; len(list) == 0 {
		delete(v.streams, e.Conn.Stream)
	}
	return nil
}

func (v *jsonMessages) close() error { return nil }

func (v *jsonMessages) message(m *httpx.Message, file string) *jsonMessage {
	j := &jsonMessage{
		Kind: m.Kind.String(), Stream: m.Conn.Stream, Frame: m.Start.Packet, Time: m.Start.When(), Exchange: m.Exchange.Number,
		Client: m.Conn.Client.String(), Server: m.Conn.Server.String(), Dir: m.Direction.String(), Offset: m.Start.Offset,
		StreamID: m.StreamID, Version: text(m.Version), ContentType: text(m.Get("content-type")), Headers: v.fields(m.Header),
		BodyBytes: m.Length, BodySHA256: hex.EncodeToString(m.SHA256), WireBodyBytes: m.WireLength, Missing: m.Missing, File: file,
		Flags: (m.Flags | m.Exchange.Flags).Strings(), LastFrame: m.End.Packet, End: m.End.When(), Secured: m.Conn.Secured,
	}
	if len(m.Trailer) > 0 {
		j.Trailers = v.fields(m.Trailer)
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

func (v *jsonMessages) fields(fields []httpx.Field) [][2]string {
	list := make([][2]string, 0, len(fields))
	for _, f := range fields {
		list = append(list, [2]string{text(f.Name), text(v.show.value(f.Name, f.Value))})
	}
	return list
}

// text returns s as JSON can hold it.
func text(s string) string { return events.Text(s) }
