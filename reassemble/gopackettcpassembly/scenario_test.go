package gopackettcpassembly_test

import (
	"testing"

	"github.com/tcpfollow/tcpfollow/internal/scenario"
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/reassemble/gopackettcpassembly"
)

func TestScenarios(t *testing.T) {
	scenario.Test(t, "../testdata/script", "../testdata/gopackettcpassembly.txt",
		func() reassemble.Engine { return gopackettcpassembly.New() })
}
