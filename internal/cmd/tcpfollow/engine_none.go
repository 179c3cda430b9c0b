//go:build nogopacket

package tcpfollow

import "github.com/tcpfollow/tcpfollow/reassemble"

func gopacketEngine() reassemble.Engine { return nil }
