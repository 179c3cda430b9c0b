package tcpfollow

import (
	"github.com/google/gopacket"

	"github.com/tcpfollow/tcpfollow/packet"
)

// linkTypeOf returns the link type of a packet that starts with layer. Names serve because importing gopacket's layers
// for their numbers would cost every program 1.8 MB.
func linkTypeOf(layer gopacket.LayerType) (packet.LinkType, bool) {
	switch layer.String() {
	case "Ethernet":
		return packet.LinkEthernet, true
	case "IPv4", "IPv6":
		return packet.LinkRaw, true
	case "Loopback":
		return packet.LinkNull, true
	case "Linux SLL":
		return packet.LinkSLL, true
	case "Linux SLL2":
		return packet.LinkSLL2, true
	case "PPP":
		return packet.LinkPPP, true
	case "Dot11":
		return packet.LinkWiFi, true
	case "RadioTap":
		return packet.LinkRadiotap, true
	case "PFLog":
		return packet.LinkPFLog, true
	}
	return 0, false
}

// frameOf turns a packet back into the frame that it was decoded from.
func (f *TCPStreamFollower) frameOf(pdu gopacket.Packet) (packet.Frame, bool) {
	layers := pdu.Layers()
	if len(layers) == 0 {
		return packet.Frame{}, false
	}
	link, ok := linkTypeOf(layers[0].LayerType())
	if !ok {
		return packet.Frame{}, false
	}
	ci := pdu.Metadata().CaptureInfo
	fr := packet.Frame{Data: pdu.Data(), Length: ci.Length, Link: link}
	if !ci.Timestamp.IsZero() {
		fr.Time = ci.Timestamp.UnixNano()
	}
	return fr, true
}
