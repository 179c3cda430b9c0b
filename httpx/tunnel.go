package httpx

// newTunnel returns the protocol inside of a CONNECT tunnel, which is recognised by content like that of a connection.
func newTunnel(c *Conn) protocol { return newStart(c, true) }
