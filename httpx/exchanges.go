package httpx

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet"
)

// Exchanges returns the HTTP exchanges in the frames of a source, in the order in which they are over, with their bodies.
// The error is the source's or that of ctx; it comes once, last, after what was open then. The sequence is single-use, and
// leaves closing the source to the caller, who may break off.
func Exchanges(ctx context.Context, src packet.Source) iter.Seq2[*Exchange, error] {
	return ExchangesWith(ctx, src, &Config{Collect: true}, nil)
}

// ExchangesWith is Exchanges with a parser and a follower of those configurations, whose other callbacks are called as well;
// nil means the defaults. A configuration that is no good is the only error then.
func ExchangesWith(ctx context.Context, src packet.Source, cfg *Config, follower *tcpfollow.Config) iter.Seq2[*Exchange, error] {
	return func(yield func(*Exchange, error) bool) {
		var done []*Exchange
		f, err := collecting(cfg, follower, &done)
		if err != nil {
			yield(nil, err)
			return
		}
		give := func() bool {
			for _, e := range done {
				if !yield(e, nil) {
					return false
				}
			}
			clear(done)
			done = done[:0]
			return true
		}
		var b packet.Batch
		for err == nil {
			if err = ctx.Err(); err == nil {
				if err = src.ReadBatch(&b); err == nil {
					f.FeedBatch(&b, nil)
				}
			}
			if !give() {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if err = errors.Join(err, f.Close()); !give() || err == nil {
			return
		}
		yield(nil, err)
	}
}

// collecting returns a follower whose exchanges go to list.
func collecting(cfg *Config, follower *tcpfollow.Config, list *[]*Exchange) (*tcpfollow.TCPStreamFollower, error) {
	hc, fc := Config{}, tcpfollow.Config{Incremental: true}
	if cfg != nil {
		hc = *cfg
	}
	if follower != nil {
		fc = *follower
	}
	also := hc.OnExchange
	hc.OnExchange = func(e *Exchange) {
		if also != nil {
			also(e)
		}
		*list = append(*list, e)
	}
	http, err := Follow(&hc)
	if err != nil {
		return nil, err
	}
	gap := fc.OnGap
	fc.OnGap = func(s *tcpfollow.TCPStream, g tcpfollow.Gap) {
		if gap != nil {
			gap(s, g)
		}
		http.Gap(s, g)
	}
	return tcpfollow.New(http.Data, http.End, &fc)
}
