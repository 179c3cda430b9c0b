package tcpfollow_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCasesAreCovered: each of the 105 cases has a script or a test, and the list of them says where.
func TestCasesAreCovered(t *testing.T) {
	const scripts = "reassemble/testdata/script"
	list, err := os.ReadFile(filepath.Join(scripts, "README.md"))
	require.NoError(t, err)
	var tests bytes.Buffer
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			tests.Write(source)
		}
	}
	listed := map[string]bool{}
	next := 1
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| .+ \| (.+) \|$`).FindAllStringSubmatch(string(list), -1) {
		require.Equal(t, strconv.Itoa(next), row[1], "cases in order, none left out")
		next++
		for where := range strings.SplitSeq(row[2], ", ") {
			where = strings.Trim(where, "`")
			if pattern, ok := strings.CutSuffix(where, "-*"); ok {
				n, err := strconv.Atoi(pattern)
				require.NoError(t, err)
				require.Equal(t, row[1], strconv.Itoa(n))
				names, err := filepath.Glob(filepath.Join(scripts, where+".txt"))
				require.NoError(t, err)
				require.NotEmpty(t, names, "case %s: %s", row[1], where)
				for _, name := range names {
					listed[name] = true
				}
				continue
			}
			require.Contains(t, tests.String(), "\nfunc "+where+"(", "case %s", row[1])
		}
	}
	require.Equal(t, 106, next)
	all, err := filepath.Glob(filepath.Join(scripts, "*.txt"))
	require.NoError(t, err)
	for _, name := range all {
		require.True(t, listed[name], "%s belongs to no case that says so", name)
	}
}
