package appid

import (
	"bytes"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tcpfollow/tcpfollow/packet"
)

// Confidence says how a protocol was told, in nDPI's numbers.
type Confidence uint8

// The degrees of confidence.
const (
	ConfidenceUnknown Confidence = 0
	ConfidenceByPort  Confidence = 1 // guessed from a port
	ConfidenceDPI     Confidence = 6 // by the bytes
	ConfidenceCustom  Confidence = 9 // by a rule of the user
)

// Result is what is known of a flow: the first value of each kind that was found.
type Result struct {
	// Master is the protocol, App what is done with it, "" if that is unknown. Names are those of nDPI where it has one.
	Master, App string
	// Category is that of the application, or else of the protocol, in nDPI's words.
	Category   string
	Confidence Confidence
	// Guessed tells that only a port speaks for it.
	Guessed bool

	ServerName  string
	ALPN        []string
	JA3, JA4    string
	JA3S        string
	HASSH       string
	HASSHServer string
	UserAgent   string
	ContentType string
	QUICVersion uint32
	ECH         bool
}

// Name returns "MASTER.APP", or the one of them that is known and differs, or "Unknown".
func (r *Result) Name() string {
	switch {
	case r.Master == "" && r.App == "":
		return "Unknown"
	case r.App == "" || r.App == r.Master:
		return r.Master
	case r.Master == "":
		return r.App
	}
	return r.Master + "." + r.App
}

// candidates is a set of protocols, by index.
type candidates [2]uint64

// all yields the members, in order; as they were at first.
func (c *candidates) all(yield func(int) bool) {
	for word := range c {
		for left := c[word]; left != 0; left &= left - 1 {
			if i := word*64 + bits.TrailingZeros64(left); !yield(i) {
				return
			}
		}
	}
}

func (c *candidates) add(i int)  { c[i/64] |= 1 << (i % 64) }
func (c *candidates) drop(i int) { c[i/64] &^= 1 << (i % 64) }

// prepare lays out the tables of protocols.
func (e *Engine) prepare() error {
	list, err := e.plugged()
	if err != nil {
		return err
	}
	e.known = append(list, protocols()...)
	e.guess = [2]map[uint16]int{{}, {}}
	e.byName = map[string]*protocol{}
	for i, p := range e.known {
		if e.byName[p.name] == nil {
			e.byName[p.name] = &e.known[i]
		}
		if p.stream != nil {
			e.first.add(i)
		}
		if p.datagram != nil {
			e.datas.add(i)
		}
		for t, ports := range [2][]uint16{p.tcp, p.udp} {
			for _, port := range ports {
				if _, ok := e.guess[t][port]; !ok {
					e.guess[t][port] = i
				}
			}
		}
	}
	return nil
}

// maxLead is how many bytes of each side signatures look at.
const maxLead = 1024

// identify asks the signatures that are still possible. A protocol is known as soon as one of them matches.
func (e *Engine) identify(st *State, in *Input) {
	if st.result.Master != "" {
		return
	}
	s := &e.sample // which would be allocated for each question
	*s = sample{fromClient: in.Direction == packet.ClientToServer, flow: st}
	stream := st.Transport == packet.ProtoTCP
	if stream {
		for i, to := range [2]*[]byte{&s.client, &s.server} {
			if h := &st.halves[i]; h.phase == phaseLook && !h.mid {
				*to = h.lead[:min(len(h.lead), maxLead)]
			}
		}
		if len(s.client)+len(s.server) == 0 {
			return
		}
	} else {
		s.data, s.rtp = in.Data, &st.rtp[in.Direction]
	}
	ask := st.left
	if in.Direction == packet.ServerToClient {
		ask = candidates{ask[0] | st.waits[0], ask[1] | st.waits[1]}
	}
	for i := range ask.all {
		p := &e.known[i]
		match := p.datagram
		if stream {
			match = p.stream
		}
		switch match(s) {
		case yes:
			st.result.Master, st.result.Category, st.result.Confidence = p.name, p.category, ConfidenceDPI
			if p.custom {
				st.result.Confidence = ConfidenceCustom
			}
			e.report(st, in, &Finding{Kind: KindProtocol, Proto: strings.ToLower(p.name)})
			return
		case no:
			if stream && (!p.custom || len(s.client) > 0 && len(s.server) > 0) {
				st.left.drop(i)
				st.waits.drop(i)
			}
		case waits:
			st.left.drop(i)
			st.waits.add(i)
		case more:
			st.left.add(i)
			st.waits.drop(i)
		}
	}
}

// learn adds what a finding says to what is known of its flow.
func (e *Engine) learn(st *State, f *Finding) {
	r := &st.result
	if r.Master == "" || r.Confidence < ConfidenceDPI {
		if p := e.master(st, f); p != nil {
			r.Master, r.Category, r.Confidence = p.name, p.category, ConfidenceDPI
		}
	}
	contentType := f.ContentType
	if f.Direction == packet.ClientToServer {
		contentType = "" // of what is asked for, not of what is sent
	}
	for _, x := range []struct {
		to    *string
		value string
	}{
		{&r.ServerName, f.ServerName},
		{&r.ServerName, f.Host},
		{&r.ServerName, f.Query},
		{&r.ServerName, f.HostName},
		{&r.JA3, f.JA3},
		{&r.JA4, f.JA4},
		{&r.JA3S, f.JA3S},
		{&r.HASSH, f.HASSH},
		{&r.HASSHServer, f.HASSHServer},
		{&r.UserAgent, f.UserAgent},
		{&r.ContentType, contentType},
	} {
		if *x.to == "" {
			*x.to = x.value
		}
	}
	if len(r.ALPN) == 0 {
		r.ALPN = f.ALPN
	}
	if r.QUICVersion == 0 {
		r.QUICVersion = f.QUICVersion
	}
	r.ECH = r.ECH || f.ECH
	if r.App == "" && r.ServerName != "" && !r.ECH { // the name in front of an encrypted hello is nobody's
		app, category, custom, ok := e.cfg.Applications.Lookup(strings.ToLower(r.ServerName))
		if ok {
			r.App, r.Confidence = app, ConfidenceDPI
			if custom {
				r.Confidence = ConfidenceCustom
			}
			if f.Kind != KindDNS { // asking for a name is not using it
				r.Category = category
			}
		}
	}
}

