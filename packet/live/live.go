// Package live captures frames from network interfaces, without libpcap: on Linux through AF_PACKET and a ring of
// memory that the kernel fills (TPACKET_V3). On other systems [Open] returns [ErrUnsupported].
//
// A [Source] is a packet.Source. It lends frames as they lie in the ring: nothing is copied, and nothing is allocated
// per packet. VLAN tags that the kernel took out are put back, times have nanoseconds, filters run in the kernel, and
// what the kernel had to drop is counted.
//
// Capturing takes the capability CAP_NET_RAW, and only until the source is open.
package live

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Defaults of [Config].
const (
	// DefaultSnapLen is the most bytes kept of a frame, the most that libpcap reads of one.
	DefaultSnapLen = 256 << 10
	// DefaultRing is the memory that the kernel fills with frames, for each interface: half a second of a full
	// 1 Gbit/s link.
	DefaultRing = 64 << 20
	// DefaultTick is how long ReadBatch waits for frames before it returns with the time alone.
	DefaultTick = time.Second
)

// blockSize is how much of the ring the kernel hands over at a time; no frame can be larger.
const blockSize = 256 << 10

// maxInterfaces is the most interfaces captured on at once.
const maxInterfaces = 256

// Any is the interface name that stands for all interfaces, also those that are still to come. Its frames have the
// link type LINUX_SLL2.
const Any = "any"

// What goes wrong with an interface; found in an [*Error] with errors.Is. A capture that is not permitted is an
// fs.ErrPermission.
var (
	// ErrUnsupported means that this system has no live capture.
	ErrUnsupported = errors.New("no live capture on this system: capture files only")
	// ErrNoInterface means that there is no interface of that name.
	ErrNoInterface = errors.New("no such interface")
	// ErrDown means that the interface is not up, or went down.
	ErrDown = errors.New("interface is down")
	// ErrGone means that the interface was removed.
	ErrGone = errors.New("interface is gone")
)

// Error says what failed, and where.
type Error struct {
	// Interface is the interface's name, "" for what is not about one.
	Interface string
	// Op is what was tried, "" where Err says it.
	Op string
	// Err is the reason.
	Err error
}

// Error returns one line: interface, what was tried, and reason.
func (e *Error) Error() string {
	text := e.Err.Error()
	if e.Op != "" {
		text = e.Op + ": " + text
	}
	if e.Interface != "" {
		text = e.Interface + ": " + text
	}
	return text
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Config says what is captured. Zero fields but Interfaces mean the defaults.
type Config struct {
	// Interfaces are the names of the interfaces to capture on, or [Any] alone. The frames of several are put in the order
	// of their times, as far as they are there: one that comes late by up to 50 milliseconds may come out of order.
	Interfaces []string
	// Filter is an expression of pcap-filter(7), see package bpf. It is compiled for the link type of each interface
	// and runs in the kernel, but on frames with a VLAN tag and cooked ones, which it judges here once they are whole.
	Filter string
	// SnapLen is the most bytes kept of a frame; 0 means [DefaultSnapLen].
	SnapLen int
	// Ring is the memory for frames that wait to be read, in bytes, for each interface; 0 means [DefaultRing]. It is
	// rounded up to whole blocks of 256 KiB.
	Ring int
	// NoPromiscuous captures only what the interface receives anyway: frames to and from this host, and broadcasts.
	NoPromiscuous bool
	// Fanout, unless 0, is the number of a group that shares the frames: each member, in this process or another, gets
	// the packets of some connections, both directions together. The kernel puts IPv4 fragments together for it, so
	// that their datagrams come whole.
	Fanout uint16
	// Tick is how long ReadBatch waits for frames before it returns without; 0 means [DefaultTick].
	Tick time.Duration
}

// Stats counts what a source met.
type Stats struct {
	// Frames is the number of frames returned.
	Frames uint64
	// Received is the number of frames that the kernel's filters accepted, those dropped included.
	Received uint64
	// Dropped is the number of frames that the kernel had no room for in the ring.
	Dropped uint64
	// Freezes is how often the ring was full.
	Freezes uint64
	// Filtered is the number of frames that the filter refused outside the kernel.
	Filtered uint64
	// Looped is the number of frames left out as the sent copies of frames that a loopback interface also receives.
	Looped uint64
}

// Interface is a network interface.
type Interface struct {
	// Name is what Config.Interfaces takes.
	Name string
	// Index is the system's number for it.
	Index int
	// Link is the link type that its frames will have.
	Link packet.LinkType
	// Addresses are the interface's addresses, with the length of their network's prefix.
	Addresses []netip.Prefix
	// Up says that it can be captured on; Loopback that it connects the host to itself.
	Up, Loopback bool
}

// settled returns a copy with the defaults filled in.
func (c *Config) settled() (Config, error) {
	var s Config
	if c != nil {
		s = *c
	}
	switch {
	case len(s.Interfaces) == 0:
		return s, errors.New("live: no interface given")
	case len(s.Interfaces) > maxInterfaces:
		return s, fmt.Errorf("live: more than %d interfaces", maxInterfaces)
	case s.SnapLen < 0, s.Ring < 0, s.Tick < 0:
		return s, errors.New("live: negative value in configuration")
	case s.SnapLen > math.MaxInt32, s.Ring > math.MaxInt32:
		return s, errors.New("live: SnapLen and Ring are below 2 GiB")
	}
	seen := map[string]bool{}
	for _, name := range s.Interfaces {
		if seen[name] || name == Any && len(s.Interfaces) > 1 {
			return s, fmt.Errorf("live: interface %q would be captured twice", name)
		}
		seen[name] = true
	}
	if s.SnapLen == 0 {
		s.SnapLen = DefaultSnapLen
	}
	if s.Ring == 0 {
		s.Ring = DefaultRing
	}
	s.Ring = (s.Ring + blockSize - 1) / blockSize * blockSize
	if s.Tick == 0 {
		s.Tick = DefaultTick
	}
	return s, nil
}
