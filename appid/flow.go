package appid

import (
	"bytes"
	"crypto/x509"

	"github.com/tcpfollow/tcpfollow/internal/http1"
	"github.com/tcpfollow/tcpfollow/packet"
)

// Ports whose protocol says so little of itself that the port has to help (IANA registry).
const (
	portDNS   = 53
	portMDNS  = 5353
	portLLMNR = 5355
)

// phase is how far one direction of a stream is understood.
type phase uint8

const (
	phaseLook phase = iota // for the start of something
	phaseTLS
	phaseSSH
	phaseHTTP
	phaseDNS
	phaseDone
)

// half is one direction of a stream.
type half struct {
	phase   phase
	started bool   // there is nothing at its start that a parser of its own takes
	mid     bool   // lead does not start where the stream does
	lead    []byte // what came so far, while it is being looked through
	scanned int    // how far lead was looked through for TLS
	seen    int    // bytes
	tls     recordReader
	ssh     sshReader
}

// stream takes the next bytes of one direction.
func (e *Engine) stream(st *State, in *Input) {
	h := &st.halves[in.Direction]
	if h.phase == phaseDone {
		return
	}
	if in.Gap { // what was begun is lost; something may start behind it
		*h = half{seen: h.seen, started: true, mid: true}
	}
	data := in.Data
	if h.phase != phaseDNS {
		data = data[:min(len(data), e.cfg.MaxBytes-h.seen)]
	}
	if h.lead == nil && h.phase == phaseLook {
		h.lead = make([]byte, 0, min(len(data), maxLead)) // it grows byte by byte
	}
	for h.phase == phaseLook && len(data) > 0 && h.seen < maxLead {
		stop := nextStop(h.seen)
		n := min(stop-h.seen, len(data))
		h.seen += n
		e.look(st, in, h, data[:n])
		data = data[n:]
		if h.phase == phaseLook && h.seen == stop {
			e.identify(st, in)
		}
	}
	if len(data) == 0 && h.phase != phaseDone {
		e.limit(h)
		return
	}
	h.seen += len(data)
	switch h.phase {
	case phaseLook:
		e.look(st, in, h, data)
	case phaseTLS:
		e.tls(st, in, h, data)
	case phaseSSH:
		e.ssh(st, in, h, data)
	case phaseHTTP:
		h.lead = append(h.lead, data...)
		e.http(st, in, h)
	case phaseDNS:
		e.dnsStream(st, in, h, data)
	case phaseDone:
	}
	e.limit(h)
}

// limit gives a direction up that has had its share.
func (e *Engine) limit(h *half) {
	if h.phase != phaseDNS && h.phase != phaseDone && h.seen >= e.cfg.MaxBytes {
		e.stats.LimitBytes++
		h.end()
	}
}

// nextStop returns how many bytes of a direction must be there before signatures look at it again: at the same ones
// however the stream was cut into pieces, so that the same one of them matches first.
func nextStop(seen int) int {
	switch {
	case seen < 32:
		return seen + 1
	case seen < 128:
		return seen&^7 + 8
	}
	return min(seen&^127+128, maxLead)
}

// end gives a direction up.
func (h *half) end() { *h = half{phase: phaseDone} }

// look looks for what a direction says: at its start for anything, further on for TLS.
func (e *Engine) look(st *State, in *Input, h *half, b []byte) {
	h.lead = append(h.lead, b...)
	lead := h.lead
	if !h.started {
		dns := st.Client.Port() == portDNS || st.Server.Port() == portDNS
		yes, more := isSSH(lead)
		v2, moreV2 := false, false
		if in.Direction == packet.ClientToServer {
			v2, moreV2 = isHelloV2(lead)
		}
		http, moreHTTP := isHTTP(lead)
		switch {
		case dns:
			h.become(phaseDNS)
			e.dnsStream(st, in, h, lead)
			return
		case yes:
			h.become(phaseSSH)
			e.ssh(st, in, h, lead)
			return
		case v2:
			h.become(phaseTLS)
			e.tls(st, in, h, lead)
			return
		case http:
			h.phase = phaseHTTP
			e.http(st, in, h)
			return
		case more || moreV2 || moreHTTP:
			return
		}
		h.started = true
	}
	if in.Direction == packet.ServerToClient && len(lead) <= maxPreamble && hasSSHLine(lead[max(0, h.scanned-len(sshLine)):]) {
		h.become(phaseSSH)
		e.ssh(st, in, h, lead)
		return
	}
	if at := findTLS(lead, h.scanned, in.Direction == packet.ClientToServer); at >= 0 {
		h.become(phaseTLS)
		e.tls(st, in, h, lead[at:])
		return
	}
	h.scanned = max(h.scanned, len(lead)-tlsSign+1)
}

