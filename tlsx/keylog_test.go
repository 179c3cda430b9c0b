package tlsx_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/tlsx"
)

func line(label string, randomLen, secretLen int) string {
	return label + " " + strings.Repeat("0a", randomLen) + " " + strings.Repeat("bC", secretLen)
}

func TestKeyLogLines(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       tlsx.KeyLogStats
	}{
		{"nothing", "", tlsx.KeyLogStats{}},
		{"TLS 1.2", line("CLIENT_RANDOM", 32, 48), tlsx.KeyLogStats{Lines: 1, Secrets: 1}},
		{"carriage returns and blanks", "  " + line("CLIENT_RANDOM", 32, 48) + " \r\n", tlsx.KeyLogStats{Lines: 1, Secrets: 1}},
		{"comments and empty lines", "# keys\n\n \t\n#" + line("CLIENT_RANDOM", 32, 48), tlsx.KeyLogStats{Lines: 4, Blank: 4}},
		{"every label", strings.Join([]string{
			line("CLIENT_EARLY_TRAFFIC_SECRET", 32, 32), line("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 32, 48),
			line("SERVER_HANDSHAKE_TRAFFIC_SECRET", 32, 32), line("CLIENT_TRAFFIC_SECRET_0", 32, 48),
			line("SERVER_TRAFFIC_SECRET_0", 32, 32), line("EXPORTER_SECRET", 32, 32), line("ECH_SECRET", 32, 7), line("RSA", 8, 48),
		}, "\n"), tlsx.KeyLogStats{Lines: 8, Secrets: 5, Unused: 3}},
		{"again", strings.Repeat(line("CLIENT_RANDOM", 32, 48)+"\n", 3), tlsx.KeyLogStats{Lines: 3, Secrets: 1, Repeated: 2}},
		{"another one", line("SERVER_TRAFFIC_SECRET_0", 32, 48) + "\n" + line("SERVER_TRAFFIC_SECRET_0", 32, 32), tlsx.KeyLogStats{Lines: 2, Secrets: 1, Replaced: 1}},
		{"short master secret", line("CLIENT_RANDOM", 32, 32), tlsx.KeyLogStats{Lines: 1, Bad: 1}},
		{"short secret", line("SERVER_TRAFFIC_SECRET_0", 32, 20), tlsx.KeyLogStats{Lines: 1, Bad: 1}},
		{"short random", line("CLIENT_RANDOM", 31, 48), tlsx.KeyLogStats{Lines: 1, Bad: 1}},
		{"two fields", "CLIENT_RANDOM 0a", tlsx.KeyLogStats{Lines: 1, Bad: 1}},
		{"four fields", line("CLIENT_RANDOM", 32, 48) + " x", tlsx.KeyLogStats{Lines: 1, Bad: 1}},
		{"odd digits", line("CLIENT_RANDOM", 32, 48) + "0", tlsx.KeyLogStats{Lines: 1, Bad: 1}},
		{"no digits", "CLIENT_RANDOM " + strings.Repeat("0g", 32) + " " + strings.Repeat("00", 48), tlsx.KeyLogStats{Lines: 1, Bad: 1}},
		{"no text", "\x00\xff\n\x01", tlsx.KeyLogStats{Lines: 2, Bad: 2}},
		{"long line", strings.Repeat("x", 1<<20) + "\n" + line("CLIENT_RANDOM", 32, 48), tlsx.KeyLogStats{Lines: 2, Bad: 1, Secrets: 1}},
		{"long last line", "\n" + strings.Repeat("x", 5000), tlsx.KeyLogStats{Lines: 2, Bad: 1, Blank: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keyLog(t, c.text)
			require.Equal(t, c.want, k.Stats())
			require.Equal(t, int(c.want.Secrets), k.Len())
			slow, err := tlsx.ReadKeyLog(iotest.OneByteReader(strings.NewReader(c.text[max(0, len(c.text)-5000):])))
			require.NoError(t, err)
			require.NotNil(t, slow)
			if len(c.text) < 5000 {
				require.Equal(t, c.want, slow.Stats())
			}
			var pieces tlsx.KeyLog
			for b := []byte(c.text); len(b) > 0; b = b[min(7, len(b)):] {
				n, err := pieces.Write(b[:min(7, len(b))])
				require.NoError(t, err)
				require.Equal(t, min(7, len(b)), n)
			}
			pieces.Flush()
			pieces.Flush()
			require.Equal(t, c.want, pieces.Stats())
		})
	}
}

