package tcpfollow_test

import (
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/cmd/tcpfollow"
)

// TestGolden: what the commands print, standard error included, is what was recorded and looked at.
func TestGolden(t *testing.T) {
	for _, tt := range []struct {
		name string
		code int
		args []string
	}{
		{"follow", 0, []string{"follow", "http.pcap"}},
		{"follow-color", 0, []string{"follow", "--color", "always", "midstream.pcap"}},
		{"follow-hex", 0, []string{"follow", "--hex", "wrap.pcap"}},
		{"follow-hex-gap", 0, []string{"follow", "--hex", "snaplen.pcap"}},
		{"follow-json", 0, []string{"follow", "-o", "json", "conflict.pcap"}},
		{"follow-json-gap", 0, []string{"follow", "-o", "json", "snaplen.pcap"}},
		{"follow-conflict", 0, []string{"follow", "conflict.pcap"}},
		{"follow-conflict-first", 0, []string{"follow", "--overlap", "first", "conflict.pcap"}},
		{"follow-conflict-last", 0, []string{"follow", "--overlap", "last", "conflict.pcap"}},
		{"follow-vlan", 0, []string{"follow", "vlan.pcap"}},
		{"follow-vlan-captured", 0, []string{"follow", "--as-captured", "vlan.pcap"}},
		{"follow-stream", 0, []string{"follow", "--stream", "1", "vlan.pcap"}},
		{"follow-refused", 0, []string{"follow", "refused.pcap"}},
		{"follow-reset", 0, []string{"follow", "reset.pcap"}},
		{"follow-ipv6", 0, []string{"follow", "ipv6.pcap"}},
		{"follow-truncated", 3, []string{"follow", "truncated.pcap"}},
		{"follow-gopacket", 0, []string{"follow", "--engine", "gopacket", "wrap.pcap"}},
		{"ls", 0, []string{"ls", "http.pcapng", "refused.pcap", "conflict.pcap"}},
		{"ls-tunnels", 0, []string{"ls", "--tunnels", "tunnels/vxlan-vlan.pcap", "tunnels/6in4.pcap"}},
		{"ls-csv", 0, []string{"ls", "-o", "csv", "--digests", "--tunnels", "http.pcapng", "ipv6.pcap"}},
		{"ls-json", 0, []string{"ls", "-o", "json", "--digests", "--tunnels", "http.pcapng", "ipv6.pcap"}},
		{"ls-mixed", 0, []string{"ls", "mixed.pcap"}},
		{"links", 0, []string{"links"}},
		{"bench", 0, []string{"bench", "http.pcapng"}},
		{"bench-crc", 0, []string{"bench", "--crc", "http.pcapng"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := slices.Clone(tt.args)
			for i, a := range args {
				if strings.Contains(a, ".pcap") {
					args[i] = data + a
				}
			}
			r := run(args...)
			require.Equal(t, tt.code, r.code, r.stderr)
			golden(t, tt.name, fmt.Sprintf("$ tcpfollow %s\n%s== standard error\n%s", strings.Join(tt.args, " "), r.stdout,
				strings.ReplaceAll(r.stderr, data, "")))
		})
	}
}

// TestBenchCRC: the line agrees with what --raw writes of every stream, summed up here.
func TestBenchCRC(t *testing.T) {
	for _, name := range []string{"http.pcapng", "snaplen.pcap", "vlan.pcap", "refused.pcap", "conflict.pcap", "wrap.pcap"} {
		t.Run(name, func(t *testing.T) {
			var bytes, sum uint64
			rows := list(t, data+name)
			for _, r := range rows {
				for _, side := range []string{"client", "server"} {
					raw := runOK(t, "follow", "-q", "--raw", side, "--stream", fmt.Sprint(r.Stream), data+name).stdout
					bytes += uint64(len(raw))
					sum += uint64(crc32.Checksum([]byte(raw), crc32.MakeTable(crc32.Castagnoli)))
				}
			}
			r := runOK(t, "bench", "--crc", data+name)
			require.Equal(t, fmt.Sprintf("RESULT bytes=%d streams=%d crc=%d\n", bytes, len(rows), sum), r.stdout)
			require.Empty(t, r.stderr)
			require.Equal(t, fmt.Sprintf("RESULT bytes=%d streams=%d\n", bytes, len(rows)), runOK(t, "bench", data+name).stdout)
		})
	}
}

// commands returns all commands that do something themselves, by their path.
func commands() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		all[c.CommandPath()] = c
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(tcpfollow.New())
	return all
}

