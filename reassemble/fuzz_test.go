package reassemble_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// operations returns n operations for enginetest.Run.
func operations(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	ops := make([]byte, 3*n)
	for i := range ops {
		ops[i] = byte(r.Uint32())
	}
	return ops
}

func TestNativeModel(t *testing.T) {
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			for seed := range uint64(40) {
				ops := operations(seed, 150)
				if seed%2 == 0 { // only segments, only near: dense overlaps
					for i := 0; i < len(ops); i += 3 {
						ops[i] = 3 + ops[i]%6
					}
				}
				enginetest.Run(t, native(p), enginetest.Rules{Overlap: p, Exact: true}, ops, seed%4 < 2)
			}
		})
	}
}

func FuzzNative(f *testing.F) {
	f.Add(uint8(0), true, operations(1, 20))
	f.Add(uint8(3), false, operations(2, 20))
	f.Add(uint8(4), true, bytes.Repeat([]byte{3, 9, 5, 4, 77, 2}, 20))
	f.Fuzz(func(t *testing.T, policy uint8, lies bool, ops []byte) {
		p := reassemble.Overlap(policy % 6)
		enginetest.Run(t, native(p), enginetest.Rules{Overlap: p, Exact: true}, ops[:min(len(ops), 600)], lies)
	})
}