func TestKeyLogLimit(t *testing.T) {
	k := tlsx.KeyLog{MaxSecrets: 2}
	for i := range 4 {
		fmt.Fprintf(&k, "CLIENT_RANDOM %064x %096x\n", i, i)
	}
	require.Equal(t, tlsx.KeyLogStats{Lines: 4, Secrets: 2, Dropped: 2}, k.Stats())
	fmt.Fprintf(&k, "CLIENT_RANDOM %064x %096x\n", 1, 7)
	require.Equal(t, uint64(1), k.Stats().Replaced)
	require.Equal(t, 2, k.Len())
}

func TestKeyLogReadError(t *testing.T) {
	broken := errors.New("broken")
	k, err := tlsx.ReadKeyLog(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("#a\n#b"))))
	require.ErrorIs(t, err, iotest.ErrTimeout)
	require.Equal(t, uint64(1), k.Stats().Lines)
	_, err = tlsx.ReadKeyLog(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}

func TestDetect(t *testing.T) {
	for b, want := range map[string]tlsx.Verdict{
		"": tlsx.More, "\x16": tlsx.More, "\x16\x03\x01\x02\x00": tlsx.More, "\x16\x03\x01\x02\x00\x01": tlsx.Yes,
		"\x16\x03\x03\x00\x7a\x02\x00": tlsx.Yes, "\x16\x03\x03\x00\x7a\x0b": tlsx.No, "\x17\x03\x03\x00\x7a\x01": tlsx.No,
		"G": tlsx.No, "\x16\x02": tlsx.No, "\x16\x03\x05": tlsx.No, "\x16\x03\x01\xff": tlsx.No,
	} {
		require.Equal(t, want, tlsx.Detect([]byte(b)), "%q", b)
	}
}

func TestStrings(t *testing.T) {
	require.Equal(t, "lost", tlsx.GapLost.String())
	require.Equal(t, "malformed", tlsx.GapMalformed.String())
	require.Equal(t, "limit", tlsx.GapLimit.String())
	require.Equal(t, "unknown", (tlsx.GapLimit + 1).String())
	require.Equal(t, "none", tlsx.NoTrouble.String())
	require.Equal(t, "record does not authenticate", tlsx.BadRecord.String())
	require.Equal(t, "unknown", (tlsx.BadRecord + 1).String())
	require.Equal(t, "TLS_AES_128_GCM_SHA256", tlsx.SuiteName(0x1301))
	require.Equal(t, "0x00ff", tlsx.SuiteName(0xff))
}

func TestStatsAdd(t *testing.T) {
	one := tlsx.Stats{Bytes: 1, Missing: 2, Consumed: 3, Skipped: 4, Records: 5, Opened: 6, Plain: 7, PlainMissing: 8, NoKey: 9, Unsupported: 10, BadRecords: 11, Undecided: 12, Malformed: 13, Resyncs: 14, LimitHandshake: 15, LimitHeld: 16, LimitSearch: 17}
	two := one
	two.Add(one)
	require.Equal(t, tlsx.Stats{Bytes: 2, Missing: 4, Consumed: 6, Skipped: 8, Records: 10, Opened: 12, Plain: 14, PlainMissing: 16, NoKey: 18, Unsupported: 20, BadRecords: 22, Undecided: 24, Malformed: 26, Resyncs: 28, LimitHandshake: 30, LimitHeld: 32, LimitSearch: 34}, two)
}
