package meter

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/internal/flowtable"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Application is what dissection found of a flow: NFStream's nine columns. Texts are cut to the lengths that NFStream has
// room for.
type Application struct {
	// Name is "MASTER.APP", or the one of them that is known, or "Unknown".
	Name string
	// Category is nDPI's word for what it is for.
	Category string
	// ServerName is the name of TLS, HTTP, DNS and others, in lower case.
	ServerName string
	// ClientFingerprint is JA4, HASSH or a list of DHCP options; ServerFingerprint is JA3S or HASSH.
	ClientFingerprint, ServerFingerprint string
	// UserAgent and ContentType are those of HTTP.
	UserAgent, ContentType string
	// JA3 and JA4 are those of the client's hello, JA3S is that of the server's.
	JA3, JA4, JA3S string
	// Guessed tells that only a port speaks for the name.
	Guessed bool
	// Confidence is how it was told, in nDPI's numbers.
	Confidence appid.Confidence
}

// The room that NFStream has for texts, in bytes.
const (
	maxName        = 39
	maxServerName  = 79
	maxFingerprint = 47
	maxContentType = 63
	maxUserAgent   = 255
)

// dissector looks into the first packets of flows.
type dissector struct {
	engine  *appid.Engine
	bytes   *reassemble.Native
	flows   slab[dissected]
	free    []*deciding
	now     *deciding // whose packet is being looked at
	most    int       // bytes of all flows without a verdict
	held    int       // of them, at most
	limited uint64    // flows that had their verdict early
	v65     bool
}

// dissected is what the dissector knows of a flow.
type dissected struct {
	deciding *deciding // nil once there is a verdict
	app      Application
}

// deciding is a flow without a verdict.
type deciding struct {
	d         *dissector
	state     *appid.State
	halves    [2]reassemble.Half
	base      [2]uint32 // sequence number of offset 0
	known     [2]bool   // base is
	gap       [2]bool   // bytes are missing before the next ones
	done      bool
	held      int // bytes that were looked at or wait
	frame     uint64
	direction packet.Direction

	name, parameters string
	ssdp             bool
}

func newDissector(cfg *Config) (*dissector, error) {
	d := &dissector{bytes: reassemble.NewNative(nil), v65: cfg.Compat65, most: cfg.MaxDissecting}
	var err error
	d.engine, err = appid.New(d.found, &appid.Config{MaxBytes: DefaultDissectedBytes, MaxPackets: MaxDissections, Applications: cfg.Applications})
	if err != nil {
		return nil, fmt.Errorf("meter: %w", err)
	}
	return d, nil
}

// open starts a flow.
func (d *dissector) open(ref flowtable.Ref) { *d.flows.add(ref) = dissected{} }

// close forgets a flow, which was finished.
func (d *dissector) close(ref flowtable.Ref) {
	*d.flows.at(ref) = dissected{}
	d.flows.remove(ref)
}

// dissect looks at one of the first packets of a flow.
func (m *Meter) dissect(ref flowtable.Ref, r *record, p *pending, direction uint8) {
	d := m.dissector
	f := d.flows.at(ref)
	if f.deciding == nil {
		if r.packets > 1 {
			return // there is a verdict
		}
		key := p.packet.Key
		if direction != 0 {
			key = key.Reverse()
		}
		f.deciding = d.start(&key)
	}
	w := f.deciding
	w.frame, w.direction = p.packet.Number, packet.Direction(direction)
	d.now = w
	switch transport := w.state.Transport; {
	case p.packet.Fragment:
	case transport == packet.ProtoTCP:
		w.segment(&p.packet)
	case transport == packet.ProtoUDP:
		w.feed(p.packet.Payload())
	}
	n := len(p.packet.Payload())
	w.held += n
	d.held += n
	switch {
	case w.done || int(r.packets) == m.cfg.Dissections:
		d.decide(f)
	case d.held > d.most && n > 0:
		d.limited++
		d.decide(f)
	}
}

