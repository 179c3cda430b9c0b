package httpx

// newWebSocket returns the WebSocket connection that an exchange ended in: its response was 101 (RFC 6455 §4).
func newWebSocket(c *Conn, upgrade *Exchange) protocol {
	_ = upgrade
	return &opaque{c}
}
