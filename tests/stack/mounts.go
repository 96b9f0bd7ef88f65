package stack

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// unescape undoes how /proc/self/mounts writes spaces.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// Unmount lets go of the disks that workers keep for placements they can no longer tidy up themselves. Their containers have
// to be gone.
func (s *Stack) Unmount() error {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		target := unescape.Replace(fields[1])
		if !strings.HasPrefix(target, s.Dir+"/") {
			continue
		}
		if err := syscall.Unmount(target, 0); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", target, err))
		}
	}
	return errors.Join(errs...)
}
