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
	src, dst [2]uint64 // address bytes, big endian; both of IPv4 are in src[0]: source << 32 | destination
	kind     uint64    // tunnel << 32 | version << 24 | protocol << 16 | VLAN; the version is 4, 6, or 0 for the zero key
	ports    uint32    // source port << 16 | destination port
}

// kindOf returns the kind of a key without VLAN and tunnel.
func kindOf(version, proto uint8) uint64 { return uint64(version)<<24 | uint64(proto)<<16 }

// NewFlowKey returns the key for packets of IP protocol proto from src to dst, which must both be IPv4 or both IPv6;
// a zone is ignored, and an IPv4-mapped IPv6 address counts as IPv6.
func NewFlowKey(src, dst netip.AddrPort, proto uint8) FlowKey {
	var k FlowKey
	if src.Addr().Is4() {
		s, d := src.Addr().As4(), dst.Addr().As4()
		k.Set(s[:], d[:], src.Port(), dst.Port(), proto)
	} else {
		s, d := src.Addr().As16(), dst.Addr().As16()
		k.Set(s[:], d[:], src.Port(), dst.Port(), proto)
	}
	return k
}

// Set makes k the key for packets of IP protocol proto between two addresses as headers have them: 4 bytes each, or 16.
// It does not allocate.
func (k *FlowKey) Set(src, dst []byte, srcPort, dstPort uint16, proto uint8) {
	if len(src) == 4 {
		k.setIPv4(uint64(binary.BigEndian.Uint32(src))<<32|uint64(binary.BigEndian.Uint32(dst)), proto)
	} else {
		k.setIPv6(src, dst, proto)
	}
	k.ports = uint32(srcPort)<<16 | uint32(dstPort)
}

// Version returns the version of IP: 4, 6, or 0 for the zero key.
func (k FlowKey) Version() uint8 { return uint8(k.kind >> 24) }

func (k *FlowKey) setIPv4(pair uint64, proto uint8) {
	*k = FlowKey{src: [2]uint64{pair}, kind: kindOf(4, proto)}
}

func (k *FlowKey) setIPv6(src, dst []byte, proto uint8) {
	k.src = [2]uint64{binary.BigEndian.Uint64(src), binary.BigEndian.Uint64(src[8:])}
	k.dst = [2]uint64{binary.BigEndian.Uint64(dst), binary.BigEndian.Uint64(dst[8:])}
	k.kind, k.ports = kindOf(6, proto), 0
}

func (k *FlowKey) setProto(proto uint8) { k.kind = k.kind&^(0xff<<16) | uint64(proto)<<16 }

// Src returns the sender's address and port.
func (k FlowKey) Src() netip.AddrPort {
	return k.addrPort(uint32(k.src[0]>>32), k.src, uint16(k.ports>>16))
}

// Dst returns the receiver's address and port.
func (k FlowKey) Dst() netip.AddrPort { return k.addrPort(uint32(k.src[0]), k.dst, uint16(k.ports)) }

func (k FlowKey) addrPort(a4 uint32, a6 [2]uint64, port uint16) netip.AddrPort {
	switch k.Version() {
	case 4:
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], a4)
		return netip.AddrPortFrom(netip.AddrFrom4(b), port)
	case 6:
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], a6[0])
		binary.BigEndian.PutUint64(b[8:], a6[1])
		return netip.AddrPortFrom(netip.AddrFrom16(b), port)
	}
	return netip.AddrPort{}
}

// Proto returns the IP protocol number: 6 for TCP, 17 for UDP.
func (k FlowKey) Proto() uint8 { return uint8(k.kind >> 16) }

// VLAN returns the VLAN id that counts as part of the key, 0 for none.
func (k FlowKey) VLAN() uint16 { return uint16(k.kind) }

// Tunnel returns the tunnel identifier that counts as part of the key, 0 for none.
func (k FlowKey) Tunnel() uint32 { return uint32(k.kind >> 32) }

// WithPorts returns the key with other ports.
func (k FlowKey) WithPorts(src, dst uint16) FlowKey {
	k.ports = uint32(src)<<16 | uint32(dst)
	return k
}

// WithVLAN returns the key with id as a part of it.
func (k FlowKey) WithVLAN(id uint16) FlowKey {
	k.kind = k.kind&^0xffff | uint64(id)
	return k
}

// WithTunnel returns the key with id as a part of it.
func (k FlowKey) WithTunnel(id uint32) FlowKey {
	k.kind = k.kind<<32>>32 | uint64(id)<<32
	return k
}

// Reverse returns the key of the other direction.
func (k FlowKey) Reverse() FlowKey {
	if k.Version() == 6 {
		k.src, k.dst = k.dst, k.src
	} else {
		k.src[0] = bits.RotateLeft64(k.src[0], 32)
	}
	k.ports = bits.RotateLeft32(k.ports, 16)
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
	dst.kind = k.kind
	if k.Version() == 4 {
		dst.src, dst.dst = [2]uint64{}, [2]uint64{}
		var from uint8
		dst.src[0], dst.ports, from = order4(k.src[0], k.ports)
		return from != 0
	}
	if k.less() {
		dst.src, dst.dst, dst.ports = k.src, k.dst, k.ports
		return false
	}
	dst.src, dst.dst, dst.ports = k.dst, k.src, bits.RotateLeft32(k.ports, 16)
	return true
}

// order4 exchanges source and destination if the source is the larger, and returns 1 then.
func order4(pair uint64, ports uint32) (ordered uint64, orderedPorts uint32, from uint8) {
	back, backPorts := bits.RotateLeft64(pair, 32), bits.RotateLeft32(ports, 16)
	reversed := pair > back
	if pair == back {
		reversed = ports > backPorts
	}
	if reversed { // without a branch: whether a packet is from the smaller address is as good as random
		pair, ports, from = back, backPorts, 1
	}
	return pair, ports, from
}

// Equal reports whether two keys are the same, as == does, faster.
func (k *FlowKey) Equal(other *FlowKey) bool {
	return (k.src[0]^other.src[0])|(k.src[1]^other.src[1])|(k.dst[0]^other.dst[0])|(k.dst[1]^other.dst[1])|
		uint64(k.ports^other.ports)|(k.kind^other.kind) == 0
}

// Hash returns a 64-bit hash under seed, equal for equal keys. It is not symmetric: hash the canonical key. Whoever does
// not know the seed can't choose keys that collide.
func (k *FlowKey) Hash(seed uint64) uint64 {
	first, tunnel := k.src[0], k.kind>>32
	if k.Version() == 6 {
		seed = mix(mix(seed, k.src[1], k.dst[1]), k.src[0], k.dst[0])
		first = tunnel
	} else if tunnel != 0 {
		seed = mix(seed, tunnel, 0)
	}
	return mix(seed, first, tail(k.kind, k.ports))
}

// tail is what Hash takes of a key beside the addresses and the tunnel.
func tail(kind uint64, ports uint32) uint64 { return kind<<32 ^ uint64(ports) }

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
func (k FlowKey) String() string { return fmt.Sprintf("%v > %v proto %d", k.Src(), k.Dst(), k.Proto()) }

// mix folds a 128-bit product, as wyhash does: cheap, and unpredictable while the seed is secret. It needs the seed in both
// factors: one that an address can make 0 would hide the other.
func mix(seed, a, b uint64) uint64 {
	hi, lo := bits.Mul64(seed^a, b^0x9e3779b97f4a7c15^bits.RotateLeft64(seed, 32))
	return hi ^ lo
}
