// Relational holds package relational against relational_stream 0.6.0 (PyPI) at the same work: events that are tuples of a
// key and a word, flows of three, so and so many other flows open. Processor time, garbage collection included.
//
//	python3 -m venv /tmp/venv && /tmp/venv/bin/pip install relational-stream==0.6.0
//	go run ./relational -python /tmp/venv/bin/python
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/tcpfollow/tcpfollow/relational"
)

//go:embed stream.py
var script string

// event is a tuple of a key and a word.
type event struct{ key, word string }

const letters = "abc"

// three is a flow of a, b and c with one key: it is offered no others.
type three struct {
	key string
	at  int
}

func (f *three) Accept(e event) bool {
	if f.at == len(letters) || e.word[0] != letters[f.at] {
		return false
	}
	if f.at == 0 {
		f.key = e.key
	}
	f.at++
	return true
}

func (f *three) Complete() bool { return f.at == len(letters) }

func main() {
	python := flag.String("python", "", "a Python that has relational_stream; without it only ours is measured")
	rounds := flag.Int("rounds", 5, "measure so often, and take the median")
	single := flag.Bool("single", false, "give events one by one, not in batches")
	flag.Parse()
	if err := run(*python, *rounds, *single); err != nil {
		fmt.Fprintln(os.Stderr, "relational:", err)
		os.Exit(1)
	}
}

func run(python string, rounds int, single bool) error {
	fmt.Println("events of flows that start and complete, others open: ns of processor time an event")
	for _, x := range []struct{ open, triples int }{{0, 30000}, {1000, 400}, {10000, 40}, {1000000, 0}} {
		var here, there []float64
		for range rounds {
			ns, err := traffic(x.open, single)
			if err != nil {
				return err
			}
			here = append(here, ns)
			if python == "" || x.triples == 0 {
				continue
			}
			if ns, err = peer(python, x.open, x.triples); err != nil {
				return err
			}
			there = append(there, ns)
		}
		fmt.Printf("%9d open: relational %.0f", x.open, median(here))
		if there != nil {
			fmt.Printf(", relational_stream %.0f: %.0f times", median(there), median(there)/median(here))
		}
		fmt.Println()
	}
	fmt.Println("events of open flows, each at another one, in no order")
	kinds := []string{"concerns none", "advances", "any of three"}
	all := map[string]map[int][]float64{}
	for range rounds { // both sizes in turn, so that the machine's load meets them alike
		for _, open := range []int{1000, 1000000} {
			for kind, ns := range steps(open, single) {
				if all[kind] == nil {
					all[kind] = map[int][]float64{}
				}
				all[kind][open] = append(all[kind][open], ns)
			}
		}
	}
	for _, kind := range kinds {
		few, many := median(all[kind][1000]), median(all[kind][1000000])
		fmt.Printf("%14s: 1,000 open %.0f, 1,000,000 open %.0f: %.2f times, %.2f million events a second\n", kind, few, many, many/few, 1e3/many)
	}
	return nil
}

func peer(python string, open, triples int) (float64, error) {
	out, err := exec.Command(python, "-c", script, strconv.Itoa(open), strconv.Itoa(triples)).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

func stream(drop bool) (*relational.Stream[event], *relational.Type[event, *three], error) {
	typ, err := relational.Define("three", func() *three { return &three{} }, &relational.TypeConfig[event, *three]{
		Key: func(e event) (string, bool) { return e.key, true }, MaxOpen: 1 << 21, Keep: -1, DropEvents: drop,
	})
	if err != nil {
		return nil, nil, err
	}
	s, err := relational.New(nil, typ)
	return s, typ, err
}

// traffic measures what stream.py measures.
func traffic(open int, single bool) (float64, error) {
	s, typ, err := stream(false)
	if err != nil {
		return 0, err
	}
	for i := range open {
		s.Ingest(event{"key " + strconv.Itoa(i), "a"})
	}
	events := make([]event, 0, 600000)
	for i := range cap(events) / 3 {
		for w := range letters {
			events = append(events, event{"traffic " + strconv.Itoa(i), letters[w : w+1]})
		}
	}
	ns := measure(s, events, single)
	if st := typ.Stats(); typ.Open() != open || st.Ended[relational.Matched] != uint64(len(events)/3) {
		return 0, fmt.Errorf("%d open, %v", typ.Open(), st)
	}
	return ns, nil
}

// steps measures events at random keys of open flows.
func steps(open int, single bool) map[string]float64 {
	s, typ, err := stream(true)
	if err != nil {
		panic(err)
	}
	const n = 3000000
	r := rand.New(rand.NewPCG(1, 2))
	for i := range open {
		s.Ingest(event{"key " + strconv.Itoa(i), "a"})
	}
	// What is read of a wire lies in a row: so do the keys of the events.
	make1 := func(word func(key int) string) []event {
		var text strings.Builder
		events := make([]event, n)
		ends := make([]int, n)
		for i := range events {
			k := r.IntN(open)
			fmt.Fprintf(&text, "key %d", k)
			events[i].word, ends[i] = word(k), text.Len()
		}
		all, from := text.String(), 0
		for i, to := range ends {
			events[i].key, from = all[from:to], to
		}
		return events
	}
	at := make([]int, open)
	none := measure(s, make1(func(int) string { return "x" }), single)
	for i := range open { // so that each has one step to go, and takes it once
		at[i] = 1
	}
	advances := map[string]float64{"concerns none": none}
	advances["any of three"] = measure(s, make1(func(k int) string {
		at[k] = (at[k] + 1) % 3
		return letters[(at[k]+2)%3 : (at[k]+2)%3+1]
	}), single)
	if typ.Stats().Started < uint64(n/4) {
		panic("too few flows went on")
	}
	advances["advances"] = longRun(open, r, single)
	return advances
}

// long is a flow that goes on with each event of its key.
type long struct {
	key string
	n   int
}

func (f *long) Accept(e event) bool {
	if (f.n == 0) != (e.word == "a") {
		return false
	}
	if f.n == 0 {
		f.key = e.key
	}
	f.n++
	return true
}

func (f *long) Complete() bool { return false }

// longRun measures events that advance an open flow, each another one, and start none.
func longRun(open int, r *rand.Rand, single bool) float64 {
	typ, err := relational.Define("long", func() *long { return &long{} }, &relational.TypeConfig[event, *long]{
		Key: func(e event) (string, bool) { return e.key, true }, DropEvents: true,
	})
	if err != nil {
		panic(err)
	}
	s, err := relational.New(nil, typ)
	if err != nil {
		panic(err)
	}
	for i := range open {
		s.Ingest(event{"key " + strconv.Itoa(i), "a"})
	}
	var text strings.Builder
	events := make([]event, 2000000)
	ends := make([]int, len(events))
	for i := range events {
		fmt.Fprintf(&text, "key %d", r.IntN(open))
		ends[i] = text.Len()
	}
	all, from := text.String(), 0
	for i, to := range ends {
		events[i], from = event{all[from:to], "b"}, to
	}
	return measure(s, events, single)
}

func measure[T any](s *relational.Stream[T], events []T, single bool) float64 {
	runtime.GC()
	start := cpu()
	if single {
		for _, e := range events {
			s.Ingest(e)
		}
	} else {
		s.IngestAll(events)
	}
	return float64(cpu()-start) / float64(len(events))
}

// cpu returns the processor time that the process has used, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func median(list []float64) float64 {
	sorted := append([]float64(nil), list...)
	for i := range sorted {
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	return sorted[len(sorted)/2]
}
