package tcpfollow

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tcpfollow/tcpfollow/internal/cli"
	"github.com/tcpfollow/tcpfollow/meter"
	"github.com/tcpfollow/tcpfollow/meter/nfpacket"
	"github.com/tcpfollow/tcpfollow/meter/plugin"
)

// pluginMakers return plugins from the text behind "=", by their names.
func pluginMakers() map[string]func(arg string) (meter.Plugin, error) {
	without := func(p meter.Plugin) func(string) (meter.Plugin, error) {
		return func(arg string) (meter.Plugin, error) {
			if arg != "" {
				return nil, fmt.Errorf("takes no argument, not %q", arg)
			}
			return p, nil
		}
	}
	return map[string]func(string) (meter.Plugin, error){
		"dhcp":    without(plugin.DHCP()),
		"mdns":    without(plugin.MDNS()),
		"ja4":     without(plugin.JA4()),
		"tcp":     without(plugin.TCP()),
		"payload": without(plugin.Payload()),
		"slicer": func(arg string) (meter.Plugin, error) {
			n, err := strconv.Atoi(arg)
			if err != nil {
				return nil, fmt.Errorf("%q is no number of packets", arg)
			}
			return plugin.Slicer(n)
		},
		"splt": func(arg string) (meter.Plugin, error) {
			length, mode, both := strings.Cut(arg, ",")
			n, err := strconv.Atoi(length)
			if err != nil {
				return nil, fmt.Errorf("%q is no number of packets", length)
			}
			m := uint64(0)
			if both {
				if m, err = strconv.ParseUint(mode, 10, 8); err != nil {
					return nil, fmt.Errorf("%q is no accounting mode", mode)
				}
			}
			return plugin.SPLT(n, nfpacket.Accounting(m))
		},
		"activity": func(arg string) (meter.Plugin, error) {
			pause := 5 * time.Second // that of CICFlowMeter
			if arg != "" {
				var err error
				if pause, err = time.ParseDuration(arg); err != nil {
					return nil, err
				}
			}
			return plugin.Activity(pause)
		},
		"community-id": func(arg string) (meter.Plugin, error) {
			seed := uint64(0)
			if arg != "" {
				var err error
				if seed, err = strconv.ParseUint(arg, 10, 16); err != nil {
					return nil, fmt.Errorf("%q is no seed", arg)
				}
			}
			return plugin.CommunityID(uint16(seed)), nil
		},
	}
}

func pluginNames() []string { return slices.Sorted(maps.Keys(pluginMakers())) }

// newPlugins returns the plugins that --plugin names.
func newPlugins(list []string) ([]meter.Plugin, error) {
	makers := pluginMakers()
	var plugins []meter.Plugin
	for _, text := range list {
		name, arg, _ := strings.Cut(text, "=")
		build, ok := makers[name]
		if !ok {
			return nil, cli.Usage("--plugin: %q is none of %s", name, strings.Join(pluginNames(), ", "))
		}
		p, err := build(arg)
		if err != nil {
			return nil, cli.Usage("--plugin %s: %w", name, err)
		}
		plugins = append(plugins, p)
	}
	return plugins, nil
}