// master returns the protocol that a finding belongs to, nil if it has none of its own.
func (e *Engine) master(st *State, f *Finding) *protocol {
	var name string
	switch f.Proto {
	case "tls":
		switch st.Server.Port() {
		case 993:
			name = "IMAPS"
		case 995:
			name = "POPS"
		case 465:
			name = "SMTPS"
		default:
			name = "TLS"
		}
	case "dtls":
		return &protocol{name: "DTLS", category: "Web"}
	case "netbios":
		name = "NetBIOS"
	case "quic", "ssh", "http", "dns", "mdns", "llmnr", "dhcp":
		name = strings.ToUpper(f.Proto)
	default:
		return nil
	}
	return e.byName[name]
}

// Finish returns what is known of a flow. A protocol that no bytes tell is guessed from the ports; a guess never goes
// before what was found.
func (e *Engine) Finish(st *State) Result {
	r := st.result
	if r.Master == "" {
		if p := e.byPort(st.Transport, st.Client, st.Server); p != nil {
			r.Master, r.Guessed, r.Confidence = p.name, true, ConfidenceByPort
			if r.Category == "" {
				r.Category = p.category
			}
		}
	}
	if r.Category == "" {
		r.Category = "Unspecified"
	}
	return r
}

// byPort returns the protocol that is registered for one of the ports, the lower one first.
func (e *Engine) byPort(transport uint8, client, server netip.AddrPort) *protocol {
	t := 0
	switch transport {
	case packet.ProtoTCP:
	case packet.ProtoUDP:
		t = 1
	default:
		return byProtocol(transport)
	}
	low, high := min(client.Port(), server.Port()), max(client.Port(), server.Port())
	for _, port := range [2]uint16{low, high} {
		if i, ok := e.guess[t][port]; ok {
			return &e.known[i]
		}
	}
	return nil
}

// byProtocol names what is told by the protocol number of IP (IANA registry).
func byProtocol(number uint8) *protocol {
	var name string
	category := "Network"
	switch number {
	case packet.ProtoICMP:
		name = "ICMP"
	case 2:
		name = "IGMP"
	case 47:
		name = "GRE"
	case 50:
		name, category = "ESP", "VPN"
	case 51:
		name, category = "AH", "VPN"
	case packet.ProtoICMPv6:
		name = "ICMPV6"
	case 88:
		name = "EIGRP"
	case 89:
		name = "OSPF"
	case 103:
		name = "IP_PIM"
	case 112:
		name = "VRRP"
	case 132:
		name = "SCTP"
	default:
		return nil
	}
	return &protocol{name: name, category: category}
}

// details reports what a datagram says beyond which protocol it is.
func (e *Engine) details(st *State, in *Input) {
	switch st.result.Master {
	case "DHCP":
		if f := dhcpOptions(in.Data); f != nil && !st.halves[in.Direction].started {
			st.halves[in.Direction].started = true
			e.report(st, in, f)
		}
	case "NetBIOS":
		at := 12
		if st.Server.Port() != 137 && st.Client.Port() != 137 {
			at = 14 // a datagram, which names its sender (RFC 1002 §4.4.2)
			if in.Data[0] > 0x12 {
				return
			}
		}
		if name, broken := netbiosName(in.Data, at); name != "" {
			e.report(st, in, &Finding{Kind: KindNetBIOS, Proto: "netbios", Query: name, Broken: broken})
		}
	case "SSDP":
		if h := &st.halves[in.Direction]; !h.started {
			h.started = true
			f := &Finding{Kind: KindSSDP, Proto: "ssdp"}
			f.fields(in.Data)
			e.report(st, in, f)
		}
	}
}

// dhcpOptions returns what a client says of itself (RFC 2132 §3.14, §9.8), nil for anything else.
func dhcpOptions(b []byte) *Finding {
	if len(b) < 240 || b[0] != 1 || be32(b[236:]) != 0x63825363 {
		return nil
	}
	f := &Finding{Kind: KindDHCP, Proto: "dhcp"}
	for o := b[240:]; len(o) >= 2 && o[0] != 255; {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		n := int(o[1])
		if 2+n > len(o) {
			break
		}
		switch v := o[2 : 2+n]; o[0] {
		case 12:
			f.HostName = strings.TrimRight(string(v), "\x00")
		case 55:
			parts := make([]string, n)
			for i, c := range v {
				parts[i] = strconv.Itoa(int(c))
			}
			f.Parameters = strings.Join(parts, ",")
		}
		o = o[2+n:]
	}
	return f
}

// netbiosName returns the encoded name at a place of a message (RFC 1001 §14.1), without its type: what comes before a
// byte that encodes nothing is kept.
func netbiosName(b []byte, at int) (name string, broken bool) {
	if len(b) < at+34 || b[at] != 32 {
		return "", true
	}
	b = b[at+1:]
	var decoded []byte
	for i := range 16 {
		hi, lo := b[2*i]-'A', b[2*i+1]-'A'
		if broken = hi > 15 || lo > 15; broken {
			break
		}
		decoded = append(decoded, hi<<4|lo)
	}
	decoded = decoded[:min(len(decoded), 15)]
	return hostName(bytes.TrimRight(decoded, " \x00")), broken
}
