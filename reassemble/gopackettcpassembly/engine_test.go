package gopackettcpassembly_test

import (
	"testing"

	"github.com/tcpfollow/tcpfollow/internal/enginetest"
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/reassemble/gopackettcpassembly"
)

var rules = enginetest.Rules{Overlap: reassemble.OverlapBSD}

func TestConform(t *testing.T) {
	enginetest.Conform(t, func() reassemble.Engine { return gopackettcpassembly.New() }, rules)
}

func FuzzEngine(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0d"))
	f.Add([]byte("\x04\x20\x10\x04\x20\x08\x00\x01\x01\x0f\x00\x01"))
	f.Add([]byte("\x0a\x20\xff\x0a\x20\xff\x0b\x00\x00\x0e\x00\xff"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		enginetest.Run(t, gopackettcpassembly.New(), rules, ops[:min(len(ops), 600)], false)
	})
}
