package tcpfollow

import "github.com/tcpfollow/tcpfollow/internal/flowtable"

const (
	handleChunk = 1 << 10 // entries in a chunk of the directory
	handleBlock = 64      // handles allocated at a time
)

// handles finds the stream handle of a connection. Handles are never used again, since users may keep them; they are
// allocated by the block, and a block lives until none of it is referred to.
type handles struct {
	chunks [][]*TCPStream // by Ref
	fresh  []TCPStream
}

// at returns the handle of a connection, nil if it has none.
func (h *handles) at(ref flowtable.Ref) *TCPStream {
	if c := int(ref / handleChunk); c < len(h.chunks) && h.chunks[c] != nil {
		return h.chunks[c][ref%handleChunk]
	}
	return nil
}

// remove forgets the handle of a connection.
func (h *handles) remove(ref flowtable.Ref) { h.chunks[ref/handleChunk][ref%handleChunk] = nil }

// stream returns the handle of a connection, making it if there is none.
func (f *TCPStreamFollower) stream(ref flowtable.Ref) *TCPStream {
	h := &f.streams
	c := int(ref / handleChunk)
	for c >= len(h.chunks) {
		h.chunks = append(h.chunks, nil)
	}
	if h.chunks[c] == nil {
		h.chunks[c] = make([]*TCPStream, handleChunk)
	}
	at := &h.chunks[c][ref%handleChunk]
	if *at == nil {
		if len(h.fresh) == 0 {
			h.fresh = make([]TCPStream, handleBlock)
		}
		*at, h.fresh = &h.fresh[0], h.fresh[1:]
		**at = TCPStream{f: f, ref: ref}
	}
	return *at
}
