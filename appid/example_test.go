package appid_test

import (
	"fmt"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

func Example() {
	engine, err := appid.New(func(flow *appid.State, f *appid.Finding) {
		fmt.Println(flow.Client, ">", flow.Server, f.Proto, f.ServerName, f.JA4)
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	flow := engine.Open(packet.ProtoTCP, client, server)
	hello := records(firefox(), 100) // a ClientHello in records of 100 bytes
	engine.Feed(flow, appid.Input{Direction: packet.ClientToServer, Data: hello[:50]})
	engine.Feed(flow, appid.Input{Direction: packet.ClientToServer, Data: hello[50:]})
	// Output: 192.0.2.1:40000 > 198.51.100.2:4433 tls example.com t13d1715h2_5b57614c22b0_3d5424432f57
}
