// Package gopacketreassembly puts google/gopacket's reassembly (v1.1.19) behind [reassemble.Engine], fed so that its known
// faults cannot reach a user.
//
// Its overlap policy for bytes that still wait is "last wins", and it does not report conflicts among them.
//
// Importing this package adds gopacket's two flags (assembly_memuse_log, assembly_debug_log) to flag.CommandLine,
// and it cannot be linked together with gopacket's tcpassembly, which registers the same two.
package gopacketreassembly

import (
	"encoding/binary"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/reassembly"

	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/reassemble/internal/adapt"
)

// Engine is gopacket's reassembler as a [reassemble.Engine]. It is not safe for concurrent use.
type Engine struct {
	*adapt.Engine
	pool *reassembly.StreamPool
}

// New returns an engine of its own assembler and stream pool.
func New() *Engine {
	d := &driver{}
	e := &Engine{adapt.New(d, adapt.Config{Overlap: reassemble.OverlapLast}), nil}
	d.deliver = e.Deliver
	e.pool = reassembly.NewStreamPool(d)
	d.assembler = reassembly.NewAssembler(e.pool)
	return e
}

var _ reassemble.Engine = (*Engine)(nil)

// driver feeds the assembler. It is its stream factory, and all of its streams.
type driver struct {
	assembler *reassembly.Assembler
	deliver   func([]byte)
	tcp       layers.TCP
	ctx       context
}

// Begin opens a connection with a SYN.
func (d *driver) Begin(key uint64) {
	d.tcp.SYN = true
	d.assemble(flow(key), 0, nil)
	d.tcp.SYN = false
}

// Bytes feeds a segment.
func (d *driver) Bytes(key uint64, seq uint32, b []byte) { d.assemble(flow(key), seq, b) }

// End sends a reset each way: only when both sides are closed is the connection removed.
func (d *driver) End(key uint64, seq uint32) {
	d.tcp.RST = true
	d.assemble(flow(key), seq, nil)
	d.assemble(flow(key).Reverse(), 0, nil)
	d.tcp.RST = false
}

func flow(key uint64) gopacket.Flow {
	var name [8]byte
	binary.BigEndian.PutUint64(name[:], key)
	return gopacket.NewFlow(layers.EndpointIPv4, name[:], nil)
}

func (d *driver) assemble(f gopacket.Flow, seq uint32, b []byte) {
	d.tcp.Seq, d.tcp.Payload = seq, b
	d.assembler.AssembleWithContext(f, &d.tcp, &d.ctx)
	d.tcp.Payload = nil
}

// New makes a stream: all of them are the driver.
func (d *driver) New(_, _ gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext) reassembly.Stream {
	return d
}

// Accept lets the reverse side start without a SYN, so that its reset counts.
func (d *driver) Accept(tcp *layers.TCP, _ gopacket.CaptureInfo, _ reassembly.TCPFlowDirection, _ reassembly.Sequence, start *bool, _ reassembly.AssemblerContext) bool {
	*start = *start || tcp.RST
	return true
}

// ReassembledSG passes on what is in order.
func (d *driver) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	if n, _ := sg.Lengths(); n > 0 {
		d.deliver(sg.Fetch(n))
	}
}

// ReassemblyComplete lets the pool forget the connection.
func (d *driver) ReassemblyComplete(reassembly.AssemblerContext) bool { return true }

// context satisfies the assembler, which dereferences it; origins are kept outside.
type context struct{}

// GetCaptureInfo returns a time that nothing depends on.
func (*context) GetCaptureInfo() gopacket.CaptureInfo {
	return gopacket.CaptureInfo{Timestamp: time.Unix(0, 0)}
}
