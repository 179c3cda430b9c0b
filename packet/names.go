package packet

import (
	"fmt"
	"strings"
)

// LinkTypes returns the link types that a [Decoder] understands, in order of their numbers.
func LinkTypes() []LinkType {
	return []LinkType{
		LinkNull, LinkEthernet, LinkPPP, LinkRawBSD, LinkRawOpenBSD, LinkPPPSerial, LinkPPPoE, LinkATM, LinkRaw,
		LinkCiscoHDLC, LinkWiFi, LinkLoop, LinkSLL, LinkPFLog, LinkPrism, LinkRadiotap, LinkAVS, LinkPPPD, LinkPPI,
		LinkPPPWithDir, LinkMPLS, LinkIPv4, LinkIPv6, LinkNFLog, LinkPktap, LinkSLL2,
	}
}

// tunnelNames returns the names of the members of a [TunnelSet], lowest first.
func tunnelNames() [12]string {
	return [...]string{
		"ip", "gre", "erspan", "vxlan", "geneve", "gtp", "l2tp", "teredo", "capwap", "tzsp", "mpls", "ether",
	}
}

// Tunnels returns the sets of one tunnel each.
func Tunnels() []TunnelSet {
	var list []TunnelSet
	for t := TunnelSet(1); t&AllTunnels != 0; t <<= 1 {
		list = append(list, t)
	}
	return list
}

// String returns the names of the set's tunnels, separated by commas, "all" or "none".
func (t TunnelSet) String() string {
	switch {
	case t == 0, t.Has(AllTunnels):
		return "all"
	case t&AllTunnels == 0:
		return "none"
	}
	var names []string
	for i, name := range tunnelNames() {
		if t&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// ParseTunnels is the inverse of [TunnelSet.String]. A name with "-" in front takes a tunnel out; what comes first, or
// else all, is what it is taken out of: "-gre,-erspan".
func ParseTunnels(s string) (TunnelSet, error) {
	set := TunnelSet(0)
	for i, word := range strings.Split(s, ",") {
		name, minus := strings.CutPrefix(strings.TrimSpace(word), "-")
		var one TunnelSet
		switch name {
		case "all":
			one = AllTunnels
		case "none":
			continue
		default:
			for bit, known := range tunnelNames() {
				if name == known {
					one = 1 << bit
				}
			}
		}
		switch {
		case one == 0:
			return 0, fmt.Errorf("unknown tunnel %q; known are %s", name, strings.Join(tunnelNamesSlice(), ", "))
		case minus && i == 0:
			set = AllTunnels &^ one
		case minus:
			set &^= one
		default:
			set |= one
		}
	}
	if set == 0 {
		return NoTunnels, nil
	}
	return set, nil
}

func tunnelNamesSlice() []string {
	names := tunnelNames()
	return names[:]
}
