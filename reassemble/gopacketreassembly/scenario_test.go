package gopacketreassembly_test

import (
	"testing"

	"github.com/tcpfollow/tcpfollow/internal/scenario"
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/reassemble/gopacketreassembly"
)

func TestScenarios(t *testing.T) {
	scenario.Test(t, "../testdata/script", "../testdata/gopacketreassembly.txt",
		func() reassemble.Engine { return gopacketreassembly.New() })
}
