package scenario

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Variant is a way to run a script that must not change its log.
type Variant struct {
	Name string
	// Shift is added to all sequence numbers.
	Shift uint32
	// IPv6 replaces all addresses.
	IPv6 bool
}

// epoch is the time of a script's first segment; each segment comes a millisecond after the one before.
const epoch = int64(1_600_000_000_000_000_000)

// runner is one run of a script.
type runner struct {
	follower *tcpfollow.TCPStreamFollower
	variant  Variant
	now      int64
	number   uint64
	client   netip.AddrPort
	server   netip.AddrPort
	isn      [2]uint32
	sent     map[netip.AddrPort]*[2]int64 // by client: the end of what each side has sent
	log      []event
	fed      int // calls so far
	verdicts bool
	drops    bool                 // urgent octets are left out,
	dropped  map[[2]uint64]uint64 // so many of a stream's direction
	problems []string
	payload  map[uint64]*[2][]byte // what was delivered
	offset   map[uint64]*[2]uint64 // up to where, gaps included
	ended    map[uint64]bool
}

// event is a line of the log. Data that one call delivers in pieces is one line.
type event struct {
	text string
	fed  int
	id   uint64
	dir  packet.Direction
	off  uint64
	data []byte
}

// Run runs the script with a new follower on engine, and returns its log, and what went wrong whatever the log says.
func (s *Script) Run(engine reassemble.Engine, v Variant) (log, problems []string, err error) {
	r := &runner{
		variant: v, now: epoch, isn: [2]uint32{1000, 5000},
		client: netip.MustParseAddrPort("192.0.2.1:1000"), server: netip.MustParseAddrPort("192.0.2.2:80"),
		sent: map[netip.AddrPort]*[2]int64{}, payload: map[uint64]*[2][]byte{}, offset: map[uint64]*[2]uint64{}, ended: map[uint64]bool{}, dropped: map[[2]uint64]uint64{},
	}
	cfg := &tcpfollow.Config{Engine: engine, OnOpen: r.open, OnGap: r.gap, OnConflict: r.conflict, OnUrgent: r.urgent}
	if err := settings(cfg, s.config); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	r.drops = cfg.Urgent == tcpfollow.UrgentDrop
	if r.follower, err = tcpfollow.New(r.data, r.end, cfg); err != nil {
		return nil, nil, err
	}
	for _, st := range s.steps {
		r.fed++
		if err := r.step(&st); err != nil {
			return nil, nil, fmt.Errorf("%s:%d: %w", s.Name, st.line, err)
		}
	}
	r.fed++
	if err := r.follower.Close(); err != nil {
		return nil, nil, err
	}
	for id := range r.offset {
		if !r.ended[id] {
			r.problem("#%d was opened and never ended", id)
		}
	}
	return r.lines(), r.problems, nil
}

// Want returns the log that the script expects.
func (s *Script) Want() []string { return s.want }

// settings applies the script's config lines.
func settings(cfg *tcpfollow.Config, set map[string]string) error {
	for k, v := range set {
		n, _ := strconv.Atoi(v)
		d, _ := time.ParseDuration(v)
		switch k {
		case "midstream":
			if v == "ignore" {
				cfg.Midstream = tcpfollow.MidstreamIgnore
			}
		case "urgent":
			policy, ok := map[string]tcpfollow.UrgentPolicy{"inline": tcpfollow.UrgentInline, "drop": tcpfollow.UrgentDrop, "oob": tcpfollow.UrgentOutOfBand}[v]
			if !ok {
				return fmt.Errorf("unknown urgent policy %q", v)
			}
			cfg.Urgent = policy
		case "anyreset":
			cfg.AnyReset = true
		case "incremental":
			cfg.Incremental = true
		case "depth":
			cfg.Limits.Depth = uint64(n)
		case "buffered":
			cfg.Limits.Buffered = n
		case "segments":
			cfg.Limits.Segments = n
		case "connections":
			cfg.Limits.Connections = n
		case "totalbuffered":
			cfg.Limits.TotalBuffered = n
		case "payload":
			cfg.Limits.Payload = n
		case "reorder":
			cfg.Limits.Reorder = n
		case "reordertime":
			cfg.Timeouts.Reorder = d
		case "hole":
			cfg.Timeouts.Hole = d
		case "idle":
			cfg.Timeouts.Idle = d
		case "linger":
			cfg.Timeouts.Linger = d
		default:
			return fmt.Errorf("unknown setting %q", k)
		}
	}
	return nil
}

