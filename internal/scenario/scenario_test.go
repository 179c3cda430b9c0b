package scenario_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/scenario"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

func native() reassemble.Engine { return reassemble.NewNative(nil) }

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"c> SYN\n":                              `s: no line "Output:"`,
		"# nothing\n\nsing\nOutput:\n":          `s:3: unknown word "sing"`,
		"tuple 192.0.2.1:1\nOutput:\n":          "s:1: tuple takes a client and a server",
		"tuple one 192.0.2.1:1\nOutput:\n":      "s:1: not an ip:port",
		"tuple 192.0.2.1:1 two\nOutput:\n":      "s:1: not an ip:port",
		"isn c=nine\nOutput:\n":                 `s:1: strconv.ParseUint: parsing "nine"`,
		"wait\nOutput:\n":                       "s:1: wait takes a duration",
		"isn x=3\nOutput:\n":                    "s:1: no such side: x",
		"open\nwait long\nOutput:\n":            `s:2: time: invalid duration "long"`,
		"c> SIN\nOutput:\n":                     `s:1: "SIN": no such flag: SIN`,
		"c> SYN|FINE\nOutput:\n":                `s:1: "SYN|FINE": no such flag: FINE`,
		"c> \"abc\nOutput:\n":                   `s:1: bad string: "abc`,
		"c> \"abc\" at x\nOutput:\n":            `s:1: "at": strconv.ParseInt: parsing "x"`,
		"c> \"abc\" at\nOutput:\n":              "s:1: ",
		"s> ACK ack=z\nOutput:\n":               `s:1: "ack=z": strconv.ParseInt`,
		"s> ACK seq=-1\nOutput:\n":              `s:1: "seq=-1": strconv.ParseUint`,
		"s> ACK window=70000\nOutput:\n":        `s:1: "window=70000": strconv.ParseUint`,
		"s> x99999999\nOutput:\n":               `s:1: "x99999999": strconv.ParseUint`,
		"c> SYN\ns> \"a\" missing=b\nOutput:\n": `s:2: "missing=b": strconv.ParseUint`,
	} {
		t.Run(want, func(t *testing.T) {
			s, err := scenario.Parse("s", text)
			require.ErrorContains(t, err, want)
			require.Nil(t, s)
		})
	}
}

// run parses and runs a script, and returns its log and the one it wants.
func run(t *testing.T, text string, v scenario.Variant) (got, want []string) {
	t.Helper()
	s, err := scenario.Parse("s", text)
	require.NoError(t, err)
	got, problems, err := s.Run(native(), v)
	require.NoError(t, err)
	require.Empty(t, problems)
	return got, s.Want()
}

const script = `
# A conversation.
config midstream=ignore
tuple 192.0.2.7:1234 192.0.2.8:80
isn c=4294967290 s=0x10
open
c> "GET" # the request
s> x30 at 0 missing=5 ack=3
s> FIN|ACK
verdicts
wait 1s
c> FIN|ACK ack=35
s> ACK at 36 ack=4
close
Output:
// said in words
#0 open 192.0.2.7:1234 > 192.0.2.8:80 syn
#0 data c 0 "GET"
#0 data s 0 x30
#0 gap s 30+5 truncated
#0 end fin
verdict closed
verdict after end
`

func TestRun(t *testing.T) {
	for _, v := range scenario.Variants() {
		t.Run(v.Name, func(t *testing.T) {
			got, want := run(t, script, v)
			require.Equal(t, want, got)
		})
	}
}

// What a script expects is compared: a change of any line shows.
func TestWrongOutputShows(t *testing.T) {
	for old, wrong := range map[string]string{
		`"GET"` + "\n#0 data s": `"PUT"` + "\n#0 data s",
		"x30\n#0 gap":           "x31\n#0 gap",
		"30+5":                  "30+6",
		"truncated":             "lost",
		"end fin":               "end eof",
		"verdict closed\n":      "",
		"> 192.0.2.8:80 syn":    "> 192.0.2.8:80 mid",
	} {
		text := strings.Replace(script, old, wrong, 1)
		require.NotEqual(t, script, text, old)
		got, want := run(t, text, scenario.Variant{})
		require.NotEqual(t, want, got, wrong)
	}
}

func TestUnknownSetting(t *testing.T) {
	s, err := scenario.Parse("s", "config colour=blue\nOutput:\n")
	require.NoError(t, err)
	_, _, err = s.Run(native(), scenario.Variant{})
	require.EqualError(t, err, `s: unknown setting "colour"`)
	s, err = scenario.Parse("s", "config urgent=now\nOutput:\n")
	require.NoError(t, err)
	_, _, err = s.Run(native(), scenario.Variant{})
	require.EqualError(t, err, `s: unknown urgent policy "now"`)
}

