package packet

import "strconv"

// MaxLayers is the most headers of one frame that are entered; a frame that nests deeper is undecodable.
const MaxLayers = 16

// LayerKind names a kind of header.
type LayerKind uint8

// The headers that are told apart. LayerNone is the zero value: no header.
const (
	LayerNone LayerKind = iota
	LayerEthernet
	LayerVLAN // an 802.1Q, 802.1ad or QinQ tag; ID is the VLAN id
	LayerVNTag
	LayerLLC // IEEE 802.2 LLC, with SNAP if present
	LayerSLL
	LayerSLL2
	LayerLoopback // BSD NULL and LOOP
	LayerPPP      // ID is the PPP protocol
	LayerHDLC
	LayerPPPoE // ID is the session id
	LayerMPLS  // a whole label stack; ID is the bottom label
	LayerWiFi
	LayerRadiotap
	LayerPPI
	LayerPrism
	LayerAVS
	LayerNFLog
	LayerPFLog
	LayerPktap
	LayerIPv4
	LayerIPv6
	LayerExtension // an IPv6 extension header; ID is its protocol number
	LayerAH        // ID is the security parameter index
	LayerFragment  // an IPv6 fragment header; ID is the identification
	LayerTCP
	LayerUDP
	LayerICMP   // ICMP and ICMPv6
	LayerGRE    // ID is the key; NVGRE has its virtual subnet in the upper 24 bits
	LayerPPTP   // GRE version 1; ID is the call id
	LayerERSPAN // ID is the session id
	LayerVXLAN  // ID is the VNI; VXLAN-GPE too
	LayerGeneve // ID is the VNI
	LayerGTP    // ID is the TEID
	LayerL2TP   // ID is tunnel id << 16 | session id, or the session id in version 3
	LayerTeredo
	LayerCAPWAP
	LayerTZSP
	LayerEtherIP

	numLayerKinds = iota
)

// String returns the header's usual name.
func (k LayerKind) String() string {
	names := [numLayerKinds]string{
		"none", "Ethernet", "VLAN", "VN-Tag", "LLC", "SLL", "SLL2", "loopback", "PPP", "HDLC", "PPPoE", "MPLS",
		"802.11", "radiotap", "PPI", "Prism", "AVS", "NFLOG", "PFLOG", "PKTAP", "IPv4", "IPv6", "IPv6 extension", "AH",
		"IPv6 fragment", "TCP", "UDP", "ICMP", "GRE", "PPTP", "ERSPAN", "VXLAN", "Geneve", "GTP-U", "L2TP", "Teredo", "CAPWAP",
		"TZSP", "EtherIP",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return "layer kind " + strconv.Itoa(int(k))
}

func (k LayerKind) isTunnel() bool { return k >= LayerGRE && k <= LayerEtherIP }

func (k LayerKind) isIP() bool { return k == LayerIPv4 || k == LayerIPv6 }

// Layer is one header of a frame.
type Layer struct {
	// ID is what the header identifies: see the LayerKind; 0 if it identifies nothing.
	ID uint32
	// Offset is where the header starts, in bytes from the start of the frame, or of the reassembled datagram for
	// headers that [Decoder.DecodeDatagram] found.
	Offset uint32
	// Kind says which header it is.
	Kind LayerKind
}

// Layers returns the headers in the frame, outermost first; the last one is where decoding ended, or failed.
// Borrowed: valid until the next Decode into p.
func (p *Packet) Layers() []Layer { return p.layers[:p.nlayers] }

// AppendVLANs appends the VLAN ids of all tags in the frame to dst, outermost first, those inside tunnels included.
func (p *Packet) AppendVLANs(dst []uint16) []uint16 {
	for _, l := range p.Layers() {
		if l.Kind == LayerVLAN {
			dst = append(dst, uint16(l.ID))
		}
	}
	return dst
}

// VLAN returns the id of the outermost VLAN tag, 0 if there is none.
func (p *Packet) VLAN() uint16 {
	for _, l := range p.Layers() {
		if l.Kind == LayerVLAN {
			return uint16(l.ID)
		}
	}
	return 0
}

// Tunnel returns the kind of the innermost tunnel header, LayerNone if the packet is not tunnelled in IP. It is
// LayerIPv4 or LayerIPv6, that of the outer header, where no header of its own marks the tunnel.
func (p *Packet) Tunnel() LayerKind { return p.tunnel().Kind }

// TunnelID returns the ID of the innermost tunnel header: VNI, TEID, GRE key, …; 0 if it has none.
func (p *Packet) TunnelID() uint32 {
	if l := p.tunnel(); l.Kind.isTunnel() {
		return l.ID
	}
	return 0
}

// tunnel returns the header that carries the innermost IP header, if that is not a link layer.
func (p *Packet) tunnel() Layer {
	layers := p.Layers()
	i := len(layers) - 1
	for i >= 0 && !layers[i].Kind.isIP() {
		i--
	}
	for i--; i >= 0; i-- {
		if k := layers[i].Kind; k.isTunnel() || k.isIP() {
			return layers[i]
		}
	}
	return Layer{}
}

// OuterKey returns the key of the outermost IP header, as sent, with its ports if that tunnel runs over UDP, and
// whether there is one: false when the packet is not tunnelled in IP, and Key is all there is.
func (p *Packet) OuterKey() (FlowKey, bool) {
	if p.ips < 2 {
		return FlowKey{}, false
	}
	return p.outer, true
}
