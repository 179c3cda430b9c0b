//go:build keep

package tcpfollow

import (
	_ "github.com/google/gopacket/layers"
	_ "github.com/google/gopacket/reassembly"
	_ "github.com/google/gopacket/tcpassembly"
	_ "github.com/google/gopacket/pcapgo"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/klauspost/compress/gzip"
	_ "github.com/schollz/progressbar/v3"
	_ "github.com/spf13/cobra"
	_ "github.com/spf13/cobra/doc"
	_ "github.com/stretchr/testify/require"
	_ "golang.org/x/net/bpf"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
)
