package live

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/bpf"
)

// Where things are in a block of the ring, and in a frame within it: struct tpacket_block_desc, tpacket3_hdr and, behind
// that, sockaddr_ll of linux/if_packet.h, in the byte order of the machine.
const (
	blockStatus = 8
	blockCount  = 12
	blockFirst  = 16
	blockHeader = 48

	frameNext     = 0
	frameSec      = 4
	frameNsec     = 8
	frameCaptured = 12
	frameLength   = 16
	frameStatus   = 20
	frameMAC      = 24
	frameNet      = 26
	frameVLAN     = 32
	frameTPID     = 36
	frameProtocol = 50 // in network order
	frameIndex    = 52
	frameARPHRD   = 56
	framePktType  = 58
	frameAddrLen  = 59
	frameAddr     = 60
	frameHeader   = 68
)

const (
	sll2Length = 20
	tagLength  = 4
	macLength  = 12 // both addresses of an Ethernet header
	// reserve is the room that the kernel leaves in front of a frame, for what is put back there.
	reserve = 32
)

// ring is the socket of an interface, and the memory that it shares with the kernel.
type ring struct {
	name    string
	index   int
	number  uint32 // of the interface in Config.Interfaces
	fd      int
	link    packet.LinkType
	cooked  bool // without link headers: they are made here
	snapLen int
	// program judges frames that the kernel could not, those with a VLAN tag; all of them if judges is set.
	program bpf.Program
	judges  bool

	mem   []byte
	block int           // that is read next
	left  int           // frames in it that were not
	at    int           // where in it the next one is
	spent bool          // it was read to its end, and is still lent
	fence atomic.Uint32 // orders reads of a block with those of its status
}

func u16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

func (r *ring) current() []byte { return r.mem[r.block*blockSize:][:blockSize:blockSize] }

// ready reports whether there is a frame to read.
func (r *ring) ready() bool {
	if r.left > 0 || r.spent {
		return r.left > 0
	}
	b := r.current()
	if u32(b[blockStatus:])&unix.TP_STATUS_USER == 0 {
		return false
	}
	r.fence.Add(1) // what the kernel wrote before the status is read after it
	r.left, r.at = int(u32(b[blockCount:])), int(u32(b[blockFirst:]))
	r.spent = r.left == 0
	return !r.spent
}

// giveBack gives the block that was read to the kernel.
func (r *ring) giveBack() {
	if !r.spent {
		return
	}
	r.fence.Add(1) // after all that was read of it
	binary.NativeEndian.PutUint32(r.current()[blockStatus:], unix.TP_STATUS_KERNEL)
	r.block = (r.block + 1) % (len(r.mem) / blockSize)
	r.spent = false
}

// time returns that of the next frame.
func (r *ring) time() int64 {
	h := r.header()
	if h == nil {
		return 0 // next will skip the block
	}
	return int64(u32(h[frameSec:]))*1e9 + int64(u32(h[frameNsec:]))
}

// header returns the next frame's header and all that follows in the block, nil if that is no header.
func (r *ring) header() []byte {
	b := r.current()
	if r.at < blockHeader || r.at > len(b)-frameHeader {
		return nil
	}
	return b[r.at:]
}

// verdict says what becomes of a frame.
type verdict uint8

const (
	taken verdict = iota
	filtered
	looped
	damaged
)

// next reads the next frame, of which there must be one.
func (r *ring) next(f *packet.Frame) verdict {
	h := r.header()
	if h == nil {
		r.left, r.spent = 0, true
		return damaged
	}
	f.Time = r.time()
	v := r.frame(h, f)
	if step := u32(h[frameNext:]); step >= frameHeader && step < blockSize {
		r.at += int(step)
	} else { // that of the last frame
		r.at = blockSize
	}
	r.left--
	r.spent = r.left == 0
	return v
}

