package live

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
)

const (
	// retire is how long a frame waits in a block that is not full.
	retire = 50 * time.Millisecond
	// settle is after how long without a frame none is left that was received before.
	settle = 4 * retire
)

// Source captures frames from interfaces. It implements [packet.Source].
//
// One goroutine reads; Stop, Close and Stats may be called by others at any time.
type Source struct {
	cfg      Config
	rings    []*ring
	polls    []unix.PollFd // of the rings, and last of wake
	wake     int           // an eventfd: Stop or Close was called
	stopping atomic.Bool
	closing  atomic.Bool

	reading  sync.Mutex // held while a batch is read; protects all above that is not atomic
	draining bool
	end      error // that comes when all frames have been read
	err      error // what reading ended with
	number   uint64
	last     int64 // time of the last frame, be it left out

	counting sync.Mutex // protects what follows, and the sockets from being closed
	stats    Stats
	closed   bool
}

var _ packet.Source = (*Source)(nil)

// Open starts to capture. No frame is returned that the filter does not accept, and none is missed from when Open
// returns. Errors about an interface are an [*Error]; without the permission, errors.Is(err, fs.ErrPermission).
func Open(cfg *Config) (*Source, error) {
	c, err := cfg.settled()
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: c, wake: -1}
	if err := s.open(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) open() error {
	for i, name := range s.cfg.Interfaces {
		r := &ring{name: name, number: uint32(i), fd: -1, snapLen: s.cfg.SnapLen}
		s.rings = append(s.rings, r)
		op, err := r.open(&s.cfg)
		var own *Error
		var bad *bpf.Error
		switch {
		case errors.As(err, &own), errors.As(err, &bad):
			return err
		case err != nil:
			return &Error{Interface: name, Op: op, Err: err}
		}
		s.polls = append(s.polls, unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN})
	}
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return &Error{Op: "create eventfd", Err: err}
	}
	s.polls = append(s.polls, unix.PollFd{Fd: int32(s.wake), Events: unix.POLLIN})
	return nil
}

// open makes the socket and the ring, and binds the socket last, so that nothing comes before the filter is there.
func (r *ring) open(cfg *Config) (op string, err error) {
	var ifi net.Interface
	if r.name == Any {
		r.link = packet.LinkSLL2
	} else if ifi, r.link, err = lookup(r.name); err != nil {
		return "", err
	}
	r.index = ifi.Index
	r.cooked = r.link == packet.LinkSLL2
	if cfg.Filter != "" {
		r.program, err = bpf.Compile(r.link, cfg.Filter)
		if errors.Is(err, bpf.ErrRejectsAll) {
			r.program, err = bpf.Program{{Op: unix.BPF_RET | unix.BPF_K}}, nil
		}
		if err != nil {
			return "compile filter", err
		}
	}
	if r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return "open packet socket", err
	}
	for _, o := range []struct {
		op            string
		option, value int
	}{
		{"choose TPACKET_V3", unix.PACKET_VERSION, unix.TPACKET_V3},
		{"reserve room for VLAN tags", unix.PACKET_RESERVE, reserve},
	} {
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, o.option, o.value); err != nil {
			return o.op, err
		}
	}
	const frame = 2048 // has no meaning in TPACKET_V3
	if err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size: blockSize, Block_nr: uint32(cfg.Ring / blockSize),
		Frame_size: frame, Frame_nr: uint32(cfg.Ring / frame),
		Retire_blk_tov: uint32(retire / time.Millisecond),
	}); err != nil {
		return "allocate ring", err
	}
	if r.mem, err = unix.Mmap(r.fd, 0, cfg.Ring, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return "map ring", err
	}
	if ifi.Flags&net.FlagLoopback != 0 {
		// A matter of room in the ring: they are left out anyway, and older kernels do not have the option.
		_ = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	return r.bind(cfg)
}

// bind lets frames in. A group is joined behind a filter that takes none, else there would be those of other members.
func (r *ring) bind(cfg *Config) (op string, err error) {
	if cfg.Fanout != 0 {
		err = setFilter(r.fd, []unix.SockFilter{accept(0)})
	} else {
		err = r.attach()
	}
	if err != nil {
		return "attach filter", err
	}
	if !cfg.NoPromiscuous && r.name != Any {
		if err := unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(r.index), Type: unix.PACKET_MR_PROMISC}); err != nil {
			return "turn on promiscuous mode", err
		}
	}
	all := binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: u16(all), Ifindex: r.index}); err != nil {
		return "bind socket", err
	}
	if cfg.Fanout == 0 {
		return "", nil
	}
	mode := unix.PACKET_FANOUT_HASH | unix.PACKET_FANOUT_FLAG_DEFRAG
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, mode<<16|int(cfg.Fanout)); err != nil {
		return "join fanout group", err
	}
	return "attach filter", r.attach()
}

