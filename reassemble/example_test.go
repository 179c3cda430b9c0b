package reassemble_test

import (
	"fmt"

	"github.com/tcpfollow/tcpfollow/reassemble"
)

// printer is a sink that prints what it is given.
type printer struct{}

func (printer) Data(_ *reassemble.Half, off uint64, b []byte, o reassemble.Origin) {
	fmt.Printf("%q at %d, from packet %d\n", b, off, o.Packet)
}

func (printer) Gap(_ *reassemble.Half, off, n uint64, why reassemble.GapReason) {
	fmt.Printf("%d bytes missing at %d: %v\n", n, off, why)
}

func (printer) Old(*reassemble.Half, uint64, []byte, reassemble.Origin) {}

func (printer) Conflict(_ *reassemble.Half, off uint64, old, b []byte, keptNew bool, _ reassemble.Origin) {
	fmt.Printf("%q came again as %q at %d, kept the new one: %v\n", old, b, off, keptNew)
}

// Segments come in any order, and bytes go out in theirs.
func Example() {
	engine := reassemble.NewNative(&reassemble.NativeConfig{Overlap: reassemble.OverlapLast})
	var h reassemble.Half
	engine.Open(&h, 1)
	segment := func(packet, off uint64, data string) {
		engine.Segment(&h, reassemble.Segment{Off: off, Data: []byte(data), Origin: reassemble.Origin{Packet: packet}}, printer{})
	}
	segment(1, 0, "GET ")
	segment(2, 6, "nde")
	segment(3, 6, "ndE")
	segment(4, 4, "/i")
	segment(5, 12, "HTTP")
	engine.Skip(&h, reassemble.ToHeld, reassemble.GapLost, printer{})
	engine.Close(&h)
	// Output:
	// "GET " at 0, from packet 1
	// "nde" came again as "ndE" at 6, kept the new one: true
	// "/i" at 4, from packet 4
	// "ndE" at 6, from packet 3
	// 3 bytes missing at 9: lost
	// "HTTP" at 12, from packet 5
}
