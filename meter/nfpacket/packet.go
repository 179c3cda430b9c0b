// Package nfpacket decodes frames the way NFStream 6.6.0 does: which packets count, and their numbers, quirks included.
//
// The rules are NFStream's alone and are kept in this package: the EtherType does not gate IP, fragments are told on some
// links only, three tunnels over IPv4 are entered, IPv6 that was cut by the snapshot length does not count. Package packet
// does it right.
package nfpacket

import "github.com/tcpfollow/tcpfollow/packet"

// Packet is all that a flow meter needs to know of a packet. The caller owns it and reuses it: every Decode overwrites
// all of it.
type Packet struct {
	// Key is the 5-tuple as sent, with the VLAN id and the kind of tunnel.
	Key packet.FlowKey
	// Time is the capture time, in nanoseconds since the Unix epoch; it may be negative.
	Time int64
	// Number is the frame number, from 1.
	Number uint64
	// IP is the packet from its innermost IP header to the end of the captured frame, padding included. Borrowed: valid
	// until the source is read again.
	IP []byte
	// Sizes are the packet's sizes in bytes, by [Accounting].
	Sizes [4]uint32
	// SrcMAC and DstMAC are the hardware addresses, zero on links that have none.
	SrcMAC, DstMAC MAC
	// Transport is where in IP the transport header starts; it may lie beyond what was captured.
	Transport uint32
	// Flags are the lower eight flags of TCP; 0 for all else.
	Flags packet.TCPFlags
	// Fragment tells that this is an IP fragment other than the first, whose payload starts anywhere. Never set by Decode,
	// which does not count them where it can tell.
	Fragment bool
}

// Payload returns the transport payload as captured, nil for protocols other than TCP, UDP, ICMP and ICMPv6. Borrowed.
func (p *Packet) Payload() []byte {
	start := int(p.Transport) + int(p.Sizes[TransportSize]) - int(p.Sizes[PayloadSize])
	if start >= len(p.IP) {
		return nil
	}
	return p.IP[start:min(len(p.IP), start+int(p.Sizes[PayloadSize]))]
}

// Accounting says which size of a packet counts, in NFStream's numbers.
type Accounting uint8

// The sizes of a packet.
const (
	RawSize       Accounting = iota // the frame on the wire, modulo 65536
	IPSize                          // the IP packet with its header
	TransportSize                   // the transport header and payload; 0 but for TCP, UDP, ICMP and ICMPv6
	PayloadSize                     // the transport payload; 0 but for TCP, UDP, ICMP and ICMPv6
)

// MAC is a hardware address.
type MAC [6]byte

// AppendText appends the address as "00:0c:29:3e:a1:7b". It never fails.
func (m MAC) AppendText(b []byte) ([]byte, error) {
	const digits = "0123456789abcdef"
	for i, c := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b, nil
}

// String returns what AppendText appends.
func (m MAC) String() string {
	b, _ := m.AppendText(nil)
	return string(b)
}

// Kinds of tunnels, as they are part of Packet.Key.
const (
	TunnelNone   = 0
	TunnelGTP    = 1 // GTP-U
	TunnelCAPWAP = 2 // CAPWAP data
	TunnelTZSP   = 3 // TZSP
)
