package meter

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"slices"

	"golang.org/x/crypto/blake2b"
)

// Anonymizer hides the values of columns behind keyed digests, as NFStream does: BLAKE2b of 64 bytes over a value's text, in
// hexadecimal. Equal values have equal digests under one key. Nil hides nothing. It is not safe for concurrent use.
type Anonymizer struct {
	names   []string
	hash    hash.Hash
	text    lines
	prefix  *addressPrefixes // of addresses, or nil
	scratch []byte
	sum     []byte
}

// NewAnonymizer returns one for the columns with these names. A nil key is a random one, of which nothing is kept; else it
// has up to 64 bytes.
func NewAnonymizer(names []string, key []byte) (*Anonymizer, error) {
	if key == nil {
		key = make([]byte, blake2b.Size)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("meter: draw a key: %w", err)
		}
	}
	if len(key) == 0 || len(key) > blake2b.Size {
		return nil, errors.New("meter: a key has 1 to 64 bytes")
	}
	h, err := blake2b.New512(key)
	if err != nil {
		return nil, fmt.Errorf("meter: key: %w", err)
	}
	return &Anonymizer{names: slices.Clone(names), hash: h}, nil
}

// KeepPrefixes makes addresses in the columns src_ip and dst_ip addresses again: two that share so many leading bits share as
// many afterwards (Xu, Fan, Ammar and Moon, 2002). Other columns have digests as before.
func (a *Anonymizer) KeepPrefixes() {
	a.hash.Reset()
	a.prefix = newPrefixes([blake2b.Size]byte(a.hash.Sum(nil)))
}

// Columns returns columns of which those that a hides are text: what stands for their values. What is missing stays missing.
func (a *Anonymizer) Columns(columns []Column) []Column {
	all := slices.Clone(columns)
	for i := range all {
		if col := &columns[i]; a != nil && slices.Contains(a.names, col.Name) {
			all[i] = Column{Name: col.Name, Type: Text, set: col.set, text: func(b []byte, f *Flow) []byte { return a.append(b, col, f) }}
		}
	}
	return all
}

// append appends what stands for a flow's value of a column.
func (a *Anonymizer) append(b []byte, col *Column, f *Flow) []byte {
	if a.prefix != nil && col.addr != nil {
		return appendAddr(b, a.prefix.of(col.addr(f)))
	}
	a.scratch = a.text.appendText(a.scratch[:0], col, f)
	a.hash.Reset()
	_, _ = a.hash.Write(a.scratch) // it never fails
	a.sum = a.hash.Sum(a.sum[:0])
	return hex.AppendEncode(b, a.sum)
}

// addressPrefixes is Crypto-PAn: each bit of an address is turned or not by a pseudorandom function of the bits before it.
type addressPrefixes struct {
	block cipher.Block
	pad   [aes.BlockSize]byte
}

func newPrefixes(key [blake2b.Size]byte) *addressPrefixes {
	p := new(addressPrefixes)
	p.block, _ = aes.NewCipher(key[:16]) // 16 bytes are always a key
	p.block.Encrypt(p.pad[:], key[16:32])
	return p
}

// of returns what stands for an address.
func (p *addressPrefixes) of(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	var out [16]byte
	in, sum := p.pad, [aes.BlockSize]byte{}
	for i := range 8 * len(b) {
		p.block.Encrypt(sum[:], in[:])
		bit := byte(0x80) >> (i % 8)
		out[i/8] |= (b[i/8] ^ sum[0]&0x80>>(i%8)) & bit
		in[i/8] = in[i/8]&^bit | b[i/8]&bit
	}
	r, _ := netip.AddrFromSlice(out[:len(b)])
	return r
}
