package packet

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
)

// Direction tells the two halves of a conversation apart.
type Direction uint8

// The directions of a stream. The client is the side that opened the connection.
const (
	ClientToServer Direction = iota
	ServerToClient
)

// String returns "client" or "server": the side that speaks.
func (d Direction) String() string {
	if d == ClientToServer {
		return "client"
	}
	return "server"
}

// Reverse returns the other direction.
func (d Direction) Reverse() Direction { return d ^ 1 }

// FlowKey names one direction of a flow: source and destination address and port and the IP protocol, innermost
// first where packets are nested, plus the VLAN and tunnel when those are asked to count. It is comparable and holds
// no pointer. The two directions of a flow have the same [FlowKey.Canonical] key.
type FlowKey struct {
	src, dst [2]uint64 // address bytes, big endian; IPv4 is held in the last four
	ports    uint32    // source port << 16 | destination port
	tunnel   uint32
	vlan     uint16
	proto    uint8
	version  uint8 // 4, 6, or 0 for the zero key
}

// NewFlowKey returns the key for packets of IP protocol proto from src to dst, which must both be IPv4 or both IPv6;
// a zone is ignored, and an IPv4-mapped IPv6 address counts as IPv6.
func NewFlowKey(src, dst netip.AddrPort, proto uint8) FlowKey {
	k := FlowKey{ports: uint32(src.Port())<<16 | uint32(dst.Port()), proto: proto}
	if src.Addr().Is4() {
		s, d := src.Addr().As4(), dst.Addr().As4()
		k.setIPv4(s[:], d[:])
		return k
	}
	s, d := src.Addr().As16(), dst.Addr().As16()
	k.setIPv6(s[:], d[:])
	return k
}

// Set makes k the key for packets of IP protocol proto between two addresses as headers have them: 4 bytes each, or 16.
// It does not allocate.
func (k *FlowKey) Set(src, dst []byte, srcPort, dstPort uint16, proto uint8) {
	if len(src) == 4 {
		k.setIPv4(src, dst)
	} else {
		k.setIPv6(src, dst)
	}
	k.ports = uint32(srcPort)<<16 | uint32(dstPort)
	k.tunnel, k.vlan, k.proto = 0, 0, proto
}

// Version returns the version of IP: 4, 6, or 0 for the zero key.
func (k FlowKey) Version() uint8 { return k.version }

func (k *FlowKey) setIPv4(src, dst []byte) {
	k.version = 4
	k.src = [2]uint64{0, uint64(binary.BigEndian.Uint32(src))}
	k.dst = [2]uint64{0, uint64(binary.BigEndian.Uint32(dst))}
}

func (k *FlowKey) setIPv6(src, dst []byte) {
	k.version = 6
	k.src = [2]uint64{binary.BigEndian.Uint64(src), binary.BigEndian.Uint64(src[8:])}
	k.dst = [2]uint64{binary.BigEndian.Uint64(dst), binary.BigEndian.Uint64(dst[8:])}
}

// Src returns the sender's address and port.
func (k FlowKey) Src() netip.AddrPort { return k.addrPort(k.src, uint16(k.ports>>16)) }

// Dst returns the receiver's address and port.
func (k FlowKey) Dst() netip.AddrPort { return k.addrPort(k.dst, uint16(k.ports)) }

func (k FlowKey) addrPort(a [2]uint64, port uint16) netip.AddrPort {
	switch k.version {
	case 4:
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(a[1]))
		return netip.AddrPortFrom(netip.AddrFrom4(b), port)
	case 6:
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], a[0])
		binary.BigEndian.PutUint64(b[8:], a[1])
		return netip.AddrPortFrom(netip.AddrFrom16(b), port)
	}
	return netip.AddrPort{}
}

// Proto returns the IP protocol number: 6 for TCP, 17 for UDP.
func (k FlowKey) Proto() uint8 { return k.proto }

// VLAN returns the VLAN id that counts as part of the key, 0 for none.
func (k FlowKey) VLAN() uint16 { return k.vlan }

// Tunnel returns the tunnel identifier that counts as part of the key, 0 for none.
func (k FlowKey) Tunnel() uint32 { return k.tunnel }

// WithPorts returns the key with other ports.
func (k FlowKey) WithPorts(src, dst uint16) FlowKey {
	k.ports = uint32(src)<<16 | uint32(dst)
	return k
}

// WithVLAN returns the key with id as a part of it.
func (k FlowKey) WithVLAN(id uint16) FlowKey { k.vlan = id; return k }

