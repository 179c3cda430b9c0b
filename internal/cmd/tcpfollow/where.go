//go:build !noexpr

package tcpfollow

import "github.com/tcpfollow/tcpfollow/events/where"

// newEventFilter compiles the expression of --where. Its language calls methods by their names, so that the linker has to
// keep all that any type has, in whatever package: the build tag noexpr leaves it out.
func newEventFilter(text string) (eventFilter, error) { return where.Compile(text) }