// frame makes f of what is at h.
func (r *ring) frame(h []byte, f *packet.Frame) verdict {
	start, captured := int(u16(h[frameMAC:])), int(u32(h[frameCaptured:]))
	if start < frameHeader+reserve || captured < 0 || captured > len(h)-start {
		return damaged
	}
	if u16(h[frameARPHRD:]) == unix.ARPHRD_LOOPBACK && h[framePktType] == unix.PACKET_OUTGOING {
		return looped
	}
	from, end := start, start+captured
	tagged := u32(h[frameStatus:])&unix.TP_STATUS_VLAN_VALID != 0
	switch {
	case r.cooked:
		if from = cook(h, start, end, tagged); from > end {
			return damaged
		}
	case tagged && captured >= macLength && r.link == packet.LinkEthernet:
		from -= tagLength
		copy(h[from:], h[start:start+macLength])
		putTag(h, from+macLength)
	default:
		tagged = false
	}
	f.Data = h[from:end:end]
	f.Length = int(u32(h[frameLength:])) + start - from
	f.Link, f.Interface = r.link, r.number
	if (r.judges || tagged) && r.program != nil && r.program.Run(f.Data, f.Length) == 0 {
		return filtered
	}
	return taken
}

// putTag writes a VLAN tag, as the header at h has it.
func putTag(h []byte, at int) {
	binary.BigEndian.PutUint16(h[at:], tpid(h))
	binary.BigEndian.PutUint16(h[at+2:], uint16(u32(h[frameVLAN:])))
}

// tpid returns the Ethernet type of the frame's VLAN tag.
func tpid(h []byte) uint16 {
	if u32(h[frameStatus:])&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
		return unix.ETH_P_8021Q
	}
	return u16(h[frameTPID:])
}

// cook writes a LINUX_SLL2 header in place of the link header at start, and returns where it is, beyond end if there is no
// packet.
func cook(h []byte, start, end int, tagged bool) int {
	protocol := binary.BigEndian.Uint16(h[frameProtocol:])
	at := int(u16(h[frameNet:]))
	if arphrd := u16(h[frameARPHRD:]); arphrd == unix.ARPHRD_ETHER || arphrd == unix.ARPHRD_LOOPBACK {
		// The kernel's word for where the packet starts, and for what it is, may be behind VLAN tags.
		if at = start + macLength + 2; at <= end {
			if t := binary.BigEndian.Uint16(h[at-2:]); t >= unix.ETH_P_802_3_MIN {
				protocol = t
			}
		}
	}
	if at < start || at > end {
		return end + 1
	}
	if tagged { // the rest of the tag follows the header, as it does in Ethernet
		at -= tagLength
		binary.BigEndian.PutUint16(h[at:], uint16(u32(h[frameVLAN:])))
		binary.BigEndian.PutUint16(h[at+2:], protocol)
		protocol = tpid(h)
	}
	at -= sll2Length
	header := h[at:]
	binary.BigEndian.PutUint16(header[0:], protocol)
	binary.BigEndian.PutUint16(header[2:], 0)
	binary.BigEndian.PutUint32(header[4:], u32(h[frameIndex:]))
	binary.BigEndian.PutUint16(header[8:], u16(h[frameARPHRD:]))
	header[10], header[11] = h[framePktType], h[frameAddrLen]
	copy(header[12:20], h[frameAddr:])
	return at
}

// attach sets the kernel's filter, and leaves to frame what the kernel does not take.
func (r *ring) attach() error {
	if r.program != nil && !r.cooked {
		if setFilter(r.fd, r.kernelProgram()) == nil {
			return nil
		}
	}
	r.judges = r.program != nil
	return setFilter(r.fd, []unix.SockFilter{accept(r.snapLen)})
}

// kernelProgram returns the program for the kernel, which sees frames without their outer VLAN tag: it takes all that
// have one.
func (r *ring) kernelProgram() []unix.SockFilter {
	const tagPresent = 0xfffff000 + 48 // SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: tagPresent},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: 0},
		accept(r.snapLen),
	}
	for _, i := range r.program {
		if i.Op == unix.BPF_RET|unix.BPF_K && i.K != 0 {
			i.K = uint32(r.snapLen)
		}
		program = append(program, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	return slices.Clip(program)
}

// accept is the instruction that takes so many bytes of a frame; 0 refuses it.
func accept(n int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(n)}
}

func setFilter(fd int, program []unix.SockFilter) error {
	if len(program) > unix.BPF_MAXINSNS {
		return unix.EINVAL
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}
