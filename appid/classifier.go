package appid

import (
	"fmt"
	"net/netip"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Verdict is what a [Classifier] says of the bytes so far.
type Verdict uint8

// The verdicts.
const (
	Reject Verdict = iota // it is another protocol; of a stream, the last word once both sides have spoken
	More                  // it takes more bytes to say
	Match                 // it is this protocol
)

// Sample is what a [Classifier] looks at. Its bytes are borrowed.
type Sample struct {
	// Stream tells TCP from UDP.
	Stream bool
	// ClientStart and ServerStart are what each side of a stream sent first, at most 1 KiB.
	ClientStart, ServerStart []byte
	// Datagram is the datagram at hand, Direction is who sent it.
	Datagram  []byte
	Direction packet.Direction
	// Client and Server are the two sides.
	Client, Server netip.AddrPort
}

// Classifier tells a protocol by the first bytes of a flow. Those of [Config] are asked about flows that are none of TLS,
// QUIC, SSH, HTTP and DNS, in order, before the package's own signatures; the first match counts, so More holds up no other, with
// [ConfidenceCustom]. What it says must depend on the sample alone.
type Classifier interface {
	// Name is that of the protocol, as in [Result].Master.
	Name() string
	// Category is what kind of protocol it is, in nDPI's words or others.
	Category() string
	// Classify judges a sample, and is asked again as bytes of a stream come, one by one at first. It must not keep it.
	Classify(s *Sample) Verdict
}

// maxProtocols is how many a set of candidates holds.
const maxProtocols = len(candidates{}) * 64

// plugged returns the classifiers of the configuration as protocols.
func (e *Engine) plugged() ([]protocol, error) {
	var list []protocol
	for _, c := range e.cfg.Classifiers {
		ask := func(s *sample) verdict {
			public := Sample{
				Stream: s.data == nil, ClientStart: s.client, ServerStart: s.server, Datagram: s.data,
				Direction: packet.ServerToClient, Client: s.flow.Client, Server: s.flow.Server,
			}
			if s.fromClient {
				public.Direction = packet.ClientToServer
			}
			return [...]verdict{Reject: no, More: more, Match: yes}[min(c.Classify(&public), Match)]
		}
		list = append(list, protocol{name: c.Name(), category: c.Category(), stream: ask, datagram: ask, custom: true})
	}
	if room := maxProtocols - len(protocols()); len(list) > room {
		return nil, fmt.Errorf("appid: %d classifiers, there is room for %d", len(list), room)
	}
	return list, nil
}
