package reassemble_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/reassemble"
)

func TestParseOverlap(t *testing.T) {
	for name, want := range map[string]reassemble.Overlap{
		"windows": reassemble.OverlapBSD, "windows2003": reassemble.OverlapBSD, "macos": reassemble.OverlapBSD,
		"irix": reassemble.OverlapBSD, "hpux10": reassemble.OverlapBSD, "vista": reassemble.OverlapFirst,
		"hpux11": reassemble.OverlapSolaris,
	} {
		p, err := reassemble.ParseOverlap(name)
		require.NoError(t, err, name)
		require.Equal(t, want, p, name)
	}
	for _, want := range policies {
		p, err := reassemble.ParseOverlap(want.String())
		require.NoError(t, err)
		require.Equal(t, want, p)
	}
	for _, name := range []string{"", "BSD", "minix", "unknown"} {
		_, err := reassemble.ParseOverlap(name)
		require.EqualError(t, err, `unknown overlap policy "`+name+`"`)
	}
	require.Equal(t, "unknown", reassemble.Overlap(6).String())
}

func TestNewWins(t *testing.T) {
	at := func(start, end uint64) reassemble.Extent { return reassemble.Extent{Start: start, End: end} }
	old := at(10, 20)
	for name, test := range map[string]struct {
		n    reassemble.Extent
		wins string // the letters of the policies for which it wins: First, Bsd, liNux, Old-linux, Solaris, Last
	}{
		"starts first, ends inside":    {at(5, 15), "BNOL"},
		"starts first, ends together":  {at(5, 20), "BNOSL"},
		"covers":                       {at(5, 25), "BNOSL"},
		"same start, shorter":          {at(10, 15), "L"},
		"same":                         {at(10, 20), "OSL"},
		"same start, longer":           {at(10, 25), "NOSL"},
		"inside":                       {at(12, 18), "L"},
		"starts inside, ends together": {at(12, 20), "L"},
		"starts inside, ends behind":   {at(12, 25), "SL"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for i, p := range policies {
				if p.NewWins(old, test.n) {
					got += "FBNOSL"[i : i+1]
				}
			}
			require.Equal(t, test.wins, got)
		})
	}
}

func TestGapReasonString(t *testing.T) {
	for want, r := range map[string]reassemble.GapReason{
		"lost": reassemble.GapLost, "limit": reassemble.GapLimit, "fin": reassemble.GapFIN, "reset": reassemble.GapReset,
		"end": reassemble.GapEnd, "truncated": reassemble.GapTruncated, "depth": reassemble.GapDepth, "unknown": 99,
	} {
		require.Equal(t, want, r.String())
	}
}

func TestResultHas(t *testing.T) {
	r := reassemble.Delivered | reassemble.Known
	require.True(t, r.Has(reassemble.Delivered))
	require.True(t, r.Has(reassemble.Delivered|reassemble.Known))
	require.False(t, r.Has(reassemble.Held))
	require.False(t, r.Has(reassemble.Held|reassemble.Known))
}
