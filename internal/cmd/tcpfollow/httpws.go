package tcpfollow

import (
	"time"
	"unicode/utf8"

	"github.com/tcpfollow/tcpfollow/httpx"
)

// jsonWebSocket is a line of http -o json for a message of a WebSocket connection. Data is what was said, as Text if that
// is UTF-8, and in base64 otherwise.
type jsonWebSocket struct {
	Kind       string    `json:"kind"`
	Stream     uint64    `json:"stream"`
	Frame      uint64    `json:"frame"`
	Time       time.Time `json:"time"`
	Exchange   uint64    `json:"exchange"`
	Client     string    `json:"client"`
	Server     string    `json:"server"`
	Dir        string    `json:"dir"`
	Offset     uint64    `json:"offset"`
	Opcode     string    `json:"opcode"`
	Text       *string   `json:"text,omitempty"`
	Data       []byte    `json:"data,omitempty"`
	CloseCode  uint16    `json:"close_code,omitempty"`
	Length     uint64    `json:"length"`
	WireLength uint64    `json:"wire_length"`
	Missing    uint64    `json:"missing,omitempty"`
	Frames     int       `json:"frames"`
	Compressed bool      `json:"compressed,omitempty"`
	Flags      []string  `json:"flags"`
	LastFrame  uint64    `json:"last_frame"`
	End        time.Time `json:"end"`
}

// webSocket prints a message of a WebSocket connection, when it is over.
func (v *jsonMessages) webSocket(m *httpx.WebSocketMessage) error {
	j := &jsonWebSocket{
		Kind: "websocket", Stream: m.Conn.Stream, Frame: m.Start.Packet, Time: m.Start.When(), Exchange: m.Exchange.Number,
		Client: m.Conn.Client.String(), Server: m.Conn.Server.String(), Dir: m.Direction.String(), Offset: m.Start.Offset,
		Opcode: m.Opcode.String(), CloseCode: m.CloseCode, Length: m.Length, WireLength: m.WireLength, Missing: m.Missing,
		Frames: m.Frames, Compressed: m.Compressed, Flags: m.Flags.Strings(), LastFrame: m.End.Packet, End: m.End.When(),
	}
	said := m.Data
	if m.CloseCode != 0 {
		said = said[2:]
	}
	if text := string(said); m.Opcode != httpx.OpBinary && utf8.ValidString(text) {
		j.Text = &text
	} else {
		j.Data = said
	}
	return v.enc.Encode(j)
}