// lookup finds an interface that is up, and its link type.
func lookup(name string) (net.Interface, packet.LinkType, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return net.Interface{}, 0, &Error{Interface: name, Err: ErrNoInterface}
	}
	if ifi.Flags&net.FlagUp == 0 {
		return *ifi, 0, &Error{Interface: name, Err: ErrDown}
	}
	link, err := linkType(name)
	if err != nil {
		return *ifi, 0, &Error{Interface: name, Op: "find link type", Err: err}
	}
	return *ifi, link, nil
}

// linkType returns what frames of an interface start with, LINUX_SLL2 where its headers are left out.
func linkType(name string) (packet.LinkType, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, ifr); err != nil {
		return 0, err
	}
	return linkOf(ifr.Uint16()), nil
}

// linkOf returns the link type for an interface's ARPHRD_ number.
func linkOf(arphrd uint16) packet.LinkType {
	switch arphrd {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return packet.LinkEthernet
	case unix.ARPHRD_NONE, unix.ARPHRD_RAWIP:
		return packet.LinkRaw
	case unix.ARPHRD_IEEE80211:
		return packet.LinkWiFi
	case unix.ARPHRD_IEEE80211_PRISM:
		return packet.LinkPrism
	case unix.ARPHRD_IEEE80211_RADIOTAP:
		return packet.LinkRadiotap
	}
	return packet.LinkSLL2
}

// ReadBatch replaces the frames of b by the next ones, and waits for one. It returns without frames, and with the
// time as Clock, when none has come for Config.Tick. The error is io.EOF after Stop, os.ErrClosed after Close, and
// else an [*Error]: an interface that is gone or down is one, once all of its frames were read.
//
// Frames are borrowed: valid until the next ReadBatch, or Close. It does not allocate once b has its size.
func (s *Source) ReadBatch(b *packet.Batch) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	if cap(b.Frames) < packet.BatchSize {
		b.Frames = make([]packet.Frame, 0, packet.BatchSize)
	}
	b.Frames, b.Clock = b.Frames[:0], 0
	start := time.Now()
	for s.err == nil {
		if s.closing.Load() {
			return os.ErrClosed
		}
		if s.stopping.Load() {
			s.drain(io.EOF)
		}
		for _, r := range s.rings {
			r.giveBack()
		}
		more := s.fill(b)
		switch {
		case len(b.Frames) > 0:
			return nil
		case more && time.Since(start) > s.cfg.Tick: // all of them were left out
			b.Clock = s.last - int64(settle)
			return nil
		case more:
			continue
		}
		if idle, err := s.wait(); err != nil {
			s.err = err
		} else if idle {
			b.Clock = time.Now().Add(-settle).UnixNano()
			return nil
		}
	}
	return s.err
}

// drain lets no more frames in, so that reading ends with err.
func (s *Source) drain(err error) {
	if s.draining {
		return
	}
	s.draining, s.end = true, err
	for _, r := range s.rings {
		_ = setFilter(r.fd, []unix.SockFilter{accept(0)}) // else they end with the ring's room
	}
}

// fill reads frames, the earliest first, up to the end of a block. It reports whether something was read.
func (s *Source) fill(b *packet.Batch) (more bool) {
	for len(b.Frames) < packet.BatchSize {
		r := s.earliest()
		if r == nil {
			break
		}
		more = true
		b.Frames = b.Frames[:len(b.Frames)+1]
		f := &b.Frames[len(b.Frames)-1]
		v := r.next(f)
		s.last = f.Time
		if v == taken {
			s.number++
			f.Number = s.number
		} else {
			b.Frames = b.Frames[:len(b.Frames)-1]
			s.leftOut(v)
		}
		if r.spent {
			break
		}
	}
	s.counting.Lock()
	s.stats.Frames = s.number
	s.counting.Unlock()
	return more
}

func (s *Source) leftOut(v verdict) {
	s.counting.Lock()
	defer s.counting.Unlock()
	switch v {
	case filtered:
		s.stats.Filtered++
	case looped:
		s.stats.Looped++
	default:
		s.stats.Dropped++
	}
}

