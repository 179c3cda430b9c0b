package meter

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/crypto/blake2b"
)

// Anonymizer hides the values of columns behind keyed digests, as NFStream does: BLAKE2b of 64 bytes over a value's text, in
// hexadecimal. Equal values have equal digests under one key. Nil hides nothing.
type Anonymizer struct {
	names   []string
	hash    hash.Hash
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

func (a *Anonymizer) hides(name string) bool { return a != nil && slices.Contains(a.names, name) }

// append appends what stands for a value; text appends the value itself.
func (a *Anonymizer) append(b []byte, text func([]byte, *Column, *Flow) []byte, col *Column, f *Flow) []byte {
	a.scratch = text(a.scratch[:0], col, f)
	a.hash.Reset()
	_, _ = a.hash.Write(a.scratch) // it never fails
	a.sum = a.hash.Sum(a.sum[:0])
	return hex.AppendEncode(b, a.sum)
}
