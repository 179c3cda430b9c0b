package tcpfollow_test

import (
	"testing"

	"github.com/tcpfollow/tcpfollow/internal/scenario"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

func TestScenarios(t *testing.T) {
	scenario.Test(t, "reassemble/testdata/script", "", func() reassemble.Engine { return reassemble.NewNative(nil) })
}
