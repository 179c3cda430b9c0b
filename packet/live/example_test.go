package live_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/packet/live"
)

// Streams of an interface are followed until there is an interrupt, and then ended.
func Example() {
	data := func(s *tcpfollow.TCPStream) { fmt.Printf("%v: %d bytes\n", s.Client(), len(s.Chunk().Bytes)) }
	follower, err := tcpfollow.New(data, nil, &tcpfollow.Config{Incremental: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := live.Open(&live.Config{Interfaces: []string{"nosuch0"}, Filter: "tcp port 80"})
	if err != nil {
		fmt.Println("not captured:", errors.Is(err, live.ErrNoInterface) || errors.Is(err, live.ErrUnsupported))
		return
	}
	defer source.Close()
	interrupt, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(interrupt, source.Stop)
	if err := follower.Follow(context.Background(), source); err != nil {
		fmt.Println(err)
	}
	fmt.Println(source.Stats().Dropped, "frames dropped")
	// Output: not captured: true
}
