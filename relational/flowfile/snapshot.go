package flowfile

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tcpfollow/tcpfollow/relational"
)

// snapshotSchema is the version of what Snapshot writes.
const snapshotSchema = 1

// snapshot is all that a matcher knows.
type snapshot[N any] struct {
	Schema int            `json:"schema"`
	Events uint64         `json:"events"`
	Now    time.Time      `json:"now,omitzero"`
	Flows  []openFlows[N] `json:"flows"`
}

// openFlows are those of one name.
type openFlows[N any] struct {
	Flow   string        `json:"flow"`
	Digest string        `json:"digest"`
	Open   []openFlow[N] `json:"open"`
}

// openFlow is one of them.
type openFlow[N any] struct {
	Seq      uint64              `json:"seq"`
	From     uint64              `json:"from"`
	To       uint64              `json:"to"`
	Start    time.Time           `json:"start,omitzero"`
	End      time.Time           `json:"end,omitzero"`
	Position relational.Position `json:"position"`
	Key      bytesText           `json:"key,omitempty"`
	// Vars are all variables, in their order.
	Vars  [][]bytesText `json:"vars"`
	Notes []N           `json:"notes,omitempty"`
}

// bytesText is a text of any bytes: in JSON a string, or what is not UTF-8 in base64, as the only one of a list.
type bytesText string

// MarshalJSON is for encoding/json.
func (t bytesText) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal([]string{base64.StdEncoding.EncodeToString([]byte(t))})
}

// UnmarshalJSON is for encoding/json.
func (t *bytesText) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		*t = bytesText(s)
		return nil
	}
	var coded [][]byte
	if err := json.Unmarshal(b, &coded); err != nil {
		return err
	}
	if len(coded) != 1 {
		return errors.New("want a text")
	}
	*t = bytesText(coded[0])
	return nil
}

// Snapshot writes the open flows as JSON, for Restore. Events that are held back are not among what is written: with some
// (see relational.Config.Reorder) it fails.
func (m *Matcher[T, N]) Snapshot(w io.Writer) error {
	if m.stream.Held() > 0 {
		return errors.New("flowfile: snapshot while events are held back")
	}
	s := snapshot[N]{Schema: snapshotSchema, Events: m.stream.Stats().Events, Now: m.stream.Now(), Flows: []openFlows[N]{}}
	for _, x := range m.types {
		of := openFlows[N]{Flow: x.name, Digest: x.digest, Open: []openFlow[N]{}}
		for r := range x.typ.Incomplete() {
			st := &r.Flow.State
			f := openFlow[N]{
				Seq: r.Seq, From: r.From, To: r.To, Start: r.Start, End: r.End, Position: r.Flow.Position(), Key: bytesText(st.key),
				Vars: make([][]bytesText, len(st.vars)), Notes: st.notes,
			}
			for i, values := range st.vars {
				for _, v := range values {
					f.Vars[i] = append(f.Vars[i], bytesText(v))
				}
			}
			of.Open = append(of.Open, f)
		}
		s.Flows = append(s.Flows, of)
	}
	if err := json.NewEncoder(w).Encode(&s); err != nil {
		return fmt.Errorf("flowfile: write snapshot: %w", err)
	}
	return nil
}

// Restore reads what Snapshot wrote, into a matcher that has taken no event. It fails for flows that are told otherwise
// now; the matcher is of no use then.
func (m *Matcher[T, N]) Restore(r io.Reader) error {
	var s snapshot[N]
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("flowfile: read snapshot: %w", err)
	}
	if s.Schema != snapshotSchema {
		return fmt.Errorf("flowfile: snapshot of schema %d, not %d", s.Schema, snapshotSchema)
	}
	if m.stream.Stats().Events > 0 {
		return errors.New("flowfile: restore into a matcher that has taken events")
	}
	m.stream.Continue(s.Events, s.Now)
	for _, of := range s.Flows {
		i := slices.IndexFunc(m.types, func(x *found[T, N]) bool { return x.name == of.Flow })
		if i < 0 || m.types[i].digest != of.Digest {
			return fmt.Errorf("flowfile: snapshot of a flow %s that is another one now", of.Flow)
		}
		if err := m.types[i].restore(of.Open); err != nil {
			return fmt.Errorf("flowfile: snapshot: flow %s: %w", of.Flow, err)
		}
	}
	return nil
}

// restore puts open flows back.
func (x *found[T, N]) restore(open []openFlow[N]) error {
	var list []relational.Restored[T, *relational.Run[T, state[N]]]
	for _, f := range open {
		if len(f.Vars) != len(x.vars) {
			return fmt.Errorf("%d variables, not %d", len(f.Vars), len(x.vars))
		}
		st := state[N]{key: string(f.Key), vars: make([][]string, len(f.Vars)), notes: f.Notes}
		for i, values := range f.Vars {
			for _, v := range values {
				st.vars[i] = append(st.vars[i], string(v))
			}
		}
		run, err := x.pattern.Resume(f.Position, st)
		if err != nil {
			return err
		}
		list = append(list, relational.Restored[T, *relational.Run[T, state[N]]]{
			Match: &relational.Match[T, *relational.Run[T, state[N]]]{
				Flow: run, Seq: f.Seq, From: f.From, To: f.To, Start: f.Start, End: f.End,
			},
			Partition: relational.Key{Value: st.key},
		})
	}
	return x.typ.Restore(list)
}
