package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/internal/cli"
)

// lines returns what was drawn, one drawing after the other.
func lines(drawn string) []string {
	all := strings.Split(drawn, "\r")[1:]
	for i := range all {
		all[i] = strings.TrimRight(all[i], " ")
	}
	return all
}

func TestProgress(t *testing.T) {
	for _, tt := range []struct {
		name  string
		total int64
		want  []string
	}{
		{"size known", 4e9, []string{
			"  0% [                    ] 0 MB/s, 0 packets/s",
			" 25% [=====               ] 2500 MB/s, 1000000 packets/s, 1s left",
			" 75% [===============     ] 5000 MB/s, 2000000 packets/s, 0s left",
			"100% [====================] 6250 MB/s, 2500000 packets/s, 0s left",
			"", "",
		}},
		{"size unknown", -1, []string{
			"0 MB, 0 MB/s, 0 packets/s",
			"1000 MB, 2500 MB/s, 1000000 packets/s",
			"3000 MB, 5000 MB/s, 2000000 packets/s",
			"5000 MB, 6250 MB/s, 2500000 packets/s",
			"", "",
		}},
		{"it ends sooner than was thought", 40e9, []string{
			"  0% [                    ] 0 MB/s, 0 packets/s",
			"  2% [                    ] 2500 MB/s, 1000000 packets/s, 16s left",
			"  8% [=                   ] 5000 MB/s, 2000000 packets/s, 7s left",
			" 12% [==                  ] 6250 MB/s, 2500000 packets/s, 6s left",
			"", "",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				p := cli.ProgressOn(&out, tt.total)
				p.Update(0, 0)
				require.Empty(t, out.String(), "what ends at once shows nothing")
				for _, read := range []int64{0, 1e9, 3e9, 5e9} {
					time.Sleep(200 * time.Millisecond)
					p.Update(read, uint64(read)/2500)
					p.Update(read+1, 1) // too soon
				}
				p.Done()
				p.Done()
				require.Equal(t, tt.want, lines(out.String()))
			})
		})
	}
}

// TestProgressFits: no line is too long for a terminal of 80 columns, nor shorter than the one it covers.
func TestProgressFits(t *testing.T) {
	for _, total := range []int64{0, 1, 1e6, math.MaxInt64} {
		for _, read := range []int64{0, 1, 1e6, math.MaxInt64} {
			t.Run(fmt.Sprint(read, " of ", total), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var out bytes.Buffer
					p := cli.ProgressOn(&out, total)
					p.Update(0, 0)
					time.Sleep(time.Second)
					p.Update(read, math.MaxUint64)
					p.Done()
					drawn := strings.Split(out.String(), "\r")
					require.Len(t, drawn, 4)
					require.Len(t, drawn[1], 79)
					require.Equal(t, strings.Repeat(" ", 79), drawn[2])
					require.Empty(t, drawn[0]+drawn[3])
				})
			})
		}
	}
}

// TestProgressWithoutRoom: what cannot be drawn stops nothing, and without a drawing there is nothing to remove.
func TestProgressWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &broken{}
		p := cli.ProgressOn(w, 10)
		for i := range 3 {
			p.Update(int64(i), 1)
			time.Sleep(time.Second)
		}
		require.Equal(t, 2, w.tried)
		p.Done()
		require.Equal(t, 4, w.tried)
	})
	var out bytes.Buffer
	p := cli.ProgressOn(&out, 10)
	p.Update(10, 1)
	p.Done()
	require.Empty(t, out.String())
}

type broken struct{ tried int }

func (b *broken) Write([]byte) (int, error) {
	b.tried++
	return 0, errors.New("gone")
}
