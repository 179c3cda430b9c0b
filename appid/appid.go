// Package appid says who is talking, and in what, from the payload bytes of one flow: names, fingerprints and protocols.
//
// An [Engine] is fed what the two sides of a flow sent: the bytes of a stream in order, or datagrams. It finds TLS and
// DTLS hellos over any number of records, segments and datagrams, at the start of a stream or behind a STARTTLS; QUIC's
// Initial packets; SSH, HTTP/1 and DNS. What it finds goes to a callback as it is complete. A finding is a function of
// the flow's bytes alone: how they were cut into pieces does not matter, and nothing is learnt from other flows.
package appid

import (
	"errors"
	"net/netip"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Kind says what a finding is.
type Kind string

// The kinds of findings.
const (
	KindClientHello Kind = "client_hello" // TLS, DTLS, QUIC
	KindServerHello Kind = "server_hello"
	KindCertificate Kind = "certificate" // of a server or a client, before TLS 1.3
	KindSSH         Kind = "ssh"         // a banner, or a key exchange
	KindHTTP        Kind = "http"        // the first request or response
	KindDNS         Kind = "dns"         // each message
	KindDHCP        Kind = "dhcp"        // the first message of each side
	KindNetBIOS     Kind = "netbios"     // each question and registration, and the sender of datagrams
	KindSSDP        Kind = "ssdp"        // the first message of each side
	KindProtocol    Kind = "protocol"    // no more than which one it is
)

// Finding is one thing that a flow says of itself. Which fields are set depends on Kind.
type Finding struct {
	Kind Kind
	// Proto is the protocol in lower case: "tls", "dtls", "quic", "ssh", "http", "dns", "mdns", "llmnr", …
	Proto string
	// Flow is what is known of the flow so far.
	Flow Result
	// Direction is who said it.
	Direction packet.Direction
	// Frame is the number of the frame that completed it.
	Frame uint64

	// ServerName, ALPN, ECH and Resumption are those of a [ClientHello]; ALPN also that of a [ServerHello].
	ServerName      string
	ALPN            []string
	ECH, Resumption bool
	// JA3 and JA4 are fingerprints of a client's hello, JA3S is one of a server's.
	JA3, JA4, JA3S string
	// QUICVersion is the version of the packet.
	QUICVersion uint32
	// Subject and Issuer are the common names of a certificate, Names the host names it is for.
	Subject, Issuer string
	Names           []string

	// Banner is SSH's identification string; HASSH or HASSHServer is the fingerprint of the key exchange.
	Banner, HASSH, HASSHServer string

	// Host, UserAgent and ContentType are header fields of HTTP.
	Host, UserAgent, ContentType string

	// HostName is the name that a DHCP client gives itself, Parameters is its list of requested options (55) in decimal.
	HostName, Parameters string

	// Query is the name asked for, Answers are addresses, names and texts, in order.
	Query   string
	Answers []string
	// Records are the addresses and aliases among the answers.
	Records []Record
	// Broken tells that the message, or the name in it, breaks off or is damaged: what is here came before that.
	Broken bool
}

// Record is an answer of DNS that leads to an address.
type Record struct {
	Owner string
	Addr  netip.Addr // of A and AAAA; not valid for an alias
	Alias string     // of CNAME
}

// Config says how far an [Engine] looks. The zero value is the default.
type Config struct {
	// MaxBytes is the most bytes of one direction of a flow that are looked at, and the longest handshake message.
	// Default 16 KiB.
	MaxBytes int
	// MaxPackets is the most datagrams of a flow that are looked at without a finding. Default 20.
	MaxPackets int
	// Applications maps host names to applications. Default is the table of the package.
	Applications *Applications
	// Classifiers tell further protocols; there is room for at least 32.
	Classifiers []Classifier
}

// Stats counts what an [Engine] has seen.
type Stats struct {
	// Flows is the number of flows opened, Findings that of findings.
	Flows, Findings uint64
	// Malformed counts hellos and key exchanges that do not keep to their own lengths: nothing is said of them.
	Malformed uint64
	// LimitBytes counts directions that were given up because of Config.MaxBytes, LimitPackets flows because of
	// Config.MaxPackets.
	LimitBytes, LimitPackets uint64
}

// Engine looks into flows. It is not safe for concurrent use.
type Engine struct {
	cfg    Config
	found  func(*State, *Finding)
	known  []protocol
	sample sample               // of the question at hand
	byName map[string]*protocol // the first of each name
	guess  [2]map[uint16]int    // index in known by port, of TCP and UDP
	first  candidates           // all with a signature of a stream
	datas  candidates           // and of a datagram
	stats  Stats
}

// New returns an engine that calls found with every finding, and the flow it belongs to. The finding is owned by the
// callee. A nil cfg is the default; the error is for negative limits, and for
// too many classifiers.
func New(found func(*State, *Finding), cfg *Config) (*Engine, error) {
	e := &Engine{found: found}
	if cfg != nil {
		e.cfg = *cfg
	}
	if e.cfg.MaxBytes < 0 || e.cfg.MaxPackets < 0 {
		return nil, errors.New("appid: negative limit")
	}
	if e.cfg.MaxBytes == 0 {
		e.cfg.MaxBytes = 16 << 10
	}
	if e.cfg.MaxPackets == 0 {
		e.cfg.MaxPackets = 20
	}
	if e.cfg.Applications == nil {
		var err error
		if e.cfg.Applications, err = NewApplications(); err != nil {
			return nil, err
		}
	}
	if err := e.prepare(); err != nil {
		return nil, err
	}
	return e, nil
}

// Stats returns the counters so far.
func (e *Engine) Stats() Stats { return e.stats }

// State is what an engine knows of one flow.
type State struct {
	// Transport is the IP protocol number: 6 for TCP, 17 for UDP.
	Transport uint8
	// Client and Server are the two sides.
	Client, Server netip.AddrPort

	result  Result
	left    candidates
	waits   candidates // for the server to speak
	rtp     [2]rtpState
	halves  [2]half
	dtls    [2]*dtlsReader
	quic    *quicReader
	packets int // datagrams without a finding
	banners [2]string
	done    bool
}

// Open starts a flow.
func (e *Engine) Open(transport uint8, client, server netip.AddrPort) *State {
	e.stats.Flows++
	st := &State{Transport: transport, Client: client, Server: server, left: e.first}
	if transport != packet.ProtoTCP {
		st.left = e.datas
	}
	return st
}

// Input is what one side of a flow sent.
type Input struct {
	// Direction is who sent it.
	Direction packet.Direction
	// Data is the next bytes of the stream, or a whole datagram. Borrowed.
	Data []byte
	// Gap tells that bytes are missing before Data.
	Gap bool
	// Frame is the number of the frame that brought it.
	Frame uint64
}

// Feed looks at what one side of a flow sent. It reports true when the flow is done with: more need not be fed.
func (e *Engine) Feed(st *State, in Input) bool {
	if st.done || len(in.Data) == 0 {
		return st.done
	}
	if st.Transport == packet.ProtoTCP {
		e.stream(st, &in)
		st.done = st.halves[0].phase == phaseDone && st.halves[1].phase == phaseDone
	} else {
		e.datagram(st, &in)
	}
	return st.done
}

// report passes a finding on.
func (e *Engine) report(st *State, in *Input, f *Finding) {
	f.Direction, f.Frame = in.Direction, in.Frame
	e.learn(st, f)
	f.Flow = st.result
	e.stats.Findings++
	st.packets = 0
	if e.found != nil {
		e.found(st, f)
	}
}

// hello passes on what a handshake message says.
func (e *Engine) hello(st *State, in *Input, proto string, version uint32, kind uint8, body []byte) {
	switch kind {
	case msgClientHello, helloV2:
		if in.Direction != packet.ClientToServer {
			return
		}
		h, err := ParseClientHello(body, proto == "dtls")
		if kind == helloV2 {
			h, err = parseHelloV2(body)
		}
		if err != nil {
			e.stats.Malformed++
			return
		}
		f := &Finding{
			Kind: KindClientHello, Proto: proto, ServerName: h.ServerName, ALPN: h.ALPN, ECH: h.ECH,
			Resumption: h.Resumption, QUICVersion: version,
		}
		transport := map[string]Transport{"tls": TCP, "dtls": DTLS, "quic": QUIC}[proto]
		f.JA4 = h.JA4(transport)
		if !h.v2 {
			f.JA3 = h.JA3()
		}
		e.report(st, in, f)
	case msgServerHello:
		if in.Direction != packet.ServerToClient {
			return
		}
		h, err := ParseServerHello(body)
		if err != nil {
			e.stats.Malformed++
			return
		}
		f := &Finding{Kind: KindServerHello, Proto: proto, JA3S: h.JA3S(), QUICVersion: version}
		if h.ALPN != "" {
			f.ALPN = []string{h.ALPN}
		}
		e.report(st, in, f)
	case msgCertificate:
		e.certificate(st, in, proto, body)
	}
}