// earliest returns the ring with the earliest of the frames that are there, nil if there is none.
func (s *Source) earliest() *ring {
	if len(s.rings) == 1 {
		if r := s.rings[0]; r.ready() {
			return r
		}
		return nil
	}
	var first *ring
	var at int64
	for _, r := range s.rings {
		if r.ready() && (first == nil || r.time() < at) {
			first, at = r, r.time()
		}
	}
	return first
}

// wait waits for frames, for Stop or Close. idle says that it did so for as long as it may.
func (s *Source) wait() (idle bool, err error) {
	timeout := s.cfg.Tick
	if s.draining {
		timeout = settle
	}
	n, err := unix.Poll(s.polls, int((timeout+time.Millisecond-1)/time.Millisecond))
	switch {
	case errors.Is(err, unix.EINTR):
		return false, nil
	case err != nil:
		return false, &Error{Op: "wait for frames", Err: err}
	case n == 0 && s.draining:
		return false, s.end
	case n == 0:
		return true, nil
	}
	if s.polls[len(s.rings)].Revents != 0 {
		var counter [8]byte
		_, _ = unix.Read(s.wake, counter[:]) // or poll would not wait any more
	}
	for i, r := range s.rings {
		if s.polls[i].Revents&^unix.POLLIN != 0 && !r.ready() {
			if err := r.failure(); err != nil {
				s.drain(err) // the last block comes a little later
			}
		}
	}
	return false, nil
}

// failure returns why a socket has an error.
func (r *ring) failure() error {
	code, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, unix.ENETDOWN):
		return &Error{Interface: r.name, Op: "capture", Err: err}
	case r.name == Any: // one of many
		return nil
	}
	if _, err := net.InterfaceByIndex(r.index); err != nil {
		return &Error{Interface: r.name, Err: ErrGone}
	}
	return &Error{Interface: r.name, Err: ErrDown}
}

// Stop ends the capture: ReadBatch returns the frames received so far, and then io.EOF. It may be called at any time,
// by any goroutine.
func (s *Source) Stop() {
	s.stopping.Store(true)
	s.rouse()
}

// rouse ends a wait.
func (s *Source) rouse() {
	s.counting.Lock()
	defer s.counting.Unlock()
	if !s.closed && s.wake >= 0 {
		_, _ = unix.Write(s.wake, binary.NativeEndian.AppendUint64(nil, 1)) // it fails when it was roused very often
	}
}

// Close ends the capture and frees the ring: frames are no longer valid. A ReadBatch that waits returns, and Close waits
// for that; Stats keeps its last counts.
func (s *Source) Close() error {
	s.closing.Store(true)
	s.rouse()
	s.reading.Lock()
	defer s.reading.Unlock()
	s.count()
	s.counting.Lock()
	defer s.counting.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, r := range s.rings {
		if r.mem != nil {
			_ = unix.Munmap(r.mem)
		}
		if r.fd >= 0 {
			_ = unix.Close(r.fd)
		}
	}
	if s.wake >= 0 {
		_ = unix.Close(s.wake)
	}
	return nil
}

// count adds up what the kernel counted since it was last asked.
func (s *Source) count() {
	s.counting.Lock()
	defer s.counting.Unlock()
	if s.closed {
		return
	}
	for _, r := range s.rings {
		if r.mem == nil {
			continue
		}
		if st, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			s.stats.Received += uint64(st.Packets)
			s.stats.Dropped += uint64(st.Drops)
			s.stats.Freezes += uint64(st.Freeze_q_cnt)
		}
	}
}

// Stats returns what was counted so far.
func (s *Source) Stats() Stats {
	s.count()
	s.counting.Lock()
	defer s.counting.Unlock()
	return s.stats
}

// Interfaces returns the system's interfaces in the order of their numbers, and [Any] last.
func Interfaces() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, &Error{Op: "list interfaces", Err: err}
	}
	var list []Interface
	for _, ifi := range all {
		link, err := linkType(ifi.Name)
		if err != nil { // it has gone meanwhile
			continue
		}
		i := Interface{
			Name: ifi.Name, Index: ifi.Index, Link: link,
			Up: ifi.Flags&net.FlagUp != 0, Loopback: ifi.Flags&net.FlagLoopback != 0,
		}
		addrs, _ := ifi.Addrs() // none are known, then
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				i.Addresses = append(i.Addresses, prefix)
			}
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b Interface) int { return a.Index - b.Index })
	return append(list, Interface{Name: Any, Link: packet.LinkSLL2, Up: true}), nil
}
