//go:build !noexpr

package tcpfollow

import "github.com/tcpfollow/tcpfollow/events/where"

// newEventFilter compiles the expression of --where. Its language calls methods by their names, so that the linker has to
// keep those of all types, in whatever package: 4 MB of program. The build tag noexpr leaves it out.
func newEventFilter(text string) (eventFilter, error) { return where.Compile(text) }
