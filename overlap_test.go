package tcpfollow_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow"
	"github.com/tcpfollow/tcpfollow/internal/pktgen"
	"github.com/tcpfollow/tcpfollow/packet"
	"github.com/tcpfollow/tcpfollow/reassemble"
)

// overlapping are 18 segments that overlap in every way.
const overlapping = "AAA@2 BB@6 CCC@8 D@12 EE@15 FFF@17 GG@20 HH@22 I@24 JJJJ@3 KKK@8 LLL@11 MMM@14 N@18 O@21 P@22 QQ@24 0@1"

// overlapCases are segments in the order in which they come, each with the place of its first byte behind @, from 1; the
// first byte comes last, so that all others wait. What each policy makes of them follows from its rule: first, bsd, linux,
// old-linux, solaris, last.
var overlapCases = map[string]struct {
	segments string
	want     [6]string
}{
	"the same range":             {"AAA@2 BBB@2 0@1", [6]string{"0AAA", "0AAA", "0AAA", "0BBB", "0BBB", "0BBB"}},
	"new covers old":             {"BB@3 AAAA@2 0@1", [6]string{"0ABBA", "0AAAA", "0AAAA", "0AAAA", "0AAAA", "0AAAA"}},
	"new inside old":             {"AAAA@2 BB@3 0@1", [6]string{"0AAAA", "0AAAA", "0AAAA", "0AAAA", "0AAAA", "0ABBA"}},
	"new tail over old head":     {"BBB@4 AAA@2 0@1", [6]string{"0AABBB", "0AAABB", "0AAABB", "0AAABB", "0AABBB", "0AAABB"}},
	"new head over old tail":     {"AAA@2 BBB@4 0@1", [6]string{"0AAABB", "0AAABB", "0AAABB", "0AAABB", "0AABBB", "0AABBB"}},
	"the same start, longer":     {"AA@2 BBBB@2 0@1", [6]string{"0AABB", "0AABB", "0BBBB", "0BBBB", "0BBBB", "0BBBB"}},
	"the same start, shorter":    {"AAAA@2 BB@2 0@1", [6]string{"0AAAA", "0AAAA", "0AAAA", "0AAAA", "0AAAA", "0BBAA"}},
	"the same end, starts first": {"BB@4 AAAA@2 0@1", [6]string{"0AABB", "0AAAA", "0AAAA", "0AAAA", "0AAAA", "0AAAA"}},
	"18 segments": {overlapping, [6]string{
		"0AAAJBBCCCLDLMEEFFFGGHHIQ", "0AAAJJBCCCLLLMMMFFFGGHHIQ", "0AAAJJBCCCLLLMMMFFFGGHHQQ",
		"0AAAJJBKKKLLLMMMFFFGGHHQQ", "0AJJJBBKKKLLLMMMFFFGGHHQQ", "0AJJJJBKKKLLLMMMFNFGOPHQQ",
	}},
	// 10, 10 and 10 bytes with a hole, 20 that write over them, and one of 50 over all.
	"a ladder": {"AAAAAAAAAA@11 BBBBBBBBBB@31 CCCCCCCCCC@41 DDDDDDDDDDDDDDDDDDDD@21 " + strings.Repeat("E", 50) + "@1", [6]string{
		strings.Repeat("E", 10) + strings.Repeat("A", 10) + strings.Repeat("D", 10) + strings.Repeat("B", 10) + strings.Repeat("C", 10),
		strings.Repeat("E", 50), strings.Repeat("E", 50), strings.Repeat("E", 50), strings.Repeat("E", 50), strings.Repeat("E", 50),
	}},
}

var overlapPolicies = [6]reassemble.Overlap{
	reassemble.OverlapFirst, reassemble.OverlapBSD, reassemble.OverlapLinux, reassemble.OverlapOldLinux, reassemble.OverlapSolaris,
	reassemble.OverlapLast,
}

func TestOverlapCases(t *testing.T) {
	for name, test := range overlapCases {
		for i, policy := range overlapPolicies {
			for _, isn := range []uint32{0, 1, 1<<32 - 1, 1<<32 - 3, 1<<32 - 11} {
				t.Run(fmt.Sprintf("%s/%v/%d", name, policy, isn), func(t *testing.T) {
					c := (&pktgen.Conversation{ClientISN: isn}).Open()
					differ := map[int]bool{}
					all := map[int]byte{}
					for word := range strings.FieldsSeq(test.segments) {
						data, at, _ := strings.Cut(word, "@")
						place, err := strconv.Atoi(at)
						require.NoError(t, err)
						c.Segment(client, packet.ACK, int64(place-1), []byte(data))
						for k := range len(data) {
							if b, ok := all[place+k]; ok && b != data[k] {
								differ[place+k] = true
							}
							all[place+k] = data[k]
						}
					}
					shown := map[int]bool{}
					cfg := tcpfollow.Config{Overlap: policy, OnConflict: func(_ *tcpfollow.TCPStream, x tcpfollow.Conflict) {
						for k := range x.New {
							if x.Old[k] != x.New[k] {
								shown[int(x.Offset)+k+1] = true
							}
						}
					}}
					streams := streamsOf(t, cfg, c.Frames())
					require.Equal(t, test.want[i], string(streams[0].payload[client]))
					require.Equal(t, differ, shown, "every byte that differs is in a conflict")
				})
			}
		}
	}
}
