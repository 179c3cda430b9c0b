// Package zeek writes flows as entries of Zeek's conn.log.
package zeek

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"strconv"

	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// Plugin returns a plugin without columns that notes what conn.log has and rows do not. It must be among Config.Plugins of
// the meter whose flows a [Log] writes.
func Plugin() meter.Plugin { return plugin{} }

type plugin struct{}

// Log writes entries of conn.log, a header first.
type Log struct {
	w    io.Writer
	buf  []byte
	err  error
	head bool
}

var _ meter.Writer = (*Log)(nil)

// New returns a log that is written to w.
func New(w io.Writer) *Log { return &Log{w: w} }

// conn is what is noted of a flow.
type conn struct {
	payload, ip   [2]uint64
	syn, fin, rst [2]bool
	synAck        bool
	established   bool
	history       []byte
	first         int64
	last          int64
	noted         [2]uint16 // letters of the history
}

// maxHistory is how many letters a history has at most.
const maxHistory = 32

// Columns implements [meter.Plugin].
func (plugin) Columns() []meter.PluginColumn { return nil }

// OnInit implements [meter.Plugin].
func (p plugin) OnInit(e *meter.Event, f *meter.Flow, r *meter.Row) {
	r.State = &conn{first: e.Time}
	p.OnUpdate(e, f, r)
}

// OnUpdate implements [meter.Plugin].
func (plugin) OnUpdate(e *meter.Event, _ *meter.Flow, r *meter.Row) {
	c, ok := r.State.(*conn)
	if !ok {
		return
	}
	d := e.Direction
	c.last = max(c.last, e.Time)
	c.ip[d] += uint64(e.Sizes[nfpacket.IPSize])
	n := e.Sizes[nfpacket.PayloadSize]
	c.payload[d] += uint64(n)
	if e.Key.Proto() != packet.ProtoTCP {
		if n > 0 {
			c.note(d, 'd')
		}
		return
	}
	switch {
	case e.Flags.Has(packet.SYN | packet.ACK):
		c.note(d, 'h')
		c.synAck = c.synAck || d == 1
	case e.Flags.Has(packet.SYN):
		c.note(d, 's')
		c.syn[d] = true
	case e.Flags.Has(packet.ACK) && n == 0 && e.Flags&(packet.FIN|packet.RST) == 0:
		c.note(d, 'a')
	}
	c.established = c.established || c.synAck && d == 0 && e.Flags.Has(packet.ACK)
	if n > 0 {
		c.note(d, 'd')
	}
	if e.Flags.Has(packet.FIN) {
		c.note(d, 'f')
		c.fin[d] = true
	}
	if e.Flags.Has(packet.RST) {
		c.note(d, 'r')
		c.rst[d] = true
	}
}

// note adds a letter to the history, once a direction: in capitals for the originator.
func (c *conn) note(d uint8, letter byte) {
	bit := uint16(1) << (letter % 16)
	if c.noted[d]&bit != 0 || len(c.history) >= maxHistory {
		return
	}
	c.noted[d] |= bit
	if d == 0 {
		letter -= 'a' - 'A'
	}
	c.history = append(c.history, letter)
}

// OnExpire implements [meter.Plugin].
func (plugin) OnExpire(*meter.Flow, *meter.Row) {}

// Close implements [meter.Plugin].
func (plugin) Close() error { return nil }

// state returns Zeek's conn_state.
func (c *conn) state(f *meter.Flow) string {
	if f.Key.Proto() != packet.ProtoTCP {
		if f.Dst2Src.Packets > 0 {
			return "SF"
		}
		return "S0"
	}
	switch {
	case c.syn[0] && c.rst[1] && !c.synAck:
		return "REJ"
	case c.rst[0] && !c.synAck && c.syn[0]:
		return "RSTOS0"
	case c.rst[1] && c.synAck && !c.syn[0]:
		return "RSTRH"
	case c.rst[0] && c.synAck:
		return "RSTO"
	case c.rst[1] && c.synAck:
		return "RSTR"
	case c.syn[0] && !c.synAck && c.fin[0]:
		return "SH"
	case !c.syn[0] && c.synAck && c.fin[1]:
		return "SHR"
	case c.syn[0] && !c.synAck && f.Dst2Src.Packets == 0:
		return "S0"
	case c.synAck && c.fin[0] && c.fin[1]:
		return "SF"
	case c.synAck && c.fin[0]:
		return "S2"
	case c.synAck && c.fin[1]:
		return "S3"
	case c.synAck && c.syn[0]:
		return "S1"
	}
	return "OTH"
}

