package tcpfollow

import (
	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/meter"
)

func pluginNames() []string { return nil }

func newPlugins(list []string) ([]meter.Plugin, error) {
	for _, p := range list {
		return nil, cli.Usage("--plugin: no plugin named %q", p)
	}
	return nil, nil
}
