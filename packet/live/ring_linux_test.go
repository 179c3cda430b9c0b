package live

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tcpfollow/tcpfollow/packet"
)

// fill writes a block as the kernel does, with a frame at each of the times, in seconds.
func (r *ring) fill(block int, times ...uint32) {
	b := r.mem[block*blockSize:]
	put := binary.NativeEndian.PutUint32
	put(b[blockCount:], uint32(len(times)))
	put(b[blockFirst:], blockHeader)
	at := blockHeader
	for _, seconds := range times {
		h := b[at:]
		const start, size, next = 112, 20, 144
		put(h[frameNext:], next)
		put(h[frameSec:], seconds)
		put(h[frameNsec:], 7)
		put(h[frameCaptured:], size)
		put(h[frameLength:], 100)
		put(h[frameStatus:], 0)
		binary.NativeEndian.PutUint16(h[frameMAC:], start)
		binary.NativeEndian.PutUint16(h[frameNet:], start+14)
		h[start] = byte(seconds)
		at += next
	}
	put(b[blockStatus:], unix.TP_STATUS_USER)
}

func newRing(blocks int) *ring {
	return &ring{link: packet.LinkEthernet, mem: make([]byte, blocks*blockSize)}
}

// read reads a batch of what is there, and returns the first byte of each frame.
func read(s *Source) string {
	var b packet.Batch
	b.Frames = make([]packet.Frame, 0, packet.BatchSize)
	for _, r := range s.rings {
		r.giveBack()
	}
	s.fill(&b)
	var got []byte
	for _, f := range b.Frames {
		got = append(got, f.Data[0])
	}
	return string(got)
}

// TestBlocks: a block is read to its end, is kept as long as its frames are lent, and comes round again.
func TestBlocks(t *testing.T) {
	r := newRing(2)
	s := &Source{rings: []*ring{r}}
	require.Empty(t, read(s))
	r.fill(0, 'a', 'b')
	r.fill(1, 'c')
	require.Equal(t, "ab", read(s))
	require.NotZero(t, r.mem[blockStatus], "lent")
	require.Equal(t, "c", read(s))
	require.Zero(t, r.mem[blockStatus], "given back")
	r.fill(0)
	require.Empty(t, read(s), "a block may be empty")
	r.fill(1, 'd')
	require.Equal(t, "d", read(s))
	many := make([]uint32, packet.BatchSize+1)
	r.fill(0, many...)
	require.Len(t, read(s), packet.BatchSize)
	require.Len(t, read(s), 1)
	require.Empty(t, read(s))
	require.EqualValues(t, 4+packet.BatchSize+1, s.Stats().Frames)
}

// TestMerge: frames of several interfaces come in the order of their times, up to the end of a block: more of that
// interface may come before the others'.
func TestMerge(t *testing.T) {
	s := &Source{rings: []*ring{newRing(2), newRing(2), newRing(2)}}
	s.rings[0].fill(0, 'a', 'd', 'e')
	s.rings[1].fill(0, 'b', 'c', 'g')
	require.Equal(t, "abcde", read(s))
	s.rings[0].fill(1, 'f', 'h')
	require.Equal(t, "fg", read(s))
	require.Equal(t, "h", read(s))
}

// TestDamaged: whatever a block holds, nothing outside of it is touched.
func TestDamaged(t *testing.T) {
	for name, damage := range map[string]func(block, header []byte){
		"first frame in the block's header": func(b, _ []byte) { b[blockFirst] = 1 },
		"first frame behind the block":      func(b, _ []byte) { binary.NativeEndian.PutUint32(b[blockFirst:], blockSize-10) },
		"first frame far behind":            func(b, _ []byte) { binary.NativeEndian.PutUint32(b[blockFirst:], 1<<32-1) },
		"packet in its header":              func(_, h []byte) { h[frameMAC] = 20 },
		"packet behind the block": func(_, h []byte) {
			binary.NativeEndian.PutUint32(h[frameCaptured:], blockSize)
		},
		"next frame behind the block": func(_, h []byte) { binary.NativeEndian.PutUint32(h[frameNext:], 1<<31) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRing(1)
			s := &Source{rings: []*ring{r}}
			r.fill(0, 'a', 'b')
			damage(r.mem, r.mem[blockHeader:])
			for range 3 {
				for _, c := range read(s) {
					require.Contains(t, "ab", string(c))
				}
			}
			require.Positive(t, s.Stats().Dropped)
			require.Zero(t, r.mem[blockStatus], "the block is not kept")
		})
	}
	t.Run("cooked without a packet", func(t *testing.T) {
		r := newRing(1)
		r.cooked = true
		r.fill(0, 'a')
		binary.NativeEndian.PutUint16(r.mem[blockHeader+frameNet:], 5)
		s := &Source{rings: []*ring{r}}
		require.Empty(t, read(s))
		require.EqualValues(t, 1, s.Stats().Dropped)
	})
}

// TestLinkOf: the kinds of interfaces whose frames are decoded as they are; all others' are given a header.
func TestLinkOf(t *testing.T) {
	for arphrd, want := range map[uint16]packet.LinkType{
		unix.ARPHRD_ETHER: packet.LinkEthernet, unix.ARPHRD_LOOPBACK: packet.LinkEthernet,
		unix.ARPHRD_NONE: packet.LinkRaw, unix.ARPHRD_RAWIP: packet.LinkRaw,
		unix.ARPHRD_IEEE80211: packet.LinkWiFi, unix.ARPHRD_IEEE80211_PRISM: packet.LinkPrism,
		unix.ARPHRD_IEEE80211_RADIOTAP: packet.LinkRadiotap,
		unix.ARPHRD_PPP:                packet.LinkSLL2, unix.ARPHRD_SIT: packet.LinkSLL2, 12345: packet.LinkSLL2,
	} {
		require.Equal(t, want, linkOf(arphrd), "%d", arphrd)
	}
}

// FuzzBlock: whatever a block holds, reading it ends, frames lie in it, and it is given back.
func FuzzBlock(f *testing.F) {
	for _, cooked := range []bool{false, true} {
		r := newRing(1)
		r.fill(0, 'a', 'b', 'c')
		f.Add(r.mem[:600], cooked)
		h := r.mem[blockHeader:]
		binary.NativeEndian.PutUint32(h[frameStatus:], unix.TP_STATUS_VLAN_VALID|unix.TP_STATUS_VLAN_TPID_VALID)
		h[frameARPHRD] = unix.ARPHRD_ETHER
		f.Add(r.mem[:600], cooked)
		binary.NativeEndian.PutUint32(h[frameNext:], 0)
		f.Add(r.mem[:600], cooked)
	}
	f.Fuzz(func(t *testing.T, block []byte, cooked bool) {
		r := newRing(1)
		r.cooked = cooked
		copy(r.mem, block)
		r.mem[blockStatus] |= unix.TP_STATUS_USER
		s := &Source{rings: []*ring{r}}
		b := packet.Batch{Frames: make([]packet.Frame, 0, packet.BatchSize)}
		for range blockSize / frameHeader {
			b.Frames = b.Frames[:0]
			for _, r := range s.rings {
				r.giveBack()
			}
			s.fill(&b)
			for _, fr := range b.Frames {
				require.LessOrEqual(t, len(fr.Data), blockSize)
				require.GreaterOrEqual(t, fr.Length+sll2Length+tagLength, 0)
			}
			if r.left == 0 && !r.spent {
				require.Zero(t, u32(r.mem[blockStatus:])&unix.TP_STATUS_USER)
				return
			}
		}
		require.Fail(t, "reading does not end")
	})
}
