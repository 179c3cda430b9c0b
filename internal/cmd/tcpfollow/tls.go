package tcpfollow

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tcpfollow/tcpfollow/httpx"
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
	"github.com/tcpfollow/tcpfollow/reassemble"
	"github.com/tcpfollow/tcpfollow/tlsx"
)

// secrets decrypts TLS connections with key logs: those that were named, and those in the capture itself.
type secrets struct {
	files []string
	keys  tlsx.KeyLog
	cfg   tlsx.Config
	tls   *tlsx.Decrypter
	stats tlsx.Stats
	conns [numTroubles]uint64 // connections by what was in the way; those without trouble first
	some  uint64              // connections of which something was decrypted
}

const numTroubles = tlsx.BadRecord + 1

// flags adds the flags for decryption to a command.
func (s *secrets) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&s.files, "keylog", nil, "decrypt TLS with the key log `file` that SSLKEYLOGFILE named; may be repeated; those in pcapng files are used anyway")
	fl.IntVar(&s.keys.MaxSecrets, "max-secrets", 0, "most `secrets` of key logs that are kept (default 1048576)")
	fl.IntVar(&s.cfg.MaxHandshake, "max-tls-hello", 0, "most `bytes` of a TLS hello (default 64 KiB)")
	fl.IntVar(&s.cfg.MaxHeld, "max-tls-held", 0, "most `bytes` of TLS that wait for the other side's hello (default 256 KiB)")
	fl.IntVar(&s.cfg.MaxTotalHeld, "max-total-tls-held", 0, "most `bytes` of TLS that wait in all connections together (default 64 MiB)")
	fl.IntVar(&s.cfg.MaxSearch, "max-tls-search", 0, "most sequence `numbers` tried on a TLS record behind a gap (default 1024)")
}

// attach reads the key logs, and makes hc decrypt and in find further ones.
func (s *secrets) attach(in *input, hc *httpx.Config) error {
	var err error
	if s.tls, err = tlsx.New(&s.keys, &s.cfg); err != nil || s.keys.MaxSecrets < 0 {
		return cli.Usage("negative limit")
	}
	for _, name := range s.files {
		if err := s.read(name); err != nil {
			return err
		}
	}
	hc.Secure = s.layer
	in.file.OnBlock = func(b pcapfile.Block) {
		if kind, data, ok := b.Secrets(); ok && kind == pcapfile.SecretsTLS {
			_, _ = s.keys.Write(data) // it does not fail
			s.keys.Flush()
		}
	}
	return nil
}

func (s *secrets) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read from only
	before := s.keys.Stats()
	if _, err := s.keys.ReadFrom(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if after := s.keys.Stats(); after.Bad > before.Bad && after.Secrets == before.Secrets {
		return fmt.Errorf("%s: not a key log", name)
	}
	return nil
}

// layer returns what decrypts a connection, nil when there are no keys at all.
func (s *secrets) layer(inner *httpx.Conn) httpx.Layer {
	if s.keys.Len() == 0 {
		return nil
	}
	l := &tlsLayer{}
	l.inside = tlsInside{s, l, inner, false}
	l.conn = s.tls.Open(&l.inside)
	return l
}

// over counts a connection.
func (s *secrets) over(c *tlsx.Conn) {
	stats := c.Stats()
	s.stats.Add(stats)
	s.conns[c.Info().Trouble]++
	if stats.Opened > 0 {
		s.some++
	}
}

// report says in a line what was decrypted, and what was in the way.
func (s *secrets) report(w io.Writer) {
	var all uint64
	for _, n := range s.conns {
		all += n
	}
	if k := s.keys.Stats(); k.Bad > 0 {
		fmt.Fprintf(w, "key logs: %s of another form\n", cli.Count(k.Bad, "line"))
	}
	if all == 0 {
		return
	}
	fmt.Fprintf(w, "%s, %d decrypted", cli.Count(all, "TLS connection"), s.some)
	for t, n := range s.conns {
		if trouble := tlsx.Trouble(t); n > 0 && trouble != tlsx.NoTrouble {
			fmt.Fprintf(w, ", %d with trouble: %v", n, trouble)
		}
	}
	fmt.Fprintln(w)
}

// limits names the flags whose limits cost something.
func (s *secrets) limits() []limit {
	return []limit{
		{s.keys.Stats().Dropped, "--max-secrets"},
		{s.stats.LimitHandshake, "--max-tls-hello"},
		{s.stats.LimitHeld, "--max-tls-held or --max-total-tls-held"},
		{s.stats.LimitSearch, "--max-tls-search"},
	}
}

// tlsLayer feeds a connection to its decryption.
type tlsLayer struct {
	conn   *tlsx.Conn
	inside tlsInside
}

// Data implements httpx.Layer.
func (l *tlsLayer) Data(dir packet.Direction, off uint64, b []byte, o reassemble.Origin) {
	l.conn.Data(tlsx.Direction(dir), off, b, tlsx.Origin(o))
}

// Gap implements httpx.Layer.
func (l *tlsLayer) Gap(dir packet.Direction, off, n uint64) {
	l.conn.Gap(tlsx.Direction(dir), off, n)
}

// End implements httpx.Layer.
func (l *tlsLayer) End(dir packet.Direction) { l.conn.End(tlsx.Direction(dir)) }

// tlsInside feeds what was decrypted to HTTP.
type tlsInside struct {
	s     *secrets
	layer *tlsLayer
	to    *httpx.Conn
	ended bool // one direction
}

// known says what ALPN tells of what is to come.
func (h *tlsInside) known() {
	if h.layer.conn.Info().Protocol == "h2" {
		h.to.HTTP2()
	}
}

// Data implements tlsx.Handler.
func (h *tlsInside) Data(d tlsx.Direction, c tlsx.Chunk) {
	h.known()
	// Sequence numbers are those of the decrypted bytes; acknowledgements are of others.
	o := reassemble.Origin{Time: c.Origin.Time, Packet: c.Origin.Packet, Seq: uint32(c.Offset)}
	h.to.Data(packet.Direction(d), c.Offset, c.Bytes, o)
}

// Gap implements tlsx.Handler.
func (h *tlsInside) Gap(d tlsx.Direction, g tlsx.Gap) {
	h.known()
	h.to.Gap(packet.Direction(d), g.Offset, g.Length)
}

// End implements tlsx.Handler.
func (h *tlsInside) End(d tlsx.Direction, _ tlsx.End) {
	h.to.End(packet.Direction(d))
	if h.ended {
		h.s.over(h.layer.conn)
	}
	h.ended = true
}
