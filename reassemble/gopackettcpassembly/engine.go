// Package gopackettcpassembly puts google/gopacket's tcpassembly (v1.1.19) behind [reassemble.Engine], fed so that its
// known faults cannot reach a user.
//
// Its overlap policy for bytes that still wait is BSD's, segment by segment up to 1,900 bytes, and it does not report
// conflicts among them.
//
// Importing this package adds gopacket's two flags (assembly_memuse_log, assembly_debug_log) to flag.CommandLine,
// and it cannot be linked together with gopacket's reassembly, which registers the same two.
package gopackettcpassembly

import (
	"encoding/binary"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/tcpassembly"

	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/reassemble/internal/adapt"
)

// pageBytes is what a page of the assembler holds. A longer segment becomes several pages, which are put into the queue
// as one even when others belong between them.
const pageBytes = 1900

// Engine is gopacket's one-way reassembler as a [reassemble.Engine]. It is not safe for concurrent use.
type Engine struct {
	*adapt.Engine
	pool *tcpassembly.StreamPool
}

// New returns an engine of its own assembler and stream pool.
func New() *Engine {
	d := &driver{}
	e := &Engine{adapt.New(d, adapt.Config{Overlap: reassemble.OverlapBSD, MaxHeld: pageBytes}), nil}
	d.deliver = e.Deliver
	e.pool = tcpassembly.NewStreamPool(d)
	d.assembler = tcpassembly.NewAssembler(e.pool)
	return e
}

var _ reassemble.Engine = (*Engine)(nil)

// driver feeds the assembler. It is its stream factory, and all of its streams.
type driver struct {
	assembler *tcpassembly.Assembler
	deliver   func([]byte)
	tcp       layers.TCP
}

// Begin opens a connection with a SYN.
func (d *driver) Begin(key uint64) {
	d.tcp.SYN = true
	d.assemble(key, 0, nil)
	d.tcp.SYN = false
}

// Bytes feeds a segment.
func (d *driver) Bytes(key uint64, seq uint32, b []byte) { d.assemble(key, seq, b) }

// End sends a reset in order, which removes the connection.
func (d *driver) End(key uint64, seq uint32) {
	d.tcp.RST = true
	d.assemble(key, seq, nil)
	d.tcp.RST = false
}

func (d *driver) assemble(key uint64, seq uint32, b []byte) {
	var name [8]byte
	binary.BigEndian.PutUint64(name[:], key)
	d.tcp.Seq, d.tcp.Payload = seq, b
	d.assembler.AssembleWithTimestamp(gopacket.NewFlow(layers.EndpointIPv4, name[:], nil), &d.tcp, time.Unix(0, 0))
	d.tcp.Payload = nil
}

// New makes a stream: all of them are the driver.
func (d *driver) New(_, _ gopacket.Flow) tcpassembly.Stream { return d }

// Reassembled passes on what is in order.
func (d *driver) Reassembled(rs []tcpassembly.Reassembly) {
	for _, r := range rs {
		if len(r.Bytes) > 0 {
			d.deliver(r.Bytes)
		}
	}
}

// ReassemblyComplete is called when the pool has forgotten the connection.
func (d *driver) ReassemblyComplete() {}
