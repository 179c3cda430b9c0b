package packet

import "fmt"

// DecodeError says where a frame stopped being decodable.
type DecodeError struct {
	Frame  uint64 // number of the frame, from 1
	Layer  string // name of the header, or of the link type when that is not understood
	Offset int    // where decoding stopped, in bytes from the start of the frame
	Err    error  // the Status
}

// Error returns "frame N: LAYER at byte M: REASON".
func (e *DecodeError) Error() string {
	return fmt.Sprintf("frame %d: %s at byte %d: %v", e.Frame, e.Layer, e.Offset, e.Err)
}

// Unwrap returns the reason, a [Status].
func (e *DecodeError) Unwrap() error { return e.Err }

// Err returns nil if the frame was decodable (OK, NotIP and Fragment are), else a new *[DecodeError].
func (p *Packet) Err() error {
	if !p.Status.Undecodable() {
		return nil
	}
	layer := "link layer"
	if n := p.nlayers; n > 0 {
		layer = p.layers[n-1].Kind.String()
	}
	return &DecodeError{Frame: p.Number, Layer: layer, Offset: int(p.Offset), Err: p.Status}
}
