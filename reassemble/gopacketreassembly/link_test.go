package gopacketreassembly_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Both of gopacket's assemblers register the same flags, so that a program with both dies before main. Should that
// change, they need not be kept apart any more.
func TestNotBesideTCPAssembly(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	const source = `package main

import (
	_ "github.com/tcpfollow/tcpfollow/reassemble/gopacketreassembly"
	_ %q
)

func main() {}
`
	for name, test := range map[string]struct {
		other string
		dies  bool
	}{
		"alone":  {"github.com/google/gopacket", false},
		"beside": {"github.com/tcpfollow/tcpfollow/reassemble/gopackettcpassembly", true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "main.go")
			require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, source, test.other), 0o600))
			out, err := exec.Command("go", "run", file).CombinedOutput()
			if !test.dies {
				require.NoError(t, err, "%s", out)
				return
			}
			require.Error(t, err)
			require.Contains(t, string(out), "flag redefined")
		})
	}
}
