package appid_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/packet"
)

// gopher is a protocol that the package does not know: a selector and CRLF, answered by a menu.
type gopher struct{}

func (gopher) Name() string     { return "Gopher" }
func (gopher) Category() string { return "Web" }

func (gopher) Classify(s *appid.Sample) appid.Verdict {
	switch {
	case !s.Stream:
		if bytes.HasPrefix(s.Datagram, []byte("gopher?")) && s.Direction == packet.ClientToServer {
			return appid.Match
		}
		return appid.Reject
	case s.Server.Port() != 70:
		return appid.Reject
	case len(s.ServerStart) == 0 || !bytes.HasSuffix(s.ClientStart, []byte("\r\n")):
		return appid.More
	case s.ServerStart[0] == '1':
		return appid.Match
	}
	return appid.Reject
}

func ExampleClassifier() {
	engine, err := appid.New(nil, &appid.Config{Classifiers: []appid.Classifier{gopher{}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	flow := engine.Open(packet.ProtoUDP, client, server)
	engine.Feed(flow, appid.Input{Direction: packet.ClientToServer, Data: []byte("gopher? anybody?")})
	r := engine.Finish(flow)
	fmt.Println(r.Name(), r.Category, r.Confidence == appid.ConfidenceCustom)
	// Output: Gopher Web true
}

func TestClassifiers(t *testing.T) {
	engine, err := appid.New(nil, &appid.Config{Classifiers: []appid.Classifier{gopher{}}})
	require.NoError(t, err)
	type said struct {
		dir  packet.Direction
		text string
	}
	c, s := packet.ClientToServer, packet.ServerToClient
	for _, tt := range []struct {
		name       string
		transport  uint8
		port       uint16
		talk       []said
		want       string
		confidence appid.Confidence
	}{
		{"a stream", packet.ProtoTCP, 70, []said{{c, "/index"}, {c, "\r\n"}, {s, "1menu"}}, "Gopher", appid.ConfidenceCustom},
		{"before the package's own", packet.ProtoTCP, 70, []said{{s, "1menu"}, {c, "EHLO x\r\n"}}, "Gopher", appid.ConfidenceCustom},
		{"rejected", packet.ProtoTCP, 25, []said{{c, "EHLO x\r\n"}, {s, "220 hello"}}, "SMTP", appid.ConfidenceDPI},
		{"a datagram", packet.ProtoUDP, 9999, []said{{c, "gopher? yes"}}, "Gopher", appid.ConfidenceCustom},
		{"of the other side", packet.ProtoUDP, 9999, []said{{s, "gopher? yes"}}, "Unknown", appid.ConfidenceUnknown},
		{"TLS is not asked about", packet.ProtoTCP, 70, []said{{c, string(records(firefox(), 1<<14))}, {s, "1menu"}}, "TLS", appid.ConfidenceDPI},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := engine.Open(tt.transport, client, netip.AddrPortFrom(server.Addr(), tt.port))
			for _, x := range tt.talk {
				engine.Feed(st, appid.Input{Direction: x.dir, Data: []byte(x.text)})
			}
			r := engine.Finish(st)
			require.Equal(t, tt.want, r.Name())
			require.Equal(t, tt.confidence, r.Confidence)
		})
	}
	list := slices.Repeat([]appid.Classifier{gopher{}}, 32)
	_, err = appid.New(nil, &appid.Config{Classifiers: list})
	require.NoError(t, err)
	_, err = appid.New(nil, &appid.Config{Classifiers: slices.Repeat(list, 3)})
	require.ErrorContains(t, err, "96 classifiers")
}
