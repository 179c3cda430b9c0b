package packet

// Status says what a [Decoder] found in a frame.
type Status uint8

// The outcomes of decoding. All from UnknownLink on mean that the frame is undecodable.
const (
	OK            Status = iota // an IP packet with a whole transport header, or of another protocol than TCP and UDP
	NotIP                       // a whole frame that holds no IP: ARP, LLDP, spanning tree, …
	Fragment                    // an IP fragment that a Defragmenter may complete
	UnknownLink                 // a link type that is not understood
	TruncatedLink               // the frame ends within a link-layer header
)

// ChecksumState is the verdict on a TCP checksum.
type ChecksumState uint8

// The verdicts. Only ChecksumBad rejects a segment.
const (
	ChecksumUnchecked ChecksumState = iota
	ChecksumGood
	ChecksumOffloaded // wrong, but the capture looks as if the sender's network card had yet to fill it in
	ChecksumBad
)

// MaxLayers is the most headers of one frame that are entered; a frame that nests deeper is undecodable.
const MaxLayers = 16

// Layer is one header that was passed on the way to the transport header.
type Layer struct {
	Kind   uint8
	Offset uint16
}
