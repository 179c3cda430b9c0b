package packet

import "strings"

// IP protocol numbers that users of packets ask for.
const (
	ProtoICMP   = 1  // ICMP for IPv4
	ProtoTCP    = 6  // TCP
	ProtoUDP    = 17 // UDP
	ProtoICMPv6 = 58 // ICMP for IPv6
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
	ECE // RFC 3168
	CWR // RFC 3168
	AE  // accurate ECN (RFC 9768), once NS
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
	// Options are the raw header options, as captured: the snapshot length may have cut them. Borrowed.
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
	// Key is the innermost flow key, as sent; valid iff Status is OK or Fragment. Its ports are 0 unless Status is OK and
	// Proto is TCP or UDP.
	Key FlowKey
	// TCP is the segment; valid iff IsTCP.
	TCP TCP
	// Payload is the transport payload: that of TCP or UDP, else all that follows the IP header; nil iff Status is not OK.
	// Borrowed: it aliases the frame and is valid only until the source is read again.
	Payload []byte
	// Missing is how many payload bytes were on the wire behind Payload and were not captured.
	Missing uint32
	// Offset is the byte in the frame at which decoding stopped, for messages; valid iff Status.Undecodable.
	Offset uint32
	// Time is the frame's capture time, in nanoseconds since the Unix epoch.
	Time int64
	// Number is the frame's number, from 1.
	Number uint64
	// Status says whether the frame could be decoded, and if not, why.
	Status Status
	// Proto is the innermost IP protocol; valid iff Status is OK or Fragment. In IPv6 it is what follows the extension
	// headers, 59 if nothing does.
	Proto uint8
	// Checksum is the verdict on the TCP checksum; valid iff IsTCP.
	Checksum ChecksumState

	ips     uint8 // IP headers accepted
	nlayers uint8
	layers  [MaxLayers]Layer
	outer   FlowKey  // valid iff ips >= 2
	frag    fragment // valid iff Status is Fragment
}

// fragment is what a [Defragmenter] needs to know of an IP fragment; offsets are in bytes from the start of the frame.
type fragment struct {
	id      uint32
	header  uint32 // where the IP header starts
	next    uint32 // where the byte is that names the protocol after the unfragmentable part
	payload uint32 // where the fragment's share of the datagram starts
	end     uint32 // where that ended on the wire
	offset  uint16 // its place in the datagram, in bytes
	more    bool
	layers  uint8 // headers before the IP header
}

// IsTCP reports whether the packet holds a TCP header: its 20 fixed bytes at least, see [TCP.Options].
func (p *Packet) IsTCP() bool { return p.Status == OK && p.Proto == ProtoTCP }
