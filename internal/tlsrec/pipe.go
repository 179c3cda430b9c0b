package tlsrec

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/tcpfollow/tcpfollow/packet"
)

// wire is a connection in memory that notes what is written. Writing never blocks.
type wire struct {
	mu    sync.Mutex
	more  *sync.Cond
	sent  [2][]byte // not read yet, by who sent it
	over  [2]bool   // by who closed
	parts []Part
}

func newWire() *wire {
	w := new(wire)
	w.more = sync.NewCond(&w.mu)
	return w
}

// end is one end of a wire.
type end struct {
	*wire
	dir     packet.Direction // that it sends in
	expired bool             // the read deadline is over
}

var _ net.Conn = (*end)(nil)

// Read implements net.Conn.
func (e *end) Read(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from := e.dir.Reverse()
	for len(e.sent[from]) == 0 {
		switch {
		case e.expired:
			return 0, os.ErrDeadlineExceeded
		case e.over[e.dir]:
			return 0, net.ErrClosed
		case e.over[from]:
			return 0, io.EOF
		}
		e.more.Wait()
	}
	n := copy(b, e.sent[from])
	e.sent[from] = e.sent[from][n:]
	return n, nil
}

// Write implements net.Conn.
func (e *end) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over[e.dir] {
		return 0, net.ErrClosed
	}
	e.sent[e.dir] = append(e.sent[e.dir], b...)
	if last := len(e.parts) - 1; last >= 0 && e.parts[last].Dir == e.dir {
		e.parts[last].Data = append(e.parts[last].Data, b...)
	} else {
		e.parts = append(e.parts, Part{e.dir, append([]byte(nil), b...)})
	}
	e.more.Broadcast()
	return len(b), nil
}

// Close implements net.Conn.
func (e *end) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over[e.dir] = true
	e.more.Broadcast()
	return nil
}

// SetReadDeadline implements net.Conn: only deadlines that are over count.
func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expired = !t.IsZero() && time.Until(t) <= 0
	e.more.Broadcast()
	return nil
}

// SetDeadline implements net.Conn.
func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn: writing never blocks.
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return e.LocalAddr() }
