package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// unescape undoes how /proc/self/mounts writes spaces.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// mounts are the places below the stack's folder where something is mounted.
func (s *Stack) mounts() ([]string, error) {
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var targets []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if target := unescape.Replace(fields[1]); strings.HasPrefix(target, s.Dir+"/") {
			targets = append(targets, target)
		}
	}
	return targets, nil
}

// Leftovers lists what workers of the stack keep of placements on this machine: mounts, loop devices and disk images. When
// nothing runs there is none.
func (s *Stack) Leftovers() ([]string, error) {
	left, err := s.mounts()
	if err != nil {
		return nil, err
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	for _, loop := range loops {
		// One that has gone meanwhile holds nothing.
		if file, err := os.ReadFile(loop); err == nil && strings.HasPrefix(string(file), s.Dir+"/") {
			left = append(left, loop)
		}
	}
	for _, pattern := range []string{"*/placements/*/*/*.img", "*/placements/probe-*"} {
		files, err := filepath.Glob(filepath.Join(s.Dir, pattern))
		if err != nil {
			return nil, err
		}
		left = append(left, files...)
	}
	return left, nil
}

// Unmount lets go of the disks that workers keep for placements they can no longer tidy up themselves. Their containers have
// to be gone.
func (s *Stack) Unmount() error {
	targets, err := s.mounts()
	if err != nil {
		return err
	}
	var errs []error
	for _, target := range targets {
		if err := syscall.Unmount(target, 0); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", target, err))
		}
	}
	return errors.Join(errs...)
}
