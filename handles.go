package tcpfollow

import "github.com/tcpfollow/tcpfollow/internal/flowtable"

const (
	handleChunk = 1 << 10 // handles allocated at a time for the first streams
	handleBlock = 64      // and for later ones
)

// handles finds the stream handle of a connection. A handle is never used again, since users may keep it: the first
// stream of each Ref has its handle in place, later ones are pointed to.
type handles struct {
	chunks []*handlesOf // by Ref
	fresh  []TCPStream
}

// handlesOf is the handles of adjacent Refs.
type handlesOf struct {
	first [handleChunk]TCPStream
	later []*TCPStream // nil until a Ref is used again
}

// at returns the handle of a connection, nil if it has none.
func (h *handles) at(ref flowtable.Ref) *TCPStream {
	c, i := int(ref/handleChunk), ref%handleChunk
	if c >= len(h.chunks) || h.chunks[c] == nil {
		return nil
	}
	chunk := h.chunks[c]
	if chunk.later != nil {
		if st := chunk.later[i]; st != nil {
			return st
		}
	}
	if st := &chunk.first[i]; st.f != nil {
		return st
	}
	return nil
}

// remove forgets the handle of a connection, which has been emptied.
func (h *handles) remove(ref flowtable.Ref) {
	if later := h.chunks[ref/handleChunk].later; later != nil {
		later[ref%handleChunk] = nil
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
	if st := &chunk.first[i]; st.ref == 0 {
		return st
	}
	if chunk.later == nil {
		chunk.later = make([]*TCPStream, handleChunk)
	}
	if len(h.fresh) == 0 {
		h.fresh = make([]TCPStream, handleBlock)
	}
	chunk.later[i], h.fresh = &h.fresh[0], h.fresh[1:]
	return chunk.later[i]
}
