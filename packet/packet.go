package packet

import "strings"

// IP protocol numbers that the decoder knows by name.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

// TCPFlags are the nine flag bits of a TCP header, FIN lowest (RFC 9293 §3.1).
type TCPFlags uint16

// The TCP flags.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// Has reports whether all of want are set.
func (f TCPFlags) Has(want TCPFlags) bool { return f&want == want }

// String lists the set flags, as in "SYN|ACK".
func (f TCPFlags) String() string {
	names := [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"}
	var set []string
	for i, n := range names {
		if f&(1<<i) != 0 {
			set = append(set, n)
		}
	}
	return strings.Join(set, "|")
}

// TCP is one TCP segment, with what its capture knows of it.
type TCP struct {
	// Payload is the data as captured. Borrowed: it lies in the frame's buffer.
	Payload []byte
	// Options are the raw header options, as captured. Borrowed.
	Options []byte
	// Time is the capture time, in nanoseconds since the Unix epoch.
	Time int64
	// Number is the frame number, from 1.
	Number uint64
	// Seq and Ack are the sequence and acknowledgement number; Ack is valid when Flags has ACK.
	Seq, Ack uint32
	// Missing is how many payload bytes were on the wire behind Payload and were not captured.
	Missing uint32
	// Flags are the header's flag bits.
	Flags TCPFlags
	// Window is the receive window, unscaled.
	Window uint16
	// Urgent is the urgent pointer, valid when Flags has URG.
	Urgent uint16
}

// Packet is what a [Decoder] makes of one frame. The caller owns it and reuses it: every Decode overwrites all of it.
type Packet struct {
	// Key is the innermost flow key, as sent; valid iff Status is OK. Its ports are 0 unless Proto is TCP or UDP.
	Key FlowKey
	// TCP is the segment; valid iff IsTCP.
	TCP TCP
	// Payload is the transport payload: that of TCP or UDP, else all that follows the IP header.
	// Borrowed: it aliases the frame and is valid only until the source is read again.
	Payload []byte
	// Missing is how many payload bytes were on the wire behind Payload and were not captured.
	Missing uint32
	// Time and Number are the frame's.
	Time   int64
	Number uint64
	// Status says whether the frame could be decoded, and if not, why.
	Status Status
	// Proto is the innermost IP protocol; valid iff Status is OK or Fragment.
	Proto uint8
	// Checksum is the verdict on the TCP checksum; valid iff IsTCP.
	Checksum ChecksumState
	// Offset is the byte in the frame at which decoding stopped, for messages; valid iff Status is neither OK nor NotIP.
	Offset uint32

	layers  [MaxLayers]Layer
	nlayers uint8
}

// IsTCP reports whether the packet holds a whole TCP header.
func (p *Packet) IsTCP() bool { return p.Status == OK && p.Proto == ProtoTCP }
