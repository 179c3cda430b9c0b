package flowtable_test

import (
	"fmt"
	"time"

	"github.com/tcpfollow/tcpfollow/internal/flowtable"
)

// Records are found by key, and their timers come up on the packet clock.
func Example() {
	table := flowtable.New[string, int, struct{}]()
	key, hash := "a flow", uint64(42)
	ref := table.Insert(hash, &key)
	*table.At(ref) = 7
	fmt.Println(*table.At(table.Lookup(hash, &key)))

	table.Advance(int64(time.Minute), nil)
	table.Schedule(ref, int64(time.Minute+30*time.Second))
	fmt.Println(len(table.Advance(int64(time.Minute+29*time.Second), nil)))
	for _, due := range table.Advance(int64(time.Minute+30*time.Second), nil) {
		table.Remove(due)
	}
	fmt.Println(table.Len())
	// Output:
	// 7
	// 0
	// 0
}
