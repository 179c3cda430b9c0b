package tcpfollow

import (
	"context"

	"github.com/tcpfollow/tcpfollow/packet"
)

// FollowInRounds is FollowSharded with rounds of at most so many frames.
func FollowInRounds[T any](
	ctx context.Context, src packet.Source, n, frames int,
	newHandlers func(cfg *Config, emit func(T)) (data, end StreamFunc), sink func(stream uint64, v T) error, cfg *Config,
) (Totals, error) {
	return followSharded(ctx, src, n, newHandlers, sink, cfg, frames)
}

// Add adds counters, as FollowSharded does.
func (s *Stats) Add(o *Stats) { s.add(o) }