const header = `#separator \x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	conn
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	service	duration	orig_bytes	resp_bytes	conn_state	local_orig	local_resp	missed_bytes	history	orig_pkts	orig_ip_bytes	resp_pkts	resp_ip_bytes	tunnel_parents
#types	time	string	addr	port	addr	port	enum	string	interval	count	count	string	bool	bool	count	string	count	count	count	count	set[string]
`

// Write writes an entry. What is written may wait for Close. Flows that the plugin has not seen are an error.
func (l *Log) Write(f *meter.Flow) error {
	var c *conn
	for i := range f.Rows {
		if s, ok := f.Rows[i].State.(*conn); ok {
			c = s
		}
	}
	if c == nil {
		return fmt.Errorf("zeek: flow %d was not seen by the plugin", f.ID)
	}
	b := l.buf
	if !l.head {
		l.head = true
		b = append(b, header...)
	}
	src, dst := f.Key.Src(), f.Key.Dst()
	b = appendSeconds(b, c.first)
	b = append(append(b, '\t'), uid(f)...)
	b = appendEndpoint(appendEndpoint(b, src), dst)
	b = append(append(b, '\t'), transport(f.Key.Proto())...)
	b = append(b, "\t-\t"...)
	b = appendSeconds(b, c.last-c.first)
	b = number(number(b, c.payload[0]), c.payload[1])
	b = append(append(b, '\t'), c.state(f)...)
	b = append(b, '\t', bit(src.Addr().IsPrivate()), '\t', bit(dst.Addr().IsPrivate()), '\t', '0', '\t')
	if len(c.history) == 0 {
		b = append(b, '-')
	}
	b = append(b, c.history...)
	b = number(number(number(number(b, f.Src2Dst.Packets), c.ip[0]), f.Dst2Src.Packets), c.ip[1])
	l.buf = append(b, "\t-\n"...)
	const gathered = 64 << 10
	if len(l.buf) >= gathered {
		return l.flush()
	}
	return l.err
}

func (l *Log) flush() error {
	if l.err == nil && len(l.buf) > 0 {
		_, l.err = l.w.Write(l.buf)
		l.buf = l.buf[:0]
	}
	return l.err
}

// Flush writes what waits of the rows so far.
func (l *Log) Flush() error { return l.flush() }

// Close writes what waits, and the header where there was no flow. It does not close the underlying writer.
func (l *Log) Close() error {
	if !l.head {
		l.head = true
		l.buf = append(l.buf, header...)
	}
	return l.flush()
}

func bit(yes bool) byte {
	if yes {
		return 'T'
	}
	return 'F'
}

func number(b []byte, n uint64) []byte { return strconv.AppendUint(append(b, '\t'), n, 10) }

func appendEndpoint(b []byte, a netip.AddrPort) []byte {
	return number(a.Addr().AppendTo(append(b, '\t')), uint64(a.Port()))
}

// appendSeconds appends a time of nanoseconds, in seconds with six decimals.
func appendSeconds(b []byte, ns int64) []byte {
	if ns < 0 {
		b, ns = append(b, '-'), -ns
	}
	b = strconv.AppendInt(b, ns/1e9, 10)
	micro := strconv.AppendInt(nil, 1e6+ns%1e9/1e3, 10)
	micro[0] = '.'
	return append(b, micro...)
}

func transport(proto uint8) string {
	switch proto {
	case packet.ProtoTCP:
		return "tcp"
	case packet.ProtoUDP:
		return "udp"
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return "icmp"
	}
	return "unknown_transport"
}

// uid returns a flow's identifier, the same in every run.
func uid(f *meter.Flow) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %d", f.Key, f.Bidirectional.FirstSeen))
	return "C" + fmt.Sprintf("%017s", new(big.Int).SetBytes(sum[:12]).Text(62))[:17]
}
