package meter

// stepsPer is how many steps a block holds. A flow has as many blocks as it needs.
const stepsPer = 8

// steps is the sequence of a flow's first packets.
type steps struct {
	first, last uint32 // blocks, from 1
	count       uint32
}

type stepBlock struct {
	steps [stepsPer]Step
	next  uint32
}

// stepStore holds the blocks of all flows.
type stepStore struct {
	slabs []*[chunkLen]stepBlock
	free  uint32
	used  uint32 // blocks that were ever given out
}

func (s *stepStore) block(i uint32) *stepBlock {
	return &s.slabs[(i-1)>>chunkBits][(i-1)&(chunkLen-1)]
}

// add appends a step to a sequence.
func (s *stepStore) add(to *steps, step Step) {
	if to.count%stepsPer == 0 {
		i := s.allocate()
		if to.count == 0 {
			to.first = i
		} else {
			s.block(to.last).next = i
		}
		to.last = i
	}
	s.block(to.last).steps[to.count%stepsPer] = step
	to.count++
}

func (s *stepStore) allocate() uint32 {
	if i := s.free; i != 0 {
		b := s.block(i)
		s.free, b.next = b.next, 0
		return i
	}
	if int(s.used) == len(s.slabs)*chunkLen {
		s.slabs = append(s.slabs, new([chunkLen]stepBlock))
	}
	s.used++
	return s.used
}

// appendTo appends the steps of a sequence to b.
func (s *stepStore) appendTo(b []Step, from *steps) []Step {
	left := int(from.count)
	for i := from.first; left > 0; i = s.block(i).next {
		n := min(left, stepsPer)
		b = append(b, s.block(i).steps[:n]...)
		left -= n
	}
	return b
}

// release gives the blocks of a sequence back.
func (s *stepStore) release(of *steps) {
	if of.count > 0 {
		s.block(of.last).next = s.free
		s.free = of.first
	}
	*of = steps{}
}