// faulty is an engine that loses, makes up or repeats what it is given.
type faulty struct {
	*reassemble.Native
	fault string
}

func (e *faulty) Segment(h *reassemble.Half, s reassemble.Segment, out reassemble.Sink) reassemble.Result {
	switch e.fault {
	case "empty":
		out.Data(h, h.Next, nil, s.Origin)
	case "twice":
		out.Data(h, s.Off, s.Data, s.Origin)
	case "changes":
		s.Data[0]++
	}
	return e.Native.Segment(h, s, out)
}

func TestProblemsShow(t *testing.T) {
	s, err := scenario.Parse("s", "open\nc> \"def\" at 3\nc> \"abc\" at 0\nOutput:\n")
	require.NoError(t, err)
	for fault, want := range map[string]string{
		"empty":   "#0: empty data",
		"twice":   "#0: data at 3 of client, expected at 0",
		"changes": "frame 4: the follower changed the payload",
	} {
		t.Run(fault, func(t *testing.T) {
			_, problems, err := s.Run(&faulty{reassemble.NewNative(nil), fault}, scenario.Variant{})
			require.NoError(t, err)
			require.Contains(t, problems, want)
		})
	}
}

func TestLoad(t *testing.T) {
	scripts, err := scenario.Load(fstest.MapFS{
		"b.txt": {Data: []byte(script)}, "a.txt": {Data: []byte("Output:\n")}, "c.md": {Data: []byte("none")},
	})
	require.NoError(t, err)
	require.Len(t, scripts, 2)
	require.Equal(t, "a", scripts[0].Name)
	require.Equal(t, "b", scripts[1].Name)
	_, err = scenario.Load(fstest.MapFS{"bad.txt": {Data: []byte("sing\nOutput:\n")}})
	require.ErrorContains(t, err, "bad:1: ")
}

func TestVariantsAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range scenario.Variants() {
		require.NotEmpty(t, v.Name)
		require.False(t, seen[v.Name])
		seen[v.Name] = true
	}
	require.Greater(t, len(seen), 10)
}

// write puts scripts and deviations into a directory.
func write(t *testing.T, scripts map[string]string, deviations string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range scripts {
		require.NoError(t, os.WriteFile(dir+"/"+name+".txt", []byte(text), 0o600))
	}
	file = t.TempDir() + "/deviations"
	require.NoError(t, os.WriteFile(file, []byte(deviations), 0o600))
	return dir, file
}

// TestAsChild is what TestFails runs as a program of its own.
func TestAsChild(t *testing.T) {
	dir := os.Getenv("SCENARIO_DIR")
	if dir == "" {
		t.Skip("run by TestFails")
	}
	scenario.Test(t, dir, os.Getenv("SCENARIO_DEVIATIONS"), native)
}

func TestFails(t *testing.T) {
	wrong := strings.Replace(script, "end fin", "end eof", 1)
	for want, test := range map[string]struct {
		scripts    map[string]string
		deviations string
	}{
		"Not equal":                          {map[string]string{"a": script, "b": wrong}, ""},
		"no longer deviates: it did":         {map[string]string{"a": script}, "a: it did"},
		"scripts that do not exist":          {map[string]string{"a": script}, "z: gone"},
		"a deviation without a reason":       {map[string]string{"a": wrong}, "a:"},
		"a deviation without a reason: b":    {map[string]string{"a": wrong}, "a: it does\nb"},
		"no script in":                       {nil, ""},
		`a:1: unknown word "sing"`:           {map[string]string{"a": "sing"}, ""},
		`a: unknown setting "colour"`:        {map[string]string{"a": "config colour=blue\nOutput:\n"}, ""},
		"--- PASS: TestAsChild":              {map[string]string{"a": script, "b": wrong}, "b: it does"},
		"known deviation: it does, each run": {map[string]string{"b": wrong}, "b: it does, each run"},
	} {
		t.Run(want, func(t *testing.T) {
			dir, file := write(t, test.scripts, test.deviations)
			cmd := exec.Command(os.Args[0], "-test.run=^TestAsChild$", "-test.v")
			cmd.Env = append(os.Environ(), "SCENARIO_DIR="+dir, "SCENARIO_DEVIATIONS="+file)
			out, err := cmd.CombinedOutput()
			require.Contains(t, string(out), want)
			if passes := strings.Contains(want, "PASS") || strings.HasPrefix(want, "known"); passes {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.Contains(t, string(out), "--- FAIL: TestAsChild")
		})
	}
}

func TestDeviations(t *testing.T) {
	wrong := strings.Replace(script, "end fin", "end eof", 1)
	dir, file := write(t, map[string]string{"right": script, "wrong": wrong}, "# why\n\nwrong: the reason\n")
	scenario.Test(t, dir, file, native)
}
