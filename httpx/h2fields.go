package httpx

import (
	"bytes"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// usualTable is the size of the table of header fields that both sides start with (RFC 9113 §6.5.2).
const usualTable = 4096

// unknownName stands for a header field that was in the table when its state was lost: no field has such a name.
const unknownName = "\x00"

// fieldDecoder decodes the header blocks of one direction (RFC 7541), within limits.
type fieldDecoder struct {
	dec    *hpack.Decoder
	limits *Limits
	table  int     // size of the table that the other side allows
	lost   bool    // what is in the table is not known
	filled uint64  // where in the direction the table was filled last
	list   []Field // of the block, overwritten by the next
	size   int
	flags  Flags
}

// lose is called when blocks, or parts of them, did not come.
func (d *fieldDecoder) lose() { d.lost = true }

// refill is how many bytes must come before a table is filled again: it costs as much as decoding so many.
const refill = 512

// begin makes ready for a block at an offset. When the state was lost, the table is filled with fields that stand for
// unknown ones: what is added to it from then on moves to the front of them, so that its numbers are right again. It
// returns false if that was done just before.
func (d *fieldDecoder) begin(at uint64) bool {
	clear(d.list)
	d.list, d.size, d.flags = d.list[:0], 0, 0
	if d.dec != nil && !d.lost {
		return true
	}
	if d.filled > 0 && at-d.filled < refill {
		return false
	}
	d.dec = hpack.NewDecoder(usualTable, d.emit)
	d.dec.SetAllowedMaxDynamicTableSize(uint32(d.limits.HeaderTable))
	d.dec.SetMaxStringLength(d.limits.Header)
	if d.lost {
		d.lost = false
		d.dec.SetMaxDynamicTableSize(uint32(d.limits.HeaderTable))
		d.dec.SetEmitEnabled(false)
		const least = 32 // what a field counts in the table, at least
		field := []byte{0x40, byte(len(unknownName)), unknownName[0], 0}
		_, _ = d.dec.Write(bytes.Repeat(field, min(d.table, d.limits.HeaderTable)/least)) // it is well-formed
		_ = d.dec.Close()
		d.dec.SetEmitEnabled(true)
		d.filled = at
	}
	return true
}

// emit takes a decoded field.
func (d *fieldDecoder) emit(f hpack.HeaderField) {
	if f.Name == unknownName {
		d.flags |= FlagStateLost
		return
	}
	n := len(f.Name) + len(f.Value)
	if len(d.list) >= d.limits.Fields || d.size+n > d.limits.Header || n > d.limits.Line {
		d.flags |= FlagLimit
		return
	}
	d.size += n
	d.list = append(d.list, Field{f.Name, f.Value})
}

// block is a header block that is being read.
type block struct {
	open    bool
	stream  uint32
	promise uint32 // the stream that PUSH_PROMISE announces, 0 in HEADERS
	last    bool   // the message ends with it
	dead    bool   // the rest of it cannot be decoded
	start   piece  // where its first frame starts, without bytes
	flags   Flags
}

// openBlock begins a header block.
func (s *h2side) openBlock(stream uint32, last bool, promise uint32) {
	if s.block.open {
		s.breakBlock(FlagTruncated)
	}
	s.block = block{open: true, stream: stream, promise: promise, last: last, start: s.start}
	if !s.fields.begin(s.start.off) {
		s.badBlock()
	}
}

// addBlock decodes a part of a header block, which may be the last.
func (s *h2side) addBlock(b []byte, last bool) {
	x := &s.block
	if !x.dead {
		if _, err := s.fields.dec.Write(b); err != nil {
			s.badBlock()
		}
	}
	if !last {
		return
	}
	if !x.dead {
		if err := s.fields.dec.Close(); err != nil {
			s.badBlock()
		}
	}
	s.closeBlock()
}

// badBlock is called when a block cannot be decoded any further.
func (s *h2side) badBlock() {
	s.block.dead = true
	s.block.flags |= FlagStateLost
	s.fields.lose()
}

// breakBlock ends a block of which something is missing.
func (s *h2side) breakBlock(why Flags) {
	if !s.block.open {
		return
	}
	s.badBlock()
	s.block.flags |= why
	s.closeBlock()
}

// closeBlock makes what its header block says a message, or the trailer of one.
func (s *h2side) closeBlock() {
	x := &s.block
	x.open = false
	stats := &s.p.c.p.stats
	flags := x.flags | s.fields.flags
	if flags.Has(FlagStateLost) {
		stats.LostFields++
	}
	if flags.Has(FlagLimit) {
		stats.LimitHeader++
	}
	if s.p.known {
		s.message(flags)
	}
}

// lostFrame is called when a frame cannot be looked at, but for its header.
func (s *h2side) lostFrame(why Flags) {
	switch h := &s.head; h.Type {
	case http2.FrameHeaders:
		s.openBlock(h.StreamID, h.Flags.Has(http2.FlagHeadersEndStream), 0)
		s.badFragment(why, h.Flags.Has(http2.FlagHeadersEndHeaders))
	case http2.FramePushPromise:
		s.fields.lose() // the stream that it announces is not known
		s.p.c.p.stats.LostFields++
	case http2.FrameContinuation:
		if s.block.open {
			s.badFragment(why, h.Flags.Has(http2.FlagContinuationEndHeaders))
		} else {
			s.fields.lose()
		}
	case http2.FrameRSTStream:
		if st := s.p.streams[h.StreamID]; st != nil {
			st.reset()
		}
	default: // nothing depends on it
	}
}

// badFragment takes the place of a part of a block.
func (s *h2side) badFragment(why Flags, last bool) {
	s.badBlock()
	if s.block.flags |= why; last {
		s.closeBlock()
	}
}
