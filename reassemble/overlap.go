package reassemble

import "fmt"

// Overlap is a policy for bytes that come twice and differ while neither copy has been delivered. Receivers differ in
// which copy they keep, and a capture must be read as its receiver read it. Delivered bytes never change.
//
// With o the held segment and n the new one, n replaces o where both have bytes:
type Overlap uint8

// The policies, named for the systems that follow them.
const (
	OverlapBSD      Overlap = iota // if n starts first; the default
	OverlapFirst                   // never
	OverlapLast                    // always
	OverlapLinux                   // if n starts first, or at the same byte and ends behind o
	OverlapOldLinux                // if n starts first, or at the same byte and does not end before o
	OverlapSolaris                 // if n covers o, or starts and ends behind it
)

// ParseOverlap returns the policy with a name: bsd, first, last, linux, old-linux, solaris, or that of a system that
// follows one of them: windows, windows2003, macos, irix and hpux10 are bsd, vista is first, hpux11 is solaris.
func ParseOverlap(name string) (Overlap, error) {
	switch name {
	case "bsd", "windows", "windows2003", "macos", "irix", "hpux10":
		return OverlapBSD, nil
	case "first", "vista":
		return OverlapFirst, nil
	case "last":
		return OverlapLast, nil
	case "linux":
		return OverlapLinux, nil
	case "old-linux":
		return OverlapOldLinux, nil
	case "solaris", "hpux11":
		return OverlapSolaris, nil
	}
	return 0, fmt.Errorf("unknown overlap policy %q", name)
}

// String returns the policy's own name.
func (p Overlap) String() string {
	names := [...]string{"bsd", "first", "last", "linux", "old-linux", "solaris"}
	if int(p) < len(names) {
		return names[p]
	}
	return "unknown"
}

// Extent is what a segment covered when it came, as offsets: the first byte, and the one after the last.
type Extent struct{ Start, End uint64 }

// NewWins reports whether the segment n replaces o where both have bytes.
func (p Overlap) NewWins(o, n Extent) bool {
	switch p {
	case OverlapFirst:
		return false
	case OverlapLast:
		return true
	case OverlapLinux:
		return n.Start < o.Start || n.Start == o.Start && n.End > o.End
	case OverlapOldLinux:
		return n.Start < o.Start || n.Start == o.Start && n.End >= o.End
	case OverlapSolaris:
		return n.Start <= o.Start && n.End >= o.End || n.Start > o.Start && n.End > o.End
	default:
		return n.Start < o.Start
	}
}
