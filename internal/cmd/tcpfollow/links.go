package tcpfollow

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/packet"
)

func newLinks() *cobra.Command {
	return &cobra.Command{
		Use:   "links",
		Short: "List the link types and tunnels that are understood",
		Long: `links prints the link types of captures that are understood, with the numbers
that capture files give them, and the tunnels that are entered, with the names
that --enter-tunnels takes. Inside all of them, VLAN and VN tags, MPLS labels, PPPoE
and LLC/SNAP headers are passed in any nesting.`,
		Example: "  tcpfollow links | grep -i gre",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "NUMBER\tLINK TYPE")
			for _, l := range packet.LinkTypes() {
				fmt.Fprintf(w, "%d\t%v\n", uint32(l), l)
			}
			fmt.Fprintln(w, "\nTUNNEL\tWHAT IS ENTERED")
			for _, t := range packet.Tunnels() {
				fmt.Fprintf(w, "%v\t%s\n", t, tunnelUsage(t))
			}
			return w.Flush()
		},
	}
}

// tunnelUsage says what a tunnel is.
func tunnelUsage(t packet.TunnelSet) string {
	switch t {
	case packet.TunnelIP:
		return "IPv4 or IPv6 in IP: IP-in-IP, 6in4, 4in6"
	case packet.TunnelGRE:
		return "GRE, NVGRE, PPTP"
	case packet.TunnelERSPAN:
		return "ERSPAN I, II, III"
	case packet.TunnelVXLAN:
		return "VXLAN, VXLAN-GPE"
	case packet.TunnelGeneve:
		return "Geneve"
	case packet.TunnelGTP:
		return "GTP-U"
	case packet.TunnelL2TP:
		return "L2TP version 2, and version 3 over IP"
	case packet.TunnelTeredo:
		return "Teredo"
	case packet.TunnelCAPWAP:
		return "CAPWAP data"
	case packet.TunnelTZSP:
		return "TZSP"
	case packet.TunnelMPLS:
		return "MPLS in IP and in UDP"
	case packet.TunnelEther:
		return "EtherIP, and Ethernet in IP"
	default:
		return "?"
	}
}

// layerNames writes the headers of a packet as "Ethernet / VLAN 7 / IPv4 / TCP".
func layerNames(p *packet.Packet) string {
	var b strings.Builder
	for i, l := range p.Layers() {
		if i > 0 {
			b.WriteString(" / ")
		}
		b.WriteString(l.Kind.String())
		if l.ID != 0 {
			fmt.Fprintf(&b, " %d", l.ID)
		}
	}
	return b.String()
}
