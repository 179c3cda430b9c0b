package meter

import (
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/packet"
)

// decoder fills packets by one of the packet rules.
type decoder struct {
	nf     *nfpacket.Decoder
	strict *strict // or nil
	frames uint64
}

func newDecoder(cfg *Config) (decoder, error) {
	if cfg.Rules == RulesStrict {
		s, err := newStrict(cfg)
		return decoder{strict: s}, err
	}
	return decoder{nf: nfpacket.New(&nfpacket.Config{NoTunnels: !cfg.DecodeTunnels, Sizes65: cfg.Compat65})}, nil
}

// decode reports whether the frame counts as a packet.
func (d *decoder) decode(f *packet.Frame, p *Packet) bool {
	d.frames++
	if d.strict != nil {
		return d.strict.decode(f, p)
	}
	return d.nf.Decode(f, p) == nfpacket.OK
}

// count adds what was counted.
func (d *decoder) count(s *Stats) {
	s.Frames = d.frames
	if d.strict != nil {
		s.Ignored = d.strict.ignored
		return
	}
	s.Ignored = d.nf.Stats()
	s.Ignored[nfpacket.OK] = 0
}
