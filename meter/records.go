package meter

import (
	"encoding/binary"
	"io"
	"strconv"
	"time"
)

// Records writes flows as records of flow_models, csv_flow: a line for each direction that has packets, 21 numbers apart by
// ", ". It does not allocate in steady state.
type Records struct {
	unit uint64 // ticks in a millisecond
	line lines
}

// NewRecords returns a writer of flows whose times are in this unit.
func NewRecords(w io.Writer, unit time.Duration) *Records {
	r := &Records{unit: uint64(time.Millisecond / max(unit, 1))}
	r.line.w = w
	return r
}

var _ Writer = (*Records)(nil)

// Write writes the records of a flow. What is written may wait for Close.
func (r *Records) Write(f *Flow) error {
	src, dst := f.Key.Src(), f.Key.Dst()
	if f.Src2Dst.Packets > 0 {
		r.record(f, &f.Src2Dst, src.Addr().As16(), dst.Addr().As16(), src.Port(), dst.Port())
	}
	if f.Dst2Src.Packets > 0 {
		r.record(f, &f.Dst2Src, dst.Addr().As16(), src.Addr().As16(), dst.Port(), src.Port())
	}
	return r.line.flushed(bufferSize)
}

// record appends a record: af, prot, inif, outif, sa0-3, da0-3, sp, dp, first, first_ms, last, last_ms, packets, octets, aggs.
func (r *Records) record(f *Flow, s *Side, src, dst [16]byte, sp, dp uint16) {
	family := uint64(2) // AF_INET
	if f.Key.Version() == 6 {
		family = 10 // Linux's AF_INET6
	}
	first, last := s.FirstSeen/r.unit, s.LastSeen/r.unit
	values := [21]uint64{0: family, 1: uint64(f.Key.Proto()), 12: uint64(sp), 13: uint64(dp)}
	for i := range 4 {
		values[4+i], values[8+i] = uint64(binary.BigEndian.Uint32(src[4*i:])), uint64(binary.BigEndian.Uint32(dst[4*i:]))
	}
	if family == 2 {
		values[6], values[10] = 0, 0 // As16 maps IPv4 into IPv6
	}
	values[14], values[15], values[16], values[17] = first/1000, first%1000, last/1000, last%1000
	values[18], values[19] = s.Packets, s.Bytes
	b := r.line.buf
	for i, v := range values {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendUint(b, v, 10)
	}
	r.line.buf = append(b, '\n')
}

// Flush writes what waits of the rows so far.
func (r *Records) Flush() error { return r.line.flushed(0) }

// Close writes what waits. It does not close the underlying writer.
func (r *Records) Close() error { return r.line.flushed(0) }
