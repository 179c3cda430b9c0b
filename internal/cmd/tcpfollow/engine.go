//go:build !nogopacket

package tcpfollow

import (
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/reassemble/gopacketreassembly"
)

// gopacketEngine returns the engine of --engine gopacket. Its tables cost 12 MB of memory from the start of the program,
// whether it is used or not: the build tag nogopacket leaves it out.
func gopacketEngine() reassemble.Engine { return gopacketreassembly.New() }
