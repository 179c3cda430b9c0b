package tcpfollow

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// maxSightings is how many packets make a generation of sightings at the most.
const maxSightings = 1 << 15

// sightings are the TCP packets of the last moments. A mirror port that copies a frame on its way in and on its way out,
// or two that feed one capture, show it twice: the same bytes of TCP under the same IP identification, while the link
// layer, VLAN, tunnel and time to live may differ. A retransmission is a packet of its own, with a number of its own.
type sightings struct {
	within     int64
	seed       maphash.Seed
	young, old map[uint64]int64 // when a packet was seen last, by its digest
	since      int64            // of the young
}

func newSightings(within time.Duration) *sightings {
	return &sightings{within: int64(within), seed: maphash.MakeSeed(), young: map[uint64]int64{}, old: map[uint64]int64{}}
}

// again notes a packet, and reports whether it was seen before.
func (s *sightings) again(fr *packet.Frame, p *packet.Packet, k *packet.ConnKey) bool {
	now := p.Time
	if now-s.since > s.within || len(s.young) >= maxSightings { // the old are out of reach
		s.young, s.old, s.since = s.old, s.young, now
		clear(s.young)
	}
	d := s.digest(fr, p, k)
	before, seen := s.young[d]
	if !seen {
		before, seen = s.old[d]
	}
	s.young[d] = now
	return seen && now-before <= s.within && before-now <= s.within
}

// digest returns a digest of what copies of a packet have in common: the connection, the IPv4 identification, and TCP
// with its payload as captured.
func (s *sightings) digest(fr *packet.Frame, p *packet.Packet, k *packet.ConnKey) uint64 {
	layers := p.Layers()
	segment := fr.Data[layers[len(layers)-1].Offset:]
	segment = segment[:min(len(segment), 20+len(p.TCP.Options)+len(p.TCP.Payload))]
	var h maphash.Hash
	h.SetSeed(s.seed)
	var head [8 + 1 + 4 + 2]byte
	binary.LittleEndian.PutUint64(head[:], k.Hash)
	head[8] = k.From
	binary.LittleEndian.PutUint32(head[9:], p.Missing)
	for _, l := range slices.Backward(layers) {
		if l.Kind == packet.LayerIPv4 {
			copy(head[13:], fr.Data[l.Offset+4:][:2])
		}
		if l.Kind == packet.LayerIPv4 || l.Kind == packet.LayerIPv6 {
			break
		}
	}
	h.Write(head[:])
	h.Write(segment)
	return h.Sum64()
}

// capturedTwice counts a packet that was seen before for its stream, if it has one.
func (f *TCPStreamFollower) capturedTwice(k *packet.ConnKey) {
	if f.front != nil {
		f.front.add(k, nil, true)
		return
	}
	if ref := f.lookup(k); ref != 0 && !f.table.At(ref).has(connSilent) {
		f.last = ref
		if !f.table.At(ref).has(connEnded) {
			f.stream(ref).needs().duplicates++
		}
	}
}
