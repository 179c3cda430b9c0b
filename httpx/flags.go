package httpx

import "math/bits"

// Flags say what is odd about a message: a set of bits.
type Flags uint64

// The flags. Those of HTTP/1 syntax name what RFC 9110 and RFC 9112 do not allow, or leave to choose.
const (
	FlagGap           Flags = 1 << iota // bytes of it are missing
	FlagTruncated                       // it ended before its framing said so
	FlagSkipped                         // bytes in front of it belong to no message
	FlagPairing                         // which request and response belong together is a guess
	FlagEarly                           // the response started before its request was over
	FlagTunnel                          // inside of a CONNECT tunnel
	FlagUpgrade                         // the connection was turned into something else behind it
	FlagPushed                          // the response was pushed by the server
	FlagStateLost                       // header fields are missing, since the state of their compression was lost
	FlagLookalike                       // not HTTP, but written like it: ICY, RTSP
	FlagHTTP09                          // HTTP/0.9: no version, no header
	FlagBadStart                        // the start line has an odd form
	FlagBadMethod                       // the method holds other than token characters
	FlagBadTarget                       // the target holds blanks or control bytes
	FlagBadEscape                       // a percent sign in the target that starts no escape
	FlagBadVersion                      // the version is not of the form HTTP/d.d
	FlagBadStatus                       // the status is not three digits
	FlagBareLF                          // lines end without CR
	FlagBareCR                          // CR within a line
	FlagControl                         // control bytes in the header
	FlagFold                            // a header field is continued on the next line
	FlagBlank                           // blanks between a field's name and its colon
	FlagNoColon                         // a header line without a colon
	FlagBadName                         // a field name that is empty, or holds other than token characters
	FlagNoHost                          // HTTP/1.1 request without Host
	FlagHosts                           // several Host fields
	FlagHostTarget                      // Host and the target name different hosts
	FlagLengths                         // Content-Length with different values
	FlagLengthTwice                     // Content-Length more than once, with the same value
	FlagBadLength                       // Content-Length that is no plain number
	FlagLengthChunked                   // both Content-Length and Transfer-Encoding
	FlagBadTransfer                     // Transfer-Encoding that is unknown, repeated, misspelt, or not ended by chunked
	FlagTransfer10                      // Transfer-Encoding in HTTP/1.0
	FlagChunkExt                        // chunk extensions
	FlagBadChunk                        // chunk sizes or ends that make no sense, or are written oddly
	FlagForbidden                       // framing fields where they are not allowed, as Content-Length in a 204
	FlagTrailing                        // bytes behind the message belong to no message; set when they come, which may be after its exchange
	FlagLimit                           // something of it was dropped, or left coded, because of a limit
	FlagBodyCut                         // Message.Body is not all of the body, because of a limit
	FlagBomb                            // the body was cut, for it grew too much in decoding
	FlagBadCoding                       // the body could not be decoded to its end
	FlagUnknownCoding                   // the body has a coding that is not understood, and is left as it is
	FlagReset                           // its HTTP/2 stream was reset
	FlagBodyLength                      // the body is not as long as Content-Length says, in HTTP/2
	FlagBadFrame                        // a frame of it is malformed
	FlagBadMask                         // a WebSocket client that does not mask, or a server that does
	FlagBadText                         // WebSocket text that is not UTF-8
	numFlags          = iota
)

// flagNames are the words for the flags, as the JSON output has them.
func flagNames() [numFlags]string {
	return [...]string{
		"gap", "truncated", "skipped", "pairing", "early", "tunnel", "upgrade", "pushed", "state_lost", "lookalike", "http09",
		"bad_start", "bad_method", "bad_target", "bad_escape", "bad_version", "bad_status", "bare_lf", "bare_cr", "control", "fold",
		"blank_before_colon", "no_colon", "bad_name", "no_host", "hosts", "host_target", "cl_conflict", "cl_twice", "bad_cl", "cl_te",
		"bad_te", "te_http10", "chunk_ext", "bad_chunk", "forbidden_framing", "trailing", "limit", "body_cut", "bomb", "bad_coding",
		"unknown_coding", "reset", "body_length", "bad_frame", "bad_mask", "bad_text",
	}
}

// Has reports whether all of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// Strings returns the flags in words, in a fixed order; none is an empty list.
func (f Flags) Strings() []string {
	names := flagNames()
	list := make([]string, 0, bits.OnesCount64(uint64(f)))
	for ; f != 0; f &= f - 1 {
		if i := bits.TrailingZeros64(uint64(f)); i < len(names) {
			list = append(list, names[i])
		}
	}
	return list
}
