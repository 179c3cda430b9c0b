//go:build !linux

package sandbox

import "errors"

// Enter returns an error: nothing can be given up here.
func Enter(Config) (Report, error) {
	return Report{}, errors.New("no sandbox on this system")
}
