package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
)

// history is what one side saw in a capture and did with it.
type history struct {
	views   map[int]view // by frame
	streams map[int]*stream
	ids     map[uint64]int // where a stream was opened
}

// view is what one side sees in a frame.
type view struct {
	tcp      bool
	src, dst netip.AddrPort
	flags    uint
	seq, ack uint32
	length   int
	why      string // there is no TCP, or it is something special
}

// same reports whether two views lead to the same.
func (v view) same(w view) bool {
	v.why, w.why = "", ""
	return v == w
}

// stream is a stream by the frame that opened it: identifiers differ when one side sees more.
type stream struct {
	opened int
	ends   [2]netip.AddrPort
	events []event
}

// event is a callback.
type event struct {
	frame          int
	kind           byte // 'D' data, 'E' end
	client, server uint64
	sum            uint64
}

func newHistory() *history {
	return &history{views: map[int]view{}, streams: map[int]*stream{}, ids: map[uint64]int{}}
}

func (h *history) open(frame int, id uint64, src, dst netip.AddrPort) {
	h.ids[id] = frame
	h.streams[frame] = &stream{opened: frame, ends: [2]netip.AddrPort{src, dst}}
}

func (h *history) add(id uint64, e event) error {
	s := h.streams[h.ids[id]]
	if s == nil {
		return fmt.Errorf("an event of stream %d, which was not opened", id)
	}
	s.events = append(s.events, e)
	return nil
}

// follow runs the harness over frames.
func follow(harness string, frames []packet.Frame) (*history, error) {
	var in bytes.Buffer
	for i := range frames {
		in.Write(binary.NativeEndian.AppendUint32(nil, uint32(frames[i].Link)))
		in.Write(binary.NativeEndian.AppendUint32(nil, uint32(len(frames[i].Data))))
		in.Write(frames[i].Data)
	}
	cmd := exec.Command(harness)
	cmd.Stdin = &in
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("harness: %w: %s", err, complaint.Bytes())
	}
	return parse(out)
}

// parse reads what the harness prints.
func parse(out []byte) (*history, error) {
	h := newHistory()
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		if err := h.line(sc.Text()); err != nil {
			return nil, fmt.Errorf("%q: %w", sc.Text(), err)
		}
	}
	return h, nil
}

func (h *history) line(text string) error {
	var what string
	var frame int
	if _, err := fmt.Sscan(text, &what, &frame); err != nil {
		return err
	}
	switch what {
	case "V":
		var src, dst string
		var sport, dport uint16
		v := view{tcp: true}
		if _, err := fmt.Sscan(text, &what, &frame, &src, &sport, &dst, &dport, &v.flags, &v.seq, &v.ack, &v.length); err != nil {
			return err
		}
		a, err := netip.ParseAddr(src)
		if err != nil {
			return err
		}
		b, err := netip.ParseAddr(dst)
		if err != nil {
			return err
		}
		v.src, v.dst = netip.AddrPortFrom(a, sport), netip.AddrPortFrom(b, dport)
		h.views[frame] = v
	case "X":
		h.views[frame] = view{why: strings.SplitN(text, " ", 3)[2]}
	case "O":
		var id uint64
		_, err := fmt.Sscan(text, &what, &frame, &id)
		h.open(frame, id, h.views[frame].src, h.views[frame].dst)
		return err
	case "D", "E":
		var id uint64
		e := event{frame: frame, kind: what[0]}
		if _, err := fmt.Sscanf(text, what+" %d %d %d %d %x", &e.frame, &id, &e.client, &e.server, &e.sum); err != nil {
			return err
		}
		return h.add(id, e)
	default:
		return fmt.Errorf("unknown line")
	}
	return nil
}

// sums are running FNV-1a sums over what client and server have sent, as the harness has them.
type sums struct {
	seen [2]int
	sum  [2]uint64
}

func (s *sums) event(kind byte, frame int, payload [2][]byte) event {
	for d := range payload {
		for ; s.seen[d] < len(payload[d]); s.seen[d]++ {
			s.sum[d] = (s.sum[d] ^ uint64(payload[d][s.seen[d]])) * 1099511628211
		}
	}
	return event{frame, kind, uint64(s.seen[0]), uint64(s.seen[1]), s.sum[0] ^ bits.RotateLeft64(s.sum[1], 1)}
}

// followCompat follows frames with CompatLibtins, with limits that nothing reaches.
func followCompat(frames []packet.Frame) (*history, error) {
	h := newHistory()
	const most = 1 << 40
	cfg := &tcpfollow.Config{
		CompatLibtins: true, Decode: packet.DecoderConfig{Checksum: packet.ChecksumOff},
		Limits: tcpfollow.Limits{Buffered: most, Segments: most, TotalBuffered: most, Payload: most, TotalPayload: most},
	}
	var f *tcpfollow.TCPStreamFollower
	var failed error
	note := func(kind byte) tcpfollow.StreamFunc {
		return func(s *tcpfollow.TCPStream) {
			e := s.User().(*sums).event(kind, int(f.Frame()), [2][]byte{s.ClientPayload(), s.ServerPayload()})
			if err := h.add(s.ID(), e); err != nil {
				failed = err
			}
		}
	}
	cfg.OnOpen = func(s *tcpfollow.TCPStream) {
		const basis = 14695981039346656037
		s.SetUser(&sums{sum: [2]uint64{basis, basis}})
		h.open(int(f.Frame()), s.ID(), s.Client(), s.Server())
	}
	f, err := tcpfollow.New(note('D'), note('E'), cfg)
	if err != nil {
		return nil, err
	}
	plain, err := packet.NewDecoder(nil)
	if err != nil {
		return nil, err
	}
	for i := range frames {
		var p packet.Packet
		plain.Decode(&frames[i], &p)
		f.FeedFrame(frames[i])
		h.views[i+1] = viewOf(f.Packet(), p.Status)
	}
	return h, failed
}

// viewOf returns what the follower saw; alone is how the frame looks by itself.
func viewOf(p *packet.Packet, alone packet.Status) view {
	if alone == packet.Fragment && (p == nil || !p.IsTCP()) {
		return view{why: "IP fragment"}
	}
	if !p.IsTCP() {
		return view{why: p.Status.Error()}
	}
	v := view{
		tcp: true, src: p.Key.Src(), dst: p.Key.Dst(), flags: uint(p.TCP.Flags), seq: p.TCP.Seq, ack: p.TCP.Ack, length: len(p.TCP.Payload),
	}
	switch tunnel := p.Tunnel(); {
	case alone == packet.Fragment:
		v.why = "IP fragments"
	case tunnel != packet.LayerNone:
		v.why = "tunnel: " + tunnel.String()
	case v.src.Addr().Is6():
		v.why = "IPv6"
	default:
		var names []string
		for _, l := range p.Layers() {
			names = append(names, l.Kind.String())
		}
		v.why = strings.Join(names, "/")
	}
	return v
}