// start returns what a new flow is looked into with.
func (d *dissector) start(key *packet.FlowKey) *deciding {
	var w *deciding
	if n := len(d.free); n > 0 {
		w, d.free = d.free[n-1], d.free[:n-1]
	} else {
		w = new(deciding)
	}
	*w = deciding{d: d, state: d.engine.Open(key.Proto(), key.Src(), key.Dst())}
	return w
}

// finish fills in what is known of a flow that has ended.
func (d *dissector) finish(ref flowtable.Ref, to *Flow) {
	f := d.flows.at(ref)
	if f.deciding != nil {
		d.decide(f)
	}
	to.Application = f.app
}

// decide ends dissection of a flow.
func (d *dissector) decide(f *dissected) {
	w := f.deciding
	d.now = w
	for i := range w.halves {
		h := &w.halves[i]
		w.direction = packet.Direction(i)
		for h.Ref != 0 {
			d.bytes.Skip(h, reassemble.ToHeld, reassemble.GapEnd, w)
		}
		d.bytes.Close(h)
	}
	d.verdict(w, &f.app)
	d.held -= w.held
	f.deciding = nil
	*w = deciding{}
	const kept = 1024
	if len(d.free) < kept {
		d.free = append(d.free, w)
	}
}

// segment feeds a TCP segment.
func (w *deciding) segment(p *Packet) {
	i := w.direction
	h := &w.halves[i]
	at := int(p.Transport)
	if len(p.IP) < at+8 {
		return
	}
	seq := binary.BigEndian.Uint32(p.IP[at+4:])
	if p.Flags.Has(packet.SYN) {
		seq++
	}
	data := p.Payload()
	if !w.known[i] {
		if len(data) == 0 && !p.Flags.Has(packet.SYN) {
			return
		}
		w.known[i], w.base[i] = true, seq
		w.d.bytes.Open(h, 0)
	}
	off := int64(h.Next) + int64(int32(seq-w.base[i]-uint32(h.Next)))
	if off < 0 { // before what was captured first
		cut := min(-off, int64(len(data)))
		data, off = data[cut:], 0
	}
	if len(data) == 0 {
		return
	}
	w.d.bytes.Segment(h, reassemble.Segment{Off: uint64(off), Data: data}, w)
	for h.Buffered > DefaultDissectedBytes {
		w.d.bytes.Skip(h, reassemble.ToHeld, reassemble.GapLimit, w)
	}
}

// feed looks at bytes that are next, or at a datagram.
func (w *deciding) feed(b []byte) {
	if w.done {
		return
	}
	w.done = w.d.engine.Feed(w.state, appid.Input{Direction: w.direction, Data: b, Gap: w.gap[w.direction], Frame: w.frame})
	w.gap[w.direction] = false
}

var _ reassemble.Sink = (*deciding)(nil)

// Data implements [reassemble.Sink].
func (w *deciding) Data(_ *reassemble.Half, _ uint64, b []byte, _ reassemble.Origin) { w.feed(b) }

// Gap implements [reassemble.Sink].
func (w *deciding) Gap(*reassemble.Half, uint64, uint64, reassemble.GapReason) {
	w.gap[w.direction] = true
}

// Old implements [reassemble.Sink].
func (w *deciding) Old(*reassemble.Half, uint64, []byte, reassemble.Origin) {}

// Conflict implements [reassemble.Sink].
func (w *deciding) Conflict(*reassemble.Half, uint64, []byte, []byte, bool, reassemble.Origin) {}

// found keeps what a result does not: the name that was asked for last, and what DHCP says.
func (d *dissector) found(_ *appid.State, f *appid.Finding) {
	w := d.now
	switch {
	case f.Query != "" && f.Kind == appid.KindDNS:
		w.name = asQuery(f.Query)
	case f.Parameters != "":
		w.parameters = f.Parameters
	case f.Kind == appid.KindSSDP:
		w.ssdp = true
	}
}