func (h *half) become(p phase) { h.phase, h.lead = p, nil }

func (e *Engine) tls(st *State, in *Input, h *half, b []byte) {
	h.tls.feed(b, e.cfg.MaxBytes, func(kind uint8, body []byte) { e.hello(st, in, "tls", 0, kind, body) })
	if h.tls.ended {
		h.end()
	}
}

func (e *Engine) ssh(st *State, in *Input, h *half, b []byte) {
	banner, lists := h.ssh.feed(b, e.cfg.MaxBytes)
	if banner != "" {
		st.banners[in.Direction] = banner
		e.report(st, in, &Finding{Kind: KindSSH, Proto: "ssh", Banner: banner})
	}
	if lists != nil {
		f := &Finding{Kind: KindSSH, Proto: "ssh", Banner: st.banners[in.Direction]}
		if in.Direction == packet.ClientToServer {
			f.HASSH = hassh(lists, 0)
		} else {
			f.HASSHServer = hassh(lists, 1)
		}
		e.report(st, in, f)
	}
	if h.ssh.done {
		if lists == nil {
			e.stats.Malformed++
		}
		h.end()
	}
}

// isSSH reports whether a stream starts with SSH's identification.
func isSSH(b []byte) (yes, more bool) {
	const sign = "SSH-"
	n := min(len(b), len(sign))
	if string(b[:n]) != sign[:n] {
		return false, false
	}
	return n == len(sign), n < len(sign)
}

// sshLine starts the identification of a server that sent other lines first (RFC 4253 §4.2).
const sshLine = "\nSSH-2.0-"

func hasSSHLine(b []byte) bool { return bytes.Contains(b, []byte(sshLine)) }

// isHTTP reports whether a stream starts with a start line of HTTP.
func isHTTP(b []byte) (yes, more bool) {
	if b[0] < 'A' || b[0] > 'Z' {
		return false, false
	}
	i := bytes.IndexByte(b, '\n')
	if i >= 0 {
		line, _ := http1.TrimEOL(b[:i+1])
		s := http1.ParseStart(line)
		return s.Class != http1.NotStart && s.Sure && !s.Lookalike, false
	}
	word, _, ok := bytes.Cut(b[:min(len(b), 32)], []byte{' '})
	return false, len(b) < http1.MaxFound && (ok || len(b) < 32) && (http1.IsToken(word) || bytes.HasPrefix(word, []byte("HTTP/")))
}

// http reads the first header of a direction, once it is there.
func (e *Engine) http(st *State, in *Input, h *half) {
	var blank http1.BlankLine
	n := blank.Next(h.lead)
	if n < 0 {
		return
	}
	f := &Finding{Kind: KindHTTP, Proto: "http"}
	f.fields(h.lead[:n])
	e.report(st, in, f)
	h.end()
}

// fields takes over the header fields of a message.
func (f *Finding) fields(header []byte) {
	for first := true; len(header) > 0; first = false {
		line := header
		if i := bytes.IndexByte(header, '\n'); i >= 0 {
			line = header[:i+1]
		}
		header = header[len(line):]
		if first {
			continue
		}
		line, _ = http1.TrimEOL(line)
		field := http1.ParseField(line)
		var to *string
		switch name := field.Name.Of(line); {
		case bytes.EqualFold(name, []byte("host")):
			to = &f.Host
		case bytes.EqualFold(name, []byte("user-agent")):
			to = &f.UserAgent
		case bytes.EqualFold(name, []byte("content-type")):
			to = &f.ContentType
		}
		if to != nil && *to == "" {
			*to = string(field.Value.Of(line))
		}
	}
}