func (r *runner) step(st *step) error {
	switch st.kind {
	case stepTuple:
		r.client, r.server = st.client, st.server
	case stepISN:
		for i, isn := range st.isn {
			if isn != 0 {
				r.isn[i] = isn
			}
		}
	case stepOpen:
		r.segment(&segment{flags: packet.SYN})
		r.segment(&segment{server: true, flags: packet.SYN | packet.ACK})
		r.segment(&segment{flags: packet.ACK})
	case stepWait:
		r.now += int64(st.wait)
		r.number++
		elsewhere := packet.NewFlowKey(netip.MustParseAddrPort("198.51.100.1:9"), netip.MustParseAddrPort("198.51.100.2:9"), packet.ProtoTCP)
		r.follower.FeedSegment(elsewhere, packet.TCP{Time: r.now, Number: r.number, Flags: packet.ACK})
	case stepClose:
		return r.follower.Close()
	case stepVerdicts:
		r.verdicts = true
	case stepSegment:
		r.segment(&st.seg)
	}
	return nil
}

// segment feeds one segment and checks that the follower left it alone.
func (r *runner) segment(g *segment) {
	from, to := 0, 1
	src, dst := r.client, r.server
	if g.server {
		from, to = 1, 0
		src, dst = dst, src
	}
	ends := r.sent[r.client]
	if ends == nil {
		ends = new([2]int64)
		r.sent[r.client] = ends
	}
	at := ends[from]
	if g.hasAt {
		at = g.at
	}
	if g.flags.Has(packet.SYN) && !g.hasAt {
		at = -1
	}
	seg := packet.TCP{
		Payload: bytes.Clone(g.data), Missing: g.missing, Flags: g.flags, Window: g.window, Urgent: g.urgent,
		Seq: r.isn[from] + 1 + uint32(at) + r.variant.Shift,
		Ack: r.isn[to] + 1 + uint32(g.ack) + r.variant.Shift,
	}
	if g.hasSeq {
		seg.Seq = g.seq + r.variant.Shift
	}
	if g.hasAck {
		seg.Ack = g.ackSeq + r.variant.Shift
	}
	if !g.flags.Has(packet.ACK) {
		seg.Ack = 0
	}
	end := at + int64(len(g.data)) + int64(g.missing)
	if g.flags.Has(packet.SYN) {
		end++
	}
	if !g.hasSeq && end > ends[from] {
		ends[from] = end
	}
	r.now += int64(time.Millisecond)
	r.number++
	seg.Time, seg.Number = r.now, r.number
	v := r.follower.FeedSegment(packet.NewFlowKey(r.addr(src), r.addr(dst), packet.ProtoTCP), seg)
	if !bytes.Equal(seg.Payload, g.data) {
		r.problem("frame %d: the follower changed the payload", r.number)
	}
	for i := range seg.Payload {
		seg.Payload[i] = 0xAA // borrowed bytes that the follower kept show from here on
	}
	if r.verdicts {
		r.log = append(r.log, event{text: "verdict " + v.String(), fed: r.fed})
	}
}

// addr maps an address of the script into the variant.
func (r *runner) addr(a netip.AddrPort) netip.AddrPort {
	if !r.variant.IPv6 || !a.Addr().Is4() {
		return a
	}
	b := netip.MustParseAddr("2001:db8::").As16()
	v4 := a.Addr().As4()
	copy(b[12:], v4[:])
	return netip.AddrPortFrom(netip.AddrFrom16(b), a.Port())
}

// name is the inverse of addr.
func (r *runner) name(a netip.AddrPort) string {
	if r.variant.IPv6 && a.Addr().Is6() {
		b := a.Addr().As16()
		if b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8 {
			a = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), a.Port())
		}
	}
	return a.String()
}

func letter(d packet.Direction) string { return d.String()[:1] }

func (r *runner) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *runner) open(s *tcpfollow.TCPStream) {
	id := s.ID()
	if r.offset[id] != nil {
		r.problem("#%d was opened twice", id)
	}
	r.offset[id], r.payload[id] = new([2]uint64), new([2][]byte)
	r.log = append(r.log, event{text: fmt.Sprintf("#%d open %s > %s %v", id, r.name(s.Client()), r.name(s.Server()), s.Info().Start), fed: r.fed})
}

