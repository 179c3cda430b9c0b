package tcpfollow_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/tcpfollow/tcpfollow"

// goList returns the lines of go list.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

// What a program gets that links the library is in a golden file, so that it does not grow unnoticed. The standard
// library's own dependencies are left out. UPDATE_GOLDEN=1 writes the files anew.
func TestImportGraph(t *testing.T) {
	for _, pkg := range []string{"", "/packet", "/reassemble", "/meter", "/relational"} {
		t.Run(strings.TrimPrefix(module+pkg, "github.com/tcpfollow/"), func(t *testing.T) {
			foreign := goList(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+pkg)
			for _, path := range foreign {
				allowed := strings.HasPrefix(path, "golang.org/x/") || path == "github.com/google/gopacket" ||
					path == module || strings.HasPrefix(path, module+"/")
				require.True(t, allowed, "%s", path)
			}
			slices.Sort(foreign)
			golden := filepath.Join("testdata", "golden", "imports"+strings.ReplaceAll(pkg, "/", "-")+".txt")
			got := strings.Join(foreign, "\n") + "\n"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

func TestNoUnsafeNoCgo(t *testing.T) {
	own := goList(t, "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}:{{join .Imports ","}}:{{join .CgoFiles ","}}{{end}}`, module)
	require.NotEmpty(t, own)
	for _, line := range own {
		path, rest, _ := strings.Cut(line, ":")
		if path != module && !strings.HasPrefix(path, module+"/") {
			continue
		}
		imports, cgo, _ := strings.Cut(rest, ":")
		require.Empty(t, cgo, path)
		for name := range strings.SplitSeq(imports, ",") {
			require.NotContains(t, []string{"unsafe", "C", "log", "net", "os"}, name, path)
		}
	}
}
