//go:build !linux

package live

import "github.com/tcpfollow/tcpfollow/packet"

// Source captures frames. There is none on this system.
type Source struct{}

var _ packet.Source = (*Source)(nil)

// Open returns ErrUnsupported.
func Open(*Config) (*Source, error) { return nil, &Error{Err: ErrUnsupported} }

// Interfaces returns ErrUnsupported.
func Interfaces() ([]Interface, error) { return nil, &Error{Err: ErrUnsupported} }

// ReadBatch returns ErrUnsupported.
func (*Source) ReadBatch(b *packet.Batch) error {
	b.Frames, b.Clock = b.Frames[:0], 0
	return &Error{Err: ErrUnsupported}
}

// Stop does nothing.
func (*Source) Stop() {}

// Close does nothing.
func (*Source) Close() error { return nil }

// Stats returns nothing.
func (*Source) Stats() Stats { return Stats{} }