// verdict fills in what is known of a flow.
func (d *dissector) verdict(w *deciding, to *Application) {
	r := d.engine.Finish(w.state)
	if t := w.state.Transport; r.Guessed && t != packet.ProtoTCP && t != packet.ProtoUDP {
		r.Guessed, r.Confidence = false, appid.ConfidenceDPI // the number of the protocol is no guess
	}
	*to = Application{
		Name: cut(r.Name(), maxName), Category: r.Category, Guessed: r.Guessed, Confidence: r.Confidence,
		ServerName:        first(w.name, r.ServerName),
		ClientFingerprint: first(r.JA4, strings.ToUpper(r.HASSH), w.parameters),
		ServerFingerprint: first(r.JA3S, strings.ToUpper(r.HASSHServer)),
		UserAgent:         cut(printable(r.UserAgent), maxUserAgent),
		JA3:               r.JA3, JA4: r.JA4, JA3S: r.JA3S,
	}
	to.ContentType, _, _ = strings.Cut(r.ContentType, ";")
	to.ContentType = cut(printable(to.ContentType), maxContentType)
	if d.v65 {
		to.ClientFingerprint = first(r.JA3, strings.ToUpper(r.HASSH), w.parameters)
	} else if r.JA4 != "" {
		if addr, err := netip.ParseAddr(r.ServerName); err == nil && addr.Is4() { // nDPI takes an address for no name
			to.ClientFingerprint = r.JA4[:3] + "i" + r.JA4[4:]
		}
	}
	to.ClientFingerprint, to.ServerFingerprint = cut(to.ClientFingerprint, maxFingerprint), cut(to.ServerFingerprint, maxFingerprint)
	if i := strings.LastIndexByte(to.ServerName, ':'); i > 0 && (!d.v65 || !w.ssdp) {
		to.ServerName = to.ServerName[:i]
	}
	to.ServerName = cut(strings.ToLower(printable(to.ServerName)), maxServerName)
}

// printable returns a text with "?" for each byte that is not printable ASCII, as nDPI keeps names.
func printable(s string) string {
	return replaced(s, func(c byte) byte {
		if c < ' ' || c >= 0x7f {
			return '?'
		}
		return c
	})
}

// asQuery returns a name of DNS as nDPI keeps it: with "_" for what host names do not have.
func asQuery(s string) string {
	return replaced(s, func(c byte) byte {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '.', c == '-', c == '?', c < ' ', c >= 0x7f:
			return c
		}
		return '_'
	})
}

func replaced(s string, by func(byte) byte) string {
	for i := range len(s) {
		if by(s[i]) != s[i] {
			b := []byte(s)
			for i, c := range b {
				b[i] = by(c)
			}
			return string(b)
		}
	}
	return s
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func cut(s string, most int) string { return s[:min(len(s), most)] }

func applicationColumns(cfg *Config) []Column {
	if cfg.Dissections == 0 {
		return nil
	}
	column := func(name string, of func(*Application) string) Column {
		return text(name, func(b []byte, f *Flow) []byte { return append(b, of(&f.Application)...) })
	}
	return []Column{
		column("application_name", func(a *Application) string { return a.Name }),
		column("application_category_name", func(a *Application) string { return a.Category }),
		number("application_is_guessed", func(f *Flow) uint64 {
			if f.Application.Guessed {
				return 1
			}
			return 0
		}),
		number("application_confidence", func(f *Flow) uint64 { return uint64(f.Application.Confidence) }),
		column("requested_server_name", func(a *Application) string { return a.ServerName }),
		column("client_fingerprint", func(a *Application) string { return a.ClientFingerprint }),
		column("server_fingerprint", func(a *Application) string { return a.ServerFingerprint }),
		column("user_agent", func(a *Application) string { return a.UserAgent }),
		column("content_type", func(a *Application) string { return a.ContentType }),
	}
}
