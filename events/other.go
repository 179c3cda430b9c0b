package events

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/appid"
	"github.com/tcpfollow/tcpfollow/names"
	"github.com/tcpfollow/tcpfollow/packet"
)

// OfFinding returns the event of something that a flow said of itself at a time. stream is the number of its connection; it
// means nothing for UDP. The event keeps the finding, and does not change it.
func OfFinding(st *appid.State, f *appid.Finding, stream uint64, at time.Time) *Event {
	v := &Event{
		Schema: Schema, Kind: KindIdent, Time: at, End: at, Stream: stream, Frame: f.Frame, LastFrame: f.Frame, Transport: tcp, Finding: string(f.Kind), Proto: f.Proto,
		Dir: f.Direction.String(), SNI: f.ServerName, ALPN: f.ALPN, JA3: f.JA3, JA4: f.JA4, JA3S: f.JA3S, ECH: f.ECH, Resumption: f.Resumption,
		Subject: f.Subject, Issuer: f.Issuer, Names: f.Names, Banner: f.Banner, HASSH: f.HASSH, HASSHServer: f.HASSHServer,
		Host: f.Host, UserAgent: f.UserAgent, ContentType: f.ContentType, Query: f.Query, Answers: f.Answers,
		HostName: f.HostName, Parameters: f.Parameters, Broken: f.Broken, Found: f,
	}
	if f.Kind == appid.KindDNS {
		v.Kind = KindDNS
	}
	if st.Transport != packet.ProtoTCP {
		v.Transport, v.Stream = udp, 0
	}
	if f.QUICVersion != 0 {
		v.QUICVersion = fmt.Sprintf("0x%08x", f.QUICVersion)
	}
	v.between(st.Client, st.Server)
	v.Is(&f.Flow)
	return v
}

// OfStream returns the event of a connection that has ended. It has no LastFrame.
func OfStream(i *tcpfollow.StreamInfo) *Event {
	c, s := &i.Halves[packet.ClientToServer], &i.Halves[packet.ServerToClient]
	v := &Event{
		Schema: Schema, Kind: KindFlow, Time: i.First, End: i.Last, Stream: i.ID, Frame: i.Opened, Transport: tcp,
		Duration: i.Last.Sub(i.First).Seconds(), Opening: i.Start.String(), Ending: i.End.String(), Packets: i.Packets, Duplicates: i.Duplicates,
		ClientBytes: c.Bytes, ServerBytes: s.Bytes, ClientMissing: c.Missing, ServerMissing: s.Missing,
		ClientConflicts: c.Conflicts, ServerConflicts: s.Conflicts,
	}
	v.between(i.Client, i.Server)
	return v
}

// Is notes what is known of the event's flow.
func (v *Event) Is(r *appid.Result) {
	v.App, v.Category, v.Confidence, v.Guessed = r.Name(), r.Category, int(r.Confidence), r.Guessed
}

// Naming learns from an event what addresses are called, and then sets what its two ends are called, as far as earlier
// events, or a hosts file, told. Events must be given in their order.
func (v *Event) Naming(t *names.Table) {
	client, err := netip.ParseAddr(v.ClientIP)
	if err != nil {
		return
	}
	server, err := netip.ParseAddr(v.ServerIP)
	if err != nil {
		return
	}
	if n, ok := t.Lookup(server, v.End); ok {
		v.ServerName, v.ServerNameSource = n.Name, n.Source.String()
	}
	if n, ok := t.Lookup(client, v.End); ok {
		v.ClientName = n.Name
	}
	switch {
	case v.Kind == KindHTTP:
		t.Add(server, v.Host, names.Host, v.Time)
	case v.Found != nil:
		Learn(t, v.Found, server, v.Time)
	}
}

// Learn notes what a finding says of addresses: the server's, and those in answers.
func Learn(t *names.Table, f *appid.Finding, server netip.Addr, at time.Time) {
	if len(f.Records) > 0 {
		source := names.DNS
		if f.Proto != "dns" {
			source = names.MDNS
		}
		records := make([]names.Record, len(f.Records))
		for i, r := range f.Records {
			records[i] = names.Record{Owner: r.Owner, Addr: r.Addr, Alias: r.Alias}
		}
		t.Answer(f.Query, records, source, at)
	}
	if f.Kind == appid.KindHTTP {
		t.Add(server, f.Host, names.Host, at)
	}
	if !f.ECH { // the name in front of an encrypted hello is nobody's
		t.Add(server, f.ServerName, names.SNI, at)
	}
}