// dnsStream reads messages that are preceded by their lengths (RFC 1035 §4.2.2).
func (e *Engine) dnsStream(st *State, in *Input, h *half, b []byte) {
	h.lead = append(h.lead, b...)
	for len(h.lead) >= 2 {
		n := int(h.lead[0])<<8 | int(h.lead[1])
		if len(h.lead) >= 14 && !looksLikeDNS(h.lead[2:]) || n < 12 {
			h.end()
			return
		}
		if len(h.lead) < 2+n {
			return
		}
		e.dns(st, in, "dns", h.lead[2:2+n])
		h.lead = append(h.lead[:0], h.lead[2+n:]...)
	}
}

// dns reports a message. It reports false when it is none.
func (e *Engine) dns(st *State, in *Input, proto string, b []byte) bool {
	m, ok := parseDNS(b)
	if ok {
		e.report(st, in, &Finding{Kind: KindDNS, Proto: proto, Query: m.query, Answers: m.answers, Records: m.records, Broken: m.broken})
	}
	return ok
}

// dnsOn names the protocol of DNS messages on a UDP port, "" for other ports.
func dnsOn(port uint16) string {
	switch port {
	case portDNS:
		return "dns"
	case portMDNS:
		return "mdns"
	case portLLMNR:
		return "llmnr"
	}
	return ""
}

// datagram takes one datagram.
func (e *Engine) datagram(st *State, in *Input) {
	st.packets++
	for _, port := range [2]uint16{st.Server.Port(), st.Client.Port()} {
		if proto := dnsOn(port); proto != "" && e.dns(st, in, proto, in.Data) {
			return
		}
	}
	if st.quic != nil || looksLikeQUIC(in.Data) {
		if st.quic == nil {
			st.quic = new(quicReader)
		}
		st.quic.feed(int(in.Direction), in.Data, e.cfg.MaxBytes, func(version uint32, kind uint8, body []byte) {
			if g, ok := parseCHLO(body); ok && version == quicQ050 {
				g.version = version
				e.chlo(st, in, &g)
				return
			}
			e.hello(st, in, "quic", version, kind, body)
		})
	} else if looksLikeDTLS(in.Data) {
		r := st.dtls[in.Direction]
		if r == nil {
			r = new(dtlsReader)
			st.dtls[in.Direction] = r
		}
		r.feed(in.Data, e.cfg.MaxBytes, func(kind uint8, body []byte) { e.hello(st, in, "dtls", 0, kind, body) })
	} else if g, ok := parseGQUIC(in.Data); ok {
		e.chlo(st, in, &g)
	} else {
		e.identify(st, in)
		e.details(st, in)
	}
	if st.packets > e.cfg.MaxPackets {
		e.stats.LimitPackets++
		*st = State{Transport: st.Transport, Client: st.Client, Server: st.Server, result: st.result, done: true}
	}
}

// chlo reports the first message of a client of Google's QUIC.
func (e *Engine) chlo(st *State, in *Input, g *gquic) {
	f := &Finding{Kind: KindClientHello, Proto: "quic", ServerName: g.name, UserAgent: g.agent, QUICVersion: g.version}
	if g.alpn != "" {
		f.ALPN = []string{g.alpn}
	}
	e.report(st, in, f)
}

// certificate reports the first certificate of a chain.
func (e *Engine) certificate(st *State, in *Input, proto string, body []byte) {
	all := certificates(body)
	if len(all) == 0 {
		return
	}
	c, err := x509.ParseCertificate(all[0])
	if err != nil {
		e.stats.Malformed++
		return
	}
	e.report(st, in, &Finding{
		Kind: KindCertificate, Proto: proto, Subject: c.Subject.CommonName, Issuer: c.Issuer.CommonName, Names: c.DNSNames,
	})
}
