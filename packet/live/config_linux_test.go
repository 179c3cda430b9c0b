package live_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tcpfollow/tcpfollow/packet/live"
)

func TestConfig(t *testing.T) {
	many := make([]string, 257)
	for name, tt := range map[string]struct {
		cfg  *live.Config
		want string
	}{
		"nothing":            {nil, "live: no interface given"},
		"no interface":       {&live.Config{}, "live: no interface given"},
		"too many":           {&live.Config{Interfaces: many}, "live: more than 256 interfaces"},
		"twice":              {&live.Config{Interfaces: []string{"a", "b", "a"}}, `live: interface "a" would be captured twice`},
		"any and another":    {&live.Config{Interfaces: []string{"a", live.Any}}, `live: interface "any" would be captured twice`},
		"negative snaplen":   {&live.Config{Interfaces: []string{"a"}, SnapLen: -1}, "live: negative value in configuration"},
		"negative ring":      {&live.Config{Interfaces: []string{"a"}, Ring: -1}, "live: negative value in configuration"},
		"negative tick":      {&live.Config{Interfaces: []string{"a"}, Tick: -time.Second}, "live: negative value in configuration"},
		"too large a ring":   {&live.Config{Interfaces: []string{"a"}, Ring: 1 << 40}, "live: SnapLen and Ring are below 2 GiB"},
		"no such interface":  {&live.Config{Interfaces: []string{"nosuch0"}}, "nosuch0: no such interface"},
		"name of no meaning": {&live.Config{Interfaces: []string{""}}, "no such interface"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := live.Open(tt.cfg)
			require.ErrorContains(t, err, tt.want)
			require.Nil(t, s)
		})
	}
}