// WithTunnel returns the key with id as a part of it.
func (k FlowKey) WithTunnel(id uint32) FlowKey { k.tunnel = id; return k }

// Reverse returns the key of the other direction.
func (k FlowKey) Reverse() FlowKey {
	k.src, k.dst = k.dst, k.src
	k.ports = k.ports<<16 | k.ports>>16
	return k
}

// Canonical returns the key that both directions of the flow share, and whether it is the reverse of k.
func (k FlowKey) Canonical() (key FlowKey, reversed bool) {
	reversed = k.CanonicalTo(&key)
	return key, reversed
}

func (k *FlowKey) less() bool {
	if k.src[1] != k.dst[1] {
		return k.src[1] < k.dst[1]
	}
	if k.src[0] != k.dst[0] {
		return k.src[0] < k.dst[0]
	}
	return k.ports>>16 <= k.ports&0xffff
}

// CanonicalTo stores in dst what Canonical returns. dst must not be k.
func (k *FlowKey) CanonicalTo(dst *FlowKey) (reversed bool) {
	dst.tunnel, dst.vlan, dst.proto, dst.version = k.tunnel, k.vlan, k.proto, k.version
	if k.version == 4 {
		low, high, ports, larger := order4(k.src[1], k.dst[1], k.ports)
		dst.src, dst.dst, dst.ports = [2]uint64{0, low}, [2]uint64{0, high}, ports
		return larger != 0
	}
	if k.less() {
		dst.src, dst.dst, dst.ports = k.src, k.dst, k.ports
		return false
	}
	dst.src, dst.dst, dst.ports = k.dst, k.src, bits.RotateLeft32(k.ports, 16)
	return true
}

// order4 exchanges source and destination if the source is the larger, and returns 1 then. It does without a branch:
// whether a packet is from the smaller address is as good as random.
func order4(src, dst uint64, ports uint32) (low, high uint64, ordered uint32, larger uint64) {
	from, to := src<<16|uint64(ports>>16), dst<<16|uint64(ports&0xffff)
	larger = (to - from) >> 63
	swap := (src ^ dst) & -larger
	return src ^ swap, dst ^ swap, bits.RotateLeft32(ports, int(larger)<<4), larger
}

// Equal reports whether two keys are the same, as == does, faster.
func (k *FlowKey) Equal(other *FlowKey) bool {
	return (k.src[0]^other.src[0])|(k.src[1]^other.src[1])|(k.dst[0]^other.dst[0])|(k.dst[1]^other.dst[1])|
		uint64(k.ports^other.ports)|uint64(k.tunnel^other.tunnel)|uint64(k.vlan^other.vlan)|
		uint64(k.proto^other.proto)|uint64(k.version^other.version) == 0
}

// Hash returns a 64-bit hash under seed, equal for equal keys. It is not symmetric: hash the canonical key. Whoever does
// not know the seed can't choose keys that collide.
func (k *FlowKey) Hash(seed uint64) uint64 {
	h := hashPair(seed, k.src[1], k.dst[1])
	if k.version == 6 {
		h = hashPair(h, k.src[0], k.dst[0])
	}
	return hashTail(seed, h^uint64(k.tunnel)<<32, tail(k.ports, k.vlan, k.proto, k.version))
}

// hashPair needs a seed in both factors: one that an address can make 0 would hide the other.
func hashPair(seed, src, dst uint64) uint64 {
	return mix(seed^src, bits.RotateLeft64(seed, 32)^dst^0x9e3779b97f4a7c15)
}

func hashTail(seed, h, tail uint64) uint64 { return mix(h^tail, seed|1) }

func tail(ports uint32, vlan uint16, proto, version uint8) uint64 {
	return uint64(ports) | uint64(vlan)<<32 | uint64(proto)<<48 | uint64(version)<<56
}

// ConnKey names a connection, with who sends.
type ConnKey struct {
	// Key is canonical: the same for both directions.
	Key FlowKey
	// Hash is that of Key.
	Hash uint64
	// From is the side that sends: 0 if it is the source in Key, else 1.
	From uint8
}

// Set makes c the connection of packets with the given key, hashed under seed.
func (c *ConnKey) Set(key *FlowKey, seed uint64) {
	c.From = 0
	if key.CanonicalTo(&c.Key) {
		c.From = 1
	}
	c.Hash = c.Key.Hash(seed)
}

// String returns "src > dst proto N".
func (k FlowKey) String() string { return fmt.Sprintf("%v > %v proto %d", k.Src(), k.Dst(), k.proto) }

// mix folds a 128-bit product, as wyhash does: cheap, and unpredictable while the seed is secret.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
