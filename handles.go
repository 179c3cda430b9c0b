package tcpfollow

import "github.com/tcpfollow/tcpfollow/internal/flowtable"

const (
	handleChunk = 1 << 10 // handles allocated at a time for the first streams
	handleBlock = 64      // and for later ones
)

// handles finds the stream handle of a connection. A handle is never used again, since users may keep it: first they lie
// in place, one for each Ref, and are pointed to from when a Ref is used again.
type handles struct {
	chunks []*handlesOf // by Ref
	fresh  []TCPStream
}

// handlesOf is the handles of adjacent Refs.
type handlesOf struct {
	first   [handleChunk]TCPStream
	current []*TCPStream // the handle of each Ref, nil for none; nil itself until a Ref is used again, so that all are in first
}

// at returns the handle of a connection, nil if it has none.
func (h *handles) at(ref flowtable.Ref) *TCPStream {
	c, i := int(ref/handleChunk), ref%handleChunk
	if c >= len(h.chunks) || h.chunks[c] == nil {
		return nil
	}
	chunk := h.chunks[c]
	if chunk.current != nil {
		return chunk.current[i]
	}
	if st := &chunk.first[i]; st.f != nil {
		return st
	}
	return nil
}

// remove forgets the handle of a connection, which has been emptied.
func (h *handles) remove(ref flowtable.Ref) {
	if current := h.chunks[ref/handleChunk].current; current != nil {
		current[ref%handleChunk] = nil
	}
}

// stream returns the handle of a connection, making it if there is none.
func (f *TCPStreamFollower) stream(ref flowtable.Ref) *TCPStream {
	if st := f.streams.at(ref); st != nil {
		return st
	}
	st := f.streams.add(ref)
	*st = TCPStream{f: f, ref: ref}
	return st
}

func (h *handles) add(ref flowtable.Ref) *TCPStream {
	c, i := int(ref/handleChunk), ref%handleChunk
	for c >= len(h.chunks) {
		h.chunks = append(h.chunks, nil)
	}
	if h.chunks[c] == nil {
		h.chunks[c] = new(handlesOf)
	}
	chunk := h.chunks[c]
	if chunk.current == nil {
		if st := &chunk.first[i]; st.ref == 0 {
			return st
		}
		chunk.point()
	}
	if len(h.fresh) == 0 {
		h.fresh = make([]TCPStream, handleBlock)
	}
	chunk.current[i], h.fresh = &h.fresh[0], h.fresh[1:]
	return chunk.current[i]
}

// point makes current.
func (c *handlesOf) point() {
	c.current = make([]*TCPStream, handleChunk)
	for i := range c.first {
		if st := &c.first[i]; st.f != nil {
			c.current[i] = st
		}
	}
}
