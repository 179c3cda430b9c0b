package packet

import "strconv"

// Status says what a [Decoder] found in a frame. It is an error too, so that errors.Is(p.Err(), packet.TruncatedIP)
// works; OK, NotIP and Fragment are never returned as one.
type Status uint8

// The outcomes of decoding. All from UnknownLink on mean that the frame is undecodable.
const (
	OK                 Status = iota // an IP packet with a whole transport header, or of another protocol than TCP and UDP
	NotIP                            // a whole frame that holds no readable IP: ARP, LLDP, spanning tree, encrypted 802.11, …
	Fragment                         // an IP fragment that a Defragmenter may complete
	UnknownLink                      // a link type that is not understood
	TruncatedLink                    // the frame ends within a header below IP
	BadLink                          // a header below IP whose version or lengths make no sense
	TruncatedIP                      // the frame ends within the IP header, its options or extension headers
	BadIPVersion                     // what is announced as IP has another version number
	BadIPHeader                      // an IP header, or an extension header, whose lengths make no sense
	TruncatedTransport               // the frame ends within the 20 bytes of a TCP header, or the 8 of UDP
	BadTCPHeader                     // a data offset below 5 or beyond the segment, or a segment too short for a header
	BadUDPHeader                     // a UDP length below 8, or a datagram too short for a header
	TruncatedTunnel                  // the frame ends within a tunnel header
	BadTunnel                        // a tunnel header whose lengths make no sense
	TooDeep                          // more than MaxLayers headers

	numStatus = iota
)

// String says in plain words what was found.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case NotIP:
		return "not IP"
	case Fragment:
		return "IP fragment"
	case UnknownLink:
		return "unknown link type"
	case TruncatedLink:
		return "truncated link-layer header"
	case BadLink:
		return "bad link-layer header"
	case TruncatedIP:
		return "truncated IP header"
	case BadIPVersion:
		return "bad IP version"
	case BadIPHeader:
		return "bad IP header"
	case TruncatedTransport:
		return "truncated transport header"
	case BadTCPHeader:
		return "bad TCP header"
	case BadUDPHeader:
		return "bad UDP header"
	case TruncatedTunnel:
		return "truncated tunnel header"
	case BadTunnel:
		return "bad tunnel header"
	case TooDeep:
		return "too many nested headers"
	}
	return "status " + strconv.Itoa(int(s))
}

// Error returns the same as String.
func (s Status) Error() string { return s.String() }

// Undecodable reports whether the frame could not be decoded.
func (s Status) Undecodable() bool { return s >= UnknownLink }

// ChecksumState is the verdict on a TCP checksum.
type ChecksumState uint8

// The verdicts. Only ChecksumBad rejects a segment.
const (
	ChecksumUnchecked ChecksumState = iota // verification is off, or the segment was not captured whole
	ChecksumGood                           // right
	ChecksumOffloaded                      // wrong, but the capture looks as if the sender's network card had yet to fill it in
	ChecksumBad                            // wrong

	numChecksums = iota
)

// String returns "unchecked", "good", "offloaded" or "bad".
func (c ChecksumState) String() string {
	switch c {
	case ChecksumUnchecked:
		return "unchecked"
	case ChecksumGood:
		return "good"
	case ChecksumOffloaded:
		return "offloaded"
	case ChecksumBad:
		return "bad"
	}
	return "checksum state " + strconv.Itoa(int(c))
}
