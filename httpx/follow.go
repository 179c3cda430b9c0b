package httpx

import (
	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
)

// Follower feeds a parser from a [tcpfollow.TCPStreamFollower]: give Data and End to [tcpfollow.New], and Gap as
// Config.OnGap. It does not use the streams' user values, so that other users of the follower can.
type Follower struct {
	*Parser
	conns map[*tcpfollow.TCPStream]*Conn
	last  *tcpfollow.TCPStream // whose connection is conn
	conn  *Conn
}

// Follow returns a follower with a parser of that configuration.
func Follow(cfg *Config) (*Follower, error) {
	p, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return &Follower{Parser: p, conns: map[*tcpfollow.TCPStream]*Conn{}}, nil
}

// of returns the connection of a stream.
func (f *Follower) of(s *tcpfollow.TCPStream) *Conn {
	if f.last == s {
		return f.conn
	}
	c := f.conns[s]
	if c == nil {
		i := s.Info()
		c = f.Open(ConnInfo{Stream: i.ID, Client: i.Client, Server: i.Server, Midstream: i.Start == tcpfollow.StartMid})
		c.finished = func(dir packet.Direction) bool { return s.Info().Halves[dir].FIN }
		f.conns[s] = c
	}
	f.last, f.conn = s, c
	return c
}

// Data is the data callback.
func (f *Follower) Data(s *tcpfollow.TCPStream) {
	c := s.Chunk()
	f.of(s).Data(c.Direction, c.Offset, c.Bytes, c.Origin)
}

// Gap is the gap callback.
func (f *Follower) Gap(s *tcpfollow.TCPStream, g tcpfollow.Gap) {
	f.of(s).Gap(g.Direction, g.Offset, g.Length)
}

// End is the end callback.
func (f *Follower) End(s *tcpfollow.TCPStream) {
	c := f.conns[s]
	if c == nil {
		return
	}
	c.Close()
	delete(f.conns, s)
	f.last, f.conn = nil, nil
}
