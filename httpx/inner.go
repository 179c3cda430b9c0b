package httpx

// within returns a connection that c carries, in a tunnel for instance. Its exchanges count with those of c.
func (c *Conn) within() *Conn {
	inner := &Conn{p: c.p, info: c.info, outer: c}
	inner.info.Midstream = false
	return inner
}
