package plugin

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the definition says so
	"encoding/base64"
	"encoding/binary"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet"
)

type community struct {
	base
	seed uint16
}

// CommunityID returns a plugin with the Community ID of each flow, version 1, as other tools print it.
func CommunityID(seed uint16) meter.Plugin { return &community{seed: seed} }

// Columns implements [meter.Plugin].
func (*community) Columns() []meter.PluginColumn {
	return []meter.PluginColumn{{Name: "community_id", Type: meter.Text}}
}

// OnInit implements [meter.Plugin].
func (c *community) OnInit(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	src, dst := e.Key.Src(), e.Key.Dst()
	from, to := src.Port(), dst.Port()
	oneWay := false
	switch proto, at := e.Key.Proto(), int(e.Transport); {
	case proto == packet.ProtoICMP || proto == packet.ProtoICMPv6:
		from, to, oneWay = icmpPorts(e.Packet, proto)
	case proto == protoSCTP && len(e.IP) >= at+4: // whose ports are no part of a flow
		from, to = binary.BigEndian.Uint16(e.IP[at:]), binary.BigEndian.Uint16(e.IP[at+2:])
	}
	a, b := src.Addr().AsSlice(), dst.Addr().AsSlice()
	if order := bytes.Compare(a, b); !oneWay && (order > 0 || order == 0 && from > to) {
		a, b, from, to = b, a, to, from
	}
	data := binary.BigEndian.AppendUint16(nil, c.seed)
	data = append(append(data, a...), b...)
	data = append(data, e.Key.Proto(), 0)
	if ported(e.Key.Proto()) {
		data = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(data, from), to)
	}
	sum := sha1.Sum(data) //nolint:gosec // see above
	r.SetText(0, "1:"+base64.StdEncoding.EncodeToString(sum[:]))
}

const protoSCTP = 132

// ported reports whether ports are part of the id.
func ported(proto uint8) bool {
	switch proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMP, packet.ProtoICMPv6, protoSCTP:
		return true
	}
	return false
}

// icmpPorts returns what stands for the ports: the type, and that of the answer, or the code of a message without answer.
func icmpPorts(p *meter.Packet, proto uint8) (from, to uint16, oneWay bool) {
	at := int(p.Transport)
	if len(p.IP) < at+2 {
		return 0, 0, true
	}
	kind, code := p.IP[at], p.IP[at+1]
	pairs := [][2]uint8{{8, 0}, {13, 14}, {15, 16}, {17, 18}, {10, 9}}
	if proto == packet.ProtoICMPv6 {
		pairs = [][2]uint8{{128, 129}, {133, 134}, {135, 136}, {130, 131}, {139, 140}, {144, 145}}
	}
	for _, pair := range pairs {
		switch kind {
		case pair[0]:
			return uint16(kind), uint16(pair[1]), false
		case pair[1]:
			return uint16(kind), uint16(pair[0]), false
		}
	}
	return uint16(kind), uint16(code), true
}
