package httpx

import (
	"strings"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Opcode is the kind of a WebSocket message (RFC 6455 §11.8).
type Opcode uint8

// The kinds of message.
const (
	OpContinuation Opcode = 0 // data whose first frame is missing
	OpText         Opcode = 1
	OpBinary       Opcode = 2
	OpClose        Opcode = 8
	OpPing         Opcode = 9
	OpPong         Opcode = 10
)

// String returns the kind in one word.
func (o Opcode) String() string {
	switch o {
	case OpContinuation:
		return "continuation"
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpClose:
		return "close"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return "reserved"
}

// control reports whether it is the kind of a control frame.
func (o Opcode) control() bool { return o >= 8 }

// reserved reports whether no meaning is assigned to it.
func (o Opcode) reserved() bool { return o > OpPong || o > OpBinary && o < OpClose }

// WebSocketMessage is a message of a WebSocket connection, or a control frame.
type WebSocketMessage struct {
	// Conn is where it was found.
	Conn *ConnInfo
	// Exchange is the one that the connection began with.
	Exchange *Exchange
	// Direction is who sent it.
	Direction packet.Direction
	Opcode    Opcode
	// Start is the place of its first byte. End is behind its last byte, and names the frame that carried that.
	Start, End Place
	// Frames is the number of WebSocket frames that it came in.
	Frames int
	// Compressed says that permessage-deflate was applied (RFC 7692).
	Compressed bool
	// Data is what was said, unmasked and decompressed, as far as Limits.Body allows; holes are left out. Owned by the
	// callback's receiver.
	Data []byte
	// Length is the length of what was said, Missing how many bytes more are missing before decompression.
	Length, Missing uint64
	// WireLength is the number of bytes on the wire, with the headers of frames.
	WireLength uint64
	// CloseCode is the code of a Close that has one, 0 otherwise; the reason follows it in Data, from the third byte on.
	CloseCode uint16
	// Flags say what is odd about it: those for gaps, limits, frames, masks, text and decompression.
	Flags Flags
}

// deflation is what the sides of a connection agreed on for permessage-deflate.
type deflation struct {
	on    bool
	fresh [2]bool // by who sends: every message starts with an empty window
}

// negotiated reads what a response says of permessage-deflate (RFC 7692 §7); the first offer that it takes counts.
func negotiated(m *Message, client packet.Direction) (d deflation) {
	for i := range m.Header {
		f := &m.Header[i]
		if !strings.EqualFold(f.Name, "sec-websocket-extensions") {
			continue
		}
		for offer := range strings.SplitSeq(f.Value, ",") {
			name, params, _ := strings.Cut(offer, ";")
			if !strings.EqualFold(strings.Trim(name, " \t"), "permessage-deflate") {
				continue
			}
			d.on = true
			for p := range strings.SplitSeq(params, ";") {
				switch p, _, _ = strings.Cut(strings.Trim(p, " \t"), "="); strings.ToLower(strings.TrimRight(p, " \t")) {
				case "client_no_context_takeover":
					d.fresh[client] = true
				case "server_no_context_takeover":
					d.fresh[client.Reverse()] = true
				}
			}
			return d
		}
	}
	return d
}
