//go:build unix

package tcpfollow_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/packet/pcapfile"
)

// TestFollowGrowing: of a file that is being written, what is there is shown at once, and the rest when it comes.
func TestFollowGrowing(t *testing.T) {
	c := (&pktgen.Conversation{}).Open()
	frames := c.Client([]byte("hello\n")).Server([]byte("world\n")).Close(packet.ClientToServer).Frames()
	for _, format := range []pcapfile.Format{pcapfile.FormatPcap, pcapfile.FormatPcapNG} {
		for _, workers := range []string{"1", "2"} {
			t.Run(format.String()+" "+workers, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "growing")
				w, err := pcapfile.Create(path, &pcapfile.WriterConfig{Format: format}) // empty until the first Flush
				require.NoError(t, err)
				write := func(frames []packet.Frame) {
					for i := range frames {
						require.NoError(t, w.Write(&frames[i]))
					}
					require.NoError(t, w.Flush())
				}
				cmd := program(t, "follow", "--follow", "--as-captured", "--workers", workers, path)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				pipe, err := cmd.StdoutPipe()
				require.NoError(t, err)
				require.NoError(t, cmd.Start())
				stdout := bufio.NewReader(pipe)
				next := func() string {
					line, err := stdout.ReadString('\n')
					require.NoError(t, err)
					return line
				}
				write(frames[:4])
				require.Contains(t, next(), "--- stream 0: client")
				require.Equal(t, "> hello\n", next())
				write(frames[4:7])
				require.Equal(t, "< world\n", next())
				write(frames[7:])
				require.Contains(t, next(), "--- stream 0: fin after ")
				require.NoError(t, cmd.Process.Signal(os.Interrupt))
				_, err = io.ReadAll(stdout)
				require.NoError(t, err)
				require.NoError(t, cmd.Wait(), stderr.String())
				require.Contains(t, stderr.String(), " frames, 1 stream, 12 bytes of payload\n")
				require.NoError(t, w.Close())
			})
		}
	}
}

// TestFollowShrinking: a file that is begun anew ends the reading, with what was read.
func TestFollowShrinking(t *testing.T) {
	content := read(t, data+"http.pcap")
	path := save(t, "shrinking.pcap", []byte(content))
	cmd := program(t, "follow", "--as-captured", "--follow", path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	first, err := bufio.NewReaderSize(out, 16).ReadByte() // it has read something
	require.NoError(t, err)
	require.Equal(t, byte('-'), first)
	require.NoError(t, os.Truncate(path, 24))
	stdout, err := io.ReadAll(out)
	require.NoError(t, err)
	_ = cmd.Wait()
	require.Equal(t, cli.ExitPartial, cmd.ProcessState.ExitCode())
	require.Contains(t, stderr.String(), "became shorter")
	require.Contains(t, string(stdout), " after ", "what was read is shown")
}

// TestPipes: a named pipe gives what the file gives that is written to it, live or not, and can be recorded.
func TestPipes(t *testing.T) {
	path := data + "http.pcap"
	for _, args := range [][]string{
		{"follow"},
		{"ls", "-o", "csv", "--workers", "2"},
		{"ls", "-o", "json", "--digests"},
		{"http", "-o", "json"},
		{"ident", "-o", "json"},
		{"ls", "-o", "json", "-f", "src port 80"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "pipe")
			require.NoError(t, syscall.Mkfifo(pipe, 0o600))
			content, written := []byte(read(t, path)), make(chan error)
			go func() { written <- os.WriteFile(pipe, content, 0o600) }()
			recorded := filepath.Join(t.TempDir(), "recorded.pcapng")
			got := run(append([]string{args[0], "-w", recorded, pipe}, args[1:]...)...)
			require.NoError(t, <-written)
			require.Equal(t, run(append([]string{args[0], path}, args[1:]...)...), got)
			wrote, _ := framesOf(t, recorded)
			require.NotEmpty(t, wrote)
		})
	}
}
