package meter

import "github.com/tcpfollow/tcpfollow/internal/flowtable"

const (
	chunkBits = 12
	chunkLen  = 1 << chunkBits
)

// slab holds a T for each record of a table, beside it: what only some configurations need of a flow.
type slab[T any] struct {
	chunks []*chunk[T]
	spare  *chunk[T] // one that nobody uses
}

type chunk[T any] struct {
	items [chunkLen]T
	live  int
}

// add returns the T of a record that is new, as another one may have left it.
func (s *slab[T]) add(ref flowtable.Ref) *T {
	i := uint32(ref) - 1
	for int(i>>chunkBits) >= len(s.chunks) {
		s.chunks = append(s.chunks, nil)
	}
	c := s.chunks[i>>chunkBits]
	if c == nil {
		if c = s.spare; c == nil {
			c = new(chunk[T])
		}
		s.chunks[i>>chunkBits], s.spare = c, nil
	}
	c.live++
	return &c.items[i&(chunkLen-1)]
}

// at returns the T of a record.
func (s *slab[T]) at(ref flowtable.Ref) *T {
	i := uint32(ref) - 1
	return &s.chunks[i>>chunkBits].items[i&(chunkLen-1)]
}

// remove gives the T of a record back.
func (s *slab[T]) remove(ref flowtable.Ref) {
	i := (uint32(ref) - 1) >> chunkBits
	if c := s.chunks[i]; c.live > 1 {
		c.live--
	} else {
		c.live = 0
		s.chunks[i], s.spare = nil, c
	}
}
