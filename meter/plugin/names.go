package plugin

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet"
)

type dhcp struct{ base }

// The columns of DHCP.
const (
	dhcpHostName = iota
	dhcpAddress
	dhcpParameters
	dhcpMaxSize
	dhcpVendor
	dhcpUser
	dhcpOptions
	dhcpClient
	dhcpType
	dhcpOUI
)

// DHCP returns a plugin with what DHCP clients say of themselves: NFStream's columns, named by the numbers of options (RFC
// 2132). Each has the first value that came; NFStream fills some of them for requests only.
func DHCP() meter.Plugin { return dhcp{} }

// Columns implements [meter.Plugin].
func (dhcp) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{
		{Name: "dhcp_12", Type: meter.Text},
		{Name: "dhcp_50", Type: meter.Text},
		{Name: "dhcp_55", Type: meter.Text},
		{Name: "dhcp_57", Type: meter.Uint64},
		{Name: "dhcp_60", Type: meter.Text},
		{Name: "dhcp_77", Type: meter.Text},
		{Name: "dhcp_options", Type: meter.Int64List},
		{Name: "dhcp_addr", Type: meter.Text},
		{Name: "dhcp_msg_type", Type: meter.Text},
		{Name: "dhcp_oui", Type: meter.Text},
	}
}

// OnInit implements [meter.Plugin].
func (d dhcp) OnInit(e *meter.Event, f *meter.Flow, r *meter.Row) { d.OnUpdate(e, f, r) }

// OnUpdate implements [meter.Plugin].
func (dhcp) OnUpdate(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	const (
		header = 240
		magic  = 0x63825363
		ports  = 67 + 68
	)
	b := e.Payload()
	if e.Key.Proto() != packet.ProtoUDP || e.Fragment || len(b) < header || b[0] != 1 || binary.BigEndian.Uint32(b[236:]) != magic {
		return
	}
	if e.Key.Src().Port()+e.Key.Dst().Port() != ports && e.Key.Dst().Port() != 67 {
		return
	}
	if addr := netip.AddrFrom4([4]byte(b[12:16])); !addr.IsUnspecified() {
		setOnce(r, dhcpClient, addr.String())
	}
	setOnce(r, dhcpOUI, fmt.Sprintf("%02x:%02x:%02x", b[28], b[29], b[30]))
	var codes []int64
	for o := b[header:]; len(o) >= 2 && o[0] != 255; {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		n := 2 + int(o[1])
		if n > len(o) {
			break
		}
		codes = append(codes, int64(o[0]))
		dhcpOption(r, o[0], o[2:n])
		o = o[n:]
	}
	if !r.Has(dhcpOptions) {
		r.SetInts(dhcpOptions, codes)
	}
}

// dhcpOption keeps an option.
func dhcpOption(r *meter.Row, code byte, v []byte) {
	switch code {
	case 12:
		setOnce(r, dhcpHostName, visible(v))
	case 50:
		if len(v) == 4 {
			setOnce(r, dhcpAddress, netip.AddrFrom4([4]byte(v)).String())
		}
	case 53:
		types := [...]string{"", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}
		if len(v) == 1 && v[0] > 0 && int(v[0]) < len(types) {
			setOnce(r, dhcpType, types[v[0]])
		}
	case 55:
		var list []string
		for _, c := range v {
			list = append(list, strconv.Itoa(int(c)))
		}
		setOnce(r, dhcpParameters, strings.Join(list, ","))
	case 57:
		if len(v) == 2 && !r.Has(dhcpMaxSize) {
			r.SetUint(dhcpMaxSize, uint64(binary.BigEndian.Uint16(v)))
		}
	case 60:
		setOnce(r, dhcpVendor, visible(v))
	case 77:
		setOnce(r, dhcpUser, visible(v))
	}
}

func setOnce(r *meter.Row, column int, v string) {
	if !r.Has(column) {
		r.SetText(column, v)
	}
}

// visible returns a text with "?" for what is not visible ASCII.
func visible(b []byte) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f {
			return '?'
		}
		return c
	}, strings.TrimRight(string(b), "\x00"))
}

type mdns struct{ base }

type pointers struct{ names []string }

// maxPointers is how many names of a flow are kept.
const maxPointers = 1000

// MDNS returns a plugin with the targets of PTR records in multicast DNS, apart by commas: NFStream's MDNS.
func MDNS() meter.Plugin { return mdns{} }

// Columns implements [meter.Plugin].
func (mdns) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{{Name: "mdns_ptr", Type: meter.Text}}
}

// OnInit implements [meter.Plugin].
func (m mdns) OnInit(e *meter.Event, f *meter.Flow, r *meter.Row) { m.OnUpdate(e, f, r) }

// OnUpdate implements [meter.Plugin].
func (mdns) OnUpdate(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	const port = 5353
	if e.Key.Proto() != packet.ProtoUDP || e.Fragment || e.Key.Src().Port() != port && e.Key.Dst().Port() != port {
		return
	}
	var p dnsmessage.Parser
	if _, err := p.Start(e.Payload()); err != nil || p.SkipAllQuestions() != nil {
		return
	}
	s := state[pointers](r)
	for len(s.names) < maxPointers {
		h, err := p.AnswerHeader()
		if err != nil {
			return
		}
		if h.Type != dnsmessage.TypePTR {
			if p.SkipAnswer() != nil {
				return
			}
			continue
		}
		ptr, err := p.PTRResource()
		if err != nil {
			return
		}
		s.names = append(s.names, visible([]byte(strings.TrimSuffix(ptr.PTR.String(), "."))))
	}
}

// OnExpire implements [meter.Plugin].
func (mdns) OnExpire(_ *meter.Flow, r *meter.Row) {
	if s := state[pointers](r); len(s.names) > 0 {
		r.SetText(0, strings.Join(s.names, ","))
	}
}
