package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// report is the outcome over all captures.
type report struct {
	files, frames, views int
	streams, events      int // that are the same
	differences          []difference
	unexplained          int
	unread               []string
}

// difference is a stream that differs.
type difference struct {
	file  string
	frame int // of the first event that differs, or of the opening
	what  string
	cause string
}

// unknown is the cause of a difference that has none.
const unknown = "UNEXPLAINED"

// add compares what both sides did with a capture.
func (r *report) add(file string, ours, theirs *history) {
	r.files++
	r.frames += len(ours.views)
	for frame, v := range ours.views {
		if v.tcp || theirs.views[frame].tcp {
			r.views++
		}
	}
	all := map[int]bool{}
	for opened := range ours.streams {
		all[opened] = true
	}
	for opened := range theirs.streams {
		all[opened] = true
	}
	for _, opened := range slices.Sorted(maps.Keys(all)) {
		a, b := ours.streams[opened], theirs.streams[opened]
		d := difference{file: file, frame: opened}
		switch {
		case b == nil:
			d.what = "only ours has the stream"
		case a == nil:
			d.what = "only libtins has the stream"
			a = b
		default:
			i := 0
			for i < len(a.events) && i < len(b.events) && a.events[i] == b.events[i] {
				i++
			}
			r.events += i
			if i == len(a.events) && i == len(b.events) {
				r.streams++
				continue
			}
			d.frame, d.what = first(a.events[i:], b.events[i:])
		}
		d.cause = cause(a, d.frame, ours.views, theirs.views)
		if d.cause == unknown {
			r.unexplained++
		}
		r.differences = append(r.differences, d)
	}
}

// first says in what two lists of events differ, by the first of each.
func first(a, b []event) (frame int, what string) {
	say := func(e []event) string {
		if len(e) == 0 {
			return "nothing"
		}
		name := map[byte]string{'D': "data", 'E': "end"}[e[0].kind]
		return fmt.Sprintf("%s in frame %d with %d and %d bytes", name, e[0].frame, e[0].client, e[0].server)
	}
	switch {
	case len(a) == 0:
		frame = b[0].frame
	case len(b) == 0:
		frame = a[0].frame
	default:
		frame = min(a[0].frame, b[0].frame)
	}
	return frame, fmt.Sprintf("ours: %s; libtins: %s", say(a), say(b))
}

// cause looks for frames of a stream, up to the one at which it differs, that the two sides see differently.
func cause(s *stream, frame int, ours, theirs map[int]view) string {
	causes := map[string]bool{}
	for i := 1; i <= frame; i++ {
		a, b := ours[i], theirs[i]
		if a.same(b) || !a.of(s) && !b.of(s) {
			continue
		}
		causes[why(a, b)] = true
	}
	if len(causes) == 0 {
		return unknown
	}
	return strings.Join(slices.Sorted(maps.Keys(causes)), "; ")
}

// of reports whether a view is of a packet of the stream.
func (v view) of(s *stream) bool {
	return v.tcp && (v.src == s.ends[0] && v.dst == s.ends[1] || v.src == s.ends[1] && v.dst == s.ends[0])
}

// why says in what our view of a frame differs from libtins'.
func why(ours, theirs view) string {
	special := strings.HasPrefix(ours.why, "tunnel") || strings.HasPrefix(ours.why, "IP")
	switch {
	case !theirs.tcp && theirs.why != "":
		return "libtins cannot take the frame apart: " + theirs.why
	case special && !theirs.tcp:
		return "libtins does not look into " + ours.why
	case special:
		return "libtins takes the outer addresses and the inner ports, " + ours.why
	case !theirs.tcp:
		return "libtins finds no TCP in " + ours.why
	case !ours.tcp:
		return "not TCP to us: " + ours.why
	case ours.length != theirs.length:
		return "payload of another length"
	}
	return "another header"
}

// write prints the report as Markdown.
func (r *report) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d captures, %d frames, %d of them with TCP. The same: %d streams with %d callbacks.\n", r.files, r.frames, r.views, r.streams, r.events)
	fmt.Fprintf(&b, "Different: %d streams, %d of them without a known cause.\n", len(r.differences), r.unexplained)
	for _, text := range r.unread {
		fmt.Fprintf(&b, "Cut short: %s\n", text)
	}
	if len(r.differences) > 0 {
		fmt.Fprintf(&b, "\n| cause | difference | capture: frames |\n|---|---|---|\n")
	}
	for _, cause := range sorted(r.differences, func(d difference) string { return d.cause }) {
		for _, what := range sorted(cause, func(d difference) string { return d.what }) {
			var places []string
			for _, file := range sorted(what, func(d difference) string { return d.file }) {
				var frames []string
				for _, d := range file {
					frames = append(frames, fmt.Sprint(d.frame))
				}
				places = append(places, file[0].file+": "+strings.Join(frames, ", "))
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", what[0].cause, what[0].what, strings.Join(places, "; "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sorted returns differences in groups with the same key, in the order of keys.
func sorted(all []difference, key func(difference) string) [][]difference {
	groups := map[string][]difference{}
	for _, d := range all {
		groups[key(d)] = append(groups[key(d)], d)
	}
	var out [][]difference
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		out = append(out, groups[k])
	}
	return out
}
