package plugin_test

import (
	"context"
	"fmt"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/plugin"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func ExampleTCP() {
	file, err := pcapfile.Open("../../testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	cfg := meter.DefaultConfig()
	cfg.Plugins = []meter.Plugin{plugin.TCP(), plugin.CommunityID(0)}
	for f, err := range meter.Flows(context.Background(), file, &cfg) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%.3f ms, %d retransmissions, %s\n", f.Rows[0].Float(2), f.Rows[0].Uint(3)+f.Rows[0].Uint(4), f.Rows[1].Text(0))
	}
	// Output: 3.000 ms, 2 retransmissions, 1:zmqqF3YbXuKfrYGfMen4DTyXlQ8=
}
