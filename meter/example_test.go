package meter_test

import (
	"context"
	"fmt"
	"os"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

func ExampleFlows() {
	file, err := pcapfile.Open("../testdata/ipv6.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	for f, err := range meter.Flows(context.Background(), file, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(f.Key, f.Src2Dst.Packets, f.Dst2Src.Packets, f.Bidirectional.Bytes, f.Application.Name)
	}
	// Output: [2001:db8:1::10]:51000 > [2001:db8:2::80]:80 proto 6 7 7 4339 HTTP
}

func ExampleJSON() {
	file, err := pcapfile.Open("../testdata/http.pcap", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	cfg := meter.DefaultConfig()
	cfg.Dissections = 0
	all, err := meter.Columns(&cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	columns, err := meter.Select(all, []string{"src_ip", "src_port", "dst_ip", "dst_port", "bidirectional_packets"})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := meter.NewJSON(os.Stdout, columns)
	for f, err := range meter.Flows(context.Background(), file, &cfg) {
		if err == nil {
			err = w.Write(f)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := w.Close(); err != nil {
		fmt.Println(err)
	}
	// Output: {"src_ip":"192.0.2.1","src_port":49152,"dst_ip":"198.51.100.2","dst_port":80,"bidirectional_packets":36}
}
