package appid

import (
	"container/list"
	"errors"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// DatagramConfig says which UDP flows are remembered. The zero value is the default.
type DatagramConfig struct {
	// MaxFlows is the most flows that are known at a time; the one idle for longest makes room. Default 65,536.
	MaxFlows int
	// Idle is how long a flow is remembered without packets, on their clock. Default 3 minutes (RFC 4787 REQ-5).
	Idle time.Duration
}

// Datagrams gathers UDP packets into flows and feeds them to an [Engine]. The sender of a flow's first packet is the
// client. It is not safe for concurrent use.
type Datagrams struct {
	engine  *Engine
	cfg     DatagramConfig
	flows   map[packet.FlowKey]*list.Element
	recent  *list.List // of *datagramFlow, the latest first
	evicted uint64
}

type datagramFlow struct {
	key    packet.FlowKey // canonical
	client packet.FlowKey // as the client sends
	last   int64
	state  *State
}

// NewDatagrams returns an empty set of flows. A nil cfg is the default.
func NewDatagrams(e *Engine, cfg *DatagramConfig) (*Datagrams, error) {
	d := &Datagrams{engine: e, flows: map[packet.FlowKey]*list.Element{}, recent: list.New()}
	if cfg != nil {
		d.cfg = *cfg
	}
	if d.cfg.MaxFlows < 0 || d.cfg.Idle < 0 {
		return nil, errors.New("appid: negative limit of UDP flows")
	}
	if d.cfg.MaxFlows == 0 {
		d.cfg.MaxFlows = 1 << 16
	}
	if d.cfg.Idle == 0 {
		d.cfg.Idle = 3 * time.Minute
	}
	return d, nil
}

// Evicted returns how many flows made room because of DatagramConfig.MaxFlows.
func (d *Datagrams) Evicted() uint64 { return d.evicted }

// Feed looks at a packet. It ignores all but whole UDP datagrams.
func (d *Datagrams) Feed(p *packet.Packet) {
	if p.Status != packet.OK || p.Proto != packet.ProtoUDP || p.Missing > 0 {
		return
	}
	key, _ := p.Key.Canonical()
	at := d.flows[key]
	if at != nil && p.Time-at.Value.(*datagramFlow).last > int64(d.cfg.Idle) { //nolint:forcetypeassert // nothing else is in the list
		d.remove(at)
		at = nil
	}
	if at == nil {
		if len(d.flows) >= d.cfg.MaxFlows {
			d.remove(d.recent.Back())
			d.evicted++
		}
		client, server := p.Key.Src(), p.Key.Dst()
		at = d.recent.PushFront(&datagramFlow{key: key, client: p.Key, state: d.engine.Open(packet.ProtoUDP, client, server)})
		d.flows[key] = at
	}
	d.recent.MoveToFront(at)
	f := at.Value.(*datagramFlow) //nolint:forcetypeassert // see above
	f.last = max(f.last, p.Time)
	in := Input{Direction: packet.ClientToServer, Data: p.Payload, Frame: p.Number}
	if p.Key != f.client {
		in.Direction = packet.ServerToClient
	}
	d.engine.Feed(f.state, in)
}

func (d *Datagrams) remove(at *list.Element) {
	delete(d.flows, at.Value.(*datagramFlow).key) //nolint:forcetypeassert // see above
	d.recent.Remove(at)
}
