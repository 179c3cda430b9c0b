package httpx

import (
	"bytes"
	"slices"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// half is one direction of a connection.
type half struct {
	queue []held // waits for the other direction,
	first int    // from this one on
	size  int    // of the queue, with overhead
	next  uint32 // sequence number behind the last byte that the protocol has; valid if known
	known bool
	start uint32 // what its first packet acknowledged, while the other one has not spoken
	spoke bool   // there were bytes, or a gap
	alone bool   // it does not wait for the other direction to speak
	hurry bool   // it can wait no longer
	over  bool   // nothing comes any more
	ended bool   // and the protocol knows
}

// held is a run of bytes that wait, or a gap among them.
type held struct {
	piece
	gap uint64 // bytes that are missing, if not 0
}

// overhead is what a held run counts beside its bytes.
const overhead = 64

func (h *half) waits() bool { return h.first < len(h.queue) }

func (h *half) front() *held { return &h.queue[h.first] }

// waitsBefore reports whether bytes in front of an offset wait.
func (h *half) waitsBefore(off uint64) bool { return h.waits() && h.front().off < off }

// early reports whether the sender of bytes had seen bytes of the other direction that are still to come.
func (c *Conn) early(dir packet.Direction, o *reassemble.Origin) bool {
	h, other := &c.dirs[dir], &c.dirs[dir.Reverse()]
	switch {
	case o.Ack == 0, other.ended:
		return false
	case other.known:
	case other.waits():
		return after(o.Ack, other.front().o.Seq)
	case other.spoke, c.info.Midstream, h.alone:
		return false
	case !h.spoke && dir == packet.ClientToServer: // it is the client who starts
		h.start = o.Ack
		return false
	default:
		return dir == packet.ServerToClient || after(o.Ack, h.start)
	}
	if !after(o.Ack, other.next) {
		return false
	}
	if o.Ack-other.next == 1 && c.finished != nil && c.finished(dir.Reverse()) { // what is acknowledged is a FIN
		other.over = true
		return false
	}
	return true
}

// hold keeps bytes, or a gap, until the other direction has more.
func (c *Conn) hold(dir packet.Direction, x held) {
	h := &c.dirs[dir]
	x.b = bytes.Clone(x.b)
	if h.first > 64 && h.first > len(h.queue)/2 {
		n := copy(h.queue, h.queue[h.first:])
		clear(h.queue[n:])
		h.queue, h.first = h.queue[:n], 0
	}
	h.queue = append(h.queue, x)
	c.resize(h, len(x.b)+overhead)
	if l := &c.p.cfg.Limits; h.size > l.Scan && !c.dirs[dir.Reverse()].spoke {
		h.alone = true
	} else if h.size > l.Held || c.p.held > l.TotalHeld {
		c.p.stats.LimitHeld++
		h.hurry = true
	}
}

// unread gives back bytes that a protocol took; they come again before all behind them, the end included. Retained.
func (c *Conn) unread(dir packet.Direction, x piece) {
	h := &c.dirs[dir]
	h.ended = false
	at := h.first
	for at < len(h.queue) && h.queue[at].off <= x.off {
		at++
	}
	if at == h.first && at > 0 {
		h.first--
		*h.front() = held{piece: x}
	} else {
		h.queue = slices.Insert(h.queue, at, held{piece: x})
	}
	c.resize(h, len(x.b)+overhead)
}

func (c *Conn) resize(h *half, n int) {
	h.size += n
	c.p.held += n
}

// settle feeds what is held, as far as that goes, and ends directions that are over.
func (c *Conn) settle() {
	for {
		for c.drain(packet.ClientToServer, false) || c.drain(packet.ServerToClient, false) {
		}
		client, server := &c.dirs[packet.ClientToServer], &c.dirs[packet.ServerToClient]
		if !client.waits() || !server.waits() {
			return
		}
		// Each waits for the other. What was captured first goes first, but for a protocol that insists.
		dir := packet.ClientToServer
		if server.front().o.Packet < client.front().o.Packet {
			dir = packet.ServerToClient
		}
		if !c.drain(dir, true) && !c.drain(dir.Reverse(), true) {
			return
		}
	}
}

// drain feeds what is held of a direction, and ends it when it is over. With force, the first bytes do not wait for those
// that their packet acknowledges. It reports whether anything came of it.
func (c *Conn) drain(dir packet.Direction, force bool) (progress bool) {
	h := &c.dirs[dir]
	for h.waits() {
		x := *h.front()
		if x.gap == 0 && !force && !h.hurry && c.early(dir, &x.o) {
			return progress
		}
		force = false
		*h.front() = held{}
		h.first++
		c.resize(h, -len(x.b)-overhead)
		if x.gap > 0 {
			c.gap(dir, x.off, x.gap)
		} else if n := c.feed(dir, &x.piece); len(x.b) > 0 {
			c.unread(dir, x.piece)
			return progress || n > 0
		}
		progress = true
	}
	h.queue, h.first, h.hurry = nil, 0, false
	if h.over && !h.ended {
		h.ended = true
		c.proto.end(dir)
		progress = true
	}
	return progress
}

// hurried reports whether the bytes of a direction can wait no longer for the other one.
func (c *Conn) hurried(dir packet.Direction) bool { return c.dirs[dir].hurry }