// next checks that an event comes at its place, and moves the place on.
func (r *runner) next(s *tcpfollow.TCPStream, what string, d packet.Direction, off, n uint64) {
	id := s.ID()
	at := r.offset[id]
	if at != nil && r.drops { // octets that were left out take their place, too
		left := s.Info().Halves[d].Urgent
		at[d] += left - r.dropped[[2]uint64{id, uint64(d)}]
		r.dropped[[2]uint64{id, uint64(d)}] = left
	}
	switch {
	case at == nil:
		r.problem("#%d: %s before open", id, what)
	case r.ended[id]:
		r.problem("#%d: %s after end", id, what)
	case at[d] != off:
		r.problem("#%d: %s at %d of %v, expected at %d", id, what, off, d, at[d])
	case n == 0:
		r.problem("#%d: empty %s", id, what)
	default:
		at[d] += n
	}
}

func (r *runner) data(s *tcpfollow.TCPStream) {
	c, id := s.Chunk(), s.ID()
	r.next(s, "data", c.Direction, c.Offset, uint64(len(c.Bytes)))
	if r.payload[id] == nil {
		return
	}
	sum := &r.payload[id][c.Direction]
	*sum = append(*sum, c.Bytes...)
	if so := [2][]byte{s.ClientPayload(), s.ServerPayload()}[c.Direction]; so != nil && !s.Truncated(c.Direction) && !bytes.Equal(so, *sum) {
		r.problem("#%d: the payload so far is not what was delivered", id)
	}
	if n := len(r.log); n > 0 {
		if last := &r.log[n-1]; last.data != nil && last.fed == r.fed && last.id == id && last.dir == c.Direction && last.off+uint64(len(last.data)) == c.Offset {
			last.data = append(last.data, c.Bytes...)
			return
		}
	}
	r.log = append(r.log, event{fed: r.fed, id: id, dir: c.Direction, off: c.Offset, data: bytes.Clone(c.Bytes)})
}

func (r *runner) gap(s *tcpfollow.TCPStream, g tcpfollow.Gap) {
	r.next(s, "gap", g.Direction, g.Offset, g.Length)
	r.log = append(r.log, event{text: fmt.Sprintf("#%d gap %s %d+%d %v", s.ID(), letter(g.Direction), g.Offset, g.Length, g.Reason), fed: r.fed})
}

func (r *runner) urgent(s *tcpfollow.TCPStream, u tcpfollow.Urgent) {
	r.next(s, "urgent octet", u.Direction, u.Offset, 1)
	r.log = append(r.log, event{text: fmt.Sprintf("#%d urgent %s %d %q", s.ID(), letter(u.Direction), u.Offset, []byte{u.Byte}), fed: r.fed})
}

func (r *runner) conflict(s *tcpfollow.TCPStream, x tcpfollow.Conflict) {
	kept := "old"
	if x.KeptNew {
		kept = "new"
	}
	r.log = append(r.log, event{text: fmt.Sprintf("#%d conflict %s %d old %q new %q kept %s", s.ID(), letter(x.Direction), x.Offset, x.Old, x.New, kept), fed: r.fed})
}

func (r *runner) end(s *tcpfollow.TCPStream) {
	id := s.ID()
	if r.ended[id] {
		r.problem("#%d ended twice", id)
	}
	if r.offset[id] == nil {
		r.problem("#%d ended without open", id)
	}
	if !s.Finished() {
		r.problem("#%d: not finished in its end callback", id)
	}
	r.ended[id] = true
	r.log = append(r.log, event{text: fmt.Sprintf("#%d end %v", id, s.End()), fed: r.fed})
}

// lines returns the log as text.
func (r *runner) lines() []string {
	out := make([]string, 0, len(r.log))
	for _, e := range r.log {
		if e.data != nil {
			e.text = fmt.Sprintf("#%d data %s %d %s", e.id, letter(e.dir), e.off, quote(e.data))
		}
		out = append(out, e.text)
	}
	return out
}

// quote writes filler as scripts do, and other data as a Go string.
func quote(b []byte) string {
	if len(b) >= 27 && strings.HasPrefix(string(b), string(filler(27))) && bytes.Equal(b, filler(len(b))) {
		return "x" + strconv.Itoa(len(b))
	}
	return strconv.Quote(string(b))
}