// TestHelp: every command explains itself, with examples that are real.
func TestHelp(t *testing.T) {
	all := commands()
	require.Subset(t, slices.Collect(maps.Keys(all)), []string{"tcpfollow", "tcpfollow follow", "tcpfollow ls", "tcpfollow bench"})
	for path, c := range all {
		t.Run(path, func(t *testing.T) {
			r := runOK(t, append(strings.Fields(path)[1:], "--help")...)
			require.Empty(t, r.stderr)
			require.NotContains(t, r.stdout, "\x1b")
			_, examples, ok := strings.Cut(r.stdout, "Examples:\n")
			require.True(t, ok, "has examples")
			require.Contains(t, examples, path+" ")
			require.NotEmpty(t, c.Short)
			for example := range strings.Lines(c.Example) {
				for command := range strings.SplitSeq(example, "|") {
					checkExample(t, command)
				}
			}
		})
	}
}

// checkExample checks that a line that starts with the program's name names a command and flags that exist.
func checkExample(t *testing.T, line string) {
	t.Helper()
	line, _, _ = strings.Cut(strings.TrimSpace(line), "   ") // a remark
	line, _, _ = strings.Cut(line, ">")
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "tcpfollow" {
		return
	}
	c, rest, err := tcpfollow.New().Find(words[1:])
	require.NoError(t, err)
	require.True(t, c.Runnable(), "%s", line)
	require.NoError(t, c.ParseFlags(rest), "%s", line)
}

// TestOneCommand: the name of a command is enough to make it, and no other.
func TestOneCommand(t *testing.T) {
	for _, c := range tcpfollow.New().Commands() {
		if c.Name() == "man" {
			continue // which tells of all
		}
		one := tcpfollow.New(c.Name(), "--help").Commands()
		require.Len(t, one, 1, c.Name())
		require.Equal(t, c.UsageString(), one[0].UsageString())
	}
	for _, args := range [][]string{nil, {"man"}, {"help", "ls"}, {"--help"}, {"__complete", "ls"}, {"nonesuch"}} {
		require.Len(t, tcpfollow.New(args...).Commands(), len(tcpfollow.New().Commands()), "%q", args)
	}
}

func TestHelpCommand(t *testing.T) {
	require.Equal(t, runOK(t, "follow", "--help").stdout, runOK(t, "help", "follow").stdout)
	require.Equal(t, runOK(t, "--help").stdout, runOK(t).stdout)
}

// TestMan: there is a page for every command.
func TestMan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man", "man1")
	r := runOK(t, "man", dir)
	require.Empty(t, r.stdout+r.stderr)
	for path, c := range commands() {
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(path, " ", "-")+".1"))
		require.NoError(t, err)
		text := plainText(t, string(page))
		for _, want := range []string{"NAME", "SYNOPSIS\n" + path, "DESCRIPTION", "OPTIONS", "EXAMPLES", "SEE ALSO", c.Short, c.Long, c.Example} {
			require.Contains(t, text, strings.ReplaceAll(want, "\n\n", "\n"), path)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			_, usage := pflag.UnquoteUsage(f)
			require.Contains(t, text, "--"+f.Name, path)
			require.Contains(t, text, "\n"+usage, path)
		})
	}
	page, err := os.ReadFile(filepath.Join(dir, "tcpfollow-bpf.1"))
	require.NoError(t, err)
	golden(t, "man-bpf", string(page))
	blocked := save(t, "file", nil)
	require.Equal(t, cli.ExitError, run("man", filepath.Join(blocked, "man1")).code)
}

// plainText is what man(1) shows of a page, but for the layout: it knows the requests and escapes that pages have, and no others.
func plainText(t *testing.T, page string) string {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(page) {
		if request, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " "); strings.HasPrefix(request, ".") {
			require.Contains(t, []string{".TH", ".SH", ".PP", ".TP", ".EX", ".EE"}, request, line)
			if line = ""; request == ".SH" {
				line = rest + "\n"
			}
		}
		line = strings.NewReplacer(`\fB`, "", `\fI`, "", `\fR`, "", `\&`, "", `\-`, "-", `\e`, "\x00").Replace(line)
		require.NotContains(t, line, `\`)
		text.WriteString(strings.ReplaceAll(line, "\x00", `\`))
	}
	return text.String()
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{
		"bash": "complete -o default -F __start_tcpfollow tcpfollow",
		"zsh":  "#compdef tcpfollow",
		"fish": "complete -c tcpfollow",
	} {
		t.Run(shell, func(t *testing.T) {
			r := runOK(t, "completion", shell)
			require.Contains(t, r.stdout, want)
			require.Empty(t, r.stderr)
		})
	}
	for _, tt := range []struct {
		name string
		want []string
		args []string
	}{
		{"commands", []string{"bench", "completion", "follow", "links", "ls", "man"}, []string{""}},
		{"flags", []string{"--hex", "--hole-timeout"}, []string{"follow", "--h"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runOK(t, append([]string{"__complete"}, tt.args...)...).stdout
			for _, w := range tt.want {
				require.Contains(t, "\n"+got, "\n"+w+"\t")
			}
		})
	}
}
