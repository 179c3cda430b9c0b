package enginetest

import (
	"net/netip"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Fed is a segment of some connection, as it goes into a follower.
type Fed struct {
	Key packet.FlowKey
	TCP packet.TCP
}

// Segments turns ops, four bytes each, into segments of three connections that start close to where sequence numbers
// wrap: handshakes, data in any order, losses, acknowledgements, closes, resets, ports used again, pauses. What a side
// sends is [Text], unless it lies.
func Segments(ops []byte, lies bool) []Fed {
	var fed []Fed
	var sides [3][2]struct{ isn, next uint32 }
	for i := range sides {
		sides[i][0].isn, sides[i][1].isn = 0xffff_ff00+uint32(i)*100, uint32(i)<<31-50
	}
	server := netip.MustParseAddrPort("192.0.2.200:80")
	now := int64(1_600_000_000_000_000_000)
	for ; len(ops) >= 4; ops = ops[4:] {
		n := int(ops[0] >> 6 % 3)
		dir := int(ops[0] >> 5 & 1)
		from, to := &sides[n][dir], &sides[n][dir^1]
		now += int64(time.Millisecond)
		seg := packet.TCP{Time: now, Flags: packet.ACK, Seq: from.isn + 1 + from.next, Ack: to.isn + 1 + to.next}
		off, size := from.next, uint32(ops[1]&63)
		far := uint32(ops[2])
		switch ops[0] & 31 {
		case 0, 1: // the next bytes
			from.next += size
		case 2, 3, 4: // ahead
			off += far & 127
		case 5, 6: // sent before
			off -= min(off, far&127)
		case 7: // lost in the capture
			from.next += size
			continue
		case 8: // far away
			off += far << 20
		case 9, 10:
			seg.Flags, size = packet.SYN, 0
			if ops[3]&1 != 0 {
				size = 3
			}
			seg.Seq = from.isn
			if dir == 1 {
				seg.Flags |= packet.ACK
			}
		case 11:
			size = 0 // an acknowledgement
		case 12:
			seg.Ack += far
			size = 0
		case 13:
			seg.Flags |= packet.FIN
			from.next += size
		case 14:
			seg.Flags, size = packet.FIN|packet.ACK, 0
		case 15:
			seg.Flags, size = packet.RST|packet.ACK, far&1
		case 16:
			seg.Flags, seg.Seq, size = packet.RST, seg.Seq+far-3, 0
		case 17: // the ports are used again
			if ops[3]&7 == 0 {
				from.isn, to.isn = from.isn+far<<22, to.isn+far<<23
				from.next, to.next = 0, 0
			}
			seg.Flags, seg.Seq, size = packet.SYN, from.isn, 0
		case 18: // captured in part
			seg.Missing = far & 31
			from.next += size + seg.Missing
		case 19:
			size = 1
			off-- // keep-alive
		case 20:
			now += int64(far) * int64(10*time.Millisecond)
			continue
		case 21:
			if ops[3]&15 == 0 {
				now += int64(far) * int64(time.Minute)
			}
			continue
		case 22:
			seg.Flags = packet.TCPFlags(ops[2]) | packet.TCPFlags(ops[3]&1)<<8
		case 24:
			seg.Flags |= packet.URG
			seg.Urgent = uint16(ops[3] & 127)
			from.next += size
		case 23:
			size *= 300
			from.next += size
		default:
			from.next += size
		}
		if seg.Flags.Has(packet.SYN) {
			seg.Payload = Text(0, int(size))
		} else {
			seg.Seq = from.isn + 1 + off
			if ops[0]&31 == 16 {
				seg.Seq += far - 3
			}
			seg.Payload = Text(uint64(off), int(size))
		}
		if lies && ops[3]&3 == 0 {
			for i := range seg.Payload {
				seg.Payload[i] ^= ops[3] >> 4
			}
		}
		key := packet.NewFlowKey(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 1000), server, packet.ProtoTCP)
		if dir == 1 {
			key = key.Reverse()
		}
		seg.Number = uint64(len(fed) + 1)
		fed = append(fed, Fed{key, seg})
	}
	return fed
}
