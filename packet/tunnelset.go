package packet

// TunnelSet is a set of tunnels.
type TunnelSet uint32

// The tunnels that a [Decoder] can enter.
const (
	TunnelIP     TunnelSet = 1 << iota // IPv4 or IPv6 directly in IP: IP-in-IP, 6in4, 4in6 (RFC 2003, 4213, 2473)
	TunnelGRE                          // GRE with IP, Ethernet, MPLS, PPP (RFC 2784, 2890, 1701, 2637, 7637)
	TunnelERSPAN                       // ERSPAN I, II and III in GRE
	TunnelVXLAN                        // VXLAN on UDP ports 4789 and 8472, VXLAN-GPE on 4790 (RFC 7348)
	TunnelGeneve                       // Geneve on UDP port 6081 (RFC 8926)
	TunnelGTP                          // GTP-U version 1 on UDP port 2152 (3GPP TS 29.281)
	TunnelL2TP                         // L2TP version 2 data on UDP port 1701 (RFC 2661), version 3 over IP (RFC 3931)
	TunnelTeredo                       // Teredo on UDP port 3544 (RFC 4380)
	TunnelCAPWAP                       // CAPWAP data on UDP port 5247, unencrypted and unfragmented (RFC 5415)
	TunnelTZSP                         // TaZmen sniffer protocol on UDP port 37008
	TunnelMPLS                         // MPLS directly in IP (RFC 4023), and on UDP port 6635 (RFC 7510)
	TunnelEther                        // Ethernet directly in IP: EtherIP (RFC 3378), protocol 143 (RFC 8986)

	// AllTunnels is every tunnel.
	AllTunnels TunnelSet = 1<<iota - 1
	// NoTunnels is the set without a tunnel, where the zero TunnelSet would mean all.
	NoTunnels TunnelSet = 1 << 31
)

// Has reports whether all of want are in the set.
func (t TunnelSet) Has(want TunnelSet) bool { return t&want == want }
