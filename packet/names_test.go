package packet_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet"
)

func TestParseTunnels(t *testing.T) {
	for text, want := range map[string]packet.TunnelSet{
		"all":              packet.AllTunnels,
		"none":             packet.NoTunnels,
		"gre":              packet.TunnelGRE,
		"gre,vxlan":        packet.TunnelGRE | packet.TunnelVXLAN,
		"-gre":             packet.AllTunnels &^ packet.TunnelGRE,
		"-gre, -ether":     packet.AllTunnels &^ packet.TunnelGRE &^ packet.TunnelEther,
		"ip,mpls,-ip":      packet.TunnelMPLS,
		"gre,-gre":         packet.NoTunnels,
		"tzsp,capwap,all ": packet.AllTunnels,
	} {
		t.Run(text, func(t *testing.T) {
			got, err := packet.ParseTunnels(text)
			require.NoError(t, err)
			require.Equal(t, want, got)
			again, err := packet.ParseTunnels(got.String())
			require.NoError(t, err)
			require.Equal(t, got, again)
			_, err = packet.NewDecoder(&packet.DecoderConfig{Tunnels: got})
			require.NoError(t, err)
		})
	}
	for _, bad := range []string{"", "foo", "gre,,vxlan", "-"} {
		_, err := packet.ParseTunnels(bad)
		require.Error(t, err, bad)
	}
}

func TestTunnelsHaveNames(t *testing.T) {
	var all packet.TunnelSet
	for _, one := range packet.Tunnels() {
		back, err := packet.ParseTunnels(one.String())
		require.NoError(t, err)
		require.Equal(t, one, back)
		all |= one
	}
	require.Equal(t, packet.AllTunnels, all)
}

func TestLinkTypesAreUnderstood(t *testing.T) {
	d, err := packet.NewDecoder(nil)
	require.NoError(t, err)
	known := map[packet.LinkType]bool{}
	for _, l := range packet.LinkTypes() {
		require.NotContains(t, l.String(), "link type", "a name")
		known[l] = true
	}
	var p packet.Packet
	for l := range packet.LinkType(400) {
		d.Decode(&packet.Frame{Link: l, Data: make([]byte, 200), Length: 200}, &p)
		require.Equal(t, known[l], p.Status != packet.UnknownLink, "%v", l)
	}
}
