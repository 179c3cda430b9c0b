package scenario

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/reassemble"
)

// Variants are the runs that Test makes of every script: sequence numbers that wrap around early, and IPv6.
func Variants() []Variant {
	vs := []Variant{{Name: "plain"}, {Name: "ipv6", IPv6: true}}
	for _, n := range []uint32{0, 1, 2, 3, 4, 5, 7, 10, 13, 31, 34} {
		// The client's first byte, then the server's, is n in front of the wrap.
		vs = append(vs, Variant{Name: fmt.Sprintf("client-wrap-%d", n), Shift: -(n + 1001)},
			Variant{Name: fmt.Sprintf("server-wrap-%d", n), Shift: -(n + 5001)})
	}
	return append(vs, Variant{Name: "half", Shift: 1<<31 - 1003})
}

// Test runs all scripts of dir, in all variants, against new engines. Scripts named in the deviations file must fail:
// each of its lines is a script's name, a colon, and the reason.
func Test(t *testing.T, dir, deviations string, engine func() reassemble.Engine) {
	t.Helper()
	scripts, err := Load(os.DirFS(dir))
	require.NoError(t, err)
	require.NotEmpty(t, scripts, "no script in %s", dir)
	known := readDeviations(t, deviations)
	for _, s := range scripts {
		t.Run(s.Name, func(t *testing.T) {
			reason, deviates := known[s.Name]
			delete(known, s.Name)
			for _, v := range Variants() {
				got, problems, err := s.Run(engine(), v)
				require.NoError(t, err, v.Name)
				if deviates {
					if len(problems) > 0 || strings.Join(got, "\n") != strings.Join(s.Want(), "\n") {
						t.Logf("known deviation: %s", reason)
						return
					}
					continue
				}
				require.Empty(t, problems, v.Name)
				require.Equal(t, strings.Join(s.Want(), "\n"), strings.Join(got, "\n"), v.Name)
			}
			require.False(t, deviates, "no longer deviates: %s", reason)
		})
	}
	require.Empty(t, known, "deviations of scripts that do not exist")
}

func readDeviations(t *testing.T, file string) map[string]string {
	t.Helper()
	known := map[string]string{}
	if file == "" {
		return known
	}
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, ok := strings.Cut(line, ":")
		require.True(t, ok && strings.TrimSpace(reason) != "", "%s: a deviation without a reason: %s", file, line)
		known[name] = strings.TrimSpace(reason)
	}
	return known
}
