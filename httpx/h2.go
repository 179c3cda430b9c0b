package httpx

// newH2 returns an HTTP/2 connection; requests flow in the direction in which the client's preface comes. upgrade is the
// exchange that the connection was upgraded by, whose request is stream 1 (RFC 7540 §3.2), nil with prior knowledge. Both
// prefaces are still to come.
func newH2(c *Conn, upgrade *Exchange) protocol {
	_ = upgrade
	return &opaque{c}
}
